"""The requests and the meaning of Matomo's answers: a table of cases."""

import html
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api import delivery
from matomo_order_tracking.matomo_api.client import BulkAnswer
from matomo_order_tracking.matomo_api.delivery import (
    Attempt,
    Deferred,
    Delivery,
    Outcome,
    Policy,
    SiteOutcome,
)
from matomo_order_tracking.matomo_api.errors import (
    MatomoError,
    Misconfigured,
    ServerTrouble,
    Unreachable,
    Unreadable,
)
from matomo_order_tracking.matomo_api.matching import describe_sent

NOW = datetime(2026, 3, 3, 10)
VISITOR = "0123456789abcdef"

# === ANSWERS === #


def lost():
    return Unreachable("timeout", seconds=7)


def broken():
    return ServerTrouble("status", status=500)


def busy():
    return ServerTrouble("status", status=503)


def wrong_token():
    return Misconfigured("token_unknown")


def cannot_read():
    return Misconfigured("cannot_read", detail="no view access")


@dataclass
class FakeClient:
    """A Matomo that answers as the case says, and notes what it was asked.

    ``bulks``: for each bulk how many are accepted, or an error; then all are.
    ``probes``: for each probe an error or None; then None. ``read``: an error for each
    read-back. ``has``: the orders it has, by their id: values that differ from ours.
    """

    bulks: list = field(default_factory=list)
    probes: list = field(default_factory=list)
    read: MatomoError | None = None
    has: dict = field(default_factory=dict)
    event: bool = False
    asked: list = field(default_factory=list)
    dates: str = ""

    def send_bulk(self, payloads, timeout):
        refs = ",".join(p.get("ec_id") or p.get("e_n") or "cart" for p in payloads)
        self.asked.append(f"send {refs}")
        answer = self.bulks.pop(0) if self.bulks else len(payloads)
        if isinstance(answer, MatomoError):
            raise answer
        return BulkAnswer(answer, len(payloads) - answer, 200, "", 1)

    def probe(self, idsite, timeout):
        self.asked.append("probe")
        error = self.probes.pop(0) if self.probes else None
        if error:
            error.may_be_recorded = False
            raise error

    def call_api(self, method, segment, **parameters):
        self.dates = parameters["date"]
        name = segment.partition("==")[0]
        self.asked.append(f"read by {name}")
        if self.read:
            raise self.read
        if self.event:
            event = {"type": "event", "eventAction": "Refund", "eventName": "A"}
            return [
                {"visitorId": VISITOR, "actionDetails": [{**event, "eventValue": 115}]}
            ]
        return [
            {"visitorId": values.get("visitor", VISITOR), "actionDetails": [action]}
            for ref, values in self.has.items()
            for action in [make_action(**{"ref": ref, **values})]
            if f"=={html.escape(action['orderId'])}" in segment or name == "visitorId"
        ]


def make_action(ref, revenue=115.0, tax=15.0, days=0, **_values):
    moment = NOW + timedelta(days=days)
    return {
        "type": "ecommerceOrder",
        "orderId": ref,
        "revenue": revenue,
        "revenueSubTotal": 100,
        "revenueTax": tax,
        "revenueShipping": 0,
        "revenueDiscount": 0,
        "timestamp": int(moment.replace(tzinfo=timezone.utc).timestamp()),
    }


# === WHAT COMES IN === #


def make_policy(**values):
    return Policy(
        **{
            "idsite": 1,
            "can_read": True,
            "is_readable_now": True,
            "anonymises": False,
            "read_failure_count": 0,
            "order_timeout": 7,
            "cart_timeout": 2,
            "now": NOW,
            "to_utc": lambda moment: moment,
            **values,
        }
    )


def make_attempt(ref="A", **values):
    payload = {
        "idsite": "1",
        "cid": VISITOR,
        "cdt": "2026-03-03 10:00:00",
        "revenue": "115.00",
        "ec_st": "100.00",
        "ec_tx": "15.00",
        "ec_sh": "0.00",
        "ec_dt": "0.00",
        "ec_id": ref,
    }
    return Attempt(
        **{
            "key": ref,
            "ref": ref,
            "payload": payload,
            "sent": describe_sent(payload, NOW, revenue=115.0, time=NOW),
            "order_date": NOW,
            **values,
        }
    )


def make_event(**values):
    payload = {"cid": VISITOR, "e_a": "Refund", "e_n": "A", "e_v": "115.00"}
    return make_attempt(payload=payload, **values)


