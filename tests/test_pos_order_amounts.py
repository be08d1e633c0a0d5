from decimal import Decimal

from odoo import Command
from odoo.tests import freeze_time, tagged

from .common import AmountsCommon, cents


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestTillAmounts(AmountsCommon):
    """POS orders with returns, settlements, tips and rounding."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.down_payment = cls.make_product(
            "Down payment", "DOWN", 0.0, type="service", taxes=cls.env["account.tax"]
        )
        cls.config.down_payment_product_id = cls.down_payment

    def sell(self, *lines, **values):
        """Return a POS order that was sent to Matomo."""
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

    def pay_down(self, order, amount):
        return {
            "product_id": self.down_payment.id,
            "price_unit": amount,
            "sale_order_origin_id": order.id,
        }

    def total(self, *sales):
        """Return the sum of what the fake Matomo has of these orders."""
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
                total = sum(sale.lines.mapped("price_subtotal_incl"))
                tax = total - sum(sale.lines.mapped("price_subtotal"))
                self.assertExact(
                    sale,
                    revenue=cents(total),
                    ec_tx=cents(tax),
                    ec_dt=cents(-sale.lines[2].price_subtotal),
                )
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

    def test_line_of_quantity_zero_makes_a_refund_no_order(self):
        sale = self.sell((self.chair, 2))
        refund = self.sell(self.take_back(sale.lines), (self.lamp, 0))
        self.assertState(refund, "excluded", f"Refund of {sale.name}")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_what_only_takes_off_is_no_order(self):
        empties = self.make_product("Empties", "EMPTIES", 0.0)
        back = self.sell({"product_id": empties.id, "price_unit": -5.0})
        self.assertState(
            back,
            "excluded",
            "Nothing is bought, something is given back: Matomo counts no refunds.",
        )
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.sell(
            self.settle(order.order_line, 2),
            {"product_id": empties.id, "price_unit": -5.0},
        )
        self.assertState(
            sale,
            "excluded",
            f"Settled sales order {order.name}, which is counted there. What it takes"
            " off besides is not told to Matomo.",
        )
        self.assertExact(order, revenue="230.00")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_refund_of_a_discounted_sale_is_wholly_a_refund(self):
        sale = self.sell(
            (self.chair, 1), {"product_id": self.lamp.id, "price_unit": -9.0}
        )
        refund = self.sell(*(self.take_back(line) for line in sale.lines))
        self.assertState(refund, "excluded", f"Refund of {sale.name}")

    # === TIPS, ROUNDING, PAYMENTS === #

    def test_tip_is_revenue_and_a_later_tip_is_explained(self):
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

    def test_tip_after_the_payment_is_explained_though_the_total_lacks_it(self):
        tip = self.make_product(
            "Tip", "TIPS", 0.0, type="service", taxes=self.env["account.tax"]
        )
        late = self.sell((self.chair, 1))
        early = self.sync(self.make_sale((self.chair, 1)))
        # As the till's tip screen does it.
        for sale in early + late:
            self.env["pos.order.line"].create(
                {
                    "order_id": sale.id,
                    "product_id": tip.id,
                    "qty": 1,
                    "price_unit": 5.0,
                    "price_subtotal": 5.0,
                    "price_subtotal_incl": 5.0,
                }
            )
            sale.write({"is_tipped": True, "tip_amount": 5.0})
        self.end_transaction()
        self.env.invalidate_all()
        self.assertEqual(late.amount_total, 115.0)
        self.assertRecorded(late, revenue="115.00")
        self.assertEqual(
            late.matomo_notes, "Matomo has $\xa0115.00, the order is now $\xa0120.00."
        )
        self.run_sender()
        self.assertRecorded(early, revenue="120.00")
        self.assertFalse(early.matomo_notes)

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

    def test_more_settled_than_was_ordered(self):
        order = self.confirm(self.make_order((self.chair, 3)))
        first = self.sell(self.settle(order.order_line, 2))
        second = self.sell({**self.settle(order.order_line, 4), "price_unit": 90.0})
        third = self.sell(self.settle(order.order_line, 1), (self.lamp, 1))
        self.assertExact(order, revenue="345.00")
        self.assertState(first, "excluded", f"Settled sales order {order.name}")
        # Of these four one was ordered.
        self.assertExact(
            second, revenue="310.50", ec_tx="40.50", items={"CHAIR": ("90.00", 3)}
        )
        self.assertEqual(
            second.matomo_notes,
            f"Chair: 3 more than sales order {order.name} has; only these are counted "
            "here.",
        )
        self.assertExact(
            third,
            revenue="127.08",
            items={"CHAIR": ("100.00", 1), "LAMP": ("10.50", 1)},
        )

    def test_only_a_discount_is_settled_a_second_time(self):
        """A second settlement with only a discount was sent with a negative revenue."""
        reward = self.make_product("Reward", "REWARD", 0.0, type="service")
        discount = {**self.line(reward, 1), "price_unit": -10.0}
        order = self.confirm(self.make_order((self.chair, 2), discount))
        self.sell(
            *(self.settle(line, line.product_uom_qty) for line in order.order_line)
        )
        again = self.sell(self.settle(order.order_line[1], 1))
        self.assertState(again, "excluded", f"Settled sales order {order.name}")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_settled_once_more_after_the_till_took_it_back(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.sell(self.settle(order.order_line, 2))
        self.sell(self.take_back(sale.lines, 2))
        again = self.sell(self.settle(order.order_line, 2))
        self.assertExact(order, again, revenue="230.00")
        self.assertEqual(len(self.matomo.orders), 2)

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
        """Pay 100.00 in advance at the till, and settle the rest there.

        :return: tuple of the sales order, the down payment and the settlement
        """
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

    # === WHAT ODOO HAS STORED === #

    def test_tax_that_changes_after_the_sale_changes_nothing(self):
        tax = self.make_tax(20)
        sale = self.sync(self.make_sale({"product_id": self.chair.id, "taxes": tax}))
        # Until then Odoo lets nobody change it.
        self.session.action_pos_session_closing_control()
        tax.amount = 10
        self.run_sender()
        self.assertExact(
            sale, revenue="120.00", ec_tx="20.00", items={"CHAIR": ("100.00", 1)}
        )
        self.assertFalse(sale.matomo_notes)

    def test_lines_count_as_the_till_has_computed_them(self):
        """Where the till and Odoo round otherwise, the lines are what Odoo reports."""
        self.company.tax_calculation_rounding_method = "round_globally"
        values = self.make_sale(
            {"product_id": self.chair.id, "price_unit": 6.70},
            {"product_id": self.lamp.id, "price_unit": 6.70},
        )
        for line in values["lines"]:
            line[2].update(price_subtotal=6.70, price_subtotal_incl=7.71)
        sale = self.sync(values)
        sale._compute_prices()
        self.run_sender()
        self.assertEqual(sale.amount_total, 15.41)
        self.assertExact(sale, revenue="15.42", ec_tx="2.02", ec_st="13.40")
        self.assertFalse(sale.matomo_notes)
        self.env.flush_all()
        report = self.env["report.pos.order"].sudo()
        lines = report.search([("order_id", "=", sale.id)])
        self.assertAlmostEqual(sum(lines.mapped("price_total")), 15.42)

    def test_fixed_discount_in_a_currency_of_three_decimals(self):
        """The price is -2.28, what the till has stored -2.275 (odoo/odoo#287145)."""
        dinar = self.setup_other_currency("BHD", rates=[("2026-03-01", 1.0)])
        session = self.make_foreign_till(dinar)
        self.site.sudo().currency_id = dinar
        no_tax = self.env["account.tax"]
        values = self.make_sale(
            {"product_id": self.chair.id, "price_unit": 22.75, "taxes": no_tax},
            {"product_id": self.lamp.id, "price_unit": -2.28, "taxes": no_tax},
            session=session,
        )
        values["lines"][1][2].update(price_subtotal=-2.275, price_subtotal_incl=-2.275)
        payment = values["payment_ids"][0][2]
        payment.update(amount=20.475, payment_method_id=session.payment_method_ids.id)
        values.update(amount_total=20.475, amount_paid=20.475)
        sale = self.sync(values)
        self.run_sender()
        self.assertEqual(sale.lines[1].price_subtotal, -2.275)
        self.assertExact(sale, revenue="20.48", ec_dt="2.28", ec_st="22.76")
        self.assertFalse(sale.matomo_notes)

    def test_till_in_another_currency_than_its_company(self):
        """The rate that is stored on the sale counts, not one that comes in later."""
        euro = self.setup_other_currency("EUR", rates=[("2026-03-01", 2.0)])
        session = self.make_foreign_till(euro)
        sales = self.env["pos.order"]
        for _number in range(2):
            values = self.make_sale((self.chair, 1), session=session)
            payment = values["payment_ids"][0][2]
            payment["payment_method_id"] = session.payment_method_ids.id
            sales += self.sync(values)
        late, without = sales
        self.env["res.currency.rate"].create(
            {
                "name": "2026-03-03",
                "currency_id": euro.id,
                "company_id": self.company.id,
                "rate": 4.0,
            }
        )
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE pos_order SET currency_rate = 0 WHERE id = %s", [without.id]
        )
        self.env.invalidate_all()
        self.run_sender()
        self.assertEqual(late.currency_rate, 2.0)
        self.assertExact(
            late, revenue="57.50", ec_tx="7.50", items={"CHAIR": ("50.00", 1)}
        )
        self.assertEqual(
            late.matomo_notes,
            "Converted from 115.00\xa0€ at a rate of 2 EUR for 1 USD.",
        )
        self.assertExact(without, revenue="115.00", items={"CHAIR": ("100.00", 1)})
        late.date_order = "2026-03-03 11:00:00"
        self.end_transaction()
        self.env.invalidate_all()
        self.assertEqual(late.currency_rate, 4.0)
        self.assertNotIn("the order is now", late.matomo_notes)

    def test_down_payment_at_a_till_of_another_currency(self):
        """What the till has counted is taken off at the rate stored on its sale."""
        euro = self.setup_other_currency("EUR", rates=[("2026-03-01", 2.0)])
        pricelist = self.env["product.pricelist"].create(
            {"name": "EUR", "currency_id": euro.id, "company_id": self.company.id}
        )
        order = self.make_order(
            self.line(self.chair, 2, 200.0), pricelist_id=pricelist.id
        )
        self.company.sudo().matomo_site_id = False
        self.confirm(order)
        down = self.sell(self.pay_down(order, 100.0))
        self.assertExact(down, revenue="100.00")
        self.env["res.currency.rate"].create(
            {
                "name": "2026-03-03",
                "currency_id": euro.id,
                "company_id": self.company.id,
                "rate": 4.0,
            }
        )
        self.company.sudo().matomo_site_id = self.site
        order.action_matomo_retrack()
        self.run_sender()
        # 460 euros are 230 dollars.
        self.assertRecorded(
            order, revenue="130.00", ec_tx="30.00", ec_st="200.00", ec_dt="100.00"
        )
        self.assertEqual(self.total(order, down), Decimal("230.00"))

    def test_part_of_an_order_is_its_share_of_what_is_stored(self):
        """A tax that is changed between two tills changes neither part."""
        tax = self.make_tax(20)
        order = self.make_order(
            self.line(self.chair, 3, 33.33, tax), self.line(self.lamp, 1, 10.0, tax)
        )
        self.company.sudo().matomo_site_id = False
        self.confirm(order)
        sale = self.sell(self.settle(order.order_line[0], 1))
        self.assertExact(sale, revenue="40.00", ec_tx="6.67")
        self.session.action_pos_session_closing_control()
        tax.amount = 5
        self.company.sudo().matomo_site_id = self.site
        order.action_matomo_retrack()
        self.run_sender()
        # Two of three of 99.99 and 119.99, and 10.00 and 12.00.
        self.assertRecorded(
            order, revenue="91.99", ec_tx="15.33", ec_st="76.66", ec_dt="0.00"
        )
        self.assertEqual(self.total(order, sale), Decimal("131.99"))
        self.assertEqual(order.amount_total, 131.99)
