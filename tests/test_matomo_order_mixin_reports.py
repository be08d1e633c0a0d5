from collections import Counter
from datetime import date

from odoo.tests import freeze_time, tagged

from ..matomo_api.items import to_decimal
from ..matomo_api.reading import Totals
from ..outbox import sales_report
from .common import AmountsCommon, ReportsCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestReports(ReportsCommon, AmountsCommon):
    """Odoo's own reports say what Matomo says, or the difference has a name."""

    def make_sales_orders(self):
        self.company.tax_calculation_rounding_method = "round_globally"
        term = self.env["account.payment.term"].create(
            {
                "name": "2/7 Net 30",
                "early_discount": True,
                "discount_days": 7,
                "discount_percentage": 2,
                "early_pay_discount_computation": "mixed",
            }
        )
        euro = self.setup_other_currency("EUR", rates=[("2026-03-01", 0.917)])
        pricelist = self.env["product.pricelist"].create(
            {"name": "EUR", "currency_id": euro.id, "company_id": self.company.id}
        )
        old = self.make_order((self.chair, 1))
        orders = old + self.env["sale.order"].union(
            self.make_order((self.chair, 2), (self.lamp, 1)),
            self.make_order(
                self.line(self.chair, 1, 6.70), self.line(self.lamp, 1, 6.70)
            ),
            self.make_order((self.chair, 2), payment_term_id=term.id),
            self.make_order((self.chair, 2), self.line(self.lamp, -1)),
            self.make_order((self.chair, 2), self.line(self.lamp, 1, -20.0)),
            self.make_order(self.line(self.chair, 3, 33.33), pricelist_id=pricelist.id),
            self.make_order(self.line(self.lamp, 1, 0.0)),
        )
        orders.action_confirm()
        old.date_order = "2025-12-31 10:00:00"
        self.end_transaction()
        return orders

    def make_sales(self):
        no_tax = self.env["account.tax"]
        fee = self.make_tax(0.37, kind="fixed")
        sale, plain = self.sync(
            self.make_sale((self.chair, 2)),
            self.make_sale(
                {"product_id": self.chair.id, "price_unit": 6.70},
                {"product_id": self.lamp.id, "price_unit": 6.70},
                {"product_id": self.lamp.id, "price_unit": -1.0, "taxes": no_tax},
                {"product_id": self.lamp.id, "price_unit": 0.0, "taxes": fee},
            ),
        )
        back = {
            "product_id": self.chair.id,
            "qty": -1,
            "price_unit": 100.0,
            "taxes": self.tax,
            "refunded_orderline_id": sale.lines.id,
        }
        session = self.make_foreign_till(self.env.ref("base.EUR"))
        # 1.15 euros are 1.254 dollars: three cents in three lines, four in one amount.
        cheap = {"product_id": self.chair.id, "price_unit": 1.0}
        foreign = self.make_sale(cheap, cheap, cheap, session=session)
        payment = foreign["payment_ids"][0][2]
        payment["payment_method_id"] = session.payment_method_ids.id
        return (
            sale
            + plain
            + self.sync(
                self.make_sale(back, is_refund=True),
                self.make_sale(back, (self.lamp, 2)),
                foreign,
            )
        )

    def make_settlements(self):
        """One that counts with its sales order, and one that counts at the till."""
        order = self.confirm(self.make_order((self.chair, 2)))
        settled = self.sync(
            self.make_sale(self.settle(order.order_line, 2), (self.lamp, 1))
        )
        self.company.sudo().matomo_site_id = False
        parted = self.confirm(self.make_order((self.chair, 4), (self.lamp, 1)))
        part = self.sync(self.make_sale(self.settle(parted.order_line[0], 1)))
        self.run_sender()
        self.company.sudo().matomo_site_id = self.site
        parted.action_matomo_retrack()
        return order + parted, settled + part

    def test_each_difference_from_odoos_reports_has_a_name(self):
        orders, sales = self.make_sales_orders(), self.make_sales()
        settled_orders, settlements = self.make_settlements()
        orders += settled_orders
        sales += settlements
        self.run_sender()
        states = Counter(order.matomo_state for order in [*orders, *sales])
        self.assertEqual(states, {"sent": 15, "excluded": 2})
        days = self.compare_reports(self.company, orders, sales)
        causes = {report: set() for report, _day in days}
        for (report, _day), found in days.items():
            causes[report].update(found)
        self.assertEqual(
            causes,
            {
                "sale.report": {
                    "conversion",
                    "document discounts",
                    "free lines with a tax",
                    "global rounding",
                    "not sent",
                    "returns",
                    "settled orders",
                },
                "report.pos.order": {"conversion", "returns", "settled orders"},
            },
        )

    def test_the_daily_comparison_names_them_by_amount(self):
        """From Odoo's report to the day, to the cent, and nothing is left over."""
        orders, sales = self.make_sales_orders(), self.make_sales()
        self.make_settlements()
        self.make_order()
        self.cancel(self.confirm(self.make_order()))
        self.run_sender()
        day = (
            self.env["matomo.reconciliation"]
            .sudo()
            ._compare_day(self.site.sudo(), date(2026, 3, 3), Totals())
        )
        bridge = sales_report.build(day.sudo(False))
        [(untaxed, count)] = (
            self.env["sale.report"]
            .with_context(allowed_company_ids=self.company.ids)
            ._read_group(
                [
                    ("state", "not in", ("draft", "sent", "cancel")),
                    ("date", ">=", "2026-03-03 00:00:00"),
                    ("date", "<", "2026-03-04 00:00:00"),
                ],
                [],
                ["price_subtotal:sum", "order_reference:count_distinct"],
            )
        )
        report, *steps = bridge.steps
        self.assertEqual(report.orders, count)
        self.assertEqual(report.amount, to_decimal(round(untaxed, 2)))
        found = sum(step.amount for step in bridge.steps)
        self.assertEqual(float(found), day.currency_id.round(day.odoo_revenue))
        total = sum(step.orders for step in bridge.steps)
        self.assertEqual(total, day.odoo_order_count)
        old = orders[0]
        self.assertEqual(old.matomo_state, "excluded")
        self.assertIn("excluded", {step.kind for step in steps})
        self.assertEqual(
            {step.kind for step in steps},
            {
                "taxes",
                "excluded",
                "returned",
                "document",
                "settled",
                "rest",
                "rounding",
            },
            [(step.kind, step.detail, step.orders, step.amount) for step in steps],
        )
        self.assertTrue(sales)

    def test_orders_without_such_causes_are_equal(self):
        order = self.confirm(self.make_order((self.chair, 2), (self.lamp, 1)))
        sale = self.sync(self.make_sale((self.chair, 1)))
        self.run_sender()
        days = self.compare_reports(self.company, order, sale)
        self.assertEqual(len(days), 2)
        self.assertFalse(any(days.values()))
        with self.assertRaises(AssertionError):
            order.amount_total += 1
            self.get_request(order).revenue += 1
            self.compare_reports(self.company, order, sale)
