"""The requests and the meaning of Matomo's answers: a table of cases."""

import html
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api import errors, outcomes
from matomo_order_tracking.matomo_api.client import BulkAnswer
from matomo_order_tracking.matomo_api.delivery import Delivery
from matomo_order_tracking.matomo_api.errors import (
    MatomoError,
    Misconfigured,
    ReportRefused,
    ServerTrouble,
    Unreachable,
)
from matomo_order_tracking.matomo_api.matching import describe_sent
from matomo_order_tracking.matomo_api.outcomes import (
    Attempt,
    Outcome,
    Policy,
    Requeued,
    SiteOutcome,
    SiteOverloaded,
)

NOW = datetime(2026, 3, 3, 10)
VISITOR = "0123456789abcdef"

# === ANSWERS === #


def lost():
    return Unreachable("unreachable")


def silent():
    return Unreachable("timeout", seconds=7)


def broken():
    return ServerTrouble("status", status=500)


def busy():
    return ServerTrouble("status", status=503)


def wrong_token():
    return Misconfigured("token_unknown")


def too_big():
    return ServerTrouble("status", status=413)


def forbidden():
    return ServerTrouble("status", status=403)


def gateway():
    return ServerTrouble("status", status=502)


def cannot_connect():
    error = Unreachable("timeout", seconds=7)
    error.may_be_recorded = False
    return error


def wants_pause():
    return ServerTrouble("status", status=503, retry_after=60)


def denied():
    return refused("You can't access this resource as it requires 'view' access", 401)


def hiccup():
    return refused("SQLSTATE[HY000]: General error: 2006 MySQL server has gone away")


def walled():
    return refused("HTTP 403", 403)


def log_off():
    return refused("Visits log is deactivated globally.")


def refused(message, status=200):
    return ReportRefused("report_refused", answer=message, status=status, text=message)


@dataclass
class FakeClient:
    """A Matomo that answers as the case says, and notes what it was asked.

    ``bulks``: for each bulk how many are accepted, or an error; then all are.
    ``probes``: for each probe an error or None; then None. ``read``: an error for each
    read-back. ``may_read``: whether it says that the token may read, or an error.
    ``has``: the orders it has, by their id: values that differ from ours. ``totals``:
    ids that its report of orders knows, and ``others``: how many more it counts.
    ``cut``: whether it shows no actions. ``event``: when it has recorded a refund.
    ``poison``: what it fails on, in any bulk, and ``limit``: how many it takes at
    once. ``disliked``: names that something before it refuses in read-backs, with the
    error ``dislike``. ``reads``: for each read-back an error or None; then ``read``.
    """

    bulks: list = field(default_factory=list)
    probes: list = field(default_factory=list)
    read: MatomoError | None = None
    may_read: object = True
    has: dict = field(default_factory=dict)
    totals: str = ""
    others: int = 0
    cut: bool = False
    event: datetime | None = None
    poison: dict = field(default_factory=dict)
    limit: int = 1000
    disliked: str = ""
    dislike: object = None
    reads: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    dates: str = ""

    def send_bulk(self, payloads, timeout):
        names = ("ec_id", "e_n", "pv_id")
        refs = ",".join(
            next((p[name] for name in names if name in p), "cart") for p in payloads
        )
        self.asked.append(f"send {refs}")
        for payload in payloads:
            if payload.get("ec_id") in self.poison:
                raise self.poison[payload["ec_id"]]()
        if len(payloads) > self.limit:
            raise too_big()
        answer = self.bulks.pop(0) if self.bulks else len(payloads)
        if isinstance(answer, MatomoError):
            raise answer
        taken, lost = answer if isinstance(answer, tuple) else (answer, 0)
        return BulkAnswer(taken, len(payloads) - taken - lost, 200, "", 1)

    def probe(self, idsite, timeout):
        self.asked.append("probe")
        error = self.probes.pop(0) if self.probes else None
        if error:
            error.may_be_recorded = False
            raise error

    def call_api(self, method, segment="", **parameters):
        if method == "SitesManager.getSitesIdWithAtLeastViewAccess":
            self.asked.append("rights")
            if isinstance(self.may_read, MatomoError):
                raise self.may_read
            return [1] if self.may_read else []
        if method == "Goals.get":
            self.asked.append("total")
            self._dislike(segment)
            # It counts all orders of the visits in which one of them is.
            count = sum(f"=={ref}," in f"{segment}," for ref in self.totals)
            count += self.others if count else 0
            return {"nb_conversions": count, "revenue": 115 * count}
        self.dates = parameters["date"]
        name = segment.partition("==")[0]
        self.asked.append(f"read by {name}")
        error = self.reads.pop(0) if self.reads else self.read
        if error:
            raise error
        self._dislike(segment)
        if name in ("eventName", "eventAction"):
            event = {"type": "event", "eventAction": "Refund", "eventName": "A"}
            event |= {"eventValue": 115, "timestamp": to_timestamp(self.event)}
            cut = {"truncatedActionsCount": 1 if self.cut else None}
            return [{"actionDetails": [event], **cut}] if self.event else []
        return [
            {
                "visitorId": values.get("visitor", VISITOR),
                "actionDetails": [] if self.cut else [action],
                "truncatedActionsCount": 1 if self.cut else None,
            }
            for ref, values in self.has.items()
            for action in [make_action(**{"ref": ref, **values})]
            if f"=={html.escape(action['orderId'])}" in segment or name != "orderId"
        ]

    def _dislike(self, segment):
        values = {part.partition("==")[2] for part in segment.split(",")}
        if values & set(self.disliked):
            raise (self.dislike or walled)()


