"""Carts that change, orders among them, and the sender beside both."""

from odoo.addons.matomo_order_tracking.outbox import carts
from odoo.addons.matomo_order_tracking.outbox.sender import Sender

from . import shop
from .rows import clone


def set_up(env, url, token, idsite, carts, orders):
    """Fill carts, and make quotations; return the ids of both."""
    shop.connect(env, url, token, idsite)
    env.company.matomo_site_id.track_carts = True
    [template, *_others] = (
        env["sale.order"].browse(shop.make_orders(env)).filtered("website_id")
    )
    template.state = "draft"
    env.flush_all()
    made = [
        clone(
            template,
            count,
            name=f"'{prefix}' || n",
            access_token="gen_random_uuid()::text",
            matomo_visitor_id=f"substr(md5('{prefix}' || n), 1, 16)",
        )
        for prefix, count in (("C", carts), ("Q", orders))
    ]
    for ids in made:
        for line in template.order_line:
            clone(line, len(ids), order_id=f"{ids[0]} + n - 1")
    env.cr.commit()
    return made


def change(env, carts, order):
    """Change each cart in a transaction of its own; confirm an order half-way."""
    for number, cart in enumerate(env["sale.order"].browse(carts)):
        if number == len(carts) // 2:
            env["sale.order"].browse(order).action_confirm()
            env.cr.commit()
        _change(cart)
        env.cr.commit()


def _change(cart):
    cart.order_line[0].product_uom_qty += 1
    carts.queue(cart, cart.website_id.matomo_site_id, is_known=True)


def send(env):
    """Send what is due, as the scheduled action does."""
    Sender(env).run()


def count(env):
    """Return how many updates there are, and how long each order has waited."""
    updates = env["matomo.cart.update"]
    requests = env["matomo.request"].search([])
    return {
        "rows": updates.search_count([]),
        "waiting": updates.search_count([("state", "=", "pending")]),
        "waits": [
            (each.sent_date - each.create_date).total_seconds() for each in requests
        ],
    }


TASKS = {task.__name__: task for task in (set_up, change, send, count)}
