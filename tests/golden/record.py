"""The golden record: what the addon wrote down, and what it asked of Matomo.

A record is text, one fact a line, so that a diff names what changed. What the
models and fields are called stands in the tables at the top, and nowhere else.
"""

import difflib
import json
import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from odoo.tools import html2plaintext

from ..common.fake_matomo import TOKEN

FOLDER = Path(__file__).with_name("record")
# Set to "write" it makes the records anew; `make golden` does so.
VARIABLE = "MATOMO_GOLDEN"
# So much of a difference is shown.
MAX_DIFF_LINES = 150
# The parameters that share a line; all others come on one of their own. How the
# database orders them is an accident.
LINES = (
    ("idsite", "rec", "apiv", "bots", "queuedtracking"),
    ("cip", "cid", "cdt", "ua", "lang", "uadata"),
    ("url", "action_name", "country", "region", "city"),
    ("_rcn", "_rck", "_refts", "_ref"),
    ("idgoal", "ec_id", "revenue", "ec_st", "ec_tx", "ec_sh", "ec_dt"),
    ("e_c", "e_a", "e_n", "e_v", "ca"),
)
# What is a hash of a secret and of record ids: in each database another.
VISITOR_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
# The end of an order id that nobody can guess: a hash, too.
SECRET = re.compile(r"(?<=\d-)[0-9a-f]{8}(?![0-9a-f])")
# The id of the page view before an order: a hash of the order id.
VIEW_ID = re.compile(r"(?<=\bpv_id=)[0-9a-f]{6}\b")


# === WHAT IS WHERE: THE ONLY PLACE THAT NAMES MODELS AND FIELDS === #


def find_requests(env):
    """Return ``(kind, record)`` of everything in the log, oldest first."""
    requests = env["matomo.request"].sudo().search([], order="id")
    carts = env["matomo.cart.update"].sudo().search([], order="id")
    return [(request.kind, request) for request in requests] + [
        ("cart", request) for request in carts
    ]


def get_order(request):
    if request._name == "matomo.cart.update":
        return request.sale_order_id
    return request.sale_order_id or request.pos_order_id


def get_refunded(request):
    return request.refunded_id


def get_credit_note(request):
    return request.refund_move_id


def get_payload(request):
    return request.payload


def get_audit_url(request):
    return request.tracking_url


REQUEST_FACTS = {
    "channel": lambda request: request.channel,
    "site": lambda request: request.site_id.idsite,
    "order date": lambda request: request.order_date,
    "state": lambda request: request.state,
    "reason": lambda request: request.reason,
    "notes": lambda request: request.notes,
    "order id": lambda request: request.order_ref,
    "sent later": lambda request: request.is_backfill,
    "attempts": lambda request: request.attempt_count,
    "failure type": lambda request: request.failure_type,
    "next attempt": lambda request: request.next_attempt_date,
    "next check": lambda request: request.next_check_date,
    "sent": lambda request: request.sent_date,
    "verified": lambda request: request.verified_date,
    "revenue": lambda request: request.currency_id
    and f"{request.revenue:.2f} {request.currency_id.name}",
    "answer": lambda request: request.answer_status
    and f"{request.answer_status} {request.answer_text or ''}".rstrip(),
}
# Of a cart update. Before carts had a table of their own, it was a request.
CART_FACTS = {
    name: {
        "channel": lambda request: "web",
        "order date": lambda request: request.changed_date,
    }.get(name, read)
    for name, read in REQUEST_FACTS.items()
    if name not in ("notes", "order id", "sent later", "next check", "verified")
}
# What the order itself shows; where it repeats its request, it is left out.
ORDER_FACTS = {
    "state": lambda order: order.matomo_state,
    "reason": lambda order: order.matomo_reason,
    "notes": lambda order: order.matomo_notes,
    "order id": lambda order: order.matomo_order_ref,
    "sent": lambda order: order.matomo_tracked_date,
}
SITE_FACTS = {
    "state": lambda site: site.state,
    "message": lambda site: site.state_message,
    "failures": lambda site: site.failure_count,
    "next attempt": lambda site: site.next_attempt_date,
    "failures to read": lambda site: site.read_failure_count,
    "next read": lambda site: site.next_read_date,
    "last success": lambda site: site.last_success_date,
    "token may not read": lambda site: not site.can_read,
    "order ids anonymised": lambda site: site.is_order_id_anonymised,
    "activities": lambda site: len(site.activity_ids),
}
DAY_FACTS = {
    "orders in Odoo": lambda day: day.odoo_order_count,
    "revenue in Odoo": lambda day: f"{day.odoo_revenue:.2f}",
    "orders in Matomo": lambda day: day.matomo_order_count,
    "revenue in Matomo": lambda day: f"{day.matomo_revenue:.2f}",
    "state": lambda day: day.state,
    "causes": lambda day: describe_causes(day),
}


