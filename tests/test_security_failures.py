from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import LOGGER, ShopperCommon


@tagged("post_install", "-at_install")
class TestOwnFailures(ShopperCommon):
    """Whatever fails in this addon fails neither a page nor what people do in Odoo."""

    def fail(self, model, *methods):
        """Make methods of ours raise an error that nobody foresaw."""

        def raise_error(*args, **kwargs):
            raise ZeroDivisionError

        for method in methods:
            self.patch(self.env.registry[model], method, raise_error)

    @mute_logger(LOGGER)
    def test_pages_of_the_website(self):
        self.website.matomo_tag = True
        self.fail("website", "_prepare_matomo_tag", "_prepare_matomo_view")
        for path in ("/", "/shop", self.chair.website_url, "/shop/cart"):
            self.assertEqual(self.open(path).status_code, 200, path)

    @mute_logger(LOGGER)
    def test_deletion_of_an_order(self):
        order = self.make_order()
        self.fail("sale.order", "_get_matomo_settlements")
        order.sudo().unlink()
        self.assertFalse(order.exists())

    @mute_logger(LOGGER)
    def test_change_of_a_contact(self):
        partner = self.env["res.partner"].sudo().create({"name": "A", "email": "a@b.c"})
        self.fail("res.partner", "_anonymize_matomo_data")
        partner.write({"name": "Nobody", "email": False})
        self.assertEqual(partner.name, "Nobody")

    @mute_logger(LOGGER)
    def test_deletion_of_a_user(self):
        users = self.env["res.users"].sudo().with_context(no_reset_password=True)
        user = users.create({"name": "A", "login": "someone-who-leaves"})
        self.fail("res.partner", "_anonymize_matomo_sales")
        user.unlink()
        self.assertFalse(user.exists())
