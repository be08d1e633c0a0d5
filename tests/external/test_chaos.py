"""A short run of the chaos program, see dev/chaos and `make chaos`."""

import os
import subprocess
import sys
from pathlib import Path

from odoo.tests import BaseCase, tagged

# `make test` says with it where the servers' files are.
SERVERS = "MATOMO_DEV_JSON"
CHECKOUT = Path(__file__).resolve().parents[2]
ORDERS = 300
# The same in each run, so that a failure can be run again; `make chaos` tries others.
SEED = 7
# The program ends by itself before that, on the slowest machine (seconds).
PATIENCE = 1200


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestChaos(BaseCase):
    """A shop sells while its servers and its network fail."""

    def environment(self):
        """Return what the program needs: it finds Odoo itself, but not the servers."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONSAFEPATH")
        }
        return {
            **kept,
            "DEV_DIR": str(Path(os.environ[SERVERS]).parent),
            "ORDERS": os.environ.get("ORDERS") or str(ORDERS),
            "SEED": os.environ.get("SEED") or str(SEED),
        }

    def test_nothing_is_lost_or_sent_twice_whatever_breaks(self):
        self.assertIn(SERVERS, os.environ, "Run the tests with `make test`.")
        done = subprocess.run(
            [sys.executable, CHECKOUT / "dev" / "cli.py", "chaos"],
            cwd=CHECKOUT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("\n0 lost, 0 duplicated\n", done.stdout)
