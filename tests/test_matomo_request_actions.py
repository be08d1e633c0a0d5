from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, MODULE, ComparisonCommon, VerdictsCommon, lose

NOW = "2026-03-03 10:00:00"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestActions(VerdictsCommon, ComparisonCommon):
    """What a Matomo user without any right to sales does in the log."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mia = cls.make_user("mia", f"{MODULE}.group_matomo_user")
        cls.mia.name = "Mia"

    def act(self, action, *orders):
        """Press a button as Mia. Return the answer."""
        requests = self.get_request(self.env["sale.order"].union(*orders))
        message = getattr(requests.with_user(self.mia), f"action_{action}")()
        self.end_transaction()
        return message["params"]["message"]

    def make_later(self):
        """Return an order that waits for a later attempt: its answer was lost."""
        order = self.confirm(self.make_order())
        self.matomo.faults = [lose] * 3
        with mute_logger(LOGGER):
            self.run_sender()
        request = self.get_request(order)
        request.next_attempt_date = fields.Datetime.now() + timedelta(hours=1)
        self.assertState(order, "pending")
        return order

    def assertLogged(self, order, text):
        message = order.sudo().message_ids[0]
        self.assertEqual(message.author_id, self.mia.partner_id)
        self.assertIn(text, message.body)

    # === RETRY === #

    def test_retry_of_a_failed_order(self):
        order = self.make_failed()
        self.assertEqual(self.act("retry", order), "It is tried again now.")
        self.assertLogged(order, "The order is queued to be sent to Matomo.")
        self.run_sender()
        self.assertExact(order, revenue="115.00")

    def test_retry_of_what_waits_sends_it_once(self):
        order = self.make_later()
        self.run_sender()
        self.assertState(order, "pending")
        self.act("retry", order)
        self.assertLogged(order, "Matomo: Retry.")
        with mute_logger(LOGGER):
            self.site.sudo()._resume()
            self.run_sender()
            self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_of_each_state(self):
        orders = self.make_one_of_each()
        orders.pop(False)
        self.assertEqual(
            self.act("retry", *orders.values()),
            "Tried again now: 1 of 5. Sent within a minute anyway: 1. Not tracked, and "
            "each says why: 1. Sent already: 1. Verified already: 1.",
        )
        self.assertState(orders["failed"], "pending")

    def test_a_request_that_is_being_sent_is_left_alone(self):
        order = self.confirm(self.make_order())
        request = self.get_request(order)
        until = fields.Datetime.now() + timedelta(minutes=5)
        request.write({"next_attempt_date": until, "lease_date": until})
        for action in ("retry", "cancel", "accept"):
            self.assertIn("is being sent at this", self.act(action, order))
            self.assertFalse(request[f"can_{action}"])
        self.assertEqual(request.state, "pending")
        self.assertEqual(request.next_attempt_date, until)
        # The sender that held it has crashed.
        with freeze_time("2026-03-03 10:06:00"):
            request.invalidate_recordset()
            self.assertIn("It is cancelled", self.act("cancel", order))

    def test_the_sender_leases_what_it_sends(self):
        order = self.confirm(self.make_order())
        seen = []

        def look(parameters):
            request = self.get_request(order)
            seen.append(request.lease_date == request.next_attempt_date)
            return False

        self.matomo.refuses = look
        self.run_sender()
        self.assertEqual(set(seen), {True})

    # === CANCEL === #

    def test_cancel(self):
        order = self.make_failed()
        self.act("cancel", order)
        self.assertState(order, "cancelled", "Mia has cancelled it: it is not sent.")
        self.assertLogged(order, "Matomo: Cancel.")
        # Whatever looks at the order again, it stays cancelled.
        bulks = len(self.matomo.bulks)
        order.action_matomo_retrack()
        order._matomo_track()
        self.end_transaction()
        self.run_cron("ir_cron_sweep")
        self.run_sender()
        self.assertState(order, "cancelled")
        self.assertEqual(len(self.matomo.bulks), bulks)
        self.act("retry", order)
        self.run_sender()
        self.assertExact(order, revenue="115.00")

    def test_cancel_of_what_matomo_may_have(self):
        order = self.make_later()
        self.assertIn("Matomo may have one that is", self.act("cancel", order))
        self.assertState(order, "cancelled", "Matomo may have it")
        # It does, and a retry finds it there.
        self.site.sudo()._resume()
        self.act("retry", order)
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.orders), 1)

    # === ANOTHER SALE, ANOTHER SYSTEM === #

    def make_different(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        key = str(self.site.idsite), self.get_request(order).order_ref.casefold()
        self.matomo.orders[key]["ec_tx"] = "1.00"
        self.run_verifier()
        self.assertState(order, "different")
        return order

    def test_another_sale(self):
        order = self.make_different()
        number = order.matomo_order_ref
        self.act("send_as_other", order)
        self.assertLogged(order, "What Matomo has is another sale.")
        self.run_sender()
        self.assertNotEqual(order.matomo_order_ref, number)
        self.assertEqual(len(self.matomo.orders), 2)
        self.run_verifier()
        self.assertState(order, "verified")

    def test_already_in_matomo(self):
        order = self.make_failed()
        self.act("accept", order)
        self.assertState(order, "elsewhere", "Mia has said")
        self.assertLogged(order, "from another system")
        request = self.get_request(order)
        self.assertEqual(request.revenue, 115.0)
        bulks = len(self.matomo.bulks)
        order.action_matomo_retrack()
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "elsewhere")
        self.assertEqual(len(self.matomo.bulks), bulks)
        self.assertIn("It is in Matomo already", self.act("cancel", order))
        # It was a mistake.
        self.act("retry", order)
        self.run_sender()
        self.assertExact(order, revenue="115.00")

    def test_the_difference_is_accepted(self):
        order = self.make_different()
        self.act("accept", order)
        self.assertState(order, "elsewhere")

    def test_refunds_have_no_number(self):
        request = self.get_request(self.make_failed())
        request.kind = "refund"
        self.assertFalse(request.can_accept)
        self.assertTrue(request.can_retry)

    # === THE DAILY COMPARISON === #

    def compare_with(self, **order_in_matomo):
        order = self.make_failed()
        self.act("accept", order)
        if order_in_matomo:
            self.plant(**order_in_matomo)
        with freeze_time("2026-03-04 10:00:00"):
            return self.compare()[NOW[:10]]

    def test_comparison_finds_it_by_its_amount(self):
        row = self.compare_with(ref="SHOP-1", revenue="115.00")
        self.assertEqual((row.state, len(row.cause_ids)), ("equal", 0))

    def test_comparison_says_what_is_not_there(self):
        row = self.compare_with()
        self.assertEqual((row.state, row.is_explained), ("different", True))
        self.assertEqual(row.cause_ids.mapped("kind"), ["elsewhere"])

    def test_comparison_names_what_a_person_cancelled(self):
        order = self.make_failed()
        self.act("cancel", order)
        with freeze_time("2026-03-04 10:00:00"):
            row = self.compare()[NOW[:10]]
        self.assertEqual(row.state, "explained")
        self.assertEqual(row.cause_ids.mapped("kind"), ["left_out"])

    # === WHO MAY === #

    def test_nobody_else(self):
        request = self.get_request(self.make_failed())
        other = self.make_user("sam", "sales_team.group_sale_manager")
        for action in ("retry", "cancel", "send_as_other", "accept"):
            with self.assertRaises(AccessError):
                getattr(request.with_user(other), f"action_{action}")()
