from datetime import timedelta
from hashlib import sha1
from unittest.mock import patch

import requests

from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.matomo_order_tracking.outbox import schedule

from .common import BROWSER, LOGGER, VISITOR, CheckoutCommon, ShopperCommon


@tagged("post_install", "-at_install")
class TestConsent(ShopperCommon):
    """Without consent nothing about the shopper is stored."""

    def setUp(self):
        super().setUp()
        self.run_matomo_js()

    def assertConsent(self, cart, answer, source, has_visitor=None):
        """Check what is stored of the shopper of a cart.

        :param has_visitor: whether that is a visitor ID; None: as the answer says
        """
        self.env.invalidate_all()
        info = cart.matomo_consent_info
        self.assertEqual((info["answer"], info["source"]), (answer, source))
        self.assertEqual(bool(cart.matomo_ip_address), bool(answer))
        if has_visitor is None:
            has_visitor = bool(answer)
        self.assertEqual(bool(cart.matomo_visitor_id), has_visitor)
        # The receipt explains each answer in words.
        self.assertGreater(cart.matomo_consent.count("\n"), 1, cart.matomo_consent)

    def test_cookie_bar_accepted(self):
        self.accept_cookies()
        cart = self.add(self.chair)
        self.assertConsent(cart, True, "cookie_bar")
        self.assertIn("agreed in the website's Cookies Bar", cart.matomo_consent)
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

    def test_elsewhere_the_server_sets_no_cookie(self):
        """A shopper who had refused in a consent manager got Matomo's visitor cookie.

        The site said that consent was obtained elsewhere, and no tag ran.
        """
        self.website.cookies_bar = False
        self.site.sudo().consent_policy = "elsewhere"
        self.opener.cookies.clear()
        self.authenticate(None, None)
        with patch.object(schedule, "VISITOR_PATIENCE", timedelta()):
            cart = self.add(self.chair)
            self.open("/shop/cart")
            self.open("/shop/cart")
            self.assertNotIn("_pk_", str(self.opener.cookies))
            self.assertFalse(cart.matomo_visitor_id)
            self.site.sudo().set_visitor_cookie = True
            self.open("/shop/cart")
        self.assertIn("_pk_id.1.", str(self.opener.cookies))
        self.assertConsent(cart, True, "elsewhere", has_visitor=False)
        self.open("/shop/cart")
        self.assertConsent(cart, True, "elsewhere")

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


