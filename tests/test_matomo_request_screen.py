from ast import literal_eval
from datetime import timedelta
from unittest.mock import patch

from lxml import etree

from odoo import Command, fields
from odoo.tests import freeze_time, tagged
from odoo.tools import format_datetime, mute_logger

from .common import BROWSER, LOGGER, MODULE, RefundCommon, VerdictsCommon

NOW = "2026-03-03 10:00:00"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestLog(VerdictsCommon, RefundCommon):
    """What a Matomo user without any right to sales reads in the log."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mia = cls.make_user("mia", f"{MODULE}.group_matomo_user")

    def see(self, order):
        """Return the request of an order as Mia sees it."""
        return self.get_request(order).with_user(self.mia)

    def find(self, *domain):
        requests = self.env["matomo.request"].with_user(self.mia)
        return requests.search([("company_id", "=", self.company.id), *domain])

    def get_help(self, name):
        # sudo: Odoo reads actions for everybody.
        action = self.env.ref(f"{MODULE}.{name}").with_user(self.mia).sudo()
        return action.read(["help", "res_model", "context"])[0]["help"]

    # === THE LIST === #

    def test_orders_are_found_by_their_names(self):
        order = self.confirm(self.make_order())
        other = self.confirm(self.make_order())
        self.assertEqual(self.see(order).order_name, order.name)
        self.assertEqual(self.find(("order_name", "=", order.name)), self.see(order))
        self.assertEqual(
            self.find(("order_name", "ilike", order.name[1:])), self.see(order)
        )
        self.assertEqual(len(self.find(("order_name", "!=", False))), 2)
        self.assertFalse(self.see(other).can_open_order)
        self.assertTrue(self.get_request(other).sudo(False).can_open_order)

    def test_refunds_are_negative_in_every_sum(self):
        self.site.sudo().track_refunds = True
        order = self.track(self.make_order())
        self.cancel(order)
        self.run_sender()
        refund = self.find(("kind", "=", "refund"))
        # What needs attention has both in one list.
        self.assertEqual(refund.order_name, f"Refund of {order.name}")
        self.assertIn(refund, self.find(("order_name", "=", order.name)))
        self.assertEqual((refund.revenue, refund.signed_revenue), (115.0, -115.0))
        [(total,)] = self.find()._read_group(
            [("id", "in", self.find().ids)], aggregates=["signed_revenue:sum"]
        )
        self.assertEqual(total, 0)
        self.assertEqual(self.see(order).refund_count, 1)
        action = self.see(order).action_view_refunds()
        self.assertEqual(self.find(*action["domain"]), refund)

    def test_what_needs_attention(self):
        orders = self.make_one_of_each()
        waiting = self.see(orders["pending"])
        self.assertEqual(
            self.find(("needs_attention", "=", True)), self.see(orders["failed"])
        )
        self.env.cr.execute(
            "UPDATE matomo_request SET create_date = %s WHERE id = %s",
            (fields.Datetime.now() - timedelta(hours=3), waiting.id),
        )
        waiting.invalidate_recordset()
        found = self.find(("needs_attention", "=", True))
        self.assertEqual(found, self.see(orders["failed"]) | waiting)
        self.assertTrue(waiting.needs_attention)

    def test_what_waits_for_a_person_needs_attention(self):
        """The token was refused, and the menu Failed said that nothing had failed."""
        order = self.confirm(self.make_order())
        self.assertFalse(self.find(("needs_attention", "=", True)))
        self.site.sudo().write(
            {
                "state": "error",
                "state_message": "Matomo refuses the token.",
                "next_attempt_date": fields.Datetime.now() + timedelta(minutes=20),
            }
        )
        found = self.find(("needs_attention", "=", True))
        self.assertEqual(found, self.see(order))
        self.assertIn("Matomo refuses the token.", found.explanation)

    def test_an_empty_filter_is_no_empty_log(self):
        self.env["matomo.request"].sudo().search([]).unlink()
        empty = self.get_help("matomo_request_action")
        self.assertIn("No order has been tracked yet", empty)
        # A site is connected already.
        self.assertNotIn("Connect to Matomo", empty)
        self.confirm(self.make_order())
        templates = type(self.env["ir.qweb"])
        with patch.object(
            templates, "_render", autospec=True, side_effect=templates._render
        ) as render:
            self.assertIn(
                "Nothing matches the filters", self.get_help("matomo_request_action")
            )
        # What an empty log would say is not rendered for one that is not.
        self.assertEqual(
            [call.args[1] for call in render.call_args_list],
            [f"{MODULE}.nothing_found"],
        )
        self.assertIn(
            "Nothing needs your attention",
            self.get_help("matomo_request_action_failed"),
        )

    def test_no_list_that_a_filter_empties_is_empty(self):
        """The Overview named seven days, the Daily Comparison said there is none."""
        day = (
            self.env["matomo.reconciliation"]
            .sudo()
            .create({"site_id": self.site.id, "day": "2026-03-02", "state": "equal"})
        )
        day.cause_ids = [
            Command.create({"reconciliation_id": day.id, "kind": "test", "name": "X"})
        ]
        self.env["matomo.cart.update"].sudo().create(
            {
                "company_id": self.company.id,
                "site_id": self.site.id,
                "sale_order_id": self.make_order().id,
                "changed_date": fields.Datetime.now(),
            }
        )
        for name in (
            "matomo_reconciliation_action",
            "matomo_reconciliation_cause_action",
            "matomo_cart_update_action",
        ):
            self.assertIn("Nothing matches the filters", self.get_help(name))
        day.unlink()
        self.env["matomo.cart.update"].sudo().search([]).unlink()
        self.env["matomo.reconciliation"].sudo().search([]).unlink()
        for name, words in (
            ("matomo_reconciliation_action", "No day has been compared yet"),
            ("matomo_reconciliation_cause_action", "Nothing differs"),
            ("matomo_cart_update_action", "No cart has changed yet"),
        ):
            self.assertIn(words, self.get_help(name))

    def test_thirty_days_are_those_of_the_overview(self):
        first, before = (self.confirm(self.make_order()) for _each in range(2))
        self.get_request(first).order_date = "2026-02-02 00:00:00"
        self.get_request(before).order_date = "2026-02-01 23:59:59"
        arch = self.env.ref(f"{MODULE}.matomo_request_view_search").arch
        [domain] = etree.fromstring(arch).xpath(
            "//filter[@name='last_30_days']/@domain"
        )
        self.assertEqual(self.find(*literal_eval(domain)), self.see(first))
        overview = self.env["matomo.overview"].with_user(self.mia).browse(self.site.id)
        found = self.find(*overview.action_view_orders("month")["domain"])
        self.assertEqual(found, self.see(first))

    def test_internal_fields_are_not_offered(self):
        described = self.env["matomo.request"].fields_get()
        for name in ("order_ref_key", "look_up_first", "is_credit_note"):
            self.assertFalse(described[name]["searchable"], name)
            self.assertFalse(described[name]["groupable"], name)
        self.assertTrue(described["state"]["groupable"])

    def test_a_single_site_has_no_column(self):
        requests = self.env["matomo.request"]
        view = self.env.ref(f"{MODULE}.matomo_request_view_list")

        def is_shown():
            arch, _view = requests._get_view(view.id, "list")
            [node] = arch.xpath("//field[@name='site_id']")
            return node.get("column_invisible") != "True"

        self.env["matomo.site"].sudo().search([]).active = False
        self.site.sudo().active = True
        self.assertFalse(is_shown())
        self.site.sudo().copy({"idsite": 2})
        self.assertTrue(is_shown())

    # === THE FORM === #

    def test_what_was_sent(self):
        order = self.confirm(self.make_order((self.chair, 2), (self.lamp, 1)))
        self.assertIn("Nothing has been sent yet", self.see(order).sent_html)
        self.run_sender()
        html = self.see(order).sent_html
        for text in ("Chair", "Furniture / Chairs", "Lamp", "Subtotal", "210.50"):
            self.assertIn(text, html)
        # The name of a value was that of Python's module, which the form showed.
        self.assertIn(format_datetime(self.env, order.date_order), html)

    def test_what_was_sent_is_no_longer_stored(self):
        order = self.track(self.make_order())
        self.get_request(order).write({"payload": False, "tracking_url": False})
        html = self.see(order).sent_html
        self.assertIn("What was sent is no longer stored", html)
        self.assertNotIn("Nothing has been sent", html)

    def test_the_browser_has_a_name(self):
        order = self.make_order()
        order.sudo().matomo_user_agent = BROWSER
        order.sudo().matomo_accept_language = "fr-BE,fr;q=0.9,x-klingon,*;q=0.1"
        self.track(order)
        request = self.get_request(order)
        self.assertEqual(request.payload["ua"], BROWSER)
        # A till or an anonymous order has the country of the company.
        request.payload = {**request.payload, "country": "nl"}
        html = self.see(order).sent_html
        self.assertIn("French (Belgium), French, x-klingon", html)
        self.assertNotIn("q=0.9", html)
        self.assertIn("Netherlands", html)
        self.assertIn("Chrome", html)
        self.assertNotIn("Mozilla/5.0", html)

    def test_names_of_products_are_no_html(self):
        self.chair.name = "<b>Chair</b>"
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertIn("&lt;b&gt;Chair", self.see(order).sent_html)

    def test_every_attempt(self):
        order = self.confirm(self.make_order())
        self.assertIn("No attempt yet", self.see(order).attempts_html)
        self.run_sender()
        self.run_verifier()
        html = self.see(order).attempts_html
        self.assertIn("Accepted by Matomo", html)
        self.assertIn("Read back from Matomo", html)

    def test_why_it_waits(self):
        order = self.confirm(self.make_order())
        self.assertFalse(self.see(order).waiting_reason)
        self.site.sudo().write(
            {
                "state": "error",
                "state_message": "Matomo refuses the token.",
                "next_attempt_date": fields.Datetime.now() + timedelta(minutes=20),
            }
        )
        self.get_request(order).invalidate_recordset()
        reason = self.see(order).waiting_reason
        self.assertIn("Matomo refuses the token. Nothing is lost", reason)
        order.invalidate_recordset()
        self.assertIn(reason, order.matomo_reason)
        self.site.sudo().action_pause()
        self.get_request(order).invalidate_recordset()
        self.assertIn("is paused", self.see(order).waiting_reason)

    @mute_logger(LOGGER)
    def test_until_when_it_waits(self):
        order = self.confirm(self.make_order())
        request = self.get_request(order)
        request.next_attempt_date = fields.Datetime.now() + timedelta(minutes=20)
        self.assertIn("The next attempt is at", self.see(order).waiting_reason)
        request.lease_date = request.next_attempt_date
        self.assertEqual(
            self.see(order).waiting_reason, "It is being sent at this moment."
        )

    def test_links(self):
        order = self.confirm(self.make_order())
        self.run_sender()
        action = self.see(order).action_open_matomo()
        self.assertIn("popover=visitorProfile$3A", action["url"])
        self.assertTrue(
            action["url"].startswith("https://matomo.example.com/index.php")
        )
        action = self.see(order).action_open_order()
        self.assertEqual(
            (action["res_model"], action["res_id"]), (order._name, order.id)
        )
