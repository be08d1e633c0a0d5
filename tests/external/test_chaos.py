"""A short run of the chaos program, see dev/chaos and `make chaos`."""

import os

from odoo.tests import BaseCase, tagged

from ..common.programs import run_command

ORDERS = "300"
# The same in each run, so that a failure can be run again; `make chaos` tries others.
SEED = "7"
# The program ends by itself before that, on the slowest machine (seconds).
PATIENCE = 1200


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestChaos(BaseCase):
    """A shop sells while its servers and its network fail."""

    def test_nothing_is_lost_or_sent_twice_whatever_breaks(self):
        orders, seed = os.environ.get("ORDERS"), os.environ.get("SEED")
        status, printed = run_command(
            "chaos", PATIENCE, ORDERS=orders or ORDERS, SEED=seed or SEED
        )
        self.assertEqual(status, 0, printed)
        self.assertIn("\n0 lost, 0 duplicated\n", printed)
