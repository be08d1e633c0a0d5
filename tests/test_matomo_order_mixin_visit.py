import requests

from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, VISITOR, MatomoPosCommon, lose

NOW = "2026-03-03 23:30:05"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestVisit(MatomoPosCommon):
    """What the visit of an order looks like in Matomo."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.sudo().timezone = "Europe/Brussels"

    def sell(self):
        return self.sync(self.make_sale(), user=self.cashier)

    def make_web_order(self, **values):
        """Return a confirmed web shop order."""
        website = self.env["website"].sudo().search([], limit=1).copy()
        website.write({"company_id": self.company.id, "matomo_site_id": self.site.id})
        order = self.make_order(website_id=website.id)
        order.sudo().write(values)
        return self.confirm(order)

    # === THE PAGE VIEW === #

    def test_orders_begin_their_visit_with_a_page_view(self):
        sale, desk, web = (
            self.sell(),
            self.confirm(self.make_order()),
            self.make_web_order(),
        )
        self.run_sender()
        views = {view["cid"]: view for view in self.matomo.page_views}
        self.assertEqual(len(self.matomo.page_views), 3)
        for order, title in (
            (sale, "Bakery"),
            (desk, "Sales order"),
            (web, "Web shop order"),
        ):
            recorded = self.recorded(order)
            view = views[recorded["cid"]]
            self.assertEqual(view["action_name"], title)
            self.assertLess(view.items(), recorded.items())
            self.assertIn(f"pv_id={view['pv_id']}", order.sudo().matomo_tracking_url)

    def test_the_shoppers_own_visit_gets_no_page_view(self):
        order = self.make_web_order(matomo_visitor_id=VISITOR)
        self.run_sender()
        self.assertRecorded(order, cid=VISITOR)
        self.assertFalse(self.matomo.page_views)
        self.assertNotIn("pv_id", self.recorded(order))

    def test_shopper_who_is_deleted_before_the_order_is_sent(self):
        """The order begins a visit of nobody."""
        order = self.make_web_order(
            matomo_visitor_id=VISITOR, matomo_ip_address="203.0.113.9"
        )
        self.erase(self.customer, self.make_manager())
        self.run_sender()
        (view,) = self.matomo.page_views
        self.assertEqual(view["cid"], self.recorded(order)["cid"])
        self.assertNotEqual(view["cid"], VISITOR)
        self.assertEqual(view["cip"], "0.0.0.0")

    def test_site_that_wants_no_page_views(self):
        self.site.sudo().send_page_views = False
        sale = self.sell()
        self.run_sender()
        self.assertState(sale, "sent")
        self.assertFalse(self.matomo.page_views)
        self.assertEqual(len(self.matomo.requests), 1)

    @mute_logger(LOGGER)
    def test_an_order_that_is_sent_again_gets_no_second_page_view(self):
        """Matomo records page views as often as they are sent."""
        sale = self.sell()
        # Matomo records neither the order nor answers the probe.
        self.matomo.faults = [requests.ConnectionError("reset")] * 2
        self.run_sender()
        self.assertState(sale, "pending")
        self.assertEqual(len(self.matomo.page_views), 1)
        with freeze_time("2026-03-04 02:00:00"):
            self.run_sender()
        self.assertState(sale, "sent")
        self.assertEqual(len(self.matomo.page_views), 1)

    @mute_logger(LOGGER)
    def test_page_view_whose_answer_is_lost(self):
        sale = self.sell()
        self.matomo.view_faults = [lose]
        self.run_sender()
        self.assertState(sale, "sent")
        self.assertEqual(len(self.matomo.page_views), 1)

    @mute_logger(LOGGER)
    def test_order_whose_id_is_taken_gets_no_second_page_view(self):
        sale = self.sell()
        self.plant(sale.pos_reference)
        self.run_sender()
        self.run_sender()
        self.assertState(sale, "sent")
        self.assertNotEqual(sale.matomo_order_ref, sale.pos_reference)
        self.assertEqual(len(self.matomo.page_views), 1)

    # === THE PLACE === #

    def place(self, order):
        self.run_sender()
        recorded = self.recorded(order)
        return [recorded.get(name) for name in ("country", "region", "city")]

    def test_orders_of_salespeople_are_where_the_customer_is(self):
        belgium, france = self.env.ref("base.be"), self.env.ref("base.fr")
        self.customer.write({"country_id": belgium.id, "city": "Gent"})
        delivery = self.env["res.partner"].create(
            {"name": "Home", "parent_id": self.customer.id, "type": "delivery"}
        )
        delivery.write({"country_id": france.id, "city": "Lille"})
        nowhere = [None] * 3
        self.assertEqual(self.place(self.confirm(self.make_order())), nowhere)
        self.site.sudo().place_customers = True
        order = self.confirm(self.make_order(partner_shipping_id=delivery.id))
        self.assertEqual(self.place(order), ["fr", None, "Lille"])
        self.assertEqual(self.place(self.make_web_order()), nowhere)

    def test_place_of_a_customer_is_deleted_with_their_data(self):
        self.site.sudo().place_customers = True
        self.customer.write({"country_id": self.env.ref("base.be").id, "city": "Gent"})
        sent = self.confirm(self.make_order())
        self.run_sender()
        waiting = self.confirm(self.make_order())
        self.erase(self.customer, self.make_manager())
        row = self.get_request(sent)
        self.run_verifier()
        self.env["matomo.request"].sudo()._gc_requests()
        for text in (str(row.payload), row.tracking_url):
            self.assertNotIn("Gent", text)
        self.assertEqual(self.place(waiting), [None] * 3)

    # === THE TIME === #

    def test_visit_is_at_the_time_of_the_shop(self):
        """Matomo would take the time of UTC for the visitor's."""
        sale = self.sell()
        self.run_sender()
        self.assertRecorded(sale, cdt=NOW, h="0", m="30", s="5")
