import json

from lxml import html

from odoo import Command
from odoo.exceptions import AccessError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import ShopperCommon


@tagged("post_install", "-at_install")
class TestTag(ShopperCommon):
    """Matomo's tag on the pages of a website."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.website.matomo_tag = True
        cls.category = (
            cls.env["product.public.category"].sudo().create({"name": "Seats"})
        )
        cls.chair.sudo().public_categ_ids = cls.category

    def get_page(self, path="/shop"):
        return html.fromstring(self.open(path).content)

    def get_tag(self, path="/shop"):
        tags = self.get_page(path).xpath("//script[@id='matomo_order_tracking_tag']")
        self.assertLessEqual(len(tags), 1)
        return dict(tags[0].attrib) if tags else None

    def get_view(self, path):
        (element,) = self.get_page(path).xpath("//*[@data-matomo-view]")
        return json.loads(element.get("data-matomo-view"))

    def test_off_by_default(self):
        website = self.env["website"].sudo().create({"name": "New"})
        self.assertFalse(website.matomo_tag)
        self.website.matomo_tag = False
        self.assertIsNone(self.get_tag())

    def test_has_address_and_site_and_no_secret(self):
        tag = self.get_tag()
        self.assertEqual(tag["data-tracker"], "https://matomo.example.com/matomo.php")
        self.assertEqual(tag["data-script"], "https://matomo.example.com/matomo.js")
        self.assertEqual(tag["data-site"], "1")
        self.assertEqual(tag["data-consent"], "cookie_bar")
        self.assertEqual(tag["data-respect-dnt"], "1")
        self.assertNotIn(self.site.sudo()._get__token(), self.open("/shop").text)

    def test_no_page_that_odoo_keeps_has_the_policy_of_before(self):
        """Odoo keeps the pages of designers for an hour."""
        for policy in ("elsewhere", "cookie_bar"):
            self.site.sudo().consent_policy = policy
            self.assertEqual(self.get_tag("/contactus")["data-consent"], policy)
        self.site.sudo().active = False
        self.assertIsNone(self.get_tag("/contactus"))

    def test_has_no_inline_code(self):
        (tag,) = self.get_page().xpath("//script[@id='matomo_order_tracking_tag']")
        self.assertFalse(tag.text)
        self.assertEqual(
            tag.get("src"), "/matomo_order_tracking/static/src/js/matomo_tag.js"
        )
        self.open(tag.get("src"))

    def test_consent(self):
        self.site.sudo().consent_policy = "elsewhere"
        self.assertEqual(self.get_tag()["data-consent"], "elsewhere")
        self.site.sudo().consent_policy = "never"
        self.assertIsNone(self.get_tag())

    def test_without_cookies_the_shop_asks_once_what_the_browser_can_show(self):
        self.assertNotIn("data-flags-url", self.get_tag())
        self.site.sudo().consent_policy = "cookieless"
        tag = self.get_tag()
        self.assertEqual(tag["data-consent"], "cookieless")
        answer = self.url_open(
            tag["data-flags-url"],
            data=json.dumps({"pdf": "1", "cookie": "1", "res": "1280x720"}),
            headers={"Content-Type": "application/json"},
        )
        self.assertEqual(answer.status_code, 204)
        self.assertNotIn("data-flags-url", self.get_tag())

    def test_silent_in_a_copy(self):
        self.site.sudo().database_uuid = "another"
        self.assertIsNone(self.get_tag())

    def test_manager_can_have_no_script_of_elsewhere_run(self):
        """A manager may change the address, but not the pages of the shop."""
        manager, admin = self.make_manager(), self.env.ref("base.user_admin")
        admin.sudo().company_ids += self.company
        site = self.site.with_user(manager)
        site.url = "https://matomo.example.com/matomo.php"
        self.assertTrue(self.get_tag())
        site.url = "https://evil.example.com/"
        self.assertIsNone(self.get_tag())
        with self.assertRaises(AccessError):
            self.website.with_user(manager).matomo_tag = True
        self.website.with_user(admin).matomo_tag = True
        self.assertIn("evil", self.get_tag()["data-script"])
        self.site.with_user(admin).url = "https://new.example.com/"
        self.assertIn("new", self.get_tag()["data-script"])

    def test_product_view_says_what_orders_say(self):
        view = self.get_view(self.chair.website_url)
        self.assertEqual(
            view, {"name": "Chair", "categories": ["Seats"], "price": 100.0}
        )
        order = self.make_order()
        self.confirm(order)
        self.run_sender()
        [[_sku, name, categories, _price, _quantity]] = json.loads(
            self.recorded(order)["ec_items"]
        )
        self.assertEqual(view["name"], name)
        self.assertEqual(view["categories"], categories[:1])

    def test_page_tells_nothing_internal(self):
        """Everybody read references, barcodes and internal categories in the page."""
        hidden = self.env["website"].sudo().create({"name": "Wholesale"})
        self.chair.sudo().write(
            {
                "default_code": "CANARY-REFERENCE",
                "barcode": "CANARY-BARCODE",
                "public_categ_ids": [
                    Command.create({"name": "Canary B2B", "website_id": hidden.id})
                ],
            }
        )
        self.chair.categ_id.sudo().name = "Canary margin 40"
        # Odoo's own addresses of products contain the reference, for want of a name
        # of the page's own. What the addon adds does not.
        view = self.get_view(self.chair.website_url)
        self.assertEqual(view["categories"], ["Seats"])
        self.assertNotIn("canary", str(view).lower())

    def test_no_address_of_a_private_network_on_a_page_of_the_internet(self):
        admin = self.env.ref("base.user_admin")
        admin.sudo().company_ids += self.company
        site = self.site.with_user(admin)
        for url, domain, is_shown in (
            ("http://127.0.0.1:8080/", "https://shop.example.com", False),
            ("http://localhost/matomo/", "https://shop.example.com", False),
            ("https://10.1.2.3/", "https://shop.example.com", False),
            ("http://127.0.0.1:8080/", self.base_url(), True),
            ("https://10.1.2.3/", self.base_url(), True),
            ("https://10.1.2.3/", "http://shop.local", True),
            ("https://stats.example.com/", "https://shop.example.com", True),
        ):
            with self.subTest(url=url, domain=domain):
                site.url = url
                self.website.sudo().domain = domain
                website = self.website.with_user(self.website.user_id)
                self.assertEqual(bool(website._get_matomo_tag()), is_shown)

    def test_employees_are_no_visitors(self):
        self.assertTrue(self.get_tag())
        self.make_user("shopkeeper", "base.group_user")
        self.authenticate("shopkeeper", "shopkeeper")
        self.assertIsNone(self.get_tag())

    def test_category_view(self):
        path = f"/shop/category/{self.env['ir.http']._slug(self.category)}"
        self.assertEqual(self.get_view(path), {"categories": "Seats"})

    def get_search(self, path):
        elements = self.get_page(path).xpath("//*[@data-matomo-search]")
        self.assertLessEqual(len(elements), 1)
        return json.loads(elements[0].get("data-matomo-search")) if elements else None

    # A template of Odoo has an attribute that Odoo warns of.
    @mute_logger("odoo.addons.base.models.ir_qweb")
    def test_searches(self):
        category = f"/shop/category/{self.env['ir.http']._slug(self.category)}"
        for path, search in (
            ("/shop", None),
            ("/shop?search=", None),
            ("/shop?search=chair", ("chair", 1, "")),
            ("/shop?search=nothing%20at%20all", ("nothing at all", 0, "")),
            (f"{category}?search=chair", ("chair", 1, "Seats")),
            ("/website/search", None),
            ("/website/search?search=nothing%20at%20all", ("nothing at all", 0, "")),
        ):
            with self.subTest(path=path):
                found = self.get_search(path)
                self.assertEqual(found and tuple(found.values()), search)
        self.website.matomo_tag = False
        self.assertIsNone(self.get_search("/shop?search=chair"))

    def test_heartbeat_and_parameters_are_the_sites(self):
        tag = self.get_tag()
        self.assertNotIn("data-heartbeat", tag)
        self.assertNotIn("data-parameters", tag)
        self.site.sudo().write({"tag_heartbeat": True, "tag_parameters": "color, size"})
        tag = self.get_tag()
        self.assertEqual(tag["data-heartbeat"], "1")
        self.assertEqual(tag["data-parameters"], "color size")
        with self.assertRaises(ValidationError):
            self.site.sudo().tag_parameters = "color access_token"

    def test_no_views_without_the_tag(self):
        self.website.matomo_tag = False
        page = self.get_page(self.chair.website_url)
        self.assertFalse(page.xpath("//*[@data-matomo-view]"))

    def make_settings(self):
        settings = self.env["res.config.settings"].sudo()
        return settings.create({"website_id": self.website.id})

    def test_no_second_tag(self):
        self.website.custom_code_head = """
            <script>var _paq = []; _paq.push(["setSiteId", "1"]);</script>
        """
        self.assertIsNone(self.get_tag())
        self.assertTrue(self.make_settings().matomo_has_other_tag)

    def test_the_tag_of_another_site_is_none_of_ours(self):
        self.website.custom_code_head = """
            <script>var _paq = []; _paq.push(["setSiteId", "2"]);</script>
        """
        self.assertEqual(self.get_tag()["data-site"], "1")
        self.assertFalse(self.make_settings().matomo_has_other_tag)

    def test_settings_find_a_tag_in_a_page(self):
        view = self.env["ir.ui.view"].sudo()
        view.create(
            {
                "name": "Landing",
                "type": "qweb",
                "website_id": self.website.id,
                "arch": """<div><script>
                    var u = "https://matomo.example.com/";
                    _paq.push(["setSiteId", "1"]);
                </script></div>""",
            }
        )
        self.assertTrue(self.make_settings().matomo_has_other_tag)
        self.assertTrue(self.get_tag(), "the tag itself sees what is on its page")

    def test_settings_warn_of_code_that_sends_orders(self):
        self.assertFalse(self.make_settings().matomo_has_ecommerce_calls)
        self.website.custom_code_footer = """
            <script>_paq.push(["trackEcommerceOrder", "S1", 121]);</script>
        """
        self.assertTrue(self.make_settings().matomo_has_ecommerce_calls)

    def test_settings(self):
        settings = self.env["res.config.settings"].sudo()
        settings.create(
            {
                "website_id": self.website.id,
                "matomo_url": self.site.url,
                "matomo_idsite": self.site.idsite,
                "matomo_consent_policy": "elsewhere",
                "matomo_respect_dnt": False,
                "matomo_track_carts": False,
                "matomo_tag": False,
            }
        ).execute()
        self.assertEqual(self.site.consent_policy, "elsewhere")
        self.assertFalse(self.site.respect_dnt)
        self.assertFalse(self.site.track_carts)
        self.assertFalse(self.website.matomo_tag)
