from unittest.mock import patch

from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.matomo_order_tracking.models import matomo_request, matomo_sweep

from .common import LOGGER, AmountsCommon

NOW = "2026-03-03 10:00:00"
LONG_AGO = "2026-01-10 10:00:00"
WINDOW, LATE_IDS = 10, 5


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestSweep(AmountsCommon):
    """Each way to miss the rules; a night looks at few orders, not at all of them."""

    def setUp(self):
        super().setUp()
        # What else the scheduled action does.
        self.comparison = self.startPatcher(patch.object(matomo_request, "Comparison"))
        self.startPatcher(patch.object(matomo_request, "read_all_facts"))
        self.order = self.confirm(self.make_order())
        self.sale = self.sync(self.make_sale())
        self.quotation = self.clone_orders(self.order, 1)
        self.change(self.quotation, state="draft", date_order=LONG_AGO)
        # As many orders that the later ones are far from the first ones.
        self.clone_orders(self.order, 2 * WINDOW)
        self.sweep()
        self.startPatcher(patch.object(matomo_sweep, "WINDOW", WINDOW))
        self.startPatcher(patch.object(matomo_sweep, "LATE_IDS", LATE_IDS))

    def change(self, orders, **values):
        """Write like another program: by SQL, so that no rule runs."""
        for name, value in values.items():
            self.env.cr.execute(
                f"UPDATE {orders._table} SET {name} = %s WHERE id = ANY(%s)",
                [value, orders.ids],
            )
        orders.invalidate_recordset()

    def get_progress(self, orders):
        return (
            self.env["matomo.sweep"]
            .sudo()
            .search(
                [
                    ("company_id", "=", self.company.id),
                    ("res_model", "=", orders._name),
                ]
            )
        )

    def sweep(self):
        self.run_cron("ir_cron_sweep")

    def skip(self, *groups):
        """Have the third pass of the next night look at later orders than these."""
        for orders in groups:
            self.get_progress(orders).old_id = orders[-1].id

    def assertFound(self, orders):
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})

    def assertMissing(self, orders):
        self.assertEqual(set(orders.mapped("matomo_state")), {False})

    def test_orders_that_the_next_night_finds(self):
        new = self.clone_orders(self.order, 3 * WINDOW)
        # A till was offline for weeks: its sales have new IDs and old dates.
        offline = self.clone_sales(self.sale, 3)
        self.change(offline, date_order=LONG_AGO)
        # Odoo gives a quotation the date of its confirmation; its ID is old.
        self.change(self.quotation, state="sale", date_order=NOW)
        self.skip(new, offline, self.quotation)
        self.sweep()
        self.assertFound(new)
        self.assertFound(offline)
        self.assertFound(self.quotation)

    def test_order_that_was_committed_after_later_ones(self):
        late = self.clone_orders(self.order, 1)
        self.change(late, date_order=LONG_AGO)
        self.get_progress(late).new_id = late.id + LATE_IDS - 1
        self.skip(late)
        self.sweep()
        self.assertFound(late)

    def test_old_order_that_keeps_its_date(self):
        """Another program confirms it by SQL: one night of several looks at it."""
        self.change(self.quotation, state="sale")
        progress = self.get_progress(self.quotation)
        progress.old_id = self.quotation.id - WINDOW - 1
        self.sweep()
        self.assertMissing(self.quotation)
        self.sweep()
        self.assertFound(self.quotation)

    def test_after_the_last_order_comes_the_first_one(self):
        progress = self.get_progress(self.order)
        progress.old_id = self.env["sale.order"].search([], order="id desc", limit=1).id
        self.sweep()
        self.assertEqual(progress.old_id, WINDOW)

    def test_verdict_that_failed(self):
        """What made it fail is over by the time an order is looked at again."""
        self.change(self.quotation, state="sale")

        def fail(orders):
            raise ValueError("No verdict")

        enqueue = patch.object(type(self.order), "_matomo_enqueue", fail)
        self.get_progress(self.quotation).old_id = self.quotation.id - 1
        with enqueue, mute_logger(LOGGER, "odoo.addons.base.models.ir_cron"):
            self.sweep()
        self.assertMissing(self.quotation)
        self.get_progress(self.quotation).old_id = self.quotation.id - 1
        self.sweep()
        self.assertFound(self.quotation)

    @mute_logger(LOGGER)
    def test_verdicts_that_always_fail_keep_nothing_waiting(self):
        """A thousand such orders took the whole night, and the same ones each night.

        No order behind them got a verdict, and no day was compared any more.
        """
        broken, fine = (
            self.clone_orders(self.order, 8),
            self.clone_orders(self.order, 1),
        )
        enqueue, tried = type(self.order)._matomo_enqueue, []

        def fail(orders):
            tried.extend(orders.ids)
            if orders & broken:
                raise ValueError("No verdict")
            return enqueue(orders)

        crons = type(self.env["ir.cron"])
        with (
            patch.object(type(self.order), "_matomo_enqueue", fail),
            patch.multiple(matomo_sweep, BATCH=2, MAX_BROKEN=2, WINDOW=10**9),
            patch.object(matomo_sweep, "shuffle") as shuffle,
        ):
            shuffle.side_effect = list.sort
            with patch.object(crons, "_commit_progress", lambda *a, **k: 60):
                self.sweep()
            # Three passes look at them; each batch is tried as a whole, too.
            self.assertEqual([*dict.fromkeys(tried)], broken[:2].ids)
            self.assertEqual(len(tried), 3 * 4)
            self.assertMissing(fine)
            # Another night begins with others.
            shuffle.side_effect = lambda ids: ids.sort(reverse=True)
            self.sweep()
        self.assertFound(fine)
        self.assertMissing(broken)

    @mute_logger(LOGGER)
    def test_a_night_without_time_compares_all_the_same(self):
        """Verdicts that fail slowly ended the night, and Odoo calls nobody again.

        So did a last verdict that took all of the time.
        """
        orders = self.clone_orders(self.order, 4)
        enqueue, runs = type(self.order)._matomo_enqueue, []
        crons = type(self.env["ir.cron"])

        def commit_progress(cron, processed=0, *, remaining=None):
            runs.append(remaining)
            return 0

        def fail(orders):
            raise ValueError("No verdict")

        for verdict, waits in ((fail, []), (enqueue, [2])):
            runs.clear()
            self.comparison.reset_mock()
            with (
                patch.object(type(self.order), "_matomo_enqueue", verdict),
                patch.object(matomo_sweep, "BATCH", 2),
                patch.object(crons, "_commit_progress", commit_progress),
            ):
                self.sweep()
                # As long as orders are left that get a verdict, Odoo calls again.
                self.assertEqual([each for each in runs if each], waits)
                self.assertEqual(self.comparison.called, not waits)
                if waits:
                    self.sweep()
            self.assertTrue(self.comparison.called)
        self.assertFound(orders)

    def test_earlier_tracking_start(self):
        """Orders that needed no verdict until now need one."""
        early = self.clone_orders(self.order, 1)
        self.change(early, date_order="2025-12-20 10:00:00")
        self.sweep()
        self.assertMissing(early)
        # Far from all that is new.
        self.clone_orders(self.order, 2 * WINDOW)
        self.skip(early)
        self.sweep()
        self.assertMissing(early)
        self.site.sudo().date_start = "2025-12-01"
        self.sweep()
        self.assertFound(early)

    def test_button(self):
        """A person wants all orders to be looked at now."""
        self.change(self.quotation, state="sale")
        self.site.sudo().action_sweep()
        self.sweep()
        self.assertFound(self.quotation)

    def test_one_night_reads_few_orders(self):
        """The passes of a night read the orders by their IDs and dates."""
        searched = []
        search = type(self.order).search

        def note(orders, domain, *args, **kwargs):
            searched.append(str(domain))
            return search(orders, domain, *args, **kwargs)

        with patch.object(type(self.order), "search", note):
            self.sweep()
        missing = [each for each in searched if "matomo_state" in each]
        self.assertEqual(len(missing), 3, missing)
        self.assertTrue(all("'id'" in each or "date_order" in each for each in missing))
