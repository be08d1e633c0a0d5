"""Test Connection in the settings: what is entered is tested, and nothing is stored."""

import os
from unittest.mock import patch
from urllib.parse import urlsplit

import requests

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..tools.outside_token import get_name
from .common import LOGGER, TOKEN, FakeResponse, MatomoPosCommon

URL = "https://matomo.example.com/"
WORKS = "Matomo accepts orders for this site"
INCOMPLETE = "The connection does not work yet"


class SettingsTestCommon(MatomoPosCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.website = cls.env["website"].create(
            {"name": "Shop", "company_id": cls.company.id}
        )
        # An administrator who is in no group of Matomo's.
        cls.admin = cls.make_user(
            "admin_only", "base.group_system,point_of_sale.group_pos_manager"
        )
        # The company of a newcomer.
        cls.config.matomo_site_id = False
        cls.company.sudo().matomo_site_id = False
        cls.site.sudo().unlink()

    def save(self, **values):
        """Fill the form and save it, as the web client does."""
        settings = (
            self.env["res.config.settings"]
            .with_user(self.admin)
            .create(
                {
                    "website_id": self.website.id,
                    "pos_config_id": self.config.id,
                    **values,
                }
            )
        )
        settings.execute()

    def open_settings(self):
        """Return the form as it is opened."""
        return (
            self.env["res.config.settings"]
            .with_user(self.admin)
            .new({"website_id": self.website.id, "pos_config_id": self.config.id})
        )

    def press_test(self, *entered, holder=None, user=None):
        """Press Test Connection. Return title, type and message of the result."""
        holder = holder or self.website
        self.env.flush_all()
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            settings = self.env(cr=cr, user=user or self.admin)["res.config.settings"]
            with mute_logger(LOGGER):
                result = settings.action_test_matomo_connection(
                    holder._name, holder.id, *entered
                )
        self.env.invalidate_all()
        return result

    def assertResult(self, result, title, type_, *words):
        self.assertEqual((result["title"], result["type"]), (title, type_), result)
        for word in words:
            self.assertIn(word, result["message"])

    def get_sites(self):
        sites = self.env["matomo.site"].sudo().with_context(active_test=False)
        return sites.search([("company_id", "=", self.company.id)])


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestSettingsTest(SettingsTestCommon):
    def test_the_truth_before_the_first_save(self):
        self.assertResult(
            self.press_test("", "", ""),
            INCOMPLETE,
            "danger",
            "Enter the address",
            "Enter the site ID",
            "Enter the token",
        )
        for url, idsite in (("", "1"), (URL, ""), (URL, "one"), (URL, "0")):
            result = self.press_test(url, idsite, TOKEN)
            self.assertResult(result, INCOMPLETE, "danger")
            self.assertEqual(len(result["message"].splitlines()), 1)
        self.assertFalse(self.matomo.requests)
        result = self.press_test(URL, "1", TOKEN)
        self.assertResult(result, WORKS, "success", "Connected to “Fake shop”")
        self.assertNotIn("state", result)
        self.assertFalse(self.get_sites())

    def test_which_of_them_is_wrong(self):
        lost = requests.ConnectionError("no route")
        shop = FakeResponse(200, b"<html>A shop</html>")
        for fault, url, idsite, token, title, words in (
            (lost, URL, "1", TOKEN, "Matomo cannot be reached", "failed"),
            (shop, URL, "1", TOKEN, "Check the address of Matomo", "look like"),
            (None, "http://m.example.com", "1", TOKEN, "Check the address", "https"),
            (None, "matomo", "1", TOKEN, "Check the address", "not a web address"),
            (None, URL, "9", TOKEN, "Check the site ID", "no access to site 9"),
            (None, URL, "1", "f" * 32, "Check the token", "does not know the token"),
        ):
            with self.subTest(words):
                self.matomo.faults = [fault] if fault else []
                result = self.press_test(url, idsite, token)
                self.assertEqual(result["type"], "danger", result)
                self.assertIn(title, result["title"])
                self.assertIn(words, result["message"])
        self.matomo.may_write = False
        self.assertResult(
            self.press_test(URL, "1", TOKEN),
            "Check the access of the token's user",
            "danger",
            "no write access",
        )
        self.assertFalse(self.get_sites())

    def test_what_is_no_obstacle(self):
        self.matomo.site.update(ecommerce="0", currency="XTS")
        result = self.press_test(URL, "1", TOKEN)
        self.assertResult(result, INCOMPLETE, "danger", "XTS, is not active in Odoo")
        self.matomo.site["currency"] = "USD"
        result = self.press_test(URL, "1", TOKEN)
        self.assertResult(result, WORKS, "warning", "E-commerce is not enabled")

    def test_a_currency_that_the_company_does_not_have(self):
        """A Matomo left on its default currency made a shop convert all amounts."""
        self.env.ref("base.EUR").sudo().active = True
        self.matomo.site["currency"] = "EUR"
        result = self.press_test(URL, "1", TOKEN)
        self.assertResult(result, WORKS, "warning", "EUR", "USD")

    def test_what_is_entered_and_not_what_is_saved(self):
        """The settings tested the saved values after somebody had typed others."""
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth=TOKEN)
        site = self.website.matomo_site_id.sudo()
        before = site.read(["url", "idsite", "state", "write_date"])
        result = self.press_test("https://wrong.example.com", "1", "f" * 32)
        self.assertEqual(result["type"], "danger")
        asked = {urlsplit(each["url"]).hostname for each in self.matomo.requests}
        self.assertEqual(asked, {"wrong.example.com"})
        self.assertEqual(site.read(["url", "idsite", "state", "write_date"]), before)
        self.assertEqual(site._get__token(), TOKEN)
        # Another site ID of the same Matomo, with the token that is saved.
        self.assertResult(self.press_test(URL, "2", ""), WORKS, "success")
        self.assertEqual(self.get_sites(), site)

    def test_what_is_saved(self):
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth=TOKEN)
        site = self.website.matomo_site_id
        self.assertEqual(site.state, "unknown")
        for entered in ((URL, "1", ""), (None, None, None)):
            result = self.press_test(*entered)
            self.assertResult(result, WORKS, "success")
            self.assertEqual(result["state"], "ok")
        self.assertEqual((site.state, site.name), ("ok", "Fake shop"))

    def test_the_till(self):
        """On its own site, and on the website's, whose values it does not change."""
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth=TOKEN)
        self.config.sudo().matomo_follows_website = True
        site = self.website.matomo_site_id
        result = self.press_test(
            "https://other.example.com", "1", "", holder=self.config
        )
        self.assertResult(result, INCOMPLETE, "danger", "Enter the token")
        result = self.press_test(URL, "2", "", holder=self.config)
        self.assertResult(result, WORKS, "success")
        self.assertEqual((self.get_sites(), site.idsite), (site, 1))
        self.save(
            matomo_pos_site_source="own", matomo_pos_url=URL, matomo_pos_idsite="2"
        )
        own = self.config.sudo().matomo_site_id
        self.assertEqual((own.idsite, own._get__token()), (2, TOKEN))

    def test_a_copy_asks_nothing(self):
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth=TOKEN)
        self.website.matomo_site_id.sudo().database_uuid = "another"
        for token in ("", TOKEN):
            result = self.press_test(URL, "1", token)
            self.assertEqual(result["type"], "danger")
            self.assertIn("This database is a copy", result["message"])
        self.assertFalse(self.matomo.requests)

    def test_a_token_outside_of_the_database_stays_with_its_address(self):
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth="")
        site = self.website.matomo_site_id.sudo()
        name = get_name(self.cr.dbname, site.id)
        with patch.dict(os.environ, {name: TOKEN, f"{name}_URL": URL}):
            result = self.press_test("https://moved.example.com", "1", "")
            self.assertResult(result, INCOMPLETE, "danger", f"keeps as {name}")
            self.assertResult(self.press_test(URL, "1", ""), WORKS, "success")

    def test_the_form_says_which_token_is_used(self):
        """A token was asked for, or said to be saved, that was never used."""
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth=TOKEN)
        site = self.website.matomo_site_id.sudo()
        form = self.open_settings()
        self.assertTrue(form.matomo_has_token)
        # The second save, with the empty field that everybody sees.
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth="")
        self.assertEqual(site._get__token(), TOKEN)
        # Another site of another Matomo is entered: it would have no token.
        form.write({"matomo_url": "https://b.example.com", "matomo_idsite": "9"})
        self.assertFalse(form.matomo_has_token)
        name = get_name(self.cr.dbname, site.id)
        for url, words in ((URL, "outside of the database"), ("", f"{name}_URL")):
            values = {name: "another-token", f"{name}_URL": url}
            with self.subTest(url), patch.dict(os.environ, values):
                self.env.invalidate_all()
                form = self.open_settings()
                self.assertEqual(form.matomo_has_token, bool(url))
                for message in (
                    form.matomo_outside_token_message,
                    site.outside_token_message,
                ):
                    self.assertIn(words, message)
                    self.assertIn(name, message)
                    self.assertNotIn("another-token", message)
                with self.assertRaisesRegex(UserError, name):
                    self.save(
                        matomo_url=URL, matomo_idsite="1", matomo_token_auth="another"
                    )
                with self.assertRaisesRegex(UserError, name):
                    site.token_auth = "another"
                self.env.invalidate_all()
        self.env.invalidate_all()
        self.assertEqual(site._get__token(), TOKEN)
        self.assertFalse(site.outside_token_message)

    def test_the_site_knows_at_once_whether_it_has_a_token(self):
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth="")
        site = self.website.matomo_site_id.sudo()
        self.assertFalse(site.has_token)
        site.token_auth = TOKEN
        self.assertTrue(site.has_token)
        site.token_auth = False
        self.assertFalse(site.has_token)

    def test_who_may_test(self):
        designer = self.make_user("designer", "website.group_website_designer")
        for user in (designer, self.make_manager()):
            with self.assertRaises(AccessError):
                self.press_test(URL, "1", TOKEN, user=user)
        with self.assertRaises(AccessError):
            self.press_test(URL, "1", TOKEN, holder=self.customer)
        self.assertFalse(self.matomo.requests)


