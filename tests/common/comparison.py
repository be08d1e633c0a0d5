"""Orders of given days, the nightly comparison, and a strict check of one day."""

from .till import MatomoPosCommon


class ComparisonCommon(MatomoPosCommon):
    def sell(self, *moments):
        """Return a confirmed sales order of 115.00 for each moment."""
        orders = self.env["sale.order"].union(
            *(self.confirm(self.make_order()) for _moment in moments)
        )
        for order, moment in zip(orders, moments, strict=True):
            order.date_order = moment
        return orders

    def compare(self):
        """Run the nightly comparison. Return its records: ``{day: record}``."""
        self.run_cron("ir_cron_sweep")
        rows = self.env["matomo.reconciliation"].search([])
        return {str(row.day): row for row in rows}

    def assertDay(self, row, odoo, matomo, state, *causes):
        """Assert what a day says.

        :param odoo: count and revenue of the orders in Odoo
        :param matomo: the same in Matomo
        :param causes: each cause as (kind, name, order difference, revenue difference)
        """
        found = self.get_causes(row)
        self.assertEqual(
            (row.odoo_order_count, round(row.odoo_revenue, 2)), odoo, found
        )
        self.assertEqual((row.matomo_order_count, round(row.matomo_revenue, 2)), matomo)
        self.assertEqual(row.order_count_difference, matomo[0] - odoo[0])
        self.assertAlmostEqual(row.revenue_difference, matomo[1] - odoo[1], places=2)
        self.assertEqual(row.state, state, found)
        self.assertCountEqual(found, causes)

    def get_causes(self, row):
        return [
            (
                cause.kind,
                cause.name,
                cause.order_count_difference,
                round(cause.revenue_difference, 2),
            )
            for cause in row.cause_ids
        ]
