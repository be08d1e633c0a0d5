import json

from werkzeug.exceptions import NotFound

from odoo.http import Controller, content_disposition, request, route
from odoo.tools.json import json_default


class Privacy(Controller):
    @route(
        "/matomo_order_tracking/partner/<model('res.partner'):partner>",
        auth="user",
        methods=["GET"],
        readonly=True,
    )
    def export_partner(self, partner):
        """Return all Matomo data of a customer as a JSON file.

        :raise AccessError: for a user who is not a Matomo manager
        """
        if not partner:
            # The address names partner 0, which does not exist.
            raise NotFound()
        data = json.dumps(partner._export_matomo_data(), indent=2, default=json_default)
        return request.make_response(
            data,
            [
                ("Content-Type", "application/json; charset=utf-8"),
                ("Content-Disposition", content_disposition("matomo.json")),
                ("Cache-Control", "no-store"),
            ],
        )
