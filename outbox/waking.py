"""The addon's scheduled actions: to run them soon, and to see which do not run."""

from odoo import fields

from . import schedule

MODULE = "matomo_order_tracking"
# Key of cr.postcommit.data, which lasts as long as a transaction: {XML ids of
# scheduled actions: the triggers that will run them}.
WOKEN = "matomo_order_tracking.woken"
# Without one of these the addon does not do what it promises.
NEEDED_ACTIONS = (
    "ir_cron_send",
    "ir_cron_verify",
    "ir_cron_retrack",
    "ir_cron_sweep",
    "ir_cron_compare",
    "ir_cron_job",
)
NEEDED_RULES = ("base_automation_sale_order", "base_automation_pos_order")


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
    """Return the names of our scheduled actions and rules that do not run."""
    late = fields.Datetime.now() - schedule.ACTION_PATIENCE
    names = []
    for name in NEEDED_ACTIONS:
        cron = env.ref(f"{MODULE}.{name}", raise_if_not_found=False)
        # sudo: scheduled actions are the administrators'.
        if cron and (not cron.sudo().active or cron.sudo().nextcall < late):
            names.append(cron.sudo().cron_name)
    for name in NEEDED_RULES:
        rule = env.ref(f"{MODULE}.{name}", raise_if_not_found=False)
        # sudo: automation rules are the administrators', too.
        if rule and not rule.sudo().active:
            names.append(rule.sudo().name)
    return tuple(names)
