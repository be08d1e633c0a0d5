"""The sender's lanes: as many scheduled actions send at the same time.

Odoo never runs one scheduled action twice at a time, but several beside one another: on
each of its hosts as many as that has workers for them (``max_cron_threads``).
"""

from odoo import fields
from odoo.exceptions import UserError

from .waking import MODULE

FIRST = "ir_cron_send"
# More than one PostgreSQL and one Matomo bear.
MAX_LANES = 64


def get_lane_count(env):
    """Return how many scheduled actions send."""
    return sum(lane.active for lane in _get_lanes(env).values())


def set_lane_count(env, count):
    """Have so many scheduled actions send; those that are missing are made.

    :param count: 1 to ``MAX_LANES``
    :raise UserError: if one that is to stop is sending at this moment, or the first one
        was deleted
    """
    lanes = _get_lanes(env)
    if FIRST not in lanes:
        raise UserError(
            env._(
                "The scheduled action that sends orders to Matomo was deleted. Upgrade "
                "Matomo Order Tracking in Apps: that creates it again."
            )
        )
    wanted = [FIRST, *(f"{FIRST}_{number}" for number in range(2, count + 1))]
    for name, lane in lanes.items():
        # Not those that stay as they are: one that runs cannot be written.
        if lane.active != (name in wanted):
            lane.active = name in wanted
    for number, name in enumerate(wanted, 1):
        if name not in lanes:
            label = env._("Matomo: send orders, lane %s", number)
            _name(env, name, lanes[FIRST].copy({"name": label, "active": True}))


def get_others(env):
    """Return the lanes that are switched on, but for the one that runs."""
    # sudo: scheduled actions are the administrators'.
    return (
        env["ir.cron"]
        .sudo()
        .union(
            *(
                lane
                for lane in _get_lanes(env).values()
                if lane.active and lane.id != env.context.get("cron_id")
            )
        )
    )


def wake(lanes, count):
    """Have so many of some lanes help, or all of them if there are fewer.

    One that was woken and has not begun yet helps by itself: a second trigger would
    have it run again for nothing. Of the others, those that run are woken last, since
    they look for more by themselves.

    :param lanes: of ``get_others``
    :param count: how many are needed
    """
    triggers = lanes.env["ir.cron.trigger"].search(
        [("cron_id", "in", lanes.ids), ("call_at", "<=", fields.Datetime.now())]
    )
    count -= len(triggers.cron_id)
    if count <= 0:
        return
    lanes -= triggers.cron_id
    if len(lanes) > count:
        # Odoo locks the row of an action that runs.
        idle = lanes.try_lock_for_update(allow_referencing=True, limit=count)
        lanes = (idle | lanes)[:count]
    for lane in lanes:
        lane._trigger()


def _get_lanes(env):
    """Return ``{name: scheduled action}``, whether it is switched on or not."""
    # sudo: scheduled actions and the names of records are the administrators'.
    names = env["ir.model.data"].sudo()
    found = names.search_fetch(
        [
            ("module", "=", MODULE),
            ("model", "=", "ir.cron"),
            ("name", "=like", f"{FIRST}%"),
        ],
        ["name", "res_id"],
    )
    # Somebody may have deleted one, and its name stays until Odoo cleans up.
    lanes = env["ir.cron"].sudo().browse(found.mapped("res_id")).exists()
    by_id = {lane.id: lane for lane in lanes}
    return {each.name: by_id[each.res_id] for each in found if each.res_id in by_id}


def _name(env, name, lane):
    """Give a new scheduled action a name of ours: it is deleted with the addon."""
    # sudo: the names of records are the administrators'.
    env["ir.model.data"].sudo()._update_xmlids(
        [
            {
                # One that was deleted by SQL has left its name.
                "xml_id": f"{MODULE}.{name}",
                "record": lane,
                # It stands in no file, and stays when the addon is updated.
                "noupdate": True,
            }
        ]
    )
