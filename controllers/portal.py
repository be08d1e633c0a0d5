from contextlib import suppress

from odoo.exceptions import AccessError, MissingError
from odoo.http import request, route

from odoo.addons.payment.controllers import portal as payment_portal
from odoo.addons.sale.controllers import portal as sale_portal

from ..outbox.transactions import caught


def register_visit(order):
    """Store the visit of a shopper who signs or pays a quotation in the portal.

    If it fails, the failure is logged and the shopper's request goes on.

    :param order: a ``sale.order`` that the shopper may open
    """
    with caught("The visit could not be registered on %s", order):
        ir_http = request.env["ir.http"]
        if ir_http._is_matomo_shopper():
            # sudo: a customer has no right to write their own quotation.
            ir_http._register_matomo_visit(order.sudo())


class CustomerPortal(sale_portal.CustomerPortal):
    @route()
    def portal_quote_accept(
        self, order_id, access_token=None, name=None, signature=None
    ):
        """Override of `sale` to register the visit: signing may confirm the order."""
        token = access_token or request.httprequest.args.get("access_token")
        # If the access is refused, the super() call below answers the shopper.
        with suppress(AccessError, MissingError):
            register_visit(self._document_check_access("sale.order", order_id, token))
        return super().portal_quote_accept(
            order_id, access_token=access_token, name=name, signature=signature
        )


class PaymentPortal(payment_portal.PaymentPortal):
    def _create_transaction(self, *args, **kwargs):
        """Override of `payment` to register the visit.

        A payment with a saved card may confirm the order at once. All callers check the
        access to the order first.
        """
        if order_id := kwargs.get("sale_order_id"):
            register_visit(request.env["sale.order"].browse(order_id))
        return super()._create_transaction(*args, **kwargs)
