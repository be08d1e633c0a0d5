from contextlib import nullcontext
from uuid import uuid4

from odoo import Command, fields
from odoo.tests import HttpCase, freeze_time, tagged

from .common import MatomoPosCommon

STRANGER = {"X-Forwarded-For": "203.0.113.77", "User-Agent": "Mozilla/5.0 (Phone)"}


@tagged("post_install", "-at_install")
class TestPosSelfOrder(MatomoPosCommon, HttpCase):
    """POS orders that customers enter at a kiosk or on their phone."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The name belongs to the browser's session from here on.
        cls.session = None
        bank = cls.company_data["default_journal_bank"]
        cls.card = cls.cash.copy({"name": "Card", "journal_id": bank.id})
        # Only an accountant sets up a way to pay online.
        cls.provider = cls.env.ref("payment.payment_provider_demo").sudo()
        cls.provider = cls.provider.copy({"company_id": cls.company.id})
        cls.method = cls.provider.env["payment.method"].search([("code", "=", "demo")])
        cls.provider.write(
            {
                "state": "test",
                "is_published": True,
                "payment_method_ids": [Command.set(cls.method.ids)],
                "journal_id": bank.id,
            }
        )
        cls.online = cls.env["pos.payment.method"].create(
            {
                "name": "Online",
                "is_online_payment": True,
                "company_id": cls.company.id,
                "online_payment_provider_ids": [Command.set(cls.provider.ids)],
            }
        )
        cls.kiosk = cls.env["pos.config"].create(
            {
                "name": "Kiosk",
                "company_id": cls.company.id,
                "payment_method_ids": [Command.set((cls.card + cls.online).ids)],
                "matomo_site_id": cls.site.id,
                "self_ordering_mode": "kiosk",
                "self_ordering_default_user_id": cls.cashier.id,
                "use_presets": False,
            }
        )
        cls.kiosk.open_ui()
        cls.kiosk.current_session_id.set_opening_control(0, None)

    def enter_registry_test_mode(self):
        """Do nothing: an ``HttpCase`` has entered the test mode already."""
        return nullcontext()

    def ask(self, method, path, **options):
        """Send a request without a session. Return the answer."""
        # Not by `post`, where the tests' network to Matomo ends.
        response = self.opener.request(
            method, self.base_url() + path, headers=STRANGER, timeout=60, **options
        )
        response.raise_for_status()
        self.env.invalidate_all()
        return response

    def call(self, path, **params):
        """Return the result of a JSON-RPC request without a session."""
        answer = self.ask("POST", path, json={"params": params}).json()
        self.assertNotIn("error", answer)
        self.assertNotIn("matomo", str(answer))
        return answer.get("result")

    def order_at_kiosk(self, product, **values):
        return self.order_oneself(self.kiosk, "kiosk", product, **values)

    def order_oneself(self, till, device, product, table=None, **values):
        """Send what a kiosk or a phone sends for an order. Return the order."""
        line = {
            "product_id": product.id,
            "qty": 1,
            "price_unit": product.list_price,
            "price_subtotal": product.list_price,
            "price_subtotal_incl": product.list_price * 1.15,
            "tax_ids": [Command.set(product.taxes_id.ids)],
            "uuid": str(uuid4()),
            "pack_lot_ids": [],
        }
        order = {
            "uuid": str(uuid4()),
            "session_id": till.current_session_id.id,
            "company_id": self.company.id,
            "partner_id": False,
            "date_order": fields.Datetime.to_string(fields.Datetime.now()),
            "state": "draft",
            "lines": [Command.create(line)],
            "payment_ids": [],
            "amount_total": line["price_subtotal_incl"],
            "amount_tax": 0,
            "amount_paid": 0,
            "amount_return": 0,
            "last_order_preparation_change": "{}",
            "preset_id": False,
            **values,
        }
        answer = self.call(
            f"/pos-self-order/process-order/{device}",
            order=order,
            access_token=till.access_token,
            table_identifier=table and table.identifier,
        )
        return self.env["pos.order"].browse(answer["pos.order"][0]["id"])

    def assertNobody(self, order):
        """Assert that no data of the public request are stored or sent."""
        for name in ("matomo_ip_address", "matomo_user_agent", "matomo_visitor_id"):
            self.assertFalse(order.sudo()[name], name)
        sent = self.recorded(order)
        self.assertEqual(sent["cip"], "0.0.0.0")
        self.assertNotIn("ua", sent)
        self.assertEqual(len(self.matomo.orders), 1)
        self.assertEqual(len(order.sudo().matomo_request_ids), 1)

    def test_paid_at_the_counter(self):
        order = self.order_at_kiosk(self.chair, matomo_visitor_id="0123456789abcdef")
        self.end_transaction()
        self.assertEqual(order.state, "draft")
        self.assertFalse(order.matomo_state)
        order.add_payment(
            {
                "pos_order_id": order.id,
                "amount": order.amount_total,
                "payment_method_id": self.card.id,
            }
        )
        order._process_saved_order(False)
        self.end_transaction()
        self.run_sender()
        self.assertRecorded(
            order, revenue="115.00", url=f"{self.site.page_url}/pos/kiosk"
        )
        self.assertNobody(order)

    def test_paid_online(self):
        """The payment provider's notification pays the order. It has no user."""
        order = self.order_at_kiosk(self.chair)
        transaction = (
            self.env["payment.transaction"]
            .sudo()
            .create(
                {
                    "provider_id": self.provider.id,
                    "payment_method_id": self.method.id,
                    "amount": order.amount_total,
                    "currency_id": order.currency_id.id,
                    "partner_id": self.customer.id,
                    "pos_order_id": order.id,
                }
            )
        )
        transaction._set_done()
        # The provider's notification and the customer's return are both processed.
        transaction._post_process()
        transaction._post_process()
        self.end_transaction()
        self.assertEqual(order.state, "paid")
        self.run_sender()
        self.assertRecorded(order, revenue="115.00")
        self.assertNobody(order)

    def make_terrace(self):
        """Create a restaurant with one table, where guests order and pay by phone."""
        terrace = self.env["pos.config"].create(
            {
                "name": "Terrace",
                "company_id": self.company.id,
                "payment_method_ids": [
                    Command.set(self.card.copy({"name": "Terrace card"}).ids)
                ],
                "matomo_site_id": self.site.id,
                "module_pos_restaurant": True,
                "self_ordering_mode": "mobile",
                "self_ordering_service_mode": "table",
                "self_ordering_pay_after": "each",
                "self_ordering_default_user_id": self.cashier.id,
                "self_order_online_payment_method_id": self.online.id,
                "use_presets": False,
            }
        )
        terrace.floor_ids.unlink()
        floor = self.env["restaurant.floor"].create(
            {
                "name": "Terrace",
                "pos_config_ids": [Command.set(terrace.ids)],
                "table_ids": [Command.create({"table_number": 1, "seats": 4})],
            }
        )
        terrace.open_ui()
        terrace.current_session_id.set_opening_control(0, None)
        return terrace, floor.table_ids

    def pay_online(self, order):
        """Pay with the demo provider, as the browser of a guest does."""
        payment = self.call(
            f"/pos/pay/transaction/{order.id}",
            access_token=order.access_token,
            provider_id=self.provider.id,
            payment_method_id=self.method.id,
            token_id=None,
            amount=order.amount_total,
            flow="direct",
            tokenization_requested=False,
            landing_route="",
            is_validation=False,
        )
        self.call(
            "/payment/demo/simulate_payment",
            reference=payment["reference"],
            payment_details="4242",
            simulated_state="done",
        )
        transaction = self.env["payment.transaction"].sudo()
        transaction = transaction.search([("reference", "=", payment["reference"])])
        return (
            f"/pos/pay/confirmation/{order.id}"
            f"?access_token={order.access_token}&tx_id={transaction.id}"
        )

    def test_ordered_and_paid_by_phone(self):
        terrace, table = self.make_terrace()
        order = self.order_oneself(terrace, "mobile", self.chair, table)
        self.run_sender()
        self.assertEqual((order.state, order.source), ("draft", "mobile"))
        self.assertFalse(order.matomo_state)
        confirmation = self.pay_online(order)
        # The guest comes back, and reloads the page; Odoo's own action looks, too.
        for _ in range(2):
            self.assertIn(order.pos_reference, self.ask("GET", confirmation).text)
        self.env.ref("payment.cron_post_process_payment_tx").method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual(order.state, "paid")
        self.run_sender()
        self.assertRecorded(
            order,
            revenue="115.00",
            cdt=str(order.date_order),
            url=f"{self.site.page_url}/pos/terrace",
        )
        self.assertNobody(order)
        self.run_sender()
        self.assertEqual(len(self.matomo.bulks), 1)

    def test_nothing_to_pay(self):
        free = self.make_product("Water", "WATER", 0.0)
        order = self.order_at_kiosk(free, amount_total=0)
        self.end_transaction()
        self.assertEqual(order.state, "paid")
        self.run_sender()
        self.assertRecorded(order, revenue="0.00")
        self.assertNobody(order)

    @freeze_time("2026-03-03 10:00:00")
    def test_kiosk_loads_nothing_of_ours(self):
        for cashier in (self.cashier, self.env.user):
            config = self.kiosk.with_user(cashier)
            data = config.load_self_data()
            self.assertTrue(data["pos.config"])
            for model, records in (*data.items(), *config.load_data_params().items()):
                self.assertNotIn("'matomo_", str(records), model)