def to_timestamp(moment):
    return moment and int(moment.replace(tzinfo=timezone.utc).timestamp())


def make_action(ref, revenue=115.0, tax=15.0, days=0, visitor="", **values):
    moment = NOW + timedelta(days=days)
    return {
        "type": "ecommerceOrder",
        "orderId": ref,
        "revenue": revenue,
        "revenueSubTotal": 100,
        "revenueTax": tax,
        "revenueShipping": 0,
        "revenueDiscount": 0,
        "timestamp": to_timestamp(moment),
        "itemDetails": [
            {"itemSKU": "CHAIR", "itemName": "Chair", "price": 50, "quantity": 2}
        ],
        **values,
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
        "ec_items": '[["CHAIR","Chair",[],50.0,2]]',
        "ec_id": ref,
    }
    if values.pop("is_viewed", False):
        payload["pv_id"] = f"view-{ref}"
    cart_created = values.pop("cart_created", None)
    return Attempt(
        **{
            "key": ref,
            "ref": ref,
            "payload": payload,
            "sent": describe_sent(
                payload, NOW, revenue=115.0, time=NOW, cart_created=cart_created
            ),
            "order_date": NOW,
            **values,
        }
    )


def make_event(**values):
    payload = {"cid": VISITOR, "e_a": "Refund", "e_n": "A", "e_v": "115.00"}
    payload["cdt"] = "2026-03-03 10:00:00"
    sent = describe_sent(payload, NOW, revenue=115.0, time=NOW)
    return make_attempt(payload=payload, sent=sent, **values)


def describe(report):
    """Return ``Outcome A,B`` for each outcome of a report, in order."""
    return [
        f"{type(each).__name__} {','.join(a.key for a in each.attempts)}".strip()
        for each in report.outcomes
    ]


def list_steps(report, asked):
    return [*asked, "->", *describe(report), *(["ended"] if report.error else [])]


A, B, C, D = "ABCD"
FIRST, LATER = {}, {"attempt_count": 2, "unconfirmed_count": 2}
LOOK = {**LATER, "look_up_first": True}
OLD = {**LOOK, "has_raw_data": False}
GONE = {"is_withdrawn": True}
UNREAD = {"can_read": False}
WAITS = {"is_readable_now": False}
ANON = {"anonymises": True}
READ = ["read by orderId", "read by visitorId"]
DAY = ["read by visitEcommerceStatus"]

VIEWED = {"is_viewed": True}
WEB = {"cart_created": NOW - timedelta(minutes=5)}
DENIED = {"read": denied(), "may_read": False}

