import logging
import random
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import count

from psycopg2 import errors

from odoo import api, fields, models
from odoo.exceptions import ConcurrencyError
from odoo.tools import SQL, format_datetime

from ..matomo_api.errors import MatomoError, Misconfigured
from ..matomo_api.tracking import (
    fit_order_ref,
    order_parameters,
    tracking_url,
)
from .guard import NOT_TO_SWALLOW
from .waiting import LONGEST_WAIT, scaled

_logger = logging.getLogger(__name__)

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


class MatomoRequest(models.Model):
    """The sender: from rows that are due to orders in Matomo.

    Three kinds of trouble are kept apart. *Later* (network, server): the site
    waits, longer each time, and its rows with it. *This one* (data): the row
    fails, the rest goes on. *The site* (token, site id, rights): the site stops
    until a person mends the settings. No order's row is ever locked or written.
    """

    _inherit = "matomo.request"

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

    def _build(self, order):
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
