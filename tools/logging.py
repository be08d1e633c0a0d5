"""What must not stand in Odoo's log."""

import logging

SECRETS = ("token_auth", "matomo_password")


class HideToken(logging.Filter):
    """Odoo logs the arguments of each call at debug level: not if a token is in."""

    def filter(self, record):
        if record.levelno <= logging.DEBUG and any(
            name in record.getMessage() for name in SECRETS
        ):
            record.msg, record.args = "call of a method with a token: not shown", ()
        return True


def hide_tokens():
    """Install the filter, once for each process."""
    logger = logging.getLogger("odoo.service.model")
    if not any(isinstance(each, HideToken) for each in logger.filters):
        logger.addFilter(HideToken())
