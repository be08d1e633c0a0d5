from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import format_date

from ..const import JOB_KINDS, MANAGER_GROUP
from ..tools.backfill import get_first_kept_day
from ..tools.sentences import describe_error

# The states from which each one is reached.
FROM = {
    "paused": ("running",),
    "running": ("paused",),
    "stopped": ("running", "paused"),
}


class MatomoJob(models.Model):
    """Something that a person has started and that takes long: it runs by itself.

    A backfill queues orders of the past for the sender. A comparison compares many days
    with Matomo. ``outbox/jobs.py`` does the work, batch by batch; a record keeps where
    it is. The buttons write the state and nothing else. A batch that runs meanwhile
    notices that as it writes its position: it is undone, and run again if the job still
    runs.
    """

    _name = "matomo.job"
    _inherit = ["matomo.list"]
    _description = "Matomo Job"
    _order = "id desc"

    # === FIELDS: WHAT IS ASKED FOR === #

    kind = fields.Selection(
        JOB_KINDS,
        required=True,
        readonly=True,
    )
    site_id = fields.Many2one(
        "matomo.site", required=True, readonly=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one(related="site_id.company_id", store=True, index=True)
    first_day = fields.Date(string="From", required=True, readonly=True)
    last_day = fields.Date(
        string="To",
        required=True,
        readonly=True,
        help="The last day, included. Days are days of the Matomo site's time zone.",
    )
    channels = fields.Json(
        string="Technical Channels",
        readonly=True,
        help="The channels of a backfill, as values of the field of requests.",
    )
    channel_names = fields.Char(string="Channels", compute="_compute_channel_names")
    create_uid = fields.Many2one("res.users", string="Started By", readonly=True)
    create_date = fields.Datetime(string="Started On", readonly=True)

    # === FIELDS: HOW FAR IT IS === #

    state = fields.Selection(
        [
            ("running", "Running"),
            ("paused", "Paused"),
            ("done", "Done"),
            ("stopped", "Stopped"),
        ],
        required=True,
        default="running",
        readonly=True,
    )
    position = fields.Json(
        readonly=True,
        help="The last order of a channel, or the last day, that is done.",
    )
    end_date = fields.Datetime(string="Ended On", readonly=True)
    found_count = fields.Integer(
        string="Found",
        readonly=True,
        help="The orders, or the days, that the job goes through.",
    )
    looked_count = fields.Integer(string="Looked At", readonly=True)
    queued_count = fields.Integer(
        string="Queued",
        readonly=True,
        help="Orders that the job has queued.",
    )
    accepted_count = fields.Integer(
        string="In Matomo Already",
        readonly=True,
        help="Orders that Matomo had accepted before: they are not sent again.",
    )
    left_out_count = fields.Integer(
        string="Left Out",
        compute="_compute_left_out_count",
        help="Orders that are not sent: each one says why. Or they waited, or had "
        "failed, before.",
    )
    old_count = fields.Integer(
        string="Too Old",
        readonly=True,
        help="Orders older than Matomo keeps its raw data: they are never sent.",
    )
    broken_count = fields.Integer(
        string="Not Readable",
        readonly=True,
        help="Orders that Odoo could not judge: its log says why.",
    )
    waiting_count = fields.Integer(string="Waiting", compute="_compute_waiting_count")
    progress = fields.Float(
        compute="_compute_progress",
        aggregator=None,
        help="What is looked at and does not wait to be sent, in percent.",
    )
    trouble = fields.Char(
        readonly=True, help="Why Matomo could not be asked for the next day."
    )
    message = fields.Char(compute="_compute_message")

    # === COMPUTE === #

    @api.depends("kind", "site_id", "first_day", "last_day")
    def _compute_display_name(self):
        labels = dict(self._fields["kind"]._description_selection(self.env))
        for job in self:
            job.display_name = self.env._(
                "%(kind)s of %(site)s, %(first)s to %(last)s",
                kind=labels.get(job.kind) or "",
                site=job.site_id.display_name or "",
                first=format_date(self.env, job.first_day),
                last=format_date(self.env, job.last_day),
            )

    @api.depends("channels")
    def _compute_channel_names(self):
        names = self.env["matomo.request"]._get_channel_names()
        for job in self:
            found = (names.get(channel, channel) for channel in job.channels or ())
            job.channel_names = ", ".join(found)

    @api.depends("looked_count", "queued_count", "accepted_count", "broken_count")
    def _compute_left_out_count(self):
        for job in self:
            known = job.queued_count + job.accepted_count + job.broken_count
            is_backfill = job.kind == "backfill"
            job.left_out_count = max(job.looked_count - known, 0) if is_backfill else 0

    def _compute_waiting_count(self):
        # sudo: this is a figure.
        counts = dict(
            self.env["matomo.request"]
            .sudo()
            ._read_group(
                [("job_id", "in", self.ids), ("state", "=", "pending")],
                ["job_id"],
                ["__count"],
            )
        )
        for job in self:
            job.waiting_count = counts.get(job.sudo(), 0)

    @api.depends("state", "found_count", "looked_count", "waiting_count")
    def _compute_progress(self):
        for job in self:
            done = max(job.looked_count - job.waiting_count, 0)
            # Orders may be sold or found meanwhile: it is full when the job is done.
            share = min(done / job.found_count, 0.99) if job.found_count else 0
            job.progress = 100 if job.state == "done" else int(100 * share)

    @api.depends("state", "site_id", "trouble")
    def _compute_message(self):
        for job in self:
            job.message = job._describe() if job.state == "running" else False

    def _describe(self):
        """Return why a running job does not go on, or False."""
        site = self.site_id
        if standstill := site._describe_standstill(self.env):
            return standstill
        if not site.has_token:
            return self.env._("The Matomo site has no token: enter one there.")
        if site.state in ("warning", "error"):
            return self.env._(
                "Matomo takes nothing at the moment: the Matomo site says why. The job "
                "goes on by itself."
            )
        if self.kind == "compare" and not site.can_read:
            return self.env._(
                "The token may not read Matomo: no day can be compared. The Matomo "
                "site says what to do."
            )
        if self.kind == "compare" and not site.facts_date:
            return self.env._(
                "Matomo has not told its time zone yet: press Test Connection on the "
                "Matomo site."
            )
        return self.trouble and self.env._(
            "%s The job tries again every minute.", self.trouble
        )

    # === BUTTONS === #

    def action_pause(self):
        """Do nothing until somebody resumes; what is queued waits, too."""
        self._change("paused")

    def action_resume(self):
        """Go on where the job was."""
        self._change("running")

    def action_stop(self):
        """End these jobs, and take back the orders that the sender has not begun."""
        self._change("stopped")

    def _change(self, state):
        """Write a state, and trigger the scheduled action that works on the jobs.

        :raise AccessError: if the user is no manager, or a job is of another company
        """
        self._check_manager()
        self.check_access("read")
        # sudo: readonly for everybody; pressing a button is the one way.
        jobs = self.sudo().filtered(lambda job: job.state in FROM[state])
        end = fields.Datetime.now() if state == "stopped" else False
        jobs.write({"state": state, "end_date": end})
        self.env["matomo.request"]._wake_job()
        if state == "running":
            self.env["matomo.request"]._wake_sender()

    @api.model
    def _check_manager(self):
        """Check that the user may start and end jobs.

        :raise AccessError: if the user is no manager
        """
        if not self.env.user.has_group(MANAGER_GROUP):
            raise AccessError(
                self.env._("Only managers of Matomo Order Tracking may do this.")
            )

    def action_view_requests(self):
        """Return an action that shows the orders that this backfill has judged."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "matomo_order_tracking.matomo_request_action"
        )
        domain = [("job_id", "=", self.id)]
        return {**action, "domain": domain, "context": {}}

    def action_view_days(self):
        """Return an action that shows the Daily Comparison of the days of this job."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "matomo_order_tracking.matomo_reconciliation_action"
        )
        domain = [
            ("site_id", "=", self.site_id.id),
            ("day", ">=", self.first_day),
            ("day", "<=", self.last_day),
        ]
        return {**action, "domain": domain, "context": {}}

    def action_compare(self):
        """Start a comparison of the days of this backfill."""
        self.ensure_one()
        self._check_manager()
        self.check_access("read")
        job = self._start(
            [
                {
                    "kind": "compare",
                    "site_id": self.site_id.id,
                    "first_day": self.first_day,
                    "last_day": self.last_day,
                }
            ]
        )
        return job._get_action()

    # === STARTING AND ENDING === #

    @api.model
    def _start(self, vals_list):
        """Create jobs of the current user and have them begin.

        :param vals_list: their values, which the user may see
        :return: the jobs
        :raise UserError: if there is nothing to do
        """
        for vals in vals_list:
            if vals["kind"] == "compare":
                vals |= self._fit(vals)
        vals_list = [v for v in vals_list if v["first_day"] <= v["last_day"]]
        if not vals_list:
            raise UserError(
                self.env._("There is nothing to do: choose other days or sites.")
            )
        # sudo: nobody may write jobs, except by these buttons.
        jobs = self.sudo().create(vals_list)
        self.env["matomo.request"]._wake_job()
        return jobs.sudo(False)

    @api.model
    def _fit(self, vals):
        """Return the days of a comparison that Matomo can tell the orders of."""
        site = self.env["matomo.site"].browse(vals["site_id"])
        today = site._get_today()
        kept = get_first_kept_day(today, site.raw_data_days)
        first, last = vals["first_day"], min(vals["last_day"], today)
        first = max(first, kept) if kept else first
        found = max((last - first).days + 1, 0)
        return {"first_day": first, "last_day": last, "found_count": found}

    def _get_action(self):
        """Return the action that shows these jobs."""
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "matomo_order_tracking.matomo_job_action"
        )
        if len(self) == 1:
            views = [(False, "form")]
            return {**action, "views": views, "res_id": self.id}
        return {**action, "domain": [("id", "in", self.ids)], "context": {}}

    def _count_waiting(self, limit):
        """Return how many orders of this job wait to be sent, ``limit`` at most."""
        domain = [("job_id", "=", self.id), ("state", "=", "pending")]
        return self.env["matomo.request"].search_count(domain, limit=limit)

    def _advance(self, position, **counts):
        """Write how far this job is.

        :param counts: how many more there are, by field
        """
        values = {name: self[name] + count for name, count in counts.items()}
        self.write({"position": position, "trouble": False, **values})

    def _note_trouble(self, error):
        """Write why Matomo could not be asked, once.

        :param error: a ``MatomoError``
        """
        trouble = describe_error(self.site_id._get_message_env(), error)
        if trouble != self.trouble:
            self.trouble = trouble

    def _finish(self):
        """End this job, and tell the user who has started it."""
        self.invalidate_recordset()
        if self.state != "running":
            return
        self.write({"state": "done", "end_date": fields.Datetime.now()})
        user = self.create_uid
        job = self.with_context(lang=user.lang)
        message = (
            job._get_summary()
            if job.kind == "backfill"
            else job.env._("%s is done.", job.display_name)
        )
        user._bus_send("simple_notification", {"type": "info", "message": message})

    def _get_summary(self):
        """Return the sentence with the result of a backfill."""
        return self.env._(
            "%(job)s is done. Orders sent: %(sent)s, in Matomo before: %(accepted)s, "
            "left out: %(left_out)s.",
            job=self.display_name,
            sent=self.queued_count,
            accepted=self.accepted_count,
            left_out=self.left_out_count + self.broken_count,
        )
