"""Cart updates: queued by the shopper's request, sent when no order waits.

What a cart holds is read when it is sent, so that one update waits for all changes
until then, however many a robot makes. A shopper and the sender never wait for each
other: a change that finds the update held by the sender adds another one. Nothing
wakes the sender for a cart: its next run, within the minute, gathers what quick clicks
have changed.
"""

from datetime import timedelta
from itertools import zip_longest

from psycopg2 import errors

from odoo import fields
from odoo.tools import SQL, format_datetime

from ..const import ACCEPTED_STATES
from ..matomo_api.delivery import Delivery
from ..matomo_api.tracking import (
    Page,
    cart_parameters,
    get_visitor_id,
    tracking_url,
)
from . import kinds, schedule

# Why an update of a cart is not sent: it is no cart any more, the shopper has said no,
# Matomo has this content, or never knew of the cart that is empty now.
SOLD, REFUSED, KNOWN, EMPTY = "sold", "refused", "known", "empty"

# === QUEUEING: INSIDE THE SHOPPER'S REQUEST === #


def queue(cart, site, is_known):
    """Queue an update of a cart.

    :param is_known: whether it is clear whose the cart is; else the update waits
    """
    now = fields.Datetime.now()
    if _gather(cart, site, now, is_known):
        return
    cart.env["matomo.cart.update"].create(
        {
            "sale_order_id": cart.id,
            "company_id": cart.company_id.id,
            "site_id": site.id,
            "changed_date": now,
            "next_attempt_date": not is_known and now + schedule.VISITOR_WAIT,
        }
    )


def _gather(cart, site, now, is_known):
    """Let an update of the cart that waits stand for this change, too.

    It is locked until the shopper's transaction ends, so that the sender reads what the
    cart holds after the change. If the sender has claimed it meanwhile, the change
    needs an update of its own.

    :return: whether there is one
    """
    cr = cart.env.cr
    try:
        # A conflict ends the savepoint alone: Odoo would run the whole request again.
        with cr.savepoint(flush=False):
            cr.execute(
                SQL(
                    """
                    UPDATE matomo_cart_update
                       SET changed_date = %s,
                           partner_id = %s,
                           next_attempt_date =
                               CASE WHEN %s THEN NULL ELSE next_attempt_date END
                     WHERE id = (
                        SELECT id FROM matomo_cart_update
                         WHERE sale_order_id = %s AND site_id = %s
                           AND state = 'pending' AND COALESCE(attempt_count, 0) = 0
                      ORDER BY id DESC
                         LIMIT 1
                           FOR NO KEY UPDATE SKIP LOCKED)
                 RETURNING id
                    """,
                    now,
                    cart.partner_id.id,
                    is_known,
                    cart.id,
                    site.id,
                ),
                log_exceptions=False,
            )
            found = [id_ for (id_,) in cr.fetchall()]
    except errors.SerializationFailure:
        return False
    cart.env["matomo.cart.update"].browse(found).invalidate_recordset(flush=False)
    return bool(found)


def delete(carts):
    """Delete the updates of these carts, except those that are locked right now.

    :return: whether all of them are deleted
    """
    updates = carts.matomo_cart_update_ids
    free = updates.try_lock_for_update()
    free.unlink()
    return free == updates


def has_waiting(cart):
    """Return whether an update of the cart waits to learn whose it is."""
    domain = [("next_attempt_date", "!=", False), ("attempt_count", "=", 0)]
    updates = cart.env["matomo.cart.update"]
    return bool(updates.search_count(_pending_domain(cart) + domain, limit=1))


def _pending_domain(carts):
    return [("state", "=", "pending"), ("sale_order_id", "in", carts.ids)]


# === CLAIMING AND BUILDING === #


def claim(env, site):
    """Claim due updates of a site, one for each cart, and build them; see ``Kind``."""
    updates = env["matomo.cart.update"]
    now = fields.Datetime.now()
    until = now + timedelta(seconds=site.cart_timeout) + schedule.CART_LEASE_MARGIN

    def start(part):
        return part.filtered(lambda update: update._start_attempt(until, _build))

    due = kinds.lock_due(
        updates, site, now, SQL("TRUE"), SQL("changed_date DESC, id DESC")
    )
    return kinds.start_attempts(_unite(due, now), start) if due else None


KIND = kinds.register(
    kinds.Kind(
        "cart",
        30,
        "matomo.cart.update",
        claim,
        Delivery.send_carts,
        schedule.get_cart_patience,
    )
)


def _unite(updates, now):
    """Return the newest update of each cart; what changed before is in it."""
    newest = updates.browse(
        max(same.ids) for same in updates.grouped("sale_order_id").values()
    )
    waiting = updates.search(
        [
            *_pending_domain(newest.sale_order_id),
            ("attempt_count", "=", 0),
            ("next_attempt_date", ">", now),
        ]
    )
    newest_ids = {update.sale_order_id: update.id for update in newest}
    older = waiting.filtered(
        lambda update: update.id < newest_ids[update.sale_order_id]
    )
    (updates - newest + older).unlink()
    return newest


