"""Odoo's environment for tests of sentences: they stay as they are in the source."""


class _English:
    @staticmethod
    def _(text, *args, **kwargs):
        return text % (args or kwargs) if args or kwargs else text


ENGLISH = _English()
