from contextlib import closing
from datetime import timedelta
from decimal import Decimal

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from ...matomo_api.reading import read_refund_times
from ..common import LOGGER, MatomoPosCommon
from ..common.real_matomo import RealMatomo, yesterday


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealMatomo(MatomoPosCommon):
    """A sales order and a POS order, compared with what a real Matomo has."""

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    def setUp(self):
        super().setUp()
        self.real = RealMatomo(currency=self.company.currency_id.name)
        self.real.receive_from(self.site)

    def assertInMatomo(self, ref, amounts, items):
        """Assert that Matomo's database and API have the order as given."""
        row = self.real.orders()[ref]
        names = ("revenue", "subtotal", "tax", "shipping", "discount")
        columns = ("revenue", *(f"revenue_{name}" for name in names[1:]))
        self.assertEqual(
            [Decimal(str(round(row[column], 2))) for column in columns],
            [Decimal(amount) for amount in amounts],
        )
        self.assertEqual(
            self.real.items(ref),
            {sku: (name, Decimal(p), q) for sku, (name, p, q) in items.items()},
        )

    def test_order_and_till_sale(self):
        moment = yesterday()
        delivery = self.make_product("Delivery", "DELIVERY", 5.0, type="service")
        order = self.make_order(
            (self.chair, 2),
            {"product_id": self.lamp.id, "product_uom_qty": 1, "discount": 10},
            {"product_id": delivery.id, "product_uom_qty": 1, "is_delivery": True},
            {
                "product_id": delivery.id,
                "name": "Coupon",
                "product_uom_qty": 1,
                "price_unit": -20.0,
            },
        )
        self.confirm(order)
        order.date_order = moment
        sale = self.sync(
            self.make_sale((self.chair, 1), (self.lamp, 3), date_order=str(moment)),
            user=self.cashier,
        )
        self.run_sender()
        self.assertState(order, "sent")
        self.assertState(sale, "sent")
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertState(sale, "verified")

        # 200 + 9.45 + 5 - 20 before tax, 15 % on top.
        self.assertInMatomo(
            order.matomo_order_ref,
            ("223.62", "209.45", "29.17", "5.00", "20.00"),
            {"CHAIR": ("Chair", "100.00", 2), "LAMP": ("Lamp", "9.45", 1)},
        )
        self.assertInMatomo(
            sale.matomo_order_ref,
            ("151.23", "131.50", "19.73", "0.00", "0.00"),
            {"CHAIR": ("Chair", "100.00", 1), "LAMP": ("Lamp", "10.50", 3)},
        )
        day = moment.date()
        report = self.real.report(day, day)
        self.assertEqual(report["nb_conversions"], 2)
        self.assertAlmostEqual(
            report["revenue"], order.amount_total + sale.amount_total, places=2
        )
        self.assertAlmostEqual(
            report["revenue_tax"], order.amount_tax + sale.amount_tax, places=2
        )

    def test_till_sale_is_on_the_map_and_in_the_dimensions(self):
        """The site accepts only its own addresses."""
        self.real.call(
            "SitesManager.updateSite",
            idSite=str(self.real.idsite),
            excludeUnknownUrls="1",
        )
        numbers = [
            self.real.call(
                "CustomDimensions.configureNewCustomDimension",
                idSite=str(self.real.idsite),
                name=name,
                scope="visit",
                active="1",
            )["value"]
            for name in ("Channel", "Till", "Salesperson")
        ]
        site = self.site.sudo()
        site.write(
            {
                "identify_customers": True,
                "channel_dimension": numbers[0],
                "till_dimension": numbers[1],
                "salesperson_dimension": numbers[2],
            }
        )
        self.company.partner_id.write(
            {
                "country_id": self.env.ref("base.us").id,
                "state_id": self.env.ref("base.state_us_5").id,
                "city": "San Francisco",
            }
        )
        moment = yesterday()
        values = {"date_order": str(moment), "user_id": self.cashier.id}
        known = {**values, "partner_id": self.customer.id}
        sales = self.sync(
            self.make_sale(**values), self.make_sale(**known), self.make_sale(**known)
        )
        order = self.confirm(self.make_order())
        order.date_order = moment
        self.run_sender()
        self.run_verifier()
        for sale in (*sales, order):
            self.assertState(sale, "verified")
        day = moment.date()
        self.assertEqual(
            self.real.labels("CustomDimensions.getCustomDimension", day, numbers[0]),
            {"Point of Sale": 3, "Salesperson": 1},
        )
        self.assertEqual(
            self.real.labels("CustomDimensions.getCustomDimension", day, numbers[1]),
            {"Bakery": 3},
        )
        self.assertEqual(
            self.real.labels("CustomDimensions.getCustomDimension", day, numbers[2]),
            {self.cashier.name: 3, order.user_id.name: 1},
        )
        for method, label in (
            ("UserCountry.getCountry", "United States"),
            ("UserCountry.getRegion", "California, United States"),
            ("UserCountry.getCity", "San Francisco, California, United States"),
        ):
            # The salesperson's order is nowhere.
            found = self.real.labels(method, day)
            self.assertEqual(found.pop(label), 3)
            self.assertEqual(found, {"Unknown": 1})
        visitors = {row["visitor"] for row in self.real.orders().values()}
        self.assertEqual(len(visitors), 3)

    def test_sale_of_a_till_whose_clock_is_ahead(self):
        """Matomo records the order at the time of arrival. It is still verified."""
        moment = fields.Datetime.now() + timedelta(days=2)
        sale = self.sync(self.make_sale(date_order=str(moment)[:19]))
        self.run_sender()
        self.assertState(sale, "sent")
        self.assertIn("was in the future: Matomo books it at", sale.matomo_notes)
        booked = self.real.orders()[sale.matomo_order_ref]["server_time"]
        self.assertLess(abs(booked - fields.Datetime.now()), timedelta(minutes=5))
        self.run_verifier()
        self.assertState(sale, "verified")

    def test_refund_is_an_event(self):
        self.site.sudo().track_refunds = True
        order = self.confirm(self.make_order((self.chair, 2)))
        self.run_sender()
        order._action_cancel()
        self.end_transaction()
        self.run_sender()
        refund = order.sudo().matomo_request_ids.filtered(lambda r: r.kind == "refund")
        self.assertEqual(refund.state, "sent")
        day = fields.Date.today()
        one_day = timedelta(days=1)
        with closing(self.site._get__client()) as client:
            for payload, expected in (
                (refund.payload, True),
                ({**refund.payload, "e_v": "1.00"}, False),
            ):
                times, _is_complete = read_refund_times(
                    client, self.real.idsite, payload, day - one_day, day + one_day
                )
                self.assertEqual(
                    [self.site._to_utc(time) for time in times],
                    [refund.order_date] if expected else [],
                )
        self.assertEqual(len(self.real.orders()), 1)

    def test_connection(self):
        site = self.site.with_user(self.make_manager())
        answer = site.action_test_connection()
        self.assertEqual(answer["params"]["type"], "success", answer)
        self.assertEqual(site.page_url, "https://shop.example.com")
        self.assertTrue(site.matomo_version)
        self.site.sudo().idsite = 999_999
        with mute_logger(LOGGER):
            answer = site.action_test_connection()
        self.assertIn("no access to site 999999", answer["params"]["message"])
        self.site.sudo().write(
            {
                "idsite": self.real.idsite,
                "token_auth": self.real.info["superuser_token"],
            }
        )
        answer = site.action_test_connection()
        self.assertEqual(answer["params"]["type"], "warning", answer)
        self.assertIn("belongs to a superuser", answer["params"]["message"])
        self.real.call(
            "UsersManager.setUserAccess",
            userLogin=self.real.info["write_login"],
            access="view",
            **{"idSites[]": str(self.real.idsite)},
        )
        self.site.sudo().token_auth = self.real.token
        with mute_logger(LOGGER):
            answer = site.action_test_connection()
        self.assertEqual(answer["params"]["type"], "danger", answer)
        self.assertIn("has no write access", answer["params"]["message"])
        self.site.sudo().token_auth = "0" * 32
        with mute_logger(LOGGER):
            answer = site.action_test_connection()
        self.assertEqual(answer["params"]["type"], "danger")
        self.assertIn("does not know the token", answer["params"]["message"])

    def test_tokens_that_only_allow_secure_requests(self):
        """Matomo recommends them, and its tracker knows those of superusers not."""
        site = self.site.with_user(self.make_manager())
        with self.real.secure_only():
            answer = site.action_test_connection()
            self.assertEqual(answer["params"]["type"], "success", answer)
            self.site.sudo().token_auth = self.real.info["superuser_token"]
            with mute_logger(LOGGER):
                answer = site.action_test_connection()
        self.assertEqual(answer["params"]["type"], "danger", answer)
        self.assertIn("only allows secure requests", answer["params"]["message"])

    def test_site_that_was_never_tested(self):
        """Matomo's own time zone and currency are known before the first order."""
        real = RealMatomo(currency="GBP", timezone="UTC+5.5")
        pound = self.env.ref("base.GBP").sudo()
        pound.active = True
        self.env["res.currency.rate"].sudo().create(
            {
                "name": "2026-01-01",
                "currency_id": pound.id,
                "company_id": self.company.id,
                "rate": 0.5,
            }
        )
        real.be_entered(self.site)
        # On the next day in the site.
        moment = (yesterday() - timedelta(days=2)).replace(hour=20)
        order = self.confirm(self.make_order())
        order.date_order = moment
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(self.site.timezone, "UTC+5.5")
        self.assertAlmostEqual(real.orders()[order.name]["revenue"], 57.5)
        day = moment.date() + timedelta(days=1)
        self.assertEqual(real.report(day, day)["nb_conversions"], 1)
        self.run_cron("ir_cron_sweep")
        row = self.env["matomo.reconciliation"].search(
            [("site_id", "=", self.site.id), ("day", "=", day)]
        )
        self.assertEqual((row.odoo_order_count, row.state), (1, "equal"))
