from contextlib import contextmanager
from unittest.mock import patch

from odoo import Command
from odoo.tests import tagged

from .common import MODULE, MatomoPosCommon

NOTICE = "env['res.partner.category'].sudo().create({'name': 'noticed'})"
OURS = ("base_automation_sale_order", "base_automation_pos_order")


@tagged("post_install", "-at_install")
class TestRules(MatomoPosCommon):
    """Rules of orders run when they should, and cost little when they do not."""

    def set_rules(self, active):
        """Switch our rules on or off. The end of the test switches them on again."""
        for name in OURS:
            rule = self.env.ref(f"{MODULE}.{name}").sudo()
            rule.active = active
            self.addCleanup(setattr, rule, "active", True)

    def count(self, step, *arguments):
        """Return how many queries a step costs in a transaction of its own."""
        self.end_transaction()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        step(*arguments)
        self.end_transaction()
        return self.env.cr.sql_log_count - before

    def compare(self, step, *arguments):
        """Return how many queries more a step costs with our rules."""
        counts = []
        for active in (False, True):
            self.set_rules(active)
            # The first time fills the caches.
            self.count(step, *arguments)
            counts.append(self.count(step, *arguments))
        return counts[1] - counts[0]

    # === WHAT THEY COST === #

    def sync_sales(self, count):
        sales = [self.make_sale() for _number in range(count)]
        self.env["pos.order"].with_user(self.cashier).sync_from_ui(sales)

    def test_a_sale_of_a_till(self):
        # 8 where the sender is switched off: a trigger and its wake are the others.
        self.assertLessEqual(self.compare(self.sync_sales, 1), 9)

    def test_many_sales_of_a_till(self):
        self.assertLessEqual(self.compare(self.sync_sales, 20), 20)

    def test_a_table(self):
        table = {**self.make_sale(), "state": "draft"}
        table.update(payment_ids=[], amount_paid=0, access_token="1234")
        order = self.sync(dict(table), user=self.cashier)
        quantities = iter(range(2, 9))

        def save():
            change = Command.update(order.lines.id, {"qty": next(quantities)})
            self.sync({**table, "lines": [change]}, user=self.cashier)

        self.assertEqual(self.compare(save), 0)
        self.assertEqual(order.state, "draft")

    def test_a_quotation(self):
        # Odoo reads the rule and its model once when an order is created.
        self.assertLessEqual(self.compare(self.make_order), 4)
        order = self.make_order()
        prices = iter(range(20, 90))

        def change():
            order.order_line.price_unit = next(prices)
            order.note = "Changed"

        self.assertEqual(self.compare(change), 0)

    def test_confirming(self):
        orders = [self.make_order() for _number in range(4)]

        def confirm():
            orders.pop().action_confirm()

        self.assertLessEqual(self.compare(confirm), 16)

    # === RULES OF PEOPLE === #

    @contextmanager
    def rule(self, **values):
        """Make a rule of sales orders that notices each order for which it runs."""
        model = self.env.ref("sale.model_sale_order")
        rule = self.env["base.automation"].create(
            {
                "name": "Notice",
                "model_id": model.id,
                "trigger": "on_create_or_write",
                **values,
                "action_server_ids": [
                    Command.create(
                        {
                            "name": "Notice",
                            "model_id": model.id,
                            "usage": "base_automation",
                            "state": "code",
                            "code": NOTICE,
                        }
                    )
                ],
            }
        )
        try:
            yield rule
        finally:
            rule.unlink()

    def notice(self, step):
        """Return whether a step makes the rule run."""
        noticed = self.env["res.partner.category"].search_count
        before = noticed([("name", "=", "noticed")])
        step()
        self.env.flush_all()
        return noticed([("name", "=", "noticed")]) > before

    def get_fields(self, *names):
        field = self.env["ir.model.fields"]
        return field.concat(*(field._get("sale.order", name) for name in names))

    def test_a_rule_that_watches_everything(self):
        order = self.make_order()
        with self.rule(trigger_field_ids=[Command.clear()]) as rule:
            self.assertFalse(rule.trigger_field_ids)
            self.assertTrue(self.notice(lambda: order.write({"note": "Changed"})))
            line = order.order_line
            self.assertTrue(self.notice(lambda: line.write({"price_unit": 7})))

    def test_a_rule_that_watches_a_computed_field(self):
        order = self.make_order()
        fields = self.get_fields("amount_total")
        with self.rule(trigger_field_ids=[Command.set(fields.ids)]):
            line = order.order_line
            self.assertTrue(self.notice(lambda: line.write({"price_unit": 7})))
            self.assertFalse(self.notice(lambda: order.write({"note": "Changed"})))

    def test_a_rule_that_watches_another_field_from_now_on(self):
        order = self.make_order()
        fields = self.get_fields("client_order_ref")
        with self.rule(trigger_field_ids=[Command.set(fields.ids)]) as rule:
            order.client_order_ref = "A"
            self.assertFalse(self.notice(lambda: order.write({"note": "Changed"})))
            self.assertTrue(self.notice(lambda: order.write({"client_order_ref": "B"})))
            self.assertFalse(
                self.notice(lambda: order.write({"client_order_ref": "B"}))
            )
            rule.trigger_field_ids = self.get_fields("amount_total")
            line = order.order_line
            self.assertTrue(self.notice(lambda: line.write({"price_unit": 7})))

    # === OUR RULES === #

    def test_ours_do_not_run_because_a_person_has_a_rule(self):
        order = self.confirm(self.make_order())
        track = patch.object(type(order), "_matomo_track", autospec=True)
        with self.rule(trigger_field_ids=[Command.clear()]), track as tracked:
            self.assertTrue(self.notice(lambda: order.write({"note": "Changed"})))
            self.assertFalse(tracked.called)
            self.assertTrue(self.notice(lambda: order.write({"state": "draft"})))
            self.assertFalse(tracked.called)
            self.assertTrue(self.notice(lambda: order.write({"state": "sale"})))
            self.assertTrue(tracked.called)

    def test_ours_are_recognized(self):
        for name in OURS:
            self.assertTrue(self.env.ref(f"{MODULE}.{name}")._is_matomo_rule())

    def test_an_action_that_a_person_has_changed(self):
        action = self.env.ref(f"{MODULE}.ir_actions_server_track_sale_order").sudo()
        action.code += (
            "\nenv['res.partner.category'].sudo().create({'name': 'noticed'})"
        )
        order = self.make_order()
        self.assertTrue(self.notice(order.action_confirm))
        self.end_transaction()
        self.assertEqual(order.matomo_state, "pending")
        action.code = "pass"
        order = self.confirm(self.make_order())
        self.assertFalse(order.matomo_state)

    def test_a_rule_that_is_switched_off(self):
        self.set_rules(False)
        order = self.confirm(self.make_order())
        self.assertFalse(order.matomo_state)
        self.set_rules(True)
        self.assertEqual(self.confirm(self.make_order()).matomo_state, "pending")
