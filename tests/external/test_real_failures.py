import json
from unittest.mock import patch

import requests

from odoo.tests import tagged
from odoo.tools import mute_logger

from ..common import LOGGER
from ..common.real_orders import RealOrdersCommon

post = requests.Session.post


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealFailures(RealOrdersCommon):
    """Orders while a real Matomo fails, refuses them or is not reachable."""

    def startPatch(self, matomo):
        """Send to the real Matomo, and count the requests."""
        self.posts = []
        self.startPatcher(patch.object(requests.Session, "post", self.make_post()))

    def make_post(self, lose=()):
        """Return a ``Session.post`` that loses the answers of these numbers.

        The first one is that to the page views of the orders.
        """

        def counting(session, url, **options):
            answer = post(session, url, **options)
            self.posts.append(url)
            if len(self.posts) in lose:
                raise requests.ConnectionError("connection reset")
            return answer

        return counting

    @mute_logger(LOGGER)
    def test_recording_is_switched_off(self):
        orders = self.confirm_many("OFF-1", "OFF-2")
        with self.real.configured("Tracker.record_statistics", 0):
            self.run_sender()
            self.assertStates(orders, "pending")
            self.assertIn("recorded nothing", self.site.state_message)
        self.assertFalse(self.real.orders())
        with self.later(hours=2):
            self.run_sender()
        self.assertAllThereOnce(orders)

    @mute_logger(LOGGER)
    def test_maintenance(self):
        orders = self.confirm_many("MAINT-1")
        with self.real.configured("General.maintenance_mode", 1):
            self.run_sender()
            self.run_verifier()
            self.assertStates(orders, "sent")
            self.assertIn("cannot be read back", self.site.state_message)
            orders += self.confirm_many("MAINT-2")
            self.run_sender()
            self.assertStates(orders, "sent")
        with self.later(hours=2):
            self.assertAllThereOnce(orders)
        self.assertEqual(self.site.state, "ok")

    @mute_logger(LOGGER)
    def test_locked_out(self):
        orders = self.confirm_many("LOCK-1", "LOCK-2")
        with self.real.locked():
            self.run_sender()
            self.assertStates(orders, "pending")
            self.assertEqual(self.site.state, "warning")
        with self.later(hours=2):
            self.run_sender()
        self.assertAllThereOnce(orders)

    @mute_logger(LOGGER)
    def test_wrong_token(self):
        manager = self.make_manager()
        self.addCleanup(self.real.unlock)
        orders = self.confirm_many(*(f"TOKEN-{n}" for n in range(60)))
        self.site.sudo().token_auth = "0" * 32
        for minute in range(0, 60, 5):
            with self.later(minutes=minute):
                self.run_sender()
        self.assertLessEqual(len(self.posts), 3)
        with self.later(minutes=65):
            self.run_sender()
        self.assertLessEqual(len(self.posts), 4)
        told = self.site.sudo().activity_ids.filtered(lambda a: a.user_id == manager)
        self.assertEqual(len(told), 1)
        self.assertStates(orders, "pending")
        self.site.sudo().token_auth = self.real.token
        self.run_sender()
        self.assertAllThereOnce(orders)

    @mute_logger(LOGGER)
    def test_order_ids_are_anonymised(self):
        with self.real.anonymised():
            orders = self.confirm_many("ANON-1", "ANON-2")
            self.run_sender()
            self.run_verifier()
            self.assertStates(orders, "verified")
            self.assertIn("anonymises order IDs", self.site.state_message)
            # From now on the guard against counting twice is ours alone.
            more = self.confirm_many("ANON-3")
            # The answer, and that to the question whether Matomo is there.
            lost = [len(self.posts) + 2, len(self.posts) + 3]
            with patch.object(requests.Session, "post", self.make_post(lose=lost)):
                self.run_sender()
            self.assertStates(more, "pending")
            with self.later(hours=2):
                self.run_sender()
            self.assertStates(more, "verified")
        self.assertEqual(len(self.real.orders()), 3)

    @mute_logger(LOGGER)
    def test_lost_answers(self):
        orders = self.confirm_many(*(f"LOST-{n}" for n in range(7)))
        # The answer, and that to the question whether Matomo is there.
        with patch.object(requests.Session, "post", self.make_post(lose=[2, 3])):
            self.run_sender()
        self.assertStates(orders, "pending")
        self.assertEqual(len(self.real.orders()), 7)
        with self.later(hours=2):
            self.run_sender()
        self.assertStates(orders, "sent")
        self.assertAllThereOnce(orders)

    def test_one_lost_answer(self):
        """Matomo is there: it is read back at once what became of the orders."""
        orders = self.confirm_many(*(f"LOST-{n}" for n in range(7)))
        with patch.object(requests.Session, "post", self.make_post(lose=[2])):
            self.run_sender()
        self.assertStates(orders, "sent")
        self.assertAllThereOnce(orders)

    @mute_logger(LOGGER)
    def test_poison_of_both_kinds(self):
        """An order that Matomo refuses, and one that breaks its PHP."""
        orders = self.confirm_many(*(f"POISON-{n}" for n in range(8)))
        refused, breaking = orders[2], orders[5]
        self.build_rows(orders)
        for order, values in [
            (refused, {"cid": "no visitor"}),
            (breaking, {"ec_items": '[["SKU","Name",[["Nested"]],1,1]]'}),
        ]:
            row = self.get_request(order)
            row.payload = {**row.payload, **values}
        for hour in range(3):
            with self.later(hours=hour):
                self.run_sender()
        good = orders - refused - breaking
        self.assertStates(good, "sent")
        self.assertState(refused, "failed", "Matomo refused this order")
        self.assertState(breaking, "failed", "this order 3 times with HTTP status 500")
        self.assertAllThereOnce(good)

    @mute_logger(LOGGER)
    def test_poison_refunds_of_both_kinds(self):
        self.site.sudo().track_refunds = True
        orders = self.confirm_many(*(f"REFUND-{n}" for n in range(3)))
        self.run_sender()
        orders._action_cancel()
        self.end_transaction()
        breaks_php = {"idgoal": "0", "ec_items": '[["SKU","Name",[["Nested"]],1,1]]'}
        spoilt = {"REFUND-0": {"cid": "no visitor"}, "REFUND-1": breaks_php}
        with patch.object(requests.Session, "post", self.make_spoiling_post(spoilt)):
            for hour in range(3):
                with self.later(hours=hour):
                    self.run_sender()
                    self.assertEqual(self.site.state, "ok")
        refunds = orders.sudo().matomo_request_ids.filtered(
            lambda row: row.kind == "refund"
        )
        self.assertEqual(refunds.mapped("state"), ["failed", "failed", "sent"])
        self.assertIn("Matomo refused this refund", refunds[0].reason)
        self.assertIn("this refund 3 times with HTTP status 500", refunds[1].reason)

    def make_spoiling_post(self, spoilt):
        """Return a ``Session.post`` that changes the events of these orders."""

        def spoiling(session, url, data, **options):
            if isinstance(data, bytes):
                body = json.loads(data)
                for parameters in body["requests"]:
                    parameters.update(spoilt.get(parameters.get("e_n"), {}))
                data = json.dumps(body)
            return post(session, url, data=data, **options)

        return spoiling

    def build_rows(self, orders):
        """Let the sender build the requests, and lose the way to Matomo."""
        with (
            mute_logger(LOGGER),
            patch.object(
                requests.Session,
                "post",
                lambda *args, **options: (_ for _ in ()).throw(requests.Timeout()),
            ),
        ):
            self.run_sender()
        self.site.sudo().write({"next_attempt_date": False})

    def test_odd_order_ids(self):
        names = [
            "A,B",
            "A;B",
            "A\\B",
            "A&B",
            "A<B>",
            "A/B",
            "A'B",
            'A"B',
            "A+B",
            "A%2CB",
        ]
        orders = self.confirm_many(*names)
        self.run_sender()
        self.assertStates(orders, "sent")
        self.run_verifier()
        self.assertStates(orders, "verified")
        self.assertEqual(len(self.real.orders()), len(names))
