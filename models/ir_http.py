import time

from odoo import models
from odoo.http import request

from odoo.addons.website_sale.models.website import CART_SESSION_CACHE_KEY

from ..outbox import schedule
from ..outbox.transactions import guarded
from ..tools import shopper

# A visit to these routes is registered even if it does not change the cart.
CHECKOUT_ROUTES = (
    "/shop/address",
    "/shop/cart",
    "/shop/checkout",
    "/shop/delivery",
    "/shop/express",
    "/shop/extra_info",
    "/shop/payment",
    "/shop/set_delivery",
)
# Key of the session: since when the visitor is unknown (seconds since 1970).
UNKNOWN_SINCE = "matomo_unknown_since"


class IrHttp(models.AbstractModel):
    """Every request of a shopper passes here, whichever route answers it."""

    _inherit = "ir.http"

    @classmethod
    def _dispatch(cls, endpoint):
        """Override of `base` to register the visit of a shopper.

        During the request ``request.matomo_carts`` gathers the carts that change
        (``sale.order._collect_matomo_carts``); after it, when the shop has done its
        work, they are queued and the shopper's metadata is stored.
        """
        if not (getattr(request, "website", None) and cls._is_matomo_shopper()):
            return super()._dispatch(endpoint)
        cart_before = request.session.get(CART_SESSION_CACHE_KEY)
        request.matomo_carts = set()
        response = super()._dispatch(endpoint)
        cart_id = request.session.get(CART_SESSION_CACHE_KEY)
        # Other carts that change are not this shopper's: payment providers call, too.
        own = {cart_before, cart_id} - {None, False}
        changed, request.matomo_carts = request.matomo_carts & own, None
        if cart_id and cart_id != cart_before:
            # A cart left behind is taken up again: by a link in an e-mail, at login.
            changed.add(cart_id)
        visited = set(changed)
        if UNKNOWN_SINCE in request.session or any(
            route.startswith(CHECKOUT_ROUTES) for route in endpoint.routing["routes"]
        ):
            visited |= {cart_id or cart_before} & own
        if visited:
            # sudo: a shopper has no right to their own cart.
            orders = request.env["sale.order"].sudo().browse(sorted(visited))
            cls._register_matomo_visit(orders, changed)
        return response

    @classmethod
    def _is_allowed_cookie(cls, cookie_type):
        """Override of `website`: a cookie that is not JSON allows nothing.

        `website` parses it for every page and fails on what a stranger put there.
        """
        try:
            return super()._is_allowed_cookie(cookie_type)
        except (ValueError, RecursionError):
            return False

    # === THE SHOPPER'S VISIT === #

    @classmethod
    def _is_matomo_shopper(cls):
        """Return whether a shopper makes this request and it may write.

        Employees and bots are not shoppers.
        """
        return bool(
            request.env.uid
            and not request.env.cr.readonly
            and not request.env.user._is_internal()
            and not cls.is_a_bot()
        )

    @classmethod
    def _register_matomo_visit(cls, orders, changed=()):
        """Store the visit of this request on open orders and queue changed carts.

        A sale is sacred: whatever fails here is logged, and the shopper does not
        notice.

        :param orders: the shopper's orders, in sudo; some may be gone or confirmed
        :param changed: ids of the carts that this request has changed
        :raise: only what Odoo must hear of, see ``guarded``
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
        """Store the visit on one order, as the order's Matomo site allows.

        :param http_request: a ``tools.shopper.HttpRequest``
        :param is_changed: whether this request has changed the cart
        """
        site = order._get_matomo_site()
        if not site.active:
            return
        visit = shopper.read_visit(http_request, site._get_shopper_policy())
        values = order._register_matomo_visit(site, visit, is_changed)
        if order.website_id:
            is_news = "matomo_consent_info" in values
            cls._follow_matomo_visitor(order, site, http_request, visit, is_news)

    @classmethod
    def _get_matomo_http_request(cls, env):
        """Return this request as plain values."""
        http = request.httprequest
        website = env["website"].get_current_website()
        is_answered = website.cookies_bar and shopper.is_cookie_bar_answered(
            request.cookies
        )
        return shopper.HttpRequest(
            headers=http.headers,
            cookies=request.cookies,
            time=time.time(),
            remote_addr=http.remote_addr,
            host=http.host,
            scheme=http.scheme,
            routing_type=request.dispatcher.routing_type,
            has_cookie_bar=bool(website.cookies_bar),
            clicked=bool(cls._is_allowed_cookie("optional")) if is_answered else None,
        )

    @classmethod
    def _follow_matomo_visitor(cls, order, site, http_request, visit, is_news):
        """Write matomo.js's visitor cookie if matomo.js has not done so in time.

        :param is_news: whether the shopper has just answered
        """
        session = request.session
        unknown_since, is_cookie_due = shopper.follow_visitor(
            http_request,
            visit.consent,
            session.get(UNKNOWN_SINCE),
            is_known=shopper.is_visitor_known(order.matomo_visitor_id, visit.consent),
            is_news=is_news,
            patience=schedule.VISITOR_PATIENCE,
        )
        if unknown_since is None:
            session.pop(UNKNOWN_SINCE, None)
        else:
            session[UNKNOWN_SINCE] = unknown_since
        if is_cookie_due:
            visitor_id = order._prepare_matomo_visitor(site).visitor_id
            # The cookie's type stays "required": the consent is checked above, and
            # the cookie bar must not stop what was allowed elsewhere.
            request.future_response.set_cookie(
                **shopper.prepare_visitor_cookie(http_request, site.idsite, visitor_id)
            )
