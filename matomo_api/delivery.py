"""The delivery: attempts and a policy in, outcomes out.

Here is decided what is asked of Matomo and what its answers mean: accepted,
refused, broken, recorded before, not known yet. No database and no transaction
are in sight: whoever calls has committed what was claimed, and writes the
outcomes down afterwards.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from .client import BulkAnswer, Client
from .errors import (
    MatomoError,
    Misconfigured,
    ServerTrouble,
    Unreachable,
    Unreadable,
)
from .matching import DAY_MARGIN, Sent, is_same_order
from .reading import (
    RecordedOrder,
    is_refund_recorded,
    read_anonymised_orders,
    read_orders,
)

# What PHP answers when a request breaks it; gateways have other numbers.
SERVER_ERROR = 500
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

    answer: BulkAnswer | ServerTrouble | None = None
    refused_count: int = 0


@dataclass(frozen=True)
class Recorded(Outcome):
    """Matomo has this order, and it is ours."""

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
class Unsure(Outcome):
    """Matomo may have it, nobody can see whether, and it must not be sent twice."""


@dataclass(frozen=True)
class Held(Outcome):
    """Matomo may have it; it waits until the token may read whether it has."""


@dataclass(frozen=True)
class Withdrawn(Outcome):
    """It no longer counts, and Matomo does not have it."""


@dataclass(frozen=True)
class Refused(Outcome):
    """Matomo refuses this one, while it takes others."""

    answer: BulkAnswer


@dataclass(frozen=True)
class Broken(Outcome):
    """Matomo's server fails on this one, while it takes others."""

    error: ServerTrouble


@dataclass(frozen=True)
class Deferred(Outcome):
    """They wait until Matomo can be read back."""

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
    """Matomo takes requests."""


@dataclass(frozen=True)
class SiteTrouble(SiteOutcome):
    """Matomo takes no requests now."""

    error: MatomoError


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


# === THE DELIVERY === #


