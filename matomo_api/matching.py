"""Is what Matomo has recorded our order, and what does it say differently?

Pure comparisons of what was sent with what was read back; see
``docs/architecture.md``, "Whose order is it".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from .privacy import ANONYMIZED
from .reading import RecordedOrder

# Matomo's days are those of the site's time zone, and clocks differ.
DAY_MARGIN = timedelta(days=1)
# Matomo keeps revenue in single precision: beyond 130,000 a cent is lost
# (docs/matomo.md section 7).
PRECISION = 1e-7
HALF_CENT = 0.005
# The amounts that are compared, and the parameters they are sent as.
COMPARED = {
    "subtotal": "ec_st",
    "tax": "ec_tx",
    "shipping": "ec_sh",
    "discount": "ec_dt",
}


@dataclass(frozen=True)
class Sent:
    """What an order was sent with, as far as it is still known.

    :param revenue: in the currency of the Matomo site
    :param time: ``cdt``, naive UTC
    :param created: when the order was queued, naive UTC
    :param visitor_id: 16 hex digits; "" once personal data were removed
    :param amounts: the amounts of ``COMPARED``, by their names, as they were sent
    """

    revenue: float
    time: datetime | None
    created: datetime
    visitor_id: str = ""
    amounts: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Difference:
    """An amount of ``COMPARED`` that Matomo has recorded otherwise."""

    name: str
    recorded: Decimal
    sent: str


def describe_sent(
    payload: Mapping[str, str] | None,
    created: datetime,
    *,
    revenue: float,
    time: datetime,
) -> Sent:
    """Return what was sent, from the parameters of the request.

    :param payload: the parameters; None once they were removed
    :param created: when the order was queued, naive UTC
    :param revenue: the revenue sent, for an order without parameters
    :param time: the time sent, naive UTC, for an order without parameters
    """
    if not payload:
        return Sent(revenue, time, created)
    visitor_id = payload.get("cid", "")
    return Sent(
        revenue=float(payload.get("revenue") or 0),
        time=_parse_time(payload.get("cdt")),
        created=created,
        visitor_id="" if visitor_id == ANONYMIZED else visitor_id,
        amounts={
            name: payload[parameter]
            for name, parameter in COMPARED.items()
            if parameter in payload
        },
    )


def is_same_order(
    sent: Sent, recorded: RecordedOrder, to_utc: Callable[[datetime], datetime]
) -> bool:
    """Return whether an order in Matomo is the one that was sent.

    It is if revenue, day and visitor agree; once personal data were removed, only
    the first two are known.

    :param to_utc: turns a wall-clock time of the Matomo site into naive UTC
    """
    if not sent.time:
        return False
    tolerance = max(HALF_CENT, abs(sent.revenue) * PRECISION)
    recorded_at = to_utc(recorded.time)
    # Matomo replaces a time in the future by the moment of arrival.
    earliest = min(sent.time, sent.created) - DAY_MARGIN
    return (
        abs(float(recorded.revenue) - sent.revenue) <= tolerance
        and sent.visitor_id in ("", recorded.visitor_id)
        and earliest <= recorded_at <= sent.time + DAY_MARGIN
    )


def find_differences(sent: Sent, recorded: RecordedOrder) -> list[Difference]:
    """Return the amounts that Matomo has recorded otherwise, to the cent.

    An amount that is no longer known to have been sent is not compared.
    """
    return [
        Difference(name, getattr(recorded, name), amount)
        for name, amount in (sent.amounts or {}).items()
        if f"{getattr(recorded, name):.2f}" != amount
    ]


def _parse_time(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
