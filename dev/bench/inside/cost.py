"""What a block costs: time, own processor time, statements."""

import time
from contextlib import contextmanager

from odoo import sql_db


@contextmanager
def measured():
    """Measure a block. The dict is filled when the block ends."""
    found = {}
    before = time.perf_counter(), time.process_time(), sql_db.sql_counter
    yield found
    after = time.perf_counter(), time.process_time(), sql_db.sql_counter
    names = ("seconds", "cpu", "statements")
    found.update(
        {
            name: end - start
            for name, start, end in zip(names, before, after, strict=True)
        }
    )
