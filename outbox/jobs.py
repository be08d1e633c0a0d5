"""The jobs that people start: a backfill, or a comparison of many days.

A job works in batches. A batch and the position after it are one transaction: after a
crash the job goes on where it was, and looks at no order twice. ``matomo.job`` keeps
the position and the figures.
"""

import logging
from datetime import timedelta
from functools import partial

from odoo.fields import Date, Domain
from odoo.tools import SQL

from ..const import ACCEPTED_STATES, UNCOUNTED_STATES
from ..tools.backfill import Counts, get_rate
from .comparison import Comparison
from .transactions import one_by_one, run_guarded, run_in_transaction

_logger = logging.getLogger(__name__)

# How many orders are looked at in one transaction.
BATCH = 200
# A backfill queues so many orders at most: the sender sends them within a minute or
# two, and a person who stops it has not to wait for thousands.
FEED = 5000
# So many reasons are told apart when orders are counted.
REASONS = 10
# The last orders of a site that tell how fast Matomo is.
RECENT = 2000


def run(env):
    """Work on the jobs that run, a batch of each in turn, as long as there is time."""
    crons = env["ir.cron"]
    is_busy = True
    while is_busy:
        is_busy = False
        steps = [lambda: _withdraw(env)]
        running = env["matomo.job"].search([("state", "=", "running")], order="id")
        steps += [lambda job=job: _work(job) for job in running]
        for step in steps:
            done = _guard(env, step)
            is_busy = is_busy or bool(done)
            if not crons._commit_progress(done, remaining=int(is_busy)):
                return
            # The orders of this batch are not kept for the next one.
            env.invalidate_all()
    crons._commit_progress(remaining=0)


def _guard(env, step):
    """Run a step; what nobody foresaw ends no other job. Return what it returns."""
    results = []
    run_guarded(env, lambda: results.append(step()), "A job of Matomo has failed")
    return results[0] if results else 0


def _work(job):
    """Work on a job once. Return how many orders or days were done."""
    return _compare(job) if job.kind == "compare" else _queue(job)


# === WHICH ORDERS === #


def get_channels(env):
    """Return ``{channel: (orders, domain)}``: an empty recordset, and which of it."""
    return {
        channel: (orders, domain)
        for orders in env["matomo.order.mixin"]._get_matomo_order_models()
        for channel, domain in orders._get_matomo_channel_domains().items()
    }


def get_domain(site, orders, domain, first, last):
    """Return the domain of the orders of a site and a channel from day to day.

    :param orders: of ``get_channels``, with its ``domain``
    :param first: a date in the site's time zone
    :param last: the last date, included
    """
    start, end = site._get_day_bounds(first)[0], site._get_day_bounds(last)[1]
    return Domain.AND(
        [
            orders._get_matomo_sale_domain(),
            domain,
            orders._get_matomo_site_domain(site),
            Domain("company_id", "=", site.company_id.id),
            Domain("date_order", ">=", start) & Domain("date_order", "<", end),
        ]
    )


def get_kept_domain(site):
    """Return the domain of the orders of which Matomo still has the raw data."""
    oldest = site._get_oldest_raw_data()
    return Domain("date_order", ">", oldest) if oldest else Domain.TRUE


# === COUNTING === #


def count(site, channel, first, last):
    """Return the ``Counts`` of a channel, without reading an order.

    :param site: in an environment that may see all orders
    """
    channels = get_channels(site.env)
    if channel not in channels:
        # The module that has added it is gone.
        return Counts()
    orders, of_channel = channels[channel]
    domain = get_domain(site, orders, of_channel, first, last)
    kept = domain & get_kept_domain(site)
    found = orders.search_count(domain)
    young = orders.search_count(kept)
    before = Domain("date_order", "<", site._get_start())
    counts = {"accepted": 0, "waiting": 0, "failed": 0}
    left_out = {}
    for state, reason, number in _count_settled(site, orders, kept):
        if state in ACCEPTED_STATES:
            counts["accepted"] += number
        elif state in ("pending", "failed"):
            counts["waiting" if state == "pending" else "failed"] += number
        else:
            left_out[reason or ""] = left_out.get(reason or "", 0) + number
    return Counts(
        found=found,
        old=found - young,
        left_out=_bound(left_out),
        before_start=orders.search_count(kept & before & _get_open_domain(site, orders))
        if site._get_start() > site._get_day_bounds(first)[0]
        else 0,
        **counts,
    )


