"""Personal data have an end that nothing puts off; each test is one way to last."""

from odoo import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, FakeResponse, MatomoPosCommon, lose
from .common.privacy import SECRETS, PrivacyCommon

# The retention of 180 days and the 30 days after it are over.
END = "2026-10-02 10:00:00"


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestEndOfRetention(PrivacyCommon, MatomoPosCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.seller = cls.make_user("seller", "sales_team.group_sale_salesman")
        cls.seller.sudo().name = "Rareseller"
        cls.site.sudo().write({"salesperson_dimension": 3, "raw_data_days": 0})
        cls.people = cls.customer, cls.seller.partner_id

    def sell(self, **values):
        return super().sell(user_id=self.seller.id, **values)

    def lose_answer(self):
        """Send to a Matomo that records, loses its answer, and is away then."""
        self.matomo.faults = [lose, *[FakeResponse(503)] * 5]
        self.run_sender()
        self.matomo.faults = []

    def assertForgotten(self):
        """Assert that the person is in the database, and in no column at the end."""
        self.assertTrue(self.find_person(*self.people))
        with freeze_time(END):
            self.run_vacuum()
        self.assertEqual(self.find_person(*self.people), [])

    def test_search_finds_every_column(self):
        """The other tests mean something: the person is wherever one can be."""
        order = self.sell()
        self.sync(self.make_sale(partner_id=self.customer.id))
        self.run_sender()
        self.get_request(order).answer_text = "Rarebrowser"
        self.queue_cart()
        self.make_personal(order)
        sale = self.env["pos.order"].search([], limit=1)
        self.make_personal(sale)
        found = self.find_person(*self.people)
        own = [str(field) for field in self.get_our_columns()]
        for name in (
            *(f"sale.order.{name}" for name in SECRETS),
            *(f"pos.order.{name}" for name in SECRETS),
            *(
                f"matomo.request.{name}"
                for name in ("payload", "tracking_url", "partner_id", "answer_text")
            ),
            "matomo.cart.update.partner_id",
        ):
            self.assertIn(name, found)
            self.assertIn(name, own)
        self.get_request(order).unlink()
        self.env["matomo.cart.update"].sudo().search([]).unlink()

    def queue_cart(self, **values):
        """Return an update of a cart whose shopper agreed."""
        shop = self.env["website"].sudo()
        shop = shop.create({"name": "Shop", "company_id": self.company.id})
        shop.matomo_site_id = self.site
        cart = self.make_personal(self.make_order(website_id=shop.id))
        return (
            self.env["matomo.cart.update"]
            .sudo()
            .create(
                {
                    "sale_order_id": cart.id,
                    "company_id": self.company.id,
                    "site_id": self.site.id,
                    "changed_date": cart.date_order,
                    "payload": {"cip": SECRETS["matomo_ip_address"]},
                    **values,
                }
            )
        )

    def test_verified(self):
        order = self.sell()
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertForgotten()

    def test_archived_site(self):
        """Nobody sends to an archived site, nor reads it back."""
        self.sell()
        self.run_sender()
        self.sell()
        self.site.sudo().active = False
        self.assertForgotten()

    def test_copied_database(self):
        self.sell()
        self.run_sender()
        self.sell()
        self.site.sudo().database_uuid = "another"
        self.assertForgotten()

    @mute_logger(LOGGER)
    def test_revoked_token(self):
        order = self.sell()
        self.matomo.token = "another"
        self.run_sender()
        self.assertState(order, "pending")
        self.assertEqual(self.site.state, "error")
        self.assertForgotten()

    @mute_logger(LOGGER)
    def test_matomo_that_cannot_be_read(self):
        order = self.sell()
        self.run_sender()
        self.matomo.may_read = False
        self.run_verifier()
        self.assertState(order, "sent")
        self.assertForgotten()
        self.assertIn("Retrack", order.matomo_reason)

    @mute_logger(LOGGER)
    def test_lost_answer(self):
        """Matomo has the order, and nobody knows. It is not sent a second time."""
        order = self.sell()
        self.lose_answer()
        self.assertState(order, "pending")
        payload = self.get_request(order).payload
        self.assertForgotten()
        with freeze_time(END):
            self.site.sudo()._reset_health()
            self.run_sender()
            self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.orders), 1)
        self.assertEqual(self.get_request(order).payload["revenue"], payload["revenue"])
        self.assertEqual(self.find_person(*self.people), [])

    @mute_logger(LOGGER)
    def test_order_that_never_left(self):
        """It is sent in the end, as nobody's."""
        order = self.sell()
        self.site.sudo().token_auth = False
        self.run_sender()
        self.assertForgotten()
        with freeze_time(END):
            self.site.sudo().token_auth = self.matomo.token
            self.run_sender()
        self.assertRecorded(order, cip="0.0.0.0")
        self.assertNotIn("dimension3", self.recorded(order))
        self.assertEqual(self.find_person(*self.people), [])

    @mute_logger(LOGGER)
    def test_refused(self):
        self.matomo.refuses = lambda parameters: True
        order = self.sell()
        self.run_sender()
        self.assertState(order, "failed")
        self.assertForgotten()

    def test_orders_that_are_not_sent(self):
        """Their requests hold no payload, and yet the customer."""
        early = self.sell()
        self.get_request(early).unlink()
        early.date_order = "2025-12-01"
        early._matomo_track()
        self.end_transaction()
        self.assertState(early, "excluded")
        cancelled = self.sell()
        cancelled._action_cancel()
        self.run_sender()
        self.assertState(cancelled, "cancelled")
        self.company.sudo().matomo_site_id = False
        stray = self.sell()
        self.assertState(stray, "excluded")
        self.assertFalse(self.get_request(stray).site_id)
        self.assertForgotten()

    @mute_logger(LOGGER)
    def test_refund(self):
        self.site.sudo().track_refunds = True
        order = self.sell()
        self.run_sender()
        order._action_cancel()
        self.end_transaction()
        self.lose_answer()
        refund = order.sudo().matomo_request_ids - self.get_request(order)
        self.assertEqual(refund.state, "pending")
        self.assertForgotten()

    def test_carts(self):
        self.queue_cart()
        self.queue_cart(state="sent")
        self.site.sudo().active = False
        self.assertForgotten()

    def test_till_with_a_clock_of_its_own(self):
        """A till says that the sale is of the year 2126, and is given away."""
        sale = self.make_sale(partner_id=self.customer.id)
        order = self.make_personal(self.sync(sale))
        self.run_sender()
        order.sudo().date_order = "2126-03-03 10:00:00"
        self.get_request(order).order_date = order.date_order
        stamp = "2026-03-03 10:00:00"
        for table in ("pos_order", "matomo_request"):
            self.env.cr.execute(f"UPDATE {table} SET create_date = %s", [stamp])
        self.session.sudo().state = "closed"
        self.config.sudo().active = False
        self.assertForgotten()

    @mute_logger(LOGGER)
    def test_deletion_that_was_asked_for(self):
        """Matomo is gone; what a person asked for does not wait for the retention."""
        order = self.sell()
        self.lose_answer()
        self.erase(self.customer, self.make_manager())
        self.assertTrue(self.find_person())
        self.site.sudo().active = False
        with freeze_time("2026-04-03"):
            self.run_vacuum()
        self.assertEqual(self.traces(order), [])

    def test_site_that_keeps_for_ever(self):
        """A merchant may have a reason to keep: then nothing is deleted by age."""
        self.site.sudo().retention_days = 0
        order = self.sell()
        self.run_sender()
        with freeze_time("2036-01-01"):
            self.run_vacuum()
        self.assertTrue(self.traces(order))

    def test_anonymised_order_ids(self):
        """What was accepted there cannot be found any more: it is not sent again."""
        order = self.sell()
        self.run_sender()
        self.site.sudo().is_order_id_anonymised = True
        self.assertForgotten()
        with freeze_time(END):
            self.run_cron("ir_cron_verify")
            self.run_sender()
        self.assertState(order, "sent")
        self.assertEqual(len(self.matomo.bulks), 1)

    def test_several_sites(self):
        other = self.site.sudo().copy({"idsite": 2, "active": False})
        self.config.sudo().matomo_site_id = other
        self.customer.sudo().category_id = [Command.create({"name": "Regular"})]
        self.make_personal(self.sync(self.make_sale(partner_id=self.customer.id)))
        self.sell()
        self.assertForgotten()
