import logging
import random
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import NamedTuple

from psycopg2 import errors

from odoo import SUPERUSER_ID, api, fields, models
from odoo.exceptions import AccessError, ConcurrencyError
from odoo.fields import Domain
from odoo.tools import SQL, format_datetime

from ..const import (
    ACCEPTED_STATES,
    ALLOWED_STATES,
    ORDER_MODELS,
    STATES,
    UNCOUNTED_STATES,
    Verdict,
)
from ..matomo_api.client import BulkAnswer
from ..matomo_api.errors import (
    MatomoError,
    Misconfigured,
    ServerTrouble,
    Unreachable,
)
from ..matomo_api.privacy import (
    BLANKED,
    blank_parameters,
    blank_url,
    withdraw_shopper,
)
from ..matomo_api.reading import (
    is_refund_recorded,
    read_anonymised_orders,
    read_orders,
)
from ..matomo_api.tracking import (
    Page,
    cart_parameters,
    fit_order_ref,
    order_parameters,
    order_ref_key,
    refund_parameters,
    tracking_url,
)
from .guard import NOT_TO_SWALLOW
from .matomo_site_health import MAX_BACKOFF, Unreadable
from .waiting import LONGEST_WAIT, scaled

_logger = logging.getLogger(__name__)

# Key of cr.precommit.data: {model name: ids of orders to be tracked}.
NOTED = "matomo_order_tracking.noted"
# Key of cr.postcommit.data, which lasts as long as a transaction: {code of scheduled
# actions: the triggers that will run them}.
WOKEN = "matomo_order_tracking.woken"
# A claimed row is nobody else's for this long; after a crash it is due again.
LEASE = scaled(minutes=10)
# A run waits this long for silent servers in all, so that Odoo's other
# scheduled actions are not starved (seconds); a site's own timeout may be longer.
WAITING_BUDGET = 10
# So long Matomo may think about what it has recorded (seconds).
READ_TIMEOUT = WAITING_BUDGET
REPLAYS = 5
# With such an id Matomo takes an order for a cart.
NO_ORDER_REFS = ("", "0")
# The scheduler is told of so many rows at most: counting millions takes long.
MAX_REMAINING = 10_000
# What PHP answers when a request breaks it; gateways have other numbers.
SERVER_ERROR = 500
# An order that broke Matomo so often is given up.
MAX_ERRORS = 3
VERIFIER_SLACK = timedelta(seconds=1)
# An accepted order is looked for in Matomo after this time.
GRACE = scaled(minutes=1)
# How many orders are looked for in one request.
READ_BATCH = 50
# Matomo's days are those of the site's time zone.
DAY_MARGIN = timedelta(days=1)
# An order accepted this often and never found is given up.
MAX_MISSING = 3
# How many orders are looked for in one request.
VERIFY_BATCH = 50
COMPARED = {
    "subtotal": "ec_st",
    "tax": "ec_tx",
    "shipping": "ec_sh",
    "discount": "ec_dt",
}
# So long a refund waits for its order to be in Matomo.
ORDER_WAIT = scaled(minutes=15)
# So long one waits that Matomo may have, until the token may read whether it has.
UNREADABLE_WAIT = scaled(hours=1)
# In Matomo a visit ends after this time without action; until then its cart can
# become its order.
VISIT = timedelta(minutes=30)
# So long a cart waits to learn whose it is.
VISITOR_WAIT = scaled(minutes=30)
MAX_CART_ATTEMPTS = 2
CART_RETRY = scaled(seconds=30)
# What a claimed update gets beyond its timeout before it is due again.
CART_LEASE_MARGIN = timedelta(seconds=5)
SWEEP_BATCH = 500
# A person waits while so many orders are looked at; more are queued.
AT_ONCE = 100
# How many rows of a site the autovacuum cleans at once.
GC_BATCH = 1000


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

    def _write_state(self, state, **values):
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

    # === SEND === #
    #
    # The sender: from rows that are due to orders in Matomo.
    #
    # Three kinds of trouble are kept apart. *Later* (network, server): the site
    # waits, longer each time, and its rows with it. *This one* (data): the row
    # fails, the rest goes on. *The site* (token, site id, rights): the site stops
    # until a person mends the settings. No order's row is ever locked or written.

    check_first = fields.Boolean(
        readonly=True,
        help="Matomo is asked for the order before it is sent: it may be there.",
    )

    # === SCHEDULED ACTION === #

    @api.model
    def _cron_send(self):
        """Send what is due; any number of lanes may run this at once."""
        if not self.env.registry.ready:
            return
        waited = 0.0
        for site in self._get_due_sites():
            if waited and waited + site._get_timeout(site.batch_size) > WAITING_BUDGET:
                self._hand_over()
                break
            is_time_left, seconds = self._send_site_guarded(site)
            waited += seconds
            if not is_time_left:
                break
        self._rearm_sender()

    def _get_due_sites(self):
        """The sites that may be sent to now and have rows that are due."""
        due = self._due_domain(fields.Datetime.now())
        # A look at each, not a count of all rows: millions may wait.
        sites = [
            site
            for site in self.env["matomo.site"].search([])
            if not site._is_waiting("next_attempt_date")
            and site._may_send()
            and self.search_count([*due, ("site_id", "=", site.id)], limit=1)
        ]
        # In no order, so that one with a long queue keeps no other back.
        random.shuffle(sites)
        return self.env["matomo.site"].union(*sites)

    @api.model
    def _due_domain(self, now):
        return [
            ("state", "=", "pending"),
            "|",
            "|",
            ("next_attempt_date", "=", False),
            ("next_attempt_date", "<=", now),
            ("next_attempt_date", ">", now + LONGEST_WAIT),
        ]

    def _send_site_guarded(self, site):
        """Send a site's due rows; what nobody foresaw is this site's trouble alone.

        Otherwise it would keep all other sites back, and Odoo would switch the
        scheduled action off after a week of it.

        :return: see ``_send_site``
        """
        try:
            return self._send_site(site)
        except NOT_TO_SWALLOW:
            # The database's trouble: nothing could be written down.
            raise
        except Exception as error:
            self.env.cr.rollback()
            _logger.exception("Nothing can be sent to Matomo site %s", site.id)
            trouble = MatomoError(self.env._("Orders cannot be sent: %s", error))
            self._replay(lambda: site._note_trouble(trouble))
            return self._report_progress(0), 0.0

    def _send_site(self, site):
        """Send a site's due rows, batch by batch.

        :return: whether the scheduled action has time left, and how many seconds
            were waited for what did not come
        """
        start = time.monotonic()
        try:
            client = site._get_client(report_timeout=READ_TIMEOUT)
        except Misconfigured as error:
            self._replay(lambda e=error: site._note_trouble(e))
            return self._report_progress(0), 0.0
        with closing(client):
            if site.state == "error" and not self._is_mended(site, client):
                return self._report_progress(0), time.monotonic() - start
            while rows := self._replay(lambda: self._claim(site)):
                start = time.monotonic()
                outcomes, error = self._deliver(site, client, rows)
                waited = time.monotonic() - start
                self._replay(lambda o=outcomes, e=error: self._settle(site, o, e))
                is_time_left = self._report_progress(len(rows))
                if error or not is_time_left:
                    return is_time_left, waited if error else 0.0
            for send in (self._send_refunds, self._send_carts):
                start = time.monotonic()
                is_time_left, is_interrupted = send(site, client)
                if is_interrupted or not is_time_left:
                    waited = time.monotonic() - start
                    return is_time_left, waited if is_interrupted else 0.0
        return is_time_left, 0.0

    def _is_mended(self, site, client):
        """Ask Matomo whether it accepts token and site by now; note what it says.

        Sending at once would be three requests with a wrong token instead of one.
        """
        try:
            self._probe(site, client)
        except MatomoError as error:
            self._replay(lambda e=error: site._note_trouble(e))
            return False
        self._replay(site._note_success)
        return True

    def _report_progress(self, processed):
        """Commit and tell the scheduler how much is due; false if time is up.

        Rows of a site that waits are not due: reporting them would make the
        scheduler call again and again.
        """
        remaining = 0
        if sites := self._get_due_sites():
            remaining = self.search_count(
                [
                    *self._due_domain(fields.Datetime.now()),
                    ("site_id", "in", sites.ids),
                ],
                limit=MAX_REMAINING,
            )
        return bool(
            self.env["ir.cron"]._commit_progress(processed, remaining=remaining)
        )

    def _hand_over(self):
        """Go on in a next run, after Odoo's other scheduled actions."""
        self._wake_sender()
        self.env["ir.cron"]._commit_progress(remaining=0)

    def _rearm_sender(self):
        """Come back when the first waiting site may be tried again."""
        now = fields.Datetime.now()
        waiting = self.env["matomo.site"].search([("next_attempt_date", ">", now)])
        pending = self._read_group(
            [("state", "=", "pending"), ("site_id", "in", waiting.ids)], ["site_id"]
        )
        if dates := [site.next_attempt_date for (site,) in pending]:
            self._wake_sender(at=min(dates))

    def _replay(self, step):
        """Run ``step`` in a transaction of its own and commit it.

        A conflict with another lane is no error: the step is replayed.
        """
        # A view of the data from before Matomo was asked would make conflicts.
        self._end_transaction()
        for left in reversed(range(REPLAYS)):
            try:
                result = step()
                self._end_transaction()
                return result
            except (
                errors.SerializationFailure,
                errors.DeadlockDetected,
                errors.LockNotAvailable,
                # Another lane has taken the same order id.
                errors.UniqueViolation,
                ConcurrencyError,
            ):
                self.env.cr.rollback()
                if not left:
                    raise
        return None

    def _end_transaction(self):
        """Commit what is decided, so that it outlives a crash.

        While Matomo is asked no transaction is open: a sale would meet its locks,
        and its view of the data would be old when the answer comes.
        """
        self.env.cr.commit()  # pylint: disable=invalid-commit

    # === CLAIMING === #

    def _claim(self, site):
        """Take due rows of the site and build their requests.

        Sales in the order they were made; then, when no sale waits, those of a
        backfill, the newest first. SKIP LOCKED keeps the lanes apart while they
        claim, the lease while they send. What is built is frozen: whatever
        happens, the same is sent again.

        :return: the rows to send, at most ``batch_size``
        """
        now = fields.Datetime.now()
        while taken := (
            self._lock_due(
                site,
                now,
                SQL("kind = 'order' AND NOT is_backfill"),
                SQL("order_date, id"),
            )
            or self._lock_due(
                site, now, SQL("is_backfill"), SQL("order_date DESC, id DESC")
            )
        ):
            rows = (taken - taken._hold_for_carts(now)).sorted("order_date")
            if rows := rows._take(now + LEASE):
                return rows
        return self.browse()

    def _lock_due(self, site, now, condition, order):
        """Lock the first due rows of the site that no other lane holds."""
        # Rows that another lane has claimed meanwhile conflict: that is replayed, and
        # no error.
        self.env.cr.execute(
            SQL(
                """
                SELECT id FROM matomo_request
                 WHERE site_id = %s AND state = 'pending' AND %s
                   AND (next_attempt_date IS NULL OR next_attempt_date <= %s
                        OR next_attempt_date > %s)
              ORDER BY %s
                 LIMIT %s
                   FOR NO KEY UPDATE SKIP LOCKED
                """,
                site.id,
                condition,
                now,
                now + LONGEST_WAIT,
                order,
                site._get_batch_size(),
            ),
            log_exceptions=False,
        )
        rows = self.browse(id_ for (id_,) in self.env.cr.fetchall())
        # What another lane has committed meanwhile.
        rows.invalidate_recordset()
        return rows

    def _take(self, until):
        """Build the rows' requests and keep them from the other lanes until then.

        An order that cannot be built fails alone.

        :return: the rows that have something to send
        """
        try:
            with self.env.cr.savepoint():
                return self._prepare_attempts(until)
        except (*NOT_TO_SWALLOW, errors.UniqueViolation):
            # Not an order's fault: a conflict, or the connection is gone.
            raise
        except Exception as error:
            if len(self) > 1:
                # One by one, so that one order's trouble is no other's.
                return self.browse().union(*(row._take(until) for row in self))
            # Whatever an order's data breaks, it is said on the row, and the
            # queue goes on.
            _logger.exception("%s cannot be prepared for Matomo", self._get_order())
            self._fail(
                "data",
                self.env._("The order could not be prepared for Matomo: %s", error),
            )
            return self.browse()

    def _prepare_attempts(self, until):
        """Prepare an attempt to send each row; those with something to send."""
        unsent = self._assign_order_refs()
        rows = self.filtered(lambda row: row._prepare_attempt(until))
        (unsent - rows).write({"order_ref": False, "order_ref_key": False})
        return rows

    def _prepare_attempt(self, until):
        """Decide once more whether this row is sent, and build its request.

        All is written in one UPDATE: after a second one in a transaction PostgreSQL
        looks at the foreign keys again, and would lock the order's row for that.

        :return: whether there is something to send
        """
        self.ensure_one()
        if not self._get_payload_visitor() and not self._build(self._get_order()):
            return False
        self._update_state(
            "pending",
            next_attempt_date=until,
            attempt_count=self.attempt_count + 1,
            unsettled_count=self.unsettled_count + 1,
            check_first=self.check_first or self._may_count_twice(),
        )
        return True

    def _build_order(self, order):
        if not order._is_matomo_sale():
            self._set_cancelled()
            return False
        company_order = order.with_context(lang=order.company_id.partner_id.lang)
        verdict = company_order._get_matomo_content_verdict()
        if verdict:
            self._update_state(verdict.state, reason=verdict.reason)
            _logger.info("%s is not tracked in Matomo: %s", order, verdict.reason)
            return False
        site = self.site_id
        values = self._get_free_order_ref(order)
        ref = values.get("order_ref", self.order_ref)
        matomo_order, notes = company_order._prepare_matomo_order(ref, site)
        if order.date_order > fields.Datetime.now() + timedelta(minutes=1):
            notes.append(
                company_order.env._(
                    "The time of the sale, %s, was in the future: Matomo books it at "
                    "the moment it arrives. Is the till's clock right?",
                    format_datetime(company_order.env, order.date_order),
                )
            )
        notes += self._get_cart_notes(company_order)
        visitor = order._prepare_matomo_visitor(site)
        if self.missing_count:
            # Accepted and not recorded: its address may be excluded in Matomo.
            visitor = replace(visitor, ip_address="")
        payload = order_parameters(
            site.idsite,
            matomo_order,
            visitor,
            order._get_matomo_page(site),
        )
        for note in notes:
            _logger.info("%s in Matomo: %s", order, note)
        self.write(
            {
                **values,
                "order_date": order.date_order,
                "payload": payload,
                "tracking_url": tracking_url(site.url, payload),
                "revenue": float(matomo_order.revenue),
                "currency_id": site.currency_id.id,
                "notes": "\n".join(notes) or False,
            }
        )
        return True

    def _assign_order_refs(self):
        """Give each row its order's own name as order id, where that is free.

        One look for all rows; who comes second is given a suffix as it is built.

        :return: the rows that were given one
        """
        wanted = {}
        for row in self.filtered(lambda r: r.kind == "order" and not r.order_ref):
            ref = fit_order_ref(row._get_order()._get_matomo_order_name(), "")
            if ref not in NO_ORDER_REFS:
                key = row.site_id._get_order_ref_key(ref)
                wanted.setdefault(key, (row, ref))
        taken = self.search([("order_ref_key", "in", list(wanted))])
        for key in wanted.keys() - set(taken.mapped("order_ref_key")):
            row, ref = wanted[key]
            row.write({"order_ref": ref, "order_ref_key": key})
        return self.browse(row.id for row, _ref in wanted.values())

    def _get_free_order_ref(self, order, avoid=()):
        """An order id that no other order has on the row's Matomo site.

        Once assigned it stays, except if it turns out to be taken in Matomo. Another
        lane may assign the same one at this moment: that is replayed.

        :param avoid: the ids that are taken in Matomo
        :return: values of the row
        """
        if self.order_ref and self.order_ref not in avoid:
            return {}
        name = order._get_matomo_order_name()
        for number in count(1):
            ref = fit_order_ref(name, "" if number == 1 else f"-{number}")
            if ref in (*avoid, *NO_ORDER_REFS):
                continue
            key = self.site_id._get_order_ref_key(ref)
            taken = [("order_ref_key", "=", key), ("id", "!=", self.id)]
            if not self.search_count(taken, limit=1):
                return {"order_ref": ref, "order_ref_key": key}
        return {}

    # === THIS ONE === #

    def _fail(self, failure_type, reason, **values):
        failed = self._update_state(
            "failed",
            failure_type=failure_type,
            reason=reason,
            next_attempt_date=False,
            **values,
        )
        for row in failed:
            order = row._get_order()
            _logger.warning("%s is not in Matomo: %s", order.display_name, reason)
            order._message_log(body=self.env._("Not in Matomo: %s", reason))

    # === DELIVER === #
    #
    # The delivery of claimed rows: what is asked of Matomo, and what came of it.
    #
    # A delivery only talks to Matomo and yields outcomes; ``_settle`` writes them
    # down afterwards, in a transaction that is replayed on a conflict. No
    # transaction is open while Matomo is asked.

    error_count = fields.Integer(
        string="Server Failures",
        readonly=True,
        aggregator=None,
        help="How often Matomo's server failed on this very order.",
    )

    # === DELIVERING === #

    def _deliver(self, site, client, rows):
        """Send claimed rows and find out what became of each.

        :return: list of ``(rows, method name, keyword arguments)`` for ``_settle``,
            and the trouble that ended the delivery, or None
        """
        outcomes = []
        unsettled = rows
        try:
            for outcome in self._deliver_rows(site, client, rows):
                outcomes.append(outcome)
                unsettled -= outcome[0]
        except Unreadable as error:
            # Matomo takes orders, but what these have become cannot be seen now.
            return [*outcomes, (unsettled, "_put_off", {"error": error})], error
        except MatomoError as error:
            return [*outcomes, (unsettled, "_release", {"error": error})], error
        return outcomes, None

    def _deliver_rows(self, site, client, rows):
        """Yield the outcomes of ``_deliver``.

        :raise MatomoError: when it cannot be found out now what became of the rest
        """
        for outcome in self._check_first(site, client, rows):
            yield outcome
            rows -= outcome[0]
        if not rows:
            return
        try:
            answer = self._post(site, client, rows)
        except ServerTrouble as error:
            if error.status != SERVER_ERROR:
                raise
            # Is Matomo ill, or does one of these orders break it?
            self._probe(site, client)
            yield from self._settle_each(site, client, rows, error)
            return
        if answer.tracked == len(rows):
            yield rows, "_set_sent", {"answer": answer}
            return
        if not answer.tracked:
            # All refused: all recorded before, or the token is wrong.
            self._probe(site, client)
        yield from self._settle_each(site, client, rows, answer)

    def _post(self, site, client, rows):
        """Send rows in one request; no transaction is open meanwhile.

        :raise MatomoError: as the client does
        """
        payloads = [row.payload for row in rows]
        timeout = site._get_timeout(len(rows))
        self._end_transaction()
        return client.send_bulk(payloads, timeout=timeout)

    def _probe(self, site, client):
        """Ask whether the token may record; no transaction is open meanwhile.

        :raise MatomoError: as the client does
        """
        idsite, timeout = site.idsite, site.order_timeout
        self._end_transaction()
        client.probe(idsite, timeout=timeout)

    def _check_first(self, site, client, rows):
        """Look in Matomo for the rows that may be there, before they are sent.

        A person wants them sent again, or they were sent and Matomo, which
        anonymises order ids, would count them twice, or they were cancelled since.
        """
        cancelled = rows.filtered(lambda row: not row._get_order()._is_matomo_sale())
        doubtful = cancelled | rows.filtered(
            lambda row: row.check_first
            or (site.is_order_id_anonymised and row.unsettled_count > 1)
        )
        # Not sent unless it is seen that Matomo does not have them.
        risky = doubtful.filtered(
            lambda row: row.check_first and not site._has_raw_data(row.order_date)
        )
        if not site.can_read and risky:
            yield risky, "_set_unsure", {}
        if not doubtful or not site.can_read:
            return
        if site._is_waiting("next_read_date"):
            yield doubtful, "_put_off", {}
            return
        try:
            recorded = self._read_back(site, client, doubtful)
        except Misconfigured:
            # The token may not read: may it record at all?
            self._probe(site, client)
            yield self.browse(), "_note_unreadable", {"site": site}
            if risky:
                yield risky, "_set_unsure", {}
            return
        for row in doubtful:
            order = recorded.get(row.order_ref)
            if order and row._is_ours(order):
                yield row, "_set_verified", {"recorded": order}
            elif row in cancelled:
                yield row, "_set_cancelled", {}
            elif order:
                yield row, "_set_foreign", {"recorded": order}
            elif row in risky:
                yield row, "_set_unsure", {}
            elif row.check_first:
                yield row, "_set_absent", {}

    def _settle_each(self, site, client, rows, answer):
        """Tell the recorded from the refused by reading Matomo back.

        Matomo says how many it refused, not which (MATOMO.md section 3), and
        refuses what it has already, too. What is not there is sent alone.

        :param answer: the ``BulkAnswer`` to all of them, or the ``ServerTrouble``
        :raise MatomoError: when it cannot be found out now
        """
        if not site.can_read:
            yield from self._settle_unread(site, client, rows, answer)
            return
        if site._is_waiting("next_read_date"):
            yield rows, "_put_off", {}
            return
        try:
            recorded = self._read_back(site, client, rows)
        except Misconfigured:
            # The token may not read: may it record at all?
            try:
                self._probe(site, client)
            except MatomoError as error:
                # Before it was asked, some of them may have been recorded.
                error.may_be_recorded = True
                raise
            yield self.browse(), "_note_unreadable", {"site": site}
            yield from self._settle_unread(site, client, rows, answer)
            return
        ours = rows.filtered(
            lambda row: row.order_ref in recorded
            and row._is_ours(recorded[row.order_ref])
        )
        if ours:
            yield ours, "_set_sent", {"answer": answer}
        for row in rows - ours:
            if order := recorded.get(row.order_ref):
                yield row, "_set_foreign", {"recorded": order}
            elif len(rows) == 1:
                yield row._get_refusal(answer)
            else:
                yield self._settle_alone(site, client, row)

    def _settle_alone(self, site, client, row, accepted="_set_sent"):
        """Send a row alone, so that the answer is about it and no other.

        :param accepted: the method that writes down that Matomo has taken it
        :return: an outcome, see ``_deliver``
        :raise Misconfigured: the token is wrong, or the site
        :raise MatomoError: when it cannot be found out now
        """
        try:
            answer = self._post(site, client, row)
        except ServerTrouble as error:
            if error.status != SERVER_ERROR:
                raise
            answer = error
        if isinstance(answer, BulkAnswer) and answer.tracked:
            return row, accepted, {"answer": answer}
        # Refused alone, and not there: the token's or the site's fault, or its own?
        self._probe(site, client)
        return row._get_refusal(answer)

    def _get_refusal(self, answer):
        """The outcome of a row that Matomo does not take, while it takes others."""
        if isinstance(answer, ServerTrouble):
            return self, "_set_broken", {"error": answer}
        return self, "_set_refused", {"answer": answer}

    def _settle_unread(self, site, client, rows, answer):
        """Settle rows of a site whose token may not read: what can be told is told."""
        is_broken = isinstance(answer, ServerTrouble)
        if is_broken and len(rows) > 1:
            for row in rows:
                yield self._settle_alone(site, client, row)
        elif is_broken or (len(rows) == 1 and rows.attempt_count == 1):
            yield rows._get_refusal(answer)
        elif set(rows.mapped("attempt_count")) == {1}:
            reason = self.env._(
                "Matomo refused %(refused)s of %(count)s orders that were sent "
                "together, and does not let the token read which.",
                refused=len(rows) - answer.tracked,
                count=len(rows),
            )
            yield rows, "_set_sent", {"answer": answer, "reason": reason}
        else:
            # Refused the second time: most likely because it is there.
            yield rows, "_set_sent", {"answer": answer}

    # === SETTLING === #

    def _settle(self, site, outcomes, error=None):
        """Write down what became of the rows, and of the site."""
        if isinstance(error, Unreadable):
            site._note_unread(error)
        elif error:
            site._note_trouble(error)
        elif any(method != "_put_off" for _rows, method, _arguments in outcomes):
            site._note_success()
        for rows, method, arguments in outcomes:
            getattr(rows, method)(**arguments)

    def _set_sent(self, answer, reason=False):
        """Matomo has accepted the rows; soon they are looked for there.

        :param answer: to these rows, or to what was sent when they were found there
        """
        check_date = fields.Datetime.now() + GRACE
        accepted = self._update_state(
            "sent",
            reason=reason,
            failure_type=False,
            next_attempt_date=False,
            check_first=False,
            error_count=0,
            unsettled_count=0,
            sent_date=fields.Datetime.now(),
            next_check_date=check_date,
            duration_ms=getattr(answer, "duration_ms", 0),
            answer_status=answer.status,
            answer_text=answer.text,
        )
        # A little later, when the last of this second's rows are due as well.
        self._wake_verifier(at=check_date + VERIFIER_SLACK)
        for row in accepted:
            # The guide: "Tracked ecommerce order %s: URL was %s".
            _logger.info(
                "Tracked ecommerce order %s: URL was %s",
                row.order_ref,
                row._get_url_for_log(),
            )

    def _set_absent(self):
        """Matomo does not have it, so it is built anew: the order may be mended."""
        self._update_state(
            "pending",
            payload=False,
            tracking_url=False,
            check_first=False,
            unsettled_count=0,
            next_attempt_date=False,
        )

    def _set_foreign(self, recorded):
        """Somebody else's order has our id in Matomo: ours takes another."""
        taken = self.order_ref
        self._update_state(
            "pending",
            payload=False,
            tracking_url=False,
            unsettled_count=0,
            next_attempt_date=False,
            **self._get_free_order_ref(self._get_order(), avoid=(taken,)),
        )
        _logger.warning(
            "Matomo has an order %s of %s that is not ours; %s is sent as %s",
            taken,
            recorded.revenue,
            self._get_order(),
            self.order_ref,
        )

    def _set_refused(self, answer):
        """Matomo refuses this very order."""
        self._fail(
            "refused",
            self._get_refused_reason(),
            duration_ms=answer.duration_ms,
            answer_status=answer.status,
            answer_text=answer.text,
        )

    def _set_broken(self, error):
        """Matomo's server failed on this very order, while it takes others."""
        count = self.error_count + 1
        values = {"answer_status": error.status, "answer_text": error.text}
        self._note_unrecorded()
        if count >= MAX_ERRORS:
            self._fail(
                "server",
                self._get_broken_reason(count),
                error_count=0,
                **values,
            )
            return
        date = fields.Datetime.now() + self.site_id._get_backoff(count)
        self._update_state(
            "pending",
            next_attempt_date=date,
            failure_type="server",
            error_count=count,
            **values,
        )
        self._wake_sender(at=date)

    def _get_order_refused_reason(self):
        return self.env._(
            "Matomo refused this order, although it accepts the token and the "
            "site. Compare the audit URL with what Matomo expects, mend the "
            "order and press Retrack."
        )

    def _get_order_broken_reason(self, count):
        return self.env._(
            "Matomo's server failed %s times on this order, although it takes "
            "others: its error log says why. Then press Retrack.",
            count,
        )

    def _release(self, error):
        """Back to the queue: nothing is known, and nobody's attempts are used up."""
        self._update_state(
            "pending",
            next_attempt_date=False,
            failure_type=_failure_type(error),
            answer_status=error.status,
            answer_text=error.text,
        )
        if not error.may_be_recorded:
            self._note_unrecorded()

    def _put_off(self, error=None):
        """Back to the queue until Matomo can be read again; others go on."""
        if not self:
            return
        now = fields.Datetime.now()
        date = min(self.site_id.next_read_date or now, now + MAX_BACKOFF)
        values = {"next_attempt_date": date, "failure_type": "server"}
        if error:
            values |= {"answer_status": error.status, "answer_text": error.text}
        self._update_state("pending", **values)
        self._wake_sender(at=date)

    @api.model
    def _note_unreadable(self, site):
        """Say once that the site's token may not read."""
        if site.can_read:
            _logger.warning("The token of Matomo site %s may not read it.", site.id)
            site.can_read = False

    # === READ === #
    #
    # Reading Matomo back: what it has recorded of the rows, and whether it is ours.
    #
    # The sender asks before it sends what may be there, the verifier afterwards.

    def _read_back(self, site, client, rows):
        """What Matomo has recorded of the rows: ``{order id: RecordedOrder}``.

        With "Anonymize Order ID" Matomo keeps a random id instead of ours: what is
        not found by its id is looked for by its visitor, or it would be sent, and
        counted, again. After each failure less is asked for at once.

        :raise Misconfigured: the token may not read
        :raise Unreadable: Matomo cannot be read now
        """
        recorded = {}
        size = max(1, READ_BATCH >> site.read_failure_count)
        for start in range(0, len(rows), size):
            some = rows.sorted("order_date")[start : start + size]
            try:
                recorded |= self._read_some(site, client, some)
            except (Unreachable, ServerTrouble) as error:
                raise Unreadable(error) from error
        return recorded

    def _read_some(self, site, client, rows):
        dates = rows.mapped("order_date")
        # Orders of the future are booked when they arrive.
        days = (
            (min([*dates, *rows.mapped("create_date")]) - DAY_MARGIN).date(),
            (max([*dates, fields.Datetime.now()]) + DAY_MARGIN).date(),
        )
        refs, idsite = rows.mapped("order_ref"), site.idsite
        self._end_transaction()
        recorded = read_orders(client, idsite, refs, *days)
        missing = rows.filtered(
            lambda row: row.order_ref not in recorded and row._get_payload_visitor()
        )
        visitors = [row.payload["cid"] for row in missing]
        self._end_transaction()
        for order in read_anonymised_orders(client, idsite, visitors, *days):
            for row in missing:
                if row.order_ref not in recorded and row._is_ours(order):
                    recorded[row.order_ref] = order
                    break
        return recorded

    def _is_ours(self, recorded):
        """Whether an order in Matomo is the one this row sent.

        It is if revenue, day and visitor agree (DESIGN.md); of a row whose personal
        data were deleted only the first two are known still. Matomo keeps revenue in
        single precision: beyond 130,000 a cent is lost (MATOMO.md section 7).
        """
        payload = self.payload or {
            "revenue": self.revenue,
            "cdt": self.order_date,
            "cid": recorded.visitor_id,
        }
        revenue = float(payload.get("revenue") or 0)
        tolerance = max(0.005, abs(revenue) * 1e-7)
        sent_at = fields.Datetime.to_datetime(payload.get("cdt"))
        recorded_at = self.site_id._to_utc(recorded.time)
        return bool(
            abs(float(recorded.revenue) - revenue) <= tolerance
            and (self.is_blanked or recorded.visitor_id == payload.get("cid"))
            and sent_at
            # A time in the future was replaced by the moment of arrival.
            and min(sent_at, self.create_date) - DAY_MARGIN <= recorded_at
            and recorded_at <= sent_at + DAY_MARGIN
        )

    # === UNSETTLED === #
    #
    # Attempts of which nobody knows whether Matomo recorded the order.
    #
    # Sending again is safe as long as Matomo has the first one's raw data: it refuses
    # the second, and both can be told apart. Later it would count it twice, and nobody
    # would see it (MATOMO.md section 14).

    unsettled_count = fields.Integer(
        string="Attempts Unsettled",
        readonly=True,
        aggregator=None,
        help="Of so many attempts it is not known whether Matomo recorded them.",
    )

    def _may_count_twice(self):
        """Whether Matomo may have had it, and would no longer refuse it."""
        return bool(
            self.unsettled_count and not self.site_id._has_raw_data(self.order_date)
        )

    def _note_unrecorded(self):
        """Of the last attempt of each row it is known: nothing was recorded."""
        for row in self:
            row.unsettled_count = max(row.unsettled_count - 1, 0)

    def _set_unsure(self):
        """Matomo may have had it, and is not seen to have it."""
        for row in self:
            # As every verdict, in the company's language.
            env = row.with_context(lang=row.company_id.partner_id.lang).env
            lost = env._("It was sent, and Matomo's answer was lost.")
            row._fail("network", f"{lost} {row._get_too_old_reason()}")

    def _get_too_old_reason(self):
        # As every verdict, in the company's language.
        env = self.with_context(lang=self.company_id.partner_id.lang).env
        return env._(
            "It is older than Matomo keeps its raw data: it cannot be looked for "
            "there, and sent again it might count twice."
        )

    # === VERIFY === #
    #
    # The verifier: accepted is not recorded, so Matomo is read back.
    #
    # An answer of 200 proves nothing: what Matomo excludes, it counts as tracked
    # (MATOMO.md section 2). Only a read-back turns ``sent`` into ``verified``.

    next_check_date = fields.Datetime(
        readonly=True, help="When Matomo is asked for the order."
    )
    missing_count = fields.Integer(
        string="Times Missing",
        readonly=True,
        aggregator=None,
        help="How often the order was accepted and then not found.",
    )

    # The verifier's query: the rows of a site to look for, in order of time.
    _check_index = models.Index(
        "(site_id, next_check_date) WHERE next_check_date IS NOT NULL"
    )

    # === SCHEDULED ACTION === #

    @api.model
    def _cron_verify(self):
        """Look in Matomo for the orders it has accepted."""
        if not self.env.registry.ready:
            return
        now = fields.Datetime.now()
        for (site,) in self._read_group(self._check_domain(now), ["site_id"]):
            if site._is_waiting("next_read_date") or not site._may_send():
                continue
            # A wrong token is not tried more often than the sender does.
            if site.state == "error" and site._is_waiting("next_attempt_date"):
                continue
            is_time_left, is_interrupted = self._verify_site_guarded(site)
            if is_interrupted:
                # One silence is enough for a run: Odoo's other actions wait, too.
                self._wake_verifier()
                self.env["ir.cron"]._commit_progress(remaining=0)
            if is_interrupted or not is_time_left:
                return

    @api.model
    def _check_domain(self, now):
        return [
            "|",
            ("next_check_date", "<=", now),
            ("next_check_date", ">", now + LONGEST_WAIT),
            ("state", "in", ("sent", "verified")),
            ("site_id.active", "=", True),
        ]

    def _verify_site_guarded(self, site):
        """Verify a site's rows; see ``_send_site_guarded`` for why it is guarded.

        :return: see ``_verify_site``
        """
        try:
            return self._verify_site(site)
        except NOT_TO_SWALLOW:
            # The database's trouble: nothing could be written down.
            raise
        except Exception as error:
            self.env.cr.rollback()
            _logger.exception("Matomo site %s cannot be read back", site.id)
            trouble = Unreadable(MatomoError(str(error)))
            self._replay(lambda: site._note_unread(trouble))
            return True, False

    def _verify_site(self, site):
        """Verify a site's rows, batch by batch.

        :return: whether the scheduled action has time left, and whether Matomo
            could not be read
        """
        domain = Domain.AND(
            [self._check_domain(fields.Datetime.now()), [("site_id", "=", site.id)]]
        )
        try:
            client = site._get_client(report_timeout=READ_TIMEOUT)
        except Misconfigured as error:
            self._replay(lambda e=error: site._note_trouble(e))
            return True, False
        is_time_left = True
        with closing(client):
            while rows := self.search(
                domain, order="order_date, id", limit=VERIFY_BATCH
            ):
                error = self._verify(site, client, rows)
                left = 0 if error else self.search_count(domain, limit=MAX_REMAINING)
                is_time_left = bool(
                    self.env["ir.cron"]._commit_progress(len(rows), remaining=left)
                )
                if error or not is_time_left:
                    return is_time_left, bool(error)
            pending = [("site_id", "=", site.id), ("state", "=", "pending")]
            if site.failure_count and not self.search_count(pending, limit=1):
                # Nothing is left to send, so nobody else would find out.
                self._is_mended(site, client)
        return is_time_left, False

    def _verify(self, site, client, rows):
        """Read the rows back and write down what was found.

        :return: the trouble that kept Matomo from being read, or None
        """
        readable = rows.filtered(lambda row: site._has_raw_data(row.order_date))
        try:
            recorded = self._read_back(site, client, readable) if readable else {}
        except Misconfigured as error:
            return self._verify_unreadable(site, client, rows, error)
        except Unreadable as error:
            self._replay(lambda e=error: site._note_unread(e))
            return error

        def settle():
            if readable:
                site._note_read()
            self._settle_read_back(rows - readable, readable, recorded)

        self._replay(settle)
        return None

    def _verify_unreadable(self, site, client, rows, error):
        """The token may not read: if it may record, sites stay at "sent"."""
        try:
            self._probe(site, client)
        except MatomoError as probe_error:
            self._replay(lambda e=probe_error: site._note_trouble(e))
            return probe_error

        def settle():
            self._note_unreadable(site)
            rows.write({"next_check_date": False})

        self._replay(settle)
        return None

    def _settle_read_back(self, too_old, readable, recorded):
        too_old.write({"next_check_date": False})
        for row in readable:
            order = recorded.get(row.order_ref)
            if not order:
                row._set_missing()
            elif not row._is_ours(order):
                row._set_foreign(recorded=order)
            else:
                row._set_verified(order)

    # === OUTCOMES === #

    def _set_verified(self, recorded):
        """Matomo has the order; differing amounts are shown, not hidden."""
        differences = self._get_differences(recorded)
        if differences:
            self.write({"reason": "\n".join(differences), "next_check_date": False})
            return
        if order_ref_key(recorded.ref) != order_ref_key(self.order_ref):
            self.site_id._note_anonymised()
        self._update_state(
            "verified",
            reason=False,
            verified_date=fields.Datetime.now(),
            next_check_date=False,
            missing_count=0,
            unsettled_count=0,
        )

    def _get_differences(self, recorded):
        """Sentences on the amounts Matomo has recorded otherwise."""
        # An old row has no payload any more.
        payload = self.payload or {}
        return [
            self.env._(
                "Matomo has %(recorded)s as %(amount)s instead of %(sent)s.",
                amount=name,
                recorded=getattr(recorded, name),
                sent=payload.get(parameter),
            )
            for name, parameter in COMPARED.items()
            if f"{getattr(recorded, name):.2f}"
            != payload.get(parameter, f"{getattr(recorded, name):.2f}")
        ]

    def _set_missing(self):
        """Matomo accepted the order and has not recorded it."""
        count = self.missing_count + 1
        if count >= MAX_MISSING:
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
        # It is known not to be there: built anew, and without the address.
        self._update_state(
            "pending",
            payload=False,
            missing_count=count,
            next_attempt_date=False,
            next_check_date=False,
        )
        _logger.warning(
            "Matomo accepted order %s and has not recorded it; it is sent again",
            self.order_ref,
        )
        self._wake_sender()

    # === REFUND === #
    #
    # Refunds, for sites that want them: one Matomo event for each.
    #
    # Matomo knows no refunds: an order of negative revenue would count as one more
    # order. An event (category Ecommerce, action Refund) leaves orders and revenue
    # alone (MATOMO.md section 12), but is not deduplicated (section 14): it is sent
    # alone, and looked for before it is sent a second time.

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

    def _write_state_and_queue_refunds(self, state, **values):
        """Override to give back what was cancelled while it was on its way."""
        before = self.filtered(
            lambda row: row.kind == "order"
            and row.state not in ACCEPTED_STATES
            and row.site_id.track_refunds
        )
        changed = self._write_state(state, **values)
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

    def _build_order_or_refund(self, order):
        """Override of the sender: a refund is an event."""
        if self.kind != "refund":
            return self._build_order(order)
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
            return self._get_order_refused_reason()
        return self.env._(
            "Matomo refused this refund, although it accepts the token and the site. "
            "Compare the refund's audit URL with what Matomo expects, then press "
            "Retrack on the order."
        )

    def _get_broken_reason(self, count):
        if self.kind != "refund":
            return self._get_order_broken_reason(count)
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

    # === CART === #
    #
    # Cart updates: queued by the shopper's request, sent when no order waits.
    #
    # A change only ever adds a row: nothing the sender may hold is touched, so that
    # a shopper and the sender never wait for each other. What a cart holds is read
    # when it is sent, and all rows of a cart that wait by then become one update.
    # Nothing wakes the sender for a cart: its next run, within the minute, gathers
    # what quick clicks have changed.

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

    # === SETTLEMENT === #
    #
    # Sales orders that a till has settled: counted once, here or there.
    #
    # They are counted where the sales order is, as long as it counts (``pos.order``
    # asks ``sale.order._is_matomo_counted``). When it ceases to before Matomo has it,
    # its settlements count; and of what one of them has brought to Matomo, the sales
    # order no longer counts anything (``sale.order._compute_matomo_lines``).

    counted_order_ids = fields.Many2many(
        "sale.order",
        string="Counts What It Settled",
        readonly=True,
        help="The sales orders whose lines this till sale was sent with.",
    )

    def _update_state(self, state, **values):
        """Override to let settlements count once their sales order does not."""
        before = self.filtered(lambda row: row.state not in UNCOUNTED_STATES)
        changed = self._write_state_and_queue_refunds(state, **values)
        orders = (changed & before).sale_order_id
        if state not in UNCOUNTED_STATES:
            orders = orders.filtered(
                lambda order: state == "failed" and order.state == "cancel"
            )
        settled = orders._get_matomo_settlements()
        if sales := (settled | settled.refund_orderline_ids).order_id:
            self.env["matomo.retrack"]._queue(sales)
        return changed

    def _is_in_matomo(self):
        """Whether Matomo has it, or it may be on its way at this moment."""
        return self.state in ACCEPTED_STATES or bool(
            self.state == "pending" and self.payload
        )

    def _build(self, order):
        """Override to remember which settlements Matomo gets from the till."""
        if self.kind == "order" and self.pos_order_id:
            self._hold_settled(order)
        is_built = self._build_order_or_refund(order)
        if is_built and self.kind == "order" and self.pos_order_id:
            settled = order._get_matomo_settled_here()
            # Writing it looks it up for this row alone; reading it does for all.
            if self.counted_order_ids != settled:
                self.counted_order_ids = settled
        return is_built

    def _hold_settled(self, sale):
        """Keep the sales orders that ``sale`` has settled from being built meanwhile.

        Two lanes, each building one of both without seeing what the other does,
        would send the same lines twice. A lane that comes second waits here, and
        starts over with what the first has decided, or skips the locked row.
        """
        if orders := sale._get_matomo_settled_orders(sale.lines):
            self.env.cr.execute(
                SQL(
                    """
                    SELECT id FROM matomo_request
                     WHERE kind = 'order' AND sale_order_id IN %s
                  ORDER BY id
                       FOR NO KEY UPDATE
                    """,
                    orders._ids,
                ),
                log_exceptions=False,
            )

    # === RETRACK === #
    #
    # Looking at orders again: by a person (retrack) and every night (sweep).

    # === RETRACK === #

    @api.model
    def _retrack(self, orders):
        """Re-evaluate the verdicts of ``orders`` for the person who asks.

        What Matomo should have is looked for there first and sent only if it is
        missing. A few orders are answered at once, many are queued.

        :return: a notification that says what happened
        :raise AccessError: for somebody who may not retrack
        """
        if not self.env.user.has_group("matomo_order_tracking.group_matomo_user"):
            raise AccessError(
                self.env._("Only users of Matomo Order Tracking may retrack orders.")
            )
        if len(orders) > AT_ONCE:
            self.env["matomo.retrack"]._queue(orders, is_asked=True)
            message = self.env._(
                "%(count)s orders are queued to be looked at again. You will be told "
                "when it is done; each order's chatter says what came of it.",
                count=len(orders),
            )
        else:
            outcomes = self._retrack_now(orders, self.env.user)
            message = self._get_retrack_message(orders, outcomes)
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "info",
                "message": message,
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    @api.model
    def _cron_retrack(self):
        """Look at the orders that are queued for it, as long as there is time."""
        queue = self.env["matomo.retrack"]
        while request := queue.search([], limit=1):
            done = request._retrack_next()
            left = sum(len(row.res_ids) for row in queue.search([]))
            if not self.env["ir.cron"]._commit_progress(done, remaining=left):
                return

    @api.model
    def _retrack_now(self, orders, user=None):
        """Re-evaluate the verdicts of ``orders``, and write it to their chatter.

        :param user: who asked; nobody if the addon itself did
        :return: ``{row: sentence}``; orders that never counted have none
        """
        # sudo: nobody may write the log; pressing the button is the one way, and
        # whoever may press it need not be allowed to write the order.
        requests, orders = self.sudo(), orders.sudo()
        new_rows = orders.filtered(
            lambda order: order._is_matomo_sale()
        )._matomo_enqueue()
        rows = requests.browse(row.id for row in orders._get_matomo_rows().values())
        outcomes = {row: row._retrack_row(row in new_rows) for row in rows}
        for refund in requests._retrack_refunds(orders):
            order = refund._get_order()
            for row in rows.filtered(lambda row, o=order: row._get_order() == o):
                outcomes[row] += " " + self.env._("Its refund is queued to be sent.")
        requests._wake_sender()
        requests._wake_verifier()
        if user and outcomes:
            bodies = {
                row._get_order().id: self.env._("Retrack in Matomo: %s", what)
                for row, what in outcomes.items()
            }
            orders.browse(bodies)._message_log_batch(
                bodies=bodies, author_id=user.partner_id.id
            )
        return outcomes

    def _retrack_row(self, is_new):
        """Re-evaluate one row.

        :param is_new: whether it was made, or woken, by this very retrack
        :return: a sentence on what happens now
        """
        order = self._get_order()
        if self.state in ACCEPTED_STATES:
            if not self.site_id._has_raw_data(self.order_date):
                return self._get_too_old_reason()
            if reason := self._get_untraceable_reason():
                return reason
            self.next_check_date = fields.Datetime.now()
            return self.env._("Matomo has accepted it; it is looked for there now.")
        is_waiting = self.state == "pending" and not is_new
        if is_waiting and self.payload:
            # It may be on its way at this moment.
            return self.env._("it is waiting to be sent.")
        if not order._is_matomo_sale():
            if self.state in ("pending", "failed"):
                self._set_cancelled()
            return self.reason or ""
        verdict, site = order._get_matomo_verdict()
        if verdict.state == "pending" and not is_waiting:
            if not site._has_raw_data(order.date_order):
                verdict = Verdict(self.state, self._get_too_old_reason())
                if self.state != "failed":
                    verdict = verdict._replace(state="excluded")
        if verdict.state != "pending":
            self._update_state(verdict.state, reason=verdict.reason, site_id=site.id)
            return verdict.reason
        if is_waiting and self.site_id == site:
            return self.env._("it is waiting to be sent.")
        if self.site_id == site and self.attempt_count:
            if reason := self._get_untraceable_reason():
                return reason
        self._requeue(site)
        return self.env._("it is queued to be sent.")

    def _requeue(self, site):
        """Have the row sent to ``site``, where it may be already."""
        values = {"check_first": bool(self.attempt_count)}
        if self.site_id != site:
            # Nothing of it is known on the other site.
            values = {
                "check_first": False,
                "unsettled_count": 0,
                "payload": False,
                "tracking_url": False,
                "order_ref": False,
                "order_ref_key": False,
            }
        self._update_state(
            "pending",
            reason=False,
            site_id=site.id,
            failure_type=False,
            next_attempt_date=False,
            missing_count=0,
            **values,
        )

    # === WHAT THE PERSON IS TOLD === #

    @api.model
    def _get_retrack_message(self, orders, outcomes):
        if len(orders) > 1:
            return self._get_summary(
                len(orders),
                self._count_queued(outcomes),
                self._count_checked(outcomes),
            )
        for sentence in outcomes.values():
            return self.env._(
                "%(order)s: %(what)s", order=orders.display_name, what=sentence
            )
        return self.env._(
            "%s is not confirmed: only confirmed orders are tracked.",
            orders.display_name,
        )

    @api.model
    def _count_queued(self, outcomes):
        return sum(row.state == "pending" for row in outcomes)

    @api.model
    def _count_checked(self, outcomes):
        return sum(row.state in ACCEPTED_STATES for row in outcomes)

    @api.model
    def _get_summary(self, count, queued, checked):
        return self.env._(
            "Of %(count)s orders, %(queued)s are queued to be sent, %(checked)s are "
            "looked for in Matomo and %(rest)s are not tracked.",
            count=count,
            queued=queued,
            checked=checked,
            rest=count - queued - checked,
        )

    # === SWEEP === #

    @api.model
    def _cron_sweep(self):
        """Give every order since the tracking start a verdict, and keep the ledger.

        An automation rule may have been switched off, an order inserted by SQL,
        the addon away during an upgrade.
        """
        sites = self.env["matomo.site"].search([("active", "=", True)])
        for company, company_sites in sites.grouped("company_id").items():
            start = min(site._get_start() for site in company_sites)
            for model_name in ORDER_MODELS:
                if not self._sweep(model_name, company, start):
                    return
        # A last full batch has said that there may be more.
        self.env["ir.cron"]._commit_progress(remaining=0)
        self.env["matomo.reconciliation"]._reconcile()

    @api.model
    def _sweep(self, model_name, company, start):
        """Sweep a company's orders of one model, in the order of their ids.

        :return: whether the scheduled action has time left
        """
        orders = self.env[model_name]
        domain = Domain.AND(
            [
                orders._get_matomo_sale_domain(),
                [
                    ("company_id", "=", company.id),
                    ("date_order", ">=", start),
                    ("matomo_state", "=", False),
                ],
            ]
        )
        last_id = 0
        while found := orders.search(
            domain & Domain("id", ">", last_id), order="id", limit=SWEEP_BATCH
        ):
            last_id = found[-1].id
            failed = self._do_each(
                found,
                lambda part: part.with_context(
                    matomo_is_backfill=True
                )._matomo_enqueue(),
            )
            _logger.info(
                "Of %s orders without a verdict, %s have one now",
                len(found),
                len(found - failed),
            )
            # Orders that cannot have any stay: they are no reason to come back.
            done = len(found - failed)
            remaining = int(done and len(found) == SWEEP_BATCH)
            if not self.env["ir.cron"]._commit_progress(done, remaining=remaining):
                return False
        return True

    @api.model
    def _do_each(self, orders, step):
        """Call ``step(orders)`` in a transaction of its own.

        An order that breaks it is logged, and keeps no other back.

        :return: the orders that broke it
        """
        try:
            self._replay(lambda: step(orders))
        except NOT_TO_SWALLOW:
            raise
        except Exception:
            # Whatever one order's data breaks is logged, and the rest goes on.
            self.env.cr.rollback()
            if len(orders) == 1:
                _logger.exception("%s cannot be given a verdict for Matomo", orders)
                return orders
            return orders.browse().union(
                *(self._do_each(order, step) for order in orders)
            )
        return orders.browse()

    # === PRIVACY === #
    #
    # What the log keeps of a person, and for how long.
    #
    # A verdict and its amounts stay for ever. The person behind it is blanked after
    # the site's retention, or when they want to be forgotten. What waits to be sent,
    # or to be looked for in Matomo, still needs its visitor: it is blanked after that.

    # Whose order it was when the row was made. Not related: a sale that changes its
    # customer must not meet the sender here; who it is now is found by the order.
    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        compute="_compute_partner_id",
        store=True,
        precompute=True,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="Whose personal data the row may hold.",
    )
    is_blanked = fields.Boolean(
        string="Personal Data Deleted",
        readonly=True,
        default=False,
        help="IP address, browser, visitor and campaign were taken out of what was "
        "sent.",
    )
    is_forgotten = fields.Boolean(
        readonly=True,
        default=False,
        help="Personal data are deleted as soon as the row does not need them.",
    )

    # The autovacuum's queries: a site's rows with details, its carts, and the rows
    # of those who want to be forgotten.
    _details_index = models.Index(
        "(site_id, order_date) WHERE payload IS NOT NULL AND is_blanked IS NOT TRUE"
    )
    _carts_index = models.Index("(site_id, order_date) WHERE kind = 'cart'")
    _forgotten_index = models.Index(
        "(id) WHERE is_forgotten IS TRUE AND is_blanked IS NOT TRUE"
    )

    @api.depends("sale_order_id", "pos_order_id")
    def _compute_partner_id(self):
        for row in self:
            # sudo: whoever sells need not see the customer.
            row.partner_id = row.sudo()._get_order().partner_id

    # === BLANKING === #

    def _get_payload_visitor(self):
        """The visitor id that was sent, False if it was blanked or nothing was."""
        visitor_id = (self.payload or {}).get("cid")
        return visitor_id != BLANKED and visitor_id

    def _blank(self):
        """Take the person out of what was sent."""
        for row in self:
            row.write(
                {
                    "payload": row.payload and blank_parameters(row.payload),
                    "tracking_url": row.tracking_url and blank_url(row.tracking_url),
                    "answer_text": False,
                    "partner_id": False,
                    "is_blanked": True,
                }
            )

    def _get_url_for_log(self):
        """The audit URL without the person: files of a log know no retention."""
        return self.tracking_url and blank_url(self.tracking_url)

    def _get_untraceable_reason(self):
        """Why the order cannot be looked for in Matomo, or None."""
        if self.is_blanked and self.site_id.is_order_id_anonymised:
            return self.env._(
                "its visitor's data were deleted, and Matomo anonymises order IDs: it"
                " cannot be looked for there; sending it again might count it twice."
            )
        return None

    @api.model
    def _settled_domain(self):
        return [("state", "!=", "pending"), ("next_check_date", "=", False)]

    def _forget(self):
        """Blank these rows now, or as soon as they do not need the visitor."""
        settled = self.filtered_domain(self._settled_domain())
        for row in (self - settled).filtered("payload"):
            payload = withdraw_shopper(row.payload)
            row.payload = payload
            row.tracking_url = tracking_url(row.tracking_url.partition("?")[0], payload)
        (self - settled).write({"is_forgotten": True, "partner_id": False})
        settled._blank()

    def _export_data(self):
        """These rows for somebody who asks what is kept of them, for JSON."""
        names = ("kind", "state", "reason", "order_ref", "revenue", "order_date")
        names += ("sent_date", "verified_date", "payload", "tracking_url")
        return [
            {
                "site": row.site_id.name or None,
                "currency": row.currency_id.name or None,
                **{name: row[name] or None for name in names},
            }
            for row in self
        ]

    def unlink(self):
        """Override of the ORM for Odoo's privacy lookup, which deletes what it finds.

        What may be in Matomo keeps its verdict, or the order would be sent a second
        time: it only forgets whose it was. What was never sent is swept up again, as
        nobody's. Carts, and what was not to be sent, are deleted.
        """
        verdicts = self.filtered(
            lambda row: row.kind != "cart" and row.state != "excluded"
        )
        verdicts.sale_order_id._blank_matomo_shopper()
        verdicts.pos_order_id._blank_matomo_shopper()
        kept = verdicts.filtered("attempt_count")
        kept._forget()
        if verdicts - kept:
            self._wake_sweep()
        return super(MatomoRequest, self - kept).unlink()

    # === HOUSEKEEPING === #

    @api.autovacuum
    def _gc_requests(self):
        """Blank what was sent long ago; old cart updates are deleted.

        :return: how many rows were cleaned, and whether there are more
        """
        settled = [*self._settled_domain(), ("is_blanked", "=", False)]
        steps = [("_blank", [*settled, ("is_forgotten", "=", True)])]
        sites = self.env["matomo.site"].with_context(active_test=False)
        for site in sites.search([("retention_days", ">", 0)]):
            age = [
                ("site_id", "=", site.id),
                ("order_date", "<", site._get_retention_limit()),
            ]
            carts = [("kind", "=", "cart"), ("state", "!=", "pending")]
            steps += [
                ("_blank", [*settled, ("payload", "!=", False), *age]),
                ("unlink", [*carts, *age]),
            ]
        done, is_more = 0, False
        for clean, domain in steps:
            found = self.search(domain, limit=GC_BATCH)
            # A row that somebody works on is left for tomorrow.
            free = found.try_lock_for_update()
            getattr(free, clean)()
            done += len(free)
            is_more = is_more or bool(free and len(found) == GC_BATCH)
        return done, is_more


def _failure_type(error):
    """The kind of trouble, as ``matomo.request.failure_type`` has it."""
    if isinstance(error, Misconfigured):
        return "config"
    return "server" if isinstance(error, ServerTrouble) else "network"


def _ids(refunds, model_name):
    return [refund.order.id for refund in refunds if refund.order._name == model_name]


def _reference(order):
    return f"{order._name},{order.id}"
