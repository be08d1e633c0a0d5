"""A Matomo site, users with few access rights, and a fake Matomo."""

from unittest.mock import patch

import requests

from odoo import Command, fields
from odoo.tests import new_test_user, tagged

from odoo.addons.account.tests.common import AccountTestInvoicingCommon

from ...outbox import sender
from .fake_matomo import TOKEN, FakeMatomo
from .memory import remember

MODULE = "matomo_order_tracking"


def run_in_turn(job, meanwhile):
    """Do what ``transactions.run_aside`` does, in one thread."""
    result = meanwhile()
    return job(), result


@tagged("post_install", "-at_install")
class MatomoCommon(AccountTestInvoicingCommon):
    """A company of its own with a Matomo site for its salespeople's orders."""

    # Preparing goods for delivery is most of what confirming an order takes.
    product_type = "service"

    @classmethod
    def setUpClass(cls):
        # Past what Odoo's tests of invoices make for each class: products, accounts,
        # terms and partners that no test here uses, and that take half a second.
        super(AccountTestInvoicingCommon, cls).setUpClass()
        cls.company_data = cls.collect_company_accounting_data(cls.env.company)
        remember(cls)
        # A button that asks Matomo commits before it writes: that ends no test.
        cls.startClassPatcher(patch.object(cls.cr, "commit", cls.cr.flush))
        cls.env = cls.env(context={**cls.env.context, "tracking_disable": False})
        cls.company = cls.company_data["company"]
        # A salesperson who may see the log, and no administrator.
        cls.env.user.group_ids += cls.env.ref("sales_team.group_sale_manager")
        cls.env.user.group_ids += cls.env.ref(f"{MODULE}.group_matomo_user")
        cls.site = (
            cls.env["matomo.site"]
            .sudo()
            .create(
                {
                    "name": "Test site",
                    "url": "https://matomo.example.com/",
                    "idsite": 1,
                    "token_auth": TOKEN,
                    "company_id": cls.company.id,
                    "currency_id": cls.company.currency_id.id,
                    "page_url": "https://shop.example.com",
                    "date_start": "2026-01-01",
                    # Matomo has told its settings, which are these.
                    "facts_date": fields.Datetime.now(),
                }
            )
        )
        cls.site = cls.site.sudo(False)
        cls.company.sudo().matomo_site_id = cls.site
        cls.customer = cls.env["res.partner"].create({"name": "Nora Shopper"})
        cls.categories = cls.env["product.category"].create({"name": "Furniture"})
        cls.categories += cls.env["product.category"].create(
            {"name": "Chairs", "parent_id": cls.categories.id}
        )
        cls.tax = cls.company_data["default_tax_sale"]
        cls.chair = cls.make_product("Chair", "CHAIR", 100.0)
        cls.lamp = cls.make_product("Lamp", "LAMP", 10.5)

    @classmethod
    def setup_independent_company(cls, **values):
        """Return the company that ``make test`` has made for all, or make one.

        See dev/plugin/company.py.
        """
        companies = cls.env["res.company"].sudo()
        found = companies.search([("name", "=", "company_1_data")]).sudo(False)
        if not found:
            return super().setup_independent_company(**values)
        cls.env.user.company_ids = [Command.link(found.id)]
        return found

    def setUp(self):
        super().setUp()
        self.matomo = FakeMatomo()
        self.startPatch(self.matomo)
        # A test has one cursor, and what it does meanwhile must not depend on chance.
        self.startPatcher(patch.object(sender, "run_aside", run_in_turn))

    def startPatch(self, matomo):
        """Send all requests to ``matomo`` instead of the network."""
        self.startPatcher(
            patch.object(
                requests.Session,
                "post",
                lambda _session, url, **o: matomo.post(url, **o),
            )
        )

    # === MAKING === #

    @classmethod
    def make_product(cls, name, reference, price, **values):
        return cls.env["product.product"].create(
            {
                "name": name,
                "type": cls.product_type,
                "default_code": reference,
                "list_price": price,
                "taxes_id": [Command.set(values.pop("taxes", cls.tax).ids)],
                "categ_id": cls.categories[-1].id,
                "available_in_pos": True,
                **values,
            }
        )

    @classmethod
    def make_user(cls, login, groups):
        return new_test_user(
            cls.env,
            login=login,
            groups=groups,
            company_id=cls.company.id,
            company_ids=[Command.set(cls.company.ids)],
        )

    @classmethod
    def make_manager(cls):
        return cls.make_user("matomo_manager", f"{MODULE}.group_matomo_manager")

    @classmethod
    def make_order(cls, *lines, **values):
        """Return a quotation. A line is ``(product, quantity)`` or a dict of values."""
        return cls.env["sale.order"].create(
            {
                "partner_id": cls.customer.id,
                "company_id": cls.company.id,
                "order_line": [
                    Command.create(
                        line
                        if isinstance(line, dict)
                        else {"product_id": line[0].id, "product_uom_qty": line[1]}
                    )
                    for line in lines or [(cls.chair, 1)]
                ],
                **values,
            }
        )

    def confirm(self, order):
        """Confirm an order and end the transaction. Return the order."""
        order.action_confirm()
        self.end_transaction()
        return order

    def cancel(self, *orders):
        """Cancel sales orders and end the transaction."""
        for order in orders:
            order._action_cancel()
        self.end_transaction()

    def credit(self, order, amount, **values):
        """Return a posted credit note for a part of the order's first line."""
        line = order.order_line[:1]
        move = self.env["account.move"].create(
            {
                "move_type": "out_refund",
                "partner_id": order.partner_id.id,
                "invoice_date": fields.Date.today(),
                "invoice_line_ids": [
                    Command.create(
                        {
                            "product_id": line.product_id.id,
                            "quantity": 1,
                            "price_unit": amount,
                            "tax_ids": [Command.set(line.tax_ids.ids)],
                            "sale_line_ids": [Command.link(line.id)],
                        }
                    )
                ],
                **values,
            }
        )
        move.action_post()
        self.end_transaction()
        return move

    def plant(self, ref, **values):
        """Have Matomo record an order that this database did not send."""
        self.matomo.orders[str(self.site.idsite), ref.casefold()] = {
            "ec_id": ref,
            "revenue": "5.00",
            "ec_st": "5.00",
            "ec_tx": "0.00",
            "ec_sh": "0.00",
            "ec_dt": "0.00",
            "ec_items": "[]",
            "cid": "f" * 16,
            "cdt": fields.Datetime.to_string(fields.Datetime.now()),
            **values,
        }

    def end_transaction(self):
        """Do what Odoo does before a commit. Tests cannot commit."""
        self.env.cr.flush()

    def erase(self, records, user):
        """Delete the personal data of contacts or orders as a manager does.

        :return: the sentences that the manager reads afterwards
        """
        action = records.with_user(user).action_matomo_anonymize()
        wizard = self.env[action["res_model"]].with_user(user).browse(action["res_id"])
        return wizard.action_delete()["params"]["message"]

    # === RUNNING === #

    def run_cron(self, name):
        with self.enter_registry_test_mode():
            self.env.ref(f"{MODULE}.{name}").method_direct_trigger()
        self.env.invalidate_all()

    def run_sender(self):
        self.run_cron("ir_cron_send")

    def run_verifier(self):
        """Run the verifier after the time of grace."""
        requests = self.env["matomo.request"].sudo()
        requests.search([("next_check_date", "!=", False)]).write(
            {"next_check_date": fields.Datetime.now()}
        )
        self.run_cron("ir_cron_verify")

    # === LOOKING === #

    def get_check(self, kind):
        """Return what is kept of one point of the site, in sudo."""
        return self.site.sudo().check_ids.filtered(lambda each: each.kind == kind)

    def get_level(self, kind):
        """Return how one point of the site is, None if nothing is said of it."""
        return self.get_check(kind).level or None

    def get_request(self, order):
        """Return the requests of kind "order" of these orders, in sudo."""
        requests = order.sudo().matomo_request_ids
        return requests.filtered(lambda request: request.kind == "order")

    def recorded(self, order):
        """Return the parameters with which Matomo has recorded the order, or None."""
        ref = self.get_request(order).order_ref or order._get_matomo_order_name()
        return self.matomo.orders.get((str(self.site.idsite), ref.casefold()))

    def assertState(self, order, state, reason=None):
        self.assertEqual(order.matomo_state, state, order.matomo_reason)
        if reason is not None:
            self.assertIn(reason, order.matomo_reason or "")

    def assertRecorded(self, order, **parameters):
        """Assert that Matomo has the order, with these parameters."""
        recorded = self.recorded(order)
        self.assertTrue(recorded, f"{order.display_name} is not in Matomo")
        self.assertEqual({name: recorded[name] for name in parameters}, parameters)

    def assertNotRecorded(self, order):
        self.assertFalse(self.recorded(order))
