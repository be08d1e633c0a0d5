"""The wizard that connects a shop, in the hands of somebody who should not have it."""

from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.service.model import call_kw
from odoo.tests import freeze_time, tagged
from odoo.tools import config, mute_logger

from ..outbox import connect
from ..wizard.matomo_connect import OWN_TOKEN_KEY, TOKEN_KEY
from .common import LOGGER, MODULE, TOKEN, FakeResponse
from .test_matomo_connect import PASSWORD, ConnectCommon

BUTTONS = (
    *("action_log_in", "action_connect", "action_prove", "action_refresh"),
    *("action_send_test", "action_done"),
)
MINE = "what-answers-in-the-internal-network"


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestSecurityConnect(ConnectCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        groups = f"base.group_system,{MODULE}.group_matomo_manager"
        cls.colleague = cls.make_user("matomo_colleague", groups)
        cls.strangers = [
            cls.make_user("connect_portal", "base.group_portal"),
            cls.make_user("connect_user", f"{MODULE}.group_matomo_user"),
            cls.make_user("connect_manager", f"{MODULE}.group_matomo_manager"),
            cls.make_user("connect_system", "base.group_system"),
        ]

    def call(self, user, model, method, *args, **options):
        """Call a method as the web client does, which checks names and rights."""
        return call_kw(self.env[model].with_user(user), method, args, options)

    # === WHO MAY === #

    def test_nobody_else_opens_it_or_presses_its_buttons(self):
        wizard = self.log_in()
        asked = len(self.matomo.requests)
        for user in self.strangers:
            with self.assertRaises(AccessError):
                self.call(user, "matomo.connect", "action_open")
            # Not one of their own either, which a stranger may not even create.
            for name in BUTTONS:
                with self.subTest(user=user.login, button=name):
                    self.assertCannotPress(user, wizard, name)
        self.env.invalidate_all()
        self.assertEqual(wizard.step, "choose")
        self.assertEqual(len(self.matomo.requests), asked)

    def assertCannotPress(self, user, wizard, name):
        context = {TOKEN_KEY: TOKEN, "matomo_password": PASSWORD}
        with self.assertRaises(UserError), self.cr.savepoint():
            self.call(user, "matomo.connect", name, wizard.ids, context=context)
        try:
            with self.cr.savepoint():
                own = self.env["matomo.connect"].with_user(user).create({"url": "x"})
        except AccessError:
            return
        if name == "action_done":
            # It only opens a site, which rights of their own protect.
            return
        with self.assertRaises(AccessError), self.cr.savepoint():
            self.call(user, "matomo.connect", name, own.ids, context=context)

    def test_the_settings_are_the_administrators(self):
        holder = self.env["website"].search([], limit=1)
        values = {"matomo_url": "https://evil.example.com", "matomo_idsite": "1"}
        for user in self.strangers[:3]:
            with self.subTest(user.login):
                with self.assertRaises(AccessError), self.cr.savepoint():
                    self.call(user, "res.config.settings", "create", [values])
                with self.assertRaises(AccessError), self.cr.savepoint():
                    self.call(
                        user,
                        "res.config.settings",
                        "action_test_matomo_connection",
                        "website",
                        holder.id,
                        "http://127.0.0.1/",
                        "1",
                        TOKEN,
                    )
        self.assertFalse(self.matomo.requests)

    # === A COLLEAGUE'S WIZARD === #

    def test_a_colleague_does_not_lead_the_token_elsewhere(self):
        """An address that was written into it meanwhile got the token."""
        wizard = self.log_in()
        line = wizard.line_ids[:1]
        for user in (self.colleague, self.strangers[-1]):
            for record in (wizard, line):
                theirs = record.with_user(user)
                with self.assertRaises(AccessError), self.cr.savepoint():
                    theirs.read(["display_name"])
                self.assertFalse(theirs.search([("id", "=", record.id)]))
            with self.assertRaises(AccessError), self.cr.savepoint():
                wizard.with_user(user).url = "https://evil.example.com/"
            with self.assertRaises(AccessError), self.cr.savepoint():
                line.with_user(user).write({"idsite": 3})

    def test_a_colleague_does_not_lead_the_token_of_a_deletion_elsewhere(self):
        erasure = self.env["matomo.erasure"].with_user(self.admin).create({})
        manager = self.strangers[2]
        with self.assertRaises(AccessError), self.cr.savepoint():
            erasure.with_user(manager).write({"site_id": self.site.id})
        with self.assertRaises(AccessError), self.cr.savepoint():
            erasure.with_user(manager).read(["res_model"])

    def test_nothing_secret_can_be_read_from_it(self):
        wizard = self.log_in()
        token = wizard.env.context[TOKEN_KEY]
        self.choose(wizard, 2)
        wizard.write({"matomo_password": PASSWORD, "matomo_token_auth": TOKEN})
        self.env.flush_all()
        self.env.invalidate_all()
        plain = wizard.with_env(wizard.env(context={}))
        shown = f"{plain.read()}{plain.line_ids.read()}{plain.export_data(['url'])}"
        wizard = self.press(wizard, "action_connect")
        shown += str(wizard.with_env(wizard.env(context={})).read())
        for secret in (PASSWORD, token, TOKEN, wizard.site_id.sudo()._get__token()):
            self.assertNotIn(secret, shown)

    # === TWO AT ONCE === #

    def log_in_as(self, user):
        wizard = self.env["matomo.connect"].with_user(user).create({})
        wizard.write({"url": "https://new.example.com/stats/", "login": "boss"})
        action = self.press_as(wizard, "action_log_in", matomo_password=PASSWORD)
        context = action["context"]
        wizard = wizard.with_context(**context)
        self.choose(wizard, 2)
        return wizard

    def press_as(self, wizard, name, **context):
        self.env.flush_all()
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            inner = wizard.with_env(wizard.env(cr=cr)).with_context(**context)
            action = getattr(inner, name)()
        self.env.invalidate_all()
        return action

    def get_sites(self):
        sites = self.env["matomo.site"].sudo()
        return sites.search([("url", "=", "https://new.example.com/stats/")])

    def test_two_administrators_at_once(self):
        mine, theirs = self.log_in_as(self.admin), self.log_in_as(self.colleague)
        self.press_as(mine, "action_connect")
        self.press_as(theirs, "action_connect")
        # The user in Matomo is there already: its password is asked for once.
        self.assertTrue(theirs.needs_password)
        self.press_as(theirs, "action_connect", matomo_password=PASSWORD)
        self.assertEqual((mine.step, theirs.step), ("prove", "prove"))
        self.assertEqual(len(self.get_sites()), 1)
        self.assertEqual(len(self.matomo.logins), 2)
        self.assertEqual(self.get_sites()._test_connection()["type"], "success")

    @mute_logger("odoo.sql_db")
    def test_both_create_the_site_in_the_same_moment(self):
        mine = self.log_in_as(self.admin)
        create = type(mine)._create_sites
        calls = []

        def find_none_at_first(wizard, line):
            found = find(wizard, line)
            return found if len(calls) > 1 else found.browse()

        def create_again(wizard, token, facts):
            calls.append(1)
            return create(wizard, token, facts)

        find = type(mine)._find_site
        self.get_sites().create(
            {
                "name": "Theirs",
                "url": "https://new.example.com/stats/",
                "idsite": 2,
                "company_id": self.company.id,
            }
        )
        with (
            patch.object(type(mine), "_find_site", find_none_at_first),
            patch.object(type(mine), "_create_sites", create_again),
        ):
            self.press_as(mine, "action_connect")
        self.assertEqual((len(calls), len(self.get_sites())), (2, 1))
        self.assertEqual(mine.site_id, self.get_sites().with_user(self.admin))

    def test_a_second_click_makes_nothing_twice(self):
        """Two clicks on a new site made two sites in Matomo."""
        wizard = self.log_in()
        self.choose(wizard, 0)
        token = wizard.env.context[TOKEN_KEY]
        seen = []
        prepare = connect.prepare_sites

        def click_again(env, *args):
            result = prepare(env, *args)
            inner = wizard.with_env(wizard.env(cr=env.cr))
            try:
                inner.with_context(**{TOKEN_KEY: token}).action_connect()
            except UserError as error:
                seen.append(str(error))
            return result

        with patch.object(connect, "prepare_sites", click_again):
            self.press(wizard, "action_connect")
        [message] = seen
        self.assertIn("being done already", message)
        self.assertEqual(self.matomo.idsites, {"1", "2", "3", "4"})
        logins = set(self.matomo.logins)
        # And once it is done: the second click shows what the first one has done.
        self.press(wizard, "action_connect", **{TOKEN_KEY: token})
        self.assertEqual(wizard.step, "prove")
        self.assertFalse(wizard.needs_password)
        self.assertEqual(set(self.matomo.logins), logins)

    def test_a_click_that_died_does_not_block_for_ever(self):
        wizard = self.log_in()
        self.choose(wizard, 2)
        wizard.work_date = "2026-03-03 09:59:00"
        self.assertRefused("being done", self.press, wizard, "action_connect")
        wizard.work_date = "2026-03-03 09:57:00"
        self.assertEqual(self.press(wizard, "action_connect").step, "prove")

    # === THE INTERNAL NETWORK === #

    def test_it_is_no_window_into_the_internal_network(self):
        forbids = {**config.options, "matomo_forbid_private_addresses": True}
        for url in ("http://127.0.0.1/", "http://169.254.169.254/", "http://[::1]/"):
            wizard = self.open_wizard()
            wizard.write({"url": url, "login": "boss", "way": "login"})
            with (
                self.subTest(url),
                patch.object(config, "get", lambda key, default=None: forbids.get(key)),
            ):
                asked = len(self.matomo.requests)
                self.assertRefused(
                    "", self.press, wizard, "action_log_in", matomo_password=PASSWORD
                )
                self.assertEqual(len(self.matomo.requests), asked)

    @mute_logger(LOGGER)
    def test_what_answers_to_a_password_is_not_shown(self):
        for answer in (
            FakeResponse(200, MINE.encode()),
            FakeResponse(500, MINE.encode()),
            FakeResponse(200, {"result": "error", "message": MINE}),
            FakeResponse(302, MINE.encode(), {"Location": f"http://{MINE}/"}),
        ):
            self.matomo.faults = [answer]
            wizard = self.open_wizard()
            wizard.write({"url": "http://192.0.2.1/", "login": "boss"})
            message = ""
            try:
                self.press(wizard, "action_log_in", matomo_password=PASSWORD)
            except UserError as error:
                message = str(error)
            self.env.invalidate_all()
            self.assertTrue(message)
            self.assertNotIn(MINE, message)
            self.env["matomo.connect"].sudo().search([]).unlink()

    def test_a_token_is_of_no_use_without_a_step(self):
        """Whoever skips the log-in by calling a later button gets nowhere."""
        wizard = self.open_wizard()
        asked = len(self.matomo.requests)
        self.press(wizard, "action_connect")
        self.assertEqual(wizard.step, "login")
        self.assertRefused(
            "Choose the site",
            self.press,
            wizard,
            "action_connect",
            **{TOKEN_KEY: TOKEN, OWN_TOKEN_KEY: TOKEN},
        )
        self.assertEqual(len(self.matomo.requests), asked)
