"""How far the proof of a connection is: a real order on its way to Matomo and back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

# An order that nobody has tried to send for so long: the scheduled actions do not run.
PATIENCE = timedelta(seconds=100)
# Matomo is asked for the order so long after it has accepted it.
LOOK_AFTER = timedelta(seconds=3)
WAITING = ("sending", "not_running", "deferred", "reading")


@dataclass(frozen=True)
class ProofFacts:
    """What is known of the order that proves the connection.

    :ivar state: of its request, "" without one
    :ivar asked: when a person has asked for the proof; None: nobody has
    :ivar is_tried: whether it was sent once at least
    :ivar is_off: whether a scheduled action that it needs is switched off
    """

    now: datetime
    has_order: bool
    asked: datetime | None = None
    state: str = ""
    is_tried: bool = False
    is_off: bool = False
    sent: datetime | None = None


def find_stage(facts: ProofFacts) -> str:
    """Return how far the proof is.

    :return: ``no_order``, ``ready``, one of ``WAITING``, ``verified``, ``different``
        or ``failed``
    """
    if not facts.has_order:
        return "no_order"
    if facts.state in ("verified", "different"):
        return facts.state
    if not facts.asked:
        return "ready"
    if facts.state == "sent":
        is_late = facts.sent and facts.now - facts.sent > PATIENCE
        return "not_running" if facts.is_off or is_late else "reading"
    if facts.state == "pending":
        is_late = facts.now - max(facts.asked, facts.sent or facts.asked) > PATIENCE
        if facts.is_tried:
            return "deferred"
        return "not_running" if facts.is_off or is_late else "sending"
    return "failed"
