from odoo.tests import freeze_time, tagged

from .common import MatomoPosCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestPosOrder(MatomoPosCommon):
    def test_till_sale_is_tracked_at_its_own_time(self):
        sale = self.make_sale(
            (self.chair, 2), (self.lamp, 1), date_order="2026-03-01 18:30:00"
        )
        order = self.sync(sale, user=self.cashier)
        self.assertState(order, "pending")
        self.run_sender()
        self.assertRecorded(
            order,
            ec_id=order.pos_reference,
            revenue="242.08",
            ec_st="210.50",
            ec_tx="31.58",
            cdt="2026-03-01 18:30:00",
            cip="0.0.0.0",
            url="https://shop.example.com/pos/bakery",
        )
        self.run_verifier()
        self.assertState(order, "verified")

    def test_same_sale_synced_twice_is_tracked_once(self):
        sale = self.make_sale((self.chair, 1))
        order = self.sync(dict(sale))
        self.run_sender()
        self.sync(dict(sale))
        self.run_sender()
        self.assertEqual(len(order.sudo().matomo_request_ids), 1)
        self.assertEqual(len(self.matomo.orders), 1)

    def test_refund_is_excluded(self):
        order = self.sync(self.make_sale((self.chair, 2)))
        line = order.lines
        refund = (
            self.sync(
                self.make_sale(
                    {
                        "product_id": self.chair.id,
                        "qty": -1,
                        "refunded_orderline_id": line.id,
                    },
                    is_refund=True,
                )
            )
            - order
        )
        self.assertState(refund, "excluded", f"Refund of {order.name}")

    def test_exchange_counts_the_bought_part(self):
        order = self.sync(self.make_sale((self.chair, 2)))
        exchange = (
            self.sync(
                self.make_sale(
                    {
                        "product_id": self.chair.id,
                        "qty": -1,
                        "refunded_orderline_id": order.lines.id,
                    },
                    (self.lamp, 2),
                )
            )
            - order
        )
        self.run_sender()
        self.assertRecorded(exchange, revenue="24.15", ec_st="21.00", ec_tx="3.15")

    def test_settled_sales_order_is_counted_there(self):
        quotation = self.make_order((self.chair, 2))
        sale = self.sync(
            self.make_sale(
                {
                    "product_id": self.chair.id,
                    "qty": 2,
                    "sale_order_origin_id": quotation.id,
                    "sale_order_line_id": quotation.order_line.id,
                }
            )
        )
        self.assertEqual(quotation.state, "sale")
        self.assertState(
            sale, "excluded", f"Settled sales order {quotation.name}, which is counted"
        )
        self.assertState(quotation, "pending")
        self.run_sender()
        self.assertRecorded(quotation, revenue="230.00")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_till_without_site(self):
        self.config.sudo().matomo_site_id = False
        order = self.sync(self.make_sale())
        self.assertState(
            order, "excluded", "No Matomo site is set for the till Bakery."
        )
