# Two sides are printed for people to compare. pylint: disable=print-used
import json
import random
from collections import Counter, defaultdict
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from odoo import Command
from odoo.tests import tagged

from ..common import AmountsCommon, ReportsCommon
from ..common.real_matomo import RealMatomo, yesterday

ORDERS, SALES, DAYS, SEED = 200, 110, 4, 20260303
# So many orders are confirmed before PostgreSQL counts again.
PART = 20
CENT = Decimal("0.01")
# Matomo keeps an order's revenue in single precision: from here on, a cent is lost
# (docs/matomo.md section 7).
PRECISE = 130_000
FIGURES = {
    "orders": "nb_conversions",
    "revenue": "revenue",
    "subtotal": "revenue_subtotal",
    "tax": "revenue_tax",
    "shipping": "revenue_shipping",
    "discount": "revenue_discount",
}


def decimal(amount):
    return Decimal(f"{amount:.6f}").quantize(CENT, ROUND_HALF_UP)


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealTotals(ReportsCommon, AmountsCommon):
    """Odoo's own figures and Matomo's, of 310 orders of two companies, to the cent.

    Odoo's side is added up from the fields Odoo has computed (``amount_total``,
    ``price_subtotal``...), not from what the addon has prepared.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.random = random.Random(SEED)
        cls.euro = cls.setup_other_currency("EUR", rates=[("2020-01-01", 0.917)])
        cls.sister_data = cls.setup_other_company(
            name="Sister", currency_id=cls.euro.id
        )
        cls.sister = cls.sister_data["company"]
        cls.env.user.sudo().company_ids += cls.sister
        cls.company.tax_calculation_rounding_method = "round_per_line"
        cls.sister.tax_calculation_rounding_method = "round_globally"
        cls.env["res.currency.rate"].create(
            {
                "name": "2020-01-01",
                "currency_id": cls.env.ref("base.USD").id,
                "company_id": cls.sister.id,
                "rate": 1.0905,
            }
        )

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    def setUp(self):
        super().setUp()
        self.reals = {}
        for company, code in ((self.company, "USD"), (self.sister, "EUR")):
            real = RealMatomo(currency=code)
            site = company.sudo().matomo_site_id or self.site.sudo().copy(
                {"company_id": company.id, "idsite": real.idsite}
            )
            real.receive_from(
                site, currency_id=self.env.ref(f"base.{code}").id, batch_size=200
            )
            company.sudo().matomo_site_id = site
            self.reals[site] = real

    # === SELLING === #

    def make_stock(self, company, taxes):
        included, excluded = taxes
        return self.env["product.product"].union(
            *(
                self.make_product(
                    f"Product {number} of {company.name}",
                    f"{company.name[:3]}-{number:02}",
                    self.random.randint(99, 25000) / 100,
                    taxes=included if number % 3 == 0 else excluded,
                )
                for number in range(12)
            )
        )

    def make_moment(self):
        return yesterday() - timedelta(
            days=self.random.randrange(DAYS), minutes=self.random.randrange(-600, 600)
        )

    def make_lines(self, products):
        """Return bought lines: products, whole quantities, some discounts."""
        chosen = self.random.sample(list(products), self.random.randint(1, 4))
        return [
            (
                product,
                self.random.randint(1, 6),
                self.random.choice([0, 0, 0, 5, 12.5, 100]),
            )
            for product in chosen
        ]

    def make_sales_order(self, company, products, extras, pricelist):
        delivery, coupon = extras
        commands = [
            Command.create(
                {"product_id": product.id, "product_uom_qty": n, "discount": discount}
            )
            for product, n, discount in self.make_lines(products)
        ]
        kind = self.random.random()
        if kind < 0.5:
            commands.append(
                Command.create({"product_id": delivery.id, "is_delivery": True})
            )
        if kind < 0.25:
            price = -self.random.randint(100, 900) / 100
            commands.append(
                Command.create({"product_id": coupon.id, "price_unit": price})
            )
        if kind > 0.9 and company == self.company:
            commands.append(
                Command.create({"product_id": products[0].id, "product_uom_qty": -1})
            )
        if kind > 0.8:
            commands.append(
                Command.create({"display_type": "line_note", "name": "With care"})
            )
        return {
            "partner_id": self.customer.id,
            "company_id": company.id,
            "pricelist_id": pricelist.id,
            "order_line": commands,
        }

    def make_dear_order(self, products, pricelist):
        line = {"product_id": products[1].id, "price_unit": 131_234.56}
        return self.make_order(line, pricelist_id=pricelist.id)

    def make_till(self, company_data, name, site):
        company = company_data["company"]
        journal = company_data["default_journal_cash"]
        cash = self.cash.copy(
            {
                "company_id": company.id,
                "journal_id": journal.copy().id,
                "receivable_account_id": company_data["default_account_receivable"].id,
            }
        )
        config = (
            self.env["pos.config"]
            .with_company(company)
            .create(
                {
                    "name": name,
                    "company_id": company.id,
                    "payment_method_ids": [Command.set(cash.ids)],
                    "matomo_site_id": site.id,
                }
            )
        )
        config.open_ui()
        config.current_session_id.set_opening_control(0, None)
        return config.current_session_id

    def make_till_sales(self, session, products, count):
        """Return POS orders. Some of them take back lines of earlier ones."""
        sold = self.env["pos.order"]
        while len(sold) < count:
            sales = [
                self.make_till_sale(session, products, sold)
                for _number in range(min(20, count - len(sold)))
            ]
            sold += self.sync(*sales)
        # The till has added up line by line, Odoo as the company is set up.
        sold._compute_prices()
        return sold

    def make_till_sale(self, session, products, sold):
        lines = [
            {
                "product_id": product.id,
                "qty": quantity,
                "discount": discount,
                "taxes": product.taxes_id,
            }
            for product, quantity, discount in self.make_lines(products)
        ]
        returns = session.company_id == self.company and sold
        if returns and self.random.random() < 0.25:
            line = self.random.choice(sold).lines[0]
            back = {
                "product_id": line.product_id.id,
                "qty": -1,
                "price_unit": line.price_unit,
                "discount": line.discount,
                "taxes": line.tax_ids,
                "refunded_orderline_id": line.id,
            }
            # A refund, or an exchange.
            lines = [back] if self.random.random() < 0.5 else [back, *lines]
        values = self.make_sale(
            *lines, session=session, date_order=str(self.make_moment())
        )
        values["payment_ids"][0][2]["payment_method_id"] = session.payment_method_ids.id
        return values

    def analyze_stock(self):
        """Let PostgreSQL know what this transaction has put into the stock.

        Otherwise it plans as for empty tables, and each order takes a second.
        """
        self.env.flush_all()
        self.env.cr.execute(
            "ANALYZE stock_move, stock_picking, stock_reference_move_rel"
        )

    def sell_everything(self):
        orders, sales = self.env["sale.order"], self.env["pos.order"]
        for (site, _real), data, code in zip(
            self.reals.items(),
            (self.company_data, self.sister_data),
            ("EUR", "USD"),
            strict=True,
        ):
            company = data["company"]
            excluded = data["default_tax_sale"]
            included = self.make_tax(21, included=True, company_id=company.id)
            products = self.make_stock(company, (included, excluded))
            extras = [
                self.make_product(name, name.upper(), 4.99, taxes=taxes, type="service")
                for name, taxes in (("Parcel", included), ("Coupon", excluded))
            ]
            own, foreign = self.env["product.pricelist"].create(
                [
                    {
                        "name": currency.name,
                        "currency_id": currency.id,
                        "company_id": company.id,
                    }
                    for currency in (company.currency_id, self.env.ref(f"base.{code}"))
                ]
            )
            batch = (
                self.env["sale.order"]
                .with_company(company)
                .create(
                    [
                        self.make_sales_order(
                            company,
                            products,
                            extras,
                            foreign if number % 5 == 0 else own,
                        )
                        for number in range(ORDERS // 2)
                    ]
                )
            )
            if company == self.company:
                batch += self.make_dear_order(products, own)
            for start in range(0, len(batch), PART):
                batch[start : start + PART].action_confirm()
                self.analyze_stock()
            for order in batch:
                order.date_order = self.make_moment()
            orders += batch
            session = self.make_till(data, f"Till of {company.name}", site)
            sales += self.make_till_sales(session, products, SALES // 2)
        self.end_transaction()
        return orders, sales

    # === ADDING UP === #

    def parts(self, order):
        """Return Odoo's figures of an order in its currency, without returned lines.

        A whole sales order has totals of its own; those of a POS order, and of what is
        left of a sales order, are the sums of its lines.

        :return: bought lines, total and tax
        """
        if order._name == "sale.order":
            lines = order.order_line.filtered(lambda line: not line.display_type)
            bought = lines.filtered(lambda line: line.product_uom_qty >= 0)
            if bought == lines:
                return bought, order.amount_total, order.amount_tax
            total = sum(bought.mapped("price_total"))
        else:
            bought = order.lines.filtered(lambda line: line.qty > 0)
            total = sum(bought.mapped("price_subtotal_incl"))
        return bought, total, total - sum(bought.mapped("price_subtotal"))

    def add_up(self, orders):
        """Return Odoo's totals, by site and day, and by site and SKU."""
        days = defaultdict(Counter)
        skus = defaultdict(lambda: defaultdict(Counter))
        for order in orders:
            bought, total, tax = self.parts(order)
            if not bought:
                continue
            site = order.sudo().matomo_request_ids.site_id

            # The currency of each site is its company's.
            def convert(amount, order=order):
                return decimal(amount / order.currency_rate)

            shipping = discount = 0.0
            items = defaultdict(Counter)
            for line in bought:
                amount = line.price_subtotal
                if order._name == "sale.order" and line.is_delivery:
                    shipping += amount
                elif amount < 0:
                    discount -= amount
                else:
                    item = items[line.product_id.default_code]
                    item["amount"] += convert(amount)
                    item["quantity"] += (
                        line.product_uom_qty
                        if order._name == "sale.order"
                        else line.qty
                    )
            figures = {
                "revenue": convert(total),
                "tax": convert(tax),
                "shipping": convert(shipping),
                "discount": convert(discount),
            }
            figures["subtotal"] = (
                figures["revenue"]
                - figures["tax"]
                - figures["shipping"]
                + figures["discount"]
            )
            imprecise = CENT if figures["revenue"] > PRECISE else 0
            days[site, order.date_order.date()].update(
                {"orders": 1, "imprecise": imprecise, **figures}
            )
            for sku, item in items.items():
                quantity = int(item["quantity"])
                price = (item["amount"] / quantity).quantize(CENT, ROUND_HALF_UP)
                skus[site][sku].update(
                    {
                        "quantity": quantity,
                        "revenue": price * quantity,
                        "amount": item["amount"],
                    }
                )
        return days, skus

    def compare_days(self, days):
        equal = True
        for (site, day), odoo in sorted(
            days.items(), key=lambda d: (d[0][0].id, d[0][1])
        ):
            report = self.reals[site].report(day, day)
            matomo = {name: decimal(report[key]) for name, key in FIGURES.items()}
            lost = decimal(odoo["imprecise"])
            odoo = {name: decimal(odoo[name]) for name in FIGURES}
            for side, figures in (("Odoo", odoo), ("Matomo", matomo)):
                print(
                    f"{site.currency_id.name} {day} {side:6}",
                    *(f"{name} {amount}" for name, amount in figures.items()),
                )
            if lost and abs(odoo["revenue"] - matomo["revenue"]) <= lost:
                print(
                    f"  revenue within {lost}: of an order above {PRECISE}, Matomo"
                    f" keeps no cents for certain ({matomo['revenue']})"
                )
                matomo["revenue"] = odoo["revenue"]
            print("  equal" if odoo == matomo else "  DIFFERENT")
            equal = equal and odoo == matomo
        return equal

    def compare_skus(self, skus, sent, first, last):
        """Quantities and revenues are those of Odoo's lines, and what was sent."""
        equal = True
        for site, odoo in skus.items():
            rows = self.reals[site].call(
                "Goals.getItemsSku",
                idSite=str(site.idsite),
                period="range",
                date=f"{first},{last}",
                format_metrics="0",
                filter_limit="-1",
            )
            matomo = {
                row["label"]: (int(row["quantity"]), decimal(row["revenue"]))
                for row in rows
            }
            for sku, item in sorted(odoo.items()):
                lines = item["quantity"], decimal(item["revenue"])
                ours = sent[site][sku]["quantity"], sent[site][sku]["revenue"]
                theirs = matomo.get(sku, (0, Decimal(0)))
                is_equal = theirs == ours == lines
                print(
                    f"{site.currency_id.name} {sku:8}"
                    f" Odoo quantity {lines[0]}, x price {ours[1]};"
                    f" Matomo quantity {theirs[0]}, revenue {theirs[1]}:"
                    f" {'equal' if is_equal else 'DIFFERENT'},"
                    f" from the lines' amounts {ours[1] - item['amount']:+}"
                )
                equal = equal and is_equal
            equal = equal and matomo.keys() == odoo.keys()
        return equal

    def add_up_sent(self, orders):
        """Return the totals of the items that were sent, by site and SKU."""
        skus = defaultdict(lambda: defaultdict(Counter))
        for order in orders:
            row = self.get_request(order)
            for sku, _name, _categories, price, quantity in json.loads(
                row.payload["ec_items"]
            ):
                skus[row.site_id][sku].update(
                    {"quantity": quantity, "revenue": Decimal(str(price)) * quantity}
                )
        return skus

    def compare_with_reports(self, orders, sales):
        """What Odoo's own reports say of each day, and why Matomo has more or less."""
        for site in self.reals:
            company = site.company_id
            days = self.compare_reports(
                company,
                orders.filtered(
                    lambda order, company=company: order.company_id == company
                ),
                sales.filtered(
                    lambda sale, company=company: sale.company_id == company
                ),
            )
            for (report, day), causes in sorted(days.items()):
                named = (f"{cause} {amount:+.6f}" for cause, amount in causes.items())
                print(
                    f"{site.currency_id.name} {day} {report}:",
                    ", ".join(named) or "equal",
                )

    def test_every_day_every_site_every_product(self):
        orders, sales = self.sell_everything()
        self.run_sender()
        tracked = [
            order for order in [*orders, *sales] if order.matomo_state != "excluded"
        ]
        self.assertGreaterEqual(len(orders) + len(sales), 300)
        self.assertGreater(len(tracked), 290)
        self.assertEqual({order.matomo_state for order in tracked}, {"sent"})
        days, skus = self.add_up([*orders, *sales])
        self.assertEqual(sum(day["orders"] for day in days.values()), len(tracked))
        self.assertEqual(len(days), 2 * DAYS)
        dates = [day for _site, day in days]
        equal = self.compare_days(days)
        sent = self.add_up_sent(tracked)
        equal = self.compare_skus(skus, sent, min(dates), max(dates)) and equal
        print("equal" if equal else "DIFFERENT")
        self.assertTrue(equal, "Odoo and Matomo differ; see the figures above")
        self.compare_with_reports(orders, sales)
        self.run_verifier()
        self.assertEqual({order.matomo_state for order in tracked}, {"verified"})
