from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain

# How long the data of shoppers are kept whose orders belong to no site (days).
RETENTION_DAYS = 180
# How many orders of a site the autovacuum cleans at once.
GC_BATCH = 500


class MatomoSite(models.Model):
    """How much of a shopper is kept with their order, and how long."""

    _inherit = "matomo.site"

    retention_days = fields.Integer(
        string="Personal Data Kept (days)",
        required=True,
        default=RETENTION_DAYS,
        aggregator=None,
        help="After this time IP address, browser, visitor ID, campaign and consent "
        "are deleted from orders and from the log. Verdicts and amounts stay. 0: for "
        "ever.",
    )
    ip_mask = fields.Selection(
        [
            ("0", "Store the whole address"),
            ("1", "Mask 1 byte, as 192.168.100.0"),
            ("2", "Mask 2 bytes, as 192.168.0.0"),
            ("3", "Mask 3 bytes, as 192.0.0.0"),
        ],
        string="Shorten IP Addresses",
        required=True,
        default="0",
        help="Shoppers' IP addresses are shortened before they are stored, as Matomo "
        "does it under Administration, Privacy. A shortened address still tells the "
        "country.",
    )

    @api.constrains("retention_days")
    def _check_retention_days(self):
        if any(site.retention_days < 0 for site in self):
            raise ValidationError(
                self.env._("Personal data cannot be kept for less than no days.")
            )

    def _get_retention_limit(self):
        """What is older than this moment (naive, UTC) is personal no more."""
        days = self.retention_days if self else RETENTION_DAYS
        return fields.Datetime.now() - timedelta(days=days)

    @api.autovacuum
    def _gc_shoppers(self):
        """Delete the shoppers' metadata from orders older than their site's retention.

        Carts that never became an order hold such data, too; so do the orders of a
        website that has lost its site.

        :return: how many orders were cleaned, and whether there are more
        """
        done, is_more = 0, False
        sites = self.with_context(active_test=False)
        for site in (*sites.search([("retention_days", ">", 0)]), self.browse()):
            for orders in self.env["matomo.order.mixin"]._get_matomo_order_models():
                found = orders.search(
                    Domain("date_order", "<", site._get_retention_limit())
                    & Domain.custom(to_sql=orders._matomo_personal_sql)
                    & orders._get_matomo_site_domain(site),
                    order="date_order",
                    limit=GC_BATCH,
                )
                # An order that somebody works on is left for tomorrow.
                free = found.try_lock_for_update(allow_referencing=True)
                free._anonymize_matomo_shopper()
                done += len(free)
                is_more = is_more or bool(free and len(found) == GC_BATCH)
        return done, is_more
