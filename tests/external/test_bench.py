"""A short run of each benchmark, see dev/bench and `make bench`."""

from odoo.tests import BaseCase, tagged

from ..common.programs import run_command

# A benchmark ends by itself before that, on the slowest machine (seconds).
PATIENCE = 600


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBench(BaseCase):
    """The benchmarks still run. What they measure in so short a time says nothing."""

    def assertSays(self, name, *parts):
        """Assert that a short run of a benchmark prints all of these."""
        status, printed = run_command("bench", PATIENCE, BENCH=name, SMOKE="1")
        self.assertEqual(status, 0, printed)
        for part in parts:
            self.assertIn(part, printed)

    def test_draining(self):
        self.assertSays("drain", "| SDK, one request an order |", "waiting for Matomo")

    def test_statements(self):
        self.assertSays("statements", "| confirm a sales order", "| change a line")

    def test_backfill(self):
        self.assertSays("backfill", "| 400 ", "| Stop (sent)")

    def test_lists(self):
        self.assertSays(
            "lists", "| all years: orders by verdict", "Draining beside them"
        )
