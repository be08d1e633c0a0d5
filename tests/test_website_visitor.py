from datetime import timedelta
from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.matomo_order_tracking.outbox import schedule
from odoo.addons.matomo_order_tracking.tools import shopper

from .common import BROWSER, LOGGER, VISITOR, ShopperCommon

ATTRIBUTION = ["spring-sale", "cabinet", 1763000000, "https://www.google.com/"]
OTHER = "fedcba9876543210"


@tagged("post_install", "-at_install")
class TestVisitor(ShopperCommon):
    """The shopper's metadata on the order come from their own requests."""

    def setUp(self):
        super().setUp()
        self.accept_cookies()

    def assertAnonymous(self, order):
        self.env.invalidate_all()
        self.assertFalse(order.matomo_ip_address)
        self.assertFalse(order.matomo_user_agent)
        self.assertFalse(order.matomo_visitor_id)
        self.assertFalse(order.matomo_attribution_info)

    def test_metadata_is_stored_with_the_cart(self):
        self.run_matomo_js(attribution=ATTRIBUTION)
        self.opener.headers.update(
            {
                "Sec-CH-UA": '"Chromium";v="130", "Not?A_Brand";v="99"',
                "Sec-CH-UA-Mobile": "?0",
                "Sec-CH-UA-Platform": '"Linux"',
            }
        )
        cart = self.add(self.chair)
        self.assertEqual(cart.matomo_ip_address, "127.0.0.1")
        self.assertEqual(cart.matomo_user_agent, BROWSER)
        self.assertEqual(cart.matomo_accept_language, "nl-BE,nl;q=0.9")
        self.assertIn('"brand": "Chromium"', cart.matomo_client_hints)
        self.assertEqual(cart.matomo_visitor_id, VISITOR)
        self.assertEqual(
            cart.matomo_attribution_info,
            {
                "campaign": "spring-sale",
                "keyword": "cabinet",
                "timestamp": 1763000000,
                "referrer": "https://www.google.com/",
            },
        )

    def test_order_confirmed_later_is_sent_with_it(self):
        self.run_matomo_js(attribution=ATTRIBUTION)
        cart = self.add(self.chair)
        self.confirm(cart)
        self.run_sender()
        self.assertRecorded(
            cart, cid=VISITOR, cip="127.0.0.1", ua=BROWSER, _rcn="spring-sale"
        )

    def test_only_what_changed_is_written(self):
        self.run_matomo_js()
        cart = self.add(self.chair)
        self.open("/shop/cart")
        with patch.object(type(cart), "write", side_effect=AssertionError) as write:
            self.open("/shop/cart")
        self.assertFalse(write.called)

    def test_another_device_does_not_take_over(self):
        self.run_matomo_js()
        cart = self.add(self.chair)
        self.run_matomo_js(OTHER)
        self.opener.headers["User-Agent"] = "Mozilla/5.0 (Phone)"
        self.update(cart.order_line, 2)
        self.env.invalidate_all()
        self.assertEqual(cart.matomo_visitor_id, VISITOR)
        self.assertEqual(cart.matomo_user_agent, BROWSER)

    def test_another_device_does_not_take_over_a_nameless_visitor(self):
        cart = self.add(self.chair)
        self.assertEqual(cart.matomo_user_agent, BROWSER)
        self.run_matomo_js(OTHER)
        self.opener.headers["User-Agent"] = "Mozilla/5.0 (Phone)"
        self.update(cart.order_line, 2)
        self.env.invalidate_all()
        self.assertFalse(cart.matomo_visitor_id)
        self.assertEqual(cart.matomo_user_agent, BROWSER)

    def test_a_lost_campaign_cookie_loses_no_campaign(self):
        self.run_matomo_js(attribution=ATTRIBUTION)
        cart = self.add(self.chair)
        self.opener.cookies.set("_pk_ref.1.1fff", None)
        self.opener.headers["Accept-Language"] = "fr"
        self.open("/shop/cart")
        self.env.invalidate_all()
        self.assertEqual(cart.matomo_accept_language, "fr")
        self.assertEqual(cart.matomo_attribution_info["campaign"], "spring-sale")

    def test_the_same_visitor_brings_a_new_campaign(self):
        self.run_matomo_js()
        cart = self.add(self.chair)
        self.run_matomo_js(attribution=ATTRIBUTION)
        self.open("/shop/cart")
        self.env.invalidate_all()
        self.assertEqual(cart.matomo_attribution_info["campaign"], "spring-sale")

    def test_no_robot(self):
        self.run_matomo_js()
        self.opener.headers["User-Agent"] = "Mozilla/5.0 (compatible; Somebot/2.1)"
        cart = self.add(self.chair)
        self.assertAnonymous(cart)
        self.assertFalse(self.get_carts(cart))

    def test_the_browser_of_an_app_is_no_robot(self):
        """Odoo's list of bots has Instagram, Pinterest, WhatsApp and Cubot's phones."""
        self.run_matomo_js(attribution=ATTRIBUTION)
        self.opener.headers["User-Agent"] = f"{BROWSER} Instagram 330.0.3.29.91"
        cart = self.add(self.chair)
        self.assertEqual(cart.matomo_visitor_id, VISITOR)
        self.assertEqual(cart.matomo_attribution_info["campaign"], "spring-sale")
        self.assertTrue(cart.matomo_consent_info)
        self.assertTrue(self.get_carts(cart))

    def test_a_robot_that_buys_is_a_person(self):
        """Whoever goes through the checkout has a visit, whatever the browser says."""
        self.run_matomo_js()
        self.opener.headers["User-Agent"] = "Mozilla/5.0 (compatible; Somebot/2.1)"
        cart = self.add(self.chair)
        self.open("/shop/cart")
        self.assertAnonymous(cart)
        self.open("/shop/checkout")
        self.env.invalidate_all()
        self.assertEqual(cart.matomo_visitor_id, VISITOR)
        self.assertTrue(cart.matomo_consent_info["answer"])
        self.assertFalse(self.get_carts(cart))

    def test_no_salesperson(self):
        seller = self.make_user("seller", "sales_team.group_sale_salesman")
        seller.sudo().password = "seller-seller"
        self.authenticate("seller", "seller-seller")
        self.accept_cookies()
        self.run_matomo_js()
        cart = self.add(self.chair)
        self.assertAnonymous(cart)
        self.assertFalse(self.get_carts(cart))

    def test_nothing_on_a_website_without_matomo(self):
        self.website.matomo_site_id = False
        self.run_matomo_js()
        cart = self.add(self.chair)
        self.assertAnonymous(cart)
        self.assertFalse(cart.matomo_consent_info)

    def test_trouble_is_not_the_shoppers(self):
        with (
            patch.object(shopper, "read_metadata", side_effect=ZeroDivisionError),
            mute_logger(LOGGER),
        ):
            cart = self.add(self.chair)
        self.assertEqual(cart.order_line.product_id, self.chair)
        self.assertAnonymous(cart)

    def test_nonsense_in_cookies_and_headers(self):
        self.set_cookie("_pk_id.1.1fff", "<script>alert(1)</script>")
        self.set_cookie("_pk_ref.1.1fff", "%5B%5B%5B%00")
        self.opener.headers["Accept-Language"] = "x" * 5000
        self.opener.headers["Sec-CH-UA"] = "''\"\"" * 100
        cart = self.add(self.chair)
        self.assertFalse(cart.matomo_visitor_id)
        self.assertFalse(cart.matomo_attribution_info)
        self.assertFalse(cart.matomo_client_hints)
        self.assertEqual(len(cart.matomo_accept_language), 255)

    # === THE PORTAL === #

    def make_quotation(self):
        quotation = self.make_order((self.chair, 1))
        quotation.sudo().write({"require_signature": True, "require_payment": False})
        quotation.action_quotation_sent()
        quotation._portal_ensure_token()
        self.end_transaction()
        return quotation

    def test_signed_quotation(self):
        quotation = self.make_quotation()
        self.run_matomo_js(attribution=ATTRIBUTION)
        self.call(
            f"/my/orders/{quotation.id}/accept",
            access_token=quotation.access_token,
            name="Nora",
            signature="R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=",
        )
        self.env.invalidate_all()
        self.assertEqual(quotation.state, "sale")
        self.assertEqual(quotation.matomo_visitor_id, VISITOR)
        self.end_transaction()
        self.run_sender()
        self.assertRecorded(quotation, cid=VISITOR, _rcn="spring-sale")

    def test_wrong_access_token_stores_nothing(self):
        quotation = self.make_quotation()
        self.run_matomo_js()
        answer = self.call(
            f"/my/orders/{quotation.id}/accept",
            access_token="wrong",
            name="Eve",
            signature="x",
        )
        self.assertIn("error", answer)
        self.assertAnonymous(quotation)

    # === WITHOUT MATOMO.JS === #

    def test_server_names_the_visitor_if_matomo_js_does_not(self):
        with patch.object(schedule, "VISITOR_PATIENCE", timedelta()):
            cart = self.add(self.chair)
            self.assertFalse(cart.matomo_visitor_id)
            answer = self.open("/shop")
        name = next(name for name in answer.cookies.keys() if name.startswith("_pk_id"))
        self.assertRegex(name, r"^_pk_id\.1\.[0-9a-f]{4}$")
        visitor = answer.cookies[name].partition(".")[0]
        self.open("/shop/cart")
        self.env.invalidate_all()
        self.assertEqual(cart.matomo_visitor_id, visitor)
        self.assertTrue(cart.matomo_user_agent)

    def test_server_waits_for_matomo_js(self):
        # A busy machine needs longer for a page than matomo.js gets.
        with patch.object(schedule, "VISITOR_PATIENCE", timedelta(hours=1)):
            self.add(self.chair)
            answer = self.open("/shop")
        self.assertFalse([n for n in answer.cookies.keys() if n.startswith("_pk_")])

    def test_server_sets_no_cookie_with_a_scripts_request(self):
        # matomo.js of the page may just be naming the visitor.
        with patch.object(schedule, "VISITOR_PATIENCE", timedelta()):
            cart = self.add(self.chair)
            self.update(cart.order_line, 2)
            self.open("/shop/cart", headers={"Sec-Fetch-Dest": "empty"})
            self.assertNotIn("_pk_", str(self.opener.cookies))
            self.open("/shop/cart", headers={"Sec-Fetch-Dest": "document"})
            self.assertIn("_pk_id.1.", str(self.opener.cookies))

    def test_server_sets_no_cookie_without_consent(self):
        self.answer_cookie_bar(False)
        with patch.object(schedule, "VISITOR_PATIENCE", timedelta()):
            self.add(self.chair)
            self.open("/shop/cart")
            answer = self.open("/shop/cart")
        self.assertFalse([n for n in answer.cookies.keys() if n.startswith("_pk_")])


