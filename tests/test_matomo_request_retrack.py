import json
import time
from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, MODULE, VerdictsCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestRetrack(VerdictsCommon):
    """Retrack says what happens with each order, and sends no order twice."""

    def retrack(self, orders):
        message = orders.action_matomo_retrack()["params"]["message"]
        self.end_transaction()
        return message

    def make_unseen(self, count):
        """Return confirmed orders that the automation rules have missed."""
        order = self.make_order(state="sale")
        orders = self.clone_orders(order, count)
        self.end_transaction()
        self.get_request(order).unlink()
        return orders

    def assertLogged(self, order, text):
        """Assert that the order's chatter says who retracked it, and the result."""
        message = order.sudo().message_ids[0]
        self.assertEqual(message.author_id, self.env.user.partner_id)
        self.assertIn(text, message.body)

    def test_of_a_quotation(self):
        order = self.make_order()
        before = len(order.message_ids)
        self.assertEqual(
            self.retrack(order),
            f"{order.name} is not confirmed: only confirmed orders are tracked.",
        )
        self.assertEqual(len(order.message_ids), before)
        self.assertFalse(order.matomo_state)

    def test_of_an_order_that_the_rules_missed(self):
        order = self.clone_orders(self.make_order(state="sale"), 1)
        self.assertFalse(order.matomo_state)
        self.assertEqual(
            self.retrack(order),
            f"{order.name}: The order is queued to be sent to Matomo.",
        )
        self.assertLogged(
            order, "Retrack in Matomo: The order is queued to be sent to Matomo."
        )
        self.run_sender()
        self.assertState(order, "sent")

    def test_of_an_excluded_order(self):
        self.company.sudo().matomo_site_id = False
        order = self.confirm(self.make_order())
        reason = order.matomo_reason
        self.assertEqual(self.retrack(order), f"{order.name}: {reason}")
        self.assertState(order, "excluded")
        self.company.sudo().matomo_site_id = self.site
        self.assertIn("The order is queued to be sent to Matomo.", self.retrack(order))
        self.assertLogged(order, "The order is queued")
        self.run_sender()
        self.assertExact(order, revenue="115.00")

    def test_of_a_waiting_order(self):
        order = self.confirm(self.make_order())
        self.assertEqual(
            self.retrack(order), f"{order.name}: The order waits to be sent to Matomo."
        )
        self.run_sender()
        self.assertEqual(len(self.matomo.bulks), 1)

    def test_of_a_failed_order_that_matomo_has_with_other_amounts(self):
        """The order stayed queued, and the sender looked it up after each lease."""
        order = self.confirm(self.make_order())
        self.matomo.drops = lambda parameters: True
        with mute_logger(LOGGER):
            for _attempt in range(3):
                self.run_sender()
                self.run_verifier()
        self.assertState(order, "failed")
        self.matomo.drops = lambda parameters: False
        payload = self.get_request(order).payload or self.matomo.bulks[-1][0]
        key = str(self.site.idsite), payload["ec_id"].casefold()
        self.matomo.orders[key] = {**payload, "ec_tx": "1.00"}
        self.retrack(order)
        self.run_sender()
        self.assertState(order, "different", "Matomo has a tax of 1.00, not 15.00")
        asked = len(self.matomo.requests)
        with freeze_time("2026-03-03 11:00:00"):
            self.run_sender()
        self.assertEqual(len(self.matomo.requests), asked)

    def test_of_a_sent_order_looks_for_it_first(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertEqual(
            self.retrack(order),
            f"{order.name}: Matomo has accepted the order. As soon as "
            "Matomo can be read, Odoo checks whether it is recorded there.",
        )
        self.run_cron("ir_cron_verify")
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.bulks), 1)
        # Somebody has deleted it in Matomo.
        self.matomo.orders.clear()
        self.retrack(order)
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_verify")
        self.run_sender()
        self.assertExact(order, revenue="115.00")
        self.assertEqual(len(self.matomo.bulks), 2)

    def test_of_a_failed_order_sends_what_is_not_there(self):
        order = self.make_failed()
        self.assertIn("The order is queued to be sent to Matomo.", self.retrack(order))
        self.run_sender()
        self.assertState(order, "sent")
        self.assertExact(order, revenue="115.00")

    def test_of_a_failed_order_that_is_there_sends_nothing(self):
        order = self.make_failed()
        payload = self.get_request(order).payload
        self.matomo.orders[payload["idsite"], payload["ec_id"].casefold()] = payload
        sent = len(self.matomo.bulks)
        self.retrack(order)
        self.run_sender()
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.bulks), sent)

    def test_of_what_is_older_than_matomos_raw_data_sends_nothing(self):
        sent = self.confirm(self.make_order())
        self.run_sender()
        failed = self.make_failed()
        bulks = len(self.matomo.bulks)
        self.company.sudo().matomo_site_id = False
        excluded = self.confirm(self.make_order())
        self.company.sudo().matomo_site_id = self.site
        unseen = self.make_unseen(1)
        # What was sent of it was deleted meanwhile.
        self.get_request(failed).payload = False
        states = ("sent", "failed", "excluded", "excluded")
        orders = sent + failed + excluded + unseen
        with freeze_time("2026-12-03 10:00:00"):
            for order in orders:
                self.assertIn(
                    "older than Matomo keeps its raw data", self.retrack(order)
                )
            self.env["matomo.retrack"]._queue(orders, is_asked=True)
            self.run_cron("ir_cron_retrack")
            self.run_cron("ir_cron_verify")
            self.run_sender()
        self.assertEqual(tuple(orders.mapped("matomo_state")), states)
        self.assertEqual(len(self.matomo.bulks), bulks)

    def test_of_a_cancelled_order_that_is_confirmed_again(self):
        order = self.confirm(self.make_order())
        order._action_cancel()
        self.end_transaction()
        self.run_sender()
        self.assertState(order, "cancelled")
        self.assertEqual(
            self.retrack(order),
            f"{order.name}: The order was cancelled before it was sent.",
        )
        order.action_draft()
        self.confirm(order)
        self.assertIn("The order waits to be sent to Matomo.", self.retrack(order))
        self.run_sender()
        self.assertExact(order, revenue="115.00")

    def test_of_a_selection(self):
        orders = self.make_one_of_each()
        everything = self.env["sale.order"].union(*orders.values())
        self.assertEqual(
            self.retrack(everything),
            "2 orders wait to be sent. 2 orders were accepted by Matomo before. "
            "2 orders are not sent.",
        )
        for state in ("failed", "sent", "excluded"):
            self.assertLogged(orders[state], "Retrack in Matomo: ")

    def test_of_till_sales(self):
        sale = self.sync(self.make_sale())
        returned = self.sync(self.make_sale((self.chair, -1)))
        self.run_sender()
        self.assertEqual(
            self.retrack(sale + returned),
            "1 order was accepted by Matomo before. 1 order is not sent.",
        )
        self.assertLogged(sale, "Matomo has accepted the order.")
        self.assertLogged(returned, "A return: Matomo counts no refunds.")

    def test_is_for_users_of_the_addon(self):
        order = self.confirm(self.make_order())
        salesperson = self.make_user(
            "salesperson", "sales_team.group_sale_salesman_all_leads"
        )
        with self.assertRaises(AccessError):
            order.with_user(salesperson).action_matomo_retrack()
        stranger = self.make_user("stranger", f"{MODULE}.group_matomo_user")
        with self.assertRaises(AccessError):
            order.with_user(stranger).action_matomo_retrack()

    def test_of_an_order_that_was_corrected_sends_what_it_is_now(self):
        order = self.make_failed()
        order.order_line.product_uom_qty = 2
        self.retrack(order)
        self.run_sender()
        self.assertExact(order, revenue="230.00")

    def test_of_a_failed_order_whose_site_was_changed(self):
        order = self.make_failed()
        other = self.site.sudo().copy(
            {"name": "Other", "idsite": 2, "token_auth": self.site.sudo()._get__token()}
        )
        self.company.sudo().matomo_site_id = other
        self.retrack(order)
        self.run_sender()
        self.assertState(order, "sent")
        self.assertEqual(list(self.matomo.orders), [("2", order.name.casefold())])

    def test_of_a_waiting_order_that_lost_its_site(self):
        order = self.confirm(self.make_order())
        self.company.sudo().matomo_site_id = False
        self.assertIn("No Matomo site is set", self.retrack(order))
        self.assertState(order, "excluded")
        self.run_sender()
        self.assertNotRecorded(order)

    def test_of_a_site_whose_token_may_not_read_leaves_the_site_alone(self):
        order = self.make_failed()
        self.matomo.may_read = False
        self.retrack(order)
        with mute_logger(LOGGER):
            self.run_sender()
        self.assertExact(order, revenue="115.00")
        self.assertEqual(self.site.state, "warning")
        self.assertIn("does not let the token read", self.site.state_message)
        self.assertFalse(self.site.can_read)

    # === MANY === #

    def places(self, orders):
        """Return where PostgreSQL stores the orders: each UPDATE changes it."""
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT id, ctid::text FROM sale_order WHERE id IN %s", [orders._ids]
        )
        return dict(self.env.cr.fetchall())

    def get_notifications(self):
        """Return the notifications that were sent to users."""
        self.end_transaction()
        rows = self.env["bus.bus"].sudo().search([])
        messages = [json.loads(row.message) for row in rows]
        return [
            message["payload"]["message"]
            for message in messages
            if message["type"] == "simple_notification"
        ]

    def test_of_five_thousand_queues_and_returns_at_once(self):
        orders = self.make_unseen(5000)
        self.retrack(orders[:200])
        few = self.counted(lambda: self.retrack(orders[:200]))
        started = time.monotonic()
        many = self.counted(lambda: self.retrack(orders))
        self.assertLess(time.monotonic() - started, 1)
        self.assertEqual(few, many)
        self.assertLess(many, 20)
        # Nothing has happened yet.
        self.assertFalse(orders.sudo().matomo_request_ids)

    def test_of_many_is_done_by_the_scheduled_action(self):
        orders = self.clone_orders(self.make_order(state="sale"), 250)
        quotation, deleted = self.make_order(), self.make_order()
        places = self.places(orders)
        self.assertIn(
            "252 orders are queued to be retracked.",
            self.retrack(orders + quotation + deleted),
        )
        deleted.sudo().unlink()
        self.run_cron("ir_cron_retrack")
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})
        self.assertFalse(quotation.matomo_state)
        for order in orders:
            self.assertLogged(
                order, "Retrack in Matomo: The order is queued to be sent to Matomo."
            )
        self.assertEqual(self.places(orders), places)
        self.assertIn(
            "250 orders wait to be sent. 2 orders are not sent.",
            self.get_notifications(),
        )
        self.run_sender()
        bulks = len(self.matomo.bulks)
        self.retrack(orders)
        self.run_cron("ir_cron_retrack")
        self.run_cron("ir_cron_verify")
        self.run_sender()
        self.assertEqual(set(orders.mapped("matomo_state")), {"verified"})
        self.assertEqual(len(self.matomo.bulks), bulks)
        self.assertFalse(self.env["matomo.retrack"].sudo().search([]))

    def test_of_many_costs_as_much_for_each_as_for_a_few(self):
        order = self.make_order(state="sale")

        def cost(count):
            orders = self.clone_orders(order, count)
            retracks = self.env["matomo.retrack"]
            fresh = self.counted(lambda: retracks._retrack_now(orders, self.env.user))
            rows = orders.sudo().matomo_request_ids
            self.assertEqual(len(rows), count)
            rows[: count // 2].write({"state": "sent", "order_ref": False})
            rows[count // 2 :].write({"state": "failed", "failure_type": "data"})
            again = self.counted(lambda: retracks._retrack_now(orders, self.env.user))
            return fresh, again

        few, many = cost(100), cost(600)
        # A statement writes a hundred rows or more; nothing is asked for each.
        for small, large in zip(few, many, strict=True):
            self.assertLess(large - small, 100, (few, many))

    def test_of_many_goes_on_where_it_was_interrupted(self):
        orders = self.clone_orders(self.make_order(state="sale"), 120)
        self.retrack(orders)
        # The scheduled action's time is up after its first batch.
        crons = self.env.registry["ir.cron"]
        commit_progress = crons._commit_progress

        def out_of_time(self, processed=0, **options):
            commit_progress(self, processed, **{**options, "remaining": 0})
            return 0

        with (
            patch(f"odoo.addons.{MODULE}.models.matomo_retrack.BATCH", 50),
            patch.object(crons, "_commit_progress", out_of_time),
        ):
            self.run_cron("ir_cron_retrack")
            self.assertEqual(len(orders.sudo().matomo_request_ids), 50)
            self.assertFalse(self.get_notifications())
        self.run_cron("ir_cron_retrack")
        self.assertEqual(len(orders.sudo().matomo_request_ids), 120)
        for order in orders:
            self.assertEqual(len(order.message_ids), 1)
        self.assertEqual(self.get_notifications()[0], "120 orders wait to be sent.")

    def test_of_many_keeps_none_back_for_one_that_breaks(self):
        orders = self.clone_orders(self.make_order(state="sale"), 101)
        broken = orders[7]
        verdict = self.env.registry["sale.order"]._get_matomo_verdict

        def break_one(order):
            if order.id == broken.id:
                raise ValueError("no verdict")
            return verdict(order)

        self.retrack(orders)
        with (
            patch.object(
                self.env.registry["sale.order"], "_get_matomo_verdict", break_one
            ),
            self.assertLogs(LOGGER) as logs,
        ):
            self.run_cron("ir_cron_retrack")
        self.assertIn(f"sale.order({broken.id},)", "".join(logs.output))
        self.assertFalse(self.get_request(broken))
        self.assertEqual(len(orders.sudo().matomo_request_ids), 100)
        self.assertFalse(self.env["matomo.retrack"].sudo().search([]))

    def test_of_many_lets_todays_sales_pass(self):
        orders = self.make_unseen(101)
        self.retrack(orders)
        self.run_cron("ir_cron_retrack")
        today = self.confirm(self.make_order())
        self.run_sender()
        self.assertEqual(self.matomo.bulks[0][0]["ec_id"], today.name)
        self.assertEqual(len(self.matomo.orders), 102)

    def test_the_queue_is_nobodys(self):
        manager = self.make_manager()
        queue = self.env["matomo.retrack"].with_user(manager)
        for right in ("read", "write", "create", "unlink"):
            self.assertFalse(queue.has_access(right))
