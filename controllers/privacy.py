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
        """Return the personal data of a customer's orders as a JSON file.

        :raise AccessError: if the user is not a manager of Matomo Order Tracking
        :raise NotFound: if the customer does not exist
        """
        if not partner:
            # Odoo's converter lets an address with the ID 0 pass.
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
