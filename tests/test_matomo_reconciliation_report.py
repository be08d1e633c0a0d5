"""From Odoo's own sales report of a day to the revenue that the day compares."""

from datetime import date

from odoo.tests import freeze_time, tagged

from ..matomo_api.reading import Totals
from ..outbox import sales_report
from .common import TOKEN, AmountsCommon, ComparisonCommon

DAY = date(2026, 3, 3)
MORNING = "2026-03-03 09:00:00"
# On the clock of the Matomo site, this is the day before; and this the day itself.
NIGHT, NEXT_NIGHT = "2026-03-03 04:00:00", "2026-03-04 04:00:00"


@tagged("post_install", "-at_install")
@freeze_time("2026-03-05 02:00:00")
class TestSalesReport(AmountsCommon, ComparisonCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.user.tz = "UTC"

    def compare_day(self):
        days = self.env["matomo.reconciliation"].sudo()
        return days._compare_day(self.site.sudo(), DAY, Totals()).sudo(False)

    def get_steps(self, day):
        """Return what leads to the day, and assert that it does."""
        bridge = sales_report.build(day)
        self.assertEqual(
            (
                sum(step.orders for step in bridge.steps),
                float(sum(step.amount for step in bridge.steps)),
            ),
            (bridge.orders, float(bridge.revenue)),
        )
        return [
            (step.kind, step.detail, step.orders, float(step.amount))
            for step in bridge.steps
        ]

    def make_shop(self, name, site=None):
        values = {"name": name, "company_id": self.company.id}
        if site:
            values["matomo_site_id"] = site.id
        return self.env["website"].sudo().create(values)

    def test_web_desk_till_and_what_is_no_sale(self):
        """Deliveries are in both; quotations, carts and cancelled orders in neither."""
        outlet = self.site.sudo().copy(
            {"name": "Outlet", "idsite": 2, "token_auth": TOKEN}
        )
        shops = self.make_shop("Shop", self.site), self.make_shop("Out", outlet)
        web, elsewhere, bare, desk, late = (
            self.make_order(website_id=website and website.id)
            for website in (*shops, self.make_shop("Bare"), None, None)
        )
        self.add_delivery(desk, self.make_carrier(9.9))
        for order in (web, elsewhere, bare, desk, late):
            self.confirm(order).date_order = MORNING
        self.sync(self.make_sale((self.chair, 2), date_order=MORNING))
        self.sync(self.make_sale(date_order=MORNING, state="draft", payment_ids=[]))
        self.make_order(date_order=MORNING)
        self.make_order(date_order=MORNING, website_id=shops[0].id)
        self.cancel(self.confirm(self.make_order(date_order=MORNING)))
        self.run_sender()
        # It was checked out the evening before, and its payment came in now.
        evening = "2026-03-02 20:00:00"
        self.get_request(late).sudo().write(
            {"checkout_date": evening, "order_date": evening}
        )
        day = self.compare_day()
        self.assertEqual((day.odoo_order_count, day.odoo_revenue), (3, 471.39))
        self.assertEqual(
            self.get_steps(day),
            [
                ("report", "", 6, 709.9),
                ("taxes", "", 0, 106.49),
                ("checkout", "", -1, -115.0),
                ("site", "Outlet", -1, -115.0),
                (
                    "excluded",
                    "No Matomo site is set for the website Bare.",
                    -1,
                    -115.0,
                ),
            ],
        )
        for text in ("Outlet", "$\xa0709.90", "$\xa0471.39", late.name):
            self.assertIn(text, day.sales_report)
        # Only orders that are not named stand for a dot.
        self.assertNotIn("…", day.sales_report)

    def test_the_clocks_of_reader_and_site(self):
        self.site.sudo().timezone = "America/New_York"
        self.sell(NIGHT, MORNING, MORNING, NEXT_NIGHT)
        self.assertEqual(
            self.get_steps(self.compare_day()),
            [
                ("report", "", 3, 300.0),
                ("taxes", "", 0, 45.0),
                ("other_day", "", -1, -115.0),
                ("this_day", "", 1, 115.0),
            ],
        )
        day = self.compare_day().with_context(tz="America/New_York")
        self.assertEqual(
            self.get_steps(day), [("report", "", 3, 300.0), ("taxes", "", 0, 45.0)]
        )

    def test_another_currency(self):
        """The report is in dollars, as the company is, and the site in euros."""
        euro = self.setup_other_currency("EUR", rates=[("2026-03-01", 0.9)])
        self.site.sudo().currency_id = euro
        pricelist = self.env["product.pricelist"].create(
            {"name": "EUR", "currency_id": euro.id, "company_id": self.company.id}
        )
        dollars = self.confirm(self.make_order())
        euros = self.make_order(
            self.line(self.chair, 1, 33.33), pricelist_id=pricelist.id
        )
        (dollars + self.confirm(euros)).date_order = MORNING
        self.run_sender()
        day = self.compare_day()
        self.assertAlmostEqual(day.odoo_revenue, 103.5 + 38.33)
        self.assertEqual(
            self.get_steps(day),
            [("report", "", 2, 137.03), ("taxes", "", 0, 20.56)],
        )
        for text in ("$\xa0137.03", "$\xa0157.59", "141.83\xa0€"):
            self.assertIn(text, day.sales_report)

    def test_currencies_with_other_decimals(self):
        """Matomo keeps two decimals: what that loses passed for tips."""
        for code, rate in (("KWD", 0.3075), ("JPY", 150.0)):
            with self.subTest(code), self.env.cr.savepoint() as savepoint:
                currency = self.setup_other_currency(code, rates=[("2026-03-01", rate)])
                self.site.sudo().currency_id = currency
                pricelist = self.env["product.pricelist"].create(
                    {"name": code, "currency_id": currency.id}
                )
                own = self.make_order(
                    self.line(self.chair, 1, rate), pricelist_id=pricelist.id
                )
                dollars = self.env["sale.order"].union(
                    *(
                        self.make_order(self.line(self.chair, 1, price))
                        for price in (1.08, 12.89, 100)
                    )
                )
                self.confirm(own + dollars).date_order = MORNING
                self.run_sender()
                day = self.compare_day()
                revenues = [
                    own.amount_total,
                    *(currency.round(each.amount_total * rate) for each in dollars),
                ]
                self.assertAlmostEqual(day.odoo_revenue, sum(revenues), places=6)
                kinds = {kind for kind, *_rest in self.get_steps(day)}
                self.assertLessEqual(kinds, {"report", "taxes", "rounding"})
                savepoint.rollback()

    def test_what_has_changed_since(self):
        first, _second = self.sell(MORNING, MORNING)
        day = self.compare_day()
        self.assertNotIn("since", day.sales_report)
        first.order_line.price_unit = 50
        self.env.invalidate_all()
        self.assertIn("Changed in Odoo since the day was compared", day.sales_report)
        self.assertIn("$\xa057.50", day.sales_report)

    def test_rights_are_those_of_the_reader(self):
        self.sell(MORNING, MORNING)
        own = self.make_user(
            "own",
            "base.group_user,sales_team.group_sale_salesman,"
            "matomo_order_tracking.group_matomo_user",
        )
        order = self.make_order(user_id=own.id)
        self.confirm(order).date_order = MORNING
        day = self.compare_day()
        self.assertEqual(
            self.get_steps(day.with_user(own)),
            [
                ("report", "", 1, 100.0),
                ("taxes", "", 0, 15.0),
                ("hidden", "", 2, 230.0),
            ],
        )
        marketer = self.make_user(
            "marketer", "base.group_user,matomo_order_tracking.group_matomo_user"
        )
        blind = day.with_user(marketer)
        self.assertFalse(blind.can_see_sales_report)
        self.assertFalse(blind.sales_report)
        self.assertEqual(blind.odoo_order_count, 3)

    def test_odoos_report_of_the_day(self):
        order = self.sell(MORNING)
        self.sell(NEXT_NIGHT)
        action = self.compare_day().action_open_sales_report()
        lines = self.env[action["res_model"]].search(action["domain"])
        self.assertEqual({*lines.mapped("name")}, {order.name})

    def test_a_day_of_many_orders_needs_few_queries(self):
        order = self.sell(MORNING)
        sale = self.sync(self.make_sale((self.chair, 2), date_order=MORNING))
        self.run_sender()
        day = self.compare_day()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        sales_report.build(day)
        few = self.env.cr.sql_log_count - before
        for each, copies in (
            (order, self.clone_orders(order, 50)),
            (sale, self.clone_sales(sale, 50)),
        ):
            self.clone_requests(each, copies)
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        self.assertEqual(sales_report.build(day).orders, 102)
        self.assertLessEqual(self.env.cr.sql_log_count - before, few)
        self.assertLess(few, 60)
