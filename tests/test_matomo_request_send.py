from datetime import timedelta
from unittest.mock import patch

import requests
from psycopg2 import OperationalError

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.base.tests.test_ir_cron import CronMixinCase

from .common import LOGGER, MODULE, VISITOR, FakeResponse, MatomoCommon, lose

NOW = "2026-03-03 10:00:00"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestSend(MatomoCommon, CronMixinCase):
    def at(self, **later):
        """Set Odoo's clock to a later time until the block ends."""
        return freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(**later))

    def confirm_many(self, count):
        orders = self.env["sale.order"].concat(
            *(self.make_order((self.chair, n + 1)) for n in range(count))
        )
        return self.confirm(orders)

    # === THE SALE'S TRANSACTION === #

    def test_nothing_is_sent_within_the_sale(self):
        self.confirm(self.make_order())
        self.assertFalse(self.matomo.requests)

    def test_rolled_back_sale_leaves_no_request(self):
        order = self.make_order()
        with self.env.cr.savepoint() as savepoint:
            order.action_confirm()
            self.end_transaction()
            self.assertState(order, "pending")
            savepoint.rollback()
        self.end_transaction()
        self.assertEqual(order.state, "draft")
        self.assertFalse(self.get_request(order))

    def test_trouble_of_ours_never_fails_the_sale(self):
        order = self.make_order()
        broken = patch.object(
            type(order), "_matomo_enqueue", side_effect=ValueError("broken")
        )
        with broken, self.assertLogs(LOGGER, "ERROR") as logs:
            self.confirm(order)
        self.assertIn("could not be queued", logs.output[0])
        self.assertEqual(order.state, "sale")
        self.assertFalse(self.get_request(order))
        self.run_cron("ir_cron_sweep")
        self.assertState(order, "pending")

    def test_conflicts_are_replayed_by_odoo(self):
        order = self.make_order()
        conflict = patch.object(
            type(order), "_matomo_enqueue", side_effect=OperationalError("conflict")
        )
        with conflict, self.assertRaises(OperationalError):
            self.confirm(order)

    def test_sender_is_woken_once(self):
        with self.capture_triggers(f"{MODULE}.ir_cron_send") as wakeups:
            self.confirm_many(3)
        self.assertEqual(len(wakeups.records), 1)

    # === LATER === #

    @mute_logger(LOGGER)
    def test_outage_of_weeks_loses_nothing(self):
        order = self.confirm(self.make_order())
        for day in range(21):
            self.matomo.faults = [requests.ConnectionError("no route")] * 2
            with self.at(days=day):
                self.run_sender()
                self.assertState(order, "pending")
                self.assertEqual(self.site.state, "warning")
        self.assertLessEqual(
            self.site.next_attempt_date,
            fields.Datetime.to_datetime(NOW) + timedelta(days=20, hours=1, minutes=15),
        )
        with self.at(days=22):
            self.run_sender()
        self.assertState(order, "sent")
        self.assertEqual(self.site.state, "ok")
        self.assertRecorded(order, cdt=NOW)

    @mute_logger(LOGGER)
    def test_waiting_site_is_not_asked(self):
        self.confirm(self.make_order())
        self.matomo.faults = [requests.Timeout()] * 2
        self.run_sender()
        asked = len(self.matomo.requests)
        self.run_sender()
        self.assertEqual(len(self.matomo.requests), asked)

    @mute_logger(LOGGER)
    def test_retry_after_is_honoured(self):
        self.confirm(self.make_order())
        self.matomo.faults = [FakeResponse(429, b"", {"Retry-After": "7200"})]
        self.run_sender()
        self.assertEqual(
            self.site.next_attempt_date, fields.Datetime.now() + timedelta(hours=2)
        )

    @mute_logger(LOGGER)
    def test_unclear_answers_are_no_success(self):
        order = self.confirm(self.make_order())
        for minutes, fault in enumerate(
            (
                FakeResponse(200, b"<html>Maintenance</html>"),
                FakeResponse(200, b'{"status":"succ'),
                FakeResponse(500, b'{"status":"error","tracked":1,"invalid":0}'),
                FakeResponse(500, b""),
                FakeResponse(502, b"<html>"),
                FakeResponse(204),
                FakeResponse(302, b"", {"Location": "https://evil.example.com"}),
                FakeResponse(200, {"status": "success", "tracked": 0, "invalid": 0}),
                FakeResponse(200, [1]),
            )
        ):
            with self.subTest(fault=fault.body), self.at(hours=2 * minutes):
                self.matomo.faults = [fault] * 2
                self.run_sender()
                self.assertState(order, "pending")
                self.assertFalse(order.matomo_tracked)

    @mute_logger(LOGGER)
    def test_lost_answer_is_resolved_without_counting_twice(self):
        orders = self.confirm_many(3)
        self.matomo.faults = [lose] * 2
        self.run_sender()
        self.assertEqual(len(self.matomo.orders), 3)
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})
        with self.at(hours=2):
            self.run_sender()
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        self.assertEqual(len(self.matomo.orders), 3)
        self.assertEqual(orders.mapped("matomo_order_ref"), orders.mapped("name"))

    def test_claimed_row_is_nobody_elses(self):
        order = self.confirm(self.make_order())
        self.get_request(order).next_attempt_date = fields.Datetime.now() + timedelta(
            minutes=5
        )
        self.run_sender()
        self.assertFalse(self.matomo.requests)
        with self.at(minutes=6):
            self.run_sender()
        self.assertState(order, "sent")

    # === THIS ONE === #

    @mute_logger(LOGGER)
    def test_refused_order_fails_and_the_rest_goes_on(self):
        orders = self.confirm_many(5)
        bad = orders[2]
        self.matomo.refuses = lambda p: p.get("ec_id") == bad.name
        self.run_sender()
        self.assertState(bad, "failed", "Matomo refused this order")
        self.assertEqual(set((orders - bad).mapped("matomo_state")), {"sent"})

    @mute_logger(LOGGER)
    def test_order_that_cannot_be_built_fails_alone(self):
        orders = self.confirm_many(3)
        bad = orders[1]
        build = type(bad)._prepare_matomo_amounts

        def prepare(order, site):
            if order.id == bad.id:
                raise ValueError("a broken line")
            return build(order, site)

        with patch.object(type(bad), "_prepare_matomo_amounts", prepare):
            self.run_sender()
        self.assertState(bad, "failed", "could not be prepared")
        self.assertNotIn("a broken line", bad.matomo_reason)
        self.assertEqual(self.get_request(bad).failure_type, "data")
        self.assertEqual(set((orders - bad).mapped("matomo_state")), {"sent"})
        bad.action_matomo_retrack()
        self.run_sender()
        self.assertState(bad, "sent")

    def test_cancelled_before_sending(self):
        order = self.confirm(self.make_order())
        order._action_cancel()
        self.run_sender()
        self.assertState(order, "cancelled", "cancelled before it was sent")
        self.assertNotRecorded(order)
        order.action_draft()
        self.confirm(order)
        self.run_sender()
        self.assertState(order, "sent")

    @mute_logger(LOGGER)
    def test_foreign_order_under_our_id(self):
        first, second = self.confirm_many(2)
        self.plant(first.name)
        self.run_sender()
        self.run_sender()
        self.assertState(first, "sent")
        # Nobody can guess it and send an order under it, too.
        self.assertRegex(first.matomo_order_ref, f"^{first.name}-[0-9a-f]{{8}}$")
        self.assertState(second, "sent")
        self.run_verifier()
        self.assertEqual(first.matomo_state, "verified")

    # === THE SITE === #

    @mute_logger(LOGGER)
    def test_wrong_token_stops_the_site_and_nothing_is_lost(self):
        manager = self.make_manager()
        orders = self.confirm_many(60)
        self.site.sudo().token_auth = "wrong"
        asked = len(self.matomo.requests)
        for minute in range(0, 60, 5):
            with self.at(minutes=minute):
                self.run_sender()
        self.assertLessEqual(len(self.matomo.requests) - asked, 3)
        self.assertEqual(self.site.state, "error")
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})
        for hour in range(1, 5):
            with self.at(hours=hour, minutes=5):
                self.run_sender()
        activities = self.site.sudo().activity_ids.filtered(
            lambda activity: activity.user_id == manager
        )
        self.assertEqual(len(activities), 1)
        self.site.sudo().token_auth = self.matomo.token
        with self.at(hours=5, minutes=10):
            self.run_sender()
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        self.assertEqual(self.site.state, "ok")
        self.assertFalse(self.site.sudo().activity_ids)

    @mute_logger(LOGGER)
    def test_no_token_sends_nothing(self):
        self.site.sudo().token_auth = False
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertState(order, "pending")
        self.assertFalse(self.matomo.requests)
        self.assertIn("No token", self.site.state_message)

    @mute_logger(LOGGER)
    def test_token_that_may_not_read(self):
        self.matomo.may_read = False
        orders = self.confirm_many(3)
        self.matomo.orders["1", orders[0].name.casefold()] = {"ec_id": orders[0].name}
        self.run_sender()
        self.assertFalse(self.site.can_read)
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        self.run_verifier()
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        more = self.confirm_many(2)
        bulks = len(self.matomo.bulks)
        self.run_sender()
        self.assertEqual([len(bulk) for bulk in self.matomo.bulks[bulks:]], [1, 1])
        self.assertEqual(set(more.mapped("matomo_state")), {"sent"})

    # === VERIFY === #

    @mute_logger(LOGGER)
    def test_accepted_and_never_recorded(self):
        order = self.confirm(self.make_order())
        self.get_request(order)._get_order().sudo().matomo_ip_address = "203.0.113.9"
        self.matomo.drops = lambda p: True
        addresses = []
        for _attempt in range(3):
            self.run_sender()
            addresses.append(self.matomo.bulks[-1][0]["cip"])
            self.assertState(order, "sent")
            self.run_verifier()
        self.assertState(order, "failed", "never recorded it")
        self.assertEqual(addresses, ["203.0.113.9", "0.0.0.0", "0.0.0.0"])

    @mute_logger(LOGGER)
    def test_an_order_that_is_erased_in_matomo_is_sent_once_more(self):
        """Each time somebody erased it there, it came back, with the shopper's data."""
        order = self.confirm(self.make_order())
        order.sudo().matomo_ip_address = "203.0.113.9"
        order.sudo().matomo_visitor_id = VISITOR
        self.run_sender()
        self.run_verifier()
        self.assertRecorded(order, cid=VISITOR, cip="203.0.113.9")
        for state in ("verified", "failed"):
            self.matomo.orders.clear()
            self.get_request(order).next_check_date = fields.Datetime.now()
            self.run_verifier()
            self.run_sender()
            self.run_verifier()
            self.assertState(order, state)
            if state == "verified":
                self.assertRecorded(order, cip="0.0.0.0")
                self.assertNotEqual(self.recorded(order)["cid"], VISITOR)
        self.assertState(order, "failed", "lost it twice")
        self.assertNotRecorded(order)

    @mute_logger(LOGGER)
    def test_missing_order_is_sent_again(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.matomo.orders.clear()
        self.run_verifier()
        self.assertState(order, "pending")
        self.assertFalse(order.matomo_tracked)
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")

    def test_other_amounts_are_shown(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.recorded(order)["ec_tx"] = "1.00"
        self.run_verifier()
        self.assertState(order, "different", "Matomo has a tax of 1.00, not 15.00")
        self.assertTrue(order.matomo_tracked)

    def test_order_older_than_raw_data_is_not_judged(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.matomo.orders.clear()
        with self.at(days=200):
            self.run_verifier()
        self.assertState(order, "sent")

    @mute_logger(LOGGER)
    def test_anonymised_order_ids_are_found_by_their_visitor(self):
        self.matomo.anonymises = True
        orders = self.confirm_many(3)
        self.run_sender()
        self.run_verifier()
        self.assertEqual(set(orders.mapped("matomo_state")), {"verified"})
        self.assertTrue(self.site.is_order_id_anonymised)
        self.assertIn("anonymises order IDs", self.site.state_message)
        later = self.confirm_many(2)
        self.matomo.faults = [lose] * 2
        self.run_sender()
        self.assertEqual(len(self.matomo.orders), 5)
        with self.at(hours=2):
            self.run_sender()
        self.assertEqual(set(later.mapped("matomo_state")), {"verified"})
        self.assertEqual(len(self.matomo.orders), 5)

    @mute_logger(LOGGER)
    def test_an_order_that_its_shopper_forged_tells_nothing_of_the_site(self):
        """A shopper tracked an order under a random ID in the visit of their own."""
        self.matomo.anonymises = True
        orders = self.confirm_many(2)
        orders.sudo().matomo_visitor_id = "0123456789abcdef"
        self.run_sender()
        self.run_verifier()
        self.assertEqual(set(orders.mapped("matomo_state")), {"verified"})
        self.assertFalse(self.site.is_order_id_anonymised)
        self.confirm(self.make_order())
        self.run_sender()
        self.run_verifier()
        self.assertTrue(self.site.is_order_id_anonymised)

    # === SWEEP AND COPIES === #

    def test_sweep_finds_what_the_rule_missed(self):
        rule = self.env.ref("matomo_order_tracking.base_automation_sale_order").sudo()
        rule.active = False
        orders = self.confirm_many(3)
        # Rules patch the models: a rollback alone would not bring them back.
        rule.active = True
        self.assertFalse(self.get_request(orders))
        self.run_cron("ir_cron_sweep")
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})

    def test_orders_before_the_start(self):
        self.site.sudo().date_start = "2026-04-01"
        order = self.confirm(self.make_order())
        self.assertState(order, "excluded", "Confirmed before tracking began on")
        self.run_cron("ir_cron_sweep")
        self.run_sender()
        self.assertNotRecorded(order)

    def test_copied_database_is_silent_until_confirmed(self):
        order = self.confirm(self.make_order())
        self.env["ir.config_parameter"].sudo().set_param("database.uuid", "a-copy")
        self.run_sender()
        self.assertFalse(self.matomo.requests)
        self.assertTrue(self.site.is_copy)
        self.site.with_user(self.make_manager()).action_confirm_database()
        self.run_sender()
        self.assertState(order, "sent")

    def test_restored_database_is_silent_until_confirmed(self):
        """What PostgreSQL copies has the identifier of its original."""
        order = self.confirm(self.make_order())
        self.site.sudo().database_key = "1-1"
        self.run_sender()
        self.assertFalse(self.matomo.requests)
        manager = self.make_manager()
        # One who runs a moved shop is told, once.
        for _hour in range(2):
            self.run_cron("ir_cron_retrack")
            told = self.site.sudo().activity_ids.filtered(
                lambda each: each.user_id == manager
            )
            self.assertEqual(len(told), 1)
            self.assertIn("moved to another server", told.note)
        self.site.with_user(manager).action_confirm_database()
        self.run_sender()
        self.assertState(order, "sent")
        self.run_cron("ir_cron_retrack")
        self.assertFalse(self.site.sudo().activity_ids)

    def test_one_confirmation_is_for_all_sites_of_the_manager(self):
        """A shop with ten sites moved, and its manager pressed ten buttons."""
        archived = self.site.sudo().copy({"idsite": 2, "active": False})
        other = self.env["res.company"].sudo().create({"name": "Other"})
        theirs = self.site.sudo().copy({"idsite": 3, "company_id": other.id})
        sites = self.site.sudo() | archived | theirs
        sites.database_key = "1-1"
        self.site.with_user(self.make_manager()).action_confirm_database()
        self.assertEqual(sites.mapped("is_copy"), [False, False, True])

    def test_a_host_that_forbids_to_ask_for_the_server(self):
        """Odoo's user may not call every function of PostgreSQL everywhere."""
        sites = self.env["matomo.site"]
        self.addCleanup(self.env.registry.clear_cache)
        whole = sites._get_database_key()
        self.env.registry.clear_cache()
        execute = type(self.env.cr).execute

        def forbid(cr, query, *args, **options):
            if "pg_control_system" in str(query):
                self.assertIn("has_function_privilege", query)
                query = "SELECT FALSE"
            return execute(cr, query, *args, **options)

        with patch.object(type(self.env.cr), "execute", forbid):
            part = sites._get_database_key()
        self.assertEqual(part, f"-{whole.partition('-')[2]}")
        # The right was taken away later: this is the same database.
        self.env.invalidate_all()
        self.assertFalse(self.site.is_copy)

    def test_neutralised_database_is_silent(self):
        order = self.confirm(self.make_order())
        self.env["ir.config_parameter"].sudo().set_param(
            "database.is_neutralized", "True"
        )
        self.run_sender()
        self.assertFalse(self.matomo.requests)
        self.assertState(order, "pending")
