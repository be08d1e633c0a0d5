"""Shoppers with a real Chromium, whom a real Matomo sees."""

import re

from .browser import BrowserCase
from .real_matomo import RealMatomo
from .shop import CheckoutCommon, arrive, open_page

CAMPAIGN = "/shop?mtm_campaign=spring-sale&mtm_kwd=chairs"
# What an ad blocker blocks: a file with this name.
MATOMO = re.compile("matomo[^/]*$")
REFERRER = "http://news.example.com/article"
# Of everybody who logs in.
PASSWORD = "nora-nora-nora"


class RealShopperCommon(CheckoutCommon, BrowserCase):
    """A shop with Matomo's tag, a browser, and a real Matomo in place of the fake."""

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    def setUp(self):
        super().setUp()
        self.real = RealMatomo(currency=self.company.currency_id.name)
        self.real.receive_from(self.site)
        self.website.matomo_tag = True
        # While a page is open, its requests have the cursor.
        self.paths = {product: product.website_url for product in self.products}

    def answer_bar(self, page, accept):
        name = "all" if accept else "essential"
        page.click(f"#cookies-consent-{name}")
        page.wait_for_function("document.cookie.includes('website_cookies_bar')")

    def wait_for_matomo_js(self, page):
        page.wait_for_function("document.cookie.includes('_pk_id.')")

    def get_cookies(self, page, prefix="_pk_"):
        """Return matomo.js's cookies: ``{name: value}``."""
        return {
            cookie["name"]: cookie["value"]
            for cookie in page.context.cookies()
            if cookie["name"].startswith(prefix)
        }

    def put_into_cart(self, page, product):
        open_page(page, self.paths[product])
        quantity = "+(document.querySelector('.my_cart_quantity')?.textContent || 0)"
        before = page.evaluate(quantity)
        page.click("#add_to_cart")
        page.wait_for_function(f"{quantity} > {before}")

    def get_visits(self):
        return self.real.query(
            """
            SELECT HEX(idvisitor) AS visitor, idvisit, visit_total_actions AS actions,
                   referer_name, referer_type, visit_goal_buyer AS buyer,
                   HEX(location_ip) AS ip
              FROM matomo_log_visit WHERE idsite = %s ORDER BY idvisit
            """,
            self.real.idsite,
        )

    def get_conversions(self):
        return self.real.query(
            """
            SELECT idgoal, idorder, idvisit, HEX(idvisitor) AS visitor, referer_name,
                   referer_keyword, CAST(revenue AS DOUBLE) AS revenue, items,
                   server_time
              FROM matomo_log_conversion WHERE idsite = %s ORDER BY server_time
            """,
            self.real.idsite,
        )

    def send(self):
        """Run the scheduled actions, which send and read back."""
        self.end_transaction()
        self.run_sender()
        self.run_verifier()

    def log_in(self, page, login):
        """Log in on the website's own page, and come to the shop.

        :param login: a text: reading a user would meet the page's requests, which share
            the cursor of the test
        """
        open_page(page, "/web/login?redirect=/shop")
        page.fill("[name='login']", login)
        page.fill("[name='password']", PASSWORD)
        page.click("form.oe_login_form button[type='submit']")
        arrive(page, "/shop")
