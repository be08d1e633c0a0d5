"""What a person may do with a request in the log, and what Odoo answers.

The one table of it: the views hide buttons by it, the methods refuse by it, and the
answer says by it what was not done.
"""

from collections import Counter
from typing import NamedTuple

from .sentences import plural

RETRY, CANCEL = "retry", "cancel"
SEND_AS_OTHER, ACCEPT = "send_as_other", "accept"

ACTIONS = (RETRY, CANCEL, SEND_AS_OTHER, ACCEPT)
# {state of a request: what a person may do with it}
POSSIBLE = {
    "excluded": {RETRY},
    "pending": {RETRY, CANCEL, ACCEPT},
    "sent": set(),
    "verified": set(),
    "different": {SEND_AS_OTHER, ACCEPT},
    "elsewhere": {RETRY, SEND_AS_OTHER},
    "failed": {RETRY, CANCEL, ACCEPT},
    "cancelled": set(),
}
# The same of a request that a person has cancelled.
POSSIBLE_OF_LEFT_OUT = {RETRY}
# Matomo takes the event of a refund from nobody but Odoo, and it has no number.
POSSIBLE_OF_REFUNDS = {RETRY, CANCEL}


class Situation(NamedTuple):
    """What decides which actions are possible.

    :ivar state: of the request
    :ivar kind: "order" or "refund"
    :ivar is_busy: whether a sender works on it at this moment
    :ivar is_later: whether it waits for a later attempt
    :ivar is_left_out: whether a person has cancelled it
    """

    state: str
    kind: str = "order"
    is_busy: bool = False
    is_later: bool = False
    is_left_out: bool = False


def get_obstacle(action: str, situation: Situation) -> str | None:
    """Return why an action is not possible, None if it is.

    :return: "busy", "due", "refund", or the state of the request
    """
    if situation.is_busy:
        return "busy"
    possible = POSSIBLE[situation.state]
    if situation.is_left_out and situation.state == "cancelled":
        possible = POSSIBLE_OF_LEFT_OUT
    if action not in possible:
        return situation.state
    if situation.kind == "refund" and action not in POSSIBLE_OF_REFUNDS:
        return "refund"
    if action == RETRY and situation.state == "pending" and not situation.is_later:
        return "due"
    return None


def get_possible(situation: Situation) -> set[str]:
    """Return the actions that are possible."""
    return {each for each in ACTIONS if get_obstacle(each, situation) is None}


# === THE ANSWER === #

# {action: it was done with the one request, and with some of many}
DONE = {
    RETRY: (
        lambda env, done, count: env._("It is tried again now."),
        lambda env, done, count: env._(
            "Tried again now: %(done)s of %(count)s.", done=done, count=count
        ),
    ),
    CANCEL: (
        lambda env, done, count: env._("It is cancelled: it is not sent to Matomo."),
        lambda env, done, count: env._(
            "Cancelled, and not sent to Matomo: %(done)s of %(count)s.",
            done=done,
            count=count,
        ),
    ),
    SEND_AS_OTHER: (
        lambda env, done, count: env._("It is sent under another number."),
        lambda env, done, count: env._(
            "Sent under another number: %(done)s of %(count)s.", done=done, count=count
        ),
    ),
    ACCEPT: (
        lambda env, done, count: env._(
            "It counts as already in Matomo: it is not sent."
        ),
        lambda env, done, count: env._(
            "Counted as already in Matomo, and not sent: %(done)s of %(count)s.",
            done=done,
            count=count,
        ),
    ),
}
# {why not: the sentence of the one request, and of some}
LEFT_ALONE = {
    "busy": (
        lambda env, count: env._(
            "It is being sent at this moment. Try again in a few minutes."
        ),
        lambda env, count: env._(
            "Being sent at this moment, to be tried again in a few minutes: %s.", count
        ),
    ),
    "due": (
        lambda env, count: env._("It is sent within a minute anyway."),
        lambda env, count: env._("Sent within a minute anyway: %s.", count),
    ),
    "refund": (
        lambda env, count: env._("It is a refund, which has no number."),
        lambda env, count: env._("Refunds, which have no number: %s.", count),
    ),
    "excluded": (
        lambda env, count: env._("It is not tracked, and says why."),
        lambda env, count: env._("Not tracked, and each says why: %s.", count),
    ),
    "pending": (
        lambda env, count: env._("It waits to be sent."),
        lambda env, count: env._("Waiting to be sent: %s.", count),
    ),
    "sent": (
        lambda env, count: env._("It is sent already."),
        lambda env, count: env._("Sent already: %s.", count),
    ),
    "verified": (
        lambda env, count: env._("It is verified already."),
        lambda env, count: env._("Verified already: %s.", count),
    ),
    "different": (
        lambda env, count: env._("It is in Matomo already, with differences."),
        lambda env, count: env._("In Matomo already, with differences: %s.", count),
    ),
    "elsewhere": (
        lambda env, count: env._("It is in Matomo already, from another system."),
        lambda env, count: env._("In Matomo already, from another system: %s.", count),
    ),
    "failed": (
        lambda env, count: env._("It cannot be sent, and says why."),
        lambda env, count: env._("Cannot be sent, and each says why: %s.", count),
    ),
    "cancelled": (
        lambda env, count: env._("It is cancelled."),
        lambda env, count: env._("Cancelled: %s.", count),
    ),
}


def describe_result(env, action, done: int, obstacles: list[str], unsure: int = 0):
    """Return the answer to a person who has asked for an action.

    :param done: how many requests it was done with
    :param obstacles: why not, of each of the others
    :param unsure: how many of the cancelled ones Matomo may have
    """
    count = done + len(obstacles)
    is_many = count > 1
    counts = Counter(obstacles)
    sentences = [DONE[action][is_many](env, done, count)] if done else []
    sentences += [
        texts[is_many](env, counts[kind])
        for kind, texts in LEFT_ALONE.items()
        if counts[kind]
    ]
    if unsure:
        sentences.append(
            plural(
                unsure,
                env._(
                    "Matomo may have one that is cancelled: it was sent, and the "
                    "answer was lost. Look for it there."
                ),
                env._(
                    "Matomo may have %s of those that are cancelled: they were sent, "
                    "and the answer was lost. Look for them there.",
                    unsure,
                ),
            )
        )
    return " ".join(sentences)


# === THE ANSWER TO RETRACK === #

# For each result of a retrack: the sentence on one order, and on several.
RETRACKED = (
    (
        lambda env: env._("1 order waits to be sent."),
        lambda env, count: env._("%s orders wait to be sent.", count),
    ),
    (
        lambda env: env._("1 order was accepted by Matomo before."),
        lambda env, count: env._("%s orders were accepted by Matomo before.", count),
    ),
    (
        lambda env: env._("1 order is not sent."),
        lambda env, count: env._("%s orders are not sent.", count),
    ),
)


def describe_retrack(env, count: int, queued: int, checked: int) -> str:
    """Return what became of several orders that a person has retracked.

    :param count: how many orders there are in all
    :param queued: how many of them wait to be sent
    :param checked: how many of them Matomo has accepted before
    """
    counts = (queued, checked, count - queued - checked)
    return " ".join(
        one(env) if number == 1 else several(env, number)
        for number, (one, several) in zip(counts, RETRACKED, strict=True)
        if number
    )
