"""The doctor: what is kept of each point, shown and told."""

from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..models.matomo_site import ALERT_ACTIVITY
from .common import LOGGER, MatomoCommon

NOW = "2026-03-03 10:00:00"


@freeze_time(NOW)
class DoctorCommon(MatomoCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = cls.make_manager()

    def at(self, **later):
        return freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(**later))

    def press_test(self):
        """Press Test Connection as a manager. Return the notification."""
        with mute_logger(LOGGER):
            action = self.site.with_user(self.manager).action_test_connection()
        return action["params"]

    def run_night(self):
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_sweep")

    def get_notes(self):
        """Return what one of the managers is asked to do by the doctor."""
        activities = self.site.sudo().activity_search([ALERT_ACTIVITY])
        mine = activities.filtered(lambda each: each.user_id == self.manager)
        return [each.note.striptags() for each in mine]

    def get_chatter(self):
        bodies = self.site.sudo().message_ids.mapped("body")
        return "\n".join(body.striptags() for body in bodies)


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestChecks(DoctorCommon):
    """Each point of a site is kept, with a sentence for whoever reads it."""

    def test_a_site_that_works(self):
        self.company.partner_id.sudo().tz = "UTC"
        self.assertEqual(self.press_test()["type"], "success")
        levels = {each.kind: each.level for each in self.site.sudo().check_ids}
        wrong = {kind for kind, level in levels.items() if level in ("bad", "look")}
        self.assertEqual(wrong, set())
        unknown = {kind for kind, level in levels.items() if level == "unknown"}
        # What Matomo does not tell is asked of the merchant.
        self.assertEqual(
            unknown,
            {"clock", "global_exclusions", "order_ids", "raw_data", "token_end"},
        )
        self.assertGreater(len(levels), 20)

    def test_the_merchant_knows_what_matomo_does_not_tell(self):
        self.site.sudo().write(
            {
                "token_end": "2026-03-16",
                "is_raw_data_confirmed": True,
                "are_exclusions_confirmed": True,
            }
        )
        self.press_test()
        self.assertEqual(self.get_level("token_end"), "look")
        self.assertIn("03/16/2026, in 13 days", self.get_check("token_end").sentence)
        self.assertEqual(self.get_level("raw_data"), "good")
        self.assertEqual(self.get_level("global_exclusions"), "good")
        # Another token has another end.
        self.site.sudo().token_auth = "f" * 32
        self.assertFalse(self.site.token_end)

    def test_the_test_says_how_much_deserves_a_look(self):
        self.matomo.plugins = {"QueuedTracking"}
        self.matomo.has_visits_log = False
        params = self.press_test()
        self.assertEqual(params["type"], "success")
        self.assertFalse(params["title"].endswith("."))
        self.assertIn("Points of this site that deserve a look: 2.", params["message"])
        self.assertEqual(self.get_level("queue"), "look")
        self.assertEqual(self.get_level("visits_log"), "look")

    def test_a_test_that_fails_keeps_what_it_found(self):
        self.matomo.may_write = False
        self.press_test()
        self.assertEqual(self.get_level("reachable"), "good")
        self.assertEqual(self.get_level("token"), "bad")
        self.assertIn("has no write access", self.get_check("token").sentence)
        self.assertIn("none is lost", self.get_check("token").advice)
        # What could not be asked is not said any more.
        self.assertFalse(self.get_check("ecommerce"))
        self.assertFalse(self.get_notes())

    def test_since_when(self):
        self.run_night()
        check = self.get_check("ecommerce")
        self.assertEqual(str(check.since), NOW)
        with self.at(days=1):
            self.run_night()
            self.assertEqual(str(check.since), NOW)
        self.matomo.site["ecommerce"] = "0"
        with self.at(days=2):
            self.run_night()
            self.assertEqual(str(check.since), "2026-03-05 10:00:00")

    def test_the_worst_comes_first(self):
        self.matomo.site["ecommerce"] = "0"
        self.matomo.plugins = {"QueuedTracking"}
        self.press_test()
        levels = self.site.sudo().check_ids.mapped("sequence")
        self.assertEqual(levels, sorted(levels))
        self.assertEqual(self.site.sudo().check_ids[0].kind, "ecommerce")

    def test_links(self):
        self.matomo.site["ecommerce"] = "0"
        self.env.ref("matomo_order_tracking.ir_cron_verify").sudo().active = False
        self.press_test()
        check = self.get_check("ecommerce").with_user(self.manager)
        self.assertTrue(check.has_link)
        self.assertEqual(
            check.action_open()["url"],
            "https://matomo.example.com/index.php"
            "?module=SitesManager&action=index&idSite=1",
        )
        # Scheduled actions are the administrators': no dead link for a manager.
        stopped = self.get_check("stopped")
        self.assertFalse(stopped.with_user(self.manager).has_link)
        self.assertTrue(stopped.with_user(self.env.ref("base.user_admin")).has_link)
        self.assertEqual(stopped.action_open()["res_model"], "ir.cron")
        self.assertFalse(self.get_check("site").has_link)

    def test_excluded_shoppers(self):
        order = self.confirm(self.make_order())
        order.sudo().write(
            {"matomo_ip_address": "203.0.113.9", "matomo_user_agent": "Some/1.0"}
        )
        self.matomo.site.update(
            excluded_ips="203.0.113.*", excluded_user_agents="some,other"
        )
        self.press_test()
        self.assertEqual(self.get_level("excluded_ips"), "look")
        self.assertEqual(self.get_level("excluded_browsers"), "look")
        self.assertIn("1 of the last 1 orders", self.get_check("excluded_ips").sentence)

    def test_tags_of_websites(self):
        website = (
            self.env["website"]
            .sudo()
            .create(
                {
                    "name": "Shop",
                    "domain": "https://shop.example.com",
                    "company_id": self.company.id,
                    "matomo_site_id": self.site.id,
                }
            )
        )
        self.press_test()
        self.assertEqual(self.get_level("tracking_tag"), "look")
        self.assertIn("Shop", self.get_check("tracking_tag").sentence)
        website.matomo_tag = True
        website.custom_code_head = "<script>_paq.push(['trackEcommerceOrder'])</script>"
        self.press_test()
        self.assertEqual(self.get_level("tracking_tag"), "good")
        self.assertEqual(self.get_level("selling_tag"), "bad")
        website.domain = "https://b2b.example.com"
        self.matomo.site["exclude_unknown_urls"] = "1"
        self.press_test()
        self.assertEqual(self.get_level("main_url"), "look")
        self.assertEqual(self.get_level("only_known"), "look")
        self.matomo.more_urls = ["https://b2b.example.com/"]
        self.press_test()
        self.assertEqual(self.get_level("only_known"), "good")

    def test_two_checks_of_one_kind(self):
        """A test and the first hourly run write at the same time."""
        self.press_test()
        self.get_check("site").copy()
        self.get_check("failed").copy()
        self.press_test()
        self.assertEqual(len(self.get_check("site")), 1)
        self.assertEqual(len(self.get_check("failed")), 1)

    def test_a_kind_of_another_version(self):
        self.press_test()
        self.get_check("site").kind = "older"
        check = self.get_check("older")
        self.assertEqual((check.name, check.sentence), ("older", ""))

    def test_rights(self):
        self.press_test()
        check = self.get_check("site")
        user = self.make_user(
            "matomo_reader", "matomo_order_tracking.group_matomo_user"
        )
        self.assertTrue(check.with_user(user).sentence)
        for records in (check.with_user(self.manager), check.with_user(user)):
            with self.assertRaises(AccessError):
                records.level = "good"
        stranger = self.make_user("matomo_stranger", "base.group_user")
        with self.assertRaises(AccessError):
            check.with_user(stranger).read(["kind"])
        other = self.env["res.company"].sudo().create({"name": "Elsewhere"})
        user.sudo().write({"company_ids": [(6, 0, other.ids)], "company_id": other.id})
        found = self.env["matomo.check"].with_user(user).search([])
        self.assertFalse(found & check.with_user(user))

    def test_a_doctor_who_stumbles_stops_no_order(self):
        self.site.sudo().facts_date = False
        order = self.confirm(self.make_order())
        broken = patch.object(
            type(self.env["matomo.check"]),
            "_get_shop",
            side_effect=ValueError("Broken"),
        )
        guard = "odoo.addons.matomo_order_tracking.outbox.transactions"
        with broken, mute_logger(guard):
            self.run_sender()
        self.assertState(order, "sent")
        self.assertEqual(self.site.state, "ok")

    def test_limits_have_limits(self):
        for values in ({"outage_hours": 0}, {"failed_limit": -1}):
            with self.assertRaises(ValidationError):
                self.site.sudo().write(values)


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestTold(DoctorCommon):
    """A change for the worse is told once, a change for the better ends it."""

    def test_what_was_good_and_deserves_a_look(self):
        self.run_night()
        self.assertFalse(self.get_notes())
        self.matomo.plugins = {"QueuedTracking"}
        self.run_night()
        [note] = self.get_notes()
        self.assertIn("QueuedTracking is active", note)
        self.assertIn("worked off every minute", note)
        self.run_night()
        self.assertEqual(self.get_notes(), [note])
        self.matomo.plugins = set()
        self.run_night()
        self.assertFalse(self.get_notes())
        self.assertIn("Good again: Queue", self.get_chatter())

    def test_a_new_shop_reads_what_deserves_a_look(self):
        self.matomo.plugins = {"QueuedTracking"}
        self.run_night()
        self.assertEqual(self.get_level("queue"), "look")
        self.assertFalse(self.get_notes())

    def test_what_gets_worse_is_told_again(self):
        self.site.sudo().token_end = "2026-03-20"
        self.run_night()
        with self.at(days=4):
            self.run_night()
            [note] = self.get_notes()
            self.assertIn("in 13 days", note)
        with self.at(days=17):
            self.run_night()
            [note] = self.get_notes()
            self.assertIn("expired on", note)

    def test_a_site_that_nothing_uses(self):
        self.company.sudo().matomo_site_id = False
        self.matomo.site["ecommerce"] = "0"
        self.env.ref("matomo_order_tracking.ir_cron_verify").sudo().active = False
        self.run_night()
        self.run_cron("ir_cron_retrack")
        self.assertEqual(self.get_level("ecommerce"), "bad")
        self.assertFalse(self.site.sudo().activity_ids)
        # From the first order on it is somebody's business.
        self.company.sudo().matomo_site_id = self.site
        self.run_night()
        self.assertTrue(self.get_notes())

    def test_a_rule_that_is_off(self):
        rule = self.env.ref("matomo_order_tracking.base_automation_sale_order").sudo()
        rule.active = False
        self.run_cron("ir_cron_retrack")
        self.assertIn(rule.name, self.get_notes()[0])
        rule.active = True
        self.run_cron("ir_cron_retrack")
        self.assertFalse(self.get_notes())

    @mute_logger(LOGGER)
    def test_orders_that_nobody_finds(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertState(order, "sent")
        with self.at(hours=23):
            self.run_cron("ir_cron_retrack")
            self.assertEqual(self.get_level("unproven"), "good")
        with self.at(hours=25):
            self.run_cron("ir_cron_retrack")
            self.assertIn(
                "1 order is not found in Matomo yet. Hours since it was sent: more "
                "than 24.",
                *self.get_notes(),
            )
            self.site.sudo().unproven_limit = 1
            self.run_cron("ir_cron_retrack")
            self.assertFalse(self.get_notes())

    def test_days_that_differ(self):
        day = (
            self.env["matomo.reconciliation"]
            .sudo()
            .create(
                {
                    "site_id": self.site.id,
                    "day": "2026-03-01",
                    "odoo_order_count": 100,
                    "odoo_revenue": 1000,
                    "order_count_difference": -1,
                    "revenue_difference": -20,
                    "state": "different",
                }
            )
        )
        self.run_cron("ir_cron_retrack")
        self.assertIn("On 1 day ", *self.get_notes())
        self.site.sudo().write({"difference_orders": 1, "difference_percent": 2})
        self.run_cron("ir_cron_retrack")
        self.assertFalse(self.get_notes())
        day.revenue_difference = -20.1
        self.run_cron("ir_cron_retrack")
        self.assertTrue(self.get_notes())

    @mute_logger(LOGGER)
    def test_a_refused_token_says_that_nothing_is_lost(self):
        self.confirm(self.make_order())
        self.site.sudo().token_auth = "f" * 32
        self.assertIn("The token was changed.", self.get_chatter())
        self.run_sender()
        activities = self.site.sudo().activity_ids
        note = activities.filtered(lambda each: each.user_id == self.manager).note
        self.assertIn("1 order waits. Nothing is lost.", note)
        self.site.sudo().token_auth = self.matomo.token
        self.run_sender()
        self.assertFalse(self.site.sudo().activity_ids)
        self.assertIn("Matomo accepts orders again.", self.get_chatter())


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestPause(DoctorCommon):
    """A person pauses a site, resumes it, or sends at once."""

    def test_a_pause_loses_nothing(self):
        site = self.site.with_user(self.manager)
        site.action_pause()
        self.assertEqual(site.paused_user_id, self.manager)
        self.assertIn("The site is paused", self.get_chatter())
        order = self.confirm(self.make_order())
        self.run_sender()
        self.run_verifier()
        self.run_night()
        self.assertState(order, "pending")
        self.assertFalse(self.matomo.requests)
        site.action_resume()
        self.assertFalse(site.paused_date)
        self.run_sender()
        self.assertState(order, "sent")
        self.assertIn("The site sends again.", self.get_chatter())

    def test_what_was_sent_is_not_read_back_meanwhile(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.site.with_user(self.manager).action_pause()
        self.run_verifier()
        self.assertState(order, "sent")
        self.site.with_user(self.manager).action_resume()
        self.run_verifier()
        self.assertState(order, "verified")

    def test_a_pause_that_comes_between_two_batches(self):
        self.site.sudo().batch_size = 1
        orders = [self.confirm(self.make_order()) for _number in range(2)]

        def pause(answer):
            self.env.cr.execute(
                "UPDATE matomo_site SET paused_date = now() WHERE id = %s",
                [self.site.id],
            )
            return answer

        self.matomo.faults = [pause]
        self.run_sender()
        states = sorted(order.matomo_state for order in orders)
        self.assertEqual(states, ["pending", "sent"])

    def test_a_pause_is_told_after_a_day(self):
        self.site.with_user(self.manager).action_pause()
        with self.at(hours=23):
            self.run_cron("ir_cron_retrack")
            self.assertFalse(self.get_notes())
        with self.at(hours=24):
            self.confirm(self.make_order())
            self.run_cron("ir_cron_retrack")
            self.assertIn("1 order waits. Nothing is lost.", *self.get_notes())
            self.site.with_user(self.manager).action_resume()
            self.assertFalse(self.get_notes())

    def test_a_test_does_not_end_a_pause(self):
        self.site.with_user(self.manager).action_pause()
        self.assertEqual(self.press_test()["type"], "success")
        self.assertTrue(self.site.paused_date)

    @mute_logger(LOGGER)
    def test_send_now(self):
        order = self.confirm(self.make_order())
        self.matomo.token = "f" * 32
        self.run_sender()
        self.assertTrue(self.site.next_attempt_date)
        self.matomo.token = "0123456789abcdef0123456789abcdef"
        self.run_sender()
        self.assertState(order, "pending")
        action = self.site.with_user(self.manager).action_send_now()
        self.assertIn("Sent now, orders and refunds: 1.", action["params"]["message"])
        self.run_sender()
        self.assertState(order, "sent")
        action = self.site.with_user(self.manager).action_send_now()
        self.assertEqual(action["params"]["message"], "No order and no refund waits.")

    def test_send_now_does_not_end_a_pause(self):
        self.site.with_user(self.manager).action_pause()
        with self.assertRaises(UserError):
            self.site.with_user(self.manager).action_send_now()

    def test_only_managers(self):
        user = self.make_user(
            "matomo_reader", "matomo_order_tracking.group_matomo_user"
        )
        for name in ("action_pause", "action_resume", "action_send_now"):
            with self.assertRaises(AccessError):
                getattr(self.site.with_user(user), name)()
        self.assertFalse(self.site.paused_date)

    def test_nobody_writes_the_pause(self):
        with self.assertRaises(AccessError):
            self.site.with_user(self.manager).paused_date = NOW

    def test_smart_buttons(self):
        self.assertEqual(self.site.website_count, 0)
        self.confirm(self.make_order())
        self.assertEqual(self.site.waiting_count, 1)
        action = self.site.with_user(self.manager).action_view_requests()
        requests = self.env[action["res_model"]].search(action["domain"])
        self.assertEqual(requests.site_id, self.site)
        for action in (
            self.site.action_view_websites(),
            self.site.action_view_tills(),
            self.site.action_view_days(),
        ):
            self.assertFalse(self.env[action["res_model"]].search(action["domain"]))
