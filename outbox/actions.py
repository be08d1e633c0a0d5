"""What a person does with requests of the log: retry, cancel, decide what they are.

Which action is possible is decided in ``tools/actions.py``. A request that a sender
works on is left alone: nothing here can make it send an order twice.
"""

from odoo import fields

from ..const import ACCEPTED_STATES
from ..tools.actions import (
    ACCEPT,
    CANCEL,
    RETRY,
    SEND_AS_OTHER,
    Situation,
    describe_result,
    get_obstacle,
)
from .orders import get_free_order_ref, get_secret_order_ref
from .refunds import send_again

# So many requests are retried while the person waits; more are queued.
AT_ONCE = 100


def get_situation(request):
    """Return the ``Situation`` of a request."""
    now = fields.Datetime.now()
    is_later = request.state == "pending" and bool(
        request.next_attempt_date and request.next_attempt_date > now
    )
    return Situation(
        request.state,
        request.kind,
        is_busy=is_later and request.lease_date == request.next_attempt_date,
        is_later=is_later,
        is_left_out=request.is_left_out,
    )


def run(requests, action, user):
    """Do what a person asks with the requests with which it is possible.

    :param requests: in sudo
    :param action: one of ``tools.actions.ACTIONS``
    :param user: the ``res.users`` who asks: the chatter of each order names them
    :return: the sentences of the answer
    """
    obstacles = {
        request: get_obstacle(action, get_situation(request)) for request in requests
    }
    possible = requests.filtered(lambda request: not obstacles[request])
    # A sender that claims or writes one at this moment comes first.
    free = possible.try_lock_for_update()
    obstacles |= dict.fromkeys(possible - free, "busy")
    unsure = free.filtered(_is_unsure) if action == CANCEL else free.browse()
    DO[action](free, user)
    if action == RETRY:
        # What a new verdict leaves out says why.
        waiting = free.filtered(lambda request: request.state == "pending")
        if len(free) <= AT_ONCE:
            obstacles |= {request: request.state for request in free - waiting}
    kinds = [kind for kind in obstacles.values() if kind]
    return describe_result(
        requests.env, action, len(requests) - len(kinds), kinds, len(unsure)
    )


def _is_unsure(request):
    """Return whether Matomo may have a request, because an answer was lost."""
    return bool(request.unconfirmed_count) and request.failure_type != "refused"


# === THE ACTIONS === #


def _retry(requests, user):
    """Send failed requests again, and those now that wait for a later attempt."""
    waiting = requests.filtered(lambda request: request.state == "pending")
    waiting._update_state("pending", next_attempt_date=False)
    _log(waiting, user, requests.env._("Matomo: Retry. It is sent again now."))
    known = requests.filtered(lambda request: request.state == "elsewhere")
    # Matomo is asked first: it may have it after all.
    _rebuild(known, look_up_first=True)
    _log(known, user, requests.env._("Matomo: Retry. It is looked for, and then sent."))
    refunds = requests.filtered(lambda request: request.kind == "refund") - waiting
    queued = send_again(refunds)
    queued.is_left_out = False
    _log(queued, user, requests.env._("Matomo: Retry. The refund is sent again now."))
    orders = requests - waiting - known - refunds
    orders.is_left_out = False
    retracks = requests.env["matomo.retrack"].with_user(user)
    for some in orders._get_orders():
        if len(orders) > AT_ONCE:
            retracks._queue(some, is_asked=True)
        else:
            retracks._retrack_now(some, user)
    requests._wake_sender()


def _cancel(requests, user):
    """Leave requests out that wait or have failed, until somebody retries them."""
    for request in requests:
        env = request._get_message_env()
        reason = env._("%s has cancelled it: it is not sent.", user.name)
        if _is_unsure(request):
            reason = env._(
                "%s has cancelled it: it is not sent again. It was sent before, and "
                "Matomo's answer was lost: Matomo may have it. Look for it there.",
                user.name,
            )
        request._update_state(
            "cancelled",
            reason=reason,
            is_left_out=True,
            failure_type=False,
            next_attempt_date=False,
            next_check_date=False,
            look_up_first=bool(request.attempt_count),
        )
    _log(requests, user, requests.env._("Matomo: Cancel. It is not sent to Matomo."))


def _send_as_other(requests, user):
    """Send orders under another number: what Matomo has is another sale."""
    for request in requests:
        _rebuild(request, **get_secret_order_ref(request))
    _log(
        requests,
        user,
        requests.env._(
            "Matomo: What Matomo has is another sale. The order is sent under another "
            "number."
        ),
    )
    requests._wake_sender()


def _accept(requests, user):
    """Accept what Matomo has of orders from another system, and send nothing."""
    for request in requests:
        values = {}
        if request.state not in ACCEPTED_STATES:
            order = request._get_order()
            amounts = order._prepare_matomo_amounts(request.site_id)
            values = {
                **get_free_order_ref(request),
                "revenue": float(amounts.revenue),
                "currency_id": request.site_id.currency_id.id,
                "order_revenue": float(amounts.order_revenue or 0),
                "order_rate": amounts.order_rate,
                "order_currency_id": (
                    order.currency_id.id if amounts.order_rate else False
                ),
            }
        request._update_state(
            "elsewhere",
            reason=request._get_message_env()._(
                "%s has said that Matomo has it from another system.", user.name
            ),
            failure_type=False,
            next_attempt_date=False,
            next_check_date=False,
            unconfirmed_count=0,
            **values,
        )
    _log(
        requests,
        user,
        requests.env._(
            "Matomo: Matomo has the order from another system. It is not sent."
        ),
    )


DO = {
    RETRY: _retry,
    CANCEL: _cancel,
    SEND_AS_OTHER: _send_as_other,
    ACCEPT: _accept,
}


def _rebuild(requests, **values):
    """Queue requests to be built anew."""
    requests._update_state(
        "pending",
        **{
            "payload": False,
            "tracking_url": False,
            "reason": False,
            "failure_type": False,
            "is_told_by_tag": False,
            "unconfirmed_count": 0,
            "recorded_revenue": 0,
            "next_attempt_date": False,
            "next_check_date": False,
            **values,
        },
    )


def _log(requests, user, text):
    """Note in the chatter of the orders who has done what."""
    for orders in requests._get_orders():
        orders._message_log_batch(
            bodies=dict.fromkeys(orders.ids, text), author_id=user.partner_id.id
        )
