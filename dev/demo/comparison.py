"""Both sides' figures beside each other, and a sentence for each difference."""

from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from machine import say

from .figures import (
    FIGURES,
    Recorded,
    matomo_days,
    matomo_orders,
    matomo_visits,
    odoo_days,
)
from .merchant import CUSTOMER, TIMEZONE
from .sales import CAMPAIGN

ACCEPTED = ("sent", "verified")


def compare(sales, reports, idsite):
    """Print both sides; return whether they are equal."""
    today = datetime.now(ZoneInfo(TIMEZONE)).date()
    first = min([*(sale.day for sale in sales), f"{today}"])
    days = [first, f"{today}"]
    recorded = matomo_orders(reports, idsite, days)
    print_orders(sales, recorded)
    here, there = odoo_days(sales), matomo_days(reports, idsite, days)
    print_days(here, there)
    differences = list(differing(sales, recorded, here, there))
    for difference in differences:
        say(difference)
    say("equal" if not differences else "NOT equal")
    return not differences


def show_customer(client, reports, idsite):
    """Print what Matomo has of the customer with a login.

    :return: whether it is one visitor, who came by the campaign and bought
    """
    login = CUSTOMER["login"]
    [order] = client.read(
        "sale.order",
        ["name", "matomo_user_id"],
        [("partner_id.user_ids.login", "=", login), ("state", "=", "sale")],
    )
    visits = matomo_visits(reports, idsite, order["matomo_user_id"])
    visitors = {visit["visitorId"] for visit in visits}
    actions = [action for visit in visits for action in visit["actionDetails"]]
    pages = [urlsplit(action.get("url") or "").path for action in actions]
    orders = [action["orderId"] for action in actions if action.get("orderId")]
    campaigns = {visit["referrerName"] for visit in visits} - {None, ""}
    say(
        f"\nThe customer {login} with a laptop and a phone is {len(visitors)} visitor "
        f"in Matomo, who came by {', '.join(campaigns) or 'nothing'}, saw {len(pages)} "
        f"pages, and bought {', '.join(orders) or 'nothing'}."
    )
    seen = any("mug" in page for page in pages) and "/shop/payment" in pages
    is_bought = orders == [order["name"]] and campaigns == {CAMPAIGN}
    return len(visitors) == 1 and seen and is_bought


def differing(sales, recorded, here, there):
    """Return a sentence for each difference between the two sides."""
    for sale in sales:
        order = recorded.get(sale.ref)
        if sale.state not in ACCEPTED:
            yield f"{sale.name} is {sale.state or 'without a verdict'}: {sale.reason}"
        if order is None:
            yield f"{sale.name} is not in Matomo."
            continue
        if order.revenue != sale.revenue:
            yield (
                f"{sale.name} is {sale.revenue} in Odoo and {order.revenue} in Matomo."
            )
        if order.sold != sale.sold:
            yield f"{sale.name} was sold {sale.sold}; Matomo says {order.sold}."
        campaign = CAMPAIGN if sale.channel == "web shop" else ""
        if {sale.campaign, order.campaign} != {campaign}:
            yield (
                f"{sale.name} came by the campaign “{campaign}”: Odoo says "
                f"“{sale.campaign}”, Matomo says “{order.campaign}”."
            )
    for ref in recorded.keys() - {sale.ref for sale in sales}:
        yield f"Matomo has an order {ref} that Odoo does not have."
    nothing = dict.fromkeys(FIGURES, 0)
    for day in sorted(here.keys() | there.keys()):
        ours, theirs = here.get(day, nothing), there.get(day, nothing)
        for figure in FIGURES:
            if ours[figure] != theirs[figure]:
                yield (
                    f"{figure} of {day}: {ours[figure]} in Odoo, "
                    f"{theirs[figure]} in Matomo."
                )


def print_orders(sales, recorded):
    row = "{:<16} {:<9} {:<19} {:<19} {:>10} {:>10}  {:<12} {}"
    titles = (
        *("Order", "Channel", "Sold", "In Matomo"),
        *("Odoo", "Matomo", "Campaign", "Verdict"),
    )
    say("")
    say(row.format(*titles))
    for sale in sales:
        order = recorded.get(sale.ref, Recorded("-", "", None))
        verdict = f"{sale.state} {sale.reason}".strip()
        say(
            row.format(
                sale.name,
                sale.channel,
                f"{sale.sold:%Y-%m-%d %H:%M:%S}",
                f"{order.sold:%Y-%m-%d %H:%M:%S}" if order.sold else "-",
                sale.revenue,
                order.revenue,
                order.campaign,
                verdict,
            )
        )
        say(f"    {sale.url}")


def print_days(here, there):
    row = "{:<16} {:<9} {:>10} {:>10} {:>10} {:>10}"
    say("")
    say(row.format("Day", "", *(figure.capitalize() for figure in FIGURES)))
    for day in [*sorted(here.keys() | there.keys()), "Total"]:
        for side, days in (("Odoo", here), ("Matomo", there)):
            chosen = days.values() if day == "Total" else [days.get(day, {})]
            figures = [
                sum(part.get(figure, 0) for part in chosen) for figure in FIGURES
            ]
            say(row.format(day, side, *figures))
    say("")
