from contextlib import closing
from decimal import Decimal

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.matomo_order_tracking.matomo_api.reading import is_refund_recorded

from .common import MatomoPosCommon
from .real_matomo import RealMatomo, yesterday


@tagged("post_install", "-at_install")
class TestRealMatomo(MatomoPosCommon):
    """An order and a till sale, compared with what a real Matomo has of them."""

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

    def assertInMatomo(self, ref, amounts, items):
        """Database and Reporting API have the order as given."""
        row = self.real.orders()[ref]
        names = ("revenue", "subtotal", "tax", "shipping", "discount")
        columns = ("revenue", *(f"revenue_{name}" for name in names[1:]))
        self.assertEqual(
            [Decimal(str(round(row[column], 2))) for column in columns],
            [Decimal(amount) for amount in amounts],
        )
        self.assertEqual(
            self.real.items(ref),
            {sku: (name, Decimal(p), q) for sku, (name, p, q) in items.items()},
        )

    def test_order_and_till_sale(self):
        moment = yesterday()
        delivery = self.make_product("Delivery", "DELIVERY", 5.0, type="service")
        order = self.make_order(
            (self.chair, 2),
            {"product_id": self.lamp.id, "product_uom_qty": 1, "discount": 10},
            {"product_id": delivery.id, "product_uom_qty": 1, "is_delivery": True},
            {
                "product_id": delivery.id,
                "name": "Coupon",
                "product_uom_qty": 1,
                "price_unit": -20.0,
            },
        )
        self.confirm(order)
        order.date_order = moment
        sale = self.sync(
            self.make_sale((self.chair, 1), (self.lamp, 3), date_order=str(moment)),
            user=self.cashier,
        )
        self.run_sender()
        self.assertState(order, "sent")
        self.assertState(sale, "sent")
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertState(sale, "verified")

        # 200 + 9.45 + 5 - 20 before tax, 15 % on top.
        self.assertInMatomo(
            order.matomo_order_ref,
            ("223.62", "209.45", "29.17", "5.00", "20.00"),
            {"CHAIR": ("Chair", "100.00", 2), "LAMP": ("Lamp", "9.45", 1)},
        )
        self.assertInMatomo(
            sale.matomo_order_ref,
            ("151.23", "131.50", "19.73", "0.00", "0.00"),
            {"CHAIR": ("Chair", "100.00", 1), "LAMP": ("Lamp", "10.50", 3)},
        )
        day = moment.date()
        report = self.real.report(day, day)
        self.assertEqual(report["nb_conversions"], 2)
        self.assertAlmostEqual(
            report["revenue"], order.amount_total + sale.amount_total, places=2
        )
        self.assertAlmostEqual(
            report["revenue_tax"], order.amount_tax + sale.amount_tax, places=2
        )

    def test_refund_is_an_event(self):
        self.site.sudo().track_refunds = True
        order = self.confirm(self.make_order((self.chair, 2)))
        self.run_sender()
        order._action_cancel()
        self.end_transaction()
        self.run_sender()
        refund = order.sudo().matomo_request_ids.filtered(lambda r: r.kind == "refund")
        self.assertEqual(refund.state, "sent")
        day = fields.Date.today()
        with closing(self.site._get_client()) as client:
            for payload, expected in (
                (refund.payload, True),
                ({**refund.payload, "e_v": "1.00"}, False),
            ):
                found = is_refund_recorded(client, self.real.idsite, payload, day, day)
                self.assertEqual(found, expected)
        self.assertEqual(len(self.real.orders()), 1)

    def test_connection(self):
        site = self.site.with_user(self.make_manager())
        answer = site.action_test_connection()
        self.assertEqual(answer["params"]["type"], "success", answer)
        self.assertEqual(site.page_url, "https://shop.example.com")
        self.site.sudo().token_auth = "0" * 32
        with mute_logger("odoo.addons.matomo_order_tracking.models.matomo_site_health"):
            answer = site.action_test_connection()
        self.assertEqual(answer["params"]["type"], "danger")
        self.assertIn("refuses the token", answer["params"]["message"])
