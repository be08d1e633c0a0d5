"""Nobody can make an order look tracked, or change its metadata."""

import json

from odoo import Command, http
from odoo.exceptions import AccessError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import BROWSER, MODULE, VISITOR, CheckoutCommon, MatomoPosCommon

FORGED = {
    "matomo_ip_address": "6.6.6.6",
    "matomo_user_agent": "Forged",
    "matomo_visitor_id": "6666666666666666",
    "matomo_tracked": True,
    "matomo_state": "verified",
    "matomo_consent_info": '{"answer": true}',
}
SELLER = "sales_team.group_sale_manager,base.group_allow_export"


@tagged("post_install", "-at_install")
class TestForgeryByEmployees(MatomoPosCommon):
    """Employees write orders through other records that they may edit."""

    def setUp(self):
        super().setUp()
        self.order = self.confirm(self.make_order())
        self.sale = self.sync(self.make_sale(partner_id=self.customer.id))
        self.users = [
            self.make_user("forger", f"{SELLER},point_of_sale.group_pos_manager"),
            self.make_user(
                "forging_manager",
                f"{MODULE}.group_matomo_manager,{SELLER},"
                "point_of_sale.group_pos_manager",
            ),
            self.make_user(
                "forging_admin",
                f"base.group_system,base.group_erp_manager,{SELLER},"
                f"{MODULE}.group_matomo_manager",
            ),
        ]

    def roads(self, user, order, name, value):
        """Yield functions that try to write a field of an order."""
        order, values = order.with_user(user), {name: value}
        partner = self.customer.with_user(user)
        nested = [Command.update(order.id, values)]
        yield lambda: order.web_save_multi([values], {})
        yield lambda: order.web_save(values, {}, next_id=order.id)
        yield lambda: order.copy(values)
        new = {"partner_id": partner.id, **values}
        if order._name == "pos.order":
            amounts = ("amount_tax", "amount_total", "amount_paid", "amount_return")
            new |= {**dict.fromkeys(amounts, 0), "session_id": self.session.id}
        yield lambda: order.create([new])
        if order._name == "sale.order":
            yield lambda: partner.write({"sale_order_ids": nested})
            yield lambda: partner.web_save({"sale_order_ids": nested}, {})
            yield lambda: order.order_line.write({"order_id": order.id, **values})
            yield lambda: order.write(
                {"order_line": [Command.update(order.order_line.id, values)]}
            )
        else:
            yield lambda: partner.write({"pos_order_ids": nested})
            yield lambda: order.session_id.write({"order_ids": nested})

    def test_no_road_writes_them(self):
        for user in self.users:
            for order in (self.order, self.sale):
                forged = {n: FORGED[n] for n in FORGED if n in order._fields}
                before = order.sudo().read([*forged])
                for name, value in forged.items():
                    for number, road in enumerate(self.roads(user, order, name, value)):
                        try:
                            with self.cr.savepoint():
                                made = road()
                                self.end_transaction()
                        except (AccessError, ValueError):
                            made = None
                        if hasattr(made, "_name") and made._name == order._name:
                            self.assertFalse(made.sudo().matomo_ip_address)
                            self.assertFalse(made.sudo().matomo_user_agent)
                            self.assertFalse(made.sudo().matomo_visitor_id)
                            self.assertFalse(made.matomo_tracked)
                        self.env.invalidate_all()
                        self.assertEqual(
                            order.sudo().read([*forged]),
                            before,
                            (user.login, order, name, number),
                        )

    def test_import(self):
        for user in self.users:
            orders = self.env["sale.order"].with_user(user)
            for name, value in FORGED.items():
                outcome = orders.load([".id", name], [[str(self.order.id), str(value)]])
                self.assertFalse(outcome["ids"], (user.login, name))
                outcome = orders.load(
                    ["partner_id/.id", name], [[str(self.customer.id), str(value)]]
                )
                self.assertFalse(outcome["ids"], (user.login, name))
        self.assertFalse(self.order.sudo().matomo_ip_address)
        self.assertState(self.order, "pending")


@tagged("post_install", "-at_install")
class TestForgeryByShoppers(CheckoutCommon):
    def setUp(self):
        super().setUp()
        self.accept_cookies()
        self.run_matomo_js()

    def test_forms_of_the_shop(self):
        """Odoo writes the fields of a checkout form into the cart as superuser."""
        cart = self.fill_cart()
        answer = self.open(
            "/website/form/shop.sale.order",
            data={
                "client_order_ref": "Mine",
                "csrf_token": http.Request.csrf_token(self),
                "matomo_request_ids": "[[0, 0, {}]]",
                **FORGED,
            },
        )
        self.assertEqual(json.loads(answer.text), {"id": cart.id})
        self.env.invalidate_all()
        self.assertEqual(cart.client_order_ref, "Mine")
        self.assertEqual(cart.matomo_user_agent, BROWSER)
        self.assertEqual(cart.matomo_visitor_id, VISITOR)
        self.assertEqual(cart.matomo_ip_address, "127.0.0.1")
        self.assertFalse(cart.matomo_state)

    def test_arguments_of_the_shops_own_routes(self):
        product = self.chair
        self.call(
            "/shop/cart/add",
            product_template_id=product.product_tmpl_id.id,
            product_id=product.id,
            quantity=1,
            **FORGED,
        )
        cart = self.get_cart()
        self.assertEqual(cart.order_line.product_id, product)
        self.assertEqual(cart.matomo_user_agent, BROWSER)
        self.assertFalse(cart.matomo_state)

    @mute_logger("odoo.http")
    def test_link_to_an_order_that_is_confirmed_changes_no_shopper(self):
        cart = self.fill_cart()
        self.simulate(self.pay(cart, self.demo), "done")
        self.come_back()
        self.assertState(cart, "pending")
        # Somebody else, who was sent the link to the order.
        self.authenticate(None, None)
        self.opener.headers["User-Agent"] = "Stranger/1.0"
        self.accept_cookies()
        self.run_matomo_js(visitor="fedcba9876543210")
        self.call(
            f"/my/orders/{cart.id}/accept",
            access_token=cart.access_token,
            name="Stranger",
            signature="",
        )
        self.open(f"/my/orders/{cart.id}?access_token={cart.access_token}")
        self.env.invalidate_all()
        self.assertEqual(cart.matomo_user_agent, BROWSER)
        self.assertEqual(cart.matomo_visitor_id, VISITOR)

    def test_chatter_of_a_retrack_is_no_customers(self):
        portal = self.make_user("portal", "base.group_portal")
        portal.sudo().password = "portal-portal"
        order = self.confirm(self.make_order(partner_id=portal.partner_id.id))
        self.env.user.group_ids += self.env.ref(f"{MODULE}.group_matomo_user")
        order.action_matomo_retrack()
        self.assertIn("Matomo", str(order.sudo().message_ids.mapped("body")))
        order.message_post(
            body="Hello", message_type="comment", subtype_xmlid="mail.mt_comment"
        )
        self.authenticate("portal", "portal-portal")
        where = {"thread_model": "sale.order", "thread_id": order.id}
        messages = json.dumps(self.call("/mail/chatter_fetch", **where))
        self.assertIn("Hello", messages)
        self.assertNotIn("Matomo", messages)
        page = self.open(f"/my/orders/{order.id}")
        self.assertIn(order.name, page.text)
        self.assertNotIn("Matomo", page.text)
