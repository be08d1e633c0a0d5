from contextlib import closing
from datetime import datetime, time, timedelta

from odoo import Command, fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from ...outbox.comparison import Comparison
from ..common import LOGGER, ComparisonCommon
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
        # Matomo's visits log shows an order of midnight on the day before, too.
        self.sell(self.site._get_day_bounds(yesterday().date())[0])
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
        after = str(yesterday().date())
        for each in (before, after):
            self.assertDay(days[each], (1, 115.0), (1, 115.0), "equal")
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

    def test_hours_that_no_report_or_two_reports_count(self):
        """Where the clock changes at midnight, Matomo's report ends at another time."""
        for zone, day, moments, reported in (
            # In Chile this day has 25 hours, of which the report counts 24.
            ("America/Santiago", "2026-04-04", ("05 02:30", "05 03:30"), -1),
            # In Greenland it has 23, and the report counts 24.
            ("America/Nuuk", "2026-03-28", ("29 00:30", "29 01:30"), 1),
        ):
            with self.subTest(zone):
                self.env["matomo.reconciliation"].sudo().search([]).unlink()
                RealMatomo(timezone=zone).receive_from(
                    self.site, timezone=zone, date_start="2026-03-01"
                )
                orders = self.sell(*(f"{day[:8]}{each}:00" for each in moments))
                self.run_sender()
                first = fields.Date.to_date(day)
                days = [first, first + timedelta(days=1)]
                comparison = Comparison(self.env(su=True))
                # As a job does, by the orders; and as most nights do, by the totals.
                for thorough in (days, ()):
                    comparison.compare(self.site.sudo(), *days, thorough)
                    rows = self.env["matomo.reconciliation"].search([], order="day")
                    self.assertEqual(rows.mapped("day"), days)
                    # Each order is in one day of Odoo's.
                    self.assertEqual(sum(rows.mapped("odoo_order_count")), len(orders))
                    self.assertEqual(
                        self.get_causes(rows[0]),
                        [("clock", orders[1].name, reported, 115.0 * reported)],
                    )
                    self.assertEqual(rows[0].order_count_difference, reported)
                    self.assertEqual(rows.mapped("state"), ["explained", "equal"])

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


