"""POS orders as a till sends them, and a real till in Chromium, driven by a tour."""

from contextlib import nullcontext
from datetime import timedelta
from itertools import count
from uuid import uuid4

from odoo import Command, fields
from odoo.tests import HttpCase

from .site import MatomoCommon

# A product that the till shows, and how many paid sales are only there.
PRODUCT = ".product-list .product"
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
    """Open the register on the till's first screen."""
    greeting = ".screen-login .open-register-btn"
    page.wait_for_selector(f"{PRODUCT}, {greeting}")
    if not page.is_visible(PRODUCT):
        page.click(greeting)
        page.wait_for_selector(PRODUCT)


def ring_up(page, products, method, at):
    """Ring up a sale when the till's clock, in Tokyo, shows a moment in UTC."""
    page.evaluate(
        f"""(() => {{
            luxon.Settings.defaultZone = "Asia/Tokyo";
            luxon.Settings.now = () => Date.parse("{at.replace(" ", "T")}Z");
        }})()"""
    )
    for name in products:
        page.click(f"{PRODUCT}:has-text('{name}')")
    page.click(".pay-order-button:visible")
    page.click(f".paymentmethods .paymentmethod:has-text('{method}')")
    page.click(".payment-screen button.validation-button.next.highlight:visible")
    # A till that has just lost its network says so first.
    receipt, dialog = ".receipt-screen button.next:visible", ".modal .btn-primary"
    page.wait_for_selector(f"{receipt}, {dialog}")
    if page.is_visible(dialog):
        page.click(dialog)
    page.click(receipt)
    page.wait_for_selector(PRODUCT)


class MatomoPosCommon(MatomoCommon):
    """A till with an open session, and POS orders as a till sends them."""

    sale_numbers = count(1)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.user.group_ids += cls.env.ref("point_of_sale.group_pos_manager")
        cls.cash = cls.env["pos.payment.method"].create(
            {
                "name": "Cash",
                "company_id": cls.company.id,
                "journal_id": cls.company_data["default_journal_cash"].id,
                "receivable_account_id": cls.company_data[
                    "default_account_receivable"
                ].id,
            }
        )
        cls.config = cls.env["pos.config"].create(
            {
                "name": "Bakery",
                "company_id": cls.company.id,
                "payment_method_ids": [Command.set(cls.cash.ids)],
                "matomo_site_id": cls.site.id,
            }
        )
        cls.cashier = cls.make_user(
            "cashier", "base.group_user,point_of_sale.group_pos_user"
        )
        cls.config.open_ui()
        cls.session = cls.config.current_session_id
        cls.session.set_opening_control(0, None)

    def make_sale(self, *lines, session=None, **values):
        """Return what a till sends for a POS order that is paid in cash.

        A line is ``(product, quantity)`` or a dict of line values with a product.
        """
        session = session or self.session
        commands, total, tax = [], 0.0, 0.0
        for line in lines or [(self.chair, 1)]:
            vals = (
                dict(line)
                if isinstance(line, dict)
                else {"product_id": line[0].id, "qty": line[1]}
            )
            product = self.env["product.product"].browse(vals["product_id"])
            vals.setdefault("price_unit", product.list_price)
            vals.setdefault("qty", 1)
            taxes = vals.pop("taxes", product.taxes_id).filtered(
                lambda tax: tax.sudo().company_id == session.company_id
            )
            price = vals["price_unit"] * (1 - vals.get("discount", 0.0) / 100)
            amounts = taxes.compute_all(
                price, session.currency_id, vals["qty"], product=product
            )
            total += amounts["total_included"]
            tax += amounts["total_included"] - amounts["total_excluded"]
            commands.append(
                Command.create(
                    {
                        "price_subtotal": amounts["total_excluded"],
                        "price_subtotal_incl": amounts["total_included"],
                        "tax_ids": [Command.set(taxes.ids)],
                        "pack_lot_ids": [],
                        "uuid": str(uuid4()),
                        **vals,
                    }
                )
            )
        return {
            "uuid": str(uuid4()),
            "session_id": session.id,
            "company_id": session.company_id.id,
            "pricelist_id": session.config_id.pricelist_id.id,
            "partner_id": False,
            "fiscal_position_id": False,
            "user_id": self.env.uid,
            "date_order": fields.Datetime.to_string(fields.Datetime.now()),
            "pos_reference": f"{session.id:05}-001-{next(self.sale_numbers):04}",
            "tracking_number": "001",
            "sequence_number": 1,
            "state": "paid",
            "to_invoice": False,
            "last_order_preparation_change": "{}",
            "amount_total": total,
            "amount_tax": tax,
            "amount_paid": total,
            "amount_return": 0.0,
            "lines": commands,
            "payment_ids": [
                Command.create(
                    {
                        "amount": total,
                        "name": fields.Datetime.to_string(fields.Datetime.now()),
                        "payment_method_id": self.cash.id,
                    }
                )
            ],
            **values,
        }

    def sync(self, *sales, user=None):
        """Send POS orders from the till and end the transaction. Return the orders."""
        orders = self.env["pos.order"].with_user(user or self.env.user)
        answer = orders.sync_from_ui(list(sales))
        self.end_transaction()
        uuids = [sale.get("uuid") for sale in sales]
        found = self.env["pos.order"].browse([o["id"] for o in answer["pos.order"]])
        return found.filtered(lambda o: o.uuid in uuids or not any(uuids)) or found

    def settle(self, line, quantity):
        """Return the line of a POS order that settles a line of a sales order."""
        return {
            "product_id": line.product_id.id,
            "qty": quantity,
            "price_unit": line.price_unit,
            "taxes": line.tax_ids,
            "sale_order_origin_id": line.order_id.id,
            "sale_order_line_id": line.id,
        }

    def settle_orders(self, *orders, own=(), quantity=None):
        """Return a POS order that settles sales orders and sells a product besides.

        :param quantity: how much of each line it settles; by default all of it
        """
        return self.sync(
            self.make_sale(
                *(
                    self.settle(line, quantity or line.product_uom_qty)
                    for order in orders
                    for line in order.order_line
                ),
                *own,
            )
        )


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
        """Do nothing: an ``HttpCase`` has entered the test mode already."""
        return nullcontext()

    def open_till(self, till):
        """Open a till as its cashier does. Return its session."""
        till.with_user(self.seller).open_ui()
        till.current_session_id.set_opening_control(0, None)
        return till.current_session_id

    def let_crons_sleep(self):
        """Let our scheduled actions run only if something wakes them."""
        crons = self.env["ir.cron"].sudo().search([("code", "like", "_cron_")])
        self.crons = crons.filtered(
            lambda cron: cron.model_id.model == "matomo.request"
        )
        self.crons.nextcall = fields.Datetime.now() + timedelta(days=1)
        triggers = self.env["ir.cron.trigger"].sudo()
        triggers.search([("cron_id", "in", self.crons.ids)]).unlink()

    def run_scheduler(self):
        """Run our scheduled actions that are due, as Odoo's scheduler does.

        This is what ``ir.cron._process_jobs`` does, without the scheduled actions of
        other modules. It runs in the test's transaction, where a commit is a savepoint.

        :return: the names of the scheduled actions that ran
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
        """Return the till's orders in the sequence in which they were rung up."""
        return session.order_ids.sorted(lambda sale: (sale.date_order, sale.id))
