"""Shoppers: their requests to a website, and a checkout from cart to payment."""

import json
from contextlib import nullcontext
from types import MappingProxyType
from urllib.parse import quote

from odoo import Command
from odoo.tests import HttpCase

from .site import MatomoCommon

BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36"
)
VISITOR = "0123456789abcdef"
# A picture of one pixel.
SIGNATURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
# What a shopper writes into the address form.
# Nothing is written into it: Odoo's `create()` writes into the values it gets.
ADDRESS = MappingProxyType(
    {
        "name": "Nora Shopper",
        "email": "nora@example.com",
        "phone": "+32 2 555 01 01",
        "street": "Rue de la Loi 16",
        "zip": "1000",
        "city": "Brussels",
    }
)


def arrive(page, path=""):
    """Wait for a page of the shop and its scripts."""
    page.wait_for_url(f"**{path}**")
    page.wait_for_selector("body[is-ready='true']")


def open_page(page, path, **options):
    """Open a page of the shop and wait for its scripts."""
    page.goto(path, **options)
    arrive(page)


class ShopperCommon(MatomoCommon, HttpCase):
    """A website of the company, tracked on its Matomo site, and one browser."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.website = (
            cls.env["website"]
            .sudo()
            .create(
                {
                    "name": "Shop",
                    "company_id": cls.company.id,
                    "domain": cls.base_url(),
                    "matomo_site_id": cls.site.id,
                    "cookies_bar": True,
                }
            )
        )
        cls.products = cls.chair + cls.lamp
        cls.products.sudo().write({"is_published": True})

    def setUp(self):
        super().setUp()
        # A session as every browser has one after its first page.
        self.authenticate(None, None)

    def enter_registry_test_mode(self):
        """Do nothing: an ``HttpCase`` has entered the test mode already."""
        return nullcontext()

    # === THE BROWSER === #

    def authenticate(self, user, password, **options):
        """Log in, in a browser without cookies. Return the session."""
        session = super().authenticate(user, password, **options)
        self.opener.headers.update(
            {"User-Agent": BROWSER, "Accept-Language": "nl-BE,nl;q=0.9"}
        )
        return session

    def set_cookie(self, name, value):
        self.opener.cookies.set(name, value)

    def accept_cookies(self):
        self.answer_cookie_bar(True)

    def answer_cookie_bar(self, optional):
        value = json.dumps({"required": True, "optional": optional, "ts": 1})
        self.set_cookie("website_cookies_bar", value.replace(" ", ""))

    def run_matomo_js(self, visitor=VISITOR, attribution=None):
        """Set the cookies that matomo.js sets."""
        idsite = self.site.idsite
        self.set_cookie(f"_pk_id.{idsite}.1fff", f"{visitor}.1763000000.")
        if attribution:
            self.set_cookie(
                f"_pk_ref.{idsite}.1fff", quote(json.dumps(attribution), safe="")
            )

    def call(self, route, **parameters):
        """Call a JSON-RPC route as the shop's scripts do. Return the result."""
        answer = self.url_open(
            route,
            json={"jsonrpc": "2.0", "method": "call", "params": parameters},
            timeout=60,
        ).json()
        self.assertNotIn("error", answer)
        return answer.get("result")

    def open(self, path, **options):
        answer = self.url_open(path, timeout=60, **options)
        self.assertEqual(answer.status_code, 200, answer.text[:500])
        return answer

    def add(self, product, quantity=1):
        """Put a product into the cart. Return the cart."""
        self.call(
            "/shop/cart/add",
            product_template_id=product.product_tmpl_id.id,
            product_id=product.id,
            quantity=quantity,
        )
        return self.get_cart()

    def update(self, line, quantity):
        self.call("/shop/cart/update", line_id=line.id, quantity=quantity)

    def get_cart(self):
        self.env.invalidate_all()
        orders = self.env["sale.order"].sudo()
        return orders.search(
            [("website_id", "=", self.website.id)], order="id DESC", limit=1
        )

    # === LOOKING === #

    def get_carts(self, cart, state=None):
        """Return the updates of the cart, oldest first."""
        self.env.invalidate_all()
        updates = cart.sudo().matomo_cart_update_ids
        return updates.filtered(lambda update: state in (None, update.state)).sorted(
            "id"
        )

    def get_sent_carts(self):
        """Return the parameters of every cart update that reached Matomo."""
        return [
            parameters
            for bulk in self.matomo.bulks
            for parameters in bulk
            if parameters.get("idgoal") == "0" and "ec_id" not in parameters
        ]


