"""What the Overview says of a Matomo site: figures in, a summary out.

Nothing here knows Odoo; ``matomo.overview`` reads the figures and shows the summary.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from .doctor import WRONG_LEVELS

# The days that the Overview looks back, today included.
DAYS = 30
# The segments of a bar, from left to right: orders that are well, on their way, in need
# of a person, and of no report.
BAR_STATES = (
    "verified",
    "sent",
    "pending",
    "different",
    "failed",
    "elsewhere",
    "excluded",
    "cancelled",
)
# The orders that Odoo sends to Matomo.
COUNTED_STATES = ("verified", "sent", "pending", "different", "failed")
# The states in which an order waits for a person.
ATTENTION_STATES = ("failed", "different")


class Segment(NamedTuple):
    """A part of a bar.

    :ivar state: of the orders
    :ivar count: how many there are, at least 1
    :ivar width: its share of the bar (percent, 0 to 100)
    """

    state: str
    count: int
    width: float


def get_segments(counts: Mapping[str, int]) -> list[Segment]:
    """Return the segments of a bar.

    :param counts: how many orders there are in each state
    """
    total = sum(counts.get(state, 0) for state in BAR_STATES)
    return [
        Segment(state, counts[state], 100 * counts[state] / total)
        for state in BAR_STATES
        if counts.get(state)
    ]


def get_proven_share(counts: Mapping[str, int]) -> float | None:
    """Return how many of the orders that Odoo sends to Matomo were found there.

    It is rounded down: one order of ten thousand that is missing is not 100 %.

    :param counts: how many orders there are in each state
    :return: percent with one decimal, None if there is no such order
    """
    total = sum(counts.get(state, 0) for state in COUNTED_STATES)
    if not total:
        return None
    return 1000 * counts.get("verified", 0) // total / 10


def choose_health(
    state: str,
    levels: Collection[str],
    is_paused: bool,
    is_copy: bool,
    needs_person: bool,
) -> tuple[str, str]:
    """Return what the Overview says first of a site: the worst comes first.

    :param state: of the ``matomo.site``
    :param levels: of its checks, see ``doctor.LEVELS``
    :param is_paused: whether a person has paused the site
    :param is_copy: whether the database is a copy, which sends nothing
    :param needs_person: whether an order is in one of ``ATTENTION_STATES``
    :return: the level (one of ``doctor.LEVELS``) and what has the sentence:
        "standstill", "site" (its message), "check" (the first of this level),
        "orders", "untested", "well"
    """
    bad, look = WRONG_LEVELS
    rules = (
        (is_copy, bad, "standstill"),
        (is_paused, look, "standstill"),
        (state == "error", bad, "site"),
        (bad in levels, bad, "check"),
        (state == "warning", look, "site"),
        (look in levels, look, "check"),
        (needs_person, look, "orders"),
        (state == "unknown", "unknown", "untested"),
    )
    found = ((level, source) for is_so, level, source in rules if is_so)
    return next(found, ("good", "well"))


def is_in_trouble(state: str, failure_count: int) -> bool:
    """Return whether a site takes no orders, or may not, until it has taken one again.

    :param state: of the ``matomo.site``. One that only cannot be read back takes orders
    :param failure_count: how often in a row it has not taken orders
    """
    return state == "error" or (state == "warning" and bool(failure_count))


def get_days(today: date) -> Sequence[date]:
    """Return the days before today that the Overview compares, the oldest first."""
    return [today - timedelta(days=count) for count in range(DAYS - 1, 0, -1)]
