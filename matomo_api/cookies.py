"""The first-party cookies of matomo.js on the shop's domain.

Cookies come from strangers. A cookie that matomo.js would not write exactly so counts
as missing: no visitor id, no attribution, no answer about consent. docs/matomo.md
section 18 says what matomo.js writes.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from .items import clean_text
from .tracking import MAX_CAMPAIGN_LENGTH, MAX_REFERRER_LENGTH, Attribution

# Browsers keep cookies of up to 4 KB, percent-encoded.
_MAX_COOKIE_LENGTH = 8192
_MAX_NAME_LENGTH = 255
# The visitor id and the time of its creation (seconds since 1970); older versions of
# matomo.js write more numbers behind it.
_VISITOR = re.compile(r"([0-9a-f]{16})(?:\.([0-9]{1,10})(?:\.[0-9.]{0,100})?)?")
# An earlier timestamp is implausible: there was no Matomo yet (seconds since 1970).
_FIRST_TIMESTAMP = 1_000_000_000
# The clocks of browsers may be a day ahead (seconds).
_CLOCK_DIFFERENCE = 86_400


def parse_visitor_id(cookies: Mapping[str, str], idsite: int) -> str:
    """Return the visitor id that matomo.js gave this browser: 16 hex digits, or "".

    The cookie is ``_pk_id.<idsite>.<hash>``. Its prefix can be configured, and its
    hash depends on settings in the page, so that any prefix and hash is accepted. Of
    several visitor ids the newest is returned.

    :param cookies: of the request, perhaps percent-encoded
    """
    found = []
    for value in _find(cookies, "id", idsite):
        if match := _VISITOR.fullmatch(value):
            found.append((int(match[2] or 0), match[1]))
    return max(found)[1] if found else ""


def parse_attribution(
    cookies: Mapping[str, str], idsite: int, now: float | None = None
) -> Attribution:
    """Return where the shopper came from according to matomo.js, perhaps empty.

    The cookie is ``_pk_ref.<idsite>.<hash>``, percent-encoded JSON:
    ``[campaign, keyword, timestamp, referrer]``. Of several the newest is returned.

    :param cookies: of the request, perhaps percent-encoded
    :param now: seconds since 1970; a timestamp that is more than a day later is dropped
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
    """Return name and value of the cookie that matomo.js would set for this visitor.

    :param host: as the browser names it; a port is left out
    :param visitor_id: 16 hex digits
    :param now: seconds since 1970
    """
    host = urlsplit(f"//{host}").hostname or ""
    digest = hashlib.sha1(f"{host.removesuffix('.')}/".encode()).hexdigest()
    return f"_pk_id.{idsite}.{digest[:4]}", f"{visitor_id}.{int(now)}."


def consent(cookies: Mapping[str, str]) -> bool | None:
    """Return whether the shopper told matomo.js to track them; None: no answer.

    A refusal wins if both answers are there: matomo.js itself deletes one cookie when
    it writes the other.
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
            # The web framework may have decoded the cookie already.
            yield value if value.startswith("[") else unquote(value)


def _parse_attribution(value: str, latest: float) -> Attribution:
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
        referrer=_web_address(referrer),
    )


def _text(value, length: int) -> str:
    return clean_text(value, length) if isinstance(value, str) else ""


def _web_address(value) -> str:
    address = _text(value, MAX_REFERRER_LENGTH)
    try:
        parts = urlsplit(address)
        is_web = parts.scheme in ("http", "https") and parts.hostname
        # No user names and passwords. A space stands where a control character was.
        is_clean = "@" not in parts.netloc and " " not in address
    except ValueError:
        return ""
    return address if is_web and is_clean else ""
