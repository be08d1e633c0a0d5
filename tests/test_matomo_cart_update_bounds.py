"""However many changes a robot makes, and however long Matomo is silent."""

import json
import logging
import time
from datetime import datetime, timedelta

import requests

from odoo import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import SQL

from odoo.addons.matomo_order_tracking.outbox import carts
from odoo.addons.matomo_order_tracking.outbox.transactions import run_in_transaction

from .common import LOGGER, MatomoCommon
from .test_matomo_request_lanes import LanesCase

_logger = logging.getLogger(__name__)

MODELS = f"{LOGGER}.models"
CARTS = 30
CHANGES = 20
STEPS = 12
LINES = 210
START = datetime(2026, 3, 3, 8)


def clock(read=time.perf_counter):
    """Return seconds of a clock that no test freezes."""
    return read()


@tagged("post_install", "-at_install")
class TestBounds(MatomoCommon):
    """Rows, storage, log lines and transactions of carts have bounds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.website = (
            cls.env["website"]
            .sudo()
            .create(
                {
                    "name": "Shop",
                    "company_id": cls.company.id,
                    "matomo_site_id": cls.site.id,
                }
            )
        )

    def make_carts(self, count):
        return self.env["sale.order"].union(
            *(self.make_order(website_id=self.website.id) for _number in range(count))
        )

    def change(self, orders, quantity):
        """Change the content of carts, as one shopper's request does for each."""
        for order in orders.sudo():
            order.order_line[0].product_uom_qty = quantity
            carts.queue(order, self.site.sudo(), True)

    def get_updates(self):
        updates = self.env["matomo.cart.update"].sudo()
        return updates.search([("site_id", "=", self.site.id)])

    def get_size(self):
        """Return the bytes of the updates of this site."""
        self.env.flush_all()
        ((size,),) = self.env.execute_query(
            SQL(
                "SELECT sum(octet_length(t::text)) FROM matomo_cart_update t"
                " WHERE site_id = %s",
                self.site.id,
            )
        )
        return size or 0

    def test_changes_that_wait_are_one_update(self):
        """A robot that changed a cart fifty times a second left as many rows."""
        (cart,) = self.make_carts(1)
        for number in range(CHANGES):
            self.change(cart, number + 1)
        self.assertEqual(len(self.get_updates()), 1)
        self.run_sender()
        (sent,) = self.get_updates()
        self.assertEqual(json.loads(sent.payload["ec_items"])[0][4], CHANGES)

    def test_a_change_makes_a_waiting_update_due(self):
        cart = self.make_carts(1).sudo()
        carts.queue(cart, self.site.sudo(), False)
        self.assertTrue(self.get_updates().next_attempt_date)
        carts.queue(cart, self.site.sudo(), True)
        self.assertFalse(self.get_updates().next_attempt_date)

    def test_a_day_of_a_silent_matomo(self):
        """The robot goes on for a day; orders and carts arrive afterwards."""
        orders = []
        with (
            freeze_time(START) as frozen,
            self.assertLogs(MODELS, level=logging.INFO) as logs,
        ):
            robot = self.make_carts(CARTS)
            for step in range(STEPS):
                frozen.move_to(START + timedelta(hours=2 * step))
                self.matomo.faults = [requests.Timeout("silent")] * 50
                for number in range(2):
                    self.change(robot, 1 + (step + number) % 3)
                if not step % 3:
                    orders.append(self.confirm(self.make_order()))
                self.run_sender()
            updates, size = self.get_updates(), self.get_size()
            self.assertEqual(len(updates), CARTS)
            frozen.move_to(START + timedelta(hours=26))
            self.matomo.faults = []
            queries, start = self.env.cr.sql_log_count, clock()
            self.run_sender()
            queries = self.env.cr.sql_log_count - queries
        for order in orders:
            self.assertState(order, "sent")
        self.assertEqual(set(self.get_updates().mapped("state")), {"sent"})
        self.assertLess(len(logs.output), 10 * STEPS + 2 * CARTS)
        _logger.info(
            "%s carts, %s changes in a silent day: %s rows, %s bytes, %s log lines; "
            "then %s queries, %.1f s",
            CARTS,
            2 * STEPS * CARTS,
            len(updates),
            size,
            len(logs.output),
            queries,
            clock() - start,
        )

    def test_updates_of_a_cart_have_a_bound(self):
        """A cart that changes every half-hour leaves a few updates, not 17,000."""
        robot = self.make_carts(2)
        visit = timedelta(minutes=30)
        with freeze_time(START) as frozen:
            for number in range(CHANGES):
                frozen.move_to(START + number * visit)
                self.change(robot, number + 1)
                self.run_sender()
        updates = self.get_updates().grouped("sale_order_id")
        self.assertEqual([len(same) for same in updates.values()], [10, 10])
        self.assertEqual(
            max(updates[robot[0].sudo()].mapped("changed_date")),
            START + (CHANGES - 1) * visit,
        )

    def test_a_visit_leaves_one_update(self):
        """Matomo has one cart of a visit: what was sent before is nowhere any more."""
        (cart,) = self.make_carts(1)
        with freeze_time(START) as frozen:
            for minute in (0, 29, 58, 88):
                frozen.move_to(START + timedelta(minutes=minute))
                self.change(cart, minute + 1)
                self.run_sender()
        self.assertEqual(len(self.matomo.bulks), 4)
        self.assertEqual(
            self.get_updates().mapped("changed_date"),
            [START + timedelta(minutes=minute) for minute in (88, 58)],
        )

    def test_a_cart_of_many_lines(self):
        """A cart of thousands of lines was megabytes each minute, three times over."""
        cart = self.make_carts(1).sudo()
        products = self.env["product.product"].create(
            [
                {
                    "name": f"Product {number}",
                    "type": "service",
                    "default_code": f"P-{number:05}",
                }
                for number in range(LINES)
            ]
        )
        cart.order_line = [
            Command.create({"product_id": product.id, "price_unit": 1.0})
            for product in products
        ]
        self.env.flush_all()
        carts.queue(cart, self.site.sudo(), True)
        start = clock()
        with self.assertLogs(
            f"{MODELS}.matomo_cart_update", level=logging.INFO
        ) as logs:
            self.run_sender()
        seconds = clock() - start
        (update,) = self.get_updates()
        items = json.loads(update.payload["ec_items"])
        self.assertEqual(len(items), 200)
        # The revenue is that of the whole cart.
        self.assertEqual(update.payload["revenue"], f"{cart.amount_total:.2f}")
        longest = max(map(len, logs.output))
        self.assertLess(longest, 11_000)
        self.assertLess(self.get_size(), 100_000)
        # An order is sent with all of its items, but for the log.
        with self.assertLogs(f"{MODELS}.matomo_request", level=logging.INFO) as logs:
            self.confirm(cart)
            self.run_sender()
        request = self.get_request(cart)
        self.assertEqual(len(json.loads(request.payload["ec_items"])), LINES + 1)
        self.assertLess(max(map(len, logs.output)), 11_000)
        _logger.info(
            "Cart of %s lines: %.1f s, %s bytes, longest log line %s; the order: %s "
            "bytes",
            LINES,
            seconds,
            self.get_size(),
            longest,
            len(request.tracking_url) + len(json.dumps(request.payload)),
        )

    def test_what_matomo_has_already_is_done_with_in_steps(self):
        """Each step is a transaction of its own, and the sender looks at the time."""
        robot = self.make_carts(5)
        self.site.sudo().batch_size = 1
        self.change(robot, 2)
        self.run_sender()
        sent = len(self.matomo.requests)
        self.change(robot, 3)
        self.change(robot, 2)
        commits = []
        progress = type(self.env["ir.cron"])._commit_progress

        def count(crons, *args, **kwargs):
            commits.append(args)
            return progress(crons, *args, **kwargs)

        self.patch(type(self.env["ir.cron"]), "_commit_progress", count)
        self.run_sender()
        self.assertEqual(len(self.matomo.requests), sent)
        self.assertFalse(self.get_updates().filtered(lambda u: u.state == "pending"))
        self.assertGreaterEqual(len(commits), 5)


