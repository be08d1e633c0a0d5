# The table is printed for people to read. pylint: disable=print-used
# ruff: noqa: E501 - what is expected stands in one table.
import re
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import zip_longest
from unittest.mock import patch
from urllib.parse import urlsplit

from odoo import models
from odoo.tests import tagged
from odoo.tools import config

from ...outbox import schedule
from ..common import ADDRESS, BROWSER, open_page
from ..common.real_matomo import RealMatomo
from ..common.real_shopper import (
    CAMPAIGN,
    MATOMO,
    PASSWORD,
    REFERRER,
    RealShopperCommon,
)

# Each row is a shopper who comes by a campaign, puts a product into the cart, and buys.
# In Odoo:
#   consent    the answer (+ yes, - no, ? none) and where it was given
#   IP         whether the order has the shopper's own address
#   visitor    whether it has the ID of the browser's cookie, and the user ID
#   campaign   whether it has the campaign
# cookies      matomo.js's cookies in the browser, at the end
# In Matomo:
#   people, visits, carts   how many there are; carts that it takes for abandoned
#   pages      how many pages before the purchase are in the visit of the order
#   joined     whether that is the visit of the pages; "-": Matomo has seen no page
#   from       the campaign to which the order counts
#   order      its state in Odoo, after Matomo was read back
EXPECTED = """
cookie bar          | consent             | IP  | visitor    | campaign | cookies    | people | visits | pages | joined | from        | carts | order
accepts             | + cookie_bar        | yes | cookie     | yes      | id ref ses | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
refuses             | - cookie_bar        | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
accepts, refuses    | - cookie_bar        | -   | -          | -        | -          | 2      | 2      | 0     | no     | -           | 1     | verified
refuses, accepts    | + cookie_bar        | yes | cookie     | -        | id ses     | 1      | 1      | 1     | yes    | -           | 0     | verified
ad blocker          | + cookie_bar        | yes | cookie     | yes      | id         | 1      | 1      | 0     | -      | spring-sale | 0     | verified
no answer           | ? not_answered      | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
private window, GPC | - do_not_track      | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
two devices, login  | + cookie_bar        | yes | other user | yes      | id ses     | 2      | 2      | 2     | yes    | spring-sale | 0     | verified
Instagram           | + cookie_bar        | yes | cookie     | yes      | id ref ses | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
two proxies         | + cookie_bar        | yes | cookie     | yes      | id ref ses | 1      | 1      | 2     | yes    | spring-sale | 0     | verified

without cookies     | consent             | IP  | visitor    | campaign | cookies    | people | visits | pages | joined | from        | carts | order
accepts             | + cookieless        | yes | -          | -        | -          | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
refuses             | - cookie_bar        | -   | -          | -        | -          | 2      | 2      | 0     | no     | -           | 0     | verified
accepts, refuses    | - cookie_bar        | -   | -          | -        | -          | 2      | 2      | 0     | no     | -           | 1     | verified
refuses, accepts    | + cookieless        | yes | -          | -        | -          | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
ad blocker          | + cookieless        | yes | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
no answer           | + cookieless        | yes | -          | -        | -          | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
private window, GPC | - do_not_track      | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
two devices, login  | + cookieless        | yes | -          | -        | -          | 2      | 2      | 2     | yes    | -           | 1     | verified
Instagram           | + cookieless        | yes | -          | -        | -          | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
two proxies         | + cookieless        | yes | -          | -        | -          | 1      | 1      | 2     | yes    | spring-sale | 0     | verified

Matomo's cookie     | consent             | IP  | visitor    | campaign | cookies    | people | visits | pages | joined | from        | carts | order
accepts             | + visitor_cookie    | yes | cookie     | yes      | id ref ses | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
refuses             | ? no_visitor_cookie | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
accepts, refuses    | - matomo_cookie     | -   | -          | -        | -          | 2      | 2      | 0     | no     | -           | 1     | verified
refuses, accepts    | + visitor_cookie    | yes | cookie     | -        | id ses     | 1      | 1      | 1     | yes    | -           | 0     | verified
ad blocker          | ? no_visitor_cookie | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
private window, GPC | - do_not_track      | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
two devices, login  | + visitor_cookie    | yes | other user | yes      | id ses     | 2      | 2      | 2     | yes    | spring-sale | 0     | verified

the shop's own tag  | consent             | IP  | visitor    | campaign | cookies    | people | visits | pages | joined | from        | carts | order
accepts             | + visitor_cookie    | yes | cookie     | yes      | id ref ses | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
accepts, refuses    | + visitor_cookie    | yes | other      | yes      | -          | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
refuses, accepts    | + visitor_cookie    | yes | cookie     | -        | id ses     | 1      | 1      | 1     | yes    | -           | 0     | verified
two devices, login  | + visitor_cookie    | yes | other      | yes      | id ses     | 2      | 2      | 3     | yes    | spring-sale | 0     | verified

elsewhere           | consent             | IP  | visitor    | campaign | cookies    | people | visits | pages | joined | from        | carts | order
no answer           | + elsewhere         | yes | cookie     | yes      | id ref ses | 1      | 1      | 2     | yes    | spring-sale | 0     | verified
refuses             | - matomo_cookie     | -   | -          | -        | -          | 2      | 2      | 0     | no     | -           | 0     | verified
no answer, refuses  | - matomo_cookie     | -   | -          | -        | -          | 2      | 2      | 0     | no     | -           | 1     | verified
refuses, accepts    | + elsewhere         | yes | cookie     | -        | id ses     | 1      | 1      | 1     | yes    | spring-sale | 0     | verified
ad blocker          | + elsewhere         | yes | -          | yes      | -          | 1      | 1      | 0     | -      | spring-sale | 0     | verified
ad blocker, cookie  | + elsewhere         | yes | cookie     | yes      | id         | 1      | 1      | 0     | -      | spring-sale | 0     | verified
private window, GPC | - do_not_track      | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
two devices, login  | + elsewhere         | yes | other user | yes      | id ses     | 2      | 2      | 2     | yes    | spring-sale | 0     | verified

never               | consent             | IP  | visitor    | campaign | cookies    | people | visits | pages | joined | from        | carts | order
accepts             | - never             | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
refuses             | - cookie_bar        | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
private window, GPC | - do_not_track      | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
two devices, login  | - never             | -   | -          | -        | -          | 1      | 1      | 0     | -      | -           | 0     | verified
"""
# Not every shopper is there for each policy. Left out is who cannot differ:
#   an app and proxies     where a cookie names the visitor, they are read as with the
#                          cookie bar; where nothing is stored, not at all
#   no answer              the same as a no to a consent manager, which tells nobody
#                          of a first no, and as "accepts" where nobody is asked
#   the shop's own tag     without a yes there is none, as with the addon's
#   never                  there is no tag that could be blocked; a change of mind
#                          is its last answer
# With "elsewhere" who opts out and in again has a new visitor ID, and Odoo has forgotten
# the campaign. Matomo recognizes the browser and goes on with its own visit.
BLOCKS = [
    [[cell.strip() for cell in line.split("|")] for line in block.splitlines()]
    for block in EXPECTED.strip().split("\n\n")
]
# As its browser on an iPhone calls itself.
INSTAGRAM = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Mobile/15E148 Instagram 330.0.3.29.91 (iPhone14,3; iOS 17_5)"
)
# What nobody looks at, and Odoo's scripts of a page of the shop where nothing is clicked.
PICTURES = ["*/web/image/*", "*.woff2*", "*.ttf*"]
SCRIPTS = "*web.assets_frontend_lazy*"
LOGIN = "nora"
# Cookies that hold an answer: without them a shopper is asked again.
ANSWERS = re.compile("website_cookies_bar|mtm_consent_removed|manager_answer")
# Scripts that ask a shopper in place of Odoo's cookie bar; each is run on every page.
# A consent manager keeps the answer, and pushes it into the queue of matomo.js.
MANAGER = """
    const tell = (isYes) => (window._paq ??= []).push(
        [isYes ? "setConsentGiven" : "forgetConsentGiven"]
    );
"""
# Another one knows no matomo.js: it has the shop's own tag run, or deletes its cookies.
OWN_TAG = """
    const tell = (isYes) => {
        if (!isYes) {
            for (const each of document.cookie.split("; ")) {
                if (each.startsWith("_pk_")) {
                    document.cookie = `${each.split("=")[0]}=; path=/; max-age=0`;
                }
            }
            return;
        }
        (window._paq ??= []).push(
            ["setTrackerUrl", `${url}matomo.php`], ["setSiteId", idsite],
            ["trackPageView"]
        );
        const script = document.createElement("script");
        script.src = `${url}matomo.js`;
        const load = () => document.head.append(script);
        document.head ? load() : addEventListener("DOMContentLoaded", load);
    };
"""
ASKED = """
    const kept = document.cookie.match(/manager_answer=(true|false)/);
    window.answer = (isYes) => {
        document.cookie = `manager_answer=${isYes}; path=/`;
        tell(isYes);
    };
    if (kept) {
        tell(kept[1] === "true");
    }
"""
# The shop's page on privacy, which offers matomo.js's opt-out.
OPT_OUT = """
    window.answer = (isYes) => {
        if (isYes && !document.cookie.includes("mtm_consent_removed")) {
            // Nobody is asked.
            return;
        }
        (window._paq ??= []).push([isYes ? "forgetUserOptOut" : "optUserOut"]);
        if (!window.Matomo) {
            const script = document.createElement("script");
            script.src = `${url}matomo.js`;
            document.head.append(script);
        }
    };
"""
SHOPPER, EDGE = "203.0.113.9", "172.68.1.1"