def describe(report):
    """Return ``Outcome A,B`` for each outcome of a report, in order."""
    return [
        f"{type(each).__name__} {','.join(a.key for a in each.attempts)}".strip()
        for each in report.outcomes
    ]


def list_steps(report, asked):
    return [*asked, "->", *describe(report), *(["ended"] if report.error else [])]


A, B = "A", "B"
FIRST, LATER = {}, {"attempt_count": 2, "unconfirmed_count": 2}
LOOK = {**LATER, "look_up_first": True}
OLD = {**LOOK, "has_raw_data": False}
GONE = {"is_withdrawn": True}
UNREAD = {"can_read": False}
WAITS = {"is_readable_now": False}
ANON = {"anonymises": True}
READ = ["read by orderId", "read by visitorId"]

# {story: (policy, attempts: (ref, values)…, Matomo, what is asked -> the outcomes)}
ORDERS = {
    "all accepted": (
        {},
        [(A, FIRST), (B, FIRST)],
        {},
        "send A,B -> SiteWorks/Accepted A,B",
    ),
    "answer lost": (
        {},
        [(A, FIRST)],
        {"bulks": [lost()]},
        "send A -> SiteTrouble/Requeued A/ended",
    ),
    "server busy": (
        {},
        [(A, FIRST)],
        {"bulks": [busy()]},
        "send A -> SiteTrouble/Requeued A/ended",
    ),
    "wrong token": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [0], "probes": [wrong_token()]},
        "send A,B/probe -> SiteTrouble/Requeued A,B/ended",
    ),
    "one refused, which is there": (
        {},
        [(A, FIRST), (B, LATER)],
        {"bulks": [1], "has": {A: {}, B: {}}},
        "send A,B/READ1 -> SiteWorks/Accepted A,B",
    ),
    "one refused, which is not there, accepted alone": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1, 1], "has": {A: {}}},
        "send A,B/READ/send B -> SiteWorks/Accepted A/Accepted B",
    ),
    "one refused, alone too": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1, 0], "has": {A: {}}},
        "send A,B/READ/send B/probe -> SiteWorks/Accepted A/Refused B",
    ),
    "one refused, whose id another order has": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1], "has": {A: {}, B: {"revenue": 1}}},
        "send A,B/READ1 -> SiteWorks/Accepted A/TakenByOther B",
    ),
    "refused alone, and not there": (
        {},
        [(A, FIRST)],
        {"bulks": [0]},
        "send A/probe/READ -> SiteWorks/Refused A",
    ),
    "refused alone, since it is there": (
        {},
        [(A, LATER)],
        {"bulks": [0], "has": {A: {}}},
        "send A/probe/READ1 -> SiteWorks/Accepted A",
    ),
    "refused, and Matomo cannot be read now": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1], "read": lost()},
        "send A,B/read by orderId -> SiteUnreadable/Deferred A,B/ended",
    ),
    "refused, and reading waits": (
        WAITS,
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1]},
        "send A,B -> Deferred A,B",
    ),
    "refused, and the token may not read after all": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1], "read": cannot_read()},
        "send A,B/read by orderId/probe -> SiteWorks/SiteReadRefused/Accepted A,B",
    ),
    "refused, may not read, and then the token is wrong": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1], "read": cannot_read(), "probes": [wrong_token()]},
        "send A,B/read by orderId/probe -> SiteTrouble/Requeued A,B/ended",
    ),
    "server breaks on a bulk": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [broken(), 1, broken()]},
        "send A,B/probe/READ/send A/send B/probe -> SiteWorks/Accepted A/Broken B",
    ),
    "server breaks on the only one": (
        {},
        [(A, FIRST)],
        {"bulks": [broken()]},
        "send A/probe/READ -> SiteWorks/Broken A",
    ),
    "server breaks, and the probe is lost": (
        {},
        [(A, FIRST)],
        {"bulks": [broken()], "probes": [lost()]},
        "send A/probe -> SiteTrouble/Requeued A/ended",
    ),
    "server breaks on one, and then is busy": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [broken(), 1, busy()]},
        "send A,B/probe/READ/send A/send B -> SiteTrouble/Accepted A/Requeued B/ended",
    ),
    "unread: refused at the first attempt": (
        UNREAD,
        [(A, FIRST)],
        {"bulks": [0]},
        "send A/probe -> SiteWorks/Refused A",
    ),
    "unread: refused at a later attempt, so it is there": (
        UNREAD,
        [(A, LATER)],
        {"bulks": [0]},
        "send A/probe -> SiteWorks/Accepted A",
    ),
    "unread: some refused at the first attempt": (
        UNREAD,
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1]},
        "send A,B -> SiteWorks/Accepted A,B",
    ),
    "unread: some refused, of which some were sent before": (
        UNREAD,
        [(A, FIRST), (B, LATER)],
        {"bulks": [1]},
        "send A,B -> SiteWorks/Accepted A,B",
    ),
    "unread: server breaks on a bulk": (
        UNREAD,
        [(A, FIRST), (B, FIRST)],
        {"bulks": [broken(), broken(), 1]},
        "send A,B/probe/send A/probe/send B -> SiteWorks/Broken A/Accepted B",
    ),
    "looked up: there": (
        {},
        [(A, LOOK)],
        {"has": {A: {}}},
        "READ1 -> SiteWorks/Recorded A",
    ),
    "looked up: absent, and so not sent as it is": (
        {},
        [(A, LOOK), (B, FIRST)],
        {},
        "READ/send B -> SiteWorks/Absent A/Accepted B",
    ),
    "looked up: somebody else's": (
        {},
        [(A, LOOK)],
        {"has": {A: {"visitor": "f" * 16}}},
        "READ1 -> SiteWorks/TakenByOther A",
    ),
    "looked up: too old to be seen": (
        {},
        [(A, OLD)],
        {},
        "READ -> SiteWorks/Unsure A",
    ),
    "looked up: too old, and unread": (
        UNREAD,
        [(A, OLD), (B, FIRST)],
        {},
        "send B -> SiteWorks/Unsure A/Accepted B",
    ),
    "looked up: unread, sent all the same": (
        UNREAD,
        [(A, LOOK)],
        {},
        "send A -> SiteWorks/Accepted A",
    ),
    "looked up: reading waits": (
        WAITS,
        [(A, LOOK), (B, FIRST)],
        {},
        "send B -> SiteWorks/Deferred A/Accepted B",
    ),
    "looked up: the token may not read after all": (
        {},
        [(A, LOOK)],
        {"read": cannot_read()},
        "read by orderId/probe/send A -> SiteWorks/SiteReadRefused/Accepted A",
    ),
    "looked up: too old, and the token may not read after all": (
        {},
        [(A, OLD)],
        {"read": cannot_read()},
        "read by orderId/probe -> SiteWorks/SiteReadRefused/Unsure A",
    ),
    "looked up: Matomo cannot be read now": (
        {},
        [(A, LOOK), (B, FIRST)],
        {"read": busy()},
        "read by orderId -> SiteUnreadable/Deferred A,B/ended",
    ),
    "anonymised ids: sent before, and there": (
        ANON,
        [(A, LATER)],
        {"has": {A: {"ref": "a" * 40}}},
        "READ -> SiteWorks/Recorded A",
    ),
    "anonymised ids: sent before, and not there": (
        ANON,
        [(A, LATER)],
        {},
        "READ/send A -> SiteWorks/Accepted A",
    ),
    "anonymised ids: sent for the first time": (
        ANON,
        [(A, FIRST)],
        {},
        "send A -> SiteWorks/Accepted A",
    ),
    "withdrawn: not there": (
        {},
        [(A, GONE)],
        {},
        "READ -> SiteWorks/Withdrawn A",
    ),
    "withdrawn: there": (
        {},
        [(A, GONE)],
        {"has": {A: {}}},
        "READ1 -> SiteWorks/Recorded A",
    ),
    "withdrawn: the id is another's": (
        {},
        [(A, GONE)],
        {"has": {A: {"revenue": 1}}},
        "READ1 -> SiteWorks/Withdrawn A",
    ),
}
VERIFIED = {
    "there": ({}, [(A, {})], {"has": {A: {}}}, "READ1 -> SiteRead/Recorded A"),
    "there with another tax": (
        {},
        [(A, {})],
        {"has": {A: {"tax": 1}}},
        "READ1 -> SiteRead/Recorded A",
    ),
    "missing": ({}, [(A, {})], {}, "READ -> SiteRead/Missing A"),
    "another's": (
        {},
        [(A, {})],
        {"has": {A: {"days": 9}}},
        "READ1 -> SiteRead/TakenByOther A",
    ),
    "too old": ({}, [(A, {"has_raw_data": False})], {}, " -> Unverifiable A"),
    "one too old": (
        {},
        [(A, {"has_raw_data": False}), (B, {})],
        {"has": {B: {}}},
        "READ1 -> SiteRead/Unverifiable A/Recorded B",
    ),
    "cannot be read now": (
        {},
        [(A, {})],
        {"read": lost()},
        "read by orderId -> SiteUnreadable/ended",
    ),
    "the token may not read": (
        {},
        [(A, {}), (B, {})],
        {"read": cannot_read()},
        "read by orderId/probe -> SiteReadRefused/Unverifiable A,B",
    ),
    "the token is wrong": (
        {},
        [(A, {})],
        {"read": cannot_read(), "probes": [wrong_token()]},
        "read by orderId/probe -> SiteTrouble/ended",
    ),
}
EVENTS = {
    "first": ({}, FIRST, {}, "send A -> SiteWorks/Accepted A"),
    "refused": ({}, FIRST, {"bulks": [0]}, "send A/probe -> SiteWorks/Refused A"),
    "broken": ({}, FIRST, {"bulks": [broken()]}, "send A/probe -> SiteWorks/Broken A"),
    "lost": ({}, FIRST, {"bulks": [lost()]}, "send A -> SiteTrouble/Requeued A/ended"),
    "later, and there": (
        {},
        LATER,
        {"event": True},
        "read by visitorId -> SiteWorks/Accepted A",
    ),
    "later, and not there": (
        {},
        LATER,
        {},
        "read by visitorId/send A -> SiteWorks/Accepted A",
    ),
    "later, unread": (UNREAD, LATER, {}, " -> SiteWorks/SiteReadRefused/Held A"),
    "later, reading waits": (WAITS, LATER, {}, " -> Deferred A"),
    "later, cannot be read now": (
        {},
        LATER,
        {"read": lost()},
        "read by visitorId -> SiteUnreadable/Deferred A/ended",
    ),
    "later, may not read after all": (
        {},
        LATER,
        {"read": cannot_read()},
        "read by visitorId/probe -> SiteWorks/SiteReadRefused/Held A",
    ),
    "later, too old, not there": (
        {},
        OLD,
        {},
        "read by visitorId -> SiteWorks/Unsure A",
    ),
    "later, too old, unread": (UNREAD, OLD, {}, " -> SiteWorks/Unsure A"),
}
CARTS = {
    "accepted": ({}, "send cart -> Accepted A"),
    "refused": ({"bulks": [0]}, "send cart/probe -> Refused A"),
    "lost": ({"bulks": [lost()]}, "send cart -> Requeued A/ended"),
    "wrong token": (
        {"bulks": [0], "probes": [wrong_token()]},
        "send cart/probe -> SiteTrouble/Requeued A/ended",
    ),
}


