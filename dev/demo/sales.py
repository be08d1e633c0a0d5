"""What is sold: by a guest in the web shop, at the desk, and at a till."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import machine
from machine import Trouble

from .clients import poll
from .merchant import CASHIER, PRODUCTS

# The link the guest comes by.
CAMPAIGN = "spring-sale"
CAMPAIGN_LINK = f"/shop?mtm_campaign={CAMPAIGN}&mtm_kwd=tables"
GUEST = {
    "name": "Greta Guest",
    "email": "greta@example.com",
    "phone": "+32 2 555 01 01",
    "street": "Rue de la Loi 16",
    "zip": "1000",
    "city": "Brussels",
}


def buy_as_guest(page, shop):
    """Buy as a guest who follows a campaign's link and accepts cookies."""
    page.goto(shop.odoo.url + CAMPAIGN_LINK)
    arrive(page, "/shop")
    page.click("#cookies-consent-all")
    page.wait("document.cookie.includes('_pk_ref.')", "Matomo's cookie")
    for key in ("table", "cushion"):
        [product] = shop.odoo.read(
            "product.template", ["website_url"], [("id", "=", shop.products[key])]
        )
        page.goto(shop.odoo.url + product["website_url"])
        arrive(page, product["website_url"])
        page.click("#add_to_cart")
        page.wait_for("sup.my_cart_quantity", "1" if key == "table" else "2")
    page.goto(f"{shop.odoo.url}/shop/cart")
    arrive(page, "/shop/cart")
    page.click("a[name='website_sale_main_button']")
    arrive(page, "/shop/address")
    for field, value in GUEST.items():
        page.type(f"form.address_autoformat input[name='{field}']", value)
    page.choose("#o_country_id", "Belgium")
    page.click("a[name='website_sale_main_button']")
    arrive(page, "/shop/checkout")
    page.click("[name='o_delivery_method']", "Standard delivery")
    page.click("a[name='website_sale_main_button']:not(.disabled)")
    arrive(page, "/shop/payment")
    page.click("[name='o_payment_option']", "Demo")
    page.type("input[name='customer_input']", "4242424242424242")
    page.click("button[name='o_payment_submit_button']")
    arrive(page, "/shop/confirmation")
    page.wait_for("[name='order_confirmation']")
    picture(page, "shop-confirmation")


def arrive(page, path):
    """Wait for a page of the web shop and its scripts."""
    page.arrive(path, "document.body.getAttribute('is-ready') === 'true'", timeout=120)


def picture(page, name):
    page.screenshot(machine.folder("demo") / f"{name}.png")


def order_by_telephone(client, products):
    """Enter and confirm a salesperson's order with a discount."""
    [mug] = client.read(
        "product.product", ["id"], [("product_tmpl_id", "=", products["mug"])]
    )
    customer = client.create("res.partner", name="Café Central")
    line = {"product_id": mug["id"], "product_uom_qty": 12, "discount": 10}
    order = client.create("sale.order", partner_id=customer, order_line=[(0, 0, line)])
    client.call("sale.order", "action_confirm", [order])


def log_in(page, url, login, password):
    page.goto(f"{url}/web/login")
    arrive(page, "/web/login")
    page.type("input[name='login']", login)
    page.type("input[name='password']", password)
    page.click(".oe_login_form button[type='submit']")
    page.wait("!location.pathname.startsWith('/web/login')", "The login", timeout=120)


def sell_at_the_till(page, shop):
    """Make one sale with network and two without, then sync all of them."""
    log_in(page, shop.odoo.url, **CASHIER)
    page.goto(f"{shop.odoo.url}/pos/ui/{shop.till}")
    page.click(".screen-login .open-register-btn", timeout=120)
    page.click(".modal .btn-primary", "Open Register")
    ring_up(page, ["mug"], "Card")
    wait_synced(shop, 1)
    with no_network(page):
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        ring_up(
            page, ["mug", "mug", "cushion"], "Card", at=midnight - timedelta(hours=9)
        )
        # Past midnight in Brussels: of a day that has not begun in UTC.
        ring_up(page, ["cushion", "mug"], "Cash", at=midnight - timedelta(minutes=30))
        picture(page, "till-offline")
        if len(till_sales(shop)) != 1:
            raise Trouble("The till has synced a sale without network.")
    wait_synced(shop, 3)


@contextmanager
def no_network(page):
    """Take the network from the till until the block ends."""
    page.offline(True)
    ping = "fetch('/pos/ping', {method: 'POST'}).then(() => false, () => true)"
    page.wait(ping, "The end of the network")
    # The browser's own event can come while the network is still there.
    page.evaluate("window.dispatchEvent(new Event('offline')) && null")
    page.wait("posmodel.data.network.offline", "The till's offline sign")
    yield
    page.evaluate("luxon.Settings.now = () => Date.now()")
    page.offline(False)
    page.wait("!posmodel.data.network.offline", "The till's network")


def ring_up(page, products, payment, at=None):
    """Make a sale; `at` is the time of the till's clock."""
    if at:
        page.evaluate(f"luxon.Settings.now = () => {int(at.timestamp() * 1000)}")
    for key in products:
        page.click(".product-list .product", PRODUCTS[key]["name"])
    page.click(".pay-order-button")
    page.click(".paymentmethods .paymentmethod", payment)
    page.click(".payment-screen button.validation-button.next.highlight")
    # A till that has just lost its network says so first.
    page.click_until(
        ".product-list .product", ".modal .btn-primary", ".receipt-screen button.next"
    )


def till_sales(shop):
    """Return the till's sales that the server knows."""
    return shop.odoo.read("pos.order", ["name"], [("state", "in", ["paid", "done"])])


def wait_synced(shop, count):
    """Wait until the server has that many of the till's sales."""
    trouble = f"The till did not sync {count} sales."
    poll(lambda: len(till_sales(shop)) >= count, 60, trouble)
