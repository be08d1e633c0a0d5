"""What the delivery is given, and what it tells: attempts in, outcomes out.

``delivery.py`` makes the outcomes, the models apply them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import ClassVar

from .client import BulkAnswer
from .errors import MatomoError, Unreadable
from .matching import Sent
from .reading import RecordedOrder

# What one more order in a bulk adds to the timeout of one (seconds). Matomo
# needs about 2 ms (docs/matomo.md section 11).
TIMEOUT_PER_ORDER = 0.06
# How many orders are looked for in one request.
READ_BATCH = 50


# === WHAT COMES IN === #


@dataclass(frozen=True)
class Policy:
    """What the delivery has to know of a Matomo site.

    :param can_read: whether the token may read Matomo back
    :param is_readable_now: false while the site waits after a failed read-back
    :param anonymises: whether Matomo replaces order ids by random ones
    :param read_failure_count: how often reading back failed in a row
    :param order_timeout: seconds for a request with one order
    :param cart_timeout: seconds for a request with cart updates
    :param now: naive UTC
    :param to_utc: turns a wall-clock time of the site into naive UTC
    :param patience: seconds after which a delivery asks nothing more
    """

    idsite: int
    can_read: bool
    is_readable_now: bool
    anonymises: bool
    read_failure_count: int
    order_timeout: float
    cart_timeout: float
    now: datetime
    to_utc: Callable[[datetime], datetime]
    patience: float = inf

    @property
    def read_batch(self) -> int:
        """How many orders to look for at once: less after each failure."""
        return max(1, READ_BATCH >> self.read_failure_count)


def bulk_timeout(order_timeout: float, count: int) -> float:
    """Return how long an answer to ``count`` orders may take (seconds)."""
    return order_timeout + TIMEOUT_PER_ORDER * (count - 1)


# Compared by identity: two attempts with the same content are two attempts.
@dataclass(frozen=True, eq=False)
class Attempt:
    """One try to send a request, claimed and built.

    :param key: the caller's name for it, handed back with the outcome
    :param ref: the order id (``ec_id``)
    :param payload: the parameters, without token
    :param sent: the same for comparisons
    :param order_date: when the order was made, naive UTC
    :param attempt_count: how many attempts there were, this one included
    :param unconfirmed_count: of how many, this one included, it is not known
        whether Matomo recorded them
    :param look_up_first: whether it is sent only once Matomo is seen not to have it
    :param is_withdrawn: whether the order no longer counts: it is not sent again
    :param has_raw_data: whether Matomo still has single orders of that time; if
        not, it would take a second one without a word
    :param twin_count: how many other orders of the same second and amount Matomo has
        accepted; counted only where it replaces order ids
    """

    key: int
    payload: Mapping[str, str]
    ref: str = ""
    sent: Sent | None = None
    order_date: datetime | None = None
    attempt_count: int = 1
    unconfirmed_count: int = 1
    look_up_first: bool = False
    is_withdrawn: bool = False
    has_raw_data: bool = True
    twin_count: int = 0


# === WHAT COMES OUT === #


@dataclass(frozen=True)
class Outcome:
    """What became of some attempts."""

    attempts: Sequence[Attempt]


@dataclass(frozen=True)
class Accepted(Outcome):
    """Matomo has taken them, now or before.

    :param answer: to these attempts, or to a bulk they were in; None if they were
        seen in Matomo
    :param refused_count: how many of them Matomo refused, where nobody can tell which
    """

    answer: BulkAnswer | MatomoError | None = None
    refused_count: int = 0


@dataclass(frozen=True)
class Recorded(Outcome):
    """Matomo has this order, and it is ours.

    :param is_told_by_tag: whether a JavaScript tag told Matomo of it first
    """

    order: RecordedOrder
    is_told_by_tag: bool = False


@dataclass(frozen=True)
class ToldByTag(Outcome):
    """A JavaScript tag has told Matomo of this sale, and differently."""

    order: RecordedOrder


@dataclass(frozen=True)
class TakenByOther(Outcome):
    """Matomo has another order under our id."""

    order: RecordedOrder


@dataclass(frozen=True)
class Absent(Outcome):
    """Matomo was asked first, and does not have it."""


@dataclass(frozen=True)
class Missing(Outcome):
    """Matomo accepted it and has not recorded it."""


@dataclass(frozen=True)
class Unseen(Outcome):
    """Matomo was read, and does not show whether it has recorded it."""


@dataclass(frozen=True)
class Unsure(Outcome):
    """Matomo may have it, nobody can see whether, and it must not be sent twice."""


@dataclass(frozen=True)
class Held(Outcome):
    """Matomo may have it; it waits until the token may read whether it has."""


@dataclass(frozen=True)
class Withdrawn(Outcome):
    """It no longer counts.

    :param is_absent: whether Matomo does not have it; else nobody can see whether
    """

    is_absent: bool = True


@dataclass(frozen=True)
class Refused(Outcome):
    """Matomo refuses this one, while it takes others."""

    answer: BulkAnswer


@dataclass(frozen=True)
class Broken(Outcome):
    """The server fails on this one, while token and site are fine.

    :param is_general: whether it failed on all of several: it may pass
    """

    error: MatomoError
    is_general: bool = False


@dataclass(frozen=True)
class Deferred(Outcome):
    """They wait until Matomo can be read back.

    :param is_sent: whether they were sent before that
    """

    is_sent: bool
    error: MatomoError | None = None


@dataclass(frozen=True)
class Requeued(Outcome):
    """Nothing is known of them: they are sent again later."""

    error: MatomoError


@dataclass(frozen=True)
class Unverifiable(Outcome):
    """Nobody will ever see whether Matomo recorded them."""


@dataclass(frozen=True)
class SiteOutcome:
    """What was learnt of the site."""

    attempts: ClassVar[Sequence[Attempt]] = ()


@dataclass(frozen=True)
class SiteWorks(SiteOutcome):
    """Matomo takes requests.

    :param count: how many it took in one request
    :param dirt: what it mixed into its answer, see ``BulkAnswer``
    """

    count: int = 0
    dirt: str = ""


@dataclass(frozen=True)
class SiteTrouble(SiteOutcome):
    """Matomo takes no requests now."""

    error: MatomoError


@dataclass(frozen=True)
class SiteOverloaded(SiteOutcome):
    """Matomo, or what stands before it, takes no more than ``count`` in one request."""

    count: int


@dataclass(frozen=True)
class SiteRead(SiteOutcome):
    """Matomo was read back."""


@dataclass(frozen=True)
class SiteUnreadable(SiteOutcome):
    """Matomo cannot be read back now."""

    error: Unreadable


@dataclass(frozen=True)
class SiteReadRefused(SiteOutcome):
    """The token may not read."""


@dataclass(frozen=True)
class Report:
    """All outcomes, in the order in which they are applied.

    :param error: what ended the delivery early, if something did
    """

    outcomes: Sequence[Outcome | SiteOutcome]
    error: MatomoError | None = None

    @property
    def is_all_taken(self) -> bool:
        """Whether Matomo took all of it, and there is nothing else to tell."""
        return not self.error and all(
            isinstance(each, SiteWorks)
            or (isinstance(each, Accepted) and not each.refused_count)
            for each in self.outcomes
        )
