"""What the preview of an order says: its stage, and what has changed."""

import pytest
from english import ENGLISH
from matomo_order_tracking.const import STATES
from matomo_order_tracking.matomo_api.privacy import anonymize_parameters
from matomo_order_tracking.tools.preview import (
    CART_STAGES,
    LEVELS,
    STAGES,
    Change,
    Situation,
    find_changes,
    get_stage,
)

DUE = Situation(state="pending")
SENT = Situation(state="verified")
CASES = {
    "due": (DUE, "due"),
    "the site is paused": (DUE._replace(is_waiting=True), "waiting"),
    "tried before": (DUE._replace(is_frozen=True), "frozen"),
    "tried before, and the site is paused": (
        DUE._replace(is_frozen=True, is_waiting=True),
        "waiting",
    ),
    "the shopper has refused since": (DUE._replace(is_tracked=False), "not_tracked"),
    "tried before, and refused since": (
        DUE._replace(is_frozen=True, is_tracked=False),
        "frozen",
    ),
    "tried before, and cancelled since": (
        DUE._replace(is_frozen=True, is_sale=False),
        "no_sale",
    ),
    "cancelled before it was sent": (DUE._replace(is_sale=False), "no_sale"),
    "a quotation": (Situation(is_open=True), "open"),
    "a quotation, and the site is paused": (
        Situation(is_open=True, is_waiting=True),
        "open_waiting",
    ),
    "a quotation without a site": (
        Situation(is_open=True, is_tracked=False),
        "not_tracked",
    ),
    "a quotation that was an order before": (
        Situation(is_open=True, state="cancelled"),
        "open",
    ),
    "a cancelled quotation": (Situation(is_sale=False), "no_sale"),
    "nobody has looked at it": (Situation(), "unknown"),
    "no site": (Situation(state="excluded", is_tracked=False), "not_tracked"),
    "no site at that time": (Situation(state="excluded"), "retrack"),
    "failed": (Situation(state="failed"), "failed"),
    "failed, and cancelled since": (
        Situation(state="failed", is_sale=False),
        "no_sale",
    ),
    "cancelled by a person": (
        Situation(state="cancelled", is_left_out=True),
        "left_out",
    ),
    "cancelled and confirmed again": (Situation(state="cancelled"), "retrack"),
    "sent": (Situation(state="sent"), "sent"),
    "verified": (SENT, "sent"),
    "different": (Situation(state="different"), "sent"),
    "changed since": (SENT._replace(is_changed=True), "changed"),
    "what was sent is deleted": (SENT._replace(is_known=False), "forgotten"),
    "a quotation again": (SENT._replace(is_open=True), "no_longer"),
    "cancelled since": (SENT._replace(is_sale=False), "no_longer"),
    "nothing is bought any more": (SENT._replace(is_tracked=False), "no_longer"),
    # Matomo has it: that the site is paused is no matter.
    "sent, and the site is paused": (SENT._replace(is_waiting=True), "sent"),
    "from another system": (Situation(state="elsewhere"), "elsewhere"),
    "from another system, and cancelled": (
        Situation(state="elsewhere", is_sale=False),
        "elsewhere",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_stage(name):
    situation, stage = CASES[name]
    assert get_stage(situation) == stage


def test_every_stage_is_reached_and_has_a_sentence():
    assert {stage for _situation, stage in CASES.values()} == set(STAGES)
    assert {state for state, _label in STATES} <= {
        situation.state for situation, _stage in CASES.values()
    }
    reasons = {"no_longer", "left_out", "not_tracked", "failed"}
    reasons |= {"open_waiting", "waiting"}
    assert LEVELS.keys() == STAGES.keys()
    assert set(LEVELS.values()) == {"success", "info", "warning", "danger"}
    for stage, describe in STAGES.items():
        text = describe(ENGLISH, "The reason.")
        assert ("The reason." in text) == (stage in reasons), stage
    for stage, describe in CART_STAGES.items():
        text = describe(ENGLISH, "The reason.")
        assert ("The reason." in text) == (stage in ("no_site", "waiting")), stage


# === WHAT HAS CHANGED === #

CHAIR = '["CHAIR","Chair",["Furniture"],100.0,2]'
LAMP = '["LAMP","Lamp",[],10.5,1]'
PAYLOAD = {
    "cid": "0123456789abcdef",
    "cip": "203.0.113.9",
    "cdt": "2026-03-03 10:00:00",
    "h": "11",
    "revenue": "241.50",
    "ec_st": "210.50",
    "ec_id": "S1",
    "dimension2": "Sam",
    "ec_items": f"[{CHAIR},{LAMP}]",
}
CHANGES = {
    "nothing": ({}, []),
    "an amount": ({"revenue": "1.00"}, [Change("revenue", "241.50", "1.00")]),
    "the time, and the clock that follows": (
        {"cdt": "2026-03-04 12:00:00", "h": "13"},
        [Change("time", "2026-03-03 10:00:00", "2026-03-04 12:00:00")],
    ),
    "the visitor": (
        {"cid": "f" * 16, "ua": "Firefox"},
        [
            Change("visitor", "0123456789abcdef", "f" * 16),
            Change("browser", "", "Firefox"),
        ],
    ),
    "a parameter without a name": (
        {"dimension2": "Mia"},
        [Change("dimension2", "Sam", "Mia")],
    ),
    "an item": (
        {"ec_items": f"[{CHAIR}]"},
        [Change("items", ["1 x Lamp [LAMP] (10.50)"], [])],
    ),
    "a category": (
        {"ec_items": f"[{CHAIR.replace('Furniture', 'Seats')},{LAMP}]"},
        [
            Change(
                "items",
                ["2 x Chair [CHAIR] (100.00) Furniture"],
                ["2 x Chair [CHAIR] (100.00) Seats"],
            )
        ],
    ),
    "the sequence of the items alone": ({"ec_items": f"[{LAMP},{CHAIR}]"}, []),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes(name):
    values, changes = CHANGES[name]
    assert find_changes(PAYLOAD, {**PAYLOAD, **values}) == changes


def test_what_was_deleted_of_the_visitor_is_no_change():
    sent = anonymize_parameters(PAYLOAD)
    assert find_changes(sent, PAYLOAD, has_visitor=False) == []
    now = {**PAYLOAD, "revenue": "1.00"}
    found = find_changes(sent, now, has_visitor=False)
    assert found == [Change("revenue", "241.50", "1.00")]


@pytest.mark.parametrize("items", ["", "[", "null", '{"a": 1}', None, 7])
def test_items_that_are_not_legible_are_no_error(items):
    [change] = find_changes({**PAYLOAD, "ec_items": items}, PAYLOAD)
    assert change.name == "items" and len(change.now) == 2
