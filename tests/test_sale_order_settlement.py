from decimal import Decimal

from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, AmountsCommon, FakeResponse


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestSettlement(AmountsCommon):
    """A line that a till settles counts once: with the sales order or the POS order."""

    def take_back_one(self, sale):
        """Return a POS order that refunds one chair."""
        return self.sync(
            self.make_sale(
                {
                    "product_id": self.chair.id,
                    "qty": -1,
                    "taxes": sale.lines.tax_ids,
                    "refunded_orderline_id": sale.lines.id,
                },
                is_refund=True,
            )
        )

    def wait(self, order):
        """Defer the request of an order by an hour."""
        self.env.cr.execute(
            "UPDATE matomo_request SET next_attempt_date = '2026-03-03 11:00:00'"
            " WHERE sale_order_id = %s",
            [order.id],
        )
        self.env.invalidate_all()

    def run_everything(self):
        """Run the scheduled actions as often as they wake each other."""
        for _round in range(3):
            self.run_sender()
            self.run_cron("ir_cron_retrack")

    def assertCounted(self, revenue, *orders):
        """Assert that Matomo has these orders and this revenue, and no other orders."""
        found = [self.recorded(order) for order in orders]
        self.assertTrue(all(found))
        self.assertEqual(len(self.matomo.orders), len(orders))
        self.assertEqual(
            sum(Decimal(order["revenue"]) for order in found), Decimal(revenue)
        )

    def test_cancelled_before_it_is_sent_counts_at_the_till(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        self.assertState(sale, "excluded", f"Settled sales order {order.name}")
        self.cancel(order)
        self.run_everything()
        self.assertState(order, "cancelled")
        self.assertExact(sale, revenue="230.00")
        self.assertCounted("230.00", sale)
        self.assertFalse(sale.message_ids.filtered(lambda m: "Retrack" in m.body))

    def test_cancelled_without_odoo_knowing_counts_at_the_till(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        order.state = "cancel"
        self.end_transaction()
        self.run_everything()
        self.assertCounted("230.00", sale)

    def test_cancelled_after_it_was_sent_stays_there(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        self.run_sender()
        sale = self.settle_orders(order, own=[(self.lamp, 1)])
        self.cancel(order)
        self.run_everything()
        self.assertCounted("242.08", order, sale)
        self.assertRecorded(sale, revenue="12.08")

    def test_cancelled_while_nobody_knows_whether_it_is_there(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        self.matomo.faults = [FakeResponse(503)] * 2
        with mute_logger(LOGGER):
            self.run_sender()
        sale = self.settle_orders(order)
        self.cancel(order)
        self.run_cron("ir_cron_retrack")
        self.assertState(sale, "excluded")
        with freeze_time("2026-03-03 14:00:00"):
            self.run_everything()
        # Matomo was asked for it, and has not recorded it: the till's sale counts.
        self.assertState(order, "cancelled")
        self.assertCounted("230.00", sale)

    def test_cancelled_and_then_refused_counts_at_the_till(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        self.matomo.faults = [FakeResponse(503)] * 2
        with mute_logger(LOGGER):
            self.run_sender()
        sale = self.settle_orders(order)
        self.cancel(order)
        self.matomo.refuses = lambda p: p.get("ec_id") == order.name
        with freeze_time("2026-03-03 14:00:00"), mute_logger(LOGGER):
            self.run_everything()
        self.assertCounted("230.00", sale)

    def test_failed_and_then_cancelled_counts_at_the_till(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        self.matomo.refuses = lambda p: p.get("ec_id") == order.name
        with mute_logger(LOGGER):
            self.run_everything()
        self.assertState(order, "failed")
        self.assertState(sale, "excluded")
        self.cancel(order)
        self.run_everything()
        self.assertState(order, "cancelled")
        self.assertCounted("230.00", sale)

    def test_deleted_before_it_is_sent_counts_at_the_till(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        order._action_cancel()
        self.end_transaction()
        order.unlink()
        self.run_everything()
        self.assertCounted("230.00", sale)

    def test_deleted_after_it_was_sent_stays_there(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        self.run_everything()
        self.cancel(order)
        order.unlink()
        self.run_everything()
        self.assertState(sale, "excluded")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_confirmed_again_before_the_till_sale_is_sent(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        self.cancel(order)
        self.run_sender()
        self.run_cron("ir_cron_retrack")
        self.assertState(sale, "pending")
        order.action_draft()
        self.confirm(order)
        self.run_everything()
        self.assertCounted("230.00", order)
        self.assertState(sale, "excluded", f"Settled sales order {order.name}")

    def test_confirmed_again_after_the_till_sale_was_sent(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        self.cancel(order)
        self.run_everything()
        order.action_draft()
        self.confirm(order)
        self.run_everything()
        self.assertCounted("230.00", sale)
        self.assertState(
            order, "excluded", f"Settled by {sale.name}, where it is counted."
        )
        self.assertFalse(sale.matomo_notes)

    def test_sale_of_its_own_is_sent_and_says_what_it_has_become(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        self.wait(order)
        sale = self.settle_orders(order, own=[(self.lamp, 1)])
        self.run_sender()
        self.assertCounted("12.08", sale)
        self.cancel(order)
        self.run_everything()
        self.assertCounted("12.08", sale)
        self.assertIn("the order is now $\xa0242.08", sale.matomo_notes)
        # Confirmed again it counts: the till has not brought it to Matomo.
        order.action_draft()
        self.confirm(order)
        self.run_everything()
        self.assertCounted("242.08", order, sale)
        self.assertFalse(sale.matomo_notes)

    def test_of_a_site_that_is_chosen_later(self):
        self.company.sudo().matomo_site_id = False
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        self.run_everything()
        self.assertCounted("230.00", sale)
        self.company.sudo().matomo_site_id = self.site
        order.action_matomo_retrack()
        self.run_everything()
        self.assertState(order, "excluded", f"Settled by {sale.name}")
        self.assertCounted("230.00", sale)

    def test_partly_counted_at_the_till_the_rest_counts_at_the_order(self):
        self.company.sudo().matomo_site_id = False
        order = self.confirm(self.make_order((self.chair, 5), (self.lamp, 2)))
        sale = self.sync(
            self.make_sale(
                {
                    "product_id": self.chair.id,
                    "qty": 2,
                    "price_unit": 100.0,
                    "taxes": self.tax,
                    "sale_order_origin_id": order.id,
                    "sale_order_line_id": order.order_line[0].id,
                }
            )
        )
        self.run_everything()
        self.assertCounted("230.00", sale)
        self.company.sudo().matomo_site_id = self.site
        order.action_matomo_retrack()
        self.run_everything()
        self.assertExact(
            order,
            revenue="369.15",
            ec_tx="48.15",
            items={"CHAIR": ("100.00", 3), "LAMP": ("10.50", 2)},
        )
        self.assertCounted("599.15", order, sale)
        self.assertIn(f"settled by {sale.name}", order.matomo_notes)
        self.assertFalse(sale.matomo_notes)
        # What is settled from now on is counted at the order.
        rest = self.settle_orders(order, quantity=2)
        self.run_everything()
        self.assertState(rest, "excluded", f"Settled sales order {order.name}")
        self.assertCounted("599.15", order, sale)

    def test_partly_counted_at_the_till_with_an_early_payment_discount(self):
        """The discount lowers the tax of a whole order alone; a part has its lines'."""
        term = self.make_early_payment_term()
        self.company.sudo().matomo_site_id = False
        order = self.confirm(
            self.make_order((self.chair, 2), (self.lamp, 2), payment_term_id=term.id)
        )
        self.assertEqual(order.amount_total, 253.49)
        sale = self.sync(
            self.make_sale(
                {
                    "product_id": self.chair.id,
                    "price_unit": 100.0,
                    "taxes": self.tax,
                    "sale_order_origin_id": order.id,
                    "sale_order_line_id": order.order_line[0].id,
                }
            )
        )
        self.run_everything()
        self.assertExact(sale, revenue="115.00", ec_tx="15.00")
        self.company.sudo().matomo_site_id = self.site
        order.action_matomo_retrack()
        self.run_everything()
        self.assertExact(
            order,
            revenue="139.15",
            ec_st="121.00",
            ec_tx="18.15",
            items={"CHAIR": ("100.00", 1), "LAMP": ("10.50", 2)},
        )
        self.assertNotIn("differs", order.matomo_notes)
        self.assertNotIn("the order is now", order.matomo_notes)
        self.assertCounted("254.15", order, sale)

    def test_paid_down_at_the_till_before_the_order_is_tracked(self):
        self.company.sudo().matomo_site_id = False
        self.config.down_payment_product_id = self.make_product(
            "Down payment", "DOWN", 0.0, type="service", taxes=self.env["account.tax"]
        )
        order = self.confirm(self.make_order((self.chair, 2)))
        down = self.sync(
            self.make_sale(
                {
                    "product_id": self.config.down_payment_product_id.id,
                    "price_unit": 100.0,
                    "sale_order_origin_id": order.id,
                }
            )
        )
        self.run_everything()
        self.company.sudo().matomo_site_id = self.site
        order.action_matomo_retrack()
        self.run_everything()
        self.assertExact(
            order, revenue="130.00", ec_dt="100.00", items={"CHAIR": ("100.00", 2)}
        )
        self.assertCounted("230.00", down, order)

    def test_partly_settled_in_another_unit(self):
        self.company.sudo().matomo_site_id = False
        dozen = self.env.ref("uom.product_uom_dozen")
        order = self.confirm(
            self.make_order({**self.line(self.chair, 2), "product_uom_id": dozen.id})
        )
        line = order.order_line
        line.price_unit = 1200.0
        sale = self.sync(
            self.make_sale(
                {
                    "product_id": self.chair.id,
                    "qty": 7,
                    "price_unit": 100.0,
                    "taxes": self.tax,
                    "sale_order_origin_id": order.id,
                    "sale_order_line_id": line.id,
                }
            )
        )
        self.run_everything()
        self.company.sudo().matomo_site_id = self.site
        order.action_matomo_retrack()
        self.run_everything()
        self.assertCounted("2760.00", sale, order)

    def test_parts_that_make_the_whole_leave_nothing(self):
        self.company.sudo().matomo_site_id = False
        order = self.confirm(self.make_order((self.chair, 0.8), (self.lamp, 1)))
        sales = [
            self.sync(
                self.make_sale(
                    {
                        "product_id": self.chair.id,
                        "qty": quantity,
                        "taxes": self.tax,
                        "sale_order_origin_id": order.id,
                        "sale_order_line_id": order.order_line[0].id,
                    }
                )
            )
            for quantity in (0.1, 0.7)
        ]
        self.run_everything()
        self.company.sudo().matomo_site_id = self.site
        order.action_matomo_retrack()
        self.run_everything()
        self.assertExact(
            order, revenue="12.08", ec_tx="1.58", items={"LAMP": ("10.50", 1)}
        )
        self.assertCounted("104.08", *sales, order)

    def test_two_orders_settled_of_which_the_till_counted_one(self):
        orders = [self.confirm(self.make_order((self.chair, n))) for n in (1, 2)]
        sale = self.settle_orders(*orders)
        self.wait(orders[1])
        self.cancel(orders[0])
        self.run_everything()
        self.assertCounted("115.00", sale)
        # The other one waited meanwhile: the till has not counted it.
        with freeze_time("2026-03-03 14:00:00"):
            self.run_everything()
        self.assertCounted("345.00", orders[1], sale)
        orders[0].action_draft()
        self.confirm(orders[0])
        self.run_everything()
        self.assertState(orders[0], "excluded", f"Settled by {sale.name}")
        self.assertCounted("345.00", orders[1], sale)

    def test_of_a_site_that_is_gone(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        self.company.sudo().matomo_site_id = False
        order.action_matomo_retrack()
        self.assertState(order, "excluded", "No Matomo site is set")
        self.run_everything()
        self.assertCounted("230.00", sale)

    def test_confirmed_before_tracking_began(self):
        self.site.sudo().date_start = "2026-03-02"
        with freeze_time("2026-03-01 10:00:00"):
            order = self.confirm(self.make_order((self.chair, 2)))
        self.assertState(order, "excluded", "before tracking began")
        sale = self.settle_orders(order)
        self.run_everything()
        self.assertCounted("230.00", sale)

    def test_two_orders_settled_together(self):
        orders = [self.confirm(self.make_order((self.chair, n))) for n in (1, 2)]
        sale = self.settle_orders(*orders)
        self.assertState(
            sale, "excluded", f"Settled sales order {orders[0].name}, {orders[1].name}"
        )
        self.cancel(orders[0])
        self.run_everything()
        self.assertCounted("345.00", orders[1], sale)
        self.assertRecorded(sale, revenue="115.00")

    def test_refund_of_what_was_settled_is_the_sales_orders(self):
        self.site.sudo().track_refunds = True
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.settle_orders(order)
        self.run_sender()
        self.take_back_one(sale)
        self.run_sender()
        (event,) = self.matomo.events
        self.assertEqual((event["e_n"], event["e_v"]), (order.name, "115.00"))

    def test_refund_of_what_has_come_to_count_at_the_till(self):
        self.site.sudo().track_refunds = True
        order = self.confirm(self.make_order((self.chair, 2)))
        self.wait(order)
        sale = self.settle_orders(order)
        self.take_back_one(sale)
        self.run_sender()
        self.assertFalse(self.matomo.events)
        self.cancel(order)
        with freeze_time("2026-03-03 14:00:00"):
            self.run_everything()
        self.assertCounted("230.00", sale)
        (event,) = self.matomo.events
        self.assertEqual(
            (event["e_n"], event["e_v"]), (sale.matomo_order_ref, "115.00")
        )

    def test_cancelling_a_thousand_orders_locks_none_of_their_rows(self):
        orders = self.clone_orders(self.make_order(state="sale"), 300)
        rows = orders._matomo_enqueue()
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT ctid::text FROM matomo_request WHERE id IN %s ORDER BY id",
            [rows._ids],
        )
        before = self.env.cr.fetchall()
        orders.write({"state": "cancel"})
        self.env["matomo.request"]._schedule(orders)
        self.env.flush_all()
        with self.assertQueryCount(15):
            self.env.cr.precommit.run()
        self.env.cr.execute(
            "SELECT ctid::text FROM matomo_request WHERE id IN %s ORDER BY id",
            [rows._ids],
        )
        self.assertEqual(self.env.cr.fetchall(), before)
