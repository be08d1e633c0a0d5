"""Gathers what leads from Odoo's own sales report of a day to the Daily Comparison.

The report is read with the rights of the reader; ``tools/sales_report.py`` decides what
the difference consists of.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from odoo.fields import Domain

from ..matomo_api.items import WIDE, round_to, to_decimal
from ..matomo_api.timezones import get_day_bounds
from ..tools.sales_report import Reason, Reported, Step, get_tolerance, walk

# What the filter "Sales Orders" of the report leaves out.
UNCOUNTED = ("draft", "sent", "cancel")
# So many orders of a step are named.
NAMES = 5


class Bridge(NamedTuple):
    """The way from Odoo's sales report to the revenue that is compared.

    :ivar steps: list of ``Step`` objects; the first is the report
    :ivar names: the names of the first orders of each step that has a reason
    :ivar orders: how many orders are compared, as they are now
    :ivar revenue: what they come to, in the currency of the company
    :ivar site_revenue: the same in the currency of the Matomo site
    """

    steps: list[Step]
    names: list[list[str]]
    orders: int
    revenue: Decimal
    site_revenue: Decimal


def build(day):
    """Return the ``Bridge`` of a day, or None if the reader may not see the report.

    :param day: a ``matomo.reconciliation``, with the rights of the reader
    """
    if not day.env["sale.report"].has_access("read"):
        return None
    # sudo: the figures of the orders are on the day, which the reader may see.
    trusted = day.sudo()
    counted = trusted._get_counted_orders(trusted.site_id, day.day)
    revenues = {
        order: order._get_matomo_exact_revenue(request)
        for order, request in counted.items()
    }
    conversions = {
        order: _get_conversion(order, request) for order, request in counted.items()
    }
    compared = {
        get_key(order): WIDE.multiply(
            revenue, _get_company_rate(order, conversions[order])
        )
        for order, revenue in revenues.items()
    }
    reported = read_report(day)
    coin = to_decimal(day.company_id.currency_id.rounding)
    steps = walk(
        reported,
        compared,
        _get_reasons(day, reported, counted),
        _get_parts(reported, compared, conversions),
        {
            key: _get_tolerance(order, conversion, reported[key].lines)
            for order, conversion in conversions.items()
            if (key := get_key(order)) in reported
        },
        lambda amount: round_to(amount, coin),
    )
    return Bridge(
        steps,
        [_get_names(trusted.env, step) for step in steps],
        len(compared),
        round_to(sum(compared.values(), Decimal(0)), coin),
        sum(revenues.values(), Decimal(0)),
    )


def get_key(order):
    """Return how Odoo's sales report refers to an order."""
    return f"{order._name},{order.id}"


def get_reader_bounds(day):
    """Return start and end of a day in the time zone of the reader, naive UTC.

    Odoo's reports group by these days.
    """
    return get_day_bounds(day.env.tz, day.day)


def get_report_domain(start, end):
    """Return the domain of the report's orders from a moment to another."""
    return (
        Domain("state", "not in", UNCOUNTED)
        & Domain("date", ">=", start)
        & Domain("date", "<", end)
    )


# === ODOO'S REPORT === #


def read_report(day):
    """Return the orders of Odoo's sales report, of the reader's day and the site's.

    As the reader sees them who has chosen the company of the day alone: in its
    currency, and without orders of others if the reader may not see those.

    :return: ``{key: Reported}``
    """
    of_reader = get_reader_bounds(day)
    of_site = day.sudo().site_id._get_day_bounds(day.day)
    found = {}
    for key, moment, untaxed, total, lines in (
        day.env["sale.report"]
        .with_context(allowed_company_ids=day.company_id.ids)
        ._read_group(
            get_report_domain(
                min(of_reader[0], of_site[0]), max(of_reader[1], of_site[1])
            ),
            ["order_reference"],
            ["date:max", "price_subtotal:sum", "price_total:sum", "nbr:sum"],
        )
    ):
        in_reader, in_site = (
            start <= moment < end for start, end in (of_reader, of_site)
        )
        if in_reader or in_site:
            found[key] = Reported(
                to_decimal(untaxed), to_decimal(total), int(lines), in_reader, in_site
            )
    return found


