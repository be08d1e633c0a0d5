"""The sender: from requests that are due to orders in Matomo."""

import logging
import random
import time
from contextlib import closing

from odoo import fields
from odoo.fields import Domain

from ..matomo_api.delivery import Delivery
from ..matomo_api.errors import MatomoError, Misconfigured
from ..matomo_api.outcomes import SiteTrouble

# Importing the kinds registers them.
from . import bulks, carts, orders, refunds, schedule  # noqa: F401
from .facts import read_site_facts
from .kinds import KINDS, apply_report, get_due_domain, get_models
from .transactions import MUST_PROPAGATE, run_aside, run_in_transaction

_logger = logging.getLogger(__name__)


class Sender:
    """One run of a scheduled action; any number of lanes may run at once.

    Three kinds of trouble are kept apart. *Later* (network, server): the site waits,
    longer each time, and its requests with it. *This one* (data): the request fails,
    the others go on. *The site* (token, site id, rights): the site stops until a
    person corrects the settings. No order is ever locked or written.
    """

    def __init__(self, env):
        self.env = env
        # Seconds in which nothing came.
        self.waited = 0.0

    def run(self):
        """Send what is due, as long as there is time."""
        for site in self._get_due_sites() | self._get_new_sites():
            patience = site._get_timeout(site.batch_size)
            if self.waited and self.waited + patience > schedule.WAITING_BUDGET:
                self._hand_over()
                break
            if not self._send_site_guarded(site):
                break
        self._rearm()

    # === SITES === #

    def _get_due_sites(self):
        """Return the sites that may be sent to now and have requests that are due."""
        now = fields.Datetime.now()
        # A look at each, not a count of all requests: millions may wait.
        sites = [
            site
            for site in self.env["matomo.site"].search([])
            if not site._is_waiting("next_attempt_date")
            and site._may_run()
            and any(
                requests.search_count(
                    get_due_domain(requests, now) & Domain("site_id", "=", site.id),
                    limit=1,
                )
                for requests in get_models(self.env)
            )
        ]
        # In random order, so that one with a long queue keeps no other back.
        random.shuffle(sites)
        return self.env["matomo.site"].union(*sites)

    def _get_new_sites(self):
        """Return the sites whose Matomo is asked for its settings now."""
        sites = self.env["matomo.site"].search([("facts_date", "=", False)])
        return sites.filtered(
            lambda site: site._needs_facts()
            and not site._is_waiting("next_attempt_date")
            and site._may_run()
            and site._get__token()
        )

    def _send_site_guarded(self, site):
        """Send a site's due requests; what nobody foresaw is this site's trouble alone.

        Otherwise it would keep all other sites back, and Odoo would switch the
        scheduled action off after a week of it.

        :return: whether the scheduled action has time left
        """
        try:
            return self._send_site(site)
        except MUST_PROPAGATE:
            # The database's trouble: nothing could be written down.
            raise
        except Exception:
            self.env.cr.rollback()
            _logger.exception("Nothing can be sent to Matomo site %s", site.id)
            trouble = MatomoError("unforeseen")
            run_in_transaction(self.env, lambda: site._apply(SiteTrouble(trouble)))
            return self._report_progress(0)

    def _send_site(self, site):
        """Send a site's due requests, kind after kind, batch after batch.

        :return: whether the scheduled action has time left
        """
        start = time.monotonic()
        # Once for all batches: what is written down is in this language.
        site = site.with_env(site._get_message_env())
        try:
            client = site._get__client(report_timeout=schedule.READ_TIMEOUT)
        except Misconfigured as error:
            run_in_transaction(self.env, lambda e=error: site._apply(SiteTrouble(e)))
            return self._report_progress(0)
        with closing(client):
            if not self._is_ready(site, client):
                self.waited += time.monotonic() - start
                return self._report_progress(0)
            for kind in KINDS:
                is_done, is_time_left = self._send_kind(kind, site, client)
                if not is_done:
                    break
        return is_time_left

    def _is_ready(self, site, client):
        """Return whether orders may be sent, after asking Matomo where that is unclear.

        A wrong token is one request an hour, lest Matomo lock the sender out. While
        the currency is unclear, that Matomo takes orders is no recovery.
        """
        if site.state == "error" and site.is_currency_confirmed:
            if not recover(self.env, site, client):
                return False
        return not site._needs_facts() or read_site_facts(self.env, site, client)

    def _send_kind(self, kind, site, client):
        """Send a site's due requests of one kind.

        :return: whether all were sent, and whether the scheduled action has time left
        """
        bulk = None
        while True:
            bulk = bulk or run_in_transaction(
                self.env, lambda: bulks.claim(self.env, kind, site)
            )
            if bulk is None:
                return True, True
            if not bulk.attempts:
                # Done with, without a word to Matomo.
                bulk = None
                if not self._report_progress(1):
                    return False, False
                continue
            sent = bulk
            report, seconds, ahead = self._deliver(sent, client)
            if report.error:
                self.waited += seconds
            bulk = run_in_transaction(
                self.env,
                lambda r=report, a=ahead: self._apply(kind, site, r, a),
            )
            is_time_left = self._report_progress(len(sent.attempts))
            if report.error or not is_time_left:
                self._give_back(bulk)
                return False, is_time_left

    def _deliver(self, bulk, client):
        """Send a bulk, and build the next one while Matomo works on it.

        :return: the report, how many seconds it took, and the next bulk or None
        """

        def deliver():
            # Nothing in here reads the database.
            start = time.monotonic()
            report = bulk.kind.send(Delivery(client, bulk.policy), bulk.attempts)
            return report, time.monotonic() - start

        # Here no transaction is open.
        if not bulk.has_next:
            return *deliver(), None
        (report, seconds), ahead = run_aside(deliver, lambda: self._build_ahead(bulk))
        return report, seconds, ahead

    def _build_ahead(self, bulk):
        """Claim and build the bulk after this one; None if there is none.

        What cannot be claimed now is claimed after this bulk, which is being sent: its
        report must not get lost.
        """
        try:
            return run_in_transaction(
                self.env, lambda: bulks.claim(self.env, bulk.kind, bulk.site)
            )
        except Exception:
            # Whatever it is, it comes up again when they are claimed afterwards.
            self.env.cr.rollback()
            _logger.warning("The next requests are not built ahead", exc_info=True)
            return None

    def _apply(self, kind, site, report, ahead):
        """Write down what became of a bulk, and decide on the one built ahead.

        :return: the bulk to send next, as it is by now; None if it was given back
        """
        apply_report(self.env[kind.model], site, report)
        if ahead is None:
            return None
        if report.error or not ahead.may_be_sent():
            ahead.give_back()
            return None
        return ahead.renew()

    def _give_back(self, bulk):
        """Give back a bulk that was built ahead, and tell the scheduler of it."""
        if bulk and bulk.attempts:
            run_in_transaction(self.env, bulk.give_back)
            self._report_progress(0)

    # === THE SCHEDULED ACTION === #

    def _report_progress(self, processed):
        """Commit and tell the scheduler how much is due; false if time is up.

        Requests of a site that waits are not due: reporting them would make the
        scheduler call again and again.
        """
        remaining = 0
        if sites := self._get_due_sites():
            now = fields.Datetime.now()
            of_sites = Domain("site_id", "in", sites.ids)
            remaining = sum(
                requests.search_count(
                    get_due_domain(requests, now) & of_sites,
                    limit=schedule.MAX_REMAINING,
                )
                for requests in get_models(self.env)
            )
        crons = self.env["ir.cron"]
        return bool(crons._commit_progress(processed, remaining=remaining))

    def _hand_over(self):
        """Go on in a next run, after Odoo's other scheduled actions."""
        self.env["matomo.request"]._wake_sender()
        self.env["ir.cron"]._commit_progress(remaining=0)

    def _rearm(self):
        """Come back when the first waiting site may be tried again."""
        now = fields.Datetime.now()
        waiting = self.env["matomo.site"].search([("next_attempt_date", ">", now)])
        domain = [("state", "=", "pending"), ("site_id", "in", waiting.ids)]
        dates = [
            site.next_attempt_date
            for requests in get_models(self.env)
            for (site,) in requests._read_group(domain, ["site_id"])
        ]
        if dates:
            self.env["matomo.request"]._wake_sender(at=min(dates))


def recover(env, site, client):
    """Ask Matomo whether it accepts token and site by now, and write it down.

    Sending at once would be three requests with a wrong token instead of one.

    :return: whether it does
    """
    policy = run_in_transaction(env, site._get_policy)
    report = Delivery(client, policy).probe()
    run_in_transaction(env, lambda: apply_report(env["matomo.request"], site, report))
    return not report.error
