import math
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import pytz

from odoo import Command, api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ..const import MANAGER_GROUP
from ..matomo_api.address import address_key, clean_address
from ..matomo_api.errors import MatomoError, Misconfigured
from ..matomo_api.setup import Offer, choose_site, get_user, may_make_user
from ..matomo_api.timezones import get_timezone, is_known
from ..matomo_api.tracking import api_url
from ..outbox import connect
from ..outbox.transactions import run_in_transaction
from ..outbox.waking import get_stopped_actions
from ..tools.channels import Channels, Choice, find_changes, propose
from ..tools.proof import LOOK_AFTER, WAITING, ProofFacts, find_stage
from ..tools.sentences import describe_error, describe_policy, describe_proof

# By these keys of the context a button hands over what is used once and not stored;
# tools/logging.py keeps calls with them out of Odoo's log.
PASSWORD_KEY = "matomo_password"
CODE_KEY = "matomo_code"
# What was pasted, or made from the login for an hour: of the step before.
TOKEN_KEY = "matomo_setup_token_auth"
OWN_TOKEN_KEY = "matomo_own_token_auth"
SECRET_KEYS = (PASSWORD_KEY, CODE_KEY, TOKEN_KEY, OWN_TOKEN_KEY)
# So many wrong passwords within so long. Matomo locks a sender out after twenty.
MAX_TRIES = 3
TRIES_WITHIN = timedelta(minutes=10)
# At these stages of the proof there is nothing left to take up.
OVER = ("verified", "different", "no_order")
# A second click waits so long for a first one that has died.
WORK_TIME = timedelta(minutes=2)
TRIED_KINDS = ("login_wrong", "code_needed", "code_wrong")
# So many of the newest orders are looked at to find one that may be sent.
NEWEST = 20
# So many sites that are here are asked at once whether their token works.
MAX_CURRENT = 10


