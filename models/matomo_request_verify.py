import logging
from contextlib import closing

from odoo import api, fields, models
from odoo.fields import Domain

from ..matomo_api.errors import MatomoError, Misconfigured
from ..matomo_api.tracking import order_ref_key
from .guard import NOT_TO_SWALLOW
from .matomo_request_send import MAX_REMAINING, READ_TIMEOUT
from .matomo_site_health import Unreadable
from .waiting import LONGEST_WAIT

_logger = logging.getLogger(__name__)

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


class MatomoRequest(models.Model):
    """The verifier: accepted is not recorded, so Matomo is read back.

    An answer of 200 proves nothing: what Matomo excludes, it counts as tracked
    (MATOMO.md section 2). Only a read-back turns ``sent`` into ``verified``.
    """

    _inherit = "matomo.request"

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
