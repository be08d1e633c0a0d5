"""The verifier: accepted is not recorded, so Matomo is read back.

An answer of 200 proves nothing: what Matomo excludes, it counts as tracked
(docs/matomo.md section 2). Only a read-back turns ``sent`` into ``verified``.
"""

import logging
from contextlib import closing

from odoo import fields
from odoo.fields import Domain

from ..const import ACCEPTED_STATES
from ..matomo_api.delivery import Delivery
from ..matomo_api.errors import MatomoError, Misconfigured, Unreadable
from ..matomo_api.outcomes import SiteTrouble, SiteUnreadable
from . import schedule
from .kinds import apply_report, get_past_domain
from .sender import recover
from .transactions import MUST_PROPAGATE, run_in_transaction

_logger = logging.getLogger(__name__)

# How many orders are read back in one step.
VERIFY_BATCH = 50


class Verifier:
    """One run of the scheduled action that reads Matomo back."""

    def __init__(self, env):
        self.env = env
        self.requests = env["matomo.request"]

    def run(self):
        """Read back the orders that Matomo has accepted, as long as there is time."""
        domain = self._get_domain()
        for (site,) in self.requests._read_group(domain, ["site_id"]):
            if site._is_waiting("next_read_date") or not site._may_run():
                continue
            # A wrong token is not tried more often than the sender does.
            if site.state == "error" and site._is_waiting("next_attempt_date"):
                continue
            is_time_left, is_interrupted = self._verify_site_guarded(site)
            if is_interrupted:
                # One silence is enough for a run: Odoo's other actions wait, too.
                self.requests._wake_verifier()
                self.env["ir.cron"]._commit_progress(remaining=0)
            if is_interrupted or not is_time_left:
                return

    def _get_domain(self):
        """Return the domain of the requests that are due to be read back."""
        return Domain.AND(
            [
                get_past_domain("next_check_date", fields.Datetime.now()),
                [("state", "in", ACCEPTED_STATES), ("site_id.active", "=", True)],
            ]
        )

    def _verify_site_guarded(self, site):
        """Verify a site's requests; see ``Sender`` for why it is guarded.

        :return: see ``_verify_site``
        """
        try:
            return self._verify_site(site)
        except MUST_PROPAGATE:
            # The database's trouble: nothing could be written down.
            raise
        except Exception:
            self.env.cr.rollback()
            _logger.exception("Matomo site %s cannot be read back", site.id)
            trouble = Unreadable(MatomoError("unforeseen"))
            run_in_transaction(self.env, lambda: site._apply(SiteUnreadable(trouble)))
            return True, False

    def _verify_site(self, site):
        """Verify a site's requests, batch after batch.

        :return: whether the scheduled action has time left, and whether Matomo
            could not be read
        """
        # Once for all batches: what is written down is in this language.
        site = site.with_env(site._get_message_env())
        domain = self._get_domain() & Domain("site_id", "=", site.id)
        try:
            client = site._get__client(report_timeout=schedule.READ_TIMEOUT)
        except Misconfigured as error:
            run_in_transaction(self.env, lambda e=error: site._apply(SiteTrouble(e)))
            return True, False

        def claim():
            due = self.requests
            # Somebody may have paused it since the last batch.
            if not site.paused_date:
                due = due.search(domain, order="order_date, id", limit=VERIFY_BATCH)
            return due._prepare_attempts(), site._get_policy()

        with closing(client):
            while True:
                attempts, policy = run_in_transaction(self.env, claim)
                if not attempts:
                    break
                report = Delivery(client, policy).verify(attempts)
                run_in_transaction(
                    self.env, lambda r=report: apply_report(self.requests, site, r)
                )
                left = 0
                if not report.error:
                    left = self.requests.search_count(
                        domain, limit=schedule.MAX_REMAINING
                    )
                is_time_left = self.env["ir.cron"]._commit_progress(
                    len(attempts), remaining=left
                )
                if report.error or not is_time_left:
                    return bool(is_time_left), bool(report.error)
            pending = [("site_id", "=", site.id), ("state", "=", "pending")]
            if site.failure_count and not self.requests.search_count(pending, limit=1):
                # Nothing is left to send, so nobody else would find out.
                recover(self.env, site, client)
        return True, False
