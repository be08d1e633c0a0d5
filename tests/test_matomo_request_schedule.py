from datetime import timedelta
from unittest.mock import patch

import requests

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.base.tests.test_ir_cron import CronMixinCase

from .common import LOGGER, MODULE, TOKEN, FakeResponse, MatomoCommon, lose

NOW = "2026-03-03 10:00:00"
SECOND = timedelta(seconds=1)
NO_PROGRESS = {"done": 0, "remaining": 0, "timed_out_counter": 0, "progress_id": 0}
DOWN = FakeResponse(503, b"<h1>Maintenance</h1>")


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestSchedule(MatomoCommon, CronMixinCase):
    """How long the sender and the verifier wait, and what they do meanwhile."""

    def at(self, **later):
        """Set Odoo's clock to a later time until the block ends."""
        return freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(**later))

    def make_sites(self, count):
        """Create more sites, each with an order that waits. Return the orders."""
        orders = self.env["sale.order"]
        for number in range(count):
            self.company.sudo().matomo_site_id = (
                self.env["matomo.site"]
                .sudo()
                .create(
                    {
                        "name": f"Site {number}",
                        "url": f"https://matomo{number}.example.com/",
                        "idsite": 1,
                        "token_auth": TOKEN,
                        "company_id": self.company.id,
                        "date_start": "2026-01-01",
                    }
                )
            )
            orders += self.confirm(self.make_order())
        return orders

    def sites_of(self, orders):
        return orders.matomo_request_ids.sudo().site_id

    def run_job(self, name):
        """Run a scheduled action as a cron worker does. Return what it reported."""
        cron = self.env.ref(f"{MODULE}.{name}").sudo()
        self.env.flush_all()
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            [job] = cron.read(load=None)
            self.registry["ir.cron"]._process_job(cr, job | NO_PROGRESS)
        self.env.invalidate_all()
        return self.env["ir.cron.progress"].search([], order="id desc", limit=1)

    # === TEN SECONDS IN ALL === #

    @mute_logger(LOGGER)
    def test_ten_seconds_for_all_silent_sites(self):
        orders = self.make_sites(4)
        with freeze_time(NOW) as clock:

            def hang(answer):
                timeout = self.matomo.requests[-1]["options"]["timeout"]
                clock.tick(timeout)
                raise requests.Timeout

            self.matomo.faults = [hang] * 4
            for turn in range(1, 5):
                begun = fields.Datetime.now()
                with self.capture_triggers(f"{MODULE}.ir_cron_send") as wakeups:
                    job = self.run_job("ir_cron_send")
                self.assertLessEqual(
                    fields.Datetime.now() - begun, timedelta(seconds=10)
                )
                self.assertEqual(len(self.matomo.requests), turn)
                self.assertEqual(job.remaining, 0)
                # The other sites are not forgotten: the next run begins at once.
                now = fields.Datetime.now()
                at_once = wakeups.records.filtered(lambda w, now=now: w.call_at <= now)
                self.assertEqual(bool(at_once), turn < 4)
        self.assertEqual(set(self.sites_of(orders).mapped("state")), {"warning"})

    @mute_logger(LOGGER)
    def test_silence_of_one_site_is_no_others(self):
        silent, *others = orders = self.make_sites(3)
        silent = self.sites_of(silent)

        def post(url, **options):
            if url.startswith(silent.url):
                raise requests.ConnectionError("no route")
            return answer(url, **options)

        answer = self.matomo.post
        with patch.object(self.matomo, "post", post):
            job = self.run_job("ir_cron_send")
        self.assertEqual(orders.mapped("matomo_state"), ["pending", "sent", "sent"])
        # What waits for the site is no reason to call the sender again and again.
        self.assertEqual(job.remaining, 0)
        self.assertEqual(len(others), 2)

    @mute_logger(LOGGER)
    def test_woken_when_the_site_may_be_tried_again(self):
        self.confirm(self.make_order())
        self.matomo.faults = [requests.ConnectionError("no route")] * 2
        with self.capture_triggers(f"{MODULE}.ir_cron_send") as wakeups:
            self.run_job("ir_cron_send")
        self.assertEqual(wakeups.records.mapped("call_at"), [self.next_attempt()])

    def next_attempt(self):
        return self.site.next_attempt_date

    # === NEVER SWITCHED OFF === #

    @mute_logger(LOGGER)
    def test_weeks_of_any_trouble_do_not_switch_the_action_off(self):
        cron = self.env.ref(f"{MODULE}.ir_cron_send").sudo()
        first, second = self.make_sites(2)
        broken = self.sites_of(first)
        answer = self.matomo.post
        for day, trouble in enumerate([RuntimeError("boom"), requests.Timeout()] * 6):

            def post(url, trouble=trouble, **options):
                if url.startswith(broken.url):
                    raise trouble
                return answer(url, **options)

            with self.at(days=2 * day), patch.object(self.matomo, "post", post):
                self.run_job("ir_cron_send")
            self.assertState(first, "pending")
            self.assertState(second, "sent")
        self.assertTrue(cron.active)
        self.assertEqual(cron.failure_count, 0)
        with self.at(days=30):
            self.run_job("ir_cron_send")
        self.assertState(first, "sent")

    @mute_logger(LOGGER)
    def test_verifier_is_not_switched_off_either(self):
        cron = self.env.ref(f"{MODULE}.ir_cron_verify").sudo()
        order = self.confirm(self.make_order())
        self.run_sender()
        for day in range(1, 12):
            self.matomo.faults = [RuntimeError("boom")]
            with self.at(days=day):
                self.run_job("ir_cron_verify")
            self.assertState(order, "sent")
        self.assertTrue(cron.active)
        with self.at(days=20):
            self.run_job("ir_cron_verify")
        self.assertState(order, "verified")

    # === READING IS NOT SENDING === #

    @mute_logger(LOGGER)
    def test_who_cannot_be_read_is_sent_to(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.matomo.faults = [DOWN] * 2
        self.run_verifier()
        self.assertEqual(self.site.state, "warning")
        self.assertIn("cannot be read back", self.site.state_message)
        asked = len(self.matomo.requests)
        self.run_verifier()
        self.assertEqual(len(self.matomo.requests), asked)
        later = self.confirm(self.make_order())
        self.run_sender()
        self.assertState(later, "sent")
        self.assertEqual(self.site.state, "warning")
        with self.at(minutes=5):
            self.run_verifier()
        self.assertEqual(
            (order + later).mapped("matomo_state"), ["verified", "verified"]
        )
        self.assertEqual(self.site.state, "ok")
        self.assertFalse(self.site.state_message)

    @mute_logger(LOGGER)
    def test_doubtful_orders_wait_and_the_others_go_on(self):
        doubtful = self.confirm(self.make_order())
        self.matomo.faults = [lose] * 2
        self.run_sender()
        with self.at(minutes=2):
            # Refused as a duplicate, accepted by the probe, and not to be read,
            # whatever is asked for.
            self.matomo.faults = [None, None, DOWN, DOWN]
            self.run_sender()
            self.assertState(doubtful, "pending")
            fresh = self.confirm(self.make_order())
            self.run_sender()
            self.assertState(fresh, "sent")
            self.assertState(doubtful, "pending")
        with self.at(minutes=10):
            self.run_sender()
        self.assertState(doubtful, "sent")
        self.assertEqual(len(self.matomo.orders), 2)

    @mute_logger(LOGGER)
    def test_who_is_slow_to_read_is_asked_for_less(self):
        self.confirm(
            self.env["sale.order"].concat(*(self.make_order() for _n in range(8)))
        )
        self.run_sender()
        counts = []
        for hour in range(1, 8):
            self.matomo.faults = [requests.Timeout()]
            with self.at(hours=2 * hour):
                self.run_verifier()
            segment = self.matomo.requests[-1]["data"]["segment"]
            counts.append(segment.count("orderId=="))
            self.assertLessEqual(self.matomo.requests[-1]["options"]["timeout"], 10)
        self.assertEqual(counts, [8, 8, 8, 6, 3, 1, 1])
        with self.at(hours=20):
            self.run_verifier()
        states = self.env["sale.order"].search([("company_id", "=", self.company.id)])
        self.assertEqual(set(states.mapped("matomo_state")), {"verified"})

    @mute_logger(LOGGER)
    def test_trouble_ends_when_nothing_is_left_to_send(self):
        order, later = self.confirm(self.make_order()), self.make_order()
        self.run_sender()
        self.confirm(later)
        self.matomo.faults = [requests.Timeout()] * 2
        self.run_sender()
        later._action_cancel()
        later.unlink()
        with self.at(hours=2):
            self.run_sender()
        self.assertEqual(self.site.state, "warning")
        with self.at(hours=4):
            self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(self.site.state, "ok")

    # === CLOCKS === #

    @mute_logger(LOGGER)
    def test_clock_that_was_years_ahead(self):
        sent = self.confirm(self.make_order())
        with self.at(days=4000):
            self.run_sender()
            waiting = self.confirm(self.make_order())
            self.matomo.faults = [requests.Timeout()] * 2
            self.run_sender()
            # A worker has died with it in its hands.
            dying = self.confirm(self.make_order())
            self.get_request(dying).next_attempt_date = (
                fields.Datetime.now() + timedelta(minutes=10)
            )
        for order in waiting + dying:
            order.date_order = NOW
        self.run_sender()
        self.run_cron("ir_cron_verify")
        self.assertState(sent, "verified")
        self.assertEqual((waiting + dying).mapped("matomo_state"), ["sent", "sent"])

    @mute_logger(LOGGER)
    def test_clock_that_jumps_ahead(self):
        order = self.confirm(self.make_order())
        self.matomo.faults = [requests.Timeout()] * 2
        self.run_sender()
        # Not so far that Matomo would have forgotten the order, had it arrived.
        with self.at(days=150):
            self.run_sender()
            self.run_verifier()
        self.assertEqual(len(self.matomo.orders), 1)
        self.assertRecorded(order, cdt=NOW)

    # === THE MANAGERS === #

    @mute_logger(LOGGER)
    def test_managers_are_told_once_whatever_comes_between(self):
        manager = self.make_manager()
        self.confirm(self.make_order())
        self.site.sudo().token_auth = "wrong"
        for hour in range(8):
            self.matomo.faults = [requests.Timeout()] * 2 if hour % 2 else []
            with self.at(hours=2 * hour):
                self.run_sender()
        told = self.site.sudo().activity_ids.filtered(lambda a: a.user_id == manager)
        self.assertEqual(len(told), 1)

    @mute_logger(LOGGER)
    def test_wrong_token_is_tried_once_an_hour(self):
        self.confirm(self.make_order())
        self.site.sudo().token_auth = "wrong"
        self.run_sender()
        for hour in range(1, 4):
            asked = len(self.matomo.requests)
            for minute in range(0, 60, 5):
                with self.at(hours=hour, minutes=minute):
                    self.run_sender()
                    self.run_verifier()
            self.assertEqual(len(self.matomo.requests), asked + 1)