@tagged("post_install", "-at_install")
class TestExcludeRefused(CheckoutCommon):
    """With the strict switch Matomo gets nothing of a shopper who refuses."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.sudo().write({"exclude_refused": True, "date_start": "2026-01-01"})

    def setUp(self):
        super().setUp()
        self.run_matomo_js()

    def buy(self):
        cart = self.fill_cart()
        self.simulate(self.pay(cart, self.demo), "done")
        self.come_back()
        self.end_transaction()
        return cart

    def assertExcluded(self, order):
        self.env.invalidate_all()
        self.assertState(order, "excluded")
        self.assertIn("The shopper refused", order.matomo_reason)
        self.run_sender()
        self.assertFalse(self.matomo.bulks)

    def test_refused_before_the_order(self):
        self.answer_cookie_bar(False)
        order = self.buy()
        self.assertExcluded(order)
        # A retrack does not change what the shopper said.
        order.action_matomo_retrack()
        self.assertExcluded(order)

    def test_refused_and_the_answer_deleted_by_age(self):
        self.answer_cookie_bar(False)
        order = self.buy()
        self.site.sudo().retention_days = 1
        order.sudo().date_order -= timedelta(days=2)
        self.end_transaction()
        self.env["matomo.site"].sudo()._gc_shoppers()
        self.env.invalidate_all()
        self.assertFalse(order.sudo().matomo_consent_info)
        order.action_matomo_retrack()
        self.assertExcluded(order)

    def test_refused_while_the_order_waits(self):
        self.accept_cookies()
        order = self.buy()
        self.assertState(order, "pending")
        self.answer_cookie_bar(False)
        self.open("/shop")
        self.assertExcluded(order)

    def test_refused_after_the_order_was_sent(self):
        """It cannot be taken back; it is anonymized as without the switch."""
        self.accept_cookies()
        order = self.buy()
        self.run_sender()
        self.answer_cookie_bar(False)
        self.open("/shop")
        self.env.invalidate_all()
        self.assertState(order, "sent")
        self.assertFalse(order.matomo_visitor_id)

    def test_agreed_silent_and_changed_ones_mind(self):
        silent = self.buy()
        self.assertState(silent, "pending")
        self.answer_cookie_bar(False)
        cart = self.add(self.chair)
        self.accept_cookies()
        self.open("/shop/cart")
        self.confirm(cart)
        self.assertState(cart, "pending")

    def test_the_merchants_never_is_no_refusal(self):
        self.site.sudo().consent_policy = "never"
        self.assertState(self.buy(), "pending")

    def test_the_comparison_names_them(self):
        self.answer_cookie_bar(False)
        order = self.buy()
        self.run_sender()
        order.sudo().date_order -= timedelta(days=1)
        self.get_request(order).sudo().order_date = order.date_order
        self.end_transaction()
        self.run_cron("ir_cron_sweep")
        rows = self.env["matomo.reconciliation"].search([])
        (row,) = rows.filtered("cause_ids")
        self.assertEqual(row.odoo_order_count, 0)
        self.assertEqual(row.state, "equal")
        self.assertEqual(row.cause_ids.kind, "refused")
        self.assertEqual(row.cause_ids.name, order.name)


@tagged("post_install", "-at_install")
class TestMatomoCookie(ShopperCommon):
    """Matomo's visitor cookie is the consent: a consent manager decides on the tag."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.website.cookies_bar = False
        cls.site.sudo().consent_policy = "matomo_cookie"

    def assertStored(self, cart, answer, source, is_stored):
        self.env.invalidate_all()
        info = cart.matomo_consent_info
        self.assertEqual((info["answer"], info["source"]), (answer, source))
        for name in ("matomo_visitor_id", "matomo_ip_address", "matomo_user_agent"):
            self.assertEqual(bool(cart[name]), is_stored, name)

    def test_accepted(self):
        self.run_matomo_js(attribution=["spring-sale", "", 1763000000, ""])
        cart = self.add(self.chair)
        self.assertStored(cart, True, "visitor_cookie", True)
        self.assertIn("consent manager let Matomo run", cart.matomo_consent)
        self.confirm(cart)
        self.run_sender()
        self.assertRecorded(
            cart, cid=VISITOR, cip="127.0.0.1", ua=BROWSER, _rcn="spring-sale"
        )

    def test_refused(self):
        """Of a shopper who had refused, address and browser were stored.

        The only policy for a foreign consent manager took everybody's yes for granted.
        """
        with patch.object(schedule, "VISITOR_PATIENCE", timedelta()):
            cart = self.add(self.chair)
            self.open("/shop/cart")
            self.open("/shop/cart")
        self.assertStored(cart, None, "no_visitor_cookie", False)
        self.assertIn("has not let Matomo run", cart.matomo_consent)
        self.assertNotIn("_pk_", str(self.opener.cookies))
        self.confirm(cart)
        self.run_sender()
        recorded = self.recorded(cart)
        self.assertEqual(recorded["cip"], "0.0.0.0")
        self.assertNotIn("ua", recorded)

    def test_accepted_later(self):
        cart = self.add(self.chair)
        self.assertStored(cart, None, "no_visitor_cookie", False)
        self.run_matomo_js()
        self.open("/shop/cart")
        self.assertStored(cart, True, "visitor_cookie", True)

    def test_a_cookie_that_disappears_is_no_refusal(self):
        """Nothing is taken away, and nothing more is stored."""
        self.run_matomo_js()
        cart = self.add(self.chair)
        self.opener.cookies.set("_pk_id.1.1fff", None)
        self.opener.headers["Accept-Language"] = "fr"
        self.open("/shop/cart")
        self.assertStored(cart, True, "visitor_cookie", True)
        self.assertNotEqual(cart.matomo_accept_language, "fr")
        # The next cart of the same browser.
        cart.sudo().action_cancel()
        self.end_transaction()
        other = self.add(self.lamp)
        self.assertNotEqual(other, cart)
        self.assertStored(other, None, "no_visitor_cookie", False)

    def test_another_matomo_of_the_domain_is_no_consent(self):
        """Where the addon's tag runs, a cookie of the domain above is another's."""
        website = self.website.sudo()
        website.write({"matomo_tag": True, "domain": "http://shop.example.com"})
        self.opener.headers["Host"] = "shop.example.com"
        digest = sha1(b".example.com/").hexdigest()[:4]
        self.set_cookie(f"_pk_id.1.{digest}", f"{VISITOR}.1763000000.")
        cart = self.add(self.chair)
        self.assertStored(cart, None, "no_visitor_cookie", False)
        # A tag of the shop's own may use a cookie of the domain above.
        website.matomo_tag = False
        self.open("/shop/cart")
        self.assertStored(cart, True, "visitor_cookie", True)

    def test_refused_later(self):
        """A consent manager that calls matomo.js says a certain no."""
        self.run_matomo_js()
        cart = self.add(self.chair)
        self.opener.cookies.set("_pk_id.1.1fff", None)
        self.set_cookie("mtm_consent_removed", "1763000000001")
        self.open("/shop/cart")
        self.assertStored(cart, False, "matomo_cookie", False)
        self.assertFalse(self.get_carts(cart))


