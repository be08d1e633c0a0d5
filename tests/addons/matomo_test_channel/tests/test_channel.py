from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.matomo_order_tracking.tests.common import (
    LOGGER,
    MODULE,
    ComparisonCommon,
)


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestThirdChannel(ComparisonCommon):
    """The orders of another module are tracked, by documented hooks alone."""

    def make_ticket(self, **values):
        return self.env["matomo.test.ticket"].create(
            {
                "name": f"T-{self.env['matomo.test.ticket'].search_count([])}",
                "company_id": self.company.id,
                "partner_id": self.customer.id,
                "amount_total": 25,
                **values,
            }
        )

    def sell_ticket(self, **values):
        ticket = self.make_ticket(**values)
        ticket.state = "sold"
        self.end_transaction()
        return ticket

    def send_and_verify(self):
        self.run_sender()
        self.run_verifier()

    def void(self, ticket):
        """Void a ticket, as a module does that returns the money."""
        ticket.state = "void"
        ticket._matomo_track()
        self.end_transaction()

    def test_a_sold_ticket_is_sent_and_verified(self):
        ticket = self.sell_ticket()
        self.assertState(ticket, "pending")
        self.send_and_verify()
        self.assertState(ticket, "verified")
        self.assertRecorded(ticket, revenue="25.00", ec_id="T-0", action_name="Ticket")
        self.assertTrue(ticket.matomo_tracked)
        self.assertEqual(self.get_request(ticket).display_name, "T-0")
        self.assertEqual(self.get_request(ticket).channel, "ticket")
        found = self.env["matomo.test.ticket"].search(
            [("matomo_state", "=", "verified")]
        )
        self.assertEqual(found, ticket)

    def test_the_night_finds_a_ticket_that_no_rule_has_seen(self):
        ticket = self.make_ticket(state="sold")
        self.env.cr.precommit.clear()
        self.assertFalse(ticket.matomo_state)
        self.run_cron("ir_cron_sweep")
        self.send_and_verify()
        self.assertState(ticket, "verified")

    def test_the_comparison_counts_tickets(self):
        self.sell_ticket()
        self.run_sender()
        with freeze_time("2026-03-05 02:00:00"):
            days = self.compare()
        self.assertDay(days["2026-03-03"], (1, 25.0), (1, 25.0), "equal")

    def test_a_ticket_that_is_void_again_is_refunded(self):
        self.site.sudo().track_refunds = True
        ticket = self.sell_ticket()
        self.run_sender()
        self.void(ticket)
        self.run_sender()
        (event,) = self.matomo.events
        self.assertEqual((event["e_n"], event["e_v"]), ("T-0", "25.00"))
        refund = ticket.sudo().matomo_request_ids - self.get_request(ticket)
        self.assertEqual((refund.kind, refund.state), ("refund", "sent"))
        self.assertEqual(refund.refunded_id, ticket)

    def test_a_ticket_that_is_void_before_it_is_sent_is_cancelled(self):
        ticket = self.sell_ticket()
        self.void(ticket)
        self.run_sender()
        self.assertState(ticket, "cancelled")
        self.assertNotRecorded(ticket)

    def test_a_failed_ticket_is_retracked(self):
        ticket = self.sell_ticket()
        self.matomo.refuses = lambda parameters: True
        with mute_logger(LOGGER):
            self.run_sender()
        self.assertState(ticket, "failed", "Matomo refused this order")
        self.assertIn("Not in Matomo", ticket.sudo().message_ids[0].body)
        self.matomo.refuses = lambda parameters: False
        self.assertIn("queued", ticket.action_matomo_retrack()["params"]["message"])
        self.send_and_verify()
        self.assertState(ticket, "verified")

    def test_customer_of_a_ticket_is_anonymized(self):
        ticket = self.sell_ticket()
        ticket.sudo().matomo_ip_address = "203.0.113.9"
        self.send_and_verify()
        manager = self.make_manager()
        self.erase(self.customer, manager)
        self.assertFalse(ticket.sudo().matomo_ip_address)
        self.assertTrue(self.get_request(ticket).is_anonymized)

    def test_the_log_shows_tickets_beside_other_orders(self):
        self.sell_ticket()
        self.confirm(self.make_order())
        self.send_and_verify()
        requests = self.env["matomo.request"].search([])
        self.assertEqual(set(requests.mapped("channel")), {"ticket", "desk"})
        action = self.env.ref(f"{MODULE}.matomo_request_action")
        views = self.env["matomo.request"].get_views(action.views)
        self.assertIn("list", views["views"])
