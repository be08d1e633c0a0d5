"""The health of a Matomo site: a table of what it was, what was learnt, what it is."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from matomo_order_tracking.matomo_api.errors import (
    Misconfigured,
    ServerTrouble,
    Unreachable,
    Unreadable,
)
from matomo_order_tracking.matomo_api.outcomes import (
    SiteOutcome,
    SiteOverloaded,
    SiteRead,
    SiteReadRefused,
    SiteTrouble,
    SiteUnreadable,
    SiteWorks,
)
from matomo_order_tracking.outbox import health, schedule
from matomo_order_tracking.outbox.health import Change, Health

NOW = datetime(2026, 3, 3, 10)
BEFORE = NOW - timedelta(hours=5)
LOST = Unreachable("timeout", seconds=7)
BUSY = ServerTrouble("status", status=503, retry_after=3000)
WRONG = Misconfigured("token_refused", idsite=1)
UNREAD = Unreadable(LOST)

FINE = Health(state="ok", last_success_date=NOW)
STOPPED = Health(
    state="warning", failure_count=3, next_attempt_date=NOW, trouble_date=BEFORE
)
ENDED = {
    "last_success_date": NOW,
    "next_attempt_date": None,
    "failure_count": 0,
    "trouble_date": None,
}


class Env:
    """Stands in for Odoo's environment: sentences stay English."""

    @staticmethod
    def _(text, *args, **kwargs):
        return text % (kwargs or args)


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch):
    monkeypatch.setattr(schedule.random, "uniform", lambda low, high: 1)


