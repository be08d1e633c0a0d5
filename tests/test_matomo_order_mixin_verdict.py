from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, FakeResponse, VerdictsCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestVerdicts(VerdictsCommon):
    """Each order shows its verdict, in lists and on its tab."""

    # === REASONS === #

    def test_reason_where_no_site_is_set(self):
        website = (
            self.env["website"]
            .sudo()
            .create({"name": "Bare shop", "company_id": self.company.id})
        )
        web = self.confirm(self.make_order(website_id=website.id))
        self.assertState(
            web, "excluded", "No Matomo site is set for the website Bare shop."
        )
        self.company.sudo().matomo_site_id = False
        desk = self.confirm(self.make_order())
        self.assertState(
            desk,
            "excluded",
            f"No Matomo site is set for salespeople's orders of {self.company.name}.",
        )
        self.config.sudo().matomo_site_id = False
        till = self.sync(self.make_sale())
        self.assertState(till, "excluded", "No Matomo site is set for the till Bakery.")

    def test_employees_orders_in_the_web_shop(self):
        """A shop's own test orders were revenue in Matomo."""
        website = self.env["website"].sudo()
        website = website.create({"name": "Shop", "company_id": self.company.id})
        website.matomo_site_id = self.site
        employee = self.make_user("tester", "base.group_user").partner_id
        portal = self.make_user("portal", "base.group_portal").partner_id

        def order(partner, **values):
            values["partner_id"] = partner.id
            return self.confirm(self.make_order(**values))

        self.assertState(order(employee, website_id=website.id), "pending")
        self.site.sudo().exclude_employee_orders = True
        self.assertState(
            order(employee, website_id=website.id),
            "excluded",
            "An employee ordered it in the web shop. The Matomo site is set to leave "
            "out employees' orders.",
        )
        self.assertState(order(portal, website_id=website.id), "pending")
        # A salesperson sold it to an employee.
        self.assertState(order(employee), "pending")

    @mute_logger(LOGGER)
    def test_order_with_a_website_of_another_company(self):
        """A salesperson wrote it by RPC: Odoo checks it for new orders only."""
        other = self.env["res.company"].sudo().create({"name": "Other"})
        theirs = self.site.sudo().copy({"company_id": other.id, "idsite": 7})
        theirs.token_auth = self.matomo.token
        website = (
            self.env["website"]
            .sudo()
            .create(
                {
                    "name": "Their shop",
                    "company_id": other.id,
                    "matomo_site_id": theirs.id,
                }
            )
        )
        seller = self.make_user("seller", "sales_team.group_sale_salesman_all_leads")
        order = self.make_order()
        order.with_user(seller).write({"website_id": website.id})
        self.confirm(order)
        self.run_sender()
        self.assertState(
            order,
            "excluded",
            f"It is an order of {self.company.name}, and its Matomo site belongs to "
            "Other.",
        )
        self.assertFalse(self.get_request(order).site_id)
        self.assertNotIn("ec_id", str(self.matomo.requests))
        # Nor is a refund of it sent there.
        theirs.track_refunds = True
        order._action_cancel()
        self.end_transaction()
        self.run_sender()
        self.assertNotIn("Refund", str(self.matomo.requests))

    def test_reason_before_tracking_began(self):
        self.site.sudo().date_start = "2026-03-04"
        order = self.confirm(self.make_order())
        sale = self.sync(self.make_sale())
        for one in (order, sale):
            self.assertState(
                one, "excluded", "Confirmed before tracking began on 03/04/2026."
            )
        # The start can be changed, and a retrack looks again.
        self.site.sudo().date_start = "2026-03-03"
        (order.action_matomo_retrack(), sale.action_matomo_retrack())
        self.end_transaction()
        self.run_sender()
        self.assertExact(order, sale)

    def test_tracking_starts_the_day_a_site_is_chosen(self):
        site = (
            self.env["matomo.site"]
            .sudo()
            .create({"name": "New", "url": "https://new.example.com", "idsite": 9})
        )
        self.assertEqual(site.date_start, fields.Date.to_date("2026-03-03"))

    def test_order_from_before_has_no_verdict_and_says_why(self):
        order = self.make_order(state="sale", date_order="2025-12-31 10:00:00")
        # Nobody noted it: it was there before the addon.
        self.env["matomo.request"].sudo().search(
            [("sale_order_id", "=", order.id)]
        ).unlink()
        self.assertFalse(order.matomo_state)
        self.assertEqual(
            order.matomo_reason, "Confirmed before tracking began on 01/01/2026."
        )

    def test_quotation_has_no_verdict_and_no_reason(self):
        quotation = self.make_order()
        self.assertFalse(quotation.matomo_state)
        self.assertFalse(quotation.matomo_reason)
        self.assertFalse(quotation.matomo_notes)

    def test_reason_speaks_the_companys_language(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        self.site.sudo().date_start = "2026-03-04"
        order = self.make_order()
        order.with_context(lang="fr_FR").action_confirm()
        self.end_transaction()
        self.assertIn("03/04/2026", order.matomo_reason)

    # === LISTS === #

    def test_search_by_state(self):
        orders = self.make_one_of_each()
        everything = self.env["sale.order"].union(*orders.values())

        def search(*leaf):
            return everything.search([("id", "in", everything.ids), leaf])

        for state, order in orders.items():
            self.assertEqual(search("matomo_state", "=", state), order)
            self.assertEqual(search("matomo_state", "!=", state), everything - order)
        both = orders["sent"] + orders["verified"]
        self.assertEqual(search("matomo_state", "in", ["sent", "verified"]), both)
        self.assertEqual(
            search("matomo_state", "in", ["sent", False]),
            orders["sent"] + orders[False],
        )
        self.assertEqual(
            search("matomo_state", "not in", ["sent", "verified"]), everything - both
        )
        self.assertEqual(search("matomo_tracked", "=", True), both)
        self.assertEqual(search("matomo_tracked", "=", False), everything - both)
        self.assertEqual(search("matomo_tracked", "!=", True), everything - both)
        self.assertEqual(
            search("matomo_reason", "ilike", "website Bare"), orders["excluded"]
        )
        self.assertEqual(
            search("matomo_reason", "not ilike", "website Bare"),
            everything - orders["excluded"],
        )
        self.assertEqual(
            search("matomo_order_ref", "=", orders["sent"].name), orders["sent"]
        )
        self.assertIn(orders[False], search("matomo_order_ref", "=", False))
        self.assertEqual(search("matomo_tracked_date", ">=", "2026-03-03"), both)

    def test_group_by_state(self):
        orders = self.make_one_of_each()
        domain = [("id", "in", [order.id for order in orders.values()])]
        expected = dict.fromkeys(orders, 1)
        model = self.env["sale.order"]
        self.assertEqual(
            dict(model._read_group(domain, ["matomo_state"], ["__count"])), expected
        )
        rows = model.formatted_read_group(domain, ["matomo_state"], ["__count"])
        self.assertEqual({r["matomo_state"]: r["__count"] for r in rows}, expected)
        for row in rows:
            found = model.search([*domain, *row["__extra_domain"]])
            self.assertEqual(found, orders[row["matomo_state"]])
        answer = model.web_read_group(domain, ["matomo_state"], ["__count"])
        self.assertEqual(
            {r["matomo_state"]: r["__count"] for r in answer["groups"]}, expected
        )

    def test_till_sales_are_searched_and_grouped_too(self):
        sent = self.sync(self.make_sale())
        self.run_sender()
        pending = self.sync(self.make_sale())
        returned = self.sync(self.make_sale((self.chair, -1)))
        everything = sent + pending + returned
        domain = [("id", "in", everything.ids)]
        for state, order in (
            ("sent", sent),
            ("pending", pending),
            ("excluded", returned),
        ):
            self.assertEqual(
                everything.search([*domain, ("matomo_state", "=", state)]), order
            )
        rows = everything.formatted_read_group(domain, ["matomo_state"], ["__count"])
        self.assertEqual(
            {r["matomo_state"]: r["__count"] for r in rows},
            {"sent": 1, "pending": 1, "excluded": 1},
        )

    def test_a_thousand_orders_are_read_in_a_handful_of_queries(self):
        order = self.make_order(state="sale")
        orders = self.clone_orders(order, 1000)
        names = ["name", "matomo_state", "matomo_reason", "matomo_tracked"]
        unseen = self.counted(lambda: orders.read(names))
        orders._matomo_enqueue()
        tracked = self.counted(lambda: orders.read([*names, "matomo_notes"]))
        self.assertLess(tracked, 12)
        # Without a verdict each is looked at; not one by one.
        self.assertLess(unseen, 30)

    def test_a_verdict_is_shown_without_its_reason(self):
        """A list of orders without a verdict looked at the lines of each of them."""
        order = self.make_order(state="sale")
        missing = patch.object(type(order), "_get_matomo_missing_reason")
        with missing as look:
            order.read(["matomo_state", "matomo_tracked", "matomo_order_ref"])
            look.assert_not_called()
            order.read(["matomo_reason"])
            look.assert_called_once()

    def test_notes_of_many_sent_orders_compute_no_taxes(self):
        orders = self.clone_orders(self.make_order(state="sale"), 200)
        rows = orders._matomo_enqueue()
        rows.write(
            {
                "state": "sent",
                "revenue": orders[0].amount_total,
                "currency_id": self.site.currency_id.id,
                "order_revenue": orders[0].amount_total,
                "order_currency_id": orders.currency_id.id,
                "order_rate": 1.0,
            }
        )
        # Computing taxes would take some for each order.
        self.assertLess(self.counted(lambda: orders.read(["matomo_notes"])), 20)
        self.assertFalse(any(orders.mapped("matomo_notes")))

    # === A REFUSAL IS TOLD === #

    def test_failed_order_names_the_way_out(self):
        order = self.make_failed()
        self.assertIn("press Retrack", order.matomo_reason)

    def test_interrupted_site_leaves_its_orders_waiting(self):
        order = self.confirm(self.make_order())
        self.matomo.faults = [FakeResponse(503)] * 2
        with mute_logger(LOGGER):
            self.run_sender()
        self.assertState(order, "pending")
        with freeze_time(fields.Datetime.now() + timedelta(hours=2)):
            self.run_sender()
        self.assertState(order, "sent")

    def test_every_order_has_one_verdict(self):
        orders = self.make_one_of_each()
        orders.pop(False)
        rows = (
            self.env["matomo.request"]
            .sudo()
            .search(
                [
                    ("kind", "=", "order"),
                    ("sale_order_id", "in", [order.id for order in orders.values()]),
                ]
            )
        )
        self.assertEqual(len(rows), len(orders))
        self.assertEqual(set(rows.mapped("state")), set(orders))
        self.assertTrue(all(row.reason for row in rows if row.state == "excluded"))
