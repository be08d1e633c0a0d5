"""What would be sent of an order or a cart, and why, before it is sent.

The values are prepared by the functions that the sender calls, for a request that is
not saved: nothing is written, locked, logged or asked of Matomo.
"""

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from odoo import fields

from ..const import ACCEPTED_STATES, Verdict
from ..matomo_api.items import get_left_out_categories
from ..tools.preview import Change, Situation, find_changes, get_stage
from . import carts
from .orders import get_free_order_ref, prepare_values


@dataclass(frozen=True)
class Preview:
    """What would be sent, and why.

    :ivar stage: a key of ``tools.preview.STAGES``, of a cart of ``CART_STAGES``
    :ivar reason: why it waits or is not sent, in sentences; "" without one
    :ivar values: of the request that would be sent; empty if none would be
    :ivar notes: sentences on what is sent otherwise than the order says
    :ivar sent: the request of the order if Matomo has it; nothing of a cart
    :ivar changes: what would be sent otherwise now
    """

    stage: str
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sent: Any = None
    changes: list[Change] = field(default_factory=list)


# === ORDERS === #


def preview_order(order):
    """Return the ``Preview`` of an order.

    An order that is still open is looked at as if it were confirmed now.

    :param order: in sudo, in the language of the reader
    """
    request = order._get_matomo_request()
    with _assume_sale(order) as is_open:
        is_sale = order._is_matomo_sale()
        verdict, site = _decide(order, request)
        is_tracked = verdict.state != "excluded"
        values, notes = {}, []
        if is_sale and is_tracked:
            values, notes = _prepare(order, request, site)
    is_accepted = request.state in ACCEPTED_STATES
    changes = _find_changes(request, values) if is_accepted and values else []
    frozen = request.state == "pending" and request._has_payload()
    waiting = _get_waiting_reason(request, site)
    stage = get_stage(
        Situation(
            is_sale=is_sale,
            is_open=is_open,
            is_tracked=is_tracked,
            state=request.state or "",
            is_left_out=request.is_left_out,
            is_waiting=bool(waiting),
            is_frozen=frozen,
            is_known=bool(request.payload),
            is_changed=bool(changes),
        )
    )
    if stage in ("elsewhere", "left_out", "no_longer", "no_sale"):
        values, notes, changes = {}, [], []
    elif frozen:
        values, notes = _read_values(request), _get_notes(request)
    return Preview(
        stage=stage,
        reason=_get_reason(order, request, stage, verdict, waiting),
        values=values,
        notes=notes,
        sent=request if is_accepted else request.browse(),
        changes=changes,
    )


@contextmanager
def _assume_sale(order):
    """Let an order that is still open count, in the cache alone.

    :return: whether it is still open
    """
    values = order._get_matomo_assumed_values()
    # What the caller has changed is the caller's; what is assumed here is dropped.
    if values:
        order.flush_recordset()
    for name, value in values.items():
        order_field = order._fields[name]
        cached = order_field.convert_to_cache(value, order)
        order_field._update_cache(order, cached)
    try:
        yield bool(values)
    finally:
        if values:
            order.invalidate_recordset(flush=False)


def _decide(order, request):
    """Return the ``Verdict`` of this moment and the site, as the sender decides.

    Once an order is queued its site and its time are decided.
    """
    if request.state in ("pending", *ACCEPTED_STATES):
        verdict = order._get_matomo_content_verdict() or Verdict("pending")
        return verdict, request.site_id
    return order._get_matomo_verdict()


def _prepare(order, request, site):
    """Return the values that the sender would write, and the notes on them.

    :param request: the order's, perhaps an empty recordset
    """
    known = {
        "kind": "order",
        order._matomo_order_field: order.id,
        "company_id": order.company_id.id,
        "site_id": site.id,
    }
    is_elsewhere = request and request.site_id != site
    # A request of another site gets an ID there.
    no_ref = {"order_ref": False, "order_ref_key": False} if is_elsewhere else {}
    draft = request.new({**known, **no_ref}, origin=request)
    values = get_free_order_ref(draft)
    ref = values.get("order_ref", draft.order_ref)
    values |= prepare_values(draft, order, ref)
    shown = request.new({**known, **values})
    amounts = order._prepare_matomo_amounts(site)
    return values, [*_get_notes(shown), *_explain(order, site, amounts)]


