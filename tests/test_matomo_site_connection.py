from unittest.mock import patch

import requests

from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..models.matomo_site import MANAGER_ACTIVITY
from .common import LOGGER, TOKEN, FakeResponse, MatomoCommon

NOW = "2026-03-03 10:00:00"
WORKS = "Matomo accepts orders for this site"
FAILS = "The connection does not work yet"
UNREACHABLE = "Matomo cannot be reached"
ADDRESS = "Check the address of Matomo"


class ConnectionCommon(MatomoCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = cls.make_manager()

    def press_test(self):
        """Press Test Connection. Return title, type and message of the answer."""
        with mute_logger(LOGGER):
            action = self.site.with_user(self.manager).action_test_connection()
        params = action["params"]
        return params["title"], params["type"], params["message"]

    def assertAnswer(self, title, type_, *words):
        found = self.press_test()
        self.assertEqual(found[:2], (title, type_), found)
        for word in words:
            self.assertIn(word, found[2])

    def assertGoesOn(self):
        """Assert that an order is sent, whatever was tested before."""
        self.assertFalse(self.site.next_attempt_date)
        self.assertFalse(self.site.sudo().activity_search([MANAGER_ACTIVITY]))
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertState(order, "sent")

    def get_notes(self):
        """Return what the managers are asked to do."""
        activities = self.site.sudo().activity_ids
        return [each.note.striptags() for each in activities]


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestConnection(ConnectionCommon):
    """Test Connection says what is, and never makes a working site stop."""

    def test_all_is_well(self):
        self.assertAnswer(WORKS, "success", "Connected to “Fake shop”.")
        self.assertEqual(self.site.state, "ok")
        self.assertEqual(str(self.site.facts_date), NOW)
        self.assertEqual(self.site.matomo_version, "5.3.1")
        self.assertGoesOn()

    def test_nothing_that_answers(self):
        """The title was "Matomo accepts orders for this site." when nobody answered."""
        shop = FakeResponse(200, b"<html>A shop</html>")
        nothing = FakeResponse(404, b"<html>Nothing</html>")
        for fault, title, words in (
            (requests.ConnectionError("no route"), UNREACHABLE, "Matomo failed."),
            (requests.Timeout("silence"), UNREACHABLE, "did not answer within"),
            (shop, ADDRESS, "does not look like Matomo's"),
            (nothing, ADDRESS, "HTTP status 404"),
            (FakeResponse(302, b""), ADDRESS, "a redirect"),
        ):
            with self.subTest(words):
                self.matomo.faults = [fault]
                self.assertAnswer(title, "danger", words)
                self.assertIn(words, self.site.state_message)
                self.assertGoesOn()
                self.assertEqual(self.site.state, "ok")

    def test_why_the_token_is_refused(self):
        self.matomo.may_write = False
        access = "Check the access of the token's user"
        self.assertAnswer(access, "danger", "has no write access")
        self.matomo.may_write = True
        self.matomo.idsites = {"2"}
        site = "Check the site ID"
        self.assertAnswer(site, "danger", "no access to site 1, or there is no such")
        self.matomo.token = "f" * 32
        self.assertAnswer("Check the token", "danger", "does not know the token")
        self.assertEqual(self.site.state, "error")
        self.assertFalse(self.site.next_attempt_date)
        # Corrected in Matomo: the sender finds out by itself.
        self.matomo.token, self.matomo.idsites = TOKEN, {"1"}
        self.assertGoesOn()

    def test_a_failed_test_does_not_keep_the_managers_from_being_told(self):
        self.matomo.may_write = False
        self.press_test()
        self.confirm(self.make_order())
        with mute_logger(LOGGER):
            self.run_sender()
        [note] = self.get_notes()
        self.assertIn("has no write access", note)
        self.assertIn("1 order waits. Nothing is lost.", note)

    def test_only_the_reporting_api_is_closed(self):
        """Orders waited for an hour, because somebody had pressed Test Connection."""
        self.assertGoesOn()
        self.matomo.is_reporting_closed = True
        self.assertAnswer(
            WORKS, "warning", "Orders are accepted; they cannot be read back: "
        )
        self.assertEqual(self.site.state, "warning")
        self.assertGoesOn()

    def test_the_reporting_api_is_ill(self):
        self.matomo.faults = [None, FakeResponse(500, b"<html>ill</html>")]
        self.assertAnswer(
            WORKS,
            "warning",
            "Orders are accepted; they cannot be read back: Matomo's server answered",
        )
        self.assertTrue(self.site.can_read)
        self.assertGoesOn()
        with freeze_time("2026-03-03 11:00:00"):
            with mute_logger(LOGGER):
                self.run_verifier()
        self.assertEqual(self.site.state, "ok")

    def test_a_token_that_may_not_read(self):
        self.matomo.may_read = False
        self.assertAnswer(WORKS, "warning", "does not let the token read")
        self.assertFalse(self.site.can_read)
        self.assertGoesOn()

    def test_what_to_change_in_matomo(self):
        self.matomo.is_superuser = True
        self.matomo.site["ecommerce"] = "0"
        self.matomo.site["timezone"] = "Mars/Base"
        self.assertAnswer(
            WORKS,
            "warning",
            "E-commerce is not enabled",
            "belongs to a superuser",
            "“Mars/Base”",
        )
        # Reading back does not make it forgotten.
        self.confirm(self.make_order())
        self.run_sender()
        with mute_logger(LOGGER):
            self.matomo.faults = [requests.ConnectionError("gone")]
            self.run_verifier()
            self.site.sudo().next_read_date = False
            self.run_verifier()
        self.assertFalse(self.site.read_failure_count)
        self.assertEqual(self.site.state, "warning")
        self.assertIn("E-commerce is not enabled", self.site.state_message)
        self.matomo.is_superuser = False
        self.matomo.site.update(ecommerce="1", timezone="UTC+5.5")
        self.assertAnswer(WORKS, "success")
        self.assertEqual((self.site.state, self.site.timezone), ("ok", "UTC+5.5"))

    def test_a_currency_that_is_not_in_odoo(self):
        """Of a site that has sent before, nothing is stopped."""
        self.assertGoesOn()
        self.matomo.site["currency"] = "XTS"
        self.assertAnswer(WORKS, "warning", "XTS, is not active in Odoo")
        self.assertGoesOn()

    def test_a_copy(self):
        self.site.sudo().database_uuid = "another"
        self.assertAnswer(FAILS, "danger", "This database is a copy")
        self.assertFalse(self.matomo.requests)


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestBeforeTheFirstOrder(ConnectionCommon):
    """A site that was saved and never tested knows Matomo's settings all the same."""

    def setUp(self):
        super().setUp()
        self.pound = self.env.ref("base.GBP").sudo()
        self.pound.active = True
        self.env["res.currency.rate"].sudo().create(
            {
                "name": "2026-01-01",
                "currency_id": self.pound.id,
                "company_id": self.company.id,
                "rate": 0.5,
            }
        )
        self.matomo.site.update(currency="GBP", timezone="America/New_York")
        # As the settings create it: the currency is a guess.
        self.site.sudo().write({"idsite": 1, "token_auth": TOKEN})
        self.assertFalse(self.site.is_currency_confirmed)

    def run_sender(self):
        with mute_logger(LOGGER):
            return super().run_sender()

    def test_entering_asks_nothing_and_the_sender_does(self):
        self.assertFalse(self.matomo.requests)
        self.run_sender()
        self.assertEqual(self.site.timezone, "America/New_York")
        self.assertEqual(self.site.state, "ok")
        count = len(self.matomo.requests)
        self.run_sender()
        self.assertEqual(len(self.matomo.requests), count)

    def test_the_first_order_has_the_currency_of_matomo(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertRecorded(order, revenue="57.50")
        self.assertFalse(self.get_notes())

    def test_a_currency_that_nobody_confirms(self):
        """Orders are sent whether Matomo tells its settings or not; the form asks."""
        self.matomo.is_reporting_closed = True
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertState(order, "sent")
        self.assertEqual(self.site.state, "warning")
        self.assertFalse(self.site.is_currency_confirmed)
        self.assertIn("Confirm the currency", self.site.settings_message)
        self.site.with_user(self.manager).action_confirm_currency()
        self.assertTrue(self.site.is_currency_confirmed)

    def test_the_currency_is_confirmed_as_it_is(self):
        self.matomo.is_reporting_closed = True
        order = self.confirm(self.make_order())
        self.run_sender()
        self.site.with_user(self.manager).action_confirm_currency()
        self.run_sender()
        self.assertRecorded(order, revenue="115.00")
        self.assertEqual(self.site.state, "warning")

    def test_a_currency_that_is_not_in_odoo(self):
        self.pound.active = False
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertState(order, "pending")
        self.assertIn("GBP, is not active in Odoo", self.site.state_message)
        title, _type, message = self.press_test()
        self.assertEqual(title, FAILS)
        self.assertIn("GBP, is not active in Odoo", message)
        self.pound.active = True
        with freeze_time("2026-03-03 11:30:00"):
            self.run_sender()
        self.assertRecorded(order, revenue="57.50")

    def test_a_matomo_that_is_not_there(self):
        order = self.confirm(self.make_order())
        self.matomo.faults = [requests.ConnectionError("gone")]
        self.run_sender()
        self.assertState(order, "pending")
        self.assertEqual(self.site.state, "warning")
        with freeze_time("2026-03-03 10:05:00"):
            self.run_sender()
        self.assertRecorded(order, revenue="57.50")

    def test_a_site_that_moves_while_it_is_asked(self):
        """The answers of the old address were taken for those of the new one."""
        site = self.site.sudo()

        def move(answer):
            self.env.cr.execute(
                "UPDATE matomo_site SET url = 'https://new.example.com/' WHERE id = %s",
                [site.id],
            )
            return answer

        self.matomo.faults = [move]
        self.run_sender()
        self.assertFalse(site.facts_date)


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestEveryNight(ConnectionCommon):
    """What changes in Matomo is told and followed within a day."""

    def setUp(self):
        super().setUp()
        self.assertGoesOn()
        self.run_night()

    def run_night(self):
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_sweep")

    def test_nothing_has_changed(self):
        self.run_night()
        self.assertFalse(self.get_notes())
        self.assertEqual(self.site.state, "ok")

    def test_currency_and_zone(self):
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        self.matomo.site.update(currency="EUR", timezone="Asia/Tokyo")
        self.run_night()
        self.assertEqual(self.site.currency_id, euro)
        self.assertEqual(self.site.timezone, "Asia/Tokyo")
        (note,) = self.get_notes()
        self.assertIn("was USD and is EUR now", note)
        self.assertIn("was UTC and is Asia/Tokyo now", note)
        self.assertIn("is EUR now", self.site.sudo().message_ids[0].body)
        self.run_night()
        self.assertEqual(len(self.get_notes()), 1)
        self.assertEqual(self.site.state, "ok")

    def test_a_currency_that_is_not_in_odoo(self):
        self.matomo.site["currency"] = "XTS"
        self.run_night()
        self.assertFalse(self.site.is_currency_confirmed)
        self.assertEqual(self.site.state, "error")
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertState(order, "pending")
        self.site.with_user(self.manager).action_confirm_currency()
        self.run_sender()
        self.assertState(order, "sent")
        # What a person has decided is not asked again.
        self.run_night()
        self.assertTrue(self.site.is_currency_confirmed)
        self.assertEqual(self.site.state, "warning")

    def test_ecommerce_is_switched_off(self):
        self.matomo.site["ecommerce"] = "0"
        self.run_night()
        [note] = self.get_notes()
        self.assertIn("E-commerce is not enabled", note)
        self.assertIn("Enable it under Administration, Websites.", note)
        self.assertEqual(self.site.state, "warning")
        self.assertIn("E-commerce is not enabled", self.site.state_message)
        self.matomo.site["ecommerce"] = "1"
        self.run_night()
        self.assertEqual(self.site.state, "ok")
        self.assertFalse(self.get_notes())
        self.assertIn("Good again: E-commerce", self.site.sudo().message_ids[0].body)

    def test_the_main_address(self):
        self.matomo.site["main_url"] = "https://new.example.com"
        self.run_night()
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertTrue(self.recorded(order)["url"].startswith("https://new.example."))

    def test_a_token_that_may_not_read_is_asked_again(self):
        self.matomo.may_read = False
        self.run_night()
        self.assertFalse(self.site.can_read)
        self.matomo.may_read = True
        self.run_night()
        self.assertTrue(self.site.can_read)

    def test_one_site_that_breaks_does_not_stop_the_others(self):
        other = self.site.sudo().copy({"idsite": 2, "token_auth": TOKEN})
        sites = type(self.site)
        apply = sites._apply_facts

        def broken(site, facts, **options):
            if site.id == self.site.id:
                raise ValueError("Broken")
            return apply(site, facts, **options)

        with patch.object(sites, "_apply_facts", broken):
            self.run_night()
        self.assertTrue(other.facts_date)

    def test_no_comparison_before_the_zone_is_known(self):
        days = self.env["matomo.reconciliation"].sudo()
        days.search([]).unlink()
        self.site.sudo().write({"facts_date": False})
        self.matomo.may_read = False
        self.run_night()
        self.assertFalse(days.search([]))
        self.matomo.may_read = True
        self.run_night()
        self.assertTrue(days.search([]))
