"""The demo: sell in Odoo from outside, then compare its figures with Matomo's reports.

A merchant sets up a shop and a till, a guest buys in the web shop, a cashier sells at
a till that loses its network, and the running server's own scheduled actions deliver.
Each run has a new database and a new Matomo site, so both sides hold its sales alone.
"""

import http.cookiejar
import json
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import browser
import machine
import matomo
from machine import Trouble, say, step

import odoo

LOGIN = {"login": "admin", "password": "admin"}
CASHIER = {"login": "cashier", "password": "cashier-at-the-till"}

# Matomo's days are those of its site: here not those of UTC.
TIMEZONE = "Europe/Brussels"
TAX = 21.0
DELIVERY_PRICE = 7.5
PRODUCTS = {
    "table": {"name": "Oak table", "default_code": "TABLE-OAK", "list_price": 349.0},
    "cushion": {
        "name": "Linen cushion",
        "default_code": "CUSH-01",
        "list_price": 19.95,
    },
    "mug": {"name": "Stoneware mug", "default_code": "MUG-3", "list_price": 8.4},
}
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

# How long the scheduled actions may take to have Matomo accept everything (they run at
# once, and every minute), and then to prove it by reading Matomo back.
DELIVERY_PATIENCE = 180
PROOF_PATIENCE = 100
WAITING = (False, "pending")
ACCEPTED = ("sent", "verified")
FIGURES = ("orders", "revenue", "tax", "shipping")


# ---- Odoo and Matomo over HTTP -----------------------------------------------------


