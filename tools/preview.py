"""What the preview of an order or a cart says: in which stage it is, what has changed.

Pure decisions; ``outbox/preview.py`` gathers what they are made of.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ..const import ACCEPTED_STATES
from ..matomo_api.privacy import is_personal
from ..matomo_api.sent import AMOUNTS, VISITOR, read_sent

# === THE STAGE OF AN ORDER === #


class Situation(NamedTuple):
    """What decides what becomes of an order.

    :ivar is_sale: whether the order counts, or would if it was confirmed now
    :ivar is_open: whether it is not confirmed yet
    :ivar is_tracked: whether the verdict of this moment is to send it
    :ivar state: of its request, "" without one
    :ivar is_left_out: whether a person has cancelled the request
    :ivar is_waiting: whether something keeps the sender from sending it now
    :ivar is_frozen: whether the request was tried before: the same is sent again
    :ivar is_known: whether what was sent is still stored
    :ivar is_changed: whether another request would be sent now than was sent
    """

    is_sale: bool = True
    is_open: bool = False
    is_tracked: bool = True
    state: str = ""
    is_left_out: bool = False
    is_waiting: bool = False
    is_frozen: bool = False
    is_known: bool = True
    is_changed: bool = False


def get_stage(situation: Situation) -> str:
    """Return a key of ``STAGES``."""
    if situation.state == "elsewhere":
        return "elsewhere"
    if situation.state in ACCEPTED_STATES:
        if situation.is_open or not (situation.is_sale and situation.is_tracked):
            return "no_longer"
        if not situation.is_known:
            return "forgotten"
        return "changed" if situation.is_changed else "sent"
    if situation.state == "cancelled" and situation.is_left_out:
        return "left_out"
    if not situation.is_sale:
        return "no_sale"
    # What was tried before is sent again, and no longer decided.
    if not situation.is_tracked and not situation.is_frozen:
        return "not_tracked"
    if situation.state == "failed":
        return "failed"
    if situation.is_open:
        return "open_waiting" if situation.is_waiting else "open"
    if situation.state in ("excluded", "cancelled"):
        return "retrack"
    if not situation.state:
        return "unknown"
    if situation.is_waiting:
        return "waiting"
    return "frozen" if situation.is_frozen else "due"


# {stage: the sentence}. ``reason`` is whole sentences.
STAGES = {
    "elsewhere": lambda env, reason: env._(
        "Nothing is sent: a person has said in the log that Matomo has this order "
        "from another system."
    ),
    "no_longer": lambda env, reason: env._(
        "Matomo has accepted this order, and it would not be sent any more. %(reason)s",
        reason=reason,
    ),
    "changed": lambda env, reason: env._(
        "Matomo has accepted this order. It has changed since: the tab What "
        "Differs shows what would be sent now. An order that Matomo has is not "
        "sent again."
    ),
    "forgotten": lambda env, reason: env._(
        "Matomo has accepted this order. What was sent is no longer stored: below "
        "is what would be sent now."
    ),
    "sent": lambda env, reason: env._(
        "Matomo has accepted this order. The same would be sent now."
    ),
    "left_out": lambda env, reason: env._("Nothing is sent. %(reason)s", reason=reason),
    "no_sale": lambda env, reason: env._(
        "Nothing is sent: the order is cancelled, or does not count in Odoo."
    ),
    "not_tracked": lambda env, reason: env._(
        "Nothing is sent. %(reason)s", reason=reason
    ),
    "failed": lambda env, reason: env._(
        "Sending this order has failed. %(reason)s If you press Retrack, this is sent.",
        reason=reason,
    ),
    "open": lambda env, reason: env._(
        "Nothing is sent yet: the order is still open. If it were confirmed or "
        "paid now, this would be sent."
    ),
    "open_waiting": lambda env, reason: env._(
        "Nothing is sent yet: the order is still open. If it were confirmed or "
        "paid now, this would wait to be sent. %(reason)s",
        reason=reason,
    ),
    "retrack": lambda env, reason: env._(
        "This order was not sent, and the reason of that time no longer applies. "
        "If you press Retrack, this is sent."
    ),
    "unknown": lambda env, reason: env._(
        "The order has not been looked at yet. The nightly search will, or you "
        "press Retrack. Then this is sent."
    ),
    "waiting": lambda env, reason: env._(
        "This order waits to be sent. %(reason)s", reason=reason
    ),
    "frozen": lambda env, reason: env._(
        "This was sent before, and Matomo has not accepted it yet. The same is "
        "sent again within a minute."
    ),
    "due": lambda env, reason: env._("This is sent within a minute."),
}
# {stage: the level of the alert}
LEVELS = {
    "elsewhere": "info",
    "no_longer": "warning",
    "changed": "warning",
    "forgotten": "success",
    "sent": "success",
    "left_out": "info",
    "no_sale": "info",
    "not_tracked": "warning",
    "failed": "danger",
    "open": "info",
    "open_waiting": "warning",
    "retrack": "warning",
    "unknown": "info",
    "waiting": "warning",
    "frozen": "info",
    "due": "info",
}

# === THE STAGE OF A CART === #

CART_STAGES = {
    "sold": lambda env, reason: env._(
        "No cart update is sent: the cart has become an order, or is cancelled."
    ),
    "off": lambda env, reason: env._(
        "No cart update is sent: carts are not tracked on this Matomo site."
    ),
    "refused": lambda env, reason: env._(
        "No cart update is sent: the shopper refused to be tracked."
    ),
    "known": lambda env, reason: env._(
        "No cart update is sent: Matomo has this very cart already."
    ),
    "empty": lambda env, reason: env._(
        "No cart update is sent: the cart is empty, and Matomo never knew of it."
    ),
    "no_site": lambda env, reason: env._(
        "No cart update is sent. %(reason)s", reason=reason
    ),
    "waiting": lambda env, reason: env._(
        "The cart update waits to be sent. %(reason)s", reason=reason
    ),
    "queued": lambda env, reason: env._(
        "The cart has changed: this cart update is sent within a minute."
    ),
    "idle": lambda env, reason: env._(
        "When the shopper changes the cart, this cart update is sent within a minute."
    ),
}

# === WHAT HAS CHANGED === #

# Under these names people know the parameters; others keep their own.
_NAMES = {
    **{key: name for name, key in AMOUNTS.items()},
    **{key: name for name, keys in VISITOR.items() for key in keys},
    **{"cdt": "time", "ec_id": "ref", "url": "page", "action_name": "title"},
    "ec_items": "items",
}
# The clock of the visitor follows from the time of the order.
_DERIVED = ("h", "m", "s")


class Change(NamedTuple):
    """A parameter that would be sent with another value now.

    :ivar name: of the parameter, as ``matomo_api.sent`` calls it, or its own
    :ivar sent: what Matomo was sent; of the items those that differ
    :ivar now: what would be sent now
    """

    name: str
    sent: str | list[str]
    now: str | list[str]


def find_changes(
    sent: Mapping[str, str], now: Mapping[str, str], has_visitor: bool = True
) -> list[Change]:
    """Return what would be sent otherwise now than it was.

    :param sent: the parameters that were sent
    :param now: the parameters that would be sent
    :param has_visitor: whether what was sent of the visitor is still known
    """
    changes = []
    for key in dict.fromkeys((*sent, *now)):
        before, after = sent.get(key, ""), now.get(key, "")
        is_left_out = key in _DERIVED or (is_personal(key) and not has_visitor)
        if before == after or is_left_out:
            continue
        if key == "ec_items":
            before, after = _find_items(sent, now)
            if not before and not after:
                continue
        changes.append(Change(_NAMES.get(key, key), before, after))
    return changes


def _find_items(sent, now) -> tuple[list[str], list[str]]:
    """Return the items that only one of both requests has, as texts."""
    has, has_now = read_sent(sent).items, read_sent(now).items
    return (
        [_describe(item) for item in has if item not in has_now],
        [_describe(item) for item in has_now if item not in has],
    )


def _describe(item) -> str:
    path = " / ".join(item.categories)
    price = "" if item.price is None else f"({item.price:.2f})"
    return f"{item.quantity} x {item.name} [{item.sku}] {price} {path}".strip()
