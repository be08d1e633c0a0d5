"""Personal data: how long they are kept, how they are removed, who may export them."""

import logging

from odoo.exceptions import AccessError
from odoo.tests import HttpCase, freeze_time, tagged
from odoo.tools import SQL, mute_logger

from odoo.addons.matomo_order_tracking.const import SHOPPER_FIELDS
from odoo.addons.matomo_order_tracking.matomo_api.privacy import ANONYMIZED, PERSONAL
from odoo.addons.matomo_order_tracking.matomo_api.tracking import (
    get_visitor_id_of_user,
)

from .common import (
    LOGGER,
    MODULE,
    AmountsCommon,
    FakeResponse,
    MatomoPosCommon,
    ShopperCommon,
)
from .common.privacy import SECRETS, TRACES, VISITOR, PrivacyCommon

# So many orders that PostgreSQL does not read all of them by choice.
HISTORY = 2000


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestRetention(PrivacyCommon, MatomoPosCommon):
    def sell_and_send(self, **values):
        order = self.sell(**values)
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        return order

    def test_person_is_anonymized_and_the_sale_stays(self):
        order = self.sell_and_send()
        before = self.get_request(order).read(
            ["revenue", "order_ref", "state", "sent_date"]
        )
        payload = self.get_request(order).payload
        stamp = order.write_date
        messages = order.message_ids
        self.assertEqual(self.traces(order), list(TRACES))
        with freeze_time("2026-09-15"):
            self.run_vacuum()
        self.assertAnonymized(order)
        request = self.get_request(order)
        self.assertEqual(
            request.read(["revenue", "order_ref", "state", "sent_date"]), before
        )
        self.assertEqual(request.payload["revenue"], payload["revenue"])
        self.assertEqual(request.payload["ec_items"], payload["ec_items"])
        told = {*PERSONAL} & payload.keys()
        self.assertLessEqual({"cip", "cid", "ua", "lang", "_rcn", "_ref"}, told)
        for name in told:
            self.assertEqual(request.payload[name], ANONYMIZED)
            self.assertIn(f"{name}={ANONYMIZED}", request.tracking_url)
        self.assertTrue(order.matomo_tracking_url.endswith("token_auth=XYZANONYMIZED"))
        self.assertFalse(order.sudo().matomo_consent_info)
        self.assertState(order, "verified")
        self.assertEqual(order.write_date, stamp)
        self.assertEqual(order.message_ids, messages)

    def queue_cart(self):
        """Queue an update of a cart whose shopper agreed."""
        shop = self.env["website"].sudo()
        shop = shop.create({"name": "Shop", "company_id": self.company.id})
        shop.matomo_site_id = self.site
        cart = self.make_personal(self.make_order(website_id=shop.id))
        self.env["matomo.cart.update"].sudo().create(
            {
                "sale_order_id": cart.id,
                "company_id": self.company.id,
                "site_id": self.site.id,
                "changed_date": cart.date_order,
            }
        )

    def test_log_of_odoo_keeps_nobody(self):
        """Odoo's log files have no retention: they must not name the shopper."""
        self.site.sudo().track_refunds = True
        with self.assertLogs(f"odoo.addons.{MODULE}", level=logging.DEBUG) as logs:
            order = self.sell_and_send()
            order.action_cancel()
            self.end_transaction()
            self.run_sender()
            self.queue_cart()
            with freeze_time("2026-03-03 12:00:00"):
                self.run_sender()
        text = "\n".join(logs.output)
        for line in ("order", "cart update"):
            self.assertRegex(text, f"Tracked ecommerce {line}.*URL was https.*revenue=")
        self.assertRegex(text, "Tracked refund.*URL was https")
        self.assertIn("token_auth=XYZANONYMIZED", text)
        self.assertFalse([trace for trace in TRACES if trace in text])

    def test_till_sale_is_anonymized(self):
        order = self.make_personal(self.sync(self.make_sale()))
        self.run_sender()
        self.run_verifier()
        self.assertTrue(self.traces(order))
        with freeze_time("2026-09-15"):
            self.run_vacuum()
        self.assertAnonymized(order)

    def test_each_site_has_its_time(self):
        order = self.sell_and_send()
        for days, day, is_kept in (
            (180, "2026-08-30", True),
            (0, "2036-01-01", True),
            (30, "2026-04-01", True),
            (30, "2026-04-03", False),
        ):
            self.site.sudo().retention_days = days
            with freeze_time(day):
                self.run_vacuum()
            self.assertEqual(bool(self.traces(order)), is_kept, (days, day))

    def test_carts_and_orders_of_no_site_are_anonymized(self):
        cart = self.make_personal(self.make_order())
        stray = self.make_personal(self.make_order(date_order="2025-01-01"))
        stray.sudo().company_id = self.env["res.company"].sudo().create({"name": "X"})
        with freeze_time("2026-08-30"):
            self.run_vacuum()
        self.assertTrue(self.traces(cart))
        self.assertAnonymized(stray)
        with freeze_time("2026-09-15"):
            self.run_vacuum()
        self.assertAnonymized(cart)

    @mute_logger(LOGGER)
    def test_what_waits_is_kept_until_it_is_over(self):
        self.site.sudo().raw_data_days = 0
        self.matomo.faults = [FakeResponse(503)] * 2
        order = self.sell()
        self.run_sender()
        self.assertState(order, "pending")
        payload = self.get_request(order).payload
        with freeze_time("2026-09-15"):
            self.run_vacuum()
            self.assertEqual(self.get_request(order).payload, payload)
            self.site.sudo()._reset_health()
            self.run_sender()
            # The verifier needs the visitor, too.
            self.run_vacuum()
            self.assertTrue(self.traces(order))
            self.run_verifier()
            self.assertState(order, "verified")
            self.run_vacuum()
        self.assertAnonymized(order)
        self.assertEqual(len(self.matomo.orders), 1)

    @mute_logger(LOGGER)
    def test_anonymized_order_is_found_again_and_never_doubled(self):
        self.site.sudo().retention_days = 30
        order = self.sell_and_send()
        with freeze_time("2026-05-01"):
            self.run_vacuum()
            order.action_matomo_retrack()
            self.run_verifier()
            self.assertState(order, "verified")
            # Matomo has lost it: it is built anew, of nobody.
            recorded = self.matomo.orders.popitem()
            order.action_matomo_retrack()
            self.run_verifier()
            self.run_sender()
            self.assertRecorded(order, cip="0.0.0.0", revenue=recorded[1]["revenue"])
            self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.orders), 1)

    @mute_logger(LOGGER)
    def test_failed_order_is_built_anew(self):
        self.site.sudo().retention_days = 30
        self.matomo.refuses = lambda parameters: True
        order = self.sell()
        self.run_sender()
        self.assertState(order, "failed")
        with freeze_time("2026-05-01"):
            self.run_vacuum()
            self.assertAnonymized(order)
            self.matomo.refuses = lambda parameters: False
            order.action_matomo_retrack()
            self.run_sender()
            self.run_verifier()
        self.assertState(order, "verified")
        self.assertRecorded(order, cip="0.0.0.0")

    def test_order_that_cannot_be_traced_is_not_sent_again(self):
        self.site.sudo().retention_days = 30
        order = self.sell_and_send()
        self.site.sudo().is_order_id_anonymised = True
        with freeze_time("2026-05-01"):
            self.run_vacuum()
            answer = order.action_matomo_retrack()
            self.assertIn("cannot be looked for", answer["params"]["message"])
            self.run_verifier()
            self.run_sender()
        self.assertEqual(len(self.matomo.bulks), 1)


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestHistory(PrivacyCommon, AmountsCommon):
    def make_history(self):
        """Make many orders: some whose personal data are deleted, others recent."""
        order = self.sell()
        sale = self.make_personal(self.sync(self.make_sale()))
        self.run_sender()
        self.run_verifier()
        request = self.get_request(order)
        orders, sales = (
            self.clone_orders(order, HISTORY),
            self.clone_sales(sale, HISTORY),
        )
        for each in (orders, sales):
            each.sudo()._anonymize_matomo_shopper()
        self._clone_rows(
            request,
            HISTORY,
            sale_order_id=f"{orders[0].id} + n - 1",
            order_ref="t.order_ref || '-' || n",
            order_ref_key="t.order_ref_key || '-' || n",
            order_date="CASE WHEN n % 2 = 0 THEN t.order_date ELSE '2026-09-01' END",
            is_anonymized="n % 2 = 0",
        )
        for records in (orders, sales, request):
            # It is undone with the transaction, like all statistics of its own.
            self.env.cr.execute(SQL("ANALYZE %s", SQL.identifier(records._table)))

    def test_queries_walk_no_history(self):
        """The queries of the autovacuum read only what is left to do.

        Small tables made PostgreSQL choose by chance: it was told by its statistics, at
        times, that another index is as good.
        """
        self.make_history()
        plans = []
        execute = type(self.env.cr).execute

        def explain(cr, query, *args, **kwargs):
            text = getattr(query, "code", query)
            if "SELECT" in text and ("num_nonnulls" in text or "is_anonymized" in text):
                execute(cr, "EXPLAIN " + cr.mogrify(query).decode())
                plans.append("\n".join(line for (line,) in cr.fetchall()))
            return execute(cr, query, *args, **kwargs)

        self.patch(type(self.env.cr), "execute", explain)
        with freeze_time("2026-09-15"):
            self.run_vacuum()
        for index in (
            "sale_order_matomo_personal_index",
            "pos_order_matomo_personal_index",
            "matomo_request_details_index",
            "matomo_request_to_anonymize_index",
        ):
            with self.subTest(index=index):
                self.assertTrue(
                    [plan for plan in plans if index in plan], "\n\n".join(plans)
                )


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestAnonymization(PrivacyCommon, MatomoPosCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.customer.sudo().write({"email": "nora@example.com"})

    def look_up(self, customer=None):
        """Run Odoo's privacy lookup of a customer. Return its lines by model."""
        customer = customer or self.customer
        wizard = (
            self.env["privacy.lookup.wizard"]
            .with_user(self.env.ref("base.user_admin"))
            .create({"name": customer.name, "email": customer.email})
        )
        wizard.action_lookup()
        return wizard.line_ids.grouped("res_model")

    def test_privacy_lookup_finds_and_anonymizes(self):
        order = self.sell()
        self.run_sender()
        self.run_verifier()
        lines = self.look_up()
        self.assertEqual(lines["sale.order"].mapped("res_id"), order.ids)
        self.assertEqual(
            lines["matomo.request"].mapped("res_id"), self.get_request(order).ids
        )
        lines["matomo.request"].action_unlink_all()
        self.assertAnonymized(order)
        self.assertState(order, "verified")
        self.assertNotIn("matomo.request", self.look_up())
        self.run_cron("ir_cron_sweep")
        self.run_sender()
        self.assertEqual(len(self.matomo.bulks), 1)

    def test_waiting_order_is_sent_as_nobodys(self):
        order = self.sell()
        self.look_up()["matomo.request"].action_unlink_all()
        self.assertAnonymized(order)
        self.run_cron("ir_cron_sweep")
        self.run_sender()
        self.assertRecorded(order, cip="0.0.0.0")
        for trace in TRACES:
            self.assertNotIn(trace, str(self.matomo.bulks))

    @mute_logger(LOGGER)
    def test_order_that_may_be_there_is_sent_again_as_nobodys(self):
        """It was sent again with the visitor of a person whose data were deleted."""
        self.matomo.faults = [FakeResponse(503)] * 2
        order = self.sell()
        self.run_sender()
        self.look_up()["matomo.request"].action_unlink_all()
        self.assertFalse(self.traces(order))
        self.matomo.bulks.clear()
        self.site.sudo()._reset_health()
        self.run_sender()
        self.assertRecorded(order, cip="0.0.0.0")
        self.assertNotIn("Rare", str(self.matomo.bulks))
        self.assertNotIn(VISITOR, str(self.matomo.bulks))
        self.run_verifier()
        self.run_vacuum()
        self.assertState(order, "verified")
        self.assertAnonymized(order)

    def test_deleted_order_to_anonymize(self):
        quotation = self.make_personal(self.make_order())
        self.look_up()["sale.order"].action_unlink_all()
        self.assertFalse(quotation.exists())

    def change_customer(self, order):
        """Give an order another customer. Return that customer."""
        other = self.customer.copy({"name": "Paula", "email": "paula@example.com"})
        order.partner_id = other
        self.end_transaction()
        return other

    def test_lookup_finds_who_was_and_who_is_the_customer(self):
        for sell in (self.sell, self.sell_at_till):
            order = sell()
            self.run_sender()
            self.run_verifier()
            requests = order.sudo().matomo_request_ids
            both = self.customer + self.change_customer(order)
            for partner in both:
                lines = self.look_up(partner)
                found = lines["matomo.request"].filtered(
                    lambda line, requests=requests: line.res_id in requests.ids
                )
                self.assertEqual(sorted(found.mapped("res_id")), sorted(requests.ids))
                self.assertTrue(self.traces(order))
            lines["matomo.request"].action_unlink_all()
            self.assertAnonymized(order)
            self.assertState(order, "verified")
            for partner in both:
                self.assertNotIn("matomo.request", self.look_up(partner))

    def sell_at_till(self):
        return self.make_personal(
            self.sync(self.make_sale(partner_id=self.customer.id))
        )

    def test_cart_is_found_by_whose_order_it_became(self):
        public = self.env.ref("base.public_partner")
        cart = self.make_personal(self.make_order(partner_id=public.id))
        updates = self.env["matomo.cart.update"].sudo()
        update = updates.create(
            {
                "state": "sent",
                "company_id": self.company.id,
                "site_id": self.site.id,
                "sale_order_id": cart.id,
                "changed_date": cart.date_order,
                "payload": {"cip": SECRETS["matomo_ip_address"]},
            }
        )
        cart.partner_id = self.customer
        self.end_transaction()
        self.assertEqual(update.partner_id, public)
        lines = self.look_up()
        self.assertEqual(lines["matomo.cart.update"].mapped("res_id"), update.ids)
        lines["matomo.cart.update"].action_unlink_all()
        self.assertFalse(update.exists())

    def test_manager_asks_for_who_was_and_who_is_the_customer(self):
        manager = self.make_manager()
        for sell in (self.sell, self.sell_at_till):
            for is_old in (True, False):
                order = sell()
                self.run_sender()
                self.run_verifier()
                other = self.change_customer(order)
                asked = (self.customer if is_old else other).with_user(manager)
                exported = asked._export_matomo_data()[order._name]
                (data,) = [each for each in exported if each["order"] == order.name]
                # Whoever bought, and nobody else, learns what is known of the shopper.
                found = [trace for trace in TRACES if trace in str(data)]
                self.assertEqual(found, list(TRACES) if is_old else [])
                self.erase(asked, manager)
                self.assertAnonymized(order)

    def test_anonymised_customer_of_before_to_anonymize(self):
        order = self.sell()
        self.change_customer(order)
        self.customer.sudo().write({"name": "Anonymous", "email": False})
        self.assertAnonymized(order)

    def test_merged_customers_are_one(self):
        order = self.sell()
        twin = self.customer.sudo().copy({"name": "N. Shopper"})
        merge = self.env["base.partner.merge.automatic.wizard"].sudo()
        merge._merge((self.customer + twin).ids, twin)
        self.env.invalidate_all()
        self.assertFalse(self.customer.exists())
        self.assertEqual(self.get_request(order).partner_id, twin)
        lines = self.look_up(twin)
        self.assertEqual(
            lines["matomo.request"].mapped("res_id"), self.get_request(order).ids
        )
        self.assertTrue(self.traces(order))
        self.erase(twin, self.make_manager())
        self.assertAnonymized(order)

    def test_till_sale_to_anonymize_and_handed_out(self):
        order = self.sync(self.make_sale(partner_id=self.customer.id))
        self.make_personal(order)
        self.run_sender()
        self.run_verifier()
        customer = self.customer.with_user(self.make_manager())
        (exported,) = customer._export_matomo_data()["pos.order"]
        for name in SHOPPER_FIELDS:
            self.assertEqual(exported[name], SECRETS[name])
        visitor = get_visitor_id_of_user(SECRETS["matomo_user_id"])
        self.assertEqual(exported["requests"][0]["payload"]["cid"], visitor)
        self.erase(customer, customer.env.user)
        self.assertAnonymized(order)
        self.assertState(order, "verified")

    def test_anonymised_customer_to_anonymize(self):
        order = self.sell()
        self.run_sender()
        self.run_verifier()
        self.customer.sudo().write({"name": "Nora B. Shopper"})
        self.customer.sudo().write({"name": "Nora", "email": "nora@example.org"})
        self.assertTrue(self.traces(order))
        self.customer.sudo().write({"name": "Anonymous", "email": False})
        self.assertAnonymized(order)

    def test_deleted_portal_account_to_anonymize(self):
        user = self.make_user("nora", "base.group_portal")
        order = self.sell(partner_id=user.partner_id.id)
        self.run_sender()
        self.run_verifier()
        user.with_user(user).sudo()._deactivate_portal_user()
        self.assertFalse(user.active)
        self.assertAnonymized(order)

    def test_manager_anonymizes_at_a_click(self):
        order = self.sell()
        self.run_sender()
        self.run_verifier()
        action = self.env.ref(f"{MODULE}.ir_actions_server_partner_anonymize")
        context = {"active_model": "res.partner", "active_ids": self.customer.ids}
        with self.assertRaises(AccessError):
            action.with_user(self.env.user).with_context(**context).run()
        self.assertTrue(self.traces(order))
        manager = self.make_manager()
        answer = action.with_user(manager).with_context(**context).run()
        wizard = self.env["matomo.erasure"].with_user(manager)
        wizard = wizard.browse(answer["res_id"])
        # It asks first, and says how many orders, and whom to delete in Matomo.
        self.assertTrue(self.traces(order))
        self.assertEqual(wizard.order_count, 1)
        self.assertIn(VISITOR, wizard.visitors)
        self.assertIn(order.name, wizard.visitors)
        self.assertIn(
            f"these orders leave its reports (1, $\xa0115.00): {order.name}",
            wizard.leaving,
        )
        done = wizard.action_delete()["params"]["message"]
        self.assertAnonymized(order)
        self.assertIn(VISITOR, done)
        trace = self.customer.sudo().message_ids[0]
        self.assertIn("from the orders (1)", trace.body)
        self.assertEqual(trace.author_id, manager.partner_id)
        self.assertNotIn(VISITOR, trace.body)

    def test_others_are_not_anonymized(self):
        order = self.sell()
        other = self.env["res.partner"].create({"name": "Other", "email": "o@o.com"})
        other.write({"name": "Anonymous", "email": False})
        self.assertTrue(self.traces(order))


@tagged("post_install", "-at_install")
class TestExport(PrivacyCommon, HttpCase):
    def setUp(self):
        super().setUp()
        self.order = self.sell()
        self.url = f"/matomo_order_tracking/partner/{self.customer.id}"

    def log_in(self, user):
        user.sudo().password = user.login
        self.authenticate(user.login, user.login)

    def test_manager_downloads_all_there_is(self):
        address = self.env["res.partner"].create(
            {"name": "Door", "parent_id": self.customer.id, "type": "delivery"}
        )
        self.make_personal(self.make_order(partner_id=address.id))
        manager = self.make_manager()
        action = self.customer.with_user(manager).action_matomo_export()
        self.assertEqual(action["url"], self.url)
        self.log_in(manager)
        answer = self.url_open(self.url)
        self.assertIn("attachment", answer.headers["Content-Disposition"])
        data = answer.json()
        self.assertEqual(data["customer"], "Nora Shopper")
        quotation, order = sorted(data["sale.order"], key=lambda o: len(o["requests"]))
        self.assertEqual(order["order"], self.order.name)
        self.assertEqual(order["matomo_consent_info"]["source"], "cookie_bar")
        self.assertEqual(order["requests"][0]["state"], "pending")
        for exported in (order, quotation):
            for name in SHOPPER_FIELDS:
                self.assertEqual(exported[name], SECRETS[name])

    @mute_logger("odoo.http")
    def test_nobody_else_does(self):
        portal = self.make_user("portal", "base.group_portal")
        portal.sudo().partner_id.parent_id = self.customer
        for user in (
            portal,
            self.make_user("matomo_user", f"{MODULE}.group_matomo_user"),
            self.make_user("sales", "sales_team.group_sale_salesman_all_leads"),
        ):
            self.log_in(user)
            answer = self.url_open(self.url)
            self.assertNotIn("Rare", answer.text)
            self.assertGreaterEqual(answer.status_code, 400)
            with self.assertRaises(AccessError):
                self.customer.with_user(user).action_matomo_export()
        self.authenticate(None, None)
        self.assertNotIn("Rare", self.url_open(self.url).text)

    @mute_logger("odoo.http")
    def test_hostile_addresses(self):
        self.log_in(self.make_manager())
        for customer in ("0", "x", "999999999", "1 OR 1=1", "1;1", "9" * 30):
            answer = self.url_open(f"/matomo_order_tracking/partner/{customer}")
            self.assertEqual(answer.status_code, 404, customer)
            self.assertNotIn("Rare", answer.text)
        answer = self.url_open(self.url, data={"a": "form"})
        self.assertEqual(answer.status_code, 405)

    def test_orders_of_other_companies_are_not_the_managers(self):
        other = self.env["res.company"].sudo().create({"name": "Other"})
        manager = self.make_manager()
        manager.sudo().write({"company_ids": other.ids, "company_id": other.id})
        data = self.customer.with_user(manager)._export_matomo_data()
        self.assertFalse(data["sale.order"])
        message = self.erase(self.customer, manager)
        self.assertTrue(self.traces(self.order))
        self.assertIn("1 order is of a company that you have no access to", message)
        self.assertIn("no access to", self.customer.message_ids[0].body)
        self.assertIn("no access to", str(data["left_out"]))


@tagged("post_install", "-at_install")
class TestShortenedAddress(ShopperCommon):
    def test_address_is_shortened_before_it_is_stored(self):
        self.site.sudo().ip_mask = "2"
        self.accept_cookies()
        cart = self.add(self.chair)
        self.assertEqual(cart.matomo_ip_address, "127.0.0.0")
        self.confirm(cart)
        self.run_sender()
        self.assertRecorded(cart, cip="127.0.0.0")
