"""What waits to be sent to a Matomo site, in words."""

from typing import NamedTuple


class Waiting(NamedTuple):
    """How many requests wait to be sent to a site.

    :ivar orders: that wait
    :ivar refunds: that wait
    :ivar is_more: whether more may wait, which were not counted
    """

    orders: int = 0
    refunds: int = 0
    is_more: bool = False

    @property
    def total(self):
        return self.orders + self.refunds


# {how many orders and refunds wait; 2 stands for several: the text}.
WAITING = {
    (0, 0): lambda env, w: env._("No order waits"),
    (1, 0): lambda env, w: env._("1 order waits"),
    (2, 0): lambda env, w: env._("%s orders wait", w.orders),
    (0, 1): lambda env, w: env._("1 refund waits"),
    (0, 2): lambda env, w: env._("%s refunds wait", w.refunds),
    (1, 1): lambda env, w: env._("1 order and 1 refund wait"),
    (1, 2): lambda env, w: env._("1 order and %s refunds wait", w.refunds),
    (2, 1): lambda env, w: env._("%s orders and 1 refund wait", w.orders),
    (2, 2): lambda env, w: env._(
        "%(orders)s orders and %(refunds)s refunds wait",
        orders=w.orders,
        refunds=w.refunds,
    ),
}


def describe_waiting(env, waiting: Waiting) -> str:
    """Return how many orders and refunds wait, without a full stop."""
    if not waiting.is_more:
        return WAITING[min(waiting.orders, 2), min(waiting.refunds, 2)](env, waiting)
    count = f"{waiting.total:,}"
    if waiting.refunds:
        return env._("More than %s orders and refunds wait", count)
    return env._("More than %s orders wait", count)
