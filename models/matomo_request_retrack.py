import logging

from psycopg2 import OperationalError

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.fields import Domain

_logger = logging.getLogger(__name__)

# The models whose orders are tracked.
ORDER_MODELS = ("sale.order", "pos.order")
SWEEP_BATCH = 500


class MatomoRequest(models.Model):
    """Looking at orders again: by a person (retrack) and every night (sweep)."""

    _inherit = "matomo.request"

    # === RETRACK === #

    @api.model
    def _retrack(self, orders):
        """Re-evaluate the verdicts of ``orders`` for the person who asks.

        What Matomo should have is looked for there first and sent only if it is
        missing. One order is answered at once, many are queued.

        :return: a notification that says what happened
        :raise AccessError: for somebody who may not retrack
        """
        if not self.env.user.has_group("matomo_order_tracking.group_matomo_user"):
            raise AccessError(
                self.env._("Only users of Matomo Order Tracking may retrack orders.")
            )
        # sudo: nobody may write the log; pressing the button is the one way.
        requests = self.sudo()
        sales = orders.filtered(lambda order: order._is_matomo_sale())
        new_rows = sales._matomo_enqueue()
        rows = requests.browse(row.id for row in sales._get_matomo_rows().values())
        outcomes = {row: row._retrack_row() for row in rows - new_rows}
        outcomes |= {row: row._get_new_sentence() for row in new_rows}
        requests._wake_sender()
        requests._wake_verifier()
        message = self._get_retrack_message(orders, sales, outcomes)
        self._log_retrack(sales, outcomes, message)
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "info",
                "message": message,
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def _retrack_row(self):
        """Re-evaluate one row.

        :return: a sentence on what happens now
        """
        order = self._get_order()
        if self.state in ("sent", "verified"):
            if not self.site_id._has_raw_data(self.order_date):
                return self.env._(
                    "it is older than Matomo keeps its raw data and cannot be looked"
                    " for there; sending it again would count it twice."
                )
            self.next_check_date = fields.Datetime.now()
            return self.env._("Matomo has accepted it; it is looked for there now.")
        if self.state == "pending":
            return self.env._("it is waiting to be sent.")
        verdict, site = order._get_matomo_verdict()
        if verdict.state == "excluded":
            self.write({"reason": verdict.reason, "site_id": site.id})
            return verdict.reason
        if not site._has_raw_data(order.date_order) and self.payload:
            return self.env._(
                "it is older than Matomo keeps its raw data and cannot be looked for"
                " there; sending it again might count it twice."
            )
        self._update_state(
            "pending",
            reason=False,
            site_id=site.id,
            failure_type=False,
            next_attempt_date=False,
            missing_count=0,
            check_first=bool(self.attempt_count),
        )
        return self.env._("it is queued to be sent.")

    def _get_new_sentence(self):
        if self.state == "excluded":
            return self.reason
        return self.env._("it is queued to be sent.")

    def _get_retrack_message(self, orders, sales, outcomes):
        if len(orders) == 1:
            if not sales:
                return self.env._(
                    "%s is not confirmed: only confirmed orders are tracked.",
                    orders.display_name,
                )
            (sentence,) = outcomes.values()
            return self.env._(
                "%(order)s: %(what)s", order=orders.display_name, what=sentence
            )
        queued = sum(row.state == "pending" for row in outcomes)
        checked = sum(row.state in ("sent", "verified") for row in outcomes)
        return self.env._(
            "Of %(count)s orders, %(queued)s are queued to be sent, %(checked)s are "
            "looked for in Matomo and %(rest)s are not tracked.",
            count=len(orders),
            queued=queued,
            checked=checked,
            rest=len(orders) - queued - checked,
        )

    def _log_retrack(self, sales, outcomes, message):
        """Write to the orders' chatter who asked and what came of it."""
        sentences = {row._get_order(): what for row, what in outcomes.items()}
        if not sentences:
            return
        # sudo: whoever may retrack need not be allowed to write the order.
        sales.sudo()._message_log_batch(
            bodies={
                order.id: self.env._("Retrack in Matomo: %s", sentences.get(order, ""))
                for order in sales
            },
            author_id=self.env.user.partner_id.id,
        )

    # === SWEEP === #

    @api.model
    def _cron_sweep(self):
        """Give every order since the tracking start that has no verdict one.

        An automation rule may have been switched off, an order inserted by SQL,
        the addon away during an upgrade.
        """
        sites = self.env["matomo.site"].search([("active", "=", True)])
        for company, company_sites in sites.grouped("company_id").items():
            start = min(site._get_start() for site in company_sites)
            for model_name in ORDER_MODELS:
                self._sweep(model_name, company, start)

    @api.model
    def _sweep(self, model_name, company, start):
        """Sweep a company's orders of one model, in the order of their ids."""
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
            rows = self._sweep_batch(found)
            _logger.info(
                "Of %s orders without a verdict, %s have one now", len(found), len(rows)
            )

    @api.model
    def _sweep_batch(self, orders):
        """Give orders their verdict; one that cannot have any keeps no other back."""
        try:
            return self._replay(
                lambda: orders.with_context(matomo_is_backfill=True)._matomo_enqueue()
            )
        except OperationalError:
            raise
        except Exception:
            # Whatever one order's data breaks is logged, and the rest goes on.
            self.env.cr.rollback()
            if len(orders) == 1:
                _logger.exception("%s cannot be given a verdict for Matomo", orders)
                return self.browse()
        return self.browse().union(*(self._sweep_batch(order) for order in orders))
