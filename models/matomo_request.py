import json
import logging
from collections import Counter
from datetime import timedelta
from decimal import Decimal

from odoo import SUPERUSER_ID, api, fields, models
from odoo.exceptions import MissingError
from odoo.fields import Domain
from odoo.models import LOG_ACCESS_COLUMNS
from odoo.tools import SQL, format_amount, ormcache

from ..const import (
    ACCEPTED_STATES,
    ALLOWED_STATES,
    RETENTION_MARGIN,
    STATES,
    UNCOUNTED_STATES,
    USER_GROUP,
)
from ..matomo_api.errors import get_failure_type
from ..matomo_api.matching import (
    Owner,
    describe_sent,
    find_differences,
    get_owner,
    get_visit_kind,
)
from ..matomo_api.outcomes import (
    Absent,
    Accepted,
    Attempt,
    Broken,
    Deferred,
    Held,
    Missing,
    Recorded,
    Refused,
    Requeued,
    TakenByOther,
    ToldByTag,
    Unseen,
    Unsure,
    Unverifiable,
    Withdrawn,
)
from ..matomo_api.privacy import ANONYMIZED
from ..matomo_api.reading import Totals
from ..matomo_api.tracking import order_ref_key
from ..outbox import jobs, schedule, waking
from ..outbox.comparison import Comparison
from ..outbox.facts import read_all_facts
from ..outbox.kinds import describe_answer
from ..outbox.orders import get_secret_order_ref
from ..outbox.sender import Sender
from ..outbox.transactions import guarded
from ..outbox.verifier import Verifier
from ..tools import attempts
from ..tools.reconciliation import Sale
from ..tools.sentences import (
    describe_difference,
    describe_failures,
    describe_lost_answer,
    describe_refusal,
)
from .matomo_site import get_conversion

_logger = logging.getLogger(__name__)

# Key of cr.precommit.data: {model name: ids of orders to be tracked}.
SCHEDULED = "matomo_order_tracking.scheduled"
# Key of the context: the orders that a call of a till makes, see ``Gathered``.
GATHERED = "matomo_gathered"
# What an attempt is made from, and tells whether it is still the sender's.
ATTEMPT_FIELDS = ("kind", "site_id", "state", "order_ref", "order_date")
ATTEMPT_FIELDS += ("revenue", "create_date", "next_attempt_date", "lease_date")
ATTEMPT_FIELDS += ("attempt_count", "unconfirmed_count", "look_up_first")
# What is asked besides when it is built.
BUILD_FIELDS = ("payload", "company_id", "missing_count")
BUILD_FIELDS += ("is_anonymized", "to_anonymize", "is_salesperson_deleted")
# What a request whose order was found in Matomo no longer has to wait for.
NOTHING_LEFT = {
    "next_check_date": False,
    "look_up_first": False,
    "unconfirmed_count": 0,
    "missing_count": 0,
    "unseen_count": 0,
}
# How many requests of a site the autovacuum anonymizes at once.
GC_BATCH = 1000


class Gathered(list):
    """The orders that a call makes, as tuples of a model's name and IDs.

    A savepoint that flushes ends each sale of a till, and would make each sale a step
    of its own. In the context, and not at the cursor: a commit in between loses none.
    No client can enter it, as it could a list.
    """

    # Odoo takes an environment again that has an equal context: each call has its own.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


