import logging
from datetime import timedelta
from functools import partial
from random import shuffle

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import split_every

from ..outbox.transactions import one_by_one
from .matomo_order_mixin import SIDE_BY_SIDE
from .matomo_retrack import log_broken

_logger = logging.getLogger(__name__)

BATCH = 500
# So many IDs are looked through at once, and so many old ones a night.
WINDOW = 100_000
# An order with one of the last IDs may be committed after orders with later ones.
LATE_IDS = 10_000
# An order may be confirmed after the date that it bears.
LATE = timedelta(days=7)
# So many verdicts may fail in a part: the rest of the night has other work.
MAX_BROKEN = 50


class TooManyBroken(Exception):
    """So many verdicts have failed that the next night goes on."""


class MatomoSweep(models.Model):
    """How far the sweep for orders without a verdict has come.

    One record for each company and model of orders. Nobody reads it: without it, the
    sweep begins anew. A night costs as much as the orders that are new, however many
    old ones there are. Three passes find an order that has no verdict:

    1. those with a new ID: new orders, and orders that a till or an import brings late;
    2. those with a new date: quotations that were confirmed since the last sweep;
    3. all others, ``WINDOW`` IDs a night, then from the first one again: orders that
       another program has confirmed and left their date as it was, and orders whose
       verdict has failed.
    """

    _name = "matomo.sweep"
    _description = "Progress of the Sweep"

    company_id = fields.Many2one(
        "res.company", required=True, readonly=True, ondelete="cascade"
    )
    res_model = fields.Char(required=True, readonly=True)
    start = fields.Datetime(required=True, readonly=True)
    new_id = fields.Integer(
        readonly=True, help="The first pass has looked at orders up to this ID."
    )
    new_date = fields.Datetime(
        required=True,
        readonly=True,
        default=fields.Datetime.now,
        help="The second pass has looked at orders up to this date.",
    )
    old_id = fields.Integer(
        readonly=True, help="The third pass has looked at orders up to this ID."
    )

    _progress_unique = models.UniqueIndex("(company_id, res_model)")

    @api.model
    def _sweep(self):
        """Give a verdict to the orders since the tracking start that have none.

        The automation rules miss orders while they are switched off, while Odoo loads
        its modules, and if orders are inserted by SQL.

        :return: whether it is done; if not, the scheduled action runs again
        """
        sites = self.env["matomo.site"].search([("active", "=", True)])
        for company, company_sites in sites.grouped("company_id").items():
            start = min(site._get_start() for site in company_sites)
            for orders in self.env["matomo.order.mixin"]._get_matomo_order_models():
                if not self._get_progress(orders, company, start)._continue():
                    return False
        # What the last batch has reported may be more than there is.
        self.env["ir.cron"]._commit_progress(remaining=0)
        return True

    @api.model
    def _get_progress(self, orders, company, start):
        """Return the record of a company's orders of one model.

        :param orders: an empty recordset of the model
        :param start: naive UTC; older orders need no verdict
        """
        mine = [("company_id", "=", company.id), ("res_model", "=", orders._name)]
        progress = self.search(mine)
        if progress and start < progress.start:
            # The orders in between have not been looked at.
            progress.unlink()
            progress = progress.browse()
        if not progress:
            values = {"company_id": company.id, "res_model": orders._name}
            return self.create({**values, "start": start})
        if start != progress.start:
            progress.start = start
        return progress

    @api.model
    def _begin_anew(self, companies):
        """Have the next sweep look at all orders of these companies."""
        # sudo: nobody may write this; it is asked for by managers of a site.
        self.sudo().search([("company_id", "in", companies.ids)]).unlink()

    def _continue(self):
        """Do what a night has to do.

        :return: whether it is done; if not, the scheduled action runs again
        """
        began = fields.Datetime.now()
        last_id = self.env[self.res_model].search([], order="id desc", limit=1).id or 0
        if not self._look_at_new_ids(last_id):
            return False
        if not self._sweep_part(Domain("date_order", ">=", self.new_date - LATE)):
            return False
        self.new_date = began
        old_id = 0 if self.old_id >= last_id else self.old_id
        if not self._sweep_ids(old_id, old_id + WINDOW):
            return False
        self.old_id = old_id + WINDOW
        return True

    def _look_at_new_ids(self, last_id):
        """Do the first pass, in steps that need not be done again.

        :param last_id: of all orders
        """
        first = max(self.new_id - LATE_IDS, 0)
        for after in range(first, last_id, WINDOW):
            if not self._sweep_ids(after, after + WINDOW):
                return False
            self.new_id = min(after + WINDOW, last_id)
        return True

    def _sweep_ids(self, after, last):
        """Do ``_sweep_part`` for the orders with an ID in a range."""
        return self._sweep_part(Domain("id", ">", after) & Domain("id", "<=", last))

    def _sweep_part(self, part):
        """Give a verdict to the orders of a part that have none.

        Orders whose verdict always fails keep no others waiting: at most ``MAX_BROKEN``
        of them are tried, and each night other ones.

        :param part: a domain
        :return: whether it is done; if not, the scheduled action runs again
        """
        orders = self.env[self.res_model]
        found = orders.with_context(**{SIDE_BY_SIDE: True}).search(
            part
            & Domain(orders._get_matomo_sale_domain())
            & Domain("company_id", "=", self.company_id.id)
            & Domain("date_order", ">=", self.start)
            & Domain("matomo_state", "=", False),
            order="id",
        )
        ids, broken = found.ids, []
        left = len(ids)
        if left > MAX_BROKEN:
            # By their IDs the same ones would be tried first each night.
            shuffle(ids)
        for batch in split_every(BATCH, ids, orders.browse):
            left -= len(batch)
            try:
                done = len(one_by_one(batch, _enqueue, partial(_note_broken, broken)))
            except TooManyBroken:
                done = left = 0
            _logger.info(
                "Of %s orders without a verdict, %s have one now", len(batch), done
            )
            # If no order of the batch got a verdict, a next run would get none, too.
            remaining = left if done else 0
            is_time_left = self.env["ir.cron"]._commit_progress(
                done, remaining=remaining
            )
            # Without anything left Odoo calls nobody again before the next night: what
            # else the night has to do is done now.
            if remaining and not is_time_left:
                return False
            if len(broken) >= MAX_BROKEN:
                break
        # Without it, a person has asked meanwhile to begin anew.
        return bool(self.exists())


def _note_broken(broken, order, error):
    log_broken(order, error)
    broken.append(order.id)
    if len(broken) >= MAX_BROKEN:
        raise TooManyBroken


def _enqueue(orders):
    # The sender sends today's orders before these.
    orders.with_context(matomo_is_backfill=True)._matomo_enqueue()
    return orders
