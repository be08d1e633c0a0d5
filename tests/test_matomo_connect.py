"""An administrator connects a shop to Matomo by the wizard."""

import logging
from datetime import timedelta
from unittest.mock import patch

import requests

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..matomo_api import setup
from ..tools.outside_token import get_name
from ..tools.reconciliation import get_kind_of_recorded
from ..wizard.matomo_connect import CODE_KEY, SECRET_KEYS
from ..wizard.matomo_erasure import TOKEN_KEY as ADMIN_TOKEN_KEY
from .common import (
    LOGGER,
    MODULE,
    TOKEN,
    FakeResponse,
    Login,
    MatomoCommon,
    MatomoPosCommon,
)

PASSWORD = "a-password-of-matomo"
ADDRESS = "new.example.com/stats/index.php?module=CoreHome"
URL = "https://new.example.com/stats/"


class ConnectCommon(MatomoCommon):
    """An administrator, a Matomo with a superuser, and the buttons of the wizard."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        groups = f"base.group_system,{MODULE}.group_matomo_manager"
        cls.admin = cls.make_user("matomo_admin", groups)
        cls.company.sudo().matomo_site_id = False

    def setUp(self):
        super().setUp()
        self.matomo.logins["boss"] = Login(
            PASSWORD, is_superuser=True, email="boss@example.com"
        )
        self.matomo.site["currency"] = self.company.currency_id.name

    # === PRESSING === #

    def open_wizard(self):
        action = self.env["matomo.connect"].with_user(self.admin).action_open()
        return self.follow(action)

    def follow(self, action):
        wizard = self.env[action["res_model"]].with_user(self.admin)
        return wizard.browse(action["res_id"]).with_context(**action["context"])

    def press(self, wizard, name, **context):
        """Press a button as the web client does, in a transaction of its own."""
        self.env.flush_all()
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            wizard = wizard.with_env(wizard.env(cr=cr)).with_context(**context)
            action = getattr(wizard, name)()
        self.env.invalidate_all()
        return self.follow(action) if action.get("context") is not None else action

    def log_in(self, password=PASSWORD, wizard=None, login="boss", code=""):
        wizard = wizard or self.open_wizard()
        wizard.write({"url": ADDRESS, "login": login})
        return self.press(
            wizard, "action_log_in", matomo_password=password, matomo_code=code
        )

    def choose(self, wizard, idsite):
        """Choose a site; 0 is the shop's new one."""
        lines = wizard.line_ids.filtered(lambda line: line.idsite == idsite)
        wizard.site_choice_id = lines[:1]
        wizard.till_source = "none"

    def connect(self, idsite=2, **values):
        wizard = self.log_in()
        self.choose(wizard, idsite)
        wizard.write(values)
        return self.press(wizard, "action_connect")

    def assertRefused(self, words, step, *args, **options):
        # Not assertRaises: it would take back what was committed before.
        message = ""
        try:
            step(*args, **options)
        except UserError as error:
            message = str(error)
        self.env.invalidate_all()
        self.assertIn(words, message)
        self.assertNotIn(PASSWORD, message)


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestConnect(ConnectCommon):
    # === THE WAY === #

    def test_by_a_login(self):
        wizard = self.log_in()
        self.assertEqual((wizard.step, wizard.url), ("choose", URL))
        self.assertEqual(len(wizard.line_ids), 5)
        self.choose(wizard, 2)
        self.assertIn("odoo-", wizard.plan)
        wizard = self.press(wizard, "action_connect")
        site = wizard.site_id.sudo()
        self.assertEqual((site.url, site.idsite, site.state), (URL, 2, "ok"))
        self.assertTrue(site.is_currency_confirmed)
        self.assertEqual(self.company.sudo().matomo_site_id, site)
        # The token that is kept is that of Odoo's own user.
        [name] = set(self.matomo.logins) - {"boss"}
        self.assertEqual(self.matomo.made_tokens[site._get__token()], name)
        self.assertEqual(self.matomo.logins[name].access, {"2"})
        self.assertFalse(self.matomo.logins[name].is_superuser)
        # Odoo has made it, and knows what Matomo does not tell.
        self.assertTrue(site.is_token_endless)

    def test_a_site_that_is_here_keeps_its_settings(self):
        """Connecting again stored shoppers' data, although the policy was never to."""
        site = self.connect().site_id.sudo()
        site.write({"consent_policy": "never", "track_carts": False})
        self.env["matomo.connect"].sudo().search([]).unlink()
        self.matomo.logins = {"boss": self.matomo.logins["boss"]}
        wizard = self.log_in()
        self.choose(wizard, 1)
        self.assertEqual(wizard.consent_policy, "cookie_bar")
        self.choose(wizard, 2)
        self.assertEqual(wizard.consent_policy, "never")
        wizard = self.press(wizard, "action_connect")
        self.assertEqual(wizard.site_id, site)
        self.assertEqual((site.consent_policy, site.track_carts), ("never", False))

    def test_a_site_that_is_here_follows_the_choice(self):
        site = self.connect().site_id.sudo()
        self.env["matomo.connect"].sudo().search([]).unlink()
        self.matomo.logins = {"boss": self.matomo.logins["boss"]}
        self.connect(consent_policy="cookieless")
        self.assertEqual(site.consent_policy, "cookieless")

    def test_more_sites_than_a_page(self):
        """Of more than 5,000 sites those at the end could not be chosen."""
        self.matomo.idsites = {str(number) for number in range(1, 41)}
        with patch.object(setup, "SITES_PER_PAGE", 9):
            wizard = self.log_in()
        lines = wizard.line_ids
        self.assertEqual(len(set(lines.mapped("idsite")) - {0}), 40)
        # They are found by their number, as Matomo shows it.
        found = lines.name_search("40", [("connect_id", "=", wizard.id)])
        self.assertEqual([lines.browse(id_).idsite for id_, _name in found], [40])

    def test_a_new_site(self):
        wizard = self.connect(0)
        site = wizard.site_id.sudo()
        self.assertEqual(site.idsite, 4)
        self.assertEqual(self.matomo.sites["4"]["ecommerce"], "1")

    def test_ecommerce_is_switched_on(self):
        self.matomo.sites["2"] = {"ecommerce": "0"}
        wizard = self.log_in()
        self.choose(wizard, 2)
        self.assertIn("E-commerce is switched on", wizard.plan)
        self.press(wizard, "action_connect")
        self.assertEqual(self.matomo.sites["2"]["ecommerce"], "1")

    def test_no_secret_is_stored(self):
        wizard = self.log_in()
        self.choose(wizard, 2)
        temporary = wizard.env.context["matomo_setup_token_auth"]
        wizard = self.press(wizard, "action_connect")
        self.env.flush_all()
        kept = wizard.site_id.sudo()._get__token()
        for table in ("matomo_connect", "matomo_connect_site"):
            self.env.cr.execute(f"SELECT * FROM {table}")
            text = str(self.env.cr.fetchall())
            for secret in (PASSWORD, temporary, kept):
                self.assertNotIn(secret, text)

    def test_calls_with_secrets_are_not_logged(self):
        logger = logging.getLogger("odoo.service.model")
        for key in (*SECRET_KEYS, ADMIN_TOKEN_KEY):
            if key == CODE_KEY:
                # It is good for seconds, and comes together with the password.
                continue
            record = logger.makeRecord("x", 10, "f", 1, "%s", ({key: "s3cret"},), None)
            for each in logger.filters:
                each.filter(record)
            self.assertNotIn("s3cret", record.getMessage())

    # === REFUSALS === #

    def test_three_tries(self):
        wizard = self.open_wizard()
        for _try in range(3):
            self.assertRefused("login or its password", self.log_in, "wrong", wizard)
        asked = len(self.matomo.requests)
        self.assertRefused("Minutes to wait: 10.", self.log_in, PASSWORD, wizard)
        other = self.env["matomo.connect"].with_user(self.admin).create({})
        self.assertRefused("Minutes to wait: 10.", self.log_in, PASSWORD, other)
        self.assertEqual(len(self.matomo.requests), asked)
        with freeze_time(fields.Datetime.now() + timedelta(minutes=11)):
            self.assertEqual(self.log_in(PASSWORD, wizard).step, "choose")

    def test_two_factor(self):
        self.matomo.logins["boss"].code = "123456"
        wizard = self.open_wizard()
        self.assertRefused("two-factor", self.log_in, PASSWORD, wizard)
        self.assertRefused("two-factor", self.log_in, PASSWORD, wizard, code="000000")
        self.assertEqual(self.log_in(PASSWORD, wizard, code="123 456").step, "choose")

    @mute_logger(LOGGER)
    def test_unreachable(self):
        self.matomo.faults = [requests.ConnectionError("x")] * 9
        wizard = self.open_wizard()
        for _try in range(5):
            # It is no wrong password.
            self.assertRefused(
                "The connection to Matomo", self.log_in, PASSWORD, wizard
            )

    def test_not_a_matomo(self):
        self.matomo.faults = [FakeResponse(200, b"<html>Hello</html>")]
        self.assertRefused("does not look like Matomo", self.log_in)

    def test_no_rights(self):
        self.matomo.logins["nora"] = Login(PASSWORD, access={"2"})
        wizard = self.log_in(login="nora")
        self.choose(wizard, 2)
        self.assertTrue(wizard.needs_token)
        self.assertRefused("Follow the steps", self.press, wizard, "action_connect")
        wizard = self.press(wizard, "action_connect", matomo_own_token_auth=TOKEN)
        self.assertEqual(wizard.site_id.sudo()._get__token(), TOKEN)
        self.assertFalse(wizard.site_id.sudo().is_token_endless)

    def test_no_site_to_write_to(self):
        """The wizard showed a list without any site, and no word why."""
        self.matomo.logins["vera"] = Login(PASSWORD)
        for _try in range(4):
            # It is no wrong password.
            self.assertRefused("write to no site", self.log_in, login="vera")
        self.assertEqual(self.open_wizard().step, "login")

    def test_who_is_no_administrator(self):
        for user in (self.make_manager(), self.make_user("s", "base.group_system")):
            with self.assertRaises(AccessError):
                self.env["matomo.connect"].with_user(user).action_open()

    # === NOTHING IS HALF SET UP === #

    def test_what_was_left_is_taken_up(self):
        wizard = self.log_in()
        self.choose(wizard, 0)
        count = len(self.matomo.requests)

        self.matomo.faults = [None, None, FakeResponse(500, b"")]
        self.assertRefused("500", self.press, wizard, "action_connect")
        self.assertGreater(len(self.matomo.requests), count)
        self.assertFalse(wizard.site_id)
        self.assertEqual(wizard.site_choice_id.idsite, 4)
        wizard = self.press(wizard, "action_connect")
        self.assertTrue(wizard.needs_password)
        wizard = self.press(wizard, "action_connect", matomo_password=PASSWORD)
        self.assertEqual(wizard.site_id.idsite, 4)
        self.assertEqual(len(self.matomo.logins), 2)
        self.assertEqual(self.matomo.idsites, {"1", "2", "3", "4"})

    def test_it_is_opened_where_it_was_left(self):
        wizard = self.log_in()
        again = self.open_wizard()
        self.assertEqual(again, wizard)
        self.assertEqual((again.step, again.url), ("login", URL))
        self.assertEqual(again.login, "boss")

    def test_it_is_begun_again(self):
        """Who had no order yet came back to the last step, and to no other site."""
        wizard = self.connect()
        self.assertEqual(wizard.proof_stage, "no_order")
        self.assertEqual(self.open_wizard().step, "login")
        again = self.press(wizard, "action_restart")
        self.assertEqual((again.step, again.url), ("login", URL))
        self.assertEqual(self.open_wizard(), again)

    def test_an_order_that_came_meanwhile_proves_it(self):
        wizard = self.connect()
        order = self.confirm(self.make_order())
        self.assertEqual(self.open_wizard(), wizard)
        self.assertEqual(wizard.proof_stage, "ready")
        self.assertIn(order.name, wizard.proof_message)

    # === THE PROOF === #

    def test_the_newest_order_proves_it(self):
        order = self.make_order()
        order.action_confirm()
        order.date_order = "2026-03-01 12:00:00"
        self.end_transaction()
        wizard = self.connect()
        self.assertEqual(wizard.proof_stage, "ready")
        self.assertIn(order.name, wizard.proof_message)
        self.assertIn("03/01/2026", wizard.proof_message)
        wizard.action_prove()
        self.assertEqual(wizard.proof_stage, "sending")
        self.run_sender()
        self.assertEqual(wizard.proof_stage, "reading")
        with freeze_time("2026-03-03 10:00:12"):
            wizard.action_refresh()
            self.run_cron("ir_cron_verify")
            self.assertEqual(wizard.proof_stage, "verified")
            self.assertIn("12 seconds after it was sent", wizard.proof_message)

    def test_the_order_is_gone_meanwhile(self):
        """The wizard ended in an error, also when it was opened again."""
        order = self.make_order()
        order.action_confirm()
        self.end_transaction()
        wizard = self.connect()
        self.assertEqual(wizard.proof_stage, "ready")
        self.company.sudo().matomo_site_id = False
        self.env.invalidate_all()
        self.assertEqual(self.open_wizard().proof_stage, "no_order")
        wizard.action_prove()
        self.company.sudo().matomo_site_id = wizard.site_id
        self.env.invalidate_all()
        self.assertEqual(wizard.proof_stage, "ready")
        order.sudo()._action_cancel()
        order.sudo().unlink()
        self.env.invalidate_all()
        wizard.action_prove()
        self.assertEqual(wizard.proof_stage, "no_order")

    def test_no_order_yet(self):
        wizard = self.connect()
        self.assertEqual(wizard.proof_stage, "no_order")
        self.assertFalse(self.matomo.orders)
        site = wizard.site_id.sudo()
        self.assertTrue(site.tells_first_order)
        order = self.confirm(self.make_order())
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertFalse(site.tells_first_order)
        told = site.message_ids.filtered(lambda each: order.name in (each.body or ""))
        self.assertIn(self.admin.partner_id, told.notified_partner_ids)

    def test_a_test_order_stays_and_is_known(self):
        wizard = self.connect()
        self.assertRefused("Tick", self.press, wizard, "action_send_test")
        wizard.wants_test_order = True
        wizard = self.press(wizard, "action_send_test")
        [(_idsite, key)] = self.matomo.orders
        self.assertIn(key.upper(), wizard.test_message.upper())
        self.assertEqual(get_kind_of_recorded("ODOO-TEST-12", None), "test")


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestConnectAgain(ConnectCommon):
    """The company is connected already, and the wizard is run once more."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        websites = cls.env["website"].sudo()
        websites.search([("company_id", "=", cls.company.id)]).company_id = False
        names = ("Shop", "Outlet", "New")
        cls.shop, cls.outlet, cls.new = websites.create(
            [{"name": name, "company_id": cls.company.id} for name in names]
        )
        values = {"url": URL, "company_id": cls.company.id, "token_auth": TOKEN}
        cls.first, cls.second = (
            cls.env["matomo.site"]
            .sudo()
            .create(
                [
                    {**values, "name": name, "idsite": idsite}
                    for name, idsite in (("First", 2), ("Second", 3))
                ]
            )
        )
        cls.first.write({"consent_policy": "never", "track_carts": False})
        # What Matomo says of each of its sites.
        (cls.first | cls.second).page_url = "https://shop.example.com"
        cls.shop.write({"matomo_site_id": cls.first.id, "matomo_tag": False})
        cls.outlet.write({"matomo_site_id": cls.second.id, "matomo_tag": True})
        cls.company.sudo().matomo_site_id = cls.second

    def read_all(self):
        """Return what is set, of channels and sites."""
        self.env.invalidate_all()
        websites = self.shop | self.outlet | self.new
        names = ["url", "idsite", "consent_policy", "track_carts", "currency_id"]
        sites = self.env["matomo.site"].sudo()
        sites = sites.search([("company_id", "=", self.company.id)])
        return (
            websites.sudo().read(["matomo_site_id", "matomo_tag"], load=None),
            self.company.sudo().matomo_site_id,
            sites.read([*names, "page_url", "name"], load=None),
            [site._get__token() for site in sites],
        )

    def log_in_again(self, **options):
        action = self.env["matomo.connect"].with_user(self.admin).action_open()
        wizard = self.follow(action)
        self.assertEqual(wizard.url, URL)
        return self.log_in(wizard=wizard, **options)

    def test_it_shows_what_stands_and_changes_nothing(self):
        """A second run moved all websites to one site, and made a second user."""
        self.new.unlink()
        self.new = self.shop.browse()
        before, logins = self.read_all(), set(self.matomo.logins)
        wizard = self.log_in_again()
        self.assertEqual(wizard.site_choice_id.idsite, 2)
        self.assertEqual(wizard.website_ids, self.shop.with_user(self.admin))
        self.assertFalse(wizard.has_salespeople)
        self.assertFalse(wizard.matomo_tag)
        self.assertEqual((wizard.consent_policy, wizard.track_carts), ("never", False))
        self.assertIn("Outlet stays on “Second”", wizard.plan)
        self.assertIn("Salespeople's orders stay on “Second”", wizard.plan)
        self.assertIn("token that Odoo has works", wizard.plan)
        wizard = self.press(wizard, "action_connect")
        self.assertEqual(wizard.step, "prove")
        self.assertEqual(self.read_all(), before)
        self.assertEqual(set(self.matomo.logins), logins)

    def test_what_has_no_site_is_proposed(self):
        wizard = self.log_in_again()
        chosen = self.shop | self.new
        self.assertEqual(set(wizard.website_ids.ids), set(chosen.ids))
        self.press(wizard, "action_connect")
        self.assertEqual(self.new.matomo_site_id, self.first)
        self.assertEqual(self.outlet.matomo_site_id, self.second)

    def test_another_site_is_chosen(self):
        wizard = self.log_in_again()
        self.choose(wizard, 3)
        chosen = self.outlet | self.new
        self.assertEqual(set(wizard.website_ids.ids), set(chosen.ids))
        self.assertTrue(wizard.has_salespeople)
        self.assertTrue(wizard.matomo_tag)

    def test_what_a_person_changes_is_changed(self):
        wizard = self.log_in_again()
        wizard.website_ids = self.outlet
        wizard.has_salespeople = True
        for words in (
            "The website Outlet leaves “Second”",
            "The website Shop is no longer tracked",
            "Salespeople's orders leave “Second”",
        ):
            self.assertIn(words, wizard.plan)
        self.press(wizard, "action_connect")
        self.assertEqual(self.outlet.matomo_site_id, self.first)
        self.assertFalse(self.shop.matomo_site_id)
        self.assertEqual(self.company.sudo().matomo_site_id, self.first)

    def test_the_form_says_what_is_no_longer_tracked(self):
        """An onchange took back what was just unticked."""
        self.company.sudo().matomo_site_id = self.first
        wizard = self.log_in_again()
        names = ("site_choice_id", "website_ids", "has_salespeople", "plan")
        # As the form does: it has no field "shown".
        answer = wizard.onchange(
            {"has_salespeople": False}, ["has_salespeople"], dict.fromkeys(names, {})
        )
        self.assertNotIn("has_salespeople", answer["value"])
        self.assertIn("orders are no longer tracked", answer["value"]["plan"])

    def test_a_token_that_does_not_work_is_replaced(self):
        self.first.token_auth = "0" * 32
        wizard = self.log_in_again()
        self.assertNotIn("token that Odoo has works", wizard.plan)
        self.press(wizard, "action_connect")
        self.assertIn(self.first._get__token(), self.matomo.made_tokens)
        self.assertEqual(self.second._get__token(), TOKEN)

    def test_a_token_outside_of_the_database(self):
        name = get_name(self.env.cr.dbname, self.first.id)
        wizard = self.log_in_again()
        with patch.dict("os.environ", {name: "0" * 32, f"{name}_URL": URL}):
            wizard = self.log_in_again()
            self.assertRefused(name, self.press, wizard, "action_connect")
        with patch.dict("os.environ", {name: TOKEN, f"{name}_URL": URL}):
            wizard = self.log_in_again()
            wizard = self.press(wizard, "action_connect")
            self.assertEqual(wizard.step, "prove")

    def test_another_matomo(self):
        wizard = self.open_wizard()
        wizard.write({"url": "https://other.example.com", "login": "boss"})
        wizard = self.press(wizard, "action_log_in", matomo_password=PASSWORD)
        self.choose(wizard, 2)
        self.assertEqual(wizard.website_ids, self.new.with_user(self.admin))
        self.assertIn("Shop stays on “First”", wizard.plan)


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestConnectTills(MatomoPosCommon, ConnectCommon):
    """A company with tills."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.config.sudo().matomo_site_id = False

    def test_tills_get_a_site_of_their_own(self):
        wizard = self.log_in()
        self.assertEqual(wizard.till_source, "own")
        wizard.site_choice_id = wizard.line_ids.filtered(lambda each: each.idsite == 2)
        wizard = self.press(wizard, "action_connect")
        shop, tills = wizard.site_id.sudo(), wizard.till_site_id.sudo()
        self.assertEqual((shop.idsite, tills.idsite), (2, 4))
        self.assertEqual(shop._get__token(), tills._get__token())
        configs = self.env["pos.config"].sudo()
        configs = configs.search([("company_id", "=", self.company.id)])
        self.assertTrue(configs)
        self.assertEqual(configs.matomo_site_id, tills)
        [name] = set(self.matomo.logins) - {"boss"}
        self.assertEqual(self.matomo.logins[name].access, {"2", "4"})

    def test_tills_that_have_a_site_keep_it(self):
        sites = self.env["matomo.site"].sudo()
        mine = sites.create(
            {
                "name": "Mine",
                "url": URL,
                "idsite": 3,
                "company_id": self.company.id,
                "token_auth": TOKEN,
            }
        )
        bakery = self.config.sudo()
        kiosk = bakery.copy({"name": "Kiosk"})
        kiosk.matomo_site_id = False
        bakery.matomo_site_id = mine
        wizard = self.log_in()
        self.assertTrue(wizard.keeps_tills)
        self.assertIn(f"Mine: {bakery.name}", wizard.tills_now)
        self.assertIn("No site: Kiosk", wizard.tills_now)
        self.press(wizard, "action_connect")
        self.assertEqual(bakery.matomo_site_id, mine)
        self.assertFalse(kiosk.matomo_site_id)

    def test_tills_are_no_longer_tracked(self):
        """ "Do not track POS orders" left the tills on their site."""
        self.connect(till_source="same")
        configs = self.env["pos.config"].sudo()
        configs = configs.search([("company_id", "=", self.company.id)])
        self.assertTrue(all(each.matomo_site_id for each in configs))
        self.env["matomo.connect"].sudo().search([]).unlink()
        wizard = self.connect(keeps_tills=False, till_source="none")
        self.assertEqual(wizard.step, "prove")
        self.assertFalse(configs.matomo_site_id)