class CheckoutCommon(ShopperCommon):
    """A checkout that needs no network beyond Odoo."""

    # Services need no delivery method.
    product_type = "consu"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.belgium = cls.env.ref("base.be")
        cls.website.sudo().company_id.country_id = cls.belgium
        # A PDF with the e-mail would need wkhtmltopdf.
        templates = cls.env["mail.template"].sudo()
        templates.search([("report_template_ids", "!=", False)]).write(
            {"report_template_ids": [Command.clear()]}
        )
        # Only what is made here: no other module's delivery asks the internet.
        cls.env["delivery.carrier"].sudo().search([]).is_published = False
        cls.post = cls.make_carrier("Post", 10.0)
        cls.demo = cls.make_provider("payment.payment_provider_demo")
        cls.wire = cls.make_provider("payment.payment_provider_transfer")

    @classmethod
    def make_carrier(cls, name, price, **values):
        product = cls.make_product(name, name.upper(), price, type="service")
        return (
            cls.env["delivery.carrier"]
            .sudo()
            .create(
                {
                    "name": name,
                    "is_published": True,
                    "company_id": cls.company.id,
                    "product_id": product.id,
                    "fixed_price": price,
                    **values,
                }
            )
        )

    @classmethod
    def make_provider(cls, xmlid):
        """Return a payment provider of this kind for the website's company."""
        provider = cls.env.ref(xmlid).sudo()
        methods = provider.with_context(active_test=False).payment_method_ids
        copy = provider.copy(
            {
                "company_id": cls.company.id,
                "payment_method_ids": [Command.set(methods.ids)],
            }
        )
        copy.write(
            {
                "state": "test" if provider.code == "demo" else "enabled",
                "is_published": True,
            }
        )
        methods.active = True
        return copy

    @classmethod
    def make_coupon(cls, code, percent):
        """Return a loyalty program whose code gives a discount in percent."""
        return (
            cls.env["loyalty.program"]
            .sudo()
            .create(
                {
                    "name": code,
                    "company_id": cls.company.id,
                    "program_type": "promo_code",
                    "trigger": "with_code",
                    "applies_on": "current",
                    "rule_ids": [Command.create({"mode": "with_code", "code": code})],
                    "reward_ids": [
                        Command.create(
                            {
                                "reward_type": "discount",
                                "discount": percent,
                                "discount_applicability": "order",
                            }
                        )
                    ],
                }
            )
        )

    def fill_cart(self):
        """Return a cart with a product, an address and a delivery method."""
        cart = self.add(self.chair)
        cart.partner_id = self.env["res.partner"].create(
            {**ADDRESS, "country_id": self.belgium.id}
        )
        cart.sudo()._set_delivery_method(self.post)
        cart._portal_ensure_token()
        self.end_transaction()
        return cart

    def pay(self, order, provider, route="/shop/payment/transaction", **parameters):
        """Do what the payment form does on "Pay". Return the transaction."""
        method = provider.payment_method_ids[:1]
        values = self.call(
            f"{route}/{order.id}",
            access_token=order.access_token,
            provider_id=provider.id,
            payment_method_id=method.id,
            token_id=None,
            flow="direct",
            tokenization_requested=False,
            landing_route="/shop/payment/validate",
            **parameters,
        )
        transactions = self.env["payment.transaction"].sudo()
        return transactions.search([("reference", "=", values["reference"])])

    def simulate(self, transaction, state):
        self.call(
            "/payment/demo/simulate_payment",
            reference=transaction.reference,
            payment_details="4242",
            simulated_state=state,
        )

    def come_back(self):
        """Let the shopper's browser return from the payment provider."""
        self.call("/payment/status/poll")
        self.open("/shop/payment/validate")

    def check_out(self, page, provider, **address):
        """From the cart to the confirmation, in a browser: address, delivery, payment.

        :param address: what is written otherwise than in ``ADDRESS``
        """
        main_button = "a[name='website_sale_main_button']:visible:not(.disabled)"
        open_page(page, "/shop/cart")
        page.click(main_button)
        arrive(page, "/shop/address")
        for name, value in {**ADDRESS, **address}.items():
            page.fill(f"form.address_autoformat [name='{name}']", value)
        page.select_option("[name='country_id']", str(self.belgium.id))
        page.click(main_button)
        arrive(page, "/shop/checkout")
        page.click("[name='o_delivery_method'] input[type='radio']")
        page.click(main_button)
        arrive(page, "/shop/payment")
        radio = f"input[name='o_payment_radio'][data-provider-id='{provider.id}']"
        page.click(f"[name='o_payment_option']:has({radio})")
        if provider == self.demo:
            page.fill("[name='customer_input']", "4242424242424242")
        page.click("button[name='o_payment_submit_button']:visible")
        arrive(page, "/shop/confirmation")
