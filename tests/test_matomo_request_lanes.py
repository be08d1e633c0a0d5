from contextlib import closing
from dataclasses import replace
from unittest.mock import patch
from uuid import uuid4

import psycopg2.errors
import requests

from odoo import SUPERUSER_ID, Command, api
from odoo.modules.registry import Registry
from odoo.tests import BaseCase, HttpCase, get_db_name, tagged
from odoo.tools import SQL, mute_logger

from odoo.addons.matomo_order_tracking.const import SHOPPER_FIELDS
from odoo.addons.matomo_order_tracking.matomo_api.errors import MatomoError
from odoo.addons.matomo_order_tracking.matomo_api.outcomes import SiteWorks
from odoo.addons.matomo_order_tracking.models import matomo_site
from odoo.addons.matomo_order_tracking.outbox import orders, refunds
from odoo.addons.matomo_order_tracking.outbox.transactions import run_in_transaction
from odoo.addons.matomo_order_tracking.tools.shopper import Consent, Visit

from .common import LOGGER, TOKEN, VISITOR, MatomoCommon

COUNT = 6


class LanesCase(BaseCase):
    """Two lanes with connections of their own: each sees what the other commits."""

    # pylint: disable=invalid-commit

    order_count = COUNT

    def setUp(self):
        super().setUp()
        self.registry = Registry(get_db_name())
        self.first, self.second = self.connect(), self.connect()
        self.addCleanup(self.remove)
        env = self.first
        self.site = env["matomo.site"].create(
            {
                "name": "Lanes",
                "url": f"https://{uuid4()}.example.com/",
                "idsite": 1,
                "batch_size": COUNT // 2,
                "date_start": "2026-01-01",
            }
        )
        self.product = env["product.product"].create(
            {"name": "Lane", "type": "service", "list_price": 10}
        )
        self.partner = env["res.partner"].create({"name": "Lane"})
        self.orders = env["sale.order"].create(
            [
                {
                    "partner_id": self.partner.id,
                    "order_line": [Command.create({"product_id": self.product.id})],
                }
                for _number in range(self.order_count)
            ]
        )
        self.orders.action_confirm()
        env.cr.flush()
        rows = self.orders.matomo_request_ids
        rows.write({"state": "pending", "site_id": self.site.id, "reason": False})
        self.rows = rows
        env.cr.commit()

    def connect(self):
        cr = self.registry.cursor()
        self.addCleanup(cr.close)
        return api.Environment(cr, SUPERUSER_ID, {})

    def remove(self):
        """Delete what the test has committed."""
        for env in (self.first, self.second):
            if not env.cr.closed:
                env.cr.rollback()
        with closing(self.registry.cursor()) as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            self.remove_from(env)
            # What was settled is looked at again when its sales order is cancelled.
            cr.flush()
            env["matomo.retrack"].search([]).unlink()
            cr.commit()

    def remove_from(self, env):
        orders = env["sale.order"].browse(self.orders.ids)
        orders._action_cancel()
        orders.unlink()
        for record in (self.site, self.partner, self.product):
            env[record._name].browse(record.id).exists().unlink()

    def claim(self, env):
        """Return what a lane claims of our site, in the lane's own transaction."""
        claimed = orders.claim(env, env["matomo.site"].browse(self.site.id))
        return claimed.ids if claimed else []


