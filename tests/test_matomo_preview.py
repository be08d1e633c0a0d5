from contextlib import contextmanager

from odoo import Command
from odoo.exceptions import AccessError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..matomo_api.tracking import page_view_parameters
from ..outbox.preview import preview_cart, preview_order
from .common import (
    LOGGER,
    MODULE,
    CheckoutCommon,
    MatomoPosCommon,
    RefundCommon,
    VerdictsCommon,
)

NOW = "2026-03-03 10:00:00"


class PreviewCommon:
    """Reads previews as a Matomo user does, and sees that nothing comes of it."""

    @contextmanager
    def assertNothingHappens(self):
        """Assert that nothing is written, locked, logged or asked of Matomo.

        The wizard itself was created before.
        """
        self.env.flush_all()
        self.env.invalidate_all()
        asked = len(self.matomo.requests)
        with self.env.cr.savepoint(flush=False), self.assertNoLogs(LOGGER, "INFO"):
            # As on a replica: PostgreSQL refuses each write and each lock until the
            # savepoint ends.
            self.env.cr.execute("SET TRANSACTION READ ONLY")
            yield
            self.env.flush_all()
        self.assertEqual(len(self.matomo.requests), asked)

    def preview(self, order, user=None):
        """Return the wizard that the button opens."""
        action = order.with_user(user or self.env.user).action_matomo_preview()
        wizard = self.env[action["res_model"]].with_user(user or self.env.user)
        wizard = wizard.browse(action["res_id"])
        with self.assertNothingHappens():
            wizard.read()
        return wizard

    def get_parameters(self, order):
        """Return the parameters that would be sent of an order."""
        with self.assertNothingHappens():
            return preview_order(order.sudo()).values["payload"]

    def assertSentAsPreviewed(self, order, parameters):
        """Send an order, and assert that the preview has said what is sent."""
        self.run_sender()
        self.assertEqual(self.get_request(order).payload, parameters)
        recorded = self.recorded(order)
        sent = {name: recorded[name] for name in parameters}
        self.assertEqual(sent, parameters)
        # The page view before it is made of it.
        self.assertEqual(
            page_view_parameters(parameters), page_view_parameters(recorded)
        )


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestPreview(PreviewCommon, VerdictsCommon, RefundCommon):
    """The preview of sales orders."""

    def test_an_order_is_sent_as_it_is_previewed(self):
        order = self.confirm(self.make_order((self.chair, 2), (self.lamp, 1)))
        parameters = self.get_parameters(order)
        wizard = self.preview(order)
        self.assertIn("This is sent within a minute", wizard.verdict)
        for text in ("Chair", "Furniture / Chairs", "210.50", "Subtotal", "Visitor ID"):
            self.assertIn(text, wizard.request_html)
        self.assertIn("XYZANONYMIZED", wizard.tracking_url)
        self.assertIn("ec_items", wizard.parameters_html)
        self.assertFalse(wizard.sent_html)
        self.assertFalse(wizard.changes_html)
        self.assertFalse(wizard.cart_verdict)
        self.assertSentAsPreviewed(order, parameters)
        self.assertEqual(wizard.tracking_url, self.get_request(order).tracking_url)

    def test_a_quotation_is_sent_as_it_is_previewed(self):
        with freeze_time("2026-02-01 09:00:00"):
            order = self.make_order((self.chair, 2))
            self.end_transaction()
        parameters = self.get_parameters(order)
        wizard = self.preview(order)
        self.assertIn("the order is still open", wizard.verdict)
        self.assertFalse(wizard.notes)
        self.assertEqual((order.state, order.matomo_state), ("draft", False))
        self.assertEqual(str(order.date_order), "2026-02-01 09:00:00")
        self.assertFalse(self.get_request(order))
        self.confirm(order)
        self.assertSentAsPreviewed(order, parameters)
        self.assertEqual(parameters["cdt"], NOW)

    def test_lines_of_one_product_and_categories_are_explained(self):
        for name in ("Rooms", "Living Rooms", "Offices", "Old", "Oak"):
            self.categories += self.env["product.category"].create(
                {"name": name, "parent_id": self.categories[-1].id}
            )
        self.chair.categ_id = self.categories[-1]
        order = self.confirm(
            self.make_order((self.chair, 2), (self.chair, 3), (self.lamp, 0.5))
        )
        parameters = self.get_parameters(order)
        notes = self.preview(order).notes
        self.assertIn("Chair: 2 lines of the order are sent as one item", notes)
        self.assertIn("Left out: Old, Oak.", notes)
        self.assertIn("Lamp: Matomo cannot count a quantity of 0.5", notes)
        self.assertSentAsPreviewed(order, parameters)

    def test_another_currency(self):
        """The rate of a quotation is that of the day on which it is confirmed."""
        currency = self.setup_other_currency(
            "EUR", rates=[("2026-01-01", 2.0), ("2026-03-01", 4.0)]
        )
        pricelist = self.env["product.pricelist"].create(
            {"name": "Euro", "currency_id": currency.id, "company_id": self.company.id}
        )
        with freeze_time("2026-02-01 09:00:00"):
            order = self.make_order(
                {"product_id": self.chair.id, "price_unit": 400.0},
                pricelist_id=pricelist.id,
            )
            self.end_transaction()
        self.assertEqual((order.currency_id, order.currency_rate), (currency, 2.0))
        parameters = self.get_parameters(order)
        self.assertEqual(parameters["ec_st"], "100.00")
        self.assertIn("at a rate of 4 EUR", self.preview(order).notes)
        self.assertEqual(order.currency_rate, 2.0)
        self.confirm(order)
        self.assertSentAsPreviewed(order, parameters)

    def test_an_id_that_another_order_has(self):
        first = self.track(self.make_order())
        order = self.confirm(self.make_order(name=first.name))
        parameters = self.get_parameters(order)
        self.assertEqual(parameters["ec_id"], f"{first.name}-2")
        self.assertSentAsPreviewed(order, parameters)
        # Its own ID is no other order's.
        self.assertEqual(self.get_parameters(order)["ec_id"], f"{first.name}-2")

    # === VERDICTS === #

    def assertVerdict(self, order, text, level, is_shown=False):
        wizard = self.preview(order)
        self.assertIn(text, wizard.verdict)
        self.assertEqual(wizard.level, level)
        self.assertEqual(bool(wizard.request_html), is_shown)
        return wizard

    def test_every_verdict(self):
        orders = self.make_one_of_each()
        self.assertVerdict(orders["pending"], "within a minute", "info", True)
        self.assertVerdict(orders["failed"], "has failed", "danger", True)
        self.assertVerdict(orders["excluded"], "Nothing is sent.", "warning")
        self.assertVerdict(orders[False], "still open", "info", True)
        wizard = self.assertVerdict(orders["verified"], "The same", "success", True)
        self.assertIn("Chair", wizard.sent_html)
        self.assertFalse(wizard.changes_html)

    def test_no_site(self):
        self.company.sudo().matomo_site_id = False
        reason = "No Matomo site is set for salespeople's orders"
        order = self.make_order()
        self.assertVerdict(order, reason, "warning")
        self.confirm(order)
        self.assertVerdict(order, reason, "warning")
        self.company.sudo().matomo_site_id = self.site
        self.assertVerdict(order, "press Retrack", "warning", True)
        parameters = self.get_parameters(order)
        order.action_matomo_retrack()
        self.assertSentAsPreviewed(order, parameters)

    def test_a_site_that_sends_nothing(self):
        order = self.confirm(self.make_order())
        quotation = self.make_order()
        self.site.sudo().action_pause()
        wizard = self.assertVerdict(order, "is paused", "warning", True)
        self.assertIn("Matomo site Test site", wizard.verdict)
        self.assertIn("waits to be sent", wizard.verdict)
        self.assertVerdict(quotation, "is paused", "warning", True)
        self.site.sudo().action_resume()
        self.site.sudo().write(
            {
                "state": "error",
                "state_message": "Matomo refuses the token.",
                "next_attempt_date": "2026-03-03 10:20:00",
            }
        )
        wizard = self.assertVerdict(order, "refuses the token", "warning", True)
        self.assertIn("the next attempt is at", wizard.verdict)

    def test_what_was_tried_is_sent_again_as_it_is(self):
        order = self.confirm(self.make_order())
        request = self.get_request(order)
        parameters = self.get_parameters(order)
        request.write({"payload": parameters, "attempt_count": 1})
        self.chair.name = "Armchair"
        wizard = self.assertVerdict(order, "The same is sent again", "info", True)
        self.assertNotIn("Armchair", wizard.request_html)

    def test_what_differs_from_what_was_sent(self):
        order = self.track(self.make_order((self.chair, 2)))
        order.order_line.product_uom_qty = 3
        wizard = self.assertVerdict(order, "It has changed since", "warning", True)
        for text in ("Revenue", "230.00", "345.00", "2 x Chair", "3 x Chair"):
            self.assertIn(text, wizard.changes_html)
        self.assertNotIn("Visitor", wizard.changes_html)
        self.assertIn("200.00", wizard.sent_html)
        self.assertIn("300.00", wizard.request_html)

    def test_a_visitor_that_was_deleted_is_no_difference(self):
        order = self.track(self.make_order())
        order.sudo()._anonymize_matomo_data()
        self.assertVerdict(order, "The same", "success", True)

    def test_an_order_that_no_longer_counts(self):
        order = self.track(self.make_order())
        self.cancel(order)
        wizard = self.assertVerdict(order, "no longer counts", "warning")
        self.assertIn("Chair", wizard.sent_html)
        order.action_draft()
        self.assertVerdict(order, "no longer counts", "warning")

    def test_what_was_sent_is_no_longer_stored(self):
        order = self.track(self.make_order())
        self.get_request(order).payload = False
        self.assertVerdict(order, "no longer stored", "success", True)

    # === WHO SEES IT === #

    def test_a_salesperson_sees_no_preview(self):
        sam = self.make_user("sam", "sales_team.group_sale_salesman_all_leads")
        order = self.confirm(self.make_order())
        with self.assertRaises(AccessError), mute_logger("odoo.models"):
            self.preview(order, sam)
        # Nor by a preview that somebody has opened.
        wizard = self.preview(order)
        with self.assertRaises(AccessError), mute_logger("odoo.models"):
            wizard.with_user(sam).sudo()._get_order()

    def test_a_user_sees_the_previews_of_orders_they_may_see(self):
        mia = self.make_user("mia", f"{MODULE}.group_matomo_user")
        order = self.confirm(self.make_order())
        with self.assertRaises(AccessError):
            self.preview(order, mia)
        # A program may enter any order.
        wizards = self.env["matomo.preview"].with_user(mia)
        with self.assertRaises(AccessError):
            wizard = wizards.create({"res_model": "sale.order", "res_id": order.id})
            wizard.invalidate_recordset()
            wizard.read(["request_html"])

    def test_an_order_of_another_company(self):
        other = self.setup_other_company()["company"]
        foreign = self.make_order()
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE sale_order SET company_id = %s WHERE id = %s",
            [other.id, foreign.id],
        )
        self.env.invalidate_all()
        user = self.make_user(
            "mia", f"{MODULE}.group_matomo_user,sales_team.group_sale_manager"
        )
        with self.assertRaises(AccessError), mute_logger("odoo.models"):
            self.preview(foreign, user)

    def test_a_program_that_enters_nonsense(self):
        wizards = self.env["matomo.preview"]
        for model, id_ in (("res.users", 1), ("no.model", 1), (False, 0)):
            wizard = wizards.create({"res_model": model, "res_id": id_})
            self.assertFalse(wizard.verdict)
            self.assertFalse(wizard.request_html)
        order = self.make_order()
        wizard = wizards.create({"res_model": "sale.order", "res_id": order.id})
        order.unlink()
        self.env.invalidate_all()
        self.assertFalse(wizard.verdict)

    def test_texts_are_no_html(self):
        hostile = "<img src=x onerror=alert(1)>"
        self.chair.write({"name": hostile, "default_code": hostile})
        order = self.track(self.make_order((self.chair, 1), (self.chair, 1)))
        self.chair.name = f"{hostile} 2"
        order.order_line[0].product_uom_qty = 5
        order.sudo().write({"matomo_user_agent": hostile})
        wizard = self.preview(order)
        for name in ("request_html", "parameters_html", "changes_html", "sent_html"):
            self.assertIn("&lt;img", wizard[name], name)
            self.assertNotIn("<img", wizard[name], name)


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestPosPreview(PreviewCommon, MatomoPosCommon):
    """The preview of POS orders."""

    def test_a_pos_order_is_sent_as_it_is_previewed(self):
        sale = self.sync(self.make_sale((self.chair, 2), (self.lamp, 1)))
        parameters = self.get_parameters(sale)
        wizard = self.preview(sale)
        self.assertIn("within a minute", wizard.verdict)
        self.assertIn("Lamp", wizard.request_html)
        self.assertEqual(wizard.order_name, sale.pos_reference)
        self.assertSentAsPreviewed(sale, parameters)

    def test_an_open_pos_order_is_sent_as_it_is_previewed(self):
        values = self.make_sale((self.chair, 2), access_token="order-token")
        draft = self.sync({**values, "state": "draft", "payment_ids": []})
        parameters = self.get_parameters(draft)
        wizard = self.preview(draft)
        self.assertIn("still open", wizard.verdict)
        self.assertEqual((draft.state, draft.matomo_state), ("draft", False))
        lines = [Command.update(draft.lines.id, {"qty": 2})]
        sale = self.sync({**values, "lines": lines})
        self.assertEqual(sale, draft)
        self.assertSentAsPreviewed(sale, parameters)

    def test_a_return_is_not_tracked(self):
        sale = self.sync(self.make_sale((self.chair, -1)))
        wizard = self.preview(sale)
        self.assertIn("Matomo counts no refunds", wizard.verdict)
        self.assertFalse(wizard.request_html)

    def test_a_settlement_says_where_it_is_counted(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        self.run_sender()
        sale = self.settle_orders(order)
        self.assertIn(order.name, self.preview(sale).verdict)


@tagged("post_install", "-at_install")
class TestCartPreview(PreviewCommon, CheckoutCommon):
    """The preview of a cart: its next update, and the order it may become."""

    def setUp(self):
        super().setUp()
        self.accept_cookies()
        self.run_matomo_js()
        self.env.user.group_ids += self.env.ref("sales_team.group_sale_manager")

    def get_cart_parameters(self, cart):
        with self.assertNothingHappens():
            return preview_cart(cart.sudo()).values["payload"]

    def test_a_cart_is_sent_as_it_is_previewed(self):
        cart = self.add(self.chair, 2)
        parameters = self.get_cart_parameters(cart)
        wizard = self.preview(cart)
        self.assertIn("is sent within a minute", wizard.cart_verdict)
        self.assertIn("Chair", wizard.cart_html)
        self.assertIn("XYZANONYMIZED", wizard.cart_url)
        # Beside it: the order that would be sent if it was confirmed now.
        self.assertIn("still open", wizard.verdict)
        self.assertIn("Chair", wizard.request_html)
        self.run_sender()
        self.assertEqual(self.get_carts(cart).payload, parameters)
        (sent,) = self.get_sent_carts()
        self.assertEqual({name: sent[name] for name in parameters}, parameters)
        self.assertIn("this very cart already", self.preview(cart).cart_verdict)

    def test_what_is_sent_as_a_sum_is_named(self):
        """A delivery, a coupon and a gift card are no items of a cart or an order."""
        self.make_coupon("SPRING", 10)
        cart = self.fill_cart()
        self.open("/shop/pricelist?promo=SPRING")
        self.env.invalidate_all()
        [reward] = cart.order_line.filtered("is_reward_line")
        card = self.make_product("Gift Card", "CARD", -20.0)
        line = {"product_id": card.id, "price_unit": -20.0, "order_id": cart.id}
        self.env["sale.order.line"].sudo().create(line)
        wizard = self.preview(cart)
        deliveries = "Sent as Shipping, not as items: Post."
        name = reward.product_id.with_context(display_default_code=False).display_name
        discounts = f"Sent as Discount, not as items: Gift Card, {name}."
        for notes in (wizard.notes, wizard.cart_notes):
            self.assertIn(deliveries, notes)
            self.assertIn(discounts, notes)
        self.assertNotIn("Gift Card", wizard.request_html)

    def test_why_no_cart_is_sent(self):
        cart = self.add(self.chair)

        def assert_verdict(text):
            wizard = self.preview(cart)
            self.assertIn(text, wizard.cart_verdict)
            self.assertFalse(wizard.cart_html)

        self.site.sudo().track_carts = False
        assert_verdict("carts are not tracked")
        self.site.sudo().track_carts = True
        self.website.sudo().matomo_site_id = False
        assert_verdict("No Matomo site is set for the website Shop")
        self.website.sudo().matomo_site_id = self.site
        self.site.sudo().action_pause()
        self.assertIn("is paused", self.preview(cart).cart_verdict)
        self.site.sudo().action_resume()
        self.update(cart.order_line, 0)
        self.env.invalidate_all()
        assert_verdict("the cart is empty")

    def test_an_order_of_the_shop_is_sent_as_its_cart_is_previewed(self):
        cart = self.fill_cart()
        with self.assertNothingHappens():
            parameters = preview_order(cart.sudo()).values["payload"]
        self.confirm(cart)
        wizard = self.preview(cart)
        self.assertFalse(wizard.cart_verdict)
        self.run_sender()
        sent = self.get_request(cart).payload
        # The clock runs on between the two.
        for name in ("cdt", "h", "m", "s"):
            parameters[name] = sent[name]
        self.assertEqual(sent, parameters)
        self.assertEqual(sent["ec_sh"], "10.00")

    def test_a_shopper_who_refuses(self):
        cart = self.add(self.chair)
        self.answer_cookie_bar(False)
        self.open("/shop")
        self.env.invalidate_all()
        wizard = self.preview(cart)
        self.assertIn("the shopper refused", wizard.cart_verdict)
        self.assertNotIn("IP Address", wizard.request_html)
