import json
import logging
from unittest.mock import patch

from odoo import Command
from odoo.tests import freeze_time, tagged

from .common import LOGGER, AmountsCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestOrderItems(AmountsCommon):
    """The items that the lines of a sales order become."""

    # === LINES === #

    def test_sections_and_notes_are_no_items(self):
        order = self.make_order(
            {"display_type": "line_section", "name": "Seats"},
            self.line(self.chair, 1),
            {"display_type": "line_note", "name": "Handle with care"},
        )
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("100.00", 1)})

    def test_a_product_is_prepared_once_for_a_bulk(self):
        model = type(self.env["sale.order"])
        with patch.object(
            model,
            "_prepare_matomo_product",
            autospec=True,
            side_effect=model._prepare_matomo_product,
        ) as prepare:
            for name in ("Chair", "Stool"):
                self.chair.name = name
                orders = [self.confirm(self.make_order((self.chair, 1))) for _ in "12"]
                self.run_sender()
                for order in orders:
                    [item] = json.loads(self.get_request(order).payload["ec_items"])
                    self.assertEqual(item[1], name)
        self.assertEqual(prepare.call_count, 2)

    def test_down_payment_changes_nothing(self):
        order = self.make_order((self.chair, 2))
        self.confirm(order)
        wizard = self.env["sale.advance.payment.inv"].with_context(
            active_ids=order.ids, active_model="sale.order"
        )
        wizard.create(
            {"advance_payment_method": "percentage", "amount": 50}
        ).create_invoices()
        self.assertTrue(order.order_line.filtered("is_downpayment"))
        self.run_sender()
        self.assertExact(
            order,
            revenue="230.00",
            ec_tx="30.00",
            ec_st="200.00",
            items={"CHAIR": ("100.00", 2)},
        )

    def test_invoiced_order_is_counted_once(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        order.order_line.qty_delivered = 2
        invoice = order._create_invoices()
        invoice.action_post()
        self.run_sender()
        self.assertExact(order, revenue="230.00")
        self.assertFalse(order.matomo_notes)
        self.assertEqual(len(self.matomo.orders), 1)

    def test_combo(self):
        choice = self.env["product.combo"].create(
            {
                "name": "Seat",
                "combo_item_ids": [
                    Command.create({"product_id": self.chair.id, "extra_price": 5})
                ],
            }
        )
        combo = self.make_product(
            "Desk set", "SET", 120.0, type="combo", combo_ids=[Command.set(choice.ids)]
        )
        order = self.make_order((combo, 2))
        self.env["sale.order.line"].create(
            {
                "order_id": order.id,
                "product_id": self.chair.id,
                "product_uom_qty": 2,
                "linked_line_id": order.order_line.id,
                "combo_item_id": choice.combo_item_ids.id,
            }
        )
        self.assertEqual(order.amount_untaxed, 250.0)
        self.deliver(order)
        self.assertExact(order, items={"SET": ("0.00", 2), "CHAIR": ("125.00", 2)})

    def test_services_delivered_or_not(self):
        service = self.make_product("Assembly", "ASM", 40.0, type="service")
        undelivered = self.make_order((service, 2))
        delivered = self.make_order((service, 2))
        self.deliver(undelivered)
        delivered.action_confirm()
        delivered.order_line.qty_delivered = 1
        self.end_transaction()
        self.run_sender()
        self.assertExact(
            undelivered, delivered, revenue="92.00", items={"ASM": ("40.00", 2)}
        )

    # === QUANTITIES === #

    def test_quantities_matomo_cannot_count_become_one(self):
        cheap = self.make_product(
            "Screw", "SCREW", 0.0333, taxes=self.env["account.tax"]
        )
        cheap.uom_id.sudo().rounding = 0.0001
        cases = {
            0.35: ("35.00", 1),
            2.75: ("275.00", 1),
            70000: ("7000000.00", 1),
            65535: ("100.00", 65535),
        }
        orders = {q: self.make_order((self.chair, q)) for q in cases}
        tiny = self.make_order(self.line(cheap, 1000, 0.0333))
        self.env["decimal.precision"].sudo().search(
            [("name", "=", "Product Price")]
        ).digits = 4
        tiny.order_line.price_unit = 0.0333
        self.deliver(*orders.values(), tiny)
        for quantity, order in orders.items():
            self.assertExact(order, items={"CHAIR": cases[quantity]})
        self.assertIn(
            "Chair: Matomo cannot count a quantity of 0.35 at this price; sent as 1 at"
            " 35.00.",
            orders[0.35].matomo_notes,
        )
        self.assertIn("a quantity of 70000 at", orders[70000].matomo_notes)
        self.assertFalse(orders[65535].matomo_notes)
        # Matomo would make 30.00 of 1,000 x 0.0333.
        self.assertExact(tiny, revenue="33.30", items={"SCREW": ("33.30", 1)})
        self.assertIn("a quantity of 1000 at", tiny.matomo_notes)

    def test_unit_price_that_does_not_divide_is_explained(self):
        order = self.make_order(self.line(self.chair, 3, 33.3333, discount=10))
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("30.00", 3)})
        order = self.make_order(
            self.line(self.chair, 1, 10), self.line(self.chair, 2, 20)
        )
        self.deliver(order)
        self.assertExact(order, ec_st="50.00", items={"CHAIR": ("16.67", 3)})
        self.assertEqual(
            order.matomo_notes,
            "Chair: 3 x 16.67 make 50.01 in Matomo, +0.01 from the order's 50.00.",
        )

    def test_units(self):
        dozen = self.env.ref("uom.product_uom_dozen").id
        by_the_dozen = self.line(self.chair, 2, 1000.0, product_uom_id=dozen)
        alone = self.make_order(by_the_dozen)
        mixed = self.make_order(by_the_dozen, (self.chair, 3))
        self.deliver(alone, mixed)
        self.assertExact(alone, items={"CHAIR": ("1000.00", 2)})
        self.assertExact(mixed, items={"CHAIR": ("85.19", 27)})

    def test_quantity_zero_bought_nothing(self):
        order = self.make_order((self.chair, 1), (self.lamp, 0))
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("100.00", 1)})

    def test_returned_line_is_not_bought(self):
        order = self.make_order((self.chair, 2), (self.lamp, -1))
        self.assertEqual(order.amount_total, 217.93)
        self.deliver(order)
        # What is bought is what its lines have stored. Odoo rounds the tax of the whole
        # order: with the returned lamp it is a cent more.
        self.assertExact(
            order, revenue="230.00", ec_tx="30.00", items={"CHAIR": ("100.00", 2)}
        )
        self.assertFalse(order.matomo_notes)

    def test_nothing_bought_is_no_order(self):
        returned = self.make_order((self.chair, -2), (self.lamp, 0))
        credit = self.make_order(self.line(self.lamp, 1, -50.0))
        self.deliver(returned, credit)
        self.assertState(returned, "excluded", "A return: Matomo counts no refunds.")
        self.assertState(credit, "excluded", "Nothing is bought, something is given")
        self.assertFalse(self.matomo.orders)

    # === PRODUCTS === #

    def test_same_product_at_several_prices_is_one_item(self):
        order = self.make_order(
            self.line(self.chair, 1, 100), (self.lamp, 1), self.line(self.chair, 3, 60)
        )
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("70.00", 4), "LAMP": ("10.50", 1)})

    def test_two_products_with_one_reference_are_one_item(self):
        other = self.make_product("Stool", "CHAIR", 50.0)
        order = self.make_order((self.chair, 1), (other, 1))
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("75.00", 2)})

    def test_references_that_differ_in_case_are_two_items(self):
        other = self.make_product("Stool", "chair", 50.0)
        order = self.make_order((self.chair, 1), (other, 1))
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("100.00", 1), "chair": ("50.00", 1)})

    def test_product_without_reference(self):
        barcode = self.make_product("Vase", False, 8.0, barcode="5410000000011")
        nameless = self.make_product("Pot", False, 9.0)
        zero = self.make_product("Jar", "0", 3.0)
        order = self.make_order((barcode, 1), (nameless, 2), (zero, 1))
        self.deliver(order)
        self.assertExact(
            order,
            items={
                "5410000000011": ("8.00", 1),
                f"product-{nameless.id}": ("9.00", 2),
                f"product-{zero.id}": ("3.00", 1),
            },
        )

    def test_categories_five_at_most_the_shops_first(self):
        shop = self.env["product.public.category"].sudo()
        office = shop.create({"name": "Office"})
        seats = shop.create({"name": "Seats", "parent_id": office.id})
        sale = shop.create({"name": "Sale"})
        self.chair.sudo().public_categ_ids = seats + sale
        deep = self.env["product.category"]
        for name in ("A", "B", "C", "D", "E", "F"):
            deep = deep.create({"name": name, "parent_id": deep.id})
        self.chair.categ_id = deep
        bare = self.make_product("Bare", "BARE", 1.0, categ_id=False)
        order = self.make_order((self.chair, 1), (self.lamp, 1), (bare, 1))
        self.deliver(order)
        self.assertExact(order)
        items = self.items(order)
        self.assertEqual(len(items["CHAIR"][1]), 5)
        self.assertEqual(set(items["CHAIR"][1][:3]), {"Office", "Seats", "Sale"})
        self.assertEqual(items["CHAIR"][1][3:], ["A", "B"])
        self.assertEqual(items["LAMP"][1], ["Furniture", "Chairs"])
        self.assertEqual(items["BARE"][1], [])

    def test_names_of_every_kind(self):
        names = {
            "Q": '12" "pro" \'x\' \\ / ;,',
            "H": "<b>Fish & Chips</b> <script>alert(1)</script>",
            "E": "Zoë’s 🪑 椅子 كرسي",
            "L": "x" * 4000,
            "N": "two\nlines\tand a tab",
        }
        products = [self.make_product(name, sku, 1.0) for sku, name in names.items()]
        order = self.make_order(*((product, 1) for product in products))
        self.deliver(order)
        self.assertExact(order)
        sent = {sku: name for sku, (name, *_rest) in self.items(order).items()}
        for sku in "QHE":
            self.assertEqual(sent[sku], names[sku])
        self.assertEqual(sent["L"], "x" * 1000)
        self.assertEqual(sent["N"], "two lines and a tab")
        self.run_verifier()
        self.assertState(order, "verified")

    def test_names_are_sent_in_the_sites_language(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        self.chair.with_context(lang="fr_FR").name = "Chaise"
        self.customer.lang = "fr_FR"
        order = self.make_order((self.chair, 1))
        self.deliver(order)
        self.assertEqual(self.items(order)["CHAIR"][0], "Chair")

    def test_five_hundred_lines(self):
        products = self.env["product.product"].create(
            [
                {
                    "name": f"Part {number}",
                    "type": "service",
                    "default_code": f"P{number}",
                    "list_price": 1 + number / 100,
                    "taxes_id": [Command.set(self.tax.ids)],
                }
                for number in range(500)
            ]
        )
        order = self.make_order(*((product, 1) for product in products))
        self.deliver(order)
        self.assertExact(order)
        self.assertEqual(len(self.items(order)), 500)

    def test_archived_product(self):
        order = self.confirm(self.make_order((self.chair, 1)))
        self.chair.active = False
        self.run_sender()
        self.assertExact(order, items={"CHAIR": ("100.00", 1)})

    def test_deleted_product_is_left_out_and_named(self):
        order = self.make_order((self.chair, 1), self.line(self.lamp, 1, name="Gone"))
        self.confirm(order)
        # Odoo keeps a sold product from being deleted; other programs may not.
        line = order.order_line[1]
        self.env.flush_all()
        self.env.cr.execute(
            "ALTER TABLE sale_order_line"
            " DROP CONSTRAINT sale_order_line_accountable_required_fields"
        )
        self.env.cr.execute(
            "UPDATE sale_order_line SET product_id = NULL WHERE id = %s", [line.id]
        )
        self.env.invalidate_all()
        # By its number: Odoo gives the name INFO to a level above it.
        with self.assertLogs(LOGGER, logging.INFO) as logs:
            self.run_sender()
        self.assertIn("“Gone” is left out of the items", "".join(logs.output))
        self.assertExact(
            order, revenue="127.08", items={"CHAIR": ("100.00", 1)}, balance="10.50"
        )
        self.assertIn(
            "“Gone” is left out of the items: its product no longer exists.",
            order.matomo_notes,
        )
