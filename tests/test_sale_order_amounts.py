from odoo import Command
from odoo.tests import freeze_time, tagged

from .common import AmountsCommon, cents


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestSaleAmounts(AmountsCommon):
    """Taxes, discounts and currencies of sales orders."""

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

    def test_early_payment_discount_of_an_invoice_changes_nothing(self):
        for mode in ("included", "excluded"):
            term = self.env["account.payment.term"].create(
                {
                    "name": "2/7 Net 30",
                    "early_discount": True,
                    "discount_days": 7,
                    "discount_percentage": 2,
                    "early_pay_discount_computation": mode,
                }
            )
            order = self.make_order((self.chair, 2), payment_term_id=term.id)
            self.deliver(order)
            self.assertExact(order, revenue="230.00", ec_tx="30.00")

    def test_fiscal_position_maps_a_tax_in_the_price(self):
        included = self.make_tax(21, included=True)
        tin = self.make_product("Tin", "TIN", 121.0, taxes=included)
        for tax, revenue in (
            (self.make_tax(6), "318.00"),
            (self.make_tax(0), "300.00"),
            (self.make_tax(8, included=True), "324.00"),
        ):
            position = self.env["account.fiscal.position"].create(
                {"name": tax.name, "company_id": self.company.id}
            )
            tax.write(
                {
                    "fiscal_position_ids": [Command.link(position.id)],
                    "original_tax_ids": [Command.link(included.id)],
                }
            )
            order = self.make_order((tin, 3), fiscal_position_id=position.id)
            self.deliver(order)
            self.assertExact(order, revenue=revenue, items={"TIN": ("100.00", 3)})

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

    def test_balance_within_the_coins_of_the_currency_is_no_note(self):
        yen = self.setup_other_currency("JPY", rates=[("2026-03-01", 150.0)])
        products = [self.make_product(f"P{n}", f"P{n}", 0.43) for n in range(20)]
        self.site.sudo().currency_id = yen
        order = self.make_order(*((product, 1) for product in products))
        self.deliver(order)
        # 64.5 yen each are 65 yen as an item, and 1,290 together.
        sent = self.recorded(order)
        self.assertEqual(sent["ec_st"], "1290.00")
        self.assertEqual(set(self.quantities(order).values()), {("65.00", 1)})
        self.assertFalse(order.matomo_notes)
