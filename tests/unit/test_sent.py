"""What a request has sent, read back: also what nobody should have stored."""

import json
from decimal import Decimal

import pytest
from matomo_order_tracking.matomo_api.privacy import ANONYMIZED, anonymize_parameters
from matomo_order_tracking.matomo_api.sent import (
    MAX_ITEMS,
    SentItem,
    SentRequest,
    read_sent,
)

CHAIR = ["CHAIR", "Chair", ["Furniture", "Chairs"], 100.0, 1]
LAMP = ["LAMP", "Lamp", "Light", 10.5, 2]
ITEMS = json.dumps([CHAIR, LAMP])
PAYLOAD = {
    "cid": "0123456789abcdef",
    "cip": "203.0.113.7",
    "cdt": "2026-03-03 10:00:00",
    "ua": "Firefox",
    "revenue": "139.15",
    "ec_st": "121.00",
    "ec_tx": "18.15",
    "ec_sh": "0.00",
    "ec_dt": "0.00",
    "ec_items": ITEMS,
    "ec_id": "S00001",
}


def test_of_an_order():
    sent = read_sent(PAYLOAD)
    assert sent.ref == "S00001"
    assert sent.items[0] == SentItem(
        "CHAIR", "Chair", ("Furniture", "Chairs"), Decimal("100.0"), Decimal(1)
    )
    assert sent.items[1].categories == ("Light",)
    assert sent.items[1].total == 21
    assert sent.amounts["revenue"] == Decimal("139.15")
    assert sent.amounts["tax"] == Decimal("18.15")
    assert sent.visitor == {
        "visitor": "0123456789abcdef",
        "ip_address": "203.0.113.7",
        "browser": "Firefox",
    }
    assert not sent.is_cut
    assert not sent.is_anonymized


def test_of_a_refund():
    sent = read_sent({"e_n": "S00001", "e_v": "10.00"})
    assert (sent.ref, sent.amounts) == ("S00001", {"refund": Decimal(10)})


def test_of_a_deleted_person():
    sent = read_sent(anonymize_parameters(PAYLOAD))
    assert sent.is_anonymized
    assert not sent.visitor
    assert ANONYMIZED not in repr(sent)
    assert len(sent.items) == 2


def test_without_an_address():
    assert "ip_address" not in read_sent({**PAYLOAD, "cip": "0.0.0.0"}).visitor


@pytest.mark.parametrize("length", range(len(ITEMS)))
def test_of_items_that_were_cut_anywhere(length):
    sent = read_sent({"ec_items": ITEMS[:length]})
    assert sent.is_cut == (length > 0)
    complete = sum(ITEMS[:length].count(end) for end in ("100.0, 1]", "10.5, 2]"))
    assert len(sent.items) == complete


def test_of_very_many_items():
    sent = read_sent({"ec_items": json.dumps([CHAIR] * (MAX_ITEMS + 1))})
    assert len(sent.items) == MAX_ITEMS
    assert sent.is_cut


@pytest.mark.parametrize("parameters", [None, False, "", [], [1], 7, "cid=1", {}])
def test_of_no_parameters(parameters):
    assert read_sent(parameters) == SentRequest()


@pytest.mark.parametrize(
    "value",
    [None, True, 1, "x", "NaN", "Infinity", "1e400", "9" * 40, [], {}, {"a": []}],
)
@pytest.mark.parametrize("name", [*PAYLOAD, "e_n", "_rcn"])
def test_of_other_types(name, value):
    sent = read_sent({**PAYLOAD, name: value})
    assert all(amount.is_finite() for amount in sent.amounts.values())
    assert all(isinstance(text, str) for text in sent.visitor.values())


@pytest.mark.parametrize(
    "items",
    [
        *("{}", "null", "7", '"a"', "[", "]", "[[", "[,]", "[[],", "nonsense"),
        "[" * 100_000,
        '[["a", {"b": 1}, null, "x", "y"], null, 3, [], [1, 2, 3, 4, 5, 6, 7]]',
    ],
)
def test_of_other_items(items):
    for item in read_sent({"ec_items": items}).items:
        assert isinstance(item.sku, str)
        assert item.total is None or item.total.is_finite()