def _count_settled(site, orders, domain):
    """Return ``(state, reason, count)`` of the requests that a backfill leaves alone.

    :param domain: of the orders
    """
    requests = site.env["matomo.request"]
    own = _get_settled_domain(site, orders) & Domain(
        orders._matomo_order_field, "any", domain
    )
    uncounted = Domain("state", "in", UNCOUNTED_STATES)
    return [
        (state, "", number)
        for state, number in requests._read_group(
            own & ~uncounted, ["state"], ["__count"]
        )
    ] + [
        ("excluded", reason, number)
        for reason, number in requests._read_group(
            own & uncounted, ["reason"], ["__count"]
        )
    ]


def _get_settled_domain(site, orders):
    """Return the domain of the requests that a backfill leaves alone.

    A person has decided so; or a job has judged the order already; or the order is
    since the tracking start, and was left out for what it is.
    """
    return (
        Domain("kind", "=", "order")
        & Domain(orders._matomo_order_field, "!=", False)
        & (
            Domain("state", "not in", UNCOUNTED_STATES)
            | Domain("is_left_out", "=", True)
            | (
                Domain("state", "=", "excluded")
                & Domain("site_id", "!=", False)
                & (
                    Domain("order_date", ">=", site._get_start())
                    | Domain("job_id", "!=", False)
                )
            )
        )
    )


def _get_open_domain(site, orders):
    """Return the domain of the orders that a backfill looks at one by one."""
    settled = site.env["matomo.request"]._search(_get_settled_domain(site, orders))
    return ~Domain("id", "in", settled.subselect(orders._matomo_order_field))


def _bound(left_out):
    """Return the most frequent reasons alone, with all others in one."""
    ordered = sorted(left_out.items(), key=lambda each: -each[1])
    rest = sum(number for _reason, number in ordered[REASONS:])
    return dict(ordered[:REASONS]) | ({"…": rest} if rest else {})


def measure_rate(site):
    """Return how many orders a second the site's Matomo has taken lately.

    Orders that were sent one by one say nothing of a batch.
    """
    [(orders, duration)] = site.env.execute_query(
        SQL(
            """
            SELECT SUM(size), SUM(duration)
              FROM (SELECT COUNT(*) AS size, MAX(duration_ms) AS duration
                      FROM (SELECT sent_date, duration_ms
                              FROM matomo_request
                             WHERE site_id = %s AND kind = 'order'
                          ORDER BY order_date DESC, id DESC
                             LIMIT %s) recent
                     WHERE duration_ms > 0
                  GROUP BY sent_date, duration_ms) batches
             WHERE size >= 5
            """,
            site.id,
            RECENT,
        )
    )
    return get_rate(int(orders or 0), int(duration or 0))


# === A BACKFILL === #


def _queue(job):
    """Queue the next orders of a backfill.

    :return: how many orders were looked at
    """
    waiting = job._count_waiting(FEED)
    if waiting >= FEED:
        return 0
    orders = _find_next(job, min(BATCH, FEED - waiting))
    if orders:
        one_by_one(orders, lambda part: _queue_orders(job, part), _skip(job))
        return len(orders)
    if not waiting:
        run_in_transaction(job.env, job._finish)
    return 0


def _find_next(job, limit):
    """Return the next orders of a backfill, the newest first, of one channel.

    By ID, which no other order has and nobody changes: orders of one second are
    neither looked at twice nor passed over.
    """
    site, position = job.site_id, job.position or {}
    channels = get_channels(job.env)
    # A module that has added a channel may be gone.
    names = [name for name in job.channels if name in channels]
    begun = position.get("channel")
    for name in names[names.index(begun) if begun in names else 0 :]:
        orders, of_channel = channels[name]
        domain = get_domain(site, orders, of_channel, job.first_day, job.last_day)
        if name == begun:
            domain &= Domain("id", "<", position["id"])
        domain &= get_kept_domain(site)
        if found := orders.search(domain, order="id desc", limit=limit):
            return found
    return None


