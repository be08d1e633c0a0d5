"""The address that a monitor asks how the sites are doing."""

import json
from datetime import timedelta

from odoo import fields
from odoo.tests import HttpCase, freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, TOKEN, MatomoCommon

HTTP_LOGGER = "odoo.http"


@tagged("post_install", "-at_install")
class TestHealthAddress(MatomoCommon, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.user = cls.make_user(
            "matomo_monitor", "matomo_order_tracking.group_matomo_user"
        )
        cls.key = cls.make_key(cls.user)

    @classmethod
    def make_key(cls, user):
        """Return a real API key of Odoo."""
        keys = cls.env["res.users.apikeys"].with_user(user)
        until = fields.Datetime.now() + timedelta(days=1)
        return keys._generate(None, "Monitor", until)

    def run_cron(self, name):
        """Override of the tests' vocabulary: an ``HttpCase`` is in test mode."""
        self.env.ref(f"matomo_order_tracking.{name}").method_direct_trigger()
        self.env.invalidate_all()

    def ask(self, key=None):
        """Return status and JSON of the answer."""
        headers = {"Authorization": f"Bearer {key or self.key}"}
        answer = self.url_open("/matomo/health", headers=headers)
        return answer.status_code, answer.text

    def ask_site(self):
        status, text = self.ask()
        report = json.loads(text)
        [site] = [each for each in report["sites"] if each["id"] == self.site.id]
        return status, site

    def test_all_is_well(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        status, site = self.ask_site()
        self.assertEqual(status, 200)
        self.assertEqual(site["name"], self.site.name)
        self.assertEqual(site["waiting"], {"count": 0, "since": None})
        self.assertEqual(site["unproven"]["count"], 1)
        self.assertTrue(site["last_success"])
        # No shopper, no order, no secret.
        _status, text = self.ask()
        for word in (order.name, "Nora Shopper", TOKEN, "token_auth"):
            self.assertNotIn(word, text)

    @mute_logger(LOGGER)
    def test_something_is_bad(self):
        self.confirm(self.make_order())
        self.matomo.may_write = False
        self.run_sender()
        status, site = self.ask_site()
        self.assertEqual((status, site["state"]), (503, "error"))
        self.assertEqual(site["waiting"]["count"], 1)
        self.matomo.may_write = True
        self.site.sudo()._resume()
        self.run_sender()
        self.assertEqual(self.ask()[0], 200)

    def test_a_finding(self):
        self.matomo.site["ecommerce"] = "0"
        with mute_logger(LOGGER):
            self.run_cron("ir_cron_sweep")
        status, site = self.ask_site()
        self.assertEqual(status, 503)
        [finding] = [each for each in site["findings"] if each["level"] == "bad"]
        self.assertEqual(finding["kind"], "ecommerce")
        self.assertIn("E-commerce is not enabled", finding["message"])

    def test_nobody_works(self):
        """If no scheduled action runs, nobody writes down that anything is wrong."""
        order = self.confirm(self.make_order())
        self.env.cr.execute(
            "UPDATE matomo_request SET create_date = create_date - interval '3 hours'"
            " WHERE id = %s",
            [self.get_request(order).id],
        )
        self.assertEqual(self.ask()[0], 503)
        self.site.sudo().paused_date = fields.Datetime.now()
        status, site = self.ask_site()
        self.assertEqual(status, 200)
        self.assertTrue(site["paused_since"])
        cron = self.env.ref("matomo_order_tracking.ir_cron_verify").sudo()
        cron.active = False
        status, text = self.ask()
        self.assertEqual(status, 503)
        self.assertEqual(json.loads(text)["stopped"], [cron.cron_name])

    def test_a_site_that_nothing_uses(self):
        self.company.sudo().matomo_site_id = False
        self.site.sudo().state = "error"
        status, site = self.ask_site()
        self.assertEqual((status, site["is_used"]), (200, False))
        self.company.sudo().matomo_site_id = self.site
        status, site = self.ask_site()
        self.assertEqual((status, site["is_used"]), (503, True))

    def test_who_may_ask(self):
        with mute_logger(HTTP_LOGGER):
            self.assertEqual(self.url_open("/matomo/health").status_code, 401)
            self.assertEqual(self.ask(key="nonsense")[0], 401)
            stranger = self.make_user("matomo_stranger", "base.group_user")
            self.assertEqual(self.ask(self.make_key(stranger))[0], 403)

    def test_other_companies(self):
        company = self.env["res.company"].sudo().create({"name": "Elsewhere"})
        values = {"company_ids": [(6, 0, company.ids)], "company_id": company.id}
        self.user.sudo().write(values)
        status, text = self.ask()
        self.assertEqual((status, json.loads(text)["sites"]), (200, []))

    def test_it_is_cheap(self):
        """A hundred sites and orders cost what one costs."""
        sites = self.env["matomo.site"].with_user(self.user)
        self.run_cron("ir_cron_retrack")

        def count():
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            sites._report_health()
            return self.env.cr.sql_log_count - before

        count()
        few = count()
        for number in range(2, 8):
            self.site.sudo().copy({"idsite": number})
        for _number in range(5):
            self.confirm(self.make_order())
        self.run_cron("ir_cron_retrack")
        count()
        self.assertLessEqual(count(), few)
        self.assertLess(few, 40)
        with self.assertQueryCount(few):
            self.env.invalidate_all()
            with freeze_time(fields.Datetime.now()):
                sites._report_health()
