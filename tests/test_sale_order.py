from odoo.tests import freeze_time, tagged

from .common import MatomoCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestSaleOrder(MatomoCommon):
    def test_confirmed_order_is_tracked(self):
        order = self.make_order((self.chair, 2), (self.lamp, 1))
        self.assertFalse(order.matomo_state)
        self.confirm(order)
        self.assertState(order, "pending")
        self.assertFalse(order.matomo_tracked)
        self.run_sender()
        self.assertState(order, "sent")
        self.assertTrue(order.matomo_tracked)
        self.assertRecorded(
            order,
            ec_id=order.name,
            revenue="242.08",
            ec_st="210.50",
            ec_tx="31.58",
            ec_sh="0.00",
            ec_dt="0.00",
            cdt="2026-03-03 10:00:00",
            cip="0.0.0.0",
            idgoal="0",
        )
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertTrue(order.matomo_tracked)
        self.assertIn("token_auth=XYZANONYMIZED", order.matomo_tracking_url)