class MatomoRequest(models.Model):
    """The verdict on an order, its place in the outbox, and the log of its sending.

    Each order that counts has one request of kind "order" at most. It is created by
    ``_matomo_track()`` in the sale's own transaction, lives and dies with it, and
    is written afterwards only by the sender, the verifier and a retrack. Nobody
    may create, write or delete requests through the interface: what the log says
    happened. The outcome of sending is written here and never on the order, so
    that a till or a salesperson never meets the sender.

    ``_schedule`` is how an order comes in; ``_apply`` writes down what became of an
    attempt; ``_update_state`` is the only writer of a state.
    """

    _name = "matomo.request"
    _inherit = ["matomo.request.screen", "matomo.request.privacy"]
    _description = "Matomo Request"
    _order = "order_date desc, id desc"
    _rec_name = "order_ref"

    # === FIELDS: THE ORDER === #

    kind = fields.Selection(
        [("order", "Order"), ("refund", "Refund")],
        required=True,
        default="order",
        readonly=True,
    )
    company_id = fields.Many2one("res.company", required=True, readonly=True)
    site_id = fields.Many2one(
        "matomo.site", readonly=True, index="btree_not_null", ondelete="restrict"
    )
    sale_order_id = fields.Many2one(
        "sale.order", readonly=True, index="btree_not_null", ondelete="cascade"
    )
    pos_order_id = fields.Many2one(
        "pos.order",
        string="POS Order",
        readonly=True,
        index="btree_not_null",
        ondelete="cascade",
    )
    channel = fields.Selection(
        [
            ("web", "Web Shop"),
            ("desk", "Salesperson"),
            ("till", "Point of Sale"),
        ],
        readonly=True,
    )
    order_date = fields.Datetime(
        readonly=True, help="When the sale was made; sent as the time of the order."
    )
    checkout_date = fields.Datetime(
        readonly=True,
        help="When the shopper has checked out, if that was sent as the time of the "
        "order and not its confirmation.",
    )
    # Whose order it was when the request was made. Not related: a sale that changes
    # its customer must not meet the sender here; who it is now is found by the order.
    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        compute="_compute_partner_id",
        store=True,
        precompute=True,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="Whose personal data the request may hold.",
    )
    refund_move_id = fields.Many2one(
        "account.move",
        string="Credit Note",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    # The credit note may be deleted, and what Matomo has of it stays.
    is_credit_note = fields.Boolean(readonly=True, default=False)
    replacement_move_id = fields.Many2one(
        "account.move",
        string="Replaced By",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="The invoice that was made together with the credit note, to replace "
        "what that reverses.",
    )
    refunded_id = fields.Reference(
        "_selection_order_model",
        string="Refund Of",
        readonly=True,
        help="The order of which this gives something back.",
    )
    counted_order_ids = fields.Many2many(
        "sale.order",
        string="Counts What It Settled",
        readonly=True,
        help="The sales orders whose lines this till sale was sent with.",
    )

    # === FIELDS: THE VERDICT === #

    state = fields.Selection(STATES, required=True, default="pending", readonly=True)
    reason = fields.Text(
        readonly=True, help="Why the order is not in Matomo, in plain words."
    )
    notes = fields.Text(
        readonly=True, help="What is sent differently from the order, and why."
    )
    failure_type = fields.Selection(
        [
            ("network", "Network"),
            ("server", "Matomo's Server"),
            ("refused", "Refused by Matomo"),
            ("data", "Data of the Order"),
            ("config", "Settings"),
        ],
        readonly=True,
    )

    # === FIELDS: THE OUTBOX === #

    is_backfill = fields.Boolean(
        string="Sent Later",
        readonly=True,
        default=False,
        help="A sale of the past: it waits until no newer sale does.",
    )
    job_id = fields.Many2one(
        "matomo.job",
        string="Backfill",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="The backfill that has queued the order: it is tracked although it may be "
        "from before the tracking start.",
    )
    attempt_count = fields.Integer(string="Attempts", readonly=True, aggregator=None)
    unconfirmed_count = fields.Integer(
        string="Unconfirmed Attempts",
        readonly=True,
        aggregator=None,
        help="Of so many attempts it is not known whether Matomo recorded them.",
    )
    error_count = fields.Integer(
        string="Server Failures",
        readonly=True,
        aggregator=None,
        help="How often Matomo's server failed on this very order.",
    )
    broken_date = fields.Datetime(
        string="Server Fails Since",
        readonly=True,
        help="When Matomo's server, or what stands before it, first failed on this "
        "very order.",
    )
    missing_count = fields.Integer(
        string="Times Missing",
        readonly=True,
        aggregator=None,
        help="How often the order was accepted and then not found.",
    )
    unseen_count = fields.Integer(
        string="Times Not Shown",
        readonly=True,
        aggregator=None,
        help="How often Matomo was read and did not show whether it has the order.",
    )
    taken_count = fields.Integer(
        string="Times the ID Was Taken",
        readonly=True,
        aggregator=None,
        help="How often Matomo had another sale under the order's ID.",
    )
    is_told_by_tag = fields.Boolean(
        string="A Tag Was First",
        readonly=True,
        help="A JavaScript tag of the website sent this order to Matomo, too.",
    )
    visit_kind = fields.Selection(
        [
            ("joined", "The shopper's own visit"),
            ("apart", "A visit of its own"),
            ("replaced", "A random visitor's visit"),
        ],
        string="Visit in Matomo",
        readonly=True,
        help="In whose visit the order stands: the shopper's own has pages that were "
        "seen before it. Only of web orders of shoppers whose data were sent.",
    )
    look_up_first = fields.Boolean(
        readonly=True,
        help="Matomo is asked for the order before it is sent: it may be there.",
    )
    next_attempt_date = fields.Datetime(
        readonly=True,
        help="Before this moment nobody sends the request: it waits, or is being sent.",
    )
    next_check_date = fields.Datetime(
        readonly=True, help="When Matomo is asked for the order."
    )
    # Equal to the date of the next attempt as long as a sender works on the request.
    lease_date = fields.Datetime(readonly=True)
    is_left_out = fields.Boolean(
        string="Cancelled by a Person",
        readonly=True,
        help="It is not sent until somebody retries it, whatever becomes of the order.",
    )

    # === FIELDS: WHAT WAS SENT, AND ANSWERED === #

    order_ref = fields.Char(
        string="Order ID in Matomo",
        readonly=True,
        help="Sent as ec_id. It never changes once it is assigned.",
    )
    order_ref_key = fields.Char(
        readonly=True,
        help="The order ID as Matomo compares it, with the Matomo site.",
    )
    payload = fields.Json(
        readonly=True, prefetch=False, groups="matomo_order_tracking.group_matomo_user"
    )
    tracking_url = fields.Text(
        string="Audit URL",
        readonly=True,
        prefetch=False,
        groups="matomo_order_tracking.group_matomo_user",
        help="A GET address equal to what was sent, its token masked.",
    )
    revenue = fields.Monetary(
        string="Amount Sent",
        readonly=True,
        aggregator=None,
        help="The amount sent, in the currency of the Matomo site.",
    )
    recorded_revenue = fields.Monetary(
        string="Revenue in Matomo",
        readonly=True,
        aggregator=None,
        help="What Matomo has instead, in the currency of the Matomo site.",
    )
    currency_id = fields.Many2one("res.currency", readonly=True)
    order_revenue = fields.Monetary(
        string="Revenue of the Order",
        currency_field="order_currency_id",
        readonly=True,
        aggregator=None,
        help="The amount sent, in the currency of the order.",
    )
    order_currency_id = fields.Many2one(
        "res.currency", string="Currency of the Order", readonly=True
    )
    order_rate = fields.Float(
        string="Rate",
        digits=0,
        readonly=True,
        aggregator=None,
        help="How much of the order's currency was one of the Matomo site's. The order "
        "itself stores another one as soon as its date changes.",
    )
    sent_date = fields.Datetime(readonly=True)
    verified_date = fields.Datetime(readonly=True)
    duration_ms = fields.Integer(
        string="Duration (ms)", readonly=True, aggregator="avg"
    )
    answer_status = fields.Integer(string="HTTP Status", readonly=True, aggregator=None)
    answer_text = fields.Text(string="Answer", readonly=True, prefetch=False)
    attempts = fields.Json(
        string="Last Attempts",
        readonly=True,
        help="What became of the last attempts, see tools/attempts.py.",
    )

    # === FIELDS: THE LOG === #

    order_name = fields.Char(
        string="Order", compute="_compute_order_name", search="_search_order_name"
    )
    # A refund gives back: in every sum it counts as negative.
    signed_revenue = fields.Monetary(
        string="Revenue",
        currency_field="amount_currency_id",
        compute="_compute_signed_revenue",
        aggregator="sum",
        help="The amount sent, in the currency of the Matomo site. What a refund gives "
        "back is negative.",
    )
    # The web client adds up no amounts of which one has no currency.
    amount_currency_id = fields.Many2one(
        "res.currency", compute="_compute_amount_currency_id"
    )
    needs_attention = fields.Boolean(
        compute="_compute_needs_attention", search="_search_needs_attention"
    )
    waiting_reason = fields.Char(string="Waits", compute="_compute_waiting_reason")
    explanation = fields.Char(string="Reason to Show", compute="_compute_explanation")
    sent_html = fields.Html(
        string="What Was Sent",
        compute="_compute_sent_html",
        sanitize=False,
        groups=USER_GROUP,
    )
    attempts_html = fields.Html(
        string="Every Attempt", compute="_compute_attempts_html", sanitize=False
    )
    refund_count = fields.Integer(compute="_compute_refund_count")
    can_open_order = fields.Boolean(compute="_compute_can_open_order")
    can_retry = fields.Boolean(compute="_compute_can")
    can_cancel = fields.Boolean(compute="_compute_can")
    can_send_as_other = fields.Boolean(compute="_compute_can")
    can_accept = fields.Boolean(compute="_compute_can")

    # === INDEXES AND CONSTRAINTS === #

    # One verdict for each order, whatever is synced, clicked or swept twice. Also the
    # orders' queries: those without a verdict, and how many there are of each.
    _sale_order_unique = models.UniqueIndex(
        "(sale_order_id) INCLUDE (state)"
        " WHERE kind = 'order' AND sale_order_id IS NOT NULL"
    )
    _pos_order_unique = models.UniqueIndex(
        "(pos_order_id) INCLUDE (state)"
        " WHERE kind = 'order' AND pos_order_id IS NOT NULL"
    )
    # Matomo would refuse a second order with the same id (docs/matomo.md section 6).
    _order_ref_unique = models.UniqueIndex("(order_ref_key) WHERE kind = 'order'")
    # One event for each cancellation, credit note, and order a till takes back from.
    _sale_refund_unique = models.UniqueIndex(
        "(sale_order_id) WHERE kind = 'refund' AND is_credit_note IS NOT TRUE"
    )
    _pos_refund_unique = models.UniqueIndex(
        "(pos_order_id, refunded_id)"
        " WHERE kind = 'refund' AND is_credit_note IS NOT TRUE"
    )
    _credit_note_unique = models.UniqueIndex(
        "(refund_move_id, refunded_id) WHERE refund_move_id IS NOT NULL"
    )
    # Other modules add orders of their own, so that none of these may be set.
    _one_order = models.Constraint(
        "CHECK(num_nonnulls(sale_order_id, pos_order_id) <= 1)",
        "A Matomo request is about exactly one order.",
    )
    # The log's queries: its first page, of all states, and of one or some of them.
    _date_index = models.Index("(order_date DESC, id DESC)")
    _state_index = models.Index("(state, order_date DESC, id DESC)")
    # How many requests there are in a state: of the user's companies in the log, of
    # each site on the Overview. Few values make it small, and quick to count by.
    _company_state_index = models.Index("(company_id, state, site_id)")
    # The sender's query: the requests of a site that are due, in order of sale time.
    _due_index = models.Index(
        "(site_id, is_backfill, order_date, id) WHERE state = 'pending'"
    )
    # The verifier's query: the requests of a site to read back, in order of time.
    _next_check_index = models.Index(
        "(site_id, next_check_date) WHERE next_check_date IS NOT NULL"
    )
    # The comparison's query: the orders of a day that Odoo has on another one.
    _checkout_index = models.Index(
        "(site_id, checkout_date) WHERE checkout_date IS NOT NULL"
    )
    # How many orders of the last days are in each state: the query of the Overview for
    # each site, and of the log and the digest for the user's companies.
    _overview_index = models.Index(
        "(company_id, order_date, state, site_id) WHERE kind = 'order'"
    )
    # All refunds of an order.
    _refunded_index = models.Index("(refunded_id) WHERE kind = 'refund'")
    # The last orders of a site that were seen in a visit.
    _visit_kind_index = models.Index(
        "(site_id, order_date DESC, id DESC) WHERE visit_kind IS NOT NULL"
    )
    # The autovacuum's queries: a site's requests with personal data, and the requests
    # whose personal data a person wants to have removed.
    _details_index = models.Index(
        "(site_id, order_date) WHERE is_anonymized IS NOT TRUE"
    )
    _to_anonymize_index = models.Index(
        "(id) WHERE to_anonymize IS TRUE AND is_anonymized IS NOT TRUE"
    )

    # === THE ORDER === #

    @api.model
    @ormcache()
    def _get_order_fields(self):
        """Return the names of the fields that name an order, one for each channel."""
        mixin = self.env["matomo.order.mixin"]
        return tuple(
            orders._matomo_order_field for orders in mixin._get_matomo_order_models()
        )

    @api.model
    def _get_channel_names(self):
        """Return ``{channel: what it is called}``, in the user's language."""
        return dict(self._fields["channel"]._description_selection(self.env))

    @api.model
    def _selection_order_model(self):
        mixin = self.env["matomo.order.mixin"]
        return [
            (orders._name, self.env["ir.model"]._get(orders._name).name)
            for orders in mixin._get_matomo_order_models()
        ]

    @api.depends(lambda self: ("order_ref", *self._get_order_fields()))
    def _compute_display_name(self):
        for request in self:
            # sudo: the name of the order a visible request is about.
            order = request.sudo()._get_order()
            request.display_name = request.order_ref or order.display_name or ""

    @api.depends(lambda self: self._get_order_fields())
    def _compute_partner_id(self):
        for request in self:
            # sudo: whoever sells need not see the customer.
            request.partner_id = request.sudo()._get_order().partner_id

    def _get_order(self):
        """Return the order of this request, of whichever model."""
        self.ensure_one()
        names = self._get_order_fields()
        return next(filter(None, map(self.__getitem__, names)), None) or self[names[0]]

    def _get_orders(self):
        """Return the orders of these requests: a recordset for each model."""
        orders = [self[name] for name in self._get_order_fields()]
        return [each for each in orders if each]

    def _get_sent_revenue(self):
        """Return the revenue this request has sent, in its currency; 0 of none."""
        return Decimal(f"{self.revenue:.2f}")

    def _get_sent_totals(self):
        """Return what these requests have sent, as far as it is known.

        :return: ``{request id: Totals}`` of those that have what was sent; in the
            currency in which they were sent
        """
        self.flush_recordset(["revenue", "payload"])
        self.env.cr.execute(
            SQL(
                """
                SELECT id, payload->>'ec_tx', payload->>'ec_sh', payload->>'ec_dt',
                       (SELECT SUM((item->>4)::numeric)
                          FROM jsonb_array_elements((payload->>'ec_items')::jsonb) item)
                  FROM matomo_request
                 WHERE id = ANY(%s) AND payload ? 'ec_items'
                """,
                self.ids,
            )
        )
        return {
            id_: Totals(
                1,
                self.browse(id_)._get_sent_revenue(),
                *(Decimal(amount or 0) for amount in amounts),
                items=int(items or 0),
            )
            for id_, *amounts, items in self.env.cr.fetchall()
        }

    def _prepare_sale(self, order, **facts):
        """Return this request and its order as a ``Sale`` of the Daily Comparison.

        :param facts: what the comparison knows of it
        """
        return Sale(
            **{"revenue": Decimal(0), "is_counted": False, **facts},
            request_id=self.id,
            name=order._get_matomo_order_name(),
            ref=self.order_ref,
            state=self.state,
            sent=self._get_sent_revenue(),
            recorded=self._get_recorded_revenue(),
            is_sale=order._is_matomo_sale(),
            is_same_currency=self.currency_id == self.site_id.currency_id,
            is_left_out=self.is_left_out,
        )

    def _get_conversion(self, currency):
        """Return the ``Conversion`` by which an order in ``currency`` was sent.

        :return: None if it was not sent yet, was sent in another currency or for a
            site that had another currency, or if its request is of an older version
        """
        if self.currency_id != self.site_id.currency_id:
            return None
        return self._get_sent_conversion(currency)

    def _get_sent_conversion(self, currency):
        """Return the ``Conversion`` by which an order in ``currency`` was sent.

        It converts to the currency that the site had then, as ``currency_id`` says.

        :return: None if it is not known
        """
        if not self.order_rate or self.order_currency_id != currency:
            return None
        return get_conversion(currency, self.order_rate, self.currency_id)

    def _get_conversion_sentence(self):
        """Return from what and at which rate the amounts were converted, or False."""
        if not self.order_rate or self.order_currency_id == self.currency_id:
            return False
        # The way it is easy to read: 150 yen for a dollar, not 0.00666667 dollars.
        rate, many, one = self.order_rate, self.order_currency_id, self.currency_id
        if rate < 1:
            rate, many, one = 1 / rate, one, many
        return self.env._(
            "Converted from %(amount)s at a rate of %(rate)s %(many)s for 1 %(one)s.",
            amount=format_amount(self.env, self.order_revenue, self.order_currency_id),
            rate=f"{Decimal(f'{rate:.6g}'):f}",
            many=many.name,
            one=one.name,
        )

    def _get_recorded_revenue(self):
        """Return the revenue that Matomo has, in this request's currency."""
        if self.state == "different" or (
            self.state == "elsewhere" and self.recorded_revenue
        ):
            return Decimal(f"{self.recorded_revenue:.2f}")
        return self._get_sent_revenue()

    def _get_refunds_of(self, originals):
        """Return the requests that give something back of any of these orders.

        :param originals: orders, of any models
        """
        references = [f"{order._name},{order.id}" for order in originals]
        return self.search([("kind", "=", "refund"), ("refunded_id", "in", references)])

    # === TRACKING: INSIDE THE SALE'S TRANSACTION === #

    @api.model
    def _schedule(self, orders):
        """Have ``orders`` tracked when their transaction is about to end.

        Nothing is read here: a rule runs early, when a POS order has no name yet
        and a sales order is not wholly confirmed.
        """
        gathered = self.env.context.get(GATHERED)
        if isinstance(gathered, Gathered):
            gathered.append((orders._name, orders.ids))
            return
        precommit = self.env.cr.precommit
        if SCHEDULED not in precommit.data:
            precommit.data[SCHEDULED] = {}
            # A transaction may end as another user than it began: the superuser's
            # environment reads the orders for all of them.
            env = self.env(user=SUPERUSER_ID, su=True, context={})
            precommit.add(env["matomo.request"]._track_scheduled)
        scheduled = precommit.data[SCHEDULED]
        scheduled.setdefault(orders._name, set()).update(orders.ids)

    @api.model
    def _schedule_gathered(self, gathered):
        """Schedule the orders of a ``Gathered``, all in one step."""
        for model_name, ids in gathered:
            self._schedule(self.env[model_name].browse(ids))

    @api.model
    def _track_scheduled(self):
        """Give all scheduled orders their verdict, in one step that cannot harm them.

        Runs before the commit, and before flushing savepoints, so perhaps more
        than once: it adds what is missing.
        """
        cr = self.env.cr
        scheduled = cr.precommit.data.pop(SCHEDULED, {})
        message = "Orders could not be queued for Matomo; the sweep will find them: %s"
        with guarded(cr, message, scheduled):
            for model_name, ids in scheduled.items():
                orders = self.env[model_name].browse(sorted(ids))
                try:
                    orders._matomo_enqueue()
                except MissingError:
                    # Some were deleted since. To ask for that each time would be one
                    # more statement of each sale.
                    orders.exists()._matomo_enqueue()

    # === STATES === #

    def _update_state(self, state, **values):
        """Write a state, and do what follows from it.

        Requests for which the change is not allowed are left alone and logged.

        :return: the requests that were changed
        """
        allowed = self.filtered(
            lambda each: each.state == state or state in ALLOWED_STATES[each.state]
        )
        for request in self - allowed:
            _logger.warning(
                "Matomo request %s stays %s: it cannot become %s",
                request.id,
                request.state,
                state,
            )
        unaccepted = counted = self.browse()
        if state in ACCEPTED_STATES:
            unaccepted = allowed.filtered(
                lambda each: each.state not in ACCEPTED_STATES
            )
        elif state in UNCOUNTED_STATES or state == "failed":
            counted = allowed.filtered(lambda each: each.state not in UNCOUNTED_STATES)
        allowed.write({"state": state, **values})
        unaccepted._queue_late_refunds()
        counted._release_settlements(state)
        return allowed

    def _queue_late_refunds(self):
        """Queue what was refunded of these orders before Matomo had them."""
        late = self.filtered(
            lambda each: each.kind == "order" and each.site_id.track_refunds
        )
        for orders in late._get_orders():
            orders._matomo_enqueue_late_refunds()

    def _release_settlements(self, state):
        """Let POS orders count what they settled, once the sales order does not.

        :param state: of these requests from now on
        """
        # No till counts instead what a person keeps from Matomo.
        orders = self.filtered(lambda each: not each.is_left_out).sale_order_id
        if state not in UNCOUNTED_STATES:
            if state != "failed":
                return
            orders = orders.filtered(lambda order: order.state == "cancel")
        settled = orders._get_matomo_settlements()
        if pos_orders := (settled | settled.refund_orderline_ids).order_id:
            self.env["matomo.retrack"]._queue(pos_orders)

    def _cancel(self):
        """Write that the orders are cancelled, and Matomo has never had them."""
        env = self._get_message_env()
        self._update_state(
            "cancelled",
            reason=env._("The order was cancelled before it was sent."),
            failure_type=False,
            next_attempt_date=False,
        )

    def _fail(self, failure_type, reason, **values):
        """Give up these requests until a person acts, and say so on their orders."""
        failed = self._update_state(
            "failed",
            failure_type=failure_type,
            reason=reason,
            next_attempt_date=False,
            **values,
        )
        for request in failed:
            order = request._get_order()
            _logger.warning("%s is not in Matomo: %s", order.display_name, reason)
            env = request._get_message_env()
            order._message_log(body=env._("Not in Matomo: %s", reason))

    def _fail_to_build(self):
        """Give up a request whose order cannot be built; the log says why."""
        self._fail(
            "data",
            self.env._(
                "The order could not be prepared for Matomo: Odoo's log says why. "
                "Correct the order and press Retrack."
            ),
        )

    def _is_in_matomo(self):
        """Return whether Matomo has it, or it may be on its way at this moment."""
        return self.state in ACCEPTED_STATES or bool(
            self.state == "pending" and self.payload
        )

    # === ATTEMPTS === #

    def _start_attempts(self, until, build):
        """Decide once more which of these requests are sent, build and lease them.

        All is written in one UPDATE: after a second one in a transaction PostgreSQL
        looks at the foreign keys again, and would lock the orders' rows for that.

        :param until: naive UTC; after that they are due again
        :param build: takes a request, and returns its values; nothing if there is
            nothing to send
        :return: the requests that have something to send
        """
        started, rows = [], []
        for request in self:
            values = {}
            if not request._has_payload():
                if not (values := build(request)):
                    continue
                # The next one may be built of the same lines: it asks what this sends.
                self._fields["payload"]._update_cache(request, values["payload"])
            order_date = values.get("order_date", request.order_date)
            started.append(request.id)
            rows.append(
                {
                    **values,
                    "next_attempt_date": until,
                    "lease_date": until,
                    "attempt_count": request.attempt_count + 1,
                    "unconfirmed_count": request.unconfirmed_count + 1,
                    "look_up_first": request.look_up_first
                    or request._may_count_twice(order_date),
                }
            )
        requests = self.browse(started)
        requests._write_rows(rows)
        return requests

    def _write_rows(self, rows):
        """Write other values of each of these requests, by one statement.

        ``write`` takes the same values for all. For each request alone it would compare
        and round each value, and look for what depends on it: a quarter of what it
        costs to send an order. Here that is looked for once.

        Neither ``write`` of other modules nor a rule of a person sees this. It is for
        what the sender keeps of a try that has no outcome yet: counters, the lease, and
        what is to be sent. Each outcome, and with it each state, is written by
        ``write``: who watches requests hooks in there, and finds all this on them.
        Stored fields of other modules that depend on it are computed as usual.

        :param rows: a dict for each request, as ``write`` takes it, with amounts that
            are rounded; no state, see ``_update_state``
        """
        names = {name for row in rows for name in row}
        self.invalidate_recordset([*names, *LOG_ACCESS_COLUMNS])
        self._write_multi(
            [
                {
                    name: self._fields[name].convert_to_column(value, request)
                    for name, value in row.items()
                }
                for request, row in zip(self, rows, strict=True)
            ]
        )
        self.modified(names)

    def _give_back(self):
        """Give back requests that were claimed and are not sent: nothing was tried.

        What is built stays built, as after an attempt that did not get there.
        """
        self._write_rows(
            [
                {
                    "attempt_count": max(request.attempt_count - 1, 0),
                    "unconfirmed_count": max(request.unconfirmed_count - 1, 0),
                    "next_attempt_date": False,
                    "lease_date": False,
                }
                for request in self
            ]
        )

    def _has_payload(self):
        """Return whether there is a request that can be sent as it is."""
        return self._get_visitor_id() not in ("", ANONYMIZED)

    def _may_count_twice(self, order_date):
        """Return whether Matomo may have it, and would no longer refuse it.

        Sending again is safe as long as Matomo has the first one's raw data: it
        refuses the second, and both can be told apart. Later it would count it twice,
        and nobody would see it (docs/matomo.md section 14).

        :param order_date: the time of the order, as it is sent (naive UTC)
        """
        return bool(
            self.unconfirmed_count and not self.site_id._has_raw_data(order_date)
        )

    @api.model
    def _get_build_fields(self):
        """Return the names of the fields that are read when a request is built."""
        return [*BUILD_FIELDS, *self._get_attempt_fields()]

    @api.model
    def _get_attempt_fields(self):
        """Return the names of the fields from which an attempt is made."""
        return [*ATTEMPT_FIELDS, *self._get_order_fields()]

    def _prepare_attempts(self):
        """Return the requests as ``Attempt`` objects of the delivery."""
        twins, payloads = self._count_twins(), self._read_payloads()
        for orders in self._get_orders():
            orders.fetch(orders._matomo_attempt_fields)
        return [
            Attempt(
                key=request.id,
                payload=payloads[request.id],
                ref=request.order_ref,
                sent=request._describe_sent(payloads[request.id]),
                order_date=request.order_date,
                attempt_count=request.attempt_count,
                unconfirmed_count=request.unconfirmed_count,
                look_up_first=request.look_up_first,
                is_withdrawn=request.kind == "order"
                and not request._get_order()._is_matomo_sale(),
                has_raw_data=request.site_id._has_raw_data(request.order_date),
                twin_count=twins.get((request.order_date, request.revenue), 0),
            )
            for request in self
        ]

    def _read_payloads(self):
        """Return ``{request id: payload}``: the ORM would copy each value of each."""
        self.flush_recordset(["payload"])
        self.env.cr.execute(
            SQL("SELECT id, payload FROM matomo_request WHERE id = ANY(%s)", self.ids)
        )
        return {id_: payload or {} for id_, payload in self.env.cr.fetchall()}

    def _count_twins(self):
        """Return how many other orders Matomo has accepted that look the same there.

        Where Matomo replaces order IDs, only their number tells orders of one second
        and one amount apart.

        :return: ``{(order date, revenue): count}``
        """
        sites = self.site_id.filtered("is_order_id_anonymised")
        if not sites:
            return {}
        found = self.search_fetch(
            [
                ("kind", "=", "order"),
                ("site_id", "in", sites.ids),
                ("state", "in", ACCEPTED_STATES),
                ("order_date", "in", self.mapped("order_date")),
                ("id", "not in", self.ids),
            ],
            ["order_date", "revenue"],
        )
        return Counter((each.order_date, each.revenue) for each in found)

    def _describe_sent(self, payload):
        return describe_sent(
            payload,
            self.create_date,
            revenue=self.revenue,
            time=self.order_date,
            cart_created=self._get_order()._get_matomo_cart_date(),
        )

    def _is_ours(self, recorded):
        """Return whether an order in Matomo is the one this request sent."""
        now, to_utc = fields.Datetime.now(), self.site_id._to_utc
        return (
            get_owner(self._describe_sent(self.payload), recorded, to_utc, now)
            == Owner.OURS
        )

    # === OUTCOMES === #

    def _apply(self, outcome):
        """Write down what became of an attempt to send or verify these requests."""
        self._keep_attempt(outcome)
        match outcome:
            case Accepted(answer=answer, refused_count=refused_count):
                self._accept(answer, refused_count)
            case Recorded(order=order, is_told_by_tag=is_told_by_tag):
                self._record_read_back(order, is_told_by_tag)
            case ToldByTag(order=order):
                self._record_tag(order)
            case TakenByOther(order=order):
                self._take_free_order_ref(order)
            case Absent():
                self._rebuild()
            case Missing():
                self._resend_missing()
            case Unseen():
                self._check_again()
            case Withdrawn(is_absent=is_absent):
                self._cancel() if is_absent else self._fail_withdrawn()
            case Unsure():
                self._fail_unsure()
            case Held():
                self._hold()
            case Refused(answer=answer):
                self._fail(
                    "refused",
                    describe_refusal(self.env, self.kind),
                    **describe_answer(answer),
                )
            case Broken(error=error, is_general=is_general):
                self._retry_broken(error, is_general)
            case Deferred(is_sent=is_sent, error=error):
                self._defer(is_sent, error)
            case Requeued(error=error):
                self._requeue(error)
            case Unverifiable():
                self.write({"next_check_date": False})

    def _keep_attempt(self, outcome):
        """Keep what became of an attempt, for people who look at the log.

        Nothing is flushed until the outcome is written, too: it is one UPDATE, see
        ``_start_attempts``.
        """
        now = fields.Datetime.to_string(fields.Datetime.now())
        # Most have none yet: they are written together.
        for same in self.grouped(lambda each: json.dumps(each.attempts)).values():
            same.attempts = attempts.add(same[0].attempts, outcome, now)

    def _accept(self, answer, refused_count):
        """Write that Matomo has accepted the requests; orders are soon looked for.

        :param answer: to these requests, or to what was sent when they were found
            there; None if they were seen there
        :param refused_count: how many Matomo refused, where nobody can tell which
        """
        reason = bool(refused_count) and self.env._(
            "Matomo refused %(refused)s of %(count)s orders that were sent "
            "together, and does not let the token read which.",
            refused=refused_count,
            count=len(self),
        )
        now = fields.Datetime.now()
        check_date = now + schedule.GRACE
        orders = self.filtered(lambda each: each.kind == "order")
        for requests, date in ((orders, check_date), (self - orders, False)):
            accepted = requests and requests._update_state(
                "sent",
                reason=reason,
                failure_type=False,
                next_attempt_date=False,
                look_up_first=False,
                error_count=0,
                broken_date=False,
                unconfirmed_count=0,
                sent_date=now,
                next_check_date=date,
                **describe_answer(answer),
            )
            for request in accepted:
                request._log_accepted()
        self.env["matomo.reconciliation"]._outdate(self)
        if orders:
            self._wake_verifier(at=check_date + schedule.VERIFIER_SLACK)

    def _log_accepted(self):
        # The guide: "Tracked ecommerce order %s: URL was %s".
        messages = {"refund": "Tracked refund of %s: URL was %s"}
        message = messages.get(self.kind, "Tracked ecommerce order %s: URL was %s")
        _logger.info(message, self.order_ref, self._get_url_for_log())

    def _record_read_back(self, recorded, is_told_by_tag):
        """Write that Matomo has the order; amounts and items that differ are shown.

        An order that was looked up before it was sent again counts as sent.

        :param is_told_by_tag: whether Matomo was told of it by a JavaScript tag first
        """
        if order_ref_key(recorded.ref) != order_ref_key(self.order_ref):
            self.site_id._report_anonymised(self)
        values = {**NOTHING_LEFT, "is_told_by_tag": is_told_by_tag}
        if self.channel == "web" and self.payload:
            values["visit_kind"] = (
                get_visit_kind(self.payload, recorded) or self.visit_kind
            )
        if self.verified_date:
            # Once verified it is missing only if somebody deletes it: that is counted.
            del values["missing_count"]
        if differences := find_differences(self._describe_sent(self.payload), recorded):
            reason = "\n".join(
                describe_difference(self.env, difference) for difference in differences
            )
            self._record_difference(recorded, reason, **values)
            return
        self._update_state(
            "verified",
            reason=False,
            verified_date=fields.Datetime.now(),
            recorded_revenue=0,
            **values,
        )
        self.site_id._tell_first_order(self)

    def _record_tag(self, recorded):
        """Write that a JavaScript tag told Matomo of this sale with other amounts."""
        self._record_difference(
            recorded,
            self.env._(
                "A JavaScript tag of the website sent this order to Matomo first, with "
                "%(recorded)s instead of %(sent)s. It is not sent a second time. "
                "Remove trackEcommerceOrder from the website's code or from the tag "
                "manager: this addon sends every order.",
                recorded=format_amount(
                    self.env, float(recorded.revenue), self.site_id.currency_id
                ),
                sent=format_amount(self.env, self.revenue, self.site_id.currency_id),
            ),
            is_told_by_tag=True,
            **NOTHING_LEFT,
        )

    def _record_difference(self, recorded, reason, **values):
        """Write how Matomo has the order otherwise: it counts as tracked."""
        self._update_state(
            "different",
            reason=reason,
            failure_type=False,
            sent_date=self.sent_date or fields.Datetime.now(),
            next_attempt_date=False,
            recorded_revenue=float(recorded.revenue),
            **values,
        )

    def _check_again(self):
        """Look again later: Matomo does not show whether it has the orders.

        It may cut visits off, or compute its reports later. They are looked for again,
        a few times; after that it is said, and they stay as sent as they are.
        """
        for request in self:
            count = request.unseen_count + 1
            if count < schedule.MAX_UNSEEN:
                date = fields.Datetime.now() + schedule.backoff(count + 4)
                request.write({"unseen_count": count, "next_check_date": date})
                request._wake_verifier(at=date)
                continue
            request.write(
                {
                    "unseen_count": 0,
                    "next_check_date": False,
                    "reason": self.env._(
                        "Matomo accepted this order, and does not show whether it has "
                        "recorded it: its visits log is switched off or cuts long "
                        "visits short, or a firewall before it refuses questions "
                        "about this order. Retrack looks for it again."
                    ),
                }
            )

    def _take_free_order_ref(self, recorded):
        """Take an id that nobody can guess: Matomo has another sale under ours.

        Once: whoever takes that, too, would go on for ever.
        """
        used, count = self.order_ref, self.taken_count + 1
        if count > schedule.MAX_TAKEN:
            self._fail(
                "refused",
                self.env._(
                    "Matomo has other sales under the IDs of this order: somebody "
                    "sends orders of these names to this Matomo site, another "
                    "database or a stranger. Enter an order prefix on the Matomo "
                    "site, then press Retrack.",
                ),
                taken_count=0,
                unconfirmed_count=0,
                next_check_date=False,
                # The next one is made with the prefix.
                order_ref=False,
                order_ref_key=False,
            )
            return
        self._update_state(
            "pending",
            payload=False,
            tracking_url=False,
            unconfirmed_count=0,
            next_attempt_date=False,
            next_check_date=False,
            taken_count=count,
            **get_secret_order_ref(self),
        )
        _logger.warning(
            "Matomo has an order %s of %s that is not ours; %s is sent as %s",
            used,
            recorded.revenue,
            self._get_order(),
            self.order_ref,
        )
        self._wake_sender()

    def _rebuild(self):
        """Build the request anew: Matomo has no such order, and it may have changed."""
        self._update_state(
            "pending",
            payload=False,
            tracking_url=False,
            look_up_first=False,
            unconfirmed_count=0,
            next_attempt_date=False,
        )

    def _resend_missing(self):
        """Send an order again that Matomo accepted and has not recorded, or lost.

        An order that was verified before was erased there, or lost: it is sent once
        more, without any personal data.
        """
        count = self.missing_count + 1
        if self.verified_date and count > 1:
            self._fail(
                "refused",
                self.env._(
                    "Matomo had this order and has lost it twice: somebody deletes it "
                    "there. It is not sent again unless you press Retrack."
                ),
                missing_count=0,
                next_check_date=False,
            )
            return
        if count >= schedule.MAX_MISSING:
            self._fail(
                "refused",
                self.env._(
                    "Matomo accepted this order %s times and never recorded it. Does "
                    "the site exclude the shopper's or the server's IP address, the "
                    "browser, or unknown page addresses?",
                    count,
                ),
                missing_count=count,
                next_check_date=False,
            )
            return
        # Matomo is known not to have it: built anew, and without what it may exclude.
        self._update_state(
            "pending",
            payload=False,
            missing_count=count,
            unseen_count=0,
            next_attempt_date=False,
            next_check_date=False,
        )
        _logger.warning(
            "Matomo accepted order %s and does not have it; it is sent again",
            self.order_ref,
        )
        self._wake_sender()

    def _retry_broken(self, error, is_general):
        """Try again: the server failed on this request, while token and site are fine.

        :param is_general: whether it failed on all others, too: that may pass, and
            more patience is due
        """
        count = self.error_count + 1
        if not error.may_be_recorded:
            self._discount_attempt()
        details = {"answer_status": error.status, "answer_text": error.text}
        since = self.broken_date or fields.Datetime.now()
        is_blamed = (
            count >= schedule.MAX_ERRORS
            and not is_general
            and self._is_overtaken(since)
        )
        if is_blamed or count >= schedule.MAX_GENERAL_ERRORS:
            reason = describe_failures(self.env, self.kind, error, count)
            self._fail(
                get_failure_type(error),
                reason,
                error_count=0,
                broken_date=False,
                **details,
            )
            return
        date = fields.Datetime.now() + schedule.backoff(count)
        self._update_state(
            "pending",
            next_attempt_date=date,
            failure_type=get_failure_type(error),
            error_count=count,
            broken_date=since,
            **details,
        )
        self._wake_sender(at=date)

    def _is_overtaken(self, since):
        """Return whether Matomo has taken another request since this one is refused.

        Else nobody can tell what is refused: this one, or all of a quiet shop's. A
        firewall may let the events of refunds pass and refuse orders: only another
        request of the same kind counts. What was sent together is written down within
        a minute. Old orders are sent with their neighbors in time: these are looked
        for, and what was sold since this one is refused.

        :param since: naive UTC
        """
        day = timedelta(days=1)
        sold_now = Domain("order_date", ">=", since - day)
        is_neighbor = Domain("order_date", ">=", self.order_date - day) & Domain(
            "order_date", "<=", self.order_date + day
        )
        overtaker = Domain(
            [
                ("site_id", "=", self.site_id.id),
                ("kind", "=", self.kind),
                ("is_anonymized", "=", False),
                ("sent_date", ">=", since - timedelta(minutes=1)),
                ("id", "!=", self.id),
            ]
        ) & (sold_now | is_neighbor)
        return bool(self.search_count(overtaker, limit=1))

    def _requeue(self, error):
        """Put the requests back into the queue: nothing is known of them."""
        self._update_state(
            "pending",
            next_attempt_date=False,
            failure_type=get_failure_type(error),
            answer_status=error.status,
            answer_text=error.text,
        )
        if not error.may_be_recorded:
            self._discount_attempt()

    def _defer(self, is_sent, error=None):
        """Defer the requests until Matomo can be read again; others go on.

        :param is_sent: whether they were sent before it was seen that they have to wait
        """
        now = fields.Datetime.now()
        date = min(self.site_id.next_read_date or now, now + schedule.MAX_BACKOFF)
        values = {"next_attempt_date": date, "failure_type": "server"}
        if error:
            values |= {"answer_status": error.status, "answer_text": error.text}
        self._update_state("pending", **values)
        if not is_sent:
            self._discount_attempt()
        self._wake_sender(at=date)

    def _hold(self):
        """Defer requests that Matomo may have, until the token may read whether."""
        date = fields.Datetime.now() + schedule.UNREADABLE_WAIT
        for request in self:
            reason = describe_lost_answer(self.env, request.kind)
            request._update_state("pending", reason=reason, next_attempt_date=date)
        self._wake_sender(at=date)

    def _discount_attempt(self):
        """Record that the last attempt of these requests stored nothing in Matomo."""
        for request in self:
            request.unconfirmed_count = max(request.unconfirmed_count - 1, 0)

    def _fail_unsure(self):
        """Give up requests that Matomo may have and is not seen to have."""
        for request in self:
            if request.site_id._has_raw_data(request.order_date):
                reason = self.env._(
                    "It was sent, and Matomo's answer was lost. Matomo does not show "
                    "whether it has recorded it, and sent again it might count twice."
                )
            else:
                reason = self.env._(
                    "It was sent, and Matomo's answer was lost. It is older than "
                    "Matomo keeps its raw data: it cannot be looked for there, and "
                    "sent again it might count twice."
                )
            request._fail("network", reason)

    def _fail_withdrawn(self):
        """Give up requests of orders that no longer count, and that Matomo may have."""
        self._fail(
            "network",
            self.env._(
                "The order was cancelled after it was sent. Matomo's answer was lost, "
                "and nobody can see whether Matomo has the order: look for it there."
            ),
        )

    # === SENTENCES === #

    def _get_message_env(self):
        """Return the environment in the language of what is stored for others.

        What the sender and the verifier do with requests is in that language already.
        """
        return self.with_context(lang=self.company_id._get_matomo_lang()).env

    def _get_too_old_reason(self):
        env = self._get_message_env()
        return env._(
            "It is older than Matomo keeps its raw data: it cannot be looked for "
            "there, and sent again it might count twice."
        )

    def _get_untraceable_reason(self):
        """Return why the order cannot be looked for in Matomo, or None."""
        if self.is_anonymized and self.site_id.is_order_id_anonymised:
            return self.env._(
                "The data of the order's visitor were deleted, and Matomo anonymises "
                "order IDs: the order cannot be looked for there, and sent again it "
                "might count twice."
            )
        return None

    # === SCHEDULED ACTIONS === #

    @api.model
    def _cron_send(self):
        """Send what is due; any number of lanes may run this at once."""
        if self.env.registry.ready:
            Sender(self.env).run()

    @api.model
    def _cron_verify(self):
        """Read back what Matomo has accepted."""
        if self.env.registry.ready:
            Verifier(self.env).run()

    @api.model
    def _cron_retrack(self):
        """Retrack what is queued for it, and see how the sites are doing."""
        self.env["matomo.retrack"]._retrack_queued()
        self.env["matomo.site"]._watch()

    @api.model
    def _cron_sweep(self):
        """Give every order a verdict, ask Matomo of itself, compare the past days."""
        is_done = self.env["matomo.sweep"]._sweep()
        if is_done and self.env.registry.ready:
            read_all_facts(self.env)
            Comparison(self.env).run()

    @api.model
    def _cron_compare(self):
        """Compare today so far, and the past days on which something has changed.

        See how the sites are doing if the scheduled action for that does not run.
        """
        if self.env.registry.ready:
            Comparison(self.env).run_due()
        stopped = {each.key for each in waking.get_stopped_actions(self.env)}
        if "ir_cron_retrack" in stopped:
            self.env["matomo.site"]._watch()

    @api.model
    def _cron_job(self):
        """Work on what people have started: backfills, comparisons of many days."""
        if self.env.registry.ready:
            jobs.run(self.env)

    @api.model
    def _get_stalled_domain(self):
        """Return the domain of the requests that could be sent and were never tried."""
        return [
            ("state", "=", "pending"),
            ("attempt_count", "=", 0),
            ("next_attempt_date", "=", False),
            ("is_backfill", "=", False),
        ]

    @api.model
    def _count_by_site(self, sites, domain):
        """Return how many requests of each site there are, and since when.

        :return: ``{ID of a site: {"count": int, "since": naive UTC or None}}``
        """
        groups = self._read_group(
            [("site_id", "in", sites.ids), *domain],
            ["site_id"],
            ["__count", "create_date:min"],
        )
        found = {
            site.id: {"count": count, "since": since or None}
            for site, count, since in groups
        }
        none = {"count": 0, "since": None}
        return {site.id: found.get(site.id, none) for site in sites}

    @api.model
    def _wake_sender(self, at=None):
        """Run the sender after this transaction, or at a moment in UTC.

        It wakes its other lanes by itself, see ``outbox/lanes.py``.
        """
        waking.wake(self.env, ("ir_cron_send",), at)

    @api.model
    def _wake_verifier(self, at=None):
        """Run the verifier after this transaction, or at a moment in UTC."""
        waking.wake(self.env, ("ir_cron_verify",), at)

    @api.model
    def _wake_sweep(self):
        """Run the sweep after this transaction."""
        waking.wake(self.env, ("ir_cron_sweep",))

    @api.model
    def _wake_comparison(self):
        """Compare the days that are outdated after this transaction."""
        waking.wake(self.env, ("ir_cron_compare",))

    @api.model
    def _wake_job(self):
        """Work on what people have started, after this transaction."""
        waking.wake(self.env, ("ir_cron_job",))

    @api.model
    def _wake_retrack(self):
        """Look at what is queued for a retrack after this transaction."""
        waking.wake(self.env, ("ir_cron_retrack",))

    # === PRIVACY === #

    @api.autovacuum
    def _gc_requests(self):
        """Anonymize what was sent long ago.

        :return: how many requests were anonymized, and whether there are more
        """
        kept = Domain("is_anonymized", "=", False)
        done = kept & Domain(self._get_done_domain())
        asked = kept & Domain("to_anonymize", "=", True)
        too_long = fields.Datetime.now() - RETENTION_MARGIN
        steps = [
            (done & asked, "_anonymize"),
            (asked & Domain("order_date", "<", too_long), "_anonymize_at_last"),
        ]
        for site in self.env["matomo.site"]._get_sites_with_retention():
            mine = Domain("site_id", "=", site.id)
            for old in site._get_old_domains("order_date"):
                steps.append((done & mine & old, "_anonymize"))
            # Whatever the state of the site, the request, or the token.
            for old in site._get_old_domains("order_date", RETENTION_MARGIN):
                steps.append((kept & mine & old, "_anonymize_at_last"))
        count, is_more = 0, False
        for domain, method in steps:
            found = self.search(domain, limit=GC_BATCH)
            # A request that somebody works on is left for tomorrow.
            free = found.try_lock_for_update()
            getattr(free, method)()
            count += len(free)
            is_more = is_more or bool(free and len(found) == GC_BATCH)
        return count, is_more
