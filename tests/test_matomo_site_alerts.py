from datetime import timedelta

import requests

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..outbox.waking import MODULE, get_stopped_actions
from ..tools.needed import ACTION, NEEDED, RULE
from .common import LOGGER, MatomoCommon

NOW = "2026-03-03 10:00:00"


@freeze_time(NOW)
@tagged("post_install", "-at_install")
class TestAlerts(MatomoCommon):
    """Whatever stops the promise for hours is told to the managers, once."""

    def setUp(self):
        super().setUp()
        self.manager = self.make_manager()

    def at(self, **later):
        return freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(**later))

    def watch(self):
        self.run_cron("ir_cron_retrack")
        return self.site.sudo().activity_ids.filtered(
            lambda activity: activity.user_id == self.manager
        )

    @mute_logger(LOGGER)
    def test_an_outage_is_told_once_and_ends_by_itself(self):
        order = self.confirm(self.make_order())
        self.matomo.faults = [requests.ConnectionError("no route")] * 2
        self.run_sender()
        self.assertFalse(self.watch())
        with self.at(hours=3):
            activity = self.watch()
            self.assertIn("Matomo takes no orders since", activity.note)
            self.assertEqual(self.watch(), activity)
            # Who has done with it is not told of the same again.
            activity.with_user(self.manager).action_done()
            self.assertFalse(self.watch())
            self.assertIn("takes no orders", self.get_check("outage").sentence)
            self.run_sender()
            self.assertState(order, "sent")
            self.assertFalse(self.watch())
            self.assertFalse(self.get_check("outage"))
        self.assertFalse(self.site.told_alerts)

    @mute_logger(LOGGER)
    def test_failed_orders_are_told(self):
        order = self.confirm(self.make_order())
        self.matomo.refuses = lambda parameters: True
        self.run_sender()
        self.assertState(order, "failed")
        activity = self.watch()
        self.assertIn("1 order or refund failed", activity.note)
        self.matomo.refuses = lambda parameters: False
        order.action_matomo_retrack()
        self.run_sender()
        self.assertFalse(self.watch())

    def test_a_scheduled_action_that_is_off_is_told(self):
        cron = self.env.ref("matomo_order_tracking.ir_cron_verify").sudo()
        cron.active = False
        self.assertIn(cron.cron_name, self.watch().note)
        cron.active = True
        self.assertFalse(self.watch())

    def test_orders_that_nothing_sends_are_told(self):
        order = self.confirm(self.make_order())
        request = self.get_request(order)
        self.env.cr.execute(
            "UPDATE matomo_request SET create_date = %s WHERE id = %s",
            (fields.Datetime.to_datetime(NOW) - timedelta(hours=3), request.id),
        )
        request.invalidate_recordset()
        self.assertIn("nothing sends them", self.watch().note)

    def test_addresses_of_a_proxy_are_told(self):
        website = (
            self.env["website"]
            .sudo()
            .create(
                {
                    "name": "Shop",
                    "company_id": self.company.id,
                    "matomo_site_id": self.site.id,
                }
            )
        )
        orders = self.env["sale.order"].sudo()
        for number in range(20):
            orders |= self.make_order()
            orders[-1].sudo().write(
                {
                    "website_id": website.id,
                    "state": "sale",
                    "matomo_ip_address": "172.68.1.1",
                    "matomo_visitor_id": f"{number:016x}",
                }
            )
        self.assertIn("20 visitors who bought", self.watch().note)
        self.site.sudo().ip_mask = "2"
        self.assertFalse(self.watch())
        self.site.sudo().ip_mask = "0"
        with self.at(days=8):
            self.watch()
            self.assertFalse(self.get_check("addresses"))

    def get_stopped(self):
        """Return the check of the scheduled actions, as the hourly watch leaves it."""
        self.watch()
        return self.get_check("stopped")

    def test_an_action_that_was_deleted_or_is_off(self):
        """Whoever deleted one was noticed by nobody."""
        self.assertEqual(self.get_stopped().level, "good")
        for key, needed in NEEDED.items():
            record = self.env.ref(f"{MODULE}.{key}").sudo()
            self.assertEqual((record._name, record.display_name), needed[:2])
            if key == "ir_cron_retrack":
                continue
            with self.subTest(key):
                record.active = False
                check = self.get_stopped()
                self.assertEqual(check.level, "bad")
                self.assertEqual(check.sentence, needed.says(self.env, needed.name))
                self.assertNotIn("upgrade", check.advice)
                with self.env.cr.savepoint() as savepoint:
                    record.unlink()
                    check = self.get_stopped()
                    self.assertEqual(check.sentence, needed.says(self.env, needed.name))
                    self.assertIn("upgrade", check.advice)
                    savepoint.rollback()
                self.env.invalidate_all()
                record.active = True
        self.assertEqual(self.get_stopped().level, "good")
        actions = self.env["ir.model.data"].sudo()
        ours = [("module", "=", MODULE), ("model", "in", [ACTION, RULE])]
        self.assertEqual({*actions.search(ours).mapped("name")}, {*NEEDED})

    def test_the_watch_itself_is_off(self):
        """Then nobody told anything: the hourly comparison watches it."""
        self.env.ref(f"{MODULE}.ir_cron_retrack").sudo().active = False
        self.run_cron("ir_cron_compare")
        self.assertIn("nobody is told", self.get_check("stopped").sentence)

    def test_a_neutralized_copy_misses_nothing(self):
        self.env.ref(f"{MODULE}.ir_cron_job").sudo().unlink()
        self.assertTrue(get_stopped_actions(self.env))
        parameters = self.env["ir.config_parameter"].sudo()
        parameters.set_param("database.is_neutralized", "true")
        self.assertFalse(get_stopped_actions(self.env))

    def test_managers_of_other_companies_are_not_told(self):
        other = self.make_user(
            "matomo_elsewhere", "matomo_order_tracking.group_matomo_manager"
        )
        company = self.env["res.company"].sudo().create({"name": "Elsewhere"})
        other.sudo().write(
            {"company_ids": [(6, 0, company.ids)], "company_id": company.id}
        )
        self.env.ref("matomo_order_tracking.ir_cron_verify").sudo().active = False
        self.watch()
        self.assertNotIn(other, self.site.sudo().activity_ids.user_id)
