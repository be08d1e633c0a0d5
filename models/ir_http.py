import logging
import time
from dataclasses import replace
from functools import lru_cache

from odoo import models
from odoo.http import request
from odoo.tools import config

from odoo.addons.website_sale.models.website import CART_SESSION_CACHE_KEY

from ..outbox import schedule
from ..outbox.transactions import caught, guarded
from ..tools import proxies, shopper
from .sale_order import USED_LIMIT

_logger = logging.getLogger(__name__)

# A request to these routes registers the visit even if it does not change the cart.
CART_ROUTE = "/shop/cart"
# Only a person who buys comes here.
CHECKOUT_ROUTES = (
    "/shop/address",
    "/shop/checkout",
    "/shop/delivery",
    "/shop/express",
    "/shop/extra_info",
    "/shop/payment",
    "/shop/set_delivery",
)
# Keys of the session that name orders of the shopper: the cart, and those of
# `website_sale` on its way to the confirmation page.
LAST_ORDER = "sale_last_order_id"
LAST_TRANSACTION = "__website_sale_last_tx_id"
# Key of the session: for which orders and login the shopper's no was carried out.
REFUSED = "matomo_refused"
# Key of the session: since when the shopper's visitor is unknown (seconds since 1970).
UNKNOWN_SINCE = "matomo_unknown_since"
# Key of the session: where the shopper came from, see ``tools.shopper.follow_arrival``.
ARRIVAL = "matomo_arrival"
# Key of the session: what the browser can show, see ``tools.shopper.read_features``.
FEATURES = "matomo_browser"


