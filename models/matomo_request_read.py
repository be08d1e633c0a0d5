from datetime import timedelta

from odoo import fields, models

from ..matomo_api.errors import ServerTrouble, Unreachable
from ..matomo_api.reading import read_anonymised_orders, read_orders
from .matomo_site_health import Unreadable

# How many orders are looked for in one request.
READ_BATCH = 50
# Matomo's days are those of the site's time zone.
DAY_MARGIN = timedelta(days=1)


class MatomoRequest(models.Model):
    """Reading Matomo back: what it has recorded of the rows, and whether it is ours.

    The sender asks before it sends what may be there, the verifier afterwards.
    """

    _inherit = "matomo.request"

    def _read_back(self, site, client, rows):
        """What Matomo has recorded of the rows: ``{order id: RecordedOrder}``.

        With "Anonymize Order ID" Matomo keeps a random id instead of ours: what is
        not found by its id is looked for by its visitor, or it would be sent, and
        counted, again. After each failure less is asked for at once.

        :raise Misconfigured: the token may not read
        :raise Unreadable: Matomo cannot be read now
        """
        recorded = {}
        size = max(1, READ_BATCH >> site.read_failure_count)
        for start in range(0, len(rows), size):
            some = rows.sorted("order_date")[start : start + size]
            try:
                recorded |= self._read_some(site, client, some)
            except (Unreachable, ServerTrouble) as error:
                raise Unreadable(error) from error
        return recorded

    def _read_some(self, site, client, rows):
        dates = rows.mapped("order_date")
        # Orders of the future are booked when they arrive.
        days = (
            (min([*dates, *rows.mapped("create_date")]) - DAY_MARGIN).date(),
            (max([*dates, fields.Datetime.now()]) + DAY_MARGIN).date(),
        )
        refs, idsite = rows.mapped("order_ref"), site.idsite
        self._end_transaction()
        recorded = read_orders(client, idsite, refs, *days)
        missing = rows.filtered(
            lambda row: row.order_ref not in recorded and row._get_payload_visitor()
        )
        visitors = [row.payload["cid"] for row in missing]
        self._end_transaction()
        for order in read_anonymised_orders(client, idsite, visitors, *days):
            for row in missing:
                if row.order_ref not in recorded and row._is_ours(order):
                    recorded[row.order_ref] = order
                    break
        return recorded

    def _is_ours(self, recorded):
        """Whether an order in Matomo is the one this row sent.

        It is if revenue, day and visitor agree (DESIGN.md); of a row whose personal
        data were deleted only the first two are known still. Matomo keeps revenue in
        single precision: beyond 130,000 a cent is lost (MATOMO.md section 7).
        """
        payload = self.payload or {
            "revenue": self.revenue,
            "cdt": self.order_date,
            "cid": recorded.visitor_id,
        }
        revenue = float(payload.get("revenue") or 0)
        tolerance = max(0.005, abs(revenue) * 1e-7)
        sent_at = fields.Datetime.to_datetime(payload.get("cdt"))
        recorded_at = self.site_id._to_utc(recorded.time)
        return bool(
            abs(float(recorded.revenue) - revenue) <= tolerance
            and (self.is_blanked or recorded.visitor_id == payload.get("cid"))
            and sent_at
            # A time in the future was replaced by the moment of arrival.
            and min(sent_at, self.create_date) - DAY_MARGIN <= recorded_at
            and recorded_at <= sent_at + DAY_MARGIN
        )
