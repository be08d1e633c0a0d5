"""``matomo_api.arrival``: campaign and referrer of the address of a page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.arrival import get_host_name, read_arrival
from matomo_order_tracking.matomo_api.tracking import Attribution

SHOP = "https://shop.example.com"
GOOGLE = "https://www.google.com/"


@pytest.mark.parametrize(
    ("query", "campaign", "keyword"),
    [
        ("", "", ""),
        ("?search=chair", "", ""),
        ("?utm_campaign=spring&utm_source=news&utm_term=chair", "spring", "chair"),
        # Matomo's own parameters come before those of others.
        ("?utm_campaign=spring&mtm_campaign=autumn", "autumn", ""),
        ("?mtm_campaign=autumn&pk_campaign=winter", "winter", ""),
        ("?pk_cpn=a&pk_campaign=b", "a", ""),
        ("?piwik_campaign=a&piwik_kwd=b", "a", "b"),
        ("?matomo_campaign=a&matomo_kwd=b&utm_term=c", "a", "b"),
        # Without a campaign the source is its name, then the medium.
        ("?utm_medium=email&utm_source=news", "news", ""),
        ("?utm_medium=email", "email", ""),
        ("?utm_campaign=&utm_source=news", "news", ""),
        # A keyword alone is nothing, nor is the ID of a click.
        ("?utm_term=chair", "", ""),
        ("?gclid=EAIaIQ&fbclid=IwAR0&msclkid=1", "", ""),
        ("?gclid=EAIaIQ&utm_source=google", "google", ""),
        ("?utm_campaign=a&utm_campaign=b", "a", ""),
        ("?utm_campaign=Fr%C3%BChling+%26+Ostern", "Frühling & Ostern", ""),
        ("?utm_campaign=%20%20&utm_source=news", "news", ""),
        ("?utm_campaign=%3D1%2B1", "1+1", ""),
        ("?utm_campaign=" + "a" * 300, "a" * 255, ""),
        ("?utm_campaign=spring&ignore_referrer=1", "", ""),
        ("#utm_campaign=spring", "", ""),
        ("?" + "a=1&" * 200 + "utm_campaign=spring", "", ""),
        ("?utm_campaign=" + "a" * 10_000, "", ""),
    ],
)
def test_campaigns(query, campaign, keyword):
    found = read_arrival(f"{SHOP}/shop{query}", "", "shop.example.com")
    assert found == Attribution(campaign=campaign, keyword=keyword)


@pytest.mark.parametrize(
    ("referrer", "host", "kept"),
    [
        (GOOGLE, "shop.example.com", GOOGLE),
        (GOOGLE, "shop.example.com:8069", GOOGLE),
        ("https://blog.example.com/chairs", "shop.example.com", "same"),
        # The shop is no referrer of its own, whatever the port, scheme or case.
        (f"{SHOP}/shop", "shop.example.com", ""),
        ("http://SHOP.example.com:8069/shop", "shop.example.com", ""),
        (f"{SHOP}/shop", "Shop.Example.com:8069", ""),
        # What is no address of a page is nothing.
        ("", "shop.example.com", ""),
        ("android-app://com.google.android.gm/", "shop.example.com", ""),
        ("https://user:password@example.org/", "shop.example.com", ""),
        ("javascript:alert(1)", "shop.example.com", ""),
        ("https://[", "shop.example.com", ""),
        ("https://example.org/" + "a" * 2000, "shop.example.com", "cut"),
    ],
)
def test_referrers(referrer, host, kept):
    kept = {"same": referrer, "cut": referrer[:1024]}.get(kept, kept)
    found = read_arrival(f"{SHOP}/shop", referrer, host)
    assert found == Attribution(referrer=kept)


@given(st.text(), st.text(), st.text())
def test_nonsense(address, referrer, host):
    assert isinstance(read_arrival(address, referrer, host), Attribution)
    assert isinstance(get_host_name(address), str)
