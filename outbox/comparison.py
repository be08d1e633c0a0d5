"""The nightly comparison: what Matomo reports of the past days, and what Odoo has.

This file asks Matomo; ``matomo.reconciliation`` compares a day and writes down the
result.
"""

import logging
from contextlib import closing
from datetime import timedelta
from time import monotonic

from odoo import fields
from odoo.tools import split_every

from ..matomo_api.errors import MatomoError
from ..matomo_api.reading import day_totals, read_all_orders
from .transactions import end_transaction, run_guarded, run_in_transaction

_logger = logging.getLogger(__name__)

# How many past days are compared every night. A day is compared more than once,
# because a till may synchronize its orders days later.
DAYS = 31
# So many of them are compared at once. After so many seconds a night begins no more of
# them: Odoo ends a process that works longer than ``limit_time_real_cron``.
CHUNK, PATIENCE = 8, 45
# How often a day is looked at whose orders are being sent.
LOOKS = 3


def get_thorough_days(last):
    """Return the days whose orders a nightly comparison reads in any case.

    That is yesterday, and one of the days before. ``DAYS`` is odd, so that each day
    is the second one once before it is too old: somebody may delete an order later.

    :param last: yesterday
    """
    return {last, last - timedelta(days=-last.toordinal() % DAYS)}


