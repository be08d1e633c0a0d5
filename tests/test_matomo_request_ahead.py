from dataclasses import replace
from unittest.mock import patch

import requests

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.matomo_order_tracking.outbox import bulks, orders, sender
from odoo.addons.matomo_order_tracking.outbox.sender import Sender
from odoo.addons.matomo_order_tracking.outbox.transactions import run_aside

from .common import LOGGER, MatomoCommon

SIZE = 2


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestAhead(MatomoCommon):
    """The next bulk is built while Matomo works on one."""

    def setUp(self):
        super().setUp()
        self.site.sudo().batch_size = SIZE
        made = [self.make_order((self.chair, n + 1)) for n in range(5)]
        self.orders = self.confirm(self.env["sale.order"].concat(*made))
        rows = [self.get_request(order) for order in self.orders]
        self.rows = self.env["matomo.request"].sudo().concat(*rows)

    def during_first(self, act):
        """Do something while Matomo works on the first bulk of orders."""

        def answer(usual):
            act()
            self.env.flush_all()
            return usual

        self.matomo.faults = [answer]

    def assertGivenBack(self, rows):
        self.assertEqual(set(rows.mapped("state")), {"pending"})
        # They were built ahead, and nothing was tried.
        self.assertTrue(all(rows.mapped("payload")))
        self.assertEqual(rows.mapped("attempt_count"), [0] * len(rows))
        self.assertEqual(rows.mapped("unconfirmed_count"), [0] * len(rows))
        self.assertFalse(any(rows.mapped("look_up_first")))
        self.assertFalse(any(rows.mapped("next_attempt_date")))
        self.assertFalse(any(rows.mapped("lease_date")))

    def assertSentOnce(self, rows):
        self.assertEqual(set(rows.mapped("state")), {"sent"})
        refs = [each["ec_id"] for bulk in self.matomo.bulks for each in bulk]
        for row in rows:
            self.assertEqual(refs.count(row.order_ref), 1)

    def test_each_order_is_sent_once(self):
        self.run_sender()
        self.assertEqual([len(bulk) for bulk in self.matomo.bulks], [2, 2, 1])
        self.assertSentOnce(self.rows)
        self.assertEqual(self.rows.mapped("attempt_count"), [1] * 5)

    @mute_logger(LOGGER)
    def test_outage_gives_the_next_bulk_back(self):
        self.matomo.faults = [requests.ConnectionError("no route")] * 2
        self.run_sender()
        self.assertEqual(self.rows[:SIZE].mapped("attempt_count"), [1] * SIZE)
        self.assertGivenBack(self.rows[SIZE : 2 * SIZE])
        self.assertFalse(self.matomo.orders)
        self.site.sudo().next_attempt_date = False
        self.run_sender()
        self.assertSentOnce(self.rows)
        self.assertEqual(self.rows[SIZE:].mapped("attempt_count"), [1] * 3)

    def test_pause_gives_the_next_bulk_back(self):
        def pause():
            self.site.sudo().paused_date = fields.Datetime.now()

        self.during_first(pause)
        self.run_sender()
        self.assertSentOnce(self.rows[:SIZE])
        self.assertGivenBack(self.rows[SIZE : 2 * SIZE])

    def test_cancelled_order_of_the_next_bulk_is_not_sent(self):
        cancelled = self.orders[SIZE]
        row = self.rows[SIZE]
        self.during_first(lambda: self.cancel(cancelled))
        self.run_sender()
        refs = [each["ec_id"] for bulk in self.matomo.bulks for each in bulk]
        self.assertNotIn(row.order_ref, refs)
        self.assertSentOnce(self.rows - row)

    def test_request_of_the_next_bulk_that_is_left_out_is_not_sent(self):
        left_out = self.rows[SIZE]
        self.during_first(lambda: left_out._update_state("cancelled"))
        self.run_sender()
        self.env.invalidate_all()
        self.assertEqual(left_out.state, "cancelled")
        refs = [each["ec_id"] for bulk in self.matomo.bulks for each in bulk]
        self.assertNotIn(left_out.order_ref, refs)
        self.assertSentOnce(self.rows - left_out)

    def test_smaller_bulks_give_the_next_one_back(self):
        def shrink():
            self.site.sudo().batch_size = 1

        self.during_first(shrink)
        self.run_sender()
        self.assertEqual([len(bulk) for bulk in self.matomo.bulks], [2, 1, 1, 1])
        self.assertSentOnce(self.rows)
        self.assertEqual(self.rows.mapped("attempt_count"), [1] * 5)

    def test_after_the_end_of_time_no_bulk_is_claimed(self):
        # It is noticed while the second bulk is sent.
        with patch.object(Sender, "_report_progress", return_value=False):
            self.run_sender()
        self.assertSentOnce(self.rows[: 2 * SIZE])
        self.assertFalse(self.rows[2 * SIZE].attempt_count)
        self.run_sender()
        self.assertSentOnce(self.rows)

    def look_at(self, number, refused=()):
        """Keep the states of all requests at the moment when an order arrives."""
        states, names = [], self.orders.mapped("name")

        def refuse(parameters):
            if parameters.get("ec_id") == names[number]:
                self.env.invalidate_all(flush=False)
                states.extend(self.rows.mapped("state"))
            return parameters.get("ec_id") in [names[each] for each in refused]

        self.matomo.refuses = refuse
        self.answer_first()
        return states

    def answer_first(self):
        """Have Matomo be the faster of the two."""
        run = patch.object(sender, "run_aside", lambda job, aside: (job(), aside()))
        self.startPatcher(run)

    def test_first_bulk_is_written_down_while_the_second_is_sent(self):
        states = self.look_at(SIZE)
        self.run_sender()
        self.assertEqual(states, ["pending"] * 5)
        self.assertSentOnce(self.rows)

    @mute_logger(LOGGER)
    def test_bulk_that_was_not_taken_whole_is_written_down_first(self):
        states = self.look_at(SIZE, refused=[0])
        self.run_sender()
        self.assertEqual(states, ["failed", "sent", "pending", "pending", "pending"])
        self.assertSentOnce(self.rows[1:])

    @mute_logger(LOGGER, f"{LOGGER}.sender")
    def test_what_cannot_be_written_down_is_sent_again_and_counted_once(self):
        request, apply = type(self.rows), type(self.rows)._apply

        def fail(rows, outcome):
            if not failed:
                failed.append(rows)
                raise ValueError("unforeseen")
            return apply(rows, outcome)

        failed = []
        with (
            patch.object(request, "_apply", fail),
            patch.object(self.env.cr, "rollback"),
        ):
            self.run_sender()
        self.env.invalidate_all()
        self.assertEqual(self.rows.mapped("state"), ["pending"] * 5)
        self.assertEqual(self.rows.mapped("attempt_count"), [1] * 4 + [0])
        self.site.sudo().next_attempt_date = False
        with freeze_time("2026-03-03 10:11:00"):
            self.run_sender()
        self.assertEqual(set(self.rows.mapped("state")), {"sent"})
        self.assertEqual(len(self.matomo.orders), 5)

    @mute_logger(LOGGER)
    def test_what_cannot_be_built_ahead_is_built_afterwards(self):
        claim, calls = bulks.claim, []

        def fail_once(*args):
            calls.append(args)
            if len(calls) == 2:
                raise ValueError("unforeseen")
            return claim(*args)

        # The rollback of a test undoes more than that of a lane.
        with (
            patch.object(bulks, "claim", fail_once),
            patch.object(self.env.cr, "rollback"),
        ):
            self.run_sender()
        self.assertSentOnce(self.rows)
        self.assertEqual(self.rows.mapped("attempt_count"), [1] * 5)

    def test_bulk_that_has_waited_too_long_is_not_sent(self):
        claim = bulks.claim(self.env(su=True), orders.KIND, self.site.sudo())
        bulk = claim.prepare()
        self.assertTrue(claim.may_be_sent())
        late = replace(claim, time=claim.time - orders.KIND.get_patience() / 2)
        self.assertFalse(late.may_be_sent())
        # It has what is left of its lease.
        self.assertLess(late.prepare().policy.patience, bulk.policy.patience)
        self.assertIsNone(late.follow())
        self.assertGivenBack(claim.requests)

    def test_error_of_the_thread_is_raised(self):
        done = []
        with self.assertRaisesRegex(ValueError, "broken"):
            run_aside(lambda: int("broken"), lambda: done.append(1))
        self.assertTrue(done)

    @mute_logger(LOGGER)
    def test_order_that_cannot_be_prepared_fails_alone(self):
        broken = self.rows[0] | self.rows[SIZE]
        self.fail_to_prepare(broken.sale_order_id)
        self.run_sender()
        self.assertEqual(set(broken.mapped("failure_type")), {"data"})
        self.assertSentOnce(self.rows - broken)

    @mute_logger(LOGGER)
    def test_what_is_taken_is_written_down_whatever_fails_next(self):
        error = ValueError("Not prepared")
        self.startPatcher(patch.object(bulks.Claim, "follow", side_effect=error))
        self.run_sender()
        self.assertSentOnce(self.rows[:SIZE])
        self.assertGivenBack(self.rows[SIZE : 2 * SIZE])

    @mute_logger(LOGGER)
    def test_what_is_taken_is_written_down_if_the_one_before_cannot_be(self):
        self.answer_first()
        self.fail_to_accept(self.rows[0])
        self.run_sender()
        self.assertEqual(set(self.rows[:SIZE].mapped("state")), {"pending"})
        self.assertSentOnce(self.rows[SIZE : 2 * SIZE])

    def fail_to_prepare(self, broken):
        """Have a module break what is read of an order when it is sent."""
        usual = type(broken)._get_matomo_cart_date

        def get_cart_date(order):
            if order in broken:
                raise ValueError("No date")
            return usual(order)

        self.startPatcher(
            patch.object(type(broken), "_get_matomo_cart_date", get_cart_date)
        )

    def fail_to_accept(self, broken):
        """Have a module break what is written when a request is accepted."""
        usual = type(broken)._accept

        def accept(rows, *arguments):
            if broken in rows:
                raise ValueError("Not accepted")
            return usual(rows, *arguments)

        self.startPatcher(patch.object(type(broken), "_accept", accept))
