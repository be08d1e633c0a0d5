"""Steps in transactions of their own, and guards around our part of a sale's."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from psycopg2 import Error, InterfaceError, OperationalError, errors

from odoo.exceptions import ConcurrencyError

_logger = logging.getLogger(__name__)

# These must reach Odoo: it has to replay the transaction, or the connection is lost. If
# our code swallowed them, Odoo would confirm a sale that was never stored, because a
# commit on a lost connection raises nothing.
MUST_PROPAGATE = (OperationalError, InterfaceError, ConcurrencyError)
# A limit of the database's administrator on a statement or on waiting for a lock, or
# the administrator has stopped the statement. They are operational errors, but only the
# statement has failed: behind a savepoint, the transaction goes on.
LIMITS = (errors.QueryCanceled, errors.LockNotAvailable)
# Two lanes work on the same records: the step is run again.
CONFLICTS = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    # Another lane uses the same order ID.
    errors.UniqueViolation,
    ConcurrencyError,
)
MAX_TRIES = 5


def end_transaction(env):
    """Commit what is decided, so that it outlives a crash.

    No transaction is open while Matomo is asked: sales would wait for its locks, and
    its view of the data would be old when the answer comes.
    """
    env.cr.commit()  # pylint: disable=invalid-commit


def run_in_transaction(env, step):
    """Run ``step()`` in a transaction of its own, commit it and return its result.

    After a conflict with another lane the step is run again, ``MAX_TRIES`` times in
    all.

    :raise: the conflict, if the last try fails, and any other error of the step
    """
    # A view of the data from before Matomo was asked would cause conflicts.
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


def run_aside(job, meanwhile):
    """Run ``job()`` in a thread, and ``meanwhile()`` in this one.

    :param job: reads no database: a cursor belongs to one thread
    :param meanwhile: if it raises something, the result of the job gets lost
    :return: the results of both
    :raise: what either has raised, after both have ended
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        begun = thread.submit(job)
        result = meanwhile()
        return begun.result(), result


@contextmanager
def guarded(cr, message, *args):
    """Run the block behind a savepoint, so that its failure never fails a sale.

    If the block fails, the savepoint undoes it, the log says so, and the transaction
    around it goes on. A block that writes nothing needs no savepoint, see ``caught``.

    :param message: of the log entry, with ``args``
    :raise: only the errors that must reach Odoo, see ``MUST_PROPAGATE``
    """
    # This flushes the pending writes of the sale: they must not fail inside the block.
    savepoint = cr.savepoint()
    try:
        with savepoint:
            yield
    except LIMITS:
        _logger.exception(message, *args)
    except MUST_PROPAGATE:
        raise
    except Exception:
        if cr.closed:
            raise
        _logger.exception(message, *args)


@contextmanager
def caught(message, *args):
    """Run the block, so that its failure never fails a page or a sale.

    This costs no statement, and undoes nothing: use it where the block writes nothing
    to the database.

    :param message: of the log entry, with ``args``
    :raise: the errors that must reach Odoo, see ``MUST_PROPAGATE``, and those of the
        database: without a savepoint, its transaction has ended
    """
    try:
        yield
    except (*MUST_PROPAGATE, Error):
        # A commit after it would raise nothing, and would store nothing.
        raise
    except Exception:
        _logger.exception(message, *args)


def run_guarded(env, step, message, *args, propagated=()):
    """Run ``step()``; what nobody foresaw ends nothing else.

    Otherwise Odoo would switch the scheduled action off after a week of it.

    :param message: of the log entry, with ``args``
    :param propagated: errors that are not caught, besides ``MUST_PROPAGATE``
    """
    try:
        step()
    except (*MUST_PROPAGATE, *propagated):
        raise
    except Exception:
        env.cr.rollback()
        _logger.exception(message, *args)


def isolate(records, step, give_up):
    """Run ``step(records)``. A record that makes it fail does not stop the others.

    The step runs behind a savepoint. If it fails, it runs again for each record alone.
    ``give_up(record, error)`` is called for each record with which it fails alone.

    :param step: a function that takes and returns records of one model
    :return: the records that the step has returned
    """

    def run(part):
        with part.env.cr.savepoint():
            return step(part)

    # A unique violation is a conflict between lanes, not a fault of a record.
    return _each(records, run, give_up, (*MUST_PROPAGATE, errors.UniqueViolation))


def one_by_one(records, step, give_up):
    """Run ``step(records)`` like ``isolate``, but in transactions of its own.

    This is for steps that take long or write many records.
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
        # Any error: it may come from the data of one record, and the others must go on.
        undo()
        if len(records) > 1:
            return records.browse().union(
                *(_each(record, run, give_up, propagated, undo) for record in records)
            )
        give_up(records, error)
        return records.browse()