@tagged("post_install", "-at_install")
class TestCartLanes(LanesCase):
    """A shopper changes a cart while the sender sends it; neither waits."""

    # pylint: disable=invalid-commit

    order_count = 1

    def setUp(self):
        super().setUp()
        self.website = self.first["website"].create(
            {"name": "Lanes", "matomo_site_id": self.site.id}
        )
        self.cart = self.orders.copy({"website_id": self.website.id})
        carts.queue(self.cart, self.site, True)
        self.first.cr.commit()

    def remove_from(self, env):
        env["sale.order"].browse(self.cart.ids).unlink()
        env["website"].browse(self.website.ids).unlink()
        return super().remove_from(env)

    def change(self, quantity):
        """The first connection is the shopper's."""
        self.cart.order_line.product_uom_qty = quantity
        self.first.flush_all()
        self.first.cr.execute("SET LOCAL lock_timeout = '2s'")
        carts.queue(self.cart, self.site, True)

    def claim(self, _env):
        """The second connection is the sender's. Return what it sends."""
        claimed = carts.claim(
            self.second, self.second["matomo.site"].browse(self.site.id)
        )
        return [json.loads(each.payload["ec_items"])[0][4] for each in claimed or ()]

    def count(self):
        self.first.cr.rollback()
        self.first.invalidate_all()
        return len(self.cart.matomo_cart_update_ids)

    def test_the_sender_has_claimed_it_before(self):
        # The shopper's request began before.
        self.assertEqual(self.cart.order_line.product_uom_qty, 1)
        self.assertEqual(self.claim(self.second), [1])
        self.second.cr.commit()
        self.change(5)
        self.first.cr.commit()
        self.assertEqual(self.count(), 2)
        self.assertEqual(
            run_in_transaction(self.second, lambda: self.claim(self.second)), [5]
        )

    def test_the_sender_is_claiming_it(self):
        self.assertEqual(self.claim(self.second), [1])
        self.change(5)
        self.first.cr.commit()
        self.second.cr.commit()
        self.assertEqual(self.count(), 2)
        self.assertEqual(
            run_in_transaction(self.second, lambda: self.claim(self.second)), [5]
        )

    def test_the_shopper_is_changing_it(self):
        self.change(5)
        self.assertEqual(self.claim(self.second), [])
        self.first.cr.commit()
        self.assertEqual(
            run_in_transaction(self.second, lambda: self.claim(self.second)), [5]
        )
        self.second.cr.commit()
        self.assertEqual(self.count(), 1)
