"""What became of the last attempts of a request: kept with it, and told to people.

An entry is a dict of plain values, without anything of a person: ``at`` (naive UTC, as
Odoo writes it), ``what`` (a key of ``SENTENCES``), ``status`` and ``ms``.
"""

# More are forgotten: a request that Matomo refuses for days must not grow.
MAX_KEPT = 10

# {outcome of the delivery: the sentence}
SENTENCES = {
    "Accepted": lambda env: env._("Accepted by Matomo"),
    "Recorded": lambda env: env._("Read back from Matomo"),
    "ToldByTag": lambda env: env._("Found in Matomo, sent by a JavaScript tag"),
    "TakenByOther": lambda env: env._("Matomo has another sale under its ID"),
    "Absent": lambda env: env._("Not in Matomo: it is sent again"),
    "Missing": lambda env: env._("Accepted, and not found in Matomo"),
    "Unseen": lambda env: env._("Matomo does not show whether it has it"),
    "Unsure": lambda env: env._("The answer was lost, and it is not sent again"),
    "Held": lambda env: env._("Waits until Matomo can be read"),
    "Withdrawn": lambda env: env._("The order no longer counts"),
    "Refused": lambda env: env._("Refused by Matomo"),
    "Broken": lambda env: env._("Matomo's server failed"),
    "Deferred": lambda env: env._("Waits until Matomo can be read"),
    "Requeued": lambda env: env._("Nothing got there: it is sent again"),
    "Unverifiable": lambda env: env._("Nobody can see whether Matomo has it"),
}


def add(attempts, outcome, at: str) -> list[dict]:
    """Return the attempts with one more, which is what an outcome tells.

    :param attempts: as they were stored, or nothing
    :param outcome: of ``matomo_api.outcomes``
    :param at: when that was, as Odoo writes it
    """
    answer = getattr(outcome, "answer", None) or getattr(outcome, "error", None)
    entry = {
        "at": at,
        "what": type(outcome).__name__,
        "status": getattr(answer, "status", 0) or 0,
        "ms": getattr(answer, "duration_ms", 0) or 0,
    }
    kept = attempts if isinstance(attempts, list) else []
    return [*kept, entry][-MAX_KEPT:]


def describe(env, entry) -> str:
    """Return what became of an attempt, "" of what is not known any more."""
    sentence = SENTENCES.get(entry.get("what"))
    return sentence(env) if sentence else ""
