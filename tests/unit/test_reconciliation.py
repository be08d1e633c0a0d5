"""Why a day differs: tables of facts, and what is decided of them."""

import random
import struct
from decimal import Decimal

import pytest
from matomo_order_tracking.matomo_api.reading import RecordedOrder, Totals
from matomo_order_tracking.matomo_api.tracking import order_ref_key
from matomo_order_tracking.tools.reconciliation import (
    KINDS,
    LOOK,
    SEVERITIES,
    Cause,
    Sale,
    add_up,
    add_up_rounding,
    bound,
    compare_orders,
    explain_report,
    explain_rounding,
    find_elsewhere,
    find_known_causes,
    get_kind_of_recorded,
    get_state,
    is_explained,
    unite,
)

D = Decimal


def sale(**facts):
    """Return an order of 100 that both sides count."""
    return Sale(
        **{
            "request_id": 1,
            "name": "S1",
            "ref": "X-S1",
            "state": "verified",
            "revenue": D(100),
            "sent": D(100),
            "recorded": D(100),
            "is_counted": True,
            "is_accepted": True,
            **facts,
        }
    )


def recorded(ref, revenue=100):
    return RecordedOrder(ref, None if revenue is None else D(revenue))


# === CAUSES THAT ODOO KNOWS === #


@pytest.mark.parametrize(
    ("facts", "causes"),
    [
        ({}, []),
        ({"is_accepted": False, "state": "pending"}, [("pending", "S1", -1, -100)]),
        ({"is_accepted": False, "state": "failed"}, [("failed", "S1", -1, -100)]),
        ({"is_accepted": False, "state": "cancelled"}, [("cancelled", "S1", -1, -100)]),
        (
            {"is_accepted": False, "state": "cancelled", "is_left_out": True},
            [("left_out", "S1", -1, -100)],
        ),
        # Matomo has it, and has it on another day.
        ({"is_accepted": False, "state": "sent"}, [("moved", "S1", -1, -100)]),
        ({"is_accepted": False, "state": "verified"}, [("moved", "S1", -1, -100)]),
        ({"is_counted": False, "revenue": D(0)}, [("away", "X-S1", 1, 100)]),
        (
            {"is_counted": False, "revenue": D(0), "is_sale": False},
            [("withdrawn", "X-S1", 1, 100)],
        ),
        # What Matomo has counts, not what was sent.
        (
            {"is_counted": False, "revenue": D(0), "recorded": D(90)},
            [("away", "X-S1", 1, 90)],
        ),
        ({"revenue": D(130)}, [("changed", "X-S1", 0, -30)]),
        (
            {"revenue": D(130), "is_same_currency": False},
            [("currency", "X-S1", 0, -30)],
        ),
        (
            {"recorded": D(90), "state": "different"},
            [("recorded", "X-S1", 0, -10)],
        ),
        (
            {"revenue": D(130), "recorded": D(90), "state": "different"},
            [("changed", "X-S1", 0, -30), ("recorded", "X-S1", 0, -10)],
        ),
        # Matomo rounds to single precision.
        ({"recorded": D("100.005")}, []),
        ({"sent": D(200_000), "revenue": D(200_000), "recorded": D("200000.2")}, []),
        (
            {"sent": D(200_000), "revenue": D(200_000), "recorded": D("200000.3")},
            [("recorded", "X-S1", 0, D("0.3"))],
        ),
    ],
)
def test_known_causes(facts, causes):
    found = find_known_causes([sale(**facts)])
    assert [tuple(each[:4]) for each in found] == causes
    assert {each.request_id for each in found} <= {1}


# === CAUSES THAT MATOMO SHOWS === #


def compare(sales, orders, is_ours=None):
    found = compare_orders(sales, orders, is_ours)
    causes = [tuple(each[:4]) for each in found.causes]
    return causes, found.missing, sorted(found.left)


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([recorded("X-S1")], ([], [], [])),
        # Matomo compares IDs without case.
        ([recorded("x-s1")], ([], [], [])),
        ([], ([("missing", "X-S1", -1, -100)], [1], [])),
        ([recorded("X-S1", 80)], ([("recorded", "X-S1", 0, -20)], [], [])),
        ([recorded("X-S1", "100.005")], ([], [], [])),
        ([recorded("X-S1", None)], ([], [], [])),
        ([recorded("X-S1"), recorded("JS-7")], ([], [], ["JS-7"])),
        ([recorded("JS-7")], ([("missing", "X-S1", -1, -100)], [1], ["JS-7"])),
    ],
)
def test_compared_orders(orders, expected):
    assert compare([sale()], orders) == expected


