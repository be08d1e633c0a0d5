"""A shop with a Matomo site, and orders of it in any number."""

from odoo import Command, fields

from .rows import clone

PRODUCTS = 20
# Half of the orders are the web shop's, half of them salespeople's.
TEMPLATES = 20
BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)
SWITCHED_OFF = "UPDATE ir_cron SET active = false"


def connect(env, url, token, idsite):
    """Send all sales to a Matomo site, as after a test of the connection."""
    # The benchmark runs the scheduled actions itself.
    env.cr.execute(SWITCHED_OFF)
    today = fields.Date.today()
    site = env["matomo.site"].create(
        {
            "name": "Bench",
            "url": url,
            "idsite": idsite,
            "token_auth": token,
            "date_start": fields.Date.subtract(today, days=3),
            "consent_policy": "elsewhere",
        }
    )
    site.action_test_connection()
    env.company.matomo_site_id = site
    env["website"].search([]).matomo_site_id = site
    return site.id


def make_orders(env, lines=2):
    """Make confirmed orders that are to be copied; return their ids."""
    website = env["website"].search([], limit=1)
    categories = env["product.category"].create(
        [{"name": f"Category {number}"} for number in range(4)]
    )
    products = env["product.product"].create(
        [
            {
                "name": f"Product {number}",
                "default_code": f"BENCH-{number}",
                "list_price": 9.95 + number,
                "type": "service",
                "categ_id": categories[number % 4].id,
            }
            for number in range(PRODUCTS)
        ]
    )
    customers = env["res.partner"].create(
        [{"name": f"Customer {number}"} for number in range(TEMPLATES)]
    )
    orders = env["sale.order"].create(
        [
            {
                "partner_id": customers[number].id,
                "website_id": number % 2 and website.id,
                "order_line": [
                    Command.create({"product_id": product.id, "product_uom_qty": 2})
                    for product in (
                        products[number],
                        products[(number + 7) % PRODUCTS],
                    )[:lines]
                ],
            }
            for number in range(TEMPLATES)
        ]
    )
    orders.action_confirm()
    orders.filtered("website_id").write(
        {
            "matomo_ip_address": "203.0.113.9",
            "matomo_user_agent": BROWSER,
            "matomo_accept_language": "en-US,en;q=0.9",
        }
    )
    env.cr.commit()
    # They are copied, and not sent.
    env["matomo.request"].search([]).unlink()
    env.cr.commit()
    return orders.ids


def copy_orders(env, templates, count, first):
    """Copy orders and have the copies tracked; return their ids.

    :param templates: ids of orders of which each is copied as often as the others
    :param first: a number that no copy has had
    """
    sold = []
    each = count // len(templates)
    for place, order in enumerate(env["sale.order"].browse(templates)):
        number = f"({first + place * each} + n)"
        visitor = f"substr(md5({number}::text), 1, 16)" if order.website_id else "NULL"
        ids = clone(
            order,
            each,
            name=f"'B' || {number}",
            date_order="now() AT TIME ZONE 'utc' - n * interval '1 second'",
            access_token="gen_random_uuid()::text",
            matomo_visitor_id=visitor,
        )
        for line in order.order_line:
            clone(line, each, order_id=f"{ids[0]} + n - 1")
        sold += ids
    env.invalidate_all()
    env["sale.order"].browse(sold)._matomo_track()
    env.cr.commit()
    return sold
