from odoo import api, fields, models

from ..matomo_api.privacy import (
    BLANKED,
    blank_parameters,
    blank_url,
    withdraw_shopper,
)
from ..matomo_api.tracking import tracking_url

# How many rows of a site the autovacuum cleans at once.
GC_BATCH = 1000


class MatomoRequest(models.Model):
    """What the log keeps of a person, and for how long.

    A verdict and its amounts stay for ever. The person behind it is blanked after
    the site's retention, or when they want to be forgotten. What waits to be sent,
    or to be looked for in Matomo, still needs its visitor: it is blanked after that.
    """

    _inherit = "matomo.request"

    # Whose order it was when the row was made. Not related: a sale that changes its
    # customer must not meet the sender here; who it is now is found by the order.
    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        compute="_compute_partner_id",
        store=True,
        precompute=True,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="Whose personal data the row may hold.",
    )
    is_blanked = fields.Boolean(
        string="Personal Data Deleted",
        readonly=True,
        default=False,
        help="IP address, browser, visitor and campaign were taken out of what was "
        "sent.",
    )
    is_forgotten = fields.Boolean(
        readonly=True,
        default=False,
        help="Personal data are deleted as soon as the row does not need them.",
    )

    # The autovacuum's queries: a site's rows with details, its carts, and the rows
    # of those who want to be forgotten.
    _details_index = models.Index(
        "(site_id, order_date) WHERE payload IS NOT NULL AND is_blanked IS NOT TRUE"
    )
    _carts_index = models.Index("(site_id, order_date) WHERE kind = 'cart'")
    _forgotten_index = models.Index(
        "(id) WHERE is_forgotten IS TRUE AND is_blanked IS NOT TRUE"
    )

    @api.depends("sale_order_id", "pos_order_id")
    def _compute_partner_id(self):
        for row in self:
            # sudo: whoever sells need not see the customer.
            row.partner_id = row.sudo()._get_order().partner_id

    # === BLANKING === #

    def _get_payload_visitor(self):
        """The visitor id that was sent, False if it was blanked or nothing was."""
        visitor_id = (self.payload or {}).get("cid")
        return visitor_id != BLANKED and visitor_id

    def _blank(self):
        """Take the person out of what was sent."""
        for row in self:
            row.write(
                {
                    "payload": row.payload and blank_parameters(row.payload),
                    "tracking_url": row.tracking_url and blank_url(row.tracking_url),
                    "answer_text": False,
                    "partner_id": False,
                    "is_blanked": True,
                }
            )

    def _get_url_for_log(self):
        """The audit URL without the person: files of a log know no retention."""
        return self.tracking_url and blank_url(self.tracking_url)

    def _get_untraceable_reason(self):
        """Why the order cannot be looked for in Matomo, or None."""
        if self.is_blanked and self.site_id.is_order_id_anonymised:
            return self.env._(
                "its visitor's data were deleted, and Matomo anonymises order IDs: it"
                " cannot be looked for there; sending it again might count it twice."
            )
        return None

    @api.model
    def _settled_domain(self):
        return [("state", "!=", "pending"), ("next_check_date", "=", False)]

    def _forget(self):
        """Blank these rows now, or as soon as they do not need the visitor."""
        settled = self.filtered_domain(self._settled_domain())
        for row in (self - settled).filtered("payload"):
            payload = withdraw_shopper(row.payload)
            row.payload = payload
            row.tracking_url = tracking_url(row.tracking_url.partition("?")[0], payload)
        (self - settled).write({"is_forgotten": True, "partner_id": False})
        settled._blank()

    def _export_data(self):
        """These rows for somebody who asks what is kept of them, for JSON."""
        names = ("kind", "state", "reason", "order_ref", "revenue", "order_date")
        names += ("sent_date", "verified_date", "payload", "tracking_url")
        return [
            {
                "site": row.site_id.name or None,
                "currency": row.currency_id.name or None,
                **{name: row[name] or None for name in names},
            }
            for row in self
        ]

    def unlink(self):
        """Override of the ORM for Odoo's privacy lookup, which deletes what it finds.

        What may be in Matomo keeps its verdict, or the order would be sent a second
        time: it only forgets whose it was. What was never sent is swept up again, as
        nobody's. Carts, and what was not to be sent, are deleted.
        """
        verdicts = self.filtered(
            lambda row: row.kind != "cart" and row.state != "excluded"
        )
        verdicts.sale_order_id._blank_matomo_shopper()
        verdicts.pos_order_id._blank_matomo_shopper()
        kept = verdicts.filtered("attempt_count")
        kept._forget()
        if verdicts - kept:
            self._wake_sweep()
        return super(MatomoRequest, self - kept).unlink()

    # === HOUSEKEEPING === #

    @api.autovacuum
    def _gc_requests(self):
        """Blank what was sent long ago; old cart updates are deleted.

        :return: how many rows were cleaned, and whether there are more
        """
        settled = [*self._settled_domain(), ("is_blanked", "=", False)]
        steps = [("_blank", [*settled, ("is_forgotten", "=", True)])]
        sites = self.env["matomo.site"].with_context(active_test=False)
        for site in sites.search([("retention_days", ">", 0)]):
            age = [
                ("site_id", "=", site.id),
                ("order_date", "<", site._get_retention_limit()),
            ]
            carts = [("kind", "=", "cart"), ("state", "!=", "pending")]
            steps += [
                ("_blank", [*settled, ("payload", "!=", False), *age]),
                ("unlink", [*carts, *age]),
            ]
        done, is_more = 0, False
        for clean, domain in steps:
            found = self.search(domain, limit=GC_BATCH)
            # A row that somebody works on is left for tomorrow.
            free = found.try_lock_for_update()
            getattr(free, clean)()
            done += len(free)
            is_more = is_more or bool(free and len(found) == GC_BATCH)
        return done, is_more
