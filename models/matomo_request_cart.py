import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL, format_datetime

from ..matomo_api.errors import MatomoError, Misconfigured
from ..matomo_api.tracking import Page, cart_parameters, tracking_url
from .guard import NOT_TO_SWALLOW
from .waiting import scaled

_logger = logging.getLogger(__name__)

# In Matomo a visit ends after this time without action; until then its cart can
# become its order.
VISIT = timedelta(minutes=30)
# So long a cart waits to learn whose it is.
VISITOR_WAIT = scaled(minutes=30)
MAX_CART_ATTEMPTS = 2
CART_RETRY = scaled(seconds=30)
# What a claimed update gets beyond its timeout before it is due again.
CART_LEASE_MARGIN = timedelta(seconds=5)


class MatomoRequest(models.Model):
    """Cart updates: queued by the shopper's request, sent when no order waits.

    A change only ever adds a row: nothing the sender may hold is touched, so that
    a shopper and the sender never wait for each other. What a cart holds is read
    when it is sent, and all rows of a cart that wait by then become one update.
    Nothing wakes the sender for a cart: its next run, within the minute, gathers
    what quick clicks have changed.
    """

    _inherit = "matomo.request"

    # === QUEUEING: INSIDE THE SHOPPER'S REQUEST === #

    @api.model
    def _queue_cart(self, cart, site, is_known):
        """Queue an update of the cart.

        :param is_known: whether it is clear whose the cart is; else it waits
        """
        now = fields.Datetime.now()
        self.create(
            {
                "kind": "cart",
                "sale_order_id": cart.id,
                "company_id": cart.company_id.id,
                "site_id": site.id,
                "channel": "web",
                "order_date": now,
                "next_attempt_date": not is_known and now + VISITOR_WAIT,
            }
        )

    @api.model
    def _has_waiting_cart(self, cart):
        """Whether an update of the cart waits to learn whose it is."""
        domain = [("next_attempt_date", "!=", False), ("attempt_count", "=", 0)]
        return bool(self.search_count(self._pending_carts(cart) + domain, limit=1))

    @api.model
    def _pending_carts(self, orders):
        return [
            ("kind", "=", "cart"),
            ("state", "=", "pending"),
            ("sale_order_id", "in", orders.ids),
        ]

    # === SENDING === #

    def _send_carts(self, site, client):
        """Send a site's due cart updates, as ``_send_site`` does its orders.

        Trouble is not worth stopping the site: orders find it out for themselves.
        Only wrong settings are, lest Matomo lock the sender out.
        """
        while rows := self._replay(lambda: self._claim_carts(site)):
            try:
                error = None
                answer = client.send_bulk(
                    [row.payload for row in rows], timeout=site.cart_timeout
                )
                if answer.invalid == len(rows):
                    client.probe(site.idsite, timeout=site.cart_timeout)
                self._replay(lambda r=rows, a=answer: r._settle_carts(a))
            except Misconfigured as trouble:
                error = trouble
                self._replay(lambda e=error: site._note_trouble(e))
                self._replay(lambda r=rows, e=error: r._release_carts(e))
            except MatomoError as trouble:
                error = trouble
                _logger.info("Carts are not in Matomo: %s", error)
                self._replay(lambda r=rows, e=error: r._release_carts(e))
            is_time_left = self._report_progress(len(rows))
            if error or not is_time_left:
                return is_time_left, bool(error)
        return True, False

    def _claim_carts(self, site):
        """Take due updates of the site, one for each cart, and build them."""
        now = fields.Datetime.now()
        until = now + timedelta(seconds=site.cart_timeout) + CART_LEASE_MARGIN
        while taken := self._lock_due(
            site, now, SQL("kind = 'cart'"), SQL("order_date DESC, id DESC")
        ):
            rows = taken._unite_carts(now)
            rows = rows.filtered(lambda row: row._take_cart(until))
            if rows:
                return rows
        return self.browse()

    def _unite_carts(self, now):
        """The newest row of each cart; what changed before is in it."""
        newest = self.browse(
            max(same.ids) for same in self.grouped("sale_order_id").values()
        )
        waiting = self.search(
            [
                *self._pending_carts(newest.sale_order_id),
                ("attempt_count", "=", 0),
                ("next_attempt_date", ">", now),
            ]
        )
        last_ids = {row.sale_order_id: row.id for row in newest}
        older = waiting.filtered(lambda row: row.id < last_ids[row.sale_order_id])
        (self - newest + older).unlink()
        return newest

    def _take_cart(self, until):
        """Build the row's request and keep it until then, in one UPDATE: see _take."""
        if not self._prepare_cart_attempt():
            return False
        self._update_state(
            "pending",
            next_attempt_date=until,
            attempt_count=self.attempt_count + 1,
            failure_type=False,
        )
        return True

    def _prepare_cart_attempt(self):
        """Decide whether this update is still worth sending, and build it."""
        self.ensure_one()
        try:
            # The savepoint keeps one cart's trouble from the rest of the batch.
            self.env.flush_all()
            with self.env.cr.savepoint(flush=False):
                return self._build_cart()
        except NOT_TO_SWALLOW:
            raise
        except Exception:
            # Whatever a cart's data breaks, its order will say it on its own row.
            _logger.exception("Cart %s cannot be prepared", self.sale_order_id)
            self._drop_cart(self.env._("The cart could not be prepared for Matomo."))
            return False

    def _build_cart(self):
        order, site = self.sale_order_id, self.site_id
        if not order._is_matomo_cart():
            self._drop_cart(
                self.env._("The cart has become an order or was cancelled.")
            )
            return False
        if self.attempt_count >= MAX_CART_ATTEMPTS:
            # A crash ended the last attempt.
            self._drop_cart(
                self.env._("Sending it failed; the next change is sent again.")
            )
            return False
        cart = order._prepare_matomo_cart(site, self.order_date)
        payload = cart_parameters(
            site.idsite,
            cart,
            order._prepare_matomo_visitor(site),
            Page(site._get_page_url("shop", "cart"), "Web shop cart"),
        )
        last = self._get_last_cart(order)
        if self._is_cart_sent(payload, last):
            self.unlink()
            return False
        if not cart.items and not last:
            self._drop_cart(
                self.env._("The cart was emptied before Matomo knew of it.")
            )
            return False
        self.write(
            {
                "payload": payload,
                "tracking_url": tracking_url(site.url, payload),
                "revenue": float(cart.revenue),
                "currency_id": site.currency_id.id,
            }
        )
        return True

    def _get_last_cart(self, order):
        """The last update of the cart that Matomo has, empty if it has none."""
        sent = order.matomo_request_ids.filtered(
            lambda row: row.kind == "cart" and row.state == "sent"
        )
        return sent.sorted(lambda row: (row.order_date, row.id))[-1:]

    def _is_cart_sent(self, payload, last):
        """Whether Matomo has this very content of this visit already."""
        sent = last.payload or {}
        names = ("cid", "revenue", "ec_items")
        return (
            all(payload[name] == sent.get(name) for name in names)
            and self.order_date - last.order_date < VISIT
        )

    # === SETTLING === #

    def _settle_carts(self, answer):
        """Write down what became of cart updates; none of them is read back."""
        details = {
            "duration_ms": answer.duration_ms,
            "answer_status": answer.status,
            "answer_text": answer.text,
        }
        if answer.tracked < len(self):
            self.write(details)
            self._put_off_carts("refused")
            return
        rows = self._update_state(
            "sent",
            next_attempt_date=False,
            failure_type=False,
            sent_date=fields.Datetime.now(),
            **details,
        )
        for row in rows:
            # The guide: "Tracked ecommerce cart update: URL was %s".
            _logger.info(
                "Tracked ecommerce cart update: URL was %s", row._get_url_for_log()
            )

    def _release_carts(self, error):
        self.write({"answer_status": error.status, "answer_text": error.text})
        self._put_off_carts("config" if isinstance(error, Misconfigured) else "network")

    def _put_off_carts(self, failure_type):
        """A second attempt, then none: the next change is the retry."""
        last = self.filtered(lambda row: row.attempt_count >= MAX_CART_ATTEMPTS)
        last._drop_cart(
            self.env._("Sending it failed; the next change is sent again."),
            failure_type=failure_type,
        )
        (self - last)._update_state(
            "pending",
            next_attempt_date=fields.Datetime.now() + CART_RETRY,
            failure_type=failure_type,
        )

    def _drop_cart(self, reason, **values):
        self._update_state(
            "cancelled", reason=reason, next_attempt_date=False, **values
        )

    # === CARTS AND THEIR ORDERS === #

    def _hold_for_carts(self, now):
        """The orders whose cart another lane is sending: they wait for it.

        A cart that arrived after its order would stand beside it as abandoned.
        """
        flying = self.search(
            [
                *self._pending_carts(self.sale_order_id),
                ("attempt_count", ">", 0),
                ("failure_type", "=", False),
                ("next_attempt_date", ">", now),
            ]
        )
        held = self.filtered(
            lambda row: row.kind == "order"
            and row.sale_order_id in flying.sale_order_id
        )
        if held:
            until = max(flying.mapped("next_attempt_date"))
            held.write({"next_attempt_date": until})
            self._wake_sender(at=until)
        return held

    def _get_cart_notes(self, order):
        """What the order's cart leaves behind in Matomo (MATOMO.md section 12)."""
        last = self._get_last_cart(self.sale_order_id)
        if not last or order.date_order - last.order_date < VISIT:
            return []
        return [
            order.env._(
                "Matomo goes on counting the cart of %s as abandoned: the order was "
                "confirmed in another visit.",
                format_datetime(order.env, last.order_date),
            )
        ]
