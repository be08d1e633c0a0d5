import logging
import random
from datetime import timedelta

from odoo import fields, models

from ..matomo_api.errors import Misconfigured, ServerTrouble
from .waiting import scaled

_logger = logging.getLogger(__name__)

FIRST_BACKOFF = scaled(seconds=30)
MAX_BACKOFF = scaled(hours=1)
# A wrong token is tried again this often: 20 failures an hour lock the sender
# out of Matomo (MATOMO.md section 5).
MISCONFIGURED_BACKOFF = scaled(hours=1)
# The last success is noted this often at most, or all lanes would write one row.
SUCCESS_NOTED = timedelta(minutes=1)
MANAGER_ACTIVITY = "mail.mail_activity_data_warning"


class MatomoSite(models.Model):
    """How a site is doing: what the sender notes, and how long it waits."""

    _inherit = "matomo.site"

    def _note_success(self, message=False, state="ok"):
        """Matomo has taken requests; a site that goes on working is hardly written."""
        self.ensure_one()
        now = fields.Datetime.now()
        values = {}
        if not self.last_success_date or self.last_success_date < now - SUCCESS_NOTED:
            values["last_success_date"] = now
        if self.state in ("error", "unknown") or self.failure_count or message:
            # sudo: the activities are the managers', whoever sees it mended.
            self.sudo().activity_unlink([MANAGER_ACTIVITY])
            values |= {
                "state": state,
                "state_message": message,
                "last_success_date": now,
                "next_attempt_date": False,
                "failure_count": 0,
            }
        if values:
            # sudo: health is readonly for everybody but the sender.
            self.sudo().write(values)

    def _note_anonymised(self):
        """Say once that Matomo cannot tell two orders of one id apart."""
        message = self.env._(
            "Matomo anonymises order IDs (Administration, Privacy): it would count an "
            "order twice if it were sent twice. Every order is looked for there "
            "before it is sent a second time."
        )
        if self.is_order_id_anonymised:
            return
        _logger.warning("Matomo site %s (%s): %s", self.id, self.url, message)
        # sudo: health is readonly for everybody but the sender.
        self.sudo().write({"is_order_id_anonymised": True, "state_message": message})

    def _note_trouble(self, error):
        """Stop sending to this site for a while.

        What is interrupted is tried again soon, then later each time. Wrong
        settings are tried again rarely, and the managers are told once.

        :param MatomoError error: what happened
        """
        self.ensure_one()
        _logger.warning("Matomo site %s (%s): %s", self.id, self.url, error)
        is_misconfigured = isinstance(error, Misconfigured)
        if is_misconfigured and self.state != "error":
            self._tell_managers(str(error))
        count = self.failure_count + 1
        if is_misconfigured:
            wait = MISCONFIGURED_BACKOFF
        else:
            wait = min(FIRST_BACKOFF * 2 ** min(count - 1, 10), MAX_BACKOFF)
            # Jitter, so that many databases do not come back at the same moment.
            wait *= random.uniform(0.75, 1.25)
            if isinstance(error, ServerTrouble):
                wait = max(wait, timedelta(seconds=error.retry_after))
        # sudo: health is readonly for everybody but the sender.
        self.sudo().write(
            {
                "state": "error" if is_misconfigured else "warning",
                "state_message": str(error),
                "next_attempt_date": fields.Datetime.now() + wait,
                "failure_count": count,
            }
        )

    def _tell_managers(self, message):
        """One activity for each manager of the site's company."""
        # sudo: whoever finds the trouble may not see the other managers.
        site = self.sudo()
        managers = site.env.ref("matomo_order_tracking.group_matomo_manager")
        for user in managers.all_user_ids.filtered("active"):
            if site.company_id in user.company_ids:
                site.activity_schedule(
                    MANAGER_ACTIVITY,
                    summary=site.env._("Matomo does not accept orders"),
                    note=message,
                    user_id=user.id,
                )
