"""The vocabulary of the tests: a site, users with few rights, one fake Matomo."""

from itertools import count
from unittest.mock import patch
from uuid import uuid4

import requests

from odoo import Command, fields
from odoo.tests import new_test_user, tagged

from odoo.addons.account.tests.common import AccountTestInvoicingCommon

from .fake_matomo import TOKEN, FakeMatomo

MODULE = "matomo_order_tracking"


@tagged("post_install", "-at_install")
class MatomoCommon(AccountTestInvoicingCommon):
    """A company of its own with a Matomo site for its salespeople's orders."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
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

    def setUp(self):
        super().setUp()
        self.matomo = FakeMatomo()
        self.startPatch(self.matomo)

    def startPatch(self, matomo):
        """Let the network end at ``matomo``: the one seam of all tests."""
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
        """A quotation; a line is ``(product, quantity)`` or a dict of values."""
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
        """Confirm and end the transaction, as a click does."""
        order.action_confirm()
        self.end_transaction()
        return order

    def end_transaction(self):
        """What happens before a commit; tests cannot commit."""
        self.env.cr.flush()

    # === RUNNING === #

    def run_cron(self, name):
        with self.enter_registry_test_mode():
            self.env.ref(f"{MODULE}.{name}").method_direct_trigger()
        self.env.invalidate_all()

    def run_sender(self):
        self.run_cron("ir_cron_send")

    def run_verifier(self):
        """Read Matomo back, the time of grace being over."""
        requests = self.env["matomo.request"].sudo()
        requests.search([("next_check_date", "!=", False)]).write(
            {"next_check_date": fields.Datetime.now()}
        )
        self.run_cron("ir_cron_verify")

    # === LOOKING === #

    def row(self, order):
        return order.sudo().matomo_request_ids.filtered(lambda r: r.kind == "order")

    def recorded(self, order):
        """The parameters of the order as Matomo has recorded it, or None."""
        ref = self.row(order).order_ref or order._get_matomo_order_name()
        return self.matomo.orders.get((str(self.site.idsite), ref.casefold()))

    def assertState(self, order, state, reason=None):
        self.assertEqual(order.matomo_state, state, order.matomo_reason)
        if reason is not None:
            self.assertIn(reason, order.matomo_reason or "")

    def assertRecorded(self, order, **parameters):
        """Matomo has the order, with these parameters."""
        recorded = self.recorded(order)
        self.assertTrue(recorded, f"{order.display_name} is not in Matomo")
        self.assertEqual({name: recorded[name] for name in parameters}, parameters)

    def assertNotRecorded(self, order):
        self.assertFalse(self.recorded(order))


class MatomoPosCommon(MatomoCommon):
    """A till with an open session, and sales as a till sends them."""

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
        """What a till sends for a sale paid in cash.

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
        """Send sales from the till and end the transaction; the till's orders."""
        orders = self.env["pos.order"].with_user(user or self.env.user)
        answer = orders.sync_from_ui(list(sales))
        self.end_transaction()
        uuids = [sale.get("uuid") for sale in sales]
        found = self.env["pos.order"].browse([o["id"] for o in answer["pos.order"]])
        return found.filtered(lambda o: o.uuid in uuids or not any(uuids)) or found