# {story: (policy, attempts: (ref, values)…, Matomo, what is asked -> the outcomes)}
ORDERS = {
    "all accepted": (
        {},
        [(A, FIRST), (B, FIRST)],
        {},
        "send A,B -> SiteWorks/Accepted A,B",
    ),
    # === What stands between Odoo and Matomo === #
    "no connection": (
        {},
        [(A, FIRST)],
        {"bulks": [cannot_connect()]},
        "send A -> SiteTrouble/Requeued A/ended",
    ),
    "server asks for a pause": (
        {},
        [(A, FIRST)],
        {"bulks": [wants_pause()]},
        "send A -> SiteTrouble/Requeued A/ended",
    ),
    "answer lost, and the probe too": (
        {},
        [(A, FIRST)],
        {"bulks": [lost()], "probes": [lost()]},
        "send A/probe -> SiteTrouble/Requeued A/ended",
    ),
    "answer lost, and it is there": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [lost()], "has": {A: {}, B: {}}},
        "send A,B/probe/READ1 -> SiteWorks/SiteOverloaded/Accepted A,B",
    ),
    "answer lost, and it is not there": (
        {},
        [(A, FIRST)],
        {"bulks": [lost()]},
        "send A/probe/READ/send A -> SiteWorks/Accepted A",
    ),
    "answers lost again and again": (
        {},
        [(A, FIRST), (B, FIRST), (C, FIRST)],
        {"bulks": [lost(), lost(), lost(), lost()]},
        "send A,B,C/probe/READ/send A,B/probe/READ/send A/probe/READ/send A"
        " -> SiteTrouble/SiteOverloaded/Requeued A,B,C/ended",
    ),
    "no answer in time to several": (
        {},
        [(A, FIRST), (B, FIRST), (C, FIRST)],
        {"bulks": [silent()]},
        "send A,B,C -> SiteTrouble/SiteOverloaded/Requeued A,B,C/ended",
    ),
    "no answer in time to one, which is there": (
        {},
        [(A, FIRST)],
        {"bulks": [silent()], "has": {A: {}}},
        "send A/probe/READ1 -> SiteWorks/Accepted A",
    ),
    "no answer in time to one, which is not there": (
        {},
        [(A, FIRST)],
        {"bulks": [silent()]},
        "send A/probe/READ -> SiteWorks/Broken A",
    ),
    "no answer in time to one, nor to the probe": (
        {},
        [(A, FIRST)],
        {"bulks": [silent()], "probes": [silent()]},
        "send A/probe -> SiteTrouble/Requeued A/ended",
    ),
    "server busy, and the probe too": (
        {},
        [(A, FIRST)],
        {"bulks": [busy()], "probes": [busy()]},
        "send A/probe -> SiteTrouble/Requeued A/ended",
    ),
    "too big together": (
        {},
        [(A, FIRST), (B, FIRST), (C, FIRST), (D, FIRST)],
        {"limit": 2},
        "send A,B,C,D/probe/send A,B/send C,D"
        " -> SiteWorks/SiteOverloaded/Accepted A,B/Accepted C,D",
    ),
    "a firewall dislikes one": (
        {},
        [(A, FIRST), (B, FIRST), (C, FIRST), (D, FIRST)],
        {"poison": {C: forbidden}},
        "send A,B,C,D/probe/send A,B/send C,D/probe/send C/probe/READ/send C/probe"
        "/READ/send D -> SiteWorks/Accepted A,B/Broken C/Accepted D",
    ),
    "a firewall dislikes one, and Matomo cannot be read now": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"poison": {A: forbidden}, "read": hiccup()},
        "send A,B/probe/send A/probe/READ1/READ1/rights/send A/probe/send B"
        " -> SiteWorks/SiteUnreadable/Broken A/Accepted B",
    ),
    "a firewall dislikes the name of one": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"poison": {A: forbidden}, "disliked": A},
        "send A,B/probe/send A/probe/READ1/READ1/DAY/read by visitorId/send A/probe"
        "/READ1/READ1/DAY/read by visitorId/send B"
        " -> SiteWorks/Broken A/Accepted B",
    ),
    "one is refused at first only": (
        {},
        [(A, FIRST)],
        {"bulks": [forbidden()]},
        "send A/probe/READ/send A -> SiteWorks/Accepted A",
    ),
    "a gateway fails on one, which is there": (
        {},
        [(A, FIRST)],
        {"bulks": [gateway()], "has": {A: {}}},
        "send A/probe/READ1 -> SiteWorks/Accepted A",
    ),
    "all are refused, though the probe is not": (
        {},
        [(A, FIRST), (B, FIRST), (C, FIRST)],
        {"poison": {A: forbidden, B: forbidden, C: forbidden}},
        "send A,B,C/probe/send A,B/probe/send A/probe/READ/send A/probe/READ"
        "/send B/probe/READ/send B/probe/READ/send C/probe/READ/send C/probe/READ"
        " -> SiteTrouble/Broken A/Broken B/Broken C/ended",
    ),
    "server breaks on a bulk": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"poison": {B: broken}},
        "send A,B/probe/send A/send B/probe/READ/send B/probe/READ"
        " -> SiteWorks/Accepted A/Broken B",
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
        {"bulks": [broken(), 1, busy()], "probes": [None, busy()]},
        "send A,B/probe/send A/send B/probe"
        " -> SiteTrouble/SiteOverloaded/Accepted A/Requeued B/ended",
    ),
    "anonymised ids: a bulk is refused": (
        ANON,
        [(A, FIRST), (B, FIRST)],
        {"limit": 1},
        "send A,B/probe/READ/DAY/send A/send B"
        " -> SiteWorks/SiteOverloaded/Accepted A/Accepted B",
    ),
    # === What Matomo refuses === #
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
    "one lost, and neither taken nor refused": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [(1, 1)], "has": {A: {}}},
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
    "one refused, of which a tag has told": (
        {},
        [(A, FIRST), (B, WEB)],
        {"bulks": [1], "has": {A: {}, B: {"revenue": 100}}},
        "send A,B/READ1 -> SiteWorks/Accepted A/ToldByTag B",
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
    "refused, there, and not legible": (
        {},
        [(A, LATER)],
        {"bulks": [0], "has": {A: {"revenue": "much"}}},
        "send A/probe/READ1 -> SiteWorks/Accepted A",
    ),
    "refused, and cut off in the visits log": (
        {},
        [(A, FIRST)],
        {"bulks": [0], "has": {A: {}}, "cut": True, "totals": "A"},
        "send A/probe/READ/total -> SiteWorks/Accepted A",
    ),
    "answer lost, refused then, and Matomo does not show whether it is there": (
        {},
        [(A, FIRST)],
        {"bulks": [lost(), 0], "has": {A: {}}, "cut": True},
        "send A/probe/READ/total/send A/probe/READ/total -> SiteWorks/Accepted A",
    ),
    "refused, and Matomo cannot be read now": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1], "read": lost()},
        "send A,B/READ1/READ1 -> SiteWorks/SiteUnreadable/Deferred A,B",
    ),
    "refused, and reading waits": (
        WAITS,
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1]},
        "send A,B -> SiteWorks/Deferred A,B",
    ),
    "refused, and the token may not read after all": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1], **DENIED},
        "send A,B/read by orderId/rights/probe"
        " -> SiteWorks/SiteReadRefused/Accepted A,B",
    ),
    "refused, may not read, and then the token is wrong": (
        {},
        [(A, FIRST), (B, FIRST)],
        {"bulks": [1], "probes": [wrong_token()], **DENIED},
        "send A,B/read by orderId/rights/probe -> SiteTrouble/Requeued A,B/ended",
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
    "unread: one lost, and neither taken nor refused": (
        UNREAD,
        [(A, FIRST), (B, FIRST)],
        {"bulks": [(1, 1), 0, 1], "has": {A: {}}},
        "send A,B/send A/probe/send B -> SiteWorks/Refused A/Accepted B",
    ),
    "unread: server breaks on a bulk": (
        UNREAD,
        [(A, FIRST), (B, FIRST)],
        {"poison": {A: broken}},
        "send A,B/probe/send A/probe/send A/probe/send B"
        " -> SiteWorks/Broken A/Accepted B",
    ),
    "unread, anonymised ids: the answer is lost": (
        {**UNREAD, **ANON},
        [(A, FIRST)],
        {"bulks": [lost()]},
        "send A/probe -> SiteWorks/Held A",
    ),
    # === What is looked up before it is sent === #
    "looked up: there": (
        {},
        [(A, LOOK)],
        {"has": {A: {}}},
        "READ1 -> Recorded A",
    ),
    "looked up: absent, and so not sent as it is": (
        {},
        [(A, LOOK), (B, FIRST)],
        {},
        "READ/send B -> SiteWorks/Absent A/Accepted B",
    ),
    "looked up: ours, whatever visitor Matomo made of it": (
        {},
        [(A, LOOK)],
        {"has": {A: {"visitor": "f" * 16}}},
        "READ1 -> Recorded A",
    ),
    "looked up: somebody else's": (
        {},
        [(A, LOOK)],
        {"has": {A: {"revenue": 1}}},
        "READ1 -> TakenByOther A",
    ),
    "looked up: a tag has told of it": (
        {},
        [(A, {**LOOK, **WEB})],
        {"has": {A: {"revenue": 100}}},
        "READ1 -> ToldByTag A",
    ),
    "looked up: too old to be seen": (
        {},
        [(A, OLD)],
        {},
        "READ -> Unsure A",
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
    "looked up: cut off, and so sent, for Matomo would refuse it": (
        {},
        [(A, LOOK)],
        {"has": {A: {}}, "cut": True},
        "READ/total/send A -> SiteWorks/Accepted A",
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
        DENIED,
        "read by orderId/rights/probe/send A -> SiteWorks/SiteReadRefused/Accepted A",
    ),
    "looked up: too old, and the token may not read after all": (
        {},
        [(A, OLD)],
        DENIED,
        "read by orderId/rights/probe -> SiteWorks/SiteReadRefused/Unsure A",
    ),
    "looked up: Matomo cannot be read now": (
        {},
        [(A, LOOK), (B, FIRST)],
        {"read": busy()},
        "READ1/READ1/send B -> SiteWorks/SiteUnreadable/Deferred A/Accepted B",
    ),
    "anonymised ids: sent before, and there": (
        ANON,
        [(A, LATER)],
        {"has": {A: {"ref": "a" * 40}}},
        "READ -> Recorded A",
    ),
    "anonymised ids: sent before, and there under another visitor": (
        ANON,
        [(A, LATER)],
        {"has": {A: {"ref": "a" * 40, "visitor": "f" * 16}}},
        "READ/DAY -> Recorded A",
    ),
    "anonymised ids: two equal orders of one second, of which one is there": (
        ANON,
        [(A, LATER), (B, LATER)],
        {"has": {A: {"ref": "a" * 40}}},
        "READ/DAY/send B -> SiteWorks/Recorded A/Accepted B",
    ),
    "anonymised ids: what is there is another equal order": (
        ANON,
        [(A, {**LATER, "twin_count": 1})],
        {"has": {A: {"ref": "a" * 40, "visitor": "f" * 16}}},
        "READ/DAY/send A -> SiteWorks/Accepted A",
    ),
    "anonymised ids: sent before, and not there": (
        ANON,
        [(A, LATER)],
        {},
        "READ/DAY/send A -> SiteWorks/Accepted A",
    ),
    "anonymised ids: sent before, and unread": (
        {**ANON, **UNREAD},
        [(A, LATER)],
        {},
        " -> Held A",
    ),
    "anonymised ids: sent for the first time": (
        ANON,
        [(A, FIRST)],
        {},
        "send A -> SiteWorks/Accepted A",
    ),
    "withdrawn: never sent": (
        {},
        [(A, GONE)],
        {},
        " -> Withdrawn A",
    ),
    "withdrawn: never sent, unread": (
        UNREAD,
        [(A, GONE)],
        {},
        " -> Withdrawn A",
    ),
    "withdrawn: sent, and not there": (
        {},
        [(A, {**GONE, **LATER})],
        {},
        "READ -> Withdrawn A",
    ),
    "withdrawn: sent, and there": (
        {},
        [(A, {**GONE, **LATER})],
        {"has": {A: {}}},
        "READ1 -> Recorded A",
    ),
    "withdrawn: sent, and the id is another's": (
        {},
        [(A, {**GONE, **LATER})],
        {"has": {A: {"revenue": 1}}},
        "READ1 -> Withdrawn A",
    ),
    "withdrawn: sent, and unread": (
        UNREAD,
        [(A, {**GONE, **LATER})],
        {},
        " -> Withdrawn A",
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
    "there under another visitor": (
        {},
        [(A, {})],
        {"has": {A: {"visitor": "f" * 16}}},
        "READ1 -> SiteRead/Recorded A",
    ),
    "missing": ({}, [(A, {})], {}, "READ -> SiteRead/Missing A"),
    "another's": (
        {},
        [(A, {})],
        {"has": {A: {"days": 9}}},
        "READ1 -> SiteRead/TakenByOther A",
    ),
    "a tag's": (
        {},
        [(A, WEB)],
        {"has": {A: {"revenue": 1}}},
        "READ1 -> SiteRead/ToldByTag A",
    ),
    "not legible": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {"revenue": "much"}, B: {}}},
        "READ1 -> SiteRead/Unseen A/Recorded B",
    ),
    "of the year 9999": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {"timestamp": 253_402_300_799}, B: {}}},
        "READ1 -> SiteRead/TakenByOther A/Recorded B",
    ),
    "beyond all numbers": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {"revenue": "1e400"}, B: {}}},
        "READ1 -> SiteRead/TakenByOther A/Recorded B",
    ),
    "cut off, and in the report of orders": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "cut": True, "totals": "A"},
        "READ/total/total/total -> SiteRead/Recorded A/Unseen B",
    ),
    "cut off, and all in the report of orders": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "cut": True, "totals": "AB"},
        "READ/total -> SiteRead/Recorded A/Recorded B",
    ),
    "cut off, in a visit with orders that are not asked for": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "cut": True, "totals": "AB", "others": 1},
        "READ/total/total/total -> SiteRead/Recorded A/Recorded B",
    ),
    "sold after the last day of all, and before the first": (
        {},
        [(A, {"order_date": datetime.max}), (B, {"order_date": datetime.min})],
        {"has": {A: {}, B: {}}},
        "READ1 -> SiteRead/Recorded A/Recorded B",
    ),
    "the visits log is off": (
        {},
        [(A, {}), (B, {})],
        {"read": log_off(), "totals": "B"},
        "read by orderId/total/total/total -> SiteRead/Unseen A/Recorded B",
    ),
    "a firewall dislikes a name": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "disliked": A},
        "READ1/READ1/READ1/READ1/DAY/READ1 -> SiteRead/Recorded A/Recorded B",
    ),
    "a firewall dislikes the name of one that is not there": (
        {},
        [(A, {}), (B, {})],
        {"has": {B: {}}, "disliked": A},
        "READ1/READ1/READ1/READ1/DAY/read by visitorId/READ1"
        " -> SiteRead/Missing A/Recorded B",
    ),
    "a firewall dislikes a name, and all orders are not shown": (
        {},
        [(A, {}), (B, {})],
        {"has": {B: {}}, "disliked": A, "reads": [None] * 4 + [lost()]},
        "READ1/READ1/READ1/READ1/DAY/read by visitorId/total/total/READ1"
        " -> SiteRead/Unseen A/Recorded B",
    ),
    "a firewall dislikes all names": (
        {},
        [(A, {}), (B, {}), (C, {}), (D, {})],
        {"has": {A: {}, B: {}, C: {}, D: {}}, "disliked": "ABCD"},
        "READ1/READ1/READ1/READ1/READ1/READ1/DAY/READ1/READ1/READ1/READ1/READ1/READ1"
        " -> SiteRead/Recorded A/Recorded B/Recorded C/Recorded D",
    ),
    "a connection is cut at a name": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "disliked": B, "dislike": lost},
        "READ1/READ1/READ1/READ1/READ1/DAY -> SiteRead/Recorded A/Recorded B",
    ),
    "the database trips over a name": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "disliked": A, "dislike": hiccup},
        "READ1/READ1/READ1/READ1/DAY/READ1 -> SiteRead/Recorded A/Recorded B",
    ),
    "a firewall dislikes a name, and the visits are cut off": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "cut": True, "totals": "AB", "disliked": A},
        "READ1/READ1/READ1/READ1/DAY/read by visitorId/total/total/READ1"
        "/read by visitorId/total -> SiteRead/Unseen A/Recorded B",
    ),
    "no answer in time for several": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "reads": [silent()]},
        "READ1 -> SiteUnreadable/ended",
    ),
    "no answer in time for one, though for others": (
        {"read_failure_count": 6},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "disliked": A, "dislike": silent},
        "READ1/READ1/DAY/READ1 -> SiteRead/Recorded A/Recorded B",
    ),
    "cannot be read any more after the first": (
        {"read_failure_count": 6},
        [(A, {}), (B, {}), (C, {})],
        {"has": {A: {}, B: {}, C: {}}, "reads": [None], "read": lost()},
        "READ1/READ1/READ1 -> SiteRead/Recorded A",
    ),
    "a firewall dislikes a name, and then Matomo cannot be read": (
        {},
        [(A, {}), (B, {})],
        {"has": {A: {}, B: {}}, "disliked": A, "reads": [None] * 5, "read": lost()},
        "READ1/READ1/READ1/READ1/DAY/READ1/READ1 -> SiteRead/Recorded A",
    ),
    "the server asks for a pause": (
        {},
        [(A, {}), (B, {})],
        {"read": wants_pause()},
        "READ1 -> SiteUnreadable/ended",
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
        "READ1/READ1 -> SiteUnreadable/ended",
    ),
    "the database is away": (
        {},
        [(A, {})],
        {"read": hiccup()},
        "READ1/READ1/rights -> SiteUnreadable/ended",
    ),
    "the database is away, and nobody says what the token may": (
        {},
        [(A, {})],
        {"read": hiccup(), "may_read": hiccup()},
        "READ1/READ1/rights -> SiteUnreadable/ended",
    ),
    "one report is denied": (
        {},
        [(A, {})],
        {"read": denied()},
        "read by orderId/rights -> SiteUnreadable/ended",
    ),
    "one report is denied again and again": (
        {"read_failure_count": 2},
        [(A, {})],
        {"read": denied(), "totals": "A"},
        "read by orderId/total -> SiteRead/Recorded A",
    ),
    "the token may not read": (
        {},
        [(A, {}), (B, {})],
        DENIED,
        "read by orderId/rights/probe -> SiteReadRefused/ended",
    ),
    "the token may read by now": (
        UNREAD,
        [(A, {})],
        {"has": {A: {}}},
        "READ1 -> SiteRead/Recorded A",
    ),
    "the token is wrong": (
        {},
        [(A, {})],
        {"read": denied(), "may_read": denied(), "probes": [wrong_token()]},
        "read by orderId/rights/probe -> SiteTrouble/ended",
    ),
}
EVENTS = {
    "first": ({}, FIRST, {}, "send A -> SiteWorks/Accepted A"),
    "refused": ({}, FIRST, {"bulks": [0]}, "send A/probe -> SiteWorks/Refused A"),
    "broken": (
        {},
        FIRST,
        {"bulks": [broken(), broken()]},
        "send A/probe/send A/probe -> SiteWorks/Broken A",
    ),
    "lost, and there": (
        {},
        FIRST,
        {"bulks": [lost()], "event": NOW},
        "send A/probe/read by eventName -> SiteWorks/Accepted A",
    ),
    "lost, and not there": (
        {},
        FIRST,
        {"bulks": [lost()]},
        "send A/probe/read by eventName/send A -> SiteWorks/Accepted A",
    ),
    "lost, and unread": (
        UNREAD,
        FIRST,
        {"bulks": [lost()]},
        "send A/probe -> SiteWorks/Held A",
    ),
    "later, and there": (
        {},
        LATER,
        {"event": NOW},
        "read by eventName -> Accepted A",
    ),
    "later, and another of the same amount is there": (
        {},
        LATER,
        {"event": NOW - timedelta(minutes=9)},
        "read by eventName/send A -> SiteWorks/Accepted A",
    ),
    "later, and not there": (
        {},
        LATER,
        {},
        "read by eventName/send A -> SiteWorks/Accepted A",
    ),
    "later, of a day that none follows": (
        {},
        {**LATER, "order_date": datetime.max},
        {"event": NOW},
        "read by eventName -> Accepted A",
    ),
    "later, unread": (UNREAD, LATER, {}, " -> Held A"),
    "later, reading waits": (WAITS, LATER, {}, " -> Deferred A"),
    "later, cannot be read now": (
        {},
        LATER,
        {"read": lost()},
        "read by eventName/read by eventAction -> SiteUnreadable/Deferred A",
    ),
    "later, may not read after all": (
        {},
        LATER,
        DENIED,
        "read by eventName/rights/probe -> SiteWorks/SiteReadRefused/Held A",
    ),
    "later, a firewall dislikes its name, and it is there": (
        {},
        LATER,
        {"event": NOW, "disliked": A},
        "read by eventName/read by eventAction -> Accepted A",
    ),
    "later, and Matomo cuts off the visit of another": (
        {},
        LATER,
        {"event": NOW - timedelta(minutes=9), "cut": True},
        "read by eventName -> Unsure A",
    ),
    "later, too old, not there": ({}, OLD, {}, "read by eventName -> Unsure A"),
    "later, too old, unread": (UNREAD, OLD, {}, " -> Unsure A"),
}
CARTS = {
    "taken": ({}, "send cart -> SiteWorks/Accepted A"),
    "refused": ({"bulks": [0]}, "send cart/probe -> SiteWorks/Refused A"),
    "lost, and the probe too": (
        {"bulks": [lost()], "probes": [lost()]},
        "send cart/probe -> Requeued A/ended",
    ),
    "refused by a firewall": (
        {"bulks": [forbidden(), forbidden()]},
        "send cart/probe/send cart/probe -> SiteWorks/Broken A",
    ),
    "wrong token": (
        {"bulks": [0], "probes": [wrong_token()]},
        "send cart/probe -> SiteTrouble/Requeued A/ended",
    ),
}

