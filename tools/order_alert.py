"""When the form of an order calls a person, and how loudly.

Nothing here knows Odoo; ``matomo.order.mixin`` gathers the facts.
"""

from datetime import datetime, timedelta

from ..const import ACCEPTED_STATES

# A hiccup that passes sooner is nobody's business.
PATIENCE = timedelta(minutes=10)
LEVELS = {"failed": "danger", "different": "warning"}


def get_alert_level(
    state: str | None, is_counted_too_much: bool, waits_since: datetime | None, now
) -> str:
    """Return how an order calls a person: "danger", "warning", "info", or "" for not.

    :param state: of its request, None without one
    :param is_counted_too_much: whether Odoo no longer counts an order that Matomo has,
        and tells Matomo nothing of that
    :param waits_since: since when the order waits for a site that takes no orders
        (naive UTC); None if it does not
    """
    if level := LEVELS.get(state):
        return level
    if state in ACCEPTED_STATES and is_counted_too_much:
        return "warning"
    if state == "pending" and waits_since and waits_since <= now - PATIENCE:
        return "info"
    return ""
