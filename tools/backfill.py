"""What a backfill would do, before it does it: figures in, sentences out.

The sentences are in the language of the environment that is handed in; nothing else of
Odoo is used.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from .sentences import plural

# How many orders a second are sent if the site has sent none in batches yet.
USUAL_RATE = 40
# What Odoo itself does with an order, besides waiting for Matomo (seconds; see
# docs/benchmarks.md).
OWN_WORK = 0.007
# Odoo's scheduled actions begin within this time (seconds).
START = 60
# So many orders of recent batches tell how fast Matomo is.
MEASURED_ORDERS = 20


@dataclass(frozen=True)
class Counts:
    """How many orders of a selection are in which group; the groups are disjoint.

    :ivar found: all of them
    :ivar accepted: Matomo has accepted them
    :ivar waiting: they wait to be sent already
    :ivar failed: they failed and need a person
    :ivar old: they are older than Matomo keeps raw data
    :ivar left_out: others that are not sent, by reason
    :ivar before_start: of those to look at, those from before the tracking start
    """

    found: int = 0
    accepted: int = 0
    waiting: int = 0
    failed: int = 0
    old: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    before_start: int = 0

    @property
    def left_out_count(self) -> int:
        """How many are left out for a reason of their own."""
        return sum(self.left_out.values())

    @property
    def todo(self) -> int:
        """How many the backfill looks at in order to send them."""
        done = self.accepted + self.waiting + self.failed
        return self.found - done - self.old - self.left_out_count

    def __add__(self, other):
        """Return the counts of two selections that have no order in common."""
        reasons = self.left_out.keys() | other.left_out.keys()
        return Counts(
            self.found + other.found,
            self.accepted + other.accepted,
            self.waiting + other.waiting,
            self.failed + other.failed,
            self.old + other.old,
            {
                reason: self.left_out.get(reason, 0) + other.left_out.get(reason, 0)
                for reason in sorted(reasons)
            },
            self.before_start + other.before_start,
        )


@dataclass(frozen=True)
class Surroundings:
    """What decides whether old orders get into a site's reports.

    :ivar name: of the site
    :ivar is_paused: whether a person has paused it
    :ivar is_stopped: whether it needs attention, so that nothing is sent
    :ivar is_tested: whether Matomo has accepted something, or said that it would
    :ivar raw_data_days: how long Matomo keeps single orders; 0: for ever
    :ivar is_raw_data_confirmed: whether a person has compared that number
    """

    name: str
    is_paused: bool = False
    is_stopped: bool = False
    is_tested: bool = True
    raw_data_days: int = 0
    is_raw_data_confirmed: bool = True


# === TIME === #


def get_rate(orders, duration_ms):
    """Return how many orders a second go out.

    :param orders: how many were sent in recent batches
    :param duration_ms: how long these batches took in all
    """
    if orders < MEASURED_ORDERS or duration_ms <= 0:
        return USUAL_RATE
    return 1 / (duration_ms / 1000 / orders + OWN_WORK)


def estimate_seconds(counts_and_rates):
    """Return how long it takes to send these orders, in seconds.

    :param counts_and_rates: ``(orders, orders a second)`` of each site. One lane sends
        for all of them, one after the other
    """
    seconds = sum(count / rate for count, rate in counts_and_rates)
    return seconds + START if seconds else 0


def describe_duration(env, seconds):
    """Return a time that nobody takes for exact."""
    if seconds <= 2 * START:
        return env._("about 2 minutes")
    minutes = round(seconds / 60)
    if minutes < 100:
        return env._("about %s minutes", minutes)
    return env._("about %s hours", round(minutes / 60))


def get_first_kept_day(today, raw_data_days):
    """Return the first day of which Matomo still has all raw data, None of all days."""
    # The day on which the time ends is half gone.
    return today - timedelta(days=raw_data_days - 1) if raw_data_days else None


# === SENTENCES === #


def describe_counts(env, counts, number=str):
    """Return the sentences on a selection, the first of which says how many there are.

    :param number: writes a number as the reader does
    """
    if not counts.found:
        return [env._("No order of these days was found.")]
    lines = []
    for count, texts in (
        (counts.found, _found(env)),
        (counts.todo, _todo(env)),
        (counts.before_start, _before_start(env)),
        (counts.accepted, _accepted(env)),
        (counts.waiting, _waiting(env)),
        (counts.failed, _failed(env)),
        (counts.old, _old(env)),
    ):
        if count:
            one, many = texts
            lines.append(plural(count, one, many % number(count)))
    for reason, count in counts.left_out.items():
        lines.append(
            plural(
                count,
                env._("1 is left out: %s", reason),
                env._(
                    "%(count)s are left out: %(reason)s",
                    count=number(count),
                    reason=reason,
                ),
            )
        )
    return lines


def _found(env):
    return env._("1 order was found."), env._("%s orders were found.")


def _todo(env):
    return (
        env._("1 is sent, unless nothing was bought with it."),
        env._("%s are sent, except orders with which nothing was bought."),
    )


def _before_start(env):
    return (
        env._("1 of them is from before the tracking start, and is tracked from now."),
        env._(
            "%s of them are from before the tracking start, and are tracked from now."
        ),
    )


def _accepted(env):
    return env._("1 is in Matomo already."), env._("%s are in Matomo already.")


def _waiting(env):
    return (
        env._("1 waits to be sent already."),
        env._("%s wait to be sent already."),
    )


def _failed(env):
    return (
        env._("1 has failed before: look at it under Needs Attention."),
        env._("%s have failed before: look at them under Needs Attention."),
    )


def _old(env):
    return (
        env._("1 is older than Matomo keeps its raw data, and is never sent."),
        env._("%s are older than Matomo keeps their raw data, and are never sent."),
    )


def describe_needs(env, surroundings):
    """Return what Matomo needs for old dates, and what of it is not sure here.

    :param surroundings: list of ``Surroundings``, one of each site
    """
    sentences = [
        env._(
            "Matomo takes an order with an old date only from a token with write or "
            "admin access to the site. The token of the site needs it anyway."
        ),
        env._(
            "Matomo makes its reports of these days anew by itself, when somebody "
            "opens them. If your Matomo does not make reports in the browser "
            "(core:archive), they show the orders after its next run."
        ),
        env._(
            "If the reports of these days were imported into Matomo (from Google "
            "Analytics, for example), leave the days out: Matomo counts them anew from "
            "the visits that it has, and the imported figures may be lost."
        ),
    ]
    for site in surroundings:
        if site.is_paused:
            sentences.append(
                env._(
                    "%s is paused: its orders are queued, and sent after Resume.",
                    site.name,
                )
            )
        elif site.is_stopped:
            sentences.append(
                env._(
                    "%s needs attention: its orders are queued, and sent as soon as "
                    "it works.",
                    site.name,
                )
            )
        elif not site.is_tested:
            sentences.append(
                env._("%s was never tested: press Test Connection first.", site.name)
            )
        sentences += _describe_raw_data(env, site)
    return sentences


def _describe_raw_data(env, site):
    if not site.raw_data_days:
        return []
    if site.is_raw_data_confirmed:
        return [
            env._(
                "%(site)s keeps single orders for %(days)s days. Older ones are "
                "never sent: Matomo refuses them, or counts them twice.",
                site=site.name,
                days=site.raw_data_days,
            )
        ]
    return [
        env._(
            "Nobody has compared how long %(site)s keeps single orders. Odoo takes "
            "it for %(days)s days and sends no older ones. Look it up in Matomo "
            "under Administration, Privacy, Anonymize data, and correct it on the "
            "Matomo site.",
            site=site.name,
            days=site.raw_data_days,
        )
    ]
