import json
import time
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch
from urllib.parse import parse_qsl

from odoo.tests import tagged
from odoo.tools import mute_logger

from ...matomo_api.tracking import get_visitor_id_of_user
from ...outbox import schedule
from ..common import arrive, open_page
from ..common.browser import CONSOLE
from ..common.real_matomo import RealMatomo
from ..common.real_shopper import (
    CAMPAIGN,
    MATOMO,
    PASSWORD,
    REFERRER,
    RealShopperCommon,
)


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserShopper(RealShopperCommon):
    """A shopper with a real Chromium, tracked in a real Matomo."""

    def assertOneVisit(self, order):
        """Assert that Matomo has one visitor, one visit, this order and no cart."""
        (visit,) = self.get_visits()
        (conversion,) = self.get_conversions()
        self.assertEqual((conversion["idgoal"], conversion["idorder"]), (0, order.name))
        self.assertEqual(conversion["idvisit"], visit["idvisit"])
        self.assertEqual(visit["visitor"].lower(), order.matomo_visitor_id)
        self.assertAlmostEqual(conversion["revenue"], order.amount_total, places=2)
        return visit, conversion

    def test_campaign_to_paid_order(self):
        self.make_coupon("TENOFF", 10)
        with self.browse() as page:
            open_page(page, CAMPAIGN, referer=REFERRER)
            self.answer_bar(page, accept=True)
            self.wait_for_matomo_js(page)
            self.put_into_cart(page, self.chair)
            self.put_into_cart(page, self.lamp)
            with self.between_pages():
                self.send()
            (cart,) = self.get_conversions()
            self.assertEqual((cart["idgoal"], cart["items"]), (-1, 2))
            open_page(page, "/shop/cart")
            page.click("a[aria-label='Add one']")
            page.wait_for_selector(".my_cart_quantity:visible:text-is('3')")
            open_page(page, "/shop/pricelist?promo=TENOFF")
            with self.between_pages():
                self.send()
            self.check_out(page, self.demo)
        order = self.get_cart()
        self.assertEqual(order.state, "sale")
        self.assertTrue(order.order_line.filtered("is_reward_line"))
        self.send()
        self.assertState(order, "verified")

        visit, conversion = self.assertOneVisit(order)
        self.assertGreaterEqual(visit["actions"], 8)
        self.assertEqual(conversion["items"], 3)
        self.assertEqual(conversion["referer_name"], "spring-sale")
        self.assertEqual(conversion["referer_keyword"], "chairs")
        self.assertEqual(order.matomo_attribution_info["campaign"], "spring-sale")
        self.assertFalse(order.matomo_notes)
        views = self.real.query(
            """
            SELECT product.name FROM matomo_log_link_visit_action AS view
              JOIN matomo_log_action AS product
                ON product.idaction = view.idaction_product_name
             WHERE view.idsite = %s ORDER BY view.server_time
            """,
            self.real.idsite,
        )
        self.assertEqual([view["name"] for view in views], ["Chair", "Lamp"])

    def test_private_window(self):
        """The guide's known issue: a cart changes before the visitor has an ID."""
        with self.browse() as page:
            self.put_into_cart(page, self.chair)
            with self.between_pages():
                self.send()
            self.assertFalse(self.get_conversions(), "a cart of nobody is not sent")
            open_page(page, "/shop")
            self.answer_bar(page, accept=True)
            self.wait_for_matomo_js(page)
            open_page(page, "/shop")
            with self.between_pages():
                self.send()
            (cart,) = self.get_conversions()
            self.assertEqual(cart["idgoal"], -1)
            self.check_out(page, self.demo)
        self.send()
        self.assertOneVisit(self.get_cart())

    def test_private_window_without_an_answer(self):
        with self.browse() as page:
            self.put_into_cart(page, self.chair)
            self.check_out(page, self.demo)
            self.assertFalse(self.get_cookies(page))
        self.assertAnonymousOrder(self.get_cart())

    def test_cookies_refused(self):
        with self.browse() as page:
            open_page(page, CAMPAIGN, referer=REFERRER)
            self.answer_bar(page, accept=False)
            self.put_into_cart(page, self.chair)
            self.check_out(page, self.demo)
            self.assertFalse(self.get_cookies(page))
        self.assertAnonymousOrder(self.get_cart())

    def assertAnonymousOrder(self, order):
        """Assert that Matomo has the order, and nobody has the shopper's data."""
        self.assertEqual(order.state, "sale")
        self.assertFalse(order.matomo_ip_address or order.matomo_user_agent)
        self.assertFalse(order.matomo_accept_language or order.matomo_client_hints)
        self.assertFalse(order.matomo_visitor_id or order.matomo_attribution_info)
        self.assertIn("Withheld", order.matomo_consent)
        self.send()
        self.assertState(order, "verified")
        (visit,) = self.get_visits()
        self.assertEqual(visit["ip"], "00000000")
        self.assertFalse(visit["referer_name"])
        (conversion,) = self.get_conversions()
        self.assertEqual(conversion["idorder"], order.name)
        self.assertAlmostEqual(conversion["revenue"], order.amount_total, places=2)
        self.assertFalse(conversion["referer_name"])

    def test_matomo_js_blocked(self):
        with (
            patch.object(schedule, "VISITOR_PATIENCE", timedelta()),
            self.browse() as page,
        ):
            # As an ad blocker does.
            page.route(MATOMO, lambda route: route.abort("blockedbyclient"))
            open_page(page, "/shop")
            self.answer_bar(page, accept=True)
            self.put_into_cart(page, self.chair)
            self.check_out(page, self.demo)
            [(name, value)] = self.get_cookies(page, "_pk_id.").items()
            visitor = value.partition(".")[0]
            # The ad blocker is switched off: the same visitor goes on.
            page.unroute(MATOMO)
            open_page(page, "/shop")
            page.wait_for_function("typeof window.Matomo === 'object'")
            open_page(page, "/shop/cart")
            self.assertEqual(list(self.get_cookies(page, "_pk_id.")), [name])
        order = self.get_cart()
        self.assertEqual(order.matomo_visitor_id, visitor)
        self.send()
        self.assertState(order, "verified")
        self.assertIn(order.name, self.real.orders())
        self.assertEqual(
            {visit["visitor"].lower() for visit in self.get_visits()}, {visitor}
        )

    def test_cart_left_behind_and_emptied(self):
        with self.browse() as page:
            open_page(page, "/shop")
            self.answer_bar(page, accept=True)
            self.wait_for_matomo_js(page)
            self.put_into_cart(page, self.chair)
            self.put_into_cart(page, self.lamp)
            with self.between_pages():
                self.send()
                cart = self.get_cart()
                url = self.get_carts(cart, "sent").tracking_url
                total = cart.amount_total
            self.assertEqual(url.count("XYZANONYMIZED"), 1)
            (abandoned,) = self.get_conversions()
            self.assertEqual((abandoned["idgoal"], abandoned["items"]), (-1, 2))
            self.assertAlmostEqual(abandoned["revenue"], total, places=2)
            (visit,) = self.get_visits()
            self.assertEqual(abandoned["idvisit"], visit["idvisit"])
            # The shopper comes back and empties it.
            open_page(page, "/shop/cart")
            for _product in self.products:
                lines = "document.querySelectorAll('.js_delete_product').length"
                before = page.evaluate(lines)
                page.click(".js_delete_product")
                page.wait_for_function(f"{lines} < {before}")
        self.send()
        (abandoned,) = self.get_conversions()
        self.assertEqual((abandoned["items"], abandoned["revenue"]), (0, 0))

    def test_log_in_half_way(self):
        user = self.make_user("half_way", "base.group_portal")
        user.sudo().password = "half-way-half-way"
        with self.browse() as page:
            open_page(page, CAMPAIGN)
            self.answer_bar(page, accept=True)
            self.wait_for_matomo_js(page)
            self.put_into_cart(page, self.chair)
            open_page(page, "/web/login?redirect=/shop/cart")
            page.fill("[name='login']", "half_way")
            page.fill("[name='password']", "half-way-half-way")
            page.click("form.oe_login_form button[type='submit']")
            arrive(page, "/shop/cart")
            self.put_into_cart(page, self.lamp)
        cart = self.get_cart()
        self.assertEqual(cart.partner_id, user.partner_id)
        self.run_sender()
        self.confirm(cart)
        self.run_sender()
        (order,) = self.get_conversions()
        (visit,) = self.get_visits()
        self.assertEqual(order["idvisit"], visit["idvisit"])
        self.assertEqual((order["idgoal"], order["items"]), (0, 2))

    def test_wire_transfer_confirmed_three_days_later(self):
        with self.browse() as page:
            open_page(page, CAMPAIGN, referer=REFERRER)
            self.answer_bar(page, accept=True)
            self.wait_for_matomo_js(page)
            self.put_into_cart(page, self.chair)
            self.check_out(page, self.wire)
        order = self.get_cart()
        self.assertEqual(order.state, "sent")
        self.send()
        self.assertFalse(self.get_request(order))
        self.go_back_in_time(order, days=3)
        self.confirm(order)
        self.send()
        self.assertState(order, "verified")
        self.assertIn("goes on counting the cart", order.matomo_notes)
        abandoned, conversion = self.get_conversions()
        self.assertEqual((abandoned["idgoal"], conversion["idgoal"]), (-1, 0))
        self.assertEqual(conversion["referer_name"], "spring-sale")
        self.assertEqual(conversion["server_time"].date(), order.date_order.date())
        self.assertEqual(
            {visit["visitor"].lower() for visit in self.get_visits()},
            {order.matomo_visitor_id},
        )

    def go_back_in_time(self, cart, days):
        """Move everything that was done until now some days into the past."""
        self.get_carts(cart).sudo().changed_date -= timedelta(days=days)
        cart.sudo().date_order -= timedelta(days=days)
        for table, names in {
            "visit": ("visit_first_action_time", "visit_last_action_time"),
            "link_visit_action": ("server_time",),
            "conversion": ("server_time",),
            "conversion_item": ("server_time",),
        }.items():
            for name in names:
                self.real.query(
                    f"UPDATE matomo_log_{table} SET {name} = {name}"
                    " - INTERVAL %s DAY WHERE idsite = %s",
                    days,
                    self.real.idsite,
                )

    # === ONE CUSTOMER === #

    def test_a_customer_is_one_visitor_on_all_devices(self):
        self.site.sudo().send_user_id = True
        user = self.make_user("nora", "base.group_portal")
        user.sudo().password = PASSWORD
        with self.browse() as page:
            open_page(page, CAMPAIGN, referer=REFERRER)
            self.answer_bar(page, accept=True)
            self.wait_for_matomo_js(page)
            self.log_in(page, "nora")
            self.put_into_cart(page, self.chair)
            with self.between_pages():
                self.send()
            (cart,) = self.get_conversions()
            self.assertEqual(cart["idgoal"], -1)
            self.check_out(page, self.demo)
        order = self.get_cart()
        self.send()
        self.assertState(order, "verified")
        # Page views from before the login, cart and order are one visit.
        (visit,) = self.get_visits()
        (conversion,) = self.get_conversions()
        self.assertEqual((conversion["idgoal"], conversion["idorder"]), (0, order.name))
        self.assertEqual(conversion["idvisit"], visit["idvisit"])
        self.assertEqual(conversion["referer_name"], "spring-sale")
        visitor = get_visitor_id_of_user(order.matomo_user_id)
        self.assertEqual(visit["visitor"].lower(), visitor)
        # A second device, which Matomo could not tell from a stranger's.
        with self.browse() as page:
            page.set_extra_http_headers({"Accept-Language": "fr"})
            open_page(page, "/shop")
            self.answer_bar(page, accept=True)
            self.log_in(page, "nora")
            self.put_into_cart(page, self.lamp)
        # A salesperson sells to the same customer.
        desk = self.confirm(self.make_order(partner_id=user.partner_id.id))
        self.send()
        self.assertState(desk, "verified")
        last = {each["idvisit"]: each for each in self.get_visits()}
        self.assertEqual(
            {
                last[each["idvisit"]]["visitor"].lower()
                for each in self.get_conversions()
            },
            {visitor},
        )
        users = self.real.query(
            "SELECT DISTINCT user_id FROM matomo_log_visit WHERE idsite = %s"
            " AND user_id IS NOT NULL",
            self.real.idsite,
        )
        self.assertEqual([each["user_id"] for each in users], [order.matomo_user_id])

    def test_matomo_names_the_visitor_of_a_login_as_we_do(self):
        user = self.make_user("o'neil&co@example.com", "base.group_portal")
        self.site.sudo().write({"send_user_id": True, "tag_user_id": "login"})
        order = self.confirm(self.make_order(partner_id=user.partner_id.id))
        self.send()
        self.assertState(order, "verified")
        (visit,) = self.get_visits()
        self.assertEqual(visit["visitor"].lower(), get_visitor_id_of_user(user.login))

    # === THE TAG === #

    @contextmanager
    def listen(self, page):
        """Yield the list of the requests to Matomo's tracker, as parameters."""
        heard = []

        def on_request(request):
            address, _, query = request.url.partition("?")
            if address.endswith("matomo.php"):
                heard.append(dict(parse_qsl(f"{query}&{request.post_data or ''}")))

        page.on("request", on_request)
        yield heard
        page.remove_listener("request", on_request)

    def wait_for(self, page, heard, name):
        """Wait for a request with a parameter of this name. Return its parameters."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for parameters in heard:
                if name in parameters:
                    heard.clear()
                    return parameters
            page.wait_for_timeout(20)
        self.fail(f"Matomo was sent no {name}")
        return None

    def test_a_consent_manager_lets_the_tag_run(self):
        """It pushes its answer into matomo.js's queue, and does not know the tag."""
        self.site.sudo().consent_policy = "matomo_cookie"
        with self.browse() as page, self.listen(page) as heard:
            open_page(page, "/shop")
            page.wait_for_timeout(500)
            self.assertFalse(page.evaluate("'Matomo' in window"))
            page.evaluate("_paq.push(['setCookieConsentGiven'], ['setConsentGiven'])")
            self.wait_for(page, heard, "url")
            self.wait_for_matomo_js(page)
            # The visitor ID is the answer on the next page.
            open_page(page, "/shop/cart")
            parameters = self.wait_for(page, heard, "url")
            self.assertEqual(parameters["action_name"], "Web shop cart")

    def test_without_cookies_the_tag_sets_none_and_tells_what_it_tells_matomo(self):
        self.site.sudo().consent_policy = "cookieless"
        with self.browse() as page, self.listen(page) as heard:
            with page.expect_response("**/matomo_order_tracking/browser") as told:
                open_page(page, "/shop")
            self.assertEqual(told.value.status, 204)
            flags = json.loads(told.value.request.post_data)
            self.assertIn("cookie", flags)
            tracked = self.wait_for(page, heard, "url")
            self.assertEqual(flags, {name: tracked[name] for name in flags})
            self.put_into_cart(page, self.chair)
            self.check_out(page, self.demo)
            self.assertFalse(self.get_cookies(page))
        order = self.get_cart()
        self.send()
        self.assertState(order, "verified")
        (visit,) = self.get_visits()
        (conversion,) = self.get_conversions()
        self.assertEqual(conversion["idvisit"], visit["idvisit"])

    def test_matomo_learns_no_secret_of_an_address(self):
        """The tag knew the names of four secrets, and Odoo's links have more."""
        shop = self.base_url()
        token = "0123456789abcdef0123456789abcdef"
        secrets = "access_token=Canary&pid=1&hash=Canary&hash_token=Canary&email=a@b.c"
        query = f"{secrets}&search=chair&utm_campaign=spring&gclid=abc"
        pages = {
            f"/shop?{query}#Canary": "/shop?search=chair&utm_campaign=spring&gclid=abc",
            f"/nowhere/{token}/page?tickets_digest=Canary": "/nowhere/-/page",
            "/shop?page=2&order=name": "/shop?page=2",
        }
        with self.browse() as page, self.listen(page) as heard:
            self.add_cookie("website_cookies_bar", '{"optional":true}')
            for path, told in pages.items():
                page.goto(path)
                self.assertEqual(self.wait_for(page, heard, "url")["url"], shop + told)
            # Where somebody came from: another website, a page of ours, a private one.
            for referrer, told in {
                "http://news.example.com/a?q=Canary#Canary": "http://news.example.com/a",
                f"{shop}/shop?{query}": f"{shop}{pages[f'/shop?{query}#Canary']}",
                f"{shop}/my/orders/1?access_token=Canary": None,
                f"{shop}/fr_BE/my/orders/1?access_token=Canary": None,
            }.items():
                page.goto("/shop", referer=referrer)
                parameters = self.wait_for(page, heard, "url")
                self.assertEqual(parameters.get("urlref"), told)

    def test_matomo_learns_no_secret_of_a_link(self):
        """matomo.js sent the whole address of a download, with its token."""
        shop = self.base_url()
        links = {
            f"{shop}/web/content/7/Guide.pdf?access_token=Canary#Canary": (
                "download",
                f"{shop}/web/content/7/Guide.pdf",
            ),
            f"{shop}/my/invoices/7.pdf?access_token=Canary": None,
            f"{shop}/shop?access_token=Canary": None,
            "mailto:canary@example.com": None,
            "https://pay.example.com/p/0123456789abcdef01?token=Canary&utm_source=a": (
                "link",
                "https://pay.example.com/p/-?utm_source=a",
            ),
        }
        with self.browse() as page, self.listen(page) as heard:
            self.add_cookie("website_cookies_bar", '{"optional":true}')
            open_page(page, "/shop")
            self.wait_for(page, heard, "url")
            for address, told in links.items():
                page.evaluate(
                    """address => {
                        const link = document.createElement("a");
                        link.href = address;
                        link.textContent = "link";
                        link.addEventListener("click", (ev) => ev.preventDefault());
                        document.body.append(link);
                        link.click();
                        link.remove();
                    }""",
                    address,
                )
                if told:
                    name, value = told
                    self.assertEqual(self.wait_for(page, heard, name)[name], value)
            page.wait_for_timeout(500)
            self.assertFalse(heard)

    def test_private_pages_are_not_tracked(self):
        paths = ("/web/login", "/my", "/survey/start/0123456789abcdef", "/r/abc")
        with self.browse() as page, self.listen(page) as heard:
            self.add_cookie("website_cookies_bar", '{"optional":true}')
            for path in paths:
                page.goto(path)
                page.wait_for_load_state("networkidle")
                self.assertFalse(page.evaluate("'_paq' in window"), path)
            self.assertFalse(heard)
            open_page(page, "/shop")
            self.wait_for(page, heard, "url")

    def test_a_refusal_ends_the_page_too(self):
        """The page on which a shopper refused went on without cookies."""
        with self.browse() as page, self.listen(page) as heard:
            self.add_cookie("website_cookies_bar", '{"optional":true}')
            open_page(page, "/shop")
            self.wait_for_matomo_js(page)
            self.wait_for(page, heard, "url")
            page.evaluate("document.dispatchEvent(new Event('optionalCookiesDenied'))")
            page.wait_for_function("!document.cookie.includes('_pk_id.')")
            page.evaluate("""() => {
                const link = document.createElement("a");
                link.href = "https://news.example.com/";
                link.addEventListener("click", (ev) => ev.preventDefault());
                document.body.append(link);
                link.click();
            }""")
            page.wait_for_timeout(500)
            self.assertFalse(heard)
            self.add_cookie("mtm_consent_removed", "1763000000000")
            open_page(page, "/shop")
            self.assertFalse(page.evaluate("'_paq' in window"))
            self.assertFalse(heard)

    def test_cookies_end_even_if_matomo_js_is_blocked(self):
        """Nobody ended the cookie that the server had set for matomo.js."""
        with (
            patch.object(schedule, "VISITOR_PATIENCE", timedelta()),
            self.browse() as page,
        ):
            page.route(MATOMO, lambda route: route.abort("blockedbyclient"))
            open_page(page, "/shop")
            self.answer_bar(page, accept=True)
            self.put_into_cart(page, self.chair)
            open_page(page, "/shop/cart")
            open_page(page, "/shop/cart")
            self.assertTrue(self.get_cookies(page))
            self.add_cookie("website_cookies_bar", '{"required":true,"optional":false}')
            open_page(page, "/shop")
            self.assertFalse(self.get_cookies(page))

    def test_content_security_policy(self):
        matomo = self.real.url.rstrip("/")
        policy = (
            f"default-src 'none'; style-src 'self'; script-src 'self' {matomo}; "
            f"connect-src 'self' {matomo}; img-src 'self' {matomo}"
        )
        http = self.env.registry["ir.http"]
        post_dispatch = http._post_dispatch.__func__

        def post_dispatch_with_policy(cls, response):
            post_dispatch(cls, response)
            response.headers["Content-Security-Policy"] = policy

        self.accept_cookies()
        with (
            # Odoo's own scripts complain, those that get that far.
            mute_logger(CONSOLE),
            patch.object(
                http, "_post_dispatch", classmethod(post_dispatch_with_policy)
            ),
            self.browse() as page,
        ):
            # Odoo's own inline code is forbidden, too: its scripts never get ready.
            self.add_cookie("website_cookies_bar", '{"optional":true}')
            page.goto(self.paths[self.chair])
            self.assertFalse(page.evaluate("'odoo' in window && 'csrf_token' in odoo"))
            self.wait_for_matomo_js(page)
            self.wait_for_page_views(1)

    def wait_for_page_views(self, count):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            views = sum(visit["actions"] for visit in self.get_visits())
            if views >= count:
                break
            time.sleep(0.05)
        self.assertEqual(views, count)

    def open_with_other_tag(self, idsite):
        """Open a page whose custom code contains Matomo's own snippet."""
        self.website.custom_code_footer = f"""<script>
            var _paq = window._paq = window._paq || [];
            _paq.push(["trackPageView"]);
            (function() {{
                _paq.push(["setTrackerUrl", "{self.real.url}matomo.php"]);
                _paq.push(["setSiteId", "{idsite}"]);
                var g = document.createElement("script");
                g.async = true;
                g.src = "{self.real.url}matomo.js";
                document.head.append(g);
            }})();
        </script>"""
        with self.browse() as page:
            self.add_cookie("website_cookies_bar", '{"optional":true}')
            open_page(page, self.paths[self.chair])
            page.wait_for_function(f"document.cookie.includes('_pk_id.{idsite}.')")
            self.wait_for_page_views(1)
            open_page(page, "/shop")
            self.wait_for_page_views(2)

    def test_the_tag_of_another_site(self):
        other = RealMatomo()
        self.open_with_other_tag(other.idsite)
        (visit,) = self.real.query(
            "SELECT visit_total_actions FROM matomo_log_visit WHERE idsite = %s",
            other.idsite,
        )
        self.assertEqual(visit["visit_total_actions"], 2)

    def test_the_tag_of_the_same_site(self):
        # Whoever put it into a page of theirs: the settings cannot see it.
        with patch.object(
            type(self.website), "_has_other_matomo_tag", lambda _s: False
        ):
            self.open_with_other_tag(self.real.idsite)
