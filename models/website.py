import json

from odoo import api, fields, models

from ..matomo_api.items import choose_sku
from ..matomo_api.tag import has_tag
from ..matomo_api.tracking import tracker_url


class Website(models.Model):
    _inherit = "website"

    matomo_site_id = fields.Many2one(
        "matomo.site",
        copy=False,
        groups="base.group_system,matomo_order_tracking.group_matomo_user",
        help="Orders of this website are tracked on this Matomo site.",
    )
    matomo_tag = fields.Boolean(
        copy=False,
        help="Put Matomo's JavaScript tag on the pages of this website, which counts "
        "page views and product views.",
    )

    @api.constrains("matomo_site_id", "company_id")
    def _check_matomo_site_company(self):
        self.env["matomo.site"]._check_holders(self)

    # === THE TAG === #

    def _get_matomo_tag(self):
        """Return the settings of Matomo's tag, as attributes of its script element.

        :return: a dict; empty if this website shows no tag
        """
        self.ensure_one()
        # sudo: visitors may not read the site; none of these values is secret.
        site = self.sudo().matomo_site_id
        if not self.matomo_tag or not site._has_tag() or self._has_other_matomo_tag():
            return {}
        php = tracker_url(site.url)
        return {
            "data-tracker": php,
            "data-script": f"{php.rpartition('/')[0]}/matomo.js",
            "data-site": str(site.idsite),
            "data-ask-cookie-bar": "1" if site.consent_policy == "cookie_bar" else "",
            "data-respect-dnt": "1" if site.respect_dnt else "",
        }

    def _has_other_matomo_tag(self, with_pages=False):
        """Return whether the website's code contains another tag of our Matomo site.

        Tags of other Matomo sites may stand beside ours.

        :param with_pages: search the website's pages, too. That is slow, and the tag
            itself does it on the page where it runs
        """
        # sudo: only website designers may read these fields and views.
        website = self.sudo()
        site = website.matomo_site_id
        codes = [website.custom_code_head, website.custom_code_footer]
        if with_pages:
            codes += (
                website.env["ir.ui.view"]
                .search(
                    [
                        ("type", "=", "qweb"),
                        ("website_id", "in", (False, website.id)),
                        ("arch_db", "ilike", "setSiteId"),
                    ]
                )
                .mapped("arch_db")
            )
        return any(has_tag(code or "", site.url, site.idsite) for code in codes if site)

    def _get_matomo_view(self, product=None, category=None, price=None):
        """Return what a page of the shop shows, for the tag.

        A product has the same SKU, name and categories as in orders, because Matomo's
        conversion rates compare them.

        :param product: the ``product.product`` or, without variants, the template
        :param category: the ``product.public.category``, on a page without a product
        :param price: of the product, as the page shows it
        :return: JSON, or False if this website shows no tag
        """
        if not self._get_matomo_tag():
            return False
        # sudo: see _get_matomo_tag. A visitor may not read internal categories, but
        # their names are part of the items of every order.
        website = self.sudo()
        lang = website.matomo_site_id.lang_id.code
        if not product:
            name = category.sudo().with_context(lang=lang).name
            return json.dumps({"category": name})
        product = product.sudo().with_context(lang=lang, display_default_code=False)
        prefix = "product" if product._name == "product.product" else "template"
        return json.dumps(
            {
                "sku": choose_sku(
                    (product.default_code, product.barcode), f"{prefix}-{product.id}"
                ),
                "name": product.display_name,
                "categories": website.env["sale.order"]._get_matomo_categories(product),
                "price": price,
            }
        )
