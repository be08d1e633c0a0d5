import json

from odoo import api, fields, models

from ..matomo_api.items import choose_sku
from ..matomo_api.tag import has_ecommerce_calls, has_tag
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
        help="Add Matomo's JavaScript tag to the pages of this website. The tag counts "
        "page views and product views.",
    )

    @api.constrains("matomo_site_id", "company_id")
    def _check_matomo_site_company(self):
        self.env["matomo.site"]._check_holders(self)

    # === THE TAG === #

    def _get_matomo_tag(self):
        """Return the settings of the tag, as attributes of its script element.

        :return: ``{attribute: text}``, empty if this website shows no tag
        """
        self.ensure_one()
        # sudo: visitors may not read the Matomo site. None of these values is secret.
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
        """Return whether the website has another tag of the same Matomo site.

        Two tags of one site would count each page view twice. A tag of another site
        does no harm.

        :param with_pages: whether to search the website's pages, too. That is slow. On
            the page where it runs, the tag of this addon looks for other tags itself
        """
        # sudo: whoever opens a page need not see the site.
        site = self.sudo().matomo_site_id
        codes = self._get_matomo_codes("setSiteId" if with_pages else "")
        return any(has_tag(code, site.url, site.idsite) for code in codes if site)

    def _has_matomo_ecommerce_calls(self):
        """Return whether the website's own code sends orders or carts to a Matomo.

        Each order would arrive twice, and Matomo keeps the one that comes first.
        """
        return any(
            has_ecommerce_calls(code) for code in self._get_matomo_codes("Ecommerce")
        )

    def _get_matomo_codes(self, text):
        """Return the code that people have put into the website, as HTML.

        :param text: what a page has to contain; "" to leave the pages out
        """
        # sudo: only website designers may read these fields and views.
        website = self.sudo()
        codes = [website.custom_code_head, website.custom_code_footer]
        if text:
            codes += (
                website.env["ir.ui.view"]
                .search(
                    [
                        ("type", "=", "qweb"),
                        ("website_id", "in", (False, website.id)),
                        ("arch_db", "ilike", text),
                    ]
                )
                .mapped("arch_db")
            )
        return [code for code in codes if code]

    def _get_matomo_view(self, product=None, category=None, price=None):
        """Return the product or the category that a page shows, for the tag.

        A product has the same SKU, name and categories as in orders, so that Matomo can
        compare views with orders.

        :param product: the ``product.product``, or the ``product.template`` if it has
            no variant
        :param category: the ``product.public.category``, on a page without product
        :param price: the price that the page shows
        :return: JSON text, or False if this website shows no tag
        """
        if not self._get_matomo_tag():
            return False
        # sudo: see _get_matomo_tag. A visitor may not read internal categories. The
        # addon sends their names with every order, and the tag must send the same.
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
