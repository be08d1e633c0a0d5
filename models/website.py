import json
from urllib.parse import urlsplit

from odoo import api, fields, models
from odoo.http import request

from ..const import ARRIVAL_ROUTE, FEATURES_ROUTE
from ..matomo_api.address import is_seen_from
from ..matomo_api.items import MAX_NAME_LENGTH, choose_categories
from ..matomo_api.tag import has_ecommerce_calls, has_tag, read_parameters
from ..matomo_api.texts import clean_text
from ..matomo_api.tracking import tracker_url
from ..outbox.transactions import guarded
from .ir_http import FEATURES


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
        # A guard costs two statements, and every page comes here. Employees look after
        # the shop: their page views are no visits.
        if self.matomo_tag and not self.env.user._is_internal():
            with guarded(self.env.cr, "The tag of %s could not be made", self):
                return self._prepare_matomo_tag()
        return {}

    def _prepare_matomo_tag(self):
        if not self._has_matomo_tag():
            return {}
        # sudo: visitors may not read the Matomo site. None of these values is secret.
        site = self.sudo().matomo_site_id
        php = tracker_url(site.url)
        attributes = {
            "data-tracker": php,
            "data-script": f"{php.rpartition('/')[0]}/matomo.js",
            "data-site": str(site.idsite),
            "data-consent": site.consent_policy,
            "data-respect-dnt": "1" if site.respect_dnt else "",
        }
        # Odoo caches pages of visitors who are not logged in, and no others.
        if user_id := site._get_shopper_user_id(self.env.user, has_own_tag=True):
            attributes["data-user-id"] = user_id
        if (
            site.consent_policy == "cookieless"
            and request
            and FEATURES not in request.session
        ):
            # The tag may remember nothing: the session does. A page that Odoo has
            # cached may ask once more than needed.
            attributes["data-flags-url"] = FEATURES_ROUTE
        if site.consent_policy != "cookieless":
            attributes["data-arrival-url"] = ARRIVAL_ROUTE
        if site.tag_heartbeat:
            attributes["data-heartbeat"] = "1"
        names, _wrong = read_parameters(site.tag_parameters or "")
        if names:
            attributes["data-parameters"] = " ".join(names)
        return attributes

    def _has_matomo_tag(self):
        """Return whether this website shows the addon's tag."""
        # sudo: see _prepare_matomo_tag.
        site = self.sudo().matomo_site_id
        return (
            self.matomo_tag
            and site._has_tag()
            and is_seen_from(site.url, self._get_matomo_host())
            and not self._has_other_matomo_tag()
        )

    def _get_matomo_user_id(self, site):
        """Return the user ID of the shopper who is logged in, "" without one.

        :param site: the ``matomo.site`` of the shopper's order, in sudo
        """
        has_own_tag = site.send_user_id and self._has_matomo_tag()
        return site._get_shopper_user_id(self.env.user, has_own_tag)

    def _get_matomo_host(self):
        """Return the host at which visitors open this website."""
        host = urlsplit(self.domain or "").netloc
        return host or (request and request.httprequest.host) or ""

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

        A product has the same name and public categories as in orders, so that Matomo
        can compare views with orders. Everybody can read this: internal references,
        barcodes and internal categories are left out.

        :param product: the ``product.product``, or the ``product.template`` if it has
            no variant
        :param category: the ``product.public.category``, on a page without product
        :param price: the price that the page shows
        :return: JSON text with ``name``, ``categories`` and ``price``, or False if this
            website shows no tag
        """
        if self._get_matomo_tag():
            with guarded(self.env.cr, "What a page of %s shows is not told", self):
                return self._prepare_matomo_view(product, category, price)
        return False

    def _get_matomo_search(self, keyword, count, category=None):
        """Return what was searched on a page, for the tag.

        :param keyword: what the shopper has entered; empty: nothing was searched
        :param count: how many results there are
        :param category: the ``product.public.category`` in which they searched
        :return: JSON text with ``keyword``, ``count`` and ``category``, or False if
            nothing was searched, or this website shows no tag
        """
        if keyword and self._get_matomo_tag():
            with guarded(self.env.cr, "A search on %s is not told", self):
                # sudo: see _get_matomo_tag.
                lang = self.sudo().matomo_site_id.lang_id.code
                name = category and category.sudo().with_context(lang=lang).name
                return json.dumps(
                    {
                        "keyword": clean_text(keyword, MAX_NAME_LENGTH),
                        "count": count or 0,
                        "category": name or "",
                    }
                )
        return False

    def _prepare_matomo_view(self, product, category, price):
        # sudo: see _get_matomo_tag.
        website = self.sudo()
        lang = website.matomo_site_id.lang_id.code
        if not product:
            name = category.sudo().with_context(lang=lang).name
            return json.dumps({"categories": name})
        product = product.sudo().with_context(lang=lang, display_default_code=False)
        shown = product.public_categ_ids.filtered(
            lambda each: each.website_id in (website.browse(), website)
        )
        orders = website.env["sale.order"]
        names = orders._get_matomo_public_categories(shown)
        return json.dumps(
            {
                # As in an order, see _prepare_matomo_line.
                "name": clean_text(product.display_name, MAX_NAME_LENGTH),
                "categories": choose_categories(names),
                "price": price,
            }
        )