# === WHAT IS COMPARED === #


def _get_conversion(order, request):
    """Return the ``Conversion`` of an order to the currency of its site.

    If that is the company's, what is compared needs no way back.
    """
    conversion = order._get_matomo_exact_conversion(request)
    if request.site_id.currency_id == order.company_id.currency_id:
        return conversion._replace(rate=order.currency_rate or 1.0)
    return conversion


def _get_company_rate(order, conversion):
    """Return how much of the company's currency is one of the Matomo site's.

    :param conversion: the ``Conversion`` of the order to that of the site
    """
    return to_decimal(conversion.rate) / to_decimal(order.currency_rate or 1.0)


def _get_tolerance(order, conversion, lines=1):
    """Return what rounding alone may come to, in the currency of the company.

    :param conversion: the ``Conversion`` of the order to the currency of the site
    :param lines: the number of lines that may be rounded
    """
    currency, company_currency = order.currency_id, order.company_id.currency_id
    coin = to_decimal(company_currency.rounding)
    if currency != company_currency:
        rate = to_decimal(order.currency_rate or 1.0)
        coin = max(coin, to_decimal(currency.rounding) / rate)
    return get_tolerance(
        lines, coin, conversion.coin * _get_company_rate(order, conversion)
    )


def _get_parts(reported, compared, conversions):
    """Return what is known of orders that come to another amount in the report.

    :param conversions: ``{order: Conversion}``
    :return: ``{key: {kind: amount}}``
    """
    parts = {}
    for order, conversion in conversions.items():
        key = get_key(order)
        if key in reported:
            left = compared[key] - reported[key].total
            if abs(left) > _get_tolerance(order, conversion):
                parts[key] = order._get_matomo_report_parts(left)
    return parts


# === REASONS === #


def _get_reasons(day, reported, counted) -> Mapping[str, Reason]:
    """Return why only one of both counts an order, by key."""
    in_report = {key for key, order in reported.items() if order.is_of_site}
    by_key = {get_key(order): order for order in counted}
    start, end = day.sudo().site_id._get_day_bounds(day.day)
    unseen = {key for key in by_key if key not in in_report}
    # sudo: only to tell what the reader may not see from what the report has not.
    hidden = unseen & read_report(day.sudo()).keys() if unseen else set()
    reasons = {
        key: Reason("checkout")
        if not start <= by_key[key].date_order < end
        else Reason("hidden" if key in hidden else "settled")
        for key in unseen
    }
    for orders in _browse(day.sudo().env, in_report - by_key.keys()):
        known = orders._get_matomo_requests()
        for order in orders:
            reasons[get_key(order)] = _get_reason(day, order, known.get(order.id))
    return reasons


def _get_reason(day, order, request):
    """Return why an order of Odoo's report is not compared on a day.

    :param request: its ``matomo.request``, or None
    """
    if not request:
        reason = order._get_matomo_missing_reason()
        return Reason("excluded", reason) if reason else Reason("unjudged")
    if request.site_id and request.site_id != day.sudo().site_id:
        return Reason("site", request.site_id.name)
    if request.state == "excluded":
        return Reason("excluded", request.reason or "")
    return Reason("checkout" if request.checkout_date else "rest")


def _browse(env, keys):
    """Return the orders with these keys: a recordset for each model."""
    ids = {}
    for key in keys:
        name, _comma, id_ = key.partition(",")
        ids.setdefault(name, []).append(int(id_))
    return [env[name].browse(of_model) for name, of_model in ids.items()]


def _get_names(env, step):
    """Return the names of the first orders of a step that a person may look up."""
    if step.kind in ("report", "taxes", "rounding", "hidden"):
        return []
    return [
        order._get_matomo_order_name()
        for orders in _browse(env, step.keys[:NAMES])
        for order in orders
    ]
