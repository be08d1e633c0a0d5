import hashlib

from lxml import html

from odoo.tests import tagged

from odoo.addons.matomo_order_tracking.matomo_api.tracking import (
    get_visitor_id_of_user,
)

from .common import VISITOR, ShopperCommon


@tagged("post_install", "-at_install")
class TestUserId(ShopperCommon):
    """The user ID of a customer: one visitor in Matomo on all devices."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.website.matomo_tag = True
        cls.site.sudo().send_user_id = True
        cls.user = cls.make_user("nora", "base.group_portal")
        cls.user.sudo().write({"password": "nora-nora-nora", "email": "Nora@x.com"})

    def log_in(self, user=None):
        user = user or self.user
        self.authenticate(user.login, "nora-nora-nora")
        self.accept_cookies()
        self.run_matomo_js()

    def get_user_id(self, path="/shop"):
        """Return the user ID on a page, None without one."""
        page = html.fromstring(self.open(path).content)
        (tag,) = page.xpath("//script[@id='matomo_order_tracking_tag']")
        return tag.get("data-user-id")

    def buy(self):
        """Return what Matomo gets of a cart and of the order: parameters."""
        cart = self.add(self.chair)
        self.run_sender()
        self.confirm(cart)
        self.run_sender()
        (update,) = self.get_carts(cart)
        return update.payload, self.recorded(cart)

    def test_page_cart_and_order_say_the_same(self):
        self.log_in()
        user_id = self.get_user_id()
        self.assertRegex(user_id, "^[0-9a-f]{32}$")
        visitor = get_visitor_id_of_user(user_id)
        for parameters in self.buy():
            self.assertEqual(parameters["uid"], user_id)
            self.assertEqual(parameters["cid"], visitor)
        order = self.get_cart()
        self.assertEqual(order.sudo().matomo_user_id, user_id)
        # The browser keeps the ID of its own visitor.
        self.assertEqual(order.sudo().matomo_visitor_id, VISITOR)

    def test_off_by_default(self):
        site = self.env["matomo.site"].sudo().default_get(["send_user_id"])
        self.assertFalse(site.get("send_user_id"))
        self.site.sudo().send_user_id = False
        self.log_in()
        self.assertIsNone(self.get_user_id())
        for parameters in self.buy():
            self.assertNotIn("uid", parameters)
            self.assertEqual(parameters["cid"], VISITOR)

    def test_visitors_and_employees_have_none(self):
        self.accept_cookies()
        self.assertIsNone(self.get_user_id())
        employee = self.make_user("employee", "base.group_user")
        employee.sudo().password = "nora-nora-nora"
        self.log_in(employee)
        self.assertNotIn("data-user-id", self.open("/shop").text)

    def test_guest_who_signs_up_afterwards_stays_a_guest(self):
        """The page views of the guest named no user: an order that did stood apart."""
        self.accept_cookies()
        self.run_matomo_js()
        cart = self.add(self.chair)
        cart.partner_id = self.user.partner_id
        self.confirm(cart)
        self.run_sender()
        self.assertNotIn("uid", self.recorded(cart))
        self.assertRecorded(cart, cid=VISITOR)

    def test_without_consent_there_is_none(self):
        for policy, answer in (
            ("cookie_bar", None),
            ("cookie_bar", False),
            ("elsewhere", False),
            ("never", None),
        ):
            with self.subTest(policy=policy, answer=answer):
                self.site.sudo().consent_policy = policy
                self.authenticate(self.user.login, "nora-nora-nora")
                if answer is False:
                    self.set_cookie("mtm_consent_removed", "1763000000000")
                cart = self.add(self.chair)
                self.assertFalse(cart.sudo().matomo_user_id)
                self.confirm(cart)
                self.run_sender()
                self.assertNotIn("uid", self.recorded(cart))
                self.assertNotIn(self.user.login, str(self.recorded(cart)))

    def test_a_refusal_takes_it_away(self):
        self.log_in()
        cart = self.add(self.chair)
        self.assertTrue(cart.sudo().matomo_user_id)
        self.answer_cookie_bar(False)
        self.open("/shop")
        self.env.invalidate_all()
        self.assertFalse(cart.sudo().matomo_user_id)
        self.confirm(cart)
        self.run_sender()
        self.assertNotIn("uid", self.recorded(cart))

    def test_a_cached_page_holds_nobodys(self):
        """Odoo keeps the HTML of pages in memory, for whoever asks next."""
        page = self.env["website.page"].sudo()
        page.create(
            {
                "name": "About",
                "type": "qweb",
                "url": "/about-the-shop",
                "website_id": self.website.id,
                "is_published": True,
                "arch": "<t t-name='about'><t t-call='website.layout'>"
                "<div id='wrap'>About</div></t></t>",
            }
        )
        other = self.make_user("otto", "base.group_portal")
        other.sudo().password = "nora-nora-nora"
        found = []
        for user in (None, self.user, None, other, self.user, None):
            if user:
                self.log_in(user)
            else:
                self.authenticate(None, None)
            found.append(self.get_user_id("/about-the-shop"))
        self.assertEqual([bool(each) for each in found], [0, 1, 0, 1, 1, 0])
        self.assertEqual(found[1], found[4])
        self.assertNotEqual(found[1], found[3])

    def test_a_tag_of_the_shop_decides(self):
        """An order with another user ID than the tag stood in another visit."""
        self.website.custom_code_head = """
            <script>var _paq = []; _paq.push(["setSiteId", "1"]);</script>
        """
        hashed = hashlib.sha256(b"nora@x.com").hexdigest()
        for kind, user_id in (
            ("unknown", None),
            ("none", None),
            ("odoo_id", str(self.user.id)),
            ("login", "nora"),
            ("email_hash", hashed),
        ):
            with self.subTest(kind=kind):
                self.site.sudo().tag_user_id = kind
                self.log_in()
                _cart, order = self.buy()
                self.assertEqual(order.get("uid"), user_id)
                self.assertEqual(
                    order["cid"],
                    get_visitor_id_of_user(user_id) if user_id else VISITOR,
                )

    def test_it_leaves_no_trace_in_the_log(self):
        self.log_in()
        user_id = self.get_user_id()
        with self.assertLogs("odoo.addons.matomo_order_tracking") as logs:
            self.buy()
        self.assertIn("XYZBLANKED", str(logs.output))
        self.assertNotIn(user_id, str(logs.output))
