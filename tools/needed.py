"""The scheduled actions and automation rules that the addon needs, in one table.

Anybody who may administrate Odoo can switch one of them off, or delete it. This table
says what stands still without it. Nothing of Odoo is used but the environment that is
handed in, for its language.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

ACTION, RULE = "ir.cron", "base.automation"


class Needed(NamedTuple):
    """A scheduled action or an automation rule of ours.

    :ivar model: ``ACTION`` or ``RULE``
    :ivar name: with which it is shipped, for one that was deleted
    :ivar says: ``says(env, name)`` is the sentence on what stands still without it
    """

    model: str
    name: str
    says: Callable[[object, str], str]


class Stopped(NamedTuple):
    """One of them that does not run.

    :ivar key: of ``NEEDED``
    :ivar name: that it has in Odoo, or with which it is shipped
    :ivar is_deleted: whether it has to be created again
    """

    key: str
    name: str
    is_deleted: bool = False


# By their XML IDs, without the module.
NEEDED: Mapping[str, Needed] = {
    "ir_cron_send": Needed(
        ACTION,
        "Matomo: send orders",
        lambda env, name: env._("“%s” does not run: nothing is sent to Matomo.", name),
    ),
    "ir_cron_verify": Needed(
        ACTION,
        "Matomo: verify orders",
        lambda env, name: env._(
            "“%s” does not run: nobody sees whether orders have arrived in Matomo.",
            name,
        ),
    ),
    "ir_cron_sweep": Needed(
        ACTION,
        "Matomo: find orders without a verdict",
        lambda env, name: env._(
            "“%s” does not run: orders that were missed are not found, past days are "
            "not compared, and what changes in Matomo is not noticed.",
            name,
        ),
    ),
    "ir_cron_compare": Needed(
        ACTION,
        "Matomo: compare today and outdated days",
        lambda env, name: env._(
            "“%s” does not run: today is not compared, nor are days whose orders were "
            "sent late.",
            name,
        ),
    ),
    "ir_cron_retrack": Needed(
        ACTION,
        "Matomo: retrack orders",
        lambda env, name: env._(
            "“%s” does not run: orders are not retracked, and nobody is told what goes "
            "wrong.",
            name,
        ),
    ),
    "ir_cron_job": Needed(
        ACTION,
        "Matomo: backfill and compare",
        lambda env, name: env._(
            "“%s” does not run: backfills and comparisons of many days stand still.",
            name,
        ),
    ),
    "base_automation_sale_order": Needed(
        RULE,
        "Matomo: track confirmed sales orders",
        lambda env, name: env._(
            "“%s” does not run: sales orders are found at night, and sent no earlier.",
            name,
        ),
    ),
    "base_automation_pos_order": Needed(
        RULE,
        "Matomo: track paid POS orders",
        lambda env, name: env._(
            "“%s” does not run: POS orders are found at night, and sent no earlier.",
            name,
        ),
    ),
}


def describe_stopped(env, names: Mapping[str, str] | str) -> str:
    """Return what stands still.

    :param names: ``{key of NEEDED: name}`` of what does not run; a key of another
        version of the addon says nothing
    """
    if isinstance(names, str):
        # An older version kept the names alone, until the next hourly run.
        return names
    return " ".join(
        NEEDED[key].says(env, name) for key, name in names.items() if key in NEEDED
    )
