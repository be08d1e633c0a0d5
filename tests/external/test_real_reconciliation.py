from contextlib import closing
from datetime import timedelta

from odoo import Command, fields
from odoo.tests import tagged

from ..common import ComparisonCommon
from ..common.real_matomo import RealMatomo, yesterday


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealReconciliation(ComparisonCommon):
    """The Daily Comparison against a real Matomo."""

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    def test_days_in_odoo_and_in_matomo(self):
        real = RealMatomo(timezone="America/New_York")
        real.receive_from(
            self.site,
            timezone="America/New_York",
            date_start=fields.Date.today() - timedelta(days=9),
        )
        # Noon, and four in the morning, which is the day before in New York.
        noon = yesterday() - timedelta(days=1)
        night = noon.replace(hour=4)
        first, second = self.sell(noon, night)
        lost = self.sell(noon)
        self.run_sender()
        foreign = {
            **self.get_request(first).payload,
            "ec_id": "TAG-1",
            "revenue": "12.5",
        }
        with closing(self.site._get__client()) as client:
            client.send_bulk([foreign], timeout=10)
        real.query(
            "DELETE FROM matomo_log_conversion WHERE idsite = %s AND idorder = %s",
            real.idsite,
            lost.name,
        )
        days = self.compare()
        day = str(noon.date())
        self.assertDay(
            days[day],
            (2, 230.0),
            (2, 127.5),
            "different",
            ("missing", lost.name, -1, -115.0),
            ("foreign", "TAG-1", 1, 12.5),
        )
        before = str((noon - timedelta(days=1)).date())
        self.assertDay(days[before], (1, 115.0), (1, 115.0), "equal")
        self.assertTrue(second)

    def receive(self):
        real = RealMatomo()
        start = fields.Date.today() - timedelta(days=9)
        real.receive_from(self.site, date_start=start)
        return real

    def test_all_figures(self):
        """Matomo counts pieces, as Odoo does, and not the lines of an order."""
        self.receive()
        order = self.make_order((self.chair, 3), (self.lamp, 2))
        coupon = self.make_product("Coupon", "COUPON", 0.0, type="service")
        values = {"product_id": coupon.id, "price_unit": -10}
        order.order_line = [Command.create(values)]
        self.confirm(order)
        order.date_order = yesterday()
        self.run_sender()
        day = self.compare()[str(yesterday().date())]
        self.assertEqual(day.state, "equal")
        self.assertEqual((day.odoo_item_count, day.matomo_item_count), (5, 5))
        self.assertGreater(day.odoo_discount, 0)
        for name in ("tax", "shipping", "discount"):
            self.assertAlmostEqual(day[f"{name}_difference"], 0, places=2)

    def test_a_report_that_is_computed_later(self):
        """With archiving by a scheduled task, all orders of a day seemed to be lost."""
        real = self.receive()
        setting = "General.enable_browser_archiving_triggering"
        with real.configured(setting, 0):
            orders = self.sell(yesterday(), yesterday())
            self.run_sender()
            day = self.compare()[str(yesterday().date())]
            found = [(kind, *rest) for kind, _name, *rest in self.get_causes(day)]
            self.assertEqual(found, [("unarchived", -2, -230.0)])
            self.assertEqual((day.state, day.missing_count), ("explained", 0))
        day = self.compare()[str(yesterday().date())]
        self.assertDay(day, (2, 230.0), (2, 230.0), "equal")
        self.assertEqual({order.matomo_state for order in orders}, {"sent"})
