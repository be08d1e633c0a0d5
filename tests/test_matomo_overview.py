import json

from odoo import Command, fields
from odoo.exceptions import AccessError
from odoo.tests import freeze_time, tagged

from ..const import STATES
from .common import MODULE, ComparisonCommon

# Half past midnight of March 3 in Brussels.
NOW = "2026-03-02 23:30:00"


@freeze_time(NOW)
@tagged("post_install", "-at_install")
class TestOverview(ComparisonCommon):
    """The Overview answers whether every order is in Matomo, site by site."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.sudo().write({"timezone": "Europe/Brussels", "state": "ok"})
        # She sees no sales order, no POS order, and no settings.
        cls.mia = cls.make_user("mia", "matomo_order_tracking.group_matomo_user")

    def see(self, user=None):
        """Return what a user sees of the site, as the web client reads it."""
        self.env.flush_all()
        self.env.invalidate_all()
        overview = self.env["matomo.overview"].with_user(user or self.mia)
        names = {name: {} for name in overview.fields_get()}
        [found] = overview.web_search_read([("site_id", "=", self.site.id)], names)[
            "records"
        ]
        return found

    def open(self, method, *arguments):
        """Return the requests or days that a number of the site leads to."""
        card = self.env["matomo.overview"].with_user(self.mia).browse(self.site.id)
        action = getattr(card, method)(*arguments)
        self.assertEqual(action["context"], {})
        return (
            self.env[action["res_model"]].with_user(self.mia).search(action["domain"])
        )

    def put(self, state, moment=NOW, count=1):
        """Return requests of confirmed orders, in a state at which they stay."""
        orders = self.env["sale.order"].union(
            *(self.confirm(self.make_order()) for _each in range(count))
        )
        requests = self.get_request(orders)
        requests.write({"order_date": moment})
        # No test of the machine of states: any of them is shown.
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE matomo_request SET state = %s WHERE id = ANY(%s)",
            (state, requests.ids),
        )
        self.env.invalidate_all()
        return requests

    def get_counts(self, bar):
        return {each["state"]: each["count"] for each in bar["segments"]}

    # === ORDERS === #

    def test_orders_of_today_and_of_thirty_days_by_state(self):
        self.put("verified", count=2)
        self.put("sent", "2026-03-02 23:00:00")
        # Before midnight of the site's zone: yesterday.
        self.put("failed", "2026-03-02 22:59:59")
        # The first second of thirty days, and the last one before it.
        self.put("excluded", "2026-02-01 23:00:00")
        self.put("different", "2026-02-01 22:59:59")
        seen = self.see()
        self.assertEqual(self.get_counts(seen["today_bar"]), {"verified": 2, "sent": 1})
        self.assertEqual(
            self.get_counts(seen["month_bar"]),
            {"verified": 2, "sent": 1, "failed": 1, "excluded": 1},
        )
        self.assertEqual(
            (seen["today_bar"]["total"], seen["month_bar"]["total"]), (3, 5)
        )
        self.assertEqual(seen["proven_share"], 50)

    def test_each_number_leads_to_its_rows(self):
        for state, _label in STATES:
            self.put(state)
            self.put(state, "2026-02-20 12:00:00")
            self.put(state, "2025-12-20 12:00:00")
        seen = self.see()
        for period, count in (("today", 1), ("month", 2)):
            total = 0
            for state, number in self.get_counts(seen[f"{period}_bar"]).items():
                found = self.open("action_view_orders", period, state)
                self.assertEqual(found.mapped("state"), [state] * count)
                self.assertEqual(len(found), number)
                total += number
            self.assertEqual(len(self.open("action_view_orders", period)), total)
        proven = self.open("action_view_proven")
        self.assertEqual(proven, self.open("action_view_orders", "month", "verified"))
        for state, name in (
            ("pending", "waiting"),
            ("failed", "failed"),
            ("different", "different"),
        ):
            # Whenever they were made, they wait for Matomo or for a person.
            found = self.open(f"action_view_{name}")
            self.assertEqual(found.mapped("state"), [state] * 3)
            self.assertEqual(seen[f"{name}_count"], 3)

    def test_refunds_are_no_orders(self):
        self.site.sudo().track_refunds = True
        order = self.confirm(self.make_order())
        self.run_sender()
        self.cancel(order)
        seen = self.see()
        self.assertEqual(self.get_counts(seen["month_bar"]), {"sent": 1})
        # The event of the refund has to be sent, too.
        self.assertEqual(seen["waiting_count"], 1)
        self.assertEqual(seen["waiting_message"], "1 refund waits")
        self.put("pending", count=2)
        self.assertEqual(self.see()["waiting_message"], "2 orders and 1 refund wait")
        self.site.with_user(self.make_manager()).action_pause()
        [trouble] = self.get_troubles()
        self.assertEqual(trouble["waiting"], "2 orders and 1 refund wait")
        with freeze_time("2026-03-04 00:00:00"):
            self.env["matomo.check"]._watch(self.site)
        self.assertIn(
            "2 orders and 1 refund wait. Nothing is lost.",
            self.site.check_ids.mapped("sentence")[0],
        )

    def test_since_when_orders_wait(self):
        # A till was offline for weeks: its order waits since it came in.
        request = self.put("pending", "2026-01-05 10:00:00")
        seen = self.see()
        self.assertEqual(seen["waiting_since"], request.create_date)
        # Another one waits longer, of a later sale.
        longer = self.put("pending", "2026-03-02 10:00:00")
        self.env.cr.execute(
            "UPDATE matomo_request SET create_date = %s WHERE id = %s",
            ("2026-03-02 10:00:01", longer.id),
        )
        seen = self.see()
        self.assertEqual(str(seen["waiting_since"]), "2026-03-02 10:00:01")

    def test_what_waits_is_another_companys(self):
        """The site was another company's: its orders are not hers to see."""
        other = self.env["res.company"].sudo().create({"name": "Another company"})
        self.put("pending").sudo().company_id = other
        seen = self.see()
        self.assertEqual(seen["waiting_count"], 1)
        self.assertFalse(seen["waiting_since"])

    def test_a_site_without_orders(self):
        seen = self.see()
        self.assertEqual(seen["month_bar"]["total"], 0)
        self.assertFalse(seen["has_share"])
        self.assertFalse(seen["waiting_since"])
        self.assertFalse(seen["compared_count"])

    # === HEALTH === #

    def test_the_first_sentence(self):
        self.assertEqual(self.see()["level"], "good")
        self.put("failed")
        seen = self.see()
        self.assertEqual(seen["level"], "look")
        # A refund that failed is in no bar of orders.
        self.assertIn("Some orders or refunds need a person", seen["sentence"])
        self.site.sudo().write(
            {"state": "error", "state_message": "The token is wrong."}
        )
        seen = self.see()
        self.assertEqual(
            (seen["level"], seen["sentence"]), ("bad", "The token is wrong.")
        )
        self.site.with_user(self.make_manager()).action_pause()
        self.assertIn("paused", self.see()["sentence"])

    def test_a_check_says_what_to_do(self):
        finding = self.env["matomo.check"].sudo()
        finding.create(
            {
                "site_id": self.site.id,
                "kind": "ecommerce",
                "level": "bad",
                "sequence": 1,
            }
        )
        seen = self.see()
        self.assertEqual(seen["level"], "bad")
        self.assertTrue(seen["sentence"])
        self.assertTrue(seen["advice"])

    # === THE BANNER ABOVE THE LOG === #

    def get_troubles(self):
        self.env.invalidate_all()
        return self.env["matomo.overview"].with_user(self.mia).get_troubles()

    def test_the_banner_names_site_trouble_and_orders(self):
        self.put("pending")
        self.assertEqual(self.get_troubles(), [])
        self.site.sudo().write(
            {
                "state": "error",
                "state_message": "The token is wrong.",
                "next_attempt_date": "2026-03-03 00:00:00",
            }
        )
        [trouble] = self.get_troubles()
        self.assertEqual((trouble["name"], trouble["level"]), ("Test site", "danger"))
        # The banner has named the site already.
        self.assertTrue(
            trouble["sentence"].startswith("The token is wrong. Nothing is lost")
        )
        self.assertIn("12:00:00", trouble["sentence"])
        self.assertEqual(trouble["waiting"], "1 order waits")
        # The hour has come, and nothing has been sent yet.
        self.site.sudo().write({"state": "warning", "next_attempt_date": False})
        self.site.sudo().failure_count = 1
        self.put("pending")
        [trouble] = self.get_troubles()
        self.assertEqual(trouble["level"], "warning")
        self.assertEqual(trouble["sentence"], "The token is wrong.")
        self.assertEqual(trouble["waiting"], "2 orders wait")

    def test_the_banner_says_nothing_of_what_keeps_no_order(self):
        self.site.sudo().write({"state": "warning", "state_message": "Not readable."})
        self.assertEqual(self.get_troubles(), [])
        other = self.env["res.company"].sudo().create({"name": "Another company"})
        self.site.sudo().copy({"company_id": other.id, "idsite": 2}).state = "error"
        self.assertEqual(self.get_troubles(), [])
        self.site.with_user(self.make_manager()).action_pause()
        [trouble] = self.get_troubles()
        self.assertIn("site is paused", trouble["sentence"])
        self.assertFalse(trouble["waiting"])

    # === NOTHING YET === #

    def get_help(self, name, user):
        """Return what a list says to a user if it shows nothing."""
        name = name if name.endswith("failed") else f"{name}_action"
        # sudo: Odoo reads actions for everybody.
        action = self.env.ref(f"{MODULE}.matomo_{name}").with_user(user).sudo()
        return action.read(["help", "res_model", "context"])[0]["help"]

    def test_only_who_may_connect_is_shown_the_way(self):
        self.site.sudo().active = False
        self.env["matomo.request"].sudo().search([]).unlink()
        anna = self.make_user(
            "anna", f"base.group_system,{MODULE}.group_matomo_manager"
        )
        for name in (
            *("overview", "request", "request_action_failed", "site"),
            *("cart_update", "reconciliation", "reconciliation_cause"),
        ):
            for user, shown in ((self.mia, False), (anna, True)):
                text = self.get_help(name, user)
                self.assertIn("No Matomo is connected yet", text)
                self.assertEqual('type="action"' in text, shown, text)
        self.assertIn("No Matomo is connected yet", self.get_help("job", anna))
        # An order that is left out for that is nothing that a filter hides.
        self.company.sudo().matomo_site_id = False
        self.confirm(self.make_order())
        text = self.get_help("request_action_failed", self.mia)
        self.assertIn("No Matomo is connected yet", text)

    def test_a_company_without_matomo_is_not_told_of_another(self):
        """Her log said that its filters hide something: the other company's orders."""
        self.put("sent")
        other = self.env["res.company"].sudo().create({"name": "Another company"})
        self.mia.sudo().write(
            {"company_id": other.id, "company_ids": [Command.set(other.ids)]}
        )
        text = self.get_help("request", self.mia)
        self.assertIn("No Matomo is connected yet", text)

    # === REVENUE === #

    def test_two_lines_of_revenue(self):
        self.put("verified", "2026-03-01 12:00:00")
        days = self.env["matomo.reconciliation"].sudo()
        for day, has in (("2026-03-01", 115), ("2026-02-10", 80), ("2026-01-10", 7)):
            days.create(
                {
                    "site_id": self.site.id,
                    "day": day,
                    "odoo_revenue": 115,
                    "matomo_revenue": has,
                    "state": "equal" if has == 115 else "different",
                }
            )
        seen = self.see()
        self.assertEqual((seen["compared_count"], seen["different_day_count"]), (2, 1))
        self.assertEqual((seen["odoo_revenue"], seen["matomo_revenue"]), (230, 195))
        odoo, matomo = json.loads(seen["revenue_lines"])
        self.assertEqual([odoo["key"], matomo["key"]], ["Odoo", "Matomo"])
        self.assertEqual(len(odoo["values"]), 29)
        # Days that were not compared are gaps, no zeros.
        values = [each["y"] for each in matomo["values"]]
        self.assertEqual([each for each in values if each is not None], [80, 115])
        self.assertIsNone(values[-1])
        self.assertIn("115.00", matomo["values"][-2]["label"])
        self.assertEqual(
            self.open("action_view_days").mapped("day"),
            [fields.Date.to_date("2026-03-01"), fields.Date.to_date("2026-02-10")],
        )
        self.assertEqual(
            self.open("action_view_different_days").mapped("day"),
            [fields.Date.to_date("2026-02-10")],
        )

    # === USERS === #

    def test_a_matomo_user_sees_the_sites_of_her_companies(self):
        other = self.env["res.company"].sudo().create({"name": "Another company"})
        self.site.sudo().copy({"company_id": other.id, "idsite": 2})
        self.site.sudo().copy({"idsite": 3, "name": "Old"}).active = False
        overview = self.env["matomo.overview"]
        self.assertEqual(overview.with_user(self.mia).search([]).site_id, self.site)

    def test_whoever_is_no_matomo_user_sees_nothing(self):
        sara = self.make_user("sara", "sales_team.group_sale_manager")
        with self.assertRaises(AccessError):
            self.env["matomo.overview"].with_user(sara).search([])

    def test_the_app_opens_on_it(self):
        action = self.env["matomo.connect"].with_user(self.mia).action_open_app()
        self.assertEqual(action["res_model"], "matomo.overview")

    # === QUERIES === #

    def test_more_sites_cost_few_more_queries(self):
        self.put("verified")
        costs = []
        for _time in range(2):
            self.see()
            self.env.flush_all()
            self.env.invalidate_all()
            overview = self.env["matomo.overview"].with_user(self.mia)
            names = {name: {} for name in overview.fields_get()}
            before = self.env.cr.sql_log_count
            overview.web_search_read([], names)
            costs.append(self.env.cr.sql_log_count - before)
            for idsite in range(11, 21):
                self.site.sudo().copy({"idsite": idsite, "state": "ok"})
        # Of each site: what waits, by an index that ends at ten thousand.
        self.assertLessEqual(costs[1], costs[0] + 10)
        self.assertLess(costs[0], 25)
