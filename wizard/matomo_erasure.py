from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Domain
from odoo.tools import format_amount

from ..const import ACCEPTED_STATES, MANAGER_GROUP
from ..matomo_api.errors import MatomoError
from ..matomo_api.tracking import get_visitor_id, is_visitor_id
from ..outbox.erasure import erase_in_matomo
from ..outbox.transactions import run_in_transaction
from ..tools.notices import CLOSE, notify
from ..tools.sentences import describe_error, describe_others_orders, plural

# So many orders or visitors are named one by one.
NAMED = 50
# By this key of the context a button hands over an administrator's token of Matomo;
# tools/logging.py keeps calls with it out of Odoo's log.
TOKEN_KEY = "matomo_admin_token_auth"


class MatomoErasure(models.TransientModel):
    """Asks before the personal data of a person are deleted, and says what remains.

    The person is a contact, or unknown: then it is orders or a visitor that are named.
    """

    _name = "matomo.erasure"
    _description = "Delete Personal Data for Matomo"

    # === FIELDS === #

    res_model = fields.Char(readonly=True)
    res_ids = fields.Json(readonly=True)
    visitor_id = fields.Char(
        string="Visitor ID",
        help="The ID of the visitor in Matomo: 16 digits and letters from a to f. The "
        "cookie _pk_id of the shop's pages begins with it.",
    )
    order_count = fields.Integer(string="Orders", compute="_compute_plan")
    left_out = fields.Text(string="Not Deleted", compute="_compute_plan")
    visitors = fields.Text(string="Visitors in Matomo", compute="_compute_plan")
    leaving = fields.Text(string="Orders That Leave Matomo", compute="_compute_plan")
    available_site_ids = fields.Many2many("matomo.site", compute="_compute_plan")
    site_id = fields.Many2one(
        "matomo.site",
        string="Matomo",
        domain="[('id', 'in', available_site_ids)]",
        help="The visitors are deleted in the Matomo of this site. The token is sent "
        "to its address only.",
    )
    site_url = fields.Char(related="site_id.url", string="Matomo Address")
    # Not stored: static/src/backend/secrets_form.js hands it over to a button.
    matomo_admin_token_auth = fields.Char(
        string="Token of an Administrator",
        store=False,
        help="A token of a user of Matomo with admin access to the site. It is used "
        "for this one deletion and not stored.",
    )

    # === OPENING === #

    @api.model
    def _open(self, records):
        """Return an action that asks whether to delete the data of these records.

        :param records: contacts or orders
        :raise AccessError: if the user is not a manager
        """
        self._check_manager()
        records.check_access("read")
        wizard = self.create({"res_model": records._name, "res_ids": records.ids})
        wizard.site_id = wizard.available_site_ids[:1]
        return wizard._get_action()

    @api.model
    def action_open(self):
        """Return an action that asks for a visitor; a menu of managers."""
        self._check_manager()
        return self.create({})._get_action()

    def _get_action(self):
        """Return the action that shows this wizard.

        It exists: what is entered in a field that is not stored is lost when the web
        client creates a record, and not when it writes one.
        """
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Delete Personal Data"),
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "target": "new",
        }

    @api.model
    def _check_manager(self):
        if not self.env.user.has_group(MANAGER_GROUP):
            raise AccessError(
                self.env._(
                    "Only managers of Matomo Order Tracking may see or delete all data "
                    "of a person."
                )
            )

    # === WHAT WILL BE DELETED === #

    @api.depends("res_model", "res_ids", "visitor_id")
    def _compute_plan(self):
        for wizard in self:
            orders, requests, targets = wizard._find()
            wizard.order_count = sum(map(len, orders))
            wizard.left_out = "\n".join(wizard._describe_left_out(requests)) or False
            wizard.visitors = "\n".join(wizard._describe_visitors(targets)) or False
            wizard.leaving = wizard._describe_leaving(requests)
            wizard.available_site_ids = wizard.env["matomo.site"].union(*targets)

    @api.onchange("visitor_id")
    def _onchange_visitor_id(self):
        self.site_id = self.available_site_ids[:1]

    def _get_partners(self):
        """Return the contacts that were chosen, if there are any.

        :raise AccessError: a program may have entered contacts that the user cannot see
        """
        is_partner = self.res_model == "res.partner"
        partners = self.env["res.partner"].browse(is_partner and self.res_ids or ())
        partners = partners.exists()
        partners.check_access("read")
        return partners

    def _get_visitor_ids(self):
        """Return the visitor that was entered, as a set."""
        visitor_id = (self.visitor_id or "").strip().lower()
        return {visitor_id} if is_visitor_id(visitor_id) else set()

    def _find(self):
        """Return the orders of the person, their requests, and who they are in Matomo.

        :return: tuple of a list of recordsets of orders, of requests that Matomo may
            have, among them those of others that were sent to the same visitors, and
            of ``{site: (visitor ids, order ids)}``; all in sudo
        :raise AccessError: if the user is not a manager
        """
        self.ensure_one()
        self._check_manager()
        allowed = self.env.user._get_matomo_companies_domain()
        orders = self._find_orders(allowed)
        # sudo: no manager may write requests, nor need see orders.
        requests = self.env["matomo.request"].sudo()
        updates = self.env["matomo.cart.update"].sudo()
        visitors, refs = {}, {}
        for each in orders:
            requests |= each._find_matomo_requests()
            if "matomo_cart_update_ids" in each._fields:
                updates |= each.matomo_cart_update_ids
            for order in each.filtered("matomo_visitor_id"):
                site = order._get_matomo_request().site_id or order._get_matomo_site()
                visitors.setdefault(site, set()).add(order.matomo_visitor_id)
        for request in (*requests.filtered("attempt_count"), *updates):
            visitor_id = get_visitor_id(request.payload or {})
            if is_visitor_id(visitor_id):
                visitors.setdefault(request.site_id, set()).add(visitor_id)
        family = self._get_partners()._get_matomo_family()
        entered = self._get_visitor_ids()
        if family or entered:
            sites = self.env["matomo.site"].with_context(active_test=False)
            for site in sites.search(allowed).sudo():
                if known := entered | site._get_visitor_ids_of(family):
                    visitors.setdefault(site, set()).update(known)
        for site, ids in visitors.items():
            # In Matomo a visitor is deleted with all orders, whosever they are here.
            requests |= requests._find_by_visitor(ids, Domain("site_id", "=", site.id))
        for request in requests:
            is_accepted = request.state in ACCEPTED_STATES
            if request.kind == "order" and is_accepted and request.order_ref:
                refs.setdefault(request.site_id, set()).add(request.order_ref)
        sites = self.env["matomo.site"].sudo().union(*visitors, *refs)
        targets = {
            site: (visitors.get(site, set()), refs.get(site, set())) for site in sites
        }
        return orders, requests, targets

    def _find_orders(self, allowed):
        """Return the orders that the manager may handle: recordsets in sudo."""
        partners = self._get_partners()
        if partners:
            return partners._get_matomo_family()._find_matomo_orders(allowed)
        models = self.env["matomo.order.mixin"]._get_matomo_order_models()
        if entered := self._get_visitor_ids():
            # sudo: see _find.
            sent = self.env["matomo.request"].sudo()._find_by_visitor(entered, allowed)
            found = {each._name: each for each in sent._get_orders()}
            return [
                orders.sudo().search(
                    Domain("matomo_visitor_id", "in", list(entered)) & allowed
                )
                | found.get(orders._name, orders.sudo())
                for orders in models
            ]
        return [
            orders.sudo().search(Domain("id", "in", self.res_ids or ()) & allowed)
            for orders in models
            if orders._name == self.res_model
        ]

    # === SENTENCES === #

    def _describe_left_out(self, requests):
        """Return sentences on what Odoo keeps."""
        partners = self._get_partners()
        sentences = partners._get_matomo_left_out() if partners else []
        if not partners and self.res_ids:
            allowed = self._find_orders(self.env.user._get_matomo_companies_domain())
            if other := len(self.res_ids) - sum(map(len, allowed)):
                sentences.append(
                    describe_others_orders(self.env, other),
                )
        unread = requests.filtered(
            lambda each: each.payload
            and each.state != "pending"
            and not each.filtered_domain(each._get_done_domain())
        )
        if unread:
            sentences.append(
                plural(
                    len(unread),
                    self.env._(
                        "1 request is being read back. It keeps the ID of the visitor "
                        "until that is done, for 30 days after the order at most."
                    ),
                    self.env._(
                        "%s requests are being read back. They keep the ID of the "
                        "visitor until that is done, for 30 days after the order at "
                        "most.",
                        len(unread),
                    ),
                )
            )
        sold = sum(
            len(sales._find_matomo_requests())
            for _name, sales in partners._find_matomo_sales(
                self.env.user._get_matomo_companies_domain()
            )
        )
        if sold:
            sentences.append(
                self.env._(
                    "This contact has sold: its name is deleted from the log "
                    "(requests: %s). The orders themselves keep their salesperson, and "
                    "a custom dimension in Matomo keeps the name.",
                    sold,
                )
            )
        return sentences

    def _describe_visitors(self, targets):
        """Return a line for each Matomo site: whom to delete there."""
        lines = []
        for site, (visitor_ids, refs) in targets.items():
            line = self.env._("%(site)s (%(url)s):", site=site.name, url=site.url)
            if visitor_ids:
                line += " " + self.env._("Visitor ID %s", _join(visitor_ids))
            if refs:
                line += "; " * bool(visitor_ids) + self.env._(
                    "Order ID %s", _join(refs)
                )
            lines.append(line)
        return lines

    def _describe_leaving(self, requests):
        """Return which orders leave Matomo's revenue, and which come back, or False."""
        leaving = requests.filtered(
            lambda each: each.kind == "order" and each.state in ACCEPTED_STATES
        )
        if not leaving:
            return False
        sums = {}
        for request in leaving:
            amounts = sums.setdefault(request.currency_id, [])
            amounts.append(float(request._get_recorded_revenue()))
        lost = leaving.filtered(lambda each: not each._can_come_back())
        lines = [
            self.env._(
                "If the visitors are deleted in Matomo, these orders leave its reports "
                "(%(count)s, %(amounts)s): %(orders)s.",
                count=len(leaving),
                amounts=", ".join(
                    format_amount(self.env, sum(amounts), currency)
                    for currency, amounts in sums.items()
                ),
                orders=_join(filter(None, leaving.mapped("order_ref"))),
            )
        ]
        if leaving - lost:
            lines.append(
                self.env._(
                    "Sent again anonymously, with their own time: %s.",
                    len(leaving - lost),
                )
            )
        if requests.filtered(
            lambda each: each.kind == "refund" and each.state in ACCEPTED_STATES
        ):
            lines.append(
                self.env._("The events of their refunds are not sent a second time.")
            )
        if lost:
            lines.append(
                self.env._(
                    "These are not sent again, because nobody can see whether Matomo "
                    "still has them: %s.",
                    _join(filter(None, lost.mapped("order_ref"))),
                )
            )
        return "\n".join(lines)

    # === ACTIONS === #

    def _take_token(self):
        """Return this wizard without a token in its context, and the token or ""."""
        token = "".join((self.env.context.get(TOKEN_KEY) or "").split())
        return self.with_context(**{TOKEN_KEY: None}), token

    def action_delete(self):
        """Delete the person's data in Odoo, and say what to do in Matomo by hand."""
        self.ensure_one()
        self, _token = self._take_token()
        self._check_entered()
        _orders, requests, targets = self._find()
        left = self._describe_left_out(requests)
        steps = self._describe_steps(targets)
        return self._notify([*self._delete(), *left, *steps])

    def action_delete_in_matomo(self):
        """Delete the person's visits in one Matomo, then the person's data in Odoo.

        Nothing is deleted in Odoo if Matomo refuses. The token comes in the context,
        goes into the bodies of the requests, and is gone.

        :raise UserError: if Matomo refuses; it may be tried again
        """
        self.ensure_one()
        self, token = self._take_token()
        self._check_entered()
        _orders, requests, targets = self._find()
        site = self.site_id
        if site not in self.available_site_ids or not token:
            raise UserError(
                self.env._(
                    "Choose the Matomo and enter the token of one of its "
                    "administrators, or delete the data in Odoo only."
                )
            )
        here = {
            each: target
            for each, target in targets.items()
            if each.address_key == site.address_key
        }
        count = self._ask_matomo(site.sudo(), token, here)
        elsewhere = {each: targets[each] for each in targets.keys() - here.keys()}
        gone = requests.filtered(lambda each: each.site_id in here)
        steps = self._describe_steps(elsewhere)
        left = self._describe_left_out(requests)
        done = run_in_transaction(self.env, lambda: self._delete(count, gone))
        return self._notify([*done, *left, *steps])

    def _ask_matomo(self, site, token, targets):
        """Delete visits in Matomo. Return how many there were."""
        queries = [(each.idsite, *target) for each, target in targets.items()]
        try:
            client = site._get_client_of_admin(token)
            return erase_in_matomo(self.env, client, queries)
        except MatomoError as error:
            message = describe_error(self.env, error)
        # Raised here, its traceback holds nothing of the request.
        raise UserError(self.env._("Nothing was deleted in Odoo. Matomo: %s", message))

    def _check_entered(self):
        if not self.res_ids and not self._get_visitor_ids():
            raise UserError(
                self.env._(
                    "Enter the ID of a visitor: 16 digits and letters from a to f."
                )
            )

    def _delete(self, visit_count=None, gone=None):
        """Delete the person's data in Odoo, and leave a trace without them.

        :param visit_count: of the visits that were deleted in Matomo, if it was asked
        :param gone: requests whose visits are gone there
        :return: list of sentences on what was done
        """
        orders, _requests, _targets = self._find()
        partners = self._get_partners()
        for each in orders:
            each._anonymize_matomo_data()
        partners._anonymize_matomo_sales(self.env.user._get_matomo_companies_domain())
        partners._get_matomo_family()._object_to_matomo()
        if gone:
            gone._anonymize_when_done()
            gone._reconsider_erased()
        sentences = [
            self.env._(
                "The personal data for Matomo were deleted from the orders (%s).",
                sum(map(len, orders)),
            )
        ]
        if visit_count is not None:
            sentences.append(
                plural(
                    visit_count,
                    self.env._("1 visit was deleted in Matomo."),
                    self.env._("%s visits were deleted in Matomo.", visit_count),
                )
            )
        left = self._get_partners()._get_matomo_left_out() if partners else []
        body = " ".join([*sentences, *left])
        author = self.env.user.partner_id.id
        for record in partners or [order for each in orders for order in each]:
            # sudo: a manager need not be able to write the contact or the order.
            record.sudo()._message_log(body=body, author_id=author)
        return sentences

    def _describe_steps(self, targets):
        """Return what a person does in Matomo by hand, as a list of sentences."""
        if not targets:
            return []
        return [
            self.env._(
                "Matomo still has these. An administrator of Matomo deletes them under "
                "Administration, Privacy, GDPR Tools: choose the site, search by "
                "Visitor ID or Order ID, select all visits and delete them. The orders "
                "leave Matomo's reports with them; then press Retrack on the orders, "
                "and they are sent again anonymously."
            ),
            *self._describe_visitors(targets),
        ]

    def _notify(self, sentences):
        return notify("\n".join(sentences), type="success", sticky=True, next=CLOSE)


def _join(texts):
    """Return texts as one, the first of many."""
    texts = sorted(texts)
    return ", ".join(texts[:NAMED]) + " …" * (len(texts) > NAMED)
