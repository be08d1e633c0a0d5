import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path

from odoo.tests import freeze_time, tagged

from ...matomo_api.tracking import Cart, Page, Visitor, cart_parameters
from ..common import AmountsCommon
from ..common.real_matomo import VARIABLE

GUIDE = Path(__file__).with_name("sdk") / "guide.php"
AMOUNTS = {
    "revenue": "revenueTotal",
    "ec_st": "revenueSubtotal",
    "ec_tx": "revenueTax",
    "ec_sh": "revenueShipping",
    "ec_dt": "revenueDiscount",
}
ECOMMERCE = {"idgoal", "revenue", "ec_items", "ec_id", *AMOUNTS}


@tagged("post_install", "-at_install", "-standard", "matomo_external")
@freeze_time("2026-03-03 10:00:00")
class TestSdk(AmountsCommon):
    """The guide's own code, with Matomo's own SDK, says the same of an order.

    What differs, and why:

    - The SDK leaves out amounts that are zero and an empty list of items; ours
      says "0.00" and "[]". Matomo takes a missing amount for zero or none.
    - The SDK writes a number as PHP does ("210.5"), ours with two decimals.
    - The guide gives the total of a line as the price of an item. Matomo multiplies
      prices by quantities (docs/matomo.md section 13), so ours is the unit price: the
      guide's price is ours times the quantity.
    """

    def run_guide(self, orders, carts):
        """Return what the guide's code would send."""
        info = json.loads(Path(os.environ[VARIABLE]).read_text())
        answer = subprocess.run(
            [*info["php"], str(GUIDE), info["sdk"]],
            input=json.dumps({"orders": orders, "carts": carts}),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return json.loads(answer.stdout)

    def make_sales(self):
        self.chair.name = 'Chair “Été” & <b>"5"</b> 🪑'
        order = self.make_order((self.chair, 2), (self.lamp, 1))
        self.add_delivery(order, self.make_carrier(5.0))
        discounted = self.make_order(
            {"product_id": self.chair.id, "product_uom_qty": 1, "discount": 12.5},
            {"product_id": self.lamp.id, "product_uom_qty": 1, "price_unit": -3.33},
        )
        free = self.make_order(
            {"product_id": self.chair.id, "product_uom_qty": 1, "discount": 100}
        )
        (order + discounted + free).action_confirm()
        sale = self.sync(self.make_sale((self.lamp, 3), (self.chair, 1)))
        order.sudo().write(
            {
                "matomo_visitor_id": "0123456789abcdef",
                "matomo_ip_address": "203.0.113.9",
                "matomo_user_agent": "Mozilla/5.0",
                "matomo_attribution_info": {
                    "campaign": "Spring",
                    "keyword": "chairs",
                    "timestamp": 1772500000,
                    "referrer": "https://search.example.com/?q=a&b",
                },
            }
        )
        return [order, discounted, free, sale]

    def as_the_guide_has_it(self, sent):
        """Return an order of the shop, as the guide names its values."""
        attribution = [
            sent.get(name, "") for name in ("_rcn", "_rck", "_refts", "_ref")
        ]
        return {
            "matomoVisitorId": sent["cid"],
            "userAgent": sent.get("ua"),
            "ipAddress": sent["cip"],
            "attributionInfo": json.dumps(attribution) if any(attribution) else "",
            "orderStatus": "completed",
            "orderId": sent["ec_id"],
            "products": self.products_of(sent),
            **{word: float(sent[name]) for name, word in AMOUNTS.items()},
        }

    def products_of(self, sent):
        return [
            {
                "sku": sku,
                "title": name,
                "categories": categories,
                "total": float(Decimal(str(price)) * quantity),
                "qty": quantity,
            }
            for sku, name, categories, price, quantity in json.loads(sent["ec_items"])
        ]

    def assertSame(self, ours, guide):
        for name in ECOMMERCE & (ours.keys() | guide.keys()):
            if name in AMOUNTS:
                self.assertEqual(Decimal(ours[name]), Decimal(guide.get(name, "0")))
                continue
            if name != "ec_items":
                self.assertEqual(ours[name], guide[name])
                continue
            items = [
                [
                    sku,
                    title,
                    categories,
                    float(Decimal(str(price)) * quantity),
                    quantity,
                ]
                for sku, title, categories, price, quantity in json.loads(ours[name])
            ]
            theirs = [
                [sku, title, categories, float(total), quantity]
                for sku, title, categories, total, quantity in json.loads(
                    guide.get(name, "[]")
                )
            ]
            self.assertEqual(items, theirs)

    def test_orders_and_carts_are_what_the_guides_code_sends(self):
        sales = self.make_sales()
        self.run_sender()
        ours = [self.recorded(sale) for sale in sales]
        carts = [
            cart_parameters(
                1,
                self._as_cart(sale),
                Visitor(visitor_id="0123456789abcdef"),
                Page("https://shop.example.com/shop/cart", "Cart"),
            )
            for sale in sales[:2]
        ]
        answer = self.run_guide(
            [self.as_the_guide_has_it(sent) for sent in ours],
            [
                {"products": self.products_of(c), "revenueTotal": float(c["revenue"])}
                for c in carts
            ],
        )
        for sent, guide in zip(ours, answer["orders"], strict=True):
            self.assertSame(sent, guide)
        for sent, guide in zip(carts, answer["carts"], strict=True):
            self.assertNotIn("ec_id", guide)
            self.assertSame(sent, guide)
        # The shopper, too: id, address and how they came.
        for name in ("cid", "cip", "_rcn", "_rck", "_refts", "_ref", "idsite", "rec"):
            self.assertEqual(ours[0][name], answer["orders"][0][name], name)

    def _as_cart(self, order):
        amounts = order.sudo()._prepare_matomo_amounts(self.site.sudo())
        items = tuple(merged.item for merged in amounts.items)
        return Cart(time=order.date_order, revenue=amounts.revenue, items=items)

    def test_statuses_the_guide_ignores_are_not_sent(self):
        order = self.confirm(self.make_order((self.chair, 1)))
        self.run_sender()
        ignored = self.as_the_guide_has_it(self.recorded(order))
        statuses = ("cancelled", "failed", "pending", "refunded")
        answer = self.run_guide(
            [{**ignored, "orderStatus": status} for status in statuses], []
        )
        self.assertEqual(answer["orders"], [None] * 4)
        # Odoo's words for these.
        quotation = self.make_order((self.chair, 1))
        sent_quotation = self.make_order((self.chair, 1))
        sent_quotation.action_quotation_sent()
        cancelled = self.confirm(self.make_order((self.chair, 1)))
        cancelled._action_cancel()
        orders = quotation + sent_quotation + cancelled
        self.env["matomo.request"]._schedule(orders)
        self.end_transaction()
        self.run_sender()
        for order in orders:
            self.assertNotRecorded(order)
