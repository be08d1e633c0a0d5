import json

from odoo.http import Controller, request, route
from odoo.tools.json import json_default


class Health(Controller):
    @route(
        "/matomo/health",
        type="http",
        auth="bearer",
        methods=["GET"],
        readonly=True,
        multilang=False,
        sitemap=False,
    )
    def report(self):
        """Return how the Matomo sites of the key's user are doing, as JSON.

        The status is 200 while all is well, and 503 if something is bad: a monitor
        needs no more. See the README for the fields.

        :raise AccessError: if the user is no user of Matomo Order Tracking
        """
        report = request.env["matomo.site"]._report_health()
        return request.make_response(
            json.dumps(report, indent=2, default=json_default),
            [
                ("Content-Type", "application/json; charset=utf-8"),
                ("Cache-Control", "no-store"),
            ],
            status=200 if report["status"] == "good" else 503,
        )
