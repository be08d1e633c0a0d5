"""A manager deletes what is kept of a person, in Odoo and in Matomo."""

import json
import logging

import requests

from odoo.exceptions import AccessError, UserError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.matomo_order_tracking.const import SHOPPER_FIELDS

from .common import LOGGER, MODULE, FakeResponse, MatomoPosCommon
from .common.privacy import SECRETS, TRACES, VISITOR, PrivacyCommon

OTHER_VISITOR = "fedcba9876543210"


class ErasureCommon(PrivacyCommon, MatomoPosCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = cls.make_manager()
        cls.manager.group_ids += cls.env.ref("sales_team.group_sale_manager")

    def make_personal(self, order):
        """Return an order of a shopper who was not logged in.

        Matomo knows them by the visitor ID of their browser.
        """
        super().make_personal(order).sudo().matomo_user_id = False
        return order

    def open_wizard(self, records):
        action = records.with_user(self.manager).action_matomo_anonymize()
        return (
            self.env[action["res_model"]]
            .with_user(self.manager)
            .browse(action["res_id"])
        )

    def sell_verified(self, **values):
        order = self.sell(**values)
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        return order


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestErasure(ErasureCommon):
    def queue_cart(self, cart, **values):
        updates = self.env["matomo.cart.update"].sudo()
        return updates.create(
            {
                "sale_order_id": cart.id,
                "company_id": self.company.id,
                "site_id": self.site.id,
                "changed_date": cart.date_order,
                "payload": {
                    "cip": SECRETS["matomo_ip_address"],
                    "cid": VISITOR,
                },
                **values,
            }
        )

    # === WHO MAY === #

    def test_managers_only(self):
        order = self.sell()
        for groups in (f"{MODULE}.group_matomo_user", "sales_team.group_sale_manager"):
            user = self.make_user(
                groups.split(".")[1], f"{groups},sales_team.group_sale_manager"
            )
            for records in (order, self.customer):
                with self.assertRaises(AccessError):
                    records.with_user(user).action_matomo_anonymize()
            with self.assertRaises(AccessError):
                self.env["matomo.erasure"].with_user(user).create(
                    {"visitor_id": VISITOR}
                )

    def test_manager_of_another_company(self):
        """A wizard that is filled by RPC reaches no order of another company."""
        order = self.sell_verified()
        other = self.env["res.company"].sudo().create({"name": "Other"})
        self.manager.sudo().write({"company_ids": other.ids, "company_id": other.id})
        wizards = self.env["matomo.erasure"].with_user(self.manager)
        for values in (
            {"res_model": "sale.order", "res_ids": order.ids},
            {"res_model": "res.partner", "res_ids": self.customer.ids},
            {"visitor_id": VISITOR},
        ):
            wizard = wizards.create(values)
            self.assertEqual(wizard.order_count, 0)
            self.assertFalse(wizard.visitors)
            self.assertFalse(wizard.leaving)
            wizard.action_delete()
            self.assertTrue(self.traces(order))
            if values.get("res_ids"):
                self.assertIn("1 order is of a company", wizard.left_out)

    # === WHAT IS DELETED === #

    def test_cart_of_nobody(self):
        """A cart of the public user has no contact: the order has the action."""
        public = self.env.ref("base.public_partner")
        cart = self.make_personal(self.make_order(partner_id=public.id))
        update = self.queue_cart(cart)
        message = self.erase(cart, self.manager)
        self.assertFalse(update.exists())
        self.assertAnonymized(cart)
        self.assertIn("from the orders (1)", cart.message_ids[0].body)
        self.assertIn(VISITOR, message)

    def test_cart_of_a_browser_without_cookies(self):
        """It proposed its visitor ID, which Matomo takes where it knows no visit."""
        public = self.env.ref("base.public_partner")
        cart = self.make_order(partner_id=public.id)
        payload = {"cip": SECRETS["matomo_ip_address"], "_id": VISITOR}
        update = self.queue_cart(cart, payload=payload)
        self.assertIn(VISITOR, self.open_wizard(cart).visitors or "")
        message = self.erase(cart, self.manager)
        self.assertFalse(update.exists())
        self.assertIn(VISITOR, message)

    def test_cart_in_the_privacy_lookup(self):
        """Deleting the cart update there left the shopper on the cart."""
        cart = self.make_personal(self.make_order())
        update = self.queue_cart(cart)
        self.customer.sudo().email = "nora@example.com"
        wizard = (
            self.env["privacy.lookup.wizard"]
            .with_user(self.env.ref("base.user_admin"))
            .create({"name": self.customer.name, "email": "nora@example.com"})
        )
        wizard.action_lookup()
        lines = wizard.line_ids.grouped("res_model")
        lines["matomo.cart.update"].action_unlink_all()
        self.assertFalse(update.exists())
        self.assertAnonymized(cart)

    def test_visitor(self):
        """A person tells the ID in the cookie of the shop, and nothing else."""
        cart = self.make_personal(self.make_order())
        order = self.sell_verified()
        # The cookie was another one then.
        order.sudo().matomo_visitor_id = OTHER_VISITOR
        stranger = self.sell()
        stranger.sudo().matomo_visitor_id = OTHER_VISITOR
        self.run_sender()
        wizards = self.env["matomo.erasure"].with_user(self.manager)
        wizard = wizards.create({"visitor_id": f" {VISITOR.upper()}"})
        self.assertEqual(wizard.order_count, 2)
        wizard.action_delete()
        self.assertAnonymized(cart)
        self.assertAnonymized(order)
        self.assertTrue(self.traces(stranger))
        for entered in ("", "x", "%", VISITOR + "0"):
            wizard = wizards.create({"visitor_id": entered})
            self.assertEqual(wizard.order_count, 0)
            with self.assertRaises(UserError):
                wizard.action_delete()

    def test_known_customer_at_the_till(self):
        """A till sale that is not sent yet becomes a visitor of its own."""
        self.site.sudo().identify_customers = True
        known = self.sync(self.make_sale(partner_id=self.customer.id))
        self.run_sender()
        number = self.recorded(known)["cid"]
        waiting = self.sync(self.make_sale(partner_id=self.customer.id))
        retracked = self.sync(self.make_sale(partner_id=self.customer.id))
        swept = self.sync(self.make_sale(partner_id=self.customer.id))
        self.get_request(swept).unlink()
        self.erase(self.customer, self.manager)
        self.run_cron("ir_cron_sweep")
        retracked.action_matomo_retrack()
        self.run_sender()
        self.run_verifier()
        self.run_vacuum()
        for order in (waiting, retracked, swept):
            self.assertNotEqual(self.recorded(order)["cid"], number)
            self.assertFalse(self.get_request(order).partner_id)
        self.assertNotIn(number, str(self.find_payloads()))

    def test_customer_with_a_user_id(self):
        """Matomo knows whoever was logged in on a page, bought or not."""
        self.site.sudo().send_user_id = True
        sold = self.sync(self.make_sale(partner_id=self.customer.id))
        self.run_sender()
        waiting = self.sync(self.make_sale(partner_id=self.customer.id))
        user_id, visitor = self.recorded(sold)["uid"], self.recorded(sold)["cid"]
        stranger = self.customer.copy()
        self.assertNotIn(visitor, self.open_wizard(stranger).visitors or "")
        self.assertIn("Visitor ID", self.open_wizard(stranger).visitors)
        self.assertIn(visitor, self.open_wizard(self.customer).visitors)
        self.erase(self.customer, self.manager)
        self.run_sender()
        self.assertNotIn("uid", self.recorded(waiting))
        self.assertNotEqual(self.recorded(waiting)["cid"], visitor)
        self.run_verifier()
        self.run_vacuum()
        self.assertNotIn(user_id, str(self.find_payloads()))

    def test_customer_with_a_user_id_of_before(self):
        """Matomo goes on to know the user IDs of a setting that was switched off."""
        site = self.site.sudo().with_context(mail_notrack=False)
        site.send_user_id = True
        sold = self.sync(self.make_sale(partner_id=self.customer.id))
        self.run_sender()
        visitor = self.recorded(sold)["cid"]
        other = self.customer.copy()
        self.assertTrue(self.open_wizard(other).visitors)
        self.end_transaction()
        site.send_user_id = False
        self.end_transaction()
        self.assertIn("Visitor ID", self.open_wizard(other).visitors)
        self.assertIn(visitor, self.site.sudo()._get_visitor_ids_of(self.customer))
        self.site.sudo().message_ids.unlink()
        self.assertFalse(self.open_wizard(other).visitors)

    def test_customer_of_a_site_without_user_ids(self):
        self.assertFalse(self.open_wizard(self.customer.copy()).visitors)

    def find_payloads(self):
        self.env.flush_all()
        self.env.cr.execute("SELECT payload::text FROM matomo_request")
        return self.env.cr.fetchall()

    def test_customer_whose_order_is_judged_anew(self):
        """Tracking begins earlier: the sweep would note the erased customer anew."""
        order = self.sell()
        self.get_request(order).unlink()
        order.date_order = "2025-12-15"
        order._matomo_track()
        self.end_transaction()
        self.assertState(order, "excluded")
        self.erase(self.customer, self.manager)
        self.site.sudo().date_start = "2025-12-01"
        self.run_cron("ir_cron_sweep")
        self.run_cron("ir_cron_retrack")
        self.run_sender()
        self.assertRecorded(order, cip="0.0.0.0")
        self.assertFalse(self.get_request(order).partner_id)

    @mute_logger(LOGGER)
    def test_refund_of_the_till(self):
        """The event of a refund is sent with the visitor of its order."""
        self.site.sudo().write({"track_refunds": True, "identify_customers": True})
        order = self.sync(self.make_sale(partner_id=self.customer.id))
        self.run_sender()
        number = self.recorded(order)["cid"]
        order.sudo().matomo_request_ids._get_refunds_of([order])
        wizard = self.open_wizard(self.customer)
        self.assertIn(number, wizard.visitors)
        wizard.action_delete()
        line = order.lines
        back = self.make_sale(
            {
                "product_id": self.chair.id,
                "qty": -1,
                "refunded_orderline_id": line.id,
            },
        )
        self.sync(back)
        self.run_sender()
        self.assertEqual(len(self.matomo.events), 1)
        self.assertNotEqual(self.matomo.events[0]["cid"], number)

    def test_salesperson(self):
        """Who has left wants the name out of the log and of what waits."""
        self.site.sudo().write({"salesperson_dimension": 3, "channel_dimension": 1})
        seller = self.make_user("seller", "sales_team.group_sale_salesman")
        seller.sudo().name = "Rareseller"
        sent = self.sell(user_id=seller.id)
        till = self.sync(self.make_sale(user_id=seller.id))
        till.sudo().user_id = seller
        self.run_sender()
        self.run_verifier()
        waiting = self.sell(user_id=seller.id)
        export = seller.partner_id.with_user(self.manager)._export_matomo_data()
        self.assertEqual(
            {each["order"] for each in export["sold"]},
            {sent.name, till.pos_reference},
        )
        message = self.erase(seller.partner_id, self.manager)
        self.assertIn("custom dimension in Matomo keeps the name", message)
        self.run_sender()
        self.assertNotIn("Rareseller", str(self.find_payloads()))
        self.env.cr.execute("SELECT tracking_url FROM matomo_request")
        self.assertNotIn("Rareseller", str(self.env.cr.fetchall()))
        self.assertNotIn("dimension3", self.recorded(waiting))
        self.assertEqual(self.recorded(waiting)["dimension1"], "Salesperson")
        # The customer of what was sold is somebody else.
        self.assertEqual(
            self.get_request(sent).payload["cip"], SECRETS["matomo_ip_address"]
        )

    def test_user_who_is_deleted(self):
        self.site.sudo().salesperson_dimension = 3
        seller = self.make_user("seller", "sales_team.group_sale_salesman")
        seller.sudo().name = "Rareseller"
        self.sell(user_id=seller.id)
        self.run_sender()
        seller.sudo().unlink()
        self.assertNotIn("Rareseller", str(self.find_payloads()))

    @mute_logger(LOGGER)
    def test_salesperson_is_not_told_again(self):
        """What is built anew has the buyer, and the seller no more."""
        self.site.sudo().salesperson_dimension = 3
        seller = self.make_user("seller", "sales_team.group_sale_salesman")
        seller.sudo().name = "Rareseller"
        missing, waiting = self.sell(user_id=seller.id), self.sell(user_id=seller.id)
        cart = self.make_personal(self.make_order(user_id=seller.id))
        update = self.queue_cart(cart, state="sent")
        update.payload = {**update.payload, "dimension3": "Rareseller"}
        self.get_request(waiting).sudo().next_attempt_date = "2026-03-03 10:05:00"
        self.run_sender()
        self.assertEqual(self.recorded(missing)["dimension3"], "Rareseller")
        seller.sudo().name = "Seller, renamed"
        self.erase(seller.partner_id, self.manager)
        self.assertFalse(update.exists())
        self.assertNotIn("Rareseller", str(self.find_payloads()))
        self.matomo.orders.clear()
        self.get_request(missing).sudo()._rebuild()
        self.get_request(waiting).sudo().next_attempt_date = False
        self.run_sender()
        for order in (missing, waiting):
            recorded = self.recorded(order)
            self.assertNotIn("dimension3", recorded)
            self.assertEqual(recorded["cid"], VISITOR)

    def test_salesperson_of_what_a_till_takes_back(self):
        """The refund is the order of a colleague, and tells who sold."""
        self.site.sudo().write({"salesperson_dimension": 3, "track_refunds": True})
        seller = self.make_user("seller", "point_of_sale.group_pos_user")
        seller.sudo().name = "Rareseller"
        sale = self.sync(self.make_sale())
        sale.sudo().user_id = seller
        self.run_sender()
        line = {"product_id": self.chair.id, "qty": -1}
        self.sync(self.make_sale({**line, "refunded_orderline_id": sale.lines.id}))
        self.run_sender()
        (event,) = self.matomo.events
        self.assertEqual(event["dimension3"], "Rareseller")
        self.erase(seller.partner_id, self.manager)
        self.assertNotIn("Rareseller", str(self.find_payloads()))

    def test_buyer_outlives_a_seller_who_is_deleted(self):
        seller = self.make_user("seller", "sales_team.group_sale_salesman")
        order = self.sell(user_id=seller.id)
        seller.sudo().unlink()
        self.run_sender()
        self.assertEqual(self.recorded(order)["cid"], VISITOR)

    def test_log_file_has_no_salesperson(self):
        self.site.sudo().salesperson_dimension = 3
        self.env.user.sudo().name = "Rareseller"
        with self.assertLogs(f"odoo.addons.{MODULE}", level=logging.INFO) as logs:
            self.sell(user_id=self.env.user.id)
            self.run_sender()
        self.assertIn("Tracked ecommerce order", str(logs.output))
        self.assertNotIn("Rareseller", str(logs.output))

    @mute_logger(LOGGER)
    def test_what_is_on_its_way_is_said(self):
        sent = self.sell()
        self.run_sender()
        waiting = self.sell()
        self.matomo.faults = [requests.ConnectionError()] * 2
        self.run_sender()
        self.assertState(waiting, "pending")
        self.assertIn(VISITOR, self.traces(waiting))
        message = self.erase(self.customer, self.manager)
        self.assertIn("1 request is being read back", message)
        self.assertEqual(self.traces(sent), [VISITOR])
        # What is sent again gets another visitor at once.
        self.assertFalse(self.traces(waiting))

    def test_program_that_empties_contacts(self):
        """A synchronisation erases by a name and no e-mail; it must be seen."""
        order = self.sell()
        self.customer.sudo().write({"name": "Nora B.", "email": False})
        # There was no e-mail address to remove.
        self.assertTrue(self.traces(order))
        self.customer.sudo().write({"email": "nora@example.com"})
        with self.assertLogs(f"odoo.addons.{MODULE}", level=logging.INFO):
            self.customer.sudo().write({"name": "Anonymous", "email": False})
        self.assertAnonymized(order)
        self.assertIn("contact's orders (1)", self.customer.message_ids[0].body)

    def test_refund_of_an_order_to_be_forgotten(self):
        """The refund alone is erased: its event tells nobody, either."""
        self.site.sudo().track_refunds = True
        sale = self.sync(self.make_sale())
        sale.sudo().matomo_visitor_id = VISITOR
        self.run_sender()
        self.assertEqual(self.recorded(sale)["cid"], VISITOR)
        line = {"product_id": self.chair.id, "qty": -1}
        back = self.sync(
            self.make_sale({**line, "refunded_orderline_id": sale.lines.id})
        )
        back.sudo()._anonymize_matomo_data()
        self.run_sender()
        (event,) = self.matomo.events
        self.assertNotEqual(event["cid"], VISITOR)

    def test_contacts_that_a_manager_cannot_see(self):
        """A program may enter any numbers in the wizard."""
        other = self.env["res.company"].sudo().create({"name": "Other"})
        person = self.env["res.partner"].create({"name": "Unseen"})
        person.sudo().company_id = other
        erasures = self.env["matomo.erasure"].with_user(self.manager)
        values = {"res_model": "res.partner", "res_ids": person.ids}
        with self.assertRaises(AccessError):
            erasures.create(values).action_delete()

    # === WHO IS WHO === #

    def test_export_holds_one_person(self):
        """Colleagues, and the customers an order had before, are other people."""
        people = self.env["res.partner"]
        firm = people.create({"name": "Firm", "is_company": True})
        nora, paul = people.create(
            [{"name": name, "parent_id": firm.id} for name in ("Nora", "Paul")]
        )
        door = people.create({"name": "Door", "parent_id": nora.id, "type": "delivery"})
        hers = self.sell(partner_id=door.id)
        passed_on = self.sell(partner_id=nora.id)
        cart = self.make_personal(self.make_order(partner_id=nora.id))
        self.queue_cart(cart)
        self.run_sender()
        (passed_on + cart).partner_id = paul
        self.end_transaction()
        for person, expected in (
            (nora, {hers.name: True, passed_on.name: True, cart.name: True}),
            (paul, {passed_on.name: False, cart.name: False}),
            (firm, {}),
        ):
            data = person.with_user(self.manager)._export_matomo_data()
            found = {
                each["order"]: any(
                    trace in json.dumps(each, default=str) for trace in TRACES
                )
                for each in data["sale.order"]
            }
            self.assertEqual(found, expected, person.name)
        self.assertIn("people of their own", str(data["left_out"]))
        self.assertIn("Paul", str(data["left_out"]))
        for name in set(SHOPPER_FIELDS) - {"matomo_user_id"}:
            self.assertTrue(hers.sudo()[name])

    def test_erasing_ones_cart_that_became_anothers(self):
        cart = self.make_personal(self.make_order())
        self.queue_cart(cart)
        cart.partner_id = self.env["res.partner"].create({"name": "Paula"})
        self.erase(self.customer, self.manager)
        self.assertAnonymized(cart)


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestErasureInMatomo(ErasureCommon):
    def delete_in_matomo(self, wizard, token):
        """Press the button as the web client does: it saves before."""
        wizard.web_save({"matomo_admin_token_auth": token}, {})
        self.env.flush_all()
        with (
            self.enter_registry_test_mode(),
            self.registry.cursor() as cr,
        ):
            env = wizard.env(cr=cr)
            wizard = wizard.with_env(env).with_context(matomo_admin_token_auth=token)
            message = wizard.action_delete_in_matomo()["params"]["message"]
        self.env.invalidate_all()
        return message

    @mute_logger(LOGGER)
    def test_with_a_token_for_this_once(self):
        order = self.sell_verified()
        before = dict(self.recorded(order))
        other = self.make_order(partner_id=self.customer.copy({"name": "Other"}).id)
        self.confirm(other)
        self.run_sender()
        wizard = self.open_wizard(self.customer)
        self.assertEqual(wizard.site_id, self.site)
        self.assertIn(order.name, wizard.leaving)
        self.assertNotIn(other.name, wizard.leaving)
        self.assertIn("Sent again anonymously, with their own time: 1.", wizard.leaving)
        message = self.delete_in_matomo(wizard, self.matomo.admin_token)
        self.assertIn("1 visit was deleted in Matomo", message)
        self.assertNotIn("GDPR Tools", message)
        self.assertFalse(self.recorded(order))
        self.assertTrue(self.recorded(other))
        self.assertAnonymized(order)
        self.assertIn("1 visit was", self.customer.message_ids[0].body)
        # It comes back of nobody, at its own time.
        self.run_verifier()
        self.run_sender()
        now = self.recorded(order)
        self.assertFalse([trace for trace in TRACES if trace in str(now)])
        for name in ("revenue", "ec_items", "cdt", "ec_id"):
            self.assertEqual(now[name], before[name])
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.orders), 2)

    @mute_logger(LOGGER)
    def test_visitor_with_a_token(self):
        """The menu asks for a visitor; the token is entered together with it."""
        order = self.sell_verified()
        action = self.env.ref(f"{MODULE}.matomo_erasure_action")
        answer = action.with_user(self.manager).run()
        wizard = self.env["matomo.erasure"].with_user(self.manager)
        wizard = wizard.browse(answer["res_id"])
        entered = {"visitor_id": VISITOR, "site_id": self.site.id}
        wizard.web_save(entered, {})
        message = self.delete_in_matomo(wizard, self.matomo.admin_token)
        self.assertIn("1 visit was deleted in Matomo", message)
        self.assertFalse(self.recorded(order))
        self.assertAnonymized(order)
        self.assertIn("1 visit was", order.message_ids[0].body)

    def test_token_is_stored_nowhere(self):
        self.sell_verified()
        wizard = self.open_wizard(self.customer)
        with self.assertLogs(level=logging.DEBUG) as logs:
            for token in ("canary" + "0" * 26, self.matomo.admin_token):
                try:
                    message = self.delete_in_matomo(wizard, token)
                except UserError as error:
                    message = str(error)
                    self.assertNotIn("0" * 26, message)
        self.assertNotIn(self.matomo.admin_token, message)
        text = "\n".join(line for line in logs.output if "odoo.addons.matomo" in line)
        self.env.cr.execute("SELECT to_jsonb(w)::text FROM matomo_erasure w")
        text += str(self.env.cr.fetchall())
        self.env.cr.execute("SELECT body FROM mail_message")
        text += str(self.env.cr.fetchall())
        for token in ("0" * 26, self.matomo.admin_token):
            self.assertNotIn(token, text)
        for sent in self.matomo.requests:
            self.assertNotIn(self.matomo.admin_token, sent["url"])

    def test_matomo_refuses(self):
        """Nothing is deleted in Odoo, so that it can be tried again."""
        order = self.sell_verified()
        wizard = self.open_wizard(self.customer)
        for token, sentence in (
            (self.matomo.token, "requires 'admin' access"),
            ("", "enter the token"),
        ):
            with self.assertRaisesRegex(UserError, sentence):
                self.delete_in_matomo(wizard, token)
        self.matomo.has_profiles = False
        with self.assertRaisesRegex(UserError, "visits log"):
            self.delete_in_matomo(wizard, self.matomo.admin_token)
        self.matomo.has_profiles = True
        for fault in (FakeResponse(503), FakeResponse(200, b"<html>")):
            self.matomo.faults = [fault]
            with self.assertRaises(UserError):
                self.delete_in_matomo(wizard, self.matomo.admin_token)
        self.assertTrue(self.traces(order))
        self.assertTrue(self.recorded(order))

    def test_token_goes_to_one_matomo(self):
        """The other Matomo, of another operator perhaps, must not get it."""
        order = self.sell_verified()
        other = self.site.sudo().copy(
            {"url": "https://other.example.com/", "token_auth": self.matomo.token}
        )
        other.facts_date = "2026-03-03"
        self.config.sudo().matomo_site_id = other
        sale = self.sync(self.make_sale(partner_id=self.customer.id))
        self.run_sender()
        self.matomo.requests.clear()
        wizard = self.open_wizard(self.customer)
        wizard.site_id = self.site
        message = self.delete_in_matomo(wizard, self.matomo.admin_token)
        for sent in self.matomo.requests:
            self.assertTrue(sent["url"].startswith("https://matomo.example.com/"))
        # What remains is named.
        self.assertIn("other.example.com", message)
        self.assertIn(sale.pos_reference, message)
        self.assertNotIn(order.name, message)

    def test_silent_copy_asks_nobody(self):
        self.sell_verified()
        wizard = self.open_wizard(self.customer)
        self.site.sudo().database_uuid = "another"
        self.matomo.requests.clear()
        with self.assertRaisesRegex(UserError, "copy"):
            self.delete_in_matomo(wizard, self.matomo.admin_token)
        self.assertFalse(self.matomo.requests)

    def test_what_cannot_come_back_is_said(self):
        order = self.sell_verified()
        self.site.sudo().is_order_id_anonymised = True
        wizard = self.open_wizard(self.customer)
        self.assertIn(
            "These are not sent again, because nobody can see", wizard.leaving
        )
        self.assertTrue(order)
