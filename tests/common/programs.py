"""The commands of `make`, run from a test beside the servers of `make test`."""

import os
import subprocess
import sys
from pathlib import Path

# `make test` says with it where the servers' files are.
SERVERS = "MATOMO_DEV_JSON"
CHECKOUT = Path(__file__).resolve().parents[2]


def run_command(name, patience, **variables):
    """Run a command of `make` to its end.

    It finds Odoo itself, but not the servers.

    :param patience: seconds
    :param variables: of its environment
    :return: its exit status and what it has printed
    """
    assert SERVERS in os.environ, "Run the tests with `make test`."
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONSAFEPATH")
    }
    done = subprocess.run(
        [sys.executable, CHECKOUT / "dev" / "cli.py", name],
        cwd=CHECKOUT,
        env={**kept, "DEV_DIR": str(Path(os.environ[SERVERS]).parent), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience,
    )
    return done.returncode, done.stdout