def parse_steps(expected):
    """Return the list of steps that a line of the tables stands for."""
    asked, _arrow, outcomes = expected.partition("->")
    parts = []
    for part in asked.strip().split("/"):
        parts += {"READ": READ, "READ1": READ[:1], "": []}.get(part, [part])
    return [*parts, "->", *outcomes.strip().split("/")]


def make_client(matomo):
    """Return the Matomo of a case; the table itself stays as it is."""
    return FakeClient(
        **{
            **matomo,
            "bulks": list(matomo.get("bulks", ())),
            "probes": list(matomo.get("probes", ())),
        }
    )


SEEN = set()


def check(report, client, expected):
    SEEN.update(type(each) for each in report.outcomes)
    assert list_steps(report, client.asked) == parse_steps(expected)


@pytest.mark.parametrize("story", ORDERS)
def test_orders(story):
    policy, attempts, matomo, expected = ORDERS[story]
    client = make_client(matomo)
    made = [make_attempt(ref, **values) for ref, values in attempts]
    check(Delivery(client, make_policy(**policy)).send_orders(made), client, expected)


@pytest.mark.parametrize("story", VERIFIED)
def test_verifying(story):
    policy, attempts, matomo, expected = VERIFIED[story]
    client = make_client(matomo)
    made = [make_attempt(ref, **values) for ref, values in attempts]
    check(Delivery(client, make_policy(**policy)).verify(made), client, expected)


