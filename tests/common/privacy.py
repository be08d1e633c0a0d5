"""Orders of a shopper who agreed, and searches for what is left of them."""

import json

from odoo import models
from odoo.tools import SQL

from ...matomo_api.privacy import ANONYMIZED
from .site import MODULE, MatomoCommon

VISITOR = "7e57a1b2c3d4e5f6"
SECRETS = {
    "matomo_ip_address": "203.0.113.9",
    "matomo_user_agent": "Mozilla/5.0 (Rarebrowser)",
    "matomo_accept_language": "nl-BE",
    "matomo_user_id": "Rareuserid",
    "matomo_client_hints": '{"platform": "Rareplatform"}',
    "matomo_browser_flags": {"res": "7777x4444", "time": 1772500000},
    "matomo_visitor_id": VISITOR,
    "matomo_attribution_info": {
        "campaign": "Rarecampaign",
        "keyword": "Rareword",
        "timestamp": 1772500000,
        "referrer": "https://rare.example.com/",
    },
}
TRACES = ("203.0.113.9", "Rare", "rare", "nl-BE", VISITOR, "1772500000", "7777x4444")


class PrivacyCommon(MatomoCommon):
    """Orders of a shopper who agreed; Matomo never gets an anonymized request."""

    def tearDown(self):
        self.assertNotIn(ANONYMIZED, str(self.matomo.requests))
        super().tearDown()

    def make_personal(self, order):
        values = dict(SECRETS)
        if order._name == "sale.order":
            values["matomo_consent_info"] = {"answer": True, "source": "cookie_bar"}
        order.sudo().write(values)
        return order

    def sell(self, **values):
        """Return a confirmed order of a shopper who agreed, not sent yet."""
        return self.confirm(self.make_personal(self.make_order(**values)))

    def run_vacuum(self):
        for vacuum in (
            self.env["matomo.request"].sudo()._gc_requests,
            self.env["matomo.cart.update"].sudo()._gc_updates,
            self.env["matomo.site"].sudo()._gc_shoppers,
        ):
            while vacuum()[1]:
                pass
        self.env.invalidate_all()

    def traces(self, order):
        """Return the shopper's values that the order and its requests still hold."""
        self.env.flush_all()
        self.env.cr.execute(
            f"SELECT to_jsonb(o) FROM {order._table} o WHERE id = %s", (order.id,)
        )
        stored = self.env.cr.fetchall()
        self.env.cr.execute(
            "SELECT to_jsonb(r) FROM matomo_request r WHERE id = ANY(%s)",
            (order.sudo().matomo_request_ids.ids,),
        )
        text = json.dumps(stored + self.env.cr.fetchall())
        return [trace for trace in TRACES if trace in text]

    def assertAnonymized(self, order):
        self.assertFalse(self.traces(order))
        self.assertFalse(order.sudo().matomo_request_ids.partner_id)

    # === THE WHOLE DATABASE === #

    def get_our_columns(self):
        """Return the stored fields of this addon, in its tables and in Odoo's."""
        return [
            field
            for model in self.env.values()
            if not model._abstract and model._auto
            for field in model._fields.values()
            if field.store
            and field.column_type
            and field.name not in models.MAGIC_COLUMNS
            and MODULE in (field._modules or (model._original_module,))
        ]

    def find_person(self, *partners):
        """Return in which columns of ours the shopper or one of these contacts is.

        :return: sorted list of ``"model.field"``
        """
        self.env.flush_all()
        found = set()
        for field in self.get_our_columns():
            table = self.env[field.model_name]._table
            self.env.cr.execute(
                SQL(
                    "SELECT DISTINCT %s::text FROM %s WHERE %s IS NOT NULL",
                    SQL.identifier(field.name),
                    SQL.identifier(table),
                    SQL.identifier(field.name),
                )
            )
            for (text,) in self.env.cr.fetchall():
                is_person = (
                    text in {str(partner.id) for partner in partners}
                    if field.comodel_name == "res.partner"
                    else any(trace in text for trace in TRACES)
                    or any(partner.name in text for partner in partners)
                )
                if is_person:
                    found.add(str(field))
        return sorted(found)
