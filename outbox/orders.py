"""Orders: which are due, what they are called in Matomo, and their request."""

import logging
from dataclasses import replace
from datetime import timedelta
from itertools import count
from secrets import token_hex

from odoo import fields
from odoo.tools import SQL, format_datetime, hmac

from ..matomo_api.delivery import Delivery
from ..matomo_api.items import round_cents
from ..matomo_api.tracking import (
    Visitor,
    fit_order_ref,
    get_view_id,
    order_parameters,
    tracking_url,
)
from . import carts, kinds, schedule

_logger = logging.getLogger(__name__)

# With such an id Matomo takes an order for a cart.
NO_ORDER_REFS = ("", "0")
# Only orders have order IDs: PostgreSQL uses their index where this is said.
OF_ORDERS = [("kind", "=", "order")]
# Key of the context: what is found out once, see ``Known``.
KNOWN = "matomo_known"


class Known:
    """What is found out once while the orders of a bulk are built.

    In the context, so that it ends with the bulk. No client can enter it.

    :ivar products: ``{(model of the order, ID of the product): items.Product}``, for
        one Matomo site
    :ivar lines: what is known of the lines of the order that is built:
        ``{(method, model, ID): result}``. The next one asks anew, because what was
        built before it may count a part of it
    """

    def __init__(self):
        self.products = {}
        self.lines = {}


def find_once(env, part, key, find):
    """Return what ``find()`` does; while a bulk is built, it is called once for a key.

    :param part: the attribute of ``Known`` that keeps the result
    """
    known = env.context.get(KNOWN)
    if not isinstance(known, Known):
        return find()
    found = getattr(known, part)
    if key not in found:
        found[key] = find()
    return found[key]


def claim(env, site):
    """Claim due orders of a site and build their requests.

    Orders in the sequence they were made; then, when none waits, those of a
    backfill, the newest first. SKIP LOCKED keeps the lanes apart while they claim,
    the lease while they send. What is built is frozen: whatever happens, the same
    is sent again.

    :return: the requests to send, at most ``batch_size``; see ``Kind``
    """
    requests = env["matomo.request"]
    now = fields.Datetime.now()
    until = now + schedule.LEASE
    due = kinds.lock_due(
        requests,
        site,
        now,
        SQL("kind = 'order' AND NOT is_backfill"),
        SQL("order_date, id"),
    ) or kinds.lock_due(
        requests,
        site,
        now,
        # What a person has paused or stopped is not begun.
        SQL(
            """
            is_backfill AND (job_id IS NULL OR attempt_count > 0 OR job_id NOT IN (
                SELECT id FROM matomo_job WHERE state IN ('paused', 'stopped')))
            """
        ),
        SQL("order_date DESC, id DESC"),
    )
    if not due:
        return None
    due.fetch(due._get_build_fields())
    ready = (due - carts.defer_orders(due, now)).sorted("order_date")
    return kinds.start_attempts(ready, lambda part: _start(part, until))


KIND = kinds.register(
    kinds.Kind(
        "order",
        10,
        "matomo.request",
        claim,
        Delivery.send_orders,
        is_built_ahead=True,
    )
)


def _start(requests, until):
    for orders in requests._get_orders():
        orders._fetch_matomo_content(requests.site_id)
    refs = _find_order_refs(requests)
    known = Known()

    def build(request):
        known.lines.clear()
        return _build(request, refs)

    started = requests.with_context(**{KNOWN: known})._start_attempts(until, build)
    return started.with_env(requests.env)


# === THE REQUEST === #


def _build(request, refs):
    """Build the request of an order, unless the order is no longer sent.

    :param refs: of ``_find_order_refs``; what is found here is added
    :return: values of the request; nothing if there is nothing to send
    """
    order = request._get_order()
    _lock_settled_orders(request, order)
    if not order._is_matomo_sale():
        request._cancel()
        return None
    verdict = order._get_matomo_content_verdict()
    if verdict:
        request._update_state(verdict.state, reason=verdict.reason)
        _logger.info("%s is not tracked in Matomo: %s", order, verdict.reason)
        return None
    named = refs.get(request.id) or get_free_order_ref(
        request, {values["order_ref_key"] for values in refs.values()}
    )
    if named:
        # It is written once all of them are built.
        refs[request.id] = named
    ref = named.get("order_ref", request.order_ref)
    prepared = prepare_values(request, order, ref)
    for note in (prepared["notes"] or "").splitlines():
        _logger.info("%s in Matomo: %s", order, note)
    # Writing queries the relation for this request alone; reading, for the batch.
    settled = order._get_matomo_settled_here()
    if request.counted_order_ids != settled:
        request.counted_order_ids = settled
    return {**named, **prepared}


