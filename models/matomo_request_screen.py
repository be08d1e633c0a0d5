from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.fields import Domain
from odoo.tools import SQL, format_amount, format_datetime

from ..const import USER_GROUP
from ..matomo_api.links import order_url
from ..matomo_api.sent import read_sent
from ..outbox import actions
from ..tools import attempts
from ..tools.actions import (
    ACCEPT,
    ACTIONS,
    CANCEL,
    RETRY,
    SEND_AS_OTHER,
    get_possible,
)
from ..tools.browsers import describe_browser, describe_languages
from ..tools.notices import RELOAD, notify
from ..tools.overview import ATTENTION_STATES
from ..tools.sentences import get_sent_labels

# People cannot search or group by what only the sender needs.
INTERNAL = (
    *("order_ref_key", "look_up_first", "to_anonymize", "lease_date", "payload"),
    *("unconfirmed_count", "missing_count", "unseen_count", "taken_count"),
    *("error_count", "broken_date", "attempts", "counted_order_ids", "is_refused"),
    *("is_credit_note", "order_rate", "next_check_date", "tracking_url"),
    *("answer_text", "answer_status", "is_salesperson_deleted", "recorded_revenue"),
    *("order_revenue", "order_currency_id", "revenue", "duration_ms", "attempt_count"),
    *("replacement_move_id", "refunded_id", "is_left_out"),
)


