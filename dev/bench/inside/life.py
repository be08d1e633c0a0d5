"""A shop that has sold for years before it installs the addon."""

from . import sales
from .rows import clone

# Rows of one statement.
PART = 100_000


def set_up(env):
    """Furnish a shop, and sell a sales order and a POS order that are then copied."""
    sales.set_up(env)
    sales.confirm(env, 1)
    sales.sync(env, 1)
    env.cr.commit()


def fill(env, count):
    """Insert so many copies of the last sales order and the last POS order by SQL."""
    sold = env["sale.order"].search([("state", "=", "sale")], limit=1)
    rung = env["pos.order"].search([], limit=1)
    for first in range(0, count, PART):
        part = min(PART, count - first)
        number = f"({first} + n)"
        # One order in two minutes: a million in four years.
        moment = f"now() AT TIME ZONE 'utc' - {number} * interval '2 minutes'"
        copies = clone(
            sold,
            part,
            name=f"'O' || {number}",
            date_order=moment,
            access_token="gen_random_uuid()::text",
        )
        clone(sold.order_line[0], part, order_id=f"{copies[0]} + n - 1")
        copies = clone(
            rung,
            part,
            name=f"'P' || {number}",
            pos_reference=f"'P' || {number}",
            uuid="gen_random_uuid()::text",
            access_token="gen_random_uuid()::text",
            date_order=moment,
        )
        clone(
            rung.lines[0],
            part,
            order_id=f"{copies[0]} + n - 1",
            uuid="gen_random_uuid()::text",
        )
        env.cr.commit()


TASKS = {task.__name__: task for task in (set_up, fill)}
