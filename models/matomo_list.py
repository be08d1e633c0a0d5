from odoo import api, models


class MatomoList(models.AbstractModel):
    """A list that shows nothing says whether its filters hide what there is."""

    _name = "matomo.list"
    _description = "List of Matomo Order Tracking"

    @api.model
    def get_empty_list_help(self, help_message):
        """Override: a filter that finds nothing is no empty list."""
        return super().get_empty_list_help(self._describe_empty(help_message))

    @api.model
    def _describe_empty(self, help_message):
        """Return what a list says that shows nothing, as HTML.

        :param help_message: of the action
        """
        if self.search_count([], limit=1):
            return self.env["ir.qweb"]._render("matomo_order_tracking.nothing_found")
        return self._describe_nothing(help_message)

    @api.model
    def _describe_nothing(self, help_message):
        """Return what a list says if there is nothing at all, as HTML.

        :param help_message: of the action
        """
        return help_message
