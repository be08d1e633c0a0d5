import json
from decimal import Decimal

from odoo import Command
from odoo.tests import freeze_time, tagged

from .amounts import AmountsCommon, cents


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestSaleAmounts(AmountsCommon):
    """Sales orders: taxes, discounts, currencies, quantities, products."""

    def deliver(self, *orders):
        for order in orders:
            order.action_confirm()
        self.end_transaction()
        self.run_sender()

    def line(self, product, quantity=1, price=None, taxes=None, **values):
        values |= {"product_id": product.id, "product_uom_qty": quantity}
        if price is not None:
            values["price_unit"] = price
        if taxes is not None:
            values["tax_ids"] = [Command.set(taxes.ids)]
        return values

    # === TAXES === #

    def test_taxes_of_every_kind_rounded_per_line_and_globally(self):
        included = self.make_tax(21, included=True)
        excluded = self.make_tax(6)
        fixed = self.make_tax(0.37, kind="fixed", include_base_amount=True, sequence=0)
        division = self.make_tax(10, kind="division", included=True)
        group = self.make_tax(
            0,
            kind="group",
            children_tax_ids=[
                Command.set((self.make_tax(3) + self.make_tax(4.5)).ids)
            ],
        )
        no_tax = self.env["account.tax"]
        cases = (
            included,
            excluded,
            excluded + self.tax,
            fixed + excluded,
            fixed + included,
            division,
            group,
            no_tax,
        )
        orders = self.env["sale.order"]
        for method in ("round_per_line", "round_globally"):
            self.company.tax_calculation_rounding_method = method
            for taxes in cases:
                order = self.make_order(
                    self.line(self.chair, 3, 21.53, taxes, discount=7.5),
                    self.line(self.lamp, 7, 12.12, taxes),
                    self.line(self.chair, 1, 0.03, taxes),
                    self.line(self.lamp, 1, 0.05, taxes),
                )
                order.action_confirm()
                orders += order
            mixed = self.make_order(
                *(self.line(self.lamp, 1, 9.99, taxes) for taxes in cases)
            )
            orders += mixed
            self.deliver(mixed)
            for order in orders:
                self.assertExact(order)
        self.assertEqual(len(orders), 18)
        # Known by hand: 3 x 21.53 - 7.5 % + 7 x 12.12 + 0.08, all with 21 % in it.
        self.assertRecorded(orders[0], revenue="144.66", ec_tx="25.10", ec_st="119.56")

    def test_delivery_with_its_own_tax(self):
        carrier = self.make_carrier(5.0, taxes=self.make_tax(6))
        order = self.make_order((self.chair, 2))
        self.add_delivery(order, carrier)
        self.deliver(order)
        self.assertExact(
            order,
            revenue="235.30",
            ec_st="200.00",
            ec_tx="30.30",
            ec_sh="5.00",
            items={"CHAIR": ("100.00", 2)},
        )

    def test_delivery_with_tax_in_its_price(self):
        carrier = self.make_carrier(6.05, taxes=self.make_tax(21, included=True))
        order = self.make_order((self.chair, 1))
        self.add_delivery(order, carrier)
        self.deliver(order)
        self.assertExact(order, revenue="121.05", ec_tx="16.05", ec_sh="5.00")

    def test_early_payment_discount_lowers_the_tax_alone(self):
        term = self.env["account.payment.term"].create(
            {
                "name": "2/7 Net 30",
                "early_discount": True,
                "discount_days": 7,
                "discount_percentage": 2,
                "early_pay_discount_computation": "mixed",
            }
        )
        order = self.make_order((self.chair, 2), payment_term_id=term.id)
        self.deliver(order)
        # 15 % of 196.00.
        self.assertExact(
            order,
            revenue="229.40",
            ec_st="200.00",
            ec_tx="29.40",
            items={"CHAIR": ("100.00", 2)},
        )

    # === DISCOUNTS === #

    def test_line_discount_lowers_the_price_of_its_item(self):
        order = self.make_order(self.line(self.chair, 3, discount=12.5))
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("87.50", 3)})

    def test_everything_free_is_an_order_of_zero(self):
        free = self.make_order(self.line(self.chair, 2, discount=100))
        nothing = self.make_order(self.line(self.lamp, 1, 0.0))
        self.deliver(free, nothing)
        self.assertExact(
            free, revenue="0.00", ec_st="0.00", items={"CHAIR": ("0.00", 2)}
        )
        self.assertExact(nothing, revenue="0.00", items={"LAMP": ("0.00", 1)})

    def test_discount_line_is_the_discount(self):
        order = self.make_order(
            (self.chair, 2), self.line(self.lamp, 1, -20.0, name="Goodwill")
        )
        self.deliver(order)
        self.assertExact(
            order,
            revenue="207.00",
            ec_st="200.00",
            ec_tx="27.00",
            ec_dt="20.00",
            items={"CHAIR": ("100.00", 2)},
        )

    def test_global_discount(self):
        order = self.make_order((self.chair, 2), self.line(self.lamp, 3, taxes=self.make_tax(6)))
        self.env["sale.order.discount"].create(
            {
                "sale_order_id": order.id,
                "discount_type": "so_discount",
                "discount_percentage": 0.1,
            }
        ).action_apply_discount()
        self.deliver(order)
        self.assertExact(
            order,
            ec_st="231.50",
            ec_dt="23.15",
            items={"CHAIR": ("100.00", 2), "LAMP": ("10.50", 3)},
        )

    def test_coupon(self):
        self.make_program(
            "promo_code",
            {"reward_type": "discount", "discount": 10, "discount_mode": "percent"},
            {"mode": "with_code", "code": "TENOFF", "minimum_qty": 0},
        )
        order = self.make_order((self.chair, 2), (self.lamp, 1))
        self.apply_code(order, "TENOFF")
        self.deliver(order)
        self.assertExact(
            order,
            revenue="217.87",
            ec_st="210.50",
            ec_tx="28.42",
            ec_dt="21.05",
            items={"CHAIR": ("100.00", 2), "LAMP": ("10.50", 1)},
        )

    def test_free_product_of_a_loyalty_reward(self):
        self.make_program(
            "buy_x_get_y",
            {
                "reward_type": "product",
                "reward_product_id": self.lamp.id,
                "required_points": 1,
            },
            {"product_ids": self.chair.ids, "minimum_qty": 1},
        )
        order = self.make_order((self.chair, 1))
        self.claim_rewards(order)
        self.assertEqual(len(order.order_line), 2)
        self.deliver(order)
        self.assertExact(
            order,
            revenue="115.00",
            items={"CHAIR": ("100.00", 1), "LAMP": ("0.00", 1)},
        )

    def test_second_one_free_of_the_same_product_is_one_item(self):
        order = self.make_order((self.chair, 3), self.line(self.chair, 1, discount=100))
        self.deliver(order)
        self.assertExact(order, revenue="345.00", items={"CHAIR": ("75.00", 4)})

    def test_gift_card_bought_is_an_item(self):
        card = self.env.ref("loyalty.gift_card_product_50").sudo()
        card.taxes_id = False
        order = self.make_order(self.line(card, 1, 50.0))
        self.deliver(order)
        self.assertExact(order, revenue="50.00", ec_tx="0.00", ec_st="50.00")

    def test_gift_card_used_is_a_discount(self):
        program = self.make_program(
            "gift_card",
            {
                "reward_type": "discount",
                "discount_mode": "per_point",
                "discount": 1,
                "discount_applicability": "order",
                "required_points": 1,
            },
            {"reward_point_mode": "money", "reward_point_split": True},
            applies_on="future",
            trigger="auto",
        )
        card = self.env["loyalty.card"].sudo().create(
            {"program_id": program.id, "points": 50, "code": "GIFT-50"}
        )
        order = self.make_order((self.chair, 1))
        self.apply_code(order, card.code)
        self.deliver(order)
        self.assertExact(
            order,
            revenue="65.00",
            ec_st="100.00",
            ec_tx="15.00",
            ec_dt="50.00",
            items={"CHAIR": ("100.00", 1)},
        )

    def test_free_delivery(self):
        carrier = self.make_carrier(5.0)
        self.make_program(
            "promotion",
            {"reward_type": "shipping"},
            {"minimum_qty": 0, "minimum_amount": 0},
        )
        rewarded = self.make_order((self.chair, 1))
        self.add_delivery(rewarded, carrier)
        self.claim_rewards(rewarded)
        self.assertEqual(len(rewarded.order_line), 3)
        generous = self.make_carrier(5.0, free_over=True, amount=50)
        free = self.make_order((self.chair, 1))
        self.add_delivery(free, generous)
        self.deliver(rewarded, free)
        self.assertExact(rewarded, revenue="115.00", ec_sh="5.00", ec_dt="5.00")
        self.assertExact(free, revenue="115.00", items={"CHAIR": ("100.00", 1)})

    def test_price_list(self):
        pricelist = self.env["product.pricelist"].create(
            {
                "name": "Friends",
                "currency_id": self.company.currency_id.id,
                "company_id": self.company.id,
                "item_ids": [
                    Command.create(
                        {
                            "compute_price": "percentage",
                            "percent_price": 20,
                            "applied_on": "3_global",
                        }
                    )
                ],
            }
        )
        order = self.make_order((self.chair, 2), pricelist_id=pricelist.id)
        self.deliver(order)
        self.assertExact(order, revenue="184.00", items={"CHAIR": ("80.00", 2)})

    # === CURRENCIES === #

    def make_currency_order(self, code, rates, *lines):
        currency = self.setup_other_currency(code, rates=rates)
        pricelist = self.env["product.pricelist"].create(
            {
                "name": code,
                "currency_id": currency.id,
                "company_id": self.company.id,
            }
        )
        return self.make_order(*lines, pricelist_id=pricelist.id)

    def test_foreign_currency_at_the_rate_of_the_orders_date(self):
        rates = [("2026-03-01", 2.0), ("2026-03-03", 4.0), ("2026-03-05", 8.0)]
        order = self.make_currency_order(
            "EUR", rates, self.line(self.chair, 2, 100.0)
        )
        with freeze_time("2026-03-04 09:00:00"):
            order.action_confirm()
            self.end_transaction()
        self.assertEqual(order.amount_total, 230.0)
        with freeze_time("2026-03-06 09:00:00"):
            self.run_sender()
        # 230 euros at 4 euros to the dollar.
        self.assertExact(
            order,
            revenue="57.50",
            ec_st="50.00",
            ec_tx="7.50",
            cdt="2026-03-04 09:00:00",
            items={"CHAIR": ("25.00", 2)},
        )

    def test_amounts_that_do_not_divide_add_up_all_the_same(self):
        order = self.make_currency_order(
            "EUR",
            [("2026-03-01", 0.917)],
            self.line(self.chair, 3, 33.33),
            self.line(self.lamp, 1, -7.77),
        )
        self.add_delivery(order, self.make_carrier(4.99))
        self.deliver(order)
        to_dollars = order.currency_id._convert
        day = order.date_order.date()
        company = self.company, day
        delivery = order.order_line.filtered("is_delivery")
        discount = order.order_line.filtered(lambda line: line.price_unit < 0)
        dollar = self.company.currency_id
        self.assertExact(
            order,
            revenue=cents(to_dollars(order.amount_total, dollar, *company)),
            ec_tx=cents(to_dollars(order.amount_tax, dollar, *company)),
            ec_sh=cents(to_dollars(delivery.price_subtotal, dollar, *company)),
            ec_dt=cents(to_dollars(-discount.price_subtotal, dollar, *company)),
        )

    def test_currency_without_decimals(self):
        order = self.make_currency_order(
            "JPY", [("2026-03-01", 150.0)], self.line(self.chair, 3, 1999)
        )
        self.assertEqual(order.amount_total, 6897)
        self.deliver(order)
        self.assertExact(order, revenue="45.98", ec_tx="6.00", ec_st="39.98")

    def test_currency_with_three_decimals(self):
        order = self.make_currency_order(
            "KWD", [("2026-03-01", 0.5)], self.line(self.chair, 1, 1.235)
        )
        self.deliver(order)
        self.assertEqual(order.amount_total, 1.42)
        self.assertExact(order, revenue="2.84", ec_tx="0.37", ec_st="2.47")

    def test_site_in_a_currency_without_or_with_three_decimals(self):
        for code, rate, revenue in (
            ("JPY", 150.0, "36312.00"),
            ("KWD", 0.3075, "74.44"),
        ):
            currency = self.setup_other_currency(code, rates=[("2026-03-01", rate)])
            self.site.sudo().currency_id = currency
            order = self.make_order((self.chair, 2), (self.lamp, 1))
            self.deliver(order)
            tax = order.currency_id._convert(
                order.amount_tax, currency, self.company, order.date_order.date()
            )
            self.assertExact(order, revenue=revenue, ec_tx=cents(tax))

    # === LINES === #

    def test_sections_and_notes_are_no_items(self):
        order = self.make_order(
            {"display_type": "line_section", "name": "Seats"},
            self.line(self.chair, 1),
            {"display_type": "line_note", "name": "Handle with care"},
        )
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("100.00", 1)})

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
        self.assertExact(
            order, items={"SET": ("0.00", 2), "CHAIR": ("125.00", 2)}
        )

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
        cheap = self.make_product("Screw", "SCREW", 0.0333, taxes=self.env["account.tax"])
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

    def test_unit_price_that_does_not_divide_is_told(self):
        order = self.make_order(self.line(self.chair, 3, 33.3333, discount=10))
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("30.00", 3)})
        order = self.make_order(self.line(self.chair, 1, 10), self.line(self.chair, 2, 20))
        self.deliver(order)
        self.assertExact(order, ec_st="50.00", items={"CHAIR": ("16.67", 3)})
        self.assertEqual(
            order.matomo_notes,
            "Chair: 3 x 16.67 make 50.01 in Matomo, +0.01 from the order's 50.00.",
        )

    def test_quantity_zero_bought_nothing(self):
        order = self.make_order((self.chair, 1), (self.lamp, 0))
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("100.00", 1)})

    def test_returned_line_is_not_bought(self):
        order = self.make_order((self.chair, 2), (self.lamp, -1))
        self.assertEqual(order.amount_total, 217.92)
        self.deliver(order)
        self.assertExact(
            order, revenue="230.00", ec_tx="30.00", items={"CHAIR": ("100.00", 2)}
        )
        self.assertFalse(order.matomo_notes)

    # === PRODUCTS === #

    def test_same_product_at_several_prices_is_one_item(self):
        order = self.make_order(
            self.line(self.chair, 1, 100), (self.lamp, 1), self.line(self.chair, 3, 60)
        )
        self.deliver(order)
        self.assertExact(
            order, items={"CHAIR": ("70.00", 4), "LAMP": ("10.50", 1)}
        )

    def test_two_products_with_one_reference_are_one_item(self):
        other = self.make_product("Stool", "CHAIR", 50.0)
        order = self.make_order((self.chair, 1), (other, 1))
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("75.00", 2)})

    def test_references_that_differ_in_case_are_two_items(self):
        other = self.make_product("Stool", "chair", 50.0)
        order = self.make_order((self.chair, 1), (other, 1))
        self.deliver(order)
        self.assertExact(
            order, items={"CHAIR": ("100.00", 1), "chair": ("50.00", 1)}
        )

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
            "Q": "12\" \"pro\" 'x' \\ / ;,",
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
        self.run_sender()
        self.assertExact(
            order, revenue="127.08", items={"CHAIR": ("100.00", 1)}, balance="10.50"
        )
        self.assertIn(
            "“Gone” is left out of the items: its product no longer exists.",
            order.matomo_notes,
        )

    # === THE LIFE OF AN ORDER === #

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

    def test_cancelled_after_it_was_sent_is_told(self):
        order = self.make_order((self.chair, 1))
        self.deliver(order)
        order._action_cancel()
        self.end_transaction()
        self.assertState(order, "sent")
        self.assertEqual(
            order.matomo_notes, "Matomo has $\xa0115.00, the order no longer counts."
        )

    def test_change_after_it_was_sent_is_told(self):
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

    def test_portal_customer_signs(self):
        portal = self.make_user("portal", "base.group_portal")
        order = self.make_order((self.chair, 1), partner_id=portal.partner_id.id)
        order.action_quotation_sent()
        # As the portal does when the customer has signed.
        order.with_user(portal).sudo()._validate_order()
        self.end_transaction()
        self.run_sender()
        self.assertExact(order, revenue="115.00")

    def test_web_order_and_its_duplicate_made_at_the_desk(self):
        other = self.site.sudo().copy({"name": "Web", "idsite": 2})
        website = self.env["website"].sudo().create(
            {
                "name": "Shop",
                "company_id": self.company.id,
                "matomo_site_id": other.id,
            }
        )
        order = self.make_order((self.chair, 1), website_id=website.id)
        order.sudo().matomo_visitor_id = "0123456789abcdef"
        order.sudo().matomo_ip_address = "203.0.113.9"
        self.confirm(order)
        copy = order.copy()
        self.confirm(copy)
        other.token_auth = self.site.sudo().token_auth
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

    def test_a_thousand_orders_confirmed_at_once(self):
        orders = self.env["sale.order"].create(
            [
                {
                    "partner_id": self.customer.id,
                    "order_line": [Command.create({"product_id": self.chair.id})],
                }
                for _number in range(1000)
            ]
        )
        orders.write({"state": "sale"})
        self.env.flush_all()
        requests = self.env["matomo.request"]
        requests._note(orders)
        self.env.invalidate_all()
        with self.assertQueryCount(40):
            self.env.cr.precommit.run()
        self.assertEqual(len(orders.sudo().matomo_request_ids), 1000)
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})
