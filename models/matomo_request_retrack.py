import logging

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.fields import Domain

from .guard import NOT_TO_SWALLOW
from .matomo_order_mixin import Verdict
from .matomo_request import ACCEPTED_STATES

_logger = logging.getLogger(__name__)

# The models whose orders are tracked.
ORDER_MODELS = ("sale.order", "pos.order")
SWEEP_BATCH = 500
# A person waits while so many orders are looked at; more are queued.
AT_ONCE = 100


class MatomoRequest(models.Model):
    """Looking at orders again: by a person (retrack) and every night (sweep)."""

    _inherit = "matomo.request"

    # === RETRACK === #

    @api.model
    def _retrack(self, orders):
        """Re-evaluate the verdicts of ``orders`` for the person who asks.

        What Matomo should have is looked for there first and sent only if it is
        missing. A few orders are answered at once, many are queued.

        :return: a notification that says what happened
        :raise AccessError: for somebody who may not retrack
        """
        if not self.env.user.has_group("matomo_order_tracking.group_matomo_user"):
            raise AccessError(
                self.env._("Only users of Matomo Order Tracking may retrack orders.")
            )
        if len(orders) > AT_ONCE:
            self.env["matomo.retrack"]._queue(orders, is_asked=True)
            message = self.env._(
                "%(count)s orders are queued to be looked at again. You will be told "
                "when it is done; each order's chatter says what came of it.",
                count=len(orders),
            )
        else:
            outcomes = self._retrack_now(orders, self.env.user)
            message = self._get_retrack_message(orders, outcomes)
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "info",
                "message": message,
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    @api.model
    def _cron_retrack(self):
        """Look at the orders that are queued for it, as long as there is time."""
        queue = self.env["matomo.retrack"]
        while request := queue.search([], limit=1):
            done = request._retrack_next()
            left = sum(len(row.res_ids) for row in queue.search([]))
            if not self.env["ir.cron"]._commit_progress(done, remaining=left):
                return

    @api.model
    def _retrack_now(self, orders, user=None):
        """Re-evaluate the verdicts of ``orders``, and write it to their chatter.

        :param user: who asked; nobody if the addon itself did
        :return: ``{row: sentence}``; orders that never counted have none
        """
        # sudo: nobody may write the log; pressing the button is the one way, and
        # whoever may press it need not be allowed to write the order.
        requests, orders = self.sudo(), orders.sudo()
        new_rows = orders.filtered(
            lambda order: order._is_matomo_sale()
        )._matomo_enqueue()
        rows = requests.browse(row.id for row in orders._get_matomo_rows().values())
        outcomes = {row: row._retrack_row(row in new_rows) for row in rows}
        for refund in requests._retrack_refunds(orders):
            order = refund._get_order()
            for row in rows.filtered(lambda row, o=order: row._get_order() == o):
                outcomes[row] += " " + self.env._("Its refund is queued to be sent.")
        requests._wake_sender()
        requests._wake_verifier()
        if user and outcomes:
            bodies = {
                row._get_order().id: self.env._("Retrack in Matomo: %s", what)
                for row, what in outcomes.items()
            }
            orders.browse(bodies)._message_log_batch(
                bodies=bodies, author_id=user.partner_id.id
            )
        return outcomes

    def _retrack_row(self, is_new):
        """Re-evaluate one row.

        :param is_new: whether it was made, or woken, by this very retrack
        :return: a sentence on what happens now
        """
        order = self._get_order()
        if self.state in ACCEPTED_STATES:
            if not self.site_id._has_raw_data(self.order_date):
                return self._get_too_old_reason()
            if reason := self._get_untraceable_reason():
                return reason
            self.next_check_date = fields.Datetime.now()
            return self.env._("Matomo has accepted it; it is looked for there now.")
        is_waiting = self.state == "pending" and not is_new
        if is_waiting and self.payload:
            # It may be on its way at this moment.
            return self.env._("it is waiting to be sent.")
        if not order._is_matomo_sale():
            if self.state in ("pending", "failed"):
                self._set_cancelled()
            return self.reason or ""
        verdict, site = order._get_matomo_verdict()
        if verdict.state == "pending" and not is_waiting:
            if not site._has_raw_data(order.date_order):
                verdict = Verdict(self.state, self._get_too_old_reason())
                if self.state != "failed":
                    verdict = verdict._replace(state="excluded")
        if verdict.state != "pending":
            self._update_state(verdict.state, reason=verdict.reason, site_id=site.id)
            return verdict.reason
        if is_waiting and self.site_id == site:
            return self.env._("it is waiting to be sent.")
        if self.site_id == site and self.attempt_count:
            if reason := self._get_untraceable_reason():
                return reason
        self._requeue(site)
        return self.env._("it is queued to be sent.")

    def _requeue(self, site):
        """Have the row sent to ``site``, where it may be already."""
        values = {"check_first": bool(self.attempt_count)}
        if self.site_id != site:
            # Nothing of it is known on the other site.
            values = {
                "check_first": False,
                "unsettled_count": 0,
                "payload": False,
                "tracking_url": False,
                "order_ref": False,
                "order_ref_key": False,
            }
        self._update_state(
            "pending",
            reason=False,
            site_id=site.id,
            failure_type=False,
            next_attempt_date=False,
            missing_count=0,
            **values,
        )

    # === WHAT THE PERSON IS TOLD === #

    @api.model
    def _get_retrack_message(self, orders, outcomes):
        if len(orders) > 1:
            return self._get_summary(
                len(orders),
                self._count_queued(outcomes),
                self._count_checked(outcomes),
            )
        for sentence in outcomes.values():
            return self.env._(
                "%(order)s: %(what)s", order=orders.display_name, what=sentence
            )
        return self.env._(
            "%s is not confirmed: only confirmed orders are tracked.",
            orders.display_name,
        )

    @api.model
    def _count_queued(self, outcomes):
        return sum(row.state == "pending" for row in outcomes)

    @api.model
    def _count_checked(self, outcomes):
        return sum(row.state in ACCEPTED_STATES for row in outcomes)

    @api.model
    def _get_summary(self, count, queued, checked):
        return self.env._(
            "Of %(count)s orders, %(queued)s are queued to be sent, %(checked)s are "
            "looked for in Matomo and %(rest)s are not tracked.",
            count=count,
            queued=queued,
            checked=checked,
            rest=count - queued - checked,
        )

    # === SWEEP === #

    @api.model
    def _cron_sweep(self):
        """Give every order since the tracking start a verdict, and keep the ledger.

        An automation rule may have been switched off, an order inserted by SQL,
        the addon away during an upgrade.
        """
        sites = self.env["matomo.site"].search([("active", "=", True)])
        for company, company_sites in sites.grouped("company_id").items():
            start = min(site._get_start() for site in company_sites)
            for model_name in ORDER_MODELS:
                if not self._sweep(model_name, company, start):
                    return
        # A last full batch has said that there may be more.
        self.env["ir.cron"]._commit_progress(remaining=0)
        self.env["matomo.reconciliation"]._reconcile()

    @api.model
    def _sweep(self, model_name, company, start):
        """Sweep a company's orders of one model, in the order of their ids.

        :return: whether the scheduled action has time left
        """
        orders = self.env[model_name]
        domain = Domain.AND(
            [
                orders._get_matomo_sale_domain(),
                [
                    ("company_id", "=", company.id),
                    ("date_order", ">=", start),
                    ("matomo_state", "=", False),
                ],
            ]
        )
        last_id = 0
        while found := orders.search(
            domain & Domain("id", ">", last_id), order="id", limit=SWEEP_BATCH
        ):
            last_id = found[-1].id
            failed = self._do_each(
                found,
                lambda part: part.with_context(
                    matomo_is_backfill=True
                )._matomo_enqueue(),
            )
            _logger.info(
                "Of %s orders without a verdict, %s have one now",
                len(found),
                len(found - failed),
            )
            # Orders that cannot have any stay: they are no reason to come back.
            done = len(found - failed)
            remaining = int(done and len(found) == SWEEP_BATCH)
            if not self.env["ir.cron"]._commit_progress(done, remaining=remaining):
                return False
        return True

    @api.model
    def _do_each(self, orders, step):
        """Call ``step(orders)`` in a transaction of its own.

        An order that breaks it is logged, and keeps no other back.

        :return: the orders that broke it
        """
        try:
            self._replay(lambda: step(orders))
        except NOT_TO_SWALLOW:
            raise
        except Exception:
            # Whatever one order's data breaks is logged, and the rest goes on.
            self.env.cr.rollback()
            if len(orders) == 1:
                _logger.exception("%s cannot be given a verdict for Matomo", orders)
                return orders
            return orders.browse().union(
                *(self._do_each(order, step) for order in orders)
            )
        return orders.browse()
