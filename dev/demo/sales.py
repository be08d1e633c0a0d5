"""What is sold: by a guest in the web shop, at the desk, and at a till."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from machine import Trouble

from .chromium import picture
from .clients import poll
from .merchant import CASHIER, CUSTOMER, PRODUCTS

MAIN_BUTTON = "a[name='website_sale_main_button']:visible:not(.disabled)"
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


# The customer's devices. Matomo would take a browser of the guest's kind, behind the
# same address, for the guest's.
LAPTOP = {"locale": "fr-BE"}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "user_agent": "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML,"
    " like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
}


def buy_as_guest(page, shop):
    """Buy as a guest who follows a campaign's link and accepts cookies."""
    come(page, CAMPAIGN_LINK)
    page.wait_for_function("document.cookie.includes('_pk_ref.')")
    for quantity, key in enumerate(("table", "cushion"), start=1):
        put_into_cart(page, shop, key, quantity)
    page.goto("/shop/cart")
    arrive(page, "/shop/cart")
    page.click(MAIN_BUTTON)
    arrive(page, "/shop/address")
    for field, value in GUEST.items():
        page.fill(f"form.address_autoformat input[name='{field}']", value)
    page.select_option("#o_country_id", label="Belgium")
    page.click(MAIN_BUTTON)
    pay(page)
    picture(page, "shop-confirmation")


def fill_cart_as_customer(page, shop):
    """Follow a campaign's link, log in, fill a cart and leave."""
    come(page, CAMPAIGN_LINK)
    page.wait_for_function("document.cookie.includes('_pk_ref.')")
    log_in(page, **CUSTOMER)
    put_into_cart(page, shop, "mug", 1)


def buy_as_customer(page):
    """Log in on another device, and buy what is in the cart."""
    come(page, "/shop")
    log_in(page, **CUSTOMER)
    page.goto("/shop/cart")
    arrive(page, "/shop/cart")
    picture(page, "shop-second-device")
    page.goto("/shop/checkout")
    pay(page)


def come(page, link):
    """Come to the shop by a link, and accept all cookies."""
    page.goto(link)
    arrive(page, "/shop")
    page.click("#cookies-consent-all")


def put_into_cart(page, shop, key, quantity):
    """Add a product to the cart, which holds ``quantity`` pieces then."""
    [product] = shop.odoo.read(
        "product.template", ["website_url"], [("id", "=", shop.products[key])]
    )
    page.goto(product["website_url"])
    arrive(page, product["website_url"])
    page.click("#add_to_cart")
    page.wait_for_selector(f".my_cart_quantity:visible:text-is('{quantity}')")


def pay(page):
    """Choose a delivery and pay, from the page of the checkout on."""
    arrive(page, "/shop/checkout")
    page.click("[name='o_delivery_method']:has-text('Standard delivery')")
    page.click(MAIN_BUTTON)
    arrive(page, "/shop/payment")
    page.click("[name='o_payment_option']:has-text('Demo')")
    page.fill("input[name='customer_input']", "4242424242424242")
    page.click("button[name='o_payment_submit_button']:visible")
    arrive(page, "/shop/confirmation")
    page.wait_for_selector("[name='order_confirmation']")


def arrive(page, path):
    """Wait for a page of the web shop and its scripts."""
    page.wait_for_url(f"**{path}**")
    page.wait_for_selector("body[is-ready='true']")


def order_by_telephone(client, products):
    """Enter and confirm a salesperson's order with a discount."""
    [mug] = client.read(
        "product.product", ["id"], [("product_tmpl_id", "=", products["mug"])]
    )
    customer = client.create("res.partner", name="Café Central")
    line = {"product_id": mug["id"], "product_uom_qty": 12, "discount": 10}
    order = client.create("sale.order", partner_id=customer, order_line=[(0, 0, line)])
    client.call("sale.order", "action_confirm", [order])


def log_in(page, login, password):
    page.goto("/web/login")
    arrive(page, "/web/login")
    page.fill("input[name='login']", login)
    page.fill("input[name='password']", password)
    page.click(".oe_login_form button[type='submit']")
    page.wait_for_url(lambda url: "/web/login" not in url)


def sell_at_the_till(page, shop):
    """Make one sale with network and two without, then sync all of them."""
    log_in(page, **CASHIER)
    page.goto(f"/pos/ui/{shop.till}")
    page.click(".screen-login .open-register-btn")
    page.click(".modal .btn-primary:has-text('Open Register')")
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
    page.context.set_offline(True)
    page.wait_for_function(
        "fetch('/pos/ping', {method: 'POST'}).then(() => false, () => true)"
    )
    # The browser's own event can come while the network is still there.
    page.evaluate("window.dispatchEvent(new Event('offline')) && null")
    page.wait_for_function("posmodel.data.network.offline")
    # The till says so once, before or after the page it interrupts.
    dialog = page.locator(".modal .btn-primary")
    page.add_locator_handler(dialog, lambda button: button.click())
    yield
    page.evaluate("luxon.Settings.now = () => Date.now()")
    page.context.set_offline(False)
    page.wait_for_function("!posmodel.data.network.offline")


def ring_up(page, products, payment, at=None):
    """Make a sale; `at` is the time of the till's clock."""
    if at:
        page.evaluate(f"luxon.Settings.now = () => {int(at.timestamp() * 1000)}")
    for key in products:
        page.click(f".product-list .product:has-text('{PRODUCTS[key]['name']}')")
    page.click(".pay-order-button:visible")
    page.click(f".paymentmethods .paymentmethod:has-text('{payment}')")
    page.click(".payment-screen button.validation-button.next.highlight:visible")
    page.click(".receipt-screen button.next:visible")
    page.wait_for_selector(".product-list .product")


def till_sales(shop):
    """Return the till's sales that the server knows."""
    return shop.odoo.read("pos.order", ["name"], [("state", "in", ["paid", "done"])])


def wait_synced(shop, count):
    """Wait until the server has that many of the till's sales."""
    trouble = f"The till did not sync {count} sales."
    poll(lambda: len(till_sales(shop)) >= count, 60, trouble)
