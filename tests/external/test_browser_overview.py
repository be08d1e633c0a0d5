"""The Overview in a real Chromium, used by people of few rights and of many."""

import re
from datetime import timedelta

from odoo import Command, fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..common import LOGGER, MatomoCommon
from ..common.browser import BrowserCase

# What can be pressed on a card: of the month the words, of today the bar.
NUMBERS = (
    ".o_kanban_record .btn-link, .o_kanban_record a[name^='action_view_'], "
    "[name='month_bar'] [data-state], [name='today_bar'] .progress-bar"
)
COUNT = re.compile(r"(?:[^:]+: )?(\d+)(?: order waits)?")


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserOverview(MatomoCommon, BrowserCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_office()

    def make_day(self):
        """Sell three chairs: one is verified, one fails, one waits."""
        verified, failed, _waiting = (
            self.confirm(self.make_order()) for _each in range(3)
        )
        requests = self.get_request(verified), self.get_request(failed)
        requests[0].write({"state": "sent"})
        requests[0].write({"state": "verified"})
        requests[1]._fail("data", "It has no items.")
        self.env["matomo.reconciliation"].sudo().create(
            {
                "site_id": self.site.id,
                "day": self.site._get_today() - timedelta(days=1),
                "odoo_revenue": 345,
                "matomo_revenue": 115,
                "state": "different",
            }
        )
        self.site.sudo().state = "ok"

    def make_other_company(self):
        """Return another company, of which Matomo has one order in another currency."""
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        company = self.env["res.company"].sudo()
        company = company.create({"name": "Berlin", "currency_id": euro.id})
        site = self.site.sudo().copy(
            {
                "name": "Berlin shop",
                "idsite": 2,
                "company_id": company.id,
                "currency_id": euro.id,
            }
        )
        self.env["matomo.request"].sudo().create(
            {
                "kind": "order",
                "company_id": company.id,
                "site_id": site.id,
                "currency_id": euro.id,
                "order_date": fields.Datetime.now(),
                "state": "verified",
                "revenue": 40,
            }
        )
        self.env["matomo.reconciliation"].sudo().create(
            {
                "site_id": site.id,
                "day": site._get_today() - timedelta(days=1),
                "odoo_revenue": 40,
                "matomo_revenue": 40,
                "state": "equal",
            }
        )
        return company

    def press_every_number(self, page):
        """Press each number, and count the rows behind it. Return how many there are.

        What names no count (a share, a revenue) leads to some rows.
        """
        numbers = page.locator(NUMBERS)
        total = numbers.count()
        for position in range(total):
            number = numbers.nth(position)
            text = number.get_attribute("title") or number.inner_text().strip()
            count = COUNT.fullmatch(text)
            number.click()
            page.wait_for_selector(".o_list_view .o_data_row")
            rows = page.locator(".o_list_view .o_data_row").count()
            self.assertEqual(rows, int(count[1]) if count else max(rows, 1), text)
            page.go_back()
            page.wait_for_selector(".o_matomo_overview canvas")
            self.assertEqual(numbers.count(), total)
        return total

    @mute_logger(LOGGER)
    def test_each_number_leads_to_its_rows(self):
        companies = self.company + self.make_other_company()
        mia = self.make_user("mia", "matomo_order_tracking.group_matomo_user")
        mia.company_ids = [Command.set(companies.ids)]
        cids = "-".join(map(str, companies.ids))
        self.make_day()
        with self.browse_as("mia") as page:
            self.add_cookie("cids", cids)
            page.goto("/odoo/action-matomo_order_tracking.matomo_connect_app_action")
            page.wait_for_selector(".o_matomo_overview canvas")
            mine = ".o_kanban_record:has-text('Test site')"
            text = page.inner_text(mine)
            for words in (
                "33.3 % proven",
                "Some orders or refunds need a person",
                "Orders: 3",
                "1 order waits",
                "Waiting since: ",
                "Failed: 1",
                "Days compared: 1",
                "Different: 1",
            ):
                self.assertIn(words, text)
            other = page.inner_text(".o_kanban_record:has-text('Berlin shop')")
            self.assertIn("100.0 % proven", other)
            self.assertIn("40.00\N{NO-BREAK SPACE}€", other)
            # Of Berlin: share, orders of 30 days and of today, one state each, days
            # and revenue.
            self.assertEqual(self.press_every_number(page), 14 + 7)
            page.click(f"{mine} a[name='action_open_site']")
            page.wait_for_selector(
                ".o_form_view [name='state_message'], .o_form_view h1"
            )

    @mute_logger(LOGGER)
    def test_it_fits_a_telephone(self):
        self.make_user("mia", "matomo_order_tracking.group_matomo_user")
        self.make_day()
        viewport = {"width": 390, "height": 844}
        with self.browse_as(
            "mia", viewport=viewport, has_touch=True, is_mobile=True
        ) as page:
            page.goto("/odoo/matomo")
            page.wait_for_selector(".o_matomo_overview canvas")
            wide = page.evaluate(
                "[...document.querySelectorAll('.o_matomo_overview *')].filter("
                "e => e.getBoundingClientRect().right > 391).map(e => e.outerHTML)"
            )
            self.assertEqual(wide, [])
            page.click("a[name='action_view_failed']")
            page.wait_for_selector(".o_kanban_view, .o_list_view")

    @mute_logger(LOGGER)
    def test_a_new_database_shows_the_way_to_the_wizard(self):
        self.company.sudo().matomo_site_id = False
        self.env["matomo.site"].sudo().search([]).active = False
        groups = "base.group_system,matomo_order_tracking.group_matomo_manager"
        self.make_user("anna", groups)
        with self.browse_as("anna") as page:
            page.goto("/odoo/matomo")
            page.click(".o_view_nocontent a:has-text('Connect to Matomo')")
            page.wait_for_selector(".modal .o_form_view")