@dataclass(frozen=True)
class Policy:
    """How a shop asks its shoppers.

    :ivar setting: the site's
    :ivar script: that asks; "": Odoo's cookie bar does
    :ivar has_tag: whether the addon's tag is on the pages
    """

    setting: str
    script: str = ""
    has_tag: bool = True


POLICIES = {
    "cookie bar": Policy("cookie_bar"),
    "without cookies": Policy("cookieless"),
    "Matomo's cookie": Policy("matomo_cookie", MANAGER + ASKED),
    "the shop's own tag": Policy("matomo_cookie", OWN_TAG + ASKED, has_tag=False),
    "elsewhere": Policy("elsewhere", OPT_OUT),
    "never": Policy("never"),
}


@dataclass(frozen=True)
class Situation:
    """A shopper, and how they shop.

    :ivar answers: to the question for consent; the second one follows after the cart
    :ivar headers: that the browser sends with each request
    :ivar sets_cookie: whether *Set the Visitor Cookie* is on
    """

    answers: tuple = (True,)
    headers: Mapping = field(default_factory=dict)
    user_agent: str = BROWSER
    is_blocked: bool = False
    has_login: bool = False
    sets_cookie: bool = False
    ip_address: str = "127.0.0.1"


SITUATIONS = {
    "accepts": Situation(),
    "refuses": Situation((False,)),
    "accepts, refuses": Situation((True, False)),
    "refuses, accepts": Situation((False, True)),
    "ad blocker": Situation(is_blocked=True),
    "ad blocker, cookie": Situation(is_blocked=True, sets_cookie=True),
    "no answer": Situation(()),
    "no answer, refuses": Situation((None, False)),
    # As Firefox's private windows, which say no whatever the shopper clicks.
    "private window, GPC": Situation(headers={"Sec-GPC": "1"}),
    "two devices, login": Situation(has_login=True),
    "Instagram": Situation(user_agent=INSTAGRAM),
    "two proxies": Situation(
        headers={"X-Forwarded-For": f"{SHOPPER}, {EDGE}"}, ip_address=SHOPPER
    ),
}
PROXIES = {"proxy_mode": True, "matomo_trusted_proxies": f"{EDGE}/32"}
# Matomo stands behind the same proxies.
MATOMO_PROXIES = {
    "General.proxy_client_headers": '["HTTP_X_FORWARDED_FOR"]',
    "General.proxy_ip_read_last_in_list": "0",
}


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserPolicies(RealShopperCommon):
    """What Odoo and Matomo have of a shopper, for each policy and each situation."""

    def test_what_odoo_and_matomo_have(self):
        found = self.describe_all(self.shop_all())
        print(self.draw(found))
        self.maxDiff = None
        self.assertEqual(
            [" | ".join(row) for row in found],
            [" | ".join(row) for block in BLOCKS for row in block],
        )

    def draw(self, rows):
        widths = [max(map(len, cells)) for cells in zip_longest(*rows, fillvalue="")]
        lines = [" | ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join(lines)

    # === SHOPPING === #

    def shop_all(self):
        """Let everybody buy. Return ``{(policy, situation): shopper}``."""
        for name, value in PROXIES.items():
            self.addCleanup(config._runtime_options.pop, name, None)
            config[name] = value
        # While a page is open, its requests have the cursor.
        self.ids = {
            "template": self.chair.product_tmpl_id.id,
            "product": self.chair.id,
            "provider": self.demo.id,
            "method": self.demo.payment_method_ids[:1].id,
        }
        self.browsers = {}
        self.make_user(LOGIN, "base.group_portal").sudo().password = PASSWORD
        with ExitStack() as stack:
            for setting, value in MATOMO_PROXIES.items():
                stack.enter_context(self.real.configured(setting, value))
            return {
                (policy, situation): self.shop(POLICIES[policy], SITUATIONS[situation])
                for (policy, *_header), *rows in BLOCKS
                for situation, *_expected in rows
            }

    def shop(self, policy, situation):
        """Let a shopper buy. Return the order, what Odoo has, and the Matomo."""
        self.set_up(policy, situation)
        first, *change = situation.answers or (None,)
        if situation.has_login:
            # On another device before, by which they came.
            with self.come(policy, situation) as page:
                self.land(page, CAMPAIGN, referer=REFERRER)
                self.answer(page, policy, first)
                self.log_in(page, LOGIN)
                self.put_quickly(page)
                with self.between_pages():
                    self.send_carts()
        headers = {"Accept-Language": "fr"} if situation.has_login else {}
        with self.come(policy, situation, **headers) as page:
            if situation.has_login:
                self.land(page, "/shop")
            else:
                self.land(page, CAMPAIGN, referer=REFERRER)
            self.answer(page, policy, first)
            if situation.has_login:
                self.log_in(page, LOGIN)
            # The tag has told what it tells.
            page.wait_for_load_state("networkidle")
            self.put_quickly(page)
            with self.between_pages():
                order = self.complete(self.get_cart())
                token = order.access_token
                self.send_carts()
            for is_yes in change:
                if policy.script != OPT_OUT:
                    page.context.clear_cookies(name=ANSWERS)
                self.land(page, "/shop/cart")
                self.answer(page, policy, is_yes)
                page.wait_for_load_state("networkidle")
            page.goto("/shop/payment", referer=f"{self.base_url()}/shop/cart")
            if change:
                page.wait_for_load_state("networkidle")
            self.pay_at_once(page, order.id, token)
            cookies = self.get_cookies(page)
        self.end_transaction()
        return order, self.describe_in_odoo(order, cookies, situation), self.real

    def set_up(self, policy, situation):
        """Let the shop have this policy, on a Matomo site of its own."""
        self.real = RealMatomo(currency=self.company.currency_id.name)
        # Whatever changed a site that is there would empty the caches of all pages.
        site = self.site.sudo().copy(
            {
                "consent_policy": policy.setting,
                "send_user_id": situation.has_login,
                "set_visitor_cookie": situation.sets_cookie,
                **self.real.get_values(),
            }
        )
        website = self.website.sudo()
        if website.cookies_bar == bool(policy.script):
            website.cookies_bar = not policy.script
        # The website's own method would do so, too.
        values = {"matomo_site_id": site.id, "matomo_tag": policy.has_tag}
        models.BaseModel.write(website, values)
        self.end_transaction()

    @contextmanager
    def come(self, policy, situation, **headers):
        headers = {**situation.headers, **headers}
        if "X-Forwarded-For" in headers:
            headers["X-Forwarded-Host"] = urlsplit(self.base_url()).netloc
        # The server need not wait for a matomo.js that never comes.
        patience = timedelta() if situation.is_blocked else schedule.VISITOR_PATIENCE
        with (
            patch.object(schedule, "VISITOR_PATIENCE", patience),
            self.browse(self.get_browser(situation.user_agent, headers)) as page,
        ):
            # Unlike a route of Playwright this leaves the browser its cache.
            self.devtools = page.context.new_cdp_session(page)
            self.devtools.send("Network.enable")
            self.block()
            if policy.script:
                where = f"const url = '{self.real.url}', idsite = {self.real.idsite};"
                page.add_init_script(
                    f"if (location.protocol === 'http:') {{ {where} {policy.script} }}"
                )
            if situation.is_blocked:
                page.route(MATOMO, lambda route: route.abort("blockedbyclient"))
            if "Sec-GPC" in headers:
                page.add_init_script(
                    "Object.defineProperty(navigator, 'globalPrivacyControl', "
                    "{value: true})"
                )
            yield page

    def get_browser(self, user_agent, headers):
        """Return a browser that knows nothing but the files of the shop.

        Odoo's style sheets and scripts take most of the time of a first page.
        """
        key = (user_agent, *sorted(headers.items()))
        if key not in self.browsers:
            self.browsers[key] = self.make_context(
                user_agent=user_agent, extra_http_headers=headers
            )
        browser = self.browsers[key]
        browser.clear_cookies()
        return browser

    def block(self, *more):
        """Let the page load no pictures, and nothing of these addresses, from now on."""
        self.devtools.send("Network.setBlockedURLs", {"urls": [*PICTURES, *more]})

    def complete(self, cart):
        """Enter what a shopper enters in the checkout. Return the cart."""
        if cart.partner_id == self.website.user_id.sudo().partner_id:
            cart.partner_id = self.env["res.partner"].create({**ADDRESS})
        cart.partner_id.sudo().write({**ADDRESS, "country_id": self.belgium.id})
        cart.sudo()._set_delivery_method(self.post)
        cart._portal_ensure_token()
        return cart

    def call_from(self, page, route, **parameters):
        """Call a JSON-RPC route as the scripts of the page do. Return the result."""
        answer = page.evaluate(
            """([route, params]) => fetch(route, {
                method: "POST",
                headers: {"Content-Type": "application/json"},
                body: JSON.stringify({jsonrpc: "2.0", method: "call", params}),
            }).then((answer) => answer.json())""",
            [route, parameters],
        )
        self.assertNotIn("error", answer)
        return answer.get("result")

    def answer(self, page, policy, is_yes):
        """Answer the question for consent; None: do not."""
        if is_yes is None:
            return
        if not policy.script:
            self.answer_bar(page, is_yes)
            return
        page.evaluate("(isYes) => window.answer(isYes)", is_yes)

    def land(self, page, path, **options):
        """Open a page with its scripts: something is to be clicked there."""
        self.block()
        open_page(page, path, **options)

    def put_quickly(self, page):
        """Put the product into the cart from its page, without the page's scripts."""
        self.block(SCRIPTS)
        # As by a link: the browser names the page before.
        page.goto(self.paths[self.chair], referer=page.url)
        self.call_from(
            page,
            "/shop/cart/add",
            product_template_id=self.ids["template"],
            product_id=self.ids["product"],
            quantity=1,
        )
        page.wait_for_load_state("networkidle")

    def pay_at_once(self, page, order_id, token):
        """Pay from the page of the payment, without its form, and come back."""
        values = self.call_from(
            page,
            f"/shop/payment/transaction/{order_id}",
            access_token=token,
            provider_id=self.ids["provider"],
            payment_method_id=self.ids["method"],
            token_id=None,
            flow="direct",
            tokenization_requested=False,
            landing_route="/shop/payment/validate",
        )
        self.call_from(
            page,
            "/payment/demo/simulate_payment",
            reference=values["reference"],
            payment_details="4242",
            simulated_state="done",
        )
        self.call_from(page, "/payment/status/poll")

    def send_carts(self):
        """Send what waits; orders of other shoppers, too."""
        self.end_transaction()
        self.run_sender()

    # === LOOKING === #

    def describe_all(self, shoppers):
        """Return the rows of the table, as lists of texts."""
        self.run_sender()
        orders = [order for order, *_found in shoppers.values()]
        # A scheduled action ends after ten seconds; a busy machine needs several.
        for _run in range(5):
            if any(order.matomo_state == "sent" for order in orders):
                self.run_verifier()
        rows = []
        for header, *expected in BLOCKS:
            policy = header[0]
            rows.append(header)
            for situation, *_expected in expected:
                order, in_odoo, self.real = shoppers[policy, situation]
                in_matomo = self.describe_in_matomo()
                rows.append([situation, *in_odoo, *in_matomo, order.matomo_state])
        return rows

    def describe_in_odoo(self, order, cookies, situation):
        """Return the cells of what Odoo has stored, and of the browser's cookies."""
        order = order.sudo()
        self.env.invalidate_all()
        receipt = order.matomo_consent_info or {}
        sign = {True: "+", False: "-", None: "?"}[receipt.get("answer")]
        address = order.matomo_ip_address
        visitor = order.matomo_visitor_id
        names = {name.split(".")[0]: value for name, value in cookies.items()}
        is_own = names.get("_pk_id", "").partition(".")[0] == visitor
        campaign = (order.matomo_attribution_info or {}).get("campaign")
        persons = [
            visitor and ("cookie" if is_own else "other"),
            order.matomo_user_id and "user",
        ]
        return [
            f"{sign} {receipt.get('source')}",
            "yes" if address == situation.ip_address else address or "-",
            " ".join(filter(None, persons)) or "-",
            "yes" if campaign == "spring-sale" else campaign or "-",
            " ".join(sorted(name.removeprefix("_pk_") for name in names)) or "-",
        ]

    def describe_in_matomo(self):
        """Return the cells of what Matomo has recorded."""
        visits = self.get_visits()
        conversions = self.get_conversions()
        (order,) = [each for each in conversions if each["idgoal"] == 0]
        carts = [each for each in conversions if each["idgoal"] == -1]
        pages = self.count_pages()
        own = pages.get(order["idvisit"], 0)
        joined = ("yes" if own else "no") if pages else "-"
        return [
            str(len({visit["visitor"] for visit in visits})),
            str(len(visits)),
            str(own),
            joined,
            order["referer_name"] or "-",
            str(len(carts)),
        ]

    def count_pages(self):
        """Return the pages before the purchase that Matomo saw: ``{visit: count}``."""
        rows = self.real.query(
            """
            SELECT view.idvisit, COUNT(DISTINCT page.name) AS pages
              FROM matomo_log_link_visit_action AS view
              JOIN matomo_log_action AS page ON page.idaction = view.idaction_url
             WHERE view.idsite = %s AND page.name LIKE %s
               AND page.name REGEXP '/shop([?]|$|/chair|/cart$)'
          GROUP BY view.idvisit
            """,
            self.real.idsite,
            f"{urlsplit(self.base_url()).netloc}/%",
        )
        return {row["idvisit"]: row["pages"] for row in rows}