# Orders whose visits begin with a page view.
VIEWS = {
    "first attempt": (
        [(A, VIEWED), (B, VIEWED)],
        {},
        "send view-A,view-B/send A,B -> SiteWorks/Accepted A,B",
    ),
    "the shopper's browser has begun one of the visits": (
        [(A, FIRST), (B, VIEWED)],
        {},
        "send view-B/send A,B -> SiteWorks/Accepted A,B",
    ),
    "the second attempt sends no second page view": (
        [(A, {**VIEWED, **LATER}), (B, VIEWED)],
        {},
        "send view-B/send A,B -> SiteWorks/Accepted A,B",
    ),
    "sent again once it is seen not to be there": (
        [(A, {**VIEWED, **LOOK})],
        {},
        "READ -> Absent A",
    ),
    "answer to the orders lost, and none is there": (
        [(A, VIEWED), (B, VIEWED)],
        {"bulks": [2, lost(), 1, 1]},
        "send view-A,view-B/send A,B/probe/READ/send A/send B"
        " -> SiteWorks/SiteOverloaded/Accepted A/Accepted B",
    ),
    "one order is there already": (
        [(A, VIEWED), (B, VIEWED)],
        {"bulks": [2, 1], "has": {A: {}}},
        "send view-A,view-B/send A,B/READ/send B -> SiteWorks/Accepted A/Accepted B",
    ),
    "answer to the page views lost": (
        [(A, VIEWED), (B, VIEWED)],
        {"bulks": [lost()]},
        "send view-A,view-B/probe/send A,B -> SiteWorks/Accepted A,B",
    ),
    "no answer to the page views, and the probe fails": (
        [(A, VIEWED)],
        {"bulks": [lost()], "probes": [lost()]},
        "send view-A/probe -> SiteTrouble/Requeued A/ended",
    ),
    "no answer to the page views in time": (
        [(A, VIEWED), (B, VIEWED)],
        {"bulks": [silent()]},
        "send view-A,view-B -> SiteTrouble/SiteOverloaded/Requeued A,B/ended",
    ),
    "no connection": (
        [(A, VIEWED)],
        {"bulks": [cannot_connect()]},
        "send view-A -> SiteTrouble/Requeued A/ended",
    ),
    "a firewall dislikes the page": (
        [(A, VIEWED), (B, VIEWED)],
        {"bulks": [forbidden()]},
        "send view-A,view-B/probe/send A,B -> SiteWorks/Accepted A,B",
    ),
    "wrong token": (
        [(A, VIEWED)],
        {"bulks": [0], "probes": [wrong_token()]},
        "send view-A/probe -> SiteTrouble/Requeued A/ended",
    ),
    "Matomo loses a page view": (
        [(A, VIEWED), (B, VIEWED)],
        {"bulks": [(1, 1)]},
        "send view-A,view-B/send A,B -> SiteWorks/Accepted A,B",
    ),
    "withdrawn before it was sent": ([(A, {**VIEWED, **GONE})], {}, " -> Withdrawn A"),
}


