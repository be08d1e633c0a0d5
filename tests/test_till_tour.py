from contextlib import nullcontext
from datetime import date

from odoo import Command
from odoo.tests import HttpCase, tagged

from .common import MatomoPosCommon
from .real_matomo import RealMatomo


@tagged("post_install", "-at_install")
class TestTillTour(MatomoPosCommon, HttpCase):
    """A cashier at a real till in Chromium, seen by a real Matomo."""

    def startPatch(self, matomo):
        """The network ends at the real Matomo."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The name belongs to the browser's session from here on.
        cls.session = None
        accounts = cls.company_data
        methods = cls.env["pos.payment.method"]
        for name, kind in (("Cash", "cash"), ("Card", "bank"), ("Voucher", "bank")):
            journal = accounts[f"default_journal_{kind}"].copy({"name": name})
            methods += cls.cash.copy({"name": name, "journal_id": journal.id})
        cls.shop = cls.env["pos.config"].create(
            {
                "name": "Shop",
                "company_id": cls.company.id,
                "payment_method_ids": [Command.set(methods.ids)],
                "matomo_site_id": cls.site.id,
            }
        )
        cls.seller = cls.make_user(
            "cashier_at_till",
            "base.group_user,point_of_sale.group_pos_user,"
            "sales_team.group_sale_salesman_all_leads",
        )

    def setUp(self):
        super().setUp()
        self.real = RealMatomo(
            currency=self.company.currency_id.name, timezone="America/New_York"
        )
        self.real.receive_from(
            self.site,
            timezone="America/New_York",
            # The till's sales are of a fixed day.
            raw_data_days=0,
            track_refunds=True,
        )

    def enter_registry_test_mode(self):
        """Requests of an ``HttpCase`` are in it already."""
        return nullcontext()

    def test_a_day_at_the_till(self):
        quotation = self.make_order((self.chair, 3))
        self.shop.with_user(self.seller).open_ui()
        session = self.shop.current_session_id
        session.set_opening_control(0, None)
        self.start_tour(
            f"/pos/ui/{self.shop.id}", "matomo_till", login=self.seller.login
        )
        self.env.invalidate_all()
        self.run_sender()
        self.run_verifier()

        sales = session.order_ids.sorted(lambda sale: (sale.date_order, sale.id))
        self.assertEqual(len(sales), 6)
        expected = [
            ("2026-03-01 10:00:00", "115.00", {"CHAIR": ("Chair", 100, 1)}),
            (
                "2026-03-01 15:30:00",
                "127.08",
                {"CHAIR": ("Chair", 100, 1), "LAMP": ("Lamp", 10.5, 1)},
            ),
            ("2026-03-01 23:59:30", "12.08", {"LAMP": ("Lamp", 10.5, 1)}),
            (
                "2026-03-02 05:30:00",
                "139.15",
                {"CHAIR": ("Chair", 100, 1), "LAMP": ("Lamp", 10.5, 2)},
            ),
        ]
        recorded = self.real.orders()
        for sale, (moment, revenue, items) in zip(sales, expected, strict=False):
            self.assertState(sale, "verified")
            order = recorded[sale.matomo_order_ref]
            self.assertEqual(str(sale.date_order), moment)
            self.assertEqual(str(order["server_time"]), moment)
            self.assertEqual(f"{order['revenue']:.2f}", revenue)
            self.assertEqual(f"{sale.amount_total:.2f}", revenue)
            self.assertEqual(self.real.items(sale.matomo_order_ref), items)
        refund, settlement = sales[4:]
        self.assertState(refund, "excluded", f"Refund of {sales[1].name}")
        self.assertState(
            settlement, "excluded", f"Settled sales order {quotation.name}"
        )
        self.assertEqual(quotation.state, "sale")
        self.assertState(quotation, "verified")
        # Each once, on the day it was in New York, and nothing else.
        self.assertEqual(len(recorded), 5)
        first, second = date(2026, 3, 1), date(2026, 3, 2)
        report = self.real.report(first, first)
        self.assertEqual((report["nb_conversions"], report["revenue"]), (3, 254.16))
        report = self.real.report(second, second)
        self.assertEqual((report["nb_conversions"], report["revenue"]), (1, 139.15))
        [event] = refund.sudo().matomo_request_ids.filtered(
            lambda row: row.kind == "refund"
        )
        self.assertEqual((event.state, event.revenue), ("sent", 115.0))
        # Nobody's address, and each sale a visitor of its own.
        rows = self.real.query(
            "SELECT HEX(location_ip) AS ip, idvisitor FROM matomo_log_visit"
            " WHERE idsite = %s",
            self.real.idsite,
        )
        self.assertEqual({row["ip"] for row in rows}, {"00000000"})
        self.assertEqual(len({row["idvisitor"] for row in rows}), 5)