def _build(update):
    """Build the request of an update, unless it is no longer worth sending.

    :return: whether there is something to send
    """
    order = update.sale_order_id
    obstacle = find_obstacle(order)
    if obstacle == SOLD:
        update._cancel(
            update.env._(
                "It is not sent: the cart has become an order, or is cancelled."
            )
        )
        return False
    if obstacle == REFUSED:
        # The shopper has said no since the update was queued.
        update.unlink()
        return False
    if update.attempt_count >= schedule.MAX_CART_ATTEMPTS:
        # A crash ended the last attempt.
        update._give_up()
        return False
    values = prepare_values(order, update.site_id, update.changed_date)
    obstacle = find_redundancy(order, update.changed_date, values["payload"])
    if obstacle == KNOWN:
        update.unlink()
        return False
    if obstacle == EMPTY:
        update._cancel(update.env._("The cart was emptied before Matomo knew of it."))
        return False
    update.write(values)
    return True


def find_obstacle(order):
    """Return why no update of an order is sent, whatever it holds.

    :return: SOLD, REFUSED, or None if one may be sent
    """
    if not order._is_matomo_cart():
        return SOLD
    return REFUSED if order._has_matomo_refusal() else None


def prepare_values(order, site, time):
    """Return the values of an update of a cart: what is sent.

    Nothing is written: ``outbox/preview.py`` calls it, too.

    :param time: when the cart changed, naive UTC
    """
    cart = order._prepare_matomo_cart(site, time)
    payload = cart_parameters(
        site.idsite,
        cart,
        order._prepare_matomo_visitor(site),
        Page(site._get_page_url("shop", "cart"), "Web shop cart"),
    )
    return {
        "payload": payload,
        "tracking_url": tracking_url(site.url, payload),
        "revenue": float(cart.revenue),
        "currency_id": site.currency_id.id,
    }


def find_redundancy(order, time, payload):
    """Return why an update says nothing that Matomo does not know.

    :param time: when the cart changed, naive UTC
    :param payload: of ``prepare_values``
    :return: KNOWN, EMPTY, or None if it is worth sending
    """
    last = get_last_sent(order)
    if _is_sent(payload, time, last):
        return KNOWN
    return EMPTY if payload["ec_items"] == "[]" and not last else None


def get_last_sent(order):
    """Return the last update of a cart that Matomo has, empty if it has none."""
    sent = order.matomo_cart_update_ids.filtered(lambda each: each.state == "sent")
    return sent.sorted(lambda each: (each.changed_date, each.id))[-1:]


def _is_sent(payload, time, last):
    """Return whether Matomo has this very content of this visit already."""
    sent = last.payload or {}
    names = ("revenue", "ec_items")
    return (
        get_visitor_id(payload) == get_visitor_id(sent)
        and all(payload[name] == sent.get(name) for name in names)
        and time - last.changed_date < schedule.VISIT
    )


# === CARTS AND THEIR ORDERS === #


def defer_orders(requests, now):
    """Defer orders whose cart another lane is sending; return their requests.

    A cart that arrived after its order would stand beside it as abandoned.
    """
    in_flight = requests.env["matomo.cart.update"].search(
        [
            *_pending_domain(requests.sale_order_id),
            ("attempt_count", ">", 0),
            ("failure_type", "=", False),
            ("next_attempt_date", ">", now),
        ]
    )
    if not in_flight:
        return requests.browse()
    deferred = requests.filtered(
        lambda request: request.sale_order_id in in_flight.sale_order_id
    )
    if deferred:
        until = max(in_flight.mapped("next_attempt_date"))
        deferred.write({"next_attempt_date": until})
        deferred._wake_sender(at=until)
    return deferred


def get_bought_later(env, site, start, end):
    """Return the carts that Matomo counts as abandoned although they were bought.

    Matomo keeps one cart for each visit, and only an order of the same visit takes it
    back (docs/matomo.md section 12).

    :param start: of the days of the carts, naive UTC, inclusive
    :param end: naive UTC, exclusive
    :return: the last update of each such visit, ``matomo.cart.update``
    """
    updates = env["matomo.cart.update"].search(
        [
            ("site_id", "=", site.id),
            ("state", "=", "sent"),
            ("changed_date", ">=", start),
            ("changed_date", "<", end + schedule.VISIT),
            ("sale_order_id.state", "=", "sale"),
        ],
        order="changed_date, id",
    )
    rows = updates.sale_order_id._get_matomo_requests()
    found = updates.browse()
    for order, same in updates.grouped("sale_order_id").items():
        request = rows.get(order.id)
        if not request or request.state not in ACCEPTED_STATES:
            continue
        for update, following in zip_longest(same, same[1:]):
            last = following and following.changed_date or request.order_date
            if update.changed_date < end and (
                last - update.changed_date >= schedule.VISIT
            ):
                found |= update
    return found


def get_adjustments(order, time):
    """Return sentences on what an order's cart leaves behind in Matomo.

    :param order: of any model; only web shop orders have carts
    :param time: at which Matomo gets the order, naive UTC
    """
    last = get_last_sent(order) if order._name == "sale.order" else None
    if not last or time - last.changed_date < schedule.VISIT:
        return []
    # Matomo keeps one cart for each visit (docs/matomo.md section 12).
    return [
        order.env._(
            "Matomo goes on counting the cart of %s as abandoned: the order was "
            "confirmed in another visit.",
            format_datetime(order.env, last.changed_date),
        )
    ]