class Month:
    """Thirty days of a shop, each with a difference of its own.

    :ivar orders: ``{name of the difference: its orders}``
    """

    # How many days ago each difference is, and how many orders of 115.00 the day has.
    DAYS = {
        "deleted": (1, 3),
        "foreign": (2, 1),
        "changed there": (3, 1),
        "late": (4, 1),
        "refunded": (5, 2),
        "refunded untracked": (6, 1),
        "cancelled": (7, 2),
        "changed here": (8, 1),
        "moved": (9, 1),
        "night": (11, 1),
        "failed": (13, 1),
        "waits": (14, 1),
        "excluded": (15, 1),
        "left out": (16, 1),
        "test": (17, 1),
        "swapped": (18, 2),
        "deleted and forgotten": (19, 1),
        **{f"well {ago}": (ago, 1) for ago in range(20, 31)},
    }

    def __init__(self, test, today):
        self.test = test
        self.today = today
        self.orders = {}

    def day(self, name):
        """Return the day of a difference on the clock of the Matomo site."""
        return self.today - timedelta(days=self.DAYS[name][0])

    def moment(self, name):
        """Return a moment of that day, naive UTC: noon in New York, about."""
        return datetime.combine(self.day(name), time(16))

    def sell(self, *names):
        for name in names:
            moments = [self.moment(name)] * self.DAYS[name][1]
            self.orders[name] = self.test.sell(*moments)


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealMonth(ComparisonCommon):
    """Thirty days, and all that makes them differ is done behind Odoo's back."""

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    def setUp(self):
        super().setUp()
        zone = "America/New_York"
        self.real = RealMatomo(timezone=zone)
        today = fields.Date.today()
        self.setup_other_currency("EUR", rates=[(today - timedelta(days=60), 0.5)])
        self.real.receive_from(
            self.site,
            timezone=zone,
            track_refunds=True,
            date_start=today - timedelta(days=40),
        )
        self.month = Month(self, self.site._get_today())

    def sell_a_month(self):
        """Sell, send and prove the orders of thirty days."""
        month = self.month
        month.sell(*(name for name in month.DAYS if name not in ("late", "waits")))
        # Four in the morning in Greenwich is the evening before in New York.
        month.orders["night"].date_order = datetime.combine(month.day("night"), time(4))
        website = {"name": "Bare", "company_id": self.company.id}
        month.orders["excluded"].website_id = self.env["website"].sudo().create(website)
        month.orders["excluded"].action_matomo_retrack()
        self.get_request(month.orders["left out"]).with_user(
            self.make_manager()
        ).action_cancel()
        failed = self.get_request(month.orders["failed"])
        failed.sudo()._update_state(
            "failed", reason="Matomo refused this order.", failure_type="data"
        )
        self.run_sender()
        self.run_verifier()

    def tamper(self):
        """Do behind Odoo's back what people and other systems do to a Matomo."""
        month, real = self.month, self.real
        for name in ("deleted", "swapped", "deleted and forgotten"):
            real.query(
                "DELETE FROM matomo_log_conversion WHERE idsite = %s AND idorder = %s",
                real.idsite,
                month.orders[name][0].name,
            )
        real.query(
            "UPDATE matomo_log_conversion SET revenue = 99.5"
            " WHERE idsite = %s AND idorder = %s",
            real.idsite,
            month.orders["changed there"].name,
        )
        model = self.get_request(month.orders["well 30"]).payload
        with closing(self.site._get__client()) as client:
            client.send_bulk(
                [
                    {
                        **model,
                        "ec_id": ref,
                        "revenue": revenue,
                        "cid": f"{number:016x}",
                        "cdt": str(month.moment(name)),
                    }
                    for number, (name, ref, revenue) in enumerate(
                        (
                            ("foreign", "JS-1", "12.5"),
                            ("swapped", "JS-2", "115"),
                            ("test", "ODOO-TEST-1", "1"),
                        ),
                        start=1,
                    )
                ],
                timeout=10,
            )

    def change_in_odoo(self):
        """Do in Odoo what the shop does after it has sold."""
        month = self.month
        self.credit(month.orders["refunded"][0], 100.0)
        self.credit(month.orders["refunded"][1], 40.0)
        self.site.sudo().track_refunds = False
        self.credit(month.orders["refunded untracked"], 100.0)
        self.site.sudo().track_refunds = True
        self.cancel(month.orders["cancelled"][0])
        month.orders["changed here"].order_line.product_uom_qty = 2
        month.orders["moved"].date_order = month.moment("moved") - timedelta(days=1)
        self.end_transaction()
        month.sell("waits")
        waiting = self.get_request(month.orders["waits"]).sudo()
        waiting.next_attempt_date = fields.Datetime.now() + timedelta(hours=1)
        self.run_sender()

    def assertMonth(self, expected):
        """Assert what each day says; of days that are not named, that they are equal.

        :param expected: ``{name of the difference: arguments of assertDay}``
        """
        month = self.month
        for name, (ago, count) in month.DAYS.items():
            with self.subTest(day=name, ago=ago):
                total = (count, 115.0 * count)
                day = self.get_day(name)
                self.assertDay(day, *expected.get(name, (total, total, "equal")))

    def get_day(self, name):
        day = str(self.month.day(name))
        return self.env["matomo.reconciliation"].search([("day", "=", day)])

    def test_every_difference_of_a_month_is_named_and_what_can_be_is_healed(self):
        month = self.month
        self.sell_a_month()
        self.tamper()
        self.change_in_odoo()
        self.compare()
        self.get_day("swapped").action_compare_again()
        self.run_cron("ir_cron_compare")
        names = {name: orders.mapped("name") for name, orders in month.orders.items()}
        one, none = (1, 115.0), (0, 0.0)
        stays = {
            "foreign": (one, (2, 127.5), "different", ("foreign", "JS-1", 1, 12.5)),
            "changed there": (
                one,
                (1, 99.5),
                "different",
                ("recorded", *names["changed there"], 0, -15.5),
            ),
            "cancelled": (
                one,
                (2, 230.0),
                "explained",
                ("withdrawn", names["cancelled"][0], 1, 115.0),
            ),
            "changed here": (
                (1, 230.0),
                one,
                "explained",
                ("changed", *names["changed here"], 0, -115.0),
            ),
            "moved": (none, one, "explained", ("away", *names["moved"], 1, 115.0)),
            "night": (none, none, "equal"),
            "excluded": (none, none, "equal"),
            "left out": (
                one,
                none,
                "explained",
                ("left_out", *names["left out"], -1, -115.0),
            ),
            "test": (one, (2, 116.0), "explained", ("test", "ODOO-TEST-1", 1, 1.0)),
        }
        self.assertMonth(
            {
                **stays,
                "deleted": (
                    (3, 345.0),
                    (2, 230.0),
                    "different",
                    ("missing", names["deleted"][0], -1, -115.0),
                ),
                "late": (none, none, "equal"),
                "failed": (
                    one,
                    none,
                    "different",
                    ("failed", *names["failed"], -1, -115.0),
                ),
                "waits": (
                    one,
                    none,
                    "explained",
                    ("pending", *names["waits"], -1, -115.0),
                ),
                "swapped": (
                    (2, 230.0),
                    (2, 230.0),
                    "different",
                    ("missing", names["swapped"][0], -1, -115.0),
                    ("foreign", "JS-2", 1, 115.0),
                ),
                "deleted and forgotten": (
                    one,
                    none,
                    "different",
                    ("missing", *names["deleted and forgotten"], -1, -115.0),
                ),
            }
        )
        moved = str(month.day("moved") - timedelta(days=1))
        days = self.env["matomo.reconciliation"].search([])
        days = {str(day.day): day for day in days}
        self.assertDay(
            days[moved], one, none, "explained", ("moved", *names["moved"], -1, -115.0)
        )
        evening = str(month.day("night") - timedelta(days=1))
        self.assertDay(days[evening], one, one, "equal")
        today = days.get(str(month.today))
        if today:
            self.assertEqual(today.state, "unfinished")
        # A refund takes nothing off the day of its order: it is of the day it was made.
        refunds = self.env["matomo.request"].search([("kind", "=", "refund")])
        self.assertEqual(sorted(refunds.mapped("revenue")), [46.0, 115.0, 115.0])

        # What can be healed: the person presses a button, or nothing at all.
        month.sell("late")
        waiting = self.get_request(month.orders["waits"]).sudo()
        waiting.next_attempt_date = fields.Datetime.now()
        for name in ("deleted", "failed", "swapped"):
            self.get_day(name).action_retrack_missing()
        # The nightly comparison itself has woken the verifier for the fourth.
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_verify")
            self.run_sender()
            self.run_verifier()
            self.run_sender()
        self.run_cron("ir_cron_compare")
        self.assertMonth(
            {
                **stays,
                "swapped": (
                    (2, 230.0),
                    (3, 345.0),
                    "different",
                    ("foreign", "JS-2", 1, 115.0),
                ),
            }
        )

        # Another time zone and currency: Matomo makes no report anew for that.
        self.set_in_matomo(timezone="Asia/Tokyo", currency="EUR")
        with mute_logger(LOGGER):
            days = self.compare()
        self.assertEqual(
            (self.site.timezone, self.site.currency_id.name), ("Asia/Tokyo", "EUR")
        )
        unexplained = [
            (day.day, day.difference, self.get_causes(day))
            for day in days.values()
            if not day.is_explained
        ]
        self.assertFalse(unexplained)
        kinds = {kind for day in days.values() for kind, *_rest in self.get_causes(day)}
        self.assertLessEqual({"currency", "stale", "unarchived"}, kinds)

    def set_in_matomo(self, **values):
        """Change settings of the site in Matomo."""
        self.real.call(
            "SitesManager.updateSite",
            idSite=str(self.real.idsite),
            siteName="Test",
            **{"urls[]": "https://shop.example.com"},
            ecommerce="1",
            **values,
        )
