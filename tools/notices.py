"""The notice that a button shows, and what a list says that shows nothing."""

# What a notice may do next: load the records of the screen anew, or close the dialog.
RELOAD = {"type": "ir.actions.client", "tag": "soft_reload"}
CLOSE = {"type": "ir.actions.act_window_close"}


def notify(message, **params):
    """Return the action that shows a notice.

    :param message: what is said
    :param params: of Odoo's notification, such as ``title``, ``next``, or ``type``:
        "info" unless it is said
    """
    return {
        "type": "ir.actions.client",
        "tag": "display_notification",
        "params": {"type": "info", "message": message, **params},
    }


def describe_empty(records, help_message):
    """Return what a list says that shows nothing: its filters may hide what there is.

    :param records: a recordset of the list's model, in the environment of the user
    :param help_message: what it says if there is nothing at all
    """
    if records.search_count([], limit=1):
        return records.env["ir.qweb"]._render("matomo_order_tracking.nothing_found")
    return help_message
