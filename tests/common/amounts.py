"""Difficult orders for the tests of amounts, and strict checks of what is sent."""

import json
from decimal import Decimal

from odoo import Command

from .till import MatomoPosCommon

AMOUNTS = ("revenue", "ec_st", "ec_tx", "ec_sh", "ec_dt")


def cents(amount):
    """Return ``amount`` as a text with two decimals, as the addon sends it."""
    return f"{Decimal(f'{amount:.6f}').quantize(Decimal('0.01'), 'ROUND_HALF_UP'):.2f}"


class AmountsCommon(MatomoPosCommon):
    @classmethod
    def make_tax(cls, amount, kind="percent", included=False, **values):
        return cls.env["account.tax"].create(
            {
                "name": f"{amount} {kind} {included} {values}",
                "amount": amount,
                "amount_type": kind,
                "type_tax_use": "sale",
                "price_include_override": "tax_included"
                if included
                else "tax_excluded",
                "company_id": cls.company.id,
                **values,
            }
        )

    @classmethod
    def make_carrier(cls, price, taxes=None, **values):
        product = cls.make_product(
            "Parcel", "PARCEL", price, type="service", taxes=taxes or cls.tax
        )
        # A salesperson does not set up delivery.
        return (
            cls.env["delivery.carrier"]
            .sudo()
            .create(
                {
                    "name": "Parcel",
                    "delivery_type": "fixed",
                    "fixed_price": price,
                    "product_id": product.id,
                    "company_id": cls.company.id,
                    **values,
                }
            )
        )

    def make_program(self, kind, reward, rule=None, **values):
        """Return a new loyalty program with one rule and one reward."""
        return (
            self.env["loyalty.program"]
            .sudo()
            .create(
                {
                    "name": f"Program {kind}",
                    "program_type": kind,
                    "trigger": "auto",
                    "applies_on": "current",
                    "company_id": self.company.id,
                    "rule_ids": [Command.clear(), Command.create(rule or {})],
                    "reward_ids": [Command.clear(), Command.create(reward)],
                    **values,
                }
            )
        )

    def make_rounding_till(self, **values):
        """Open a second till that rounds to five cents. Return its session."""
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

    def make_foreign_till(self, currency):
        """A till that sells in another currency than its company's."""
        journals = [
            self.company_data[f"default_journal_{kind}"].copy(
                {"currency_id": currency.id}
            )
            for kind in ("sale", "cash")
        ]
        config = self.env["pos.config"].create(
            {
                "name": "Airport",
                "company_id": self.company.id,
                "journal_id": journals[0].id,
                "payment_method_ids": [
                    Command.set(self.cash.copy({"journal_id": journals[1].id}).ids)
                ],
                "use_pricelist": False,
                "matomo_site_id": self.site.id,
            }
        )
        config.open_ui()
        config.current_session_id.set_opening_control(0, None)
        self.assertEqual(config.currency_id, currency)
        return config.current_session_id

    def add_delivery(self, order, carrier):
        order.set_delivery_line(carrier, carrier.rate_shipment(order)["price"])

    def apply_code(self, order, code):
        """Enter a code as a shopper does, and apply its reward."""
        found = order._try_apply_code(code)
        self.assertNotIn("error", found)
        for coupon, reward in found.items():
            order._apply_program_reward(reward[:1], coupon)

    def claim_rewards(self, order):
        """Apply the rewards that the order gets without a code."""
        order._update_programs_and_rewards()
        for coupon, reward in order._get_claimable_rewards().items():
            order._apply_program_reward(reward[:1], coupon)

    @classmethod
    def clone_orders(cls, order, count, **expressions):
        """Return ``count`` copies of a confirmed order, made fast by SQL.

        :param expressions: see ``_clone_rows``
        """
        order.env.flush_all()
        expressions = {"name": "t.name || '-' || n", **expressions}
        orders = cls._clone_rows(order, count, **expressions)
        for line in order.order_line:
            cls._clone_rows(line, count, order_id=f"{orders[0].id} + n - 1")
        order.env.invalidate_all()
        return orders

    def clone_sales(self, sale, count):
        """Return ``count`` copies of a POS order, made fast by SQL."""
        self.env.flush_all()
        unique = {"uuid": "gen_random_uuid()::text"}
        orders = self._clone_rows(
            sale,
            count,
            **unique,
            name="t.name || '-' || n",
            pos_reference="t.pos_reference || '-' || n",
            access_token="gen_random_uuid()::text",
        )
        first = orders[0].id
        for line in sale.lines:
            self._clone_rows(line, count, **unique, order_id=f"{first} + n - 1")
        self._clone_rows(
            sale.payment_ids, count, **unique, pos_order_id=f"{first} + n - 1"
        )
        self.env.invalidate_all()
        return orders

    def clone_requests(self, order, orders):
        """Make the request of an order those of its copies, too."""
        field = order._matomo_order_field
        self._clone_rows(
            self.get_request(order).sudo(),
            len(orders),
            **{field: f"{orders[0].id} + n - 1"},
            order_ref="t.order_ref || '-' || n",
            order_ref_key="t.order_ref_key || '-' || n",
        )
        self.env.invalidate_all()

    @staticmethod
    def _clone_rows(record, count, **expressions):
        """Return ``count`` copies of a row.

        :param expressions: SQL of columns that differ: ``t`` is the row, ``n`` the
            number of the copy, from 1
        """
        names = [
            name
            for name, field in record._fields.items()
            if field.store and field.column_type and name != "id"
        ]
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(expressions.get(name, f't."{name}"') for name in names)
        # Names and numbers are the ORM's own, not a stranger's.
        record.env.cr.execute(  # pylint: disable=sql-injection
            f"INSERT INTO {record._table} ({columns}) SELECT {values}"
            f" FROM {record._table} t, generate_series(1, {count}) n"
            f" WHERE t.id = {record.id} ORDER BY n RETURNING id"
        )
        return record.browse(id_ for (id_,) in record.env.cr.fetchall())

    # === SELLING === #

    def deliver(self, *orders):
        for order in orders:
            order.action_confirm()
        self.end_transaction()
        self.run_sender()

    def make_early_payment_term(self):
        """Return payment terms whose discount lowers the tax of a whole order alone."""
        return self.env["account.payment.term"].create(
            {
                "name": "2/7 Net 30",
                "early_discount": True,
                "discount_days": 7,
                "discount_percentage": 2,
                "early_pay_discount_computation": "mixed",
            }
        )

    def line(self, product, quantity=1, price=None, taxes=None, **values):
        values |= {"product_id": product.id, "product_uom_qty": quantity}
        if price is not None:
            values["price_unit"] = price
        if taxes is not None:
            values["tax_ids"] = [Command.set(taxes.ids)]
        return values

    # === LOOKING === #

    def items(self, order):
        """Return Matomo's items: ``{sku: (name, categories, price, quantity)}``."""
        items = json.loads(self.recorded(order)["ec_items"])
        found = {sku: tuple(rest) for sku, *rest in items}
        self.assertEqual(len(found), len(items), "Matomo keeps one item of each SKU")
        return found

    def quantities(self, order):
        return {
            sku: (f"{price:.2f}", quantity)
            for sku, (_name, _categories, price, quantity) in self.items(order).items()
        }

    def assertExact(self, *orders, items=None, balance=None, **parameters):
        """Matomo has the orders with Odoo's own totals, and nothing it would bend.

        :param items: the expected ``{sku: (price, quantity)}``
        :param balance: by how much the subtotal may miss the items; by default by
            the rounding of unit prices, and a cent, and half a cent an item
        """
        for order in orders:
            self.assertState(order, "sent")
            expected = {
                "revenue": cents(order.amount_total),
                "ec_tx": cents(order.amount_tax),
                "ec_sh": "0.00",
                "ec_dt": "0.00",
                **parameters,
            }
            self.assertRecorded(order, **expected)
            self.assertWellFormed(self.recorded(order), balance)
            if items is not None:
                self.assertEqual(self.quantities(order), items)

    def assertWellFormed(self, parameters, balance=None):
        """Assert that Matomo would refuse, drop or change nothing of an order."""
        amounts = [Decimal(parameters[name]) for name in AMOUNTS]
        revenue, subtotal, tax, shipping, discount = amounts
        self.assertEqual(revenue, subtotal + tax + shipping - discount)
        for name in AMOUNTS:
            self.assertRegex(parameters[name], r"^-?\d+\.\d\d$")
        items = json.loads(parameters["ec_items"])
        skus = [item[0] for item in items]
        self.assertEqual(len(skus), len(set(skus)))
        total, tolerance = Decimal(0), Decimal("0.01")
        for sku, name, categories, price, quantity in items:
            self.assertNotIn(sku, ("", "0", None))
            self.assertTrue(name)
            self.assertLessEqual(len(categories), 5)
            self.assertTrue(all(categories))
            self.assertIs(type(quantity), int)
            self.assertTrue(1 <= quantity <= 65535, quantity)
            self.assertEqual(price, round(price, 2))
            total += Decimal(str(price)) * quantity
            tolerance += Decimal("0.005") * (quantity + 1)
        self.assertLessEqual(
            abs(subtotal - total), tolerance if balance is None else Decimal(balance)
        )
        self.assertTrue(0 < len(parameters["ec_id"]) <= 100)
        self.assertNotEqual(parameters["ec_id"], "0")
        self.assertRegex(parameters["cid"], "^[0-9a-f]{16}$")
        self.assertTrue(parameters["cip"])
