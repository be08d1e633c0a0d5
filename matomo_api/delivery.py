"""The delivery: attempts and a policy in, outcomes out.

Here is decided what is asked of Matomo and what its answers mean: accepted,
refused, broken, recorded before, not known yet. No database and no transaction
are in sight: whoever calls has committed what was claimed, and writes the
outcomes down afterwards.

What stands between Odoo and Matomo (proxies, firewalls, PHP, plugins) answers in
Matomo's place, too. One rule meets all of it: if a probe says that server and token
are fine, the trouble is in what was sent. It is divided until the culprit is alone;
what Matomo may have recorded is read back before it is sent again.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf

from .client import BulkAnswer, Client
from .errors import (
    MatomoError,
    Misconfigured,
    ReportRefused,
    ServerTrouble,
    Unreachable,
    Unreadable,
)
from .lookup import Found, Lookup, get_booking_date
from .matching import (
    DAY_MARGIN,
    Owner,
    get_owner,
    is_at_other_time,
    is_same_moment,
)
from .outcomes import (
    Absent,
    Accepted,
    Attempt,
    Broken,
    Deferred,
    Held,
    Missing,
    Outcome,
    Policy,
    Recorded,
    Refused,
    Report,
    Requeued,
    SiteOutcome,
    SiteOverloaded,
    SiteRead,
    SiteReadRefused,
    SiteTrouble,
    SiteUnreadable,
    SiteWorks,
    TakenByOther,
    ToldByTag,
    Unseen,
    Unsure,
    Unverifiable,
    Withdrawn,
    bulk_timeout,
)
from .reading import (
    RecordedOrder,
    is_anonymised,
    may_read,
    read_refund_times,
)
from .tracking import page_view_parameters

# So many connections may be lost in one delivery.
MAX_LOST = 3
# A server that has just been silent gets this time to answer a probe (seconds): a run
# waits ten seconds for silent servers in all.
IMPATIENT_TIMEOUT = 2
# If so many are refused and none is taken, it is no single order's fault.
GENERAL_REFUSAL = 3


class OutOfTime(Exception):
    """The delivery has taken as long as it may."""


class TimedClient:
    """A client that asks nothing more once a delivery has taken its time.

    The attempts are the delivery's only as long as their lease lasts: after it, another
    lane sends them.

    :param patience: seconds
    """

    # The clock is bound here, so that a test that freezes the time does not stop it.
    def __init__(self, client: Client, patience: float, clock=time.monotonic):
        self._client = client
        self._clock = clock
        self._deadline = clock() + patience

    def send_bulk(self, *args, **kwargs) -> BulkAnswer:
        self._check_time()
        return self._client.send_bulk(*args, **kwargs)

    def probe(self, *args, **kwargs) -> bool:
        self._check_time()
        return self._client.probe(*args, **kwargs)

    def call_api(self, *args, **kwargs):
        self._check_time()
        return self._client.call_api(*args, **kwargs)

    def _check_time(self):
        if self._clock() >= self._deadline:
            raise OutOfTime


class Delivery:
    """Sends attempts to one Matomo site and finds out what became of each.

    One delivery is one call of a public method: what it learns of the site holds
    until its report.
    """

    def __init__(self, client: Client, policy: Policy, clock=time.monotonic):
        self._client = client = TimedClient(client, policy.patience, clock)
        self._policy = policy
        self._can_read = policy.can_read
        self._is_readable = policy.is_readable_now
        # What ended reading, None if nothing did.
        self._unreadable: Unreadable | None = None
        # Seconds for a request with one attempt.
        self._timeout = policy.order_timeout
        self._lost = 0
        # The most that were taken in one request, and the least of several that were
        # refused.
        self._most_taken = 0
        self._least_refused = inf
        self._has_worked = False
        self._dirt = ""
        # What a read-back of this delivery has shown not to be in Matomo.
        self._absent: set[Attempt] = set()
        self._lookup = Lookup(client, policy)

    # === WHAT CAN BE ASKED FOR === #

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
        self._timeout = self._policy.cart_timeout
        report = self._collect(attempts, self._deliver(attempts, self._resolve_carts))
        if not report.error or isinstance(report.error, Misconfigured):
            return report
        outcomes = [each for each in report.outcomes if each.attempts]
        return Report(outcomes, report.error)

    def verify(self, attempts: Sequence[Attempt]) -> Report:
        """Read back orders that Matomo has accepted.

        What Matomo excludes it counts as tracked (docs/matomo.md section 2): only a
        read-back proves that it recorded an order. What has no outcome is read again
        later.
        """
        outcomes: list[Outcome | SiteOutcome] = []
        try:
            outcomes.extend(self._verify(attempts))
        except MatomoError as error:
            return Report([SiteTrouble(error), *outcomes], error)
        return Report(outcomes, self._unreadable)

    def probe(self) -> Report:
        """Ask Matomo whether it accepts token and site."""
        try:
            self._probe()
        except MatomoError as error:
            return Report([SiteTrouble(error)], error)
        return Report([SiteWorks()])

    def _collect(
        self, attempts: Sequence[Attempt], outcomes: Iterator[Outcome | SiteOutcome]
    ) -> Report:
        """Return the report of what is yielded until something ends it.

        Attempts without an outcome by then go back to the queue; if time is up, they
        are due again at the end of their lease.
        """
        found: list[Outcome | SiteOutcome] = []
        left = list(attempts)
        error = None
        try:
            for outcome in outcomes:
                found.append(outcome)
                left = [each for each in left if each not in outcome.attempts]
        except MatomoError as trouble:
            error = trouble
            if left:
                found.append(Requeued(left, error))
        except OutOfTime:
            # Fewer of them take less time.
            self._least_refused = min(self._least_refused, len(attempts))
        if not error:
            found, error = _mark_general(found)
        if self._least_refused < inf and not any(
            isinstance(each, Broken) for each in found
        ):
            # No single one is to blame: they were too many.
            found.insert(
                0, SiteOverloaded(self._most_taken or self._least_refused // 2)
            )
        if error:
            return Report([SiteTrouble(error), *found], error)
        if self._has_worked:
            found.insert(0, SiteWorks(self._most_taken, self._dirt))
        return Report(found)

    # === SENDING === #

    def _deliver(self, attempts: Sequence[Attempt], resolve, is_repeat=False):
        """Send attempts in one request; divide them as long as it is refused.

        :param resolve: ``resolve(attempts, answer)`` tells what became of attempts
            of which an answer, or an error, does not say enough; what is left to be
            sent again is returned
        :param is_repeat: whether a single attempt was refused before
        :yield: outcomes
        :raise MatomoError: if it is the site's trouble
        """
        try:
            answer = self._post(attempts)
        except (Unreachable, ServerTrouble) as error:
            self._blame_attempts(len(attempts), error)
            answer = error
        else:
            if answer.tracked == len(attempts):
                self._most_taken = max(self._most_taken, len(attempts))
                yield Accepted(attempts, answer)
                return
            if not answer.tracked:
                # All refused: all recorded before, or the token is wrong.
                self._probe()
        try:
            left = yield from resolve(attempts, answer)
        except MatomoError as trouble:
            # Some of them may have been recorded before that.
            trouble.may_be_recorded |= getattr(answer, "may_be_recorded", True)
            raise
        if len(attempts) == 1:
            if not left:
                return
            is_final = isinstance(answer, BulkAnswer) or answer.kind == "timeout"
            if is_repeat or is_final:
                yield _refusal(attempts[0], answer)
            else:
                yield from self._deliver(left, resolve, is_repeat=True)
            return
        if isinstance(answer, BulkAnswer):
            # Matomo took the others: what it refused is sent alone.
            parts = [[each] for each in left]
        else:
            self._least_refused = min(self._least_refused, len(attempts))
            half = (len(left) + 1) // 2
            parts = [left[:half], left[half:]]
        for part in parts:
            if part:
                yield from self._deliver(part, resolve)

    def _blame_attempts(self, count: int, error: MatomoError) -> None:
        """Return if a probe says that the trouble is in what was sent.

        :param count: of the attempts that were sent
        :raise MatomoError: if it is the site's trouble
        """
        is_silence = error.kind == "timeout"
        if is_silence and error.may_be_recorded and count > 1:
            # There is no time to find out now: fewer are sent the next time.
            self._least_refused = min(self._least_refused, count)
            raise error
        self._lost += isinstance(error, Unreachable)
        if self._lost > MAX_LOST or not error.may_be_about_content:
            raise error
        try:
            self._probe(IMPATIENT_TIMEOUT if is_silence else self._timeout)
        except MatomoError as trouble:
            # Before it was asked, some of them may have been recorded.
            trouble.may_be_recorded |= error.may_be_recorded
            trouble.retry_after = max(trouble.retry_after, error.retry_after)
            raise

    # === ORDERS === #

    def _send_orders(self, attempts):
        for outcome in self._look_up(attempts):
            yield outcome
            attempts = [each for each in attempts if each not in outcome.attempts]
        if attempts:
            try:
                self._begin_visits(attempts)
            except MatomoError as trouble:
                # The page views may be recorded; no order was sent.
                trouble.may_be_recorded = False
                raise
            yield from self._deliver(attempts, self._resolve_orders)

    def _begin_visits(self, attempts) -> None:
        """Send the page views with which the visits of these orders begin.

        They have a request of their own, so that the answer to the orders counts orders
        alone. Matomo does not deduplicate page views: each is sent once, before the
        order's first attempt, whatever becomes of it. An order without its page view
        begins its visit itself.

        :raise MatomoError: if it is the site's trouble
        """
        views = [
            view
            for each in attempts
            if each.attempt_count == 1 and (view := page_view_parameters(each.payload))
        ]
        if not views:
            return
        try:
            answer = self._send_bulk(views)
        except (Unreachable, ServerTrouble) as error:
            # The orders find out what of their content it is.
            self._blame_attempts(len(views), error)
        else:
            if not answer.tracked:
                self._probe()

    def _look_up(self, attempts):
        """Look in Matomo for orders that may be there, before they are sent.

        A person wants them sent again, or they were sent and Matomo, which
        anonymises order ids, would count them twice, or they were withdrawn since.
        """
        withdrawn = [each for each in attempts if each.is_withdrawn]
        if never_sent := [each for each in withdrawn if each.unconfirmed_count <= 1]:
            yield Withdrawn(never_sent)
        doubtful = [
            each
            for each in attempts
            if each not in never_sent
            and (each.is_withdrawn or each.look_up_first or self._is_risky(each))
        ]
        if not doubtful:
            return
        found = yield from self._read_back(doubtful)
        if found is None and self._can_read:
            yield Deferred(doubtful, False, self._unreadable)
            return
        for attempt in doubtful:
            if outcome := self._judge(attempt, found):
                yield outcome

    def _is_risky(self, attempt) -> bool:
        """Return whether Matomo would count it twice if it has it already."""
        return attempt.unconfirmed_count > 1 and self._policy.anonymises

    def _judge(self, attempt, found: Found | None) -> Outcome | None:
        """Return what a look-up says of an attempt; None: it may be sent.

        :param found: None if the token may not read
        """
        order = found and found.orders.get(attempt)
        owner = self._get_owner(attempt, order) if order else None
        is_absent = bool(found) and not order and not found.is_open(attempt)
        if owner in (Owner.OURS, Owner.TAG):
            return self._tell_recorded(attempt, order, owner)
        if found and attempt in found.unasked:
            return Deferred([attempt], False)
        if attempt.is_withdrawn:
            return Withdrawn([attempt], is_absent or owner == Owner.OTHER)
        if owner == Owner.OTHER:
            return TakenByOther([attempt], order)
        if attempt.look_up_first and not attempt.has_raw_data:
            return Unsure([attempt])
        if is_absent:
            return Absent([attempt]) if attempt.look_up_first else None
        if self._is_risky(attempt):
            return Unsure([attempt]) if found else Held([attempt])
        # Matomo refuses a second one.
        return None

    def _resolve_orders(self, attempts, answer: BulkAnswer | MatomoError):
        """Tell recorded orders from others by reading Matomo back.

        Matomo says how many it refused, not which (docs/matomo.md section 3), and
        refuses what it has already, too.

        :return: what is to be sent again
        """
        is_error = isinstance(answer, MatomoError)
        # A second copy would be refused, unless Matomo replaces order ids.
        is_safe = not self._policy.anonymises
        if is_error and not answer.may_be_recorded and is_safe and len(attempts) > 1:
            return attempts
        if not is_error and self._absent.issuperset(attempts):
            return attempts
        found = yield from self._read_back(attempts)
        if found is None:
            if not self._can_read:
                return (yield from self._resolve_unread(attempts, answer))
            if is_error and not answer.may_be_recorded:
                return attempts
            yield Deferred(attempts, True, self._unreadable)
            return []
        return (yield from self._tell_resolved(attempts, answer, found))

    def _tell_resolved(self, attempts, answer: BulkAnswer | MatomoError, found: Found):
        """Tell what Matomo has recorded of the attempts that it answered.

        :return: what is to be sent again
        """
        is_error = isinstance(answer, MatomoError)
        owners = {
            each: self._get_owner(each, found.orders[each])
            for each in attempts
            if each in found.orders
        }
        # The verifier looks at them again.
        there = [
            each
            for each in attempts
            if owners.get(each) in (Owner.OURS, Owner.UNKNOWN)
            or (found.is_open(each) and not is_error)
        ]
        if there:
            yield Accepted(there, answer)
        left = []
        for attempt in attempts:
            if attempt in there:
                continue
            if attempt in owners:
                order = found.orders[attempt]
                yield self._tell_recorded(attempt, order, owners[attempt])
            elif attempt in found.unasked:
                yield Deferred([attempt], True)
            elif attempt in found.unseen and self._policy.anonymises:
                yield Unsure([attempt])
            else:
                left.append(attempt)
        self._absent.update(each for each in left if not found.is_open(each))
        return left

    def _resolve_unread(self, attempts, answer: BulkAnswer | MatomoError):
        """Tell what can be told when the token may not read.

        :return: what is to be sent again
        """
        if isinstance(answer, MatomoError):
            if not (answer.may_be_recorded and self._policy.anonymises):
                return attempts
            yield Held(attempts)
            return []
        if answer.tracked + answer.invalid < len(attempts):
            # Some were lost (docs/matomo.md section 3): each is asked for alone.
            return attempts
        if all(each.attempt_count == 1 for each in attempts):
            if len(attempts) == 1:
                return attempts
            yield Accepted(attempts, answer, len(attempts) - answer.tracked)
        else:
            # Refused the second time: most likely because Matomo has it.
            yield Accepted(attempts, answer)
        return []

    # === EVENTS === #

    def _send_events(self, attempts):
        for attempt in attempts:
            if attempt.unconfirmed_count > 1:
                outcome = yield from self._look_up_event(attempt, False)
                if outcome:
                    yield outcome
                    continue
            yield from self._deliver([attempt], self._resolve_event)

    def _look_up_event(self, attempt, is_sent):
        """Look for a refund that Matomo may have recorded.

        :param is_sent: whether it was sent just now
        :return: what became of it; None: it is not there, and may be sent
        """
        found = None
        if self._can_read and self._is_readable:
            now = self._policy.now
            booked = get_booking_date(attempt, now)
            days = (booked - DAY_MARGIN).date(), (now + DAY_MARGIN).date()
            found = yield from self._ask(
                lambda: read_refund_times(
                    self._client, self._policy.idsite, attempt.payload, *days
                )
            )
        if found is None and self._can_read:
            return Deferred([attempt], is_sent, self._unreadable)
        # Too old to be seen there ever, or only until the token may read.
        if found is None:
            return Unsure([attempt]) if attempt.look_up_first else Held([attempt])
        times, is_complete = found
        if any(self._is_moment_of(attempt, time) for time in times):
            return Accepted([attempt])
        # Matomo may cut off the visit that has it.
        is_unsure = attempt.look_up_first or not is_complete
        return Unsure([attempt]) if is_unsure else None

    def _is_moment_of(self, attempt, time) -> bool:
        policy = self._policy
        return is_same_moment(attempt.sent, time and policy.to_utc(time), policy.now)

    def _resolve_event(self, attempts, answer: BulkAnswer | MatomoError):
        """Find out whether a refund was recorded whose answer does not say it.

        :return: what is to be sent again
        """
        if not (isinstance(answer, MatomoError) and answer.may_be_recorded):
            return attempts
        outcome = yield from self._look_up_event(attempts[0], True)
        if outcome:
            yield outcome
            return []
        return attempts

    # === CARTS === #

    def _resolve_carts(self, attempts, answer: BulkAnswer | MatomoError):
        """Send carts again as they are: an update replaces the one before.

        :return: what is to be sent again
        """
        yield from ()
        return attempts

    # === VERIFYING === #

    def _verify(self, attempts):
        # A token that could not read is asked again, whenever somebody verifies.
        self._can_read = True
        readable = [attempt for attempt in attempts if attempt.has_raw_data]
        found = Found()
        if readable:
            found = yield from self._read_back(readable)
        if found is None:
            return
        if readable:
            yield SiteRead()
        if too_old := [each for each in attempts if not each.has_raw_data]:
            yield Unverifiable(too_old)
        for attempt in readable:
            order = found.orders.get(attempt)
            if order:
                owner = self._get_owner(attempt, order)
                yield self._tell_recorded(attempt, order, owner)
            elif attempt in found.unseen:
                yield Unseen([attempt])
            elif attempt not in found.unasked:
                yield Missing([attempt])

    def _tell_recorded(self, attempt, order, owner: Owner) -> Outcome:
        if owner == Owner.OURS:
            return Recorded([attempt], order, self._is_told_by_tag(attempt, order))
        if owner == Owner.TAG:
            return ToldByTag([attempt], order)
        if owner == Owner.OTHER:
            return TakenByOther([attempt], order)
        return Unseen([attempt])

    def _is_told_by_tag(self, attempt, order) -> bool:
        """Return whether our order stands in Matomo at a time that we did not send."""
        policy, sent = self._policy, attempt.sent
        return bool(
            sent.cart_created
            and order.time
            and is_at_other_time(sent, policy.to_utc(order.time), policy.now)
        )

    # === READING BACK === #

    def _ask(self, read: Callable):
        """Return what ``read()`` returns, None if Matomo cannot be read.

        Whether the token may read at all is asked where Matomo says it: an error of
        one report concerns that report (docs/matomo.md section 15).

        :yield: what is learnt of the site
        :raise MatomoError: the token may neither read nor record
        """
        if not (self._can_read and self._is_readable):
            return None
        try:
            return read()
        except (Unreachable, ServerTrouble, ReportRefused) as error:
            self._unreadable = Unreadable(error)
            if isinstance(error, ReportRefused) and not self._may_read():
                self._can_read = False
                # The token may not read: may it record at all?
                self._probe()
                yield SiteReadRefused()
            else:
                self._is_readable = False
                yield SiteUnreadable(self._unreadable)
        return None

    def _may_read(self) -> bool:
        """Return whether the token may read the site; if it is not known, it may."""
        try:
            return may_read(self._client, self._policy.idsite)
        except MatomoError:
            return True

    def _read_back(self, attempts: Iterable[Attempt]):
        """Return what Matomo has recorded (``Found``), None if it cannot be read.

        :yield: what is learnt of the site
        """
        return (yield from self._ask(lambda: self._lookup.find(attempts)))

    def _get_owner(self, attempt: Attempt, order: RecordedOrder) -> Owner:
        if is_anonymised(order.ref):
            return Owner.OURS
        policy = self._policy
        return get_owner(attempt.sent, order, policy.to_utc, policy.now)

    # === ASKING MATOMO === #

    def _post(self, attempts: Sequence[Attempt]) -> BulkAnswer:
        """Send attempts in one request.

        :raise MatomoError: as the client does
        """
        answer = self._send_bulk([attempt.payload for attempt in attempts])
        self._has_worked = True
        self._dirt = answer.dirt or self._dirt
        return answer

    def _send_bulk(self, payloads: Sequence[Mapping[str, str]]) -> BulkAnswer:
        """Send requests at once, with the time that so many may take.

        :raise MatomoError: as the client does
        """
        timeout = bulk_timeout(self._timeout, len(payloads))
        return self._client.send_bulk(payloads, timeout=timeout)

    def _probe(self, timeout: float | None = None) -> None:
        """Ask whether the token may record.

        :raise MatomoError: as the client does
        """
        self._client.probe(self._policy.idsite, timeout=timeout or self._timeout)
        self._has_worked = True


def _refusal(attempt: Attempt, answer: BulkAnswer | MatomoError) -> Outcome:
    """Return the outcome of an attempt that is refused while others are taken."""
    if isinstance(answer, MatomoError):
        return Broken([attempt], answer)
    return Refused([attempt], answer)


def _mark_general(outcomes):
    """Return the outcomes, and the site's trouble if nothing at all was taken.

    If several attempts fail alone and none is taken, whatever stands before Matomo
    refuses all orders though it lets the probe pass: no order is to blame.
    """
    broken = [each for each in outcomes if isinstance(each, Broken)]
    is_any_taken = any(
        isinstance(each, (Accepted, Recorded, ToldByTag, TakenByOther, Refused))
        for each in outcomes
    )
    if len(broken) < GENERAL_REFUSAL or is_any_taken:
        return outcomes, None
    marked = [
        replace(each, is_general=True) if isinstance(each, Broken) else each
        for each in outcomes
    ]
    return marked, broken[0].error
