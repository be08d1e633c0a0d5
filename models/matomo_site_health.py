import logging
import random
from datetime import timedelta

from odoo import fields, models
from odoo.tools import plaintext2html

from ..matomo_api.errors import MatomoError, Misconfigured
from .waiting import scaled

_logger = logging.getLogger(__name__)

FIRST_BACKOFF = scaled(seconds=30)
MAX_BACKOFF = scaled(hours=1)
# A wrong token is tried again this often: 20 failures an hour lock the sender
# out of Matomo (MATOMO.md section 5).
MISCONFIGURED_BACKOFF = scaled(hours=1)
# No site waits longer, so one that seems to was put off by a clock that was wrong.
LONGEST_WAIT = timedelta(hours=25)
# What one more order in a bulk adds to the timeout of one (seconds). Matomo
# needs about 2 ms (MATOMO.md section 11).
TIMEOUT_PER_ORDER = 0.06
# The last success is noted this often at most, or all lanes would write one row.
SUCCESS_NOTED = timedelta(minutes=1)
MANAGER_ACTIVITY = "mail.mail_activity_data_warning"


class Unreadable(MatomoError):
    """Matomo cannot be read back now; it may take orders all the same."""

    def __init__(self, error):
        super().__init__(str(error), status=error.status, text=error.text)
        self.retry_after = getattr(error, "retry_after", 0)


class MatomoSite(models.Model):
    """How a site is doing: what the sender notes, and how long it waits.

    Taking orders and being read back are two things: a Matomo in maintenance, or
    one that is slow to report, still records. So each has its own back-off.
    """

    _inherit = "matomo.site"

    next_read_date = fields.Datetime(
        readonly=True, copy=False, help="Before this moment Matomo is not read back."
    )
    read_failure_count = fields.Integer(
        string="Failures to Read in a Row", readonly=True, copy=False, aggregator=None
    )

    # === WAITING === #

    def _get_timeout(self, count):
        """How long an answer to so many orders may take (seconds)."""
        self.ensure_one()
        return self.order_timeout + TIMEOUT_PER_ORDER * (count - 1)

    def _is_waiting(self, name):
        """Whether the moment in the field ``name`` is still to come."""
        self.ensure_one()
        now = fields.Datetime.now()
        return bool(self[name]) and now < self[name] <= now + LONGEST_WAIT

    def _get_backoff(self, count, error=None):
        """How long to wait after ``count`` failures in a row."""
        wait = min(FIRST_BACKOFF * 2 ** min(count - 1, 10), MAX_BACKOFF)
        # Jitter, so that many databases do not come back at the same moment.
        wait *= random.uniform(0.75, 1.25)
        return max(wait, timedelta(seconds=getattr(error, "retry_after", 0)))

    # === NOTES === #

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
                "state": "warning" if self.read_failure_count else state,
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
        if is_misconfigured:
            self._tell_managers(str(error))
        count = self.failure_count + 1
        if is_misconfigured:
            wait = MISCONFIGURED_BACKOFF
        else:
            wait = self._get_backoff(count, error)
        # sudo: health is readonly for everybody but the sender.
        self.sudo().write(
            {
                "state": "error" if is_misconfigured else "warning",
                "state_message": str(error),
                "next_attempt_date": fields.Datetime.now() + wait,
                "failure_count": count,
            }
        )

    def _note_unread(self, error):
        """Matomo cannot be read back: try again soon, then later each time.

        :param Unreadable error: what happened
        """
        self.ensure_one()
        _logger.warning(
            "Matomo site %s (%s) is not read back: %s", self.id, self.url, error
        )
        count = self.read_failure_count + 1
        date = fields.Datetime.now() + self._get_backoff(count, error)
        values = {"next_read_date": date, "read_failure_count": count}
        if self.state in ("ok", "unknown"):
            values |= {
                "state": "warning",
                "state_message": self.env._(
                    "Orders cannot be read back from Matomo: %s", error
                ),
            }
        # sudo: health is readonly for everybody but the sender.
        self.sudo().write(values)
        self.env["matomo.request"]._wake_verifier(at=date)

    def _note_read(self):
        """Matomo was read back; this ends what ``_note_unread`` began."""
        self.ensure_one()
        if not self.read_failure_count:
            return
        values = {"next_read_date": False, "read_failure_count": 0}
        if self.state == "warning" and not self.failure_count:
            values |= {"state": "ok", "state_message": False}
        # sudo: health is readonly for everybody but the sender.
        self.sudo().write(values)

    def _tell_managers(self, message):
        """One activity for each manager of the site's company, as long as it lasts."""
        # sudo: whoever finds the trouble may not see the other managers.
        site = self.sudo()
        if self.state == "error" or site.activity_search([MANAGER_ACTIVITY]):
            return
        managers = site.env.ref("matomo_order_tracking.group_matomo_manager")
        for user in managers.all_user_ids.filtered("active"):
            if site.company_id in user.company_ids:
                site.activity_schedule(
                    MANAGER_ACTIVITY,
                    summary=site.env._("Matomo does not accept orders"),
                    # A text of ours may name a site, a host or an order.
                    note=plaintext2html(message),
                    user_id=user.id,
                )
