"""Which parameters of a request are personal, and how they are removed."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.privacy import (
    ANONYMIZED,
    PERSONAL,
    anonymize_parameters,
    anonymize_url,
    is_personal,
    limit_shopper,
    withdraw_everybody,
    withdraw_salesperson,
    withdraw_shopper,
)
from matomo_order_tracking.matomo_api.tracking import get_visitor_id, tracking_url

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


def test_only_the_names_of_personal_parameters_count():
    url = "https://m.example/matomo.php?xcip=1&cip=2&cips=3&dimension12=4&dimension=5"
    assert anonymize_url(f"{url}&ec_id=cid=6&cid=") == (
        "https://m.example/matomo.php?xcip=1&cip=XYZBLANKED&cips=3"
        "&dimension12=XYZBLANKED&dimension=5&ec_id=cid=6&cid=XYZBLANKED"
    )


@given(PARAMETERS)
def test_anonymizing_leaves_the_sale(parameters):
    for kept in (anonymize_parameters(parameters), withdraw_shopper(parameters)):
        for name in parameters.keys() - {*PERSONAL}:
            assert kept[name] == parameters[name]


def test_a_withdrawn_shopper():
    """What was sent keeps its visitor, what is yet to be sent gets another one."""
    parameters = {name: "personal" for name in PERSONAL}
    assert withdraw_shopper(parameters) == {"cid": "personal", "cip": "0.0.0.0"}
    other = withdraw_shopper(parameters, "fedcba9876543210")
    assert other == {"cid": "fedcba9876543210", "cip": "0.0.0.0"}


def test_a_withdrawn_browser_has_a_visitor_of_its_own():
    """Without the browser, Matomo must not look for a visit of the same browser."""
    parameters = {"_id": "a", "cip": "203.0.113.9", "ua": "Browser/1.0", "pdf": "1"}
    assert withdraw_shopper(parameters) == {"cid": "a", "cip": "0.0.0.0"}
    assert withdraw_shopper(parameters, "b") == {"cid": "b", "cip": "0.0.0.0"}
    assert withdraw_everybody(parameters, "b") == {"cid": "b", "cip": "0.0.0.0"}
    refund = {"cid": "c", "cip": "203.0.113.9", "ua": "Browser/1.0"}
    limited = {"cid": "a", "cip": "203.0.113.9", "ua": "Browser/1.0"}
    assert limit_shopper(refund, parameters) == limited


@pytest.mark.parametrize(
    ("told", "limited"),
    [
        # All of it was told before.
        (
            {"cip": "203.0.113.9", "cid": "a", "ua": "Browser/0.9"},
            {"cip": "203.0.113.9", "cid": "a", "ua": "Browser/1.0"},
        ),
        # Address and browser were left out, since Matomo may exclude them.
        ({"cip": "0.0.0.0", "cid": "a"}, {"cip": "0.0.0.0", "cid": "a"}),
        # The shopper was erased there.
        ({"cip": "0.0.0.0", "cid": "b"}, {"cip": "0.0.0.0", "cid": "b"}),
        # What was told is forgotten: the order has nothing of the shopper, either.
        ({}, {"cip": "0.0.0.0", "cid": "a"}),
        (
            {"cip": ANONYMIZED, "cid": ANONYMIZED, "ua": ANONYMIZED},
            {"cip": "0.0.0.0", "cid": "a"},
        ),
    ],
)
def test_a_shopper_is_named_as_before(told, limited):
    shopper = {"cip": "203.0.113.9", "cid": "a", "ua": "Browser/1.0", "e_v": "1.00"}
    assert limit_shopper(shopper, told) == {**limited, "e_v": "1.00"}


@given(PARAMETERS, PARAMETERS, st.booleans())
def test_nobody_is_told_what_was_not_told(parameters, told, is_anonymized):
    """Values of a refund and of its order come from strangers."""
    told = anonymize_parameters(told) if is_anonymized else told
    limited = limit_shopper({**parameters, "cip": "203.0.113.9", "cid": "a"}, told)
    for name in {*PERSONAL} - {"cip", "cid"} & limited.keys():
        assert limited.get(name) in (None, parameters.get(name))
        assert name not in limited or (name in told and told[name] != ANONYMIZED)
    sent = "" if is_anonymized else get_visitor_id(told)
    assert limited["cid"] == (sent or "a")
    if is_anonymized:
        assert limited["cip"] == "0.0.0.0"
        assert {name for name in limited if is_personal(name)} == {"cip", "cid"}
    for name in parameters.keys() - {*PERSONAL}:
        assert limited[name] == parameters[name]


def test_a_custom_dimension_may_be_a_salesperson():
    parameters = {"dimension3": "Sam", "dimension12": "Web Shop", "dimensions": "x"}
    assert anonymize_parameters(parameters) == {
        "dimension3": ANONYMIZED,
        "dimension12": ANONYMIZED,
        "dimensions": "x",
    }


@pytest.mark.parametrize(
    ("name", "number", "withdrawn"),
    [
        ("Sam", 0, {"dimension3"}),
        # The site shows something else there by now.
        ("Sam", 4, {"dimension3"}),
        # The salesperson has had another name.
        ("Samuel", 3, {"dimension3"}),
        ("Samuel", 0, set()),
        # As it was written into the request.
        (" Sam\x00 ", 0, {"dimension3"}),
        ("", 0, set()),
    ],
)
def test_a_salesperson_is_withdrawn(name, number, withdrawn):
    parameters = {"dimension3": "Sam", "dimension12": "Web Shop", "url": "Sam"}
    kept = withdraw_salesperson(parameters, name, number)
    assert {key for key in kept if kept[key] == ANONYMIZED} == withdrawn
    assert all(kept[key] == parameters[key] for key in kept.keys() - withdrawn)


@given(PARAMETERS)
def test_everybody_is_withdrawn_and_the_sale_stays(parameters):
    visitor_id = "0123456789abcdef"
    kept = withdraw_everybody({**parameters, "dimension3": "Sam"}, visitor_id)
    assert (kept.pop("cid"), kept.pop("cip")) == (visitor_id, "0.0.0.0")
    assert kept == {
        name: value for name, value in parameters.items() if not is_personal(name)
    }
