from datetime import date

from odoo import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..common import IS_KEPT, UNSYNCED, TillCase, open_register, ring_up
from ..common.browser import CONSOLE, BrowserCase
from ..common.real_matomo import RealMatomo


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestTillTour(TillCase, BrowserCase):
    """A cashier at a till in a real Chromium, tracked in a real Matomo."""

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

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

    def test_a_day_at_the_till(self):
        quotation = self.make_order((self.chair, 3))
        session = self.open_till(self.shop)
        self.let_crons_sleep()
        self.run_tour(self.shop, "matomo_till")
        # The sales have woken the sender, and nothing else.
        self.assertEqual(self.run_scheduler(), ["model._cron_send()"])
        self.assertEqual(self.run_scheduler(), [])
        self.run_verifier()

        sales = self.till_sales(session)
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

    def make_restaurant(self):
        """Return a till with one table, and tips that are added after payment."""
        restaurant = self.env["pos.config"].create(
            {
                "name": "Restaurant",
                "company_id": self.company.id,
                "payment_method_ids": [
                    Command.set(
                        self.methods.copy(
                            {"journal_id": self.methods[-1].journal_id.id}
                        ).ids
                    )
                ],
                "matomo_site_id": self.site.id,
                "module_pos_restaurant": True,
                "iface_splitbill": True,
                "iface_tipproduct": True,
                "tip_product_id": self.tip.id,
                "set_tip_after_payment": True,
            }
        )
        restaurant.floor_ids.unlink()
        self.env["restaurant.floor"].create(
            {
                "name": "Garden",
                "pos_config_ids": [Command.set(restaurant.ids)],
                "table_ids": [
                    Command.create({"table_number": 2, "seats": 4, "position_h": 100})
                ],
            }
        )
        return restaurant

    def test_a_table_with_a_split_bill_and_a_later_tip(self):
        restaurant = self.make_restaurant()
        session = self.open_till(restaurant)
        self.run_tour(restaurant, "matomo_till_table")
        self.run_sender()
        self.run_verifier()
        lamp, rest = self.till_sales(session)
        recorded = self.real.orders()
        self.assertEqual(len(recorded), 2)
        for sale, revenue, items in (
            (lamp, "12.08", {"LAMP": ("Lamp", 10.5, 1)}),
            # A later tip is a line, which Odoo leaves out of its total.
            (
                rest,
                "132.08",
                {
                    "CHAIR": ("Chair", 100, 1),
                    "LAMP": ("Lamp", 10.5, 1),
                    "TIPS": ("Tip", 5, 1),
                },
            ),
        ):
            self.assertState(sale, "verified")
            self.assertFalse(sale.matomo_notes)
            order = recorded[sale.matomo_order_ref]
            self.assertEqual(str(order["server_time"]), str(sale.date_order))
            self.assertEqual(f"{order['revenue']:.2f}", revenue)
            self.assertEqual(f"{sale.amount_total + sale.tip_amount:.2f}", revenue)
            self.assertEqual(self.real.items(sale.matomo_order_ref), items)

    # === WITHOUT NETWORK === #

    def test_sold_without_network_and_synced_later(self):
        """Chromium itself has no network, and shows the till from its own cache."""
        path = f"/pos/ui/{self.shop.id}"
        session = self.open_till(self.shop)
        self.let_crons_sleep()
        sold = (
            ("2026-03-01 15:30:00", ("Chair", "Lamp"), "Cash", "127.08"),
            # Around midnight in Tokyo, in London, in New York.
            ("2026-03-01 23:59:30", ("Lamp",), "Card", "12.08"),
            ("2026-03-02 05:30:00", ("Lamp", "Chair", "Lamp"), "Voucher", "139.15"),
        )
        # Read before the page is open: from then on its requests have the cursor.
        login = self.seller.login
        with self.browse() as page:
            page.goto(f"/web/login?redirect={path}")
            page.fill("[name='login']", login)
            page.fill("[name='password']", login)
            page.click(".oe_login_form button[type='submit']")
            open_register(page)
            # Once more, so that the browser keeps all it needs to open the till.
            page.wait_for_function("navigator.serviceWorker.ready.then(() => true)")
            page.goto(path)
            open_register(page)
            # The till itself says on the console that it has no network.
            console = mute_logger(CONSOLE)
            page.context.set_offline(True)
            with console:
                page.wait_for_function(
                    "fetch('/pos/ping').then(() => false, () => true)"
                )
                for number, (moment, products, method, _revenue) in enumerate(sold):
                    ring_up(page, products, method, at=moment)
                    page.wait_for_function(f"{UNSYNCED} === {number + 1}")
                # The tab is left and opened again.
                page.wait_for_function(IS_KEPT)
                page.goto(path)
                open_register(page)
                page.wait_for_function(f"{UNSYNCED} === 3")
            page.context.set_offline(False)
            page.goto(path)
            open_register(page)
            page.wait_for_function(f"{UNSYNCED} === 0")
        self.assertEqual(self.run_scheduler(), ["model._cron_send()"])
        self.run_verifier()

        sales = self.till_sales(session)
        self.assertEqual(len(sales), 3)
        recorded = self.real.orders()
        self.assertEqual(len(recorded), 3)
        for sale, (moment, _products, method, revenue) in zip(sales, sold, strict=True):
            self.assertState(sale, "verified")
            self.assertEqual(sale.payment_ids.payment_method_id.name, method)
            order = recorded[sale.matomo_order_ref]
            self.assertEqual(str(sale.date_order), moment)
            self.assertEqual(str(order["server_time"]), moment)
            self.assertEqual(f"{sale.amount_total:.2f}", revenue)
            self.assertEqual(f"{order['revenue']:.2f}", revenue)
