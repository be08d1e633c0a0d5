"""What Odoo has sold and what Matomo has recorded, each in its own words."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from .merchant import TIMEZONE

FIGURES = ("orders", "revenue", "tax", "shipping")


@dataclass
class Sale:
    """An order as Odoo has it."""

    name: str
    channel: str
    sold: datetime
    revenue: Decimal
    tax: Decimal
    shipping: Decimal
    state: str
    reason: str
    ref: str
    url: str
    campaign: str
    orders: int = 1

    @property
    def day(self):
        return f"{self.sold:%Y-%m-%d}"


VERDICT = [
    "matomo_state",
    "matomo_reason",
    "matomo_order_ref",
    "matomo_tracking_url",
    "matomo_attribution_info",
]


def odoo_sales(client):
    """Return every order that counts, by the time of the sale."""
    fields = ["name", "date_order", "amount_total", "amount_tax", *VERDICT]
    shipping = client.read(
        "sale.order.line", ["order_id", "price_subtotal"], [("is_delivery", "=", True)]
    )
    shipping = {line["order_id"][0]: line["price_subtotal"] for line in shipping}
    sales = []
    for order in client.read(
        "sale.order", [*fields, "website_id"], [("state", "=", "sale")]
    ):
        channel = "web shop" if order["website_id"] else "desk"
        sales.append((order, channel, order["name"], shipping.get(order["id"], 0)))
    for order in client.read(
        "pos.order", [*fields, "pos_reference"], [("state", "in", ["paid", "done"])]
    ):
        sales.append((order, "till", order["pos_reference"], 0))
    sales.sort(key=lambda sale: sale[0]["date_order"])
    return [make_sale(*sale) for sale in sales]


def make_sale(order, channel, name, shipping):
    sold = datetime.fromisoformat(order["date_order"]).replace(tzinfo=UTC)
    return Sale(
        name=name,
        channel=channel,
        sold=sold.astimezone(ZoneInfo(TIMEZONE)),
        revenue=money(order["amount_total"]),
        tax=money(order["amount_tax"]),
        shipping=money(shipping),
        state=order["matomo_state"],
        reason=order["matomo_reason"] or "",
        ref=order["matomo_order_ref"] or "",
        url=order["matomo_tracking_url"] or "",
        campaign=(order["matomo_attribution_info"] or {}).get("campaign") or "",
    )


def money(amount):
    return Decimal(str(amount)).quantize(Decimal("0.01"))


@dataclass
class Recorded:
    """An order as Matomo has it."""

    revenue: Decimal
    campaign: str
    sold: datetime


def matomo_orders(reports, idsite, days):
    """Return what Matomo has of each order, by order id, from its log of visits."""
    visits = reports.call(
        "Live.getLastVisitsDetails",
        idSite=idsite,
        period="range",
        date=f"{days[0]},{days[-1]}",
        filter_limit=-1,
    )
    return {
        action["orderId"]: Recorded(
            money(action["revenue"]),
            visit["referrerName"] if visit["referrerType"] == "campaign" else "",
            # The site's wall clock, counted as if it were UTC.
            datetime.fromtimestamp(action["timestamp"], UTC).replace(
                tzinfo=ZoneInfo(TIMEZONE)
            ),
        )
        for visit in visits
        for action in visit["actionDetails"]
        if action["type"] == "ecommerceOrder"
    }


def matomo_visits(reports, idsite, user_id):
    """Return today's and yesterday's visits of a customer, the newest first."""
    return reports.call(
        "Live.getLastVisitsDetails",
        idSite=idsite,
        period="range",
        date="last2",
        segment=f"userId=={user_id}",
        filter_limit=-1,
    )


def matomo_days(reports, idsite, days):
    """Return Matomo's figures of each day, from its e-commerce report."""
    report = reports.call(
        "Goals.get",
        idSite=idsite,
        idGoal="ecommerceOrder",
        period="day",
        date=f"{days[0]},{days[-1]}",
        format_metrics=0,
    )
    return {
        day: {
            "orders": figures["nb_conversions"],
            "revenue": money(figures["revenue"]),
            "tax": money(figures["revenue_tax"]),
            "shipping": money(figures["revenue_shipping"]),
        }
        for day, figures in report.items()
        if figures and figures["nb_conversions"]
    }


def odoo_days(sales):
    """Return Odoo's figures of each day of the Matomo site's time zone."""
    days = {}
    for sale in sales:
        day = days.setdefault(sale.day, dict.fromkeys(FIGURES, 0))
        for figure in FIGURES:
            day[figure] += getattr(sale, figure)
    return days
