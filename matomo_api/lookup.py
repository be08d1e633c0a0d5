"""Looks for orders in Matomo, by every road that there is.

By their ids in the visits log; by visitor, second and amounts where Matomo replaces
ids; and in the report of orders where the log does not show them (docs/matomo.md
section 15).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from .client import Client
from .errors import ReportRefused
from .matching import (
    DAY_MARGIN,
    Owner,
    find_revenue,
    get_owner,
    is_anonymised_match,
    is_sum_of,
)
from .outcomes import Attempt, Policy
from .reading import (
    ReadBack,
    RecordedOrder,
    is_anonymised,
    read_all_orders,
    read_anonymised_orders,
    read_order_totals,
    read_orders,
)

# So many orders that the visits log does not show are asked for one by one, and on
# so many days.
MAX_ASKED_ALONE = 10
# After so many failures to read the visits log the report of orders is asked.
LOG_FAILURES = 2
# Of several orders with one id, the one that is ours is believed first.
_OWNERS = [Owner.OURS, Owner.TAG, Owner.UNKNOWN, Owner.OTHER]
# Older orders Matomo books when they arrive (docs/matomo.md section 1).
MAX_AGE = timedelta(days=20 * 366)


@dataclass
class Found:
    """What was found in Matomo.

    :ivar orders: ``{attempt: order in Matomo}``
    :ivar unseen: attempts that Matomo may have and does not show
    :ivar unasked: attempts that there was no time to ask for
    """

    orders: dict[Attempt, RecordedOrder] = field(default_factory=dict)
    unseen: set[Attempt] = field(default_factory=set)
    unasked: set[Attempt] = field(default_factory=set)

    def is_open(self, attempt: Attempt) -> bool:
        """Return whether Matomo may have an attempt, although it was not found."""
        return attempt in self.unseen or attempt in self.unasked


class Lookup:
    """Looks for attempts at one Matomo site; no order is two attempts'."""

    def __init__(self, client: Client, policy: Policy):
        self._client = client
        self._policy = policy
        # The random ids of orders in Matomo that are some attempt's.
        self._matched_refs: set[str] = set()

    def find(self, attempts: Iterable[Attempt]) -> Found:
        """Look for orders in Matomo.

        :raise MatomoError: if Matomo cannot be read
        """
        found = Found()
        by_date = sorted(attempts, key=lambda attempt: attempt.order_date)
        size = self._policy.read_batch
        for start in range(0, len(by_date), size):
            self._find_some(by_date[start : start + size], found)
        return found

    def _find_some(self, attempts: Sequence[Attempt], found: Found) -> None:
        """Read orders back, and add them to ``found``.

        What the visits log does not show is asked of the report of orders, which
        knows neither the log's limits nor that it is switched off.
        """
        days = get_days(attempts, self._policy.now)
        client, idsite = self._client, self._policy.idsite
        try:
            read = read_orders(client, idsite, [each.ref for each in attempts], *days)
        except ReportRefused as error:
            is_known = self._policy.read_failure_count >= LOG_FAILURES
            if not (error.is_log_off or is_known):
                raise
            read = ReadBack(is_complete=False)
        else:
            self._find_anonymised(
                [each for each in attempts if each.ref not in read.candidates],
                days,
                found,
            )
        for attempt in attempts:
            if candidates := read.candidates.get(attempt.ref):
                found.orders[attempt] = self._choose(attempt, candidates)
        hidden = [each for each in attempts if each not in found.orders]
        if hidden and not read.is_complete:
            self._find_in_report(attempts, hidden, days, found)

    def _choose(self, attempt, candidates: Sequence[RecordedOrder]) -> RecordedOrder:
        """Return the order that is an attempt's, of several with its id.

        Anybody may track an order in another spelling of the id, in the same visit.
        Ours has the very id that was sent.
        """
        policy = self._policy

        def rank(order):
            owner = get_owner(attempt.sent, order, policy.to_utc, policy.now)
            return order.ref != attempt.ref, _OWNERS.index(owner)

        return min(candidates, key=rank)

    def _find_in_report(self, attempts, hidden, days, found: Found) -> None:
        """Find orders that the visits log does not show in the report of orders.

        It counts all orders of the visits that they are in (docs/matomo.md section
        15). If their number and their sum are ours, all of them are there; else each
        is asked for by itself.

        :param hidden: those of ``attempts`` that were not found yet
        """
        client, idsite = self._client, self._policy.idsite
        if len(attempts) > 1:
            refs = [each.ref for each in attempts]
            sent = {each: Decimal(str(each.sent.revenue)) for each in attempts}
            shown = {
                each: order.revenue
                for each, order in found.orders.items()
                if each in sent and order.revenue is not None
            }
            totals = read_order_totals(client, idsite, refs, *days)
            if is_sum_of({**sent, **shown}.values(), totals):
                for each in hidden:
                    found.orders[each] = RecordedOrder(each.ref, sent[each])
                return
        for attempt in hidden[:MAX_ASKED_ALONE]:
            totals = read_order_totals(client, idsite, [attempt.ref], *days)
            revenue = find_revenue(attempt.sent, totals)
            if revenue is None:
                found.unseen.add(attempt)
            else:
                found.orders[attempt] = RecordedOrder(attempt.ref, revenue)
        found.unasked.update(hidden[MAX_ASKED_ALONE:])

    def _find_anonymised(self, attempts: Sequence[Attempt], days, found: Found):
        """Find orders whose id Matomo has replaced by a random one.

        With "Anonymize Order ID" an order that is not found by its id would be sent,
        and counted, again. It is looked for by its visitor; where Matomo is known to
        replace ids, among all orders of the day, since Matomo renames visitors, too.
        """
        if not attempts:
            return
        client, idsite = self._client, self._policy.idsite
        visitors = [each.sent.visitor_id for each in attempts if each.sent.visitor_id]
        orders = read_anonymised_orders(client, idsite, visitors, *days)
        for attempt in attempts:
            visitor_id = attempt.sent.visitor_id
            same = [each for each in orders if each.visitor_id == visitor_id]
            self._match_anonymised(attempt, same, 0, found)
        if not self._policy.anonymises:
            return
        asked: dict = {}
        for attempt in attempts:
            if attempt in found.orders:
                continue
            days = get_days([attempt], get_booking_date(attempt, self._policy.now))
            if days not in asked and len(asked) == MAX_ASKED_ALONE:
                found.unasked.add(attempt)
                continue
            if days not in asked:
                asked[days] = read_all_orders(client, idsite, *days)
            self._match_anonymised(attempt, asked[days], attempt.twin_count, found)

    def _match_anonymised(self, attempt, orders, others: int, found: Found) -> None:
        """Give an attempt an order that looks like it, if one is left over.

        Equal orders of one second are counted.

        :param others: how many of them belong to orders that are not looked for now
        """
        policy = self._policy
        equal = [
            order
            for order in orders
            if is_anonymised(order.ref)
            and is_anonymised_match(attempt.sent, order, policy.to_utc, policy.now)
        ]
        free = [order for order in equal if order.ref not in self._matched_refs]
        if len(free) > others:
            found.orders[attempt] = free[0]
            self._matched_refs.add(free[0].ref)


def get_days(attempts: Sequence[Attempt], last: datetime):
    """Return the first and the last day on which Matomo may have recorded orders.

    The days are those of the site's time zone, hence the margin.

    :param last: until when they are looked for, naive UTC
    """
    dates = [get_booking_date(attempt, last) for attempt in attempts]
    created = [attempt.sent.created for attempt in attempts]
    return (
        (min([*dates, *created]) - DAY_MARGIN).date(),
        (last + DAY_MARGIN).date(),
    )


def get_booking_date(attempt: Attempt, now: datetime) -> datetime:
    """Return when Matomo books an attempt: nobody knows a day after the last of all.

    It books what is of the future, or very old, when it arrives (docs/matomo.md
    section 1).

    :param now: naive UTC
    """
    return max(min(attempt.order_date, now), now - MAX_AGE)
