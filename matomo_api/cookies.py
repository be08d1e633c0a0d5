"""The first-party cookies of matomo.js on the shop's domain.

Anybody can send any cookie. A cookie that does not look exactly as matomo.js writes it
counts as missing: no visitor ID, no attribution, no consent. docs/matomo.md section 18
describes the cookies of matomo.js.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
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
# A page of a host with more labels, or deeper, is looked at as one of so many.
_MAX_LABELS, _MAX_FOLDERS = 6, 4
# The clock of a browser may be this much ahead (seconds).
_CLOCK_DIFFERENCE = 86_400


def parse_visitor_id(
    cookies: Mapping[str, str],
    idsite: int,
    host: str = "",
    path: str = "/",
    is_of_host: bool = False,
) -> str:
    """Return the visitor ID that matomo.js gave this browser.

    The cookie is ``_pk_id.<idsite>.<hash>``. Any prefix and hash is accepted: the
    prefix can be configured, and the hash depends on settings in the page. There may be
    several, for example if two Matomos on one domain have a site of this ID: then the
    one counts that matomo.js would use on this page, see ``_rank_hashes``.

    :param cookies: the cookies of the request; the values may be percent-encoded
    :param idsite: the ID of the site in Matomo
    :param host: of the page as in the browser, with or without port
    :param path: of the page
    :param is_of_host: whether matomo.js keeps its cookies for the page's host alone, so
        that those of a domain above are another Matomo's
    :return: 16 hex digits, of equally likely ones the newest; "" if there is none
    """
    found = []
    for rank, value in _find(cookies, "id", idsite, host, path, is_of_host):
        if match := _VISITOR.fullmatch(value):
            found.append((-rank, int(match[2] or 0), match[1]))
    return max(found)[2] if found else ""


def parse_attribution(
    cookies: Mapping[str, str],
    idsite: int,
    now: float | None = None,
    host: str = "",
    path: str = "/",
    is_of_host: bool = False,
) -> Attribution:
    """Return where the shopper came from, as matomo.js has stored it.

    The cookie is ``_pk_ref.<idsite>.<hash>``. It holds percent-encoded JSON:
    ``[campaign, keyword, timestamp, referrer]``.

    :param cookies: the cookies of the request; the values may be percent-encoded
    :param idsite: the ID of the site in Matomo
    :param now: seconds since 1970, by default the current time; a timestamp more than a
        day later is dropped
    :param host: see ``parse_visitor_id``
    :param path: see ``parse_visitor_id``
    :param is_of_host: see ``parse_visitor_id``
    :return: of several the one that matomo.js would use on this page, of equally likely
        ones the newest; an empty one if there is none
    """
    latest = (time.time() if now is None else now) + _CLOCK_DIFFERENCE
    found = [
        (rank, _parse_attribution(value, latest))
        for rank, value in _find(cookies, "ref", idsite, host, path, is_of_host)
    ]
    _rank, attribution = max(
        found,
        key=lambda each: (each[1] != Attribution(), -each[0], each[1].timestamp),
        default=(0, Attribution()),
    )
    return attribution


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
    digest = _hash(_clean_host(host), "/")
    return f"_pk_id.{idsite}.{digest}", f"{visitor_id}.{int(now)}."


def _rank_hashes(host: str, path: str) -> dict[str, int]:
    """Return how likely matomo.js uses cookies of these hashes on a page, 0 the most.

    A hash is made from the domain and the path of the cookie. Without settings these
    are the page's host and ``/``. ``setCookieDomain`` and ``setCookiePath`` choose
    others: a domain above, which matomo.js writes ".example.com" for "*.example.com",
    and a path above the page. A cookie of the host is before one of a domain above, and
    a deeper path before one above it, where matomo.js has left one before it knew of
    the setting (docs/matomo.md section 18).
    """
    labels = _clean_host(host).split(".")[-_MAX_LABELS:]
    names = [".".join(labels[start:]) for start in range(max(1, len(labels) - 1))]
    folders = [each for each in path.split("/") if each][:_MAX_FOLDERS]
    paths = ["/"]
    for depth in range(1, len(folders) + 1):
        folder = "/" + "/".join(folders[:depth])
        paths += [folder, f"{folder}/"]
    ranks: dict[str, int] = {}
    for name in names:
        for domain in (name, f".{name}"):
            for each in reversed(paths):
                ranks.setdefault(_hash(domain, each), len(ranks))
    return ranks


def _get_hashes_above(host: str, path: str) -> set[str]:
    """Return the hashes of cookies that were set for a domain above a page's host.

    An unknown hash is not among them: a proxy may tell Odoo another host than the
    browser has.
    """
    name = _clean_host(host)
    _label, _dot, above = name.partition(".")
    if not above or name.rpartition(".")[2].isdigit():
        return set()
    return _rank_hashes(above, path).keys() - {_hash(name, "/")}


def _clean_host(host: str) -> str:
    """Return a host as matomo.js sees it, "" if the text is not a host."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _hash(domain: str, path: str) -> str:
    """Return the last part of the names of matomo.js's cookies."""
    return hashlib.sha1(f"{domain}{path}".encode(errors="replace")).hexdigest()[:4]


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


def _find(
    cookies: Mapping[str, str],
    name: str,
    idsite: int,
    host: str,
    path: str,
    is_of_host: bool,
) -> list[tuple[int, str]]:
    """Return rank and decoded value of the cookies ``<prefix><name>.<idsite>.<hash>``.

    The lower the rank, the likelier matomo.js uses the cookie, see ``_rank_hashes``.
    """
    wanted = re.compile(rf"[\w-]*{name}\.{idsite}\.([0-9a-f]{{1,40}})")
    found = [
        (match[1], value)
        for key, value in cookies.items()
        if len(key) <= _MAX_NAME_LENGTH
        and len(value) <= _MAX_COOKIE_LENGTH
        and (match := wanted.fullmatch(key))
    ]
    if is_of_host and found:
        foreign = _get_hashes_above(host, path)
        found = [each for each in found if each[0] not in foreign]
    # Most browsers have one at most, and dozens of hashes are made to rank several.
    ranks = _rank_hashes(host, path) if len(found) > 1 else {}
    return [
        (
            ranks.get(digest, len(ranks)),
            # Odoo's web framework may have decoded the cookie already.
            value if value.startswith("[") else unquote(value),
        )
        for digest, value in found
    ]


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
