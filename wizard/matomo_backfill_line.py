from odoo import api, fields, models

from ..outbox import jobs


class MatomoBackfillLine(models.TransientModel):
    """A site, or a channel of a site, that a job may be for."""

    _name = "matomo.backfill.line"
    _description = "Site and Channel of a Backfill"

    backfill_id = fields.Many2one("matomo.backfill", required=True, ondelete="cascade")
    site_id = fields.Many2one(
        "matomo.site", required=True, readonly=True, ondelete="cascade"
    )
    channel = fields.Char(string="Technical Channel", readonly=True)
    channel_name = fields.Char(string="Channel", compute="_compute_channel_name")
    is_chosen = fields.Boolean(string="Chosen", default=True)
    found_count = fields.Integer(string="Orders", readonly=True)
    todo_count = fields.Integer(string="To Send", readonly=True)
    accepted_count = fields.Integer(string="In Matomo", readonly=True)
    left_out_count = fields.Integer(string="Left Out", readonly=True)
    old_count = fields.Integer(string="Too Old", readonly=True)

    @api.depends("channel")
    def _compute_channel_name(self):
        names = self.env["matomo.request"]._get_channel_names()
        for line in self:
            line.channel_name = names.get(line.channel, line.channel)

    def _count(self):
        """Return the ``Counts`` of this line."""
        wizard = self.backfill_id
        # sudo: a manager need not see orders; these are figures.
        site = self.site_id.sudo()
        return jobs.count(site, self.channel, wizard.first_day, wizard.last_day)

    def _store(self, counts):
        """Show these figures."""
        self.write(
            {
                "found_count": counts.found,
                "todo_count": counts.todo,
                "accepted_count": counts.accepted,
                "left_out_count": counts.left_out_count
                + counts.waiting
                + counts.failed,
                "old_count": counts.old,
            }
        )