class Odoo:
    """Odoo as its own web client talks to it: a session and JSON-RPC."""

    def __init__(self, url, database):
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self._post("/web/session/authenticate", db=database, **LOGIN)

    def _post(self, path, **parameters):
        call = {"jsonrpc": "2.0", "method": "call", "params": parameters}
        request = urllib.request.Request(
            self.url + path,
            json.dumps(call).encode(),
            {"Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=120) as answer:
            answer = json.load(answer)
        if "error" in answer:
            data = answer["error"]["data"]
            raise Trouble(f"Odoo refused {path}: {data['name']}: {data['message']}")
        return answer["result"]

    def call(self, model, method, *arguments, **options):
        return self._post(
            f"/web/dataset/call_kw/{model}/{method}",
            model=model,
            method=method,
            args=arguments,
            kwargs=options,
        )

    def create(self, model, **values):
        """Create a record; its id."""
        return self.call(model, "create", [values])[0]

    def write(self, model, record, **values):
        self.call(model, "write", [record], values)

    def read(self, model, fields, domain=(), **options):
        """The records of a domain, as dicts."""
        return self.call(
            model, "search_read", domain=list(domain), fields=fields, **options
        )

    def ref(self, name):
        """The id of a record by its external name."""
        module, name = name.split(".")
        domain = [("module", "=", module), ("name", "=", name)]
        [found] = self.read("ir.model.data", ["res_id"], domain)
        return found["res_id"]


class Matomo:
    """Matomo's Reporting API, as the holder of a token."""

    def __init__(self, url, token):
        self._url = url + "index.php"
        self._token = token

    def call(self, method, **parameters):
        form = {"module": "API", "method": method, "format": "json"}
        form |= parameters | {"token_auth": self._token}
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(self._url, body, timeout=120) as answer:
            answer = json.load(answer)
        if isinstance(answer, dict) and answer.get("result") == "error":
            raise Trouble(f"Matomo refused {method}: {answer['message']}")
        return answer


# ---- The merchant ------------------------------------------------------------------


@dataclass
class Shop:
    """What the merchant has set up."""

    odoo: Odoo
    idsite: int
    till: int
    products: dict


def new_matomo_site(access, shop_url, currency):
    """A Matomo site for this run alone, to which our user may write; its id."""
    manager = Matomo(access["url"], access["superuser_token"])
    site = manager.call(
        "SitesManager.addSite",
        siteName=f"Demo of {datetime.now():%d %B %Y, %H:%M:%S}",
        ecommerce=1,
        currency=currency,
        timezone=TIMEZONE,
        **{"urls[0]": shop_url},
    )
    manager.call(
        "UsersManager.setUserAccess",
        userLogin=access["write_login"],
        access="write",
        idSites=site["value"],
    )
    manager.call(
        "UsersManager.setUserAccess",
        userLogin=access["login"],
        access="view",
        idSites=site["value"],
    )
    return site["value"]


def furnish(client):
    """Products with a tax, a delivery that costs something, a till and its cashier."""
    group = client.create("account.tax.group", name="VAT 21%")
    tax = client.create(
        "account.tax", name="21%", amount=TAX, type_tax_use="sale", tax_group_id=group
    )
    category = client.create("product.public.category", name="Home")
    till_category = client.create("pos.category", name="Home")
    products = {
        key: client.create(
            "product.template",
            **values,
            taxes_id=[(6, 0, [tax])],
            is_published=True,
            public_categ_ids=[(6, 0, [category])],
            available_in_pos=True,
            pos_categ_ids=[(6, 0, [till_category])],
        )
        for key, values in PRODUCTS.items()
    }
    carrier = client.ref("delivery.free_delivery_carrier")
    client.write("delivery.carrier", carrier, fixed_price=DELIVERY_PRICE)
    [carrier] = client.read("delivery.carrier", ["product_id"], [("id", "=", carrier)])
    client.write("product.product", carrier["product_id"][0], taxes_id=[(6, 0, [tax])])
    # Picking up in store asks a geolocation service on the internet.
    for pickup in client.read(
        "delivery.carrier", ["id"], [("delivery_type", "=", "in_store")]
    ):
        client.write("delivery.carrier", pickup["id"], is_published=False)
    # An e-mail with a PDF would need wkhtmltopdf.
    for template in client.read(
        "mail.template", ["id"], [("report_template_ids", "!=", False)]
    ):
        client.write("mail.template", template["id"], report_template_ids=[(5,)])
    [provider] = client.read("payment.provider", ["state"], [("code", "=", "demo")])
    client.write("payment.provider", provider["id"], state="test", is_published=True)
    client.create(
        "res.users",
        name="Carla Cashier",
        **CASHIER,
        group_ids=[
            (
                6,
                0,
                [
                    client.ref("base.group_user"),
                    client.ref("point_of_sale.group_pos_user"),
                ],
            )
        ],
    )
    return products, client.create("pos.config", name="Till at the door")


def connect(client, till, access, idsite):
    """Fill in the settings of website and till, and test the connection of both."""
    website = save_settings(
        client,
        matomo_url=access["url"],
        matomo_idsite=idsite,
        matomo_token_auth=access["token"],
    )
    press_test(client, "Website", "action_test_matomo_connection", website)
    save_settings(client, website_cookies_bar=True, matomo_tag=True)
    [site] = client.read("matomo.site", ["name"], [("idsite", "=", idsite)])
    # The till was already selling, without network, two days ago.
    start = (datetime.now(UTC) - timedelta(days=7)).date()
    client.write("matomo.site", site["id"], date_start=f"{start}")
    save_settings(client, matomo_company_site_id=site["id"])
    settings = save_settings(
        client,
        pos_config_id=till,
        matomo_pos_url=access["url"],
        matomo_pos_idsite=idsite,
        matomo_pos_token_auth=access["token"],
    )
    press_test(client, "Till", "action_test_matomo_pos_connection", settings)


def save_settings(client, **values):
    """Save a settings form on which these fields were changed; its id."""
    settings = client.create("res.config.settings", **values)
    client.call("res.config.settings", "execute", [settings])
    return settings


def press_test(client, form, button, settings):
    answer = client.call("res.config.settings", button, [settings])["params"]
    say(f"    {form}: {answer['title']} {answer['message']}")
    if answer["type"] != "success":
        raise Trouble("The connection test of the settings did not succeed.")


# ---- The sales ---------------------------------------------------------------------


def buy_as_guest(page, shop):
    """A guest's web order: they follow a campaign's link, accept cookies, and buy."""
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
    """A salesperson's order: keyed in at the desk, with a discount, and confirmed."""
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
    """One sale with network, two without, then everything is synced."""
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
    """The till without network, and then with it again."""
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
    """Ring up a sale; `at` is what the till's clock shows."""
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
    """The till's sales that the server knows."""
    return shop.odoo.read("pos.order", ["name"], [("state", "in", ["paid", "done"])])


def wait_synced(shop, count):
    """Wait until the server has that many of the till's sales."""
    trouble = f"The till did not sync {count} sales."
    poll(lambda: len(till_sales(shop)) >= count, 60, trouble)


def poll(condition, patience, trouble=None):
    """Ask until the condition holds; false, or Trouble, if it does not in time."""
    deadline = time.monotonic() + patience
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(1)
    if not held and trouble:
        raise Trouble(trouble)
    return held


# ---- Both sides' figures -----------------------------------------------------------


@dataclass
class Sale:
    """An order as Odoo has it."""

    name: str
    channel: str
    sold: datetime
    revenue: Decimal
    tax: Decimal
    shipping: Decimal
    state: str
    reason: str
    ref: str
    url: str
    campaign: str
    orders: int = 1

    @property
    def day(self):
        return f"{self.sold:%Y-%m-%d}"


VERDICT = [
    "matomo_state",
    "matomo_reason",
    "matomo_order_ref",
    "matomo_tracking_url",
    "matomo_attribution_info",
]


def odoo_sales(client):
    """Every order that counts, by the time it was sold."""
    fields = ["name", "date_order", "amount_total", "amount_tax", *VERDICT]
    shipping = client.read(
        "sale.order.line", ["order_id", "price_subtotal"], [("is_delivery", "=", True)]
    )
    shipping = {line["order_id"][0]: line["price_subtotal"] for line in shipping}
    sales = []
    for order in client.read(
        "sale.order", [*fields, "website_id"], [("state", "=", "sale")]
    ):
        channel = "web shop" if order["website_id"] else "desk"
        sales.append((order, channel, order["name"], shipping.get(order["id"], 0)))
    for order in client.read(
        "pos.order", [*fields, "pos_reference"], [("state", "in", ["paid", "done"])]
    ):
        sales.append((order, "till", order["pos_reference"], 0))
    sales.sort(key=lambda sale: sale[0]["date_order"])
    return [make_sale(*sale) for sale in sales]


def make_sale(order, channel, name, shipping):
    sold = datetime.fromisoformat(order["date_order"]).replace(tzinfo=UTC)
    return Sale(
        name=name,
        channel=channel,
        sold=sold.astimezone(ZoneInfo(TIMEZONE)),
        revenue=money(order["amount_total"]),
        tax=money(order["amount_tax"]),
        shipping=money(shipping),
        state=order["matomo_state"],
        reason=order["matomo_reason"] or "",
        ref=order["matomo_order_ref"] or "",
        url=order["matomo_tracking_url"] or "",
        campaign=(order["matomo_attribution_info"] or {}).get("campaign") or "",
    )


def money(amount):
    return Decimal(str(amount)).quantize(Decimal("0.01"))


@dataclass
class Recorded:
    """An order as Matomo has it."""

    revenue: Decimal
    campaign: str
    sold: datetime


def matomo_orders(reports, idsite, days):
    """What Matomo has of each order, by order id, from its log of visits."""
    visits = reports.call(
        "Live.getLastVisitsDetails",
        idSite=idsite,
        period="range",
        date=f"{days[0]},{days[-1]}",
        filter_limit=-1,
    )
    return {
        action["orderId"]: Recorded(
            money(action["revenue"]),
            visit["referrerName"] if visit["referrerType"] == "campaign" else "",
            # The site's wall clock, counted as if it were UTC.
            datetime.fromtimestamp(action["timestamp"], UTC).replace(
                tzinfo=ZoneInfo(TIMEZONE)
            ),
        )
        for visit in visits
        for action in visit["actionDetails"]
        if action["type"] == "ecommerceOrder"
    }


def matomo_days(reports, idsite, days):
    """Matomo's figures of each day, from its e-commerce report."""
    report = reports.call(
        "Goals.get",
        idSite=idsite,
        idGoal="ecommerceOrder",
        period="day",
        date=f"{days[0]},{days[-1]}",
        format_metrics=0,
    )
    return {
        day: {
            "orders": figures["nb_conversions"],
            "revenue": money(figures["revenue"]),
            "tax": money(figures["revenue_tax"]),
            "shipping": money(figures["revenue_shipping"]),
        }
        for day, figures in report.items()
        if figures and figures["nb_conversions"]
    }


def odoo_days(sales):
    """Odoo's figures of each day, days being those of the Matomo site."""
    days = {}
    for sale in sales:
        day = days.setdefault(sale.day, dict.fromkeys(FIGURES, 0))
        for figure in FIGURES:
            day[figure] += getattr(sale, figure)
    return days


# ---- Waiting and comparing ---------------------------------------------------------


def wait_for_delivery(client):
    """Wait for the server's scheduled actions; the sales as they then are."""
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


def compare(sales, reports, idsite):
    """Print both sides; whether they are equal."""
    today = datetime.now(ZoneInfo(TIMEZONE)).date()
    first = min([*(sale.day for sale in sales), f"{today}"])
    days = [first, f"{today}"]
    recorded = matomo_orders(reports, idsite, days)
    print_orders(sales, recorded)
    here, there = odoo_days(sales), matomo_days(reports, idsite, days)
    print_days(here, there)
    differences = list(differing(sales, recorded, here, there))
    for difference in differences:
        say(difference)
    say("equal" if not differences else "NOT equal")
    return not differences


def differing(sales, recorded, here, there):
    """A sentence for each thing that is not the same on both sides."""
    for sale in sales:
        order = recorded.get(sale.ref)
        if sale.state not in ACCEPTED:
            yield f"{sale.name} is {sale.state or 'without a verdict'}: {sale.reason}"
        if order is None:
            yield f"{sale.name} is not in Matomo."
            continue
        if order.revenue != sale.revenue:
            yield (
                f"{sale.name} is {sale.revenue} in Odoo and {order.revenue} in Matomo."
            )
        if order.sold != sale.sold:
            yield f"{sale.name} was sold {sale.sold}; Matomo says {order.sold}."
        campaign = CAMPAIGN if sale.channel == "web shop" else ""
        if {sale.campaign, order.campaign} != {campaign}:
            yield (
                f"{sale.name} came by the campaign “{campaign}”: Odoo says "
                f"“{sale.campaign}”, Matomo says “{order.campaign}”."
            )
    for ref in recorded.keys() - {sale.ref for sale in sales}:
        yield f"Matomo has an order {ref} that Odoo does not have."
    nothing = dict.fromkeys(FIGURES, 0)
    for day in sorted(here.keys() | there.keys()):
        ours, theirs = here.get(day, nothing), there.get(day, nothing)
        for figure in FIGURES:
            if ours[figure] != theirs[figure]:
                yield (
                    f"{figure} of {day}: {ours[figure]} in Odoo, "
                    f"{theirs[figure]} in Matomo."
                )


def print_orders(sales, recorded):
    row = "{:<16} {:<9} {:<19} {:<19} {:>10} {:>10}  {:<12} {}"
    titles = (
        *("Order", "Channel", "Sold", "In Matomo"),
        *("Odoo", "Matomo", "Campaign", "Verdict"),
    )
    say("")
    say(row.format(*titles))
    for sale in sales:
        order = recorded.get(sale.ref, Recorded("-", "", None))
        verdict = f"{sale.state} {sale.reason}".strip()
        say(
            row.format(
                sale.name,
                sale.channel,
                f"{sale.sold:%Y-%m-%d %H:%M:%S}",
                f"{order.sold:%Y-%m-%d %H:%M:%S}" if order.sold else "-",
                sale.revenue,
                order.revenue,
                order.campaign,
                verdict,
            )
        )
        say(f"    {sale.url}")


def print_days(here, there):
    row = "{:<16} {:<9} {:>10} {:>10} {:>10} {:>10}"
    say("")
    say(row.format("Day", "", *(figure.capitalize() for figure in FIGURES)))
    for day in [*sorted(here.keys() | there.keys()), "Total"]:
        for side, days in (("Odoo", here), ("Matomo", there)):
            chosen = days.values() if day == "Total" else [days.get(day, {})]
            figures = [
                sum(part.get(figure, 0) for part in chosen) for figure in FIGURES
            ]
            say(row.format(day, side, *figures))
    say("")


# ---- The whole ---------------------------------------------------------------------


def set_up():
    """Both servers, and a shop that is connected to a Matomo site of its own."""
    access = matomo.start()
    client = Odoo(odoo.start(new=True), odoo.DEMO_DATABASE)
    with step("Set up the shop, as a merchant would"):
        products, till = furnish(client)
        [company] = client.read("res.company", ["currency_id"])
        currency = company["currency_id"][1]
        idsite = new_matomo_site(access, client.url, currency)
        connect(client, till, access, idsite)
    return access, Shop(client, idsite, till, products)


def sell(shop):
    """Sales through the running servers, from outside."""
    with browser.Browser() as chromium:
        with step("A guest buys in the web shop"):
            page = chromium.page()
            buy_as_guest(page, shop)
            page.close()
        with step("A salesperson keys in an order"):
            order_by_telephone(shop.odoo, shop.products)
        with step("A cashier sells at the till, partly without network"):
            page = chromium.page()
            sell_at_the_till(page, shop)
            page.close()


def main():
    begun = time.monotonic()
    access, shop = set_up()
    sell(shop)
    sales = wait_for_delivery(shop.odoo)
    reports = Matomo(access["url"], access["token"])
    equal = compare(sales, reports, shop.idsite)
    say(f"\nOdoo    {shop.odoo.url} (login admin, password admin)")
    say(f"Matomo  {access['url']} (site {shop.idsite}, login {access['login']},")
    say(f"        password {access['password']})")
    say(f"Pictures of the sales: {machine.folder('demo')}")
    say(f"\nDone in {time.monotonic() - begun:.0f} s. The servers stay up: make stop")
    return 0 if equal else 1
