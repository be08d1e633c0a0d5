"""Queries on a database with many old orders, and how PostgreSQL answers them."""

import re
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from odoo import fields
from odoo.tools import SQL

from odoo.addons.matomo_order_tracking.matomo_api.reading import Totals
from odoo.addons.matomo_order_tracking.models import matomo_sweep
from odoo.addons.matomo_order_tracking.outbox import kinds, orders
from odoo.addons.matomo_order_tracking.outbox.sender import Sender
from odoo.addons.matomo_order_tracking.outbox.verifier import VERIFY_BATCH, Verifier

from . import profile, shop
from .rows import clone

# The rows of which a plan is told how they are found.
LARGE_TABLES = ("sale_order", "sale_order_line", "matomo_request")
LARGE = re.compile(rf"\b({'|'.join(LARGE_TABLES)})\b")
# How many old orders there are of each day: so many years, or so many days, do not
# change how many of the last 30 days there are.
A_DAY = 1_400
# How many are inserted at once. A shop's rows lie in the order of their time.
BLOCK = 10_000
# The order id of an old order.
TAKEN = "O40"
PAGE = 80
COUNT_LIMIT = 10_001
ORDER_COLUMNS = {
    "name": {},
    "date_order": {},
    "partner_id": {"fields": {"display_name": {}}},
    "amount_total": {},
    "matomo_state": {},
}
REQUEST_COLUMNS = {
    **dict.fromkeys(("order_date", "kind", "channel", "order_ref", "revenue"), {}),
    **dict.fromkeys(("state", "reason", "attempt_count"), {}),
    "sale_order_id": {"fields": {"display_name": {}}},
    "site_id": {"fields": {"display_name": {}}},
}
# Of a hundred requests: what the others are; those are verified.
STATE = """
    CASE WHEN {number} % 100 = 1 THEN 'excluded' WHEN {number} % 200 = 2 THEN 'failed'
         WHEN {number} % 1000 = 3 THEN 'different' ELSE 'verified' END
"""
# How many orders of each template have no request.
FORGOTTEN = 2
# What is no longer waiting when orders are really sent.
SETTLE = """
    UPDATE matomo_request SET state = 'verified', next_check_date = NULL
     WHERE state IN ('pending', 'sent')
"""


# === FILLING === #


def set_up(env, url, token, idsite):
    """Connect the shop and send orders that are then copied; return their ids."""
    shop.connect(env, url, token, idsite)
    env.company.matomo_site_id.date_start = fields.Date.today() - timedelta(days=1000)
    manager = env.ref("matomo_order_tracking.group_matomo_manager")
    env.ref("base.user_admin").group_ids += manager
    sent = shop.copy_orders(env, shop.make_orders(env, 1), shop.TEMPLATES, 0)
    Sender(env).run()
    requests = env["matomo.request"].search([("sale_order_id", "in", sent)])
    requests.write({"next_check_date": False, "verified_date": fields.Datetime.now()})
    env.cr.commit()
    return sent


def drain(env, templates, first):
    """Return the milliseconds that PostgreSQL works for an order that is sent."""
    count = 10 * shop.TEMPLATES
    env.cr.execute(SETTLE)
    env.cr.commit()
    shop.copy_orders(env, templates, count, first)
    with profile.stages(env.registry) as stages:
        Sender(env).run()
    return sum(cost["sql"] for cost in stages.values()) * 1000 / count


def fill(env, templates, count, yesterday):
    """Insert old orders and their requests by SQL, the oldest first.

    :param count: of orders; ``yesterday`` of them are of yesterday
    """
    old = count - yesterday
    start = "date_trunc('day', now() AT TIME ZONE 'utc') - interval '1 day'"
    for first in range(0, old, BLOCK):
        moment = f"{start} - ({old} - NUMBER) * interval '1 day' / {A_DAY}"
        _fill(env, templates, first, min(first + BLOCK, old), moment)
    # Of a day everywhere.
    moment = f"{start} + interval '6 hours' + (NUMBER - {old}) * interval '8 seconds'"
    for ids in _fill(env, templates, old, count, moment):
        _leave_some(env, ids)
    # Its alerts are told once, and the sweep has come so far.
    env["matomo.site"]._watch()
    _sweep(env)
    env.cr.commit()


def _fill(env, templates, first, last, moment):
    """Insert the orders from a number up to another one.

    :param moment: their time, as SQL, ``NUMBER`` being the order's own
    :return: list of the IDs of the copies of each template
    """
    found = []
    for place, order in enumerate(env["sale.order"].browse(templates)):
        count = (last - first) // len(templates)
        number = f"({first + place} + (n - 1) * {len(templates)})"
        found.append(_copy(env, order, count, number, moment.replace("NUMBER", number)))
    env.cr.commit()
    return found


