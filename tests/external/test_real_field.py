from datetime import date, datetime, timedelta

from odoo.tests import tagged
from odoo.tools import mute_logger

from ...dev.chaos import field
from ...dev.chaos.stand_in import StandIn
from ...outbox import carts
from ...outbox.orders import get_secret_order_ref
from ..common import BROWSER, LOGGER, VISITOR
from ..common.real_matomo import yesterday
from ..common.real_orders import RealOrdersCommon

REFUSED = (403, 406, 400)
NAMES = "Oak Table", "Desk Lamp", "Wool Rug", "Tall Vase", "Garden Bench"


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealField(RealOrdersCommon):
    """A real Matomo behind what people report: each test is a kind of report."""

    def setUp(self):
        super().setUp()
        self.stand_in = StandIn(self.real.url, share=0)
        self.stand_in.start()
        self.addCleanup(self.stand_in.stop)
        # Nobody here waits longer than needed for a server that says nothing.
        self.real.receive_from(self.site, url=self.stand_in.url, order_timeout=2)
        self.stranger = field.Stranger(self.real.url, self.real.idsite)

    def play(self, *rules):
        """Switch these rules on, and all others off."""
        self.stand_in.rules = list(rules)

    def send(self, hours=1):
        """Run the sender every hour for some hours."""
        for hour in range(hours):
            with self.later(hours=hour):
                self.run_sender()

    def make_web_orders(self, *names, **values):
        """Return confirmed orders of a website, of this moment."""
        website = self.env["website"].sudo().create({"name": "Shop"})
        website.sudo().write(
            {"company_id": self.company.id, "matomo_site_id": self.site.id}
        )
        return self.confirm_many(*names, website_id=website.id, **values)

    def visit(self, order):
        """Return the row of the visit in which Matomo has recorded an order."""
        [row] = self.real.query(
            """
            SELECT visit.idvisit, HEX(visit.idvisitor) AS visitor,
                   HEX(visit.location_ip) AS ip
              FROM matomo_log_visit AS visit
              JOIN matomo_log_conversion AS bought USING (idvisit)
             WHERE bought.idsite = %s AND bought.idorder = %s
            """,
            self.real.idsite,
            self.get_request(order).order_ref,
        )
        return row

    # === PROXIES, FIREWALLS, LIMITS === #

    @mute_logger(LOGGER)
    def test_a_backlog_larger_than_the_proxy_allows(self):
        """After an outage the first bulk was too big, and was sent again for ever."""
        products = [(self.make_product(name, name.upper(), 20.0), 1) for name in NAMES]
        # The first backlog does not fit into one bulk either.
        self.site.sudo().batch_size = 15
        counts = {413: 18, 403: 6, 406: 6, 504: 6}
        for status, count in counts.items():
            with self.subTest(status=status):
                names = [f"LARGE-{status}-{n}" for n in range(count)]
                self.play(field.refuse(502))
                orders = self.confirm_many(*names, lines=products)
                self.run_sender()
                self.assertStates(orders, "pending")
                self.play(field.refuse_larger(3_000, status, status == 504))
                # What was learned from the status before is not known here.
                self.site.sudo().write({"next_attempt_date": False, "bulk_limit": 0})
                ruled = self.stand_in.ruled
                self.send(3)
                self.assertStates(orders, "sent")
                self.run_verifier()
                self.assertStates(orders, "verified")
                self.assertLessEqual(set(names), set(self.real.orders()))
                self.assertGreater(self.stand_in.ruled, ruled)
        self.assertEqual(len(self.real.orders()), sum(counts.values()))

    @mute_logger(LOGGER)
    def test_one_order_larger_than_the_proxy_allows(self):
        """It fails alone, and says why."""
        self.play(field.refuse_larger(2_000))
        good = self.confirm_many("SMALL-1", "SMALL-2")
        jacket = self.make_product("Jacket " * 60, "JACKET" * 40, 20.0)
        lamp = self.make_product("Lamp " * 60, "LAMP" * 60, 20.0)
        rug = self.make_product("Rug " * 60, "RUG" * 60, 20.0)
        vase = self.make_product("Vase " * 60, "VASE" * 60, 20.0)
        lines = [(each, 1) for each in (jacket, lamp, rug, vase)]
        large = self.confirm_many("LARGE-1", lines=lines)
        self.send(3)
        self.assertState(large, "failed", "413")
        self.assertAllThereOnce(good)

    @mute_logger(LOGGER)
    def test_a_backlog_that_takes_too_long(self):
        """PHP did not answer to many orders in time; they were sent again for ever."""
        orders = self.confirm_many(*(f"SLOW-{n}" for n in range(12)))
        self.play(field.answer_nothing_over(5))
        self.send(6)
        self.assertStates(orders, "sent")
        self.assertAllThereOnce(orders)

    @mute_logger(LOGGER)
    def test_an_order_whose_name_a_firewall_dislikes(self):
        """It can be sent before the firewall is there, and not be read back by name."""
        for status in REFUSED:
            with self.subTest(status=status):
                name = f"SELECT * FROM {status}"
                orders = self.confirm_many(
                    name, *(f"GOOD-{status}-{n}" for n in range(6))
                )
                self.play()
                self.send()
                self.play(field.refuse_phrase("select * from", status, True))
                late = self.confirm_many(f"{name} too")
                self.send(3)
                self.run_verifier()
                self.assertStates(orders, "verified")
                self.assertState(late, "failed", str(status))
                self.assertFalse(self.site.read_failure_count)
                self.assertTrue(self.site.can_read)

    @mute_logger(LOGGER)
    def test_a_product_that_a_firewall_dislikes(self):
        """One product's name stopped all orders of a shop."""
        poison = self.make_product("Union Select Denim Jacket", "JACKET", 60.0)
        for status in REFUSED:
            with self.subTest(status=status):
                self.play(field.refuse_phrase("union select", status))
                good = self.confirm_many(*(f"GOOD-{status}-{n}" for n in range(3)))
                bad = self.confirm_many(f"BAD-{status}", lines=[(poison, 1)])
                good += self.confirm_many(*(f"GOOD-{status}-{n}" for n in (3, 4, 5)))
                self.send(3)
                self.assertState(bad, "failed", f"HTTP status {status}")
                self.run_verifier()
                self.assertStates(good, "verified")
                self.assertEqual(self.site.state, "ok")
        self.assertEqual(len(self.real.orders()), 6 * len(REFUSED))

    @mute_logger(LOGGER)
    def test_a_refund_that_a_firewall_dislikes(self):
        self.site.sudo().track_refunds = True
        orders = self.confirm_many("REFUND-1", "REFUND-2")
        orders[0].sudo().matomo_user_agent = "Union Select/1.0"
        self.send()
        orders._action_cancel()
        self.end_transaction()
        self.play(field.refuse_phrase("union select"))
        self.send(3)
        refunds = orders.sudo().matomo_request_ids.filtered(
            lambda row: row.kind == "refund"
        )
        by_order = {row.order_ref: row for row in refunds}
        self.assertEqual(by_order["REFUND-2"].state, "sent")
        self.assertEqual(by_order["REFUND-1"].state, "failed")
        self.assertIn("HTTP status 403", by_order["REFUND-1"].reason)

    @mute_logger(LOGGER)
    def test_a_cart_that_a_firewall_dislikes(self):
        """It is given up, and other carts and orders go on."""
        poison = self.make_product("Union Select Denim Jacket", "JACKET", 60.0)
        orders = self.make_web_orders("CART-1")
        website = orders.website_id
        bad = self.make_order((poison, 1), website_id=website.id)
        good = self.make_order(website_id=website.id)
        for cart, visitor_id in ((bad, VISITOR), (good, "f" * 16)):
            cart.sudo().matomo_visitor_id = visitor_id
            carts.queue(cart.sudo(), self.site.sudo(), True)
        self.play(field.refuse_phrase("union select"))
        self.send(3)
        self.assertEqual(good.sudo().matomo_cart_update_ids.state, "sent")
        self.assertEqual(bad.sudo().matomo_cart_update_ids.state, "cancelled")
        self.assertEqual(self.site.state, "ok")
        self.assertAllThereOnce(orders)

    @mute_logger(LOGGER)
    def test_a_server_that_asks_for_a_pause(self):
        for status in (429, 503):
            with self.subTest(status=status):
                orders = self.confirm_many(f"PAUSE-{status}")
                self.play(field.refuse(status, retry_after=3600, times=1))
                self.site.sudo().next_attempt_date = False
                self.run_sender()
                self.assertStates(orders, "pending")
                with self.later(minutes=50):
                    self.run_sender()
                    self.assertStates(orders, "pending")
                with self.later(minutes=61):
                    self.run_sender()
                self.assertStates(orders, "sent")
        self.assertEqual(len(self.real.orders()), 2)

    # === WHAT IS MIXED INTO ANSWERS === #

    @mute_logger(LOGGER)
    def test_answers_with_other_text(self):
        kinds = {
            "PHP": field.show_php_messages(),
            "BOM": field.add_byte_order_mark(),
            "GZIP": field.compress(),
        }
        for name, rule in kinds.items():
            with self.subTest(name):
                self.play(rule)
                orders = self.confirm_many(f"{name}-1", f"{name}-2")
                self.send()
                self.assertStates(orders, "sent")
                self.run_verifier()
                self.assertStates(orders, "verified")
        self.assertEqual(len(self.real.orders()), 2 * len(kinds))

    def test_queued_tracking(self):
        """The plugin's GIF was no answer, and each order was sent for ever."""
        self.play(field.queue())
        answer = self.site.with_user(self.make_manager()).action_test_connection()
        self.assertEqual(answer["params"]["type"], "success", answer)
        orders = self.confirm_many("QUEUE-1", "QUEUE-2")
        self.send()
        self.assertStates(orders, "sent")
        self.assertAllThereOnce(orders)

    # === READING BACK === #

    @mute_logger(LOGGER)
    def test_a_hiccup_of_the_reports(self):
        """One error of the database ended reading back for ever."""
        orders = self.confirm_many("HICCUP-1", "HICCUP-2")
        self.send()
        self.play(field.break_reports(times=2))
        self.run_verifier()
        self.assertStates(orders, "sent")
        self.assertTrue(self.site.can_read)
        self.assertEqual(self.site.state, "warning")
        with self.later(hours=2):
            self.assertAllThereOnce(orders)
        self.assertEqual(self.site.state, "ok")

    @mute_logger(LOGGER)
    def test_reports_that_are_closed(self):
        """The reporting API behind a password: orders are sent all the same."""
        for status in (401, 403):
            with self.subTest(status=status):
                self.play(field.break_reports(status=status, content_type="html"))
                orders = self.confirm_many(f"CLOSED-{status}-1", f"CLOSED-{status}-2")
                self.send()
                self.run_verifier()
                self.assertStates(orders, "sent")
                self.play()
                # The token is asked again within a day.
                with self.later(hours=25):
                    self.run_verifier()
                self.assertStates(orders, "verified")
        self.assertEqual(len(self.real.orders()), 4)

    def test_visits_of_which_matomo_shows_the_first_actions(self):
        """Orders beyond them failed, although Matomo had them."""
        setting = "General.visitor_log_maximum_actions_per_visit"
        with self.real.configured(setting, 3):
            names = [f"CUT-{n}" for n in range(8)]
            orders = self.confirm_many(*names)
            orders.sudo().matomo_visitor_id = VISITOR
            self.send()
            self.assertAllThereOnce(orders)
            # The next ones join a visit whose other orders are verified by now.
            later = self.confirm_many("CUT-8", "CUT-9")
            later.sudo().matomo_visitor_id = VISITOR
            self.send()
            self.assertAllThereOnce(orders + later)
        visits = {self.visit(each)["idvisit"] for each in orders + later}
        self.assertEqual(len(visits), 1)

    def test_the_visits_log_is_off(self):
        """Orders were never verified, though a report shows them."""
        with self.real.configured("Live.disable_visitor_log", 1):
            orders = self.confirm_many("LOGLESS-1", "LOGLESS-2", "LOGLESS-3")
            self.send()
            self.assertAllThereOnce(orders)

    # === OTHERS IN THE SAME VISIT === #

    def test_another_browser_behind_the_same_address(self):
        """Matomo renames the visit; the order was taken for another's, and repeated."""
        shopper = {"cip": "203.0.113.9", "ua": BROWSER, "lang": "nl-be", "pdf": 1}
        page = {**shopper, "cookie": 1, "url": "https://shop.example.com/shop"}
        page["token_auth"] = self.real.token
        self.stranger.track(**page, _id=VISITOR)
        orders = self.make_web_orders("SHARED-1")
        orders.date_order = datetime.now()
        orders.sudo().write(
            {
                "matomo_visitor_id": VISITOR,
                "matomo_ip_address": shopper["cip"],
                "matomo_user_agent": BROWSER,
            }
        )
        self.send()
        self.assertEqual(self.visit(orders)["visitor"].lower(), VISITOR)
        self.stranger.track(**page, _id="b" * 16)
        self.assertEqual(self.visit(orders)["visitor"].lower(), "b" * 16)
        self.assertAllThereOnce(orders)

    def test_an_account_that_is_made_after_the_purchase(self):
        """The tag calls setUserId: Matomo renames the visitor of the order's visit."""
        page = {
            "cip": "203.0.113.9",
            "ua": BROWSER,
            "url": "https://shop.example.com/shop",
            "token_auth": self.real.token,
            "_id": VISITOR,
        }
        self.stranger.track(**page)
        orders = self.make_web_orders("SIGNED-UP-1")
        orders.date_order = datetime.now()
        orders.sudo().write(
            {
                "matomo_visitor_id": VISITOR,
                "matomo_ip_address": page["cip"],
                "matomo_user_agent": BROWSER,
            }
        )
        self.send()
        self.stranger.track(**page, uid="42")
        self.assertNotEqual(self.visit(orders)["visitor"].lower(), VISITOR)
        self.assertAllThereOnce(orders)

    # === EXCLUDED IN MATOMO === #

    @mute_logger(LOGGER)
    def test_what_the_site_excludes(self):
        """Orders and refunds arrive at the second try, without what is excluded."""
        self.real.call(
            "SitesManager.updateSite",
            idSite=str(self.real.idsite),
            excludedIps="203.0.113.*,198.51.100.7",
            excludedUserAgents="Unwanted",
            # Parameters are taken out of addresses, and referrers are ignored.
            excludedQueryParameters="ec_id,ec_items,idgoal,revenue,cid,cdt,e_c",
            excludedReferrers="https://partner.example.com",
            excludeUnknownUrls="1",
        )
        self.site.sudo().track_refunds = True
        shoppers = {
            "EXCLUDED-ADDRESS": {"matomo_ip_address": "203.0.113.9"},
            "EXCLUDED-BROWSER": {"matomo_user_agent": "Unwanted/1.0"},
            "EXCLUDED-REFERRER": {
                "matomo_attribution_info": {
                    "campaign": "spring",
                    "keyword": "",
                    "timestamp": 1763000000,
                    "referrer": "https://partner.example.com/page",
                }
            },
            "EXCLUDED-ALL": {
                "matomo_ip_address": "198.51.100.7",
                "matomo_user_agent": "Unwanted/2.0",
                "matomo_accept_language": "de-DE",
            },
            "EXCLUDED-NOTHING": {},
        }
        orders = self.confirm_many(*shoppers)
        for order in orders:
            order.sudo().write(shoppers[order.name])
        self.send()
        self.run_verifier()
        states = {order.name: order.matomo_state for order in orders}
        self.assertEqual(
            {name for name, state in states.items() if state == "pending"},
            {"EXCLUDED-ADDRESS", "EXCLUDED-BROWSER", "EXCLUDED-ALL"},
        )
        self.send()
        self.assertAllThereOnce(orders)
        orders._action_cancel()
        self.end_transaction()
        self.send()
        rows = self.real.call(
            "Events.getName",
            idSite=str(self.real.idsite),
            period="day",
            date=date.today().isoformat(),
        )
        self.assertEqual(
            {row["label"]: row["sum_event_value"] for row in rows},
            dict.fromkeys(shoppers, 115),
        )

    @mute_logger(LOGGER)
    def test_a_tag_of_the_shop_sends_the_order_first(self):
        """With another revenue it was taken for another's order, and repeated."""
        tax = self.tax.copy({"name": "21%", "amount": 21})
        table = self.make_product("Table", "TABLE", 100.0, taxes=tax)
        orders = self.make_web_orders("TAG-1", lines=[(table, 1)])
        orders.date_order = datetime.now()
        self.stranger.forge_order("TAG-1", 100)
        self.send()
        self.run_verifier()
        self.assertState(orders, "different", "JavaScript")
        for figure in ("100.00", "121.00"):
            self.assertIn(figure, orders.matomo_reason)
        self.assertEqual(list(self.real.orders()), ["TAG-1"])
        self.assertEqual(self.real.orders()["TAG-1"]["revenue"], 100)

    # === ERASED IN MATOMO === #

    @mute_logger(LOGGER)
    def test_a_visit_is_erased(self):
        """The order is sent once more, for nobody; erased again, it stays away."""
        orders = self.confirm_many("ERASED-1", "KEPT-1")
        orders[0].sudo().write(
            {
                "matomo_visitor_id": VISITOR,
                "matomo_ip_address": "203.0.113.9",
                "matomo_user_agent": BROWSER,
            }
        )
        self.send()
        self.assertAllThereOnce(orders)
        erased = orders[0]
        self.erase(erased)
        self.assertEqual(list(self.real.orders()), ["KEPT-1"])
        self.notice_and_send()
        self.assertAllThereOnce(orders)
        visit = self.visit(erased)
        self.assertNotEqual(visit["visitor"].lower(), VISITOR)
        self.assertFalse({"ua", "lang", "_rcn"} & set(self.get_request(erased).payload))
        self.assertEqual(int(visit["ip"], 16), 0)
        self.erase(erased)
        self.notice_and_send()
        self.assertState(erased, "failed", "lost it twice")
        self.assertEqual(list(self.real.orders()), ["KEPT-1"])
        self.notice_and_send()
        self.assertEqual(list(self.real.orders()), ["KEPT-1"])

    def erase(self, order):
        """Delete the visit of an order with Matomo's tools for that."""
        self.real.call(
            "PrivacyManager.deleteDataSubjects",
            **{
                "visits[0][idsite]": str(self.real.idsite),
                "visits[0][idvisit]": str(self.visit(order)["idvisit"]),
            },
        )

    def notice_and_send(self):
        """Compare the past days as every night; verify, and send what is missing."""
        self.run_cron("ir_cron_sweep")
        self.run_verifier()
        self.run_sender()

    # === A STRANGER === #

    @mute_logger(LOGGER)
    def test_somebody_forges_the_next_ids(self):
        """The sender went from one forged ID to the next and back, without end."""
        orders = self.confirm_many("S00093", "S00094")
        for ref in ("S00093", "S00093-2", "S00093-3"):
            self.stranger.forge_order(ref)
        # What is asked once of a new site is not counted.
        self.site.sudo().action_test_connection()
        before = sum(self.stand_in.seen.values())
        self.send(3)
        self.run_verifier()
        self.assertStates(orders, "verified")
        forged, other = orders
        ref = self.get_request(forged).order_ref
        self.assertRegex(ref, r"^S00093-[0-9a-f]{8}$")
        self.assertEqual(self.get_request(other).order_ref, "S00094")
        recorded = self.real.orders()
        self.assertEqual(len(recorded), 5)
        self.assertEqual(recorded[ref]["revenue"], 115)
        self.assertLessEqual(sum(self.stand_in.seen.values()) - before, 12)

    @mute_logger(LOGGER)
    def test_somebody_knows_even_the_secret_id(self):
        """It is said, and not tried for ever."""
        orders = self.confirm_many("S00095", "S00096")
        secret = get_secret_order_ref(self.get_request(orders[0]))["order_ref"]
        for ref in ("S00095", secret):
            self.stranger.forge_order(ref)
        self.send(3)
        self.assertState(orders[0], "failed", "other sales under the IDs")
        self.assertState(orders[1], "sent")
        before = sum(self.stand_in.seen.values())
        self.send(6)
        self.assertEqual(sum(self.stand_in.seen.values()), before)
        self.run_verifier()
        self.assertState(orders[1], "verified")

    @mute_logger(LOGGER)
    def test_somebody_adds_an_order_beyond_all_numbers(self):
        """No order of the site was verified any more, and no day compared."""
        orders = self.confirm_many("HUGE-1", "HUGE-2")
        orders[0].sudo().matomo_visitor_id = VISITOR
        self.send()
        noon = yesterday() + timedelta(minutes=1)
        for ref, revenue in (("HUGE-X", "1e16"), ("HUGE-Y", "1e300")):
            # A time of yesterday needs a token.
            self.stranger.forge_order(
                ref,
                revenue,
                _id=VISITOR,
                cdt=f"{noon:%Y-%m-%d %H:%M:%S}",
                token_auth=self.real.token,
            )
        self.run_verifier()
        self.assertStates(orders, "verified")
        self.run_cron("ir_cron_sweep")
        day = self.env["matomo.reconciliation"].search(
            [("site_id", "=", self.site.id), ("day", "=", noon.date())]
        )
        self.assertEqual(day.odoo_order_count, 2)
        self.assertIn("HUGE-X", day.cause_ids.mapped("name"))
        before = self.env["matomo.reconciliation"].search_count(
            [("site_id", "=", self.site.id), ("state", "=", "equal")]
        )
        self.assertGreater(before, 20)

    @mute_logger(LOGGER)
    def test_an_order_of_the_last_day_of_all(self):
        """A date that no day can follow ended reading back."""
        orders = self.confirm_many("LAST-1", "LAST-2")
        orders[0].date_order = datetime(9999, 12, 31)
        self.send()
        self.assertStates(orders, "sent")
        self.assertAllThereOnce(orders)
        self.run_cron("ir_cron_sweep")
        days = self.env["matomo.reconciliation"].search(
            [("site_id", "=", self.site.id)]
        )
        self.assertIn(yesterday().date(), days.mapped("day"))
        self.assertLess(max(days.mapped("day")), date.today())
