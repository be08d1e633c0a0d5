"""Orders that are sent to a real Matomo."""

from datetime import datetime, timedelta

from odoo.tests import freeze_time

from .real_matomo import RealMatomo, yesterday
from .site import MatomoCommon


class RealOrdersCommon(MatomoCommon):
    """A real Matomo in place of the fake one, and orders of yesterday."""

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    def setUp(self):
        super().setUp()
        self.real = RealMatomo(currency=self.company.currency_id.name)
        self.real.receive_from(self.site)

    def later(self, **later):
        return freeze_time(datetime.now() + timedelta(**later))

    def confirm_many(self, *names, lines=(), **values):
        """Return confirmed orders of yesterday with these names.

        :param lines: of each, see ``make_order``
        """
        orders = self.env["sale.order"].concat(
            *(self.make_order(*lines, name=name, **values) for name in names)
        )
        # Their deliveries, of which Matomo learns nothing, take longer than all else.
        self.confirm(orders.with_context(skip_procurement=True))
        orders.date_order = yesterday()
        return orders

    def assertStates(self, orders, *states):
        self.assertEqual(orders.mapped("matomo_state"), list(states) * len(orders))

    def assertAllThereOnce(self, orders):
        """Assert that each order is verified, and once in Matomo's database."""
        self.run_verifier()
        self.assertStates(orders, "verified")
        self.assertEqual(sorted(self.real.orders()), sorted(orders.mapped("name")))
