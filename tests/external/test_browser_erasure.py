import logging
from contextlib import nullcontext

from odoo.tests import tagged
from odoo.tools import SQL, mute_logger

from ...matomo_api.tracking import get_visitor_id_of_user
from ..common import LOGGER, holds
from ..common.browser import BrowserCase
from ..common.privacy import SECRETS
from ..common.real_orders import RealOrdersCommon

# What Matomo makes of a customer with a user ID.
VISITOR = get_visitor_id_of_user(SECRETS["matomo_user_id"])
# A token that no Matomo knows.
WRONG = "c0ffee" * 5 + "00"
DIALOG = ".o_dialog .modal-dialog"


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserErasure(RealOrdersCommon, BrowserCase):
    """A manager deletes a person on the real screens, in Odoo and in a real Matomo."""

    def setUp(self):
        super().setUp()
        self.manager = self.make_manager()
        self.order = self.confirm_many("MINE-1")
        self.other = self.confirm_many(
            "OTHER-1", partner_id=self.customer.copy({"name": "Other"}).id
        )
        self.order.sudo().write(SECRETS)
        self.run_sender()
        self.run_verifier()
        self.assertStates(self.order + self.other, "verified")
        self.token = self.real.info["superuser_token"]
        self.logs = self.enterContext(self.assertLogs(level=logging.INFO)).output
        calls = self.assertLogs("odoo.service.model", level=logging.DEBUG)
        self.calls = self.enterContext(calls).output
        self.before = max(self.env["mail.message"].sudo().search([]).ids)

    def enter_registry_test_mode(self):
        """Do nothing: an ``HttpCase`` has entered the test mode already."""
        return nullcontext()

    def tearDown(self):
        """Neither the database nor the log has a token that was entered."""
        for token in (self.token, WRONG):
            self.assertFalse(self.find_text(token))
            lines = self.logs + self.calls
            self.assertFalse([line for line in lines if holds(line, token)])
        super().tearDown()

    def find_text(self, text):
        """Return the columns of the database that hold a text: ``table.column``."""
        self.env.flush_all()
        columns = self.env.execute_query(
            SQL(
                """
                SELECT c.table_name, c.column_name FROM information_schema.columns c
                  JOIN information_schema.tables t
                       USING (table_schema, table_name)
                 WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
                   AND c.data_type IN ('text', 'character varying', 'json', 'jsonb',
                                       'bytea', 'ARRAY')
                """
            )
        )
        return [
            f"{table}.{column}"
            for table, column in columns
            if self.env.execute_query(
                SQL(
                    "SELECT 1 FROM %s WHERE strpos(%s::text, %s) > 0 LIMIT 1",
                    SQL.identifier(table),
                    SQL.identifier(column),
                    text,
                )
            )
        ]

    # === THE SCREENS === #

    def open_dialog(self, page, path):
        """Open a record, and the dialog from its action menu."""
        page.goto(path)
        page.wait_for_selector(".o_form_view")
        page.click("button[aria-label='Actions menu']:visible")
        page.click(".o-dropdown--menu :text('Matomo: Delete Personal Data')")
        self.wait_for_dialog(page)

    def wait_for_dialog(self, page):
        page.wait_for_selector(f"{DIALOG} button[name='action_delete']")

    def read_dialog(self, page):
        return page.inner_text(DIALOG)

    def enter_token(self, page, token):
        page.fill(f"{DIALOG} [name='matomo_admin_token_auth'] input", token)
        page.click(f"{DIALOG} button[name='action_delete_in_matomo']")

    # === LOOKING === #

    def find_visits(self):
        return self.real.query(
            "SELECT idvisit FROM matomo_log_visit WHERE idsite = %s"
            " AND HEX(idvisitor) = %s",
            self.real.idsite,
            VISITOR.upper(),
        )

    def get_traces(self, record):
        """Return what the chatter says that is new."""
        self.env.invalidate_all()
        messages = record.sudo().message_ids
        return [
            str(each.body)
            for each in messages.filtered(lambda each: each.id > self.before)
        ]

    def assertNothingDeleted(self):
        self.env.invalidate_all()
        self.assertEqual(self.order.sudo().matomo_user_id, SECRETS["matomo_user_id"])
        self.assertEqual(len(self.find_visits()), 1)
        self.assertEqual(sorted(self.real.orders()), ["MINE-1", "OTHER-1"])
        for record in (self.order, self.customer):
            self.assertFalse(self.get_traces(record))

    def assertDeleted(self, record):
        """Assert that the person is gone here and there, and the sale is not."""
        self.env.invalidate_all()
        for name in SECRETS:
            self.assertFalse(self.order.sudo()[name], name)
        self.assertFalse(self.find_visits())
        (trace,) = self.get_traces(record)
        self.assertIn("were deleted from the orders (1)", trace)
        self.assertIn("1 visit was deleted in Matomo", trace)
        self.run_verifier()
        self.run_sender()
        self.assertAllThereOnce(self.order + self.other)
        self.assertNotEqual(self.real.orders()["MINE-1"]["visitor"], VISITOR.upper())
        self.assertFalse(self.find_visits())

    # === STORIES === #

    @mute_logger(LOGGER)
    def test_from_a_contact(self):
        path = f"/odoo/res.partner/{self.customer.id}"
        with self.browse_as("matomo_manager") as page:
            self.open_dialog(page, path)
            asked = self.read_dialog(page)
            page.click(f"{DIALOG} button:has-text('Discard')")
            page.wait_for_selector(DIALOG, state="detached")
            with self.between_pages():
                self.assertNothingDeleted()
            for text in (
                "This cannot be undone",
                VISITOR,
                "these orders leave its reports",
                "MINE-1",
                "ent again anonymously",
            ):
                self.assertIn(text, asked)
            self.assertNotIn("OTHER-1", asked)

            self.open_dialog(page, path)
            self.enter_token(page, WRONG)
            page.wait_for_selector(".o_dialog :text('Nothing was deleted in Odoo')")
            with self.between_pages():
                self.real.unlock()
                self.assertNothingDeleted()

            self.open_dialog(page, path)
            self.enter_token(page, self.token)
            page.wait_for_selector(".o_notification :text('1 visit was deleted')")
            page.wait_for_selector(DIALOG, state="detached")
        self.assertDeleted(self.customer)

    @mute_logger(LOGGER)
    def test_from_an_order(self):
        """A manager who may see orders, too: without that nobody opens one."""
        self.manager.sudo().group_ids += self.env.ref(
            "sales_team.group_sale_salesman_all_leads"
        )
        with self.browse_as("matomo_manager") as page:
            self.open_dialog(page, f"/odoo/sale.order/{self.order.id}")
            asked = self.read_dialog(page)
            self.assertIn(VISITOR, asked)
            self.assertIn("MINE-1", asked)
            self.enter_token(page, self.token)
            page.wait_for_selector(".o_notification :text('1 visit was deleted')")
        self.assertDeleted(self.order)

    @mute_logger(LOGGER)
    def test_by_visitor(self):
        """By the menu, for somebody who knows only what their cookie says."""
        action = self.env.ref("matomo_order_tracking.matomo_erasure_action")
        with self.browse_as("matomo_manager") as page:
            page.goto(f"/odoo/action-{action.id}")
            self.wait_for_dialog(page)
            page.click(f"{DIALOG} button[name='action_delete']")
            page.wait_for_selector(".o_dialog :text('Enter the ID of a visitor')")
            page.click(".o_dialog button.btn-primary:text('Close')")
            page.fill(f"{DIALOG} [name='visitor_id'] input", VISITOR.upper())
            page.press(f"{DIALOG} [name='visitor_id'] input", "Tab")
            page.wait_for_selector(f"{DIALOG} :text('these orders leave its reports')")
            self.enter_token(page, self.token)
            page.wait_for_selector(".o_notification :text('1 visit was deleted')")
        self.assertDeleted(self.order)

    @mute_logger(LOGGER)
    def test_token_outlives_another_save(self):
        """A save of something else emptied the token, and the button missed it."""
        site = f"{DIALOG} [name='site_id'] input"
        name = self.site.sudo().name
        with self.browse_as("matomo_manager") as page:
            self.open_dialog(page, f"/odoo/res.partner/{self.customer.id}")
            page.fill(site, "")
            page.press(site, "Tab")
            self.enter_token(page, self.token)
            page.wait_for_selector(".o_dialog :text('Choose the Matomo')")
            page.click(".o_dialog button.btn-primary:text('Close')")
            page.click(site)
            page.click(f".o-autocomplete--dropdown-item:has-text('{name}')")
            page.click(f"{DIALOG} button[name='action_delete_in_matomo']")
            page.wait_for_selector(".o_notification :text('1 visit was deleted')")
        self.assertDeleted(self.customer)
