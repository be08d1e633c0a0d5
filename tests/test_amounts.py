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
            children_tax_ids=[Command.set((self.make_tax(3) + self.make_tax(4.5)).ids)],
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
                    self.line(self.chair, 1, 1.03, taxes),
                    self.line(self.lamp, 1, 1.05, taxes),
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
        # By hand: 3 x 21.53 - 7.5 %, 7 x 12.12 and 2.08, with 21 % in it.
        self.assertRecorded(orders[0], revenue="146.67")

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
        order = self.make_order(
            (self.chair, 2), self.line(self.lamp, 3, taxes=self.make_tax(6))
        )
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
        card = (
            self.env["loyalty.card"]
            .sudo()
            .create({"program_id": program.id, "points": 50, "code": "GIFT-50"})
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
        order = self.make_currency_order("EUR", rates, self.line(self.chair, 2, 100.0))
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

    def test_unit_price_that_does_not_divide_is_told(self):
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

    def test_quantity_zero_bought_nothing(self):
        order = self.make_order((self.chair, 1), (self.lamp, 0))
        self.deliver(order)
        self.assertExact(order, items={"CHAIR": ("100.00", 1)})

    def test_returned_line_is_not_bought(self):
        order = self.make_order((self.chair, 2), (self.lamp, -1))
        self.assertEqual(order.amount_total, 217.93)
        self.deliver(order)
        # The returned lamp is 12.08 of it: Odoo rounds the tax of the whole order.
        self.assertExact(
            order, revenue="230.01", ec_tx="30.01", items={"CHAIR": ("100.00", 2)}
        )
        self.assertFalse(order.matomo_notes)

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
        order = self.make_order((self.chair, 1), state="sale")
        orders = self.clone_orders(order, 1000)
        self.env["matomo.request"]._note(orders)
        with self.assertQueryCount(40):
            self.env.cr.precommit.run()
        self.assertEqual(len(orders.sudo().matomo_request_ids), 1000)
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestTillAmounts(AmountsCommon):
    """Till sales: what is bought, returned, settled, tipped, rounded."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.down_payment = cls.make_product(
            "Down payment", "DOWN", 0.0, type="service", taxes=cls.env["account.tax"]
        )
        cls.config.down_payment_product_id = cls.down_payment

    def sell(self, *lines, **values):
        """A sale from the till, sent to Matomo."""
        sale = self.sync(self.make_sale(*lines, **values))
        self.run_sender()
        return sale

    def take_back(self, line, quantity=1):
        return {
            "product_id": line.product_id.id,
            "qty": -quantity,
            "price_unit": line.price_unit,
            "discount": line.discount,
            "taxes": line.tax_ids,
            "refunded_orderline_id": line.id,
        }

    def settle(self, line, quantity):
        """What the till makes of a line of a sales order."""
        return {
            "product_id": line.product_id.id,
            "qty": quantity,
            "price_unit": line.price_unit,
            "taxes": line.tax_ids,
            "sale_order_origin_id": line.order_id.id,
            "sale_order_line_id": line.id,
        }

    def pay_down(self, order, amount):
        return {
            "product_id": self.down_payment.id,
            "price_unit": amount,
            "sale_order_origin_id": order.id,
        }

    def total(self, *sales):
        """What the fake Matomo has of the sales."""
        found = [self.recorded(sale) for sale in sales]
        return sum(Decimal(order["revenue"]) for order in found if order)

    # === TAXES AND LINES === #

    def test_taxes_of_every_kind_rounded_per_line_and_globally(self):
        included = self.make_tax(21, included=True)
        excluded = self.make_tax(6)
        fixed = self.make_tax(0.37, kind="fixed", include_base_amount=True, sequence=0)
        cases = (included, excluded, excluded + self.tax, fixed + excluded)
        for method in ("round_per_line", "round_globally"):
            self.company.tax_calculation_rounding_method = method
            for taxes in cases:
                sale = self.sync(
                    self.make_sale(
                        {
                            "product_id": self.chair.id,
                            "qty": 3,
                            "price_unit": 21.53,
                            "discount": 7.5,
                            "taxes": taxes,
                        },
                        {
                            "product_id": self.lamp.id,
                            "qty": 1,
                            "price_unit": 21.53,
                            "taxes": taxes,
                        },
                        {
                            "product_id": self.lamp.id,
                            "qty": 1,
                            "price_unit": -3.33,
                            "taxes": taxes,
                        },
                    )
                )
                # The till has added up line by line; Odoo as it is set up.
                sale._compute_prices()
                self.run_sender()
                recorded = self.recorded(sale)
                self.assertExact(sale, ec_dt=recorded["ec_dt"])
                self.assertGreater(Decimal(recorded["ec_dt"]), 2)

    def test_quantities_and_combo(self):
        combo = self.make_product("Menu", "MENU", 0.0)
        sale = self.sell(
            (self.chair, 0.35),
            (combo, 1),
            {"product_id": self.lamp.id, "qty": 2, "price_unit": 4.0},
        )
        self.assertExact(
            sale,
            items={
                "CHAIR": ("35.00", 1),
                "MENU": ("0.00", 1),
                "LAMP": ("4.00", 2),
            },
        )
        self.assertIn("a quantity of 0.35 at this price", sale.matomo_notes)

    def test_discounts_rewards_and_gift_cards_used(self):
        reward = self.make_product(
            "Reward", "REWARD", 0.0, taxes=self.env["account.tax"], type="service"
        )
        sale = self.sell(
            (self.chair, 2),
            {"product_id": reward.id, "price_unit": -50.0},
            {"product_id": reward.id, "price_unit": -20.0, "taxes": self.tax},
        )
        self.assertExact(
            sale,
            revenue="157.00",
            ec_st="200.00",
            ec_tx="27.00",
            ec_dt="70.00",
            items={"CHAIR": ("100.00", 2)},
        )

    def test_sale_of_zero(self):
        sale = self.sell({"product_id": self.chair.id, "discount": 100.0})
        self.assertExact(sale, revenue="0.00", items={"CHAIR": ("0.00", 1)})

    def test_site_in_another_currency(self):
        self.site.sudo().currency_id = self.setup_other_currency(
            "EUR", rates=[("2026-03-01", 0.5), ("2026-03-02", 0.25)]
        )
        sale = self.sell((self.chair, 2), date_order="2026-03-01 20:00:00")
        self.assertExact(
            sale, revenue="115.00", ec_tx="15.00", items={"CHAIR": ("50.00", 2)}
        )

    def test_draft_of_a_restaurant_is_tracked_once_it_is_paid(self):
        values = self.make_sale((self.chair, 1), access_token="order-token")
        draft = self.sync({**values, "state": "draft", "payment_ids": []})
        self.assertEqual(draft.state, "draft")
        self.assertFalse(draft.matomo_state)
        lines = [Command.update(draft.lines.id, {"qty": 1})]
        paid = self.sync({**values, "lines": lines})
        self.assertEqual(paid, draft)
        self.run_sender()
        self.assertExact(paid, revenue="115.00")

    # === RETURNS === #

    def test_two_refunds_of_one_sale(self):
        sale = self.sell((self.chair, 2), (self.lamp, 1))
        refunds = [
            self.sell(self.take_back(sale.lines[0]), is_refund=True),
            self.sell(self.take_back(sale.lines[0]), is_refund=True),
        ]
        for refund in refunds:
            self.assertState(
                refund, "excluded", f"Refund of {sale.name}: Matomo counts no refunds."
            )
        self.assertEqual(len(self.matomo.orders), 1)
        self.assertExact(sale)

    def test_exchange_counts_what_is_bought(self):
        sale = self.sell((self.chair, 2))
        cheaper = self.sell(self.take_back(sale.lines), (self.lamp, 2))
        self.assertLess(cheaper.amount_total, 0)
        self.assertExact(
            cheaper, revenue="24.15", ec_tx="3.15", items={"LAMP": ("10.50", 2)}
        )
        dearer = self.sell(self.take_back(sale.lines), (self.chair, 3))
        self.assertExact(
            dearer, revenue="345.00", ec_tx="45.00", items={"CHAIR": ("100.00", 3)}
        )
        self.assertFalse(dearer.matomo_notes)

    def test_return_without_a_sale(self):
        refund = self.sell({"product_id": self.chair.id, "qty": -1})
        self.assertState(refund, "excluded", "A return: Matomo counts no refunds.")

    def test_refund_of_a_discounted_sale_is_wholly_a_refund(self):
        sale = self.sell(
            (self.chair, 1), {"product_id": self.lamp.id, "price_unit": -9.0}
        )
        refund = self.sell(*(self.take_back(line) for line in sale.lines))
        self.assertState(refund, "excluded", f"Refund of {sale.name}")

    # === TIPS, ROUNDING, PAYMENTS === #

    def test_tip_is_revenue_and_a_later_tip_is_told(self):
        tip = self.make_product(
            "Tip", "TIPS", 0.0, type="service", taxes=self.env["account.tax"]
        )
        line = {"product_id": tip.id, "price_unit": 5.0}
        sale = self.sell((self.chair, 1), line)
        self.assertExact(
            sale,
            revenue="120.00",
            ec_tx="15.00",
            items={"CHAIR": ("100.00", 1), "TIPS": ("5.00", 1)},
        )
        later = self.sell((self.chair, 1))
        later.write(
            {
                "lines": [
                    Command.create(
                        {
                            **line,
                            "qty": 1,
                            "price_subtotal": 5.0,
                            "price_subtotal_incl": 5.0,
                        }
                    )
                ],
                "payment_ids": [
                    Command.create({"amount": 5, "payment_method_id": self.cash.id})
                ],
            }
        )
        self.end_transaction()
        self.assertEqual(later.amount_total, 120.0)
        self.assertEqual(
            later.matomo_notes,
            "Matomo has $\xa0115.00, the order is now $\xa0120.00.",
        )

    def make_rounding_till(self, **values):
        """A second till that rounds to five cents."""
        accounts = self.company_data
        rounding = self.env["account.cash.rounding"].create(
            {
                "name": "Five cents",
                "rounding": 0.05,
                "rounding_method": "HALF-UP",
                "strategy": "add_invoice_line",
                "profit_account_id": accounts["default_account_revenue"].id,
                "loss_account_id": accounts["default_account_expense"].id,
            }
        )
        cash = self.cash.copy(
            {"journal_id": accounts["default_journal_cash"].copy().id}
        )
        config = self.env["pos.config"].create(
            {
                "name": "Butcher",
                "company_id": self.company.id,
                "payment_method_ids": [Command.set(cash.ids)],
                "matomo_site_id": self.site.id,
                "cash_rounding": True,
                "rounding_method": rounding.id,
                **values,
            }
        )
        config.open_ui()
        config.current_session_id.set_opening_control(0, None)
        return config.current_session_id

    def test_cash_rounding_is_no_revenue_and_a_corrected_payment_no_change(self):
        for only_cash in (True, False):
            session = self.make_rounding_till(only_round_cash_method=only_cash)
            values = self.make_sale((self.lamp, 1), session=session)
            # 10.50 and 1.58 tax.
            payment = values["payment_ids"][0][2]
            payment["amount"] = values["amount_paid"] = 12.1
            payment["payment_method_id"] = session.payment_method_ids.id
            sale = self.sync(values)
            self.run_sender()
            self.assertExact(sale, revenue="12.08", ec_tx="1.58", ec_st="10.50")
            sale.payment_ids.amount = 12.1
            sale.write(
                {"payment_ids": [Command.update(sale.payment_ids.id, {"amount": 12.1})]}
            )
            self.end_transaction()
            self.run_sender()
            self.assertFalse(sale.matomo_notes)
            self.assertState(sale, "sent")
        self.assertEqual(len(self.matomo.bulks), 2)

    def test_invoiced_and_closed_sale_is_counted_once(self):
        sale = self.sell((self.chair, 1), partner_id=self.customer.id, to_invoice=True)
        self.assertTrue(sale.account_move)
        plain = self.sell((self.lamp, 2))
        self.session.action_pos_session_closing_control()
        self.end_transaction()
        self.assertEqual((sale + plain).mapped("state"), ["done", "done"])
        self.run_sender()
        self.assertExact(sale, plain)
        self.assertEqual(len(self.matomo.orders), 2)

    def test_two_devices_with_the_same_sale_name(self):
        first, second = self.sell((self.chair, 1)), self.sell((self.lamp, 1))
        second.name = first.name
        third = self.sync(self.make_sale((self.lamp, 2)))
        third.name = first.name
        self.run_sender()
        self.assertExact(first, second, third)
        self.assertEqual(len(self.matomo.orders), 3)

    def test_session_synced_twice(self):
        sales = [self.make_sale((self.chair, number)) for number in (1, 2, 3)]
        first = self.sync(*(dict(sale) for sale in sales))
        self.run_sender()
        second = self.sync(*(dict(sale) for sale in sales))
        self.run_sender()
        self.assertEqual(first, second)
        self.assertExact(*first)
        self.assertEqual(len(self.matomo.orders), 3)
        self.assertEqual(len(self.matomo.bulks), 1)

    # === SETTLING SALES ORDERS === #

    def test_settled_wholly_of_a_site_that_tracks_it(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.sell(self.settle(order.order_line, 2), (self.lamp, 1))
        self.assertExact(order, revenue="230.00")
        # The lamp is this sale's own.
        self.assertExact(
            sale, revenue="12.08", ec_tx="1.58", items={"LAMP": ("10.50", 1)}
        )

    def test_settled_partly_of_a_site_that_tracks_it(self):
        order = self.confirm(self.make_order((self.chair, 5)))
        for quantity in (2, 3):
            sale = self.sell(self.settle(order.order_line, quantity))
            self.assertState(
                sale,
                "excluded",
                f"Settled sales order {order.name}, which is counted there.",
            )
        self.assertExact(order, revenue="575.00")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_refund_of_what_was_settled(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.sell(self.settle(order.order_line, 2))
        refund = self.sell(self.take_back(sale.lines))
        self.assertState(refund, "excluded", f"Refund of {sale.name}")

    def test_quotation_confirmed_by_its_settlement(self):
        order = self.make_order((self.chair, 2))
        sale = self.sell(self.settle(order.order_line, 2))
        self.assertEqual(order.state, "sale")
        self.assertExact(order, revenue="230.00")
        self.assertState(sale, "excluded", f"Settled sales order {order.name}")

    def settle_with_down_payment(self):
        """100.00 paid down at the till, the rest settled there."""
        order = self.make_order((self.chair, 2))
        down = self.sell(self.pay_down(order, 100.0))
        self.assertEqual(order.state, "sale")
        deduction = order.order_line.filtered(
            lambda line: line.is_downpayment and not line.display_type
        )
        self.assertTrue(deduction)
        rest = self.sell(
            self.settle(order.order_line[0], 2),
            {
                **self.settle(deduction, -1),
                "product_id": self.down_payment.id,
                "price_unit": 100.0,
            },
        )
        self.assertEqual(down.amount_total + rest.amount_total, order.amount_total)
        return order, down, rest

    def test_down_payment_of_an_order_of_a_site_that_tracks_it(self):
        order, down, rest = self.settle_with_down_payment()
        self.assertExact(order, revenue="230.00", items={"CHAIR": ("100.00", 2)})
        for sale in (down, rest):
            self.assertState(sale, "excluded", f"Settled sales order {order.name}")

    def test_down_payment_of_an_order_that_nobody_tracks(self):
        self.company.sudo().matomo_site_id = False
        order, down, rest = self.settle_with_down_payment()
        self.assertState(order, "excluded", "No Matomo site is set for salespeople's")
        self.assertExact(down, revenue="100.00", items={"DOWN": ("100.00", 1)})
        self.assertExact(
            rest, revenue="130.00", ec_dt="100.00", items={"CHAIR": ("100.00", 2)}
        )
        self.assertEqual(self.total(down, rest), Decimal("230.00"))

    def test_settled_of_an_order_that_nobody_tracks_counts_at_the_till(self):
        self.company.sudo().matomo_site_id = False
        order = self.confirm(self.make_order((self.chair, 5)))
        sales = [self.sell(self.settle(order.order_line, n)) for n in (2, 3)]
        self.assertExact(*sales)
        self.assertEqual(self.total(*sales), Decimal("575.00"))

    def test_settled_of_a_cancelled_order_counts_at_the_till(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        order._action_cancel()
        sale = self.sell(self.settle(order.order_line, 2))
        self.assertExact(sale, revenue="230.00")
        self.assertState(order, "cancelled")

    def test_deleted_product_is_left_out_and_named(self):
        sale = self.sync(self.make_sale((self.chair, 1), (self.lamp, 1)))
        line = sale.lines[1]
        line.name = "Gone"
        self.env.flush_all()
        self.env.cr.execute("ALTER TABLE pos_order_line ALTER product_id DROP NOT NULL")
        self.env.cr.execute(
            "UPDATE pos_order_line SET product_id = NULL WHERE id = %s", [line.id]
        )
        self.env.invalidate_all()
        self.run_sender()
        self.assertExact(
            sale, revenue="127.08", items={"CHAIR": ("100.00", 1)}, balance="10.50"
        )
        self.assertIn("“Gone” is left out of the items", sale.matomo_notes)
