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
from odoo.tools import SQL, format_amount

from ..const import ACCEPTED_STATES
from ..matomo_api.delivery import Delivery
from ..matomo_api.items import round_cents
from ..matomo_api.privacy import limit_shopper
from ..matomo_api.tracking import refund_parameters, tracking_url
from ..tools.billing import get_refunded
from . import kinds, schedule


class Refund(NamedTuple):
    """Something that is given back at a moment, in UTC.

    ``source`` gives it back: a POS order, or a sales order that is cancelled or has
    a credit note, ``move``. ``original`` is the order it was bought with.
    ``replacement`` is the invoice that was made together with the credit note, to
    replace what that reverses.
    """

    source: models.BaseModel
    original: models.BaseModel
    moment: datetime
    move: models.BaseModel | None = None
    replacement: models.BaseModel | None = None


# === QUEUEING: INSIDE THE REFUND'S TRANSACTION === #


def queue(env, refunds):
    """Queue refunds that are not queued yet, for sites that want them.

    A refund follows its original order: it goes to the site that has that.

    :param refunds: list of ``Refund``
    :return: the requests that are new or wait again
    """
    requests = env["matomo.request"]
    sites = {refund.original: get_site(refund.original) for refund in refunds}
    refunds = [refund for refund in refunds if sites[refund.original].track_refunds]
    if not refunds:
        return requests
    known = {
        _get_key(request._get_order(), request.refunded_id, request.refund_move_id): (
            request
        )
        for request in requests._get_refunds_of({each.original for each in refunds})
        # Of a credit note that was deleted nothing is known.
        if request.refund_move_id or not request.is_credit_note
    }
    changed, values = requests, []
    for refund in refunds:
        request = known.get(_get_key(refund.source, refund.original, refund.move))
        if not request:
            values.append(_prepare_request_values(refund, sites[refund.original]))
            continue
        if refund.replacement and not request.replacement_move_id:
            request.replacement_move_id = refund.replacement
        if request.state == "cancelled" and not request.is_left_out:
            # It was withdrawn, or its order was not in Matomo then.
            changed |= request._update_state(
                "pending",
                reason=False,
                order_date=refund.moment,
                site_id=sites[refund.original].id,
                next_attempt_date=False,
            )
    changed |= requests.create(values)
    if changed:
        requests._wake_sender()
    return changed


def _get_key(source, original, move):
    return source, original, move.id if move else None


def get_site(original):
    """Return the ``matomo.site`` that has an order, or will have it."""
    return original._get_matomo_request().site_id or original._get_matomo_own_site()


def _prepare_request_values(refund, site):
    source = refund.source
    return {
        "kind": "refund",
        source._matomo_order_field: source.id,
        "refunded_id": _reference(refund.original),
        "is_credit_note": bool(refund.move),
        "refund_move_id": refund.move and refund.move.id,
        "replacement_move_id": refund.replacement and refund.replacement.id,
        "company_id": refund.original.company_id.id,
        "site_id": site.id,
        "channel": source._get_matomo_channel(),
        "order_date": refund.moment,
    }


def note_changes(requests):
    """Note on each refund that Matomo has how Odoo's documents have changed since.

    Matomo takes no event back. What it has too much of a credit note is subtracted
    from the next one.

    :param requests: all refunds of the orders that are concerned
    """
    accepted = requests.filtered(lambda request: request.state in ACCEPTED_STATES)
    credit_notes = accepted.filtered("is_credit_note")
    for request in accepted - credit_notes:
        _note(request, _is_confirmed_again(request) and _get_again_note(request))
    for original in {request.refunded_id for request in credit_notes}:
        _note_credit_notes(
            credit_notes.filtered(lambda each, of=original: each.refunded_id == of)
        )


def _note_credit_notes(requests):
    """Note changes on the requests of all credit notes of an order."""
    refunded = _get_refunded_amount(requests[0], _get_original_request(requests[0]))
    excess = sum(request._get_sent_revenue() for request in requests) - refunded
    credited = {request: _get_credited_now(request) for request in requests}
    # First those that were changed themselves, then the newest.
    for request in requests.sorted("id", reverse=True).sorted(
        lambda each: credited[each] >= each._get_sent_revenue()
    ):
        sent, now, note = request._get_sent_revenue(), credited[request], False
        if _is_withdrawn(request):
            note = request.env._(
                "The credit note was withdrawn after Matomo had this refund. Matomo "
                "cannot take it back: the next credit note is reported with less."
            )
            excess -= sent
        elif now < sent or (now > sent and excess < 0):
            note = request.env._(
                "Matomo has %(has)s, the credit note is now of %(now)s. Matomo cannot "
                "change it.",
                has=format_amount(request.env, float(sent), request.currency_id),
                now=format_amount(request.env, float(now), request.currency_id),
            )
            excess -= sent - now
        elif excess > 0:
            note = request.env._(
                "What the credit note credits was invoiced again after Matomo had this "
                "refund. Matomo cannot take it back: the next credit note is reported "
                "with less."
            )
            excess -= sent
        _note(request, note)


