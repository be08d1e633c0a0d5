"""The addon's scheduled actions: to run them soon, and to see which do not run."""

from odoo import fields

from ..tools.needed import ACTION, NEEDED, Stopped
from . import schedule

MODULE = "matomo_order_tracking"
# Key of cr.postcommit.data, which lasts as long as a transaction: {XML ids of
# scheduled actions: the triggers that will run them}.
WOKEN = "matomo_order_tracking.woken"


def wake(env, names, at=None):
    """Run scheduled actions of ours; at once is once a transaction.

    A till that syncs a hundred sales comes here with each of them, and each trigger
    costs a connection when the transaction is committed.

    :param names: XML ids without the module; those of actions that were deleted or
        switched off are passed over
    :param at: naive UTC; None for after this transaction
    """
    woken = env.cr.postcommit.data.setdefault(WOKEN, {})
    # A savepoint that was rolled back took its triggers with it.
    if not at and names in woken and woken[names].exists():
        return
    data = env["ir.model.data"]
    ids = (
        data._xmlid_to_res_id(f"{MODULE}.{name}", raise_if_not_found=False)
        for name in names
    )
    # sudo: a shopper or a cashier wakes the sender without any right to it.
    crons = env["ir.cron"].sudo().browse(filter(None, ids))
    triggers = env["ir.cron.trigger"].sudo()
    for cron in crons.filtered("active"):
        triggers |= cron._trigger(at)
    if not at:
        woken[names] = triggers


def get_stopped_actions(env):
    """Return what does not run of our scheduled actions and rules.

    In a neutralized copy nothing is missed: they are switched off on purpose.

    :return: list of ``Stopped``
    """
    # sudo: scheduled actions, automation rules and system parameters are the
    # administrators'.
    env = env(su=True)
    is_copy = env["ir.config_parameter"].get_param("database.is_neutralized")
    late = fields.Datetime.now() - schedule.ACTION_PATIENCE
    stopped = []
    for key, needed in NEEDED.items():
        record = env.ref(f"{MODULE}.{key}", raise_if_not_found=False)
        if not record:
            if not is_copy:
                stopped.append(Stopped(key, needed.name, is_deleted=True))
        elif not record.active or (needed.model == ACTION and record.nextcall < late):
            stopped.append(Stopped(key, record.display_name))
    return stopped
