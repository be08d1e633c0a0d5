"""A real till in Chromium, driven by a tour (static/tests/tours)."""

from contextlib import nullcontext

from odoo import Command
from odoo.tests import HttpCase

from .common import MatomoPosCommon


class TillCase(MatomoPosCommon, HttpCase):
    """A shop's till with three ways to pay, and its cashier."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The name belongs to the browser's session from here on.
        cls.session = None
        accounts = cls.company_data
        cls.methods = cls.env["pos.payment.method"]
        for name, kind in (("Cash", "cash"), ("Card", "bank"), ("Voucher", "bank")):
            journal = accounts[f"default_journal_{kind}"].copy({"name": name})
            cls.methods += cls.cash.copy({"name": name, "journal_id": journal.id})
        cls.tip = cls.make_product(
            "Tip", "TIPS", 0.0, type="service", taxes=cls.env["account.tax"]
        )
        cls.shop = cls.env["pos.config"].create(
            {
                "name": "Shop",
                "company_id": cls.company.id,
                "payment_method_ids": [Command.set(cls.methods.ids)],
                "matomo_site_id": cls.site.id,
                "iface_tipproduct": True,
                "tip_product_id": cls.tip.id,
            }
        )
        cls.seller = cls.make_user(
            "cashier_at_till",
            "base.group_user,point_of_sale.group_pos_user,"
            "sales_team.group_sale_salesman_all_leads",
        )

    def enter_registry_test_mode(self):
        """Requests of an ``HttpCase`` are in it already."""
        return nullcontext()

    def open_till(self, till):
        """Open a till as its cashier does; its session."""
        till.with_user(self.seller).open_ui()
        till.current_session_id.set_opening_control(0, None)
        return till.current_session_id

    def run_tour(self, till, tour):
        self.start_tour(f"/pos/ui/{till.id}", tour, login=self.seller.login)
        self.env.invalidate_all()

    def till_sales(self, session):
        """The till's sales in the order they were rung up."""
        return session.order_ids.sorted(lambda sale: (sale.date_order, sale.id))
