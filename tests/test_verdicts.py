from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .amounts import AmountsCommon
from .common import MODULE
from .fake_matomo import FakeResponse

SENDER_LOG = f"odoo.addons.{MODULE}.models.matomo_request_send"


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestVerdicts(AmountsCommon):
    """Each order says what became of it, in lists and on its tab."""

    def counted(self, step):
        """How many queries ``step`` needs."""
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        step()
        self.env.flush_all()
        return self.env.cr.sql_log_count - before

    def make_one_of_each(self):
        """Orders by their state: excluded, pending, sent, verified, failed, none."""
        website = (
            self.env["website"]
            .sudo()
            .create({"name": "Bare shop", "company_id": self.company.id})
        )
        verified = self.confirm(self.make_order())
        self.run_sender()
        self.run_verifier()
        sent = self.confirm(self.make_order())
        self.run_sender()
        failed = self.confirm(self.make_order())
        self.matomo.refuses = lambda parameters: True
        with mute_logger(SENDER_LOG):
            self.run_sender()
        self.matomo.refuses = lambda parameters: False
        return {
            "verified": verified,
            "sent": sent,
            "failed": failed,
            "excluded": self.confirm(self.make_order(website_id=website.id)),
            "pending": self.confirm(self.make_order()),
            False: self.make_order(),
        }

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

    def test_notes_of_many_sent_orders_compute_no_taxes(self):
        orders = self.clone_orders(self.make_order(state="sale"), 200)
        rows = orders._matomo_enqueue()
        rows.write(
            {
                "state": "sent",
                "revenue": orders[0].amount_total,
                "currency_id": self.site.currency_id.id,
            }
        )
        self.assertLess(self.counted(lambda: orders.read(["matomo_notes"])), 12)
        self.assertFalse(any(orders.mapped("matomo_notes")))

    # === RETRACK === #

    def retrack(self, orders):
        message = orders.action_matomo_retrack()["params"]["message"]
        self.end_transaction()
        return message

    def assertLogged(self, order, text):
        """The order's chatter says who asked and what came of it."""
        message = order.sudo().message_ids[0]
        self.assertEqual(message.author_id, self.env.user.partner_id)
        self.assertIn(text, message.body)

    def test_retrack_of_a_quotation(self):
        order = self.make_order()
        before = len(order.message_ids)
        self.assertEqual(
            self.retrack(order),
            f"{order.name} is not confirmed: only confirmed orders are tracked.",
        )
        self.assertEqual(len(order.message_ids), before)
        self.assertFalse(order.matomo_state)

    def test_retrack_of_an_order_nobody_noted(self):
        order = self.clone_orders(self.make_order(state="sale"), 1)
        self.assertFalse(order.matomo_state)
        self.assertEqual(self.retrack(order), f"{order.name}: it is queued to be sent.")
        self.assertLogged(order, "Retrack in Matomo: it is queued to be sent.")
        self.run_sender()
        self.assertState(order, "sent")

    def test_retrack_of_an_excluded_order(self):
        self.company.sudo().matomo_site_id = False
        order = self.confirm(self.make_order())
        reason = order.matomo_reason
        self.assertEqual(self.retrack(order), f"{order.name}: {reason}")
        self.assertState(order, "excluded")
        self.company.sudo().matomo_site_id = self.site
        self.assertIn("it is queued to be sent.", self.retrack(order))
        self.assertLogged(order, "it is queued")
        self.run_sender()
        self.assertExact(order, revenue="115.00")

    def test_retrack_of_a_waiting_order(self):
        order = self.confirm(self.make_order())
        self.assertEqual(
            self.retrack(order), f"{order.name}: it is waiting to be sent."
        )
        self.run_sender()
        self.assertEqual(len(self.matomo.bulks), 1)

    def test_retrack_of_a_sent_order_looks_for_it_first(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertEqual(
            self.retrack(order),
            f"{order.name}: Matomo has accepted it; it is looked for there now.",
        )
        self.run_cron("ir_cron_verify")
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.bulks), 1)
        # Somebody has deleted it in Matomo.
        self.matomo.orders.clear()
        self.retrack(order)
        with mute_logger(f"odoo.addons.{MODULE}.models.matomo_request_verify"):
            self.run_cron("ir_cron_verify")
        self.run_sender()
        self.assertExact(order, revenue="115.00")
        self.assertEqual(len(self.matomo.bulks), 2)

    def make_failed(self):
        order = self.confirm(self.make_order())
        self.matomo.refuses = lambda parameters: True
        with mute_logger(SENDER_LOG):
            self.run_sender()
        self.matomo.refuses = lambda parameters: False
        self.assertState(order, "failed", "Matomo refused this order")
        return order

    def test_retrack_of_a_failed_order_sends_what_is_not_there(self):
        order = self.make_failed()
        self.assertIn("it is queued to be sent.", self.retrack(order))
        self.run_sender()
        self.assertState(order, "sent")
        self.assertExact(order, revenue="115.00")

    def test_retrack_of_a_failed_order_that_is_there_sends_nothing(self):
        order = self.make_failed()
        payload = self.row(order).payload
        self.matomo.orders[payload["idsite"], payload["ec_id"].casefold()] = payload
        sent = len(self.matomo.bulks)
        self.retrack(order)
        self.run_sender()
        self.assertState(order, "verified")
        self.assertEqual(len(self.matomo.bulks), sent)

    def test_retrack_of_what_is_older_than_matomos_raw_data_sends_nothing(self):
        sent = self.confirm(self.make_order())
        self.run_sender()
        failed = self.make_failed()
        bulks = len(self.matomo.bulks)
        with freeze_time("2026-12-03 10:00:00"):
            for order in (sent, failed):
                self.assertIn(
                    "older than Matomo keeps its raw data", self.retrack(order)
                )
            self.run_cron("ir_cron_verify")
            self.run_sender()
        self.assertState(sent, "sent")
        self.assertState(failed, "failed")
        self.assertEqual(len(self.matomo.bulks), bulks)

    def test_retrack_of_a_cancelled_order_that_is_confirmed_again(self):
        order = self.confirm(self.make_order())
        order._action_cancel()
        self.end_transaction()
        self.run_sender()
        self.assertState(order, "cancelled")
        self.assertIn("only confirmed orders", self.retrack(order))

    def test_retrack_of_a_selection(self):
        orders = self.make_one_of_each()
        everything = self.env["sale.order"].union(*orders.values())
        self.assertEqual(
            self.retrack(everything),
            "Of 6 orders, 2 are queued to be sent, 2 are looked for in Matomo and 2"
            " are not tracked.",
        )
        for state in ("failed", "sent", "excluded"):
            self.assertLogged(orders[state], "Retrack in Matomo: ")

    def test_retrack_of_till_sales(self):
        sale = self.sync(self.make_sale())
        returned = self.sync(self.make_sale((self.chair, -1)))
        self.run_sender()
        self.assertIn("2 orders, 0 are queued", self.retrack(sale + returned))
        self.assertLogged(sale, "Matomo has accepted it")
        self.assertLogged(returned, "A return: Matomo counts no refunds.")

    def test_retrack_is_for_users_of_the_addon(self):
        order = self.confirm(self.make_order())
        salesperson = self.make_user(
            "salesperson", "sales_team.group_sale_salesman_all_leads"
        )
        with self.assertRaises(AccessError):
            order.with_user(salesperson).action_matomo_retrack()
        stranger = self.make_user("stranger", f"{MODULE}.group_matomo_user")
        with self.assertRaises(AccessError):
            order.with_user(stranger).action_matomo_retrack()

    def test_retrack_of_many_costs_as_much_for_each_as_for_a_few(self):
        order = self.make_order(state="sale")

        def cost(count):
            orders = self.clone_orders(order, count)
            fresh = self.counted(lambda: self.retrack(orders))
            rows = orders.sudo().matomo_request_ids
            self.assertEqual(len(rows), count)
            rows[: count // 2].write({"state": "sent", "order_ref": False})
            rows[count // 2 :].write({"state": "failed", "failure_type": "data"})
            return fresh, self.counted(lambda: self.retrack(orders))

        few, many = cost(100), cost(600)
        # A statement writes a hundred rows or more; nothing is asked for each.
        for small, large in zip(few, many, strict=True):
            self.assertLess(large - small, 100, (few, many))

    # === A REFUSAL IS TOLD === #

    def test_failed_order_names_the_way_out(self):
        order = self.make_failed()
        self.assertIn("press Retrack", order.matomo_reason)

    def test_interrupted_site_leaves_its_orders_waiting(self):
        order = self.confirm(self.make_order())
        self.matomo.faults = [FakeResponse(503)]
        with mute_logger(f"odoo.addons.{MODULE}.models.matomo_site_health"):
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
