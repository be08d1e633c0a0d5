"""What is personal in a tracking request, and how it is taken out.

The token is masked everywhere from the start (``tracking.tracking_url``); this is
about the person behind the request.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from .tracking import NO_ADDRESS

# Stands where a shopper's data stood.
BLANKED = "XYZBLANKED"
# IP address, visitor, browser, languages, client hints; campaign, keyword, their
# time, and referrer.
PERSONAL = ("cip", "cid", "ua", "lang", "uadata", "_rcn", "_rck", "_refts", "_ref")
# By how many bytes an IPv4 address is shortened: the bits that are kept, and those
# of an IPv6 address. Matomo's own "Anonymize Visitors' IP addresses" cuts so.
_KEPT_BITS = {0: (32, 128), 1: (24, 64), 2: (16, 48), 3: (8, 24)}


def blank_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a request that is over, without the person behind it."""
    return {
        name: BLANKED if name in PERSONAL else value
        for name, value in parameters.items()
    }


def blank_url(url: str) -> str:
    """The same for a GET address, as ``tracking.tracking_url`` composes it."""
    base, _, query = url.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    return f"{base}?{urlencode(blank_parameters(parameters), quote_via=quote)}"


def withdraw_shopper(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a request that may arrive yet, as nobody's in particular.

    The visitor id stays: by it Matomo's order is known to be ours, and it alone
    names nobody.
    """
    kept = {
        name: value
        for name, value in parameters.items()
        if name not in PERSONAL or name == "cid"
    }
    return {**kept, "cip": NO_ADDRESS}


def mask_ip_address(address: str, byte_count: int) -> str:
    """An IP address without its last bytes, as Matomo masks them itself.

    :param address: IPv4 or IPv6; one that stands for an IPv4 address is cut as such
    :param byte_count: 0 to 3
    :raise ValueError: if it is no IP address
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6 and ip.ipv4_mapped:
        return f"::ffff:{mask_ip_address(str(ip.ipv4_mapped), byte_count)}"
    bits = _KEPT_BITS[byte_count][ip.version == 6]
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False).network_address)
