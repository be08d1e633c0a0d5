import logging
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from odoo import api, fields, models
from odoo.tools import SQL

from ..matomo_api.errors import (
    MatomoError,
    Misconfigured,
    ServerTrouble,
    Unreachable,
)
from ..matomo_api.reading import is_refund_recorded
from ..matomo_api.tracking import refund_parameters, tracking_url
from .matomo_request import ACCEPTED_STATES
from .matomo_request_send import LEASE
from .matomo_site_health import Unreadable
from .waiting import scaled

_logger = logging.getLogger(__name__)

# So long a refund waits for its order to be in Matomo.
ORDER_WAIT = scaled(minutes=15)
# So long one waits that Matomo may have, until the token may read whether it has.
UNREADABLE_WAIT = scaled(hours=1)


class Refund(NamedTuple):
    """Something that is given back at a moment, in UTC.

    ``order`` gives it back: a till sale, or a sales order that is cancelled or has a
    credit note, ``move``. ``refunded`` is what it was bought with.
    """

    order: models.BaseModel
    refunded: models.BaseModel
    moment: datetime
    move: models.BaseModel | None = None


class MatomoRequest(models.Model):
    """Refunds, for sites that want them: one Matomo event for each.

    Matomo knows no refunds: an order of negative revenue would count as one more
    order. An event (category Ecommerce, action Refund) leaves orders and revenue
    alone (MATOMO.md section 12), but is not deduplicated (section 14): it is sent
    alone, and looked for before it is sent a second time.
    """

    _inherit = "matomo.request"

    refund_move_id = fields.Many2one(
        "account.move",
        string="Credit Note",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    refunded_id = fields.Reference(
        [("sale.order", "Sales Order"), ("pos.order", "POS Order")],
        string="Refund Of",
        readonly=True,
        help="The order of which this gives something back.",
    )
    # One event for each cancellation, credit note, and order a till takes back from.
    _sale_refund_unique = models.UniqueIndex(
        "(sale_order_id, COALESCE(refund_move_id, 0))"
        " WHERE kind = 'refund' AND sale_order_id IS NOT NULL"
    )
    _pos_refund_unique = models.UniqueIndex(
        "(pos_order_id, refunded_id) WHERE kind = 'refund'"
    )
    # All that is given back of an order.
    _refunded_index = models.Index("(refunded_id) WHERE kind = 'refund'")

    # === QUEUEING: INSIDE THE REFUND'S TRANSACTION === #

    @api.model
    def _queue_refunds(self, refunds):
        """Queue refunds that have no row yet, for sites that want them.

        :param refunds: list of ``Refund``
        """
        sites = {refund.order: refund.order._get_matomo_site() for refund in refunds}
        refunds = [refund for refund in refunds if sites[refund.order].track_refunds]
        if not refunds:
            return self.browse()
        known = {
            (row._get_order(), row.refunded_id, row.refund_move_id): row
            for row in self.search(
                [
                    ("kind", "=", "refund"),
                    "|",
                    ("sale_order_id", "in", _ids(refunds, "sale.order")),
                    ("pos_order_id", "in", _ids(refunds, "pos.order")),
                ]
            )
        }
        moves = self.env["account.move"]
        rows, values = self.browse(), []
        for order, refunded, moment, move in refunds:
            row = known.get((order, refunded, move or moves))
            if not row:
                values.append(
                    {
                        "kind": "refund",
                        order._matomo_order_field: order.id,
                        "refunded_id": _reference(refunded),
                        "refund_move_id": move and move.id,
                        "company_id": order.company_id.id,
                        "site_id": sites[order].id,
                        "channel": order._get_matomo_channel(),
                        "order_date": moment,
                    }
                )
            elif row.state == "cancelled":
                # It was taken back, or its order was not in Matomo then.
                rows |= row._update_state("pending", reason=False, order_date=moment)
        rows |= self.create(values)
        self._wake_sender()
        return rows

    def _update_state(self, state, **values):
        """Override to give back what was cancelled while it was on its way."""
        before = self.filtered(
            lambda row: row.kind == "order"
            and row.state not in ACCEPTED_STATES
            and row.site_id.track_refunds
        )
        changed = super()._update_state(state, **values)
        if state in ACCEPTED_STATES:
            orders = (changed & before).sale_order_id
            orders.filtered(lambda o: o.state == "cancel")._matomo_enqueue_refunds()
        return changed

    # === SENDING === #

    def _send_refunds(self, site, client):
        """Send a site's due refunds one by one, as ``_send_site`` does its orders."""
        while row := self._replay(lambda: self._claim_refund(site)):
            error = None
            try:
                method, arguments = self._deliver_refund(site, client, row)
            except Unreadable as trouble:
                error = trouble
                method, arguments = "_put_off", {"error": trouble}
            except MatomoError as trouble:
                error = trouble
                method, arguments = "_release", {"error": trouble}
            self._replay(
                lambda r=row, m=method, a=arguments, e=error: self._settle(
                    site, [(r, m, a)], e
                )
            )
            is_time_left = self._report_progress(1)
            if error or not is_time_left:
                return is_time_left, bool(error)
        return True, False

    def _claim_refund(self, site):
        """Take the oldest due refund of the site and build its request."""
        now = fields.Datetime.now()
        while taken := self._lock_due(
            site, now, SQL("kind = 'refund'"), SQL("order_date, id")
        ):
            if row := taken[:1]._take(now + LEASE):
                return row
        return self.browse()

    def _deliver_refund(self, site, client, row):
        """Send a refund, unless an earlier attempt was recorded after all.

        :return: the method that writes down the outcome, and its arguments
        :raise MatomoError: as the client does
        """
        if row.unsettled_count > 1:
            # Too old to be seen there ever, or only until the token may read.
            unseen = "_set_unsure" if row.check_first else "_hold_refund"
            if not site.can_read:
                return unseen, {}
            if site._is_waiting("next_read_date"):
                return "_put_off", {}
            try:
                is_recorded = self._is_refund_recorded(site, client, row)
            except Misconfigured:
                # The token may not read: may it record at all?
                self._probe(site, client)
                return unseen, {}
            if is_recorded:
                return "_set_refund_sent", {}
            if row.check_first:
                return "_set_unsure", {}
        _row, method, arguments = self._settle_alone(
            site, client, row, accepted="_set_refund_sent"
        )
        return method, arguments

    def _is_refund_recorded(self, site, client, row):
        """Whether Matomo has the refund's event.

        :raise Misconfigured: the token may not read
        :raise Unreadable: Matomo cannot be read now
        """
        idsite, payload = site.idsite, row.payload
        days = row.order_date.date(), fields.Date.today()
        self._end_transaction()
        try:
            return is_refund_recorded(client, idsite, payload, *days)
        except (Unreachable, ServerTrouble) as error:
            raise Unreadable(error) from error

    # === BUILDING === #

    def _build(self, order):
        """Override of the sender: a refund is an event."""
        if self.kind != "refund":
            return super()._build(order)
        refunded = self.refunded_id
        origin = self._get_origin(refunded)
        if reason := self._get_withdrawn_reason(order):
            return self._drop(reason)
        if origin.state == "pending":
            self.next_attempt_date = fields.Datetime.now() + ORDER_WAIT
            return False
        if origin.state not in ACCEPTED_STATES:
            # What a till has settled may be counted elsewhere by now.
            order._matomo_enqueue_refunds()
            return self._drop(self.env._("What is refunded is not in Matomo."))
        others = self._get_other_refunds(refunded)
        told = others.filtered(lambda row: row._is_in_matomo())
        left = origin._get_sent_revenue() - sum(
            (row._get_sent_revenue() for row in told), Decimal(0)
        )
        amount = min(self._get_refund_amount(order, left), left)
        if amount <= 0:
            return self._drop(
                self.env._("All that Matomo has of it is given back already.")
            )
        site = self.site_id
        payload = refund_parameters(
            site.idsite,
            origin.order_ref,
            amount,
            self.order_date,
            refunded._prepare_matomo_visitor(site),
            refunded._get_matomo_page(site),
        )
        self.write(
            {
                "order_ref": origin.order_ref,
                "payload": payload,
                "tracking_url": tracking_url(site.url, payload),
                "revenue": float(amount),
                "currency_id": site.currency_id.id,
            }
        )
        return True

    def _drop(self, reason):
        """There is nothing to send, for now; it may be queued again."""
        self._update_state("cancelled", reason=reason)
        return False

    def _get_withdrawn_reason(self, order):
        """Why a cancellation or a credit note gives nothing back any more, or False."""
        if self.refund_move_id:
            is_withdrawn = self.refund_move_id.state != "posted"
            return is_withdrawn and self.env._("The credit note was withdrawn.")
        is_withdrawn = self.sale_order_id and order.state != "cancel"
        return is_withdrawn and self.env._("The order was confirmed again.")

    @api.model
    def _get_origin(self, refunded):
        """The row by which Matomo has what is refunded."""
        return self.search(
            [
                ("kind", "=", "order"),
                (refunded._matomo_order_field, "=", refunded.id),
            ]
        )

    def _get_other_refunds(self, refunded):
        return self.search(
            [
                ("kind", "=", "refund"),
                ("refunded_id", "=", _reference(refunded)),
                ("id", "!=", self.id),
            ]
        )

    def _get_refund_amount(self, order, left):
        """The amount that is given back.

        :param left: what Matomo has of what is refunded, less what was given back
        """
        site = self.site_id
        if self.pos_order_id:
            return order._get_matomo_returned_amount(self.refunded_id, site)
        if self.refund_move_id:
            return self.refund_move_id._get_matomo_refund_amount(order, site)
        # Cancelled: all of it, but for what a till has sold. What that has taken back
        # without Matomo having been told by now it will be told by the till's refund.
        untold = self._get_other_refunds(order).filtered(
            lambda row: row.state == "pending" and not row._is_in_matomo()
        )
        return left - order._get_matomo_sold_at_tills(site, untold.pos_order_id)

    def _hold_refund(self):
        """Matomo may have the event, and the token may not read whether it has."""
        self._note_unreadable(self.site_id)
        date = fields.Datetime.now() + UNREADABLE_WAIT
        self._update_state(
            "pending",
            reason=self.env._(
                "Matomo's answer to this refund was lost, and Matomo does not let the "
                "token read whether it is there. It waits, because a refund that is "
                "sent twice counts twice: let the token read the site in Matomo, then "
                "test the connection here."
            ),
            next_attempt_date=date,
        )
        self._note_unrecorded()
        self._wake_sender(at=date)

    def _get_refused_reason(self):
        """Override of the sender: an event is refused for other reasons."""
        if self.kind != "refund":
            return super()._get_refused_reason()
        return self.env._(
            "Matomo refused this refund, although it accepts the token and the site. "
            "Compare the refund's audit URL with what Matomo expects, then press "
            "Retrack on the order."
        )

    def _get_broken_reason(self, count):
        if self.kind != "refund":
            return super()._get_broken_reason(count)
        return self.env._(
            "Matomo's server failed %s times on this refund, although it takes other "
            "requests: its error log says why. Then press Retrack on the order.",
            count,
        )

    @api.model
    def _retrack_refunds(self, orders):
        """Queue the failed refunds of ``orders``: Matomo is known not to have them.

        :return: the rows
        """
        failed = self.search(
            [
                ("kind", "=", "refund"),
                ("state", "=", "failed"),
                (orders._matomo_order_field, "in", orders.ids),
            ]
        )
        return failed.filtered(lambda row: not row._may_count_twice())._update_state(
            "pending",
            payload=False,
            tracking_url=False,
            reason=False,
            failure_type=False,
            next_attempt_date=False,
        )

    def _set_refund_sent(self, answer=None):
        """Matomo has the event; there is nothing more to read back."""
        self._update_state(
            "sent",
            reason=False,
            failure_type=False,
            next_attempt_date=False,
            check_first=False,
            error_count=0,
            unsettled_count=0,
            sent_date=fields.Datetime.now(),
            answer_status=answer.status if answer else 0,
            duration_ms=answer.duration_ms if answer else 0,
        )
        _logger.info(
            "Tracked refund of %s: URL was %s", self.order_ref, self._get_url_for_log()
        )


def _ids(refunds, model_name):
    return [refund.order.id for refund in refunds if refund.order._name == model_name]


def _reference(order):
    return f"{order._name},{order.id}"
