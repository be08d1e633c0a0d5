import logging

from odoo import api, fields, models
from odoo.http import request
from odoo.tools import format_datetime

from ..matomo_api.tracking import Cart
from .guard import NOT_TO_SWALLOW
from .matomo_order_mixin import USER_GROUP
from .matomo_order_privacy import SHOPPER_FIELDS, personal_index

_logger = logging.getLogger(__name__)

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
        """What was allowed, by what, and what was withheld; False: never met."""
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

    # === MEETING THE SHOPPER === #

    def _meet_matomo_shopper(self, changed=()):
        """Store who makes this request and queue the carts they changed.

        Called at the end of a shopper's own request, with sudo. A sale is sacred:
        whatever is wrong here, the shopper does not notice.

        :param changed: ids of the carts that changed
        """
        cr = self.env.cr
        # The request's own pending writes must not fail inside our guard.
        savepoint = cr.savepoint()
        try:
            with savepoint:
                for order in self._fetch_matomo_open_orders():
                    order._meet_matomo_shopper_now(order.id in changed)
        except NOT_TO_SWALLOW:
            # Odoo replays the whole request, this step included, or fails it.
            raise
        except Exception:
            if cr.closed:
                raise
            _logger.exception("The shopper of %s could not be stored for Matomo", self)

    def _fetch_matomo_open_orders(self):
        """Those of these orders that exist and are open, in one query."""
        return self.search_fetch(
            [("id", "in", self.ids), ("state", "in", OPEN_STATES)],
            ["website_id", "company_id", "matomo_consent_info", *SHOPPER_FIELDS],
        )

    def _meet_matomo_shopper_now(self, is_changed):
        self.ensure_one()
        site = self._get_matomo_site()
        if not site.active:
            return
        website = self.env["website"].get_current_website()
        consent = site._get_consent(website)
        values = self._prepare_matomo_shopper_values(site, consent)
        new = {name: value for name, value in values.items() if self[name] != value}
        if new:
            self.write(new)
        if not self.website_id:
            return
        # Where nobody was asked there is nothing to wait for.
        is_known = (
            bool(self.matomo_visitor_id)
            or consent.answer is False
            or consent.source == "not_asked"
        )
        site._follow_unknown(self, consent, is_known, "matomo_consent_info" in new)
        requests = self.env["matomo.request"]
        if site.track_carts and (
            is_changed or (new and is_known and requests._has_waiting_cart(self))
        ):
            requests._queue_cart(self, site, is_known)

    def _prepare_matomo_shopper_values(self, site, consent):
        """What is stored from now on."""
        receipt = self.matomo_consent_info or {}
        values = {}
        if (
            (consent.answer, consent.source)
            != (receipt.get("answer"), receipt.get("source"))
        ) and (consent.answer is not None or receipt.get("answer") is None):
            values["matomo_consent_info"] = {
                **consent._asdict(),
                "date": fields.Datetime.to_string(fields.Datetime.now()),
            }
        if consent.answer is False:
            values |= dict.fromkeys(SHOPPER_FIELDS, False)
        elif consent.answer:
            values |= self._choose_matomo_shopper(site._read_shopper())
        return values

    def _choose_matomo_shopper(self, current):
        """``current`` metadata, unless the order's shopper is known already.

        Who filled the cart stays its shopper, on whatever device it is paid. Their
        own later requests bring news: the visitor id, another campaign. An address
        that changes alone is none: browsers hop between two of them.
        """
        if not any(self[name] for name in SHOPPER_FIELDS):
            return current
        # Before the visitor has an id, only the browser tells one from another.
        proof = "matomo_visitor_id" if self.matomo_visitor_id else "matomo_user_agent"
        if self[proof] != current[proof] or not current["matomo_visitor_id"]:
            return {}
        if not current["matomo_attribution_info"]:
            current["matomo_attribution_info"] = self.matomo_attribution_info
        is_news = any(
            self[name] != current[name]
            for name in SHOPPER_FIELDS
            if name != "matomo_ip_address"
        )
        return current if is_news else {}

    # === CARTS === #

    @api.model_create_multi
    def create(self, vals_list):
        orders = super().create(vals_list)
        orders._note_matomo_carts()
        return orders

    def write(self, vals):
        if CART_FIELDS & vals.keys():
            self._note_matomo_carts()
        return super().write(vals)

    def _note_matomo_carts(self):
        """Remember within a shopper's request that these carts change.

        Nothing is read here. See ``ir.http._dispatch``; outside such a request
        nothing is remembered.
        """
        carts = getattr(request, "matomo_carts", None) if request else None
        if isinstance(carts, set):
            carts.update(self.ids)

    def _is_matomo_cart(self):
        """Whether this is still a cart, perhaps waiting for its payment."""
        return bool(self.website_id) and self.state in OPEN_STATES

    def _prepare_matomo_cart(self, site, time):
        """The cart as Matomo gets it."""
        amounts = self._prepare_matomo_amounts(site)
        items = tuple(merged.item for merged in amounts.items)
        return Cart(
            time=time,
            # What is left of an emptied cart, its delivery for one, is no revenue.
            revenue=amounts.revenue if items else amounts.revenue * 0,
            items=items,
        )
