from odoo import models
from odoo.http import request

from odoo.addons.website_sale.models.website import CART_SESSION_CACHE_KEY

from .matomo_site_shopper import UNKNOWN_SINCE

# On these a shopper is met even if they change nothing.
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


class IrHttp(models.AbstractModel):
    """Where a shopper's request passes, whatever it is answered by."""

    _inherit = "ir.http"

    @classmethod
    def _dispatch(cls, endpoint):
        """Override of `base` to follow a shopper's cart.

        During the request ``request.matomo_carts`` gathers the carts that change
        (``sale.order._note_matomo_carts``); after it, when the shop has done its
        work, they are queued and the shopper's metadata is stored.
        """
        if not (getattr(request, "website", None) and cls._is_matomo_shopper()):
            return super()._dispatch(endpoint)
        cart_before = request.session.get(CART_SESSION_CACHE_KEY)
        request.matomo_carts = set()
        response = super()._dispatch(endpoint)
        cart_id = request.session.get(CART_SESSION_CACHE_KEY)
        # What else changes is not this shopper's: a payment provider calls, too.
        own = {cart_before, cart_id} - {None, False}
        changed, request.matomo_carts = request.matomo_carts & own, None
        if cart_id and cart_id != cart_before:
            # A cart left behind is taken up again: by a link in an e-mail, at login.
            changed.add(cart_id)
        met = set(changed)
        if UNKNOWN_SINCE in request.session or any(
            route.startswith(CHECKOUT_ROUTES) for route in endpoint.routing["routes"]
        ):
            met |= {cart_id or cart_before} & own
        if met:
            # sudo: a shopper has no right to their own cart.
            orders = request.env["sale.order"].sudo().browse(sorted(met))
            orders._meet_matomo_shopper(changed)
        return response

    @classmethod
    def _is_allowed_cookie(cls, cookie_type):
        """Override of `website`: a cookie that is no JSON allows nothing.

        There it is parsed for every page, and whoever sent it gets an error.
        """
        try:
            return super()._is_allowed_cookie(cookie_type)
        except (ValueError, RecursionError):
            return False

    @classmethod
    def _is_matomo_shopper(cls):
        """Whether a shopper makes this request and something may be written.

        Who works for the shop and who is a robot is none.
        """
        return bool(
            request.env.uid
            and not request.env.cr.readonly
            and not request.env.user._is_internal()
            and not cls.is_a_bot()
        )