def find_orders(env):
    """Return the orders that Odoo counts."""
    domains = {
        "sale.order": [("state", "=", "sale")],
        "pos.order": [("state", "in", ("paid", "done"))],
    }
    for model, domain in domains.items():
        yield from env[model].sudo().search(domain, order="id")


def find_sites(env):
    return env["matomo.site"].sudo().search([], order="idsite")


def describe_causes(day):
    """Return a line for each order that explains a difference."""
    return "\n".join(
        f"{cause.kind} {cause.name} {cause.order_count_difference:+}"
        f" {cause.revenue_difference:+.2f}"
        for cause in day.cause_ids
    )


def find_days(env):
    return env["matomo.reconciliation"].sudo().search([], order="day, site_id")


# === THE RECORD === #


class Record:
    """What became of the orders of one test, written down step by step.

    A step says what Matomo was asked since the last one, and which facts are new
    or have changed.
    """

    def __init__(self, env, matomo):
        self.env = env
        self.matomo = matomo
        self.lines = []
        self.request_count = 0
        # Parameters that were sent: where they stand in the record.
        self.places = []
        # {what: {name of a fact: its text}}
        self.known = {}
        # Carts by their id: how many updates of the same cart were seen before.
        self.cart_numbers = {}
        # {kind: {what is often repeated: its short name}}
        self.legends = {}
        self.messages = env["mail.message"].sudo().search([])
        self.popups = env["bus.bus"].sudo().search([])

    def say(self, line):
        self.lines.append(_one_line(line))

    def step(self, title):
        """Add what has happened since the last step."""
        self.env.flush_all()
        self.env.invalidate_all()
        self.lines += ["", f"=== {title}"]
        for request in self.matomo.requests[self.request_count :]:
            self.request_count += 1
            self._add_request(request)
        found = self._find_facts()
        for what in sorted(found.keys() | self.known.keys()):
            self._add_changes(what, self.known.get(what), found.get(what))
        self.known = found
        self._add_messages()

    def text(self):
        """Return the record; visitors are numbered in the order they appear in."""
        numbers = {}

        def number(match):
            return f"visitor-{numbers.setdefault(match[0], len(numbers) + 1)}"

        text = "\n".join(self.lines).strip() + "\n"
        for pattern, name in ((SECRET, "secret"), (VIEW_ID, "view")):
            text = pattern.sub(name, text)
        return VISITOR_ID.sub(number, text)

    # === REQUESTS === #

    def _add_request(self, request):
        options = dict(request["options"])
        timeout = options.pop("timeout")
        options = " ".join(f"{name}={value}" for name, value in sorted(options.items()))
        legend = self._legend("options", options)
        self.lines += [
            "",
            f"request {self.request_count}: {request['url']}, timeout {timeout}, "
            f"{legend}",
        ]
        data = request["data"]
        if isinstance(data, dict):
            self.lines += [f"  {k}={_mask(v)}" for k, v in data.items()]
            return
        body = json.loads(data)
        sets = body.pop("requests")
        self.say(f"  {' '.join(f'{k}={_mask(v)}' for k, v in body.items())}")
        for place, parameters in enumerate(sets, 1):
            self.say(f"  - {place} of {len(sets)}")
            self.lines += _describe(parameters)
            self.places.append((f"{self.request_count}, {place}", parameters))

    # === FACTS === #

    def _find_facts(self):
        facts, orders = {}, {}
        for kind, request in find_requests(self.env):
            label = self._label(kind, request)
            facts[label] = self._request_facts(request)
            if kind == "order":
                orders[get_order(request)] = facts[label]
        for order in find_orders(self.env):
            # Those of other tests and companies are none of ours.
            own = orders.get(order, {"state": "none"})
            shown = _texts(ORDER_FACTS, order)
            for name in ORDER_FACTS:
                if shown.get(name) != own.get(name) and (order in orders or shown):
                    facts.setdefault(_order_label(order), own)[f"shown {name}"] = (
                        shown.get(name, "nothing")
                    )
        for site in find_sites(self.env):
            facts[f"site {site.idsite}"] = _texts(SITE_FACTS, site)
        for day in find_days(self.env):
            label = f"day {day.day} of site {day.site_id.idsite}"
            facts[label] = _texts(DAY_FACTS, day)
        return facts

    def _label(self, kind, request):
        order = get_order(request)
        if kind == "order":
            return _order_label(order)
        if kind == "refund":
            note = get_credit_note(request)
            by = f"{_name(order)}{note and f' ({note.ref})' or ''}"
            return f"refund by {by} of {_name(get_refunded(request))}"
        key = order, request.id
        if key not in self.cart_numbers:
            same = [o for o, _id in self.cart_numbers if o == order]
            self.cart_numbers[key] = len(same) + 1
        return f"cart {_name(order)} update {self.cart_numbers[key]}"

    def _request_facts(self, request):
        is_cart = request._name == "matomo.cart.update"
        facts = _texts(CART_FACTS if is_cart else REQUEST_FACTS, request)
        payload = get_payload(request)
        if payload:
            sent = [place for place, other in self.places if other == payload]
            facts["payload"] = (
                f"as in request {sent[-1]}"
                if sent
                else "\n" + "\n".join(_describe(payload))
            )
        if url := get_audit_url(request):
            facts["audit URL"] = self._describe_url(
                url, request.site_id.url, payload or {}
            )
        return facts

    def _describe_url(self, url, base, payload):
        """Return the URL, or only the order of its parameters if they are known."""
        values = {**payload, "token_auth": "XYZANONYMIZED"}
        names = [name for name, _value in parse_qsl(urlsplit(url).query)]
        if set(names) != values.keys():
            return url
        query = urlencode([(name, values[name]) for name in names], quote_via=quote)
        if url != f"{base.rstrip('/')}/matomo.php?{query}":
            return url
        return f"of the payload, {self._legend('parameters', ','.join(names))}"

    def _legend(self, kind, text):
        """Return a short name of a text that is often repeated, and explain it once."""
        known = self.legends.setdefault(kind, {})
        if text not in known:
            known[text] = f"{kind} {len(known) + 1}"
            self.lines += ["", f"{known[text]}: {text}"]
        return known[text]

    def _add_changes(self, what, old, new):
        if new is None:
            self.lines += ["", f"{what}: gone"]
            return
        old = old or {}
        changes = [
            f"  {name}: {new.get(name, 'nothing any more')}"
            for name in [*new, *(name for name in old if name not in new)]
            if new.get(name) != old.get(name)
        ]
        if changes:
            self.lines += ["", what, *changes]

    # === MESSAGES === #

    def _add_messages(self):
        messages = self.env["mail.message"].sudo().search([], order="id")
        said = [
            (_order_label(order), f"{message.author_id.name}: {body}")
            for message in messages - self.messages
            if message.model in ("sale.order", "pos.order")
            and (order := self.env[message.model].sudo().browse(message.res_id))
            and order.exists()
            and "Matomo" in (body := _one_line(html2plaintext(message.body or "")))
        ]
        self.messages = messages
        # Those of one order as they came.
        for label, text in sorted(said, key=lambda pair: pair[0]):
            self.lines += ["", f"chatter of {label}", f"  {text}"]
        popups = self.env["bus.bus"].sudo().search([], order="id")
        for popup in popups - self.popups:
            message = json.loads(popup.message)
            if message["type"] == "simple_notification":
                self.lines += ["", f"popup: {message['payload']['message']}"]
        self.popups = popups


