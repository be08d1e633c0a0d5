import logging

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.fields import Domain

from ..const import ACCEPTED_STATES, Verdict
from ..outbox import refunds
from ..outbox.transactions import one_by_one
from ..tools.actions import describe_retrack
from ..tools.notices import RELOAD, notify
from ..tools.sentences import plural

_logger = logging.getLogger(__name__)

# Up to this many orders are retracked while the person waits; more are queued.
AT_ONCE = 100
# How many queued orders are retracked in one transaction.
BATCH = 200


class MatomoRetrack(models.Model):
    """Orders that get a new verdict.

    A record is a selection of orders that a scheduled action retracks. A person has
    asked for it, or the addon itself: if a sales order is cancelled, the POS orders
    that settle it need a new verdict. To queue a selection costs one statement,
    however many orders it has, and locks no order. The scheduled action removes orders
    from the record in the transaction that retracks them. After a crash the others
    are still there, and to retrack an order twice does no harm.
    """

    _name = "matomo.retrack"
    _description = "Orders to Be Retracked in Matomo"
    _order = "id"

    res_model = fields.Char(required=True, readonly=True)
    res_ids = fields.Json(
        readonly=True, help="The orders that have not been retracked yet."
    )
    is_asked = fields.Boolean(
        readonly=True,
        help="The user who created this gets a notification with the result.",
    )
    order_count = fields.Integer(readonly=True)
    queued_count = fields.Integer(readonly=True)
    checked_count = fields.Integer(readonly=True)

    # === A PERSON ASKS === #

    @api.model
    def _retrack(self, orders):
        """Re-evaluate the verdicts of ``orders`` for the current user.

        Up to ``AT_ONCE`` orders are retracked now, more are queued. The sender looks an
        order up in Matomo first and sends it only if it is missing there.

        :return: an action that shows a notification with the result
        :raise AccessError: if the user may not retrack orders
        """
        if not self.env.user.has_group("matomo_order_tracking.group_matomo_user"):
            raise AccessError(
                self.env._("Only users of Matomo Order Tracking may retrack orders.")
            )
        if len(orders) > AT_ONCE:
            self._queue(orders, is_asked=True)
            message = self.env._(
                "%(count)s orders are queued to be retracked. Odoo notifies you when "
                "it is done; the chatter of each order says what happens with it.",
                count=len(orders),
            )
        else:
            message = self._get_message(
                orders, self._retrack_now(orders, self.env.user)
            )
        return notify(message, next=RELOAD)

    @api.model
    def _get_message(self, orders, outcomes):
        """Return the sentence of the notification.

        :param outcomes: of ``_retrack_now``
        """
        if len(orders) > 1:
            return self._get_summary(
                len(orders), _count_queued(outcomes), _count_checked(outcomes)
            )
        sentence = next(iter(outcomes.values()), None)
        if sentence is None:
            return self.env._(
                "%s is not confirmed: only confirmed orders are tracked.",
                orders.display_name,
            )
        return self.env._(
            "%(order)s: %(what)s", order=orders.display_name, what=sentence
        )

    @api.model
    def _get_summary(self, count, queued, checked):
        """Return sentences with the result of many orders.

        :param count: how many orders there are in all
        :param queued: how many of them wait to be sent
        :param checked: how many of them Matomo has accepted before
        """
        return describe_retrack(self.env, count, queued, checked)

    # === QUEUED SELECTIONS === #

    @api.model
    def _queue(self, orders, is_asked=False):
        """Queue ``orders`` of one model to be retracked. Read none of them.

        :param is_asked: whether the current user gets a notification with the result
        """
        # sudo: a user who makes or cancels a sale has no right to the queue.
        self.sudo().create(
            {
                "res_model": orders._name,
                "res_ids": orders.ids,
                "is_asked": is_asked,
                "order_count": len(orders),
            }
        )
        self.env["matomo.request"]._wake_retrack()

    @api.model
    def _retrack_queued(self):
        """Retrack the queued orders, as long as the scheduled action has time."""
        while queued := self.search([], limit=1):
            done = queued._retrack_next()
            left = sum(len(each.res_ids) for each in self.search([]))
            if not self.env["ir.cron"]._commit_progress(done, remaining=left):
                return

    def _retrack_next(self):
        """Retrack the next batch of this selection. Delete the selection at its end.

        :return: how many orders the batch had
        """
        ids = self.res_ids[:BATCH]
        orders = self.env[self.res_model].browse(ids).exists()
        done = one_by_one(orders, self._retrack_batch, log_broken)
        # These orders were deleted, or they failed, and the log says so: neither is
        # tried again.
        if left := set(ids) - set(done.ids):
            self._remove_done(left)
        if not self.res_ids:
            self._notify()
            self.unlink()
        return len(ids)

    def _retrack_batch(self, orders):
        """Retrack ``orders``, remove them from the selection, and return them."""
        user = self.create_uid
        outcomes = self.with_context(lang=user.lang)._retrack_now(
            # The sender sends today's orders before these.
            orders.with_context(matomo_is_backfill=True),
            user if self.is_asked else None,
        )
        self.queued_count += _count_queued(outcomes)
        self.checked_count += _count_checked(outcomes)
        self._remove_done(orders.ids)
        return orders

    def _remove_done(self, ids):
        self.res_ids = [id_ for id_ in self.res_ids if id_ not in set(ids)]

    def _notify(self):
        """Send the user who asked a notification with the result."""
        if not self.is_asked:
            return
        user = self.create_uid
        message = self.with_context(lang=user.lang)._get_summary(
            self.order_count, self.queued_count, self.checked_count
        )
        user._bus_send("simple_notification", {"type": "info", "message": message})

    # === RETRACKING ORDERS === #

    @api.model
    def _retrack_now(self, orders, user=None):
        """Re-evaluate the verdicts of ``orders``, and queue those that are to be sent.

        :param user: the ``res.users`` who asked: the chatter of each order names them.
            None if the addon itself asks: nothing is written to the chatter
        :return: ``{request: sentence}``, without the orders that never counted
        """
        # sudo: no user may write requests, except by this button. A user who may press
        # it may have no right to write the order.
        retracks, orders = self.sudo(), orders.sudo()
        new = orders.filtered(lambda order: order._is_matomo_sale())._matomo_enqueue()
        requests = self.env["matomo.request"].sudo()
        found = requests.browse(
            request.id for request in orders._get_matomo_requests().values()
        )
        outcomes = {
            request: retracks._retrack_request(request, request in new)
            for request in found
        }
        for refund in refunds.retrack(orders):
            order = refund._get_order()
            for request in found:
                if request._get_order() == order:
                    outcomes[request] += " " + self.env._(
                        "Its refund is queued to be sent."
                    )
        requests._wake_sender()
        requests._wake_verifier()
        if user and outcomes:
            bodies = {
                request._get_order().id: self.env._("Retrack in Matomo: %s", what)
                for request, what in outcomes.items()
            }
            orders.browse(bodies)._message_log_batch(
                bodies=bodies, author_id=user.partner_id.id
            )
        return outcomes

    @api.model
    def _retrack_request(self, request, is_new):
        """Re-evaluate one request.

        :param is_new: whether this retrack has created it, or given a cancelled request
            a new verdict
        :return: a sentence that says what happens with the request now
        """
        if request.is_left_out or request.state == "elsewhere":
            # A person has decided so in the log, and takes it back there.
            return request.reason or ""
        if request.state in ACCEPTED_STATES:
            return self._verify_again(request)
        order = request._get_order()
        is_waiting = request.state == "pending" and not is_new
        if is_waiting and request.payload:
            # The sender may be sending it at this moment.
            return self.env._("The order waits to be sent to Matomo.")
        if not order._is_matomo_sale():
            if request.state in ("pending", "failed"):
                request._cancel()
            return request.reason or ""
        verdict, site = order._get_matomo_verdict()
        if verdict.state == "pending" and not is_waiting:
            verdict = self._refuse_too_old(request, order, site) or verdict
        if verdict.state != "pending":
            request._update_state(verdict.state, reason=verdict.reason, site_id=site.id)
            return verdict.reason
        if is_waiting and request.site_id == site:
            return self.env._("The order waits to be sent to Matomo.")
        if request.site_id == site and request.attempt_count:
            if reason := request._get_untraceable_reason():
                return reason
        self._send_again(request, site)
        return self.env._("The order is queued to be sent to Matomo.")

    @api.model
    def _verify_again(self, request):
        """Have the verifier read an accepted order back now, if it can be found.

        :return: a sentence that says what happens with the request now
        """
        if not request.site_id._has_raw_data(request.order_date):
            return request._get_too_old_reason()
        if reason := request._get_untraceable_reason():
            return reason
        request.next_check_date = fields.Datetime.now()
        return self.env._(
            "Matomo has accepted the order. As soon as Matomo can be read, Odoo checks "
            "whether it is recorded there."
        )

    @api.model
    def _refuse_too_old(self, request, order, site):
        """Return a ``Verdict`` for an order older than Matomo's raw data, else None.

        It is not sent: Matomo could count it twice (docs/matomo.md section 14).
        """
        if site._has_raw_data(order.date_order):
            return None
        state = "failed" if request.state == "failed" else "excluded"
        return Verdict(state, request._get_too_old_reason())

    @api.model
    def _send_again(self, request, site):
        """Requeue a request to be sent to ``site``.

        The sender looks the order up first if an earlier attempt may have recorded it.
        """
        values = {"look_up_first": bool(request.attempt_count)}
        if request.site_id != site:
            # The other site has never got this order.
            values = {
                "look_up_first": False,
                "unconfirmed_count": 0,
                "payload": False,
                "tracking_url": False,
                "order_ref": False,
                "order_ref_key": False,
            }
        request._update_state(
            "pending",
            reason=False,
            site_id=site.id,
            failure_type=False,
            next_attempt_date=False,
            missing_count=0,
            # What Matomo's server answered before concerned another try.
            error_count=0,
            broken_date=False,
            **values,
        )

    # === LEFT OUT BEFORE A SITE WAS SET === #

    @api.model
    def _get_left_out_domain(self, site, is_before_start=False):
        """Return the domain of the requests that were left out without a site.

        :param site: the ``matomo.site`` that their website, till or company has now
        :param is_before_start: whether of the orders before the tracking start
        """
        orders_of_site = [
            Domain(
                orders._matomo_order_field, "any", orders._get_matomo_site_domain(site)
            )
            for orders in self.env["matomo.order.mixin"]._get_matomo_order_models()
        ]
        return (
            Domain("state", "=", "excluded")
            & Domain("kind", "=", "order")
            & Domain("site_id", "=", False)
            & Domain("company_id", "=", site.company_id.id)
            & Domain("order_date", "<" if is_before_start else ">=", site._get_start())
            & Domain.OR(orders_of_site)
        )

    @api.model
    def _count_left_out(self, site, is_before_start=False):
        """Return how many orders were left out without a site, and since which day.

        :return: tuple of the count and the day of the first one, False without any
        """
        # sudo: whoever chooses a site need not see the orders.
        [(count, first)] = (
            self.env["matomo.request"]
            .sudo()
            ._read_group(
                self._get_left_out_domain(site, is_before_start),
                aggregates=["__count", "order_date:min"],
            )
        )
        return count, first and fields.Datetime.context_timestamp(self, first).date()

    @api.model
    def _track_left_out(self, sites):
        """Queue the orders that were left out without a site, for the current user.

        :return: an action that shows a notification
        :raise AccessError: if the user may not change these sites
        """
        sites.check_access("write")
        # sudo: see _count_left_out.
        requests = self.env["matomo.request"].sudo()
        found = requests.union(
            *(requests.search(self._get_left_out_domain(site)) for site in sites)
        )
        for orders in found._get_orders():
            self._queue(orders, is_asked=True)
        return notify(
            plural(
                len(found),
                self.env._(
                    "1 order is queued to be tracked. Odoo notifies you when it is "
                    "done."
                ),
                self.env._(
                    "%s orders are queued to be tracked. Odoo notifies you when it is "
                    "done.",
                    len(found),
                ),
            )
        )


def log_broken(order, _error):
    """Log why an order got no verdict; the ``give_up`` of ``one_by_one``."""
    _logger.exception("%s cannot be given a verdict for Matomo", order)


def _count_queued(outcomes):
    """Return how many of these requests are to be sent."""
    return sum(request.state == "pending" for request in outcomes)


def _count_checked(outcomes):
    """Return how many of these requests Matomo has accepted before."""
    return sum(request.state in ACCEPTED_STATES for request in outcomes)
