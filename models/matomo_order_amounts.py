import json
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from odoo import api, models
from odoo.tools import hmac

from ..matomo_api.items import (
    CENT,
    MAX_NAME_LENGTH,
    Item,
    Line,
    MergedItem,
    choose_categories,
    choose_sku,
    clean_text,
    merge_lines,
    round_cents,
)
from ..matomo_api.tracking import Attribution, Order, Visitor
from .matomo_site import to_decimal


@dataclass(frozen=True)
class Amounts:
    """An order's amounts in the Matomo site's currency.

    ``revenue = subtotal + tax + shipping - discount`` (DESIGN.md, invariant 5).
    """

    revenue: Decimal
    subtotal: Decimal
    tax: Decimal
    shipping: Decimal
    discount: Decimal
    items: list[MergedItem]
    left_out: list[str]
    # How far the subtotal may be from the items by rounding alone.
    tolerance: Decimal


class ComputedLine(NamedTuple):
    """What a line brings to its order, in the order's currency.

    ``line`` is None for what is no line of the order but part of its total.
    """

    line: models.BaseModel | None
    untaxed: float
    tax: float
    quantity: float

    def take(self, quantity, currency):
        """The part of this line that is ``quantity`` of it."""
        share = quantity / self.quantity if self.quantity else 0.0
        return self._replace(
            untaxed=currency.round(self.untaxed * share),
            tax=currency.round(self.tax * share),
            quantity=quantity,
        )


# So many items are named where they have changed.
NAMED = 5