@tagged("post_install", "-at_install")
class TestCorrections(SettingsTestCommon):
    """Who corrects what was entered leaves nothing behind."""

    def enter(self, url, idsite, **values):
        self.save(matomo_url=url, matomo_idsite=idsite, **values)
        return self.website.matomo_site_id

    def test_trying_site_ids(self):
        """Each site ID that somebody tried left a site in every list."""
        first = self.enter(URL, "9", matomo_token_auth=TOKEN)
        self.assertEqual(first.name, "matomo.example.com, site 9")
        for idsite in ("98", "99", "2"):
            self.assertEqual(self.enter(URL, idsite), first)
        self.assertEqual(first.name, "matomo.example.com, site 2")
        self.assertEqual(first.sudo()._get__token(), TOKEN)
        self.assertEqual(self.get_sites(), first)

    def test_a_typo_of_the_address(self):
        first = self.enter("https://matmo.example.com", "1", matomo_token_auth=TOKEN)
        self.assertEqual(self.enter(URL, "1"), first)
        self.assertEqual(first.name, "matomo.example.com, site 1")

    def test_a_typo_of_the_address_of_a_known_site(self):
        """“This Matomo site already exists in this company”, and no way on."""
        known = self.enter(URL, "1", matomo_token_auth=TOKEN)
        self.save(
            matomo_pos_site_source="own",
            matomo_pos_url="https://matmo.example.com",
            matomo_pos_idsite="1",
        )
        self.assertEqual(len(self.get_sites()), 2)
        self.save(
            matomo_pos_site_source="own", matomo_pos_url=URL, matomo_pos_idsite="1"
        )
        self.assertEqual(self.config.matomo_site_id, known)
        self.assertEqual(self.get_sites(), known)

    def test_what_was_used_stays(self):
        site = self.enter(URL, "1", matomo_token_auth=TOKEN)
        self.company.sudo().matomo_site_id = site
        self.confirm(self.make_order())
        self.company.sudo().matomo_site_id = False
        other = self.enter(URL, "2")
        self.assertNotEqual(other, site)
        self.assertEqual(self.get_sites(), site | other)
        self.assertEqual(site.idsite, 1)

    def test_what_another_one_uses_stays(self):
        site = self.enter(URL, "1", matomo_token_auth=TOKEN)
        self.company.sudo().matomo_site_id = site
        other = self.enter(URL, "2")
        self.assertEqual(self.get_sites(), site | other)
        self.assertEqual((site.idsite, other.sudo()._get__token()), (1, TOKEN))

    def test_what_a_person_has_named_stays(self):
        site = self.enter(URL, "1", matomo_token_auth=TOKEN)
        site.sudo().name = "Our shop"
        self.assertEqual(self.enter(URL, "2").name, "Our shop")
        self.enter("https://other.example.com", "3")
        self.assertIn(site, self.get_sites())

    def test_whatever_people_paste(self):
        for text in (
            "matomo.example.com",
            " https://matomo.example.com/index.php?module=CoreHome&idSite=1#?date=today",
            "https://Matomo.example.com/matomo.php",
            "https://matomo.example.com?idSite=1",
        ):
            site = self.enter(text, " 1 ", matomo_token_auth=TOKEN)
            self.assertEqual(site.address_key, f"{URL}matomo.php")
        self.assertEqual(len(self.get_sites()), 1)

    def test_the_name_is_matomos_until_somebody_gives_one(self):
        site = self.enter(URL, "1", matomo_token_auth=TOKEN)
        self.press_test(URL, "1", "")
        self.assertEqual(site.name, "Fake shop")
        self.matomo.site["name"] = "Renamed shop"
        self.press_test(URL, "1", "")
        self.assertEqual(site.name, "Renamed shop")
        site.sudo().name = "Our shop"
        self.press_test(URL, "1", "")
        self.assertEqual(site.name, "Our shop")


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestLeftOut(SettingsTestCommon):
    """Who chooses a site is asked about the orders that were left out before."""

    def open_settings(self):
        values = {"website_id": self.website.id, "pos_config_id": self.config.id}
        settings = self.env(user=self.admin)["res.config.settings"]
        return settings.with_company(self.company).create(values)

    def sell(self, day):
        order = self.make_order()
        self.confirm(order)
        order.date_order = f"{day} 12:00:00"
        request = order._get_matomo_requests()[order.id]
        request.sudo().order_date = order.date_order
        return order

    def test_orders_of_salespeople(self):
        old, new = self.sell("2026-02-10"), self.sell("2026-02-20")
        self.assertState(old, "excluded", "No Matomo site is set")
        self.assertFalse(self.open_settings().matomo_left_out_message)
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth=TOKEN)
        site = self.website.matomo_site_id
        self.assertFalse(self.open_settings().matomo_left_out_message)
        self.save(matomo_company_site_id=site.id)
        settings = self.open_settings()
        self.assertIn("before tracking began", settings.matomo_left_out_message)
        self.assertIn(": 2.", settings.matomo_left_out_message)
        self.assertFalse(settings.matomo_can_track_left_out)
        site.sudo().date_start = "2026-02-15"
        settings = self.open_settings()
        sentences = settings.matomo_left_out_message.splitlines()
        self.assertIn("was set: 1, the first on 02/20/2026", sentences[0])
        self.assertIn("02/15/2026: 1.", sentences[1])
        self.assertTrue(settings.matomo_can_track_left_out)
        # Nothing happens by itself.
        self.run_sender()
        self.assertState(new, "excluded", "No Matomo site is set")
        settings.action_track_matomo_left_out()
        self.run_cron("ir_cron_retrack")
        self.run_sender()
        self.assertState(new, "sent")
        self.assertState(old, "excluded", "No Matomo site is set")
        settings = self.open_settings()
        self.assertFalse(settings.matomo_can_track_left_out)

    def test_orders_of_a_till(self):
        sale = self.sync(self.make_sale())
        self.assertState(sale, "excluded", "No Matomo site is set for the till")
        self.save(
            matomo_pos_url=URL, matomo_pos_idsite="1", matomo_pos_token_auth=TOKEN
        )
        site = self.config.sudo().matomo_site_id
        site.date_start = "2026-01-01"
        settings = self.open_settings()
        self.assertTrue(settings.matomo_pos_can_track_left_out)
        self.assertFalse(settings.matomo_left_out_message)
        settings.action_track_matomo_pos_left_out()
        self.run_cron("ir_cron_retrack")
        self.run_sender()
        self.assertState(sale, "sent")

    def test_only_whoever_may_change_the_site(self):
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth=TOKEN)
        user = self.make_user("reader", "matomo_order_tracking.group_matomo_user")
        retracks = self.env(user=user)["matomo.retrack"]
        with self.assertRaises(AccessError):
            retracks._track_left_out(self.website.matomo_site_id.with_user(user))