class MatomoRequestScreen(models.AbstractModel):
    """What people see of requests in the log, and what they do with them.

    A part of ``matomo.request``.
    """

    _name = "matomo.request.screen"
    _inherit = ["matomo.amounts"]
    _description = "Log of a Matomo Request"

    # === WHAT IS SHOWN === #

    @api.depends(lambda self: ["kind", *self._get_order_fields()])
    @api.depends_context("lang")
    def _compute_order_name(self):
        for request in self:
            # sudo: the name of the order a visible request is about.
            order = request.sudo()._get_order()
            name = order and order._get_matomo_order_name()
            if name and request.kind == "refund":
                # The order itself may be a row of the same list.
                name = self.env._("Refund of %s", name)
            request.order_name = name

    def _search_order_name(self, operator, value):
        # sudo: whoever sees requests need not see the orders, only their names.
        found = [Domain("order_ref", operator, value)]
        for name in self._get_order_fields():
            orders = self.env[self._fields[name].comodel_name].sudo()
            domain = Domain("name", operator, value)
            if "pos_reference" in orders._fields:
                domain |= Domain("pos_reference", operator, value)
            found.append(Domain(name, "in", orders._search(domain)))
        return Domain.OR(found)

    @api.depends("kind", "revenue")
    def _compute_signed_revenue(self):
        for request in self:
            is_refund = request.kind == "refund"
            request.signed_revenue = -request.revenue if is_refund else request.revenue

    @api.depends("currency_id", "site_id", "company_id")
    def _compute_amount_currency_id(self):
        for request in self:
            # sudo: only the currency, of what a user may see.
            company = request.sudo().company_id
            site = request.sudo().site_id or company.matomo_site_id
            request.amount_currency_id = (
                request.currency_id or site.currency_id or company.currency_id
            )

    def _field_to_sql(self, alias, field_expr, query=None):
        if field_expr == "amount_currency_id":
            return super()._field_to_sql(alias, "currency_id", query)
        if field_expr == "signed_revenue":
            return SQL(
                "CASE WHEN %(kind)s = 'refund' THEN -%(revenue)s ELSE %(revenue)s END",
                kind=super()._field_to_sql(alias, "kind", query),
                revenue=super()._field_to_sql(alias, "revenue", query),
            )
        return super()._field_to_sql(alias, field_expr, query)

    @api.depends("state", "is_backfill", "create_date", "site_id")
    def _compute_needs_attention(self):
        found = self.filtered_domain(self._get_attention_domain())
        found.needs_attention = True
        (self - found).needs_attention = False

    def _search_needs_attention(self, operator, value):
        if operator != "in" or set(value) != {True}:
            return NotImplemented
        return self._get_attention_domain()

    @api.model
    def _get_attention_domain(self):
        """Return the domain of what a person should look at.

        That is what failed or differs, what waits longer than its site's limit, and
        what waits for a site that needs a person.
        """
        domain = Domain("state", "in", ATTENTION_STATES)
        # sudo: only the limits.
        sites = self.env["matomo.site"].sudo().search([("active", "=", True)])
        for hours, some in sites.grouped("outage_hours").items():
            since = fields.Datetime.subtract(fields.Datetime.now(), hours=hours)
            domain |= (
                Domain("state", "=", "pending")
                & Domain("is_backfill", "=", False)
                & Domain("create_date", "<", since)
                & Domain("site_id", "in", some.ids)
            )
        # Such a site waits for a person.
        stuck = sites.filtered(lambda site: site.state == "error")
        return domain | (
            Domain("state", "=", "pending") & Domain("site_id", "in", stuck.ids)
        )

    @api.depends("state", "reason", "next_attempt_date", "lease_date", "site_id")
    def _compute_waiting_reason(self):
        for request in self:
            request.waiting_reason = request._get_waiting_reason()

    def _get_waiting_reason(self, names_site=False):
        """Return why a request waits, and until when; "" if it does not.

        :param names_site: whether the reader does not see of which site it is
        """
        self.ensure_one()
        if self.state != "pending":
            return ""
        # sudo: an employee sees why an order waits, and not the site.
        site = self.sudo().site_id
        if reason := site._get_waiting_reason(self.env, names_site):
            return reason
        if not self.attempt_count and self.sudo().job_id.state == "paused":
            return self.env._("It waits until somebody resumes its backfill.")
        date = self.next_attempt_date
        if self.reason or not date or date <= fields.Datetime.now():
            return ""
        if self.lease_date == date:
            return self.env._("It is being sent at this moment.")
        return self.env._("The next attempt is at %s.", format_datetime(self.env, date))

    def _get_stuck_date(self):
        """Return since when a request waits for a site that takes no orders.

        :return: naive UTC; None if it waits for no site
        """
        self.ensure_one()
        # sudo: see _get_waiting_reason.
        site = self.sudo().site_id
        if self.state != "pending" or not site._get_waiting_reason(self.env):
            return None
        begun = site.paused_date or site.trouble_date or self.create_date
        return max(begun, self.create_date)

    @api.depends("reason", "waiting_reason")
    def _compute_explanation(self):
        for request in self:
            reason = request.waiting_reason or request.reason or ""
            request.explanation = " ".join(reason.splitlines())

    @api.depends("payload", "sent_date")
    def _compute_sent_html(self):
        for request in self:
            request.sent_html = self._render_sent(
                request.payload,
                request.order_date,
                request.currency_id,
                was_sent=bool(request.sent_date),
            )

    @api.model
    def _render_sent(self, payload, time, currency, was_sent=False):
        """Return the parameters of a request as HTML that people can read.

        :param time: of the order, naive UTC
        :param currency: of the amounts, perhaps an empty recordset
        :param was_sent: whether something was sent, even if it is not stored
        """
        return self.env["ir.qweb"]._render(
            "matomo_order_tracking.sent_request",
            {
                "sent": read_sent(payload),
                "was_sent": was_sent,
                "describe": self._describe_visitor,
                # Not "time": by that name templates have Python's module.
                "order_date": format_datetime(self.env, time),
                "labels": get_sent_labels(self.env),
                "amount": lambda value: (
                    format_amount(self.env, float(value), currency)
                    if currency
                    else f"{value:.2f}"
                ),
            },
        )

    def _describe_visitor(self, name, text):
        """Return what is known of a visitor as people read it.

        :param name: of ``matomo_api.sent.VISITOR``
        :param text: as it was sent
        """
        if name == "browser":
            return describe_browser(text) or text
        if name == "languages":
            return describe_languages(text, self.env.lang)
        if name == "country":
            countries = self.env["res.country"]
            return countries.search([("code", "=", text.upper())], limit=1).name or text
        return text

    @api.depends("attempts")
    def _compute_attempts_html(self):
        for request in self:
            request.attempts_html = self.env["ir.qweb"]._render(
                "matomo_order_tracking.request_attempts",
                {"attempts": request._describe_attempts()},
            )

    def _describe_attempts(self):
        """Return what became of the last attempts, the newest first."""
        stored = self.attempts if isinstance(self.attempts, list) else []
        return [
            {
                "at": format_datetime(self.env, entry.get("at")),
                "what": attempts.describe(self.env, entry),
                "status": entry.get("status"),
                "ms": entry.get("ms"),
            }
            for entry in reversed(stored)
            if isinstance(entry, dict)
        ]

    @api.depends("kind")
    def _compute_refund_count(self):
        for request in self:
            request.refund_count = request.kind == "order" and self.search_count(
                request._get_refund_domain()
            )

    def _get_refund_domain(self):
        # sudo: which order it is.
        order = self.sudo()._get_order()
        return [
            ("kind", "=", "refund"),
            ("refunded_id", "=", f"{order._name},{order.id}"),
        ]

    @api.depends_context("uid")
    @api.depends(lambda self: self._get_order_fields())
    def _compute_can_open_order(self):
        for request in self:
            order = request.sudo()._get_order().sudo(False)
            request.can_open_order = bool(order) and order.has_access("read")

    @api.depends("state", "kind", "next_attempt_date", "lease_date", "is_left_out")
    def _compute_can(self):
        for request in self:
            possible = get_possible(actions.get_situation(request))
            for action in ACTIONS:
                request[f"can_{action}"] = action in possible

    # === WHAT PEOPLE SEARCH BY === #

    @api.model
    def fields_get(self, allfields=None, attributes=None):
        """Override: people are not offered what only the sender needs."""
        result = super().fields_get(allfields, attributes)
        for name in INTERNAL:
            for attribute in ("searchable", "groupable", "sortable"):
                if attribute in result.get(name, ()):
                    result[name][attribute] = False
        return result

    @api.model
    def _describe_empty(self, help_message):
        """Override: that nothing needs a person is good news, whatever there is."""
        if not self.env.context.get("search_default_attention"):
            return super()._describe_empty(help_message)
        return help_message if self._is_connected() else self._describe_unconnected()

    @api.model
    def _has_several_sites(self):
        # sudo: how many there are.
        return self.env["matomo.site"].sudo().search_count([], limit=2) > 1

    @api.model
    def _get_view_cache_key(self, view_id=None, view_type="form", **options):
        key = super()._get_view_cache_key(view_id, view_type, **options)
        return (*key, self._has_several_sites())

    @api.model
    def _get_view(self, view_id=None, view_type="form", **options):
        """Override: a single site needs no column."""
        arch, view = super()._get_view(view_id, view_type, **options)
        if view_type == "list" and not self._has_several_sites():
            for node in arch.xpath("//field[@name='site_id']"):
                node.set("column_invisible", "True")
        return arch, view

    # === ACTIONS === #

    def action_retry(self):
        """Try failed requests again, and those that wait for a later attempt, now."""
        return self._act(RETRY)

    def action_cancel(self):
        """Do not send requests that wait or have failed."""
        return self._act(CANCEL)

    def action_send_as_other(self):
        """Send an order under another ID, for a person who knows it is another sale."""
        return self._act(SEND_AS_OTHER)

    def action_accept(self):
        """Send nothing of orders that Matomo has from another system."""
        return self._act(ACCEPT)

    def _act(self, action):
        """Do what a user asks with the requests with which it is possible.

        :return: an action that shows a notification with the answer
        :raise AccessError: if the user may not act upon these requests
        """
        self.check_access("read")
        if not self.env.user.has_group(USER_GROUP):
            raise AccessError(
                self.env._("Only users of Matomo Order Tracking may change the log.")
            )
        # sudo: nobody may write the log; pressing a button is the one way.
        message = actions.run(self.sudo(), action, self.env.user)
        return notify(message, next=RELOAD)

    def action_open_order(self):
        """Return an action that shows the order of the request."""
        self.ensure_one()
        # sudo: which order it is; whether the user may see it, Odoo decides.
        order = self.sudo()._get_order().sudo(False)
        return {
            "type": "ir.actions.act_window",
            "res_model": order._name,
            "res_id": order.id,
            "views": [(False, "form")],
        }

    def action_view_refunds(self):
        """Return an action that shows what was refunded of the order."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "matomo_order_tracking.matomo_request_action"
        )
        return {**action, "domain": self._get_refund_domain(), "context": {}}

    def action_open_matomo(self):
        """Return an action that opens the order on Matomo's own screens."""
        self.ensure_one()
        self.check_access("read")
        site = self.site_id
        url = order_url(
            site.url,
            site.idsite,
            site._get_day(self.order_date),
            self.order_ref or "",
            self._get_visitor_id(),
        )
        return {"type": "ir.actions.act_url", "url": url, "target": "new"}
