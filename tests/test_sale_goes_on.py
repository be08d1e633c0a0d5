"""Whatever fails in the addon, pages, orders, invoices and tills go on.

Here each function of the addon raises an error, except those by which Odoo calls it.
"""

from contextlib import contextmanager

from odoo import fields
from odoo.tests import tagged

from .common import (
    LOGGER,
    SIGNATURE,
    CheckoutCommon,
    MatomoPosCommon,
    RefundCommon,
    everything_fails,
)


class GoesOn:
    """What happens while everything fails, and what the log says of it."""

    @contextmanager
    def assertGoesOn(self):
        """Have everything of the addon fail; the log says so, and nothing else."""
        self.env.flush_all()
        with self.assertLogs(LOGGER, "INFO") as logs, everything_fails(self.env):
            yield
        for record in logs.records:
            self.assertEqual(record.name, f"{LOGGER}.outbox.transactions")
            self.assertIs(record.exc_info[0], ValueError, record.getMessage())


@tagged("post_install", "-at_install")
class TestShopGoesOn(GoesOn, CheckoutCommon):
    def setUp(self):
        super().setUp()
        self.website.sudo().matomo_tag = True
        self.accept_cookies()
        self.run_matomo_js()

    def test_pages(self):
        with self.assertGoesOn():
            for path in ("/", "/shop", self.chair.website_url, "/shop/cart", "/404"):
                self.assertLess(self.url_open(path).status_code, 500, path)

    def test_refusal(self):
        self.add(self.chair)
        self.answer_cookie_bar(False)
        with self.assertGoesOn():
            self.open("/shop")

    def test_from_the_cart_to_the_confirmation(self):
        with self.assertGoesOn():
            cart = self.fill_cart()
            self.update(cart.order_line[:1], 3)
            for path in ("/shop/cart", "/shop/checkout", "/shop/payment"):
                self.open(path)
            self.simulate(self.pay(cart, self.demo), "done")
            self.come_back()
            self.env.invalidate_all()
            self.assertEqual(cart.state, "sale")
            self.end_transaction()

    def test_portal(self):
        quotation = self.make_order(require_signature=True, require_payment=False)
        quotation.action_quotation_sent()
        quotation._portal_ensure_token()
        self.end_transaction()
        with self.assertGoesOn():
            token = quotation.access_token
            self.open(f"/my/orders/{quotation.id}?access_token={token}")
            self.call(
                f"/my/orders/{quotation.id}/accept",
                access_token=token,
                name="Nora Shopper",
                signature=SIGNATURE,
            )
            self.env.invalidate_all()
            self.assertEqual(quotation.state, "sale")


@tagged("post_install", "-at_install")
class TestOfficeGoesOn(GoesOn, RefundCommon):
    """Salespeople, accountants and tills."""

    def open_form(self, order):
        """Read what the form of an order shows."""
        names = [name for name in order._fields if name.startswith("matomo_")]
        names = [name for name in names if order._fields[name].type != "one2many"]
        self.env.invalidate_all()
        return order.read(names)[0]

    def test_order(self):
        tracked = self.track(self.make_order())
        with self.assertGoesOn():
            order = self.confirm(self.make_order())
            self.assertEqual(order.state, "sale")
            # What cannot be computed stays empty.
            self.assertFalse(self.open_form(tracked)["matomo_state"])
            self.cancel(order)
            self.assertEqual(order.state, "cancel")
            order.unlink()
        self.assertEqual(self.open_form(tracked)["matomo_state"], "sent")

    def test_invoice_and_credit_note(self):
        order = self.track(self.make_order())
        with self.assertGoesOn():
            invoice = order._create_invoices()
            invoice.action_post()
            invoice.button_draft()
            invoice.action_post()
            wizard = self.env["account.move.reversal"].with_context(
                active_model="account.move", active_ids=invoice.ids
            )
            reversal = wizard.create({"journal_id": invoice.journal_id.id})
            reversal.modify_moves()
            self.end_transaction()
            self.assertEqual(invoice.state, "posted")
            self.assertEqual(invoice.reversal_move_ids.state, "posted")

    def test_till(self):
        with self.assertGoesOn():
            models = self.session.with_user(self.cashier)._load_pos_data_models(
                self.config
            )
            self.session.with_user(self.cashier).load_data(models)
            sale = self.sync(self.make_sale(), user=self.cashier)
            self.assertEqual(sale.state, "paid")
            self.open_form(sale)
            self.session.post_closing_cash_details(115.0)
            self.session.close_session_from_ui()
            self.end_transaction()
            self.assertEqual(self.session.state, "closed")

    def test_customer(self):
        """A contact is made anonymous, and a user leaves."""
        users = self.env["res.users"].sudo().with_context(no_reset_password=True)
        user = users.create({"name": "A", "login": "someone-who-leaves"})
        partner = self.env["res.partner"].sudo().create({"name": "A", "email": "a@b.c"})
        self.env.flush_all()
        with self.assertGoesOn():
            partner.write({"name": "Nobody", "email": False})
            user.unlink()
        self.assertEqual(partner.name, "Nobody")
        self.assertFalse(user.exists())


@tagged("post_install", "-at_install")
class TestLimits(MatomoPosCommon):
    """The database's administrator limits how long a statement may take."""

    def fail_in_the_database(self, statement):
        def execute(orders):
            orders.env.cr.execute(statement, log_exceptions=False)

        self.patch(self.env.registry["sale.order"], "_matomo_enqueue", execute)

    def test_a_limit_on_statements(self):
        """A slow step of ours failed the sale; its statement alone is stopped."""
        self.fail_in_the_database(
            "SET LOCAL statement_timeout = 50; SELECT pg_sleep(5)"
        )
        order = self.make_order()
        order.action_confirm()
        with self.assertLogs(LOGGER, "ERROR") as logs:
            self.end_transaction()
        self.assertEqual(len(logs.records), 1)
        self.assertEqual(order.state, "sale")
        # The savepoint has undone the limit, too; the transaction goes on.
        order.note = f"Sold on {fields.Date.today()}"
        self.end_transaction()
