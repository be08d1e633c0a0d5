from datetime import timedelta
from unittest.mock import patch

from odoo.tests import tagged

from odoo.addons.matomo_order_tracking.models import matomo_site_shopper

from .browser import BrowserCase
from .real_matomo import RealMatomo
from .shopper import ShopperCommon

CAMPAIGN = "/shop?mtm_campaign=spring-sale&mtm_kwd=chairs"
REFERRER = "http://news.example.com/article"


@tagged("post_install", "-at_install")
class TestBrowserShopper(ShopperCommon, BrowserCase):
    """A shopper in a real Chromium, seen by a real Matomo."""

    def startPatch(self, matomo):
        """The network ends at the real Matomo."""

    def setUp(self):
        super().setUp()
        self.real = RealMatomo(currency=self.company.currency_id.name)
        self.site.sudo().write(
            {
                "url": self.real.url,
                "idsite": self.real.idsite,
                "token_auth": self.real.token,
            }
        )
        self.website.matomo_tag = True

    def answer_bar(self, page, accept):
        name = "all" if accept else "essential"
        page.click(f"#cookies-consent-{name}")
        page.wait("document.cookie.includes('website_cookies_bar')")

    def wait_for_matomo_js(self, page):
        page.wait("document.cookie.includes('_pk_id.')")

    def put_into_cart(self, page, product):
        page.goto(product.website_url)
        quantity = "+(document.querySelector('.my_cart_quantity')?.textContent || 0)"
        before = page.evaluate(quantity)
        page.click("#add_to_cart")
        page.wait(f"{quantity} > {before}")

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
                   referer_keyword, CAST(revenue AS DOUBLE) AS revenue, items
              FROM matomo_log_conversion WHERE idsite = %s ORDER BY server_time
            """,
            self.real.idsite,
        )

    def test_campaign_to_order(self):
        with self.browse() as page:
            page.goto(CAMPAIGN, referrer=REFERRER)
            self.answer_bar(page, accept=True)
            self.wait_for_matomo_js(page)
            self.put_into_cart(page, self.chair)
            page.goto("/shop/cart")
        cart = self.get_cart()
        self.run_sender()
        self.confirm(cart)
        self.run_sender()
        self.run_verifier()
        self.assertState(cart, "verified")

        (visit,) = self.get_visits()
        self.assertEqual(visit["visitor"].lower(), cart.matomo_visitor_id)
        self.assertGreaterEqual(visit["actions"], 3)
        (order,) = self.get_conversions()
        self.assertEqual(order["idorder"], cart.name)
        self.assertEqual(order["idvisit"], visit["idvisit"])
        self.assertEqual(order["referer_name"], "spring-sale")
        self.assertEqual(cart.matomo_attribution_info["campaign"], "spring-sale")

    def test_cookies_refused(self):
        with self.browse() as page:
            page.goto(CAMPAIGN, referrer=REFERRER)
            self.answer_bar(page, accept=False)
            self.put_into_cart(page, self.chair)
            page.goto("/shop/cart")
            self.assertFalse([n for n in page.cookies() if n.startswith("_pk_")])
        cart = self.get_cart()
        self.assertFalse(cart.matomo_ip_address or cart.matomo_user_agent)
        self.assertFalse(cart.matomo_visitor_id or cart.matomo_attribution_info)
        self.confirm(cart)
        self.run_sender()
        self.run_verifier()
        self.assertState(cart, "verified")
        (visit,) = self.get_visits()
        self.assertEqual(visit["ip"], "00000000")
        (order,) = self.get_conversions()
        self.assertEqual(order["revenue"], cart.amount_total)
        self.assertFalse(order["referer_name"])

    def test_matomo_js_blocked(self):
        with (
            patch.object(
                matomo_site_shopper, "VISITOR_PATIENCE", matomo_site_shopper.scaled()
            ),
            self.browse() as page,
        ):
            page.is_matomo_blocked = True
            page.goto("/shop")
            self.answer_bar(page, accept=True)
            self.put_into_cart(page, self.chair)
            page.goto("/shop/cart")
            page.goto("/shop/cart")
            (name,) = [name for name in page.cookies() if name.startswith("_pk_id.")]
            visitor = page.cookies()[name].partition(".")[0]
            # The ad blocker is switched off: the same visitor goes on.
            page.is_matomo_blocked = False
            page.goto("/shop")
            page.wait("typeof window.Matomo === 'object'")
            page.goto("/shop/cart")
            self.assertEqual(
                [each for each in page.cookies() if each.startswith("_pk_id.")], [name]
            )
        cart = self.get_cart()
        self.assertEqual(cart.matomo_visitor_id, visitor)
        self.run_sender()
        self.confirm(cart)
        self.run_sender()
        (order,) = self.get_conversions()
        self.assertEqual(order["visitor"].lower(), visitor)
        self.assertEqual(
            {visit["visitor"].lower() for visit in self.get_visits()}, {visitor}
        )

    def test_cart_left_behind_and_emptied(self):
        with self.browse() as page:
            page.goto("/shop")
            self.answer_bar(page, accept=True)
            self.wait_for_matomo_js(page)
            self.put_into_cart(page, self.chair)
            self.put_into_cart(page, self.lamp)
        cart = self.get_cart()
        self.run_sender()
        (abandoned,) = self.get_conversions()
        self.assertEqual((abandoned["idgoal"], abandoned["items"]), (-1, 2))
        self.assertAlmostEqual(abandoned["revenue"], cart.amount_total, places=2)
        (visit,) = self.get_visits()
        self.assertEqual(abandoned["idvisit"], visit["idvisit"])
        self.assertEqual(
            self.get_carts(cart, "sent").tracking_url.count("XYZANONYMIZED"), 1
        )
        # The shopper comes back with the same cookies and empties it.
        self.authenticate(None, None, session_extra={"sale_order_id": cart.id})
        self.accept_cookies()
        self.run_matomo_js(cart.matomo_visitor_id)
        self.call("/shop/cart/clear")
        self.run_sender()
        (abandoned,) = self.get_conversions()
        self.assertEqual((abandoned["items"], abandoned["revenue"]), (0, 0))

    def test_log_in_half_way(self):
        user = self.make_user("half_way", "base.group_portal")
        user.sudo().password = "half-way-half-way"
        with self.browse() as page:
            page.goto(CAMPAIGN)
            self.answer_bar(page, accept=True)
            self.wait_for_matomo_js(page)
            self.put_into_cart(page, self.chair)
            page.goto("/web/login?redirect=/shop/cart")
            page.fill(login="half_way", password="half-way-half-way")
            page.click("form.oe_login_form button[type='submit']", leaves=True)
            page.goto("/shop/cart")
            self.put_into_cart(page, self.lamp)
        cart = self.get_cart()
        self.assertEqual(cart.partner_id, user.partner_id)
        self.run_sender()
        self.confirm(cart)
        self.run_sender()
        (order,) = self.get_conversions()
        (visit,) = self.get_visits()
        self.assertEqual(order["idvisit"], visit["idvisit"])
        self.assertEqual((order["idgoal"], order["items"]), (0, 2))

    def test_confirmed_three_days_later(self):
        self.accept_cookies()
        self.run_matomo_js(attribution=["spring-sale", "chairs", 1763000000, ""])
        cart = self.add(self.chair)
        self.get_carts(cart).sudo().order_date -= timedelta(days=3)
        self.run_sender()
        self.confirm(cart)
        self.run_sender()
        self.run_verifier()
        self.assertState(cart, "verified")
        self.assertIn("goes on counting the cart", cart.matomo_notes)
        abandoned, order = self.get_conversions()
        self.assertEqual((abandoned["idgoal"], order["idgoal"]), (-1, 0))
        self.assertEqual(abandoned["visitor"], order["visitor"])
        self.assertEqual(order["referer_name"], "spring-sale")