@pytest.mark.parametrize("story", EVENTS)
def test_events(story):
    policy, values, matomo, expected = EVENTS[story]
    client = make_client(matomo)
    report = Delivery(client, make_policy(**policy)).send_events([make_event(**values)])
    check(report, client, expected)


@pytest.mark.parametrize("story", CARTS)
def test_carts(story):
    matomo, expected = CARTS[story]
    client = make_client(matomo)
    attempts = [make_attempt(payload={"cid": VISITOR})]
    check(Delivery(client, make_policy()).send_carts(attempts), client, expected)


@pytest.mark.parametrize("error", [None, wrong_token(), lost()])
def test_probe(error):
    report = Delivery(FakeClient(probes=[error]), make_policy()).probe()
    assert describe(report) == ["SiteTrouble" if error else "SiteWorks"]
    assert report.error is error


def test_every_outcome_is_in_the_tables():
    for table, run in (
        (ORDERS, test_orders),
        (VERIFIED, test_verifying),
        (EVENTS, test_events),
        (CARTS, test_carts),
    ):
        for story in table:
            run(story)
    everything = {*Outcome.__subclasses__(), *SiteOutcome.__subclasses__()}
    assert everything - SEEN == set()


def test_an_answer_that_was_lost_before_the_token_was_refused_may_be_recorded():
    """Matomo may have recorded a part of a bulk before the token was refused."""
    client = FakeClient(bulks=[1], read=cannot_read(), probes=[wrong_token()])
    attempts = [make_attempt(A), make_attempt(B)]
    report = Delivery(client, make_policy()).send_orders(attempts)
    assert report.error.may_be_recorded


