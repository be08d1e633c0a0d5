"""Who reads a message decides its language, not who happens to run the code."""

from unittest.mock import patch

import requests

from odoo.tests import tagged
from odoo.tools import mute_logger
from odoo.tools.translate import code_translations

from odoo.addons.matomo_order_tracking.matomo_api.facts import Change

from .common import LOGGER, MODULE, FakeResponse, MatomoCommon

FAILED = "The connection to Matomo failed. Odoo's log says why."
UNREAD = "Orders are accepted; they cannot be read back: %s"
NO_TOKEN = "No token is set for the Matomo site “%s”."
CONNECTED = "Connected to “%s”."
ACTIVITY = "Matomo does not accept orders"
CANCELLED = "The order was cancelled before it was sent."
UNBUILT = (
    "The order could not be prepared for Matomo: Odoo's log says why. Correct the "
    "order and press Retrack."
)
NOT_IN_MATOMO = "Not in Matomo: %s"
REFUND_WITHDRAWN = "The order was confirmed again."
TEXTS = [FAILED, UNREAD, NO_TOKEN, CONNECTED, ACTIVITY, CANCELLED, UNBUILT]
TEXTS += [NOT_IN_MATOMO, REFUND_WITHDRAWN]


def fr(text, *args):
    return f"[fr] {text}" % args if args else f"[fr] {text}"


def de(text, *args):
    return f"[de] {text}" % args if args else f"[de] {text}"


@tagged("post_install", "-at_install")
class TestLanguages(MatomoCommon):
    """A French company, a German and an English manager, and a silent superuser."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for code in ("fr_FR", "de_DE"):
            cls.env["res.lang"]._activate_lang(code)
        cls.company.partner_id.lang = "fr_FR"
        cls.german = cls.make_user("german", f"{MODULE}.group_matomo_manager")
        cls.german.lang = "de_DE"
        cls.english = cls.make_user("english", f"{MODULE}.group_matomo_manager")

    def setUp(self):
        super().setUp()
        translations = {
            (MODULE, "fr_FR"): {text: fr(text) for text in TEXTS},
            (MODULE, "de_DE"): {text: de(text) for text in TEXTS},
        }
        known = code_translations.python_translations
        self.startPatcher(patch.dict(known, translations))

    def get_activities(self):
        """Return what each person is asked to do: ``{user: (summary, sentence)}``."""
        return {
            each.user_id: (each.summary, each.note.partition("<br")[0].striptags())
            for each in self.site.sudo().activity_ids
        }

    def press_test(self, user):
        """Return the sentence that somebody reads who presses Test Connection."""
        site = self.site.with_user(user).with_context(lang=user.lang)
        return site.action_test_connection()["params"]["message"]

    # === SCHEDULED ACTIONS === #

    @mute_logger(LOGGER)
    def test_a_site_speaks_the_language_of_its_company(self):
        self.confirm(self.make_order())
        self.matomo.faults = [requests.ConnectionError("reset")] * 2
        self.run_sender()
        self.assertEqual(self.site.state_message, fr(FAILED))

    @mute_logger(LOGGER)
    def test_an_unreadable_site_speaks_the_language_of_its_company(self):
        self.confirm(self.make_order())
        self.run_sender()
        self.matomo.faults = [requests.ConnectionError("reset")] * 2
        self.run_verifier()
        self.assertEqual(self.site.state_message, fr(UNREAD, fr(FAILED)))

    @mute_logger(LOGGER)
    def test_an_activity_speaks_the_language_of_its_user(self):
        self.confirm(self.make_order())
        self.site.sudo().token_auth = False
        self.run_sender()
        self.assertEqual(self.site.state_message, fr(NO_TOKEN, self.site.name))
        activities = self.get_activities()
        self.assertEqual(
            activities[self.german], (de(ACTIVITY), de(NO_TOKEN, self.site.name))
        )
        self.assertEqual(
            activities[self.english], (ACTIVITY, NO_TOKEN % self.site.name)
        )

    @mute_logger(LOGGER)
    def test_a_request_speaks_the_language_of_its_company(self):
        cancelled = self.confirm(self.make_order())
        cancelled._action_cancel()
        broken = self.confirm(self.make_order())
        with patch.object(
            type(broken), "_prepare_matomo_order", side_effect=ValueError("secret")
        ):
            self.run_sender()
        self.assertEqual(self.get_request(cancelled).reason, fr(CANCELLED))
        self.assertEqual(self.get_request(broken).reason, fr(UNBUILT))
        note = broken.sudo().message_ids[0].body.striptags()
        self.assertEqual(note, fr(NOT_IN_MATOMO, fr(UNBUILT)))

    @mute_logger(LOGGER)
    def test_a_refund_speaks_the_language_of_its_company(self):
        self.site.sudo().track_refunds = True
        order = self.confirm(self.make_order())
        self.run_sender()
        order._action_cancel()
        self.end_transaction()
        order.action_draft()
        order.action_confirm()
        self.run_sender()
        refund = order.sudo().matomo_request_ids.filtered(lambda r: r.kind == "refund")
        self.assertEqual(refund.reason, fr(REFUND_WITHDRAWN))

    @mute_logger(LOGGER)
    def test_a_company_without_language_speaks_its_managers(self):
        self.company.partner_id.lang = False
        self.confirm(self.make_order())
        (self.german + self.english).active = False
        self.german.active = True
        self.matomo.faults = [requests.ConnectionError("reset")] * 2
        self.run_sender()
        self.assertEqual(self.site.state_message, de(FAILED))
        self.german.active = False
        self.assertEqual(self.company._get_matomo_lang(), "en_US")

    # === BUTTONS === #

    def test_who_presses_a_button_is_answered_in_their_language(self):
        name = "Fake shop"
        self.assertIn(de(CONNECTED, name), self.press_test(self.german).splitlines())
        self.assertEqual(self.site.state_message, fr(CONNECTED, name))
        self.assertIn(CONNECTED % name, self.press_test(self.english).splitlines())

    @mute_logger(LOGGER)
    def test_who_presses_a_button_reads_the_trouble_in_their_language(self):
        self.matomo.faults = [requests.ConnectionError("reset")] * 2
        self.assertEqual(self.press_test(self.german), de(FAILED))
        self.assertEqual(self.site.state_message, fr(FAILED))

    @mute_logger(LOGGER)
    def test_what_a_library_says_is_on_no_screen(self):
        """The words of a library stood in the message, and nobody translated them."""
        self.matomo.faults = [requests.ConnectionError("HTTPSConnectionPool(0x7f)")] * 2
        with self.assertLogs(LOGGER, "WARNING") as logs:
            answer = self.press_test(self.english)
        self.assertEqual(answer, FAILED)
        self.assertNotIn("HTTPSConnectionPool", self.site.state_message)
        self.assertIn("HTTPSConnectionPool", logs.output[0])

    @mute_logger(LOGGER)
    def test_what_matomo_says_is_quoted_without_markup(self):
        message = {"result": "error", "message": "<b>No</b> view &amp; access"}
        self.matomo.faults = [None, None, FakeResponse(200, message)]
        self.assertIn("“No view & access”", self.press_test(self.english))

    @mute_logger(LOGGER)
    def test_no_address_of_a_server_can_be_clicked(self):
        """An address that a server chose was a link in the e-mails of the managers."""
        site = self.site.sudo()
        change = Change("main_url", "https://a.de", "https://evil.example.com/login")
        site._tell_changes([change])
        told = [*site.activity_ids.mapped("note"), *site.message_ids.mapped("body")]
        self.assertIn("evil.example.com", str(told))
        self.assertNotIn("<a ", str(told))