def _texts(table, record):
    """Return the facts of a record that say something: ``{name: text}``."""
    found = {name: read(record) for name, read in table.items()}
    return {name: _one_line(value) for name, value in found.items() if value}


def _describe(parameters):
    """Return the lines that show a set of parameters."""
    others = parameters.keys() - {"ec_items"}.union(*LINES)
    lines = [
        " ".join(f"{n}={_mask(parameters[n])}" for n in names if n in parameters)
        for names in (*LINES, sorted(others))
    ]
    if "ec_items" in parameters:
        items = json.loads(parameters["ec_items"])
        texts = [
            json.dumps(item, ensure_ascii=False, separators=(",", ":"))
            for item in items
        ]
        # Formatted otherwise, it would be another text to Matomo.
        if parameters["ec_items"] != f"[{','.join(texts)}]":
            texts.append(parameters["ec_items"])
        lines += ["ec_items", *(f"  {text}" for text in texts)]
    return [f"    {line}" for line in lines if line]


def _mask(value):
    return "<token>" if value == TOKEN else _one_line(value)


def _one_line(value):
    return str(value).replace("\n", " | ")


def _name(order):
    """Return what an order is called in the record, whatever its database."""
    return order.pos_reference if order._name == "pos.order" else order.name


def _order_label(order):
    kind = "till sale" if order._name == "pos.order" else "sales order"
    return f"{kind} {_name(order)}"


# === COMPARING === #


def compare(name, text):
    """Return how a record differs from the one that is checked in, or nothing.

    Writes it instead where the environment says so.
    """
    path = FOLDER / f"{name}.txt"
    if os.environ.get(VARIABLE) == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return ""
    expected = path.read_text(encoding="utf-8") if path.exists() else ""
    if text == expected:
        return ""
    diff = list(
        difflib.unified_diff(
            expected.splitlines(),
            text.splitlines(),
            f"record/{path.name}",
            "now",
            lineterm="",
            n=6,
        )
    )
    left = len(diff) - MAX_DIFF_LINES
    more = [f"... and {left} more lines"] if left > 0 else []
    return "\n".join([*diff[:MAX_DIFF_LINES], *more])