def test_who_cannot_tell_which_were_refused_says_how_many():
    client = FakeClient(bulks=[1])
    attempts = [make_attempt(ref) for ref in (A, B, "C")]
    report = Delivery(client, make_policy(can_read=False)).send_orders(attempts)
    assert report.outcomes[-1].refused_count == 2


def test_orders_are_looked_for_from_the_day_before_to_the_day_after():
    """Days are those of the site, and Matomo may record an order when it arrives."""
    client = FakeClient()
    sold, queued = NOW - timedelta(days=3), NOW - timedelta(days=5)
    sent = describe_sent(None, queued, revenue=115.0, time=sold)
    attempt = make_attempt(sent=sent, order_date=sold)
    Delivery(client, make_policy()).verify([attempt])
    assert client.dates == "2026-02-25,2026-03-04"


@pytest.mark.parametrize(("failures", "sizes"), [(0, 50), (1, 25), (3, 6), (9, 1)])
def test_less_is_read_at_once_after_each_failure(failures, sizes):
    assert make_policy(read_failure_count=failures).read_batch == sizes


def test_a_bulk_may_take_longer_than_one_order():
    assert delivery.bulk_timeout(7, 1) == 7
    assert delivery.bulk_timeout(7, 51) == pytest.approx(10)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(wrong_token(), "config"), (busy(), "server"), (lost(), "network")],
)
def test_whose_trouble_an_error_is(error, kind):
    assert delivery.get_failure_type(error) == kind


ANSWERS = st.one_of(
    st.integers(0, 3),
    st.sampled_from([lost, busy, broken, wrong_token]).map(lambda make: make()),
)


@given(
    st.lists(ANSWERS, max_size=6),
    st.lists(st.sampled_from([None, lost(), wrong_token(), busy()]), max_size=4),
    st.sampled_from([None, lost(), busy(), cannot_read()]),
    st.lists(st.sampled_from([FIRST, LATER, LOOK, OLD, GONE]), min_size=1, max_size=4),
    st.sets(st.sampled_from("ABCD")),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_no_attempt_is_lost(
    bulks, probes, read, kinds, there, can_read, is_readable_now, anonymises
):
    """Each attempt has one outcome for any answer, and no error is raised."""
    attempts = [
        make_attempt(ref, **values) for ref, values in zip("ABCD", kinds, strict=False)
    ]

    class Client(FakeClient):
        def send_bulk(self, payloads, timeout):
            if self.bulks and isinstance(self.bulks[0], int):
                self.bulks[0] = min(self.bulks[0], len(payloads))
            return super().send_bulk(payloads, timeout)

    policy = make_policy(
        can_read=can_read, is_readable_now=is_readable_now, anonymises=anonymises
    )
    for send in (Delivery.send_orders, Delivery.send_events, Delivery.send_carts):
        client = Client(list(bulks), list(probes), read, {ref: {} for ref in there})
        some = [make_event()] if send is Delivery.send_events else attempts
        report = send(Delivery(client, policy), some)
        ended = [each for outcome in report.outcomes for each in outcome.attempts]
        assert sorted(each.key for each in ended) == [each.key for each in some]
        assert isinstance(report.error, MatomoError | None)
        if isinstance(report.error, Unreadable):
            assert any(isinstance(each, Deferred) for each in report.outcomes)
