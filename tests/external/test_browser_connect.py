# The clicks and fields are printed for people to read. pylint: disable=print-used
import base64
import hashlib
import hmac
import struct
import time
from contextlib import contextmanager
from datetime import datetime, timedelta

from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..common import LOGGER, MODULE
from ..common.browser import BrowserCase
from ..common.real_matomo import RealMatomo
from ..common.shop import CheckoutCommon

MAX_CLICKS, MAX_FIELDS = 12, 6
ADMIN = "connect_admin"
SECRET = "JBSWY3DPEHPK3PXP"
DIALOG = ".modal:has(.o_form_view)"


def totp(secret):
    """Return the code that an authenticator app shows now."""
    counter = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.digest(base64.b32decode(secret), counter, hashlib.sha1)
    at = digest[-1] & 15
    number = struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


class Hand:
    """A person before the browser, whose clicks and fields are counted."""

    def __init__(self, page):
        self.page = page
        self.clicks = self.fields = 0

    def click(self, selector):
        self.clicks += 1
        self.page.click(selector)

    def fill(self, name, value):
        self.fields += 1
        self.page.fill(f"{DIALOG} [name='{name}'] input", value)

    def press(self, name):
        self.click(f"{DIALOG} button[name='{name}']:visible")


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserConnect(CheckoutCommon, BrowserCase):
    """An administrator connects a shop to a real Matomo in a real Chromium."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_office()
        # It logs what a person is told.
        cls.enterClassContext(mute_logger("odoo.http"))

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    def setUp(self):
        super().setUp()
        self.real = RealMatomo(currency=self.company.currency_id.name)
        # The first of all: a telephone shows some sites only.
        self.name = f"A Wizard {self.real.idsite}"
        self.real.call(
            "SitesManager.updateSite", idSite=str(self.real.idsite), siteName=self.name
        )
        self.real.query("UPDATE matomo_user SET twofactor_secret = ''")
        self.real.unlock()
        self.addCleanup(self.real.unlock)
        self.addCleanup(self.forget_users)
        groups = f"base.group_system,{MODULE}.group_matomo_manager"
        user = self.make_user(ADMIN, groups)
        user.sudo().tz = "Europe/Brussels"
        # As after the installation: no site, and an order of before.
        self.site.sudo().unlink()
        self.order = self.make_order()
        self.order.action_confirm()
        self.end_transaction()
        names = ("ir_cron_send", "ir_cron_verify")
        self.crons = {name: self.env.ref(f"{MODULE}.{name}").id for name in names}
        self.end_transaction()

    def forget_users(self):
        """Delete the users that were made in Matomo: other tests share it."""
        for table in ("user_token_auth", "access", "user"):
            self.real.query(f"DELETE FROM matomo_{table} WHERE login LIKE 'odoo-%%'")

    # === THE HAND === #

    @contextmanager
    def start(self, width=1400):
        """Yield a ``Hand`` on the wizard, which the app opens on its first start."""
        size = {"width": width, "height": 900}
        with self.browse_as(ADMIN, viewport=size) as page:
            hand = Hand(page)
            if width < 700:
                hand.clicks += 1
                page.goto(f"/odoo/action-{MODULE}.matomo_connect_app_action")
            else:
                page.goto("/odoo")
                page.click(".o_navbar_apps_menu button")
                hand.click(".o_app:has-text('Matomo')")
            page.wait_for_selector(f"{DIALOG} [name='url']")
            yield hand

    def log_in(self, hand, password=None, login=None):
        hand.fill("url", f"{self.real.url}index.php?module=Login")
        hand.fill("login", login or self.real.info["superuser_login"])
        hand.fill("matomo_password", password or self.real.info["superuser_password"])
        hand.press("action_log_in")

    def choose(self, hand, field="site_choice_id", name=None):
        """Choose a site by its name: the one of this test, or another."""
        page, name = hand.page, name or self.name
        page.wait_for_selector(f"{DIALOG} button[name='action_connect']:visible")
        hand.click(f"{DIALOG} [name='{field}'] input")
        if page.viewport_size["width"] < 700:
            # On a telephone Odoo shows what can be chosen in a dialog.
            hand.click(f".o_kanban_record:has-text('{name} ')")
            return
        page.fill(f"{DIALOG} [name='{field}'] input", name)
        hand.click(f".o-autocomplete--dropdown-item:has-text('{name} ')")

    def run_in(self, page, name):
        """Run a scheduled action, as Odoo's scheduler does while the page waits."""
        answer = page.evaluate(
            """([id]) => fetch("/web/dataset/call_kw/ir.cron/method_direct_trigger", {
                method: "POST",
                headers: {"Content-Type": "application/json"},
                body: JSON.stringify({jsonrpc: "2.0", method: "call", params: {
                    model: "ir.cron", method: "method_direct_trigger",
                    args: [[id]], kwargs: {}}}),
            }).then((answer) => answer.json())""",
            [self.crons[name]],
        )
        self.assertNotIn("error", answer)

    def read_refusal(self, hand):
        """Return what a refusal says, and close it."""
        selector = ".o_error_dialog, .modal:has-text('Invalid Operation')"
        hand.page.wait_for_selector(selector)
        text = hand.page.inner_text(selector)
        hand.page.click(f"{selector} >> button:has-text('Close')")
        hand.page.wait_for_selector(selector, state="detached")
        return text

    # === FROM NOTHING TO A PROVEN ORDER === #

    def connect_and_prove(self, width):
        name = self.order.name
        with self.start(width) as hand:
            self.take_picture(hand.page, f"1-login-{width}")
            self.log_in(hand)
            self.choose(hand)
            self.take_picture(hand.page, f"2-choose-{width}")
            hand.press("action_connect")
            hand.page.wait_for_selector(f"{DIALOG} button[name='action_prove']:visible")
            self.take_picture(hand.page, f"3-prove-{width}")
            hand.press("action_prove")
            hand.page.wait_for_selector(f"{DIALOG} .fa-spinner")
            self.take_picture(hand.page, f"4-waiting-{width}")
            self.run_in(hand.page, "ir_cron_send")
            hand.page.wait_for_selector(f"{DIALOG} >> text=has accepted {name}")
            hand.page.wait_for_timeout(5000)
            self.run_in(hand.page, "ir_cron_verify")
            hand.page.wait_for_selector(f"{DIALOG} >> text={name} is in Matomo")
            self.take_picture(hand.page, f"5-proven-{width}")
            hand.press("action_done")
            hand.page.wait_for_selector(".o_form_view [name='check_ids']")
            count, fields = hand.clicks, hand.fields
            self.connect_again(hand, width)
            hand.clicks, hand.fields = count, fields
        print(f"{hand.clicks} clicks, {hand.fields} fields at {width}")
        self.assertLessEqual(hand.clicks, MAX_CLICKS)
        self.assertLessEqual(hand.fields, MAX_FIELDS)
        self.assertIn(name, self.real.orders())
        site = self.website.sudo().matomo_site_id
        self.assertEqual(self.company.sudo().matomo_site_id, site)
        self.assertEqual((site.idsite, site.state), (self.real.idsite, "ok"))

    def connect_again(self, hand, width):
        """Open the wizard once more: it shows what stands, and says what changes."""
        page = hand.page
        page.goto(f"/odoo/action-{MODULE}.matomo_connect_action")
        page.wait_for_selector(f"{DIALOG} [name='url']")
        self.take_picture(hand.page, f"11-again-{width}")
        self.assertSeen(hand, "url", self.real.url)
        hand.fill("login", self.real.info["superuser_login"])
        hand.fill("matomo_password", self.real.info["superuser_password"])
        hand.press("action_log_in")
        page.wait_for_selector(f"{DIALOG} >> text=has works, and stays")
        self.take_picture(hand.page, f"12-stands-{width}")
        chosen = page.input_value(f"{DIALOG} [name='site_choice_id'] input")
        self.assertIn(self.name, chosen)
        page.click(f"{DIALOG} [name='has_salespeople'] input")
        page.wait_for_selector(f"{DIALOG} >> text=are no longer tracked")
        self.take_picture(hand.page, f"13-changed-{width}")

    def test_from_nothing_to_a_proven_order(self):
        self.connect_and_prove(1400)

    def test_on_a_telephone(self):
        self.connect_and_prove(390)

    # === OTHER WAYS === #

    def test_tills_on_a_site_of_their_own(self):
        till = (
            self.env["pos.config"]
            .sudo()
            .create({"name": "Bakery", "company_id": self.company.id})
        )
        tills = RealMatomo(currency=self.company.currency_id.name)
        name = f"B Tills {tills.idsite}"
        self.real.call(
            "SitesManager.updateSite", idSite=str(tills.idsite), siteName=name
        )
        with self.start() as hand:
            self.log_in(hand)
            self.choose(hand)
            self.choose(hand, "till_choice_id", name)
            self.take_picture(hand.page, "8-tills")
            hand.press("action_connect")
            hand.page.wait_for_selector(f"{DIALOG} button[name='action_prove']:visible")
        site, till_site = self.website.sudo().matomo_site_id, till.sudo().matomo_site_id
        self.assertEqual(site.idsite, self.real.idsite)
        self.assertEqual(till_site.idsite, tills.idsite)
        # One user in Matomo has access to both.
        for each in (site, till_site):
            self.assertEqual(each._test_connection()["type"], "success")

    def connect_without_orders(self, hand):
        self.log_in(hand)
        self.choose(hand)
        hand.press("action_connect")
        hand.page.wait_for_selector(f"{DIALOG} [name='wants_test_order']:visible")

    def test_the_first_sale_is_told(self):
        self.cancel(self.order)
        with self.start() as hand:
            self.connect_without_orders(hand)
            self.assertIn("first", hand.page.inner_text(f"{DIALOG} [name='proof']"))
            self.take_picture(hand.page, "9-no-order")
            hand.press("action_done")
            hand.page.wait_for_selector(".o_form_view [name='check_ids']")
        site = self.website.sudo().matomo_site_id
        order = self.confirm(self.make_order(website_id=self.website.id))
        self.run_sender()
        self.assertNotIn(order.name, "".join(site.message_ids.mapped("body")))
        self.run_verifier()
        told = site.message_ids.filtered(lambda each: order.name in each.body)
        self.assertIn("The first order is in Matomo", told.body)
        manager = self.env["res.users"].search([("login", "=", ADMIN)])
        self.assertIn(manager.partner_id, told.sudo().notified_partner_ids)

    def test_a_test_order(self):
        self.cancel(self.order)
        with self.start() as hand:
            self.connect_without_orders(hand)
            self.assertFalse(hand.page.is_visible("button[name='action_send_test']"))
            hand.click(f"{DIALOG} [name='wants_test_order'] input")
            hand.press("action_send_test")
            hand.page.wait_for_selector(f"{DIALOG} >> text=The test order ODOO-TEST-")
            self.take_picture(hand.page, "10-test-order")
            hand.press("action_done")
            hand.page.wait_for_selector(".o_form_view [name='check_ids']")
        [ref] = self.real.orders()
        self.assertTrue(ref.startswith("ODOO-TEST-"))
        # Tomorrow the Daily Comparison knows whose it is.
        with freeze_time(datetime.now() + timedelta(days=1)), mute_logger(LOGGER):
            self.run_cron("ir_cron_sweep")
        site = self.website.sudo().matomo_site_id
        days = self.env["matomo.reconciliation"].sudo()
        day = days.search([("site_id", "=", site.id), ("state", "!=", "unfinished")])
        self.assertEqual((day.matomo_order_count, day.state), (1, "explained"))
        [cause] = day.cause_ids
        self.assertEqual((cause.kind, cause.name), ("test", ref))

    # === REFUSALS === #

    def assertSeen(self, hand, name, value):
        """Assert what a field of the wizard shows, dots or not."""
        shown = hand.page.input_value(f"{DIALOG} [name='{name}'] input")
        self.assertEqual(shown, value)

    def test_three_wrong_passwords(self):
        """After the second try the field looked empty, and the password was sent."""
        with self.start() as hand:
            self.log_in(hand, "a-wrong-password")
            self.assertIn("refuses this login", self.read_refusal(hand))
            for _try in range(2):
                self.assertSeen(hand, "matomo_password", "a-wrong-password")
                hand.press("action_log_in")
                self.assertIn("refuses this login", self.read_refusal(hand))
            self.assertSeen(hand, "matomo_password", "a-wrong-password")
            hand.fill("matomo_password", "")
            hand.press("action_log_in")
            self.assertIn("Enter login and password", self.read_refusal(hand))
            hand.fill("matomo_password", "a-wrong-password")
            # What is not shown is not sent.
            hand.click(f"{DIALOG} [name='way'] label:has-text('A token')")
            hand.click(f"{DIALOG} [name='way'] label:has-text('My Matomo login')")
            self.assertSeen(hand, "matomo_password", "")
            hand.fill("matomo_password", "a-wrong-password")
            hand.press("action_log_in")
            self.take_picture(hand.page, "6-pause")
            self.assertIn("tried 3 times", self.read_refusal(hand))
        (row,) = self.real.query("SELECT COUNT(*) AS n FROM matomo_brute_force_log")
        self.assertEqual(row["n"], 3)

    def test_two_factor(self):
        statement = "UPDATE matomo_user SET twofactor_secret = %s WHERE login = %s"
        login = self.real.info["superuser_login"]
        self.addCleanup(self.real.query, statement, "", login)
        self.real.query(statement, SECRET, login)
        with self.start() as hand:
            self.log_in(hand)
            self.assertIn("two-factor", self.read_refusal(hand))
            hand.fill("matomo_code", "000000")
            hand.press("action_log_in")
            self.assertIn("two-factor", self.read_refusal(hand))
            hand.fill("matomo_code", totp(SECRET))
            hand.press("action_log_in")
            hand.page.wait_for_selector(f"{DIALOG} [name='site_choice_id']:visible")

    def test_no_rights(self):
        with self.start() as hand:
            self.log_in(hand, self.real.info["write_password"], "odoo")
            self.choose(hand)
            hand.page.wait_for_selector(f"{DIALOG} >> text=may not make users")
            self.take_picture(hand.page, "7-no-rights")
            hand.press("action_connect")
            self.assertIn("Follow the steps", self.read_refusal(hand))
            hand.fill("matomo_token_auth", self.real.token)
            hand.press("action_connect")
            hand.page.wait_for_selector(f"{DIALOG} button[name='action_prove']:visible")

    def test_ecommerce_off(self):
        site = {"idSite": str(self.real.idsite)}
        self.real.call("SitesManager.updateSite", **site, ecommerce="0")
        with self.start() as hand:
            self.log_in(hand)
            self.choose(hand)
            hand.page.wait_for_selector(f"{DIALOG} >> text=E-commerce is switched on")
            hand.press("action_connect")
            hand.page.wait_for_selector(f"{DIALOG} button[name='action_prove']:visible")
        described = self.real.call("SitesManager.getSiteFromId", **site)
        self.assertEqual(str(described["ecommerce"]), "1")

    def test_unreachable(self):
        with self.start() as hand:
            hand.fill("url", "127.0.0.1:9")
            hand.fill("login", "somebody")
            hand.fill("matomo_password", "a-password")
            hand.press("action_log_in")
            self.assertIn("refuses connections", self.read_refusal(hand))
