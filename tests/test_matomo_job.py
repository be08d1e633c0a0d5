from contextlib import contextmanager
from datetime import datetime, timedelta
from unittest.mock import patch

import requests
from psycopg2.errors import SerializationFailure

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.service.model import call_kw
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.matomo_order_tracking.matomo_api.errors import ReportRefused
from odoo.addons.matomo_order_tracking.models.matomo_retrack import MatomoRetrack
from odoo.addons.matomo_order_tracking.outbox import comparison, jobs
from odoo.addons.matomo_order_tracking.outbox.sender import Sender

from .common import LOGGER, MatomoPosCommon, VerdictsCommon

START = "2026-03-01"


class JobCommon(VerdictsCommon):
    """Orders from before the tracking start, and a manager who backfills them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.sudo().write({"date_start": START, "timezone": "Europe/Brussels"})
        cls.manager = cls.make_manager()

    def sell(self, count, day, **values):
        """Return confirmed orders of a day that no rule has seen."""
        order = self.make_order(state="sale", date_order=f"{day} 12:00:00", **values)
        orders = order
        if count > 1:
            orders += self.clone_orders(order, count - 1)
        orders.write({"date_order": f"{day} 12:00:00"})
        self.end_transaction()
        self.get_request(orders).unlink()
        self.env.invalidate_all()
        return orders

    def open(self, kind="backfill", **values):
        action = self.env["matomo.backfill"].with_user(self.manager)._open(kind)
        wizard = self.env["matomo.backfill"].with_user(self.manager)
        wizard = wizard.browse(action["res_id"])
        wizard.write(values)
        return wizard

    def start(self, **values):
        """Start a backfill as the manager does. Return the jobs, in sudo."""
        wizard = self.open(**values)
        wizard.action_count()
        before = self.env["matomo.job"].sudo().search([])
        wizard.action_start()
        return self.env["matomo.job"].sudo().search([]) - before

    def run_jobs(self):
        self.run_cron("ir_cron_job")

    @contextmanager
    def limits(self, **limits):
        """Work with small batches."""
        with patch.multiple(jobs, **limits):
            yield

    @contextmanager
    def stopping_after(self, count):
        """Let the scheduled action have no time left after so many steps."""
        left = iter([60.0] * (count - 1) + [0.0] * 1000)
        crons = type(self.env["ir.cron"])
        with patch.object(crons, "_commit_progress", lambda *a, **k: next(left)):
            yield


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestBackfill(JobCommon):
    """A backfill sends orders of the past, each once, and can be held at any point."""

    def test_orders_before_the_start_are_sent_with_their_own_times(self):
        orders = self.sell(3, "2026-02-10") + self.sell(2, "2026-02-20")
        job = self.start()
        self.assertEqual((job.state, job.found_count), ("running", 5))
        self.run_jobs()
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})
        self.assertEqual((job.queued_count, job.waiting_count), (5, 5))
        self.assertEqual((job.state, job.progress), ("running", 0))
        self.run_sender()
        for order in orders:
            day = order.date_order.date()
            self.assertRecorded(order, cdt=f"{day} 12:00:00")
        self.run_jobs()
        self.assertEqual((job.state, job.progress), ("done", 100))
        self.run_jobs()
        self.assertEqual(len(self.matomo.orders), 5)

    def test_no_later_look_excludes_them_again(self):
        """The verdict "before the tracking start" came back with each retrack."""
        order = self.sell(1, "2026-02-10")
        other = self.confirm(self.make_order())
        other.date_order = "2026-02-11 12:00:00"
        self.get_request(other).order_date = other.date_order
        self.get_request(other)._update_state("excluded", reason="Too early.")
        self.start()
        self.run_jobs()
        orders = order + other
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})
        orders.action_matomo_retrack()
        self.run_cron("ir_cron_sweep")
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})
        self.run_sender()
        self.assertEqual(len(self.matomo.orders), 2)

    def test_it_leaves_alone_what_is_decided(self):
        sent = self.confirm(self.make_order())
        self.run_sender()
        left = self.confirm(self.make_order())
        self.get_request(left).write({"is_left_out": True})
        self.get_request(left)._update_state("cancelled", reason="No.")
        waiting = self.confirm(self.make_order())
        asked = len(self.matomo.orders)
        new = self.sell(1, "2026-02-20")
        job = self.start()
        self.run_jobs()
        self.assertEqual(
            (job.looked_count, job.queued_count, job.accepted_count), (4, 1, 1)
        )
        self.assertEqual(job.left_out_count, 2)
        self.assertEqual(left.matomo_state, "cancelled")
        self.assertFalse(self.get_request(waiting).job_id)
        self.assertFalse(self.get_request(sent).next_check_date == datetime.now())
        self.run_sender()
        self.assertEqual(len(self.matomo.orders), asked + 2)
        self.assertRecorded(new)

    def test_orders_older_than_raw_data_are_never_sent(self):
        """Matomo refuses them, or counts them a second time."""
        self.site.sudo().raw_data_days = 20
        old = self.sell(2, "2026-02-01")
        young = self.sell(1, "2026-02-20")
        wizard = self.open(first_day="2026-01-01")
        wizard.action_count()
        self.assertIn("2 are older than Matomo keeps their raw data", wizard.result)
        wizard.action_start()
        self.run_jobs()
        self.run_sender()
        self.assertEqual(old.mapped("matomo_state"), [False, False])
        self.assertState(young, "sent")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_the_days_are_those_of_the_site(self):
        """A sale at 23:30 in Brussels is of that day, whatever the day is in UTC."""
        orders = self.sell(2, "2026-02-10")
        orders[0].date_order = "2026-02-09 22:59:59"
        orders[1].date_order = "2026-02-10 22:59:59"
        after = self.sell(1, "2026-02-10")
        after.date_order = "2026-02-10 23:00:00"
        self.env.flush_all()
        job = self.start(first_day="2026-02-10", last_day="2026-02-10")
        self.run_jobs()
        self.assertEqual(job.found_count, 1)
        self.assertState(orders[1], "pending")
        self.assertFalse((orders[0] + after).filtered("matomo_state"))

    def test_todays_orders_go_first(self):
        old = self.sell(1, "2026-02-10") + self.sell(1, "2026-02-20")
        self.start()
        self.run_jobs()
        today = self.confirm(self.make_order())
        self.site.sudo().batch_size = 1
        self.run_sender()
        refs = [p["ec_id"] for bulk in self.matomo.bulks for p in bulk if "ec_id" in p]
        self.assertEqual(refs, [today.name, old[1].name, old[0].name])

    # === PAUSE, RESUME, STOP === #

    def test_pause_holds_what_is_queued_too(self):
        orders = self.sell(3, "2026-02-10")
        job = self.start()
        with self.limits(BATCH=2), self.stopping_after(2):
            self.run_jobs()
        self.assertEqual(job.looked_count, 2)
        mine = job.sudo(False).with_user(self.manager)
        mine.action_pause()
        self.run_jobs()
        self.run_sender()
        self.assertEqual((job.state, job.looked_count), ("paused", 2))
        self.assertFalse(self.matomo.orders)
        # What is held is not due: the sender does not run again and again for it.
        self.assertFalse(Sender(self.env(su=True))._get_due_sites())
        self.assertIn("resumes its backfill", orders[2].matomo_reason)
        mine.action_stop()
        mine.action_resume()
        self.assertEqual(job.state, "stopped")
        self.run_jobs()
        self.assertEqual(set(orders.mapped("matomo_state")) - {False}, {"excluded"})
        self.run_sender()
        self.assertFalse(self.matomo.orders)

    def test_resume_goes_on(self):
        orders = self.sell(5, "2026-02-10")
        job = self.start()
        mine = job.sudo(False).with_user(self.manager)
        with self.limits(BATCH=2):
            for _part in range(2):
                with self.stopping_after(2):
                    self.run_jobs()
                mine.action_pause()
                self.run_jobs()
                mine.action_resume()
            self.run_jobs()
        self.run_sender()
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        self.assertEqual(job.looked_count, 5)
        self.assertEqual(len(self.matomo.orders), 5)

    def test_stop_keeps_what_was_tracked_anyway(self):
        """An order since the tracking start has a verdict, whoever found it."""
        late = self.sell(1, "2026-03-02")
        early = self.sell(1, "2026-02-10")
        job = self.start()
        self.run_jobs()
        job.sudo(False).with_user(self.manager).action_stop()
        self.run_sender()
        self.assertFalse(self.matomo.orders)
        self.run_jobs()
        self.assertState(early, "excluded", "Confirmed before tracking began")
        self.run_sender()
        self.assertState(late, "sent")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_a_second_backfill_sends_the_rest_of_a_stopped_one(self):
        orders = self.sell(4, "2026-02-10")
        job = self.start()
        with self.limits(BATCH=2), self.stopping_after(2):
            self.run_jobs()
        self.run_sender()
        job.sudo(False).with_user(self.manager).action_stop()
        self.run_jobs()
        wizard = self.open()
        wizard.action_count()
        self.assertIn("2 are in Matomo already", wizard.result)
        wizard.action_start()
        self.run_jobs()
        self.run_sender()
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        self.assertEqual(len(self.matomo.orders), 4)

    def test_it_queues_no_more_than_the_sender_takes(self):
        self.sell(5, "2026-02-10")
        job = self.start()
        with self.limits(BATCH=2, FEED=3):
            self.run_jobs()
            self.assertEqual(job.waiting_count, 3)
            self.run_sender()
            self.run_jobs()
            self.env.invalidate_all()
            self.assertEqual((job.waiting_count, job.progress), (2, 60))

    # === WHAT GOES WRONG === #

    @mute_logger("odoo.addons.base.models.ir_cron", LOGGER)
    def test_a_crash_in_the_middle_of_a_batch(self):
        """A batch and the position after it are stored together, or not at all."""
        orders = self.sell(5, "2026-02-10")
        job = self.start()

        def crash(*args, **counts):
            raise SystemExit

        with self.limits(BATCH=2):
            with self.stopping_after(2):
                self.run_jobs()
            with (
                patch.object(type(job), "_advance", crash),
                self.assertRaises(SystemExit),
            ):
                self.run_jobs()
            self.env.invalidate_all()
            self.assertEqual(job.looked_count, 2)
            self.run_jobs()
        self.run_sender()
        self.assertEqual((job.looked_count, job.queued_count), (5, 5))
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        self.assertEqual(len(self.matomo.orders), 5)

    @mute_logger(LOGGER)
    def test_a_stopped_backfill_and_an_order_without_verdict(self):
        """The scheduled action looked at that order again and again, without end."""
        orders = self.sell(3, "2026-02-10")
        job = self.start()
        self.run_jobs()
        job.sudo(False).with_user(self.manager).action_stop()
        verdict, asked = type(orders)._get_matomo_verdict, []

        def fail(order):
            asked.append(order)
            # Without an end, this is it.
            self.assertLess(len(asked), 20)
            if order.id == orders[1].id:
                raise ZeroDivisionError
            return verdict(order)

        with patch.object(type(orders), "_get_matomo_verdict", fail):
            self.run_jobs()
        self.assertEqual(
            orders.mapped("matomo_state"), ["excluded", "cancelled", "excluded"]
        )
        self.assertIn("could not judge", orders[1].matomo_reason)
        self.assertEqual(job.queued_count, 0)
        # Another backfill looks at it again.
        self.start()
        self.run_jobs()
        self.run_sender()
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})

    def test_who_started_it_may_be_gone(self):
        self.sell(2, "2026-02-10")
        job = self.start()
        self.run_jobs()
        self.run_sender()
        job.sudo().create_uid = False
        self.run_jobs()
        self.assertEqual(job.state, "done")

    @mute_logger(LOGGER)
    def test_an_order_that_breaks_holds_up_no_other(self):
        orders = self.sell(4, "2026-02-10")
        job = self.start()
        real = MatomoRetrack._retrack_now

        def fail(retracks, part, user=None):
            if orders[1] in part:
                raise ZeroDivisionError
            return real(retracks, part, user)

        with patch.object(MatomoRetrack, "_retrack_now", fail):
            self.run_jobs()
        self.assertEqual((job.looked_count, job.broken_count), (4, 1))
        self.assertFalse(orders[1].matomo_state)
        self.run_sender()
        self.run_jobs()
        self.assertEqual(job.state, "done")
        self.assertEqual(len(self.matomo.orders), 3)

    def test_a_button_that_is_pressed_while_a_batch_runs(self):
        """The batch is undone and does not run again: the job is paused."""
        self.sell(3, "2026-02-10")
        job = self.start()
        real = MatomoRetrack._retrack_now
        presses = []

        def press(retracks, part, user=None):
            real(retracks, part, user)
            presses.append(part)
            # Another transaction has written the row: PostgreSQL refuses ours.
            retracks.env.cr.rollback()
            mine = job.with_env(retracks.env).sudo(False).with_user(self.manager)
            mine.action_pause()
            retracks.env.cr.commit()
            raise SerializationFailure

        with patch.object(MatomoRetrack, "_retrack_now", press):
            self.run_jobs()
        self.assertEqual(len(presses), 1)
        self.env.invalidate_all()
        self.assertEqual((job.state, job.looked_count), ("paused", 0))

    def test_two_jobs_take_turns(self):
        old, new = self.sell(3, "2026-02-05"), self.sell(3, "2026-02-20")
        first = self.start(first_day="2026-02-01", last_day="2026-02-10")
        second = self.start(first_day="2026-02-08", last_day="2026-02-28")
        with self.limits(BATCH=2), self.stopping_after(3):
            self.run_jobs()
        self.assertEqual((first.looked_count, second.looked_count), (2, 2))
        self.run_jobs()
        self.run_sender()
        self.run_jobs()
        self.assertEqual((first + second).mapped("state"), ["done", "done"])
        self.assertEqual(set((old + new).mapped("matomo_state")), {"sent"})
        self.assertEqual(len(self.matomo.orders), 6)

    # === FIGURES === #

    def test_queries_do_not_grow_with_the_orders(self):
        few = self.sell(10, "2026-02-10")
        many = self.sell(60, "2026-02-20")
        first = self.start(first_day="2026-02-10", last_day="2026-02-10")
        second = self.start(first_day="2026-02-20", last_day="2026-02-20")
        counts = []
        for job, orders in ((first, few), (second, many)):
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            jobs._queue_orders(job, orders.sorted("id", reverse=True).sudo())
            self.env.flush_all()
            counts.append(self.env.cr.sql_log_count - before)
        self.assertLess(counts[1], counts[0] + 10)

    def test_counting_reads_no_order(self):
        self.sell(40, "2026-02-10")
        site = self.site.sudo()
        day = datetime(2026, 2, 10).date()
        self.env.flush_all()
        self.env.invalidate_all()
        with self.assertQueryCount(12):
            counts = jobs.count(site, "desk", day, day)
        self.assertEqual((counts.found, counts.todo, counts.before_start), (40, 40, 40))

    def test_it_counts_what_it_will_do(self):
        self.sell(3, "2026-02-10")
        sent = self.confirm(self.make_order())
        self.run_sender()
        refund = self.make_order((self.chair, -1))
        self.confirm(refund)
        self.assertState(sent, "sent")
        self.assertState(refund, "excluded")
        wizard = self.open()
        wizard.action_count()
        [line] = wizard.line_ids
        self.assertEqual(
            (line.found_count, line.todo_count, line.accepted_count), (5, 3, 1)
        )
        for text in (
            "5 orders were found.",
            "3 are sent",
            "3 of them are from before the tracking start",
            "1 is in Matomo already.",
            f"1 is left out: {refund.matomo_reason}",
            "about 2 minutes",
            "write or admin access",
            "core:archive",
        ):
            self.assertIn(text, wizard.result)

    def test_days_that_were_mistyped(self):
        """Python counts no day before the year 1, nor after 9999: an error appeared."""
        for days in (("0001-01-01", "2026-03-03"), ("2026-02-01", "9999-12-31")):
            wizard = self.open(first_day=days[0], last_day=days[1])
            for press in (wizard.action_count, wizard.action_start):
                with self.assertRaisesRegex(UserError, "Choose days of the years"):
                    press()

    def test_a_channel_whose_module_is_gone(self):
        self.sell(1, "2026-02-10")
        wizard = self.open()
        wizard.line_ids.channel = "event"
        wizard.action_count()
        self.assertTrue(wizard.is_empty)

    def test_there_must_be_something_to_do(self):
        wizard = self.open()
        wizard.action_count()
        self.assertTrue(wizard.is_empty)
        with self.assertRaises(UserError):
            wizard.action_start()
        wizard.line_ids.is_chosen = False
        with self.assertRaisesRegex(UserError, "at least one site"):
            wizard.action_count()


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestCompareJob(JobCommon):
    """A comparison of many days runs by itself, a day at a time."""

    def test_the_days_of_a_backfill(self):
        """Odoo's side counts exactly the orders that were backfilled."""
        sent = self.sell(2, "2026-02-10")
        self.start(first_day="2026-02-10", last_day="2026-02-10")
        self.run_jobs()
        self.run_sender()
        self.run_jobs()
        self.sell(1, "2026-02-10")
        backfill = self.env["matomo.job"].sudo().search([])
        self.assertEqual(backfill.state, "done")
        backfill.sudo(False).with_user(self.manager).action_compare()
        job = self.env["matomo.job"].sudo().search([("kind", "=", "compare")])
        self.run_jobs()
        self.assertEqual((job.state, job.looked_count), ("done", 1))
        day = self.env["matomo.reconciliation"].search(
            [("site_id", "=", self.site.id), ("day", "=", "2026-02-10")]
        )
        self.assertEqual((day.odoo_order_count, day.matomo_order_count), (2, 2))
        self.assertEqual(day.state, "equal")
        self.assertEqual(len(sent), 2)

    def test_the_button_of_the_list(self):
        """The web client calls it with no records, and it was no method of records."""
        days = self.env["matomo.reconciliation"].with_user(self.manager)
        action = call_kw(days, "action_compare_range", [[]], {})
        wizard = self.env["matomo.backfill"].browse(action["res_id"]).sudo()
        self.assertEqual((wizard.kind, len(wizard.line_ids)), ("compare", 1))

    def test_a_day_at_a_time(self):
        wizard = self.open("compare", first_day="2026-02-26", last_day="2026-03-03")
        wizard.action_start()
        job = self.env["matomo.job"].sudo().search([])
        self.assertEqual(job.found_count, 6)
        mine = job.sudo(False).with_user(self.manager)
        with self.stopping_after(4):
            self.run_jobs()
        mine.action_pause()
        done = job.looked_count
        self.assertTrue(0 < done < 6)
        self.run_jobs()
        self.assertEqual(job.looked_count, done)
        mine.action_resume()
        self.run_jobs()
        self.assertEqual((job.state, job.looked_count), ("done", 6))
        days = self.env["matomo.reconciliation"].search(
            [("site_id", "=", self.site.id)], order="day"
        )
        self.assertEqual(len(days), 6)

    @mute_logger(LOGGER)
    def test_it_waits_for_matomo(self):
        wizard = self.open("compare", first_day="2026-02-26", last_day="2026-02-27")
        wizard.action_start()
        job = self.env["matomo.job"].sudo().search([])
        self.site.sudo().can_read = False
        self.run_jobs()
        self.assertEqual((job.state, job.looked_count), ("running", 0))
        self.assertIn("may not read", job.message)
        self.site.sudo().can_read = True
        self.run_jobs()
        self.assertEqual(job.state, "done")

    @mute_logger(LOGGER)
    def test_it_says_what_it_waits_for(self):
        """A job stood still for hours, and did not say why."""
        self.sell(1, "2026-02-10")
        backfill = self.start()
        wizard = self.open("compare", first_day="2026-02-26", last_day="2026-02-27")
        wizard.action_start()
        compare = self.env["matomo.job"].sudo().search([], limit=1)
        site = self.site.sudo()
        for values, text, jobs_ in (
            ({"active": False}, "is archived", compare + backfill),
            ({"database_uuid": "another"}, "is a copy", compare + backfill),
            ({"paused_date": datetime.now()}, "is paused", compare + backfill),
            ({"token_auth": False}, "no token", compare + backfill),
            ({"facts_date": False}, "Test Connection", compare),
        ):
            with self.subTest(text=text), self.env.cr.savepoint() as savepoint:
                site.write(values)
                self.run_jobs()
                for job in jobs_:
                    self.assertEqual(job.state, "running")
                    self.assertIn(text, job.message)
                savepoint.rollback()
            self.env.invalidate_all()
        self.assertFalse(compare.message)
        # Odoo never neutralizes a site that is in use: somebody has unarchived it.
        parameters = self.env["ir.config_parameter"].sudo()
        parameters.set_param("database.is_neutralized", True)
        self.env.invalidate_all()
        for job in compare + backfill:
            self.assertIn("neutralized", job.message)
            # An order that waits says the same.
            self.assertEqual(job.message, site._get_waiting_reason(self.env))
        parameters.set_param("database.is_neutralized", False)
        self.env.invalidate_all()
        # What a Matomo that is down has answered is nowhere else, if nothing is sent.
        self.matomo.faults = [requests.ConnectionError("gone")] * 2
        self.run_jobs()
        self.assertIn("The connection to Matomo failed", compare.message)
        self.assertIn("tries again every minute", compare.message)
        self.run_jobs()
        self.assertEqual((compare.state, compare.message), ("done", False))
        self.assertFalse(compare.trouble)

    @mute_logger(LOGGER)
    def test_a_visits_log_that_is_off_holds_up_no_day(self):
        """The job asked for the orders of one day for ever."""
        order = self.confirm(self.make_order())
        order.date_order = "2026-03-02 12:00:00"
        self.run_sender()
        self.matomo.orders.clear()
        wizard = self.open("compare", first_day="2026-03-01", last_day="2026-03-02")
        wizard.action_start()
        job = self.env["matomo.job"].sudo().search([])
        error = ReportRefused(
            "no_visits_log", status=200, text="Visits log is deactivated."
        )
        with patch.object(comparison, "read_all_orders", side_effect=error):
            self.run_jobs()
        self.assertEqual((job.state, job.looked_count), ("done", 2))
        day = self.env["matomo.reconciliation"].search([("day", "=", "2026-03-02")])
        self.assertEqual((day.state, day.is_explained), ("different", False))

    def test_days_without_raw_data_are_left_out(self):
        """Matomo would seem to have lost all their orders."""
        self.site.sudo().raw_data_days = 10
        wizard = self.open("compare", first_day="2026-01-01", last_day="2026-03-02")
        wizard.action_start()
        job = self.env["matomo.job"].sudo().search([])
        self.assertEqual(str(job.first_day), "2026-02-22")
        self.assertEqual(job.found_count, 9)


