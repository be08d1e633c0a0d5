"""The sender: from requests that are due to orders in Matomo."""

import logging
import math
import random
import time
from contextlib import closing
from dataclasses import dataclass

from odoo import fields
from odoo.tools import SQL

from ..matomo_api.delivery import Delivery
from ..matomo_api.errors import MatomoError, Misconfigured
from ..matomo_api.outcomes import Report, SiteTrouble

# Importing the kinds registers them.
from . import bulks, carts, lanes, orders, refunds, schedule  # noqa: F401
from .facts import read_site_facts
from .kinds import KINDS, apply_report, get_due_domain, get_models
from .transactions import (
    MUST_PROPAGATE,
    run_aside,
    run_guarded,
    run_in_transaction,
)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Delivered:
    """What became of a bulk.

    :ivar seconds: how long that took
    """

    bulk: bulks.Bulk
    report: Report
    seconds: float

    def is_taken_whole(self):
        """Return whether nothing that comes after it depends on this report.

        Where Matomo replaces order IDs, orders of one moment are counted: those before
        must be known.
        """
        return self.report.is_all_taken and not self.bulk.policy.anonymises


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
        # What became of bulks, until it is written down.
        self.untold: list[Delivered] = []
        # What is claimed ahead, until it is sent or given back.
        self.ahead: bulks.Claim | None = None

    def run(self):
        """Send what is due, as long as there is time."""
        due = self._get_due_sites()
        self._wake_others(due)
        for site in due | self._get_new_sites():
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
        sites = self._get_open_sites()
        due = {id_ for id_, _count in _count_due(sites, limit=1)}
        ids = [id_ for id_ in sites.ids if id_ in due]
        # In random order, so that one with a long queue keeps no other back.
        random.shuffle(ids)
        return sites.browse(ids)

    def _get_open_sites(self):
        """Return the sites that may be sent to now."""
        return (
            self.env["matomo.site"]
            .search([])
            .filtered(
                lambda site: not site._is_waiting("next_attempt_date")
                and site._may_run()
            )
        )

    def _wake_others(self, sites):
        """Wake a lane for each other bulk, if more is due than one sends at once."""
        sizes = {site.id: site._get_batch_size() for site in sites}
        largest = max(sizes.values(), default=0)
        if all(count <= sizes[id_] for id_, count in _count_due(sites, largest + 1)):
            return

        def wake():
            others = lanes.get_others(self.env)
            # More bulks than there are lanes need not be counted.
            due = _count_due(sites, largest * (len(others) + 1))
            needed = sum(math.ceil(count / sizes[id_]) for id_, count in due)
            lanes.wake(others, needed - 1)

        # A lane that ends at this moment is a conflict.
        run_in_transaction(self.env, wake)

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
            self._clear_up()
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

        Matomo does not wait for Odoo: what became of a bulk that it has taken whole is
        written down while it works on the next one. What cannot be written down is due
        again at the end of its lease, as after a crash.

        :return: whether all were sent, and whether the scheduled action has time left
        """
        bulk = taken = None
        while True:
            bulk = bulk or self._claim(kind, site)
            if bulk is None:
                is_time_left = self._settle(taken)
                return is_time_left, is_time_left
            if not bulk.attempts:
                # Done with, without a word to Matomo.
                bulk = None
                if not self._report_progress(1):
                    self._settle(taken)
                    return False, False
                continue
            delivered, is_time_left = self._deliver(bulk, client, taken)
            taken = None
            if self.ahead and delivered.is_taken_whole():
                taken = delivered
            else:
                is_time_left &= self._settle(delivered)
                if delivered.report.error or not is_time_left:
                    self._give_back()
                    return False, is_time_left
            bulk = self.ahead and run_in_transaction(self.env, self.ahead.follow)
            self.ahead = None

    def _claim(self, kind, site):
        """Claim due requests; return the bulk to send, None if none is due."""

        def claim():
            found = bulks.claim(self.env, kind, site)
            return found and found.prepare()

        return run_in_transaction(self.env, claim)

    def _deliver(self, bulk, client, taken):
        """Send a bulk. While Matomo works on it, do what is to be done besides.

        :param taken: what became of the bulk before, if it is not written down yet
        :return: what became of this one, and whether the scheduled action has time left
        """

        def deliver():
            # Nothing in here reads the database.
            start = time.monotonic()
            send = bulk.claim.kind.send
            report = send(Delivery(client, bulk.policy), bulk.attempts)
            delivered = Delivered(bulk, report, time.monotonic() - start)
            self.untold.append(delivered)
            return delivered

        def meanwhile():
            # All that goes to Matomo at this moment is still due.
            is_time_left = self._settle(taken, remaining=len(bulk.attempts))
            if bulk.claim.has_next and is_time_left:
                self._claim_ahead(bulk.claim)
            return is_time_left

        # Here no transaction is open.
        return run_aside(deliver, meanwhile)

    def _claim_ahead(self, claim):
        """Claim and build what is due after a claim.

        What cannot be claimed now is claimed after the bulk that is being sent: its
        report must not get lost.
        """
        try:
            self.ahead = run_in_transaction(
                self.env, lambda: bulks.claim(self.env, claim.kind, claim.site)
            )
        except Exception:
            # Whatever it is, it comes up again when they are claimed afterwards.
            self.env.cr.rollback()
            _logger.warning("The next requests are not built ahead", exc_info=True)

    def _settle(self, delivered, remaining=0):
        """Write down what became of a bulk, if there is one.

        :param remaining: see ``_report_progress``
        :return: whether the scheduled action has time left
        """
        if delivered is None:
            return True
        self.untold.remove(delivered)
        claim, report = delivered.bulk.claim, delivered.report
        if report.error:
            self.waited += delivered.seconds
        run_in_transaction(
            self.env,
            lambda: apply_report(self.env[claim.kind.model], claim.site, report),
        )
        return self._report_progress(len(delivered.bulk.attempts), remaining)

    def _give_back(self):
        """Give back what is claimed ahead, and tell the scheduler of it."""
        claim, self.ahead = self.ahead, None
        if claim:
            run_in_transaction(self.env, claim.give_back)
            self._report_progress(0)

    def _clear_up(self):
        """Write down and give back what is at hand, after something else failed."""
        steps = [lambda each=each: self._settle(each) for each in self.untold]
        for step in (*steps, self._give_back):
            run_guarded(self.env, step, "Requests are due after their lease alone")

    # === THE SCHEDULED ACTION === #

    def _report_progress(self, processed, remaining=0):
        """Commit and tell the scheduler how much is due; false if time is up.

        Requests of a site that waits are not due: reporting them would make the
        scheduler call again and again.

        :param remaining: how many are known to be due, at least; if none is, they are
            counted
        """
        if not remaining and (sites := self._get_open_sites()):
            limit = max(schedule.MAX_REMAINING // len(sites), 1)
            remaining = sum(count for _id, count in _count_due(sites, limit))
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


def _count_due(sites, limit):
    """Return how many requests of some sites are due, by one statement for each model.

    PostgreSQL looks at no more than it counts: millions may wait.

    :param limit: of each site and model so many are counted at most
    :return: list of ``(site ID, count)``, for each site and model that has some
    """
    now = fields.Datetime.now()
    found = []
    for requests in get_models(sites.env) if sites else ():
        query = requests._search(get_due_domain(requests, now))
        site_id = SQL.identifier(
            requests._table, "site_id", to_flush=requests._fields["site_id"]
        )
        query.add_where(SQL("%s = site.id", site_id))
        query.limit = limit
        found += sites.env.execute_query(
            SQL(
                "SELECT site.id, COUNT(*) FROM unnest(%s::int[]) AS site (id),"
                " LATERAL (%s) AS due GROUP BY site.id",
                sites.ids,
                query.select(),
            )
        )
    return found


def recover(env, site, client):
    """Ask Matomo whether it accepts token and site by now, and write it down.

    Sending at once would be three requests with a wrong token instead of one.

    :return: whether it does
    """
    policy = run_in_transaction(env, site._get_policy)
    report = Delivery(client, policy).probe()
    run_in_transaction(env, lambda: apply_report(env["matomo.request"], site, report))
    return not report.error
