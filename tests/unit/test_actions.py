"""What a person may do with a request: the whole table, and the answers."""

import pytest
from english import ENGLISH
from matomo_order_tracking.const import STATES
from matomo_order_tracking.tools.actions import (
    ACCEPT,
    ACTIONS,
    CANCEL,
    LEFT_ALONE,
    POSSIBLE,
    RETRY,
    SEND_AS_OTHER,
    Situation,
    describe_result,
    describe_retrack,
    get_obstacle,
    get_possible,
)

WAITS = Situation("pending", is_later=True)


CASES = {
    "not tracked": (Situation("excluded"), {RETRY}),
    "due": (Situation("pending"), {CANCEL, ACCEPT}),
    "waits for a later try": (WAITS, {RETRY, CANCEL, ACCEPT}),
    "a sender works on it": (WAITS._replace(is_busy=True), set()),
    "sent": (Situation("sent"), set()),
    "verified": (Situation("verified"), set()),
    "different": (Situation("different"), {SEND_AS_OTHER, ACCEPT}),
    "from another system": (Situation("elsewhere"), {RETRY, SEND_AS_OTHER}),
    "failed": (Situation("failed"), {RETRY, CANCEL, ACCEPT}),
    "cancelled with its order": (Situation("cancelled"), set()),
    "cancelled by a person": (Situation("cancelled", is_left_out=True), {RETRY}),
    "a refund that waits": (WAITS._replace(kind="refund"), {RETRY, CANCEL}),
    "a failed refund": (Situation("failed", "refund"), {RETRY, CANCEL}),
    "a sent refund": (Situation("sent", "refund"), set()),
    # Its order was cancelled after a person had cancelled and retried it.
    "no longer cancelled": (Situation("sent", is_left_out=True), set()),
}


@pytest.mark.parametrize("name", CASES)
def test_possible(name):
    situation, possible = CASES[name]
    assert get_possible(situation) == possible


def test_the_table_knows_every_state():
    states = {state for state, _label in STATES}
    assert set(POSSIBLE) == states
    assert states <= set(LEFT_ALONE)


@pytest.mark.parametrize(
    ("action", "situation", "obstacle"),
    [
        (RETRY, Situation("pending"), "due"),
        (RETRY, Situation("verified"), "verified"),
        (CANCEL, WAITS._replace(is_busy=True), "busy"),
        (ACCEPT, Situation("failed", "refund"), "refund"),
        (ACCEPT, Situation("sent", "refund"), "sent"),
        (RETRY, Situation("failed"), None),
    ],
)
def test_obstacle(action, situation, obstacle):
    assert get_obstacle(action, situation) == obstacle


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_an_answer(action):
    assert describe_result(ENGLISH, action, 1, []).startswith("It ")
    assert "3 of 3" in describe_result(ENGLISH, action, 3, [])


@pytest.mark.parametrize("kind", LEFT_ALONE)
def test_every_obstacle_has_an_answer(kind):
    assert describe_result(ENGLISH, RETRY, 0, [kind]).startswith("It ")
    assert describe_result(ENGLISH, RETRY, 0, [kind] * 3).endswith(": 3.")


def test_answer():
    answer = describe_result(ENGLISH, RETRY, 2, ["verified"] * 3)
    assert answer == "Tried again now: 2 of 5. Verified already: 3."


def test_answer_to_a_cancellation_names_what_matomo_may_have():
    answer = describe_result(ENGLISH, CANCEL, 2, ["busy"], unsure=1)
    assert answer == (
        "Cancelled, and not sent to Matomo: 2 of 3. Being sent at this moment, to be "
        "tried again in a few minutes: 1. Matomo may have one that is cancelled: it "
        "was sent, and the answer was lost. Look for it there."
    )


@pytest.mark.parametrize(
    ("counts", "answer"),
    [
        ((2, 2, 0), "2 orders wait to be sent."),
        ((2, 0, 2), "2 orders were accepted by Matomo before."),
        ((2, 0, 0), "2 orders are not sent."),
        (
            (3, 1, 1),
            "1 order waits to be sent. 1 order was accepted by Matomo before. "
            "1 order is not sent.",
        ),
        ((252, 250, 0), "250 orders wait to be sent. 2 orders are not sent."),
    ],
)
def test_answer_to_a_retrack_has_no_zeros(counts, answer):
    assert describe_retrack(ENGLISH, *counts) == answer