class IrHttp(models.AbstractModel):
    """Register the visits of shoppers, whichever route answers their requests."""

    _inherit = "ir.http"

    @classmethod
    def _dispatch(cls, endpoint):
        """Override of `base` to register the visit of a shopper.

        If something of ours fails, the failure is logged and the request goes on.
        """
        with caught("The visit of a shopper could not be followed"):
            cls._begin_matomo_visit()
        response = super()._dispatch(endpoint)
        with caught("The visit of a shopper could not be registered"):
            cls._end_matomo_visit(endpoint)
        return response

    @classmethod
    def _post_dispatch(cls, response):
        """Override of `base` to follow a shopper who says no, on whichever page.

        Pages that website designers make do not come through ``_dispatch``. It also
        remembers where a shopper who agrees came from. If something of ours fails, the
        failure is logged and the page goes on.
        """
        with caught("The request of a shopper could not be followed"):
            cls._follow_matomo_request()
        return super()._post_dispatch(response)

    @classmethod
    def _is_allowed_cookie(cls, cookie_type):
        """Override of `website` to take a broken cookie for "nothing is allowed".

        `website` reads this cookie as JSON for every page. Anybody can send a cookie
        that is not JSON, and every page would fail.
        """
        try:
            return super()._is_allowed_cookie(cookie_type)
        except (ValueError, RecursionError):
            return False

    # === THE SHOPPER'S VISIT === #

    @classmethod
    def _begin_matomo_visit(cls):
        """Collect the carts that this request changes, if a shopper makes it.

        During the request ``sale.order._collect_matomo_carts`` collects the IDs of
        changed carts in ``request.matomo_carts``.
        """
        request.matomo_carts = None
        if getattr(request, "website", None) and cls._is_matomo_shopper():
            request.matomo_cart_before = request.session.get(CART_SESSION_CACHE_KEY)
            request.matomo_carts = set()

    @classmethod
    def _end_matomo_visit(cls, endpoint):
        """Queue the carts that this request has changed, and register the visit."""
        if getattr(request, "matomo_carts", None) is None:
            return
        cart_before = request.matomo_cart_before
        cart_id = request.session.get(CART_SESSION_CACHE_KEY)
        # A request may change carts of other shoppers, for example if a payment
        # provider makes it. They are left out: this is not their shopper's visit.
        own = {cart_before, cart_id} - {None, False}
        changed, request.matomo_carts = request.matomo_carts & own, None
        if cart_id and cart_id != cart_before:
            # The shopper returns to an abandoned cart, by a link in an e-mail or by
            # logging in.
            changed.add(cart_id)
        routes = CHECKOUT_ROUTES
        if shopper.is_crawler(request.httprequest.headers):
            # A crawler makes no carts. In the checkout it is a person, whatever their
            # browser calls itself.
            changed = set()
        else:
            routes += (CART_ROUTE,)
        visited = set(changed)
        if UNKNOWN_SINCE in request.session or any(
            route.startswith(routes) for route in endpoint.routing["routes"]
        ):
            visited |= {cart_id or cart_before} & own
        if visited:
            # sudo: a shopper has no access right to their own cart.
            orders = request.env["sale.order"].sudo().browse(sorted(visited))
            cls._register_matomo_visit(orders, changed)

    @classmethod
    def _follow_matomo_request(cls):
        """Carry out a shopper's no, and remember where one who agrees came from."""
        if not getattr(request, "website", None):
            return
        if not cls._may_refuse_matomo():
            request.session.pop(REFUSED, None)
        else:
            if cls._is_matomo_shopper():
                cls._follow_matomo_refusal()
            cls._end_matomo_cookies()
        cls._keep_matomo_arrival()
        features = request.session.get(FEATURES)
        if features and shopper.is_visit_over(features, time.time()):
            del request.session[FEATURES]

    @classmethod
    def _is_matomo_shopper(cls):
        """Return whether a shopper makes this request, and it may write.

        Employees are not shoppers. A page that the browser fetches before it is asked
        for is no visit.
        """
        return bool(
            request.env.uid
            and not request.env.cr.readonly
            and not request.env.user._is_internal()
            and not shopper.is_prefetched(request.httprequest.headers)
        )

    @classmethod
    def _register_matomo_visit(cls, orders, changed=()):
        """Store the visit of this request on open orders, and queue changed carts.

        If this fails, the failure is logged and the shopper's request goes on.

        :param orders: the shopper's orders, in sudo; some may be deleted or confirmed
        :param changed: IDs of the carts that this request has changed
        :raise: only the errors that Odoo must get, see ``guarded``
        """
        message = "The visit could not be registered on %s"
        with guarded(orders.env.cr, message, orders):
            http_request = cls._get_matomo_http_request(orders.env)
            for order in orders._fetch_matomo_open_orders():
                cls._register_matomo_order_visit(
                    order, http_request, order.id in changed
                )

    @classmethod
    def _register_matomo_order_visit(cls, order, http_request, is_changed):
        """Store the visit on one order, as far as the settings of its site allow.

        :param order: an open order, in sudo
        :param http_request: a ``tools.shopper.HttpRequest``
        :param is_changed: whether this request has changed the cart
        """
        site = order._get_matomo_own_site()
        if not site.active:
            return
        website = order.env["website"].get_current_website()
        user_id = website._get_matomo_user_id(site)
        http_request = replace(http_request, user_id=user_id)
        policy = cls._get_matomo_policy(site)
        visit = shopper.read_visit(http_request, policy)
        values = order._register_matomo_visit(site, visit, is_changed)
        if order.website_id:
            is_news = "matomo_consent_info" in values
            cls._follow_matomo_visitor(order, policy, http_request, visit, is_news)
            if shopper.may_keep_arrival(visit.consent, policy):
                cls._set_matomo_arrival(shopper.continue_visit(http_request))
                cls._ask_for_matomo_hints(http_request)

    @classmethod
    def _get_matomo_policy(cls, site):
        """Return the ``tools.shopper.ShopperPolicy`` of a site on this website.

        :param site: a ``matomo.site``, in sudo
        """
        website = site.env["website"].get_current_website()
        has_own_tag = website.matomo_site_id == site and website._has_matomo_tag()
        return replace(site._get_shopper_policy(), has_own_tag=has_own_tag)

    @classmethod
    def _get_matomo_http_request(cls, env):
        """Return this request as a ``tools.shopper.HttpRequest``, without Odoo."""
        website = env["website"].get_current_website()
        is_answered = website.cookies_bar and shopper.is_cookie_bar_answered(
            request.cookies
        )
        return replace(
            cls._get_matomo_plain_request(),
            has_cookie_bar=bool(website.cookies_bar),
            clicked=bool(cls._is_allowed_cookie("optional")) if is_answered else None,
        )

    @classmethod
    def _get_matomo_plain_request(cls):
        """Return this request without the cookie bar, which costs no query."""
        http = request.httprequest
        return shopper.HttpRequest(
            headers=http.headers,
            cookies=request.cookies,
            time=time.time(),
            remote_addr=proxies.find_client_address(
                http.remote_addr,
                http.headers,
                _parse_proxies(config.get("matomo_trusted_proxies") or ""),
                config.get("matomo_client_address_header") or "",
            ),
            host=http.host,
            scheme=http.scheme,
            method=http.method,
            url=http.url,
            arrival=request.session.get(ARRIVAL) or {},
            features=request.session.get(FEATURES) or {},
            routing_type=request.dispatcher.routing_type,
        )

    @classmethod
    def _follow_matomo_visitor(cls, order, policy, http_request, visit, is_news):
        """Set the visitor cookie of matomo.js if matomo.js has not set it in time.

        :param order: the shopper's order, in sudo
        :param policy: the ``tools.shopper.ShopperPolicy`` of its site
        :param http_request: a ``tools.shopper.HttpRequest``
        :param visit: what ``tools.shopper.read_visit`` has read from it
        :param is_news: whether the shopper has just answered the question for consent
        """
        session = request.session
        unknown_since, is_cookie_due = shopper.follow_visitor(
            http_request,
            visit.consent,
            session.get(UNKNOWN_SINCE),
            is_known=shopper.is_visitor_known(order.matomo_visitor_id, visit.consent),
            is_news=is_news,
            may_set_cookie=policy.may_set_cookie,
            patience=schedule.VISITOR_PATIENCE,
        )
        if unknown_since is None:
            session.pop(UNKNOWN_SINCE, None)
        else:
            session[UNKNOWN_SINCE] = unknown_since
        if is_cookie_due:
            site = order._get_matomo_own_site()
            visitor_id = order._prepare_matomo_visitor(site).visitor_id
            # Odoo drops cookies of the type "optional" if the cookie bar was not
            # accepted. This one keeps the type "required": follow_visitor has checked
            # the consent, which may come from matomo.js instead of the cookie bar.
            request.future_response.set_cookie(
                **shopper.prepare_visitor_cookie(http_request, site.idsite, visitor_id)
            )

    # === WHERE THE SHOPPER COMES FROM === #

    @classmethod
    def _keep_matomo_shown_page(cls, body):
        """Remember where the shopper came from by a page that was prerendered.

        :param body: what the tag has sent
        """
        told = shopper.read_shown_page(cls._get_matomo_plain_request(), body)
        if told:
            cls._keep_matomo_arrival(told)

    @classmethod
    def _keep_matomo_arrival(cls, plain=None):
        """Remember where the shopper of this request came from, if they have agreed.

        If they agree no longer, it is forgotten. A page to which the shopper came from
        another page of the shop costs no query.

        :param plain: a ``tools.shopper.HttpRequest`` in place of this request
        """
        plain = plain or cls._get_matomo_plain_request()
        arrival = shopper.follow_arrival(plain)
        is_doubtful = plain.arrival and cls._may_refuse_matomo()
        if arrival == plain.arrival and not is_doubtful:
            return
        message = "It could not be kept where the shopper came from"
        with guarded(request.env.cr, message):
            # sudo: visitors may not read the Matomo site.
            site = request.website.sudo().matomo_site_id
            may_keep = False
            if site.active and request.env.uid and not request.env.user._is_internal():
                policy = cls._get_matomo_policy(site)
                http_request = cls._get_matomo_http_request(request.env)
                consent = shopper.read_consent(http_request, policy)
                may_keep = shopper.may_keep_arrival(consent, policy)
            cls._set_matomo_arrival(arrival if may_keep else {})
            if may_keep:
                cls._ask_for_matomo_hints(plain)

    @classmethod
    def _set_matomo_arrival(cls, arrival):
        """Write what ``tools.shopper.follow_arrival`` returns into the session."""
        if not arrival:
            request.session.pop(ARRIVAL, None)
        elif arrival != request.session.get(ARRIVAL):
            request.session[ARRIVAL] = dict(arrival)

    @classmethod
    def _ask_for_matomo_hints(cls, http_request):
        """Ask the browser of a shopper who has agreed what it is, for later requests.

        :param http_request: a ``tools.shopper.HttpRequest``
        """
        if shopper.lacks_hints(http_request):
            request.future_response.headers["Accept-CH"] = shopper.ACCEPT_CH

    # === BROWSERS WITHOUT COOKIES === #

    @classmethod
    def _keep_matomo_features(cls, body):
        """Keep in the session what the shopper's browser can show, for this visit.

        :param body: what the tag has sent
        """
        with guarded(request.env.cr, "The browser of a shopper could not be kept"):
            # sudo: visitors may not read the Matomo site.
            site = request.website.sudo().matomo_site_id
            if site.active and cls._is_matomo_shopper():
                http_request = cls._get_matomo_http_request(request.env)
                policy = site._get_shopper_policy()
                if features := shopper.read_features(http_request, policy, body):
                    request.session[FEATURES] = features

    # === A SHOPPER WHO SAYS NO === #

    @classmethod
    def _may_refuse_matomo(cls):
        """Return whether this request may say no; this costs nothing."""
        return shopper.may_refuse(request.httprequest.headers, request.cookies)

    @classmethod
    def _follow_matomo_refusal(cls):
        """Forget the shopper of this request if they say no, on all of their orders.

        These are the orders that the session names, and those of a customer who is
        logged in. This happens once for each of them: the session remembers it, and a
        page on which nothing has changed costs no query.

        If this fails, the failure is logged and the shopper's request goes on.

        :raise: only the errors that Odoo must get, see ``guarded``
        """
        session = request.session
        cart_id, order_id = session.get(CART_SESSION_CACHE_KEY), session.get(LAST_ORDER)
        transaction_id = session.get(LAST_TRANSACTION)
        traces = [session.uid, cart_id, order_id, transaction_id]
        if not any(traces) or session.get(REFUSED) == traces:
            return
        with guarded(request.env.cr, "The shopper's refusal could not be followed"):
            # sudo: a shopper has no access right to their own orders.
            env = request.env(su=True)
            transaction = env["payment.transaction"].browse(transaction_id or ())
            partner = request.env.user.partner_id.sudo() if session.uid else None
            orders = env["sale.order"]._fetch_matomo_used_orders(
                {cart_id, order_id, *transaction.exists().sale_order_ids.ids}
                - {None, False},
                partner,
                request.website.sudo(),
            )
            if partner and cls._is_matomo_refusal(request.website.sudo()):
                partner._object_to_matomo()
            if cls._withdraw_matomo_consent(orders) and len(orders) < USED_LIMIT:
                session[REFUSED] = traces

    @classmethod
    def _is_matomo_refusal(cls, website):
        """Return whether the shopper of this request has told the website no.

        What a browser sends to every website is no word to the shop's tills.
        """
        if not website.matomo_site_id:
            return False
        http_request = cls._get_matomo_http_request(website.env)
        policy = website.matomo_site_id._get_shopper_policy()
        consent = shopper.read_consent(http_request, replace(policy, respect_dnt=False))
        return consent.is_refusal

    @classmethod
    def _withdraw_matomo_consent(cls, orders):
        """Forget the shopper of these orders where this request is a refusal.

        :param orders: orders of the shopper of this request, in sudo
        :return: whether it is done for all of them
        """
        http_request = cls._get_matomo_http_request(orders.env)
        is_done = True
        for order in orders:
            if site := order._get_matomo_site():
                visit = shopper.read_visit(http_request, site._get_shopper_policy())
                if visit.consent.is_refusal:
                    is_done = order._withdraw_matomo_consent(visit) and is_done
        return is_done

    @classmethod
    def _end_matomo_cookies(cls):
        """End the cookies of matomo.js in the browser of a shopper who says no.

        matomo.js cannot do it if it is blocked, which is when the server has set them.
        What the browser can show is forgotten, too.
        """
        has_cookies = any(name.startswith("_pk_") for name in request.cookies)
        if not has_cookies and FEATURES not in request.session:
            return
        with guarded(request.env.cr, "Matomo's cookies could not be ended"):
            # sudo: visitors may not read the Matomo site.
            site = request.website.sudo().matomo_site_id
            if not site:
                return
            http_request = cls._get_matomo_http_request(request.env)
            policy = site._get_shopper_policy()
            if shopper.read_consent(http_request, policy).is_refusal:
                request.session.pop(FEATURES, None)
                for cookie in shopper.prepare_ended_cookies(http_request, site.idsite):
                    request.future_response.set_cookie(**cookie)


@lru_cache(maxsize=8)
def _parse_proxies(text):
    """Return the trusted proxies of Odoo's configuration file; complain only once."""
    networks, wrong = proxies.parse_networks(text)
    if wrong:
        _logger.warning(
            "matomo_trusted_proxies in the configuration file: these are no networks "
            "and are ignored: %s",
            " ".join(wrong),
        )
    return networks
