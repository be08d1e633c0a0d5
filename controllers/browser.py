from werkzeug.exceptions import RequestEntityTooLarge

from odoo.http import Controller, request, route

from ..const import ARRIVAL_ROUTE, FEATURES_ROUTE
from ..matomo_api.arrival import MAX_ADDRESS_LENGTH
from ..matomo_api.browser import MAX_BODY_LENGTH

# What the tag on a shopper's page tells the shop; it asks for no answer.
TOLD_BY_TAG = {
    "type": "http",
    "auth": "public",
    "methods": ["POST"],
    "website": True,
    "multilang": False,
    "sitemap": False,
    "csrf": False,
}


class Browser(Controller):
    # csrf: a stranger's page could only tell other features of the visitor's browser.
    @route(FEATURES_ROUTE, **TOLD_BY_TAG)
    def keep_features(self):
        """Keep for this visit what the tag of a site without cookies has found out.

        The body is JSON, see ``matomo_api.browser.parse_features``. The answer is
        always the same: 204, without a body.
        """
        request.env["ir.http"]._keep_matomo_features(_read_body(MAX_BODY_LENGTH))
        return request.make_response("", status=204)

    # csrf: a stranger's page has no session of the shopper's, and a link of theirs can
    # name any campaign.
    @route(ARRIVAL_ROUTE, **TOLD_BY_TAG)
    def keep_arrival(self):
        """Keep where the shopper came from by a page that the browser has prerendered.

        The body is JSON, see ``tools.shopper.read_shown_page``. The answer is always
        the same: 204, without a body.
        """
        # Two addresses, and what is around them.
        body = _read_body(2 * MAX_ADDRESS_LENGTH + 100)
        request.env["ir.http"]._keep_matomo_shown_page(body)
        return request.make_response("", status=204)


def _read_body(limit):
    """Return the body of the request.

    :param limit: in bytes
    :raise RequestEntityTooLarge: if it is longer
    """
    http = request.httprequest
    if (http.content_length or 0) > limit:
        raise RequestEntityTooLarge()
    return http.get_data()
