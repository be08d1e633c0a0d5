from datetime import timedelta
from unittest.mock import patch

import requests
from urllib3.exceptions import NewConnectionError

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, FakeResponse, MatomoCommon, lose

NOW = "2026-03-03 10:00:00"
REFUSED = requests.ConnectionError(NewConnectionError(None, "connection refused"))


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestRawData(MatomoCommon):
    """Orders that Matomo may have had, older by now than it keeps its raw data.

    It no longer refuses what it has forgotten: sent again it would count twice.
    """

    def setUp(self):
        super().setUp()
        self.site.sudo().raw_data_days = 30

    def at(self, **later):
        """Set Odoo's clock to a later time until the block ends."""
        return freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(**later))

    def confirm_old(self):
        """Return an order that was confirmed long ago and not sent yet."""
        order = self.confirm(self.make_order())
        order.date_order = "2026-01-05 10:00:00"
        return order

    def send_and_lose(self, order):
        """Send an order and lose Matomo's answer: Matomo has the order."""
        self.confirm(order)
        self.matomo.faults = [lose] * 2
        with mute_logger(LOGGER):
            self.run_sender()
        self.assertState(order, "pending")
        self.assertRecorded(order)
        return order

    def purge(self):
        """Have Matomo delete its raw data. Its reports have counted them."""
        self.matomo.orders.clear()
        self.matomo.events.clear()

    def assertNeverSentAgain(self, order):
        bulks = len(self.matomo.bulks)
        self.run_sender()
        self.assertState(order, "failed", "older than Matomo keeps its raw data")
        self.assertEqual(len(self.matomo.bulks), bulks)
        self.assertIn("raw data", order.message_ids[0].body)

    # === NOT SENT AGAIN === #

    @mute_logger(LOGGER)
    def test_lost_answer(self):
        order = self.send_and_lose(self.make_order())
        self.purge()
        with self.at(days=60):
            self.assertNeverSentAgain(order)
            self.assertState(order, "failed", "Matomo's answer was lost")
            order.action_matomo_retrack()
            self.assertNeverSentAgain(order)
            # A Matomo that forgets nothing says for certain that it is not there.
            self.site.sudo().raw_data_days = 0
            order.action_matomo_retrack()
            self.run_sender()
            self.assertState(order, "sent")

    @mute_logger(LOGGER)
    def test_worker_that_died(self):
        order = self.confirm(self.make_order())
        with patch.object(self.matomo, "post", side_effect=RuntimeError):
            self.run_sender()
        with self.at(days=60):
            self.assertNeverSentAgain(order)

    @mute_logger(LOGGER)
    def test_token_that_may_not_read(self):
        first = self.send_and_lose(self.make_order())
        with self.at(hours=1):
            second = self.send_and_lose(self.make_order())
        self.purge()
        self.matomo.may_read = False
        with self.at(days=60):
            fresh = self.confirm(self.make_order())
            self.run_sender()
            for order in first + second:
                self.assertState(order, "failed", "older than Matomo keeps")
            self.assertState(fresh, "sent")
            self.assertEqual(len(self.matomo.orders), 1)

    @mute_logger(LOGGER)
    def test_cancelled_and_confirmed_again(self):
        order = self.send_and_lose(self.make_order())
        self.purge()
        order._action_cancel()
        with self.at(days=60):
            self.run_sender()
            self.assertState(order, "cancelled")
            order.action_draft()
            order.action_confirm()
            order.date_order = NOW
            self.end_transaction()
            self.assertNeverSentAgain(order)

    @mute_logger(LOGGER)
    def test_refund(self):
        self.site.sudo().track_refunds = True
        order = self.confirm(self.make_order())
        self.run_sender()
        order._action_cancel()
        self.end_transaction()
        self.matomo.faults = [lose] * 2
        self.run_sender()
        self.assertEqual(len(self.matomo.events), 1)
        self.purge()
        refund = order.sudo().matomo_request_ids.filtered(lambda r: r.kind == "refund")
        with self.at(days=60):
            for _turn in range(2):
                self.run_sender()
                self.assertFalse(self.matomo.events)
                self.assertEqual(refund.state, "failed")
                self.assertIn("older than Matomo keeps its raw data", refund.reason)
                order.action_matomo_retrack()

    # === SENT ALL THE SAME === #

    def test_matomo_has_it_still(self):
        order = self.send_and_lose(self.make_order())
        with self.at(days=60):
            self.run_sender()
            self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_never_attempted(self):
        order = self.confirm_old()
        self.run_sender()
        self.assertState(order, "sent")

    @mute_logger(LOGGER)
    def test_attempts_of_which_it_is_known_that_nothing_was_recorded(self):
        order = self.confirm_old()
        for hour, fault in enumerate(
            (
                REFUSED,
                FakeResponse(503, b"<h1>Maintenance</h1>"),
                FakeResponse(429, b"", {"Retry-After": "60"}),
                FakeResponse(200, {"status": "success", "tracked": 0, "invalid": 0}),
            )
        ):
            with self.at(hours=2 * hour):
                self.matomo.faults = [fault] * 2
                self.run_sender()
                self.assertState(order, "pending")
        self.site.sudo().token_auth = "wrong"
        with self.at(hours=10):
            self.run_sender()
            self.assertEqual(self.site.state, "error")
        self.site.sudo().token_auth = self.matomo.token
        self.matomo.breaks = lambda p: p.get("ec_id") == order.name
        with self.at(hours=20):
            self.run_sender()
        self.matomo.breaks = lambda p: False
        with self.at(hours=30):
            self.run_sender()
            self.assertState(order, "sent")
        self.assertEqual(len(self.matomo.orders), 1)
