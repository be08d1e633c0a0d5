from datetime import timedelta

from odoo import Command
from odoo.tests import tagged

from ..const import SHOPPER_FIELDS
from .common import ADDRESS, BROWSER, VISITOR, CheckoutCommon

OTHER = "fedcba9876543210"


@tagged("post_install", "-at_install")
class TestPayment(CheckoutCommon):
    """An order has the data of its shopper, however it is paid."""

    def setUp(self):
        super().setUp()
        self.accept_cookies()
        self.run_matomo_js(attribution=["spring-sale", "chairs", 1763000000, ""])

    def leave(self):
        """Send the next requests as the server of a payment provider."""
        self.authenticate(None, None)
        self.opener.headers["User-Agent"] = "Provider/1.0"

    def assertPaid(self, order, visitor=VISITOR):
        """Assert that the order is tracked with the data of its shopper."""
        self.env.invalidate_all()
        self.assertEqual(order.state, "sale")
        self.assertEqual(order.matomo_visitor_id, visitor)
        self.assertEqual(order.matomo_user_agent, BROWSER)
        self.end_transaction()
        self.run_sender()
        self.assertRecorded(
            order,
            cid=visitor,
            ua=BROWSER,
            _rcn="spring-sale",
            revenue=f"{order.amount_total:.2f}",
        )

    # === IN THE SHOP === #

    def test_paid_at_once(self):
        cart = self.fill_cart()
        self.simulate(self.pay(cart, self.demo), "done")
        self.come_back()
        self.assertPaid(cart)

    def test_who_pays_is_met_even_if_who_filled_the_cart_was_not(self):
        self.answer_cookie_bar(None)
        cart = self.fill_cart()
        self.assertFalse(cart.matomo_visitor_id)
        self.accept_cookies()
        self.simulate(self.pay(cart, self.demo), "done")
        self.come_back()
        self.assertPaid(cart)

    def buy(self):
        """Return an order as a shopper buys it, after the confirmation page."""
        cart = self.fill_cart()
        self.open("/shop/checkout")
        self.simulate(self.pay(cart, self.demo), "done")
        self.come_back()
        self.open("/shop/confirmation")
        self.env.invalidate_all()
        self.assertEqual(cart.matomo_visitor_id, VISITOR)
        return cart

    def test_refused_after_the_purchase(self):
        """The shopper's data stayed on the order, and were sent after the refusal."""
        order = self.buy()
        self.answer_cookie_bar(False)
        self.open("/shop")
        self.env.invalidate_all()
        self.assertEqual(order.state, "sale")
        for name in SHOPPER_FIELDS:
            self.assertFalse(order[name], name)
        self.end_transaction()
        self.run_sender()
        self.assertRecorded(order, cip="0.0.0.0")
        sent = self.recorded(order)
        self.assertNotEqual(sent["cid"], VISITOR)
        self.assertFalse({"ua", "lang", "_rcn"} & sent.keys())

    def test_refused_after_it_was_sent(self):
        order = self.buy()
        self.end_transaction()
        self.run_sender()
        self.assertRecorded(order, cid=VISITOR)
        self.run_verifier()
        self.answer_cookie_bar(False)
        self.open("/shop")
        self.env.invalidate_all()
        self.assertFalse(order.matomo_ip_address)
        self.assertTrue(self.get_request(order).is_anonymized)
        self.assertState(order, "verified")

    def test_silence_after_the_purchase(self):
        order = self.buy()
        self.open("/shop")
        self.opener.cookies.set("website_cookies_bar", None)
        self.open("/shop")
        self.assertPaid(order)

    def test_zero_amount(self):
        self.chair.sudo().list_price = self.post.fixed_price = 0
        cart = self.fill_cart()
        self.assertEqual(cart.amount_total, 0)
        self.open("/shop/payment/validate")
        self.assertPaid(cart)

    def test_pending_then_done_by_the_provider(self):
        cart = self.fill_cart()
        transaction = self.pay(cart, self.demo)
        self.simulate(transaction, "pending")
        self.come_back()
        self.leave()
        self.run_matomo_js(OTHER)
        self.accept_cookies()
        self.simulate(transaction, "done")
        self.env.invalidate_all()
        transaction._post_process()
        self.assertPaid(cart)

    def test_done_by_the_scheduled_action(self):
        cart = self.fill_cart()
        transaction = self.pay(cart, self.demo)
        self.simulate(transaction, "done")
        # The shopper never comes back.
        self.env.invalidate_all()
        transaction.last_state_change -= timedelta(hours=1)
        self.end_transaction()
        self.env.ref("payment.cron_post_process_payment_tx").method_direct_trigger()
        self.assertPaid(cart)

    def test_wire_transfer_confirmed_by_a_salesperson(self):
        cart = self.fill_cart()
        transaction = self.pay(cart, self.wire)
        self.open("/payment/custom/process", data={"reference": transaction.reference})
        self.come_back()
        self.env.invalidate_all()
        self.assertEqual(cart.state, "sent")
        self.assertFalse(self.get_request(cart), "an order that waits is no revenue")
        seller = self.make_user("seller", "sales_team.group_sale_salesman_all_leads")
        cart.with_user(seller).action_confirm()
        self.assertPaid(cart)

    def test_pay_on_site(self):
        shop = self.make_carrier(
            "Counter",
            0.0,
            delivery_type="in_store",
            warehouse_ids=[
                Command.set(
                    self.env["stock.warehouse"]
                    .sudo()
                    .search([("company_id", "=", self.company.id)], limit=1)
                    .ids
                )
            ],
        )
        on_site = self.make_provider("website_sale_collect.payment_provider_on_site")
        cart = self.fill_cart()
        cart.sudo()._set_delivery_method(shop)
        self.end_transaction()
        transaction = self.pay(cart, on_site)
        self.open("/payment/custom/process", data={"reference": transaction.reference})
        self.come_back()
        self.assertPaid(cart)

    def test_express_checkout(self):
        self.chair.sudo().type = "service"
        cart = self.add(self.chair)
        cart._portal_ensure_token()
        self.call(
            "/shop/express_checkout",
            billing_address={
                **ADDRESS,
                "street2": "",
                "country": "BE",
                "state": "",
            },
        )
        self.env.invalidate_all()
        self.assertEqual(cart.partner_id.email, ADDRESS["email"])
        self.simulate(self.pay(cart, self.demo), "done")
        self.come_back()
        self.assertPaid(cart)

    # === IN THE PORTAL === #

    def make_quotation(self):
        self.customer.sudo().write({**ADDRESS, "country_id": self.belgium.id})
        quotation = self.make_order((self.chair, 1), require_payment=True)
        quotation.action_quotation_sent()
        quotation._portal_ensure_token()
        self.end_transaction()
        return quotation

    def pay_quotation(self, quotation):
        method = self.demo.payment_method_ids[:1]
        values = self.call(
            f"/my/orders/{quotation.id}/transaction",
            access_token=quotation.access_token,
            amount=quotation.amount_total,
            provider_id=self.demo.id,
            payment_method_id=method.id,
            token_id=None,
            flow="direct",
            tokenization_requested=False,
            landing_route=quotation.get_portal_url(),
        )
        transactions = self.env["payment.transaction"].sudo()
        return transactions.search([("reference", "=", values["reference"])])

    def test_quotation_paid_in_the_portal(self):
        quotation = self.make_quotation()
        self.simulate(self.pay_quotation(quotation), "done")
        self.call("/payment/status/poll")
        self.assertPaid(quotation)

    def test_quotation_paid_without_consent(self):
        self.answer_cookie_bar(False)
        quotation = self.make_quotation()
        self.simulate(self.pay_quotation(quotation), "done")
        self.call("/payment/status/poll")
        self.env.invalidate_all()
        self.assertEqual(quotation.state, "sale")
        self.assertFalse(quotation.matomo_visitor_id or quotation.matomo_ip_address)
        self.end_transaction()
        self.run_sender()
        recorded = self.recorded(quotation)
        self.assertEqual(recorded["cip"], "0.0.0.0")
        self.assertNotEqual(recorded["cid"], VISITOR)
        self.assertIn("Withheld", quotation.matomo_consent)

    # === SOMEBODY ELSE'S REQUESTS === #

    def test_a_provider_is_no_shopper(self):
        self.answer_cookie_bar(None)
        cart = self.fill_cart()
        transaction = self.pay(cart, self.demo)
        self.leave()
        self.accept_cookies()
        self.run_matomo_js(OTHER)
        self.simulate(transaction, "done")
        self.env.invalidate_all()
        transaction._post_process()
        self.env.invalidate_all()
        self.assertEqual(cart.state, "sale")
        self.assertFalse(cart.matomo_visitor_id or cart.matomo_user_agent)

    def test_a_salesperson_who_opens_the_shop_is_no_shopper(self):
        cart = self.fill_cart()
        seller = self.make_user("seller", "sales_team.group_sale_salesman_all_leads")
        seller.sudo().password = "seller-seller"
        self.authenticate(
            "seller", "seller-seller", session_extra={"sale_order_id": cart.id}
        )
        self.opener.headers["User-Agent"] = "Seller/1.0"
        self.accept_cookies()
        self.run_matomo_js(VISITOR)
        rows = self.get_carts(cart)
        self.update(cart.order_line[0], 2)
        self.env.invalidate_all()
        self.assertEqual(cart.order_line[0].product_uom_qty, 2)
        self.assertEqual(cart.matomo_user_agent, BROWSER)
        self.assertEqual(self.get_carts(cart), rows)
