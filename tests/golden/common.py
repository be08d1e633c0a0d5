"""The base of the golden tests: fixed names, times and numbers."""

import random
from datetime import datetime
from itertools import count
from unittest.mock import patch

from odoo.sql_db import BaseCursor
from odoo.tests import freeze_time
from odoo.tests.test_cursor import TestCursor
from odoo.tools import mute_logger

from ..common import MODULE, MatomoCommon
from . import record

TODAY = "2026-03-03"
NOW = f"{TODAY} 10:00:00"


@freeze_time(NOW)
class GoldenCommon(MatomoCommon):
    """Orders with names of their own, at fixed times, written into a record.

    A subclass mixes it in before the vocabulary it needs. A test takes steps, and
    ends with ``assertGolden``.
    """

    maxDiff = None

    def setUp(self):
        # Nobody's order of names, sites or moments depends on the test before.
        type(self).numbers = {kind: count(1) for kind in ("SO", "till", "CN")}
        super().setUp()
        for module, name, stand_in in (
            (random, "shuffle", lambda items: None),
            (random, "uniform", lambda low, high: (low + high) / 2),
            # When a record was created and written, too.
            (BaseCursor, "now", lambda cursor: datetime.utcnow()),
            (TestCursor, "now", lambda cursor: datetime.utcnow()),
        ):
            self.startPatcher(patch.object(module, name, stand_in))
        # Warnings are part of many stories here.
        muted = mute_logger(f"odoo.addons.{MODULE}")
        muted.__enter__()
        self.addCleanup(muted.__exit__)
        self.record = record.Record(self.env, self.matomo)

    def at(self, moment):
        """Set Odoo's clock to a moment of a day until the block ends."""
        return freeze_time(moment if "-" in moment else f"{TODAY} {moment}")

    # === RECORDING === #

    def step(self, title):
        self.end_transaction()
        self.record.step(title)

    def assertGolden(self, name):
        difference = record.compare(name, self.record.text())
        if difference:
            self.fail(
                "The addon behaves otherwise than the golden record says. If that is"
                f" meant, run `make golden`.\n{difference}"
            )

    # === MAKING === #

    @classmethod
    def make_order(cls, *lines, **values):
        values.setdefault("name", f"SO-{next(cls.numbers['SO']):03}")
        return super().make_order(*lines, **values)

    def make_sale(self, *lines, **values):
        reference = f"00001-001-{next(self.numbers['till']):04}"
        return super().make_sale(*lines, **{"pos_reference": reference, **values})

    def confirm_many(self, number):
        """Return confirmed orders of one chair, of two chairs, and so on."""
        return self.confirm(
            self.env["sale.order"].concat(
                *(self.make_order((self.chair, n + 1)) for n in range(number))
            )
        )

    def confirm_again(self, order):
        order.action_draft()
        return self.confirm(order)

    def credit(self, order, amount):
        return super().credit(order, amount, ref=f"CN-{next(self.numbers['CN'])}")

    def pay_down(self, order, amount):
        """Return a POS order that is a down payment of a sales order."""
        return self.sync(
            self.make_sale(
                {
                    "product_id": self.config.down_payment_product_id.id,
                    "price_unit": amount,
                    "sale_order_origin_id": order.id,
                }
            )
        )

    def take_back(self, sale, quantity=1, own=()):
        """Return a POS order that refunds or exchanges another's first line."""
        line = sale.lines[:1]
        back = {
            "product_id": line.product_id.id,
            "qty": -quantity,
            "price_unit": line.price_unit,
            "taxes": line.tax_ids,
            "refunded_orderline_id": line.id,
        }
        values = {} if own else {"is_refund": True}
        return self.sync(self.make_sale(back, *own, **values)) - sale

    # === RUNNING === #

    def run_all(self):
        """Run the scheduled actions as often as they wake each other."""
        for _round in range(3):
            self.run_sender()
            self.run_cron("ir_cron_retrack")

    def retrack(self, orders):
        message = orders.action_matomo_retrack()["params"]["message"]
        self.end_transaction()
        self.record.say(f"told: {message}")
