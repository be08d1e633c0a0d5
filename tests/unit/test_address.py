"""The addresses to which the token may travel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.address import (
    REFUSALS,
    AddressRefused,
    address_key,
    check_address,
    check_ip,
    clean_address,
    is_seen_from,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://matomo.example.com/",
        "https://matomo.example.com",
        "https://matomo.example.com:8443/analytics/matomo.php",
        "HTTPS://Matomo.Example.com/",
        "https://bücher.example/",
        "https://my_matomo.internal./",
        "https://10.1.2.3/",
        "https://192.168.0.1/",
        "https://[fd12::1]/",
        "https://[2606:4700::1111]/",
        "http://localhost/",
        "http://localhost:8080/matomo/",
        "http://127.0.0.1/",
        "http://127.8.9.1:81/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
    ],
)
def test_allowed(url):
    check_address(url)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://matomo.example.com", "https://matomo.example.com"),
        (" https://matomo.example.com/ \n", "https://matomo.example.com/"),
        ("matomo.example.com", "https://matomo.example.com"),
        ("//matomo.example.com/stats", "https://matomo.example.com/stats"),
        ("matomo.example.com:8443/x", "https://matomo.example.com:8443/x"),
        ("localhost:8080/", "http://localhost:8080/"),
        ("localhost", "http://localhost"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]/m/", "http://[::1]/m/"),
        ("10.1.2.3", "https://10.1.2.3"),
        ("https://m.example.com/index.php?module=Login#?a=1", "https://m.example.com/"),
        ("https://m.example.com?idSite=1", "https://m.example.com"),
        ("https://example.com/stats/index.php/x", "https://example.com/stats/"),
        ("https://example.com/Stats/PIWIK.php", "https://example.com/Stats/"),
        ("https://example.com/stats/matomo.js", "https://example.com/stats/"),
        # A tracker with a name of its own.
        ("https://example.com/js/own.php", "https://example.com/js/own.php"),
        # What is no address stays as it is, and is refused.
        ("matomo", "matomo"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("mailto:me@example.com", "mailto:me@example.com"),
        ("https://a:b@m.example.com/?c", "https://a:b@m.example.com/"),
        ("?idSite=1", "?idSite=1"),
        ("https://", "https://"),
        ("", ""),
    ],
)
def test_what_people_paste(text, url):
    assert clean_address(text) == url
    assert clean_address(url) == url


@given(st.text())
def test_any_text_is_cleaned_once(text):
    url = clean_address(text)
    assert clean_address(url) == url


REFUSED = {
    "malformed": [
        "",
        "matomo.example.com",
        "//matomo.example.com/",
        "ftp://matomo.example.com/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://matomo.example.com:0/",
        "https://matomo.example.com:99999/",
        "https://matomo.example.com:port/",
        "https://matomo example.com/",
        "https://matomo.example.com/\n",
        "https://matomo.example\t.com/",
        "https://matomo.example.com/\r\nX-Header: 1",
        "https://matomo.example.com/\x00",
        "https://matomo.example.com\\@evil.example/",
        "https://matomo.example.com%2f.evil.example/",
        "https://[::1/",
        "https://[not-an-ip]/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2852039166/",
        "https://0251.0376.0251.0376/",
        "https://example.1/",
        "https://169.254.169.254./",
        "https://0xa9fea9fe./",
        "https://0177.0.0.1/",
        "https://0/",
        "https://0251.254.169.254/",
        "https://169.254.43518/",
        "https://①⑥⑨.②⑤④.①⑥⑨.②⑤④/",
        "https://１６９.254.169.254/",
        "https://169。254。169。254/",
    ],
    "credentials": [
        "https://user:secret@matomo.example.com/",
        "https://user@matomo.example.com/",
        "https://@matomo.example.com/",
        "https://matomo.example.com/?token_auth=1",
        "https://matomo.example.com/?",
        "https://matomo.example.com/#top",
    ],
    "insecure": [
        "http://matomo.example.com/",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "http://8.8.8.8/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[2002:7f00:1::1]/",
        "http://localhost./",
    ],
    "forbidden": [
        "https://169.254.169.254/",
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.1.1/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00:ec2::254]/",
        "https://[fd20:ce::254]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[::169.254.169.254]/",
        "https://[64:ff9b::169.254.169.254]/",
        "https://[64:ff9b:1::169.254.169.254]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[2002:a9fe:a9fe::1]/",
        "https://[2001:0:5db8:1::5601:5601]/",
        "https://[::ffff:0:169.254.169.254]/",
        "https://metadata.google.internal/",
        "https://Metadata.Google.Internal./computeMetadata/v1/",
        "https://instance-data.ec2.internal/",
        "https://100.100.100.200/",
        "https://168.63.129.16/",
        "https://192.0.0.192/",
        "https://224.0.0.1/",
        "https://[ff02::1]/",
        "https://0.0.0.0/",
        "http://0.0.0.0/",
        "https://[::]/",
        "https://[::ffff:0.0.0.0]/",
        "https://255.255.255.255/",
    ],
}


@pytest.mark.parametrize(
    ("kind", "url"), [(kind, url) for kind, urls in REFUSED.items() for url in urls]
)
def test_refused(kind, url):
    with pytest.raises(AddressRefused) as caught:
        check_address(url)
    assert caught.value.kind == kind
    assert "{" not in str(caught.value)


def test_each_refusal_is_tested():
    assert {*REFUSED, "private"} == REFUSALS.keys()


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://100.64.0.1/",
        "https://[fd12::1]/",
        "https://[::ffff:10.1.2.3]/",
    ],
)
def test_private_networks_can_be_forbidden(url):
    check_address(url)
    with pytest.raises(AddressRefused) as caught:
        check_address(url, allow_private=False)
    assert caught.value.kind == "private"


def test_public_addresses_do_without_private_ones():
    check_address("https://matomo.example.com/", allow_private=False)
    check_address("https://8.8.8.8/", allow_private=False)


@given(st.text())
def test_any_text_is_allowed_or_refused(text):
    for url in (text, f"https://{text}"):
        try:
            check_address(url)
        except AddressRefused as error:
            assert error.kind in REFUSALS


@given(st.ip_addresses())
def test_any_ip_address_is_allowed_or_refused(ip):
    try:
        check_ip(str(ip), is_secure=True, allow_private=True)
    except AddressRefused as error:
        assert error.kind == "forbidden"
    else:
        assert not (ip.is_link_local or ip.is_multicast or ip.is_unspecified)


# === ONE MATOMO, MANY SPELLINGS === #


@pytest.mark.parametrize(
    "url",
    [
        "https://m.example.com",
        "https://m.example.com/",
        "https://m.example.com//",
        "HTTPS://M.Example.COM/",
        "https://m.example.com:443/",
        "https://m.example.com/matomo.php",
        "https://m.example.com/piwik.php",
        "https://m.example.com/index.php",
        "https://m.example.com/index.php/",
        " https://m.example.com/ ",
    ],
)
def test_spellings_of_one_address(url):
    assert address_key(url) == "https://m.example.com/matomo.php"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://m.example.com/stats", "https://m.example.com/stats/matomo.php"),
        ("https://m.example.com//stats/", "https://m.example.com/stats/matomo.php"),
        ("https://m.example.com/Stats/", "https://m.example.com/Stats/matomo.php"),
        ("https://m.example.com/a/t.php", "https://m.example.com/a/t.php"),
        ("https://m.example.com:8443/", "https://m.example.com:8443/matomo.php"),
        ("https://m.example.com:80/", "https://m.example.com:80/matomo.php"),
        ("http://127.0.0.1:80/m", "http://127.0.0.1/m/matomo.php"),
        ("http://[::1]:8080/", "http://[::1]:8080/matomo.php"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/matomo.php"),
        # No addresses: their own texts.
        ("", ""),
        ("m.example.com", "m.example.com"),
        ("https://m.example.com:port/", "https://m.example.com:port/"),
        ("https://[::1/", "https://[::1/"),
        ("ftp://m.example.com/", "ftp://m.example.com/"),
        ("https://a:b@m.example.com/", "https://a:b@m.example.com/"),
        ("https://m.example.com/?module=API", "https://m.example.com/?module=API"),
        ("https://m.example.com/#", "https://m.example.com/#"),
    ],
)
def test_other_addresses(url, key):
    assert address_key(url) == key
    assert address_key(key) == key


@pytest.mark.parametrize(
    ("url", "host", "is_seen"),
    [
        # A demo on one machine, and a shop in the intranet.
        ("http://127.0.0.1:8080/matomo.php", "localhost:8069", True),
        ("http://localhost/", "127.0.0.1:8069", True),
        ("https://[::1]/", "[::1]:8069", True),
        ("https://10.1.2.3/", "192.168.1.2", True),
        ("https://10.1.2.3/", "localhost", True),
        ("https://matomo.internal/", "shop.internal", True),
        ("https://matomo/", "shop", True),
        ("https://matomo.example.com/", "localhost:8069", True),
        # The internet.
        ("https://matomo.example.com/", "shop.example.com", True),
        ("https://198.41.0.4/", "shop.example.com", True),
        ("http://127.0.0.1/", "shop.example.com", False),
        ("http://localhost:8080/", "shop.example.com:8443", False),
        ("http://[::1]/", "shop.example.com", False),
        ("http://127.0.0.1/", "192.168.1.2", False),
        ("https://10.1.2.3/", "shop.example.com", False),
        ("https://[fd00::1]/", "shop.example.com", False),
        ("https://10.1.2.3/", "198.41.0.4", False),
        ("https://matomo.internal/", "shop.example.com", False),
        ("https://matomo/", "shop.example.com.", False),
        ("https://[/", "shop.example.com", False),
    ],
)
def test_is_seen_from(url, host, is_seen):
    assert is_seen_from(url, host) is is_seen
