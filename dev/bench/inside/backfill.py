"""A backfill of many orders: how long it takes, and how much memory."""

import json
import time
from datetime import timedelta
from unittest.mock import patch

import requests

from odoo import fields

from odoo.addons.matomo_order_tracking.outbox import jobs
from odoo.addons.matomo_order_tracking.outbox.sender import Sender

from . import shop
from .rows import clone

# The orders are of so many days before the tracking start: Matomo keeps them longer.
DAYS = 150


class Answer:
    """The answer of a Matomo that takes everything and keeps nothing."""

    status_code = 200

    def __init__(self, content):
        self.headers = requests.structures.CaseInsensitiveDict()
        self._body = json.dumps(content).encode()

    def iter_content(self, _size):
        yield self._body

    def close(self):
        """Do nothing: there is no connection."""


def accept(_session, _url, data, **_options):
    """Answer a bulk as Matomo does."""
    bulk = json.loads(data)
    return Answer({"status": "success", "tracked": len(bulk["requests"]), "invalid": 0})


def set_up(env, url, token, idsite):
    """Connect the shop; return the ids of orders that are to be copied."""
    shop.connect(env, url, token, idsite)
    manager = env.ref("matomo_order_tracking.group_matomo_manager")
    env.ref("base.user_admin").group_ids += manager
    return shop.make_orders(env, 1)


def fill(env, templates, count):
    """Insert orders from before the tracking start, and nothing of ours."""
    each = count // len(templates)
    for place, order in enumerate(env["sale.order"].browse(templates)):
        number = f"({place * each} + n)"
        first, *_others = clone(
            order,
            each,
            name=f"'B' || {number}",
            date_order=f"now() AT TIME ZONE 'utc' - interval '10 days'"
            f" - n * interval '{DAYS} days' / {each}",
            access_token="gen_random_uuid()::text",
        )
        clone(order.order_line, each, order_id=f"{first} + n - 1")
        env.cr.commit()


def press(env, button):
    """Press a button as a manager does.

    :return: ``{"ms", "statements", "found"}``
    """
    admin = env(user=env.ref("base.user_admin").id, su=False)
    before, start = env.cr.sql_log_count, time.perf_counter()
    BUTTONS[button](admin)
    env.flush_all()
    found = {
        "ms": (time.perf_counter() - start) * 1000,
        "statements": env.cr.sql_log_count - before,
    }
    env.cr.commit()
    return found


def _open(env):
    action = env["matomo.backfill"]._open("backfill")
    wizard = env["matomo.backfill"].browse(action["res_id"])
    wizard.first_day = fields.Date.today() - timedelta(days=2 * DAYS)


def _wizard(env):
    return env["matomo.backfill"].search([], order="id desc", limit=1)


def _job(env):
    return env["matomo.job"].search([], order="id desc", limit=1)


BUTTONS = {
    "open the wizard": _open,
    "Count": lambda env: _wizard(env).action_count(),
    "Start": lambda env: _wizard(env).action_start(),
    "Pause": lambda env: _job(env).action_pause(),
    "Resume": lambda env: _job(env).action_resume(),
    "look at the job": lambda env: _job(env).web_read(
        {"progress": {}, "waiting_count": {}, "message": {}, "left_out_count": {}}
    ),
    "Stop": lambda env: _job(env).action_stop(),
}


def work(env, count):
    """Work on the job until so many orders are sent, or all.

    :return: ``{"seconds", "sent", "memory", "peak"}``: memory in MB
    """
    begun, sent, before = time.perf_counter(), _count_sent(env), -1
    with patch.object(requests.Session, "post", accept):
        while before < sent < count:
            jobs.run(env)
            Sender(env).run()
            before, sent = sent, _count_sent(env)
            env.invalidate_all()
    memory = _read_memory()
    return {
        "seconds": time.perf_counter() - begun,
        "sent": sent,
        "memory": memory["VmRSS"],
        "peak": memory["VmHWM"],
    }


def _count_sent(env):
    return env["matomo.request"].search_count([("state", "=", "sent")])


def _read_memory():
    """Return the memory of this process, in MB."""
    with open("/proc/self/status") as lines:
        found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


TASKS = {"set_up": set_up, "fill": fill, "press": press, "work": work}
