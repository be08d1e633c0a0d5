from odoo import fields
from odoo.tests import tagged

from ..common import RefundCommon
from ..common.real_matomo import RealMatomo


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealRefunds(RefundCommon):
    """What a real Matomo has of orders and their refunds, after the shop's year."""

    def startPatch(self, matomo):
        """The network ends at the real Matomo."""

    def setUp(self):
        super().setUp()
        self.real = RealMatomo(currency=self.company.currency_id.name)
        self.real.receive_from(self.site)

    def get_refunds(self):
        """The summed amounts of refund events, by order."""
        day = fields.Date.today().isoformat()
        rows = self.real.call(
            "Events.getName", idSite=str(self.real.idsite), period="day", date=day
        )
        return {row["label"]: row["sum_event_value"] for row in rows}

    def test_corrections_down_payments_and_returns(self):
        corrected, paid_down, returned, kept = (
            self.confirm(self.make_order((self.chair, number)))
            for number in (1, 2, 3, 4)
        )
        sale = self.sync(self.make_sale((self.chair, 5)))
        # This one is taken back before it is sent.
        self.take_back_at_till(sale, 2)
        self.post(self.correct(self.invoice(corrected)))
        self.reverse(self.pay_half_down(paid_down))
        self.reverse(self.post(self.correct(self.invoice(returned))))
        self.post(self.correct(self.invoice(kept)))
        self.credit(kept, 40.0)
        self.run_sender()
        self.run_sender()
        self.assertEqual(len(self.real.orders()), 5)
        self.assertEqual(
            self.get_refunds(),
            {returned.name: 345, kept.name: 46, sale.matomo_order_ref: 230},
        )
        self.assertEqual(
            {row["revenue"] for row in self.real.orders().values()},
            {115, 230, 345, 460, 575},
        )
