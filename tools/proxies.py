"""The address of a shopper behind proxies: who may name it, and where it stands.

Nothing here imports Odoo. A header is what a stranger writes, unless a proxy that the
server's administrator trusts has written it. Without trusted proxies no header counts.
"""

import ipaddress
from collections.abc import Mapping, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A chain of proxies is short; the rest is what a stranger wrote.
_MAX_PROXIES = 20


def parse_networks(text: str) -> tuple[list[Network], list[str]]:
    """Return the networks in a setting, and what in it is no network.

    :param text: addresses and networks, separated by commas, spaces or lines
    """
    networks, wrong = [], []
    for word in text.replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(word, strict=False))
        except ValueError:
            wrong.append(word)
    return networks, wrong


def find_client_address(
    remote_addr: str | None,
    headers: Mapping[str, str],
    trusted: Sequence[Network],
    header: str = "",
) -> str | None:
    """Return the address of the browser.

    :param remote_addr: who has connected, as the server or its one proxy says
    :param trusted: the networks of proxies; no shopper can come from there
    :param header: in which header they name the browser, e.g. ``CF-Connecting-IP``;
        without it, ``X-Forwarded-For`` is read from the right: each proxy has added
        the address that connected to it, and what is left of an address that is not
        trusted is what a stranger wrote
    :return: ``remote_addr`` itself unless it is that of a trusted proxy
    """
    if not _is_trusted(_parse(remote_addr), trusted):
        return remote_addr
    if header and (named := _parse(headers.get(header))):
        return str(named)
    found = remote_addr
    forwarded = headers.get("X-Forwarded-For", "").rsplit(",", _MAX_PROXIES)
    for text in reversed(forwarded[-_MAX_PROXIES:]):
        address = _parse(text)
        if address is None:
            break
        found = str(address)
        if not _is_trusted(address, trusted):
            break
    return found


def _is_trusted(address, trusted: Sequence[Network]) -> bool:
    """Return whether an address is one of a trusted proxy."""
    return address is not None and any(address in network for network in trusted)


def _parse(text: str | None):
    """Return an IP address, None if the text is none.

    :param text: perhaps with a port, IPv6 then in brackets; IPv4 may stand within IPv6
    """
    text = (text or "").strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
