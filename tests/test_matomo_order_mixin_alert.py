from datetime import timedelta

import requests
from lxml import etree

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, MODULE, MatomoPosCommon

NOW = "2026-03-03 10:00:00"


@freeze_time(NOW)
@tagged("post_install", "-at_install")
class TestAlert(MatomoPosCommon):
    """The form of an order calls a person when one is needed, and not before."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        groups = "sales_team.group_sale_salesman_all_leads"
        cls.sam = cls.make_user("sam", groups)
        cls.mia = cls.make_user(
            "mia", f"{groups},matomo_order_tracking.group_matomo_user"
        )

    def at(self, **later):
        return freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(**later))

    def assertAlert(self, order, level, words=""):
        self.env.invalidate_all()
        seen = order.with_user(self.mia)
        self.assertEqual(seen.matomo_alert_level, level)
        self.assertIn(words, seen.matomo_alert or "")

    @mute_logger(LOGGER)
    def test_an_order_that_failed(self):
        order = self.confirm(self.make_order())
        self.assertAlert(order, False)
        self.matomo.refuses = lambda parameters: True
        self.run_sender()
        self.assertAlert(order, "danger", "Matomo refused this order")

    @mute_logger(LOGGER)
    def test_a_trouble_of_minutes_is_nobodys_business(self):
        order = self.confirm(self.make_order())
        self.matomo.faults = [requests.ConnectionError("no route")] * 2
        self.run_sender()
        self.assertState(order, "pending")
        self.site.sudo().next_attempt_date = "2026-03-03 10:20:00"
        # The database has a clock of its own.
        self.env.cr.execute("UPDATE matomo_request SET create_date = %s", (NOW,))
        self.assertAlert(order, False)
        with self.at(minutes=11):
            self.assertAlert(order, "info", "Nothing is lost: the next attempt is at")
        with self.at(minutes=21):
            self.run_sender()
            self.assertAlert(order, False)

    def test_the_trouble_of_a_site_comes_before_an_older_reason(self):
        order = self.confirm(self.make_order())
        self.get_request(order).write({"reason": "It was not found in Matomo."})
        self.env.cr.execute("UPDATE matomo_request SET create_date = %s", (NOW,))
        self.site.sudo().write(
            {
                "state": "error",
                "state_message": "The token is wrong.",
                "trouble_date": NOW,
                "next_attempt_date": "2026-03-03 11:00:00",
            }
        )
        with self.at(minutes=11):
            # An order does not show its site; the rows and the form of the log do.
            words = "to the Matomo site Test site now. The token is wrong. Nothing is"
            self.assertAlert(order, "info", words)
            self.assertIn(words, order.with_user(self.sam).matomo_reason)
            logged = self.get_request(order).with_user(self.mia)
            self.assertNotIn("Test site", logged.waiting_reason)
        # Nothing keeps the site any more.
        self.site.sudo().write({"state": "ok", "next_attempt_date": False})
        self.env.invalidate_all()
        self.assertEqual(order.matomo_reason, "It was not found in Matomo.")

    def test_an_order_that_matomo_counts_too_much(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertAlert(order, False)
        self.cancel(order)
        self.assertAlert(order, "warning", "Matomo still counts it")
        # What is given back is told to Matomo.
        self.site.sudo().track_refunds = True
        self.assertAlert(order, False)

    def test_a_cancelled_order_that_was_never_sent(self):
        order = self.confirm(self.make_order())
        self.cancel(order)
        self.assertAlert(order, False)

    def test_tills(self):
        sale = self.sync(self.make_sale((self.chair, 1)))
        self.get_request(sale).write({"state": "failed", "reason": "It is broken."})
        sale = sale.with_user(
            self.make_user(
                "posmia",
                "point_of_sale.group_pos_user,matomo_order_tracking.group_matomo_user",
            )
        )
        self.assertEqual(
            (sale.matomo_alert_level, sale.matomo_alert), ("danger", "It is broken.")
        )

    # === THE STATE AS A FIGURE === #

    def test_the_state_leads_to_the_request(self):
        order = self.confirm(self.make_order())
        action = order.with_user(self.mia).action_view_matomo()
        request = self.get_request(order)
        self.assertEqual(
            (action["res_model"], action["res_id"]), (request._name, request.id)
        )
        self.run_sender()
        url = order.with_user(self.mia).action_open_matomo()["url"]
        self.assertTrue(url.startswith("https://matomo.example.com/"))

    def test_an_order_without_a_site_has_no_state_on_its_form(self):
        order = self.confirm(self.make_order())
        self.assertTrue(order.with_user(self.sam).matomo_is_concerned)
        self.company.sudo().matomo_site_id = False
        other = self.confirm(self.make_order())
        self.assertEqual(other.with_user(self.sam).matomo_state, "excluded")
        self.assertFalse(other.with_user(self.sam).matomo_is_concerned)

    def test_screens_of_sales_look_as_they_did(self):
        """A salesperson who is no Matomo user reads the state of an order alone."""
        for model, kinds in (
            ("sale.order", ("list", "search", "kanban")),
            ("pos.order", ("list", "search", "kanban")),
        ):
            groups = "sales_team.group_sale_manager,point_of_sale.group_pos_manager"
            user = self.make_user(f"{model}_manager", groups)
            for kind in kinds:
                arch = self.env[model].with_user(user).get_view(view_type=kind)["arch"]
                self.assertNotIn("matomo", arch, f"{model} {kind}")
            arch = self.env[model].with_user(user).get_view(view_type="form")["arch"]
            names = etree.fromstring(arch).xpath("//@name")
            self.assertEqual(
                {name for name in names if "matomo" in name},
                {"action_view_matomo", "matomo_is_concerned", "matomo_state"},
            )

    def test_menus_of_orders_show_the_verdict(self):
        """The list of POS Orders hid it, and a telephone had neither list nor card."""
        groups = f"{MODULE}.group_matomo_user,point_of_sale.group_pos_manager"
        user = self.make_user("merchant", f"{groups},sales_team.group_sale_manager")
        for name in ("sale", "pos"):
            # sudo: Odoo reads actions for everybody.
            action = self.env.ref(f"{MODULE}.matomo_{name}_order_action").sudo()
            self.assertIn("kanban", action.view_mode)
            orders = self.env[action.res_model].with_user(user)
            arch = etree.fromstring(orders.get_view(view_type="list")["arch"])
            [field] = arch.xpath("//field[@name='matomo_state']")
            self.assertEqual(field.get("optional"), "show")
            arch = etree.fromstring(orders.get_view(view_type="kanban")["arch"])
            self.assertTrue(arch.xpath("//footer/../div/field[@name='matomo_state']"))

    def test_others_read_it(self):
        order = self.confirm(self.make_order())
        self.get_request(order).write({"state": "failed", "reason": "It is broken."})
        shown = order.with_user(self.sam).action_view_matomo()["params"]
        self.assertEqual(
            (shown["title"], shown["message"]), ("Failed", "It is broken.")
        )

    # === THE SHOPPER === #

    def test_browsers_have_names(self):
        order = self.make_order()
        for agent, name in (
            (
                "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox 140.0 Windows",
            ),
            ("something <b>else</b>", "Unknown"),
        ):
            order.sudo().matomo_user_agent = agent
            self.assertEqual(order.with_user(self.mia).matomo_browser, name)

    def test_traffic_source_is_labeled(self):
        order = self.make_order()
        order.sudo().matomo_attribution_info = {
            "campaign": "spring",
            "referrer": "https://news.example/",
        }
        self.assertEqual(
            order.with_user(self.mia).matomo_attribution,
            "Campaign: spring\nReferrer: https://news.example/",
        )
