from odoo import http
from odoo.tests import tagged

from .common import SIGNATURE, CheckoutCommon


@tagged("post_install", "-at_install")
class TestPortal(CheckoutCommon):
    """A quotation that a customer signs counts once, from then on."""

    def make_quotation(self, **values):
        quotation = self.make_order(
            (self.chair, 2), require_signature=True, require_payment=False, **values
        )
        quotation.action_quotation_sent()
        quotation._portal_ensure_token()
        self.end_transaction()
        return quotation

    def sign(self, quotation):
        answer = self.call(
            f"/my/orders/{quotation.id}/accept",
            access_token=quotation.access_token,
            name="Nora Shopper",
            signature=SIGNATURE,
        )
        self.env.invalidate_all()
        return answer

    def test_signed_quotation(self):
        quotation = self.make_quotation()
        self.assertFalse(quotation.matomo_state)
        self.assertNotIn("error", self.sign(quotation))
        self.assertEqual(quotation.state, "sale")
        self.assertState(quotation, "pending")
        self.assertIn("error", self.sign(quotation))
        self.run_sender()
        self.assertRecorded(quotation, revenue="230.00", ec_tx="30.00")
        self.assertEqual(len(self.matomo.orders), 1)

    def test_signed_by_a_customer_who_is_logged_in(self):
        portal = self.make_user("portal", "base.group_portal")
        portal.sudo().password = "portal-portal"
        quotation = self.make_quotation(partner_id=portal.partner_id.id)
        self.authenticate("portal", "portal-portal")
        self.sign(quotation)
        self.run_sender()
        self.assertRecorded(quotation, revenue="230.00")

    def test_declined_quotation_is_no_order(self):
        quotation = self.make_quotation()
        self.open(
            f"/my/orders/{quotation.id}/decline?access_token={quotation.access_token}",
            data={
                "decline_message": "Too dear",
                "csrf_token": http.Request.csrf_token(self),
            },
        )
        self.env.invalidate_all()
        self.assertEqual(quotation.state, "cancel")
        self.run_sender()
        self.assertFalse(quotation.matomo_state)
        self.assertFalse(self.matomo.orders)
