from odoo import Command
from odoo.tests import freeze_time, tagged

from .common import MatomoPosCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestOrderRefs(MatomoPosCommon):
    """Orders whose names are the same to Matomo get different order IDs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A second company that books on the same site of the same Matomo.
        cls.other_company = (
            cls.env["res.company"]
            .sudo()
            .create({"name": "Sister", "currency_id": cls.company.currency_id.id})
        )
        cls.env.user.sudo().company_ids += cls.other_company
        cls.other_site = cls.site.sudo().copy(
            {
                "company_id": cls.other_company.id,
                "url": "https://matomo.example.com",
                "token_auth": cls.site.sudo()._get__token(),
            }
        )
        cls.other_company.sudo().matomo_site_id = cls.other_site

    def make_named(self, *names, company=None):
        """Return confirmed orders of these names, sent one after the other."""
        orders = self.env["sale.order"]
        for name in names:
            order = self.make_order(
                {
                    "product_id": self.chair.id,
                    "tax_ids": [Command.clear()],
                    "name": "Chair",
                },
                name=name,
                **({"company_id": company.id} if company else {}),
            )
            orders += order
            order.action_confirm()
        self.end_transaction()
        self.run_sender()
        return orders

    def assertRefs(self, orders, *refs):
        self.assertEqual(orders.mapped("matomo_order_ref"), list(refs))
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        self.run_verifier()
        self.assertEqual(set(orders.mapped("matomo_state")), {"verified"})

    def test_two_companies_with_the_same_numbering(self):
        ours = self.make_named("S00042")
        theirs = self.make_named("S00042", company=self.other_company)
        self.assertEqual(theirs.sudo().matomo_request_ids.site_id, self.other_site)
        self.assertRefs(ours + theirs, "S00042", "S00042-2")

    def test_order_and_till_sale(self):
        order = self.make_named("00001-001-0001")
        sale = self.sync(self.make_sale(pos_reference="00001-001-0001"))
        self.run_sender()
        self.assertEqual(order.matomo_order_ref, "00001-001-0001")
        self.assertEqual(sale.matomo_order_ref, "00001-001-0001-2")
        self.assertEqual(len(self.matomo.orders), 2)

    def test_two_devices_with_the_same_receipt_number(self):
        sales = [
            self.sync(self.make_sale(pos_reference="00001-001-0007")) for _ in range(3)
        ]
        self.run_sender()
        self.assertEqual(
            [sale.matomo_order_ref for sale in sales],
            ["00001-001-0007", "00001-001-0007-2", "00001-001-0007-3"],
        )

    def test_case_and_accents(self):
        orders = self.make_named("Été-1", "ÉTÉ-1", "ete-1", "eté-1-2")
        # Who alone has a name keeps it.
        self.assertRefs(orders, "Été-1", "ÉTÉ-1-3", "ete-1-4", "eté-1-2")

    def test_first_hundred_characters(self):
        long = "S" * 99
        orders = self.make_named(f"{long}1", f"{long}12", f"{long}2")
        self.assertRefs(orders, f"{long}1", f"{'S' * 98}-2", f"{long}2")

    def test_characters_matomo_escapes_or_takes_for_nothing(self):
        orders = self.make_named("A&B <1>", "0", "S,1;2")
        self.assertRefs(orders, "A&B <1>", "0-2", "S,1;2")

    def test_name_of_a_later_order_does_not_change_an_earlier_one(self):
        first = self.make_named("S1")
        first.name = "S2"
        second = self.make_named("S1")
        self.assertRefs(first + second, "S1", "S1-2")
        self.assertEqual(len(self.matomo.orders), 2)

    def test_duplicate_has_no_reference_of_its_own_yet(self):
        order = self.make_named("S00050")
        copy = order.copy()
        self.assertFalse(copy.matomo_order_ref)
        self.assertFalse(copy.sudo().matomo_request_ids)