@tagged("post_install", "-at_install")
class TestTills(SettingsTestCommon):
    """A new till does as the others do, and one choice can be for all of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        journal = cls.company_data["default_journal_bank"]
        cls.card = cls.env["pos.payment.method"].create(
            {"name": "Card", "company_id": cls.company.id, "journal_id": journal.id}
        )

    def open_till(self, name):
        cashier = self.make_user(name, "point_of_sale.group_pos_manager")
        tills = self.env(user=cashier)["pos.config"].with_company(self.company)
        methods = [Command.set(self.card.ids)]
        return tills.create({"name": name, "payment_method_ids": methods}).sudo()

    def test_a_new_till(self):
        self.assertFalse(self.open_till("first").matomo_site_id)
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth=TOKEN)
        self.save(
            matomo_pos_site_source="own",
            matomo_pos_url=URL,
            matomo_pos_idsite="2",
            matomo_pos_for_all=True,
        )
        tills = self.config._get_matomo_siblings() | self.config
        own = self.config.sudo().matomo_site_id
        self.assertEqual(tills.sudo().matomo_site_id, own)
        self.assertEqual(self.open_till("second").matomo_site_id, own)
        self.save(matomo_pos_site_source="website", matomo_pos_for_all=True)
        self.assertTrue(self.open_till("third").matomo_follows_website)
        tills = self.config._get_matomo_siblings() | self.config
        self.assertEqual(tills.sudo().matomo_site_id, self.website.matomo_site_id)
        self.assertEqual(len(tills), 4)

    def test_the_first_till_follows_the_website(self):
        self.session.sudo().state = "closed"
        self.config.sudo().active = False
        self.save(matomo_url=URL, matomo_idsite="1", matomo_token_auth=TOKEN)
        self.assertEqual(self.company.website_id, self.website)
        till = self.open_till("first")
        self.assertTrue(till.matomo_follows_website)
        self.assertEqual(till.matomo_site_id, self.website.matomo_site_id)
