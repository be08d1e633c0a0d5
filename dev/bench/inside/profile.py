"""Where the time of the sender goes, stage by stage.

Each stage is a function of the addon or of Odoo. Its time is its own: what it spends in
another stage is that one's.
"""

import threading
import time
from contextlib import ExitStack, contextmanager
from functools import wraps
from unittest.mock import patch

from odoo import models, sql_db

from odoo.addons.matomo_order_tracking.matomo_api import client, delivery, transport
from odoo.addons.matomo_order_tracking.outbox import (
    carts,
    kinds,
    orders,
    sender,
    waking,
)

REST = "the rest: choosing sites, kinds, batches"


def _stages(registry):
    """Return tuples: an object, the name of its function, the stage."""
    sale, request = registry["sale.order"], registry["matomo.request"]
    return [
        (kinds, "lock_due", "claiming: lock what is due"),
        (carts, "defer_orders", "claiming: defer orders whose cart is on its way"),
        (orders, "_find_order_refs", "building: order ids"),
        (orders, "_build", "building: the rest"),
        (orders, "_lock_settled_orders", "building: lock settled orders"),
        (sale, "_get_matomo_content_verdict", "building: verdict on the content"),
        (sale, "_prepare_matomo_amounts", "building: amounts"),
        (sale, "_prepare_matomo_product", "building: products"),
        (sale, "_prepare_matomo_order", "building: items"),
        (sale, "_prepare_matomo_time", "building: time"),
        (sale, "_get_matomo_adjustments", "building: adjustments"),
        (carts, "get_adjustments", "building: adjustments of its cart"),
        (sale, "_prepare_matomo_visitor", "building: visitor"),
        (orders, "order_parameters", "building: parameters"),
        (orders, "tracking_url", "building: audit URL"),
        (request, "_start_attempts", "building: start the attempts"),
        (request, "_write_rows", "building: write them down"),
        (request, "_prepare_attempts", "building: read it for the delivery"),
        (client.Client, "_exchange", "posting"),
        (transport._Limited, "recv_into", "waiting for Matomo"),
        (client, "parse_answer", "reading the answer"),
        (delivery.Delivery, "_collect", "delivery: what the answer means"),
        (sender, "apply_report", "applying outcomes"),
        (request, "_log_accepted", "applying outcomes: log entry"),
        (waking, "wake", "applying outcomes: wake the verifier"),
        (models.BaseModel, "_flush", "applying outcomes: UPDATE statements"),
        (sql_db.Cursor, "commit", "commits"),
        (sender.Sender, "_report_progress", "counting what is left"),
    ]


class _Clock:
    """Adds up the time of stages, and of the statements in them."""

    def __init__(self):
        self.stack = []
        self.stages = {}
        self.last = self._now()

    def _now(self):
        return time.perf_counter(), time.process_time()

    def charge(self):
        """Charge the time since the last change to the stage that runs."""
        now = self._now()
        row = self.row()
        row["seconds"] += now[0] - self.last[0]
        row["cpu"] += now[1] - self.last[1]
        self.last = now

    def row(self):
        stage = self.stack[-1] if self.stack else REST
        empty = {"seconds": 0.0, "cpu": 0.0, "sql": 0.0, "statements": 0}
        return self.stages.setdefault(stage, empty)

    def note_statement(self, _cr, _query, _params, _start, delay):
        row = self.row()
        row["sql"] += delay
        row["statements"] += 1

    def timed(self, function, stage):
        @wraps(function)
        def run(*args, **kwargs):
            self.charge()
            self.stack.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self.charge()
                self.stack.pop()

        return run


def _run_in_turn(job, meanwhile):
    return job(), meanwhile()


@contextmanager
def stages(registry):
    """Measure the stages of the block.

    :return: ``{stage: {"seconds", "cpu", "sql", "statements"}}``, filled when the block
        ends; ``sql`` are the seconds in which the stage waits for PostgreSQL
    """
    thread = threading.current_thread()
    thread.query_hooks = [*getattr(thread, "query_hooks", ())]
    with ExitStack() as patches:
        clock = _Clock()
        # One after the other: a clock cannot tell two threads apart.
        patches.enter_context(patch.object(sender, "run_aside", _run_in_turn))
        for owner, name, stage in _stages(registry):
            timed = clock.timed(getattr(owner, name), stage)
            patches.enter_context(patch.object(owner, name, timed))
        thread.query_hooks.append(clock.note_statement)
        clock.charge()
        try:
            yield clock.stages
        finally:
            clock.charge()
            thread.query_hooks.remove(clock.note_statement)
