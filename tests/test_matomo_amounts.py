from lxml import etree

from odoo import Command
from odoo.tests import tagged

from .common import MODULE, MatomoCommon


@tagged("post_install", "-at_install")
class TestAmounts(MatomoCommon):
    """No screen adds up dollars and euros as if they were the same."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.euro = cls.env.ref("base.EUR")
        cls.euro.sudo().active = True
        cls.abroad = (
            cls.env["res.company"]
            .sudo()
            .create({"name": "Abroad", "currency_id": cls.euro.id})
        )
        cls.site_abroad = cls.site.sudo().copy(
            {
                "name": "Abroad",
                "company_id": cls.abroad.id,
                "currency_id": cls.euro.id,
                "idsite": 2,
            }
        )
        cls.env["res.currency.rate"].sudo().search([]).unlink()
        companies = cls.company + cls.abroad
        cls.mia = cls.make_user("mia", f"{MODULE}.group_matomo_user")
        cls.mia.sudo().company_ids = [Command.set(companies.ids)]
        cls.mia.sudo().company_id = cls.company

    def see(self, model):
        """Return a model as Mia sees it, with both companies."""
        self.env.flush_all()
        context = {"allowed_company_ids": (self.company + self.abroad).ids}
        return self.env[model].with_user(self.mia).with_context(**context)

    def add_request(self, site, revenue, **values):
        return (
            self.env["matomo.request"]
            .sudo()
            .create(
                {
                    "company_id": site.company_id.id,
                    "site_id": site.id,
                    "state": "sent",
                    "revenue": revenue,
                    "currency_id": site.currency_id.id,
                    **values,
                }
            )
        )

    def add_day(self, site, revenue):
        return (
            self.env["matomo.reconciliation"]
            .sudo()
            .create(
                {
                    "site_id": site.id,
                    "day": "2026-03-02",
                    "state": "equal",
                    "odoo_revenue": revenue,
                    "matomo_revenue": revenue,
                    "revenue_difference": 0,
                }
            )
        )

    def add_rate(self, inverse):
        self.env["res.currency.rate"].sudo().create(
            {
                "name": "2026-01-01",
                "currency_id": self.euro.id,
                "company_id": self.company.id,
                "inverse_company_rate": inverse,
            }
        )

    def get_sum(self, model, amount, currency):
        """Return the sum as lists, pivots and graphs ask for it, and the currencies."""
        [group] = self.see(model).formatted_read_group(
            [("site_id", "in", (self.site + self.site_abroad).ids)],
            [],
            [
                f"{currency}:array_agg_distinct",
                f"{amount}:sum_currency",
                f"{amount}:sum",
            ],
        )
        currencies = group[f"{currency}:array_agg_distinct"]
        # Without the conversion there is a sum of one currency alone.
        if len(currencies) != 1:
            self.assertFalse(group[f"{amount}:sum"])
        else:
            self.assertEqual(group[f"{amount}:sum"], group[f"{amount}:sum_currency"])
        return group[f"{amount}:sum_currency"], currencies

    def has_total(self, model, name):
        arch = self.see(model).get_view(view_type="list")["arch"]
        [node] = etree.fromstring(arch).xpath(f"//field[@name='{name}']")
        return bool(node.get("sum"))

    def has_notice(self, model, view_type):
        """Return whether the web client asks for the notice above a view."""
        arch = self.see(model).get_view(view_type=view_type)["arch"]
        return etree.fromstring(arch).get("js_class") == f"matomo_amounts_{view_type}"

    def get_measures(self, model):
        """Return what a graph shows first, and what else it offers."""
        arch = etree.fromstring(self.see(model).get_view(view_type="graph")["arch"])
        fields = arch.xpath("//field[not(@invisible)]")
        return [each.get("name") for each in fields if each.get("type") == "measure"]

    def assertSums(self, model, amount, currency):
        """Assert how 100 dollars and 100 euros are added up."""
        dollar = self.company.currency_id
        both = [*sorted((dollar + self.euro).ids)]
        # Nobody has entered a rate, which Odoo takes for 1.
        self.assertEqual(self.get_sum(model, amount, currency), (False, []))
        self.assertFalse(self.has_total(model, amount))
        fields = self.env[model]._fields
        measures = self.get_measures(model)
        self.assertNotIn("monetary", [fields[name].type for name in measures])
        notice = self.see(model).get_rate_notice()
        self.assertIn(f"{self.company.name} has no rate for EUR", notice["sentence"])
        # Mia may not enter one.
        self.assertFalse(notice["action"])
        self.assertTrue(self.has_notice(model, "pivot"))
        self.add_rate(1.25)
        self.assertFalse(self.see(model).get_rate_notice())
        self.assertFalse(self.has_notice(model, "pivot"))
        total, currencies = self.get_sum(model, amount, currency)
        self.assertAlmostEqual(total, 225)
        self.assertEqual(currencies, both)
        self.assertTrue(self.has_total(model, amount))
        self.assertEqual(fields[self.get_measures(model)[-1]].type, "monetary")

    def test_the_log(self):
        self.add_request(self.site, 100)
        self.add_request(self.site_abroad, 100)
        self.assertSums("matomo.request", "signed_revenue", "amount_currency_id")

    def test_the_daily_comparison(self):
        self.add_day(self.site, 100)
        self.add_day(self.site_abroad, 100)
        self.assertSums("matomo.reconciliation", "odoo_revenue", "currency_id")

    def test_what_has_no_amount_has_no_currency_of_its_own(self):
        """A waiting order made the sum of the list 0.00, that of the pivot doubtful."""
        sent = self.add_request(self.site, 100)
        waits = self.add_request(self.site, 0, state="pending", currency_id=False)
        nowhere = self.add_request(
            self.site, 0, state="excluded", currency_id=False, site_id=False
        )
        requests = self.see("matomo.request").browse((sent + waits + nowhere).ids)
        dollar = self.company.currency_id
        # The rows of a list, which the web client adds up.
        self.assertEqual(requests.amount_currency_id, dollar)
        self.assertFalse(waits.currency_id)
        self.assertEqual(
            self.get_sum("matomo.request", "signed_revenue", "amount_currency_id"),
            (100, dollar.ids),
        )
        groups = requests.formatted_read_group(
            [("id", "in", waits.ids)], [], ["amount_currency_id:array_agg_distinct"]
        )
        self.assertEqual(groups[0]["amount_currency_id:array_agg_distinct"], [])

    def test_a_currency_without_a_rate_and_without_an_amount(self):
        self.add_request(self.site, 100)
        self.add_request(self.site_abroad, 0)
        total, _currencies = self.get_sum(
            "matomo.request", "signed_revenue", "amount_currency_id"
        )
        self.assertEqual(total, 100)

    def test_refunds_are_negative(self):
        self.add_rate(1.25)
        self.add_request(self.site_abroad, 100)
        self.add_request(self.site, 25, kind="refund")
        total, _currencies = self.get_sum(
            "matomo.request", "signed_revenue", "amount_currency_id"
        )
        self.assertAlmostEqual(total, 100)
