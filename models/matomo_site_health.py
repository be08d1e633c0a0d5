import logging
from functools import partial

import pytz

from odoo import fields, models
from odoo.tools import plaintext2html

from ..matomo_api.delivery import (
    Policy,
    SiteRead,
    SiteReadRefused,
    SiteTrouble,
    SiteUnreadable,
    SiteWorks,
    bulk_timeout,
)
from ..matomo_api.errors import Misconfigured
from ..outbox import schedule
from .matomo_site import to_utc

_logger = logging.getLogger(__name__)

MANAGER_ACTIVITY = "mail.mail_activity_data_warning"


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
        """Return how long an answer to ``count`` orders may take (seconds)."""
        self.ensure_one()
        return bulk_timeout(self.order_timeout, count)

    def _is_waiting(self, name):
        """Whether the moment in the field ``name`` is still to come."""
        self.ensure_one()
        now = fields.Datetime.now()
        return bool(self[name]) and now < self[name] <= now + schedule.LONGEST_SITE_WAIT

    def _get_policy(self):
        """Return what the delivery has to know of this site."""
        self.ensure_one()
        return Policy(
            idsite=self.idsite,
            can_read=self.can_read,
            is_readable_now=not self._is_waiting("next_read_date"),
            anonymises=self.is_order_id_anonymised,
            read_failure_count=self.read_failure_count,
            order_timeout=self.order_timeout,
            cart_timeout=self.cart_timeout,
            now=fields.Datetime.now(),
            to_utc=partial(to_utc, pytz.timezone(self.timezone)),
        )

    # === HEALTH === #

    def _apply(self, outcome):
        """Write down what a delivery has learnt of this site."""
        match outcome:
            case SiteWorks():
                self._report_success()
            case SiteTrouble(error=error):
                self._report_trouble(error)
            case SiteRead():
                self._report_read()
            case SiteUnreadable(error=error):
                self._report_unreadable(error)
            case SiteReadRefused():
                self._report_read_refused()

    def _report_success(self, message=False, state="ok"):
        """Matomo has taken requests; a site that goes on working is hardly written."""
        self.ensure_one()
        now = fields.Datetime.now()
        values = {}
        if (
            not self.last_success_date
            or self.last_success_date < now - schedule.SUCCESS_INTERVAL
        ):
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

    def _report_anonymised(self):
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

    def _report_trouble(self, error):
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
            wait = schedule.MISCONFIGURED_BACKOFF
        else:
            wait = schedule.backoff(count, getattr(error, "retry_after", 0))
        # sudo: health is readonly for everybody but the sender.
        self.sudo().write(
            {
                "state": "error" if is_misconfigured else "warning",
                "state_message": str(error),
                "next_attempt_date": fields.Datetime.now() + wait,
                "failure_count": count,
            }
        )

    def _report_unreadable(self, error):
        """Matomo cannot be read back: try again soon, then later each time.

        :param Unreadable error: what happened
        """
        self.ensure_one()
        _logger.warning(
            "Matomo site %s (%s) is not read back: %s", self.id, self.url, error
        )
        count = self.read_failure_count + 1
        date = fields.Datetime.now() + schedule.backoff(
            count, getattr(error, "retry_after", 0)
        )
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

    def _report_read(self):
        """Matomo was read back; this ends what ``_report_unreadable`` began."""
        self.ensure_one()
        if not self.read_failure_count:
            return
        values = {"next_read_date": False, "read_failure_count": 0}
        if self.state == "warning" and not self.failure_count:
            values |= {"state": "ok", "state_message": False}
        # sudo: health is readonly for everybody but the sender.
        self.sudo().write(values)

    def _report_read_refused(self):
        """The token may not read: log it once."""
        if self.can_read:
            _logger.warning("The token of Matomo site %s may not read it.", self.id)
            self.can_read = False

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
