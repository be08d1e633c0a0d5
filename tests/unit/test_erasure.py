"""Visits are found and deleted until none is left; what is odd ends in an error."""

from collections import Counter

import pytest
from matomo_order_tracking.matomo_api.erasure import (
    CONDITIONS,
    MAX_ROUNDS,
    delete_visits,
)
from matomo_order_tracking.matomo_api.errors import ServerTrouble

VISITOR = "7e57a1b2c3d4e5f6"


class FakeClient:
    """Matomo's GDPR tools, with so many visits for each segment."""

    def __init__(self, visits=(), answer=None, enabled=True, is_deaf=False):
        self.visits = list(visits)
        self.answer = answer
        self.enabled = enabled
        self.is_deaf = is_deaf
        self.calls = []

    def call_api(self, method, **parameters):
        self.calls.append((method, parameters))
        if method == "Live.isVisitorProfileEnabled":
            return {"value": self.enabled}
        if method == "PrivacyManager.findDataSubjects":
            shown = [{"idSite": 2, "idVisit": each} for each in self.visits[:401]]
            return shown if self.answer is None else self.answer
        deleted = {
            int(value) for name, value in parameters.items() if "[idvisit]" in name
        }
        if not self.is_deaf:
            self.visits = [each for each in self.visits if each not in deleted]
        return {"log_visit": len(deleted)}

    def segments(self):
        return [call["segment"] for _method, call in self.calls if "segment" in call]


@pytest.mark.parametrize("count", [0, 1, 400, 401, 402, 1000])
def test_all_visits_are_deleted_however_many_are_shown_at_once(count):
    client = FakeClient(range(1, count + 1))
    assert delete_visits(client, 2, [VISITOR], []) == count
    assert not client.visits
    methods = Counter(method for method, _parameters in client.calls)
    assert methods["PrivacyManager.deleteDataSubjects"] == -(-count // 401)


def test_visits_are_found_by_visitor_and_by_order():
    client = FakeClient()
    delete_visits(client, 2, [VISITOR], ["S1", "A+B"])
    assert client.segments() == [f"visitorId=={VISITOR},orderId==A%25252BB,orderId==S1"]


def test_many_conditions_are_asked_for_in_parts():
    client = FakeClient()
    delete_visits(client, 2, [f"{number:016x}" for number in range(CONDITIONS + 1)], [])
    assert [segment.count("==") for segment in client.segments()] == [CONDITIONS, 1]


def test_nobody_to_delete_asks_for_no_visit():
    client = FakeClient([1])
    assert delete_visits(client, 2, [], []) == 0
    assert not client.segments()


@pytest.mark.parametrize("enabled", [False, 0, "0", None, "yes"])
def test_a_matomo_without_a_visits_log_is_not_taken_for_an_empty_one(enabled):
    with pytest.raises(ServerTrouble, match="visits log"):
        delete_visits(FakeClient([1], enabled=enabled), 2, [VISITOR], [])


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"value": True},
        "x",
        [1],
        [{}],
        [{"idSite": 3, "idVisit": 1}],
        [{"idSite": 2, "idVisit": "1;2"}],
    ],
)
def test_what_is_no_list_of_visits_of_the_site_deletes_nothing(answer):
    client = FakeClient([1], answer=answer)
    with pytest.raises(ServerTrouble):
        delete_visits(client, 2, [VISITOR], [])
    assert client.visits == [1]


def test_a_matomo_that_deletes_nothing_comes_to_an_end():
    client = FakeClient([1], is_deaf=True)
    with pytest.raises(ServerTrouble):
        delete_visits(client, 2, [VISITOR], [])
    assert len(client.calls) <= 2 * MAX_ROUNDS + 1