@tagged("post_install", "-at_install")
class TestWithdrawal(CheckoutCommon):
    """A no ends every further use of the shopper's data, whenever it is said."""

    # Without a replica of the database, pages that designers make may write, too.
    _registry_readonly_enabled = False
    # What identifies the shopper, on the order and in what is sent.
    TRACES = (VISITOR, BROWSER, "127.0.0.1", "spring-sale")

    def setUp(self):
        super().setUp()
        self.accept_cookies()
        self.follow()

    def follow(self):
        self.run_matomo_js(attribution=["spring-sale", "", 1763000000, ""])

    def buy(self):
        """Return the order of a shopper who has agreed and paid."""
        cart = self.fill_cart()
        self.simulate(self.pay(cart, self.demo), "done")
        self.come_back()
        self.env.invalidate_all()
        self.assertEqual(cart.state, "sale")
        self.assertEqual(cart.matomo_visitor_id, VISITOR)
        self.end_transaction()
        return cart

    def find_traces(self, order):
        """Return the traces of the shopper that Odoo still keeps with an order."""
        self.env.invalidate_all()
        values = order.sudo().read(order._matomo_personal_fields)
        rows = (order.sudo().matomo_request_ids, order.sudo().matomo_cart_update_ids)
        text = str([values, *(each.read(["payload", "tracking_url"]) for each in rows)])
        return [trace for trace in self.TRACES if trace in text]

    def assertForgotten(self, order, source):
        self.assertFalse(self.find_traces(order))
        info = order.matomo_consent_info
        self.assertEqual((info["answer"], info["source"]), (False, source))

    def refuse(self, how):
        if how == "cookie_bar":
            self.answer_cookie_bar(False)
        elif how == "matomo_cookie":
            self.set_cookie("mtm_consent_removed", "1763000000001")
        else:
            self.opener.headers[how] = "1"

    REFUSALS = (
        ("cookie_bar", "cookie_bar"),
        ("matomo_cookie", "matomo_cookie"),
        ("DNT", "do_not_track"),
        ("Sec-GPC", "do_not_track"),
    )

    def agree_again(self):
        self.opener.headers.pop("DNT", None)
        self.opener.headers.pop("Sec-GPC", None)
        self.opener.cookies.set("mtm_consent_removed", None)
        self.accept_cookies()
        self.follow()

    # === ORDERS === #

    def test_order_that_waits_is_sent_anonymously(self):
        for how, source in self.REFUSALS:
            with self.subTest(how=how):
                self.agree_again()
                order = self.buy()
                self.assertTrue(self.find_traces(order))
                self.refuse(how)
                # Any page will do.
                self.open("/contactus")
                self.assertForgotten(order, source)
                self.run_sender()
                recorded = self.recorded(order)
                self.assertEqual(recorded["cip"], "0.0.0.0")
                self.assertNotEqual(recorded["cid"], VISITOR)
                self.assertFalse(
                    recorded.keys() & {"ua", "lang", "_rcn", "_refts", "_ref"}
                )

    @mute_logger(LOGGER)
    def test_order_that_was_tried_is_sent_anonymously(self):
        """The frozen request was sent again with the shopper's visitor and browser."""
        self.matomo.faults = [requests.ConnectionError()] * 2
        order = self.buy()
        self.run_sender()
        self.assertState(order, "pending")
        self.assertEqual(self.get_request(order).payload["cid"], VISITOR)
        self.refuse("cookie_bar")
        self.open("/shop")
        self.assertForgotten(order, "cookie_bar")
        self.matomo.faults = []
        self.site.sudo()._reset_health()
        self.get_request(order).sudo().next_attempt_date = False
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        recorded = self.recorded(order)
        self.assertEqual(recorded["cip"], "0.0.0.0")
        self.assertNotEqual(recorded["cid"], VISITOR)
        self.assertNotIn("ua", recorded)

    @mute_logger(LOGGER)
    def test_order_that_matomo_may_have_is_not_counted_twice(self):
        """Its answer was lost. It is found without the visitor that is forgotten."""

        def lose(_answer):
            raise requests.ReadTimeout

        for anonymises in (False, True):
            with self.subTest(anonymises=anonymises):
                self.agree_again()
                self.matomo.anonymises = anonymises
                before = len(self.matomo.orders)
                order = self.buy()
                self.matomo.faults = [lose, requests.ReadTimeout()]
                self.run_sender()
                self.assertState(order, "pending")
                self.assertEqual(len(self.matomo.orders), before + 1)
                self.refuse("cookie_bar")
                self.open("/shop")
                self.assertForgotten(order, "cookie_bar")
                self.matomo.faults = []
                self.site.sudo()._reset_health()
                self.site.sudo().is_order_id_anonymised = anonymises
                self.get_request(order).sudo().next_attempt_date = False
                self.run_sender()
                self.run_verifier()
                self.assertState(order, "verified")
                self.assertEqual(len(self.matomo.orders), before + 1)

    def test_order_that_matomo_has_is_forgotten(self):
        order = self.buy()
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertTrue(self.find_traces(order))
        self.refuse("DNT")
        self.open("/shop")
        self.assertForgotten(order, "do_not_track")
        self.assertState(order, "verified")
        self.assertIn("browser asks not to be tracked", order.matomo_consent)

    def test_order_that_a_customer_made_elsewhere(self):
        """The session that says no need not be the one that bought."""
        user = self.make_user("shopper", "base.group_portal")
        user.sudo().password = "shopper-shopper"
        others = self.env["res.partner"].create({"name": "Other"})
        own, other = (
            self.make_order(
                partner_id=partner.id,
                website_id=self.website.id,
                date_order="2026-03-02",
            )
            for partner in (user.partner_id, others)
        )
        for order in own + other:
            order.sudo().write(
                {"matomo_visitor_id": VISITOR, "matomo_ip_address": "127.0.0.1"}
            )
            self.confirm(order)
        self.authenticate("shopper", "shopper-shopper")
        self.open("/shop")
        self.assertTrue(self.find_traces(own))
        self.refuse("cookie_bar")
        self.open("/shop")
        self.assertForgotten(own, "cookie_bar")
        self.assertTrue(self.find_traces(other))
        # The shop's tills know it, too.
        self.assertTrue(user.partner_id.sudo().matomo_is_objector)
        self.assertFalse(others.sudo().matomo_is_objector)

    def test_browser_that_objects_everywhere_is_no_word_to_the_tills(self):
        user = self.make_user("shopper", "base.group_portal")
        user.sudo().password = "shopper-shopper"
        self.authenticate("shopper", "shopper-shopper")
        self.refuse("DNT")
        self.open("/shop")
        self.assertFalse(user.partner_id.sudo().matomo_is_objector)

    def test_signals_that_the_site_ignores_take_nothing_away(self):
        self.site.sudo().respect_dnt = False
        order = self.buy()
        self.refuse("DNT")
        self.open("/shop")
        self.assertTrue(self.find_traces(order))

    def test_setting_is_no_refusal(self):
        """What a shopper has agreed to stays theirs to withdraw."""
        order = self.buy()
        self.site.sudo().consent_policy = "never"
        self.open("/shop")
        self.assertTrue(self.find_traces(order))

    def test_refund_that_waits_is_sent_anonymously(self):
        """It is the order of a till, and tells the visitor of the web order."""
        order, other = self.buy(), self.confirm(self.make_order())
        refund = self.get_request(order).copy(
            {
                "kind": "refund",
                "sale_order_id": other.id,
                "refunded_id": f"sale.order,{order.id}",
                "payload": {"cid": VISITOR, "cip": "127.0.0.1", "ua": BROWSER},
                "order_ref_key": False,
            }
        )
        self.refuse("cookie_bar")
        self.open("/shop")
        self.assertForgotten(order, "cookie_bar")
        self.env.invalidate_all()
        self.assertNotEqual(refund.payload["cid"], VISITOR)
        self.assertEqual(refund.payload["cip"], "0.0.0.0")
        self.assertNotIn("ua", refund.payload)

    def test_trouble_is_not_the_shoppers(self):
        order = self.buy()
        self.refuse("cookie_bar")
        cls = type(order)
        with (
            patch.object(cls, "_withdraw_matomo_consent", side_effect=KeyError("x")),
            self.assertLogs(LOGGER, "ERROR"),
        ):
            self.open("/shop")
        self.assertTrue(self.find_traces(order))
        self.open("/shop")
        self.assertFalse(self.find_traces(order))

    def test_pages_that_have_nothing_to_do_with_it_cost_nothing(self):
        """A browser that sends Global Privacy Control sends it with each page."""

        def count():
            start = self.env.cr.sql_log_count
            self.open("/contactus")
            return self.env.cr.sql_log_count - start

        def count_without_us():
            cls = type(self.env["ir.http"])
            with (
                patch.object(cls, "_follow_matomo_refusal"),
                patch.object(cls, "_end_matomo_cookies"),
            ):
                return count()

        self.opener.cookies.clear()
        self.authenticate(None, None)
        self.refuse("Sec-GPC")
        count()
        self.assertEqual(count(), count_without_us())
        self.agree_again()
        self.buy()
        self.refuse("Sec-GPC")
        count()
        # A browser forgets the cookies that are ended.
        for name in self.get_following():
            self.opener.cookies.set(name, None)
        self.assertEqual(count(), count_without_us())

    # === CARTS === #

    def test_cart_is_forgotten_on_any_page(self):
        self.refuse("DNT")
        self.opener.headers.pop("DNT")
        cart = self.add(self.chair)
        self.run_sender()
        self.assertTrue(self.find_traces(cart))
        self.assertEqual(self.get_carts(cart).state, "sent")
        self.update(cart.order_line, 2)
        self.refuse("DNT")
        self.open("/contactus")
        self.assertForgotten(cart, "do_not_track")
        self.assertFalse(self.get_carts(cart))
        self.run_sender()
        self.assertEqual(len(self.get_sent_carts()), 1)

    def test_no_cart_of_a_shopper_who_refuses(self):
        """Carts of shoppers who refuse were sent one by one under one pseudonym."""
        for how, _source in self.REFUSALS:
            with self.subTest(how=how):
                self.agree_again()
                self.refuse(how)
                cart = self.add(self.chair)
                self.update(cart.order_line, 2)
                self.assertFalse(self.get_carts(cart))
        self.run_sender()
        self.assertFalse(self.get_sent_carts())

    def test_cart_of_a_site_that_stores_nothing(self):
        """That is the merchant's choice, and no refusal: carts arrive anonymously."""
        self.site.sudo().consent_policy = "never"
        self.add(self.chair)
        self.run_sender()
        (sent,) = self.get_sent_carts()
        self.assertEqual(sent["cip"], "0.0.0.0")
        self.assertNotEqual(sent["cid"], VISITOR)

    # === COOKIES === #

    def get_following(self):
        return [name for name in self.opener.cookies.keys() if name.startswith("_pk_")]

    def test_cookies_are_ended(self):
        for how, _source in self.REFUSALS:
            with self.subTest(how=how):
                self.agree_again()
                self.set_cookie("_pk_ses.1.1fff", "1")
                self.set_cookie("_pk_id.2.1fff", "another site's")
                self.open("/contactus")
                self.assertEqual(len(self.get_following()), 4)
                self.refuse(how)
                answer = self.open("/contactus")
                ended = answer.headers["Set-Cookie"]
                for name in ("_pk_id.1", "_pk_ref.1", "_pk_ses.1"):
                    self.assertRegex(ended, rf"{name}\.1fff=; Expires=Thu, 01 Jan 1970")
                self.assertNotIn("_pk_id.2", ended)

    def test_cookies_that_the_site_may_have_stay(self):
        self.site.sudo().respect_dnt = False
        self.refuse("DNT")
        self.assertNotIn("_pk_", self.open("/shop").headers.get("Set-Cookie", ""))
