import logging
from unittest.mock import patch

import requests

from odoo.exceptions import AccessError
from odoo.tests import freeze_time, tagged
from odoo.tools import SQL, file_open

from odoo.addons.matomo_order_tracking.tools.outside_token import get_name

from .common import LOGGER, FakeResponse, MatomoCommon

CANARY = "canary0123456789abcdef0123456789"


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestToken(MatomoCommon):
    """The token is stored in one column and sent in POST bodies, and nowhere else."""

    def setUp(self):
        super().setUp()
        self.matomo.token = CANARY
        self.site.sudo().token_auth = CANARY

    def columns_holding(self, text):
        """Return ``{table: columns}`` of the database that contain ``text``."""
        self.env.flush_all()
        tables = self.env.execute_query(
            SQL(
                "SELECT table_name FROM information_schema.tables"
                " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
            )
        )
        found = {}
        for (table,) in tables:
            rows = self.env.execute_query(
                SQL(
                    "SELECT to_jsonb(t) FROM %s AS t WHERE t::text LIKE %s",
                    SQL.identifier(table),
                    f"%{text}%",
                )
            )
            for (row,) in rows:
                found.setdefault(table, set()).update(
                    column for column, value in row.items() if text in str(value)
                )
        return found

    def test_token_is_in_its_column_alone(self):
        def provoke(answer):
            raise requests.ConnectionError(f"token_auth={CANARY} could not be sent")

        faults = [
            provoke,
            requests.Timeout(CANARY),
            FakeResponse(500, f"<html>{CANARY}</html>".encode()),
            FakeResponse(200, f"token_auth={CANARY}".encode()),
            None,
        ]
        order = self.confirm(self.make_order())
        with self.assertLogs(level=logging.DEBUG) as logs:
            for fault in faults:
                self.matomo.faults = [fault] * 2
                self.site.sudo()._reset_health()
                self.run_sender()
            self.matomo.faults = [provoke]
            self.run_verifier()
            self.site.sudo()._reset_health()
            self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(self.columns_holding(CANARY), {"matomo_site": {"token_auth"}})
        ours = [line for line in logs.output if ":odoo.sql_db:" not in line]
        self.assertTrue(ours)
        self.assertFalse([line for line in ours if CANARY in line])

    def test_token_travels_in_bodies_alone(self):
        self.confirm(self.make_order())
        self.run_sender()
        self.run_verifier()
        self.assertTrue(self.matomo.requests)
        for request in self.matomo.requests:
            self.assertIn(CANARY, str(request["data"]))
            self.assertNotIn(CANARY, request["url"])
            self.assertNotIn(CANARY, str(request["options"]))
            self.assertFalse(request["options"]["allow_redirects"])

    def test_audit_url_is_masked(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertTrue(order.matomo_tracking_url.endswith("&token_auth=XYZANONYMIZED"))

    def test_token_is_for_administrators(self):
        manager = self.make_manager()
        manager.group_ids += self.env.ref("base.group_allow_export")
        site = self.site.with_user(manager)
        with self.assertRaises(AccessError):
            site.read(["token_auth"])
        self.assertNotIn("token_auth", site.read()[0])
        with self.assertRaises(AccessError):
            site.search([("token_auth", "=like", "c%")])
        with self.assertRaises(AccessError):
            site.export_data(["token_auth"])
        with self.assertRaises(AccessError):
            site.token_auth = "mine"
        self.assertFalse(site.copy({"idsite": 99}).sudo()._get__token())

    def test_token_is_handed_out_to_nobody(self):
        admin = self.env.ref("base.user_admin")
        admin.company_ids += self.company
        sites = self.env["matomo.site"].with_user(admin)
        site = sites.browse(self.site.id)
        answers = [
            site.read(["token_auth"]),
            site.web_read({"token_auth": {}, "name": {}}),
            sites.search_read([("id", "=", site.id)], ["token_auth"]),
            sites.web_search_read([("id", "=", site.id)], {"token_auth": {}}),
            site.export_data(["name", "token_auth"]),
            site.onchange({"name": "x"}, ["name"], {"name": {}, "token_auth": {}}),
            sites.default_get(["token_auth"]),
            site.copy_data(),
        ]
        self.assertNotIn(CANARY, str(answers))
        for method in ("formatted_read_group", "web_read_group"):
            with self.assertRaises(AccessError):
                getattr(sites, method)([], groupby=["token_auth"])

    def test_token_is_on_no_screen(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        admin = self.env.ref("base.user_admin")
        admin.company_ids += self.company
        for record in (order, self.get_request(order), self.site, self.company):
            record = record.with_user(admin).sudo(False)
            screens = record.get_views([(False, "form"), (False, "list")])
            names = screens["models"][record._name]["fields"]
            shown = record.web_read({name: {} for name in names})
            self.assertIn(record.id, [values["id"] for values in shown])
            self.assertNotIn(CANARY, str(screens) + str(shown))

    def test_environment_wins_over_the_field(self):
        self.site.sudo().token_auth = "in the database"
        self.keep_outside(self.site.url)
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertState(order, "sent")

    def keep_outside(self, url, database="", site_id=0):
        """Keep the token in the environment, for an address."""
        name = get_name(database or self.env.cr.dbname, site_id or self.site.id)
        values = {name: CANARY, f"{name}_URL": url}
        self.startPatcher(patch.dict("os.environ", values))

    def assertNothingSent(self, sentence):
        self.site.sudo()._reset_health()
        order = self.confirm(self.make_order())
        with self.assertLogs(LOGGER, level="WARNING"):
            self.run_sender()
        self.assertState(order, "pending")
        self.assertFalse(self.matomo.requests)
        self.assertIn(sentence, self.site.state_message)
        self.assertNotIn(CANARY, self.site.state_message)

    def test_token_of_another_database(self):
        """A server's databases each have a site of this number."""
        self.site.sudo().token_auth = False
        self.keep_outside(self.site.url, database="production")
        self.assertNothingSent("No token is set")

    def test_token_of_another_address(self):
        self.site.sudo().token_auth = False
        self.keep_outside("https://matomo.example.com.evil.example.com/")
        self.assertNothingSent("is not for the address of this site")

    def test_token_of_no_address(self):
        self.site.sudo().token_auth = False
        self.keep_outside("")
        self.assertNothingSent("_URL to the address of Matomo")

    def test_token_of_the_old_name(self):
        """Until 19.0.0.2.0 the name was of the site's number alone."""
        self.site.sudo().token_auth = False
        name = f"MATOMO_TOKEN_{self.site.id}"
        self.startPatcher(patch.dict("os.environ", {name: CANARY}))
        self.assertNothingSent(f"keeps a token as {name}. This name no longer counts")

    def test_token_of_a_site_to_come_is_no_managers(self):
        """A manager created sites until one had the number of a token."""
        self.env.cr.execute("SELECT last_value FROM matomo_site_id_seq")
        number = self.env.cr.fetchone()[0] + 1
        self.keep_outside("https://evil.example.com/", site_id=number)
        sites = self.env["matomo.site"].with_user(self.make_manager())
        values = {
            "name": "Mine",
            "url": "https://evil.example.com/",
            "idsite": 1,
            "company_id": self.company.id,
        }
        with self.assertRaisesRegex(AccessError, "Only an administrator"):
            sites.create(values)
        # The next number has no token.
        self.assertTrue(sites.create(values))

    def test_neutralised_copy_has_no_token_and_nothing_to_send(self):
        order = self.confirm(self.make_order())
        self.env.flush_all()
        with file_open("matomo_order_tracking/data/neutralize.sql") as script:
            self.env.cr.execute(script.read())
        self.env.invalidate_all()
        self.assertFalse(self.columns_holding(CANARY))
        self.assertFalse(self.site.active)
        self.assertState(order, "cancelled")
        sender = self.env.ref("matomo_order_tracking.ir_cron_send").sudo()
        self.assertFalse(sender.active)
