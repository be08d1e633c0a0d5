from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged

from odoo.addons.base.tests.test_ir_cron import CronMixinCase

from .common import MODULE, MatomoCommon

SENDER = "ir_cron_send"


@tagged("post_install", "-at_install")
class TestLaneCount(CronMixinCase, MatomoCommon):
    """How many scheduled actions send at the same time is a number in the settings."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.user.group_ids += cls.env.ref("base.group_system")

    def save(self, count):
        settings = self.env["res.config.settings"].create({"matomo_lane_count": count})
        settings.execute()

    def get_count(self):
        return self.env["res.config.settings"].create({}).matomo_lane_count

    def get_active(self):
        crons = self.env["ir.cron"].search([("code", "=", "model._cron_send()")])
        names = crons.get_external_id().values()
        return sorted(name.removeprefix(f"{MODULE}.") for name in names)

    def test_one_until_somebody_wants_more(self):
        self.assertEqual(self.get_count(), 1)
        self.assertEqual(self.get_active(), [SENDER])

    def test_number_makes_them_and_switches_them_off_again(self):
        self.save(6)
        wanted = [SENDER, *(f"{SENDER}_{number}" for number in range(2, 7))]
        self.assertEqual(self.get_count(), 6)
        self.assertEqual(self.get_active(), wanted)
        sixth = self.env.ref(f"{MODULE}.{SENDER}_6")
        self.assertEqual(sixth.cron_name, "Matomo: send orders, lane 6")
        self.assertEqual(sixth.user_id, self.env.ref("base.user_root"))
        self.save(2)
        self.assertEqual(self.get_active(), wanted[:2])
        # They are kept, and taken again.
        self.save(6)
        self.assertEqual(self.get_active(), wanted)
        self.assertEqual(self.env.ref(f"{MODULE}.{SENDER}_6"), sixth)

    def test_one_that_was_deleted_is_made_again(self):
        self.save(3)
        self.env.ref(f"{MODULE}.{SENDER}_2").unlink()
        self.assertEqual(self.get_count(), 2)
        self.save(3)
        self.assertEqual(len(self.get_active()), 3)

    def test_names_are_those_of_the_addon(self):
        # An update keeps them, and an uninstallation deletes them.
        self.save(2)
        name = self.env["ir.model.data"].search(
            [("module", "=", MODULE), ("name", "=", f"{SENDER}_2")]
        )
        self.assertTrue(name.noupdate)

    def test_other_numbers_are_refused(self):
        for count in (-1, 0, 65):
            with self.assertRaisesRegex(ValidationError, "from 1 to 64"):
                self.save(count)

    def test_settings_are_saved_while_the_actions_are_off_or_deleted(self):
        # As in a copied database, where Odoo switches off all scheduled actions.
        first = self.env.ref(f"{MODULE}.{SENDER}")
        first.active = False
        self.save(self.get_count())
        self.assertFalse(first.active)
        self.save(1)
        self.assertTrue(first.active)
        first.unlink()
        self.save(self.get_count())
        with self.assertRaisesRegex(UserError, "was deleted"):
            self.save(2)

    def test_name_that_stayed_is_taken_again(self):
        self.save(2)
        second = self.env.ref(f"{MODULE}.{SENDER}_2")
        # Another program deletes it, and its name stays.
        self.env.flush_all()
        self.env.cr.execute("DELETE FROM ir_cron WHERE id = %s", [second.id])
        self.env.invalidate_all()
        self.save(2)
        self.assertEqual(len(self.get_active()), 2)

    def queue_and_send(self, count):
        """Confirm so many orders and run the sender; return how many lanes it woke."""
        for _number in range(count):
            self.confirm(self.make_order())
        crons = self.env["ir.cron"].search([("code", "=", "model._cron_send()")])
        first = self.env.ref(f"{MODULE}.{SENDER}")
        due = [("cron_id", "in", (crons - first).ids)]
        before = self.env["ir.cron.trigger"].search(due)
        self.run_sender()
        return len(self.env["ir.cron.trigger"].search(due) - before)

    def test_sale_wakes_one_lane(self):
        self.save(3)
        lanes = [
            self.capture_triggers(f"{MODULE}.{name}") for name in self.get_active()
        ]
        with lanes[0] as first, lanes[1] as second, lanes[2] as third:
            self.confirm(self.make_order())
            self.assertEqual(
                [len(x.records) for x in (first, second, third)], [1, 0, 0]
            )

    def test_queue_wakes_a_lane_for_each_bulk(self):
        self.save(64)
        self.site.sudo().batch_size = 2
        # One sends two at once.
        self.assertEqual(self.queue_and_send(2), 0)
        # Two, two, and one: the lane that runs sends the first of them.
        self.assertEqual(self.queue_and_send(5), 2)
        # Those two have not begun yet: they are there for the next ones, too.
        self.assertEqual(self.queue_and_send(5), 0)
        self.assertEqual(self.queue_and_send(7), 1)
        self.assertEqual(len(self.matomo.orders), 19)

    def test_large_queue_wakes_all_lanes(self):
        self.save(3)
        self.site.sudo().batch_size = 1
        self.assertEqual(self.queue_and_send(6), 2)