@tagged("post_install", "-at_install")
class TestArrival(ShopperCommon):
    """The campaign of the landing page counts where matomo.js does not run."""

    LANDING = "/shop?utm_campaign=spring&utm_term=chair"

    def come(self, path, referrer="https://news.example.org/"):
        return self.open(path, headers={"Referer": referrer})

    def get_info(self, cart):
        self.env.invalidate_all()
        return cart.matomo_attribution_info or {}

    def test_the_campaign_of_the_landing_page(self):
        self.accept_cookies()
        self.come(self.LANDING)
        self.open("/shop")
        cart = self.add(self.chair)
        info = self.get_info(cart)
        self.assertEqual(info["campaign"], "spring")
        self.assertEqual(info["keyword"], "chair")
        self.assertEqual(info["referrer"], "https://news.example.org/")
        # The shopper returns from the provider of the payment.
        self.come("/shop/cart?utm_source=pay", "https://pay.example.org/")
        self.confirm(cart)
        self.run_sender()
        self.assertRecorded(
            cart, _rcn="spring", _rck="chair", _ref="https://news.example.org/"
        )

    def test_a_page_of_a_website_designer(self):
        """Such a page does not come through the dispatcher of routes."""
        self.env["website.page"].sudo().create(
            {
                "name": "Spring",
                "type": "qweb",
                "arch": '<t t-name="spring"><t t-call="website.layout"/></t>',
                "key": "matomo_test.spring",
                "url": "/spring",
                "is_published": True,
                "website_id": self.website.id,
            }
        )
        self.accept_cookies()
        self.come("/spring?mtm_campaign=spring")
        self.assertEqual(self.get_info(self.add(self.chair))["campaign"], "spring")

    def test_nothing_is_kept_without_consent(self):
        self.come(self.LANDING)
        self.answer_cookie_bar(False)
        self.come(self.LANDING)
        self.accept_cookies()
        self.assertFalse(self.get_info(self.add(self.chair)))

    def test_consent_on_the_landing_page(self):
        """The browser names the landing page with the next request."""
        self.come(self.LANDING)
        self.accept_cookies()
        self.come("/shop", self.base_url() + self.LANDING)
        self.open("/shop")
        self.assertEqual(self.get_info(self.add(self.chair))["campaign"], "spring")

    def test_a_no_forgets_it(self):
        self.accept_cookies()
        self.come(self.LANDING)
        self.answer_cookie_bar(False)
        self.open("/shop")
        self.accept_cookies()
        self.assertFalse(self.get_info(self.add(self.chair)))

    def test_a_landing_page_that_was_prerendered(self):
        """Chromium shows it without asking again: campaign and referrer were lost."""
        self.accept_cookies()
        headers = {"Referer": "https://news.example.org/"}
        prefetch = {"Sec-Purpose": "prefetch;prerender"}
        self.open(self.LANDING, headers={**headers, **prefetch})
        told = {
            "url": self.base_url() + self.LANDING,
            "referrer": "https://news.example.org/",
        }
        answer = self.url_open(
            "/matomo_order_tracking/arrival",
            json=told,
            headers={"Referer": told["url"], "Sec-Fetch-Dest": "empty"},
        )
        self.assertEqual((answer.status_code, answer.text), (204, ""))
        info = self.get_info(self.add(self.chair))
        self.assertEqual(info["campaign"], "spring")
        self.assertEqual(info["referrer"], "https://news.example.org/")

    def test_nothing_is_kept_of_what_strangers_tell(self):
        route = "/matomo_order_tracking/arrival"
        told = {"url": self.base_url() + self.LANDING, "referrer": ""}
        self.assertEqual(self.url_open(route, json=told).status_code, 204)
        self.accept_cookies()
        other = {**told, "url": "https://x.example.com/?utm_campaign=spring"}
        self.assertEqual(self.url_open(route, json=other).status_code, 204)
        self.assertFalse(self.get_info(self.add(self.chair)))
        self.assertEqual(self.url_open(route, data=b"x" * 20_000).status_code, 413)

    def test_a_page_within_the_shop_asks_nothing(self):
        """Only an arrival asks the site's settings, and only once."""
        site = type(self.site)
        self.accept_cookies()
        with patch.object(
            site, "_get_shopper_policy", autospec=True, side_effect=AssertionError
        ) as policy:
            self.come("/shop", self.base_url() + "/shop")
            self.assertFalse(policy.called)
        self.come(self.LANDING)
        with patch.object(
            site, "_get_shopper_policy", autospec=True, side_effect=AssertionError
        ) as policy:
            self.come("/shop", self.base_url() + self.LANDING)
            self.come(self.LANDING)
            self.assertFalse(policy.called)
