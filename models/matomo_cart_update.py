import logging
from itertools import pairwise

from odoo import api, fields, models
from odoo.fields import Domain

from ..const import RETENTION_MARGIN
from ..matomo_api.errors import get_failure_type
from ..matomo_api.outcomes import (
    Accepted,
    Attempt,
    Broken,
    Refused,
    Requeued,
)
from ..matomo_api.privacy import anonymize_url, shorten_url
from ..matomo_api.tracking import get_visitor_id
from ..outbox import schedule
from ..outbox.kinds import describe_answer

_logger = logging.getLogger(__name__)

# How many cart updates of a site the autovacuum deletes in one step.
GC_BATCH = 1000
# How many updates of a cart are kept that are done with.
KEPT_UPDATES = 10


class MatomoCartUpdate(models.Model):
    """A change of a web shop cart. The sender sends it soon, in one or two attempts.

    It has no verdict, and the verifier does not read it back: if the cart becomes an
    order, the order has a request. The autovacuum deletes old updates. No user may
    create, write or delete updates through the interface.
    """

    _name = "matomo.cart.update"
    _inherit = ["matomo.list"]
    _description = "Matomo Cart Update"
    _order = "changed_date desc, id desc"
    _rec_name = "sale_order_id"

    # === FIELDS === #

    company_id = fields.Many2one(
        "res.company", required=True, readonly=True, index=True
    )
    site_id = fields.Many2one(
        "matomo.site", required=True, readonly=True, ondelete="cascade"
    )
    sale_order_id = fields.Many2one(
        "sale.order",
        string="Cart",
        required=True,
        readonly=True,
        index=True,
        ondelete="cascade",
    )
    # The customer when the update was made, not a related field: see
    # matomo.request.partner_id.
    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        compute="_compute_partner_id",
        store=True,
        precompute=True,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="The customer whose personal data the update may hold.",
    )
    changed_date = fields.Datetime(required=True, readonly=True)
    state = fields.Selection(
        [("pending", "Waiting"), ("sent", "Sent"), ("cancelled", "Cancelled")],
        required=True,
        default="pending",
        readonly=True,
    )
    reason = fields.Text(readonly=True)
    attempt_count = fields.Integer(string="Attempts", readonly=True, aggregator=None)
    next_attempt_date = fields.Datetime(readonly=True)
    failure_type = fields.Selection(
        [
            ("network", "Network"),
            ("server", "Matomo's Server"),
            ("refused", "Refused by Matomo"),
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
        help="What was sent, as a web address. The token is masked.",
    )
    # Each update of a cart has all of it: a sum would count it many times.
    revenue = fields.Monetary(
        readonly=True,
        aggregator=None,
        help="The amount sent, in the currency of the Matomo site.",
    )
    currency_id = fields.Many2one("res.currency", readonly=True)
    sent_html = fields.Html(
        string="What Was Sent",
        compute="_compute_sent_html",
        sanitize=False,
        groups="matomo_order_tracking.group_matomo_user",
    )
    sent_date = fields.Datetime(readonly=True)
    duration_ms = fields.Integer(
        string="Duration (ms)", readonly=True, aggregator="avg"
    )
    answer_status = fields.Integer(string="HTTP Status", readonly=True, aggregator=None)
    answer_text = fields.Text(string="Answer", readonly=True, prefetch=False)

    # For the sender, which searches the due updates of a site, the newest first.
    _due_index = models.Index("(site_id, changed_date, id) WHERE state = 'pending'")
    # For the autovacuum, which searches the old updates of a site.
    _age_index = models.Index("(site_id, changed_date)")

    @api.depends("sale_order_id")
    def _compute_partner_id(self):
        for update in self:
            # sudo: a shopper has no right to their own cart.
            update.partner_id = update.sudo().sale_order_id.partner_id

    @api.depends("payload", "sent_date")
    def _compute_sent_html(self):
        requests = self.env["matomo.request"]
        for update in self:
            update.sent_html = requests._render_sent(
                update.payload,
                update.changed_date,
                update.currency_id,
                was_sent=bool(update.sent_date),
            )

    # === ATTEMPTS === #

    def _get_order(self):
        """Return the cart, a ``sale.order``."""
        self.ensure_one()
        return self.sale_order_id

    def _start_attempt(self, until, build):
        """Build the parameters of the update, and lease it to the calling sender.

        :param until: end of the lease, naive UTC; after it the update is due again
        :param build: a function that takes the update, writes its parameters, and
            returns whether there is something to send
        :return: whether there is something to send
        """
        self.ensure_one()
        if not build(self):
            return False
        self.write(
            {
                "next_attempt_date": until,
                "attempt_count": self.attempt_count + 1,
                "failure_type": False,
            }
        )
        return True

    def _fail_to_build(self):
        """Cancel an update whose parameters could not be built.

        If the cart becomes an order, the order's own request says what is wrong.
        """
        self._cancel(self.env._("The cart could not be prepared for Matomo."))

    def _prepare_attempts(self):
        """Return the updates as ``Attempt`` objects of the delivery."""
        return [
            Attempt(
                key=update.id,
                payload=update.payload,
                attempt_count=update.attempt_count,
            )
            for update in self
        ]

    # === OUTCOMES === #

    def _apply(self, outcome):
        """Apply an outcome of the delivery to these updates.

        :param outcome: an ``Accepted``, ``Refused`` or ``Requeued`` of
            ``matomo_api.delivery``
        """
        match outcome:
            case Accepted(answer=answer):
                self._accept(answer)
            case Refused(answer=answer):
                self.write(describe_answer(answer))
                self._retry("refused")
            case Broken(error=error) | Requeued(error=error):
                _logger.info("Carts are not in Matomo: %s", error)
                self.write(describe_answer(error))
                self._retry(get_failure_type(error))

    def _accept(self, answer):
        """Set the updates sent: Matomo has accepted them.

        :param answer: a ``BulkAnswer``
        """
        self.write(
            {
                "state": "sent",
                "next_attempt_date": False,
                "failure_type": False,
                "sent_date": fields.Datetime.now(),
                **describe_answer(answer),
            }
        )
        for update in self:
            # The guide asks for this very text.
            _logger.info(
                "Tracked ecommerce cart update: URL was %s",
                shorten_url(anonymize_url(update.tracking_url)),
            )
        self._prune()

    def _retry(self, failure_type):
        """Defer the updates for one more attempt. Give up those that had it.

        There is no third attempt: the next change of the cart is sent anyway.
        """
        last = self.filtered(
            lambda update: update.attempt_count >= schedule.MAX_CART_ATTEMPTS
        )
        last._give_up(failure_type=failure_type)
        (self - last).write(
            {
                "next_attempt_date": fields.Datetime.now() + schedule.CART_RETRY,
                "failure_type": failure_type,
            }
        )

    def _give_up(self, **values):
        """Cancel updates that could not be sent. ``values`` are written, too."""
        self._cancel(
            self.env._("Sending it failed; the next change is sent again."), **values
        )

    def _cancel(self, reason, **values):
        """Cancel the updates.

        :param reason: a translated sentence
        :param values: further values to write
        """
        self.write(
            {
                "state": "cancelled",
                "reason": reason,
                "next_attempt_date": False,
                **values,
            }
        )
        self._prune()

    def _prune(self):
        """Keep only the last updates of these carts that are done with.

        Matomo keeps one cart for each visit (docs/matomo.md section 12): what was sent
        before in the same visit is nowhere any more. And a robot may change a cart
        once an hour for months.
        """
        done = self.search(
            [
                ("sale_order_id", "in", self.sale_order_id.ids),
                ("state", "!=", "pending"),
            ],
            order="changed_date DESC, id DESC",
        )
        for same in done.grouped("sale_order_id").values():
            replaced = same.browse(
                older.id
                for newer, older in pairwise(same)
                if older._is_replaced_by(newer)
            )
            (replaced | (same - replaced)[KEPT_UPDATES:]).unlink()

    def _is_replaced_by(self, newer):
        """Return whether Matomo has what was sent later in place of this update."""
        return (
            self.state == newer.state == "sent"
            and newer.changed_date - self.changed_date < schedule.VISIT
            and get_visitor_id(newer.payload or {})
            == get_visitor_id(self.payload or {})
            and newer.partner_id == self.partner_id
        )

    # === PRIVACY === #

    def _delete_personal_data(self):
        """Delete these updates, and the personal data of their carts."""
        self.sale_order_id._anonymize_matomo_data()

    def _is_nobodys(self):
        """Return whether the cart had no customer yet when this update was made."""
        self.ensure_one()
        website = self.sale_order_id.website_id
        return self.partner_id in (
            self.env["res.partner"],
            website.user_id.partner_id,
            self.env.ref("base.public_partner", raise_if_not_found=False),
        )

    def _export_data(self):
        """Return these updates for the export of a customer's data.

        :return: list of dicts, one for each update; ``None`` stands for an empty value
        """
        names = ("state", "reason", "revenue", "changed_date", "sent_date")
        names += ("payload", "tracking_url")
        return [
            {
                "site": update.site_id.name or None,
                "currency": update.currency_id.name or None,
                **{name: update[name] or None for name in names},
            }
            for update in self
        ]

    @api.autovacuum
    def _gc_updates(self):
        """Delete updates that are older than the retention of their site.

        :return: how many were deleted, and whether there may be more
        """
        ended = Domain("state", "!=", "pending")
        domains = [
            Domain("site_id", "=", site.id) & old
            for site in self.env["matomo.site"]._get_sites_with_retention()
            for old in (
                *(ended & old for old in site._get_old_domains("changed_date")),
                # Whatever waits for it.
                *site._get_old_domains("changed_date", RETENTION_MARGIN),
            )
        ]
        done, is_more = 0, False
        for domain in domains:
            found = self.search(domain, limit=GC_BATCH)
            # The next autovacuum deletes the updates that are locked now.
            free = found.try_lock_for_update()
            free.unlink()
            done += len(free)
            is_more = is_more or bool(free and len(found) == GC_BATCH)
        return done, is_more
