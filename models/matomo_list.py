from odoo import api, models

MODULE = "matomo_order_tracking"


class MatomoList(models.AbstractModel):
    """A list that shows nothing says why: a filter hides it, or it is not there yet."""

    _name = "matomo.list"
    _description = "List of Matomo Order Tracking"

    @api.model
    def get_empty_list_help(self, help_message):
        """Override: what a list says depends on what there is."""
        # Odoo asks as superuser, to whom the rows of all companies are visible.
        reader = self.sudo(False)
        if reader.has_access("read"):
            help_message = reader._describe_empty(help_message)
        return super().get_empty_list_help(help_message)

    @api.model
    def _describe_empty(self, help_message):
        """Return what a list says that shows nothing, as HTML.

        :param help_message: of the action, for a shop that is connected
        """
        if self.search_count([], limit=1):
            return self.env["ir.qweb"]._render(f"{MODULE}.nothing_found")
        return help_message if self._is_connected() else self._describe_unconnected()

    @api.model
    def _is_connected(self):
        return bool(self.env["matomo.site"].search_count([], limit=1))

    @api.model
    def _describe_unconnected(self):
        """Return how Matomo is connected, and by whom, as HTML."""
        action = False
        # Nobody is offered what administrators alone may do.
        if self.env["matomo.connect"]._may_connect():
            action = self.env.ref(f"{MODULE}.matomo_connect_action").id
        values = {"connect_action": action}
        return self.env["ir.qweb"]._render(f"{MODULE}.not_connected", values)
