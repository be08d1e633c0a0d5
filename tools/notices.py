"""The notice that a button shows."""

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
