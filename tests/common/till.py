"""A real till in Chromium, driven by a tour (static/tests/tours)."""

from contextlib import nullcontext
from datetime import timedelta

from odoo import Command, fields
from odoo.tests import HttpCase

from .common import MatomoPosCommon

# The till shows its products, and a function to say how many paid sales are only there.
IS_OPEN = "!!document.querySelector('.product-list .product')"
UNSYNCED = """
posmodel.models["pos.order"].filter((sale) => sale.state === "paid" && !sale.isSynced)
    .length
"""

# The till has written its sales into the browser's database, 300 ms after them.
IS_KEPT = """
new Promise((resolve) => setTimeout(resolve, 400)).then(
    () => posmodel.data.indexedDB.activeTransactions.size === 0
)
"""


def open_register(page):
    """Pass the till's greeting, which it shows to who comes from elsewhere."""
    greeting = ".screen-login .open-register-btn"
    page.wait(f"{IS_OPEN} || !!document.querySelector('{greeting}')")
    if not page.evaluate(IS_OPEN):
        page.click(greeting)
        page.wait(IS_OPEN)


def ring_up(page, products, method, at):
    """Ring up a sale when the till's clock, in Tokyo, shows a moment in UTC."""
    page.evaluate(
        f"""(() => {{
            luxon.Settings.defaultZone = "Asia/Tokyo";
            luxon.Settings.now = () => Date.parse("{at.replace(" ", "T")}Z");
        }})()"""
    )
    for name in products:
        page.click(".product-list .product", name)
    page.click(".pay-order-button")
    page.click(".paymentmethods .paymentmethod", method)
    page.click(".payment-screen button.validation-button.next.highlight")
    # A till that has just lost its network says so first.
    receipt, dialog = ".receipt-screen button.next", ".modal .btn-primary"
    page.wait(f"!!document.querySelector('{receipt}, {dialog}')")
    if page.evaluate(f"!!document.querySelector('{dialog}')"):
        page.click(dialog)
    page.click(receipt)
    page.wait(IS_OPEN)


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

    def let_crons_sleep(self):
        """From here on our scheduled actions run only if something wakes them."""
        crons = self.env["ir.cron"].sudo().search([("code", "like", "_cron_")])
        self.crons = crons.filtered(
            lambda cron: cron.model_id.model == "matomo.request"
        )
        self.crons.nextcall = fields.Datetime.now() + timedelta(days=1)
        triggers = self.env["ir.cron.trigger"].sudo()
        triggers.search([("cron_id", "in", self.crons.ids)]).unlink()

    def run_scheduler(self):
        """Odoo's scheduler runs those of them that are due; their names.

        As ``ir.cron._process_jobs`` does, which every server calls, without the
        scheduled actions of other modules; in the test's transaction, where a commit
        is a savepoint.
        """
        runner = self.registry["ir.cron"]
        self.env.invalidate_all()
        with self.registry.cursor() as cr:
            due = [
                job["id"]
                for job in runner._get_all_ready_jobs(cr)
                if job["id"] in self.crons.ids
            ]
            runner._process_jobs_loop(cr, job_ids=due)
        self.env.invalidate_all()
        return self.crons.browse(due).mapped("code")

    def run_tour(self, till, tour):
        self.start_tour(f"/pos/ui/{till.id}", tour, login=self.seller.login)
        self.env.invalidate_all()

    def till_sales(self, session):
        """The till's sales in the order they were rung up."""
        return session.order_ids.sorted(lambda sale: (sale.date_order, sale.id))
