"""What people do in a shop, each step with its commit, in a database with the addon or
without it."""

import re
from copy import deepcopy
from uuid import uuid4

from chaos.shop import CASHIER, CUSTOMER, MADE_HERE, SELLER, Till, furnish
from werkzeug.test import Client as Browser

from odoo import Command
from odoo.http import root
from odoo.service.model import call_kw

from . import shop
from .cost import measured

HEADERS = {"User-Agent": shop.BROWSER, "Accept-Language": "en-US,en;q=0.9"}
# The tills of this process, for customers who pay and for tables.
tills = []


class Local:
    """Odoo as ``chaos.odoo_client`` has it, without the way over HTTP."""

    def __init__(self, env, login="admin"):
        user = env["res.users"].search([("login", "=", login)])
        self.env = env(user=user.id, su=False)
        self.uid = user.id

    def call(self, model, method, *arguments, **options):
        return call_kw(self.env[model], method, list(arguments), options)

    def create(self, model, **values):
        return self.call(model, "create", [values])[0]

    def find(self, model, *domain, limit=None):
        return self.call(model, "search", list(domain), limit=limit)

    def ref(self, name):
        return self.env.ref(name).id


def set_up(env, site=None):
    """Furnish a shop and open its tills.

    :param site: url, token and idsite of the Matomo site, if the addon is there
    """
    env.cr.execute(shop.SWITCHED_OFF)
    places = furnish(Local(env))
    env["website"].search([]).domain = False
    products = env["product.product"].search([MADE_HERE])
    products.product_tmpl_id.is_published = True
    # A delivery of Odoo's asks the internet where the shopper is.
    env["delivery.carrier"].search([]).is_published = False
    if site:
        shop.connect(env, **site)
        env["pos.config"].browse(places).matomo_site_id = env.company.matomo_site_id
    env.cr.commit()
    tills.extend(Till(Local(env, CASHIER), place, "bench") for place in places)
    env.cr.commit()


def confirm(env, count):
    """Confirm quotations in one transaction, as a salesperson."""
    seller = Local(env, SELLER)
    products = seller.find("product.product", MADE_HERE)
    [customer] = seller.find("res.partner", ("name", "=", CUSTOMER))
    quotations = seller.env["sale.order"].create(
        [
            {
                "partner_id": customer,
                "order_line": [
                    Command.create({"product_id": product, "product_uom_qty": 2})
                    for product in products[:3]
                ],
            }
            for _number in range(count)
        ]
    )
    env.cr.commit()
    with measured() as cost:
        quotations.action_confirm()
        env.cr.commit()
    return cost


def sync(env, count):
    """Synchronize paid sales of a till in one transaction, as a cashier."""
    till = tills[0]
    till.client = Local(env, CASHIER)
    sales = [till.sell() for _number in range(count)]
    with measured() as cost:
        till.client.call("pos.order", "sync_from_ui", sales)
        env.cr.commit()
    return cost


def save_table(env, count):
    """Save the order of a table again and again, each time in a transaction."""
    till = tills[1]
    till.client = Local(env, CASHIER)
    table = {
        **till.sell(),
        **{"state": "draft", "payment_ids": [], "amount_paid": 0},
        "access_token": str(uuid4()),
    }
    answer = till.client.call("pos.order", "sync_from_ui", [deepcopy(table)])
    env.cr.commit()
    line = answer["pos.order.line"][0]["id"]
    with measured() as cost:
        for number in range(count):
            table["lines"] = [Command.update(line, {"qty": number + 1})]
            till.client.call("pos.order", "sync_from_ui", [deepcopy(table)])
            env.cr.commit()
    return cost


def open_product(env, count):
    """Open the page of a product, as a shopper who has a session."""
    product = env["product.product"].search([MADE_HERE], limit=1)
    path = re.sub(r"^https?://[^/]+", "", product.website_url)
    browser = Browser(root)
    _get(browser, path)
    with measured() as cost:
        for _number in range(count):
            _get(browser, path)
    return cost


def fill_cart(env, count):
    """Begin carts: each shopper adds a first product."""
    browsers = [Browser(root) for _number in range(count)]
    for browser in browsers:
        _get(browser, "/shop")
    with measured() as cost:
        for browser in browsers:
            _add(env, browser)
    return cost


def change_cart(env, count):
    """Add a product that is in the cart once more, again and again."""
    browser = Browser(root)
    _get(browser, "/shop")
    _add(env, browser)
    with measured() as cost:
        for _number in range(count):
            _add(env, browser)
    return cost


def _get(browser, path):
    answer = browser.get(path, headers=HEADERS, follow_redirects=True)
    assert answer.status_code == 200, (path, answer.status_code)


def _add(env, browser):
    product = env["product.product"].search([MADE_HERE], limit=1)
    parameters = {
        "product_template_id": product.product_tmpl_id.id,
        "product_id": product.id,
        "quantity": 1,
    }
    call = {"jsonrpc": "2.0", "method": "call", "id": str(uuid4())}
    answer = browser.post(
        "/shop/cart/add", json={**call, "params": parameters}, headers=HEADERS
    ).json
    assert "error" not in answer, answer


STEPS = (confirm, sync, save_table, open_product, fill_cart, change_cart)
TASKS = {task.__name__: task for task in (set_up, *STEPS)}
