import json
from datetime import timedelta
from unittest.mock import patch

import requests

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import LOGGER, VISITOR, CheckoutCommon, FakeResponse


@tagged("post_install", "-at_install")
class TestCart(CheckoutCommon):
    """Each change of a cart reaches Matomo once, and never delays the shopper."""

    def setUp(self):
        super().setUp()
        self.accept_cookies()
        self.run_matomo_js()

    def assertSent(self, *contents):
        """Assert that carts with these ``{sku: quantity}`` were sent."""
        carts = [
            {sku: quantity for sku, _n, _c, _p, quantity in json.loads(p["ec_items"])}
            for p in self.get_sent_carts()
        ]
        self.assertEqual(carts, list(contents))

    def send(self):
        for name in ("matomo.request", "matomo.cart.update"):
            waiting = self.env[name].sudo().search([("state", "=", "pending")])
            waiting.write({"next_attempt_date": False})
        self.run_sender()

    # === TRIGGERS === #

    def test_add_change_and_remove(self):
        cart = self.add(self.chair, 2)
        self.assertFalse(self.matomo.requests, "the shopper waits for Matomo")
        self.run_sender()
        self.assertSent({"CHAIR": 2})
        (sent,) = self.get_sent_carts()
        self.assertEqual(sent["cid"], VISITOR)
        self.assertEqual(sent["revenue"], f"{cart.amount_total:.2f}")
        self.update(cart.order_line, 3)
        self.run_sender()
        self.add(self.lamp)
        self.run_sender()
        self.update(cart.order_line[0], 0)
        self.run_sender()
        self.assertSent(
            {"CHAIR": 2}, {"CHAIR": 3}, {"CHAIR": 3, "LAMP": 1}, {"LAMP": 1}
        )
        self.assertEqual(set(self.get_carts(cart).mapped("state")), {"sent"})
        self.assertIn("XYZANONYMIZED", self.get_carts(cart)[0].tracking_url)

    def test_what_was_sent_is_readable(self):
        cart = self.add(self.chair, 2)
        mia = self.make_user("mia", "matomo_order_tracking.group_matomo_user")
        update = self.get_carts(cart).with_user(mia)
        self.assertIn("Nothing has been sent yet", update.sent_html)
        self.run_sender()
        update.invalidate_recordset()
        for text in ("Chair", "CHAIR", "Furniture / Chairs", "Revenue"):
            self.assertIn(text, update.sent_html)

    def test_quick_changes_are_one_update(self):
        cart = self.add(self.chair)
        self.add(self.lamp)
        self.update(cart.order_line[0], 5)
        self.run_sender()
        self.assertSent({"CHAIR": 5, "LAMP": 1})
        self.assertEqual(len(self.get_carts(cart)), 1)

    def test_looking_is_no_change(self):
        cart = self.add(self.chair)
        self.run_sender()
        self.open("/shop/cart")
        self.open("/shop")
        self.run_sender()
        self.assertEqual(len(self.get_carts(cart)), 1)

    def make_price_list(self, name, **item):
        pricelists = self.env["product.pricelist"].sudo()
        return pricelists.create(
            {
                "name": name,
                "company_id": self.company.id,
                "website_id": self.website.id,
                "selectable": True,
                "item_ids": [fields.Command.create(item)] if item else [],
            }
        )

    def test_price_list(self):
        self.env["product.pricelist"].sudo().search([]).active = False
        self.env.ref("base.group_user").sudo()._apply_group(
            self.env.ref("product.group_product_pricelist").sudo()
        )
        self.make_price_list("Usual")
        half = self.make_price_list("Half", compute_price="fixed", fixed_price=50.0)
        cart = self.add(self.chair)
        self.run_sender()
        self.open(f"/shop/change_pricelist/{half.id}")
        self.env.invalidate_all()
        self.assertEqual(cart.pricelist_id, half)
        self.run_sender()
        self.assertEqual(
            [sent["revenue"] for sent in self.get_sent_carts()], ["115.00", "57.50"]
        )

    def test_delivery(self):
        cart = self.add(self.chair)
        self.run_sender()
        cart.partner_id = self.customer
        self.call("/shop/set_delivery_method", dm_id=self.post.id)
        self.env.invalidate_all()
        self.assertEqual(cart.carrier_id, self.post)
        self.run_sender()
        self.assertSent({"CHAIR": 1}, {"CHAIR": 1})
        self.assertGreater(
            float(self.get_sent_carts()[1]["revenue"]),
            float(self.get_sent_carts()[0]["revenue"]),
        )

    def test_coupon_applied_and_removed(self):
        self.make_coupon("TENOFF", 10)
        cart = self.add(self.chair)
        self.run_sender()
        self.open("/shop/pricelist?promo=TENOFF")
        self.run_sender()
        reward = cart.order_line.filtered("is_reward_line")
        self.update(reward, 0)
        self.run_sender()
        before, applied, removed = (
            float(sent["revenue"]) for sent in self.get_sent_carts()
        )
        self.assertLess(applied, before)
        self.assertEqual(removed, before)

    def test_reward_claimed(self):
        program = self.make_coupon("UNUSED", 10)
        program.rule_ids.write({"mode": "auto", "code": False})
        program.trigger = "auto"
        # With two of them the shopper has to choose.
        reward = program.reward_ids.copy({"discount": 20})
        cart = self.add(self.chair)
        self.run_sender()
        self.assertFalse(cart.order_line.filtered("is_reward_line"))
        self.open(f"/shop/claimreward?reward_id={reward.id}")
        self.env.invalidate_all()
        self.assertEqual(cart.order_line.reward_id, reward)
        self.run_sender()
        self.assertSent({"CHAIR": 1}, {"CHAIR": 1})
        before, after = (float(sent["revenue"]) for sent in self.get_sent_carts())
        self.assertLess(after, before)

    def test_currency(self):
        self.env["product.pricelist"].sudo().search([]).active = False
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        self.env["res.currency.rate"].sudo().create(
            {
                "name": "2020-01-01",
                "currency_id": euro.id,
                "company_id": self.company.id,
                "rate": 0.5,
            }
        )
        self.make_price_list("Usual")
        euros = self.make_price_list("Euros")
        euros.currency_id = euro
        cart = self.add(self.chair)
        self.run_sender()
        self.open(f"/shop/change_pricelist/{euros.id}")
        self.env.invalidate_all()
        self.assertEqual(cart.currency_id, euro)
        self.assertEqual(len(self.get_carts(cart)), 2)
        self.run_sender()
        # In the site's currency it costs the same: Matomo has it already.
        self.assertEqual(len(self.get_sent_carts()), 1)
        self.add(self.lamp)
        self.run_sender()
        converted = cart.currency_id._convert(
            cart.amount_total, self.site.sudo().currency_id, self.company
        )
        self.assertAlmostEqual(
            float(self.get_sent_carts()[1]["revenue"]), converted, delta=0.02
        )

    def test_buy_now(self):
        # The express form puts the product into a new cart and goes to pay it.
        self.add(self.chair, 4)
        self.open("/shop/checkout?express=1")
        self.run_sender()
        self.assertSent({"CHAIR": 4})

    def make_shopper(self):
        """Return a new portal user, who is not logged in yet."""
        user = self.make_user("shopper", "base.group_portal")
        user.sudo().password = "shopper-shopper"
        return user

    def log_in(self, cart=None):
        extra = {"session_extra": {"sale_order_id": cart.id}} if cart else {}
        self.authenticate("shopper", "shopper-shopper", **extra)
        self.accept_cookies()
        self.run_matomo_js()

    def test_reorder_and_quick_add(self):
        user = self.make_shopper()
        self.confirm(self.make_order((self.lamp, 3), partner_id=user.partner_id.id))
        order = self.env["sale.order"].search(
            [("partner_id", "=", user.partner_id.id)], limit=1
        )
        self.log_in()
        self.call("/my/orders/reorder", order_id=order.id)
        self.run_sender()
        self.call(
            "/shop/cart/quick_add",
            product_template_id=self.chair.product_tmpl_id.id,
            product_id=self.chair.id,
        )
        self.run_sender()
        self.assertSent({"LAMP": 3}, {"LAMP": 3, "CHAIR": 1})

    def test_login_takes_up_the_cart_left_behind(self):
        self.make_shopper()
        self.log_in()
        cart = self.add(self.chair)
        self.run_sender()
        self.get_carts(cart).sudo().changed_date -= timedelta(days=1)
        self.end_transaction()
        # Another day, another session.
        self.log_in()
        self.open("/shop/cart")
        self.run_sender()
        self.assertSent({"CHAIR": 1}, {"CHAIR": 1})
        self.assertEqual(len(self.get_carts(cart)), 2)

    def test_merged_with_the_cart_of_the_mail(self):
        left = self.add(self.lamp)
        left._portal_ensure_token()
        self.run_sender()
        self.end_transaction()
        self.authenticate(None, None)
        self.accept_cookies()
        self.run_matomo_js()
        cart = self.add(self.chair)
        self.assertNotEqual(cart, left)
        self.open(
            f"/shop/cart?id={left.id}&access_token={left.access_token}"
            "&revive_method=merge"
        )
        self.run_sender()
        self.env.invalidate_all()
        self.assertEqual(left.state, "cancel")
        self.assertSent({"LAMP": 1}, {"CHAIR": 1, "LAMP": 1})

    def test_revived_from_the_mail(self):
        cart = self.add(self.chair)
        self.run_sender()
        cart._portal_ensure_token()
        # Another browser, another day.
        sent = self.get_carts(cart)
        sent.sudo().changed_date -= timedelta(days=1)
        self.end_transaction()
        self.authenticate(None, None)
        self.open(
            f"/shop/cart?id={cart.id}&access_token={cart.access_token}"
            "&revive_method=squash"
        )
        self.send()
        self.assertSent({"CHAIR": 1}, {"CHAIR": 1})

    def test_login_keeps_the_cart(self):
        user = self.make_user("shopper", "base.group_portal")
        user.sudo().password = "shopper-shopper"
        cart = self.add(self.chair)
        self.run_sender()
        self.authenticate(
            "shopper", "shopper-shopper", session_extra={"sale_order_id": cart.id}
        )
        self.accept_cookies()
        self.run_matomo_js()
        self.open("/shop/cart")
        self.env.invalidate_all()
        self.assertEqual(cart.partner_id, user.partner_id)
        self.assertEqual(cart.matomo_visitor_id, VISITOR)
        self.add(self.lamp)
        self.run_sender()
        self.assertSent({"CHAIR": 1}, {"CHAIR": 1, "LAMP": 1})

    # === NOT QUEUED === #

    def test_carts_switched_off(self):
        self.site.sudo().track_carts = False
        self.assertFalse(self.get_carts(self.add(self.chair)))

    def test_a_salespersons_quotation(self):
        order = self.make_order((self.chair, 1))
        order.order_line.product_uom_qty = 2
        self.assertFalse(self.get_carts(order))
        cart = self.add(self.chair)
        cart.order_line.discount = 10
        self.assertEqual(len(self.get_carts(cart)), 1)

    def test_few_statements(self):
        self.add(self.chair)
        with patch.object(
            type(self.env["ir.http"]), "_register_matomo_visit", lambda *_args: None
        ):
            self.count_statements()
            without = self.count_statements()
        self.count_statements()
        more = self.count_statements() - without
        # The savepoint and its release, the order, the site, the new row.
        self.assertLessEqual(more, 8)

    def count_statements(self):
        count = self.env.cr.sql_log_count
        self.call(
            "/shop/cart/add",
            product_template_id=self.chair.product_tmpl_id.id,
            product_id=self.chair.id,
            quantity=1,
        )
        return self.env.cr.sql_log_count - count

    # === EMPTIED, OVERTAKEN === #

    def test_emptied_cart_is_sent_if_matomo_knows_it(self):
        cart = self.add(self.chair)
        self.run_sender()
        self.call("/shop/cart/clear")
        self.run_sender()
        self.assertSent({"CHAIR": 1}, {})
        self.assertEqual(self.get_sent_carts()[1]["revenue"], "0.00")
        # Of a visit, the last one is kept.
        self.assertEqual(self.get_carts(cart, "sent").revenue, 0)

    def test_emptied_cart_is_dropped_if_matomo_does_not(self):
        cart = self.add(self.chair)
        self.call("/shop/cart/clear")
        self.run_sender()
        self.assertSent()
        self.assertEqual(self.get_carts(cart).state, "cancelled")

    def test_overtaken_by_its_order(self):
        cart = self.add(self.chair)
        self.confirm(cart)
        self.run_sender()
        self.assertSent()
        self.assertEqual(self.get_carts(cart).state, "cancelled")
        self.assertTrue(self.recorded(cart))

    def test_order_waits_for_its_cart_in_flight(self):
        cart = self.add(self.chair)
        row = self.get_carts(cart).sudo()
        row.write(
            {
                "attempt_count": 1,
                "next_attempt_date": fields.Datetime.now() + timedelta(seconds=7),
            }
        )
        self.confirm(cart)
        self.run_sender()
        self.assertNotRecorded(cart)
        self.send()
        self.assertTrue(self.recorded(cart))
        self.assertSent()

    def test_order_of_another_day_leaves_its_cart(self):
        cart = self.add(self.chair)
        self.run_sender()
        self.get_carts(cart).sudo().changed_date -= timedelta(days=3)
        self.confirm(cart)
        self.run_sender()
        self.assertIn("goes on counting the cart", cart.matomo_notes)

    def test_order_in_the_same_visit_says_nothing_of_it(self):
        cart = self.add(self.chair)
        self.run_sender()
        self.confirm(cart)
        self.run_sender()
        self.assertFalse(cart.matomo_notes)

    # === WHOSE CART === #

    def test_waits_for_the_visitor_id(self):
        self.opener.cookies.set("_pk_id.1.1fff", None)
        cart = self.add(self.chair)
        self.run_sender()
        self.assertSent()
        self.run_matomo_js()
        # Any page will do.
        self.open("/shop")
        self.run_sender()
        self.assertSent({"CHAIR": 1})
        self.assertEqual(self.get_sent_carts()[0]["cid"], VISITOR)
        self.assertEqual(len(self.get_carts(cart)), 1)

    def test_waits_for_an_answer(self):
        self.opener.cookies.set("website_cookies_bar", None)
        self.add(self.chair)
        self.run_sender()
        self.assertSent()
        self.accept_cookies()
        self.open("/shop")
        self.run_sender()
        self.assertSent({"CHAIR": 1})

    def test_is_dropped_if_the_answer_is_no(self):
        self.opener.cookies.set("website_cookies_bar", None)
        cart = self.add(self.chair)
        self.answer_cookie_bar(False)
        self.open("/shop")
        self.assertFalse(self.get_carts(cart))
        self.send()
        self.assertSent()

    def test_does_not_wait_for_ever(self):
        self.opener.cookies.set("_pk_id.1.1fff", None)
        cart = self.add(self.chair)
        waits = self.get_carts(cart).next_attempt_date - fields.Datetime.now()
        self.assertLess(waits, timedelta(minutes=31))
        self.send()
        self.assertSent({"CHAIR": 1})

    # === TROUBLE === #

    def test_two_tries_then_the_next_change(self):
        cart = self.add(self.chair)
        self.matomo.faults = [
            *(requests.Timeout(), requests.Timeout()),
            *(FakeResponse(503, b""), FakeResponse(503, b"")),
        ]
        self.run_sender()
        self.assertEqual(self.get_carts(cart).state, "pending")
        self.assertEqual(self.site.state, "unknown", "carts stop no orders")
        self.send()
        self.assertEqual(self.get_carts(cart).state, "cancelled")
        self.assertEqual(len(self.matomo.requests), 4)
        self.run_sender()
        self.assertEqual(len(self.matomo.requests), 4)
        self.add(self.lamp)
        self.run_sender()
        self.assertSent({"CHAIR": 1, "LAMP": 1})

    def test_timeout_of_the_site(self):
        self.site.sudo().cart_timeout = 3
        self.add(self.chair)
        self.run_sender()
        self.assertEqual(self.matomo.requests[-1]["options"]["timeout"], 3)

    def test_wrong_token_stops_the_site(self):
        self.site.sudo().token_auth = "wrong"
        cart = self.add(self.chair)
        with mute_logger(LOGGER):
            self.run_sender()
        self.assertEqual(self.site.state, "error")
        self.assertEqual(self.get_carts(cart).state, "pending")
