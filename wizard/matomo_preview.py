from datetime import datetime
from decimal import Decimal, InvalidOperation

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.tools import format_amount, format_datetime

from ..const import USER_GROUP
from ..matomo_api.sent import AMOUNTS
from ..outbox.preview import preview_cart, preview_order
from ..tools.preview import CART_STAGES, LEVELS, STAGES
from ..tools.sentences import get_sent_labels

LEVEL_LABELS = [
    ("success", "Sent"),
    ("info", "Good to Know"),
    ("warning", "Have a Look"),
    ("danger", "Needs You"),
]


class MatomoPreview(models.TransientModel):
    """Shows what would be sent of an order or a cart, and why, before it is sent.

    Nothing is stored but which order it is. What is shown is prepared by the functions
    that the sender calls, anew whenever it is read.
    """

    _name = "matomo.preview"
    _description = "Preview for Matomo"

    # === FIELDS === #

    res_model = fields.Char(readonly=True)
    res_id = fields.Integer(readonly=True)
    order_name = fields.Char(string="Order", compute="_compute_preview")
    level = fields.Selection(LEVEL_LABELS, compute="_compute_preview")
    verdict = fields.Text(compute="_compute_preview")
    notes = fields.Text(
        string="Adjustments",
        compute="_compute_preview",
        help="What is sent otherwise than the order says, and why.",
    )
    request_html = fields.Html(
        string="What Would Be Sent", compute="_compute_preview", sanitize=False
    )
    tracking_url = fields.Text(
        string="Audit URL",
        compute="_compute_preview",
        help="A GET address equal to what would be sent, its token masked.",
    )
    parameters_html = fields.Html(
        string="Parameters", compute="_compute_preview", sanitize=False
    )
    sent_html = fields.Html(
        string="What Was Sent", compute="_compute_preview", sanitize=False
    )
    changes_html = fields.Html(
        string="What Differs", compute="_compute_preview", sanitize=False
    )
    cart_verdict = fields.Text(string="Cart", compute="_compute_preview")
    cart_notes = fields.Text(string="Adjustments to Cart", compute="_compute_preview")
    cart_html = fields.Html(
        string="Cart Update", compute="_compute_preview", sanitize=False
    )
    cart_url = fields.Text(string="Audit URL of Cart", compute="_compute_preview")

    # === OPENING === #

    @api.model
    def _open(self, order):
        """Return an action that shows the preview of an order.

        :raise AccessError: if the user may not see the order or what is sent of it
        """
        order.ensure_one()
        wizard = self.create({"res_model": order._name, "res_id": order.id})
        wizard._get_order()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Preview for Matomo"),
            "res_model": self._name,
            "res_id": wizard.id,
            "view_mode": "form",
            "target": "new",
            "context": {"dialog_size": "large"},
        }

    def _get_order(self):
        """Return the order, in sudo; empty if there is none.

        :raise AccessError: if the user may not see it. A program may have entered any
            order, of any model
        """
        self.ensure_one()
        if not self.env.user.has_group(USER_GROUP):
            raise AccessError(
                self.env._(
                    "Only users of Matomo Order Tracking may see what is sent to "
                    "Matomo."
                )
            )
        models = self.env["matomo.order.mixin"]._get_matomo_order_models()
        orders = next((each for each in models if each._name == self.res_model), None)
        if orders is None:
            return None
        order = orders.sudo(False).browse(self.res_id).exists()
        order.check_access("read")
        # The sender has no context either.
        context = {name: self.env.context.get(name) for name in ("lang", "tz")}
        # sudo: what is sent is made of what the sender may read.
        return order.with_env(order.env(context=context, su=True))

    # === WHAT IS SHOWN === #

    @api.depends("res_model", "res_id")
    @api.depends_context("uid", "lang", "tz", "allowed_company_ids")
    def _compute_preview(self):
        empty = dict.fromkeys(_COMPUTED, False)
        found = [(wizard, wizard._prepare_preview()) for wizard in self]
        for wizard, values in found:
            wizard.update({**empty, **values})

    def _prepare_preview(self):
        """Return the values of the computed fields."""
        order = self._get_order()
        if not order:
            return {}
        preview = preview_order(order)
        values = {
            "order_name": order._get_matomo_order_name(),
            "level": LEVELS[preview.stage],
            "verdict": STAGES[preview.stage](self.env, preview.reason).strip(),
            "notes": "\n".join(preview.notes),
            "request_html": self._render_values(preview.values),
            "tracking_url": preview.values.get("tracking_url"),
            "parameters_html": self._render_parameters(preview.values),
        }
        if preview.sent:
            values["sent_html"] = preview.sent.sent_html
        if preview.changes:
            values["changes_html"] = self._render_changes(preview)
        if "matomo_cart_update_ids" in order._fields and order._is_matomo_cart():
            values |= self._prepare_cart(preview_cart(order))
        return values

    def _prepare_cart(self, preview):
        return {
            "cart_verdict": CART_STAGES[preview.stage](self.env, preview.reason),
            "cart_notes": "\n".join(preview.notes),
            "cart_html": self._render_values(preview.values),
            "cart_url": preview.values.get("tracking_url"),
        }

    def _render_values(self, values):
        """Return what would be sent as HTML, False if nothing would be."""
        if not values:
            return False
        currency = self.env["res.currency"].browse(values["currency_id"])
        return self.env["matomo.request"]._render_sent(
            values["payload"], values["order_date"], currency
        )

    def _render_parameters(self, values):
        if not values:
            return False
        return self.env["ir.qweb"]._render(
            "matomo_order_tracking.preview_parameters",
            {"parameters": values["payload"]},
        )

    def _render_changes(self, preview):
        currency = self.env["res.currency"].browse(preview.values["currency_id"])
        labels = {
            **get_sent_labels(self.env),
            "time": self.env._("Order Date"),
            "ref": self.env._("Order ID in Matomo"),
            "page": self.env._("Page"),
            "title": self.env._("Page Title"),
            "items": self.env._("Items"),
        }

        def show(name, value):
            if isinstance(value, list):
                return "\n".join(value)
            if name == "time":
                return _show_time(self.env, value)
            return _show_amount(self.env, value, currency) if name in AMOUNTS else value

        return self.env["ir.qweb"]._render(
            "matomo_order_tracking.preview_changes",
            {
                "changes": [
                    (
                        labels.get(name, name),
                        show(name, before),
                        show(name, after),
                    )
                    for name, before, after in preview.changes
                ]
            },
        )


_COMPUTED = (
    *("order_name", "level", "verdict", "notes", "request_html", "tracking_url"),
    *("parameters_html", "sent_html", "changes_html"),
    *("cart_verdict", "cart_notes", "cart_html", "cart_url"),
)


def _show_time(env, text):
    """Return a moment of Matomo's, UTC, as the reader writes it."""
    try:
        return format_datetime(env, datetime.fromisoformat(text))
    except ValueError:
        return text


def _show_amount(env, text, currency):
    try:
        return format_amount(env, float(Decimal(text)), currency)
    except InvalidOperation:
        return text
