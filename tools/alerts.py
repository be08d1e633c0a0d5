"""What goes wrong with the orders of a Matomo site: facts in, findings out.

Whatever stops the promise for hours is said once, and ends by itself. Nothing here
knows Odoo; ``findings.py`` has the sentences.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .doctor import Finding
from .needed import Stopped
from .waiting import Waiting

# So many visitors of a week tell whether they share a few addresses, and so many of
# them at each address are no family and no office.
ENOUGH_VISITORS = 20
CROWD = 4
# A site that is paused longer may have been forgotten.
PAUSE = timedelta(days=1)
# What is said of a site on which nothing of it is wrong.
GOOD_KINDS = ("stopped", "unproven", "failed", "tag", "different")
# All that this file may find.
KINDS = (
    *GOOD_KINDS,
    *("copy", "paused", "stalled", "outage", "refused", "unread", "addresses"),
)


@dataclass(frozen=True)
class Limits:
    """From where on people are told; the fields of ``matomo.site`` have these names.

    :ivar outage_hours: of trouble with Matomo; what passes sooner is nobody's business
    :ivar unproven_hours: after which an accepted order should be found in Matomo
    :ivar unproven_limit: so many of those are no news
    :ivar failed_limit: so many failed orders are no news
    """

    outage_hours: int = 2
    unproven_hours: int = 24
    unproven_limit: int = 0
    failed_limit: int = 0


@dataclass(frozen=True)
class SiteFacts:
    """How a site is doing; all moments are naive UTC.

    :param now: the moment of the facts
    :param is_copy: whether the database was copied or restored, and sends nothing
    :param paused_date: since when a person has paused the site; None if it is not
    :param trouble_date: since when Matomo takes no orders; None if it does
    :param unread_date: since when Matomo cannot be read; None if it can
    :param waiting_date: since when the oldest order waits that could be sent
    :param waiting: how many orders and refunds wait
    :param refused_date: since when the oldest order waits on which Matomo's server,
        or what stands before it, fails again and again
    :param stopped: scheduled actions and automation rules that do not run
    :param failed_count: orders that failed
    :param unproven_count: orders that Matomo accepted ``unproven_hours`` ago and more,
        and that were not found there
    :param different_days: days on which Odoo and Matomo differ by more than the limits
        of the site, and nobody knows why
    :param tag_count: today's orders of the web shop that a JavaScript tag sent, too
    :param web_count: today's orders of the web shop
    :param visitor_count: visitors with an address who bought in the past week
    :param address_count: their addresses
    :param limits: of the site
    """

    now: datetime
    is_copy: bool = False
    paused_date: datetime | None = None
    trouble_date: datetime | None = None
    unread_date: datetime | None = None
    waiting_date: datetime | None = None
    waiting: Waiting = Waiting()
    refused_date: datetime | None = None
    stopped: Sequence[Stopped] = ()
    failed_count: int = 0
    unproven_count: int = 0
    different_days: int = 0
    tag_count: int = 0
    web_count: int = 0
    visitor_count: int = 0
    address_count: int = 0
    limits: Limits = field(default_factory=Limits)


def find_alerts(facts: SiteFacts) -> list[Finding]:
    """Return what is wrong with a site, the worst first."""
    if facts.is_copy:
        # Nothing else is the business of a copy.
        return [Finding("copy", "bad")]
    found = [*_find_standing(facts), *_find_lost(facts)]
    if facts.tag_count:
        figures = {"count": facts.tag_count, "total": facts.web_count}
        found.append(Finding("tag", "bad", figures))
    if (
        facts.visitor_count >= ENOUGH_VISITORS
        and facts.visitor_count >= facts.address_count * CROWD
    ):
        figures = {"count": facts.address_count, "total": facts.visitor_count}
        found.append(Finding("addresses", "look", figures))
    if facts.different_days:
        found.append(Finding("different", "look", {"count": facts.different_days}))
    return found


def add_good(found: list[Finding]) -> list[Finding]:
    """Return the findings, and of what is quiet that it is good."""
    kinds = {each.kind for each in found}
    if "copy" in kinds:
        return found
    return found + [Finding(kind, "good") for kind in GOOD_KINDS if kind not in kinds]


def _find_standing(facts):
    """What keeps orders from being sent or read back."""
    patience = timedelta(hours=facts.limits.outage_hours)

    def is_old(moment):
        return bool(moment) and moment <= facts.now - patience

    def since(kind, moment, level="bad", **figures):
        # The moment as text, since figures are JSON.
        moment = moment.isoformat(sep=" ", timespec="seconds")
        return Finding(kind, level, {"since": moment, **figures})

    if facts.stopped:
        names = {each.key: each.name for each in facts.stopped}
        cause = "deleted" if any(each.is_deleted for each in facts.stopped) else ""
        yield Finding("stopped", "bad", {"names": names}, cause)
    if facts.paused_date:
        if facts.paused_date <= facts.now - PAUSE:
            waiting = facts.waiting._asdict()
            yield since("paused", facts.paused_date, "look", waiting=waiting)
        # A person has stopped the rest.
        return
    if is_old(facts.waiting_date) and not (facts.stopped or facts.trouble_date):
        yield since("stalled", facts.waiting_date)
    if is_old(facts.trouble_date):
        yield since("outage", facts.trouble_date, waiting=facts.waiting._asdict())
    elif is_old(facts.refused_date):
        yield since("refused", facts.refused_date)
    if is_old(facts.unread_date):
        yield since("unread", facts.unread_date)


def _find_lost(facts):
    """Orders of which nobody can say that they are in Matomo."""
    if facts.failed_count > facts.limits.failed_limit:
        yield Finding("failed", "bad", {"count": facts.failed_count})
    if facts.unproven_count > facts.limits.unproven_limit and not facts.paused_date:
        hours = facts.limits.unproven_hours
        figures = {"count": facts.unproven_count, "hours": hours}
        yield Finding("unproven", "bad", figures)