# {case: (what is known, what was learnt, what changes, part of the message or None)}
CASES = {
    "it goes on working": (FINE, SiteWorks(1), {}, None),
    "the last success is a while ago": (
        replace(FINE, last_success_date=BEFORE),
        SiteWorks(1),
        {"last_success_date": NOW},
        None,
    ),
    "it works for the first time": (
        Health(),
        SiteWorks(1),
        {"state": "ok", **ENDED},
        "",
    ),
    "it works again": (STOPPED, SiteWorks(1), {"state": "ok", **ENDED}, ""),
    "it works again, with e-commerce off": (
        replace(STOPPED, settings_message="E-commerce is off."),
        SiteWorks(1),
        {"state": "warning", **ENDED},
        "E-commerce is off.",
    ),
    "it works again and is still not read": (
        replace(STOPPED, read_failure_count=2),
        SiteWorks(1),
        {"state": "warning", **ENDED},
        "they cannot be read back yet",
    ),
    "it works again, with e-commerce off, and is still not read": (
        replace(STOPPED, read_failure_count=2, settings_message="E-commerce is off."),
        SiteWorks(1),
        {"state": "warning", **ENDED},
        "E-commerce is off.",
    ),
    "it works again, and the token may not read": (
        replace(STOPPED, can_read=False),
        SiteWorks(1),
        {"state": "warning", **ENDED},
        "view access to site 1",
    ),
    "a limit was reached": (
        replace(FINE, bulk_limit=8),
        SiteWorks(8),
        {"bulk_limit": 10},
        None,
    ),
    "a limit was not reached": (replace(FINE, bulk_limit=8), SiteWorks(7), {}, None),
    "a limit of one was reached": (
        replace(FINE, bulk_limit=1),
        SiteWorks(1),
        {"bulk_limit": 2},
        None,
    ),
    "the last limit was reached": (
        replace(FINE, bulk_limit=40),
        SiteWorks(40),
        {"bulk_limit": 0},
        None,
    ),
    "too many": (FINE, SiteOverloaded(12), {"bulk_limit": 12}, None),
    "too many again": (
        replace(FINE, bulk_limit=5),
        SiteOverloaded(12),
        {"bulk_limit": 5},
        None,
    ),
    "even one is too many": (FINE, SiteOverloaded(0), {"bulk_limit": 1}, None),
    "other text is in an answer": (
        FINE,
        SiteWorks(1, "Warning: Undefined"),
        {"is_answer_dirty": True, "state": "warning"},
        "display_errors",
    ),
    "other text is still there": (
        replace(FINE, state="warning", is_answer_dirty=True),
        SiteWorks(1, "Warning: Undefined"),
        {},
        None,
    ),
    "the other text is gone": (
        replace(FINE, state="warning", is_answer_dirty=True),
        SiteWorks(1),
        {"is_answer_dirty": False, "state": "ok"},
        "",
    ),
    "the other text is gone, and it is not read": (
        replace(FINE, state="warning", is_answer_dirty=True, read_failure_count=1),
        SiteWorks(1),
        {"is_answer_dirty": False},
        None,
    ),
    "it works again, and mixes other text in": (
        STOPPED,
        SiteWorks(1, "Notice"),
        {**ENDED, "is_answer_dirty": True, "state": "warning"},
        "display_errors",
    ),
    "it works again, and still mixes other text in": (
        replace(STOPPED, is_answer_dirty=True),
        SiteWorks(1, "Notice"),
        {**ENDED, "is_answer_dirty": True, "state": "warning"},
        "display_errors",
    ),
    "an answer is lost": (
        FINE,
        SiteTrouble(LOST),
        {
            "state": "warning",
            "next_attempt_date": NOW + timedelta(seconds=30),
            "failure_count": 1,
            "trouble_date": NOW,
        },
        "did not answer",
    ),
    "the fourth answer is lost": (
        STOPPED,
        SiteTrouble(LOST),
        {
            "state": "warning",
            "next_attempt_date": NOW + timedelta(minutes=4),
            "failure_count": 4,
            "trouble_date": BEFORE,
        },
        "did not answer",
    ),
    "a server wants to be left alone": (
        FINE,
        SiteTrouble(BUSY),
        {
            "state": "warning",
            "next_attempt_date": NOW + timedelta(seconds=3000),
            "failure_count": 1,
            "trouble_date": NOW,
        },
        "503",
    ),
    "the token is wrong": (
        FINE,
        SiteTrouble(WRONG),
        {
            "state": "error",
            "next_attempt_date": NOW + timedelta(hours=1),
            "failure_count": 1,
            "trouble_date": NOW,
        },
        "token",
    ),
    "it cannot be read": (
        FINE,
        SiteUnreadable(UNREAD),
        {
            "next_read_date": NOW + timedelta(seconds=30),
            "read_failure_count": 1,
            "unread_date": NOW,
            "state": "warning",
        },
        "cannot be read back",
    ),
    "it can still not be read": (
        replace(FINE, state="warning", read_failure_count=2, unread_date=BEFORE),
        SiteUnreadable(UNREAD),
        {
            "next_read_date": NOW + timedelta(minutes=2),
            "read_failure_count": 3,
            "unread_date": BEFORE,
        },
        None,
    ),
    "it cannot be read, which is the least": (
        replace(STOPPED, state="error"),
        SiteUnreadable(UNREAD),
        {
            "next_read_date": NOW + timedelta(seconds=30),
            "read_failure_count": 1,
            "unread_date": NOW,
        },
        None,
    ),
    "it goes on being read": (FINE, SiteRead(), {}, None),
    "it can be read again": (
        replace(FINE, state="warning", read_failure_count=2, unread_date=BEFORE),
        SiteRead(),
        {
            "next_read_date": None,
            "read_failure_count": 0,
            "unread_date": None,
            "can_read": True,
            "state": "ok",
        },
        "",
    ),
    "it can be read again, and mixed other text in before": (
        replace(FINE, state="warning", read_failure_count=2, is_answer_dirty=True),
        SiteRead(),
        {
            "next_read_date": None,
            "read_failure_count": 0,
            "unread_date": None,
            "can_read": True,
            "state": "ok",
            "is_answer_dirty": False,
        },
        "",
    ),
    "it can be read again, and takes no orders": (
        replace(STOPPED, can_read=False),
        SiteRead(),
        {
            "next_read_date": None,
            "read_failure_count": 0,
            "unread_date": None,
            "can_read": True,
        },
        None,
    ),
    "the token may not read": (
        FINE,
        SiteReadRefused(),
        {
            "can_read": False,
            "next_read_date": NOW + timedelta(days=1),
            "state": "warning",
        },
        "view access to site 1",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_learnt(case):
    known, outcome, values, message = CASES[case]
    change = health.learn(known, outcome, NOW)
    assert change.values == values
    if message is None:
        assert change.message is None
    else:
        said = change.message(Env)
        assert message in said if message else not said


def test_each_outcome_of_a_site_is_in_the_table():
    assert {type(outcome) for _known, outcome, *_rest in CASES.values()} == set(
        SiteOutcome.__subclasses__()
    )
    with pytest.raises(TypeError):
        health.learn(FINE, SiteOutcome(), NOW)


@pytest.mark.parametrize(
    ("known", "error", "is_told"),
    [
        (FINE, WRONG, True),
        (FINE, LOST, False),
        # A test of the connection has found it, and told nobody.
        (Health(state="error", failure_count=1), WRONG, True),
        (Health(state="error", next_attempt_date=NOW), WRONG, False),
    ],
)
def test_managers_are_told_of_wrong_settings(known, error, is_told):
    change = health.learn(known, SiteTrouble(error), NOW)
    assert change.told == (error if is_told else None)
    assert change.warning == str(error)


def test_what_the_managers_were_told_ends():
    assert health.learn(STOPPED, SiteWorks(1), NOW).is_mended
    assert not health.learn(FINE, SiteWorks(1), NOW).is_mended


@pytest.mark.parametrize("outcome", [SiteUnreadable(UNREAD), SiteReadRefused()])
def test_the_verifier_comes_back(outcome):
    assert health.learn(FINE, outcome, NOW).wakes_verifier


def test_a_token_that_may_not_read_is_logged_once():
    assert health.learn(FINE, SiteReadRefused(), NOW).warning
    known = replace(FINE, can_read=False, state="warning")
    assert not health.learn(known, SiteReadRefused(), NOW).warning


@pytest.mark.parametrize(
    ("error", "state"), [(WRONG, "error"), (LOST, "warning"), (BUSY, "warning")]
)
def test_a_failed_test_stops_nothing(error, state):
    change = health.fail_test(FINE, error)
    assert change.values == {"state": state, "failure_count": 1}
    assert change.message(Env)
    assert health.fail_test(STOPPED, error).values["failure_count"] == 3


@pytest.mark.parametrize(
    ("known", "message", "state", "said"),
    [
        (FINE, None, "ok", None),
        (FINE, "It works.", "ok", "It works."),
        (STOPPED, None, "ok", ""),
        (replace(FINE, settings_message="Off."), "It works.", "warning", "Off."),
    ],
)
def test_checks_that_pass(known, message, state, said):
    change = health.pass_checks(known, message)
    assert change.values == {"state": state}
    assert (change.message and change.message(Env)) == said


def test_other_text_in_answers_outlives_the_checks():
    known = replace(FINE, state="warning", is_answer_dirty=True)
    assert health.pass_checks(known, "It works.") == Change()


@pytest.mark.parametrize(
    ("known", "count"),
    [
        (FINE, 50),
        (replace(FINE, bulk_limit=8), 8),
        (replace(FINE, bulk_limit=80), 50),
        (replace(FINE, can_read=False), 1),
    ],
)
def test_how_many_go_into_one_request(known, count):
    assert known.most_at_once == count
