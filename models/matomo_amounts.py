from odoo import api, models
from odoo.tools import SQL


class MatomoAmounts(models.AbstractModel):
    """Sums of amounts in several currencies are right, or not shown.

    Lists, pivots and graphs ask for the sum of a group in the currency of the user's
    company, and for the currencies in it. Odoo takes a rate that nobody has entered for
    1, and an amount without a currency for one more currency.
    """

    _name = "matomo.amounts"
    _description = "Amounts in Several Currencies"

    @api.model
    def _read_group_select(self, aggregate_spec, query):
        """Override: convert by rates that are known, and leave out what is empty."""
        name, _colon, aggregate = aggregate_spec.partition(":")
        field = self._fields.get(name)
        if aggregate == "sum_currency" and field and field.type == "monetary":
            return self._select_converted_sum(field, query)
        is_currency = field and field.comodel_name == "res.currency"
        if aggregate == "array_agg_distinct" and is_currency:
            currency = self._field_to_sql(self._table, name, query)
            return SQL("ARRAY_REMOVE(ARRAY_AGG(DISTINCT %s), NULL)", currency)
        return super()._read_group_select(aggregate_spec, query)

    def _select_converted_sum(self, field, query):
        """Return the sum in the currency of the user's company, at today's rates.

        It is NULL if one of the amounts is in a currency without a rate.
        """
        amount = self._field_to_sql(self._table, field.name, query)
        currency_name = field.get_currency_field(self)
        rates = self._get_sum_rates()
        factor = SQL(
            "CASE %s %s END",
            self._field_to_sql(self._table, currency_name, query),
            SQL(" ").join(
                SQL("WHEN %s THEN %s", currency.id, rate)
                for currency, rate in rates.items()
            ),
        )
        return SQL(
            "CASE WHEN COUNT(*) FILTER (WHERE %(amount)s != 0 AND %(factor)s IS NULL)"
            " = 0 THEN COALESCE(SUM(%(amount)s * %(factor)s), 0) END",
            amount=amount,
            factor=factor,
        )

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
    def _has_unknown_rate(self):
        """Return whether amounts of the user's companies cannot be added up."""
        companies = self.env.companies
        # sudo: only the currencies.
        sites = self.env["matomo.site"].sudo().with_context(active_test=False)
        currencies = sites.search([("company_id", "in", companies.ids)]).currency_id
        return bool((currencies | companies.currency_id) - self._get_known_currencies())

    @api.model
    def _get_view_cache_key(self, view_id=None, view_type="form", **options):
        key = super()._get_view_cache_key(view_id, view_type, **options)
        return (*key, self._has_unknown_rate())

    @api.model
    def _get_view(self, view_id=None, view_type="form", **options):
        """Override: the web client itself adds up the rows of a list."""
        arch, view = super()._get_view(view_id, view_type, **options)
        if view_type == "list" and self._has_unknown_rate():
            for node in arch.xpath("//field[@sum]"):
                if self._fields[node.get("name")].type == "monetary":
                    del node.attrib["sum"]
        return arch, view