def _copy(env, order, count, number, moment):
    ids = clone(
        order,
        count,
        name=f"'O' || {number}",
        date_order=moment,
        access_token="gen_random_uuid()::text",
    )
    start = ids[0] - 1
    clone(order.order_line, count, order_id=f"{start} + n")
    clone(
        order.matomo_request_ids,
        count,
        sale_order_id=f"{start} + n",
        order_date=moment,
        order_ref=f"'O' || {number}",
        order_ref_key=f"split_part(t.order_ref_key, ' ', 1) || ' O' || {number}",
        state=STATE.format(number=number),
        is_anonymized=f"({moment}) < now() AT TIME ZONE 'utc' - interval '180 days'",
    )
    return ids


def _leave_some(env, ids):
    """Let a few of these orders wait for something; a few are forgotten."""
    for part, change in enumerate(
        (
            "UPDATE matomo_request SET state = 'pending', payload = NULL,"
            " order_ref = NULL, order_ref_key = NULL, order_date = %s",
            "UPDATE matomo_request SET state = 'sent', next_check_date = %s",
            "DELETE FROM matomo_request USING (SELECT %s) moment",
        )
    ):
        chosen = ids[part * 10 : part * 10 + (10 if part < 2 else FORGOTTEN)]
        env.cr.execute(
            f"{change} WHERE sale_order_id = ANY(%s)", [fields.Datetime.now(), chosen]
        )


# === LOOKING === #


def look(env, name, repeat):
    """Do something again and again; return what the quickest time takes.

    The time of the processors, on one core: other programs do not count, and it is what
    a machine at rest needs.

    :return: ``{"ms", "sql", "statements", "plan"}``: all of it, what PostgreSQL needs,
        and how it finds the rows of the slowest statement
    """
    admin = env(user=env.ref("base.user_admin").id, su=False)
    step = LOOKS[name]
    runs = []
    for _number in range(repeat):
        env.invalidate_all()
        env.cr.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        before = _get_seconds(env)
        with _statements() as statements:
            step(admin if step in BY_PEOPLE else env)
        seconds = [
            end - start for start, end in zip(before, _get_seconds(env), strict=False)
        ]
        # A plan is asked for before the transaction is undone.
        env.cr.rollback()
        runs.append((sum(seconds), seconds[1], statements))
    seconds, sql, statements = min(runs)
    large = [each for each in statements if LARGE.search(each[1])]
    slowest = max(large or statements)
    return {
        "ms": seconds * 1000,
        "sql": sql * 1000,
        "statements": len(statements),
        "plan": _explain(env, slowest[1]),
    }


def _get_seconds(env):
    """Return what Odoo and PostgreSQL have worked: seconds of each, on this machine."""
    pid = env.cr._cnx.get_backend_pid()
    nanoseconds = Path(f"/proc/{pid}/schedstat").read_text().split()[0]
    return time.process_time(), int(nanoseconds) / 1e9


@contextmanager
def _statements():
    """Collect the statements of the block: seconds and text."""
    found = []

    def note(cr, query, params, _start, delay):
        found.append((delay, cr._obj.mogrify(query, params).decode()))

    thread = threading.current_thread()
    thread.query_hooks = [note]
    try:
        yield found
    finally:
        thread.query_hooks = []


def _explain(env, query):
    """Return how the rows of large tables are found, as a text."""
    if not query.lstrip().upper().startswith(("SELECT", "WITH")):
        return ""
    env.cr.execute(f"EXPLAIN (FORMAT JSON) {query}")
    [(plan,)] = env.cr.fetchall()
    env.cr.rollback()
    return ", ".join(dict.fromkeys(_scans(plan[0]["Plan"])))


def _scans(node):
    table = node.get("Relation Name")
    if "Index Name" in node:
        yield node["Index Name"].removeprefix("matomo_request_").strip("_")
    elif table in LARGE_TABLES and node["Node Type"] != "Bitmap Heap Scan":
        yield f"**{node['Node Type']}** of {table}"
    for child in node.get("Plans", ()):
        yield from _scans(child)


def _list_orders(*domain):
    def step(env):
        env["sale.order"].web_search_read(
            list(domain), ORDER_COLUMNS, limit=PAGE, count_limit=COUNT_LIMIT
        )

    return step


def _list_requests(*domain):
    def step(env):
        env["matomo.request"].web_search_read(
            list(domain), REQUEST_COLUMNS, limit=PAGE, count_limit=COUNT_LIMIT
        )

    return step


def _count(model, name, domain=()):
    def step(env):
        env[model].formatted_read_group(list(domain), [name], ["__count"])

    return step


def _site(env):
    return env.company.matomo_site_id


