from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..matomo_api import reading
from ..matomo_api.reading import RecordedOrder, Totals
from ..models import matomo_reconciliation
from ..outbox import comparison
from ..tools.reconciliation import KINDS
from .common import (
    LOGGER,
    MODULE,
    TOKEN,
    AmountsCommon,
    ComparisonCommon,
    FakeResponse,
    fake_matomo,
    lose,
)

MORNING = "2026-03-03 09:00:00"


@tagged("post_install", "-at_install")
@freeze_time("2026-03-05 02:00:00")
class TestReconciliation(ComparisonCommon):
    """Each past day has its figures in Odoo and in Matomo, and why they differ."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A few days are compared instead of a month.
        cls.site.sudo().date_start = "2026-02-28"

    def test_equal_days(self):
        self.site.sudo().date_start = "2026-01-01"
        self.sell(MORNING, MORNING, "2026-03-04 23:00:00")
        self.sync(self.make_sale((self.chair, 2), date_order=MORNING))
        self.run_sender()
        days = self.compare()
        self.assertDay(days["2026-03-03"], (3, 460.0), (3, 460.0), "equal")
        self.assertDay(days["2026-03-04"], (1, 115.0), (1, 115.0), "equal")
        self.assertDay(days["2026-03-02"], (0, 0.0), (0, 0.0), "equal")
        self.assertNotIn("2026-03-05", days)
        # A month, and no day before the tracking start.
        self.assertEqual(len(days), 31)
        self.site.sudo().date_start = "2026-03-03"
        self.env["matomo.reconciliation"].sudo().search([]).unlink()
        self.assertEqual(set(self.compare()), {"2026-03-03", "2026-03-04"})

    def test_amounts_that_cannot_be_read(self):
        """What one order says in Matomo keeps no day from being compared."""
        ours, _other = self.sell(MORNING, MORNING)
        self.run_sender()
        foreign = {**self.recorded(ours), "ec_id": "TAG-1", "revenue": "7"}
        self.matomo.orders[str(self.site.idsite), "tag-1"] = foreign
        read = reading._amount
        with patch.object(
            reading, "_amount", lambda value: read(value) if value != 7 else None
        ):
            day = self.compare()["2026-03-03"]
        self.assertEqual(day.matomo_order_count, 3)
        self.assertIn(("foreign", "TAG-1", 1, 0.0), self.get_causes(day))

    def test_days_are_those_of_the_site(self):
        self.matomo.site["timezone"] = "America/New_York"
        # The evening before in New York, where the last day has not ended yet.
        self.sell("2026-03-04 03:00:00")
        rows = self.compare()
        self.assertEqual(max(rows), "2026-03-03")
        self.assertEqual(rows["2026-03-03"].odoo_order_count, 1)

    def test_an_order_of_midnight(self):
        """Matomo shows it on the day before, too, where nothing explained it.

        Imported orders often have no time of day.
        """
        self.sell("2026-03-03 00:00:00", "2026-03-04 00:00:00")
        self.run_sender()
        day = self.compare()["2026-03-03"]
        day.action_compare_again()
        self.run_cron("ir_cron_compare")
        self.assertDay(day, (1, 115.0), (1, 115.0), "equal")

    def test_what_matomo_rounds(self):
        """The day was equal, Matomo had 2 cents more, and nothing said why."""
        order = self.make_order({"product_id": self.chair.id, "price_unit": 200_000})
        self.confirm(order).date_order = MORNING
        self.run_sender()
        self.recorded(order)["revenue"] = "230000.02"
        self.assertDay(
            self.compare()["2026-03-03"],
            (1, 230000.0),
            (1, 230000.02),
            "equal",
            ("rounding", False, 0, 0.02),
        )

    @mute_logger(LOGGER)
    def test_a_currency_with_three_decimals(self):
        """Matomo keeps two: the third one is Odoo's, and named as rounding."""
        dinar = self.setup_other_currency("KWD", rates=[("2026-01-01", 0.3075)])
        self.matomo.site["currency"] = "KWD"
        self.run_cron("ir_cron_sweep")
        self.assertEqual(self.site.currency_id, dinar)
        pricelist = self.env["product.pricelist"].create(
            {"name": "KWD", "currency_id": dinar.id, "company_id": self.company.id}
        )
        line = {"product_id": self.chair.id, "price_unit": 1.235, "tax_ids": False}
        orders = self.env["sale.order"].union(
            *(self.make_order(line, pricelist_id=pricelist.id) for _each in range(3))
        )
        self.confirm(orders).date_order = MORNING
        self.run_sender()
        self.assertRecorded(orders[0], revenue="1.24")
        self.run_verifier()
        self.assertEqual({*orders.mapped("matomo_state")}, {"verified"})
        lost = orders[0]
        del self.matomo.orders["1", lost.name.casefold()]
        day = self.compare()["2026-03-03"]
        self.assertAlmostEqual(day.odoo_revenue, 3.705)
        self.assertAlmostEqual(day.revenue_difference, 2.48 - 3.705)
        self.assertEqual(
            [
                (cause.kind, cause.name, round(cause.revenue_difference, 3))
                for cause in day.cause_ids
            ],
            [
                ("missing", self.get_request(lost).order_ref, -1.24),
                ("rounding", False, 0.015),
            ],
        )
        self.assertTrue(day.is_explained)

    def test_days_of_a_zone_that_only_matomo_knows(self):
        """Matomo writes some zones as UTC+5.5, which nobody else does.

        The site silently stayed in UTC: each order of the evening was on another day
        in Odoo than in Matomo, and seemed to be missing there.
        """
        self.matomo.site["timezone"] = "UTC+5.5"
        # Half past one on the next day.
        self.sell("2026-03-02 20:00:00")
        self.assertEqual(self.compare()["2026-03-03"].odoo_order_count, 1)
        self.matomo.site["timezone"] = "UTC-2"
        with mute_logger(LOGGER):
            self.assertEqual(self.compare()["2026-03-02"].odoo_order_count, 1)

    def test_what_matomo_has_while_it_waits_here(self):
        """The day said "Waiting to be sent", and the same order "on this day" again."""
        orders = self.sell(MORNING, MORNING)
        self.matomo.faults = [lose] * 2
        with mute_logger(LOGGER):
            self.run_sender()
        for order in orders:
            self.assertState(order, "pending")
        self.assertEqual(len(self.matomo.orders), 2)
        late = self.sell("2026-03-03 10:00:00")
        self.assertDay(
            self.compare()["2026-03-03"],
            (3, 345.0),
            (2, 230.0),
            "explained",
            ("pending", late.name, -1, -115.0),
        )

    def test_a_till_that_sends_while_its_day_is_compared(self):
        """The totals were older than the orders: a difference that nobody explained."""
        self.sell(MORNING, MORNING, MORNING)
        self.run_sender()
        report, asked = fake_matomo.report_days, []

        def report_before_the_last(orders, dates):
            asked.append(dates)
            return report(orders if len(asked) > 1 else orders[:2], dates)

        with patch.object(fake_matomo, "report_days", report_before_the_last):
            day = self.compare()["2026-03-03"]
        self.assertDay(day, (3, 345.0), (3, 345.0), "equal")

    def test_what_waits_and_what_failed(self):
        failed, waiting = self.sell(MORNING, MORNING)
        self.matomo.refuses = lambda p: p.get("ec_id") == failed.name
        sent = self.sell(MORNING)
        self.get_request(waiting).next_attempt_date = "2026-03-05 03:00:00"
        with mute_logger(LOGGER):
            self.run_sender()
        self.assertState(failed, "failed")
        self.assertState(sent, "sent")
        day = self.compare()["2026-03-03"]
        self.assertDay(
            day,
            (3, 345.0),
            (1, 115.0),
            "different",
            ("failed", failed.name, -1, -115.0),
            ("pending", waiting.name, -1, -115.0),
        )

    def test_changed_cancelled_and_moved_orders(self):
        changed, cancelled, moved = self.sell(MORNING, MORNING, MORNING)
        self.run_sender()
        changed.order_line.product_uom_qty = 2
        cancelled._action_cancel()
        moved.date_order = "2026-03-04 12:00:00"
        self.end_transaction()
        days = self.compare()
        self.assertDay(
            days["2026-03-03"],
            (1, 230.0),
            (3, 345.0),
            "explained",
            ("changed", changed.name, 0, -115.0),
            ("withdrawn", cancelled.name, 1, 115.0),
            ("away", moved.name, 1, 115.0),
        )
        self.assertDay(
            days["2026-03-04"],
            (1, 115.0),
            (0, 0.0),
            "explained",
            ("moved", moved.name, -1, -115.0),
        )

    def test_excluded_orders_belong_to_neither_side(self):
        sale = self.sync(self.make_sale(date_order=MORNING))
        returned = self.sync(
            self.make_sale(
                {
                    "product_id": self.chair.id,
                    "qty": -1,
                    "refunded_orderline_id": sale.lines.id,
                },
                date_order=MORNING,
            )
        )
        self.run_sender()
        self.assertState(returned, "excluded")
        day = self.compare()["2026-03-03"]
        self.assertDay(day, (1, 115.0), (1, 115.0), "equal")

    def test_missing_order_is_found_and_sent_again(self):
        lost, kept = self.sell(MORNING, MORNING)
        self.run_sender()
        self.run_verifier()
        self.assertState(lost, "verified")
        # Somebody deletes the visit in Matomo.
        del self.matomo.orders["1", lost.name.casefold()]
        day = self.compare()["2026-03-03"]
        self.assertDay(
            day,
            (2, 230.0),
            (1, 115.0),
            "different",
            ("missing", lost.name, -1, -115.0),
        )
        self.assertTrue(day.is_explained)
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_verify")
        self.assertState(lost, "pending")
        self.run_sender()
        day = self.compare()["2026-03-03"]
        self.assertDay(day, (2, 230.0), (2, 230.0), "equal")
        self.assertState(kept, "verified")

    def test_what_was_changed_or_cancelled_and_is_gone_in_matomo(self):
        """It needed a look for a cancelled order, and named a changed one twice."""
        cancelled, changed, _kept = self.sell(MORNING, MORNING, MORNING)
        self.run_sender()
        self.cancel(cancelled)
        changed.order_line.product_uom_qty = 2
        del self.matomo.orders["1", cancelled.name.casefold()]
        day = self.compare()["2026-03-03"]
        both = (2, 345.0), (2, 230.0)
        self.assertDay(day, *both, "explained", ("changed", changed.name, 0, -115.0))
        del self.matomo.orders["1", changed.name.casefold()]
        day = self.compare()["2026-03-03"]
        self.assertDay(
            day,
            (2, 345.0),
            (1, 115.0),
            "different",
            ("missing", changed.name, -1, -230.0),
        )
        with mute_logger(LOGGER):
            self.run_verifier()
        self.run_sender()
        day = self.compare()["2026-03-03"]
        self.assertDay(day, (2, 345.0), (2, 345.0), "equal")

    def test_orders_of_others(self):
        order = self.sell(MORNING)
        self.run_sender()
        of_tag = {**self.recorded(order), "ec_id": "JS-7", "revenue": "12.50"}
        self.matomo.orders["1", "js-7"] = of_tag
        day = self.compare()["2026-03-03"]
        self.assertDay(
            day,
            (1, 115.0),
            (2, 127.5),
            "different",
            ("foreign", "JS-7", 1, 12.5),
        )
        self.assertEqual(day.foreign_order_count, 1)
        self.assertEqual(day.difference.split(" and ")[0], "Matomo has 1 order")

    def test_an_order_that_was_never_built(self):
        """It has no order ID, which stopped the comparison of its day."""
        waiting = self.sell(MORNING)
        sent = self.sell(MORNING)
        request = self.get_request(waiting).sudo()
        request.write({"attempt_count": 1, "next_attempt_date": "2026-03-05 03:00:00"})
        self.run_sender()
        self.assertFalse(request.order_ref)
        self.assertState(sent, "sent")
        self.assertDay(
            self.compare()["2026-03-03"],
            (2, 230.0),
            (1, 115.0),
            "explained",
            ("pending", waiting.name, -1, -115.0),
        )

    def test_orders_of_another_company_here(self):
        """Two companies sell into one Matomo site, which each has spelled differently.

        Each saw the other's orders as its own, booked on a wrong day.
        """
        sister = self.setup_other_company(name="Sister")["company"]
        sites = self.site.sudo()
        theirs = sites.create(
            {
                "name": "Sister's site",
                "url": "https://Matomo.example.com:443/matomo.php",
                "idsite": self.site.idsite,
                "company_id": sister.id,
                "token_auth": TOKEN,
                "currency_id": self.site.currency_id.id,
                "date_start": "2026-01-01",
            }
        )
        order, their_order = self.sell(MORNING, MORNING)
        self.run_sender()
        self.get_request(their_order).write(
            {"site_id": theirs.id, "company_id": sister.id}
        )
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE sale_order SET company_id = %s WHERE id = %s",
            [sister.id, their_order.id],
        )
        self.env.invalidate_all()
        days = self.env["matomo.reconciliation"].sudo()
        self.run_cron("ir_cron_sweep")
        for site, other in ((self.site, their_order), (theirs, order)):
            day = days.search([("site_id", "=", site.id), ("day", "=", MORNING[:10])])
            self.assertDay(
                day,
                (1, 115.0),
                (2, 230.0),
                "explained",
                ("company", other.name, 1, 115.0),
            )
            self.assertFalse(day.cause_ids.request_id)

    def test_one_missing_and_one_foreign_of_the_same_amount(self):
        order = self.sell(MORNING)
        self.run_sender()
        self.run_verifier()
        foreign = {**self.matomo.orders.pop(("1", order.name.casefold()))}
        self.matomo.orders["1", "js-8"] = {**foreign, "ec_id": "JS-8"}
        # The totals agree, which is all that a report can say.
        day = self.compare()["2026-03-03"]
        self.assertDay(day, (1, 115.0), (1, 115.0), "equal")
        day.action_compare_again()
        self.run_cron("ir_cron_compare")
        self.assertDay(
            day,
            (1, 115.0),
            (1, 115.0),
            "different",
            ("missing", order.name, -1, -115.0),
            ("foreign", "JS-8", 1, 115.0),
        )

    def test_the_orders_of_yesterday_are_read_every_night(self):
        order = self.sell("2026-03-04 09:00:00")
        self.run_sender()
        foreign = {**self.matomo.orders.pop(("1", order.name.casefold()))}
        self.matomo.orders["1", "js-8"] = {**foreign, "ec_id": "JS-8"}
        day = self.compare()["2026-03-04"]
        kinds = [cause[0] for cause in self.get_causes(day)]
        self.assertEqual((day.state, kinds), ("different", ["missing", "foreign"]))

    def test_each_day_is_read_once_more_within_a_month(self):
        """What somebody deletes does not leave a report that Matomo has made."""
        nights = [date(2026, 3, 5) + timedelta(days=n) for n in range(62)]
        again = [
            (night - day).days
            for night in nights
            for day in comparison.get_thorough_days(night) - {night}
        ]
        ages = Counter(
            day
            for night in nights
            for day in comparison.get_thorough_days(night) - {night}
        )
        self.assertEqual(set(ages.values()), {1})
        self.assertEqual(set(again), {*range(1, comparison.DAYS)})

    def test_a_report_that_is_older_than_its_orders(self):
        """Somebody deletes an order, and Matomo's report still counts it."""
        lost, _kept = self.sell("2026-03-04 09:00:00", "2026-03-04 09:00:00")
        self.run_sender()
        totals = Totals(orders=2, revenue=Decimal("230"))
        del self.matomo.orders["1", lost.name.casefold()]
        with patch.object(
            comparison, "day_totals", return_value={date(2026, 3, 4): totals}
        ):
            day = self.compare()["2026-03-04"]
        self.assertDay(
            day,
            (2, 230.0),
            (2, 230.0),
            "different",
            ("missing", lost.name, -1, -115.0),
            ("stale", "1 order that is not listed by itself", 1, 115.0),
        )
        self.assertTrue(day.is_explained)

    def test_a_visits_log_that_is_cut_off_finds_nothing_missing(self):
        order = self.sell("2026-03-04 09:00:00")
        self.run_sender()
        with patch.object(
            comparison, "read_all_orders", return_value=([], False)
        ) as read:
            day = self.compare()["2026-03-04"]
        self.assertTrue(read.called)
        self.assertDay(day, (1, 115.0), (1, 115.0), "equal")
        self.assertState(order, "sent")

    def test_another_amount_in_matomo(self):
        order = self.sell(MORNING)
        self.run_sender()
        self.recorded(order)["revenue"] = "100.00"
        self.assertDay(
            self.compare()["2026-03-03"],
            (1, 115.0),
            (1, 100.0),
            "different",
            ("recorded", order.name, 0, -15.0),
        )

    def test_an_order_that_a_tag_sent_differently_explains_its_difference(self):
        (order,) = self.sell(MORNING)
        self.run_sender()
        self.get_request(order)._record_difference(
            RecordedOrder(order.name, Decimal("100.00")), "A tag sent it."
        )
        self.recorded(order)["revenue"] = "100.00"
        day = self.compare()["2026-03-03"]
        self.assertDay(
            day,
            (1, 115.0),
            (1, 100.0),
            "different",
            ("recorded", order.name, 0, -15.0),
        )

    def test_an_amount_beyond_all_bounds_stops_nothing(self):
        """Anybody may put 1e26 pieces into a cart."""
        huge, fine = self.make_order((self.chair, 1e26)), self.make_order()
        self.confirm(huge + fine)
        self.run_sender()
        self.assertState(huge, "excluded", "larger than Matomo can store")
        self.assertState(fine, "sent")
        self.assertFalse(huge.matomo_notes)
        (order,) = self.sell(MORNING)
        self.run_sender()
        order.order_line.product_uom_qty = 1e26
        self.assertIn("the order is now", order.matomo_notes)
        self.compare()

    @mute_logger(LOGGER)
    def test_orders_sent_in_another_currency(self):
        """The site got another currency; Matomo converts nothing it has recorded."""
        euro = self.setup_other_currency("EUR", rates=[("2026-01-01", 2.0)])
        order, changed = self.sell(MORNING, MORNING)
        self.run_sender()
        changed.order_line.product_uom_qty = 2
        self.matomo.site["currency"] = "EUR"
        later = self.sell("2026-03-04 09:00:00")
        self.run_cron("ir_cron_sweep")
        self.assertEqual(self.site.currency_id, euro)
        self.run_sender()
        days = self.compare()
        self.assertDay(
            days["2026-03-03"],
            (2, 690.0),
            (2, 230.0),
            "explained",
            ("currency", order.name, 0, -115.0),
            ("currency", changed.name, 0, -345.0),
        )
        self.assertRecorded(later, revenue="230.00")
        self.assertDay(days["2026-03-04"], (1, 230.0), (1, 230.0), "equal")

    @mute_logger(LOGGER)
    def test_a_visits_log_that_is_off_leaves_the_totals(self):
        """The first day that differed ended the comparison of all later days."""
        self.sell("2026-03-02 09:00:00", MORNING)
        self.run_sender()
        orders = self.matomo.orders
        del orders[next(iter(orders))]
        answer = self.matomo._answer

        def answer_without_log(url, data):
            if "index.php" in url and data["method"].startswith("Live."):
                message = "Visits log is deactivated globally."
                return FakeResponse(200, {"result": "error", "message": message})
            return answer(url, data)

        with patch.object(self.matomo, "_answer", answer_without_log):
            days = self.compare()
        self.assertEqual(days["2026-03-02"].state, "different")
        self.assertDay(days["2026-03-03"], (1, 115.0), (1, 115.0), "equal")
        self.assertIn("2026-03-04", days)

    @mute_logger(LOGGER)
    def test_one_day_that_breaks_stops_no_other(self):
        self.sell(MORNING)
        self.run_sender()
        days = self.env["matomo.reconciliation"]
        compare_day = type(days)._compare_day

        def break_one(days, site, day, *args):
            if str(day) == "2026-03-02":
                raise ZeroDivisionError
            return compare_day(days, site, day, *args)

        with patch.object(type(days), "_compare_day", break_one):
            compared = self.compare()
        self.assertNotIn("2026-03-02", compared)
        self.assertEqual(compared["2026-03-03"].state, "equal")

    def test_a_silent_matomo_leaves_the_comparison(self):
        self.sell(MORNING)
        self.run_sender()
        day = self.compare()["2026-03-03"]
        self.matomo.orders.clear()
        self.matomo.faults = [ConnectionError("gone")] * 2
        with mute_logger(LOGGER):
            self.compare()
        self.assertDay(day, (1, 115.0), (1, 115.0), "equal")

    def test_copies_and_unreadable_sites_are_not_asked(self):
        self.matomo.may_read = False
        with mute_logger(LOGGER):
            self.assertFalse(self.compare())
        self.matomo.requests.clear()
        self.site.sudo().write({"can_read": True, "database_uuid": "another"})
        self.assertFalse(self.compare())
        self.assertFalse(self.matomo.requests)

    def test_a_day_of_many_orders_needs_few_queries(self):
        orders = self.sell(*[MORNING] * 3)
        self.run_sender()
        self.compare()

        def count():
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            self.compare()
            return self.env.cr.sql_log_count - before

        few = count()
        self.sell(*[MORNING] * 12)
        self.run_sender()
        self.assertEqual(len(orders), 3)
        self.assertLessEqual(count(), few + 5)

    def test_rights(self):
        self.sell(MORNING)
        self.run_sender()
        day = self.compare()["2026-03-03"]
        self.assertEqual(day.display_name, f"{self.site.name}, 03/03/2026")
        other = self.setup_other_company(name="Sister")["company"]
        stranger = self.make_user("stranger", f"{MODULE}.group_matomo_user")
        stranger.sudo().write(
            {"company_ids": [(6, 0, other.ids)], "company_id": other.id}
        )
        comparison = self.env["matomo.reconciliation"]
        self.assertFalse(comparison.with_user(stranger).search([]))
        self.assertTrue(comparison.with_user(self.make_manager()).search([]))

    # === WHEN A DAY IS COMPARED === #

    def test_a_late_order_has_its_day_compared_again(self):
        """A till that was offline: the day said Equal with an order less, for a day."""
        self.sell(MORNING)
        self.run_sender()
        day = self.compare()["2026-03-03"]
        self.sync(self.make_sale((self.chair, 1), date_order=MORNING))
        self.assertFalse(day.is_outdated)
        self.run_sender()
        self.assertTrue(day.is_outdated)
        self.assertEqual(day.odoo_order_count, 1)
        self.run_cron("ir_cron_compare")
        self.assertFalse(day.is_outdated)
        self.assertDay(day, (2, 230.0), (2, 230.0), "equal")

    def test_sending_todays_orders_reads_no_comparison(self):
        self.compare()
        self.confirm(self.make_order()).date_order = "2026-03-05 01:00:00"
        with patch.object(
            type(self.env["matomo.reconciliation"]),
            "search",
            side_effect=AssertionError,
        ):
            self.run_sender()
        self.assertTrue(self.matomo.orders)

    def test_an_outdated_day_waits_for_a_silent_matomo(self):
        self.sell(MORNING)
        self.run_sender()
        day = self.compare()["2026-03-03"]
        day.with_user(self.make_manager()).action_compare_again()
        self.assertTrue(day.is_outdated)
        # It is asked for today, and then no more.
        self.matomo.faults = [ConnectionError("gone")]
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_compare")
        self.assertTrue(day.is_outdated)
        self.run_cron("ir_cron_compare")
        self.assertFalse(day.is_outdated)

    def test_a_day_that_cannot_be_compared_again(self):
        """It said for ever that it is compared within the hour."""
        self.sell(MORNING)
        self.run_sender()
        day = self.compare()["2026-03-03"]
        site = self.site.sudo()
        site.paused_date = "2026-03-05 01:00:00"
        message = day.action_compare_again()["params"]["message"]
        self.assertIn("cannot be asked at the moment", message)
        self.assertTrue(day.is_outdated)
        site.paused_date = False
        self.run_cron("ir_cron_compare")
        self.assertFalse(day.is_outdated)
        site.raw_data_days = 1
        with self.assertRaisesRegex(UserError, "no longer has the single orders"):
            day.action_compare_again()
        self.assertFalse(day.is_outdated)

    def test_a_night_that_takes_too_long_goes_on_later(self):
        """Odoo ended the process, and the next night began with the same days.

        What was compared is not compared again, and the hourly comparison goes on.
        """
        orders = self.sell("2026-02-28 09:00:00", "2026-03-02 09:00:00", MORNING)
        self.run_sender()
        days = self.env["matomo.reconciliation"].sudo()
        moments = iter([0, 1, comparison.PATIENCE + 1])
        wakes = [("cron_id", "=", self.env.ref(f"{MODULE}.ir_cron_compare").id)]
        with (
            patch.object(comparison, "CHUNK", 2),
            patch.object(comparison, "monotonic", lambda: next(moments)),
        ):
            self.run_cron("ir_cron_sweep")
        self.assertTrue(self.env["ir.cron.trigger"].sudo().search(wakes))
        found = days.search([], order="day").mapped("day")
        self.assertEqual([str(day) for day in found], ["2026-02-28", "2026-03-01"])
        self.assertTrue(self.site.comparison_date)
        with freeze_time("2026-03-05 02:05:00"):
            self.run_cron("ir_cron_compare")
        past = days.search([("day", "<", "2026-03-05")], order="day")
        self.assertEqual(
            [f"{moment:%H:%M}" for moment in past.mapped("checked_date")],
            ["02:00", "02:00", "02:05", "02:05", "02:05"],
        )
        self.assertEqual(sum(past.mapped("matomo_order_count")), len(orders))
        self.assertFalse(self.site.comparison_date)

    def test_today_is_unfinished(self):
        """Today told of a difference that was none: its orders were on their way."""
        order = self.confirm(self.make_order())
        order.date_order = "2026-03-05 01:00:00"
        self.run_cron("ir_cron_compare")
        today = self.env["matomo.reconciliation"].search([])
        self.assertEqual(str(today.day), "2026-03-05")
        self.assertDay(
            today,
            (1, 115.0),
            (0, 0.0),
            "unfinished",
            ("pending", order.name, -1, -115.0),
        )
        self.assertFalse(self.site._get_different_days())
        with freeze_time("2026-03-06 02:00:00"):
            self.run_sender()
            self.assertDay(
                self.compare()["2026-03-05"], (1, 115.0), (1, 115.0), "equal"
            )

    # === FIGURES === #

    def test_all_figures_of_both_sides(self):
        self.sell(MORNING)
        self.sync(self.make_sale((self.chair, 2), date_order=MORNING))
        self.run_sender()
        day = self.compare()["2026-03-03"]
        names = ("tax", "shipping", "discount", "item_count")
        for side in ("odoo", "matomo"):
            found = [round(day[f"{side}_{name}"], 2) for name in names]
            self.assertEqual(found, [45.0, 0.0, 0.0, 3], side)
        self.recorded(self.env["sale.order"].search([], limit=1))["ec_tx"] = "1.00"
        day = self.compare()["2026-03-03"]
        self.assertAlmostEqual(day.tax_difference, -14.0)
        self.assertEqual(day.difference, "The same in Matomo")

    def test_refunds_take_nothing_off(self):
        self.site.sudo().track_refunds = True
        first, _second = self.sell(MORNING, MORNING)
        self.run_sender()
        self.cancel(first)
        self.run_sender()
        today = self.site._get_today()
        self.run_cron("ir_cron_compare")
        days = {row.day: row for row in self.env["matomo.reconciliation"].search([])}
        self.assertEqual((days[today].refund_count, days[today].refunded), (1, 115.0))
        self.assertEqual(days[today].net_revenue, -115.0)
        day = self.compare()["2026-03-03"]
        self.assertDay(
            day,
            (1, 115.0),
            (2, 230.0),
            "explained",
            ("withdrawn", first.name, 1, 115.0),
        )
        self.assertEqual((day.refund_count, day.net_revenue), (0, 115.0))

    # === CAUSES === #

    def test_a_report_that_matomo_computes_later(self):
        """The visits log has the orders: nothing is missing, and nothing is resent."""
        orders = self.sell(MORNING, MORNING, MORNING)
        self.run_sender()
        self.run_verifier()
        report = fake_matomo.report_days
        with patch.object(
            fake_matomo, "report_days", lambda sent, dates: report(sent[:1], dates)
        ):
            day = self.compare()["2026-03-03"]
        ((kind, _name, count, revenue),) = self.get_causes(day)
        self.assertEqual((kind, count, revenue), ("unarchived", -2, -230.0))
        self.assertEqual((day.state, day.missing_count), ("explained", 0))
        for order in orders:
            self.assertState(order, "verified")

    def test_many_causes_are_summed_up(self):
        orders = self.sell(*[MORNING] * 5)
        with patch.object(matomo_reconciliation, "MAX_CAUSES", 3):
            day = self.compare()["2026-03-03"]
        self.assertEqual(len(day.cause_ids), 4)
        self.assertEqual(day.cause_ids.mapped("count"), [1, 1, 1, 2])
        self.assertEqual(sum(day.cause_ids.mapped("revenue_difference")), -575.0)
        self.assertFalse(day.cause_ids[-1].request_id)
        self.assertIn("2 orders", day.cause_ids[-1].name)
        # The next comparison replaces them.
        self.run_sender()
        self.assertDay(self.compare()["2026-03-03"], (5, 575.0), (5, 575.0), "equal")
        self.assertEqual(len(orders), 5)

    def test_a_day_asks_for_a_language_only_to_describe_a_rest(self):
        """To find out the language took a quarter of the time of each day."""
        order = self.sell(MORNING)
        days = self.env["matomo.reconciliation"].sudo()
        with patch.object(type(self.company), "_get_matomo_lang") as language:
            day = days._compare_day(self.site.sudo(), date(2026, 3, 3), Totals())
        language.assert_not_called()
        self.assertEqual(self.get_causes(day), [("pending", order.name, -1, -115.0)])

    def test_every_kind_has_words(self):
        field = self.env["matomo.reconciliation.cause"]._fields["kind"]
        self.assertEqual([kind for kind, _words in field.selection], list(KINDS))

    def test_from_a_cause_to_its_order(self):
        order = self.sell(MORNING)
        cause = self.compare()["2026-03-03"].cause_ids
        for user, record in (
            (self.env.user, order),
            # She sees no sales.
            (self.make_manager(), self.get_request(order)),
        ):
            action = cause.with_user(user).action_open_order()
            self.assertEqual(
                (action["res_model"], action["res_id"]), (record._name, record.id)
            )
        cause.sudo().request_id = False
        self.assertIn("matomo.example.com", cause.action_open_order()["url"])

    # === BUTTONS === #

    def test_only_missing_orders_are_retracked(self):
        lost, kept, failed = self.sell(MORNING, MORNING, MORNING)
        self.matomo.refuses = lambda p: p.get("ec_id") == failed.name
        with mute_logger(LOGGER):
            self.run_sender()
        self.run_verifier()
        self.matomo.refuses = lambda p: False
        del self.matomo.orders["1", lost.name.casefold()]
        day = self.compare()["2026-03-03"]
        self.assertEqual(day.missing_count, 2)
        self.make_manager().group_ids += self.env.ref("sales_team.group_sale_manager")
        action = day.action_retrack_missing()
        self.assertIn("1 order waits to be sent.", action["params"]["message"])
        self.assertState(failed, "pending")
        self.assertState(kept, "verified")
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_verify")
            self.run_sender()
            self.run_verifier()
            self.run_sender()
        self.assertDay(self.compare()["2026-03-03"], (3, 345.0), (3, 345.0), "equal")

    def test_whoever_sees_no_sales_retracks_what_is_missing(self):
        """The button told a marketer which groups may read sales orders."""
        failed = self.sell(MORNING)
        self.matomo.refuses = lambda p: p.get("ec_id") == failed.name
        with mute_logger(LOGGER):
            self.run_sender()
        day = self.compare()["2026-03-03"]
        marketer = self.make_user("marketer", f"{MODULE}.group_matomo_user")
        for _press in range(2):
            action = day.with_user(marketer).action_retrack_missing()
            self.assertIn(failed.name, action["params"]["message"])
            self.assertState(failed, "pending")
        stranger = self.make_user("stranger", f"{MODULE}.group_matomo_user")
        other = self.env["res.company"].sudo().create({"name": "Other"})
        stranger.sudo().write(
            {"company_ids": [(6, 0, other.ids)], "company_id": other.id}
        )
        with self.assertRaises(AccessError):
            day.with_user(stranger).action_retrack_missing()

    def test_the_day_in_matomo(self):
        self.sell(MORNING)
        day = self.compare()["2026-03-03"]
        url = day.action_open_in_matomo()["url"]
        self.assertTrue(url.startswith("https://matomo.example.com/index.php?"))
        self.assertEqual(url.count("date=2026-03-03"), 2)

    def test_requests_of_the_day(self):
        order = self.sell(MORNING)
        self.sell("2026-03-04 09:00:00")
        self.run_sender()
        action = self.compare()["2026-03-03"].action_view_requests()
        rows = self.env["matomo.request"].search(action["domain"])
        self.assertEqual(rows.sale_order_id, order)


