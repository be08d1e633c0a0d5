from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..matomo_api.errors import Unreachable
from ..matomo_api.outcomes import (
    Report,
    Requeued,
)
from ..outbox import schedule
from ..outbox.kinds import apply_report
from .common import LOGGER, FakeResponse, MatomoCommon

NOW = "2026-03-03 10:00:00"
HICCUP = {"result": "error", "message": "SQLSTATE[HY000]: 2006 server has gone away"}
LOG_OFF = {"result": "error", "message": "Visits log is deactivated globally."}


@freeze_time(NOW)
class OutcomeCommon(MatomoCommon):
    def at(self, **later):
        """Set Odoo's clock to a later time until the block ends."""
        return freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(**later))

    def confirm_many(self, count):
        orders = self.env["sale.order"].concat(
            *(self.make_order((self.chair, n + 1)) for n in range(count))
        )
        return self.confirm(orders)

    def answer_with(self, respond):
        """Let ``respond(url, data)`` answer, or Matomo where it returns None."""
        answer = self.matomo._answer

        def answer_or_fail(url, data):
            return respond(url, data) or answer(url, data)

        self.startPatcher(patch.object(self.matomo, "_answer", answer_or_fail))

    def assertStates(self, orders, state):
        self.assertEqual(set(orders.mapped("matomo_state")), {state})


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestBetween(OutcomeCommon):
    """What stands between Odoo and Matomo answers in Matomo's place."""

    def refuse_more_than(self, size, status=413):
        def respond(url, data):
            if "matomo.php" in url and len(data) > size:
                return FakeResponse(status, b"<html>Request Entity Too Large</html>")
            return None

        self.answer_with(respond)

    @mute_logger(LOGGER)
    def test_bulks_shrink_to_what_gets_through_and_grow_again(self):
        orders = self.confirm_many(40)
        self.refuse_more_than(6_000)
        self.run_sender()
        self.assertStates(orders, "sent")
        limit = self.site.bulk_limit
        self.assertTrue(0 < limit < 40)
        self.assertEqual(self.site.state, "ok")
        # What got through is tried again with a little more each time.
        before = len(self.matomo.bulks)
        for _turn in range(3):
            more = self.confirm_many(self.site._get_batch_size())
            self.run_sender()
            self.assertStates(more, "sent")
        sizes = [len(bulk) for bulk in self.matomo.bulks[before:]]
        self.assertGreater(max(sizes), limit)

    @mute_logger(LOGGER)
    def test_a_firewall_that_dislikes_one_order_stops_no_other(self):
        orders = self.confirm_many(7)
        bad, good = orders[3], orders - orders[3]

        def respond(url, data):
            if bad.name in str(data) and "matomo.php" in url:
                return FakeResponse(403, b"<html>Forbidden</html>")
            return None

        self.answer_with(respond)
        self.run_sender()
        self.assertStates(good, "sent")
        self.assertState(bad, "pending")
        for hour in (1, 2):
            with self.at(hours=hour):
                self.run_sender()
        self.assertState(bad, "failed", "3 times with HTTP status 403")
        self.assertEqual(self.site.state, "ok")
        self.assertFalse(self.site.bulk_limit, "one order is no reason to send less")

    @mute_logger(LOGGER)
    def test_the_only_order_of_a_quiet_shop_waits_for_a_firewall(self):
        """Nobody can tell an order from all orders while there is no other."""
        order = self.confirm(self.make_order())
        self.refuse_more_than(300, status=403)
        for hour in range(0, 48, 8):
            with self.at(hours=hour):
                self.run_sender()
        self.assertState(order, "pending")
        with self.at(hours=48):
            self.run_cron("ir_cron_retrack")
            self.assertIn("firewall before Matomo", self.get_check("refused").sentence)
            self.matomo._answer = type(self.matomo)._answer.__get__(self.matomo)
            self.run_sender()
        self.assertState(order, "sent")
        self.run_cron("ir_cron_retrack")
        self.assertFalse(self.get_check("refused"))

    @mute_logger(LOGGER)
    def test_the_only_order_of_a_quiet_shop_fails_in_the_end(self):
        order = self.confirm(self.make_order())
        self.refuse_more_than(300, status=403)
        self.run_sender()
        self.assertState(order, "pending")
        self.get_request(order).error_count = schedule.MAX_GENERAL_ERRORS - 1
        with self.at(hours=2):
            self.run_sender()
        self.assertState(order, "failed", "72 times with HTTP status 403")

    @mute_logger(LOGGER)
    def test_an_order_is_given_up_once_another_is_taken(self):
        order = self.confirm(self.make_order())
        self.matomo.breaks = lambda p: p.get("ec_id") == order.name
        for hour in (0, 2, 4):
            with self.at(hours=hour):
                self.run_sender()
        self.assertState(order, "pending")
        with self.at(hours=6):
            other = self.confirm(self.make_order())
            self.run_sender()
            self.assertState(other, "sent")
        with self.at(hours=8):
            self.run_sender()
        self.assertState(order, "failed", "with HTTP status 500")

    @mute_logger(LOGGER)
    def test_an_order_of_last_month_is_given_up_once_its_neighbors_are_taken(self):
        """Orders that are caught up with are sent with their neighbors in time."""
        orders = self.confirm_many(3)
        orders.date_order = "2026-02-01 10:00:00"
        bad = orders[1]
        self.matomo.breaks = lambda p: p.get("ec_id") == bad.name
        for hour in (0, 2, 4):
            with self.at(hours=hour):
                self.run_sender()
        self.assertStates(orders - bad, "sent")
        self.assertState(bad, "failed", "3 times with HTTP status 500")

    @mute_logger(LOGGER)
    def test_an_order_is_not_given_up_because_a_refund_is_taken(self):
        """A firewall may let the short events pass, and refuse all orders."""
        self.site.sudo().track_refunds = True
        sold = self.confirm(self.make_order())
        self.run_sender()
        order = self.confirm(self.make_order())
        self.matomo.breaks = lambda p: "ec_id" in p
        for hour in (1, 3, 5):
            with self.at(hours=hour):
                self.run_sender()
        with self.at(hours=6):
            self.cancel(sold)
            self.run_sender()
            self.assertEqual(len(self.matomo.events), 1)
        with self.at(hours=8):
            self.run_sender()
        self.assertState(order, "pending")

    @mute_logger(LOGGER)
    def test_a_server_that_refuses_all_orders_is_waited_for(self):
        orders = self.confirm_many(5)
        self.refuse_more_than(300, status=403)
        for hour in range(5):
            with self.at(hours=2 * hour):
                self.run_sender()
                self.assertStates(orders, "pending")
                self.assertEqual(self.site.state, "warning")
        self.refuse_more_than(10**9)
        self.matomo._answer = type(self.matomo)._answer.__get__(self.matomo)
        with self.at(hours=20):
            self.run_sender()
        self.assertStates(orders, "sent")

    @mute_logger(LOGGER)
    def test_what_php_mixes_into_an_answer_is_said(self):
        order = self.confirm(self.make_order())
        notice = b"<br />\n<b>Deprecated</b>: x in <b>/a.php</b> on line <b>3</b><br />"

        def respond(url, data):
            if "matomo.php" not in url:
                return None
            answer = type(self.matomo)._answer(self.matomo, url, data)
            answer.body = notice + answer.body
            return answer

        self.answer_with(respond)
        self.run_sender()
        self.assertState(order, "sent")
        self.assertEqual(self.site.state, "warning")
        self.assertIn("display_errors", self.site.state_message)
        self.assertIn("Deprecated", self.site.state_message)
        self.matomo._answer = type(self.matomo)._answer.__get__(self.matomo)
        self.confirm(self.make_order())
        self.run_sender()
        self.assertEqual(self.site.state, "ok")
        self.assertFalse(self.site.state_message)

    def test_the_queue_of_matomo_is_bypassed(self):
        self.confirm(self.make_order())
        self.run_sender()
        self.assertTrue(
            self.matomo.requests[0]["url"].endswith("/matomo.php?queuedtracking=0")
        )
        self.assertNotIn("queuedtracking", self.matomo.bulks[0][0])


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestReadingBack(OutcomeCommon):
    """Nothing gives up verification for good, and nothing stays silent."""

    def fail_reports(self, body, status=200):
        def respond(url, data):
            is_log = "index.php" in url and data["method"].startswith("Live.")
            return FakeResponse(status, body) if is_log else None

        self.answer_with(respond)

    def heal(self):
        self.matomo._answer = type(self.matomo)._answer.__get__(self.matomo)

    @mute_logger(LOGGER)
    def test_a_hiccup_of_the_database_is_no_matter_of_rights(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.fail_reports(HICCUP)
        with self.at(minutes=2):
            self.run_verifier()
        self.assertTrue(self.site.can_read)
        self.assertEqual(self.site.state, "warning")
        self.assertIn("has gone away", self.site.state_message)
        self.heal()
        with self.at(hours=1):
            self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(self.site.state, "ok")

    @mute_logger(LOGGER)
    def test_a_token_that_may_not_read_is_asked_again_every_day(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.matomo.may_read = False
        with self.at(minutes=2):
            self.run_verifier()
        self.assertFalse(self.site.can_read)
        self.assertIn("does not let the token read", self.site.state_message)
        asked = len(self.matomo.requests)
        with self.at(hours=12):
            self.run_verifier()
        self.assertEqual(len(self.matomo.requests), asked)
        self.matomo.may_read = True
        with self.at(hours=25):
            self.run_verifier()
        self.assertState(order, "verified")
        self.assertTrue(self.site.can_read)
        self.assertEqual(self.site.state, "ok")

    @mute_logger(LOGGER)
    def test_without_a_visits_log_the_report_of_orders_is_read(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.fail_reports(LOG_OFF)
        with self.at(minutes=2):
            self.run_verifier()
        self.assertState(order, "verified")

    @mute_logger(LOGGER)
    def test_what_matomo_does_not_show_stops_blocking_and_says_so(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.matomo.orders.clear()
        self.fail_reports(LOG_OFF)
        for hour in range(1, 6):
            with self.at(hours=hour):
                self.run_verifier()
        self.assertState(order, "sent", "does not show whether it has recorded it")
        self.assertFalse(self.get_request(order).next_check_date)
        self.heal()
        order.action_matomo_retrack()
        with self.at(hours=7):
            self.run_verifier()
        self.assertState(order, "pending")

    @mute_logger(LOGGER)
    def test_an_order_that_was_verified_and_erased_comes_back_once_as_nobodys(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.run_verifier()
        visitor = self.recorded(order)["cid"]
        self.assertState(order, "verified")
        for is_first in (True, False):
            self.matomo.orders.clear()
            order.action_matomo_retrack()
            self.run_verifier()
            if is_first:
                self.run_sender()
                sent = self.recorded(order)
                self.assertNotEqual(sent["cid"], visitor)
                self.assertEqual((sent["cip"], sent["cdt"]), ("0.0.0.0", NOW))
                self.assertNotIn("ua", sent)
        self.assertState(order, "failed", "has lost it twice")
        bulks = len(self.matomo.bulks)
        self.run_sender()
        self.assertEqual(len(self.matomo.bulks), bulks)

    def test_items_that_differ_are_named(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        self.run_sender()
        self.recorded(order)["ec_items"] = '[["CHAIR","Chair",[],100.0,1]]'
        self.run_verifier()
        self.assertState(
            order, "different", "Matomo has 1 instead of 2 of the item “CHAIR”."
        )

    def test_a_report_that_comes_too_late_changes_nothing(self):
        """Another lane has claimed the request meanwhile, and knows more."""
        order = self.confirm(self.make_order())
        request = self.get_request(order)
        self.run_sender()
        (attempt,) = request._prepare_attempts()
        request.attempt_count += 1
        self.run_verifier()
        self.assertState(order, "verified")
        error = Unreachable("timeout", seconds=7)
        report = Report([Requeued([attempt], error)], error)
        apply_report(self.env["matomo.request"].sudo(), self.site.sudo(), report)
        self.assertState(order, "verified")


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestWhoseOrder(OutcomeCommon):
    """Others use our order ids: JavaScript tags, strangers, other databases."""

    def test_the_visitor_of_a_visit_may_change(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.recorded(order)["cid"] = "f" * 16
        self.run_verifier()
        self.assertState(order, "verified")

    @mute_logger(LOGGER)
    def test_a_stranger_who_forges_ids_is_given_up_on(self):
        order, other = self.confirm_many(2)
        for suffix in ("", "-2", "-3", "-4"):
            self.plant(order.name + suffix)
        for _turn in range(4):
            self.run_sender()
        self.assertState(order, "sent")
        self.assertRegex(order.matomo_order_ref, f"^{order.name}-[0-9a-f]{{8}}$")
        # Whoever finds out even that ends it.
        self.plant(order.matomo_order_ref, cdt="2026-03-03 11:00:00")
        self.run_verifier()
        self.assertState(order, "failed", "Enter an order prefix")
        asked = len(self.matomo.requests)
        for _turn in range(3):
            self.run_sender()
        self.assertEqual(len(self.matomo.requests), asked)
        self.assertState(other, "verified")
        self.site.sudo().order_prefix = "A-"
        order.action_matomo_retrack()
        self.run_sender()
        self.run_sender()
        self.assertEqual(order.matomo_order_ref, f"A-{order.name}")
        self.assertState(order, "sent")

    def make_web_order(self):
        website = self.env["website"].sudo().search([], limit=1)
        website.matomo_site_id = False
        website = website.sudo().create(
            {
                "name": "Shop",
                "company_id": self.company.id,
                "matomo_site_id": self.site.id,
            }
        )
        order = self.make_order(website_id=website.id)
        self.env.cr.execute(
            "UPDATE sale_order SET create_date = %s WHERE id = %s",
            ("2026-03-03 09:55:00", order.id),
        )
        order.invalidate_recordset()
        return order

    @mute_logger(LOGGER)
    def test_a_tag_that_sends_orders_is_counted_once_and_said(self):
        order = self.make_web_order()
        self.plant(order.name, revenue="100.00", cdt="2026-03-03 09:59:58")
        self.confirm(order)
        self.run_sender()
        self.assertState(order, "different", "100.00 instead of")
        self.assertIn("trackEcommerceOrder", order.matomo_reason)
        self.assertTrue(order.matomo_tracked)
        self.assertEqual(len(self.matomo.orders), 1)
        self.assertEqual(self.get_request(order).recorded_revenue, 100)
        self.run_cron("ir_cron_retrack")
        self.assertIn("1 of 1 web shop orders", self.get_check("tag").sentence)
        # A person knows better.
        user = self.make_user("matomo_user", "matomo_order_tracking.group_matomo_user")
        self.get_request(order).with_user(user).action_send_as_other()
        self.run_sender()
        self.assertState(order, "sent")
        self.assertEqual(len(self.matomo.orders), 2)

    def test_a_tag_that_sends_the_same_is_said(self):
        order = self.confirm(self.make_web_order())
        self.run_sender()
        self.recorded(order)["cdt"] = "2026-03-03 09:59:50"
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertTrue(self.get_request(order).is_told_by_tag)