class MatomoOrderMixin(models.AbstractModel):
    """From an order to what Matomo gets of it: amounts, items and the visitor.

    One piece of code for both kinds of orders; what differs between them are the
    hooks of the mixin.
    """

    _inherit = "matomo.order.mixin"

    def _prepare_matomo_order(self, ref, site):
        """The order as Matomo gets it.

        :return: tuple of the order and a list of sentences on what differs
        """
        self.ensure_one()
        amounts = self._prepare_matomo_amounts(site)
        order = Order(
            ref=ref,
            time=self.date_order,
            revenue=amounts.revenue,
            subtotal=amounts.subtotal,
            tax=amounts.tax,
            shipping=amounts.shipping,
            discount=amounts.discount,
            items=tuple(merged.item for merged in amounts.items),
        )
        return order, self._get_matomo_amount_notes(amounts)

    def _prepare_matomo_amounts(self, site):
        """The bought lines' amounts in the site's currency."""
        convert = self._get_matomo_converter(site)
        total = total_tax = total_shipping = total_discount = 0.0
        lines, left_out = [], []
        for line, untaxed, tax, quantity in self._compute_matomo_bought_lines():
            total += untaxed + tax
            total_tax += tax
            if not line:
                # An early-payment discount, for one: it is no line of the order.
                continue
            if self._is_matomo_delivery(line):
                total_shipping += untaxed
            elif self._is_matomo_discount(untaxed, tax):
                total_discount -= untaxed
            elif line.product_id:
                lines.append(
                    self._prepare_matomo_line(line, convert(untaxed), quantity, site)
                )
            else:
                left_out.append(line.name or "")
        revenue, tax = convert(total), convert(total_tax)
        shipping, discount = convert(total_shipping), convert(total_discount)
        return Amounts(
            revenue=revenue,
            tax=tax,
            shipping=shipping,
            discount=discount,
            subtotal=revenue - tax - shipping + discount,
            items=merge_lines(lines),
            left_out=left_out,
            tolerance=self._get_matomo_tolerance(site, len(lines)),
        )

    def _get_matomo_tolerance(self, site, line_count):
        """A cent, and half a cent a line, in the site's currency.

        Where the currency has no cents, these are its smallest coins.
        """
        coin = max(CENT, to_decimal(site.currency_id.rounding))
        return coin + coin / 2 * line_count

    def _is_matomo_discount(self, untaxed, tax):
        """Whether a line takes something off, by its amounts.

        A line that costs something is bought, even if a fixed tax within its price
        leaves less than nothing before tax.
        """
        compare = self.currency_id.compare_amounts
        return compare(untaxed, 0) < 0 and compare(untaxed + tax, 0) < 0

    def _compute_matomo_lines(self):
        """The amounts of all lines, in the order's currency.

        Odoo's own tax computation, rounding included, is split over the lines, so
        that any part of an order adds up with the rest of it.

        :return: list of ``ComputedLine``
        """
        base_lines = self._prepare_matomo_base_lines()
        AccountTax = self.env["account.tax"]
        AccountTax._add_tax_details_in_base_lines(base_lines, self.company_id)
        AccountTax._round_base_lines_tax_details(base_lines, self.company_id)
        line_model = self._matomo_lines()._name
        computed = []
        for base_line in base_lines:
            record, details = base_line["record"], base_line["tax_details"]
            untaxed = (
                details["total_excluded_currency"]
                + details["delta_total_excluded_currency"]
            )
            tax = sum(t["tax_amount_currency"] for t in details["taxes_data"])
            line = record if record._name == line_model else None
            quantity = line[self._matomo_quantity_field] if line else 0.0
            computed.append(ComputedLine(line, untaxed, tax, quantity))
        return computed

    def _compute_matomo_bought_lines(self):
        """Those of ``_compute_matomo_lines`` that are counted with this order."""
        return [
            computed
            for computed in self._compute_matomo_lines()
            if not computed.line
            or self._get_matomo_line_fate(computed.line) == "bought"
        ]

    def _get_matomo_converter(self, site):
        """A function from an amount of the order to cents of the site's currency."""

        def convert(amount):
            converted = self.currency_id._convert(
                amount, site.currency_id, self.company_id, self.date_order.date()
            )
            return round_cents(to_decimal(converted))

        return convert

    def _prepare_matomo_line(self, line, amount, quantity, site):
        """A bought line as an item, in the site's language."""
        product = line.product_id.with_context(lang=site.lang_id.code)
        sku = choose_sku(
            (product.default_code, product.barcode), f"product-{product.id}"
        )
        name = product.with_context(display_default_code=False).display_name
        unit = line.product_uom_id
        in_product_unit = unit._compute_quantity(quantity, product.uom_id, round=False)
        return Line(
            sku=sku,
            # Nothing may be left of a name of control characters.
            name=clean_text(name, MAX_NAME_LENGTH) or sku,
            categories=self._get_matomo_categories(product),
            amount=amount,
            quantity=Decimal(str(quantity)),
            unit=unit.id,
            product_quantity=Decimal(f"{in_product_unit:.6f}"),
        )

    @api.model
    def _get_matomo_categories(self, product):
        """Category names along the paths, the web shop's before the internal ones."""
        names = []
        for category in product.public_categ_ids:
            names += category.parents_and_self.mapped("name")
        category = product.categ_id
        path = category.browse(map(int, (category.parent_path or "").split("/")[:-1]))
        return choose_categories([*names, *path.mapped("name")])

    def _get_matomo_amount_notes(self, amounts):
        """Sentences on what Matomo's figures cannot say as the order does."""
        notes = [
            self.env._(
                "“%s” is left out of the items: its product no longer exists.", name
            )
            for name in amounts.left_out
        ]
        items_total = Decimal(0)
        for merged in amounts.items:
            item = merged.item
            items_total += merged.amount
            if merged.as_one:
                notes.append(
                    self.env._(
                        "%(product)s: Matomo cannot count a quantity of %(quantity)s at"
                        " this price; sent as 1 at %(amount)s.",
                        product=item.name,
                        quantity=f"{merged.quantity.normalize():f}",
                        amount=item.price,
                    )
                )
            elif item.revenue != merged.amount:
                notes.append(
                    self.env._(
                        "%(product)s: %(quantity)s x %(price)s make %(revenue)s in "
                        "Matomo, %(difference)s from the order's %(amount)s.",
                        product=item.name,
                        quantity=item.quantity,
                        price=item.price,
                        revenue=item.revenue,
                        difference=f"{item.revenue - merged.amount:+}",
                        amount=merged.amount,
                    )
                )
        balance = amounts.subtotal - items_total
        if abs(balance) > amounts.tolerance:
            notes.append(
                self.env._(
                    "The subtotal %(subtotal)s differs from the sum of the products"
                    " by %(difference)s.",
                    subtotal=amounts.subtotal,
                    difference=f"{balance:+}",
                )
            )
        return notes

    def _get_matomo_item_changes(self, row):
        """A sentence on what was bought, if it is other than what Matomo has.

        For an order of the same revenue. Taxes are computed only if one of its lines
        was touched since the order was queued.
        """
        lines = self._matomo_lines()
        if not any(line.write_date > row.create_date for line in lines):
            return []
        # An old row has no payload any more.
        if not (payload := row.payload):
            return []
        has = [Item(*item) for item in json.loads(payload["ec_items"])]
        now = [each.item for each in self._prepare_matomo_amounts(row.site_id).items]
        only_there, only_here = _describe_rest(has, now), _describe_rest(now, has)
        if not only_there and not only_here:
            return []
        nothing = self.env._("nothing of it")
        return [
            self.env._(
                "Matomo has %(has)s where the order now has %(now)s.",
                has=", ".join(only_there) or nothing,
                now=", ".join(only_here) or nothing,
            )
        ]

    def _get_matomo_visitor_key(self, site):
        """What makes the visitor of an order whose shopper is unknown: the order."""
        return self._name, self.id

    def _prepare_matomo_visitor(self, site):
        """The shopper's own visit where it is known, else a visitor of their own."""
        self.ensure_one()
        info = self.matomo_attribution_info or {}
        return Visitor(
            visitor_id=self.matomo_visitor_id
            or hmac(
                self.env(su=True),
                "matomo_visitor_id",
                self._get_matomo_visitor_key(site),
            )[:16],
            ip_address=self.matomo_ip_address or "",
            user_agent=self.matomo_user_agent or "",
            accept_language=self.matomo_accept_language or "",
            client_hints=self.matomo_client_hints or "",
            attribution=Attribution(
                campaign=info.get("campaign") or "",
                keyword=info.get("keyword") or "",
                timestamp=info.get("timestamp") or 0,
                referrer=info.get("referrer") or "",
            ),
            dimensions=site._get_dimensions(self),
        )


def _describe_rest(items, others):
    """Which of ``items`` are not among ``others``, for people."""
    known = {(item.sku, float(item.price), item.quantity) for item in others}
    return [
        f"{item.quantity} x {item.name} ({item.price:.2f})"
        for item in items
        if (item.sku, float(item.price), item.quantity) not in known
    ][:NAMED]