def _queue_orders(job, orders):
    """Queue these orders, and write the job's position after them.

    :return: the orders
    """
    job.invalidate_recordset()
    if job.state != "running":
        # A person has paused or stopped the job meanwhile.
        return orders
    requests = orders._get_matomo_requests()
    known = orders.env["matomo.request"].union(
        *(requests[order.id] for order in orders if order.id in requests)
    )
    again = known - known.filtered_domain(_get_settled_domain(job.site_id, orders))
    # They are no longer left out for being older than the tracking start.
    again.write({"job_id": job.id, "is_backfill": True})
    todo = orders.filtered(
        lambda order: order.id not in requests or requests[order.id] in again
    )
    outcomes = orders.env["matomo.retrack"]._retrack_now(
        todo.with_context(
            matomo_is_backfill=True,
            matomo_job=(job.id, todo._name, frozenset(todo.ids)),
        )
    )
    queued = sum(request.state == "pending" for request in outcomes)
    accepted = sum(request.state in ACCEPTED_STATES for request in known)
    job._advance(
        {"channel": orders[-1]._get_matomo_channel(), "id": orders[-1].id},
        looked_count=len(orders),
        queued_count=queued,
        accepted_count=accepted,
    )
    return orders


def _skip(job):
    """Return what is done with an order that breaks its batch: it is passed over."""

    def give_up(order, _error):
        _logger.exception("%s cannot be given a verdict for Matomo", order)
        position = {"channel": order._get_matomo_channel(), "id": order.id}
        run_in_transaction(
            job.env, lambda: job._advance(position, looked_count=1, broken_count=1)
        )

    return give_up


# === STOPPED === #


def _withdraw(env):
    """Take back what a stopped backfill has queued and nobody has begun to send.

    An order since the tracking start stays in the queue: it is tracked anyway.

    :return: how many orders were looked at
    """
    found = env["matomo.request"].search(
        [
            ("job_id.state", "=", "stopped"),
            ("state", "=", "pending"),
            ("attempt_count", "=", 0),
        ],
        limit=BATCH,
    )
    if not found:
        return 0
    cancelled = []
    # What the sender has locked at this moment is no work: it is begun.
    done = one_by_one(found, _withdraw_requests, partial(_cancel_broken, cancelled))
    return len(done) + len(cancelled)


def _withdraw_requests(requests):
    # What the sender claims at this moment is sent.
    requests = requests.try_lock_for_update().filtered(
        lambda each: each.state == "pending" and not each.attempt_count
    )
    jobs = requests.grouped("job_id")
    requests.job_id = False
    for request in requests:
        verdict, _site = request._get_order()._get_matomo_verdict()
        if verdict.state != "pending":
            request._update_state(verdict.state, reason=verdict.reason)
    for job, of_job in jobs.items():
        job.queued_count -= len(of_job)
    return requests


def _cancel_broken(cancelled, request, _error):
    """Cancel a request whose order gets no verdict: it must not be looked at for ever.

    A later backfill looks at the order again.

    :param cancelled: a list; the ID of the request is added, if it is cancelled
    """
    _logger.exception("%s cannot be given a verdict", request)

    def cancel():
        request.invalidate_recordset()
        if request.attempt_count:
            # The sender has begun it meanwhile.
            return
        reason = request._get_message_env()._(
            "The backfill that had queued it was stopped, and Odoo could not judge the "
            "order: its log says why."
        )
        request.job_id.queued_count -= 1
        request._update_state("cancelled", reason=reason, job_id=False)
        cancelled.append(request.id)

    run_in_transaction(request.env, cancel)


# === A COMPARISON === #


def _compare(job):
    """Compare the next day, the newest first.

    :return: how many days were compared
    """
    site = job.site_id
    last = (job.position or {}).get("day")
    day = Date.to_date(last) - timedelta(days=1) if last else job.last_day
    if day < job.first_day:
        run_in_transaction(job.env, job._finish)
        return 0
    comparison = Comparison(job.env)
    if not comparison.can_compare(site):
        # The job says why. It is tried again within a minute.
        return 0
    is_told = comparison.compare(site, day, day, {day})

    def advance():
        job.invalidate_recordset()
        if not is_told:
            job._note_trouble(comparison.error)
        elif job.state == "running":
            job._advance({"day": Date.to_string(day)}, looked_count=1)

    run_in_transaction(job.env, advance)
    return int(is_told)