class MatomoConnect(models.TransientModel):
    """Connects a company to Matomo: log in, choose, prove.

    Until the end of the choosing nothing is stored but this row, which holds no secret.
    What was made in Matomo by then is taken up when it is tried again.
    """

    _name = "matomo.connect"
    _description = "Connect to Matomo"

    # === FIELDS: THE LOGIN === #

    step = fields.Selection(
        [("login", "Log In"), ("choose", "Choose"), ("prove", "Prove")],
        required=True,
        default="login",
        readonly=True,
    )
    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    url = fields.Char(string="Matomo Address")
    way = fields.Selection(
        [("login", "My Matomo login"), ("token", "A token")],
        string="Connect With",
        required=True,
        default="login",
    )
    login = fields.Char()
    # Not stored: static/src/backend/secrets_form.js hands them over to a button.
    matomo_password = fields.Char(string="Password", store=False)
    matomo_code = fields.Char(string="Two-Factor Code", store=False)
    matomo_token_auth = fields.Char(string="Token", store=False)
    try_dates = fields.Json(readonly=True)

    # Since when a button is at work in Matomo.
    work_date = fields.Datetime(readonly=True)

    # === FIELDS: THE CHOICE === #

    line_ids = fields.One2many("matomo.connect.site", "connect_id")
    is_superuser = fields.Boolean(readonly=True)
    has_ecommerce = fields.Boolean(readonly=True)
    email = fields.Char(readonly=True)
    needs_password = fields.Boolean(readonly=True)
    site_choice_id = fields.Many2one(
        "matomo.connect.site",
        string="Site in Matomo",
        domain="[('connect_id', '=', id)]",
    )
    website_ids = fields.Many2many(
        "website",
        string="Websites",
        domain="[('company_id', '=', company_id)]",
        compute="_compute_channels",
        store=True,
        readonly=False,
    )
    has_salespeople = fields.Boolean(
        string="Salespeople's Orders",
        compute="_compute_channels",
        store=True,
        readonly=False,
    )
    # What was proposed for the site: websites, salespeople's orders, tag.
    shown = fields.Json(compute="_compute_shown", store=True)
    has_tills = fields.Boolean(compute="_compute_tills")
    tills_now = fields.Text(string="Point of Sale Now", compute="_compute_tills")
    keeps_tills = fields.Boolean(string="Leave the Tills as They Are")
    till_source = fields.Selection(
        [
            ("own", "A site of their own (recommended)"),
            ("same", "The same site"),
            ("none", "Do not track POS orders"),
        ],
        string="Point of Sale",
        required=True,
        default="none",
    )
    till_choice_id = fields.Many2one(
        "matomo.connect.site",
        string="Site of the Point of Sale",
        domain="[('connect_id', '=', id), ('id', '!=', site_choice_id)]",
    )
    track_carts = fields.Boolean(
        string="Changes of Carts",
        compute="_compute_shoppers",
        store=True,
        readonly=False,
        precompute=True,
    )
    matomo_tag = fields.Boolean(
        string="Matomo's Tag",
        compute="_compute_channels",
        store=True,
        readonly=False,
    )
    consent_policy = fields.Selection(
        lambda self: self.env["matomo.site"]._fields["consent_policy"].selection,
        string="Store Shoppers' Data",
        required=True,
        compute="_compute_shoppers",
        store=True,
        readonly=False,
        precompute=True,
    )
    consent_policy_meaning = fields.Text(compute="_compute_consent_policy_meaning")
    plan = fields.Text(string="What Happens in Matomo", compute="_compute_plan")
    needs_token = fields.Boolean(compute="_compute_plan")
    users_url = fields.Char(string="Users in Matomo", compute="_compute_users_url")

    # === FIELDS: THE PROOF === #

    site_id = fields.Many2one("matomo.site", readonly=True)
    till_site_id = fields.Many2one("matomo.site", readonly=True)
    order_ref = fields.Reference(
        selection="_selection_orders", string="Order", readonly=True
    )
    asked_date = fields.Datetime(readonly=True)
    concerns = fields.Text(readonly=True)
    proof_stage = fields.Char(compute="_compute_proof")
    is_waiting = fields.Boolean(compute="_compute_proof")
    proof_message = fields.Text(compute="_compute_proof")
    wants_test_order = fields.Boolean(string="Send a test order")
    test_message = fields.Text(readonly=True)

    # === OPENING === #

    @api.model
    def action_open(self):
        """Return the wizard, where this user has left it within the last hour."""
        self._check_may_connect()
        left = self.search(
            [
                ("create_uid", "=", self.env.uid),
                ("company_id", "=", self.env.company.id),
            ],
            order="id desc",
            limit=1,
        )
        if left.step == "choose":
            # The token of the login is gone.
            left.step = "login"
        if left.step == "prove":
            if not left._get_order() and (newest := left._find_order()):
                left.order_ref = newest
            if left.proof_stage in OVER or not left.site_id:
                left = left.browse()
        return (left or self.create({"url": self._get_current_url()}))._get_action()

    @api.model
    def _get_current_url(self):
        """Return the address of the Matomo that the company uses, False if none."""
        company = self.env.company
        site = self._get_channel_sites(company)[:1]
        return site.url

    @api.model
    def _get_channel_sites(self, company):
        """Return the sites of a company's channels: the shop's first."""
        domain = [("company_id", "=", company.id)]
        # sudo: an administrator need not be a manager of tills.
        websites, tills = self.env["website"].sudo(), self.env["pos.config"].sudo()
        sites = websites.search(domain).matomo_site_id | company.sudo().matomo_site_id
        return (sites | tills.search(domain).matomo_site_id).sudo(self.env.su)

    @api.model
    def action_open_app(self):
        """Return what the app shows first: the wizard, as long as there is no site."""
        is_connected = self.env["matomo.site"].search_count([], limit=1)
        if self._may_connect() and not is_connected:
            return self.action_open()
        name = "matomo_order_tracking.matomo_overview_action"
        return self.env["ir.actions.act_window"]._for_xml_id(name)

    @api.model
    def _may_connect(self):
        """Return whether the user may enter a token."""
        return self.env.user.has_group(MANAGER_GROUP) and self.env.is_system()

    @api.model
    def _check_may_connect(self):
        """Refuse whoever may not enter a token, see ``matomo.site.token_auth``."""
        if not self._may_connect():
            raise AccessError(
                self.env._(
                    "Only an administrator who manages Matomo can connect to it: the "
                    "token is the administrators'."
                )
            )

    def _get_action(self, token=""):
        """Return the action that shows this wizard.

        A dialog: the web client keeps the context of others in the browser's storage.

        :param token: for the next button; it ends within an hour, or was pasted
        """
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Connect to Matomo"),
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "views": [(False, "form")],
            "target": "new",
            "context": {TOKEN_KEY: token} if token else {},
        }

    def _take_secrets(self):
        """Return this wizard without secrets in its context, and the secrets."""
        self.ensure_one()
        self._check_may_connect()
        taken = {key: self.env.context.get(key) or "" for key in SECRET_KEYS}
        for key in (TOKEN_KEY, OWN_TOKEN_KEY, CODE_KEY):
            taken[key] = "".join(taken[key].split())
        return self.with_context(**dict.fromkeys(SECRET_KEYS)), taken

    # === COMPUTE === #

    @api.depends("company_id")
    @api.depends_context("lang")
    def _compute_tills(self):
        for wizard in self:
            tills = wizard._get_tills()
            wizard.has_tills = bool(tills)
            wizard.tills_now = (
                "\n".join(
                    f"{site.name}: {', '.join(its.mapped('name'))}"
                    if site
                    else self.env._("No site: %s", ", ".join(its.mapped("name")))
                    for site, its in tills.grouped("matomo_site_id").items()
                )
                if tills.matomo_site_id
                else False
            )

    def _get_tills(self):
        # sudo: an administrator need not be a manager of tills.
        tills = self.env["pos.config"].sudo()
        return tills.search([("company_id", "=", self.company_id.id)])

    # Alone: the form has no such field, and computes it while others are edited.
    @api.depends("site_choice_id")
    def _compute_shown(self):
        for wizard in self:
            choice = wizard._propose()
            wizard.shown = [sorted(choice.websites), choice.salespeople, choice.tag]

    @api.depends("site_choice_id")
    def _compute_channels(self):
        for wizard in self:
            choice = wizard._propose()
            wizard.website_ids = wizard.website_ids.browse(choice.websites)
            wizard.has_salespeople = choice.salespeople
            wizard.matomo_tag = choice.tag

    def _propose(self):
        """Return what stands, and a site for what has none, see ``channels.py``."""
        websites = self._get_websites()
        site = self._find_site(self.site_choice_id)
        channels = self._get_channels(websites)
        return propose(channels, site.id or 0, _wants_tag(websites))

    def _get_websites(self):
        websites = self.env["website"]
        return websites.search([("company_id", "=", self.company_id.id)])

    def _get_channels(self, websites):
        """Return which channels of the company have which site, as ``Channels``."""
        # sudo: what is set, an administrator sees in the settings.
        websites, company = websites.sudo(), self.company_id.sudo()
        return Channels(
            {website.id: website.matomo_site_id.id or 0 for website in websites},
            company.matomo_site_id.id or 0,
            websites.filtered("matomo_tag").ids,
        )

    @api.depends("site_choice_id")
    def _compute_shoppers(self):
        """Propose what a site that is here already does: nobody loosens it unseen."""
        for wizard in self:
            site = wizard._find_site(wizard.site_choice_id)
            wizard.consent_policy = site.consent_policy or "cookie_bar"
            wizard.track_carts = site.track_carts if site else True

    @api.depends("consent_policy")
    @api.depends_context("lang")
    def _compute_consent_policy_meaning(self):
        for wizard in self:
            wizard.consent_policy_meaning = describe_policy(
                wizard.env, wizard.consent_policy
            )

    @api.depends("url")
    def _compute_users_url(self):
        for wizard in self:
            wizard.users_url = wizard.url and (
                f"{api_url(wizard.url)}?module=UsersManager"
            )

    def _get_lines(self):
        """Return the chosen sites: the shop's, and the tills' if it is another one."""
        tills = self.till_choice_id if self._has_own_tills() else self.line_ids[:0]
        return self.site_choice_id | tills

    def _has_own_tills(self):
        return self.has_tills and not self.keeps_tills and self.till_source == "own"

    @api.depends(
        *("site_choice_id", "till_source", "till_choice_id", "keeps_tills"),
        *("website_ids", "has_salespeople"),
    )
    @api.depends_context("lang")
    def _compute_plan(self):
        for wizard in self:
            lines = wizard._get_lines()
            offer = Offer((), wizard.is_superuser)
            may_make = may_make_user(offer, lines.mapped("access"))
            wizard.needs_token = (
                wizard.way == "login"
                and not may_make
                and not wizard._keeps_tokens(lines)
            )
            sentences = wizard._describe_plan(lines) + wizard._describe_channels()
            wizard.plan = "\n".join(sentences) or False

    def _keeps_tokens(self, lines):
        """Return whether the tokens that are here work, and none was pasted."""
        return self.way == "login" and lines and all(lines.mapped("keeps_token"))

    def _describe_plan(self, lines):
        """Return sentences on what the next button does in Matomo, or cannot do."""
        env, sentences = self.env, []
        for line in lines:
            if not line.idsite:
                sentences.append(
                    env._("A site “%s” is made, with e-commerce.", line.name)
                )
            elif not line.is_ecommerce and line.access == "admin":
                sentences.append(
                    env._("E-commerce is switched on for “%s”.", line.name)
                )
            elif not line.is_ecommerce:
                sentences.append(
                    env._(
                        "E-commerce is off for “%s”, and your login may not switch it "
                        "on: ask an administrator of that site in Matomo. Until then "
                        "its reports show no orders.",
                        line.name,
                    )
                )
        if not self.has_ecommerce:
            sentences.append(
                env._(
                    "Matomo's plugin Ecommerce is switched off: a superuser switches "
                    "it on under Administration, System, Plugins."
                )
            )
        if self._keeps_tokens(lines):
            sentences.append(env._("The token that Odoo has works, and stays."))
        elif lines and self.way == "login" and not self.needs_token:
            sentences.append(
                env._(
                    "Odoo gets a user of its own, %s, which can only write to what you "
                    "choose here. Its token is kept, your password is not.",
                    self._prepare_user().login,
                )
            )
        bare = self.website_ids.filtered(lambda website: not website.cookies_bar)
        if bare and self.consent_policy == "cookie_bar":
            sentences.append(
                env._(
                    "The cookie bar of %s is off: nobody is asked, so nothing about "
                    "shoppers is stored, and orders are sent anonymously.",
                    ", ".join(bare.mapped("name")),
                )
            )
        return sentences

    def _describe_channels(self):
        """Return sentences on what changes for channels that have a site."""
        env, sentences = self.env, []
        if not self.site_choice_id:
            return sentences
        site = self._find_site(self.site_choice_id)
        shown, chosen = self._get_shown(), self._get_choice()
        for website in self._get_websites().sudo():
            its = website.matomo_site_id
            figures = {"website": website.name, "site": its.name}
            if website.id in chosen.websites:
                if its and its != site:
                    sentences.append(
                        env._("The website %(website)s leaves “%(site)s”.", **figures)
                    )
            elif its and its != site:
                sentences.append(
                    env._("The website %(website)s stays on “%(site)s”.", **figures)
                )
            elif its and website.id in shown.websites:
                sentences.append(
                    env._("The website %(website)s is no longer tracked.", **figures)
                )
        its = self.company_id.sudo().matomo_site_id
        if its and its != site:
            sentences.append(
                env._("Salespeople's orders leave “%s”.", its.name)
                if chosen.salespeople
                else env._("Salespeople's orders stay on “%s”.", its.name)
            )
        elif its and shown.salespeople and not chosen.salespeople:
            sentences.append(env._("Salespeople's orders are no longer tracked."))
        return sentences

    def _get_shown(self):
        """Return what was proposed for the site, as ``Choice``."""
        websites, salespeople, tag = self.shown or ((), False, False)
        return Choice(frozenset(websites), salespeople, tag)

    def _get_choice(self):
        """Return what is chosen for the site, as ``Choice``."""
        websites = frozenset(self.website_ids._origin.ids)
        return Choice(websites, self.has_salespeople, self.matomo_tag)

    @api.onchange("till_source")
    def _onchange_till_source(self):
        if self.till_source == "own" and not self.till_choice_id:
            others = self.line_ids.filtered(lambda line: line.sequence == 2)
            self.till_choice_id = others[:1]

    # === STEP 1: THE LOGIN === #

    def action_log_in(self):
        """Ask Matomo what this login or token may do, and show what can be chosen.

        :raise UserError: with what to do, if Matomo refuses
        """
        self, taken = self._take_secrets()
        self.url = clean_address(self.url or "")
        sites = self.env["matomo.site"]
        sites._check_address(self.url)
        is_login = self.way == "login"
        if is_login and not (self.login and taken[PASSWORD_KEY]):
            raise UserError(self.env._("Enter login and password of your Matomo."))
        if not is_login and not taken[OWN_TOKEN_KEY]:
            raise UserError(self.env._("Enter a token of your Matomo."))
        self._note_try()
        open_client = partial(sites._get__client_for_setup, self.url)
        try:
            if is_login:
                login = self.login.strip()
                password, code = taken[PASSWORD_KEY], taken[CODE_KEY]
                token, offer = connect.log_in(
                    self.env, open_client, login, password, code
                )
            else:
                token = taken[OWN_TOKEN_KEY]
                offer = connect.read_offer(self.env, open_client, token)
        except MatomoError as error:
            failure = error
        else:
            clients = self._open_current(offer) if is_login else {}
            kept = connect.find_working(self.env, clients)
            run_in_transaction(self.env, lambda: self._show_offer(offer, kept))
            return self._get_action(token)
        if failure.kind not in TRIED_KINDS:
            run_in_transaction(self.env, self._forget_try)
        # Raised here, its traceback holds nothing of the request.
        raise UserError(describe_error(self.env, failure))

    def _note_try(self):
        """Note that a password is tried; this outlives what fails, and this wizard.

        :raise UserError: if too many were tried
        """
        if self.way != "login":
            return
        now = fields.Datetime.now()
        key = address_key(self.url)
        wizards = self.search([("create_uid", "=", self.env.uid)])
        # With the address: another one may be entered since.
        dates = [
            fields.Datetime.to_datetime(date)
            for wizard in wizards
            for tried, date in wizard.try_dates or []
            if tried == key
        ]
        recent = sorted(date for date in dates if date > now - TRIES_WITHIN)
        if len(recent) >= MAX_TRIES:
            left = recent[-MAX_TRIES] + TRIES_WITHIN - now
            raise UserError(
                self.env._(
                    "You have tried %(count)s times. After too many wrong passwords "
                    "Matomo locks Odoo's server out and takes no orders from it. Log "
                    "in to Matomo itself meanwhile to be sure of the password. Minutes "
                    "to wait: %(minutes)s.",
                    count=len(recent),
                    minutes=math.ceil(left.total_seconds() / 60),
                )
            )
        entry = [key, fields.Datetime.to_string(now)]
        self.try_dates = [*(self.try_dates or []), entry]

    def _forget_try(self):
        """Take the last try back: it was no wrong password."""
        self.try_dates = (self.try_dates or [])[:-1]

    def _get_current_sites(self):
        """Return the sites of the company's channels that are in this Matomo."""
        sites = self._get_channel_sites(self.company_id)
        key = address_key(self.url)
        return sites.filtered(lambda site: site.address_key == key)

    def _open_current(self, offer):
        """Return clients with the tokens that are here: ``{idsite: client}``."""
        offered = {site.idsite for site in offer.sites}
        sites = self._get_current_sites().filtered("has_token")
        return {
            site.idsite: site._get__client()
            for site in sites[:MAX_CURRENT]
            if site.idsite in offered and site._may_send()
        }

    def _show_offer(self, offer, kept):
        """Show the sites of an ``Offer``, with what is set or likely chosen.

        :param kept: the numbers of sites whose token is here and works
        """
        company, websites = self.company_id, self._get_websites()
        address = websites[:1].get_base_url()
        current = self._get_current_sites().mapped("idsite")
        by_number = {site.idsite: site for site in offer.sites}
        known = [by_number[number] for number in current if number in by_number]
        likely = (known or [choose_site(offer.sites, urlsplit(address).netloc)])[0]
        lines = [
            {
                **asdict(site),
                "sequence": 0 if site == likely else 3,
                "keeps_token": site.idsite in kept,
            }
            for site in offer.sites
        ]
        if offer.is_superuser:
            tills = self.env._("%s, tills", company.name)
            lines += [
                self._prepare_new_line(company.name, address),
                self._prepare_new_line(tills, "") | {"sequence": 2},
            ]
        self.line_ids.unlink()
        self.write(
            {
                "step": "choose",
                "try_dates": False,
                "needs_password": False,
                "line_ids": [Command.create(line) for line in lines],
                "is_superuser": offer.is_superuser,
                "has_ecommerce": offer.has_ecommerce,
                "email": offer.email,
                "keeps_tills": bool(self.tills_now),
            }
        )
        # As they are created, they are not sorted yet.
        lines = self.line_ids.sorted("sequence")
        mine = lines.filtered(lambda line: line.sequence != 2)
        is_clear = likely or not offer.sites
        tills = lines - mine
        source = ("own" if tills else "same") if self.has_tills else "none"
        self.write(
            {
                "site_choice_id": mine[:1].id if is_clear or len(mine) == 1 else False,
                "till_source": source,
                "till_choice_id": tills[:1].id if source == "own" else False,
            }
        )
        # Also where no site is chosen yet, or somebody has changed a channel since.
        self._compute_shown()
        self._compute_channels()

    def _prepare_new_line(self, name, url):
        timezone = self.company_id.partner_id.tz or self.env.user.tz or "UTC"
        return {
            "idsite": 0,
            "sequence": 1,
            "name": name,
            "main_url": url,
            "currency": self.company_id.currency_id.name,
            "timezone": timezone,
            "is_ecommerce": True,
            "access": "admin",
        }

    # === STEP 2: THE CHOICE === #

    def action_connect(self):
        """Set Matomo up as chosen, then create the sites here, in one transaction.

        :raise UserError: with what to do, if something is missing or Matomo refuses
        """
        self, taken = self._take_secrets()
        if self.step == "prove":
            # A second click: the first one has set everything up.
            return self._get_action()
        if not taken[TOKEN_KEY]:
            # The wizard was left: the login is asked once more.
            self.step = "login"
            return self._get_action()
        self._check_choice(taken[OWN_TOKEN_KEY])
        try:
            with self._working():
                token, facts = self._set_up_in_matomo(taken)
                run_in_transaction(self.env, lambda: self._create_sites(token, facts))
        except MatomoError as error:
            failure = error
        else:
            return self._get_action()
        if failure.kind == "user_exists":
            # The form has to show the field of the password.
            run_in_transaction(self.env, self._ask_password)
            return self._get_action(taken[TOKEN_KEY])
        # Raised here, its traceback holds nothing of the request.
        raise UserError(describe_error(self.env, failure))

    @contextmanager
    def _working(self):
        """Work in Matomo within this block, and let no second click do so meanwhile.

        It would make a second site or order there.

        :raise UserError: if another click is at work
        """
        run_in_transaction(self.env, self._begin_work)
        try:
            yield
        except BaseException:
            # What is not complete is not committed with the end of the work.
            self.env.cr.rollback()
            raise
        finally:
            run_in_transaction(self.env, self._end_work)

    def _begin_work(self):
        now = fields.Datetime.now()
        is_free = self.try_lock_for_update()
        if not is_free or (self.work_date and self.work_date > now - WORK_TIME):
            raise UserError(
                self.env._(
                    "This is being done already. Wait a moment, then look again."
                )
            )
        self.work_date = now

    def _end_work(self):
        self.work_date = False

    def _ask_password(self):
        self.needs_password = True

    def _check_choice(self, own_token):
        """Refuse a choice with which nothing can be set up."""
        lines = self._get_lines()
        if not self.site_choice_id or (self._has_own_tills() and len(lines) < 2):
            raise UserError(
                self.env._("Choose the site in Matomo, each channel another one.")
            )
        if self.needs_token and not own_token:
            raise UserError(
                self.env._(
                    "Your login may not make users in Matomo. Follow the steps that "
                    "are shown, and enter the token."
                )
            )
        for line in lines:
            site = self._find_site(line)
            outside = bool(site) and site._describe_outside_token()
            if outside and not self._keeps_tokens(lines):
                raise UserError(outside)
            if not self._find_currency(line):
                error = Misconfigured("currency_inactive", currency=line.currency)
                raise UserError(describe_error(self.env, error))

    def _find_currency(self, line):
        return self.env["matomo.site"]._find_currency(line.currency)

    def _set_up_in_matomo(self, taken):
        """Do in Matomo what the plan says.

        :return: the token that is to be stored, "" if those that are here stay, and
            ``{idsite: Facts}``
        :raise MatomoError: what Matomo refuses; it may be tried again
        """
        env, lines = self.env, self._get_lines()
        sites = env["matomo.site"]
        open_client = partial(sites._get__client_for_setup, self.url)
        targets = [line._get_target() for line in lines]
        user, password = self._prepare_user(), taken[PASSWORD_KEY]
        keeps = self._keeps_tokens(lines)
        token = taken[TOKEN_KEY]

        def keep(position, idsite):
            run_in_transaction(
                env, lambda: lines[position].write({"idsite": idsite, "sequence": 0})
            )

        idsites = connect.prepare_sites(env, open_client, token, targets, keep)
        if keeps:
            clients = {
                line.idsite: self._find_site(line)._get__client() for line in lines
            }
            return "", connect.read_all(env, clients)
        if self._makes_user():
            own = connect.make_user(env, open_client, token, user, idsites, password)
        else:
            own = taken[OWN_TOKEN_KEY] or token
        clients = {idsite: open_client(own) for idsite in idsites}
        return own, connect.read_all(env, clients)

    def _makes_user(self):
        return self.way == "login" and not self.needs_token

    def _prepare_user(self):
        """Return the user that is made in Matomo, a ``setup.NewUser``."""
        key = self.env["matomo.site"]._get_database_uuid()[:6]
        return get_user(self.company_id.name, key, self.email or "")

    def _create_sites(self, token, facts):
        """Create the sites, or take up what there is, and set the channels."""
        shop, *tills = [
            self._create_site(line, token, facts) for line in self._get_lines()
        ]
        self._set_channels(shop)
        till_site = tills[0] if tills else shop
        if self.keeps_tills:
            till_site = self._get_tills().matomo_site_id.sudo(self.env.su)[:1]
        elif self.till_source == "same" and self._is_of_website(shop):
            self._get_tills().matomo_follows_website = True
        elif self.till_source != "none":
            self._get_tills().matomo_site_id = till_site
        else:
            self._get_tills().filtered("matomo_site_id").matomo_site_id = False
        self.write({"step": "prove", "site_id": shop.id, "till_site_id": till_site.id})
        self.order_ref = self._find_order()
        if not self.order_ref:
            # sudo: readonly for everybody.
            (shop | till_site).sudo().tells_first_order = True

    def _is_of_website(self, site):
        """Return whether a site is that of the company's website, as tills see it."""
        return self.company_id.sudo().website_id.matomo_site_id == site

    def _set_channels(self, site):
        """Give the site to what was chosen, and take it from what was taken out."""
        # sudo: an administrator may set all of these in the settings, and need not be
        # a designer of websites.
        websites, company = self._get_websites().sudo(), self.company_id.sudo()
        channels = self._get_channels(websites | self.website_ids)
        shown, choice = self._get_shown(), self._get_choice()
        changes = find_changes(channels, site.id, shown, choice)
        websites.browse(changes.joining).matomo_site_id = site
        websites.browse(changes.leaving).matomo_site_id = False
        websites.browse(changes.tag_on).matomo_tag = True
        websites.browse(changes.tag_off).matomo_tag = False
        if changes.salespeople is not None:
            company.matomo_site_id = site if changes.salespeople else False

    def _find_site(self, line):
        """Return the site of a line that is here already, empty if there is none."""
        sites = self.env["matomo.site"]
        if not line.idsite:
            return sites
        return sites.search(
            [
                ("company_id", "=", self.company_id.id),
                ("address_key", "=", address_key(self.url)),
                ("idsite", "=", line.idsite),
            ],
            limit=1,
        )

    def _create_site(self, line, token, facts):
        """Return the site of a line: a new one, or the one that is here already."""
        sites, found = self.env["matomo.site"], self._find_site(line)
        values = {"currency_id": self._find_currency(line).id}
        # The token of Odoo's own user was made without an end.
        made = {"is_token_endless": True} if self._makes_user() else {}
        secret = {"token_auth": token, **made} if token else {}
        if not found or line == self.site_choice_id:
            values |= {
                "consent_policy": self.consent_policy,
                "track_carts": self.track_carts,
            }
        if found:
            # What is the same is not written anew: it may have Odoo forget its pages.
            now = found.read(list(values), load=None)[0]
            values = {
                name: values[name] for name in values if values[name] != now[name]
            }
            found.write(values | secret)
        else:
            found = sites.create(
                {
                    **values,
                    **secret,
                    "url": self.url,
                    "name": line.name or urlsplit(self.url).hostname,
                    "idsite": line.idsite,
                    "company_id": self.company_id.id,
                    **({"timezone": line.timezone} if is_known(line.timezone) else {}),
                    **({"page_url": line.main_url} if line.main_url else {}),
                }
            )
        answer = facts[line.idsite]
        trouble, findings = found._apply_test(answer)
        sentences = (
            [describe_error(self.env, trouble)]
            if trouble
            else found._describe_wrong(findings)
        )
        self.concerns = "\n".join(filter(None, [self.concerns, *sentences])) or False
        return found

    # === STEP 3: THE PROOF === #

    @api.model
    def _selection_orders(self):
        models_ = self.env["matomo.order.mixin"]._get_matomo_order_models()
        return [(each._name, each._description) for each in models_]

    def _get_sites(self):
        return self.site_id | self.till_site_id

    def _find_order(self):
        """Return the newest order of the channels that Matomo would be sent.

        :return: as a value of ``order_ref``, None if there is none
        """
        newest = None
        for site in self._get_sites():
            for orders in self.env["matomo.order.mixin"]._get_matomo_order_models():
                # sudo: an administrator need not be a salesperson; of the order only
                # its number and its day are shown.
                domain = (
                    Domain(orders._get_matomo_sale_domain())
                    & Domain("company_id", "=", self.company_id.id)
                    & orders._get_matomo_site_domain(site)
                )
                found = orders.sudo().search(
                    domain, order="date_order desc, id desc", limit=NEWEST
                )
                sendable = found.filtered(
                    lambda order: not order._get_matomo_content_verdict()
                )[:1]
                if sendable and (not newest or sendable.date_order > newest.date_order):
                    newest = sendable
        return newest and f"{newest._name},{newest.id}"

    def _get_order(self):
        """Return the order of the proof in sudo, or None, see ``_find_order``.

        Since it was chosen it may be deleted, or its channel may have lost its site.
        """
        order = self.order_ref.sudo().exists() if self.order_ref else None
        return order if order and order._get_matomo_site() else None

    @api.depends("order_ref", "asked_date")
    @api.depends_context("lang")
    def _compute_proof(self):
        for wizard in self:
            order = wizard._get_order()
            request = order._get_matomo_request() if order else None
            stage = find_stage(wizard._get_proof_facts(order, request))
            wizard.proof_stage = stage
            wizard.is_waiting = stage in WAITING
            wizard.proof_message = describe_proof(
                wizard.env, stage, wizard._get_proof_figures(order, request)
            )

    def _get_proof_facts(self, order, request):
        return ProofFacts(
            now=fields.Datetime.now(),
            has_order=bool(order),
            asked=self.asked_date or None,
            state=request.state or "" if request else "",
            is_tried=bool(
                request and request.attempt_count and request.site_id.state != "ok"
            ),
            is_off=bool(get_stopped_actions(self.env)),
            sent=(request.sent_date or None) if request else None,
        )

    def _get_proof_figures(self, order, request):
        """Return what the sentences of the proof name."""
        if not order:
            return {}
        sent, seen = (request.sent_date, request.verified_date) if request else (0, 0)
        site = order._get_matomo_site()
        is_early = order.date_order < site._get_start()
        return {
            "name": order._get_matomo_order_name(),
            "seconds": round((seen - sent).total_seconds()) if sent and seen else None,
            "reason": (request.reason or "") if request else "",
            "trouble": site.state_message or "",
            "start": is_early and format_date(self.env, self._get_day(order, site)),
        }

    def _get_day(self, order, site):
        """Return the day of an order on the clock of its site."""
        moment = pytz.utc.localize(order.date_order)
        return moment.astimezone(get_timezone(site.timezone)).date()

    def action_prove(self):
        """Send the newest order the real way; what becomes of it is shown."""
        self.ensure_one()
        self._check_may_connect()
        order = self._get_order()
        if not order:
            return self._get_action()
        site = order._get_matomo_site()
        if order.date_order < site._get_start():
            site.date_start = self._get_day(order, site)
        order._matomo_enqueue()
        request = order._get_matomo_request()
        if request.state == "excluded" or request.state == "failed":
            order.action_matomo_retrack()
        self.env["matomo.request"]._wake_sender()
        self.asked_date = fields.Datetime.now()
        return self._get_action()

    def action_refresh(self):
        """Have the verifier look at once, not in a minute; the form calls this."""
        self.ensure_one()
        self._check_may_connect()
        order = self._get_order()
        request = order._get_matomo_request() if order and self.asked_date else None
        if not request or request.state != "sent" or not request.next_check_date:
            return
        now = fields.Datetime.now()
        due = max(now, request.sent_date + LOOK_AFTER)
        if request.next_check_date > due and now >= request.sent_date + LOOK_AFTER:
            request.next_check_date = now
            request._wake_verifier()

    def action_send_test(self):
        """Send a test order, which stays in Matomo, and say whether it is there.

        :raise UserError: with what to do, if Matomo refuses
        """
        self.ensure_one()
        self._check_may_connect()
        if not self.wants_test_order:
            raise UserError(self.env._("Tick that the order stays in Matomo."))
        site = self.site_id
        url, idsite = site._get_page_url(), site.idsite
        name = self.env._("Test of the connection with Odoo")
        try:
            client = site._get__client()
            with self._working():
                ref, seconds = connect.send_test_order(
                    self.env, client, idsite, url, name, fields.Datetime.now()
                )
        except MatomoError as error:
            failure = error
        else:
            run_in_transaction(self.env, lambda: self._show_test(ref, seconds))
            return self._get_action()
        raise UserError(describe_error(self.env, failure))

    def _show_test(self, ref, seconds):
        self.wants_test_order = False
        self.test_message = (
            self.env._(
                "Matomo has accepted the test order %s, and does not show it yet.", ref
            )
            if seconds is None
            else describe_proof(
                self.env,
                "verified",
                {"name": self.env._("The test order %s", ref), "seconds": seconds},
            )
        )

    def action_restart(self):
        """Return the wizard at its first step; what is set up stays."""
        self.ensure_one()
        self._check_may_connect()
        return self.create({"url": self.url})._get_action()

    def action_done(self):
        """Close the wizard and show the site."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "matomo.site",
            "res_id": self.site_id.id,
            "view_mode": "form",
            "views": [(False, "form")],
        }


def _wants_tag(websites):
    """Return whether a tag is proposed: no own code of the websites adds one."""
    codes = [code for site in websites for code in site._get_matomo_codes("setSiteId")]
    return not any("setSiteId" in code for code in codes)
