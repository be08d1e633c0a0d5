"""A short run of each benchmark, see dev/bench and `make bench`."""

from odoo.tests import BaseCase, tagged

from ..common.programs import run_command

# A benchmark ends by itself before that, on the slowest machine (seconds).
PATIENCE = 600


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBench(BaseCase):
    """The benchmarks still run. What they measure in so short a time says nothing."""

    def test_all(self):
        status, printed = run_command("bench", PATIENCE, SMOKE="1")
        self.assertEqual(status, 0, printed)
        for part in (
            "| SDK, one request an order |",
            "waiting for Matomo",
            "| confirm a sales order",
            "| change a line",
            "| 400 ",
            "| Stop (sent)",
            "| all years: orders by verdict",
            "Draining beside them",
            "| changes of each cart",
        ):
            self.assertIn(part, printed)
