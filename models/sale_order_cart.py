from odoo import api, fields, models
from odoo.http import request
from odoo.tools import format_datetime

from ..const import USER_GROUP
from ..matomo_api.tracking import Cart
from ..outbox import carts
from ..tools.shopper import is_visitor_known, merge_visit
from .matomo_order_privacy import SHOPPER_FIELDS, personal_index

# While it is one of these, an order is a cart or a quotation.
OPEN_STATES = ("draft", "sent")
# Writing one of these changes what a cart costs.
CART_FIELDS = {"fiscal_position_id", "partner_id", "pricelist_id"}


class SaleOrder(models.Model):
    """The shopper behind a web order, and their cart."""

    _inherit = "sale.order"

    matomo_consent_info = fields.Json(
        copy=False,
        readonly=True,
        prefetch=False,
        groups=USER_GROUP,
        help="What the shopper answered (true, false or null), where, and when.",
    )
    matomo_consent = fields.Text(
        string="Consent", compute="_compute_matomo_consent", groups=USER_GROUP
    )

    _matomo_personal_fields = (*SHOPPER_FIELDS, "matomo_consent_info")
    _matomo_personal_index = personal_index(*_matomo_personal_fields)

    # === THE RECEIPT === #

    @api.depends("matomo_consent_info", *SHOPPER_FIELDS)
    def _compute_matomo_consent(self):
        for order in self:
            order.matomo_consent = order._get_matomo_receipt()

    def _get_matomo_receipt(self):
        """Return what the shopper allowed and what was withheld, in sentences.

        :return: False if no visit has been registered
        """
        info = self.matomo_consent_info
        if not info:
            return False
        sources = {
            (True, "cookie_bar"): self.env._(
                "The shopper agreed in the website's cookie bar."
            ),
            (True, "matomo_cookie"): self.env._(
                "The shopper agreed by Matomo's own cookie."
            ),
            (True, "elsewhere"): self.env._(
                "The shopper's consent was obtained elsewhere."
            ),
            (False, "cookie_bar"): self.env._(
                "The shopper refused in the website's cookie bar."
            ),
            (False, "matomo_cookie"): self.env._(
                "The shopper refused by Matomo's own cookie."
            ),
            (False, "do_not_track"): self.env._(
                "The shopper's browser asks not to be tracked."
            ),
            (False, "never"): self.env._(
                "The Matomo site is set to store nothing of shoppers."
            ),
            (None, "not_answered"): self.env._(
                "The shopper left the cookie bar unanswered."
            ),
            (None, "not_asked"): self.env._(
                "The shopper was not asked: the website's cookie bar is off."
            ),
        }
        kept = [name for name in SHOPPER_FIELDS if self[name]]
        withheld = [name for name in SHOPPER_FIELDS if name not in kept]

        def labels(names):
            return ", ".join(
                self._fields[name]._description_string(self.env) for name in names
            )

        lines = [
            sources.get((info.get("answer"), info.get("source")), ""),
            self.env._("Last answer: %s.", format_datetime(self.env, info.get("date"))),
        ]
        if kept:
            lines.append(self.env._("Stored: %s.", labels(kept)))
        if not info.get("answer") and withheld:
            lines.append(self.env._("Withheld: %s.", labels(withheld)))
        elif withheld:
            lines.append(self.env._("Not known: %s.", labels(withheld)))
        return "\n".join(filter(None, lines))

    # === THE SHOPPER'S VISIT === #

    def _fetch_matomo_open_orders(self):
        """Return those of these orders that exist and are open, in one query."""
        return self.search_fetch(
            [("id", "in", self.ids), ("state", "in", OPEN_STATES)],
            ["website_id", "company_id", "matomo_consent_info", *SHOPPER_FIELDS],
        )

    def _register_matomo_visit(self, site, visit, is_changed):
        """Store a shopper's visit and queue an update of their cart.

        Nothing is written if the visit says nothing new.

        :param site: the order's ``matomo.site``
        :param visit: a ``tools.shopper.Visit``
        :param is_changed: whether the visit has changed the cart
        :return: the values that were written
        """
        self.ensure_one()
        stored = {name: self[name] for name in SHOPPER_FIELDS}
        values = merge_visit(stored, self.matomo_consent_info, visit)
        if values:
            self.write(values)
        if self.website_id and site.track_carts:
            is_known = is_visitor_known(self.matomo_visitor_id, visit.consent)
            if is_changed or (values and is_known and carts.has_waiting(self)):
                carts.queue(self, site, is_known)
        return values

    # === CARTS === #

    @api.model_create_multi
    def create(self, vals_list):
        """Override of `sale` to notice a new cart."""
        orders = super().create(vals_list)
        orders._collect_matomo_carts()
        return orders

    def write(self, vals):
        """Override of `sale` to notice a cart whose prices change."""
        if CART_FIELDS & vals.keys():
            self._collect_matomo_carts()
        return super().write(vals)

    def _collect_matomo_carts(self):
        """Remember until the end of a shopper's request that these carts change.

        Outside such a request, see ``ir.http._dispatch``, this does nothing. It
        reads no field.
        """
        carts = getattr(request, "matomo_carts", None) if request else None
        if isinstance(carts, set):
            carts.update(self.ids)

    def _is_matomo_cart(self):
        """Return whether this is still a cart, perhaps waiting for its payment."""
        return bool(self.website_id) and self.state in OPEN_STATES

    def _prepare_matomo_cart(self, site, time):
        """Return the cart as Matomo gets it.

        :param site: the ``matomo.site`` that gets it, in its currency
        :param time: when it changed (naive, UTC)
        """
        amounts = self._prepare_matomo_amounts(site)
        items = tuple(merged.item for merged in amounts.items)
        return Cart(
            time=time,
            # An emptied cart has no revenue, even if a delivery line is left.
            revenue=amounts.revenue if items else amounts.revenue * 0,
            items=items,
        )
