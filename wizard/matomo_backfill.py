from datetime import timedelta

from markupsafe import Markup

from odoo import Command, api, fields, models
from odoo.exceptions import UserError
from odoo.tools import formatLang

from ..const import JOB_KINDS
from ..outbox import jobs
from ..tools.backfill import (
    Counts,
    describe_counts,
    describe_duration,
    describe_needs,
    estimate_seconds,
)
from ..tools.sentences import to_html

# A backfill proposes so many days before the tracking start.
DAYS = 30
# The days of a comparison that are proposed.
COMPARED_DAYS = 90
# Days that were mistyped are told: Matomo knows none before the World Wide Web, and
# Python none after the year 9999.
FIRST_YEAR, LAST_YEAR = 1992, 2100


class MatomoBackfill(models.TransientModel):
    """Asks which days of which sites a job is for, and counts before it starts.

    A backfill has a line for each site and channel, a comparison one for each site.
    """

    _name = "matomo.backfill"
    _description = "Backfill or Compare"

    kind = fields.Selection(
        JOB_KINDS,
        required=True,
        default="backfill",
        readonly=True,
    )
    first_day = fields.Date(string="From", required=True)
    last_day = fields.Date(
        string="To",
        required=True,
        help="The last day, included. Days are days of the Matomo site's time zone.",
    )
    line_ids = fields.One2many("matomo.backfill.line", "backfill_id")
    is_counted = fields.Boolean(readonly=True)
    is_empty = fields.Boolean(readonly=True)
    result = fields.Html(readonly=True, sanitize=False)

    # === OPENING === #

    @api.model
    def action_open(self):
        """Return an action that asks which older orders to send; a menu of managers."""
        return self._open("backfill")

    @api.model
    def _open(self, kind, sites=None):
        """Return an action that asks for days, sites and channels.

        :param kind: of the job
        :param sites: which sites are proposed; None for all that the user may see
        :raise AccessError: if the user is no manager
        :raise UserError: if there is no site
        """
        self.env["matomo.job"]._check_manager()
        sites = self._get_sites() if sites is None else sites
        sites.check_access("read")
        if not sites:
            raise UserError(self.env._("Connect to Matomo first: there is no site."))
        today = min(site._get_today() for site in sites)
        first = min(site.date_start for site in sites) - timedelta(days=DAYS)
        if kind == "compare":
            first = today - timedelta(days=COMPARED_DAYS)
        wizard = self.create(
            {
                "kind": kind,
                "first_day": min(first, today),
                "last_day": today,
                "line_ids": [
                    Command.create({"site_id": site.id, "channel": channel})
                    for site in sites
                    for channel in self._get_channels(kind, site)
                ],
            }
        )
        return wizard._get_action()

    @api.model
    def _get_sites(self):
        """Return the sites of the companies that the user works for at the moment."""
        companies = self.env.companies.ids
        return self.env["matomo.site"].search([("company_id", "in", companies)])

    @api.model
    def _get_channels(self, kind, site):
        """Return the channels of which a site has any order."""
        if kind == "compare":
            return [False]
        # sudo: a manager need not see orders; these are figures.
        found = [
            channel
            for channel, (orders, domain) in jobs.get_channels(site.sudo().env).items()
            if orders.search_count(
                domain & orders._get_matomo_site_domain(site), limit=1
            )
        ]
        return found or ["desk"]

    def _get_action(self):
        names = {
            "backfill": self.env._("Backfill"),
            "compare": self.env._("Compare a Range of Days"),
        }
        return {
            "type": "ir.actions.act_window",
            "name": names[self.kind],
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "target": "new",
        }

    # === COUNTING === #

    @api.onchange("first_day", "last_day", "line_ids")
    def _onchange_selection(self):
        """What was counted was another selection."""
        self.is_counted = False

    def _get_chosen(self):
        """Return the lines that were chosen.

        :raise UserError: if none was, or if the days are none
        :raise AccessError: if a program has entered a site of another company
        """
        self.ensure_one()
        self.env["matomo.job"]._check_manager()
        if self.first_day > self.last_day:
            raise UserError(self.env._("The first day is after the last day."))
        if self.first_day.year < FIRST_YEAR or self.last_day.year > LAST_YEAR:
            raise UserError(
                self.env._(
                    "Choose days of the years %(first)s to %(last)s.",
                    first=FIRST_YEAR,
                    last=LAST_YEAR,
                )
            )
        lines = self.line_ids.filtered("is_chosen")
        if not lines:
            raise UserError(self.env._("Choose at least one site."))
        lines.site_id.check_access("read")
        return lines

    def action_count(self):
        """Count the orders, and show what would be done with them."""
        lines = self._get_chosen()
        (self.line_ids - lines)._store(Counts())
        counts = {}
        for line in lines:
            counts[line] = line._count()
            line._store(counts[line])
        total = sum(counts.values(), Counts())
        seconds = estimate_seconds(
            # sudo: the log of a site that the user may see; these are figures.
            (counts[line].todo, jobs.measure_rate(line.site_id.sudo()))
            for line in lines
        )
        self.write(
            {
                "is_counted": True,
                "is_empty": not total.todo,
                "result": self._describe(total, seconds, lines.site_id),
            }
        )
        return self._get_action()

    def _describe(self, total, seconds, sites):
        """Return what would be done, as HTML."""

        def number(value):
            return formatLang(self.env, value, digits=0)

        counts = to_html("\n".join(describe_counts(self.env, total, number)))
        if not total.todo:
            return counts
        duration = self.env._(
            "This takes %s. Today's orders are sent first all the time.",
            describe_duration(self.env, seconds),
        )
        needs = describe_needs(self.env, [site._get_surroundings() for site in sites])
        listed = Markup().join(Markup("<li>%s</li>") % need for need in needs)
        return counts + to_html(duration) + Markup('<ul class="mt-2">%s</ul>') % listed

    # === STARTING === #

    def action_start(self):
        """Start a job for each site, and show them."""
        lines = self._get_chosen()
        vals_list = []
        for site, of_site in lines.grouped("site_id").items():
            vals = {
                "kind": self.kind,
                "site_id": site.id,
                "first_day": self.first_day,
                "last_day": self.last_day,
            }
            if self.kind == "backfill":
                counts = sum((line._count() for line in of_site), Counts())
                if not counts.todo:
                    continue
                vals |= {
                    "channels": of_site.mapped("channel"),
                    "found_count": counts.found - counts.old,
                    "old_count": counts.old,
                }
            vals_list.append(vals)
        return self.env["matomo.job"]._start(vals_list)._get_action()
