"""The kinds of requests, and what they share.

That is to claim what is due, to start attempts, and to write down what became of
them. Another module adds a kind with ``register``.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from odoo.fields import Domain
from odoo.tools import SQL

from ..matomo_api.delivery import Delivery
from ..matomo_api.outcomes import (
    Attempt,
    Report,
    SiteOutcome,
)
from . import schedule
from .transactions import isolate

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """A kind of requests that the sender sends.

    :param name: of the kind
    :param sequence: kinds of a lower one are sent first
    :param model: where its requests are; it has the fields ``site_id``, ``state`` and
        ``next_attempt_date``, and the methods ``_prepare_attempts()``, which returns
        ``Attempt`` objects, and ``_apply(outcome)``
    :param claim: ``claim(env, site)`` leases and builds due requests of a site and
        returns them, at most a batch; None if none is due. It may return none although
        some were due, if there was nothing to send of them: the sender commits that,
        looks at the time, and claims again
    :param send: the method of ``Delivery`` that sends its attempts
    :param get_patience: returns the seconds that a delivery may take, which are less
        than the lease of ``claim``
    :param is_built_ahead: whether the next batch is claimed while one is sent, because
        it does not depend on what becomes of that; its model has the fields
        ``attempt_count`` and ``lease_date``, and the methods ``_give_back()`` and
        ``_get_attempt_fields()``
    """

    name: str
    sequence: int
    model: str
    claim: Callable
    send: Callable[[Delivery, list[Attempt]], Report]
    get_patience: Callable[[], float] = schedule.get_patience
    is_built_ahead: bool = False


# In the order in which the sender sends them, whichever file was imported first.
KINDS: list[Kind] = []


def register(kind: Kind) -> Kind:
    """Have the sender send a kind of requests."""
    KINDS.append(kind)
    KINDS.sort(key=lambda each: each.sequence)
    return kind


def get_models(env):
    """Return an empty recordset of each model that holds requests."""
    return [env[name] for name in dict.fromkeys(kind.model for kind in KINDS)]


# === WHAT IS DUE === #

# What a person has paused or stopped is not begun: see ``outbox/orders.py``.
NOT_HELD = (
    Domain("job_id", "=", False)
    | Domain("attempt_count", ">", 0)
    | Domain("job_id.state", "not in", ("paused", "stopped"))
)


def get_due_domain(requests, now):
    """Return the domain of requests of a model that may be sent now.

    :param requests: an empty recordset of the model
    :param now: naive UTC
    """
    due = Domain(
        [
            ("state", "=", "pending"),
            "|",
            ("next_attempt_date", "=", False),
            *get_past_domain("next_attempt_date", now),
        ]
    )
    return due & NOT_HELD if "job_id" in requests._fields else due


def get_past_domain(name, now):
    """Return the domain of requests whose date in the field ``name`` has come.

    :param now: naive UTC
    """
    return ["|", (name, "<=", now), (name, ">", now + schedule.LONGEST_WAIT)]


def lock_due(requests, site, now, condition, order):
    """Lock the first due requests of a site that no other lane holds.

    :param requests: an empty recordset of the model
    :param site: in the language of its messages, as the requests that are returned
    :param now: naive UTC
    :param condition: SQL, which of them
    :param order: SQL, which first
    :return: at most as many as go into one request to Matomo
    """
    requests = requests.with_env(site.env)
    # Requests that another lane has claimed meanwhile conflict: that is run again,
    # and no error.
    requests.env.cr.execute(
        SQL(
            """
            SELECT id FROM %s
             WHERE site_id = %s AND state = 'pending' AND %s
               AND (next_attempt_date IS NULL OR next_attempt_date <= %s
                    OR next_attempt_date > %s)
          ORDER BY %s
             LIMIT %s
               FOR NO KEY UPDATE SKIP LOCKED
            """,
            SQL.identifier(requests._table),
            site.id,
            condition,
            now,
            now + schedule.LONGEST_WAIT,
            order,
            site._get_batch_size(),
        ),
        log_exceptions=False,
    )
    claimed = requests.browse(id_ for (id_,) in requests.env.cr.fetchall())
    # What another lane has committed meanwhile.
    claimed.invalidate_recordset()
    return claimed


# === ATTEMPTS AND OUTCOMES === #


def start_attempts(requests, start):
    """Start or prepare attempts; return the requests that have something to send.

    :param start: takes and returns requests; what one of them breaks fails alone
    """

    def give_up(request, _error):
        # Whatever an order's data breaks, it is said on its request, and the queue
        # goes on.
        _logger.exception("%s cannot be prepared for Matomo", request._get_order())
        request._fail_to_build()

    return isolate(requests, start, give_up)


def apply_report(requests, site, report: Report):
    """Apply the outcomes of a report to the site and to the requests.

    :param requests: an empty recordset of the model of the requests
    :param site: in the language of its messages, in which the requests are written
    """
    attempts = {each.key: each for out in report.outcomes for each in out.attempts}
    requests = requests.with_env(site.env)
    # An order may have been deleted meanwhile, and its requests with it. Or this report
    # comes so late that another lane has claimed the request: its outcome counts.
    current = {
        each.id
        for each in requests.browse(attempts).exists()
        if each.attempt_count == attempts[each.id].attempt_count
    }
    for outcome in report.outcomes:
        if isinstance(outcome, SiteOutcome):
            site._apply(outcome)
            continue
        ids = [each.key for each in outcome.attempts if each.key in current]
        if ids:
            # What is read of one is read of all.
            requests.browse(ids).with_prefetch(tuple(current))._apply(outcome)


def describe_answer(answer):
    """Return the values of a request that tell what Matomo answered.

    :param answer: a ``BulkAnswer``, a ``MatomoError``, or None
    """
    return {
        "duration_ms": getattr(answer, "duration_ms", 0),
        "answer_status": getattr(answer, "status", 0),
        "answer_text": getattr(answer, "text", False),
    }