def _compare(env):
    site = _site(env)
    day = site._get_today() - timedelta(days=1)
    env["matomo.reconciliation"]._compare_day(site, day, Totals())


def _claim(env):
    # In the order of ``outbox.orders.claim``.
    return kinds.lock_due(
        env["matomo.request"],
        _site(env),
        fields.Datetime.now(),
        SQL("kind = 'order' AND NOT is_backfill"),
        SQL("order_date, id"),
    )


def _claim_backfill(env):
    kinds.lock_due(
        env["matomo.request"],
        _site(env),
        fields.Datetime.now(),
        SQL("is_backfill"),
        SQL("order_date DESC, id DESC"),
    )


def _name_orders(env):
    orders._find_order_refs(_claim(env))


def _collide(env):
    with patch.object(orders, "_get_order_name", lambda request: TAKEN):
        orders.get_free_order_ref(_claim(env)[:1])


def _verify(env):
    verifier = Verifier(env)
    domain = verifier._get_domain()
    verifier.requests._read_group(domain, ["site_id"])
    verifier.requests.search(domain, order="order_date, id", limit=VERIFY_BATCH)


def _sweep(env):
    """Do what a night does, but for the verdicts: find the orders without one."""
    with (
        patch.object(matomo_sweep, "one_by_one", lambda orders, *_rest: orders),
        patch.object(type(env["ir.cron"]), "_commit_progress", lambda *_args, **_kw: 1),
    ):
        env["matomo.sweep"]._sweep()


def _show_overview(env):
    overviews = env["matomo.overview"].search([])
    overviews.read([name for name in overviews._fields if name != "id"])


SALES = [("state", "=", "sale")]
LAST_30_DAYS = [*SALES, ("date_order", ">=", "today -30d")]
REQUESTS = [("kind", "=", "order"), ("order_date", ">=", "today -30d")]
ATTENTION = [("needs_attention", "=", True)]
FAILED, EXCLUDED, NONE = (
    [("matomo_state", "=", state)] for state in ("failed", "excluded", False)
)
LOOKS = {
    "*Sales Orders*, first page": _list_orders(*LAST_30_DAYS),
    "*Sales Orders*, accepted": _list_orders(
        *LAST_30_DAYS, ("matomo_tracked", "=", True)
    ),
    "*Sales Orders*, waiting": _list_orders(
        *LAST_30_DAYS, ("matomo_state", "=", "pending")
    ),
    "*Sales Orders*, failed": _list_orders(*LAST_30_DAYS, *FAILED),
    "*Sales Orders*, not tracked": _list_orders(*LAST_30_DAYS, *EXCLUDED),
    "*Sales Orders*, no verdict": _list_orders(*LAST_30_DAYS, *NONE),
    "*Sales Orders*, by verdict": _count("sale.order", "matomo_state", LAST_30_DAYS),
    "peer: by Odoo's own status": _count("sale.order", "state", LAST_30_DAYS),
    "*Requests*, first page": _list_requests(*REQUESTS),
    "*Requests*, failed": _list_requests(*REQUESTS, ("state", "=", "failed")),
    "*Requests*, by state": _count("matomo.request", "state", REQUESTS),
    "*Needs Attention*": _list_requests(*ATTENTION),
    "all years: requests, first page": _list_requests(),
    "all years: requests by state": _count("matomo.request", "state"),
    "all years: orders failed": _list_orders(*SALES, *FAILED),
    "all years: orders not tracked": _list_orders(*SALES, *EXCLUDED),
    "all years: orders without a verdict": _list_orders(*SALES, *NONE),
    "all years: orders by verdict": _count("sale.order", "matomo_state", SALES),
    "peer: all years by Odoo's own status": _count("sale.order", "state", SALES),
}
BY_PEOPLE = [*LOOKS.values(), _show_overview]
LOOKS |= {
    "Overview": _show_overview,
    "comparison of yesterday": _compare,
    "sender: due sites": lambda env: Sender(env)._get_due_sites(),
    "sender: claim": _claim,
    "sender: claim of a backfill": _claim_backfill,
    "sender: order ids of a batch": _name_orders,
    "sender: an order id that is taken": _collide,
    "verifier: what is due": _verify,
    "sweep: orders without a verdict": _sweep,
    "watching the sites": lambda env: env["matomo.site"]._watch(),
    "retention": lambda env: env["matomo.request"]._gc_requests(),
}


def get_looks(env):
    """Return the names of what can be looked at in this version of the addon."""
    is_there = "matomo.overview" in env
    return [name for name in LOOKS if is_there or LOOKS[name] != _show_overview]


TASKS = {task.__name__: task for task in (set_up, drain, fill, look, get_looks)}
