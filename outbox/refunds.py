"""Refunds, for sites that want them: one Matomo event for each.

Matomo knows no refunds: an order of negative revenue would count as one more order.
An event (category Ecommerce, action Refund) leaves orders and revenue alone
(docs/matomo.md section 12), but is not deduplicated (section 14): it is sent alone,
and looked for before it is sent a second time.
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from odoo import fields, models
from odoo.tools import SQL

from ..const import ACCEPTED_STATES
from ..matomo_api.delivery import Delivery
from ..matomo_api.tracking import refund_parameters, tracking_url
from . import kinds, schedule


class Refund(NamedTuple):
    """Something that is given back at a moment, in UTC.

    ``source`` gives it back: a POS order, or a sales order that is cancelled or has
    a credit note, ``move``. ``original`` is the order it was bought with.
    """

    source: models.BaseModel
    original: models.BaseModel
    moment: datetime
    move: models.BaseModel | None = None


# === QUEUEING: INSIDE THE REFUND'S TRANSACTION === #


def queue(env, refunds):
    """Queue refunds that are not queued yet, for sites that want them.

    :param refunds: list of ``Refund``
    :return: the requests that are new or wait again
    """
    requests = env["matomo.request"]
    sites = {refund.source: refund.source._get_matomo_site() for refund in refunds}
    refunds = [refund for refund in refunds if sites[refund.source].track_refunds]
    if not refunds:
        return requests
    sources = {}
    for refund in refunds:
        sources.setdefault(refund.source._matomo_order_field, []).append(
            refund.source.id
        )
    known = {
        (request._get_order(), request.refunded_id, request.refund_move_id): request
        for field_name, ids in sources.items()
        for request in requests.search(
            [("kind", "=", "refund"), (field_name, "in", ids)]
        )
    }
    changed, values = requests, []
    for refund in refunds:
        move = refund.move or env["account.move"]
        request = known.get((refund.source, refund.original, move))
        if not request:
            values.append(_prepare_request_values(refund, sites[refund.source]))
        elif request.state == "cancelled":
            # It was withdrawn, or its order was not in Matomo then.
            changed |= request._update_state(
                "pending", reason=False, order_date=refund.moment
            )
    changed |= requests.create(values)
    requests._wake_sender()
    return changed


def _prepare_request_values(refund, site):
    source = refund.source
    return {
        "kind": "refund",
        source._matomo_order_field: source.id,
        "refunded_id": _reference(refund.original),
        "refund_move_id": refund.move and refund.move.id,
        "company_id": source.company_id.id,
        "site_id": site.id,
        "channel": source._get_matomo_channel(),
        "order_date": refund.moment,
    }


def retrack(orders):
    """Queue the failed refunds of ``orders`` that Matomo is known not to have.

    :return: their requests
    """
    failed = orders.env["matomo.request"].search(
        [
            ("kind", "=", "refund"),
            ("state", "=", "failed"),
            (orders._matomo_order_field, "in", orders.ids),
        ]
    )
    return failed.filtered(lambda each: not each._may_count_twice())._update_state(
        "pending",
        payload=False,
        tracking_url=False,
        reason=False,
        failure_type=False,
        next_attempt_date=False,
    )


# === CLAIMING AND BUILDING === #


def claim(env, site):
    """Claim the oldest due refund of a site and build its request."""
    requests = env["matomo.request"]
    now = fields.Datetime.now()
    until = now + schedule.LEASE

    def start(part):
        return part.filtered(lambda request: request._start_attempt(until, _build))

    while due := kinds.lock_due(
        requests, site, now, SQL("kind = 'refund'"), SQL("order_date, id")
    ):
        if started := kinds.start_attempts(due[:1], start):
            return started
    return requests


KIND = kinds.register(
    kinds.Kind("refund", 20, "matomo.request", claim, Delivery.send_events)
)


def _build(request):
    """Build the event of a refund, unless nothing is given back.

    :return: whether there is something to send
    """
    original, source = request.refunded_id, request._get_order()
    recorded = _get_original_request(request)
    if reason := _get_withdrawal_reason(request, source):
        return _cancel(request, reason)
    if recorded.state == "pending":
        request.next_attempt_date = fields.Datetime.now() + schedule.ORDER_WAIT
        return False
    if recorded.state not in ACCEPTED_STATES:
        # What a till has settled may be counted elsewhere by now.
        source._matomo_enqueue_refunds()
        return _cancel(request, request.env._("What is refunded is not in Matomo."))
    left = recorded._get_sent_revenue() - _get_reported_amount(request)
    amount = min(_get_amount(request, source, left), left)
    if amount <= 0:
        return _cancel(
            request,
            request.env._("All that Matomo has of it is given back already."),
        )
    site = request.site_id
    payload = refund_parameters(
        site.idsite,
        recorded.order_ref,
        amount,
        request.order_date,
        original._prepare_matomo_visitor(site),
        original._get_matomo_page(site),
    )
    request.write(
        {
            "order_ref": recorded.order_ref,
            "payload": payload,
            "tracking_url": tracking_url(site.url, payload),
            "revenue": float(amount),
            "currency_id": site.currency_id.id,
        }
    )
    return True


def _cancel(request, reason):
    """There is nothing to send, for now; it may be queued again."""
    request._update_state("cancelled", reason=reason)
    return False


def _get_withdrawal_reason(request, source):
    """Return why a cancellation or a credit note gives nothing back any more."""
    if request.refund_move_id:
        is_withdrawn = request.refund_move_id.state != "posted"
        return is_withdrawn and request.env._("The credit note was withdrawn.")
    is_confirmed_again = (
        source == request.refunded_id and not source._is_matomo_withdrawn()
    )
    return is_confirmed_again and request.env._("The order was confirmed again.")


def _get_original_request(request):
    """Return the request by which Matomo has what is refunded."""
    original = request.refunded_id
    return request.search(
        [("kind", "=", "order"), (original._matomo_order_field, "=", original.id)]
    )


# === AMOUNTS === #


def _get_amount(request, source, left):
    """Return the amount that is given back, in the site's currency.

    :param left: what Matomo has of the original order, less what was given back
    """
    site = request.site_id
    if request.refund_move_id:
        return request.refund_move_id._get_matomo_refund_amount(source, site)
    return source._get_matomo_refund_amount(request.refunded_id, site, left)


def _get_reported_amount(request):
    """Return what other refunds of the original order have reported to Matomo."""
    others = request._get_refunds_of(request.refunded_id) - request
    return sum(
        (each._get_sent_revenue() for each in others if each._is_in_matomo()),
        Decimal(0),
    )


def _reference(order):
    return f"{order._name},{order.id}"
