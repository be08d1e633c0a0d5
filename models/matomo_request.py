import logging
from decimal import Decimal

from odoo import SUPERUSER_ID, api, fields, models

from .guard import NOT_TO_SWALLOW

_logger = logging.getLogger(__name__)

# Key of cr.precommit.data: {model name: ids of orders to be tracked}.
NOTED = "matomo_order_tracking.noted"
# Key of cr.postcommit.data, which lasts as long as a transaction: {code of scheduled
# actions: the triggers that will run them}.
WOKEN = "matomo_order_tracking.woken"

STATES = [
    ("excluded", "Not Tracked"),
    ("pending", "Waiting"),
    ("sent", "Sent"),
    ("verified", "Verified"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]
# What Matomo has accepted.
ACCEPTED_STATES = ("sent", "verified")
ALLOWED_STATES = {
    "excluded": {"pending"},
    "pending": {"excluded", "sent", "verified", "failed", "cancelled"},
    "sent": {"pending", "verified", "failed"},
    "verified": {"pending"},
    "failed": {"excluded", "pending", "sent", "verified", "cancelled"},
    "cancelled": {"excluded", "pending"},
}


class MatomoRequest(models.Model):
    """The verdict on an order, its place in the outbox, and the log of its sending.

    Each order that counts has one row of kind "order" at most. It is created by
    ``_matomo_track()`` in the sale's own transaction, lives and dies with it, and
    is written afterwards only by the sender, the verifier and a retrack. Nobody
    may create, write or delete rows through the interface: what the log says
    happened. The outcome of sending is written here and never on the order, so
    that a till or a salesperson never meets the sender.
    """

    _name = "matomo.request"
    _description = "Matomo Request"
    _order = "order_date desc, id desc"
    _rec_name = "order_ref"

    # === FIELDS === #

    kind = fields.Selection(
        [("order", "Order"), ("cart", "Cart Update"), ("refund", "Refund")],
        required=True,
        default="order",
        readonly=True,
    )
    company_id = fields.Many2one(
        "res.company", required=True, readonly=True, index=True
    )
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
    state = fields.Selection(
        STATES, required=True, default="pending", readonly=True, index=True
    )
    reason = fields.Text(
        readonly=True, help="Why the order is not in Matomo, in plain words."
    )
    notes = fields.Text(
        readonly=True, help="What is sent differently from the order, and why."
    )
    order_ref = fields.Char(
        string="Order ID in Matomo",
        readonly=True,
        help="Sent as ec_id. It never changes once it is assigned.",
    )
    order_ref_key = fields.Char(
        readonly=True,
        help="The order ID as Matomo compares it, with the Matomo site.",
    )
    is_backfill = fields.Boolean(
        string="Sent Later",
        readonly=True,
        default=False,
        help="A sale of the past: it waits until no newer sale does.",
    )
    attempt_count = fields.Integer(string="Attempts", readonly=True, aggregator=None)
    next_attempt_date = fields.Datetime(
        readonly=True,
        help="Before this moment nobody sends the row: it waits, or is being sent.",
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
        readonly=True, help="The amount sent, in the currency of the Matomo site."
    )
    currency_id = fields.Many2one("res.currency", readonly=True)
    sent_date = fields.Datetime(readonly=True)
    verified_date = fields.Datetime(readonly=True)
    duration_ms = fields.Integer(
        string="Duration (ms)", readonly=True, aggregator="avg"
    )
    answer_status = fields.Integer(string="HTTP Status", readonly=True, aggregator=None)
    answer_text = fields.Text(string="Answer", readonly=True, prefetch=False)

    # One verdict for each order, whatever is synced, clicked or swept twice.
    _sale_order_unique = models.UniqueIndex("(sale_order_id) WHERE kind = 'order'")
    _pos_order_unique = models.UniqueIndex("(pos_order_id) WHERE kind = 'order'")
    # Matomo would refuse a second order with the same id (MATOMO.md section 6).
    _order_ref_unique = models.UniqueIndex("(order_ref_key) WHERE kind = 'order'")
    _one_order = models.Constraint(
        "CHECK(num_nonnulls(sale_order_id, pos_order_id) = 1)",
        "A Matomo request is about exactly one order.",
    )
    # The sender's query: the rows of a site that are due, in order of sale time.
    _due_index = models.Index(
        "(site_id, is_backfill, order_date, id) WHERE state = 'pending'"
    )

    @api.depends("order_ref", "sale_order_id", "pos_order_id")
    def _compute_display_name(self):
        for row in self:
            # sudo: the name of the order a visible row is about.
            order = row.sudo()._get_order()
            row.display_name = row.order_ref or order.display_name or ""

    def _get_order(self):
        """The sales order or the till sale of this row."""
        self.ensure_one()
        return self.sale_order_id or self.pos_order_id

    def _get_sent_revenue(self):
        """The revenue this row has sent, exact, in its currency; 0 of no row."""
        return Decimal(f"{self.revenue:.2f}")

    # === TRACKING: INSIDE THE SALE'S TRANSACTION === #

    @api.model
    def _note(self, orders):
        """Remember to track ``orders`` when their transaction is about to end.

        Nothing is read here: a rule runs early, when a till sale has no name yet
        and a sales order is not wholly confirmed.
        """
        precommit = self.env.cr.precommit
        if NOTED not in precommit.data:
            precommit.data[NOTED] = {}
            # A transaction may end as another user than it began: the superuser's
            # environment reads the orders for all of them.
            env = self.env(user=SUPERUSER_ID, su=True, context={})
            precommit.add(env["matomo.request"]._track_noted)
        precommit.data[NOTED].setdefault(orders._name, set()).update(orders.ids)

    @api.model
    def _track_noted(self):
        """Give all noted orders their verdict, in one step that cannot harm them.

        Runs before the commit, and before flushing savepoints, so perhaps more
        than once: it adds what is missing.
        """
        cr = self.env.cr
        noted = cr.precommit.data.pop(NOTED, {})
        # The sale's own pending writes must not fail inside our guard.
        savepoint = cr.savepoint()
        try:
            with savepoint:
                for model_name, ids in noted.items():
                    self.env[model_name].browse(sorted(ids)).exists()._matomo_enqueue()
        except NOT_TO_SWALLOW:
            # Odoo replays the whole transaction, this step included, or fails it.
            raise
        except Exception:
            if cr.closed:
                raise
            # A sale is sacred: whatever is wrong here, the sale goes on, and the
            # sweep finds the orders without a verdict.
            _logger.exception(
                "Orders could not be queued for Matomo; the sweep will find them: %s",
                noted,
            )

    # === STATES === #

    def _update_state(self, state, **values):
        """The one way to change a state.

        Rows for which the change is not allowed are left alone and logged.

        :return: the rows that were changed
        """
        allowed = self.filtered(
            lambda row: row.state == state or state in ALLOWED_STATES[row.state]
        )
        for row in self - allowed:
            _logger.warning(
                "Matomo request %s stays %s: it cannot become %s",
                row.id,
                row.state,
                state,
            )
        allowed.write({"state": state, **values})
        return allowed

    def _set_cancelled(self):
        """The orders are cancelled, and Matomo has never had them."""
        self._update_state(
            "cancelled",
            reason=self.env._("The order was cancelled before it was sent."),
            failure_type=False,
            next_attempt_date=False,
        )

    # === WAKING THE SCHEDULED ACTIONS === #

    @api.model
    def _wake_sender(self, at=None):
        """Run the sender's lanes after this transaction, or at a moment in UTC."""
        self._wake("model._cron_send()", at)

    @api.model
    def _wake_verifier(self, at=None):
        """Run the verifier after this transaction, or at a moment in UTC."""
        self._wake("model._cron_verify()", at)

    @api.model
    def _wake_sweep(self):
        """Run the sweep after this transaction."""
        self._wake("model._cron_sweep()")

    @api.model
    def _wake_retrack(self):
        """Look at what is queued for a retrack after this transaction."""
        self._wake("model._cron_retrack()")

    @api.model
    def _wake(self, code, at=None):
        """Run the scheduled actions of this code; at once is once a transaction.

        A till that syncs a hundred sales comes here with each of them, and each
        trigger costs a connection when the transaction is committed.
        """
        woken = self.env.cr.postcommit.data.setdefault(WOKEN, {})
        # A savepoint that was rolled back took its triggers with it.
        if not at and code in woken and woken[code].exists():
            return
        # sudo: a shopper or a cashier wakes the sender without any right to it.
        crons = self.env["ir.cron"].sudo()
        triggers = crons.env["ir.cron.trigger"]
        for cron in crons.search(
            [("model_id.model", "=", self._name), ("code", "=", code)]
        ):
            triggers |= cron._trigger(at)
        if not at:
            woken[code] = triggers
