"""The golden record: the same stories, told before and after a change, word by word.

A record is no specification: it says what the addon does, not what it should do. It
lets a refactoring prove that it has changed nothing. `make golden` writes it anew.
"""

import requests

from odoo import Command
from odoo.tests import tagged

from ..common import MatomoCommon
from ..common.amounts import AmountsCommon
from ..common.fake_matomo import TOKEN, FakeResponse, lose
from ..common.shop import CheckoutCommon
from ..external import test_real_totals
from .common import GoldenCommon


@tagged("post_install", "-at_install")
class TestGoldenOrders(GoldenCommon, AmountsCommon):
    """Sales orders and till sales, one by one."""

    def test_orders(self):
        """What orders look like in Matomo."""
        carrier = self.make_carrier(5.0)
        self.make_program(
            "promo_code",
            {"reward_type": "discount", "discount": 10, "discount_mode": "percent"},
            {"mode": "with_code", "code": "TENOFF", "minimum_qty": 0},
        )
        delivered = self.make_order((self.chair, 2), (self.lamp, 1))
        self.add_delivery(delivered, carrier)
        rewarded = self.make_order((self.chair, 2), (self.lamp, 1))
        self.apply_code(rewarded, "TENOFF")
        included = self.make_tax(21, included=True)
        deposit = self.make_tax(0.37, kind="fixed", include_base_amount=True)
        orders = [
            delivered,
            rewarded,
            self.make_order(self.line(self.chair, 3, discount=12.5)),
            self.make_order((self.chair, 3), self.line(self.chair, 1, discount=100)),
            self.make_order((self.chair, 2.5), (self.lamp, 0.25)),
            self.make_order((self.chair, 2), (self.lamp, -1)),
            self.make_order(self.line(self.chair, 1, 0.0)),
            self.make_order((self.chair, 1), self.line(self.lamp, 1, -30.0)),
            self.make_order(
                self.line(self.chair, 3, 9.99, included),
                self.line(self.lamp, 7, 1.13, deposit + self.tax),
            ),
            self.make_order(
                {"display_type": "line_section", "name": "Kitchen"},
                (self.chair, 1),
                {"display_type": "line_note", "name": "With care"},
            ),
            self.make_order(self.line(self.chair, 70_000, 0.01)),
            self.make_order(self.line(self.chair, 1, 131_234.56)),
            *(
                self.make_order(name=name)
                for name in ('A&B <i>1</i> "2"', "Ünïcode-é", "UNICODE-E", "x" * 120)
            ),
            self.make_order(name="0"),
        ]
        for order in orders:
            self.confirm(order)
        orders[2].date_order = "2026-03-03 18:00:00"
        self.step("confirmed")
        self.run_sender()
        self.step("sent")
        self.run_verifier()
        self.step("verified")
        orders[0].order_line[0].product_uom_qty = 3
        orders[3].order_line.write({"price_unit": 50.0, "product_uom_qty": 2})
        self.step("changed after they were sent")
        self.assertGolden("orders")

    def test_visits(self):
        """Shoppers, places, channels and salespeople of orders."""
        self.site.sudo().write(
            {
                "identify_customers": True,
                "channel_dimension": 1,
                "till_dimension": 2,
                "salesperson_dimension": 3,
            }
        )
        self.company.partner_id.write(
            {
                "country_id": self.env.ref("base.be").id,
                "city": "Gent",
                "state_id": self.env["res.country.state"]
                .sudo()
                .create(
                    {
                        "name": "East Flanders",
                        "code": "BE-VOV",
                        "country_id": self.env.ref("base.be").id,
                    }
                )
                .id,
            }
        )
        web = self.make_order((self.lamp, 2))
        web.sudo().write(
            {
                "matomo_ip_address": "2001:db8::7",
                "matomo_user_agent": "Mozilla/5.0 (Test)",
                "matomo_accept_language": "nl-BE,nl;q=0.9",
                "matomo_client_hints": '{"brands": []}',
                "matomo_visitor_id": "00000000000000ab",
                "matomo_attribution_info": {
                    "campaign": "Spring & Co",
                    "keyword": "chairs",
                    "timestamp": 1772500000,
                    "referrer": "https://search.example.com/?q=ch%C3%A4ir",
                },
            }
        )
        self.confirm(web)
        self.confirm(self.make_order())
        known = {"partner_id": self.customer.id}
        self.sync(self.make_sale(**known), self.make_sale((self.lamp, 3), **known))
        self.sync(self.make_sale(), user=self.cashier)
        self.run_sender()
        self.step("sent")
        self.assertGolden("visits")

    def test_batches(self):
        """More orders than one bulk holds. The sender sends backfilled orders last."""
        self.site.sudo().batch_size = 4
        self.confirm_many(6)
        old = self.clone_orders(self.make_order(state="sale"), 3)
        self.end_transaction()
        for number, order in enumerate(old):
            order.write({"name": f"OLD-{number}", "date_order": f"2026-02-2{number}"})
        self.run_cron("ir_cron_sweep")
        self.confirm_many(2)
        self.step("waiting")
        self.run_sender()
        self.step("sent")
        self.run_verifier()
        self.step("verified")
        self.assertGolden("batches")

    def test_till(self):
        """Till sales, refunds, exchanges, tips and a till that syncs twice."""
        values = self.make_sale((self.chair, 3), (self.lamp, 2))
        sale = self.sync(dict(values))
        self.sync(dict(values))
        self.sync(self.make_sale(self.line_of_till(self.chair, 1, discount=33.3)))
        self.sync(self.make_sale((self.chair, 1), (self.lamp, -1)))
        rounding = self.make_rounding_till()
        sold = self.make_sale((self.lamp, 1), session=rounding)
        method = rounding.payment_method_ids.id
        sold["payment_ids"][0][2]["payment_method_id"] = method
        self.sync(sold)
        self.step("sold")
        self.take_back(sale)
        self.take_back(sale, own=[(self.lamp, 3)])
        self.sync(self.make_sale((self.chair, -1)))
        self.sync(self.make_sale((self.chair, -1), (self.lamp, 0)))
        self.step("taken back")
        self.run_sender()
        self.step("sent")
        tip = self.make_product("Tip", "TIPS", 0.0, type="service")
        sale.write(
            {
                "lines": [
                    Command.create(
                        {
                            "product_id": tip.id,
                            "price_unit": 5.0,
                            "qty": 1,
                            "price_subtotal": 5.0,
                            "price_subtotal_incl": 5.0,
                        }
                    )
                ],
                "is_tipped": True,
                "tip_amount": 5.0,
            }
        )
        self.step("tipped")
        self.run_verifier()
        self.step("verified")
        self.assertGolden("till")

    def line_of_till(self, product, quantity, **values):
        return {"product_id": product.id, "qty": quantity, **values}

    # === SETTLEMENTS === #

    def test_settlements(self):
        """A till pays sales orders that are tracked."""
        whole, part, more, two, three = (
            self.confirm(self.make_order((self.chair, n + 2), (self.lamp, 1)))
            for n in range(5)
        )
        self.settle_orders(whole)
        self.settle_orders(part, quantity=1)
        self.settle_orders(more, quantity=5, own=[(self.lamp, 2)])
        self.settle_orders(two, three)
        self.step("settled")
        self.run_all()
        self.step("run")
        self.cancel(part)
        self.run_all()
        self.step("cancelled after it was sent")
        self.run_verifier()
        self.step("verified")
        self.assertGolden("settlements")

    def test_settled_and_cancelled(self):
        """A settled sales order is cancelled or deleted before it is sent."""
        orders = [self.confirm(self.make_order((self.chair, n + 2))) for n in range(6)]
        cancelled, deleted, again, late, first, second = orders
        for order in orders[:3]:
            self.settle_orders(order)
        late_sale = self.settle_orders(late, own=[(self.lamp, 1)])
        self.settle_orders(first, second)
        self.cancel(cancelled, deleted, again, first)
        deleted.unlink()
        self.step("cancelled before they were sent")
        self.run_sender()
        self.step("sent")
        self.run_cron("ir_cron_retrack")
        self.step("looked at again")
        self.confirm_again(again)
        self.run_all()
        self.step("one is confirmed again before its till sale is sent")
        self.confirm_again(cancelled)
        self.cancel(late)
        self.run_all()
        self.step("one is confirmed again after its till sale was sent")
        self.retrack(late_sale)
        self.run_all()
        self.step("retracked")
        self.assertGolden("settled_and_cancelled")

    def test_settled_in_doubt(self):
        """A settled sales order is cancelled after an unconfirmed attempt."""
        order, refused, failed = self.confirm_many(3)
        self.matomo.refuses = lambda p: p.get("ec_id") == failed.name
        self.matomo.faults = [FakeResponse(503)] * 2
        self.run_sender()
        for one in (order, refused, failed):
            self.settle_orders(one)
        self.cancel(order, refused)
        self.run_all()
        self.step("Matomo is away")
        self.matomo.refuses = lambda p: p.get("ec_id") in (refused.name, failed.name)
        with self.at("14:00:00"):
            self.run_all()
            self.step("Matomo is back")
            self.cancel(failed)
            self.run_all()
            self.step("the failed one is cancelled")
        self.assertGolden("settled_in_doubt")

    def test_settled_before_it_is_tracked(self):
        """The company chooses its site after a till has counted a part."""
        self.company.sudo().matomo_site_id = False
        self.config.down_payment_product_id = self.make_product(
            "Down payment", "DOWN", 0.0, type="service", taxes=self.env["account.tax"]
        )
        whole, part, paid, dozens = (
            self.confirm(self.make_order((self.chair, n + 4), (self.lamp, 2)))
            for n in range(4)
        )
        dozens.order_line[0].product_uom_id = self.env.ref("uom.product_uom_dozen")
        self.settle_orders(whole)
        self.settle_orders(part, quantity=2)
        self.pay_down(paid, 100.0)
        self.settle_orders(dozens, quantity=2)
        self.step("settled")
        self.run_all()
        self.step("sent from the till")
        self.company.sudo().matomo_site_id = self.site
        for order in (whole, part, paid, dozens):
            self.retrack(order)
        self.run_all()
        self.step("sent from the desk")
        self.settle_orders(part, quantity=1)
        self.run_all()
        self.step("the rest is settled")
        self.assertGolden("settled_before_it_is_tracked")

    def test_down_payments(self):
        """A down payment at the till on an order that is tracked."""
        self.site.sudo().track_refunds = True
        self.config.down_payment_product_id = self.make_product(
            "Down payment", "DOWN", 0.0, type="service", taxes=self.env["account.tax"]
        )
        first, second = self.confirm_many(2)
        self.run_sender()
        sale = self.pay_down(first, 50.0)
        self.take_back(sale)
        self.run_sender()
        self.step("paid and given back")
        self.cancel(first)
        self.run_sender()
        self.step("cancelled afterwards")
        sale = self.pay_down(second, 50.0)
        self.cancel(second)
        self.run_sender()
        self.step("cancelled while the shop keeps it")
        self.take_back(sale)
        self.run_sender()
        self.step("given back afterwards")
        self.assertGolden("down_payments")

    # === REFUNDS === #

    def test_refunds(self):
        """Cancellations, credit notes and POS refunds, reported as events."""
        self.site.sudo().track_refunds = True
        orders = self.confirm_many(6)
        cancelled, credited, both, withdrawn, again, never = orders
        self.cancel(never)
        sale = self.sync(self.make_sale((self.chair, 4)))
        settled = self.confirm(self.make_order((self.chair, 5)))
        paid = self.settle_orders(settled, quantity=3, own=[(self.lamp, 1)])
        self.run_sender()
        self.step("tracked")
        self.cancel(cancelled)
        self.credit(credited, 40.0)
        self.credit(both, 100.0)
        withdrawn_note = self.credit(withdrawn, 30.0)
        withdrawn_note.button_draft()
        self.cancel(again)
        self.confirm_again(again)
        self.take_back(sale)
        self.take_back(sale, 2, own=[(self.lamp, 1)])
        self.take_back(paid)
        self.step("given back")
        self.run_sender()
        self.step("sent")
        self.cancel(both, settled)
        self.credit(cancelled, 10.0)
        withdrawn_note.action_post()
        self.take_back(paid, 2)
        self.run_sender()
        self.step("the rest is given back")
        self.assertGolden("refunds")

    def test_refunds_in_trouble(self):
        self.site.sudo().track_refunds = True
        orders = self.confirm_many(5)
        lost, breaking, refused, wanted, waiting = orders
        self.run_sender()
        self.cancel(lost)
        self.matomo.faults = [lose] * 2
        self.run_sender()
        self.step("the answer is lost")
        with self.at("11:00:00"):
            self.run_sender()
            self.step("looked for, and found")
        self.matomo.breaks = lambda p: p.get("e_n") == breaking.name
        self.matomo.refuses = lambda p: p.get("e_n") == refused.name
        self.cancel(breaking, refused, wanted)
        for hour in (12, 13, 14):
            with self.at(f"{hour}:00:00"):
                self.run_sender()
                self.step(f"two that Matomo does not take, at {hour}:00")
        self.matomo.breaks = self.matomo.refuses = lambda p: False
        with self.at("15:00:00"):
            self.retrack(breaking + refused)
            self.run_sender()
            self.step("mended")
        self.cancel(waiting)
        self.matomo.faults = [lose] * 2
        with self.at("16:00:00"):
            self.run_sender()
            self.step("another answer is lost")
        self.matomo.may_read = False
        with self.at("18:00:00"):
            self.run_sender()
            self.step("the token may not read")
        self.matomo.may_read = True
        with self.at("21:00:00"):
            self.site.with_user(self.make_manager()).action_test_connection()
            self.run_sender()
            self.step("it may again")
        self.assertGolden("refunds_in_trouble")

    def test_refund_waits_for_its_order(self):
        self.site.sudo().track_refunds = True
        sale = self.sync(self.make_sale((self.chair, 2)))
        order = self.confirm(self.make_order((self.chair, 2)))
        self.matomo.faults = [FakeResponse(503)] * 2
        self.run_sender()
        self.take_back(sale)
        self.cancel(order)
        self.step("given back while Matomo is away")
        with self.at("11:00:00"):
            self.run_all()
            self.step("Matomo is back")
        with self.at("12:00:00"):
            self.run_all()
            self.step("later")
        self.assertGolden("refund_waits_for_its_order")

    # === EXCLUDED === #

    def test_excluded(self):
        self.company.sudo().matomo_site_id = False
        self.config.sudo().matomo_site_id = False
        website = (
            self.env["website"]
            .sudo()
            .create({"name": "Bare shop", "company_id": self.company.id})
        )
        desk = self.confirm(self.make_order())
        web = self.confirm(self.make_order(website_id=website.id))
        till = self.sync(self.make_sale())
        self.step("no site")
        self.company.sudo().matomo_site_id = self.site
        self.config.sudo().matomo_site_id = self.site
        self.site.sudo().date_start = "2026-03-03"
        with self.at("2026-03-02 10:00:00"):
            early = self.confirm(self.make_order())
            early_sale = self.sync(self.make_sale())
        returned = self.confirm(self.make_order((self.chair, -1)))
        off = self.confirm(self.make_order(self.line(self.chair, 1, -20.0)))
        mixed = self.confirm(
            self.make_order((self.chair, -1), self.line(self.lamp, 1, -2.0))
        )
        self.step("early, and returns")
        self.run_all()
        self.step("run")
        self.site.sudo().date_start = "2026-03-01"
        website.matomo_site_id = self.site
        for orders in (desk + web + early, till + early_sale, returned + off + mixed):
            self.retrack(orders)
        self.retrack(off)
        self.run_all()
        self.step("retracked")
        self.confirm(self.make_order(name="CANCELLED"))
        gone = self.confirm(self.make_order(name="AGAIN"))
        self.cancel(gone)
        self.run_sender()
        self.step("cancelled before it is sent")
        self.retrack(gone)
        self.confirm_again(gone)
        self.run_sender()
        self.step("confirmed again")
        self.assertGolden("excluded")

    # === RETRACKS AND THE SWEEP === #

    def test_retracks(self):
        quotation = self.make_order()
        verified, sent, missing, failed, there, mended = self.confirm_many(6)
        self.matomo.refuses = lambda p: (
            p.get("ec_id") in (failed.name, there.name, mended.name)
        )
        self.run_sender()
        self.matomo.refuses = lambda p: False
        self.run_verifier()
        waiting = self.confirm(self.make_order())
        self.step("one of each")
        for order in (quotation, verified, sent, waiting):
            self.retrack(order)
        self.step("retracked")
        payload = self.get_request(there).payload
        self.matomo.orders["1", there.name.casefold()] = payload
        del self.matomo.orders["1", missing.name.casefold()]
        mended.order_line.product_uom_qty = 2
        self.retrack(failed)
        self.retrack(verified + sent + missing + there + mended)
        self.run_cron("ir_cron_verify")
        self.step("verified")
        self.run_sender()
        self.step("sent")
        self.company.sudo().matomo_site_id = self.site.sudo().copy(
            {"name": "Other", "idsite": 2, "token_auth": TOKEN}
        )
        late = self.confirm(self.make_order())
        self.matomo.refuses = lambda p: True
        self.run_sender()
        self.matomo.refuses = lambda p: False
        self.company.sudo().matomo_site_id = self.site
        self.retrack(late + sent)
        self.run_all()
        self.step("of another site")
        self.company.sudo().matomo_site_id = False
        self.retrack(self.confirm(self.make_order()) + waiting)
        self.step("of none")
        self.assertGolden("retracks")

    def test_retrack_of_many(self):
        orders = self.clone_orders(self.make_order(state="sale"), 101)
        self.end_transaction()
        for number, order in enumerate(orders):
            order.name = f"MANY-{number:03}"
        quotation, deleted = self.make_order(), self.make_order()
        self.retrack(orders + quotation + deleted)
        deleted.sudo().unlink()
        self.step("queued")
        self.run_cron("ir_cron_retrack")
        self.confirm(self.make_order(name="TODAY"))
        self.run_sender()
        self.step("looked at, and sent after today's")
        self.retrack(orders)
        self.run_cron("ir_cron_retrack")
        self.run_cron("ir_cron_verify")
        self.step("looked at again")
        self.assertGolden("retrack_of_many")

    def test_sweep(self):
        """The sweep finds orders that the rules missed, then the days are compared."""
        with self.at("2026-03-01 10:00:00"):
            seen = self.confirm_many(2)
            sale = self.sync(self.make_sale())
            self.run_sender()
        rules = self.env["base.automation"].sudo().search([])
        active = rules.filtered("active")
        active.active = False
        with self.at("2026-03-02 10:00:00"):
            orders = self.confirm_many(3)
            self.sync(self.make_sale((self.lamp, 4)))
        early = self.confirm(self.make_order())
        early.date_order = "2025-12-31"
        # Rules patch the models: a rollback alone would not bring them back.
        active.active = True
        self.plant(orders[0].name, cdt="2026-03-02 10:00:00")
        self.step("missed")
        self.run_cron("ir_cron_sweep")
        self.step("swept")
        self.run_sender()
        self.step("sent")
        del self.matomo.orders["1", seen[0].name.casefold()]
        self.cancel(seen[1])
        self.take_back(sale)
        with self.at("2026-03-04 03:00:00"):
            self.run_cron("ir_cron_sweep")
            self.step("the next night")
        self.assertGolden("sweep")

    # === THE VERIFIER === #

    def test_verifier(self):
        orders = self.confirm_many(6)
        orders.sudo().matomo_ip_address = "203.0.113.9"
        missing, dropped, foreign, others, taken, _good = orders
        self.matomo.drops = lambda p: p.get("ec_id") == dropped.name
        self.plant(taken.name)
        self.run_sender()
        self.step("sent")
        del self.matomo.orders["1", missing.name.casefold()]
        self.plant(foreign.name)
        self.recorded(others).update(ec_tx="1.00", ec_sh="2.00")
        for number in range(3):
            self.run_verifier()
            self.step(f"verified, round {number + 1}")
            self.run_sender()
            self.step(f"sent again, round {number + 1}")
        self.run_verifier()
        self.step("verified at last")
        self.assertGolden("verifier")

    def test_verifier_in_trouble(self):
        self.confirm_many(3)
        self.run_sender()
        self.matomo.faults = [requests.Timeout()] * 2
        self.run_verifier()
        self.step("too slow to be read")
        self.matomo.faults = [FakeResponse(500), FakeResponse(500)]
        with self.at("11:00:00"):
            self.run_verifier()
            self.step("broken")
        self.matomo.faults = [FakeResponse(200, b"<html>Maintenance</html>")]
        with self.at("12:00:00"):
            self.run_verifier()
            self.step("in maintenance")
        with self.at("16:00:00"):
            self.run_verifier()
            self.step("back")
        self.assertGolden("verifier_in_trouble")

    # === TROUBLE === #

    def test_lost_answers(self):
        self.confirm_many(3)
        self.matomo.faults = [requests.Timeout()] * 2
        self.run_sender()
        self.step("nothing arrives")
        self.run_sender()
        self.step("at once again")
        self.matomo.faults = [lose] * 2
        with self.at("11:00:00"):
            self.run_sender()
            self.step("it arrives, its answer does not")
        more = self.confirm_many(1)
        with self.at("12:00:00"):
            self.run_sender()
            self.step("looked for, and found")
        self.matomo.faults = [lose] * 2
        two = self.confirm_many(2)
        with self.at("13:00:00"):
            self.run_sender()
            self.cancel(two[0])
            self.step("another answer is lost, and one of them cancelled")
        self.matomo.faults = [requests.Timeout(), requests.Timeout()]
        with self.at("14:00:00"):
            self.run_sender()
            self.step("it cannot be read")
        with self.at("18:00:00"):
            self.run_all()
            self.step("it can")
            self.run_verifier()
            self.step("verified")
        self.retrack(more)
        self.assertGolden("lost_answers")

    def test_trouble_of_the_server(self):
        self.confirm_many(2)
        for hour, fault in enumerate(
            (
                FakeResponse(503, b"", {"Retry-After": "1800"}),
                FakeResponse(429, b"", {"Retry-After": "7200"}),
                FakeResponse(502, b"<html>"),
                FakeResponse(200, b"<html>Maintenance</html>"),
                FakeResponse(200, b'{"status":"succ'),
                FakeResponse(302, b"", {"Location": "https://evil.example.com"}),
                FakeResponse(204),
                FakeResponse(200, {"status": "success", "tracked": 0, "invalid": 0}),
            )
        ):
            self.matomo.faults = [fault] * 2
            with self.at(f"{10 + hour}:00:00"):
                self.run_sender()
                self.step(f"{fault.status_code} {fault.body.decode()}")
        self.matomo.faults = [FakeResponse(500), FakeResponse(500)]
        with self.at("20:00:00"):
            self.run_sender()
            self.step("500, and the probe, too")
        with self.at("22:00:00"):
            self.run_sender()
            self.step("at last")
        self.assertGolden("trouble_of_the_server")

    def test_refused_and_poisonous(self):
        orders = self.confirm_many(6)
        refused = orders[1]
        sale = self.sync(self.make_sale())
        refs = (refused.name, sale.pos_reference)
        self.matomo.refuses = lambda p: p.get("ec_id") in refs
        self.run_sender()
        self.step("two of a bulk are refused")
        self.confirm_many(3)
        poison = self.confirm(self.make_order(name="POISON"))
        self.matomo.breaks = lambda p: p.get("ec_id") == poison.name
        for hour in (11, 12, 13):
            with self.at(f"{hour}:00:00"):
                self.run_sender()
                self.step(f"one breaks Matomo, at {hour}:00")
        self.matomo.refuses = self.matomo.breaks = lambda p: False
        with self.at("14:00:00"):
            self.retrack(refused + poison)
            self.retrack(sale)
            self.run_sender()
            self.step("mended")
        self.matomo.refuses = lambda p: True
        self.confirm_many(2)
        with self.at("15:00:00"):
            self.run_sender()
            self.step("all are refused, the token is right")
        self.assertGolden("refused_and_poisonous")

    def test_wrong_settings(self):
        self.make_manager()
        self.confirm_many(2)
        self.site.sudo().token_auth = "wrong"
        self.run_sender()
        self.step("a wrong token")
        with self.at("10:30:00"):
            self.run_sender()
            self.run_verifier()
            self.step("not tried again so soon")
        with self.at("11:30:00"):
            self.run_sender()
            self.step("tried again")
        self.site.sudo().token_auth = TOKEN
        with self.at("13:00:00"):
            self.run_sender()
            self.step("mended")
            self.site.sudo().token_auth = "wrong"
            self.run_verifier()
            self.step("wrong when it is read back")
        self.site.sudo().token_auth = False
        with self.at("15:00:00"):
            self.confirm_many(1)
            self.run_sender()
            self.step("no token")
        self.site.sudo().write({"token_auth": TOKEN, "idsite": 77})
        with self.at("17:00:00"):
            self.run_sender()
            self.step("a site that does not exist")
        self.site.sudo().idsite = 1
        with self.at("19:00:00"):
            self.run_sender()
            self.step("mended again")
        self.assertGolden("wrong_settings")

    def test_unreadable(self):
        """The token can send orders and cannot read reports."""
        self.matomo.may_read = False
        orders = self.confirm_many(4)
        self.plant(orders[0].name)
        self.run_sender()
        self.step("one of four is refused")
        self.run_verifier()
        self.step("read back in vain")
        poison, _one, _two = self.confirm_many(3)
        self.matomo.breaks = lambda p: p.get("ec_id") == poison.name
        self.run_sender()
        self.step("one breaks Matomo")
        self.matomo.breaks = lambda p: False
        more = self.confirm_many(1)
        self.matomo.faults = [lose] * 2
        with self.at("12:00:00"):
            self.run_sender()
            self.step("an answer is lost")
        with self.at("14:00:00"):
            self.run_sender()
            self.step("sent again")
            self.retrack(more + poison + orders[0])
            self.run_sender()
            self.step("retracked")
        self.assertGolden("unreadable")

    def test_anonymised_order_ids(self):
        self.matomo.anonymises = True
        self.confirm_many(3)
        self.run_sender()
        self.run_verifier()
        self.step("verified by their visitors")
        later = self.confirm_many(2)
        self.matomo.faults = [lose] * 2
        self.run_sender()
        with self.at("12:00:00"):
            self.run_sender()
            self.step("a lost answer is found")
            self.retrack(later)
            self.run_verifier()
            self.step("retracked")
        self.assertGolden("anonymised_order_ids")

    def test_older_than_raw_data(self):
        sent = self.confirm_many(1)
        self.run_sender()
        failed = self.confirm_many(1)
        self.matomo.refuses = lambda p: True
        self.run_sender()
        self.matomo.refuses = lambda p: False
        self.company.sudo().matomo_site_id = False
        excluded = self.confirm_many(1)
        self.company.sudo().matomo_site_id = self.site
        lost = self.confirm_many(1)
        self.matomo.faults = [lose] * 2
        self.run_sender()
        waiting = self.confirm_many(1)
        unseen = self.clone_orders(self.make_order(state="sale"), 1)
        self.end_transaction()
        unseen.name = "UNSEEN"
        self.step("sold")
        with self.at("2026-12-03 10:00:00"):
            for order in (sent, failed, excluded, lost, waiting, unseen):
                self.retrack(order)
            self.run_cron("ir_cron_verify")
            self.run_verifier()
            self.step("read back nine months later")
            self.run_sender()
            self.step("sent nine months later")
        self.assertGolden("older_than_raw_data")


