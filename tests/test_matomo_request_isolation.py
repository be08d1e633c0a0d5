from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import SQL, mute_logger

from .common import LOGGER, MatomoPosCommon

NOW = "2026-03-03 10:00:00"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestIsolation(MatomoPosCommon):
    """An order that Matomo cannot record delays none of the others."""

    def at(self, **later):
        """Set Odoo's clock to a later time until the block ends."""
        return freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(**later))

    def test_what_is_built_together(self):
        """It is written by one statement, and each order sees what those before send.

        A till's sale may count what another one has settled.
        """
        orders = [self.confirm(self.make_order((self.chair, 1))) for _ in range(3)]
        requests = self.get_request(orders[0]).union(*map(self.get_request, orders))
        until = fields.Datetime.to_datetime(NOW) + timedelta(minutes=10)
        seen = []

        def build(request):
            seen.append(requests.mapped(lambda each: each._is_in_matomo()))
            if request == requests[1]:
                return None
            payload = {"cid": "0123456789abcdef", "revenue": request.order_date.year}
            return {"payload": payload, "revenue": 10.5, "notes": False}

        # What it reads is read already.
        requests.mapped("payload")
        self.env.cr.now()
        with self.assertQueryCount(1):
            started = requests._start_attempts(until, build)
        self.assertEqual(
            seen, [[False] * 3, [True, False, False], [True, False, False]]
        )
        self.assertEqual(started, requests[0] + requests[2])
        self.assertEqual(started.mapped("attempt_count"), [1, 1])
        self.assertEqual(set(started.mapped("lease_date")), {until})
        self.assertEqual(started.mapped("revenue"), [10.5, 10.5])
        self.assertFalse(requests[1].attempt_count)

    def make_many(self, count):
        """Return ``count`` requests that are due, made by SQL because that is fast."""
        order = self.confirm(self.make_order())
        request = self.get_request(order)
        with patch.object(self.matomo, "post", side_effect=RuntimeError):
            # The sender builds the request and dies of what follows.
            with mute_logger(LOGGER):
                self.run_sender()
        self.env.flush_all()
        ids = [order.id]
        columns = [
            name
            for (name,) in self.env.execute_query(
                SQL(
                    "SELECT column_name FROM information_schema.columns"
                    " WHERE table_name = 'sale_order' AND column_name"
                    " NOT IN ('id', 'name', 'access_token')"
                )
            )
        ]
        ids += [
            id_
            for (id_,) in self.env.execute_query(
                SQL(
                    "INSERT INTO sale_order (name, %(columns)s)"
                    " SELECT 'MANY-' || n, %(columns)s FROM sale_order,"
                    " generate_series(2, %(count)s) AS n WHERE sale_order.id = %(id)s"
                    " RETURNING id",
                    columns=SQL(", ").join(map(SQL.identifier, columns)),
                    count=count,
                    id=order.id,
                )
            )
        ]
        self.env.invalidate_all()
        payload = request.payload
        requests = request.create(
            [
                {
                    "sale_order_id": id_,
                    "company_id": self.company.id,
                    "site_id": self.site.id,
                    "channel": "desk",
                    "order_date": request.order_date,
                    "order_ref": f"MANY-{id_}",
                    "order_ref_key": f"many-{id_}",
                    "payload": {
                        **payload,
                        "ec_id": f"MANY-{id_}",
                        "cid": f"{id_:016x}",
                    },
                    "revenue": request.revenue,
                }
                for id_ in ids[1:]
            ]
        )
        self.site.sudo().write(
            {"state": "ok", "next_attempt_date": False, "failure_count": 0}
        )
        request.next_attempt_date = False
        return request + requests

    @mute_logger(LOGGER)
    def test_one_refused_among_a_thousand(self):
        requests = self.make_many(1000)
        bad = requests[512]
        self.matomo.refuses = lambda p: p.get("ec_id") == bad.order_ref
        self.run_sender()
        self.assertEqual(bad.state, "failed")
        self.assertIn("Matomo refused this order", bad.reason)
        self.assertEqual(set((requests - bad).mapped("state")), {"sent"})
        self.run_verifier()
        self.assertEqual(set((requests - bad).mapped("state")), {"verified"})
        self.assertEqual(len(self.matomo.orders), 999)

    @mute_logger(LOGGER)
    def test_one_that_breaks_matomo_among_a_thousand(self):
        requests = self.make_many(1000)
        bad = requests[512]
        self.matomo.breaks = lambda p: p.get("ec_id") == bad.order_ref
        self.run_sender()
        self.assertEqual(set((requests - bad).mapped("state")), {"sent"})
        self.assertEqual(bad.state, "pending")
        self.assertEqual(self.site.state, "ok")
        for hour in (1, 2):
            with self.at(hours=hour):
                self.run_sender()
        self.assertEqual(bad.state, "failed")
        self.assertEqual(bad.failure_type, "server")
        self.assertIn("answered this order 3 times with HTTP status 500", bad.reason)
        # What was wrong is corrected.
        self.matomo.breaks = lambda p: False
        with self.at(hours=3):
            bad.sale_order_id.sudo(False).action_matomo_retrack()
            self.run_sender()
        self.assertEqual(bad.state, "sent")
        self.assertEqual(len(self.matomo.orders), 1000)

    @mute_logger(LOGGER)
    def test_bulk_of_a_token_that_may_not_read(self):
        requests = self.make_many(10)
        self.matomo.may_read = False
        self.matomo.refuses = lambda p: p.get("ec_id") == requests[3].order_ref
        fresh = requests.filtered(lambda request: request.attempt_count == 0)
        requests[0].attempt_count = 0
        self.run_sender()
        self.assertEqual(set(requests.mapped("state")), {"sent"})
        self.assertIn("refused 1 of 10 orders", fresh[0].reason)

    @mute_logger(LOGGER)
    def test_failing_does_not_touch_the_order(self):
        """A till or a salesperson never waits for the sender, even if it fails."""
        order = self.confirm(self.make_order())
        sale = self.sync(self.make_sale(), user=self.cashier)
        places = self.places(order), self.places(sale)
        self.matomo.refuses = lambda p: True
        self.run_sender()
        for record in (order, sale):
            self.assertState(record, "failed")
            note = record.sudo().message_ids[0]
            self.assertIn("Not in Matomo: Matomo refused this order", note.body)
            self.assertEqual(note.author_id, self.env.ref("base.partner_root"))
        self.assertEqual((self.places(order), self.places(sale)), places)

    def places(self, record):
        """Return where PostgreSQL stores the row: UPDATEs and locks change it."""
        self.env.flush_all()
        return self.env.execute_query(
            SQL(
                "SELECT ctid::text, xmax::text FROM %s WHERE id = %s",
                SQL.identifier(record._table),
                record.id,
            )
        )

    def test_visitor_is_anonymized_and_the_verdict_stays(self):
        self.site.sudo().raw_data_days = 0
        order = self.confirm(self.make_order())
        self.run_sender()
        request = self.get_request(order)
        with self.at(days=200):
            self.env["matomo.request"].sudo()._gc_requests()
            # It is still to be looked for.
            self.assertFalse(request.is_anonymized)
            self.run_verifier()
            self.assertState(order, "verified")
            self.env["matomo.request"].sudo()._gc_requests()
            self.assertEqual(request.payload["cid"], "XYZBLANKED")
            self.assertEqual(request.revenue, order.amount_total)
            order.action_matomo_retrack()
            self.run_cron("ir_cron_verify")
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_unsure_and_cancelled(self):
        """An order is cancelled after an attempt whose outcome is unknown."""
        arrived, lost = self.confirm(self.make_order()), self.make_order()
        self.run_sender()
        self.confirm(lost)
        self.get_request(arrived).state = "pending"
        self.get_request(arrived + lost).next_attempt_date = False
        with patch.object(self.matomo, "post", side_effect=RuntimeError):
            with mute_logger(LOGGER):
                self.run_sender()
        (arrived + lost)._action_cancel()
        with self.at(hours=1):
            self.run_sender()
        self.assertState(arrived, "verified")
        self.assertState(lost, "cancelled")
        self.assertEqual(len(self.matomo.orders), 1)
