"""What people call a browser and its languages: a header is no text for people."""

from babel import Locale, UnknownLocaleError

from odoo.tools._vendor.useragents import UserAgent
from odoo.tools.misc import babel_locale_parse


def describe_browser(user_agent: str) -> str:
    """Return the names of a browser and of its system, "" if they are not known."""
    agent = UserAgent(user_agent)
    if not agent.browser:
        return ""
    parts = (agent.browser, agent.version, agent.platform)
    return " ".join(filter(None, parts)).title()


def describe_languages(header: str, lang: str | None) -> str:
    """Return the names of the languages that a browser prefers.

    :param header: its Accept-Language, such as "fr-BE,fr;q=0.9", from a stranger
    :param lang: of the reader, such as "en_US"
    """
    reader = babel_locale_parse(lang)
    codes = (part.partition(";")[0].strip() for part in header.split(","))
    return ", ".join(_get_language_name(code, reader) for code in codes if code)


def _get_language_name(code, reader):
    try:
        return Locale.parse(code, sep="-").get_display_name(reader) or code
    except (UnknownLocaleError, ValueError):
        return code
