import ast
import json
import threading
from unittest.mock import patch

from odoo import fields
from odoo.tests import tagged
from odoo.tools import SQL

from ..models import matomo_sweep
from ..outbox import kinds
from ..outbox.sender import Sender
from ..outbox.verifier import VERIFY_BATCH, Verifier
from .common import MODULE, AmountsCommon

MANY = 20_000
WITHOUT = 5
# A few orders a day, so that those of 30 days are few.
MOMENT = "now() AT TIME ZONE 'utc' - ({} - n) * interval '200 minutes'"


@tagged("post_install", "-at_install")
class TestPlans(AmountsCommon):
    """How PostgreSQL finds rows beside many old ones: each index has its query."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.sudo().date_start = "2015-01-01"
        # What other tests have rolled back makes the indexes of what waits too large.
        cls.env.cr.execute("REINDEX TABLE matomo_request")
        cls.mia = cls.make_user(
            "mia",
            f"{MODULE}.group_matomo_user,sales_team.group_sale_salesman_all_leads",
        )
        order = cls.make_order(state="sale")
        cls.orders = cls.clone_orders(order, MANY, date_order=MOMENT.format(MANY))
        cls.mine = [("id", "in", cls.orders.ids), ("state", "=", "sale")]
        cls.env.cr.execute(
            """
            INSERT INTO matomo_request (kind, company_id, site_id, sale_order_id,
                        channel, order_date, create_date, next_check_date,
                        is_backfill, payload, state)
                 SELECT 'order', company_id, %s, id, 'desk', date_order, now(),
                        CASE WHEN id %% 1000 = 2 THEN date_order END, FALSE, %s::jsonb,
                        CASE WHEN id %% 100 = 1 THEN 'pending'
                             WHEN id %% 1000 = 2 THEN 'sent'
                             WHEN id %% 10 = 0 THEN 'failed' ELSE 'verified' END
                   FROM sale_order
                  WHERE id = ANY(%s)
            """,
            # As long as a real one.
            [
                cls.site.id,
                json.dumps({"ec_items": "x" * 1200}),
                cls.orders[WITHOUT:].ids,
            ],
        )
        cls.env.cr.execute("ANALYZE sale_order, matomo_request")

    def explain(self, statement):
        self.env.cr.execute(SQL("EXPLAIN %s", statement))
        return "\n".join(line for (line,) in self.env.cr.fetchall())

    def get_plans(self, step):
        """Run a step; return the plans of its queries of the large tables."""
        queries = []

        def note(cr, query, params, _start, _delay):
            text = cr._obj.mogrify(query, params).decode()
            if text.lstrip().startswith("SELECT") and (
                "sale_order" in text or "matomo_request" in text
            ):
                queries.append(text)

        thread = threading.current_thread()
        self.env.flush_all()
        self.env.invalidate_all()
        with patch.object(thread, "query_hooks", [note], create=True):
            step()
        self.assertTrue(queries)
        # The text is what the step has sent.
        plans = [self.explain(SQL(text.replace("%", "%%"))) for text in queries]
        return "\n\n".join(plans)

    def assertReads(self, step, *indexes):
        """Assert that a step finds its rows by these indexes, and reads no table."""
        plans = self.get_plans(step)
        for index in indexes:
            self.assertIn(index, plans)
        self.assertNotIn("Seq Scan on sale_order", plans)
        self.assertNotIn("Seq Scan on matomo_request", plans)

    # === SENDER, VERIFIER AND SWEEP === #

    def test_claim(self):
        requests = self.env["matomo.request"].sudo()

        def claim():
            found = kinds.lock_due(
                requests,
                self.site.sudo(),
                fields.Datetime.now(),
                SQL("kind = 'order' AND NOT is_backfill"),
                SQL("order_date, id"),
            )
            self.assertTrue(found)

        self.assertReads(claim, "matomo_request_due_index")

    def test_due_sites(self):
        """The first row that is due is enough, however many wait."""
        sender = Sender(self.env(su=True))
        self.assertReads(sender._get_due_sites, "matomo_request_due_index", "Limit")

    def test_verifier(self):
        verifier = Verifier(self.env(su=True))

        def search():
            domain = verifier._get_domain()
            found = verifier.requests.search(
                domain, order="order_date, id", limit=VERIFY_BATCH
            )
            self.assertTrue(found)

        self.assertReads(search, "matomo_request_next_check_index")

    def sweep(self):
        """Do what a night does, but for the verdicts; return the orders it finds."""
        found = []

        def one_by_one(orders, *_rest):
            found.extend(orders.ids)
            return orders

        progress = patch.object(
            type(self.env["ir.cron"]), "_commit_progress", lambda *_args, **_kw: 1
        )
        with progress, patch.object(matomo_sweep, "one_by_one", one_by_one):
            self.env["matomo.sweep"].sudo()._sweep()
        return found

    def test_sweep(self):
        """From the second night on, no pass reads all orders."""
        self.assertLessEqual(set(self.orders[:WITHOUT].ids), set(self.sweep()))
        self.startPatcher(patch.object(matomo_sweep, "WINDOW", 500))
        self.startPatcher(patch.object(matomo_sweep, "LATE_IDS", 100))
        self.assertReads(
            self.sweep,
            "sale_order_pkey",
            "sale_order_date_order_id_idx",
        )

    # === ORDERS === #

    def test_orders_without_a_verdict(self):
        orders = self.env["sale.order"]
        missing = [("state", "=", "sale"), ("matomo_state", "=", False)]
        plan = self.explain(orders._search(missing).select())
        self.assertIn("Anti Join", plan)
        self.assertIn("(sale_order.id + 0)", plan)
        # NOT IN would read all requests into memory.
        self.assertNotIn("SubPlan", plan)
        found = orders.search([*self.mine, *missing])
        self.assertEqual(found, self.orders[:WITHOUT].sorted())
        others = orders.search_count([*self.mine, ("matomo_state", "!=", False)])
        self.assertEqual(others, MANY - WITHOUT)
        failed = ("matomo_state", "in", ["failed", False])
        self.assertEqual(
            orders.search_count([*self.mine, failed]),
            WITHOUT + sum(id_ % 10 == 0 for id_ in self.orders[WITHOUT:].ids),
        )

    def test_accepted_orders(self):
        """Most orders are. A merge of orders and requests would begin with the oldest.

        Here the requests are too few to see that PostgreSQL prefers it.
        """
        orders = self.env["sale.order"]
        accepted = [*self.mine, ("matomo_tracked", "=", True)]
        plan = self.explain(orders._search(accepted, limit=80).select())
        self.assertIn("(sale_order.id + 0)", plan)
        waiting = (False, "failed", "pending")
        self.assertEqual(
            orders.search_count(accepted),
            MANY - orders.search_count([*self.mine, ("matomo_state", "in", waiting)]),
        )
        self.assertEqual(
            orders.search_count([*self.mine, ("matomo_tracked", "=", False)]),
            MANY - orders.search_count(accepted),
        )
        some = orders.search(accepted, limit=3)
        self.assertEqual(some.filtered_domain(accepted), some)

    def test_orders_counted_by_verdict(self):
        orders = self.env["sale.order"]
        query = orders._search([("state", "=", "sale")])
        state = orders._field_to_sql(orders._table, "matomo_state", query)
        plan = self.explain(query.select(state))
        self.assertRegex(plan, "(Left|Right) Join|(Left|Right) *$")
        # One look-up for each order took ten times as long.
        self.assertNotIn("SubPlan", plan)
        found = self.orders[WITHOUT:].ids
        counts = {
            "failed": sum(id_ % 10 == 0 for id_ in found),
            "pending": sum(id_ % 100 == 1 for id_ in found),
            "sent": sum(id_ % 1000 == 2 for id_ in found),
            False: WITHOUT,
        }
        counts["verified"] = MANY - sum(counts.values())
        # With a date, in another way.
        for part in ([], [("date_order", ">", "2015-01-01")]):
            groups = orders._read_group(
                [*self.mine, *part], ["matomo_state"], ["__count"]
            )
            self.assertEqual(dict(groups), counts)

    def get_menu_domain(self, model, action, filter_name):
        """Return the domain of the list that a menu opens."""
        action = self.env.ref(f"{MODULE}.{action}").sudo()
        self.assertIn(f"'search_default_{filter_name}': 1", action.context)
        arch, _view = self.env[model]._get_view(view_type="search")
        [found] = arch.xpath(f"//filter[@name='{filter_name}']")
        parts = [found.get("domain"), action.domain or "[]"]
        return [each for part in parts for each in ast.literal_eval(part)]

    def test_menu_of_orders(self):
        """The list of the last days reads no older order, whatever is asked of it."""
        domain = self.get_menu_domain(
            "sale.order", "matomo_sale_order_action", "matomo_last_30_days"
        )
        orders = self.env["sale.order"].with_user(self.mia)
        for state in ("failed", "verified", False):
            part = [*domain, ("matomo_state", "=", state)]
            self.assertReads(
                lambda part=part: orders.web_search_read(part, {"name": {}}, limit=80),
                "sale_order_date_order_id_idx",
            )
        self.assertReads(
            lambda: orders.formatted_read_group(domain, ["matomo_state"], ["__count"]),
            "sale_order_date_order_id_idx",
            "Nested Loop Left Join",
        )

    # === REQUESTS === #

    def test_menu_of_requests(self):
        domain = self.get_menu_domain(
            "matomo.request", "matomo_request_action", "last_30_days"
        )
        domain += [("kind", "=", "order")]
        requests = self.env["matomo.request"].with_user(self.mia)
        self.assertReads(
            lambda: requests.web_search_read(domain, {"state": {}}, limit=80),
            "matomo_request_",
        )
        self.assertReads(
            # Before a vacuum has seen the rows, several indexes are as good.
            lambda: requests.formatted_read_group(domain, ["state"], ["__count"]),
            "matomo_request_",
        )

    def test_requests_counted_by_state(self):
        """All of them: the smallest index is read, and not the table."""
        # No vacuum has seen these rows, so that PostgreSQL does not yet trust indexes.
        self.env.cr.execute("SET LOCAL enable_seqscan = off")
        requests = self.env["matomo.request"].with_user(self.mia)
        self.assertReads(
            lambda: requests.formatted_read_group([], ["state"], ["__count"]),
            "Index Only Scan using matomo_request_company_state_index",
        )

    def test_overview(self):
        overviews = self.env["matomo.overview"].with_user(self.mia)
        names = {name: {} for name in overviews.fields_get()}
        self.assertReads(
            lambda: overviews.web_search_read([], names),
            "matomo_request_overview_index",
            "matomo_request_due_index",
        )
