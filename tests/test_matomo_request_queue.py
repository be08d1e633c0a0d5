from contextlib import closing
from unittest.mock import patch

import psycopg2

from odoo import api
from odoo.sql_db import db_connect
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import LOGGER, MatomoCommon


@tagged("post_install", "-at_install")
class TestGuardedStep(MatomoCommon):
    """A failure of our step never makes a sale fail, or look as if it were made."""

    @mute_logger(LOGGER)
    def test_fault_in_tracking_leaves_the_sale(self):
        model = self.registry["sale.order"]
        with patch.object(model, "_get_matomo_site", side_effect=ZeroDivisionError):
            order = self.confirm(self.make_order())
        self.assertEqual(order.state, "sale")
        self.assertFalse(self.get_request(order))
        self.run_cron("ir_cron_sweep")
        self.assertState(order, "pending")

    @mute_logger("odoo.sql_db")
    def test_lost_connection_is_never_swallowed(self):
        """A sale whose connection is gone must not be confirmed to its seller.

        psycopg2 may raise nothing when a lost connection is committed: a guard
        that went on would let Odoo answer "confirmed" for a sale that was never made.
        """
        with closing(db_connect(self.env.cr.dbname).cursor()) as cr:
            env = api.Environment(cr, self.env.uid, {})
            cr.execute("SELECT pg_backend_pid()")
            [pid] = cr.fetchone()
            exists = self.registry["sale.order"].exists

            def cut(orders):
                self.env.cr.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
                return exists(orders)

            env["sale.order"].browse(1)._matomo_track()
            with (
                patch.object(self.registry["sale.order"], "exists", cut),
                self.assertRaises(psycopg2.Error),
            ):
                cr.commit()  # pylint: disable=invalid-commit