def parse_steps(expected):
    """Return the list of steps that a line of the tables stands for."""
    asked, _arrow, outcomes = expected.partition("->")
    parts = []
    for part in asked.strip().split("/"):
        parts += {"READ": READ, "READ1": READ[:1], "DAY": DAY, "": []}.get(part, [part])
    return [*parts, "->", *outcomes.strip().split("/")]


def make_client(matomo):
    """Return the Matomo of a case; the table itself stays as it is."""
    return FakeClient(
        **{
            **matomo,
            "bulks": list(matomo.get("bulks", ())),
            "probes": list(matomo.get("probes", ())),
            "reads": list(matomo.get("reads", ())),
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


@pytest.mark.parametrize("story", VIEWS)
def test_page_views(story):
    attempts, matomo, expected = VIEWS[story]
    client = make_client(matomo)
    made = [make_attempt(ref, **values) for ref, values in attempts]
    check(Delivery(client, make_policy()).send_orders(made), client, expected)


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


def test_an_order_of_no_revenue_is_found_in_the_report():
    attempt = make_attempt()
    attempt = replace(attempt, sent=replace(attempt.sent, revenue=0.0))
    client = FakeClient(has={A: {}}, cut=True)
    client.call_api = count_free_orders(client.call_api)
    report = Delivery(client, make_policy()).verify([attempt])
    assert describe(report) == ["SiteRead", "Recorded A"]


def count_free_orders(call_api):
    def call(method, **parameters):
        if method == "Goals.get":
            return {"nb_conversions": 1, "revenue": 0}
        return call_api(method, **parameters)

    return call


def test_not_all_that_the_log_hides_is_asked_for_at_once():
    """The rest is neither missing nor unseen: it is asked for the next time."""
    attempts = [make_attempt(f"R{n}") for n in range(12)]
    client = FakeClient(has={each.ref: {} for each in attempts}, cut=True, others=1)
    report = Delivery(client, make_policy()).verify(attempts)
    assert client.asked.count("total") == 11
    assert describe(report)[1:] == [f"Unseen R{n}" for n in range(10)]
    assert not report.error


@pytest.mark.parametrize(
    ("values", "others"),
    [(LATER, ["Accepted"]), ({**LATER, **GONE}, ["Withdrawn"])],
)
def test_who_was_not_asked_for_waits(values, others):
    """Orders of more days than are asked for at once are not given up."""
    attempts = [
        make_attempt(
            f"R{n}", **{**values, "order_date": NOW - timedelta(days=9 * (12 - n))}
        )
        for n in range(12)
    ]
    client = FakeClient()
    report = Delivery(client, make_policy(**ANON)).send_orders(attempts)
    kinds = {}
    for each in report.outcomes:
        kinds.setdefault(type(each).__name__, []).extend(a.key for a in each.attempts)
    kinds.pop("SiteWorks", None)
    assert kinds.pop("Deferred") == ["R10", "R11"]
    assert list(kinds) == others


def test_whom_a_cut_visit_may_hide_is_not_sent_twice():
    """Where Matomo replaces order ids it would count a second one."""
    client = FakeClient(has={"other": {}}, cut=True)
    report = Delivery(client, make_policy(**ANON)).send_orders(
        [make_attempt(A, **LATER)]
    )
    assert describe(report) == ["Unsure A"]


def test_an_answer_that_was_lost_before_the_token_was_refused_may_be_recorded():
    """Some of a bulk may be there when the token turns out to be wrong."""
    client = FakeClient(bulks=[1], probes=[wrong_token()], **DENIED)
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
    assert outcomes.bulk_timeout(7, 1) == 7
    assert outcomes.bulk_timeout(7, 51) == pytest.approx(10)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(wrong_token(), "config"), (busy(), "server"), (lost(), "network")],
)
def test_whose_trouble_an_error_is(error, kind):
    assert errors.get_failure_type(error) == kind


