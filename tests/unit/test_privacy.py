"""Which parameters of a request are personal, and how they are removed."""

from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.privacy import (
    ANONYMIZED,
    PERSONAL,
    anonymize_parameters,
    anonymize_url,
    withdraw_shopper,
)
from matomo_order_tracking.matomo_api.tracking import tracking_url

PARAMETERS = st.dictionaries(
    st.sampled_from([*PERSONAL, "revenue", "ec_id", "ec_items", "cdt", "url"]),
    st.text(st.characters(exclude_categories=["Cs"])),
    min_size=1,
)


@given(PARAMETERS)
def test_an_anonymized_url_is_the_url_of_anonymized_parameters(parameters):
    base = "https://matomo.example.com/"
    url = anonymize_url(tracking_url(base, parameters))
    assert url == tracking_url(base, anonymize_parameters(parameters))
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    for name in {*PERSONAL} & parameters.keys():
        assert query[name] == [ANONYMIZED]
    assert query["token_auth"] == ["XYZANONYMIZED"]


@given(PARAMETERS)
def test_anonymizing_leaves_the_sale(parameters):
    for kept in (anonymize_parameters(parameters), withdraw_shopper(parameters)):
        for name in parameters.keys() - {*PERSONAL}:
            assert kept[name] == parameters[name]


def test_a_withdrawn_shopper_leaves_the_visitor_alone():
    parameters = {name: "personal" for name in PERSONAL}
    assert withdraw_shopper(parameters) == {"cid": "personal", "cip": "0.0.0.0"}