def _get_credited_now(request):
    if _is_withdrawn(request):
        return Decimal(0)
    return _get_document(request, request.refund_move_id).credited


def _get_again_note(request):
    return request.env._(
        "The order was confirmed again after Matomo had this refund. Matomo cannot "
        "take it back."
    )


def _note(request, note):
    if (request.notes or False) != note:
        request.notes = note


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
    return send_again(failed)


def send_again(refunds):
    """Queue refunds anew that Matomo is known not to have, or may be asked for.

    :return: the requests that are queued
    """
    return refunds.filtered(
        lambda each: not each._may_count_twice(each.order_date)
    )._update_state(
        "pending",
        payload=False,
        tracking_url=False,
        reason=False,
        failure_type=False,
        next_attempt_date=False,
    )


# === CLAIMING AND BUILDING === #


def claim(env, site):
    """Claim the oldest due refund of a site and build its request; see ``Kind``."""
    requests = env["matomo.request"]
    now = fields.Datetime.now()
    until = now + schedule.LEASE

    def start(part):
        return part._start_attempts(until, _build)

    due = kinds.lock_due(
        requests, site, now, SQL("kind = 'refund'"), SQL("order_date, id")
    )
    return kinds.start_attempts(due[:1], start) if due else None


KIND = kinds.register(
    kinds.Kind("refund", 20, "matomo.request", claim, Delivery.send_events)
)


def _build(request):
    """Build the event of a refund, unless nothing is given back.

    :return: values of the request; nothing if there is nothing to send
    """
    original, source = request.refunded_id, request._get_order()
    recorded = _get_original_request(request)
    _lock_refunds(request, original)
    if reason := _get_withdrawal_reason(request, source):
        return _cancel(request, reason)
    if recorded.site_id and recorded.site_id != request.site_id:
        # Its order was sent to another site meanwhile, whose turn it is now.
        request.site_id = recorded.site_id
        request._wake_sender()
        return False
    if recorded.state == "pending":
        request.next_attempt_date = fields.Datetime.now() + schedule.ORDER_WAIT
        return False
    if recorded.state not in ACCEPTED_STATES:
        # What a till has settled may be counted elsewhere by now.
        source._matomo_enqueue_refunds()
        return _cancel(request, request.env._("What is refunded is not in Matomo."))
    left = recorded._get_recorded_revenue() - _get_reported_amount(request)
    if request.is_credit_note:
        amount = min(_get_credited_amount(request, recorded), left)
        if amount > 0 and _waits_for_draft(request, recorded, amount):
            return False
        _queue_rest(request, recorded, amount)
    else:
        amount = source._get_matomo_refund_amount(original, request.site_id, left)
        amount = min(amount, left)
    if amount <= 0:
        return _cancel(request, _get_nothing_reason(request, left))
    site = request.site_id
    # Either may be the one whose person was deleted.
    told_by = request if request._forgets_shopper() else recorded
    payload = refund_parameters(
        site.idsite,
        recorded.order_ref,
        amount,
        request.order_date,
        told_by._prepare_visitor(original),
        original._get_matomo_page(site),
    )
    # Matomo may exclude what its order had to be sent without, or erased the shopper.
    payload = limit_shopper(payload, told_by._get_told_parameters())
    return {
        "order_ref": recorded.order_ref,
        "payload": payload,
        "tracking_url": tracking_url(site.url, payload),
        "revenue": float(round_cents(amount)),
        # Its order's: the site may have another one since.
        "currency_id": recorded.currency_id.id,
    }


def _cancel(request, reason):
    """There is nothing to send, for now; it may be queued again."""
    request._update_state("cancelled", reason=reason)
    return False


def _lock_refunds(request, original):
    """Keep the other refunds of an order from being built meanwhile.

    Two lanes, each building one of them without seeing the other's amount, could
    report more than the order has. The lane that comes second starts over.
    """
    request.env.cr.execute(
        SQL(
            """
            SELECT id FROM matomo_request
             WHERE kind = 'refund' AND refunded_id = %s
          ORDER BY id
               FOR NO KEY UPDATE
            """,
            _reference(original),
        ),
        log_exceptions=False,
    )