class Delivery:
    """Sends attempts to one Matomo site and finds out what became of each."""

    def __init__(self, client: Client, policy: Policy):
        self._client = client
        self._policy = policy

    def send_orders(self, attempts: Sequence[Attempt]) -> Report:
        """Send orders in one request, and find out what became of each."""
        return self._collect(attempts, self._send_orders(attempts))

    def send_events(self, attempts: Sequence[Attempt]) -> Report:
        """Send refund events, each in a request of its own.

        Matomo does not deduplicate events (docs/matomo.md section 14): one that may
        be there is looked for before it is sent a second time.
        """
        return self._collect(attempts, self._send_events(attempts))

    def send_carts(self, attempts: Sequence[Attempt]) -> Report:
        """Send cart updates in one request; nobody reads them back.

        Trouble is not worth stopping the site: orders find it out for themselves.
        Only wrong settings are, lest Matomo lock the sender out.
        """
        policy = self._policy
        payloads = [attempt.payload for attempt in attempts]
        try:
            answer = self._client.send_bulk(payloads, timeout=policy.cart_timeout)
            if answer.invalid == len(attempts):
                self._client.probe(policy.idsite, timeout=policy.cart_timeout)
        except Misconfigured as error:
            return Report([SiteTrouble(error), Requeued(attempts, error)], error)
        except MatomoError as error:
            return Report([Requeued(attempts, error)], error)
        if answer.tracked < len(attempts):
            return Report([Refused(attempts, answer)])
        return Report([Accepted(attempts, answer)])

    def verify(self, attempts: Sequence[Attempt]) -> Report:
        """Read back orders that Matomo has accepted.

        What Matomo excludes it counts as tracked (docs/matomo.md section 2): only a
        read-back proves that it recorded an order.
        """
        readable = [attempt for attempt in attempts if attempt.has_raw_data]
        try:
            recorded = self._read_back(readable)
        except Misconfigured:
            return self._explain_read_refusal(attempts)
        except Unreadable as error:
            return Report([SiteUnreadable(error)], error)
        outcomes: list[Outcome | SiteOutcome] = [SiteRead()] if readable else []
        too_old = [attempt for attempt in attempts if not attempt.has_raw_data]
        if too_old:
            outcomes.append(Unverifiable(too_old))
        for attempt in readable:
            order = recorded.get(attempt.ref)
            if not order:
                outcomes.append(Missing([attempt]))
            elif self._is_ours(attempt, order):
                outcomes.append(Recorded([attempt], order))
            else:
                outcomes.append(TakenByOther([attempt], order))
        return Report(outcomes)

    def probe(self) -> Report:
        """Ask Matomo whether it accepts token and site."""
        try:
            self._probe()
        except MatomoError as error:
            return Report([SiteTrouble(error)], error)
        return Report([SiteWorks()])

    def _explain_read_refusal(self, attempts) -> Report:
        """The token may not read: may it record at all?"""
        report = self.probe()
        if report.error:
            return report
        return Report([SiteReadRefused(), Unverifiable(attempts)])

    def _collect(
        self, attempts: Sequence[Attempt], outcomes: Iterator[Outcome | SiteOutcome]
    ) -> Report:
        """Return the report of what is yielded until something ends it.

        Attempts without an outcome by then go back to the queue.
        """
        found: list[Outcome | SiteOutcome] = []
        left = list(attempts)
        try:
            for outcome in outcomes:
                found.append(outcome)
                left = [each for each in left if each not in outcome.attempts]
        except Unreadable as error:
            # Matomo takes orders, but what these have become cannot be seen now.
            deferred = [Deferred(left, error)] if left else []
            return Report([SiteUnreadable(error), *found, *deferred], error)
        except MatomoError as error:
            requeued = [Requeued(left, error)] if left else []
            return Report([SiteTrouble(error), *found, *requeued], error)
        if any(not isinstance(outcome, Deferred) for outcome in found):
            return Report([SiteWorks(), *found])
        return Report(found)

    # === ORDERS === #

    def _send_orders(self, attempts):
        for outcome in self._look_up(attempts):
            yield outcome
            attempts = [each for each in attempts if each not in outcome.attempts]
        if not attempts:
            return
        try:
            answer = self._post(attempts)
        except ServerTrouble as error:
            if error.status != SERVER_ERROR:
                raise
            # Is Matomo ill, or does one of these orders break it?
            self._probe()
            yield from self._resolve(attempts, error)
            return
        if answer.tracked == len(attempts):
            yield Accepted(attempts, answer)
            return
        if not answer.tracked:
            # All refused: all recorded before, or the token is wrong.
            self._probe()
        yield from self._resolve(attempts, answer)

    def _look_up(self, attempts):
        """Look in Matomo for orders that may be there, before they are sent.

        A person wants them sent again, or they were sent and Matomo, which
        anonymises order ids, would count them twice, or they were withdrawn since.
        """
        policy = self._policy
        withdrawn = [each for each in attempts if each.is_withdrawn]
        doubtful = withdrawn + [
            each
            for each in attempts
            if not each.is_withdrawn
            and (
                each.look_up_first or (policy.anonymises and each.unconfirmed_count > 1)
            )
        ]
        # Not sent unless Matomo is seen not to have them.
        risky = [
            each for each in doubtful if each.look_up_first and not each.has_raw_data
        ]
        if not policy.can_read and risky:
            yield Unsure(risky)
        if not doubtful or not policy.can_read:
            return
        if not policy.is_readable_now:
            yield Deferred(doubtful)
            return
        try:
            recorded = self._read_back(doubtful)
        except Misconfigured:
            # The token may not read: may it record at all?
            self._probe()
            yield SiteReadRefused()
            if risky:
                yield Unsure(risky)
            return
        for attempt in doubtful:
            outcome = self._judge(attempt, recorded.get(attempt.ref), risky)
            if outcome:
                yield outcome

    def _judge(self, attempt, order, risky) -> Outcome | None:
        """Return what a look-up says of an attempt; None: it may be sent."""
        if order and self._is_ours(attempt, order):
            return Recorded([attempt], order)
        if attempt.is_withdrawn:
            return Withdrawn([attempt])
        if order:
            return TakenByOther([attempt], order)
        if attempt in risky:
            return Unsure([attempt])
        if attempt.look_up_first:
            return Absent([attempt])
        return None

    def _resolve(self, attempts, answer: BulkAnswer | ServerTrouble):
        """Tell recorded orders from refused ones by reading Matomo back.

        Matomo says how many it refused, not which (docs/matomo.md section 3), and
        refuses what it has already, too. What is not there is sent alone.

        :raise MatomoError: when it cannot be found out now
        """
        policy = self._policy
        if not policy.can_read:
            yield from self._resolve_unread(attempts, answer)
            return
        if not policy.is_readable_now:
            yield Deferred(attempts)
            return
        try:
            recorded = self._read_back(attempts)
        except Misconfigured:
            # The token may not read: may it record at all?
            try:
                self._probe()
            except MatomoError as error:
                # Before it was asked, some of them may have been recorded.
                error.may_be_recorded = True
                raise
            yield SiteReadRefused()
            yield from self._resolve_unread(attempts, answer)
            return
        ours = [
            each
            for each in attempts
            if each.ref in recorded and self._is_ours(each, recorded[each.ref])
        ]
        if ours:
            yield Accepted(ours, answer)
        for attempt in attempts:
            if attempt in ours:
                continue
            if order := recorded.get(attempt.ref):
                yield TakenByOther([attempt], order)
            elif len(attempts) == 1:
                yield _refusal(attempt, answer)
            else:
                yield self._send_alone(attempt)

    def _resolve_unread(self, attempts, answer: BulkAnswer | ServerTrouble):
        """Tell what can be told when the token may not read."""
        is_broken = isinstance(answer, ServerTrouble)
        if is_broken and len(attempts) > 1:
            for attempt in attempts:
                yield self._send_alone(attempt)
        elif is_broken or (len(attempts) == 1 and attempts[0].attempt_count == 1):
            yield _refusal(attempts[0], answer)
        elif all(each.attempt_count == 1 for each in attempts):
            yield Accepted(attempts, answer, len(attempts) - answer.tracked)
        else:
            # Refused the second time: most likely because Matomo has it.
            yield Accepted(attempts, answer)

    def _send_alone(self, attempt) -> Outcome:
        """Send an attempt alone, so that the answer is about it and no other.

        :raise Misconfigured: the token is wrong, or the site
        :raise MatomoError: when it cannot be found out now
        """
        try:
            answer = self._post([attempt])
        except ServerTrouble as error:
            if error.status != SERVER_ERROR:
                raise
            answer = error
        if isinstance(answer, BulkAnswer) and answer.tracked:
            return Accepted([attempt], answer)
        # Refused alone, and not there: the token's or the site's fault, or its own?
        self._probe()
        return _refusal(attempt, answer)

    # === EVENTS === #

    def _send_events(self, attempts):
        for attempt in attempts:
            if attempt.unconfirmed_count > 1:
                found = list(self._look_up_event(attempt))
                yield from found
                if found:
                    continue
            yield self._send_alone(attempt)

    def _look_up_event(self, attempt):
        """Look for a refund whose earlier attempt may have been recorded."""
        policy = self._policy
        # Too old to be seen there ever, or only until the token may read.
        unseen = (
            [Unsure([attempt])]
            if attempt.look_up_first
            else [SiteReadRefused(), Held([attempt])]
        )
        if not policy.can_read:
            yield from unseen
            return
        if not policy.is_readable_now:
            yield Deferred([attempt])
            return
        days = attempt.order_date.date(), policy.now.date()
        try:
            is_recorded = is_refund_recorded(
                self._client, policy.idsite, attempt.payload, *days
            )
        except Misconfigured:
            # The token may not read: may it record at all?
            self._probe()
            yield from unseen
            return
        except (Unreachable, ServerTrouble) as error:
            raise Unreadable(error) from error
        if is_recorded:
            yield Accepted([attempt])
        elif attempt.look_up_first:
            yield Unsure([attempt])

    # === ASKING MATOMO === #

    def _post(self, attempts: Sequence[Attempt]) -> BulkAnswer:
        """Send attempts in one request.

        :raise MatomoError: as the client does
        """
        return self._client.send_bulk(
            [attempt.payload for attempt in attempts],
            timeout=bulk_timeout(self._policy.order_timeout, len(attempts)),
        )

    def _probe(self) -> None:
        """Ask whether the token may record.

        :raise MatomoError: as the client does
        """
        self._client.probe(self._policy.idsite, timeout=self._policy.order_timeout)

    def _read_back(self, attempts: Iterable[Attempt]) -> dict[str, RecordedOrder]:
        """Return what Matomo has recorded: ``{order id: order}``.

        With "Anonymize Order ID" Matomo keeps a random id instead of ours: what is
        not found by its id is looked for by its visitor, or it would be sent, and
        counted, again.

        :raise Misconfigured: the token may not read
        :raise Unreadable: Matomo cannot be read now
        """
        recorded: dict[str, RecordedOrder] = {}
        by_date = sorted(attempts, key=lambda attempt: attempt.order_date)
        size = self._policy.read_batch
        for start in range(0, len(by_date), size):
            try:
                recorded |= self._read_some(by_date[start : start + size])
            except (Unreachable, ServerTrouble) as error:
                raise Unreadable(error) from error
        return recorded

    def _read_some(self, attempts: Sequence[Attempt]) -> dict[str, RecordedOrder]:
        dates = [attempt.order_date for attempt in attempts]
        created = [attempt.sent.created for attempt in attempts]
        # Matomo books orders of the future when they arrive.
        days = (
            (min(dates + created) - DAY_MARGIN).date(),
            (max([*dates, self._policy.now]) + DAY_MARGIN).date(),
        )
        client, idsite = self._client, self._policy.idsite
        refs = [attempt.ref for attempt in attempts]
        recorded = read_orders(client, idsite, refs, *days)
        missing = [
            each
            for each in attempts
            if each.ref not in recorded and each.sent.visitor_id
        ]
        visitors = [attempt.sent.visitor_id for attempt in missing]
        for order in read_anonymised_orders(client, idsite, visitors, *days):
            for attempt in missing:
                if attempt.ref not in recorded and self._is_ours(attempt, order):
                    recorded[attempt.ref] = order
                    break
        return recorded

    def _is_ours(self, attempt: Attempt, order: RecordedOrder) -> bool:
        return is_same_order(attempt.sent, order, self._policy.to_utc)


def _refusal(attempt: Attempt, answer: BulkAnswer | ServerTrouble) -> Outcome:
    """Return the outcome of an attempt that Matomo refuses while it takes others."""
    if isinstance(answer, ServerTrouble):
        return Broken([attempt], answer)
    return Refused([attempt], answer)


def get_failure_type(error: MatomoError) -> str:
    """Return whose trouble it is: ``config``, ``server`` or ``network``."""
    if isinstance(error, Misconfigured):
        return "config"
    return "server" if isinstance(error, ServerTrouble) else "network"