@pytest.mark.parametrize(
    ("orders", "causes", "left"),
    [
        ([], [("elsewhere", "X-S1", -1, -100)], []),
        # Under its own ID, with the same amount and another one.
        ([recorded("X-S1")], [], []),
        ([recorded("X-S1", 90)], [("recorded", "X-S1", 0, -10)], []),
        ([recorded("X-S1", None)], [], []),
        # Under another ID it is known by its amount, unless Odoo has sent that one.
        ([recorded("SHOP-1")], [], []),
        ([recorded("SHOP-1"), recorded("SHOP-2")], [], ["SHOP-2"]),
        ([recorded("SHOP-1", 90)], [("elsewhere", "X-S1", -1, -100)], ["SHOP-1"]),
        ([recorded("SENT-1")], [("elsewhere", "X-S1", -1, -100)], ["SENT-1"]),
        ([recorded("SHOP-1", None)], [("elsewhere", "X-S1", -1, -100)], ["SHOP-1"]),
    ],
)
def test_orders_of_another_system(orders, causes, left):
    sales = [sale(state="elsewhere")]
    found = compare_orders(sales, orders)
    assert not found.causes and not found.missing
    others = find_elsewhere(sales, found.left, {order_ref_key("SENT-1")})
    assert [tuple(cause)[:4] for cause in others] == causes
    assert [order.ref for order in found.left.values()] == left


def test_what_waits_is_not_missing():
    assert compare([sale(is_accepted=False, state="pending")], []) == ([], [], [])


def test_ids_that_matomo_has_replaced():
    sales = [sale(), sale(request_id=2, ref="X-S2")]
    orders = [recorded("aaa"), recorded("bbb")]
    pairs = {(1, "bbb")}
    found = compare(sales, orders, lambda id_, order: (id_, order.ref) in pairs)
    assert found == ([("missing", "X-S2", -1, -100)], [2], ["AAA"])


@pytest.mark.parametrize(
    ("facts", "causes"),
    [
        ({}, [("missing", -1, -100)]),
        # It was changed before it was deleted in Matomo: 150 are missing now.
        ({"revenue": D(150)}, [("missing", -1, -150)]),
        ({"revenue": D(150), "recorded": D(90)}, [("missing", -1, -150)]),
        ({"is_same_currency": False, "revenue": D(7)}, [("missing", -1, -7)]),
        # Neither side counts an order that was cancelled before.
        ({"is_counted": False, "is_sale": False, "revenue": D(0)}, []),
        # Odoo counts it on another day, where it says so.
        (
            {"is_counted": False, "revenue": D(0)},
            [("away", 1, 100), ("missing", -1, -100)],
        ),
    ],
)
def test_an_order_that_matomo_no_longer_has_is_named_once(facts, causes):
    """It was missing and cancelled at the same time, or missing and changed."""
    sales = [sale(**facts)]
    found = unite(find_known_causes(sales) + compare_orders(sales, []).causes)
    assert [(each.kind, each.orders, each.revenue) for each in found] == causes


@pytest.mark.parametrize(
    ("shown", "causes"),
    [(80, [("recorded", 0, -20)]), (90, [("recorded", 0, -10)]), (100, [])],
)
def test_another_amount_that_matomo_has_changed_again(shown, causes):
    """It was listed twice, once with what a read-back had found before."""
    sales = [sale(state="different", recorded=D(90))]
    compared = compare_orders(sales, [recorded("X-S1", shown)])
    found = unite(find_known_causes(sales) + compared.causes)
    assert [(each.kind, each.orders, each.revenue) for each in found] == causes


@pytest.mark.parametrize(
    ("ref", "sender", "kind"),
    [
        ("S1", "here", "late"),
        ("S1", "site", "site"),
        ("S1", "company", "company"),
        ("S1", None, "foreign"),
        ("ODOO-TEST-12", None, "test"),
        ("ODOO-TEST-12", "here", "late"),
    ],
)
def test_kinds_of_recorded_orders(ref, sender, kind):
    assert get_kind_of_recorded(ref, sender) == kind


@pytest.mark.parametrize(
    ("totals", "causes"),
    [
        (Totals(2, D(200)), []),
        # It was made before an order was deleted, or with another time zone.
        (Totals(3, D(300)), [("stale", "", 1, 100, 0, 1)]),
        (Totals(2, D(150)), [("stale", "", 0, -50, 0, 1)]),
        (Totals(1, D(100)), [("unarchived", "", -1, -100, 0, 1)]),
        (Totals(), [("unarchived", "", -2, -200, 0, 2)]),
    ],
)
def test_reports_that_do_not_fit_their_orders(totals, causes):
    orders = [recorded("S1"), recorded("S2")]
    assert explain_report(totals, orders, is_complete=True) == causes


