from odoo import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, AmountsCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestOrderLife(AmountsCommon):
    """An order counts once, however it is confirmed, cancelled or changed."""

    def test_confirm_back_and_confirm_again_is_one_order(self):
        order = self.make_order((self.chair, 1))
        self.deliver(order)
        with freeze_time("2026-03-05 10:00:00"):
            order._action_cancel()
            order.action_draft()
            self.end_transaction()
            self.assertIn("the order no longer counts", order.matomo_notes)
            self.confirm(order)
            self.run_sender()
        self.assertEqual(len(self.matomo.bulks), 1)
        self.assertState(order, "sent")
        self.assertIn(
            "Matomo has it on 03/03/2026, the order is now of 03/05/2026.",
            order.matomo_notes,
        )

    def test_days_are_those_of_the_site(self):
        """In Brussels it was another day an hour before it was one in UTC."""
        self.site.sudo().timezone = "Europe/Brussels"
        order = self.make_order((self.chair, 1))
        self.deliver(order)
        for sent, now, words in (
            ("2026-03-02 23:30:00", "2026-03-03 00:30:00", False),
            (
                "2026-03-02 22:30:00",
                "2026-03-02 23:30:00",
                "Matomo has it on 03/02/2026, the order is now of 03/03/2026.",
            ),
        ):
            self.get_request(order).order_date = sent
            order.date_order = now
            self.env.invalidate_all()
            self.assertEqual(order.matomo_notes or False, words)

    def test_duplicate_is_an_order_of_its_own(self):
        order = self.make_order((self.chair, 1))
        self.deliver(order)
        copy = order.copy()
        self.assertFalse(copy.matomo_state)
        self.assertFalse(copy.matomo_order_ref)
        self.deliver(copy)
        self.assertExact(copy, revenue="115.00")
        self.assertEqual(len(self.matomo.orders), 2)

    def test_cancelled_before_it_is_sent(self):
        order = self.confirm(self.make_order((self.chair, 1)))
        order._action_cancel()
        self.end_transaction()
        self.run_sender()
        self.assertState(order, "cancelled", "was cancelled before it was sent")
        self.assertFalse(self.matomo.orders)
        order.action_draft()
        self.confirm(order)
        self.assertState(order, "pending")
        self.run_sender()
        self.assertExact(order, revenue="115.00")

    @mute_logger(LOGGER)
    def test_confirmed_again_it_is_tried_as_often_as_any_other(self):
        """Answers of Matomo's server to the first confirmation counted on."""
        order = self.confirm(self.make_order((self.chair, 1)))
        self.matomo.breaks = lambda sent: sent.get("ec_id") == order.name
        self.run_sender()
        request = self.get_request(order)
        self.assertTrue(request.error_count and request.broken_date)
        request.next_attempt_date = False
        order._action_cancel()
        self.end_transaction()
        self.run_sender()
        self.assertState(order, "cancelled")
        order.action_draft()
        self.confirm(order)
        self.assertState(order, "pending")
        self.assertFalse(request.error_count or request.broken_date)

    def test_cancelled_after_it_was_sent_is_explained(self):
        order = self.make_order((self.chair, 1))
        self.deliver(order)
        order._action_cancel()
        self.end_transaction()
        self.assertState(order, "sent")
        self.assertEqual(
            order.matomo_notes, "Matomo has $\xa0115.00, the order no longer counts."
        )

    def test_change_after_it_was_sent_is_explained(self):
        order = self.make_order((self.chair, 2), (self.lamp, 1))
        self.deliver(order)
        self.assertFalse(order.matomo_notes)
        order.order_line[0].product_uom_qty = 3
        self.assertEqual(
            order.matomo_notes, "Matomo has $\xa0242.08, the order is now $\xa0357.08."
        )
        salesperson = self.make_user("salesperson", "sales_team.group_sale_salesman")
        order.user_id = salesperson
        self.assertIn("the order is now", order.with_user(salesperson).matomo_notes)
        order.order_line[0].product_uom_qty = 2
        self.assertFalse(order.matomo_notes)

    def test_change_of_what_is_bought_for_the_same_total_is_explained(self):
        order, other = self.make_order((self.chair, 1)), self.make_order()
        self.deliver(order, other)
        # A test is one transaction, and its clock stands still.
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE matomo_request SET create_date = create_date - interval '1 minute'"
        )
        self.env.invalidate_all()
        self.assertFalse(order.matomo_notes)
        order.order_line.write({"price_unit": 50.0, "product_uom_qty": 2})
        table = self.make_product("Table", "TABLE", 100.0)
        other.order_line.product_uom_qty = 0
        other.order_line = [Command.create(self.line(table, 1))]
        self.env.invalidate_all()
        self.assertEqual(
            order.matomo_notes,
            "Matomo has 1 x Chair (100.00) where the order now has 2 x Chair (50.00).",
        )
        self.assertEqual(
            other.matomo_notes,
            "Matomo has 1 x Chair (100.00) where the order now has 1 x Table (100.00).",
        )

    def test_change_before_it_is_sent_is_sent(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        order.order_line.product_uom_qty = 3
        self.end_transaction()
        self.run_sender()
        self.assertExact(order, revenue="345.00", items={"CHAIR": ("100.00", 3)})

    def test_import_of_confirmed_orders(self):
        answer = self.env["sale.order"].load(
            ["partner_id/.id", "state", "order_line/product_id/.id"],
            [[str(self.customer.id), "sale", str(self.chair.id)]] * 2,
        )
        self.assertFalse(answer["messages"])
        self.end_transaction()
        orders = self.env["sale.order"].browse(answer["ids"])
        self.run_sender()
        self.assertExact(*orders, revenue="115.00")

    def test_web_order_and_its_duplicate_made_at_the_desk(self):
        other = self.site.sudo().copy({"name": "Web", "idsite": 2})
        website = (
            self.env["website"]
            .sudo()
            .create(
                {
                    "name": "Shop",
                    "company_id": self.company.id,
                    "matomo_site_id": other.id,
                }
            )
        )
        order = self.make_order((self.chair, 1), website_id=website.id)
        order.sudo().matomo_visitor_id = "0123456789abcdef"
        order.sudo().matomo_ip_address = "203.0.113.9"
        self.confirm(order)
        copy = order.copy()
        self.confirm(copy)
        other.token_auth = self.site.sudo()._get__token()
        self.run_sender()
        sent = self.matomo.orders
        web = sent["2", order.name.casefold()]
        self.assertEqual(
            [web["cid"], web["cip"], web["revenue"]],
            ["0123456789abcdef", "203.0.113.9", "115.00"],
        )
        desk = sent["2", copy.name.casefold()]
        self.assertNotEqual(desk["cid"], web["cid"])
        self.assertEqual(desk["cip"], "0.0.0.0")

    def test_deleted_in_the_transaction_in_which_another_one_is_confirmed(self):
        """It keeps no other order of that transaction back."""
        orders = self.make_order((self.chair, 1)) + self.make_order((self.chair, 2))
        orders.action_confirm()
        orders[0]._action_cancel()
        orders[0].unlink()
        self.end_transaction()
        self.assertEqual(orders[1].sudo().matomo_request_ids.state, "pending")

    def test_a_thousand_orders_confirmed_at_once(self):
        order = self.make_order((self.chair, 1), state="sale")
        orders = self.clone_orders(order, 1000)
        self.env["matomo.request"]._schedule(orders)
        with self.assertQueryCount(40):
            self.env.cr.precommit.run()
        self.assertEqual(len(orders.sudo().matomo_request_ids), 1000)
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})

    def test_a_thousand_quotations_confirmed_by_one_click(self):
        service = self.make_product("Advice", "ADVICE", 9.0, type="service")
        quotation = self.make_order((service, 1))
        orders = self.clone_orders(quotation, 1000)
        orders.action_confirm()
        self.env.flush_all()
        with self.assertQueryCount(50):
            self.end_transaction()
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})
        self.run_sender()
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        self.assertEqual(len(self.matomo.orders), 1000)
