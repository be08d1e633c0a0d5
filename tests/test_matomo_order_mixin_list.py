from odoo.tests import tagged
from odoo.tools import SQL

from .common import AmountsCommon

MANY = 20_000
WITHOUT = 5


@tagged("post_install", "-at_install")
class TestLongLists(AmountsCommon):
    """Lists of many orders read orders and requests once, side by side."""

    def setUp(self):
        super().setUp()
        order = self.make_order(state="sale")
        self.orders = self.clone_orders(order, MANY)
        self.mine = [("id", "in", self.orders.ids), ("state", "=", "sale")]
        self.env.cr.execute(
            """
            INSERT INTO matomo_request (kind, company_id, site_id, sale_order_id,
                        channel, order_date, create_date, state)
                 SELECT 'order', company_id, %s, id, 'backend', date_order, now(),
                        CASE WHEN id %% 10 = 0 THEN 'failed' ELSE 'verified' END
                   FROM sale_order
                  WHERE id = ANY(%s)
            """,
            [self.site.id, self.orders[WITHOUT:].ids],
        )
        self.env.cr.execute("ANALYZE sale_order, matomo_request")

    def explain(self, statement):
        self.env.cr.execute(SQL("EXPLAIN %s", statement))
        return "\n".join(line for (line,) in self.env.cr.fetchall())

    def test_orders_without_a_verdict(self):
        orders = self.env["sale.order"]
        missing = [("state", "=", "sale"), ("matomo_state", "=", False)]
        plan = self.explain(orders._search(missing).select())
        self.assertIn("Anti Join", plan)
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

    def test_orders_counted_by_verdict(self):
        orders = self.env["sale.order"]
        query = orders._search([("state", "=", "sale")])
        state = orders._field_to_sql(orders._table, "matomo_state", query)
        plan = self.explain(query.select(state))
        self.assertRegex(plan, "(Left|Right) Join|(Left|Right) *$")
        # One look-up for each order took ten times as long.
        self.assertNotIn("SubPlan", plan)
        failed = sum(id_ % 10 == 0 for id_ in self.orders[WITHOUT:].ids)
        groups = orders._read_group(self.mine, ["matomo_state"], ["__count"])
        self.assertEqual(
            dict(groups),
            {
                "failed": failed,
                "verified": MANY - WITHOUT - failed,
                False: WITHOUT,
            },
        )
