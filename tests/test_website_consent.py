from odoo.tests import tagged

from .common import VISITOR, ShopperCommon


@tagged("post_install", "-at_install")
class TestConsent(ShopperCommon):
    """Without consent nothing about the shopper is stored."""

    def setUp(self):
        super().setUp()
        self.run_matomo_js()

    def assertConsent(self, cart, answer, source):
        self.env.invalidate_all()
        info = cart.matomo_consent_info
        self.assertEqual((info["answer"], info["source"]), (answer, source))
        stored = bool(cart.matomo_visitor_id), bool(cart.matomo_ip_address)
        self.assertEqual(stored, (bool(answer), bool(answer)))

    def test_cookie_bar_accepted(self):
        self.accept_cookies()
        cart = self.add(self.chair)
        self.assertConsent(cart, True, "cookie_bar")
        self.assertIn("agreed in the website's cookie bar", cart.matomo_consent)
        self.assertIn("Visitor ID", cart.matomo_consent)

    def test_cookie_bar_refused(self):
        self.answer_cookie_bar(False)
        cart = self.add(self.chair)
        self.assertConsent(cart, False, "cookie_bar")
        self.assertIn("Withheld: IP Address", cart.matomo_consent)
        self.confirm(cart)
        self.run_sender()
        recorded = self.recorded(cart)
        self.assertEqual(recorded["cip"], "0.0.0.0")
        self.assertNotEqual(recorded["cid"], VISITOR)
        self.assertNotIn("ua", recorded)
        self.assertNotIn("lang", recorded)

    def test_cookie_bar_unanswered(self):
        self.assertConsent(self.add(self.chair), None, "not_answered")

    def test_broken_cookie_is_no_consent(self):
        for value in ("{", "%%", "[" * 2000, "9" * 3000, '"optional"', "null", "\\"):
            with self.subTest(value=value[:10]):
                self.set_cookie("website_cookies_bar", value)
                self.call("/shop/cart/clear")
                cart = self.add(self.chair)
                self.env.invalidate_all()
                self.assertFalse(cart.matomo_visitor_id)

    def test_cookie_bar_off_means_nobody_was_asked(self):
        self.website.cookies_bar = False
        self.assertConsent(self.add(self.chair), None, "not_asked")

    def test_consent_elsewhere(self):
        self.website.cookies_bar = False
        self.site.sudo().consent_policy = "elsewhere"
        self.assertConsent(self.add(self.chair), True, "elsewhere")

    def test_never(self):
        self.accept_cookies()
        self.site.sudo().consent_policy = "never"
        self.assertConsent(self.add(self.chair), False, "never")

    def test_matomos_own_cookies(self):
        self.set_cookie("mtm_consent", "1763000000000")
        cart = self.add(self.chair)
        self.assertConsent(cart, True, "matomo_cookie")
        self.set_cookie("mtm_consent_removed", "1763000000001")
        self.open("/shop/cart")
        self.assertConsent(cart, False, "matomo_cookie")

    def test_refusal_in_the_bar_wins_over_matomos_cookie(self):
        self.answer_cookie_bar(False)
        self.set_cookie("mtm_cookie_consent", "1763000000000")
        self.assertConsent(self.add(self.chair), False, "cookie_bar")

    def test_browser_asks_not_to_be_tracked(self):
        self.accept_cookies()
        for header in ("DNT", "Sec-GPC"):
            with self.subTest(header=header):
                self.opener.headers[header] = "1"
                cart = self.add(self.chair)
                self.assertConsent(cart, False, "do_not_track")
                del self.opener.headers[header]
        self.opener.headers["DNT"] = "1"
        self.site.sudo().respect_dnt = False
        self.update(cart.order_line, 2)
        self.assertConsent(cart, True, "cookie_bar")

    def test_given_later(self):
        cart = self.add(self.chair)
        self.assertConsent(cart, None, "not_answered")
        self.accept_cookies()
        self.open("/shop/cart")
        self.assertConsent(cart, True, "cookie_bar")

    def test_withdrawn_later(self):
        self.accept_cookies()
        cart = self.add(self.chair)
        self.answer_cookie_bar(False)
        self.open("/shop/cart")
        self.assertConsent(cart, False, "cookie_bar")

    def test_unanswered_elsewhere_takes_nothing_away(self):
        self.accept_cookies()
        cart = self.add(self.chair)
        self.opener.cookies.set("website_cookies_bar", None)
        self.open("/shop/cart")
        self.assertConsent(cart, True, "cookie_bar")