def _queue_rest(request, recorded, amount):
    """Queue the other credit notes of an order once this one leaves something to them.

    A down payment was credited while the order stood, and the rest of it is now.

    :param amount: what this credit note reports
    """
    refunded = _get_refunded_amount(request, recorded)
    reported = _get_reported_amount(request, credit_notes_only=True)
    if refunded - reported - max(amount, 0) <= 0:
        return
    others = request._get_refunds_of(request.refunded_id).filtered(
        lambda each: each.is_credit_note
        and each.id < request.id
        and each.state == "cancelled"
        and not each.is_left_out
        and not _is_withdrawn(each)
    )
    others._update_state("pending", reason=False, next_attempt_date=False)


def _waits_for_draft(request, recorded, amount):
    """Defer a credit note of which a draft invoice would bill something anew.

    The draft may be posted soon, and Matomo takes no event back. It does not wait for
    ever: a draft that is forgotten refunds nobody.

    :param amount: what is refunded without the draft
    :return: whether it is deferred
    """
    now = fields.Datetime.now()
    if now >= request.order_date + schedule.MAX_DRAFT_WAIT:
        return False
    if _get_credited_amount(request, recorded, with_drafts=True) >= amount:
        return False
    date = now + schedule.DRAFT_WAIT
    request._update_state(
        "pending",
        reason=request.env._(
            "A draft invoice bills what this credit note credits. If the draft is "
            "posted, nothing is refunded; if it is deleted or cancelled, or after %s "
            "days, the refund is sent.",
            schedule.MAX_DRAFT_WAIT.days,
        ),
        next_attempt_date=date,
    )
    request._wake_sender(at=date)
    return True


def _get_withdrawal_reason(request, source):
    """Return why a cancellation or a credit note gives nothing back any more."""
    if request.is_credit_note:
        return _is_withdrawn(request) and request.env._(
            "The credit note was withdrawn."
        )
    return _is_confirmed_again(request) and request.env._(
        "The order was confirmed again."
    )


def _is_withdrawn(request):
    """Return whether the credit note of a request is no longer posted, or gone."""
    return request.refund_move_id.state != "posted"


def _is_confirmed_again(request):
    source = request._get_order()
    return source == request.refunded_id and not source._is_matomo_withdrawn()


def _get_nothing_reason(request, left):
    """Return why a refund has nothing to report.

    :param left: what Matomo has of the order and was not refunded
    """
    env = request.env
    if left <= 0 or not request.is_credit_note:
        return env._("All that Matomo has of it is given back already.")
    document = _get_document(request, request.refund_move_id)
    if document.down_payments and not document.goods:
        return env._("It credits a down payment: the order stands.")
    if _get_reported_amount(request):
        return env._("What is refunded of the order is in Matomo already.")
    return env._("What it credits was invoiced again.")


def _get_original_request(request):
    """Return the request by which Matomo has what is refunded."""
    original = request.refunded_id
    return request.search(
        [("kind", "=", "order"), (original._matomo_order_field, "=", original.id)]
    )


# === AMOUNTS === #


def _get_credited_amount(request, recorded, with_drafts=False):
    """Return what the credit note of a request refunds, in the site's currency.

    That is what it credits, at most what the order's documents refund in all and no
    other credit note has reported.

    :param recorded: the request by which Matomo has the order
    :param with_drafts: whether draft invoices count as posted
    """
    refunded = _get_refunded_amount(request, recorded, with_drafts)
    reported = _get_reported_amount(request, credit_notes_only=True)
    credited = _get_document(request, request.refund_move_id).credited
    return min(credited, refunded - reported)


def _get_refunded_amount(request, recorded, with_drafts=False):
    """Return what the order's documents refund of it, see ``tools.billing``."""
    original = request.refunded_id
    replacements = request._get_refunds_of(original).replacement_move_id
    documents = [
        _get_document(request, move, is_replacement=move in replacements)
        for move in original._get_matomo_documents() | replacements
        if move.state == "posted"
        or (with_drafts and move.state == "draft" and move.move_type == "out_invoice")
    ]
    documents += original._get_matomo_till_documents(request.site_id)
    return get_refunded(recorded._get_recorded_revenue(), documents)


def _get_document(request, move, is_replacement=False):
    return move._get_matomo_document(
        request.refunded_id, request.site_id, is_replacement
    )


def _get_reported_amount(request, credit_notes_only=False):
    """Return what other refunds of the original order have reported to its site."""
    others = request._get_refunds_of(request.refunded_id) - request
    return sum(
        (
            each._get_sent_revenue()
            for each in others
            if each._is_in_matomo()
            and each.site_id == request.site_id
            and (each.is_credit_note or not credit_notes_only)
        ),
        Decimal(0),
    )


def _reference(order):
    return f"{order._name},{order.id}"
