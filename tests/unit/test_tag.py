"""Tags that other people have put into a page."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.tag import (
    has_ecommerce_calls,
    has_tag,
    read_parameters,
)

URL = "https://matomo.example.com/"
# As Matomo tells people to paste it.
SNIPPET = """
<!-- Matomo -->
<script>
  var _paq = window._paq = window._paq || [];
  /* methods like "setCustomDimension" should be called before "trackPageView" */
  _paq.push(['trackPageView']);
  _paq.push(['enableLinkTracking']);
  (function() {
    var u="//matomo.example.com/";
    _paq.push(['setTrackerUrl', u+'matomo.php']);
    _paq.push(['setSiteId', '1']);
    var d=document, g=d.createElement('script'), s=d.getElementsByTagName('script')[0];
    g.async=true; g.src=u+'matomo.js'; s.parentNode.insertBefore(g,s);
  })();
</script>
<!-- End Matomo Code -->
"""


@pytest.mark.parametrize(
    "code",
    [
        SNIPPET,
        SNIPPET.replace("//matomo", "https://Matomo"),
        '<script>var _paq = []; _paq.push(["setSiteId", 1]);</script>',
        "tracker = Matomo.getTracker('//matomo.example.com/matomo.php', 1);",
        "_paq.push(['addTracker', 'https://matomo.example.com/matomo.php', '1']);",
        '<img src="https://matomo.example.com/matomo.php?idsite=1&amp;rec=1"/>',
        "<script src='https://matomo.example.com/js/container_AbC123.js'></script>",
        SNIPPET + SNIPPET.replace("'1'", "'2'"),
    ],
)
def test_tag_of_this_site(code):
    assert has_tag(code, URL, 1)


def test_tag_of_an_address_with_its_port():
    """A Matomo entered with the usual port was another host than that of its tag."""
    assert has_tag(SNIPPET, "https://Matomo.example.com:443/matomo.php", 1)


@pytest.mark.parametrize(
    "code",
    [
        "",
        SNIPPET.replace("'1'", "'2'"),
        SNIPPET.replace("'1'", "'11'"),
        SNIPPET.replace("matomo.example.com", "stats.example.org"),
        SNIPPET.replace("matomo.example.com", "matomo.example.com:8443"),
        f"<!-- {SNIPPET.replace('-->', '').replace('<!--', '')} -->",
        "<script src='https://tags.example.org/js/container_AbC123.js'></script>",
        "<script>window._paq = window._paq || [];</script>",
        "<p>We use Matomo 1</p>",
    ],
)
def test_no_tag_of_this_site(code):
    assert not has_tag(code, URL, 1)


@pytest.mark.parametrize(
    ("text", "names", "wrong"),
    [
        ("", [], []),
        ("color", ["color"], []),
        (" color,size  size\nref-2 ", ["color", "size", "ref-2"], []),
        ("keyword order", ["keyword", "order"], []),
        ("access_token color", ["color"], ["access_token"]),
        (
            "pid hash email login_name api_key promo_code signature user",
            [],
            "pid hash email login_name api_key promo_code signature user".split(),
        ),
        ("a=b <b> é 7 " + "a" * 51, [], ["a=b", "<b>", "é", "7", "a" * 51]),
    ],
)
def test_parameters_that_matomo_may_learn(text, names, wrong):
    assert read_parameters(text) == (names, wrong)


@given(st.text(max_size=2000))
def test_any_text(code):
    assert has_tag(code, URL, 1) in (True, False)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (SNIPPET, False),
        ("_paq.push(['trackEcommerceOrder', 'S1', 121])", True),
        ('tracker.addEcommerceItem("A", "B")', True),
        ("_paq.push(['trackEcommerceCartUpdate', 5])", True),
        ("_paq.push(['setEcommerceView', 'A'])", False),
        ("<!-- trackEcommerceOrder -->", False),
        ("", False),
    ],
)
def test_orders_that_a_page_sends(code, expected):
    assert has_ecommerce_calls(code) is expected


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        (f"<!-- a --><!-- b -->{SNIPPET}", True),
        (f"<!-- {SNIPPET.split('-->', 1)[1].rpartition('<!--')[0]}", True),
        (f"<!-- {SNIPPET.split('-->', 1)[1].rpartition('<!--')[0]} -->", False),
        (f"--> {SNIPPET}", True),
    ],
)
def test_comments(code, is_found):
    assert has_tag(code, URL, 1) is is_found


def test_comments_that_nobody_closes_take_no_time():
    """4,000 of them took almost a second, on each page of the website."""
    code = "<!-- a" * 400_000 + SNIPPET.split("-->", 1)[1].rpartition("<!--")[0]
    started = time.process_time()
    assert has_tag(code, URL, 1)
    assert not has_ecommerce_calls(code)
    assert time.process_time() - started < 1
