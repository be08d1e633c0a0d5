"""Looks for orders in Matomo, by every road that there is.

By their ids in the visits log; by visitor, second and amounts where Matomo replaces
ids; and in the report of orders where the log does not show them (docs/matomo.md
section 15). A question that is refused because of what it names is divided, as is
what is sent (``delivery.py``); the culprit is looked for without its name.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from .client import Client
from .errors import MatomoError, ReportRefused
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
    Totals,
    is_anonymised,
    read_all_orders,
    read_anonymised_orders,
    read_order_totals,
    read_orders,
)
from .tracking import order_ref_key

# So many orders that the visits log does not show are asked for one by one, and on
# so many days.
MAX_ASKED_ALONE = 10
# After so many failures to read the visits log the report of orders is asked.
LOG_FAILURES = 2
# Of several orders with one id, the one that is ours is believed first.
_OWNERS = [Owner.OURS, Owner.TAG, Owner.UNKNOWN, Owner.OTHER]
# Older orders Matomo books when they arrive (docs/matomo.md section 1).
MAX_AGE = timedelta(days=20 * 366)
# An order id that nobody dislikes, and nobody has.
HARMLESS_REF = "none"
# If so many are refused alone and none is answered, nothing is asked by name.
GENERAL_REFUSAL = 3
# So many questions that name one order may stay without an answer in one search.
MAX_SILENT = 3


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
        # Of this search: what is known of days, by their first and last one.
        self._days: dict[tuple, tuple[list[RecordedOrder], bool]] = {}
        # How many were refused alone, and whether any was answered that was named.
        self._refused_alone = 0
        self._has_answered = False
        self._silent = 0

    def find(self, attempts: Iterable[Attempt]) -> Found:
        """Look for orders in Matomo.

        What was found before Matomo became silent is kept: the rest is not asked for.

        :raise MatomoError: if Matomo cannot be read
        """
        found = Found()
        self._days = {}
        self._refused_alone, self._has_answered, self._silent = 0, False, 0
        by_date = sorted(attempts, key=lambda attempt: attempt.order_date)
        size = self._policy.read_batch
        for start in range(0, len(by_date), size):
            try:
                self._find_some(by_date[start : start + size], found)
            except MatomoError:
                if not (start or found.orders):
                    raise
                found.unasked.update(
                    each
                    for each in by_date[start:]
                    if each not in found.orders and each not in found.unseen
                )
                break
        return found

    def _find_some(self, attempts: Sequence[Attempt], found: Found) -> None:
        """Read orders back, and add them to ``found``.

        What the visits log does not show is asked of the report of orders, which
        knows neither the log's limits nor that it is switched off.
        """
        if self._is_refused_by_name() and len(attempts) > 1:
            for attempt in attempts:
                self._find_some([attempt], found)
            return
        days = get_days(attempts, self._policy.now)

        def ask(refs):
            return read_orders(self._client, self._policy.idsite, refs, *days)

        try:
            if self._is_refused_by_name():
                read = self._read_unnamed(attempts[0], found)
            else:
                read = ask([each.ref for each in attempts])
                self._has_answered = True
        except MatomoError as error:
            if not self._is_about_names(error, attempts, ask):
                self._check_log_is_off(error)
                read = None
            elif len(attempts) > 1:
                half = (len(attempts) + 1) // 2
                self._find_some(attempts[:half], found)
                self._find_some(attempts[half:], found)
                return
            else:
                self._refused_alone += 1
                read = self._read_unnamed(attempts[0], found)
        if read is not None:
            seen = read.candidates
            unseen = [each for each in attempts if each.ref not in seen]
            self._find_anonymised(unseen, days, found)
        self._take_found(attempts, read or ReadBack(is_complete=False), days, found)

    def _check_log_is_off(self, error: MatomoError) -> None:
        """Raise the error unless the report of orders is asked instead of the log."""
        if not isinstance(error, ReportRefused) or not (
            error.is_log_off or self._policy.read_failure_count >= LOG_FAILURES
        ):
            raise error

    def _take_found(self, attempts, read: ReadBack, days, found: Found) -> None:
        """Add to ``found`` what the log has shown, and what the report shows besides.

        :param days: of the attempts, as ``get_days`` has returned them
        """
        for attempt in attempts:
            if candidates := read.candidates.get(attempt.ref):
                found.orders[attempt] = self._choose(attempt, candidates)
        hidden = [
            each
            for each in attempts
            if each not in found.orders and not found.is_open(each)
        ]
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

    def _is_refused_by_name(self) -> bool:
        return self._refused_alone >= GENERAL_REFUSAL and not self._has_answered

    def _is_about_names(self, error: MatomoError, attempts, ask: Callable) -> bool:
        """Return whether a question failed because of the orders that it names.

        So it is if the same question is answered that names none of them.

        :param ask: asks it, of some order ids
        """
        if not error.may_be_about_content:
            return False
        if error.kind == "timeout":
            self._silent += 1
            if len(attempts) > 1 or self._silent > MAX_SILENT:
                # There is no time to find out now: fewer are asked for the next time.
                return False
        try:
            ask([HARMLESS_REF])
        except MatomoError:
            return False
        return True

    def _read_unnamed(self, attempt: Attempt, found: Found) -> ReadBack:
        """Return an order that may not be asked for by its id.

        It is looked for among all orders of its days.
        """
        try:
            read = self._read_days(attempt)
        except MatomoError:
            return ReadBack(is_complete=False)
        if read is None:
            found.unasked.add(attempt)
            return ReadBack()
        orders, is_complete = read
        key = order_ref_key(attempt.ref)
        same = [each for each in orders if order_ref_key(each.ref) == key]
        return ReadBack({attempt.ref: same} if same else {}, is_complete)

    def _read_days(self, attempt: Attempt) -> tuple[list[RecordedOrder], bool] | None:
        """Return all orders of the days of an attempt, and whether it is all.

        :return: None if there is no time to ask for more days
        :raise MatomoError: if Matomo does not tell
        """
        days = get_days([attempt], get_booking_date(attempt, self._policy.now))
        if days not in self._days:
            if len(self._days) == MAX_ASKED_ALONE:
                return None
            # If this fails it is not asked a second time.
            self._days[days] = [], False
            client, idsite = self._client, self._policy.idsite
            self._days[days] = read_all_orders(client, idsite, *days)
        return self._days[days]

    def _find_in_report(self, attempts, hidden, days, found: Found) -> None:
        """Find orders that the visits log does not show in the report of orders.

        It counts all orders of the visits that they are in (docs/matomo.md section
        15). If their number and their sum are ours, all of them are there; else each
        is asked for by itself.

        :param hidden: those of ``attempts`` that were not found yet
        """
        if len(attempts) > 1:
            sent = {each: Decimal(str(each.sent.revenue)) for each in attempts}
            shown = {
                each: order.revenue
                for each, order in found.orders.items()
                if each in sent and order.revenue is not None
            }
            totals = self._read_totals(attempts, days)
            if totals and is_sum_of({**sent, **shown}.values(), totals):
                for each in hidden:
                    found.orders[each] = RecordedOrder(each.ref, sent[each])
                return
        for attempt in hidden[:MAX_ASKED_ALONE]:
            totals = self._read_totals([attempt], days)
            revenue = totals and find_revenue(attempt.sent, totals)
            if revenue is None:
                found.unseen.add(attempt)
            else:
                found.orders[attempt] = RecordedOrder(attempt.ref, revenue)
        found.unasked.update(hidden[MAX_ASKED_ALONE:])

    def _read_totals(self, attempts: Sequence[Attempt], days) -> Totals | None:
        """Return what the report of orders says; None if it may not be asked by name.

        :raise MatomoError: if Matomo cannot be read
        """

        def ask(refs):
            return read_order_totals(self._client, self._policy.idsite, refs, *days)

        try:
            return ask([each.ref for each in attempts])
        except MatomoError as error:
            if self._is_about_names(error, attempts, ask):
                return None
            raise

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
        for attempt in attempts:
            if attempt in found.orders:
                continue
            read = self._read_days(attempt)
            if read is None:
                found.unasked.add(attempt)
                continue
            orders, is_complete = read
            self._match_anonymised(attempt, orders, attempt.twin_count, found)
            if attempt not in found.orders and not is_complete:
                found.unseen.add(attempt)

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
