import json
from decimal import Decimal

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from odoo import Command, fields
from odoo.tests import freeze_time, tagged

from ..matomo_api.tracking import Page, Visitor, order_parameters
from .common import AmountsCommon, cents

# The same examples in every run, as many as a test suite can wait for.
BOUNDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    # A failing example is shown as it was found: shrinking it takes many minutes.
    phases=(Phase.explicit, Phase.generate),
    max_examples=60,
    suppress_health_check=list(HealthCheck),
)
# What PostgreSQL can store: no NUL, no halves of a character.
TEXT = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"),
    max_size=30,
)
NAME = TEXT.filter(str.strip)
REFERENCE = st.one_of(
    st.none(), TEXT, st.sampled_from(["0", "00", " ", "A", "a", "A&amp;B", "A&B", "é"])
)
QUANTITY = st.one_of(
    st.integers(0, 20),
    st.integers(-5, -1),
    st.sampled_from([0.35, 2.75, 12.5, 65535, 65536, 70000]),
)
PRICE = st.one_of(
    st.integers(0, 100_000).map(lambda number: number / 100),
    st.sampled_from([0.01, 0.03, 1e6, -0.05, -12.34]),
)
LINE = st.fixed_dictionaries(
    {
        "product": st.integers(0, 3),
        "quantity": QUANTITY,
        "price": PRICE,
        "discount": st.sampled_from([0, 0, 0, 7.5, 33.33, 100]),
        "taxes": st.integers(0, 6),
        "is_delivery": st.sampled_from([False, False, False, True]),
    }
)
SALE = st.fixed_dictionaries(
    {
        "lines": st.lists(LINE, min_size=1, max_size=7),
        "names": st.lists(NAME, min_size=4, max_size=4),
        "references": st.lists(REFERENCE, min_size=4, max_size=4),
        "categories": st.lists(NAME, max_size=7),
        "currency": st.integers(0, 3),
        "site_currency": st.integers(0, 3),
        "method": st.sampled_from(["round_per_line", "round_globally"]),
        "ref": NAME,
    }
)


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestAmountProperties(AmountsCommon):
    """The amounts of any order add up, and Matomo would change none of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.currencies = cls.company.currency_id
        for code, rate in (("EUR", 0.917), ("JPY", 151.37), ("KWD", 0.3071)):
            cls.currencies += cls.setup_other_currency(
                code, rates=[("2026-03-01", rate)]
            )
        cls.pricelists = cls.env["product.pricelist"].create(
            [
                {
                    "name": currency.name,
                    "currency_id": currency.id,
                    "company_id": cls.company.id,
                }
                for currency in cls.currencies
            ]
        )
        cls.products = cls.env["product.product"].union(
            *(cls.make_product(f"P{n}", f"P{n}", 1.0) for n in range(4))
        )
        fixed = cls.make_tax(0.37, kind="fixed", include_base_amount=True, sequence=0)
        included = cls.make_tax(21, included=True)
        cls.taxes = (
            cls.env["account.tax"],
            cls.tax,
            included,
            fixed + cls.tax,
            cls.tax + cls.make_tax(6),
            cls.make_tax(1.5, kind="fixed", included=True),
            cls.make_tax(-2.5, kind="fixed") + cls.tax,
        )

    def prepare(self, sale):
        """Set up the company and its products for one example."""
        self.company.tax_calculation_rounding_method = sale["method"]
        self.site.sudo().currency_id = self.currencies[sale["site_currency"]]
        category = self.env["product.category"]
        for name in sale["categories"]:
            category = category.create({"name": name, "parent_id": category.id})
        for product, name, reference in zip(
            self.products, sale["names"], sale["references"], strict=True
        ):
            product.write(
                {
                    "name": name,
                    "default_code": reference,
                    "categ_id": (category or self.categories[-1]).id,
                }
            )

    def parameters(self, order, ref):
        self.env.flush_all()
        amounts = order.sudo()._prepare_matomo_amounts(self.site.sudo())
        matomo_order = order.sudo()._prepare_matomo_order(
            ref, order.date_order, amounts
        )
        return order_parameters(
            1,
            matomo_order,
            Visitor(visitor_id="0123456789abcdef"),
            Page("https://shop.example.com/sales", "Sales"),
        )

    def assertHonest(self, order, lines, total, tax):
        """The parameters are in good shape and say what Odoo has stored.

        :param total: Odoo's total of the bought lines
        """
        parameters = self.parameters(order, "S1")
        json.dumps(parameters, ensure_ascii=False).encode()
        items = json.loads(parameters["ec_items"])
        step = Decimal(str(max(0.01, self.site.sudo().currency_id.rounding)))
        # Each total and each line is rounded, then each unit price.
        balance = step / 2 * (4 + len(lines)) + sum(
            (Decimal("0.005") * quantity for *_rest, quantity in items), Decimal(0)
        )
        self.assertWellFormed(parameters, balance=balance)
        self.assertEqual(parameters["revenue"], self.convert(order, total))
        self.assertEqual(parameters["ec_tx"], self.convert(order, tax))
        self.assertLessEqual(len(items), len(lines))
        self.assertGreaterEqual(Decimal(parameters["ec_dt"]), 0)
        self.assertNotRegex(parameters["ec_items"], r"[\x00-\x1f]")

    def convert(self, order, amount):
        currency = self.site.sudo().currency_id
        if currency != order.currency_id:
            rates = currency._get_rates(self.company, order.date_order.date())
            amount *= rates[currency.id] / order.currency_rate
            if currency.rounding == 1:
                amount = float(Decimal(f"{amount:.6f}").quantize(1, "ROUND_HALF_UP"))
        return cents(amount)

    @BOUNDED
    @given(sale=SALE)
    def test_sales_orders(self, sale):
        self.prepare(sale)
        order = self.make_order(
            *(
                {
                    "product_id": self.products[line["product"]].id,
                    "product_uom_qty": line["quantity"],
                    "price_unit": line["price"],
                    "discount": line["discount"],
                    "tax_ids": [Command.set(self.taxes[line["taxes"]].ids)],
                    "is_delivery": line["is_delivery"],
                }
                for line in sale["lines"]
            ),
            pricelist_id=self.pricelists[sale["currency"]].id,
            state="sale",
        )
        total, tax = order.amount_total, order.amount_tax
        bought = order.order_line.filtered(lambda line: line.product_uom_qty >= 0)
        returned = order.order_line - bought
        if any(line.price_total or line.price_subtotal for line in returned):
            total = sum(bought.mapped("price_total"))
            tax = total - sum(bought.mapped("price_subtotal"))
        self.assertHonest(order, sale["lines"], total, tax)

    @BOUNDED
    @given(sale=SALE)
    def test_till_sales(self, sale):
        self.prepare(sale)
        order = self.env["pos.order"].create(
            {
                "session_id": self.session.id,
                "company_id": self.company.id,
                "date_order": fields.Datetime.now(),
                "amount_total": 0,
                "amount_tax": 0,
                "amount_paid": 0,
                "amount_return": 0,
                "lines": [
                    Command.create(
                        {
                            "product_id": self.products[line["product"]].id,
                            "qty": line["quantity"],
                            "price_unit": line["price"],
                            "discount": line["discount"],
                            "tax_ids": [Command.set(self.taxes[line["taxes"]].ids)],
                            "price_subtotal": 0,
                            "price_subtotal_incl": 0,
                        }
                    )
                    for line in sale["lines"]
                ],
            }
        )
        order.lines._onchange_amount_line_all()
        bought = order.lines.filtered(lambda line: line.qty >= 0)
        total = sum(bought.mapped("price_subtotal_incl"))
        tax = total - sum(bought.mapped("price_subtotal"))
        self.assertHonest(order, sale["lines"], total, tax)
