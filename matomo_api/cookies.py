"""The first-party cookies of matomo.js on the shop's domain.

Anybody can send any cookie. A cookie that does not look exactly as matomo.js writes it
counts as missing: no visitor ID, no attribution, no consent. docs/matomo.md section 18
describes the cookies of matomo.js.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from .texts import clean_shopper_text
from .tracking import MAX_CAMPAIGN_LENGTH, MAX_REFERRER_LENGTH, Attribution

# Browsers keep cookies of up to 4 KB, percent-encoded.
_MAX_COOKIE_LENGTH = 8192
_MAX_NAME_LENGTH = 255
# The visitor ID and the time when it was made (seconds since 1970). Older versions of
# matomo.js add more numbers.
_VISITOR = re.compile(r"([0-9a-f]{16})(?:\.([0-9]{1,10})(?:\.[0-9.]{0,100})?)?")
# An earlier time is implausible, because there was no Matomo yet (seconds since 1970).
_FIRST_TIMESTAMP = 1_000_000_000
# The clock of a browser may be this much ahead (seconds).
_CLOCK_DIFFERENCE = 86_400


def parse_visitor_id(cookies: Mapping[str, str], idsite: int) -> str:
    """Return the visitor ID that matomo.js gave this browser.

    The cookie is ``_pk_id.<idsite>.<hash>``. Any prefix and hash is accepted: the
    prefix can be configured, and the hash depends on settings in the page.

    :param cookies: the cookies of the request; the values may be percent-encoded
    :param idsite: the ID of the site in Matomo
    :return: 16 hex digits, the newest ID if there are several; "" if there is none
    """
    found = []
    for value in _find(cookies, "id", idsite):
        if match := _VISITOR.fullmatch(value):
            found.append((int(match[2] or 0), match[1]))
    return max(found)[1] if found else ""


def parse_attribution(
    cookies: Mapping[str, str], idsite: int, now: float | None = None
) -> Attribution:
    """Return where the shopper came from, as matomo.js has stored it.

    The cookie is ``_pk_ref.<idsite>.<hash>``. It holds percent-encoded JSON:
    ``[campaign, keyword, timestamp, referrer]``.

    :param cookies: the cookies of the request; the values may be percent-encoded
    :param idsite: the ID of the site in Matomo
    :param now: seconds since 1970, by default the current time; a timestamp more than a
        day later is dropped
    :return: the newest attribution if there are several; an empty one if there is none
    """
    latest = (time.time() if now is None else now) + _CLOCK_DIFFERENCE
    found = [
        _parse_attribution(value, latest) for value in _find(cookies, "ref", idsite)
    ]
    return max(
        found,
        key=lambda each: (each.timestamp, each != Attribution()),
        default=Attribution(),
    )


def visitor_cookie(
    idsite: int, host: str, visitor_id: str, now: float
) -> tuple[str, str]:
    """Return the visitor cookie as matomo.js would set it.

    :param idsite: the ID of the site in Matomo
    :param host: the host of the shop as in the browser, with or without port
    :param visitor_id: 16 hex digits
    :param now: seconds since 1970
    :return: tuple of the cookie's name and value
    """
    host = urlsplit(f"//{host}").hostname or ""
    digest = hashlib.sha1(f"{host.removesuffix('.')}/".encode()).hexdigest()
    return f"_pk_id.{idsite}.{digest[:4]}", f"{visitor_id}.{int(now)}."


def find_cookies(cookies: Mapping[str, str], idsite: int) -> list[str]:
    """Return the names of the cookies by which matomo.js follows a visitor.

    These are the visitor ID, the attribution and the current visit. Only matomo.js's
    own prefix counts: another one was configured by a person, who must end them.
    """
    wanted = re.compile(rf"_pk_(?:id|ref|ses|cvar|hsr)\.{idsite}\.[0-9a-f]{{1,40}}")
    return [name for name in cookies if wanted.fullmatch(name)]


def consent(cookies: Mapping[str, str]) -> bool | None:
    """Return the shopper's answer to matomo.js about tracking.

    If both answers are there, the refusal counts. matomo.js never leaves both: it
    deletes one cookie when it writes the other.

    :return: True for consent, False for a refusal, None without an answer
    """
    if cookies.get("mtm_consent_removed"):
        return False
    if cookies.get("mtm_consent") or cookies.get("mtm_cookie_consent"):
        return True
    return None


def _find(cookies: Mapping[str, str], name: str, idsite: int) -> Iterator[str]:
    """Yield the decoded values of the cookies ``<prefix><name>.<idsite>.<hash>``."""
    wanted = re.compile(rf"[\w-]*{name}\.{idsite}\.[0-9a-f]{{1,40}}")
    for key, value in cookies.items():
        if (
            len(key) <= _MAX_NAME_LENGTH
            and len(value) <= _MAX_COOKIE_LENGTH
            and wanted.fullmatch(key)
        ):
            # Odoo's web framework may have decoded the cookie already.
            yield value if value.startswith("[") else unquote(value)


def _parse_attribution(value: str, latest: float) -> Attribution:
    """Return the attribution in the value of a cookie, perhaps empty.

    :param latest: seconds since 1970; a later timestamp is dropped
    """
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return Attribution()
    if not isinstance(content, list) or len(content) != 4:
        return Attribution()
    campaign, keyword, timestamp, referrer = content
    is_plausible = type(timestamp) is int and _FIRST_TIMESTAMP <= timestamp <= latest
    return Attribution(
        campaign=_text(campaign, MAX_CAMPAIGN_LENGTH),
        keyword=_text(keyword, MAX_CAMPAIGN_LENGTH),
        timestamp=timestamp if is_plausible else 0,
        referrer=clean_web_address(referrer),
    )


def _text(value, length: int) -> str:
    """Return a text that is safe to send; "" if the value is not a text."""
    return clean_shopper_text(value, length) if isinstance(value, str) else ""


def clean_web_address(value) -> str:
    """Return a web address without credentials; "" if the value is not one."""
    address = _text(value, MAX_REFERRER_LENGTH)
    try:
        parts = urlsplit(address)
        is_web = parts.scheme in ("http", "https") and parts.hostname
        # An address with a user name or password is dropped. So is one with a space:
        # clean_shopper_text puts it in the place of a control character.
        is_clean = "@" not in parts.netloc and " " not in address
    except ValueError:
        return ""
    return address if is_web and is_clean else ""
