from lxml import etree

from odoo import api, models
from odoo.tools import SQL


class MatomoAmounts(models.AbstractModel):
    """Sums of amounts in several currencies are right, or not shown.

    Lists, pivots and graphs ask for the sum of a group, for the currencies in it, and
    for its sum in the currency of the user's company. Odoo takes a rate that nobody has
    entered for 1, and an amount without a currency for one more currency.
    """

    _name = "matomo.amounts"
    _inherit = ["matomo.list"]
    _description = "Amounts in Several Currencies"

    # === SUMS OF GROUPS === #

    @api.model
    def _read_group_select(self, aggregate_spec, query):
        """Override: add up one currency, or convert by rates that are known."""
        name, _colon, aggregate = aggregate_spec.partition(":")
        field = self._fields.get(name)
        if field and field.type == "monetary":
            if aggregate == "sum":
                total = super()._read_group_select(aggregate_spec, query)
                is_mixed = self._get_is_mixed_sql(field.get_currency_field(self), query)
                return SQL("CASE WHEN %s THEN NULL ELSE %s END", is_mixed, total)
            if aggregate == "sum_currency":
                return self._select_converted_sum(field, query)
        elif field and field.comodel_name == "res.currency":
            if aggregate == "array_agg_distinct":
                return self._select_currencies(name, query)
        return super()._read_group_select(aggregate_spec, query)

    def _get_is_mixed_sql(self, currency_name, query):
        currency = self._field_to_sql(self._table, currency_name, query)
        return SQL("MIN(%(currency)s) != MAX(%(currency)s)", currency=currency)

    def _select_converted_sum(self, field, query):
        """Return the sum in the currency of the user's company, at today's rates.

        It is NULL if one of the amounts is in a currency without a rate.
        """
        rates = SQL(" ").join(
            SQL("WHEN %s THEN %s", currency.id, rate)
            for currency, rate in self._get_sum_rates().items()
        )
        currency_name = field.get_currency_field(self)
        currency = self._field_to_sql(self._table, currency_name, query)
        return SQL(
            "CASE WHEN COUNT(*) FILTER (WHERE %(amount)s != 0 AND %(rate)s IS NULL) = 0"
            " THEN SUM(%(amount)s * %(rate)s) END",
            amount=self._field_to_sql(self._table, field.name, query),
            rate=SQL("CASE %s %s END", currency, rates),
        )

    def _select_currencies(self, name, query):
        """Return the currencies of a group, without that of what has no amount.

        There are none if they are several without a sum: the web client would show at
        which rates it was converted.
        """
        currency = self._field_to_sql(self._table, name, query)
        return SQL(
            "CASE WHEN %(is_mixed)s AND NOT BOOL_AND(%(currency)s = ANY(%(known)s))"
            " THEN ARRAY[]::integer[]"
            " ELSE ARRAY_REMOVE(ARRAY_AGG(DISTINCT %(currency)s), NULL) END",
            is_mixed=self._get_is_mixed_sql(name, query),
            currency=currency,
            known=self._get_known_currencies().ids,
        )

    # === RATES === #

    @api.model
    def _get_sum_rates(self):
        """Return ``{currency: what one of it is in the currency of the company}``."""
        company = self.env.company
        target = company.currency_id
        return {
            each: each._get_conversion_rate(each, target, company)
            for each in self._get_known_currencies()
        }

    @api.model
    def _get_known_currencies(self):
        """Return the currencies of which the user's company has a rate, and its own."""
        company = self.env.company
        rates = self.env["res.currency.rate"]._read_group(
            [("company_id", "in", (False, company.root_id.id))], ["currency_id"]
        )
        return company.currency_id.union(*(currency for [currency] in rates))

    @api.model
    def _get_unknown_currencies(self):
        """Return the currencies of the user's companies without a rate.

        Amounts in them cannot be added to others.
        """
        companies = self.env.companies
        # sudo: only the currencies.
        sites = self.env["matomo.site"].sudo().with_context(active_test=False)
        currencies = sites.search([("company_id", "in", companies.ids)]).currency_id
        unknown = (currencies | companies.currency_id) - self._get_known_currencies()
        return unknown.sudo(False)

    @api.model
    def _has_unknown_rate(self):
        return bool(self._get_unknown_currencies())

    @api.model
    def get_rate_notice(self):
        """Return why totals are missing, for the notice above a view.

        :return: a ``sentence`` and, for who may enter rates, an ``action`` that opens
            the currencies; False if no rate is missing
        """
        self.check_access("read")
        unknown = self._get_unknown_currencies()
        if not unknown:
            return False
        can_enter = self.env["res.currency.rate"].has_access("create")
        return {
            "sentence": self.env._(
                "Amounts in several currencies are not added up here: %(company)s has "
                "no rate for %(currencies)s. An administrator enters one under "
                "Currencies.",
                company=self.env.company.display_name,
                currencies=", ".join(unknown.mapped("name")),
            ),
            "action": can_enter and "base.action_currency_form",
        }

    # === VIEWS === #

    @api.model
    def _get_view_cache_key(self, view_id=None, view_type="form", **options):
        key = super()._get_view_cache_key(view_id, view_type, **options)
        return (*key, self._has_unknown_rate())

    @api.model
    def _get_view(self, view_id=None, view_type="form", **options):
        """Override: without a rate a list has no total, and a graph counts.

        The web client itself adds up the rows of a list, and a graph leaves out what it
        has no figure of. A pivot has empty cells. A notice above each says why.
        """
        arch, view = super()._get_view(view_id, view_type, **options)
        if view_type not in ("list", "graph", "pivot") or not self._has_unknown_rate():
            return arch, view
        # The class of the log has the notice, too.
        if not arch.get("js_class"):
            arch.set("js_class", f"matomo_amounts_{view_type}")
        monetary = [
            name for name, field in self._fields.items() if field.type == "monetary"
        ]
        for name in monetary:
            for node in arch.xpath(f"//field[@name='{name}']"):
                node.attrib.pop("sum", None)
                if view_type == "graph":
                    arch.remove(node)
            if view_type == "graph":
                etree.SubElement(arch, "field", name=name, invisible="1")
        return arch, view
