"""What the managers of a Matomo site are told: facts in, alerts out.

Whatever stops the promise for hours is said once, and ends by itself. Nothing here
knows Odoo; ``tools/sentences.py`` has the sentence of each kind of alert.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

# Trouble that passes sooner is nobody's business.
PATIENCE = timedelta(hours=2)
# So many visitors of a week tell whether they share a few addresses, and so many of
# them at each address are no family and no office.
ENOUGH_VISITORS = 20
CROWD = 4


@dataclass(frozen=True)
class SiteFacts:
    """How a site is doing; all moments are naive UTC.

    :param now: the moment of the facts
    :param is_copy: whether the database was copied or restored, and sends nothing
    :param trouble_date: since when Matomo takes no orders; None if it does
    :param unread_date: since when Matomo cannot be read; None if it can
    :param waiting_date: since when the oldest order waits that could be sent
    :param refused_date: since when the oldest order waits on which Matomo's server,
        or what stands before it, fails again and again
    :param stopped_actions: names of scheduled actions that are off or do not run
    :param failed_count: orders that failed
    :param different_days: days on which Odoo and Matomo differ, and nobody knows why
    :param tag_count: today's orders of the web shop that a JavaScript tag sent, too
    :param web_count: today's orders of the web shop
    :param visitor_count: visitors with an address who bought in the past week
    :param address_count: their addresses
    """

    now: datetime
    is_copy: bool = False
    trouble_date: datetime | None = None
    unread_date: datetime | None = None
    waiting_date: datetime | None = None
    refused_date: datetime | None = None
    stopped_actions: Sequence[str] = ()
    failed_count: int = 0
    different_days: int = 0
    tag_count: int = 0
    web_count: int = 0
    visitor_count: int = 0
    address_count: int = 0


@dataclass(frozen=True)
class Alert:
    """Something that people have to know.

    :param kind: a key of ``sentences.ALERTS``
    :param figures: what its sentence names
    """

    kind: str
    figures: Mapping = field(default_factory=dict)


def find_alerts(facts: SiteFacts) -> list[Alert]:
    """Return what has to be said of a site, the worst first."""

    def is_old(moment):
        return bool(moment) and moment <= facts.now - PATIENCE

    if facts.is_copy:
        # Nothing else is the business of a copy.
        return [Alert("copy")]
    alerts = []
    if facts.stopped_actions:
        alerts.append(Alert("stopped", {"names": ", ".join(facts.stopped_actions)}))
    elif is_old(facts.waiting_date) and not facts.trouble_date:
        alerts.append(Alert("stalled", {"since": facts.waiting_date}))
    if is_old(facts.trouble_date):
        alerts.append(Alert("outage", {"since": facts.trouble_date}))
    elif is_old(facts.refused_date):
        alerts.append(Alert("refused", {"since": facts.refused_date}))
    if is_old(facts.unread_date):
        alerts.append(Alert("unread", {"since": facts.unread_date}))
    if facts.failed_count:
        alerts.append(Alert("failed", {"count": facts.failed_count}))
    if facts.tag_count:
        figures = {"count": facts.tag_count, "total": facts.web_count}
        alerts.append(Alert("tag", figures))
    if (
        facts.visitor_count >= ENOUGH_VISITORS
        and facts.visitor_count >= facts.address_count * CROWD
    ):
        figures = {"count": facts.address_count, "total": facts.visitor_count}
        alerts.append(Alert("addresses", figures))
    if facts.different_days:
        alerts.append(Alert("different", {"count": facts.different_days}))
    return alerts
