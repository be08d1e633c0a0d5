"""The tests of the JavaScript, which Node runs; they are in the folder ``js``.

They need no package besides Node itself. Without Node this test fails: a suite that
left them out would pass.
"""

import subprocess
from pathlib import Path

FILES = sorted(Path(__file__).with_name("js").glob("*.test.mjs"))


def test_node():
    assert FILES
    done = subprocess.run(
        ["node", "--test", *FILES], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
