from decimal import Decimal

from odoo import fields, models

from odoo.addons.matomo_order_tracking.matomo_api.items import (
    CENT,
    Amounts,
    Line,
    merge_lines,
    to_decimal,
)
from odoo.addons.matomo_order_tracking.matomo_api.tracking import Page


class MatomoTestTicket(models.Model):
    _name = "matomo.test.ticket"
    _description = "Ticket"
    _inherit = ["mail.thread", "matomo.order.mixin"]
    _matomo_order_field = "ticket_id"

    name = fields.Char(required=True)
    state = fields.Selection(
        [("draft", "Draft"), ("sold", "Sold"), ("void", "Void")], default="draft"
    )
    date_order = fields.Datetime(default=fields.Datetime.now)
    partner_id = fields.Many2one("res.partner")
    company_id = fields.Many2one("res.company", required=True)
    currency_id = fields.Many2one(related="company_id.currency_id")
    amount_total = fields.Monetary()
    matomo_request_ids = fields.One2many("matomo.request", "ticket_id")

    def _is_matomo_sale(self):
        return self.state == "sold"

    def _get_matomo_sale_domain(self):
        return [("state", "=", "sold")]

    def _get_matomo_site(self):
        return self.company_id.matomo_site_id

    def _get_matomo_site_domain(self, site):
        return fields.Domain("company_id.matomo_site_id", "=", site.id)

    def _get_matomo_no_site_reason(self):
        return f"No Matomo site is set for {self.company_id.name}."

    def _get_matomo_channel(self):
        return "ticket"

    def _get_matomo_page(self, site):
        return Page(site._get_page_url("tickets"), "Ticket")

    def _prepare_matomo_amounts(self, site):
        total, one, none = to_decimal(self.amount_total), Decimal(1), Decimal(0)
        line = Line("TICKET", "Ticket", (), total, one, 1, one)
        return Amounts(total, total, none, none, none, merge_lines([line]), [], CENT)