ANSWERS = st.one_of(
    st.integers(0, 3),
    st.sampled_from([lost, busy, broken, wrong_token]).map(lambda make: make()),
)


@given(
    st.lists(ANSWERS, max_size=6),
    st.lists(st.sampled_from([None, lost(), wrong_token(), busy()]), max_size=4),
    st.sampled_from([None, lost(), busy(), denied(), hiccup(), log_off()]),
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


# === ANOTHER SPELLING === #


@pytest.mark.parametrize("forged", ["\uff33-1", "s-1"])
@pytest.mark.parametrize("is_last", [True, False])
def test_an_order_of_another_spelling_in_the_same_visit_changes_nothing(
    forged, is_last
):
    """A shopper tracks an order of nearly our id: ours was sent, and counted, again."""

    class Client(FakeClient):
        def call_api(self, method, segment="", **parameters):
            visits = super().call_api(method, segment, **parameters)
            for visit in visits:
                other = make_action(forged, revenue=1.0)
                visit["actionDetails"].insert(len(visits) if is_last else 0, other)
            return visits

    report = Delivery(Client(has={"S-1": {}}), make_policy()).verify(
        [make_attempt("S-1")]
    )
    assert describe(report) == ["SiteRead", "Recorded S-1"]


def test_an_order_of_another_spelling_is_found_where_ours_is_not():
    """Matomo takes some spellings for the same: it refused ours because of theirs."""
    client = FakeClient(has={"S-1": {"orderId": "s-1"}})
    client.call_api = lambda method, **_: [
        {"visitorId": VISITOR, "actionDetails": [make_action("s-1")]}
    ]
    report = Delivery(client, make_policy()).verify([make_attempt("S-1")])
    assert describe(report) == ["SiteRead", "Recorded S-1"]


# === THE LEASE === #


@pytest.mark.parametrize("is_reading", [False, True], ids=["sending", "reading"])
def test_a_delivery_ends_before_its_lease(is_reading):
    """Each of 200 orders is refused, or hidden, by a server that takes seconds for it.

    The lease ended meanwhile, and another lane sent the same orders.
    """
    clock = [0.0]

    class Client(FakeClient):
        def send_bulk(self, payloads, timeout):
            clock[0] += 7
            return super().send_bulk(payloads, timeout)

        def call_api(self, method, segment="", **parameters):
            clock[0] += 10
            return super().call_api(method, segment, **parameters)

    refs = [f"S{number}" for number in range(200)]
    client = (
        Client(cut=True, has=dict.fromkeys(refs, {}))
        if is_reading
        else Client(poison=dict.fromkeys(refs, forbidden))
    )
    attempts = [make_attempt(ref, look_up_first=is_reading) for ref in refs]
    policy = make_policy(patience=480)
    report = Delivery(client, policy, lambda: clock[0]).send_orders(attempts)
    assert 480 <= clock[0] <= 490
    # The others are due again when their lease ends.
    told = [each for out in report.outcomes for each in out.attempts]
    assert len(told) < len(attempts)
    assert not any(isinstance(out, Requeued) for out in report.outcomes)
    # The next time there are fewer, so that there is an end.
    if is_reading:
        assert report.outcomes == [SiteOverloaded(100)]
    else:
        assert told
