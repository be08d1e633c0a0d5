"""Every finding of the doctor, at a real Matomo that is set up wrong in that way."""

import shutil
import subprocess
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import requests

from odoo import fields
from odoo.tests import tagged
from odoo.tools import config, mute_logger

from ..common import LOGGER
from ..common.front import front
from ..common.real_matomo import yesterday
from ..common.real_orders import RealOrdersCommon

SHOP = "https://shop.example.com"
# Points that are read in Matomo.
UNREAD = (
    *("version", "site", "ecommerce", "currency", "timezone", "main_url"),
    "only_known",
    *("excluded_ips", "excluded_browsers", "spam_prevention", "queue", "visits_log"),
)
PLUGIN = """<?php
namespace Piwik\\Plugins\\{name};
class {name} extends \\Piwik\\Plugin {{}}
"""


class RealDoctorCommon(RealOrdersCommon):
    def setUp(self):
        super().setUp()
        self.company.partner_id.sudo().tz = "UTC"

    # === THE REAL MATOMO === #

    def change_site(self, **values):
        """Change settings of the site, as Matomo's screens do."""
        self.real.call("SitesManager.updateSite", idSite=self.real.idsite, **values)

    @contextmanager
    def changed(self, wrong, right):
        """Set up the site wrong, and right again when the block ends."""
        self.change_site(**wrong)
        try:
            yield
        finally:
            self.change_site(**right)

    @contextmanager
    def zone(self, name):
        """Write a time zone into Matomo's database until the block ends."""
        statement = "UPDATE matomo_site SET timezone = %s WHERE idsite = %s"
        self.real.query(statement, name, self.real.idsite)
        try:
            yield
        finally:
            self.real.query(statement, "UTC", self.real.idsite)

    @contextmanager
    def token(self, token):
        """Use another token until the block ends."""
        self.site.sudo().token_auth = token
        try:
            yield
        finally:
            self.site.sudo().token_auth = self.real.token
            self.real.unlock()

    @contextmanager
    def access(self, access):
        """Give the token's user another access until the block ends."""
        for right in (access, "write"):
            self.real.call(
                "UsersManager.setUserAccess",
                userLogin=self.real.info["write_login"],
                access=right,
                **{"idSites[]": str(self.real.idsite)},
            )
            if right == access:
                yield

    @contextmanager
    def plugin(self, name):
        """Switch a plugin of Matomo on until the block ends.

        Debian's package has none of its code: only its name is asked for.
        """
        console = self.real.info["console"]
        folder = Path(console[-1]).parent / "plugins" / name
        is_there = folder.is_dir()
        folder.mkdir(exist_ok=True)
        (folder / "plugin.json").write_text(f'{{"name": "{name}", "version": "5.0.0"}}')
        (folder / f"{name}.php").write_text(PLUGIN.format(name=name))
        try:
            self.run_console("plugin:activate", name)
            yield
        finally:
            self.run_console("plugin:deactivate", name)
            shutil.rmtree(folder)
            if is_there:
                folder.mkdir()

    def without_visits_log(self):
        """Switch the visits log of the site off until the block ends."""

        def settings(value):
            prefix = "settingValues[Live][0]"
            return {f"{prefix}[name]": "disable_visitor_log", f"{prefix}[value]": value}

        return self.changed(settings("1"), settings("0"))

    def run_console(self, *arguments):
        done = subprocess.run(
            [*self.real.info["console"], *arguments], capture_output=True, text=True
        )
        self.assertFalse(done.returncode, done.stdout + done.stderr)

    @contextmanager
    def fronted(self, **options):
        """Put a server with TLS before Matomo until the block ends."""
        with front(self.real.url, **options) as (url, ca_bundle):
            options = {**config.options, "matomo_ca_bundle": ca_bundle}
            with patch.object(
                config, "get", lambda key, default=None: options.get(key)
            ):
                values = {"url": url, "token_auth": self.real.token}
                self.site.sudo().write(values)
                yield
        self.site.sudo().write({"url": self.real.url, "token_auth": self.real.token})

    def make_website(self, domain=SHOP, **values):
        return (
            self.env["website"]
            .sudo()
            .create(
                {
                    "name": "Shop",
                    "domain": domain,
                    "company_id": self.company.id,
                    "matomo_site_id": self.site.id,
                    **values,
                }
            )
        )

    def track_elsewhere(self, ref, **values):
        """Send an order of yesterday as another shop does, or with other values."""
        answer = requests.post(
            f"{self.real.url}matomo.php",
            data={
                "idsite": self.real.idsite,
                "rec": 1,
                "idgoal": 0,
                "ec_id": ref,
                "revenue": 12,
                "cdt": str(yesterday()),
                "cip": "203.0.113.77",
                "token_auth": self.real.token,
                **values,
            },
            timeout=60,
        )
        self.assertEqual(answer.status_code, 200)

    # === THE DOCTOR === #

    def examine(self):
        with mute_logger(LOGGER):
            self.site.action_test_connection()
        self.env.invalidate_all()

    def assertFound(self, kind, level, words=""):
        self.examine()
        check = self.get_check(kind)
        self.assertEqual(check.level, level, f"{kind}: {check.sentence}")
        self.assertIn(words, f"{check.sentence} {check.advice}")

    def assertWrong(self, wrong, kind, level, words="", after="good"):
        """Assert that a finding is there in the block ``wrong``, and not after it."""
        with wrong:
            self.assertFound(kind, level, words)
        self.assertFound(kind, after)


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealDoctor(RealDoctorCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Whoever tests a connection.
        cls.env.user.group_ids += cls.env.ref(
            "matomo_order_tracking.group_matomo_manager"
        )

    def test_all_is_well(self):
        self.examine()
        checks = self.site.sudo().check_ids
        wrong = checks.filtered(lambda each: each.level in ("bad", "look"))
        self.assertFalse(wrong, wrong.mapped("sentence"))
        unknown = checks.filtered(lambda each: each.level == "unknown").mapped("kind")
        self.assertEqual(
            set(unknown), {"global_exclusions", "order_ids", "raw_data", "token_end"}
        )
        self.assertEqual(self.get_level("clock"), "good")

    # === THE WAY === #

    def test_nobody_answers(self):
        self.site.sudo().write(
            {"url": "http://127.0.0.1:9/", "token_auth": self.real.token}
        )
        self.assertFound("reachable", "bad", "refuses connections")
        # Nothing else is known, and nothing of it is green.
        for kind in ("clock", "token"):
            self.assertEqual(self.get_level(kind), "unknown")
        self.site.sudo().write({"url": self.real.url, "token_auth": self.real.token})
        self.assertFound("reachable", "good")

    def test_it_records_nothing(self):
        wrong = self.real.configured("Tracker.record_statistics", 0)
        self.assertWrong(wrong, "reachable", "bad", "recorded nothing")

    def test_an_old_version(self):
        version = self.real.call("API.getMatomoVersion")["value"]
        old = "4" + version[1:]
        changed = f'"{version}"'.encode(), f'"{old}"'.encode()
        self.assertWrong(self.fronted(changed=changed), "version", "look", "older than")

    def test_a_new_version(self):
        version = self.real.call("API.getMatomoVersion")["value"]
        changed = f'"{version}"'.encode(), f'"6{version[1:]}"'.encode()
        self.assertWrong(self.fronted(changed=changed), "version", "look", "newer than")

    def test_certificates(self):
        for days, level in ((22, "good"), (20, "look"), (6, "bad")):
            with self.subTest(days), self.fronted(days=days):
                self.assertFound("certificate", level)
        self.examine()
        self.assertFalse(self.get_check("certificate"), "there is no TLS")

    def test_an_expired_certificate(self):
        wrong = self.fronted(days=-0.5)
        self.assertWrong(wrong, "reachable", "bad", "has expired")

    def test_clocks(self):
        for clock, level, words in (
            (90, "look", "ahead of"),
            (-90, "look", "behind"),
            (400, "bad", "ahead of"),
            (-400, "bad", "changes their time"),
        ):
            with self.subTest(clock):
                self.assertWrong(self.fronted(clock=clock), "clock", level, words)

    # === THE TOKEN === #

    def test_a_wrong_token(self):
        wrong = self.token("0" * 32)
        self.assertWrong(wrong, "token", "bad", "does not know the token")

    def test_a_token_without_write_access(self):
        self.assertWrong(self.access("view"), "token", "bad", "no write access")

    def test_a_token_of_another_site(self):
        self.assertWrong(self.access("noaccess"), "token", "bad", "no access to site")

    def test_a_token_that_only_allows_secure_requests(self):
        with self.token(self.real.info["superuser_token"]):
            self.assertWrong(self.real.secure_only(), "token", "bad", "secure requests")

    def test_no_token(self):
        with self.token(False):
            self.assertFound("token", "bad", "No token is set")
            self.assertEqual(self.get_level("reachable"), "unknown")
        self.assertFound("token", "good")

    def test_a_superuser(self):
        wrong = self.token(self.real.info["superuser_token"])
        self.assertWrong(wrong, "superuser", "bad", "rules the whole Matomo")

    def test_maintenance(self):
        wrong = self.real.configured("General.maintenance_mode", 1)
        with wrong:
            self.assertFound("reading", "look", "cannot be read back")
            self.assertFound("site", "unknown")
            for kind in ("ecommerce", "timezone", "main_url", "only_known"):
                self.assertEqual(self.get_level(kind), "unknown", kind)
        self.assertFound("reading", "good")

    def test_addresses_that_may_not_read(self):
        """Matomo takes orders from all, and lets only a list of addresses read."""
        section = "General.login_allowlist"
        with (
            self.real.configured(f"{section}_apply_to_reporting_api_requests", 1),
            self.real.configured(f"{section}_ip", '["192.0.2.1"]'),
        ):
            self.assertFound("reading", "bad")
            self.assertEqual(self.get_level("token"), "good")
            # What Matomo does not tell is never green.
            for kind in UNREAD:
                with self.subTest(kind):
                    self.assertFound(kind, "unknown")
        self.assertFound("reading", "good")
        for kind in UNREAD:
            with self.subTest(kind):
                self.assertEqual(self.get_level(kind), "good")

    def test_the_end_of_the_token(self):
        self.assertFound("token_end", "unknown")
        today = fields.Date.today()
        for days, level in ((14, "good"), (13, "look"), (0, "bad")):
            self.site.sudo().token_end = today + timedelta(days=days)
            self.assertFound("token_end", level)
        self.site.sudo().is_token_endless = True
        self.assertFound("token_end", "good", "does not expire")

    # === THE SITE === #

    def test_ecommerce(self):
        wrong = self.changed({"ecommerce": "0"}, {"ecommerce": "1"})
        self.assertWrong(wrong, "ecommerce", "bad", "not enabled")

    def test_currency(self):
        ours = self.company.currency_id.name
        other = self.env.ref("base.EUR" if ours != "EUR" else "base.USD").sudo()
        other.active = True
        wrong = self.changed({"currency": other.name}, {"currency": ours})
        self.assertWrong(wrong, "currency", "look", "are converted")
        other.active = False
        wrong = self.changed({"currency": other.name}, {"currency": ours})
        self.assertWrong(wrong, "currency", "bad", "is not active in Odoo")

    def test_time_zone(self):
        wrong = self.changed({"timezone": "Asia/Tokyo"}, {"timezone": "UTC"})
        self.assertWrong(wrong, "timezone", "look", "Asia/Tokyo")
        self.company.partner_id.sudo().tz = False
        self.assertFound("timezone", "good", "company has none")

    def test_an_unknown_time_zone(self):
        """Matomo's screens offer none; an older PHP or an import left it behind."""
        self.assertWrong(self.zone("Mars/Olympus"), "timezone", "bad", "Mars/Olympus")

    def test_a_currency_that_nobody_confirmed(self):
        self.site.sudo().is_currency_confirmed = False
        wrong = self.real.configured("General.maintenance_mode", 1)
        self.assertWrong(wrong, "currency", "bad")

    def test_main_address(self):
        self.make_website()
        wrong = self.changed({"urls[]": "https://old.example"}, {"urls[]": SHOP})
        self.assertWrong(wrong, "main_url", "look", "https://old.example")

    def test_only_known_addresses(self):
        self.make_website("https://b2b.example.com")
        wrong = self.changed({"excludeUnknownUrls": "1"}, {"excludeUnknownUrls": "0"})
        self.assertWrong(wrong, "only_known", "look", "b2b.example.com")

    @mute_logger(LOGGER)
    def test_orders_at_an_address_that_is_not_known(self):
        """A site without a main address: a person has entered where orders stand."""
        self.site.sudo().page_url = f"{SHOP}/de"
        statement = "UPDATE matomo_site SET main_url = %s WHERE idsite = %s"
        orders = self.confirm_many("UNKNOWN-URL-1")
        self.real.query(statement, "", self.real.idsite)
        with self.changed({"excludeUnknownUrls": "1"}, {"excludeUnknownUrls": "0"}):
            self.assertFound("only_known", "bad", f"{SHOP}/de")
            # The doctor is right: Matomo takes it, and does not have it.
            self.run_sender()
            self.run_verifier()
            self.assertFalse(self.real.orders())
            self.assertNotEqual(orders.matomo_state, "verified")
        self.assertFound("only_known", "good")

    def test_addresses_that_are_added(self):
        self.make_website("https://b2b.example.com")
        with self.changed({"excludeUnknownUrls": "1"}, {"excludeUnknownUrls": "0"}):
            self.assertFound("only_known", "look")
            self.real.call(
                "SitesManager.addSiteAliasUrls",
                idSite=self.real.idsite,
                **{"urls[]": "https://b2b.example.com"},
            )
            self.assertFound("only_known", "good")

    # === EXCLUSIONS === #

    @mute_logger(LOGGER)
    def test_excluded_addresses(self):
        orders = self.confirm_many("IP-1")
        orders.sudo().matomo_ip_address = "203.0.113.9"
        wrong = self.changed({"excludedIps": "203.0.113.*"}, {"excludedIps": ""})
        with wrong:
            self.assertFound("excluded_ips", "look", "1 of the last 1 orders")
            # The doctor is right: Matomo takes it, and has it only without address.
            self.run_sender()
            self.run_verifier()
            self.assertFalse(self.real.orders())
        self.assertFound("excluded_ips", "good")

    def test_excluded_browsers(self):
        orders = self.confirm_many("UA-1")
        orders.sudo().matomo_user_agent = "Mozilla/5.0 Rarebrowser/1.0"
        wrong = self.changed(
            {"excludedUserAgents": "rarebrowser"}, {"excludedUserAgents": ""}
        )
        self.assertWrong(wrong, "excluded_browsers", "look", "1 of the last 1 orders")
        wrong = self.changed(
            {"excludedUserAgents": "/rare.*/i"}, {"excludedUserAgents": ""}
        )
        self.assertWrong(wrong, "excluded_browsers", "unknown", "regular expression")

    def test_exclusions_of_all_sites(self):
        self.assertFound("global_exclusions", "unknown")
        orders = self.confirm_many("ALL-1")
        orders.sudo().matomo_ip_address = "203.0.113.9"
        method = "SitesManager.setGlobalExcludedIps"
        self.real.call(method, excludedIps="203.0.113.9")
        try:
            # Only an administrator is told.
            with self.token(self.real.info["superuser_token"]):
                self.assertFound("global_exclusions", "good")
                self.assertEqual(self.get_level("excluded_ips"), "look")
        finally:
            # Matomo's API takes no empty list: first an address that nobody has.
            self.real.call(method, excludedIps="192.0.2.255")
            self.real.query(
                "DELETE FROM matomo_option WHERE option_name = %s",
                "SitesManager_ExcludedIpsGlobal",
            )
        self.site.sudo().are_exclusions_confirmed = True
        self.assertFound("global_exclusions", "good")

    # === RECORDING === #

    def test_queue(self):
        wrong = self.plugin("QueuedTracking")
        self.assertWrong(wrong, "queue", "look", "QueuedTracking")

    def test_spam_prevention(self):
        wrong = self.plugin("TrackingSpamPrevention")
        self.assertWrong(wrong, "spam_prevention", "look", "TrackingSpamPrevention")

    def test_visits_log(self):
        wrong = self.without_visits_log()
        self.assertWrong(wrong, "visits_log", "look", "switched off")

    @mute_logger(LOGGER)
    def test_order_ids(self):
        with self.real.anonymised():
            self.confirm_many("ANON-1", "ANON-2")
            self.run_sender()
            self.run_verifier()
            self.assertFound("order_ids", "look", "Anonymize Order ID")

    def test_order_ids_that_are_kept(self):
        self.confirm_many("KEPT-1", "KEPT-2", "KEPT-3")
        self.run_sender()
        self.assertFound("order_ids", "unknown")
        self.run_verifier()
        self.assertFound("order_ids", "good")

    def test_raw_data(self):
        self.assertFound("raw_data", "unknown", "180")
        self.site.sudo().is_raw_data_confirmed = True
        self.assertFound("raw_data", "good")
        self.site.sudo().raw_data_days = 0
        self.assertFound("raw_data", "good", "for ever")

    # === OTHERS === #

    def test_tag_and_code_of_the_website(self):
        website = self.make_website()
        self.assertFound("tracking_tag", "look", "Shop")
        website.custom_code_head = (
            f"<script>_paq.push(['setTrackerUrl', '{self.real.url}matomo.php']);"
            f"_paq.push(['setSiteId', '{self.real.idsite}']);</script>"
        )
        self.assertFound("tracking_tag", "good")
        website.custom_code_footer = (
            "<script>_paq.push(['trackEcommerceOrder'])</script>"
        )
        self.assertFound("selling_tag", "bad", "Shop")
        website.custom_code_footer = False
        self.assertFound("selling_tag", "good")

    def test_orders_from_elsewhere(self):
        self.site.sudo().date_start = yesterday().date() - timedelta(days=2)
        self.track_elsewhere("ELSEWHERE-1")
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_sweep")
        self.assertFound("foreign", "look", "1 order of")
        # That day leaves the Daily Comparison.
        self.env["matomo.reconciliation"].sudo().search(
            [("site_id", "=", self.site.id)]
        ).unlink()
        self.assertFound("foreign", "good")

    def test_ids_of_another_shop(self):
        self.track_elsewhere("SAME-1")
        self.confirm_many("SAME-1")
        with mute_logger(LOGGER):
            self.run_sender()
            self.run_verifier()
        self.assertFound("order_prefix", "look", "Order Prefix")
        self.site.sudo().order_prefix = "S1-"
        self.assertFound("order_prefix", "good", "S1-")


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealOrdersInTrouble(RealDoctorCommon):
    """What goes wrong with orders while a real Matomo fails."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.user.group_ids += cls.env.ref(
            "matomo_order_tracking.group_matomo_manager"
        )
        cls.manager = cls.make_manager()
        # The tests go some hours ahead, where no scheduled action would be on time.
        crons = cls.env["ir.cron"].sudo().search([("cron_name", "like", "Matomo:")])
        crons.nextcall = fields.Datetime.now() + timedelta(days=3)

    def watch(self):
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_retrack")
        return " ".join(self.site.sudo().activity_ids.mapped("note"))

    def assertWatched(self, kind, level, words=""):
        """Assert that the hourly watch finds it, without a test of the connection."""
        self.watch()
        check = self.get_check(kind)
        self.assertEqual(check.level, level, f"{kind}: {check.sentence}")
        self.assertIn(words, check.sentence)

    @mute_logger(LOGGER)
    def test_a_pause_that_was_forgotten(self):
        self.site.with_user(self.manager).action_pause()
        self.confirm_many("FORGOTTEN-1")
        self.watch()
        self.assertFalse(self.get_check("paused"), "it is not paused for long")
        with self.later(hours=25):
            self.assertWatched("paused", "look", "1 order waits.")
        self.site.with_user(self.manager).action_resume()
        self.watch()
        self.assertFalse(self.get_check("paused"))

    @mute_logger(LOGGER)
    def test_a_scheduled_action_that_is_off(self):
        cron = self.env.ref("matomo_order_tracking.ir_cron_verify").sudo()
        cron.active = False
        self.assertWatched("stopped", "bad", cron.cron_name)
        cron.active = True
        self.assertWatched("stopped", "good")
        name = cron.cron_name
        cron.unlink()
        self.assertWatched("stopped", "bad", name)
        self.assertIn("creates again", self.get_check("stopped").advice)

    @mute_logger(LOGGER)
    def test_orders_that_nothing_sends(self):
        orders = self.confirm_many("STALLED-1")
        with self.later(hours=3):
            self.assertWatched("stalled", "bad", "nothing sends them")
            self.run_sender()
            self.assertAllThereOnce(orders)
            self.watch()
            self.assertFalse(self.get_check("stalled"))

    @mute_logger(LOGGER)
    def test_an_order_that_failed(self):
        orders = self.confirm_many("FAILED-1")
        with patch.object(requests.Session, "post", side_effect=requests.Timeout):
            self.run_sender()
        row = self.get_request(orders)
        row.payload = {**row.payload, "cid": "no visitor"}
        with self.later(hours=1):
            self.run_sender()
            self.assertStates(orders, "failed")
            self.assertWatched("failed", "bad")

    @mute_logger(LOGGER)
    def test_a_copy_of_the_database(self):
        orders = self.confirm_many("COPY-1")
        self.env["ir.config_parameter"].sudo().set_param("database.uuid", "a-copy")
        self.env.invalidate_all()
        self.run_sender()
        self.assertStates(orders, "pending")
        self.assertFalse(self.real.orders())
        self.assertWatched("copy", "bad", "nothing is sent")

    @mute_logger(LOGGER)
    def test_addresses_of_a_proxy(self):
        website = self.make_website()
        orders = self.confirm_many(*(f"PROXY-{number}" for number in range(20)))
        for number, order in enumerate(orders.sudo()):
            order.write(
                {
                    "website_id": website.id,
                    "matomo_ip_address": "172.68.1.1",
                    "matomo_visitor_id": f"{number:016x}",
                }
            )
        self.assertWatched("addresses", "look", "20 visitors")

    @mute_logger(LOGGER)
    def test_a_tag_that_sends_orders(self):
        website = self.make_website()
        order = self.confirm_many("TAG-1", website_id=website.id)
        order.date_order = datetime.now()
        # A tag knows neither a token nor taxes.
        self.track_elsewhere("TAG-1", revenue=100, cdt="", cip="", token_auth="")
        self.run_sender()
        self.run_verifier()
        self.assertStates(order, "different")
        self.assertWatched("tag", "bad", "1 of 1 web shop orders")

    @mute_logger(LOGGER)
    def test_a_firewall_that_refuses_an_order(self):
        with self.fronted(refused=b"REFUSED-1"):
            order = self.confirm_many("REFUSED-1")
            for hours in range(4):
                with self.later(hours=hours):
                    self.run_sender()
            self.assertStates(order, "pending")
            with self.later(hours=4):
                self.assertWatched("refused", "bad")
        with self.later(hours=12):
            self.run_sender()
            self.assertAllThereOnce(order)
            self.watch()
            self.assertFalse(self.get_check("refused"))

    @mute_logger(LOGGER)
    def test_a_day_that_nobody_can_explain(self):
        self.site.sudo().date_start = yesterday().date() - timedelta(days=2)
        self.track_elsewhere("NOBODY-1")
        # Without it nobody can see whose orders Matomo has.
        with self.without_visits_log():
            self.run_cron("ir_cron_sweep")
        self.assertWatched("different", "look")
        self.run_cron("ir_cron_sweep")
        self.watch()
        self.assertEqual(self.get_level("different"), "good")

    @mute_logger(LOGGER)
    def test_an_outage_and_its_end(self):
        self.confirm_many("OUT-1", "OUT-2")
        with self.real.configured("Tracker.record_statistics", 0):
            self.run_sender()
            self.assertFalse(self.watch())
            with self.later(hours=3):
                self.assertIn("2 orders wait.", self.watch())
                self.assertEqual(self.get_level("outage"), "bad")
        with self.later(hours=4):
            self.run_sender()
            self.assertFalse(self.watch())
            self.assertFalse(self.get_check("outage"))

    @mute_logger(LOGGER)
    def test_orders_without_proof(self):
        orders = self.confirm_many("PROOF-1")
        self.run_sender()
        with self.real.configured("General.maintenance_mode", 1):
            self.run_verifier()
            with self.later(hours=25):
                note = self.watch()
                self.assertIn("is not found in Matomo yet", note)
                self.assertIn("cannot be read since", note)
                self.assertEqual(self.get_level("unproven"), "bad")
                self.assertEqual(self.get_level("unread"), "bad")
        with self.later(hours=26):
            self.assertAllThereOnce(orders)
            self.assertFalse(self.watch())
            self.assertEqual(self.get_level("unproven"), "good")

    @mute_logger(LOGGER)
    def test_pause_resume_and_send_now(self):
        site = self.site.with_user(self.manager)
        site.action_pause()
        orders = self.confirm_many("PAUSE-1", "PAUSE-2")
        self.run_sender()
        self.assertStates(orders, "pending")
        self.assertFalse(self.real.orders())
        site.action_resume()
        self.run_sender()
        self.assertAllThereOnce(orders)
        with self.real.configured("Tracker.record_statistics", 0):
            more = self.confirm_many("PAUSE-3")
            self.run_sender()
            self.assertTrue(self.site.next_attempt_date)
        # The site would wait for half a minute.
        site.action_send_now()
        self.run_sender()
        self.assertAllThereOnce(orders + more)
