from odoo.exceptions import ValidationError
from odoo.tests import freeze_time, tagged

from odoo.addons.matomo_order_tracking.matomo_api.tracking import (
    get_visitor_id_of_user,
)

from .common import MatomoPosCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestPosVisit(MatomoPosCommon):
    """The visitor, the location and the custom dimensions of POS orders."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.partner_id.write(
            {
                "country_id": cls.env.ref("base.us").id,
                "state_id": cls.env.ref("base.state_us_5").id,
                "city": "San Francisco",
            }
        )

    def sell(self, **values):
        """Return the parameters of a POS order that was sent."""
        order = self.sync(self.make_sale(**values), user=self.cashier)
        self.run_sender()
        return self.recorded(order)

    # === WHO === #

    def test_each_sale_is_a_visitor_of_its_own(self):
        visitors = {self.sell(partner_id=self.customer.id)["cid"] for _ in range(2)}
        visitors |= {self.sell()["cid"] for _ in range(2)}
        self.assertEqual(len(visitors), 4)

    def test_known_customer_is_one_visitor_if_the_site_wants_it(self):
        site = self.site.sudo()
        site.identify_customers = True
        customer = {"partner_id": self.customer.id}
        first, second = self.sell(**customer), self.sell(**customer)
        self.assertEqual(first["cid"], second["cid"])
        self.assertRegex(first["cid"], "^[0-9a-f]{16}$")
        for told in (self.customer.name, str(self.customer.id).zfill(16)):
            self.assertNotIn(told, str(first))
        other = self.customer.copy()
        anonymous = [self.sell()["cid"] for _ in range(2)]
        visitors = {first["cid"], self.sell(partner_id=other.id)["cid"], *anonymous}
        self.assertEqual(len(visitors), 4)
        # Nobody who sees two sites can tell that it is the same customer.
        self.config.sudo().matomo_site_id = site.copy({"idsite": 2})
        order = self.sync(self.make_sale(**customer))
        row = self.get_request(order)
        row.site_id.token_auth = site._get__token()
        self.run_sender()
        self.assertEqual(row.payload["idsite"], "2")
        self.assertNotEqual(row.payload["cid"], first["cid"])

    def test_user_id_of_a_known_customer_if_the_site_wants_it(self):
        self.assertNotIn("uid", self.sell(partner_id=self.customer.id))
        self.site.sudo().send_user_id = True
        customer = {"partner_id": self.customer.id}
        first, second = self.sell(**customer), self.sell(**customer)
        self.assertRegex(first["uid"], "^[0-9a-f]{32}$")
        self.assertEqual(first["uid"], second["uid"])
        # Matomo takes this visitor whatever its own setting says.
        self.assertEqual(first["cid"], get_visitor_id_of_user(first["uid"]))
        self.assertNotIn("uid", self.sell())
        # A salesperson's order of the same customer is the same visitor's.
        desk = self.confirm(self.make_order())
        self.run_sender()
        self.assertRecorded(desk, uid=first["uid"], cid=first["cid"])

    def test_customer_who_objects(self):
        """Whoever was erased was the same visitor again with the next sale."""
        self.site.sudo().write({"send_user_id": True, "identify_customers": True})
        before = self.sell(partner_id=self.customer.id)
        waiting = self.sync(self.make_sale(partner_id=self.customer.id))
        self.erase(self.customer, self.make_manager())
        self.run_sender()
        later = self.sell(partner_id=self.customer.id)
        desk = self.confirm(self.make_order())
        self.run_sender()
        for sale in (self.recorded(waiting), later, self.recorded(desk)):
            self.assertNotIn("uid", sale)
            self.assertNotEqual(sale["cid"], before["cid"])
        # An employee may allow it again, if the customer asks for it.
        self.customer.sudo().matomo_is_objector = False
        self.assertEqual(self.sell(partner_id=self.customer.id)["uid"], before["uid"])

    # === WHERE === #

    def test_sale_is_where_the_shop_is(self):
        sale = self.sell()
        self.assertEqual(
            [sale[name] for name in ("country", "region", "city", "cip")],
            ["us", "CA", "San Francisco", "0.0.0.0"],
        )

    def test_till_of_a_warehouse_is_where_that_is(self):
        address = self.env["res.partner"].create(
            {"name": "Branch", "country_id": self.env.ref("base.be").id, "city": "Gent"}
        )
        warehouse = self.config.picking_type_id.warehouse_id.sudo()
        warehouse.partner_id = address
        sale = self.sell()
        self.assertEqual((sale["country"], sale["city"]), ("be", "Gent"))
        self.assertNotIn("region", sale)
        # An address that does not say where: the company's.
        address.country_id = False
        self.assertEqual(self.sell()["country"], "us")

    def test_nothing_is_known_of_where_a_shop_without_address_is(self):
        self.company.partner_id.write({"country_id": False, "state_id": False})
        self.config.picking_type_id.warehouse_id.sudo().partner_id = False
        sale = self.sell()
        for name in ("country", "region", "city"):
            self.assertNotIn(name, sale)

    # === WHAT MATOMO SHOWS === #

    def test_dimensions_of_every_channel(self):
        self.site.sudo().write(
            {"channel_dimension": 1, "till_dimension": 2, "salesperson_dimension": 3}
        )
        website = self.env["website"].create(
            {"name": "Shop", "company_id": self.company.id}
        )
        website.sudo().matomo_site_id = self.site
        sale = self.sell(user_id=self.cashier.id)
        seller = self.env.user
        desk = self.confirm(self.make_order(user_id=seller.id))
        web = self.confirm(self.make_order(website_id=website.id, user_id=False))
        self.run_sender()
        for sent, expected in (
            (sale, ("Point of Sale", "Bakery", self.cashier.name)),
            (self.recorded(desk), ("Salesperson", None, seller.name)),
            (self.recorded(web), ("Web Shop", None, None)),
        ):
            found = tuple(sent.get(f"dimension{number}") for number in (1, 2, 3))
            self.assertEqual(found, expected)

    def test_without_numbers_no_dimension_is_sent(self):
        self.assertFalse([n for n in self.sell() if n.startswith("dimension")])

    def test_dimensions_are_numbers_each_another(self):
        for values in (
            {"channel_dimension": -1},
            {"channel_dimension": 4, "till_dimension": 4},
            {"till_dimension": 4, "salesperson_dimension": 4},
            {"channel_dimension": 4, "salesperson_dimension": 4},
        ):
            with (
                self.subTest(values=values),
                self.assertRaisesRegex(ValidationError, "each another one"),
            ):
                self.site.sudo().write(values)