def _find_changes(request, values):
    """Return what would be sent otherwise now than an accepted request was."""
    if not request.payload:
        return []
    # A visitor that was deleted since, or one at random, cannot be compared.
    has_visitor = not request._forgets_shopper() and not request.missing_count
    return find_changes(request.payload, values["payload"], has_visitor)


def _read_values(request):
    """Return the values of a request that was built before."""
    names = ("payload", "tracking_url", "revenue", "order_date")
    return {
        **{name: request[name] for name in names},
        "currency_id": request.currency_id.id,
    }


def _get_notes(request):
    notes = (request.notes or "").splitlines()
    return [*notes, *filter(None, [request._get_conversion_sentence()])]


def _explain(order, site, amounts):
    """Return sentences on lines and categories that Matomo does not get one by one."""
    env = order.env
    notes = _explain_sums(order)
    notes += [
        env._(
            "%(product)s: %(count)s lines of the order are sent as one item, because "
            "Matomo keeps one item for each SKU (%(sku)s).",
            product=merged.item.name,
            count=merged.line_count,
            sku=merged.item.sku,
        )
        for merged in amounts.items
        if merged.line_count > 1
    ]
    lines = order._matomo_lines().filtered(
        lambda line: not order._is_matomo_delivery(line)
    )
    for product in lines.product_id.with_context(lang=site.lang_id.code):
        names = order._get_matomo_category_names(product)
        if left_out := get_left_out_categories(names):
            notes.append(
                env._(
                    "%(product)s: Matomo keeps five categories of a product. Left out: "
                    "%(categories)s.",
                    product=product.with_context(
                        display_default_code=False
                    ).display_name,
                    categories=", ".join(left_out),
                )
            )
    return notes


def _explain_sums(order):
    """Return sentences on the lines that are sent as a sum, and are no items."""
    env = order.env
    deliveries, discounts = [], []
    for part in order._get_matomo_counted_amounts():
        product = part.line.product_id.with_context(display_default_code=False)
        name = product.display_name or part.line.name or ""
        if order._is_matomo_delivery(part.line):
            deliveries.append(name)
        elif part.is_discount:
            discounts.append(name)
    notes = []
    if deliveries:
        names = ", ".join(dict.fromkeys(deliveries))
        notes.append(env._("Sent as Shipping, not as items: %s.", names))
    if discounts:
        names = ", ".join(dict.fromkeys(discounts))
        notes.append(env._("Sent as Discount, not as items: %s.", names))
    return notes


def _get_waiting_reason(request, site):
    """Return why a request waits, or would, and until when; "" if it does not."""
    if request.state != "pending":
        return site._get_waiting_reason(request.env, names_site=True)
    reason = request._get_waiting_reason(names_site=True)
    date = request.next_attempt_date
    if not reason and date and date > fields.Datetime.now():
        return request.reason or ""
    return reason


def _get_reason(order, request, stage, verdict, waiting):
    """Return the sentences that the stage shows besides its own."""
    if stage in ("left_out", "failed"):
        return request.reason or ""
    if stage in ("not_tracked", "no_longer"):
        return verdict.reason or order.env._("The order no longer counts in Odoo.")
    return waiting


# === CARTS === #


def preview_cart(order):
    """Return the ``Preview`` of the next update of a cart.

    :param order: a ``sale.order``, in sudo, in the language of the reader
    """
    site = order._get_matomo_own_site()
    if not site:
        reason = order._get_matomo_foreign_site_reason()
        reason = reason or order._get_matomo_no_site_reason()
        return Preview("no_site", reason=reason)
    if obstacle := carts.find_obstacle(order):
        return Preview(obstacle)
    if not site.track_carts:
        return Preview("off")
    queued = order.matomo_cart_update_ids.filtered(
        lambda update: update.state == "pending" and update.site_id == site
    )[:1]
    time = queued.changed_date or fields.Datetime.now()
    values = carts.prepare_values(order, site, time)
    if redundancy := carts.find_redundancy(order, time, values["payload"]):
        return Preview(redundancy)
    amounts = order._prepare_matomo_amounts(site)
    waiting = site._get_waiting_reason(order.env, names_site=True)
    return Preview(
        stage="waiting" if waiting else "queued" if queued else "idle",
        reason=waiting,
        values={**values, "order_date": time},
        notes=[
            *order._get_matomo_adjustments(amounts),
            *_explain(order, site, amounts),
        ],
    )