def test_a_report_is_not_wrong_for_what_matomo_does_not_show():
    orders = [recorded("S1")]
    assert explain_report(Totals(3, D(300)), orders, is_complete=False) == []
    illegible = [recorded("S1", None)]
    assert explain_report(Totals(1, D(100)), illegible, is_complete=True) == []


def test_a_late_report_of_an_amount_that_cannot_be_read():
    found = explain_report(Totals(), [recorded("S1", None)], is_complete=True)
    assert found == [("unarchived", "", -1, 0, 0, 1)]


# === ADDING UP === #


def test_adding_up():
    assert add_up([]) == Totals()
    one = Totals(1, D(10), D(2), D(3), D(1), 4)
    assert add_up([one, one]) == Totals(2, D(20), D(4), D(6), D(2), 8)


@pytest.mark.parametrize(
    ("odoo", "matomo", "causes", "explained"),
    [
        (Totals(), Totals(), [], True),
        (Totals(2, D(200)), Totals(2, D(200)), [], True),
        (Totals(2, D(200)), Totals(2, D("200.005")), [], True),
        (Totals(2, D(200)), Totals(2, D("200.01")), [], False),
        (Totals(2, D(200)), Totals(1, D(200)), [], False),
        (Totals(2, D(200)), Totals(1, D(100)), [("failed", "S", -1, D(-100))], True),
        (Totals(2, D(200)), Totals(1, D(90)), [("failed", "S", -1, D(-100))], False),
        # Matomo keeps a large order in single precision, Odoo has cancelled it.
        (
            Totals(1, D(10)),
            Totals(2, D(2_500_010)),
            [("withdrawn", "S", 1, D("2500000.03"))],
            True,
        ),
        # The orders agree, and not the revenue.
        (Totals(2, D(200)), Totals(2, D(200)), [("changed", "S", 0, D(5))], False),
        (
            Totals(2, D(200)),
            Totals(2, D(200)),
            [("missing", "S", -1, D(-100)), ("foreign", "T", 1, D(100))],
            True,
        ),
    ],
)
def test_explained(odoo, matomo, causes, explained):
    causes = [Cause(*each) for each in causes]
    assert is_explained(odoo, matomo, causes, D(0)) is explained


@pytest.mark.parametrize(
    ("revenue", "sent", "rounding"),
    [
        # Kuwaiti dinars have three decimals, of which Matomo gets two.
        ("1.235", "1.24", "0.005"),
        ("1.234", "1.23", "-0.004"),
        ("1.230", "1.23", "0"),
        # Yen have none.
        ("1500", "1500.00", "0"),
        # More than rounding: the order was changed.
        ("1.246", "1.24", None),
        ("1501", "1500.00", None),
    ],
)
def test_decimals_that_matomo_has_not(revenue, sent, rounding):
    """A thousand such orders differ by a lot, and each of them was sent as it is."""
    order = sale(revenue=D(revenue), sent=D(sent), recorded=D(sent))
    if rounding is None:
        assert [each.kind for each in find_known_causes([order])] == ["changed"]
        assert add_up_rounding([order]) == 0
        return
    orders = [order] * 1000
    assert find_known_causes(orders) == []
    odoo, matomo = Totals(1000, 1000 * D(revenue)), Totals(1000, 1000 * D(sent))
    rounded = add_up_rounding(orders)
    assert rounded == 1000 * D(rounding)
    assert is_explained(odoo, matomo, [], rounded)
    kinds = [(each.kind, each.revenue) for each in explain_rounding(odoo, matomo, [])]
    assert kinds == ([("rounding", rounded)] if rounded else [])


@pytest.mark.parametrize(
    "facts", [{"is_accepted": False, "state": "pending"}, {"is_counted": False}]
)
def test_what_only_one_side_counts_is_not_rounded(facts):
    assert add_up_rounding([sale(sent=D("100.004"), **facts)]) == 0


@pytest.mark.parametrize(
    ("explained", "kinds", "is_over", "state"),
    [
        (True, [], True, "equal"),
        (True, ["refused", "cart", "checkout"], True, "equal"),
        (True, ["changed"], True, "explained"),
        (True, ["changed", "cart"], True, "explained"),
        (True, ["changed", "foreign"], True, "different"),
        (True, ["missing"], True, "different"),
        (False, [], True, "different"),
        (False, ["changed"], True, "different"),
        (False, ["missing"], False, "unfinished"),
        (True, [], False, "unfinished"),
    ],
)
def test_states(explained, kinds, is_over, state):
    causes = [Cause(kind, "S1") for kind in kinds]
    assert get_state(explained, causes, is_over) == state


