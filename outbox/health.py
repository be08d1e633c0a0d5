"""The health of a Matomo site: what it was and what was learnt, and what it is now.

Nothing here knows Odoo. ``matomo.site`` gathers its ``Health``, writes down the
``Change``, and says the message in the language of whoever reads it.

Whatever takes time has an end that is written down: ``next_attempt_date`` for sending,
``next_read_date`` for reading back. All moments are naive UTC.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from ..matomo_api.errors import MatomoError, Misconfigured, Unreadable
from ..matomo_api.outcomes import (
    SiteOutcome,
    SiteOverloaded,
    SiteRead,
    SiteReadRefused,
    SiteTrouble,
    SiteUnreadable,
    SiteWorks,
)
from ..tools.sentences import (
    describe_anonymised,
    describe_dirt,
    describe_error,
    describe_read_refusal,
    describe_unread,
    describe_unreadable,
)
from . import schedule


@dataclass(frozen=True)
class Health:
    """What is known of a site; the fields of ``matomo.site`` have the same names.

    :ivar batch_size: how many orders are sent at once at most
    :ivar settings_message: what is wrong with Matomo's settings, although it takes
        orders; "" if nothing is
    """

    state: str = "unknown"
    failure_count: int = 0
    next_attempt_date: datetime | None = None
    trouble_date: datetime | None = None
    last_success_date: datetime | None = None
    can_read: bool = True
    next_read_date: datetime | None = None
    read_failure_count: int = 0
    unread_date: datetime | None = None
    bulk_limit: int = 0
    is_answer_dirty: bool = False
    idsite: int = 1
    batch_size: int = 50
    settings_message: str = ""

    @property
    def most_at_once(self) -> int:
        """How many orders go into one request.

        Alone, if the token may not read: only then an answer says enough.
        """
        if not self.can_read:
            return 1
        return min(self.bulk_limit or self.batch_size, self.batch_size)


@dataclass(frozen=True)
class Change:
    """What is to be done about a site.

    :ivar values: what changes of its ``Health``
    :ivar message: ``message(env)`` makes the site's new message in the language of
        ``env``, "" for none; None: the message stays
    :ivar warning: what the log says, "" for nothing
    :ivar told: the error of which the managers are told, unless they know
    :ivar is_mended: whether what they were told is over
    :ivar wakes_verifier: whether the verifier has to run at ``next_read_date``
    """

    values: Mapping[str, object] = field(default_factory=dict)
    message: Callable | None = None
    warning: str = ""
    told: MatomoError | None = None
    is_mended: bool = False
    wakes_verifier: bool = False


def learn(health: Health, outcome: SiteOutcome, now: datetime) -> Change:
    """Return what an outcome of a delivery changes."""
    match outcome:
        case SiteWorks(count=count, dirt=dirt):
            return _one_by_one(
                health,
                lambda each: succeed(each, now),
                lambda each: _grow(each, count),
                lambda each: _notice_dirt(each, dirt),
            )
        case SiteTrouble(error=error):
            return _stop(health, error, now)
        case SiteOverloaded(count=count):
            return _shrink(health, count)
        case SiteRead():
            return _read(health)
        case SiteUnreadable(error=error):
            return _defer_reading(health, error, now)
        case SiteReadRefused():
            return _refuse_reading(health, now)
    raise TypeError(f"This is no outcome of a site: {outcome}")


def _one_by_one(health, *steps) -> Change:
    """Return one change for several that follow each other."""
    whole = Change()
    for step in steps:
        change = step(health)
        health = replace(health, **change.values)
        whole = replace(
            whole,
            values={**whole.values, **change.values},
            message=change.message or whole.message,
            warning=change.warning or whole.warning,
            is_mended=change.is_mended or whole.is_mended,
        )
    return whole


# === SENDING === #


def succeed(health: Health, now: datetime) -> Change:
    """Return the change when Matomo has taken requests.

    The last success is written down now and then, or all lanes would write one row.
    """
    if health.state in ("error", "unknown") or health.failure_count:
        rest = _rest(health)
        message = _get_unread_message(health)
        if message and not health.settings_message:
            rest = replace(rest, values={"state": "warning"}, message=message)
        values = {
            **rest.values,
            "last_success_date": now,
            "next_attempt_date": None,
            "failure_count": 0,
            "trouble_date": None,
        }
        return replace(rest, values=values, is_mended=True)
    last = health.last_success_date
    if not last or last < now - schedule.SUCCESS_INTERVAL:
        return Change({"last_success_date": now})
    return Change()


def _get_unread_message(health: Health) -> Callable | None:
    """Return what a site says that takes orders and is not read back, None if it is.

    Why it could not be read was said before the site stopped, and is not stored.
    """
    if not health.can_read:
        return partial(describe_read_refusal, idsite=health.idsite)
    return describe_unread if health.read_failure_count else None


def _grow(health: Health, count: int) -> Change:
    """Let a limit of requests at once grow, slowly, when it was reached well.

    :param count: how many Matomo took in one request
    """
    if not health.bulk_limit or count < health.bulk_limit:
        return Change()
    limit = health.bulk_limit + max(health.bulk_limit // 4, 1)
    return Change({"bulk_limit": 0 if limit >= health.batch_size else limit})


def _shrink(health: Health, count: int) -> Change:
    """Send fewer orders at once: more were refused, or took too long.

    :param count: how many Matomo took in one request, or may take
    """
    return Change({"bulk_limit": max(1, min(count, health.most_at_once))})


def _notice_dirt(health: Health, dirt: str) -> Change:
    """Say once that something is mixed into Matomo's answers, until it is gone.

    :param dirt: what it is, "" if the answer was clean
    """
    if bool(dirt) == health.is_answer_dirty:
        return Change()
    values = {"is_answer_dirty": bool(dirt)}
    if dirt:
        return Change(
            {**values, "state": "warning"},
            partial(describe_dirt, dirt=dirt),
            warning=f"Its answers have other text around them: {dirt}",
        )
    if health.state == "warning" and not health.read_failure_count:
        rest = _rest(health)
        return replace(rest, values={**values, **rest.values})
    return Change(values)


def _stop(health: Health, error: MatomoError, now: datetime) -> Change:
    """Stop sending to a site for a while.

    What is interrupted is tried again soon, then later each time. Wrong settings are
    tried again rarely, and the managers are told once: a test of the connection leaves
    the state "error" without a date, and tells nobody.
    """
    is_wrong = isinstance(error, Misconfigured)
    count = health.failure_count + 1
    wait = (
        schedule.MISCONFIGURED_BACKOFF
        if is_wrong
        else schedule.backoff(count, error.retry_after)
    )
    is_told = health.state == "error" and health.next_attempt_date
    return Change(
        {
            **_get_trouble(error),
            "next_attempt_date": now + wait,
            "failure_count": count,
            "trouble_date": health.trouble_date or now,
        },
        partial(describe_error, error=error),
        warning=str(error),
        told=error if is_wrong and not is_told else None,
    )


def fail_test(health: Health, error: MatomoError) -> Change:
    """Return the change when a test has failed: orders are sent as before.

    The sender finds out by itself whether the site has to wait, and tells the managers.
    The next success ends it.
    """
    return Change(
        {**_get_trouble(error), "failure_count": max(health.failure_count, 1)},
        partial(describe_error, error=error),
        warning=str(error),
    )


def _get_trouble(error):
    return {"state": "error" if isinstance(error, Misconfigured) else "warning"}


# === READING BACK === #


def _read(health: Health) -> Change:
    """Matomo was read back; this ends what came before."""
    if health.can_read and not health.read_failure_count:
        return Change()
    values = {
        "next_read_date": None,
        "read_failure_count": 0,
        "unread_date": None,
        "can_read": True,
    }
    if health.state == "warning" and not health.failure_count:
        rest = _rest(health)
        return replace(rest, values={**values, **rest.values})
    return Change(values)


def _defer_reading(health: Health, error: Unreadable, now: datetime) -> Change:
    """Try to read Matomo back again soon, then later each time."""
    count = health.read_failure_count + 1
    values = {
        "next_read_date": now + schedule.backoff(count, error.retry_after),
        "read_failure_count": count,
        "unread_date": health.unread_date or now,
    }
    change = Change(values, warning=f"is not read back: {error}", wakes_verifier=True)
    return _warn(health, change, partial(describe_unreadable, error=error))


def _refuse_reading(health: Health, now: datetime) -> Change:
    """Say that the token may not read, and ask again tomorrow."""
    change = Change(
        {"can_read": False, "next_read_date": now + schedule.READ_REFUSED_WAIT},
        warning="Its token may not read it." if health.can_read else "",
        wakes_verifier=True,
    )
    return _warn(health, change, partial(describe_read_refusal, idsite=health.idsite))


def _warn(health, change, message):
    """Return the change of a site that goes on, with a warning if it had none."""
    if health.state not in ("ok", "unknown"):
        return change
    return replace(
        change, values={**change.values, "state": "warning"}, message=message
    )


def find_anonymised() -> Change:
    """Return the change when Matomo turns out to replace order IDs by random ones."""
    return Change(
        {"is_order_id_anonymised": True},
        describe_anonymised,
        warning="It anonymises order IDs: every order is looked for there before it is "
        "sent a second time.",
    )


# === NOTHING IS WRONG === #


def _rest(health: Health) -> Change:
    """Return state and message of a site that takes orders and is read back."""
    message = health.settings_message
    values: dict[str, object] = {"state": "warning" if message else "ok"}
    if health.is_answer_dirty:
        # What was said of it is gone, too: the next answer says it anew.
        values["is_answer_dirty"] = False
    return Change(values, lambda env: message)


def pass_checks(health: Health, message: str | None = None) -> Change:
    """Return the change when all was asked and nothing is wrong with the site.

    :param message: what a site says then with which nothing at all is wrong; None: what
        it says already, if nothing was wrong before
    """
    rest = _rest(health)
    if rest.values["state"] != "ok":
        return rest
    if health.is_answer_dirty:
        return Change()
    if message is None and health.state == "ok":
        return replace(rest, message=None)
    return replace(rest, message=lambda env: message or "")
