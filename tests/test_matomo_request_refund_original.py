from odoo import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, TOKEN, RefundCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestRefundOriginal(RefundCommon):
    """A refund follows its original order, wherever and whenever it is given."""

    def assertSites(self, *idsites):
        self.assertEqual(
            [str(event["idsite"]) for event in self.matomo.events], list(idsites)
        )

    # === WHERE === #

    def open_other_till(self, **site_values):
        """Another till, on a Matomo site of its own; its session."""
        site = self.site.sudo().copy({"name": "Other site", "idsite": 2})
        site.write({"token_auth": TOKEN, **site_values})
        till = self.config.copy({"name": "Butcher", "matomo_site_id": site.id})
        till.payment_method_ids = [Command.set(self.cash.copy().ids)]
        till.open_ui()
        till.current_session_id.set_opening_control(0, None)
        return till.current_session_id

    def take_back_elsewhere(self, sale, session):
        line = {
            "product_id": sale.lines.product_id.id,
            "qty": -1,
            "refunded_orderline_id": sale.lines.id,
        }
        values = self.make_sale(line, session=session, is_refund=True)
        for _command, _id, payment in values["payment_ids"]:
            payment["payment_method_id"] = session.payment_method_ids.id
        return self.sync(values) - sale

    def test_refund_at_another_till_goes_to_the_site_of_the_sale(self):
        sale = self.sync(self.make_sale((self.chair, 2)))
        self.run_sender()
        self.take_back_elsewhere(sale, self.open_other_till(track_refunds=False))
        self.run_sender()
        self.assertEvents((sale.matomo_order_ref, "115.00"))
        self.assertSites("1")

    def test_refund_at_a_till_without_a_site(self):
        sale = self.sync(self.make_sale((self.chair, 2)))
        self.run_sender()
        session = self.open_other_till()
        session.config_id.sudo().matomo_site_id = False
        self.take_back_elsewhere(sale, session)
        self.run_sender()
        self.assertEvents((sale.matomo_order_ref, "115.00"))

    def test_site_of_the_sale_tracks_no_refunds(self):
        self.site.sudo().track_refunds = False
        sale = self.sync(self.make_sale((self.chair, 2)))
        self.run_sender()
        self.take_back_elsewhere(sale, self.open_other_till(track_refunds=True))
        self.run_sender()
        self.assertEvents()

    def test_till_has_another_site_since(self):
        """The event goes to the site that has the sale."""
        sale = self.sync(self.make_sale((self.chair, 2)))
        self.run_sender()
        other = self.open_other_till(track_refunds=True)
        self.config.sudo().matomo_site_id = other.config_id.sudo().matomo_site_id
        self.take_back_at_till(sale, 1)
        self.run_sender()
        self.assertEvents((sale.matomo_order_ref, "115.00"))
        self.assertSites("1")

    def test_sales_order_refunded_at_another_till(self):
        order = self.track(self.make_order((self.chair, 2)))
        sale = self.settle_at_till(order, 2)
        self.take_back_elsewhere(sale, self.open_other_till(track_refunds=False))
        self.run_sender()
        self.assertEvents((order.name, "115.00"))
        self.assertSites("1")

    def test_order_goes_to_another_site_before_it_is_sent(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        self.credit(order, 100.0)
        site = self.open_other_till(track_refunds=True).config_id.sudo().matomo_site_id
        self.company.sudo().matomo_site_id = site
        order.action_matomo_retrack()
        self.run_sender()
        self.run_sender()
        self.assertEvents((order.name, "115.00"))
        self.assertSites("2")

    # === A TILL'S INVOICE THAT IS CREDITED IN THE BACK OFFICE === #

    def sell_with_invoice(self, *lines):
        return self.sync(
            self.make_sale(*lines, to_invoice=True, partner_id=self.customer.id)
        )

    def test_invoice_of_a_till_is_credited(self):
        sale = self.sell_with_invoice((self.chair, 2))
        self.assertEqual(sale.account_move.amount_total, 230.0)
        self.run_sender()
        self.assertEvents()
        wizard = self.open_reversal(sale.account_move)
        wizard.refund_moves()
        wizard.new_move_ids.invoice_line_ids.quantity = 1
        self.post(wizard.new_move_ids)
        self.run_sender()
        self.assertEvents((sale.matomo_order_ref, "115.00"))
        # The till takes back both, and no more is refunded than was paid.
        self.take_back_at_till(sale, 2)
        self.run_sender()
        self.assertEvents(*[(sale.matomo_order_ref, "115.00")] * 2)

    def test_invoice_of_a_till_is_corrected(self):
        sale = self.sell_with_invoice((self.chair, 2))
        self.run_sender()
        new = self.post(self.correct(sale.account_move))
        self.run_sender()
        self.assertEvents()
        new.button_cancel()
        self.end_transaction()
        self.run_sender()
        self.assertEvents((sale.matomo_order_ref, "230.00"))

    def test_till_takes_back_with_a_credit_note(self):
        """Both say the same: the till's own credit note is not reported besides."""
        sale = self.sell_with_invoice((self.chair, 2))
        self.run_sender()
        line = {
            "product_id": self.chair.id,
            "qty": -1,
            "refunded_orderline_id": sale.lines.id,
        }
        refund = self.sell_with_invoice(line) - sale
        self.assertEqual(refund.account_move.reversed_entry_id, sale.account_move)
        self.run_sender()
        self.assertEvents((sale.matomo_order_ref, "115.00"))

    def test_invoice_of_a_settlement_is_credited(self):
        """The sales order counts what the till has sold of it."""
        order = self.track(self.make_order((self.chair, 2)))
        settlement = {
            "product_id": self.chair.id,
            "qty": 2,
            "sale_order_origin_id": order.id,
            "sale_order_line_id": order.order_line.id,
        }
        sale = self.sell_with_invoice(settlement)
        self.reverse(sale.account_move)
        self.run_sender()
        self.assertEvents((order.name, "230.00"))

    # === IN WHICH CURRENCY === #

    def test_credit_note_in_another_currency(self):
        """The order's own rate counts: a whole order comes off as it was sent."""
        euro = self.setup_other_currency(
            "EUR", rates=[("2026-01-01", 2.0), ("2026-03-04", 4.0)]
        )
        prices = self.env["product.pricelist"].create(
            {"name": "Euro", "currency_id": euro.id, "company_id": self.company.id}
        )
        line = {
            "product_id": self.chair.id,
            "product_uom_qty": 2,
            "price_unit": 100.0,
        }
        orders = [
            self.track(self.make_order(dict(line), pricelist_id=prices.id))
            for _number in "12"
        ]
        self.assertRecorded(orders[0], revenue="115.00")
        with freeze_time("2026-03-04 10:00:00"):
            self.credit(orders[0], 100.0)
            self.reverse(self.invoice(orders[1]))
            self.run_sender()
        self.assertEvents((orders[0].name, "115.00"), (orders[1].name, "115.00"))

    def test_site_has_got_another_currency_since(self):
        """Matomo keeps the figures that it has: the refund is one of them.

        Half an order was taken back in the new currency, and all of it was gone.
        """
        euro = self.setup_other_currency("EUR", rates=[("2026-01-01", 2.0)])
        order = self.track(self.make_order((self.chair, 2)))
        sale = self.sync(self.make_sale((self.chair, 2)))
        self.run_sender()
        self.site.sudo().currency_id = euro
        self.credit(order, 100.0)
        self.take_back_at_till(sale, 1)
        self.run_sender()
        self.assertEvents((order.name, "115.00"), (sale.matomo_order_ref, "115.00"))
        self.cancel(order)
        self.run_sender()
        self.assertEqual(self.matomo.events[-1]["e_v"], "115.00")
        self.assertEqual(self.refund(order).currency_id, self.company.currency_id)

    def test_credit_note_of_another_company(self):
        """A sister company with another currency credits what was sold."""
        euro = self.setup_other_currency("EUR", rates=[("2026-01-01", 2.0)])
        sister = self.setup_other_company(name="Sister", currency_id=euro.id)
        order = self.track(self.make_order((self.chair, 2)))
        move = (
            self.env["account.move"]
            .sudo()
            .create(
                {
                    "move_type": "out_refund",
                    "company_id": sister["company"].id,
                    "journal_id": sister["default_journal_sale"].id,
                    "partner_id": self.customer.id,
                    "invoice_date": "2026-03-03",
                    "invoice_line_ids": [
                        Command.create(
                            {
                                "name": "Chair",
                                "quantity": 1,
                                "price_unit": 100.0,
                                "account_id": sister["default_account_revenue"].id,
                                "tax_ids": [Command.clear()],
                                "sale_line_ids": [Command.link(order.order_line.id)],
                            }
                        )
                    ],
                }
            )
        )
        self.assertEqual(move.currency_id, euro)
        self.post(move)
        self.run_sender()
        # 100 euros are 50 dollars.
        self.assertEvents((order.name, "50.00"))

    def test_rate_has_changed_when_a_till_takes_back(self):
        euro = self.setup_other_currency(
            "EUR", rates=[("2026-01-01", 2.0), ("2026-03-04", 4.0)]
        )
        self.site.sudo().currency_id = euro
        sale = self.sync(self.make_sale((self.chair, 1)))
        self.run_sender()
        self.assertRecorded(sale, revenue="230.00")
        with freeze_time("2026-03-04 10:00:00"):
            self.take_back_at_till(sale, 1)
            self.run_sender()
        self.assertEvents((sale.matomo_order_ref, "230.00"))

    # === WHEN === #

    def test_refunded_before_it_was_sent(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.sync(self.make_sale((self.chair, 3)))
        self.credit(order, 100.0)
        self.take_back_at_till(sale, 3)
        self.assertFalse(self.matomo.bulks)
        self.run_sender()
        self.assertRecorded(order, revenue="230.00")
        self.assertRecorded(sale, revenue="345.00")
        self.assertEvents((order.name, "115.00"), (sale.matomo_order_ref, "345.00"))

    # === WHAT IT SAYS OF THE SHOPPER === #

    @mute_logger(LOGGER)
    def test_what_matomo_excludes_of_a_refund(self):
        """An order arrived without the address that Matomo excludes; its refund did

        not: it was sent with that address, and Matomo dropped it without a word.
        """
        order = self.confirm(self.make_order((self.chair, 2)))
        order.sudo().write(
            {
                "matomo_ip_address": "203.0.113.9",
                "matomo_user_agent": "Browser/1.0",
                "matomo_accept_language": "de-de",
            }
        )
        self.matomo.drops = lambda p: p["cip"] != "0.0.0.0" or "lang" in p
        self.run_sender()
        self.run_verifier()
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        self.cancel(order)
        self.run_sender()
        self.assertEvents((order.name, "230.00"))

    @mute_logger(LOGGER)
    def test_refund_of_an_order_that_was_erased(self):
        """Matomo has the order again, as nobody's: its refund names nobody, either."""
        visitor = "0123456789abcdef"
        order = self.confirm(self.make_order((self.chair, 2)))
        order.sudo().write(
            {"matomo_ip_address": "203.0.113.9", "matomo_visitor_id": visitor}
        )
        self.run_sender()
        self.run_verifier()
        self.matomo.orders.clear()
        order.action_matomo_retrack()
        self.run_verifier()
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        self.cancel(order)
        self.run_sender()
        (event,) = self.matomo.events
        self.assertEqual(event["cip"], "0.0.0.0")
        self.assertEqual(event["cid"], self.recorded(order)["cid"])
        self.assertNotEqual(event["cid"], visitor)

    def make_old_refunds(self):
        """An order and a till sale of the time before the tracking start."""
        self.site.sudo().date_start = "2026-03-03"
        with freeze_time("2026-02-01 10:00:00"):
            order = self.confirm(self.make_order((self.chair, 2)))
            sale = self.sync(self.make_sale((self.chair, 3)))
        with freeze_time("2026-02-10 15:00:00"):
            self.reverse(self.invoice(order))
            self.take_back_at_till(sale, 1)
        self.run_sender()
        self.assertEvents()
        self.assertState(order, "excluded")
        return order, sale

    def start_earlier(self):
        self.site.sudo().date_start = "2026-01-01"
        self.run_cron("ir_cron_sweep")
        self.run_sender()
        self.run_sender()

    def test_refunded_before_it_is_sent_later(self):
        order, sale = self.make_old_refunds()
        self.start_earlier()
        self.assertRecorded(order, revenue="230.00")
        self.assertRecorded(sale, revenue="345.00")
        self.assertEqual(
            {
                event["e_n"]: (event["e_v"], event["cdt"])
                for event in self.matomo.events
            },
            {
                order.name: ("230.00", "2026-02-10 12:00:00"),
                sale.matomo_order_ref: ("115.00", "2026-02-10 15:00:00"),
            },
        )
        self.assertEqual(len(self.matomo.events), 2)

    def test_sent_later_to_a_site_without_refunds(self):
        order, sale = self.make_old_refunds()
        self.site.sudo().track_refunds = False
        self.start_earlier()
        self.assertRecorded(order, revenue="230.00")
        self.assertRecorded(sale, revenue="345.00")
        self.assertEvents()

    @mute_logger(LOGGER)
    def test_refunded_while_its_order_had_failed(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        self.matomo.refuses = lambda parameters: True
        self.run_sender()
        self.assertState(order, "failed")
        self.credit(order, 100.0)
        self.run_sender()
        self.assertEqual(self.refund(order).state, "cancelled")
        self.matomo.refuses = lambda parameters: False
        order.action_matomo_retrack()
        self.run_sender()
        self.run_sender()
        self.assertEvents((order.name, "115.00"))