@tagged("post_install", "-at_install")
class TestLanes(LanesCase):
    """Two lanes claim the requests of the same orders."""

    # pylint: disable=invalid-commit

    def test_connection_is_tested_while_orders_are_sent(self):
        """What the sender notes on the site meanwhile makes no test fail."""
        self.site.token_auth = TOKEN
        self.first.cr.commit()
        self.site.name  # noqa: B018 - the form that has the button is open

        def answer(*_args, **_options):
            other = self.second["matomo.site"].browse(self.site.id)
            other._apply(SiteWorks(COUNT))
            self.second.cr.commit()
            raise MatomoError("not_matomo")

        with mute_logger(LOGGER), patch.object(matomo_site, "read_facts", answer):
            answered = self.site.action_test_connection()
        self.assertEqual(answered["params"]["type"], "danger")
        self.assertTrue(self.site.last_success_date)

    def test_no_row_is_claimed_twice(self):
        first = self.claim(self.first)
        # The first lane has not committed yet: the second does not wait for it.
        second = self.claim(self.second)
        self.assertEqual(len(first), COUNT // 2)
        self.assertEqual(sorted(first + second), sorted(self.rows.ids))
        self.first.cr.commit()
        self.second.cr.commit()
        self.assertEqual(self.claim(self.first) + self.claim(self.second), [])

    def test_claim_with_an_old_view_is_replayed(self):
        # The second lane looks at the data before the first has claimed.
        self.second["matomo.request"].browse(self.rows.ids).mapped("state")
        first = self.claim(self.first)
        self.first.cr.commit()
        with self.assertRaises(psycopg2.errors.SerializationFailure):
            self.claim(self.second)
        self.second.cr.rollback()
        second = run_in_transaction(self.second, lambda: self.claim(self.second))
        self.assertEqual(sorted(first + second), sorted(self.rows.ids))

    def test_sale_is_not_said_to_be_made_when_its_connection_is_gone(self):
        """A commit on a closed connection raises nothing: the guard must raise."""
        order = self.orders[0].copy()
        order.action_confirm()
        cls = type(order)
        enqueue = cls._matomo_enqueue

        def cut(orders):
            self.second.cr.execute(
                "SELECT pg_terminate_backend(%s)", [self.first.cr._cnx.info.backend_pid]
            )
            return enqueue(orders)

        with (
            patch.object(cls, "_matomo_enqueue", cut),
            mute_logger("odoo.sql_db"),
            self.assertRaises((psycopg2.OperationalError, psycopg2.InterfaceError)),
        ):
            self.first.cr.flush()
        self.assertTrue(self.first.cr.closed)

    def test_order_that_a_till_holds_is_claimed_and_fails(self):
        self.second.cr.execute(
            "SELECT id FROM sale_order WHERE id IN %s FOR UPDATE",
            [tuple(self.orders.ids)],
        )
        self.first.cr.execute("SET LOCAL lock_timeout = '2s'")
        rows = self.first["matomo.request"].browse(self.claim(self.first))
        self.first.cr.commit()
        self.first.cr.execute("SET LOCAL lock_timeout = '2s'")
        with mute_logger(LOGGER):
            rows._fail("refused", "Matomo refused this order")
        self.first.flush_all()
        self.first.cr.commit()
        self.assertEqual(set(rows.mapped("state")), {"failed"})


@tagged("post_install", "-at_install")
class TestTokenLanes(LanesCase):
    """An administrator enters a token while the sender notes how the site is doing."""

    # pylint: disable=invalid-commit

    order_count = 0

    def test_the_statement_that_conflicts_holds_no_token(self):
        """PostgreSQL logs a statement that fails, with its values."""
        site = self.second["matomo.site"].browse(self.site.id)
        self.assertEqual(site.name, "Lanes")
        self.site.failure_count = 1
        self.first.flush_all()
        self.first.cr.commit()
        with self.assertRaises(psycopg2.errors.SerializationFailure) as caught:
            site._set__token("canary-in-the-log")
        self.assertNotIn(b"canary", caught.exception.cursor.query)
        self.second.cr.rollback()
        site.token_auth = "canary-in-the-log"
        self.assertEqual(site._get__token(), "canary-in-the-log")


class TestShopperLanes(LanesCase):
    """Two requests of one browser work on the same cart."""

    # pylint: disable=invalid-commit

    order_count = 2

    VISIT = Visit(
        Consent(True, "cookie_bar"),
        1_772_539_200,
        {
            **dict.fromkeys(SHOPPER_FIELDS, False),
            "matomo_ip_address": "203.0.113.9",
            "matomo_user_agent": "Canary/1.0",
            "matomo_visitor_id": VISITOR,
        },
    )

    def register_visit(self):
        """Store the visit on the first order, in the second lane."""
        order = self.second["sale.order"].browse(self.orders.ids)[0]
        site = self.second["matomo.site"].browse(self.site.id)
        order._register_matomo_visit(site, self.VISIT, is_changed=False)
        self.second.cr.flush()

    def test_conflict_writes_no_shopper_into_the_log(self):
        """Odoo logged the statement that failed, with the shopper's IP address."""
        self.second["sale.order"].browse(self.orders.ids).mapped("state")
        self.orders[0].client_order_ref = "changed meanwhile"
        self.first.cr.commit()
        with (
            self.assertNoLogs("odoo.sql_db", "ERROR"),
            self.assertRaises(psycopg2.errors.SerializationFailure),
        ):
            self.register_visit()

    def test_statement_that_conflicts_names_no_shopper(self):
        """PostgreSQL has a log of its own, with the text of what failed."""
        self.second["sale.order"].browse(self.orders.ids).mapped("state")
        self.orders[0].client_order_ref = "changed meanwhile"
        self.first.cr.commit()
        with mute_logger("odoo.sql_db"):
            try:
                self.register_visit()
            except psycopg2.errors.SerializationFailure as error:
                statement = error.cursor.query.decode()
        self.assertNotIn("Canary", statement)
        self.assertIn("SELECT", statement)

    def test_refusal_waits_for_nobody(self):
        """A shopper who says no does not wait for whoever works on their order."""
        self.orders[0].write({"matomo_user_agent": "Canary/1.0"})
        self.orders[1].write({"matomo_user_agent": "Canary/1.0"})
        self.first.cr.commit()
        self.first.cr.execute(
            "SELECT id FROM sale_order WHERE id = %s FOR UPDATE", [self.orders[0].id]
        )
        self.second.cr.execute("SET LOCAL lock_timeout = '2s'")
        refusal = replace(self.VISIT, consent=Consent(False, "cookie_bar"), metadata={})
        busy, free = self.second["sale.order"].browse(self.orders.ids)
        self.assertFalse(busy._withdraw_matomo_consent(refusal))
        self.assertTrue(busy.matomo_user_agent)
        self.assertTrue(free._withdraw_matomo_consent(refusal))
        self.assertFalse(free.matomo_user_agent)
        self.second.cr.rollback()


@tagged("post_install", "-at_install")
class TestSettlementLanes(LanesCase):
    """Two lanes build a sales order and the POS order that settles it."""

    # pylint: disable=invalid-commit

    order_count = 1

    def setUp(self):
        super().setUp()
        env = self.first
        env.company.matomo_site_id = self.site
        self.config = env["pos.config"].create(
            {"name": "Lanes", "matomo_site_id": self.site.id}
        )
        self.session = env["pos.session"].create(
            {"config_id": self.config.id, "user_id": SUPERUSER_ID}
        )
        self.orders._action_cancel()
        self.sale = env["pos.order"].create(
            {
                "session_id": self.session.id,
                "state": "paid",
                "amount_total": 10,
                "amount_tax": 0,
                "amount_paid": 10,
                "amount_return": 0,
                "lines": [
                    Command.create(
                        {
                            "product_id": self.product.id,
                            "qty": 1,
                            "price_unit": 10,
                            "price_subtotal": 10,
                            "price_subtotal_incl": 10,
                            "sale_order_origin_id": self.orders.id,
                            "sale_order_line_id": self.orders.order_line.id,
                        }
                    )
                ],
            }
        )
        self.rows.write({"state": "cancelled"})
        env.cr.commit()

    def remove_from(self, env):
        env.company.matomo_site_id = False
        # Odoo deletes no sale that is paid.
        env.cr.execute("DELETE FROM pos_order WHERE id = %s", [self.sale.id])
        env["pos.session"].browse(self.session.id).unlink()
        env["pos.config"].browse(self.config.id).unlink()
        return super().remove_from(env)

    def test_order_is_confirmed_again_while_its_settlement_is_built(self):
        # The first lane looks at the data before the order is confirmed again.
        self.assertEqual(self.rows.state, "cancelled")
        order = self.second["sale.order"].browse(self.orders.ids)
        order.action_draft()
        order.action_confirm()
        self.second.cr.commit()
        with self.assertRaises(psycopg2.errors.SerializationFailure):
            self.claim(self.first)
        self.first.cr.rollback()
        claimed = run_in_transaction(self.first, lambda: self.claim(self.first))
        self.assertEqual(claimed, self.rows.ids)
        self.assertIn("is counted there", self.sale.matomo_reason)

    def test_nobody_builds_the_order_while_its_settlement_is_built(self):
        self.rows.write({"state": "pending"})
        self.first.cr.commit()
        self.first.cr.execute(
            "SELECT id FROM matomo_request WHERE id = %s FOR NO KEY UPDATE",
            [self.rows.id],
        )
        # The second lane skips the order's row and builds the sale's, which waits.
        self.second.cr.execute("SET LOCAL lock_timeout = '500ms'")
        with self.assertRaises(psycopg2.errors.LockNotAvailable):
            self.claim(self.second)


@tagged("post_install", "-at_install")
class TestRefundLanes(LanesCase):
    """Two lanes build refunds of one order, of which each would take all."""

    # pylint: disable=invalid-commit

    order_count = 1

    def setUp(self):
        super().setUp()
        env = self.first
        self.site.track_refunds = True
        self.rows.write(
            {
                "state": "sent",
                "order_ref": self.orders.name,
                "revenue": 10,
                "currency_id": self.site.currency_id.id,
            }
        )
        self.moves = env["account.move"].create(
            [
                {
                    "move_type": "out_refund",
                    "partner_id": self.partner.id,
                    "invoice_line_ids": [
                        Command.create(
                            {
                                "product_id": self.product.id,
                                "price_unit": 10,
                                "tax_ids": [Command.clear()],
                                "sale_line_ids": [
                                    Command.link(self.orders.order_line.id)
                                ],
                            }
                        )
                    ],
                }
                for _number in range(2)
            ]
        )
        self.moves.action_post()
        env.cr.flush()
        self.refunds = self.orders.matomo_request_ids - self.rows
        self.assertEqual(self.refunds.mapped("state"), ["pending"] * 2)
        env.cr.commit()

    def remove_from(self, env):
        moves = env["account.move"].browse(self.moves.ids)
        moves.button_draft()
        moves.unlink()
        env["matomo.request"].browse(self.refunds.ids).unlink()
        return super().remove_from(env)

    def claim(self, env):
        """Return what a lane claims of our site, in the lane's own transaction."""
        claimed = refunds.claim(env, env["matomo.site"].browse(self.site.id))
        return claimed.ids if claimed else []

    def test_second_lane_leaves_them_and_sees_what_the_first_reports(self):
        # The second lane looks at the data before the first has built its refund.
        self.second["matomo.request"].browse(self.refunds.ids).mapped("state")
        (reported,) = self.claim(self.first)
        self.assertEqual(self.claim(self.second), [])
        self.first.cr.commit()
        with self.assertRaises(psycopg2.errors.SerializationFailure):
            self.claim(self.second)
        self.second.cr.rollback()
        self.assertEqual(
            run_in_transaction(self.second, lambda: self.claim(self.second)), []
        )
        self.first.cr.rollback()
        self.first.invalidate_all()
        reported = self.refunds.browse(reported)
        other = self.refunds - reported
        self.assertEqual((reported.revenue, other.state), (10, "cancelled"))
        self.assertIn("is given back already", other.reason)

    def test_refund_waits_while_the_other_one_is_built(self):
        """The second lane skips the locked refund, and waits with the other one."""
        self.first.cr.execute(
            "SELECT id FROM matomo_request WHERE id = %s FOR NO KEY UPDATE",
            [self.refunds[0].id],
        )
        self.second.cr.execute("SET LOCAL lock_timeout = '500ms'")
        with self.assertRaises(psycopg2.errors.LockNotAvailable):
            self.claim(self.second)


@tagged("post_install", "-at_install")
class TestRetentionLanes(LanesCase):
    """The autovacuum passes over records that another transaction has locked."""

    # pylint: disable=invalid-commit

    def setUp(self):
        super().setUp()
        env, old = self.first, "2025-01-01"
        self.orders.write({"date_order": old, "matomo_ip_address": "203.0.113.9"})
        payload = {"cid": "0123456789abcdef", "cip": "203.0.113.9"}
        self.rows.write(
            {
                "state": "verified",
                "order_date": old,
                "payload": payload,
                "tracking_url": "https://matomo.example.com/?cip=203.0.113.9",
            }
        )
        self.carts = env["matomo.cart.update"].create(
            [
                {
                    "state": "sent",
                    "company_id": order.company_id.id,
                    "site_id": self.site.id,
                    "sale_order_id": order.id,
                    "changed_date": old,
                    "payload": payload,
                }
                for order in self.orders
            ]
        )
        env.cr.commit()

    def lock(self, *records):
        for record in records:
            self.second.cr.execute(
                SQL(
                    "SELECT id FROM %s WHERE id = %s FOR UPDATE",
                    SQL.identifier(record._table),
                    record.id,
                )
            )

    def vacuum(self):
        """Run the autovacuum's methods to their end; fail if one waits for a lock."""
        for vacuum in (
            self.first["matomo.request"]._gc_requests,
            self.first["matomo.cart.update"]._gc_updates,
            self.first["matomo.site"]._gc_shoppers,
        ):
            self.first.cr.execute("SET LOCAL lock_timeout = '100ms'")
            while vacuum()[1]:
                pass
            self.first.cr.commit()
        self.first.invalidate_all()

    def test_what_is_worked_on_is_left_for_the_next_time(self):
        order, row, cart = self.orders[0], self.rows[0], self.carts[0]
        self.lock(order, row, cart)
        self.vacuum()
        self.assertFalse(any((self.orders - order).mapped("matomo_ip_address")))
        self.assertEqual(set((self.rows - row).mapped("is_anonymized")), {True})
        self.assertEqual(self.carts.exists(), cart)
        self.assertEqual(order.matomo_ip_address, "203.0.113.9")
        self.assertEqual(row.payload["cip"], "203.0.113.9")
        self.second.cr.rollback()
        self.vacuum()
        self.assertFalse(order.matomo_ip_address)
        self.assertTrue(row.is_anonymized)
        self.assertNotIn("203.0.113.9", f"{row.payload} {row.tracking_url}")
        self.assertFalse(self.carts.exists())

    def test_locked_requests_are_anonymized_the_next_time(self):
        self.rows.write({"to_anonymize": True})
        self.first.cr.commit()
        self.lock(self.rows[0])
        self.vacuum()
        self.assertEqual(self.rows.filtered("is_anonymized"), self.rows[1:])
        self.second.cr.rollback()
        self.vacuum()
        self.assertEqual(self.rows.filtered("is_anonymized"), self.rows)


@tagged("post_install", "-at_install")
class TestReplay(MatomoCommon, HttpCase):
    """If Odoo replays an HTTP request, the order gets one Matomo request."""

    def startPatch(self, matomo):
        """Send requests to Matomo to ``matomo``. Requests of the browser reach Odoo."""
        post = requests.Session.post

        def choose(session, url, **options):
            if url.startswith(self.site.url):
                return matomo.post(url, **options)
            return post(session, url, **options)

        self.startPatcher(patch.object(requests.Session, "post", choose))

    def test_serialization_failure(self):
        order = self.make_order()
        self.env.flush_all()
        salesperson = self.make_user(
            "seller", "sales_team.group_sale_salesman_all_leads"
        )
        self.authenticate("seller", "seller")
        self.assertTrue(salesperson)
        calls = []
        cls = type(order)
        confirm = cls._matomo_enqueue

        def conflict_first(orders):
            rows = confirm(orders)
            calls.append(orders.ids)
            if len(calls) == 1:
                # As PostgreSQL says it, with its code.
                orders.env.cr.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
            return rows

        self.patch(cls, "_matomo_enqueue", conflict_first)
        with mute_logger("odoo.service.model", "odoo.sql_db"):
            self.make_jsonrpc_request(
                "/web/dataset/call_kw/sale.order/action_confirm",
                {
                    "model": "sale.order",
                    "method": "action_confirm",
                    "args": [order.ids],
                    "kwargs": {},
                },
            )
        self.env.invalidate_all()
        self.assertGreaterEqual(len(calls), 2)
        self.assertEqual(order.state, "sale")
        self.assertEqual(len(self.get_request(order)), 1)
