"""Odoo's own sales reports beside Matomo, and a name for each difference."""

from collections import Counter
from decimal import Decimal

from .site import MatomoCommon

# What a float or Odoo's own division leaves.
NOISE = Decimal("0.000001")
HALF_CENT = Decimal("0.005")


class ReportsCommon(MatomoCommon):
    """Compares what Matomo was sent with ``sale.report`` and ``report.pos.order``.

    Both reports add up lines in the company's currency; the Matomo site has that, too.
    With `pos_sale`, ``sale.report`` contains the lines of tills, except those that
    settle a line of a sales order.
    """

    def compare_reports(self, company, orders, sales):
        """Compare each order, and fail if a difference has no name.

        :param orders: sales orders, sent or not
        :param sales: POS orders, sent or not
        :return: ``{(report, day): {cause: how much more Matomo has}}``
        """
        self.env.flush_all()
        days = {}
        for report, compared in (
            ("sale.report", [*orders, *sales]),
            ("report.pos.order", [*sales]),
        ):
            shown = self.read_report(report, company)
            for order in compared:
                causes = self.name_causes(report, order)
                more = self.get_sent(order) - shown[order] - sum(causes.values())
                if order.currency_id != company.currency_id:
                    # Matomo has cents. Of each line, the report of tills has, too.
                    count = 1 if report == "sale.report" else 1 + len(order.lines)
                    if abs(more) <= HALF_CENT * count + NOISE:
                        causes["conversion"] = more
                        more = 0
                self.assertLessEqual(
                    abs(more), NOISE, f"{report}, {order.name}: {dict(causes)}"
                )
                day = days.setdefault((report, order.date_order.date()), Counter())
                day.update({name: each for name, each in causes.items() if each})
        return days

    def read_report(self, report, company):
        """What a report says: ``{order: total with tax}``, 0 of all others."""
        records = self.env[report].sudo().with_context(allowed_company_ids=company.ids)
        lines = records.search(
            [("company_id", "=", company.id), ("state", "in", ("sale", "paid", "done"))]
        )
        shown = Counter()
        for line in lines:
            order = (
                line.order_reference if report == "sale.report" else line.order_id
            ).sudo(False)
            shown[order] += Decimal(f"{line.price_total:.9f}")
        return shown

    def get_sent(self, order):
        return self.get_request(order)._get_sent_revenue() if self.is_sent(order) else 0

    def is_sent(self, order):
        return self.get_request(order).state in ("sent", "verified")

    def name_causes(self, report, order):
        """How much more than the report Matomo has, in the company's currency.

        :return: ``{cause: amount}``
        """
        find = (
            self.find_causes if order._name == "sale.order" else self.find_till_causes
        )
        rate = Decimal(str(order.currency_rate or 1))
        causes = Counter()
        for cause, amount in find(report, order):
            causes[cause] += Decimal(f"{amount:.6f}") / rate
        return causes

    def find_causes(self, report, order):
        lines = order.order_line.filtered(lambda line: not line.display_type)
        total = sum(lines.mapped("price_total"))
        if not self.is_sent(order):
            yield "not sent", -total
            return
        at_till = lines.pos_order_line_ids.filtered(
            lambda line: order in self.get_request(line.order_id).counted_order_ids
        )
        for line in at_till:
            ordered = line.sale_order_line_id
            yield (
                "settled orders",
                -ordered.price_total * line.qty / ordered.product_uom_qty,
            )
        returned = lines.filtered(lambda line: line.product_uom_qty < 0)
        yield "returns", -sum(returned.mapped("price_total"))
        if at_till or returned:
            return
        beyond = order.amount_total - total
        term = order.payment_term_id
        is_globally = order.company_id.tax_calculation_rounding_method != (
            "round_per_line"
        )
        if term.early_discount and term.early_pay_discount_computation == "mixed":
            yield "document discounts", beyond
        elif is_globally and abs(beyond) <= 0.01 * (1 + len(lines)):
            yield "global rounding", beyond

    def find_till_causes(self, report, sale):
        settled_here = self.get_request(sale).counted_order_ids
        is_sale_report = report == "sale.report"
        for line in sale.lines:
            total = line.price_subtotal_incl
            order = line.sale_order_line_id.order_id
            if line.refunded_orderline_id or line.qty < 0:
                yield "returns", -total
            elif order and order not in settled_here:
                # Counted with the sales order.
                yield "settled orders", 0.0 if is_sale_report else -total
            elif order:
                yield "settled orders", total if is_sale_report else 0.0
            elif not self.is_sent(sale):
                yield "not sent", -total
            elif is_sale_report and not line.qty * line.price_unit:
                # The report takes the sign of a line from its price.
                yield "free lines with a tax", total
