"""The personal data in a tracking request, and how they are removed.

Personal data here are those of the shopper. The token is no matter of this file: it is
never among the parameters, see ``tracking.tracking_url``.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from .tracking import NO_ADDRESS

# Replaces each personal value. Requests that were anonymized long ago hold this text,
# so that it must not change.
ANONYMIZED = "XYZBLANKED"
# In this order: IP address, visitor ID, user agent, languages, client hints, campaign,
# keyword, time of arrival, referrer.
PERSONAL = ("cip", "cid", "ua", "lang", "uadata", "_rcn", "_rck", "_refts", "_ref")


def anonymize_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a sent request with each personal value replaced."""
    return {
        name: ANONYMIZED if name in PERSONAL else value
        for name, value in parameters.items()
    }


def anonymize_url(url: str) -> str:
    """Return an audit URL, see ``tracking.tracking_url``, without personal values."""
    base, _, query = url.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    return f"{base}?{urlencode(anonymize_parameters(parameters), quote_via=quote)}"


def withdraw_shopper(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a request that is to be sent anonymously.

    The visitor ID stays, because the verifier recognizes the order by it. Without the
    other data it identifies no person.
    """
    kept = {
        name: value
        for name, value in parameters.items()
        if name not in PERSONAL or name == "cid"
    }
    return {**kept, "cip": NO_ADDRESS}
