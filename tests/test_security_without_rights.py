"""Shoppers, salespeople and cashiers need no Matomo right to have orders tracked."""

from odoo.exceptions import AccessError
from odoo.tests import tagged

from .common import BROWSER, MODULE, VISITOR, CheckoutCommon, MatomoPosCommon

OPERATIONS = ("create", "read", "write", "unlink")


@tagged("post_install", "-at_install")
class TestWithoutRights(MatomoPosCommon, CheckoutCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The name belongs to the browser's session from here on.
        cls.till_session, cls.session = cls.session, None
        cls.portal = cls.make_user("portal", "base.group_portal")
        cls.salesperson = cls.make_user("seller", "sales_team.group_sale_salesman")

    def assertWithoutRights(self, user):
        """Assert that this user has no access to any model of the addon."""
        models = [
            name
            for name, model in self.env.registry.items()
            if model._original_module == MODULE and not model._abstract
        ]
        self.assertIn("matomo.request", models)
        for name in models:
            model = self.env[name].with_user(user)
            for operation in OPERATIONS:
                self.assertFalse(model.has_access(operation), (name, operation))
        for order in (self.env["sale.order"], self.env["pos.order"]):
            field = order._fields["matomo_ip_address"]
            for operation in ("read", "write"):
                self.assertFalse(
                    order.with_user(user)._has_field_access(field, operation)
                )

    def buy(self):
        """Buy something over HTTP. Return the order."""
        self.accept_cookies()
        self.run_matomo_js()
        cart = self.fill_cart()
        self.run_sender()
        self.assertTrue(self.get_sent_carts())
        self.matomo.bulks.clear()
        self.simulate(self.pay(cart, self.demo), "done")
        self.come_back()
        self.end_transaction()
        self.env.invalidate_all()
        return cart

    def assertCaptured(self, order):
        self.assertEqual(order.matomo_user_agent, BROWSER)
        self.assertEqual(order.matomo_visitor_id, VISITOR)
        self.assertRecorded(order, cid=VISITOR, cip="127.0.0.1")

    def test_shoppers(self):
        for user, password in ((self.website.user_id, None), (self.portal, "portal")):
            self.assertWithoutRights(user)
            if password:
                user.sudo().password = password
            self.authenticate(password and user.login, password)
            order = self.buy()
            self.run_sender()
            self.assertCaptured(order)
            self.run_verifier()
            self.assertState(order, "verified")
            with self.assertRaises(AccessError):
                order.with_user(user).action_matomo_retrack()

    def test_a_cashier(self):
        self.assertWithoutRights(self.cashier)
        sale = self.make_sale(session=self.till_session)
        order = self.sync(sale, user=self.cashier)
        self.run_sender()
        self.assertRecorded(order, revenue="115.00")
        with self.assertRaises(AccessError):
            order.with_user(self.cashier).action_matomo_retrack()

    def test_a_salesperson(self):
        self.assertWithoutRights(self.salesperson)
        order = self.make_order(user_id=self.salesperson.id)
        self.confirm(order.with_user(self.salesperson))
        self.run_sender()
        self.assertRecorded(order, revenue="115.00")
        with self.assertRaises(AccessError):
            order.with_user(self.salesperson).action_matomo_retrack()
