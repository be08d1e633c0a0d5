from secrets import token_hex

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL

from ..const import ACCEPTED_STATES
from ..matomo_api.privacy import (
    anonymize_parameters,
    anonymize_url,
    shorten_url,
    withdraw_everybody,
    withdraw_salesperson,
    withdraw_shopper,
)
from ..matomo_api.tracking import get_visitor_id, tracking_url


class MatomoRequestPrivacy(models.AbstractModel):
    """The personal data in requests: what is sent of them, and how they are deleted.

    A part of ``matomo.request``. Verdict and amounts stay for ever.
    """

    _name = "matomo.request.privacy"
    _description = "Personal Data of a Matomo Request"

    # === FIELDS === #

    is_anonymized = fields.Boolean(
        string="Personal Data Deleted",
        readonly=True,
        default=False,
        help="IP address, browser, visitor and campaign were taken out of what was "
        "sent.",
    )
    is_refused = fields.Boolean(
        string="Shopper Refused",
        readonly=True,
        default=False,
        help="The shopper of an order that Matomo does not have refused. It is noted "
        "here when their answer is deleted: no retrack may send the order.",
    )
    to_anonymize = fields.Boolean(
        readonly=True,
        default=False,
        help="Personal data are deleted as soon as the request does not need them.",
    )
    is_salesperson_deleted = fields.Boolean(
        string="Salesperson Deleted",
        readonly=True,
        default=False,
        help="If the row is sent again, it is sent without the salesperson.",
    )

    # === WHAT MAY BE SENT === #

    def _prepare_visitor(self, order):
        """Return the ``Visitor`` of an order, nobody's if this request forgets it.

        :param order: of this request
        """
        if self._forgets_shopper():
            return order._prepare_matomo_nobody(self.site_id)
        visitor = order._prepare_matomo_visitor(self.site_id)
        if self.is_salesperson_deleted:
            return self.site_id._without_salesperson(visitor)
        return visitor

    def _get_told_parameters(self):
        """Return what Matomo was told of the order and may be told again."""
        return {} if self._forgets_shopper() else self.payload or {}

    def _forgets_shopper(self):
        return self.is_anonymized or self.to_anonymize

    def _anonymize(self):
        """Take the person out of what was sent; verdict and amounts stay for ever."""
        for request in self:
            request.write(
                {
                    "payload": request.payload
                    and anonymize_parameters(request.payload),
                    "tracking_url": request.tracking_url
                    and anonymize_url(request.tracking_url),
                    "answer_text": False,
                    "partner_id": False,
                    "is_anonymized": True,
                }
            )

    @api.model
    def _get_done_domain(self):
        """Return the domain of requests that no longer need their visitor."""
        return [("state", "!=", "pending"), ("next_check_date", "=", False)]

    def _anonymize_when_done(self):
        """Anonymize these requests now, or as soon as they do not need the visitor."""
        done = self.filtered_domain(self._get_done_domain())
        for request in (self - done).filtered("payload"):
            # What is yet to be sent must not join the shopper's visits. What was sent
            # keeps its visitor until the verifier has found it.
            is_waiting = request.state == "pending" and request._has_payload()
            request._replace_payload(
                withdraw_shopper(request.payload, token_hex(8) if is_waiting else None)
            )
        (self - done).write({"to_anonymize": True, "partner_id": False})
        done._anonymize()

    def _anonymize_at_last(self):
        """Anonymize requests that have waited longer than anything may.

        What may still be sent is sent as nobody's. What Matomo has accepted is not read
        back any more.
        """
        for request in self.filtered(lambda each: each.state == "pending"):
            if request.payload:
                # Matomo knows an order by its ID, so that another visitor may have it.
                request._replace_payload(
                    withdraw_everybody(request.payload, token_hex(8))
                )
            request.write(
                {"answer_text": False, "partner_id": False, "is_anonymized": True}
            )
        ended = self.filtered(lambda each: each.state != "pending")
        for request in ended.filtered("next_check_date"):
            values = {"next_check_date": False}
            if request.state == "sent":
                values["reason"] = request._get_message_env()._(
                    "Matomo accepted this order. Its personal data were deleted before "
                    "Matomo showed whether it has recorded it. Retrack looks for it "
                    "again."
                )
            request.write(values)
        ended._anonymize()

    def _anonymize_salesperson(self, name):
        """Take the salesperson out of these requests; who bought stays.

        :param name: of the salesperson
        """
        for request in self.filtered("payload"):
            number = request.site_id.salesperson_dimension
            payload = withdraw_salesperson(request.payload, name, number)
            if payload != request.payload:
                request._replace_payload(payload)
        self.write({"is_salesperson_deleted": True})

    def _replace_payload(self, payload):
        self.ensure_one()
        url = self.tracking_url and tracking_url(
            self.tracking_url.partition("?")[0], payload
        )
        self.write({"payload": payload, "tracking_url": url})

    def _delete_personal_data(self):
        """Delete what Odoo's privacy lookup has found; the verdict stays.

        Without it, the order would be sent a second time, or the sweep would note its
        customer anew. Requests that wait are sent as nobody's.
        """
        for orders in self._get_orders():
            orders._anonymize_matomo_data()

    def _get_visitor_id(self):
        """Return the visitor that the order was sent with, "" if it was not."""
        return get_visitor_id(self.payload or {})

    def _get_url_for_log(self):
        """Return the audit URL without the person: a log file knows no retention."""
        return self.tracking_url and shorten_url(anonymize_url(self.tracking_url))

    def _export_data(self, with_shopper=True):
        """Return these requests for somebody who asks what is kept of them, as JSON.

        :param with_shopper: whether with what was sent, which tells who it was
        """
        names = ("kind", "state", "reason", "order_ref", "revenue", "order_date")
        names += ("sent_date", "verified_date")
        if with_shopper:
            names += ("payload", "tracking_url")
        return [
            {
                "site": request.site_id.name or None,
                "currency": request.currency_id.name or None,
                **{name: request[name] or None for name in names},
            }
            for request in self
        ]

    @api.model
    def _find_by_visitor(self, visitor_ids, domain=Domain.TRUE):
        """Return the requests that were sent to these visitors.

        No index helps: this is for a person who asks, not for a scheduled action.

        :param visitor_ids: 16 hex digits each
        """
        payload = self._fields["payload"]

        def condition(model, alias, query):
            return SQL(
                "COALESCE(%(payload)s ->> 'cid', %(payload)s ->> '_id') = ANY(%(ids)s)",
                payload=SQL.identifier(alias, "payload", to_flush=payload),
                ids=list(visitor_ids),
            )

        return self.search(Domain.custom(to_sql=condition) & domain)

    def _can_come_back(self):
        """Return whether an order that is deleted in Matomo is sent again."""
        return (
            self.kind == "order"
            and self.state in ACCEPTED_STATES
            and self.state != "elsewhere"
            and self.site_id.can_read
            and self.site_id._may_send()
            and self.site_id._has_raw_data(self.order_date)
            and not self.site_id.is_order_id_anonymised
        )

    def _reconsider_erased(self):
        """Look for orders that were deleted in Matomo, to send them anonymously.

        The verifier sends what is missing once more, see ``_resend_missing``.

        :return: the requests that can be looked for
        """
        found = self.filtered(lambda request: request._can_come_back())
        found.write({"next_check_date": fields.Datetime.now(), "missing_count": 0})
        if found:
            self._wake_verifier()
        return found
