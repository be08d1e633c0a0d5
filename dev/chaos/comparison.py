"""What Odoo has sold, what Matomo has recorded, and what is not the same."""

import json
import time
import urllib.parse
import urllib.request
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple

import machine
import matomo

from . import server

CENT = Decimal("0.01")
CHANNELS = {
    "sales orders": "SELECT name, amount_total FROM sale_order WHERE state = 'sale'",
    "till sales": "SELECT pos_reference, amount_total FROM pos_order"
    " WHERE state IN ('paid', 'done')",
}
# What the delivery still has to do.
UNFINISHED = (
    "SELECT count(*) FROM matomo_request WHERE state IN ('pending', 'sent')"
    " OR next_check_date IS NOT NULL"
)
# Whether the sender keeps away from Matomo at the moment.
WAITING = "SELECT next_attempt_date > now() AT TIME ZONE 'utc' FROM matomo_site"


# ---- Matomo --------------------------------------------------------------------------


def call_matomo(method, **parameters):
    """Call Matomo's Reporting API as its superuser."""
    access = matomo.info()
    form = {
        "module": "API",
        "method": method,
        "format": "json",
        "token_auth": access["superuser_token"],
        **parameters,
    }
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{access['url']}index.php", body, 120) as page:
        answer = json.load(page)
    if isinstance(answer, dict) and answer.get("result") == "error":
        raise machine.Trouble(f"Matomo refused {method}: {answer['message']}")
    return answer


def make_site():
    """Create a Matomo site that our token may write to; return its id."""
    answer = call_matomo(
        "SitesManager.addSite",
        siteName=f"Chaos {datetime.now():%Y-%m-%d %H:%M:%S}",
        urls="https://shop.example.com",
        ecommerce="1",
        timezone="Europe/Brussels",
        currency="USD",
    )
    login = matomo.info()["write_login"]
    idsite = answer["value"]
    call_matomo(
        "UsersManager.setUserAccess", userLogin=login, access="write", idSites=idsite
    )
    return idsite


def recorded_orders(idsite):
    """Return the orders in Matomo's database, as pairs of id and revenue."""
    rows = matomo.query(
        "SELECT idorder, CAST(revenue AS DOUBLE) AS revenue FROM matomo_log_conversion"
        f" WHERE idsite = {idsite} AND idgoal = 0"
    )
    return [
        (row["idorder"], Decimal(str(row["revenue"])).quantize(CENT)) for row in rows
    ]


def reported(idsite, expected, patience=30):
    """Return the number of orders and the revenue of Matomo's own report.

    A report that Matomo made while the last orders arrived may lack one of them until
    Matomo makes it again (docs/matomo.md section 10). So the report is read again until
    it counts as many orders as expected, or until the time is over (seconds).
    """
    end = time.monotonic() + patience
    while True:
        # Today's report is made anew when it is older than a second.
        time.sleep(2)
        report = _read_report(idsite)
        if report[0] == expected or time.monotonic() > end:
            return report


def _read_report(idsite):
    today = datetime.now(timezone.utc).date()
    first, last = today - timedelta(days=12), today + timedelta(days=1)
    report = call_matomo(
        "Goals.get",
        idSite=idsite,
        idGoal="ecommerceOrder",
        period="range",
        date=f"{first},{last}",
        format_metrics="0",
    )
    revenue = Decimal(str(report.get("revenue") or 0)).quantize(CENT)
    return int(report.get("nb_conversions") or 0), revenue


# ---- Odoo ----------------------------------------------------------------------------


def ask(statement):
    """Return one row of Odoo's database, or None if its connection was just cut."""
    try:
        return server.query(statement)[0]
    except machine.Trouble:
        return None


def sold_orders():
    """Return the orders that Odoo counts, by channel: pairs of order and amount."""
    return {
        channel: [
            (name, Decimal(amount).quantize(CENT))
            for name, amount in server.query(statement)
        ]
        for channel, statement in CHANNELS.items()
    }


def broken_promises(order_ids, receipts):
    """Return the sales that Odoo has confirmed to a client and does not have."""
    confirmed = query_column("SELECT id FROM sale_order WHERE state = 'sale'")
    synced = query_column("SELECT pos_reference FROM pos_order")
    return [
        *(f"sales order {id_}" for id_ in order_ids if str(id_) not in confirmed),
        *(f"till sale {receipt}" for receipt in receipts if receipt not in synced),
    ]


def query_column(statement):
    """Return the values of a statement's only column."""
    return {value for (value,) in server.query(statement)}


def row_states():
    """Return how many requests are in which state."""
    rows = server.query(
        "SELECT state, count(*) FROM matomo_request GROUP BY state", server.DATABASE
    )
    return {state: int(count) for state, count in rows}


def site_health():
    """Return what a person would have to correct now, in sentences."""
    [(state, can_read, is_dirty)] = server.query(
        "SELECT state, can_read, is_answer_dirty FROM matomo_site", server.DATABASE
    )
    [(activities,)] = server.query(
        "SELECT count(*) FROM mail_activity WHERE res_model = 'matomo.site'"
    )
    findings = [f"{name} is switched off" for name in server.switched_off()]
    # What was mixed into the last answer is said until the next one, if one comes.
    if state != "ok" and not (state == "warning" and is_dirty == "t"):
        findings.append(f"the site's state is {state}")
    if can_read != "t":
        findings.append("the token is believed not to read")
    if activities != "0":
        findings.append(f"the managers have {activities} activities about the site")
    return findings


# ---- Both ----------------------------------------------------------------------------


class Result(NamedTuple):
    """The order ids that only Odoo has, those that Matomo has too often, the others."""

    lost: list
    duplicated: list
    findings: list


def compare(sold, recorded):
    """Compare what was sold with what was recorded, order by order."""
    expected = dict(sold)
    counts = Counter(name for name, _ in recorded)
    lost = sorted(expected.keys() - counts.keys())
    duplicated = sorted(
        name for name, count in counts.items() if count > 1 or name not in expected
    )
    findings = [
        f"{name}: {revenue} in Matomo, {expected[name]} in Odoo"
        for name, revenue in recorded
        if name in expected and revenue != expected[name]
    ]
    if len(expected) != len(sold):
        findings.append("Odoo uses an order's name twice")
    return Result(lost, duplicated, findings)
