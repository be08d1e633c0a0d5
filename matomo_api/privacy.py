"""The personal data in a tracking request, and how they are removed.

Personal data here are those of the shopper. The token is no matter of this file: it is
never among the parameters, see ``tracking.tracking_url``.
"""

import re
from collections.abc import Mapping

from .browser import FEATURES
from .texts import clean_text
from .tracking import MAX_DIMENSION_LENGTH, NO_ADDRESS, get_visitor_id

# Replaces each personal value. Requests that were anonymized long ago hold this text,
# so that it must not change.
ANONYMIZED = "XYZBLANKED"
# In this order: IP address, visitor ID by its two names, user ID, user agent, languages
# and client hints; campaign, keyword, time of arrival and referrer; what the browser
# can show; the place, which may be the customer's.
PERSONAL = (
    *("cip", "cid", "_id", "uid", "ua", "lang", "uadata"),
    *("_rcn", "_rck", "_refts", "_ref"),
    *FEATURES,
    *("country", "region", "city"),
)
# The names of custom dimensions. One of them may be the salesperson; which one it was
# when the request was sent, its parameters do not say.
_DIMENSION = re.compile(r"dimension\d+")
_PERSONAL_NAME = re.compile("|".join((*PERSONAL, _DIMENSION.pattern)))
# A personal parameter in an audit URL.
_PERSONAL_PAIR = re.compile(rf"(?<![^&])({_PERSONAL_NAME.pattern})=[^&]*")
# So much of an audit URL is logged: of some dozens of items, all of it.
MAX_LOGGED_LENGTH = 10_000


def is_personal(name: str) -> bool:
    """Return whether the parameter of this name may tell who a person is."""
    return bool(_PERSONAL_NAME.fullmatch(name))


def anonymize_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a sent request with each personal value replaced."""
    return {
        name: ANONYMIZED if is_personal(name) else value
        for name, value in parameters.items()
    }


def anonymize_url(url: str) -> str:
    """Return an audit URL, see ``tracking.tracking_url``, without personal values."""
    base, _, query = url.partition("?")
    return f"{base}?" + _PERSONAL_PAIR.sub(rf"\1={ANONYMIZED}", query)


def withdraw_shopper(
    parameters: Mapping[str, str], visitor_id: str | None = None
) -> dict[str, str]:
    """Return the parameters of a request that is to be sent anonymously.

    :param visitor_id: the visitor to whom a request belongs that is yet to be sent.
        Without it the visitor ID stays, because the verifier recognizes by it what was
        sent. Without the other data it identifies no person
    """
    kept = {name: value for name, value in parameters.items() if name not in PERSONAL}
    # Matomo must not look for the visit of the browser that is left out.
    visitor_id = visitor_id or get_visitor_id(parameters)
    return {**kept, "cip": NO_ADDRESS, "cid": visitor_id}


def limit_shopper(
    parameters: Mapping[str, str], told: Mapping[str, str]
) -> dict[str, str]:
    """Return the parameters of a request without what Matomo was not told before.

    :param told: the parameters of the request before, of the same shopper. A value that
        was anonymized since is one that must not be told again
    """
    told = {name: value for name, value in told.items() if value != ANONYMIZED}
    kept = {
        name: value
        for name, value in parameters.items()
        if not is_personal(name) or name in told
    }
    is_told = told.get("cip", NO_ADDRESS) != NO_ADDRESS
    ip_address = parameters["cip"] if is_told else NO_ADDRESS
    visitor_id = get_visitor_id(told) or get_visitor_id(parameters)
    return {**kept, "cip": ip_address, "cid": visitor_id}


def withdraw_everybody(
    parameters: Mapping[str, str], visitor_id: str
) -> dict[str, str]:
    """Return the parameters of a request that is to be sent without any person in it.

    That is without the shopper and without all that may be the salesperson.

    :param visitor_id: 16 hex digits that nobody has had before
    """
    kept = {
        name: value
        for name, value in parameters.items()
        if not _DIMENSION.fullmatch(name)
    }
    return {**withdraw_shopper(kept), "cid": visitor_id}


def withdraw_salesperson(
    parameters: Mapping[str, str], name: str, number: int
) -> dict[str, str]:
    """Return the parameters of a request without the salesperson.

    :param name: of the salesperson, who may have had another one then
    :param number: of the custom dimension that shows the salesperson today; 0: none
    """
    told = clean_text(name, MAX_DIMENSION_LENGTH)
    return {
        key: ANONYMIZED
        if key == f"dimension{number}" or (_DIMENSION.fullmatch(key) and value == told)
        else value
        for key, value in parameters.items()
    }


def shorten_url(url: str) -> str:
    """Return an audit URL as a log gets it: an order of 10,000 lines is megabytes."""
    if len(url) <= MAX_LOGGED_LENGTH:
        return url
    return f"{url[:MAX_LOGGED_LENGTH]}… ({len(url)} characters)"
