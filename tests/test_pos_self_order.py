from contextlib import nullcontext
from uuid import uuid4

from odoo import Command, fields
from odoo.tests import HttpCase, freeze_time, tagged

from .common import MatomoPosCommon

STRANGER = {"X-Forwarded-For": "203.0.113.77", "User-Agent": "Mozilla/5.0 (Phone)"}


@tagged("post_install", "-at_install")
class TestPosSelfOrder(MatomoPosCommon, HttpCase):
    """Orders that customers make themselves, at a kiosk or by their phone."""

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
        online = cls.env["pos.payment.method"].create(
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
                "payment_method_ids": [Command.set((cls.card + online).ids)],
                "matomo_site_id": cls.site.id,
                "self_ordering_mode": "kiosk",
                "self_ordering_default_user_id": cls.cashier.id,
                "use_presets": False,
            }
        )
        cls.kiosk.open_ui()
        cls.kiosk.current_session_id.set_opening_control(0, None)

    def enter_registry_test_mode(self):
        """Requests of an ``HttpCase`` are in it already."""
        return nullcontext()

    def order_at_kiosk(self, product, **values):
        """What a kiosk sends when the customer has chosen; the order."""
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
            "session_id": self.kiosk.current_session_id.id,
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
        # Not by `post`, where the tests' network to Matomo ends.
        response = self.opener.request(
            "POST",
            f"{self.base_url()}/pos-self-order/process-order/kiosk",
            json={
                "params": {
                    "order": order,
                    "access_token": self.kiosk.access_token,
                    "table_identifier": None,
                }
            },
            headers=STRANGER,
            timeout=60,
        )
        answer = response.json()["result"]
        self.assertNotIn("matomo", str(answer))
        self.env.invalidate_all()
        return self.env["pos.order"].browse(answer["pos.order"][0]["id"])

    def assertNobody(self, order):
        """Nothing of the public request is kept or sent."""
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
        """By the provider's notification: nobody is logged in."""
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
