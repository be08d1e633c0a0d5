from datetime import timedelta
from urllib.parse import urlsplit

from odoo import api, fields, models
from odoo.tools import format_date, format_datetime

from ..matomo_api.tracking import api_url
from ..tools import alerts
from ..tools.doctor import LEVELS, Finding, Shop, examine, find_worse
from ..tools.findings import POINTS, describe_finding, get_name

MODULE = "matomo_order_tracking"
# So many of the last orders show whom Matomo's exclusions hit.
RECENT_ORDERS = 100
RECENT = timedelta(days=7)
# Days of the Daily Comparison in which orders from elsewhere are news.
FOREIGN_DAYS = 7


class MatomoCheck(models.Model):
    """One point of a Matomo site: whether it is good, and what to do if it is not.

    The nightly run and *Test Connection* write what Matomo says of itself, an hourly
    run writes how the orders are doing. ``tools/doctor.py`` and ``tools/alerts.py``
    decide; ``tools/findings.py`` has the sentences, made in the reader's language.
    """

    _name = "matomo.check"
    _description = "Matomo Check"
    _order = "sequence, id"
    _rec_name = "kind"

    site_id = fields.Many2one(
        "matomo.site", required=True, readonly=True, ondelete="cascade"
    )
    kind = fields.Char(required=True, readonly=True)
    level = fields.Selection(
        [("bad", "Wrong"), ("look", "Look"), ("unknown", "Unknown"), ("good", "Good")],
        string="State",
        required=True,
        readonly=True,
    )
    sequence = fields.Integer(readonly=True)
    cause = fields.Char(readonly=True)
    figures = fields.Json(readonly=True)
    since = fields.Datetime(readonly=True, help="Since when the state is this one.")
    name = fields.Char(string="Point", compute="_compute_texts")
    sentence = fields.Text(string="What Is", compute="_compute_texts")
    advice = fields.Text(string="What to Do", compute="_compute_texts")
    has_link = fields.Boolean(compute="_compute_has_link")

    # Not unique: a test that meets the first hourly run must not fail. Of two checks of
    # one kind, the next run forgets one.
    _site_index = models.Index("(site_id)")

    @api.depends("kind", "level", "cause", "figures")
    @api.depends_context("lang", "tz")
    def _compute_texts(self):
        for check in self:
            # A check of another version of the addon may have no text here.
            is_known = check.kind in POINTS
            check.name = get_name(check.env, check.kind) if is_known else check.kind
            texts = check._describe() if is_known else ("", "")
            check.sentence, check.advice = texts

    @api.depends("kind", "level")
    @api.depends_context("uid")
    def _compute_has_link(self):
        is_system = self.env.is_system()
        for check in self:
            point = POINTS.get(check.kind)
            is_fine = check.level == "good" or not point
            # The menus of Odoo itself are the administrators'.
            is_closed = point and point.odoo and MODULE not in point.odoo
            check.has_link = (
                not is_fine
                and bool(point.matomo or point.odoo)
                and (is_system or not is_closed)
            )

    def _get_finding(self):
        """Return what is kept here as a ``Finding``."""
        return Finding(self.kind, self.level, self.figures or {}, self.cause or "")

    def _describe(self, env=None):
        """Return what the check says and what to do, in the language of ``env``."""
        env = env or self.env
        return describe_finding(env, self._get_finding(), format_date, format_datetime)

    # === ACTIONS === #

    def action_open(self):
        """Open the page of Matomo or of Odoo where this is set right."""
        self.ensure_one()
        point = POINTS[self.kind]
        if point.odoo:
            return self.env["ir.actions.actions"]._for_xml_id(point.odoo)
        query = point.matomo.format(idsite=self.site_id.idsite)
        return {
            "type": "ir.actions.act_url",
            "url": f"{api_url(self.site_id.url)}?{query}",
            "target": "new",
        }

    # === KEEPING === #

    @api.model
    def _keep(self, site, findings, kinds):
        """Write down what was found of a site.

        :param findings: list of ``Finding``
        :param kinds: what was looked at: of these, what is not found is forgotten
        :return: ``{kind: level}`` of all checks of the site before
        """
        # sudo: checks are readonly for everybody.
        kept = self.sudo().search([("site_id", "=", site.id)])
        before = {check.kind: check.level for check in kept}
        found, seen = {finding.kind: finding for finding in findings}, set()
        now = fields.Datetime.now()
        for check in kept:
            finding = found.pop(check.kind, None)
            is_double = not finding and check.kind in seen
            seen.add(check.kind)
            if is_double or (not finding and check.kind in kinds):
                check.unlink()
            elif finding and finding != check._get_finding():
                values = self._prepare_values(finding)
                if finding.level != check.level:
                    values["since"] = now
                check.write(values)
        self.sudo().create(
            [
                {"site_id": site.id, "since": now, **self._prepare_values(finding)}
                for finding in found.values()
            ]
        )
        return before

    @api.model
    def _prepare_values(self, finding):
        return {
            "kind": finding.kind,
            "level": finding.level,
            "sequence": LEVELS.index(finding.level),
            "cause": finding.cause or False,
            "figures": dict(finding.figures),
        }

    # === EXAMINING === #

    @api.model
    def _examine(self, site, facts):
        """Write down what Matomo has said of itself, and tell what has become worse.

        :param Facts facts: what Matomo has answered just now
        :return: list of ``Finding``
        """
        findings = examine(facts, self._get_shop(site, facts))
        self._keep_and_tell(site, findings, POINTS.keys() - set(alerts.KINDS))
        return findings

    @api.model
    def _watch(self, site):
        """Write down how the orders of a site are doing, and tell what is worse."""
        findings = alerts.add_good(alerts.find_alerts(site._get_facts()))
        self._keep_and_tell(site, findings, set(alerts.KINDS))

    @api.model
    def _keep_and_tell(self, site, findings, kinds):
        # How orders do was good before, as long as nobody has looked.
        before = dict.fromkeys(alerts.KINDS, "good")
        before |= self._keep(site, findings, kinds)
        checks = self.sudo().search([("site_id", "=", site.id)])
        told = site._get_told()
        worse = find_worse(before, told, [each._get_finding() for each in checks])
        site._tell_worse(checks.filtered(lambda each: each.kind in worse), told)

    @api.model
    def _examine_entered(self, site, facts):
        """Return what Matomo says of a site that is entered and not saved.

        :return: list of ``Finding``
        """
        return examine(facts, Shop(**self._get_site_figures(site, facts)))

    @api.model
    def _get_shop(self, site, facts):
        """Return what Odoo knows of a site, as ``Shop``."""
        # sudo: whoever tests a connection need not see orders, websites and requests.
        site = site.sudo()
        websites = site.env["website"].search([("matomo_site_id", "=", site.id)])
        tagged = websites.filtered(
            lambda each: (
                each._has_matomo_tag() or each._has_other_matomo_tag(with_pages=True)
            )
        )
        selling = websites.filtered(lambda each: each._has_matomo_ecommerce_calls())
        return Shop(
            hosts=[host for each in websites if (host := _get_host(each))],
            pages=[site._get_page_url()],
            anonymises=site.is_order_id_anonymised,
            token_end=site.token_end or None,
            is_token_endless=site.is_token_endless,
            raw_data_days=site.raw_data_days,
            is_raw_data_confirmed=site.is_raw_data_confirmed,
            are_exclusions_confirmed=site.are_exclusions_confirmed,
            untagged=(websites - tagged).mapped("name"),
            tagged=tagged.mapped("name"),
            selling_tags=selling.mapped("name"),
            order_prefix=site.order_prefix or "",
            **self._get_site_figures(site, facts),
            **self._get_order_figures(site),
        )

    @api.model
    def _get_site_figures(self, site, facts):
        """Return what the site and its company are: a dict of fields of ``Shop``."""
        currency = facts.site.currency if facts.site else ""
        return {
            "now": fields.Datetime.now(),
            "idsite": site.idsite,
            "currency": site.company_id.currency_id.name,
            "timezone": site.company_id.partner_id.tz or "",
            "is_currency_active": bool(currency and site._find_currency(currency)),
            "is_currency_confirmed": site.is_currency_confirmed,
        }

    @api.model
    def _get_order_figures(self, site):
        """Return what the last orders of a site show: a dict of fields of ``Shop``."""
        requests = site.env["matomo.request"]
        domain = [("site_id", "=", site.id), ("kind", "=", "order")]
        since = fields.Datetime.now() - RECENT
        recent = requests.search(
            [*domain, ("order_date", ">=", since)], limit=RECENT_ORDERS
        )
        orders = recent.sale_order_id
        proven = [*domain, ("state", "=", "verified"), ("is_anonymized", "=", False)]
        days = site.env["matomo.reconciliation"].search(
            [("site_id", "=", site.id), ("state", "!=", "unfinished")],
            limit=FOREIGN_DAYS,
        )
        return {
            "ip_addresses": orders.mapped("matomo_ip_address"),
            "user_agents": orders.mapped("matomo_user_agent"),
            "verified_count": requests.search_count(proven, limit=RECENT_ORDERS),
            "taken_count": len(recent.filtered("taken_count")),
            "foreign_count": sum(days.mapped("foreign_order_count")),
        }


def _get_host(website):
    """Return the host at which visitors open a website, whoever asks."""
    return urlsplit(website.get_base_url()).netloc
