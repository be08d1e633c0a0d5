from odoo import Command
from odoo.tests import freeze_time, tagged

from .common import MODULE, MatomoPosCommon

FORGED = {
    "matomo_ip_address": "203.0.113.9",
    "matomo_user_agent": "Mozilla/5.0",
    "matomo_visitor_id": "0123456789abcdef",
    "matomo_attribution_info": {"campaign": "Forged"},
    "matomo_tracked": True,
    "matomo_state": "verified",
    "matomo_reason": "Forged",
    "matomo_tracking_url": "https://evil.example.com/",
    "matomo_order_ref": "FORGED",
    "matomo_request_ids": [Command.create({"kind": "order", "state": "verified"})],
    "matomo_unknown": "x",
}
STORED = [name for name in FORGED if name.startswith(("matomo_ip", "matomo_visitor"))]


def keys(data):
    """Return all keys in the data that a till loads, at any depth."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield str(name)
            yield from keys(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from keys(value)


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestPosFields(MatomoPosCommon):
    """No field of ours reaches the till or comes back, for any cashier."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        manager = f"point_of_sale.group_pos_manager,{MODULE}.group_matomo_manager"
        cls.cashiers = (
            cls.cashier
            + cls.make_user("manager", manager)
            + cls.make_user("administrator", f"base.group_system,{manager}")
        )

    def assertNothingOfOurs(self, data):
        names = set(keys(data))
        self.assertTrue(names)
        self.assertEqual({name for name in names if "matomo" in name}, set())

    def test_till_loads_nothing_of_ours(self):
        self.sync(self.make_sale(state="draft", payment_ids=[]))
        for cashier in self.cashiers:
            with self.subTest(cashier=cashier.login):
                session = self.session.with_user(cashier)
                data = session.load_data([])
                self.assertTrue(data["pos.order"])
                self.assertNothingOfOurs(data)
                params = session.load_data_params()
                self.assertNothingOfOurs(params)
                relations = [
                    relation.get("relation") or ""
                    for model in params.values()
                    for relation in model["relations"].values()
                ]
                self.assertFalse([name for name in relations if "matomo" in name])
                self.assertIn("uuid", params["pos.order"]["fields"])
                self.assertIn("lines", params["pos.order"]["relations"])
                self.assertIn("name", params["pos.config"]["fields"])
                self.assertNothingOfOurs(
                    session.config_id.read_config_open_orders(
                        {"pos.order": [("session_id", "=", session.id)]}, {}
                    )
                )

    def test_the_till_gets_what_it_gets_without_us(self):
        self.env["ir.model.fields"].sudo().create(
            {
                "name": "x_colour",
                "model_id": self.env["ir.model"]._get_id("pos.order"),
                "ttype": "char",
            }
        )
        session = self.session.with_user(self.cashier)
        for model in ("pos.order", "pos.config"):
            with self.subTest(model=model):
                whole = {
                    name: relation
                    for name, relation in session._load_pos_data_relations(
                        model, []
                    ).items()
                    if not name.startswith("matomo_")
                }
                answer = session.load_data_params()[model]
                readable = session.env[model].fields_get(attributes=())
                self.assertEqual(
                    set(answer["fields"]),
                    {name for name in readable if not name.startswith("matomo_")},
                )
                self.assertEqual(
                    answer["relations"],
                    {name: whole[name] for name in whole if name in readable},
                )
        self.assertIn("x_colour", session.load_data_params()["pos.order"]["fields"])

    def test_till_is_answered_nothing_of_ours(self):
        quotation = self.make_order((self.chair, 1))
        self.cashiers.group_ids += self.env.ref("sales_team.group_sale_manager")
        for cashier in self.cashiers:
            with self.subTest(cashier=cashier.login):
                orders = self.env["pos.order"].with_user(cashier)
                answer = orders.sync_from_ui([self.make_sale()])
                self.assertNothingOfOurs(answer)
                sale = orders.browse(answer["pos.order"][0]["id"])
                self.assertNothingOfOurs(orders.read_pos_orders([("id", "=", sale.id)]))
                self.assertNothingOfOurs(sale.get_and_set_online_payments_data())
                self.assertNothingOfOurs(
                    quotation.with_user(cashier).load_sale_order_from_pos(
                        self.config.id
                    )
                )

    def test_forged_fields_change_nothing_and_the_sale_goes_on(self):
        quotation = self.confirm(self.make_order((self.chair, 1)))
        for cashier in self.cashiers:
            with self.subTest(cashier=cashier.login):
                uuid = f"uuid-of-{cashier.login}"
                sale = self.make_sale(
                    {"product_id": self.lamp.id, "uuid": f"line-{uuid}", **FORGED},
                    uuid=uuid,
                    **FORGED,
                )
                sale["payment_ids"][0][2].update(FORGED)
                sale["relations_uuid_mapping"] = {
                    "pos.order": {uuid: {"matomo_request_ids": [uuid]}},
                    "matomo.request": {},
                    "pos.order.line": {
                        f"line-{uuid}": {"matomo_request_ids": [uuid]},
                    },
                }
                # The way from a till to other orders that Odoo's own fields offer.
                sale["stock_reference_ids"] = [
                    Command.create({"name": uuid, "matomo_unknown": "x"})
                ]
                order = self.sync(sale, user=cashier)
                self.assertEqual(order.state, "paid")
                self.assertUntouched(order)
        self.assertUntouched(quotation)

    def test_forged_fields_written_directly_change_nothing(self):
        order = self.sync(self.make_sale())
        # Those who may see the fields may enter them no more than others.
        for cashier in self.cashiers:
            with self.subTest(cashier=cashier.login):
                order.nb_print = 0
                order.with_user(cashier).write({"nb_print": 1, **FORGED})
                self.assertEqual(order.nb_print, 1)
                self.assertUntouched(order)

    def test_forged_fields_of_a_draft_that_is_paid(self):
        values = self.make_sale(access_token="token")
        draft = self.sync({**values, "state": "draft", "payment_ids": [], **FORGED})
        lines = [Command.update(draft.lines.id, {"qty": 1, **FORGED})]
        order = self.sync({**values, "lines": lines, **FORGED}, user=self.cashiers[-1])
        self.assertEqual(order, draft)
        self.assertEqual(order.state, "paid")
        self.assertUntouched(order)

    def assertUntouched(self, order):
        """Assert that the order has its own verdict and no metadata."""
        order.invalidate_recordset()
        self.assertState(order, "pending")
        self.assertEqual(len(order.sudo().matomo_request_ids), 1)
        for name in STORED:
            self.assertFalse(order.sudo()[name], name)
        self.assertFalse(order.matomo_tracked)
        self.assertFalse(order.sudo().matomo_attribution_info)
        self.assertFalse(order.matomo_tracking_url)
