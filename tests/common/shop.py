"""Shoppers: requests to a website whose Matomo is the tests' own."""

import json
from contextlib import nullcontext
from urllib.parse import quote

from odoo.tests import HttpCase

from .common import MatomoCommon

BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36"
)
VISITOR = "0123456789abcdef"


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
        """Requests of an ``HttpCase`` are in it already."""
        return nullcontext()

    # === THE BROWSER === #

    def authenticate(self, user, password, **options):
        """Log in, in a browser without cookies."""
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
        """Leave the cookies matomo.js leaves."""
        idsite = self.site.idsite
        self.set_cookie(f"_pk_id.{idsite}.1fff", f"{visitor}.1763000000.")
        if attribution:
            self.set_cookie(
                f"_pk_ref.{idsite}.1fff", quote(json.dumps(attribution), safe="")
            )

    def call(self, route, **parameters):
        """Call a JSON-RPC route as the shop's own scripts do."""
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
        """Put a product into the cart; the cart."""
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
        """The cart's rows in the log, oldest first."""
        self.env.invalidate_all()
        rows = cart.matomo_request_ids.filtered(lambda row: row.kind == "cart")
        return rows.filtered(lambda row: state in (None, row.state)).sorted("id")

    def get_sent_carts(self):
        """The parameters of every cart update that reached Matomo."""
        return [
            parameters
            for bulk in self.matomo.bulks
            for parameters in bulk
            if parameters.get("idgoal") == "0" and "ec_id" not in parameters
        ]
