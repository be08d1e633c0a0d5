"""The personal data in a tracking request, and how they are removed.

Personal data here are those of the shopper. The token is no matter of this file: it is
never among the parameters, see ``tracking.tracking_url``.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from .tracking import NO_ADDRESS

# Replaces each personal value. Requests that were anonymized long ago hold this text,
# so that it must not change.
ANONYMIZED = "XYZBLANKED"
# In this order: IP address, visitor ID, user agent, languages, client hints, campaign,
# keyword, time of arrival, referrer.
PERSONAL = ("cip", "cid", "ua", "lang", "uadata", "_rcn", "_rck", "_refts", "_ref")
# {masked bytes: (bits kept of an IPv4 address, bits kept of an IPv6 address)}. These
# are the figures of Matomo's own setting "Anonymize Visitors' IP addresses"
# (docs/matomo.md section 8).
_KEPT_BITS = {0: (32, 128), 1: (24, 64), 2: (16, 48), 3: (8, 24)}


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


def withdraw_shopper(
    parameters: Mapping[str, str], visitor_id: str | None = None
) -> dict[str, str]:
    """Return the parameters of a request that is to be sent anonymously.

    :param visitor_id: the visitor to whom a request belongs that is yet to be sent.
        Without it the visitor ID stays, because the verifier recognizes by it what was
        sent. Without the other data it identifies no person
    """
    kept = {
        name: visitor_id or value if name == "cid" else value
        for name, value in parameters.items()
        if name not in PERSONAL or name == "cid"
    }
    return {**kept, "cip": NO_ADDRESS}


def mask_ip_address(address: str, byte_count: int) -> str:
    """Return an IP address with its last bytes set to zero, as Matomo masks addresses.

    :param address: an IPv4 or IPv6 address; an IPv4 address that is mapped into IPv6 is
        masked as IPv4
    :param byte_count: how many bytes of an IPv4 address are masked, 0 to 3. Of an IPv6
        address more are masked, see ``_KEPT_BITS``
    :raise ValueError: if the text is not an IP address
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6 and ip.ipv4_mapped:
        return f"::ffff:{mask_ip_address(str(ip.ipv4_mapped), byte_count)}"
    bits = _KEPT_BITS[byte_count][ip.version == 6]
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False).network_address)
