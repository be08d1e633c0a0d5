"""The personal data in a tracking request, and how they are removed.

This is about the person behind the request. The token is never part of the parameters
(``tracking.tracking_url``).
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from .tracking import NO_ADDRESS

# Replaces each personal value. Requests that were anonymized long ago hold this text,
# so that it must not change.
ANONYMIZED = "XYZBLANKED"
# IP address, visitor id, user agent, languages, client hints, campaign, keyword, time
# of arrival, referrer.
PERSONAL = ("cip", "cid", "ua", "lang", "uadata", "_rcn", "_rck", "_refts", "_ref")
# {masked bytes: (bits kept of an IPv4 address, bits kept of an IPv6 address)}, as
# Matomo's own setting "Anonymize Visitors' IP addresses" masks them (docs/matomo.md
# section 8).
_KEPT_BITS = {0: (32, 128), 1: (24, 64), 2: (16, 48), 3: (8, 24)}


def anonymize_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a finished request without personal data."""
    return {
        name: ANONYMIZED if name in PERSONAL else value
        for name, value in parameters.items()
    }


def anonymize_url(url: str) -> str:
    """Return an audit URL (``tracking.tracking_url``) without personal data."""
    base, _, query = url.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    return f"{base}?{urlencode(anonymize_parameters(parameters), quote_via=quote)}"


def withdraw_shopper(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a request that is still to be sent, anonymously.

    The visitor id stays: the read-back recognizes our order by it, and alone it names
    nobody.
    """
    kept = {
        name: value
        for name, value in parameters.items()
        if name not in PERSONAL or name == "cid"
    }
    return {**kept, "cip": NO_ADDRESS}


def mask_ip_address(address: str, byte_count: int) -> str:
    """Return an IP address whose last bytes are zero, as Matomo masks addresses.

    :param address: IPv4 or IPv6; an IPv4 address within IPv6 is masked as IPv4
    :param byte_count: how many bytes of an IPv4 address are masked, 0 to 3
    :raise ValueError: if the text is not an IP address
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6 and ip.ipv4_mapped:
        return f"::ffff:{mask_ip_address(str(ip.ipv4_mapped), byte_count)}"
    bits = _KEPT_BITS[byte_count][ip.version == 6]
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False).network_address)