def store(amount):
    """Return an amount as Matomo keeps it: in single precision, told in cents."""
    [kept] = struct.unpack("f", struct.pack("f", float(amount)))
    return D(f"{kept:.2f}")


def make_sale(chance, number):
    """Return an order of any kind, and what Matomo has of it, perhaps None."""
    amount = D(chance.choice((0, 1, 999, 11_500, 13_000_001, 250_000_003))) / 100
    state = chance.choice(("sent", "verified", "different", "elsewhere"))
    facts = {"revenue": amount, "sent": amount, "recorded": amount, "state": state}
    if chance.random() < 0.2:
        # It waits, failed, was cancelled, or was sent for another day.
        state = chance.choice(("pending", "failed", "cancelled", "sent"))
        facts |= {"state": state, "is_accepted": False}
    elif chance.random() < 0.2:
        # It was moved to another day, or cancelled.
        facts |= {"is_counted": False, "revenue": D(0)}
        facts["is_sale"] = chance.random() < 0.5
    elif chance.random() < 0.3:
        # The last one is a decimal that Matomo has not.
        change = chance.choice((D("0.01"), D(-1), D(5000), D("0.004")))
        facts["revenue"] += change
    if state == "different":
        facts["recorded"] += chance.choice((D("0.02"), D(-1), D(300)))
    ref = f"X-S{number}"
    found = sale(request_id=number, name=f"S{number}", ref=ref, **facts)
    if not found.is_accepted or chance.random() < 0.15:
        return found, None
    kept = store(found.recorded)
    if chance.random() < 0.15:
        kept += chance.choice((D(-1), D("0.5"), D(77)))
    if state == "elsewhere" and chance.random() < 0.5:
        ref = f"SHOP-{number}"
    return found, recorded(chance.choice((ref, ref.lower())), kept)


@pytest.mark.parametrize("seed", range(300))
def test_every_unit_of_a_difference_is_explained(seed):
    """Whatever was done to a day on both sides, its causes add up to the difference."""
    chance = random.Random(seed)
    pairs = [make_sale(chance, n) for n in range(1, chance.randint(1, 25))]
    sales = [each for each, _order in pairs]
    orders = [order for _each, order in pairs if order]
    orders += [
        recorded(f"JS-{n}", store(chance.choice((D(0), D("12.5"), D("115.01")))))
        for n in range(chance.randint(0, 3))
    ]
    counted = [each.revenue for each in sales if each.is_counted]
    odoo = Totals(len(counted), sum(counted, D(0)))
    # Matomo's report counts them, or is older, or comes later.
    old = chance.choice((0, 0, 0, 1, 3, -1, -len(orders)))
    matomo = Totals(
        max(len(orders) + old, 0),
        max(sum((each.revenue for each in orders), D(0)) + 100 * old, D(0)),
    )
    causes = find_known_causes(sales)
    compared = compare_orders(sales, orders)
    causes += compared.causes + find_elsewhere(sales, compared.left, ())
    causes += [Cause("foreign", o.ref, 1, o.revenue) for o in compared.left.values()]
    causes = unite(causes)
    of_orders = [(each.kind, each.request_id) for each in causes if each.request_id]
    assert len(of_orders) == len(set(of_orders))
    causes += explain_report(matomo, orders, is_complete=True)
    assert is_explained(odoo, matomo, causes, add_up_rounding(sales)), causes
    causes += explain_rounding(odoo, matomo, causes)
    for listed in (causes, bound(causes, 3)):
        assert sum(each.orders for each in listed) == matomo.orders - odoo.orders
        assert sum(each.revenue for each in listed) == matomo.revenue - odoo.revenue


# === BOUNDS === #


def test_the_worst_comes_first():
    ranks = [SEVERITIES.index(severity) for severity in KINDS.values()]
    assert ranks == sorted(ranks)
    causes = [Cause("cart", "C"), Cause("late", "L"), Cause("missing", "M")]
    assert [each.name for each in bound(causes, 5)] == ["M", "L", "C"]


def test_what_is_too_much_is_summed_up():
    """Not a cent of the difference is lost with the names."""
    causes = [Cause("late", f"L{n}", 1, D(10), n) for n in range(1, 5)]
    causes += [Cause("failed", f"F{n}", -1, D(-7), n) for n in range(1, 4)]
    found = bound(causes, 4)
    assert [each.name for each in found] == ["F1", "F2", "F3", "L1", ""]
    assert found[-1] == Cause("late", "", 3, D(30), 0, 3)
    for name in ("orders", "revenue", "count"):
        assert sum(getattr(each, name) for each in found) == (
            sum(getattr(each, name) for each in causes)
        )
    assert {KINDS[each.kind] for each in found[:3]} == {LOOK}
    assert len(bound(causes, 0)) == 2