class Comparison:
    """One run of the nightly comparison. It follows the sweep."""

    def __init__(self, env):
        self.env = env
        self.days = env["matomo.reconciliation"]
        # The sites whose Matomo has not answered.
        self.silent = env["matomo.site"]
        # Why Matomo could not be asked the last time.
        self.error: MatomoError | None = None

    def run(self):
        """Compare the past days of every site.

        A large shop's month may take longer than Odoo lets a scheduled action run. What
        is left then is for ``run_due``, which this wakes.
        """
        began, now = monotonic(), fields.Datetime.now()
        sites = self._get_sites()
        # The sender writes the sites, too.
        run_in_transaction(self.env, lambda: sites.write({"comparison_date": now}))
        for step in [step for site in sites for step in self._get_past(site)]:
            if monotonic() - began > PATIENCE:
                self.env["matomo.request"]._wake_comparison()
                return
            self._take(step)
        self._finish(sites)

    def run_due(self):
        """Compare today so far, days that are outdated, and what a night has left."""
        sites = self._get_sites()
        steps = [
            (site, day, day, {day})
            for site in sites
            for day in [*self._get_current(site), *self._get_outdated(site)]
        ]
        steps += [
            step
            for site in sites.filtered("comparison_date")
            for step in self._get_past(site, site.comparison_date)
        ]
        for left, step in zip(reversed(range(len(steps))), steps, strict=True):
            self._take(step)
            is_time_left = self.env["ir.cron"]._commit_progress(1, remaining=left)
            if left and not is_time_left:
                return
        self._finish(sites)

    def _take(self, step):
        """Compare the days of a step, unless its Matomo has been silent before.

        :param step: tuple of a site, the first and the last day, and the days that are
            compared by their orders
        """
        site, *days = step
        if site in self.silent:
            return
        told = []
        self._guard(site, lambda: told.append(self.compare(site, *days)))
        if not any(told):
            self.silent |= site

    def _finish(self, sites):
        """Note that the past days of these sites are compared."""
        sites = sites.filtered("comparison_date")
        if sites:
            run_in_transaction(
                self.env, lambda: sites.write({"comparison_date": False})
            )

    def _get_past(self, site, since=None):
        """Return the steps that compare the past days of a site.

        :param since: naive UTC; days that were compared since are left out
        """
        first, last = self._get_period(site)
        done = set()
        if since:
            compared = [("site_id", "=", site.id), ("checked_date", ">=", since)]
            done = set(self.days.search(compared).mapped("day"))
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return [
            (site, chunk[0], chunk[-1], get_thorough_days(last))
            for chunk in split_every(CHUNK, [day for day in days if day not in done])
        ]

    def _get_sites(self):
        """Return the sites whose token can read reports.

        A site waits until Matomo has told its time zone: its days are Matomo's days.
        """
        sites = self.env["matomo.site"].search(
            [("can_read", "=", True), ("facts_date", "!=", False)]
        )
        return sites.filtered(self.can_compare)

    def can_compare(self, site):
        """Return whether Matomo can be asked now for the days of a site."""
        is_known = site.can_read and site.facts_date
        return bool(is_known and site._may_run() and site._get__token())

    def _get_current(self, site):
        """Return today, in a list, if the tracking has started."""
        today = site._get_today()
        return [today] if today >= site.date_start else []

    def _get_outdated(self, site):
        """Return the past days of a site that are to be compared again.

        Those before the tracking start are compared if somebody has asked for them.
        """
        found = self.days.search(
            [
                ("site_id", "=", site.id),
                ("is_outdated", "=", True),
                ("day", "<", site._get_today()),
            ],
            order="day",
        )
        return [*filter(site._has_raw_data_of_day, found.mapped("day"))]

    def _guard(self, site, step):
        """Run a step; what nobody foresaw ends no other day and no other site."""
        # Matomo's trouble is the site's, and is told there.
        run_guarded(
            self.env,
            step,
            "Matomo site %s cannot be compared",
            site.id,
            propagated=(MatomoError,),
        )

    def _get_period(self, site):
        """Return the first and the last day to compare.

        Today is left out: Matomo's report of it may be a quarter of an hour old
        (docs/matomo.md section 10). Days whose raw data Matomo has deleted are left
        out, too: their reports no longer change (section 14).

        :return: tuple of two dates in the site's time zone. The first is later than the
            last if there is nothing to compare
        """
        last = site._get_today() - timedelta(days=1)
        count = min(DAYS, site.raw_data_days or DAYS)
        return max(site.date_start, last - timedelta(days=count - 1)), last

    def compare(self, site, first, last, thorough=()):
        """Compare some days of one site.

        A job that compares a long time calls this for one day after the other.

        No transaction is open while Matomo answers. If Matomo cannot be asked, the
        Daily Comparison keeps its rows, and the log says so. The sender reports the
        trouble on the site.

        All days are compared before Matomo is asked for the orders of those that
        differ: it may have a report of totals, and no visits log.

        :param first: a date in the site's time zone
        :param last: the last date, included; today at the latest
        :param thorough: the dates whose orders are read even if their totals agree: a
            missing order and a stranger's of the same amount hide each other
        :return: whether Matomo has told the totals
        """
        idsite = site.idsite
        end_transaction(self.env)
        if last < first:
            return True
        is_told = False
        try:
            with closing(site._get__client()) as client:
                end_transaction(self.env)
                found = day_totals(client, idsite, first, last)
                is_told = True
                looks = []
                for day, totals in found.items():
                    self._guard(
                        site,
                        lambda d=day, t=totals: looks.extend(
                            self._compare_day(site, d, t, d in thorough)
                        ),
                    )
                for look in looks:
                    self._guard(
                        site, lambda k=look: self._explain_day(site, client, idsite, *k)
                    )
        except MatomoError as error:
            self.error = error
            _logger.warning(
                "Matomo site %s (%s) is not compared: %s", site.id, site.url, error
            )
        return is_told

    def _compare_day(self, site, day, totals, is_thorough):
        """Compare one day by its totals.

        :param day: a date in the site's time zone
        :param is_thorough: see ``compare``
        :return: list of ``(day, totals, is_clear)`` if its orders are to be read
        """
        compared = run_in_transaction(
            self.env, lambda: self.days._compare_day(site, day, totals)
        )
        # Of a day that has not ended Matomo's report is older than its orders.
        is_unfinished = compared.state == "unfinished"
        is_clear = compared.is_explained
        is_read = not is_unfinished and (is_thorough or not is_clear)
        return [(day, totals, is_clear)] if is_read else []

    def _explain_day(self, site, client, idsite, day, totals, is_clear):
        """Compare one day by its orders.

        Its totals are read again with them, as long as they change: a till that was
        offline sends its sales of past days while they are compared.

        :param day: a date in the site's time zone
        :param Totals totals: as they were read before
        :param is_clear: whether the totals are explained without its orders
        :raise MatomoError: if Matomo cannot be asked for the orders
        """
        end_transaction(self.env)
        for _look in range(LOOKS):
            before = totals
            recorded, is_complete = read_all_orders(client, idsite, day, day)
            if is_clear and not is_complete:
                # An order that Matomo does not show is not missing for that.
                return
            totals = day_totals(client, idsite, day, day)[day]
            compared = run_in_transaction(
                self.env,
                lambda t=totals, r=recorded, c=is_complete: self.days._compare_day(
                    site, day, t, r, c
                ),
            )
            if compared.is_explained or totals == before:
                return