@tagged("post_install", "-at_install")
@freeze_time("2026-03-05 02:00:00")
class TestReconciliationAmounts(AmountsCommon, ComparisonCommon):
    """Odoo's side of a day, of all its orders at once."""

    def sell_kinds(self):
        """Return orders of every kind whose amounts are made in a way of their own."""
        parcel = self.make_order()
        self.add_delivery(parcel, self.make_carrier(9.9))
        coupon = self.make_product("Coupon", "COUPON", 0.0, type="service")
        taxes = self.make_tax(7, included=True) | self.make_tax(0.35, "fixed")
        term = self.make_early_payment_term()
        orders = self.env["sale.order"].union(
            parcel,
            self.make_order((self.chair, 3)),
            self.make_order((self.chair, 0.5)),
            self.make_order(
                self.line(self.chair), self.line(coupon, price=-10, taxes=self.tax)
            ),
            self.make_order(self.line(self.chair, 2, 19.99, taxes, discount=12.5)),
            self.make_order(payment_term_id=term.id),
            # These change after they were sent.
            self.make_order(),
            self.make_order((self.chair, 4)),
        )
        self.confirm(orders)
        orders.date_order = MORNING
        sales = self.env["pos.order"].union(
            *(
                self.sync(self.make_sale(*lines, date_order=MORNING))
                for lines in (
                    [(self.chair, 2)],
                    [(self.chair, 3), (self.chair, -1)],
                    [{"product_id": self.chair.id, "qty": 3, "discount": 33.3}],
                )
            )
        )
        self.end_transaction()
        return [*orders, *sales]

    def test_all_at_once_is_the_same_as_one_by_one(self):
        orders = self.sell_kinds()
        self.run_sender()
        changed = orders[6:8]
        changed[0].order_line.product_uom_qty = 5
        changed[1].order_line.price_unit = 1.01
        waiting = self.sell(MORNING)
        site = self.site.sudo()
        days = self.env["matomo.reconciliation"].sudo()
        counted = days._get_counted_orders(site, date(2026, 3, 3))
        self.assertEqual({*counted}, {*orders, *waiting})
        amounts = days._get_amounts(site, counted)
        for order, request in counted.items():
            self.assertEqual(amounts[order], order._get_matomo_totals_now(request))
            self.assertEqual(amounts[order].revenue, order._get_matomo_revenue(request))
            is_as_sent = amounts[order].revenue == request._get_sent_revenue()
            self.assertEqual(is_as_sent, order not in [*changed, *waiting], order)

    def test_a_day_of_five_thousand_orders(self):
        """So many orders are read in parts of a thousand, and none alone."""
        count = 2500
        order = self.confirm(self.make_order((self.chair, 2), (self.chair, 1)))
        order.date_order = MORNING
        sale = self.sync(self.make_sale((self.chair, 2), date_order=MORNING))
        self.run_sender()
        self.clone_requests(order, self.clone_orders(order, count - 1))
        self.clone_requests(sale, self.clone_sales(sale, count - 1))
        days = self.env["matomo.reconciliation"].sudo()
        before = self.env.cr.sql_log_count
        day = days._compare_day(self.site.sudo(), date(2026, 3, 3), Totals())
        self.env.flush_all()
        self.assertLess(self.env.cr.sql_log_count - before, 80)
        self.assertEqual(day.odoo_order_count, 2 * count)
        self.assertEqual(day.odoo_item_count, 5 * count)
        self.assertAlmostEqual(day.odoo_revenue, 5 * 115.0 * count)
