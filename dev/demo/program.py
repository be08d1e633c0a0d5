"""Set up, sell, wait and compare: what `make demo` runs."""

import time

import machine
import matomo
from machine import say, step

import odoo

from .chromium import chromium, new_page
from .clients import Matomo, Odoo, poll
from .comparison import compare, show_customer
from .figures import odoo_sales
from .merchant import Shop, connect, furnish, new_matomo_site
from .sales import (
    LAPTOP,
    PHONE,
    buy_as_customer,
    buy_as_guest,
    fill_cart_as_customer,
    order_by_telephone,
    sell_at_the_till,
)

# How long the scheduled actions may take to have Matomo accept everything (they run at
# once, and every minute), and then to prove it by reading Matomo back.
DELIVERY_PATIENCE = 180
PROOF_PATIENCE = 100
WAITING = (False, "pending")


def set_up():
    """Start both servers and connect a shop to a Matomo site of its own."""
    access = matomo.start()
    client = Odoo(odoo.start(new=True), odoo.DEMO_DATABASE)
    with step("Set up the shop, as a merchant would"):
        products, till = furnish(client)
        [company] = client.read("res.company", ["currency_id"])
        currency = company["currency_id"][1]
        idsite = new_matomo_site(access, client.url, currency)
    with (
        step("Connect Odoo to Matomo by the wizard"),
        chromium() as browser,
        new_page(browser, client.url) as page,
    ):
        connect(client, page, access, idsite)
    return access, Shop(client, idsite, till, products)


def sell(shop):
    """Sell through the running servers, from outside."""
    with chromium() as browser:
        with (
            step("A guest buys in the web shop"),
            new_page(browser, shop.odoo.url) as page,
        ):
            buy_as_guest(page, shop)
        with step("A customer logs in on two devices, and buys on the second"):
            with new_page(browser, shop.odoo.url, **LAPTOP) as page:
                fill_cart_as_customer(page, shop)
            with new_page(browser, shop.odoo.url, **PHONE) as page:
                buy_as_customer(page)
        with step("A salesperson keys in an order"):
            order_by_telephone(shop.odoo, shop.products)
        with (
            step("A cashier sells at the till, partly without network"),
            new_page(browser, shop.odoo.url) as page,
        ):
            sell_at_the_till(page, shop)


def wait_for_delivery(client):
    """Wait for the server's scheduled actions; return the sales as they are then."""
    with step("Wait for the scheduled actions to send the orders"):
        poll(
            lambda: all(sale.state not in WAITING for sale in odoo_sales(client)),
            DELIVERY_PATIENCE,
        )
    with step("Wait for them to read Matomo back"):
        poll(
            lambda: all(sale.state != "sent" for sale in odoo_sales(client)),
            PROOF_PATIENCE,
        )
    return odoo_sales(client)


def main():
    begun = time.monotonic()
    access, shop = set_up()
    sell(shop)
    sales = wait_for_delivery(shop.odoo)
    reports = Matomo(access["url"], access["token"])
    is_one = show_customer(shop.odoo, reports, shop.idsite)
    equal = compare(sales, reports, shop.idsite) and is_one
    say(f"\nOdoo    {shop.odoo.url} (login admin, password admin)")
    say(f"Matomo  {access['url']} (site {shop.idsite}, login {access['login']},")
    say(f"        password {access['password']})")
    say(f"Pictures of the sales: {machine.folder('demo')}")
    say(f"\nDone in {time.monotonic() - begun:.0f} s. The servers stay up: make stop")
    return 0 if equal else 1
