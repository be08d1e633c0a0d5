from odoo.tests import tagged

from .common import MatomoCommon


@tagged("post_install", "-at_install")
class TestInstall(MatomoCommon):
    def test_our_columns_never_rewrite_the_orders(self):
        """A default, a compute or an index would read and lock a million orders."""
        for model in ("sale.order", "pos.order"):
            columns = [
                field
                for name, field in self.env[model]._fields.items()
                if name.startswith("matomo_") and field.store and field.column_type
            ]
            self.assertTrue(columns)
            for field in columns:
                with self.subTest(field=str(field)):
                    self.assertFalse(field.required)
                    self.assertFalse(field.compute)
                    self.assertFalse(field.default)
                    self.assertFalse(field.index)
                    self.assertFalse(field.copy)

    def test_rules_are_the_users_to_switch_off(self):
        records = (
            self.env["ir.model.data"]
            .sudo()
            .search(
                [
                    ("module", "=", "matomo_order_tracking"),
                    ("model", "in", ("base.automation", "ir.cron")),
                ]
            )
        )
        self.assertEqual(len(records), 8)
        self.assertTrue(all(records.mapped("noupdate")))

    def test_every_model_has_rights_and_a_company_rule(self):
        for model in ("matomo.site", "matomo.request"):
            domain = [("model_id.model", "=", model)]
            self.assertTrue(self.env["ir.model.access"].sudo().search(domain))
            rules = self.env["ir.rule"].sudo().search(domain)
            self.assertIn("company_ids", str(rules.mapped("domain_force")))