@tagged("post_install", "-at_install")
class TestChannels(MatomoPosCommon):
    """A backfill is of the channels that were chosen."""

    def test_tills_alone(self):
        self.site.sudo().date_start = datetime.now().date()
        manager = self.make_manager()
        sale = self.env["pos.order"].browse(
            self.env["pos.order"].sync_from_ui([self.make_sale()])["pos.order"][0]["id"]
        )
        order = self.make_order(state="sale")
        self.end_transaction()
        (self.get_request(sale) + self.get_request(order)).unlink()
        (sale.sudo() + sale).date_order = datetime.now() - timedelta(days=5)
        order.date_order = datetime.now() - timedelta(days=5)
        self.env.flush_all()
        wizards = self.env["matomo.backfill"].with_user(manager)
        wizard = wizards.browse(wizards.action_open()["res_id"])
        self.assertEqual(set(wizard.line_ids.mapped("channel")), {"desk", "till"})
        desk = wizard.line_ids.filtered(lambda line: line.channel == "desk")
        desk.is_chosen = False
        wizard.action_count()
        wizard.action_start()
        job = self.env["matomo.job"].sudo().search([])
        self.assertEqual((job.channels, job.found_count), (["till"], 1))
        self.run_cron("ir_cron_job")
        self.assertState(sale, "pending")
        self.assertFalse(order.matomo_state)


