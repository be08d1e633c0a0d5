from unittest.mock import patch

from odoo import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import SQL

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
        term = self.make_early_payment_term()
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
        rate = order.currency_rate
        delivery = order.order_line.filtered("is_delivery")
        discount = order.order_line.filtered(lambda line: line.price_unit < 0)
        self.assertExact(
            order,
            revenue=cents(order.amount_total / rate),
            ec_tx=cents(order.amount_tax / rate),
            ec_sh=cents(delivery.price_subtotal / rate),
            ec_dt=cents(-discount.price_subtotal / rate),
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
        self.assertEqual(
            order.matomo_notes,
            "Converted from $\xa09.89 at a rate of 150 JPY for 1 USD.",
        )

    def test_rate_that_comes_in_after_the_order_changes_nothing(self):
        """Matomo got 28.75: a rate of the same day had come in before the sending."""
        order = self.make_currency_order(
            "EUR", [("2026-03-01", 2.0)], self.line(self.chair, 2, 50.0)
        )
        order.action_confirm()
        self.end_transaction()
        self.env["res.currency.rate"].create(
            {
                "name": "2026-03-03",
                "currency_id": order.currency_id.id,
                "company_id": self.company.id,
                "rate": 4.0,
            }
        )
        self.run_sender()
        self.assertEqual(order.currency_rate, 2.0)
        self.assertExact(
            order,
            revenue="57.50",
            ec_tx="7.50",
            items={"CHAIR": ("25.00", 2)},
        )
        self.assertEqual(
            order.matomo_notes,
            "Converted from 115.00\xa0€ at a rate of 2 EUR for 1 USD.",
        )
        self.env.flush_all()
        report = self.env["sale.report"].sudo().with_company(self.company)
        lines = report.search([("name", "=", order.name)])
        self.assertEqual(sum(lines.mapped("price_total")), 57.5)

    def test_order_without_a_rate_counts_as_it_is(self):
        for rate in (0, None):
            order = self.make_currency_order(
                "EUR", [("2026-03-01", 2.0)], self.line(self.chair, 1, 50.0)
            )
            order.action_confirm()
            self.end_transaction()
            self.set_stored(order, currency_rate=rate)
            self.run_sender()
            self.assertExact(order, revenue="57.50", items={"CHAIR": ("50.00", 1)})

    def test_third_currency_is_converted_from_the_companys(self):
        """2 euros to the dollar are stored, 0.5 pounds were one on the order's day."""
        pound = self.setup_other_currency(
            "GBP", rates=[("2026-03-01", 0.5), ("2026-03-04", 0.25)]
        )
        self.site.sudo().currency_id = pound
        order = self.make_currency_order(
            "EUR", [("2026-03-01", 2.0)], self.line(self.chair, 2, 50.0)
        )
        self.confirm(order)
        with freeze_time("2026-03-05 09:00:00"):
            self.run_sender()
        self.assertExact(
            order, revenue="28.75", ec_tx="3.75", items={"CHAIR": ("12.50", 2)}
        )
        self.assertEqual(
            order.matomo_notes,
            "Converted from 115.00\xa0€ at a rate of 4 EUR for 1 GBP.",
        )

    def test_request_keeps_what_it_was_converted_from(self):
        order = self.make_currency_order(
            "EUR",
            [("2026-03-01", 2.0), ("2026-03-02", 4.0)],
            self.line(self.chair, 2, 100.0),
        )
        self.deliver(order)
        request = self.get_request(order)
        self.assertEqual(request.revenue, 57.5)
        self.assertEqual(request.currency_id.name, "USD")
        self.assertEqual(request.order_revenue, 230.0)
        self.assertEqual(request.order_currency_id.name, "EUR")
        self.assertEqual(request.order_rate, 4.0)
        # The rate stored on the order follows its date, the one that was sent stays.
        order.date_order = "2026-03-01 10:00:00"
        order.order_line.name = "Chair, red"
        self.end_transaction()
        self.env.invalidate_all()
        self.assertEqual(order.currency_rate, 2.0)
        self.assertEqual(
            order.matomo_notes,
            "Converted from 230.00\xa0€ at a rate of 4 EUR for 1 USD.\n"
            "Matomo has it on 03/03/2026, the order is now of 03/01/2026.",
        )
        order.order_line.write({"product_uom_qty": 3, "price_unit": 100.0})
        self.end_transaction()
        self.env.invalidate_all()
        # 345 euros at the rate at which Matomo got the rest.
        self.assertIn(
            "Matomo has $\xa057.50, the order is now $\xa086.25.", order.matomo_notes
        )

    def test_request_of_an_older_version_is_compared_at_the_rate_of_the_order(self):
        order = self.make_currency_order(
            "EUR", [("2026-03-01", 2.0)], self.line(self.chair, 2, 100.0)
        )
        self.deliver(order)
        self.get_request(order).write(
            {"order_revenue": 0, "order_currency_id": False, "order_rate": 0}
        )
        self.env.invalidate_all()
        self.assertFalse(order.matomo_notes)
        order.order_line.write({"product_uom_qty": 3, "price_unit": 100.0})
        self.end_transaction()
        self.env.invalidate_all()
        self.assertEqual(
            order.matomo_notes,
            "Matomo has $\xa0115.00, the order is now $\xa0172.50.",
        )

    # === WHAT ODOO HAS STORED === #

    def test_tax_that_changes_after_the_order_changes_nothing(self):
        """Matomo got 110.00: the tax was computed anew as the order was sent."""
        tax = self.make_tax(20)
        included = self.make_tax(25, included=True)
        order = self.make_order(self.line(self.chair, 1, 100.0, tax))
        inclusive = self.make_order(self.line(self.chair, 3, 125.0, included))
        for each in order + inclusive:
            each.action_confirm()
        self.end_transaction()
        tax.amount = 10
        included.amount = 5
        self.run_sender()
        self.assertExact(
            order, revenue="120.00", ec_tx="20.00", items={"CHAIR": ("100.00", 1)}
        )
        self.assertExact(
            inclusive, revenue="375.00", ec_tx="75.00", items={"CHAIR": ("100.00", 3)}
        )
        self.assertFalse(order.matomo_notes or inclusive.matomo_notes)

    def test_tax_that_is_archived_or_gone_after_the_order_changes_nothing(self):
        archived, gone = self.make_tax(20), self.make_tax(10)
        order = self.make_order(self.line(self.chair, 1, 100.0, archived + gone))
        order.action_confirm()
        self.end_transaction()
        self.env.flush_all()
        archived.sudo().active = False
        self.env.cr.execute(
            "DELETE FROM account_tax_sale_order_line_rel WHERE account_tax_id = %s",
            [gone.id],
        )
        self.env.invalidate_all()
        self.run_sender()
        self.assertEqual(order.order_line.tax_ids, archived)
        self.assertExact(order, revenue="130.00", ec_tx="30.00")

    def test_rounding_of_the_whole_order(self):
        """Odoo's total is 15.41, the sum of its lines 15.42 (odoo/odoo#109628)."""
        self.company.tax_calculation_rounding_method = "round_globally"
        order = self.make_order(
            self.line(self.chair, 1, 6.70), self.line(self.lamp, 1, 6.70)
        )
        order.action_confirm()
        self.end_transaction()
        self.assertEqual(sum(order.order_line.mapped("price_total")), 15.42)
        # Only what is stored counts: the method may have changed since.
        self.company.tax_calculation_rounding_method = "round_per_line"
        self.run_sender()
        self.assertExact(order, revenue="15.41", ec_tx="2.01", ec_st="13.40")
        self.assertFalse(order.matomo_notes)

    def test_returned_line_leaves_the_stored_totals_of_the_others(self):
        self.company.tax_calculation_rounding_method = "round_globally"
        order = self.make_order(
            self.line(self.chair, 1, 6.70),
            self.line(self.lamp, 1, 6.70),
            self.line(self.lamp, -1, 5.00),
        )
        self.deliver(order)
        self.assertExact(order, revenue="15.42", ec_tx="2.02", ec_st="13.40")

    def test_fee_that_another_module_adds_to_the_total(self):
        """A fee is in no line: it is revenue, and the tab says so."""
        compute = type(self.env["sale.order"])._compute_amounts

        def compute_with_fee(orders):
            compute(orders)
            for order in orders:
                order.amount_total += 5.0

        with patch.object(
            type(self.env["sale.order"]), "_compute_amounts", compute_with_fee
        ):
            order = self.make_order((self.chair, 2))
            order.action_confirm()
            self.end_transaction()
        self.run_sender()
        self.assertExact(
            order,
            revenue="235.00",
            ec_tx="30.00",
            ec_st="205.00",
            items={"CHAIR": ("100.00", 2)},
            balance="5.00",
        )
        self.assertEqual(
            order.matomo_notes,
            "The subtotal 205.00 differs from the sum of the products by +5.00.",
        )

    def test_discount_that_another_module_takes_off_the_total(self):
        """As OCA's ``sale_global_discount`` does it, in none of the lines."""
        compute = type(self.env["sale.order"])._compute_amounts

        def compute_with_discount(orders):
            compute(orders)
            for order in orders:
                order.amount_untaxed *= 0.9
                order.amount_tax *= 0.9
                order.amount_total = order.amount_untaxed + order.amount_tax

        with patch.object(
            type(self.env["sale.order"]), "_compute_amounts", compute_with_discount
        ):
            order = self.make_order((self.chair, 2))
            order.action_confirm()
            self.end_transaction()
        self.run_sender()
        self.assertExact(
            order, revenue="207.00", ec_tx="27.00", ec_st="180.00", balance="20.00"
        )
        self.assertEqual(
            order.matomo_notes,
            "The subtotal 180.00 differs from the sum of the products by -20.00.",
        )

    def test_total_that_somebody_has_set(self):
        order = self.make_order((self.chair, 2))
        order.action_confirm()
        self.end_transaction()
        self.set_stored(order, amount_total=200.0, amount_tax=0.0)
        self.run_sender()
        self.assertExact(order, revenue="200.00", ec_tx="0.00", ec_st="200.00")
        self.set_stored(order, amount_total=210.0)
        self.assertIn(
            "Matomo has $\xa0200.00, the order is now $\xa0210.00.", order.matomo_notes
        )

    def test_full_discount_that_leaves_a_cent(self):
        """Odoo's total of a full discount need not be zero (odoo/odoo#248889)."""
        self.env["decimal.precision"].sudo().search(
            [("name", "=", "Product Price")]
        ).digits = 4
        order = self.make_order(
            self.line(self.chair, 4, 2.8207), self.line(self.lamp, 5, 2.8207)
        )
        self.env["sale.order.discount"].create(
            {
                "sale_order_id": order.id,
                "discount_type": "so_discount",
                "discount_percentage": 1.0,
            }
        ).action_apply_discount()
        self.deliver(order)
        discount = order.order_line.filtered(lambda line: line.price_subtotal < 0)
        sent = self.recorded(order)
        self.assertExact(order, ec_dt=cents(-discount.price_subtotal))
        self.assertNotIn("-0.00", sent.values())
        self.assertNotIn("differs", order.matomo_notes or "")

    def set_stored(self, order, **values):
        """Set what Odoo has stored, past Odoo."""
        self.env.flush_all()
        for name, value in values.items():
            self.env.cr.execute(
                SQL(
                    "UPDATE %s SET %s = %s WHERE id = %s",
                    SQL.identifier(order._table),
                    SQL.identifier(name),
                    value,
                    order.id,
                )
            )
        self.env.invalidate_all()
