"""The short history of a request's attempts."""

import pytest
from english import ENGLISH
from matomo_order_tracking.matomo_api import outcomes
from matomo_order_tracking.matomo_api.client import BulkAnswer
from matomo_order_tracking.matomo_api.errors import MatomoError
from matomo_order_tracking.tools.attempts import MAX_KEPT, SENTENCES, add, describe

AT = "2026-03-03 10:00:00"


def test_every_outcome_has_a_sentence():
    names = {
        name
        for name, each in vars(outcomes).items()
        if isinstance(each, type)
        and issubclass(each, outcomes.Outcome)
        and each is not outcomes.Outcome
    }
    assert names == set(SENTENCES)
    assert all(sentence(ENGLISH) for sentence in SENTENCES.values())


def test_what_an_error_tells():
    error = MatomoError("timeout", seconds=5)
    [entry] = add(None, outcomes.Requeued([], error), AT)
    assert (entry["at"], entry["what"]) == (AT, "Requeued")
    assert entry["status"] == (error.status or 0)
    assert describe(ENGLISH, entry) == "Nothing got there: it is sent again"


def test_what_an_answer_tells():
    answer = BulkAnswer.__new__(BulkAnswer)
    object.__setattr__(answer, "status", 200)
    object.__setattr__(answer, "duration_ms", 12)
    [entry] = add(False, outcomes.Accepted([], answer), AT)
    assert entry == {"at": AT, "what": "Accepted", "status": 200, "ms": 12}


def test_it_is_bounded():
    attempts = []
    for number in range(MAX_KEPT + 5):
        attempts = add(attempts, outcomes.Missing([]), str(number))
    assert [each["at"] for each in attempts] == [str(n) for n in range(5, 15)]


@pytest.mark.parametrize("stored", [None, False, {}, "x", 7])
def test_of_what_nobody_should_have_stored(stored):
    assert len(add(stored, outcomes.Missing([]), AT)) == 1


def test_of_an_older_version():
    assert describe(ENGLISH, {"what": "Sung"}) == ""