@tagged("post_install", "-at_install")
class TestJobRights(JobCommon):
    """Managers start and hold jobs of their own companies, nobody else does."""

    def test_who_may_press_the_buttons(self):
        self.site.sudo().date_start = datetime.now().date()
        self.sell(1, datetime.now().date() - timedelta(days=3))
        job = self.start()
        user = self.make_user("reader", "matomo_order_tracking.group_matomo_user")
        mine = job.sudo(False).with_user(user)
        for action in (
            mine.action_pause,
            mine.action_resume,
            mine.action_stop,
            mine.action_compare,
            self.site.with_user(user).action_backfill,
            self.env["matomo.backfill"].with_user(user).action_open,
            self.env["matomo.reconciliation"].with_user(user).action_compare_range,
        ):
            with self.assertRaises(AccessError):
                action()
        self.assertEqual(job.state, "running")

    def test_jobs_of_other_companies(self):
        self.site.sudo().date_start = datetime.now().date()
        self.sell(1, datetime.now().date() - timedelta(days=3))
        job = self.start()
        other = self.env["res.company"].sudo().create({"name": "Other"})
        self.manager.sudo().write(
            {"company_ids": [Command.set(other.ids)], "company_id": other.id}
        )
        stranger = job.sudo(False).with_user(self.manager)
        self.assertFalse(stranger.search([]))
        for action in (stranger.action_pause, stranger.action_stop):
            with self.assertRaises(AccessError):
                action()
        # What a manager of the first company has counted.
        counted = self.env["matomo.backfill"].sudo().search([], limit=1)
        self.assertIn("1 order was found", counted.result)
        with self.assertRaises(AccessError):
            counted.with_user(self.manager.copy()).read(["result"])
        wizards = self.env["matomo.backfill"].with_user(self.manager)
        with self.assertRaises(AccessError):
            wizards._open("backfill", self.site.with_user(self.manager))
        with self.assertRaises(UserError):
            wizards.action_open()
        self.assertEqual(job.state, "running")