class FakeMeasure:
    """A stand-in for a real Matomo with a site of its own."""

    idsites = {"USD": 1, "EUR": 2}

    def __init__(self, currency):
        self.idsite = self.idsites[currency]

    def receive_from(self, site, **values):
        site.sudo().write({"idsite": self.idsite, "token_auth": TOKEN, **values})


@tagged("post_install", "-at_install")
class TestGoldenMixture(GoldenCommon, test_real_totals.TestRealTotals):
    """The 310 orders of two companies that are compared with a real Matomo."""

    # That comparison is the other test's.
    test_every_day_every_site_every_product = None

    def startPatch(self, matomo):
        matomo.sites["2"] = {"currency": "EUR"}
        MatomoCommon.startPatch(self, matomo)

    def setUp(self):
        self.patch(test_real_totals, "RealMatomo", FakeMeasure)
        super().setUp()

    def make_sales_order(self, *arguments):
        values = super().make_sales_order(*arguments)
        return {**values, "name": f"MIX-{next(self.numbers['SO']):03}"}

    def test_mixture(self):
        self.sell_everything()
        self.step("sold")
        self.run_sender()
        self.step("sent")
        self.run_verifier()
        self.step("verified")
        self.assertGolden("mixture")


@tagged("post_install", "-at_install")
class TestGoldenCarts(GoldenCommon, CheckoutCommon):
    """Shoppers fill carts, and buy or leave them."""

    def setUp(self):
        super().setUp()
        self.accept_cookies()
        self.run_matomo_js()

    def add(self, product, quantity=1, name="CART-1"):
        cart = super().add(product, quantity)
        if cart.name != name:
            cart.name = name
            self.end_transaction()
        return cart

    def test_carts(self):
        cart = self.add(self.chair, 2)
        self.step("added")
        self.run_sender()
        self.step("sent")
        self.update(cart.order_line, 3)
        self.add(self.lamp)
        self.update(cart.order_line[0], 5)
        self.step("changed quickly")
        self.run_sender()
        self.step("one update")
        self.open("/shop/cart")
        cart.partner_id = self.customer
        self.call("/shop/set_delivery_method", dm_id=self.post.id)
        self.run_sender()
        self.step("delivery")
        self.make_coupon("TENOFF", 10)
        self.open("/shop/pricelist?promo=TENOFF")
        self.run_sender()
        self.step("coupon")
        self.call("/shop/cart/clear")
        self.run_sender()
        self.step("emptied")
        self.assertGolden("carts")

    def test_cart_and_order(self):
        cart = self.add(self.chair)
        self.confirm(cart)
        self.run_sender()
        self.step("overtaken by its order")
        self.authenticate(None, None)
        self.accept_cookies()
        self.run_matomo_js(
            visitor="00000000000000ab",
            attribution=["Spring", "chairs", 1772500000, "https://example.com/"],
        )
        cart = self.add(self.lamp, 2, name="CART-2")
        self.run_sender()
        self.step("a cart with a campaign")
        with self.at("2026-03-05 10:00:00"):
            self.confirm(cart)
            self.run_sender()
            self.step("ordered in another visit")
            self.run_verifier()
            self.step("verified")
        self.assertGolden("cart_and_order")

    def test_whose_cart(self):
        self.opener.cookies.set("_pk_id.1.1fff", None)
        self.add(self.chair)
        self.run_sender()
        self.step("nobody's yet")
        self.run_matomo_js()
        self.open("/shop")
        self.run_sender()
        self.step("matomo.js has named the visitor")
        self.authenticate(None, None)
        self.add(self.lamp, name="CART-2")
        self.run_sender()
        self.step("no answer yet")
        self.answer_cookie_bar(False)
        self.open("/shop")
        self.run_sender()
        self.step("the answer is no")
        self.authenticate(None, None)
        self.add(self.lamp, 2, name="CART-3")
        with self.at("10:40:00"):
            self.run_sender()
            self.step("it does not wait for ever")
        self.authenticate(None, None)
        self.add(self.lamp, name="CART-4")
        self.call("/shop/cart/clear")
        with self.at("11:40:00"):
            self.run_sender()
            self.step("emptied before Matomo knew of it")
        self.site.sudo().track_carts = False
        self.authenticate(None, None)
        self.add(self.lamp, name="CART-5")
        self.step("switched off")
        self.assertGolden("whose_cart")

    def test_carts_in_trouble(self):
        self.add(self.chair)
        self.matomo.faults = [requests.Timeout()] * 2
        self.run_sender()
        self.step("a lost answer")
        self.matomo.faults = [FakeResponse(500)]
        with self.at("10:01:00"):
            self.run_sender()
            self.step("a second failure")
        self.add(self.lamp)
        self.run_sender()
        self.step("the next change")
        self.site.sudo().cart_timeout = 3
        self.matomo.refuses = lambda p: "ec_id" not in p
        self.add(self.chair)
        self.run_sender()
        self.step("refused")
        self.matomo.refuses = lambda p: False
        with self.at("10:02:00"):
            self.run_sender()
            self.step("sent again")
        self.add(self.lamp)
        self.site.sudo().token_auth = "wrong"
        self.run_sender()
        self.step("a wrong token")
        self.site.sudo().token_auth = TOKEN
        with self.at("12:00:00"):
            self.run_sender()
            self.step("mended")
        self.assertGolden("carts_in_trouble")
