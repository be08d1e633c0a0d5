"""``tools.proxies``: the address of a shopper behind proxies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.tools.proxies import find_client_address, parse_networks

CLIENT, FORGED = "203.0.113.9", "198.51.100.1"
EDGE, PROXY = "172.68.1.1", "10.0.0.5"
TRUSTED = "172.64.0.0/13, 10.0.0.0/8, 2001:db8:cdn::/48".replace("cdn", "c")
CDN = "CF-Connecting-IP"


@pytest.mark.parametrize(
    ("text", "count", "wrong"),
    [
        ("", 0, []),
        ("172.64.0.0/13, 10.0.0.5\n2001:db8::/32", 3, []),
        ("172.68.1.1/13", 1, []),
        ("cloudflare 10.0.0.0/99 10.0.0.0/8", 1, ["cloudflare", "10.0.0.0/99"]),
    ],
)
def test_networks(text, count, wrong):
    networks, refused = parse_networks(text)
    assert (len(networks), refused) == (count, wrong)


@pytest.mark.parametrize(
    ("remote_addr", "forwarded", "named", "trusted", "header", "address"),
    [
        # By default no header counts.
        (CLIENT, FORGED, FORGED, "", "", CLIENT),
        (EDGE, f"{CLIENT}, {EDGE}", CLIENT, "", "", EDGE),
        (EDGE, f"{CLIENT}, {EDGE}", CLIENT, "", CDN, EDGE),
        # Whoever does not come through a trusted proxy names nobody.
        (CLIENT, FORGED, FORGED, TRUSTED, CDN, CLIENT),
        (CLIENT, f"{FORGED}, {EDGE}", FORGED, TRUSTED, CDN, CLIENT),
        # A CDN before the proxy of Odoo.
        (EDGE, f"{CLIENT}, {EDGE}", None, TRUSTED, "", CLIENT),
        (EDGE, f"{FORGED}, {CLIENT}, {EDGE}", FORGED, TRUSTED, "", CLIENT),
        (EDGE, f"{FORGED},{CLIENT},{EDGE},{PROXY}", None, TRUSTED, "", CLIENT),
        # Its own header counts if it is configured.
        (EDGE, EDGE, CLIENT, TRUSTED, CDN, CLIENT),
        (EDGE, f"{FORGED}, {EDGE}", CLIENT, TRUSTED, CDN, CLIENT),
        (EDGE, f"{CLIENT}, {EDGE}", None, TRUSTED, CDN, CLIENT),
        (EDGE, f"{CLIENT}, {EDGE}", "unknown", TRUSTED, CDN, CLIENT),
        # The server without the one proxy that Odoo knows.
        (PROXY, f"{FORGED}, {CLIENT}", None, TRUSTED, "", CLIENT),
        # All are proxies, or what is left is no address.
        (EDGE, f"{PROXY}, {EDGE}", None, TRUSTED, "", PROXY),
        (EDGE, f"{FORGED}, unknown, {EDGE}", None, TRUSTED, "", EDGE),
        (EDGE, "", None, TRUSTED, "", EDGE),
        (EDGE, f"{FORGED}, " + f"{EDGE}, " * 5000 + EDGE, None, TRUSTED, "", EDGE),
        # Ports, and other ways to write an address.
        (EDGE, f"{CLIENT}:4711, {EDGE}", None, TRUSTED, "", CLIENT),
        (EDGE, f"[2001:DB8::1]:443, {EDGE}", None, TRUSTED, "", "2001:db8::1"),
        (f"::ffff:{EDGE}", CLIENT, None, TRUSTED, "", CLIENT),
        ("2001:db8:c::1", CLIENT, None, TRUSTED, "", CLIENT),
        ("unknown", CLIENT, CLIENT, TRUSTED, CDN, "unknown"),
        (None, CLIENT, CLIENT, TRUSTED, CDN, None),
    ],
)
def test_client_address(remote_addr, forwarded, named, trusted, header, address):
    headers = {"X-Forwarded-For": forwarded} | ({CDN: named} if named else {})
    networks, _wrong = parse_networks(trusted)
    assert find_client_address(remote_addr, headers, networks, header) == address


@given(st.text(), st.text(), st.text())
def test_nonsense(remote_addr, forwarded, named):
    headers = {"X-Forwarded-For": forwarded, CDN: named}
    networks, _wrong = parse_networks("0.0.0.0/0 ::/0")
    found = find_client_address(remote_addr, headers, networks, CDN)
    assert isinstance(found, str)
    parse_networks(forwarded)
