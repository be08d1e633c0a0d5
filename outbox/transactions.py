"""Steps in transactions of their own, and guards around our part of a sale's."""

import logging
from contextlib import contextmanager

from psycopg2 import InterfaceError, OperationalError, errors

from odoo.exceptions import ConcurrencyError

_logger = logging.getLogger(__name__)

# Whoever began the transaction has to hear of these: it is to be replayed, or its
# connection is gone. Swallowed, they would make a sale look made that never was: a
# commit on a lost connection raises nothing.
MUST_PROPAGATE = (OperationalError, InterfaceError, ConcurrencyError)
# Two lanes met: the step is run again.
CONFLICTS = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    # Another lane has taken the same order id.
    errors.UniqueViolation,
    ConcurrencyError,
)
MAX_TRIES = 5


def end_transaction(env):
    """Commit what is decided, so that it outlives a crash.

    While Matomo is asked no transaction is open: a sale would meet its locks, and
    its view of the data would be old when the answer comes.
    """
    env.cr.commit()  # pylint: disable=invalid-commit


def run_in_transaction(env, step):
    """Run ``step()`` in a transaction of its own, commit it and return its result.

    A conflict with another lane is no error: the step is run again, ``MAX_TRIES``
    times in all.
    """
    # A view of the data from before Matomo was asked would make conflicts.
    end_transaction(env)
    for tries_left in reversed(range(MAX_TRIES)):
        try:
            result = step()
            end_transaction(env)
            return result
        except CONFLICTS:
            env.cr.rollback()
            if not tries_left:
                raise
    return None


@contextmanager
def guarded(cr, message, *args):
    """Keep whatever goes wrong inside from the transaction around it.

    It is undone by a savepoint and logged, and the transaction goes on: a sale is
    sacred. Only what Odoo must replay is raised (``MUST_PROPAGATE``).

    :param message: of the log entry, with ``args``
    """
    # The transaction's own pending writes must not fail inside our guard.
    savepoint = cr.savepoint()
    try:
        with savepoint:
            yield
    except MUST_PROPAGATE:
        raise
    except Exception:
        if cr.closed:
            raise
        _logger.exception(message, *args)


def isolate(records, step, give_up):
    """Return what ``step(records)`` returns; what one record breaks stays its own.

    The step runs behind a savepoint. If it breaks, it runs again for each record
    alone, and ``give_up(record, error)`` is called for one that breaks it alone.

    :param step: takes and returns records of one model
    """

    def run(part):
        with part.env.cr.savepoint():
            return step(part)

    # A unique violation is a conflict between lanes, and no record's fault.
    return _each(records, run, give_up, (*MUST_PROPAGATE, errors.UniqueViolation))


def one_by_one(records, step, give_up):
    """Return what ``step(records)`` returns, in a transaction of its own.

    As ``isolate``, for steps that take long or touch much.
    """

    def run(part):
        return run_in_transaction(part.env, lambda: step(part))

    return _each(records, run, give_up, MUST_PROPAGATE, records.env.cr.rollback)


def _each(records, run, give_up, propagated, undo=lambda: None):
    try:
        return run(records)
    except propagated:
        raise
    except Exception as error:
        # Whatever one record's data breaks: the others go on without it.
        undo()
        if len(records) > 1:
            return records.browse().union(
                *(_each(record, run, give_up, propagated, undo) for record in records)
            )
        give_up(records, error)
        return records.browse()