def prepare_values(request, order, ref):
    """Return the values of a request: what is sent, and with which adjustments.

    Nothing is written, locked or logged: ``outbox/preview.py`` calls it, too.

    :param request: may be unsaved
    :param order: in the language of messages
    :param ref: the order id
    """
    site = request.site_id
    times = order._prepare_matomo_time(site)
    amounts = order._prepare_matomo_amounts(site)
    matomo_order = order._prepare_matomo_order(ref, times["order_date"], amounts)
    notes = order._get_matomo_adjustments(amounts)
    if times["order_date"] > fields.Datetime.now() + timedelta(minutes=1):
        notes.append(
            order.env._(
                "The time of the sale, %s, was in the future: Matomo books it at "
                "the moment it arrives. Is the till's clock right?",
                format_datetime(order.env, times["order_date"]),
            )
        )
    notes += carts.get_adjustments(order, times["order_date"])
    visitor = request._prepare_visitor(order)
    if request.missing_count and request.verified_date:
        # Matomo had it: whoever it was may have been erased there.
        visitor = Visitor(visitor_id=token_hex(8))
    elif request.missing_count:
        # Accepted and not recorded: its address or browser may be excluded in Matomo,
        # or the country, which is guessed from the languages without an address.
        visitor = replace(
            visitor,
            ip_address="",
            user_agent="",
            accept_language="",
            client_hints="",
            browser_features={},
        )
    page = order._get_matomo_page(site)
    if site.send_page_views and not order._is_matomo_shopper(visitor):
        # No browser has begun this visit.
        page = replace(page, view_id=get_view_id(ref))
    payload = order_parameters(site.idsite, matomo_order, visitor, page)
    return {
        **times,
        "payload": payload,
        "tracking_url": tracking_url(site.url, payload),
        "revenue": float(round_cents(amounts.revenue)),
        "currency_id": site.currency_id.id,
        "order_revenue": order.currency_id.round(float(amounts.order_revenue or 0)),
        "order_currency_id": order.currency_id.id if amounts.order_rate else False,
        "order_rate": amounts.order_rate,
        "notes": "\n".join(notes) or False,
    }


def _lock_settled_orders(request, order):
    """Keep the sales orders that a POS order has settled from being built meanwhile.

    Two lanes, each building one of both without seeing what the other does, would
    send the same lines twice. A lane that comes second waits here, and starts over
    with what the first has decided, or skips the locked request.
    """
    if settled := order._get_matomo_settled_orders():
        request.env.cr.execute(
            SQL(
                """
                SELECT id FROM matomo_request
                 WHERE kind = 'order' AND sale_order_id IN %s
              ORDER BY id
                   FOR NO KEY UPDATE
                """,
                settled._ids,
            ),
            log_exceptions=False,
        )


# === THE ORDER ID === #


def _find_order_refs(requests):
    """Return each order's own name as its order id, where that is free.

    One query for all; a second order of one name is given a suffix as it is built.

    :return: ``{request id: values}`` of requests that are without an order id
    """
    wanted = {}
    for request in requests.filtered(lambda each: not each.order_ref):
        ref = fit_order_ref(_get_order_name(request))
        if ref not in NO_ORDER_REFS:
            key = request.site_id._get_order_ref_key(ref)
            wanted.setdefault(key, (request, ref))
    used = requests.search([*OF_ORDERS, ("order_ref_key", "in", list(wanted))])
    taken = set(used.mapped("order_ref_key"))
    return {
        request.id: {"order_ref": ref, "order_ref_key": key}
        for key, (request, ref) in wanted.items()
        if key not in taken
    }


def get_free_order_ref(request, reserved=()):
    """Return an order id that no other order has on the request's Matomo site.

    Once assigned it stays, except if it turns out to be used in Matomo. Another lane
    may assign the same one at this moment: that is run again.

    :param request: may be unsaved
    :param reserved: the keys of order ids that others are about to be given
    :return: values of the request; empty if it keeps its id
    """
    if request.order_ref:
        return {}
    name = _get_order_name(request)
    for number in count(1):
        ref = fit_order_ref(name, "" if number == 1 else f"-{number}")
        if ref in NO_ORDER_REFS:
            continue
        key = request.site_id._get_order_ref_key(ref)
        if key in reserved:
            continue
        used = [
            *OF_ORDERS,
            ("order_ref_key", "=", key),
            ("id", "!=", request._origin.id),
        ]
        if not request.search_count(used, limit=1):
            return {"order_ref": ref, "order_ref_key": key}
    return {}


def get_secret_order_ref(request):
    """Return an order id that nobody can guess, for one that is used in Matomo.

    A stranger may send orders of the names that come next.

    :return: values of the request
    """
    order = request._get_order()
    # sudo: the secret of the database.
    suffix = hmac(order.env(su=True), "matomo_order_ref", (order._name, order.id))[:8]
    ref = fit_order_ref(_get_order_name(request), f"-{suffix}")
    return {"order_ref": ref, "order_ref_key": request.site_id._get_order_ref_key(ref)}


def _get_order_name(request):
    """Return what an order is called in Matomo, with the prefix of its site."""
    prefix = request.site_id.order_prefix or ""
    return prefix + request._get_order()._get_matomo_order_name()
