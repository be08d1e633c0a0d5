"""An administrator tries all ways on which the token might leave Odoo."""

import json
import logging
import warnings
from datetime import timedelta
from unittest.mock import patch
from xmlrpc.client import Fault

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Domain
from odoo.tests import Form, HttpCase, tagged
from odoo.tools import config
from odoo.tools.profiler import Profiler

from odoo.addons.matomo_order_tracking.tools.outside_token import get_name

from .common import MODULE, MatomoCommon

CANARY = "canary0123456789abcdef0123456789"
GUESS = f"{CANARY[:3]}%"


class Log(logging.Handler):
    """All that is logged at debug level, but for ``debug_sql``."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record):
        if record.name != "odoo.sql_db" or record.levelno > logging.DEBUG:
            self.text += f"{record.name} {self.format(record)}\n"

    def __enter__(self):
        root = logging.getLogger()
        self._usual = root.handlers, root.level
        root.handlers = [self]
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_exc):
        root = logging.getLogger()
        root.handlers, level = self._usual
        root.setLevel(level)


@tagged("post_install", "-at_install")
class TestTokenLeaks(MatomoCommon):
    """An administrator, who may enter the token, cannot read it."""

    def setUp(self):
        super().setUp()
        self.site.sudo().token_auth = CANARY
        self.admin = self.env.ref("base.user_admin")
        self.admin.company_ids += self.company
        self.sites = self.env["matomo.site"].with_user(self.admin)
        self.as_admin = self.sites.browse(self.site.id)

    # === ASKING A LITTLE === #

    def test_nobody_can_search_sort_or_group(self):
        sites = self.sites
        for asked in (
            lambda: sites.search([("token_auth", "=like", GUESS)]),
            lambda: sites.search([("token_auth", "=", CANARY)]),
            lambda: sites.search([("token_auth", "!=", False)]),
            lambda: sites.search_count([("token_auth", ">", "c")]),
            lambda: sites.web_search_read([("token_auth", "ilike", "canary")], {}),
            lambda: sites.name_search("", [("token_auth", "=like", GUESS)]),
            lambda: sites.search([], order="token_auth"),
            lambda: sites.search([], order="company_id, token_auth DESC"),
            lambda: sites.read_group([], ["name"], ["token_auth"]),
            lambda: sites.formatted_read_group([], ["token_auth"]),
            lambda: sites.web_read_group([], ["token_auth"]),
            lambda: sites.formatted_read_group([], ["name"], ["token_auth:max"]),
            lambda: sites.formatted_read_group([], [], ["token_auth:array_agg"]),
            lambda: sites.formatted_read_group([], [], ["token_auth:count_distinct"]),
            lambda: sites.formatted_read_group(
                [], ["name"], ["__count"], having=[("token_auth:max", ">", "c")]
            ),
            lambda: sites.formatted_read_group(
                [], ["name"], ["__count"], order="token_auth:max"
            ),
            lambda: sites.search_panel_select_range("token_auth"),
            lambda: self.as_admin.filtered_domain([("token_auth", "=like", GUESS)]),
            lambda: self.env["matomo.request"]
            .with_user(self.admin)
            .search([("site_id.token_auth", "=like", GUESS)]),
            lambda: self.env["res.company"]
            .with_user(self.admin)
            .search([("matomo_site_id", "any", [("token_auth", "=like", GUESS)])]),
        ):
            # Not even the superuser: nothing of ours has to.
            # Odoo refuses some of it by itself, as what is no such question.
            with self.assertRaises(Exception) as caught, self.cr.savepoint():
                # read_group is deprecated, but any client may still call it.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    asked()
            self.assertIsInstance(
                caught.exception, (AccessError, UserError, ValueError)
            )
        with self.assertRaises(AccessError):
            sites.sudo().search(Domain("token_auth", "=like", GUESS))

    def test_the_web_client_does_not_offer_it(self):
        description = self.sites.fields_get(["token_auth"])["token_auth"]
        self.assertFalse(description.get("searchable"))
        self.assertFalse(description.get("sortable"))
        self.assertFalse(description.get("groupable"))

    # === ASKING IN OTHER WORDS === #

    def test_no_other_field_shows_it(self):
        for model, path in (
            ("matomo.site", "token_auth"),
            ("matomo.request", "site_id.token_auth"),
            ("res.company", "matomo_site_id.token_auth"),
        ):
            with self.assertRaisesRegex(ValidationError, "is write-only"):
                self.env["ir.model.fields"].with_user(self.admin).create(
                    {
                        "model_id": self.env["ir.model"]._get_id(model),
                        "name": "x_leak",
                        "field_description": "Leak",
                        "ttype": "char",
                        "related": path,
                    }
                )

    def test_reading_in_all_ways(self):
        site, sites = self.as_admin, self.sites
        export = self.env["ir.exports"].create(
            {
                "name": "All",
                "resource": "matomo.site",
                "export_fields": [(0, 0, {"name": "token_auth"})],
            }
        )
        answers = [
            site.read(),
            site.read(["token_auth"]),
            site.web_read({"token_auth": {}, "name": {}, "message_ids": {}}),
            sites.search_read([], ["token_auth"]),
            sites.web_search_read([], {"token_auth": {}}),
            site.export_data(export.export_fields.mapped("name")),
            site.onchange({}, [], {"name": {}, "token_auth": {}}),
            site.onchange(
                {"token_auth": "other", "name": "x"}, ["name"], {"token_auth": {}}
            ),
            sites.default_get(["token_auth"]),
            sites.with_context(default_token_auth=CANARY).default_get(["token_auth"]),
            site.copy_data(),
            site.get_metadata(),
            site.web_save({"name": "Renamed"}, {"token_auth": {}}),
            site.web_save({"token_auth": CANARY}, {"token_auth": {}}),
            sites.fields_get(),
            sites.get_views([(False, "form"), (False, "list"), (False, "search")]),
            sites.name_search("Renamed"),
            sites.get_import_templates(),
            self.env["base_import.import"].get_fields_tree("matomo.site"),
        ]
        self.assertIn("Renamed", str(answers))
        self.assertNotIn(CANARY, str(answers))

    def test_entering_it_leaves_no_trace(self):
        self.as_admin.write({"token_auth": f" {CANARY}2\n", "name": "Renamed"})
        self.env.flush_all()
        self.assertEqual(self.site.sudo()._get__token(), f"{CANARY}2")
        messages = self.site.sudo().message_ids
        self.assertNotIn(
            CANARY, str(messages.read()) + str(messages.tracking_value_ids.read())
        )
        with self.assertRaises(ValidationError):
            self.as_admin.token_auth = "x" * 256

    def test_form_keeps_it(self):
        with Form(self.as_admin) as form:
            self.assertFalse(form.token_auth)
            form.name = "Renamed"
        self.assertEqual(self.site.sudo()._get__token(), CANARY)

    def test_settings_hand_out_nothing(self):
        website = self.env["website"].sudo().create({"name": "Shop"})
        website.company_id = self.company
        website.matomo_site_id = self.site
        settings = self.env["res.config.settings"].with_user(self.admin)
        names = [name for name in settings._fields if "matomo" in name]
        answers = [
            settings.default_get(names),
            settings.onchange({}, [], {name: {} for name in names}),
            settings.create({"website_id": website.id}).read(names),
        ]
        self.assertIn(self.site.url, str(answers))
        self.assertNotIn(CANARY, str(answers))

    # === WHO MAY HAVE IT SENT WHERE === #

    def test_manager_cannot_have_it_sent_elsewhere(self):
        site = self.site.with_user(self.make_manager())
        for url in (
            "https://evil.example.com/",
            "https://matomo.example.com:8443/",
            "https://matomo.example.com/~mallory/",
        ):
            self.site.sudo().token_auth = CANARY
            site.url = url
            self.assertFalse(self.site.sudo()._get__token(), url)

    def test_manager_may_write_the_same_address_otherwise(self):
        site = self.site.with_user(self.make_manager())
        site.url = "https://matomo.example.com/matomo.php"
        self.assertEqual(self.site.sudo()._get__token(), CANARY)

    def test_token_kept_outside_does_not_move_either(self):
        site = self.site.with_user(self.make_manager())
        name = get_name(self.env.cr.dbname, site.id)
        with (
            patch.dict("os.environ", {name: "outside", f"{name}_URL": site.url}),
            self.assertRaisesRegex(AccessError, "Only an administrator"),
        ):
            site.url = "https://evil.example.com/"
        self.startPatcher(
            patch.dict(
                config.options,
                {name.lower(): "outside", f"{name.lower()}_url": site.url},
            )
        )
        with self.assertRaisesRegex(AccessError, "Only an administrator"):
            site.url = "https://evil.example.com/"
        self.assertEqual(self.site.sudo()._get__token(), "outside")
        self.as_admin.url = "https://new.example.com/"
        self.assertEqual(self.site.url, "https://new.example.com/")
        self.assertFalse(self.site.sudo()._get__token())

    # === TEMPLATES === #

    def render(self, expression):
        """Return what a designer's template shows the public, or its error."""
        key = "website.leak"
        with self.cr.savepoint() as savepoint:
            try:
                view = (
                    self.env["ir.ui.view"]
                    .with_user(self.designer)
                    .create(
                        {
                            "name": "Leak",
                            "type": "qweb",
                            "key": key,
                            "arch": f'<t t-name="{key}"><p t-out="{expression}"/></t>',
                        }
                    )
                )
                public = self.env.ref("base.public_user")
                site = self.site.with_user(public).sudo(False)
                qweb = self.env["ir.qweb"].with_user(public).sudo(False)
                return str(qweb._render(view.id, {"site": site}))
            except Exception as error:  # noqa: BLE001
                return repr(error)
            finally:
                savepoint.rollback()

    def test_no_template_of_a_designer_prints_it(self):
        """Designers, who are no administrators, may write templates in sudo."""
        name = get_name(self.env.cr.dbname, self.site.id)
        outside = {name: CANARY, f"{name}_URL": self.site.url}
        self.designer = self.make_user(
            "designer", "base.group_user,website.group_website_designer"
        )
        self.assertFalse(self.designer.has_group("base.group_system"))
        # The template itself works.
        self.assertIn(self.site.url, self.render("site.sudo().url"))
        for expression in (
            "site.sudo().token_auth",
            "site.sudo()['token_auth']",
            "site.sudo().mapped('token_auth')",
            "site.sudo().read(['token_auth'])",
            "(site.sudo().read(['token_auth']), dict(site.sudo()._cache))",
            "(site.sudo().fetch(['token_auth']), site.sudo()._cache['token_auth'])",
            "site.sudo()._get__token()",
            "site.sudo()._get__outside_token().token",
            "site.sudo()._get__client()._token",
            "site.sudo()._get_client()._token",
        ):
            for environment in ({}, outside):
                with patch.dict("os.environ", environment):
                    self.assertNotIn(CANARY, self.render(expression), expression)
        # The README says so: Odoo lets them run SQL.
        query = "SELECT token_auth FROM matomo_site"
        sql = f"(site.env.cr.execute('{query}'), site.env.cr.fetchall())"
        self.assertIn(CANARY, self.render(sql))
        # A secret that is written to a field is in the cache until it is stored.
        self.site.sudo().token_auth = CANARY
        self.assertNotIn(CANARY, str(dict(self.site.sudo()._cache)))

    def test_manager_cannot_write_it(self):
        sites = self.env["matomo.site"].with_user(self.make_manager())
        site = sites.browse(self.site.id)
        values = {"name": "New", "url": "https://evil.example.com/", "idsite": 5}
        for attempt in (
            lambda: site.write({"token_auth": "mine"}),
            lambda: sites.create({**values, "token_auth": "mine"}),
            lambda: sites.with_context(default_token_auth="mine").create(values),
            lambda: site.copy({"token_auth": "mine", "idsite": 8}),
            lambda: site.web_save({"token_auth": "mine"}, {}),
        ):
            with self.assertRaises(AccessError):
                attempt()
        outcome = sites.load(["id", "token_auth"], [[f"{MODULE}.none", "mine"]])
        self.assertFalse(outcome["ids"])


@tagged("post_install", "-at_install")
class TestTokenInTheLog(MatomoCommon, HttpCase):
    """Neither the answers nor the debug log contain the token if saving it fails."""

    def setUp(self):
        super().setUp()
        self.site.sudo().token_auth = CANARY
        self.twin = self.site.sudo().copy({"idsite": 77})
        admin = self.env.ref("base.user_admin")
        admin.write({"company_ids": [(4, self.company.id)]})
        self.manager = self.make_manager()
        self.manager.password = "matomo_manager"

    def call(self, model, method, *args, **kwargs):
        """Call a method as the web client does. Return the whole answer."""
        return self.url_open(
            f"/web/dataset/call_kw/{model}/{method}",
            data=json.dumps(
                {
                    "jsonrpc": "2.0",
                    "method": "call",
                    "params": {
                        "model": model,
                        "method": method,
                        "args": args,
                        "kwargs": {
                            "context": {"allowed_company_ids": self.company.ids},
                            **kwargs,
                        },
                    },
                }
            ),
            headers={"Content-Type": "application/json"},
        ).text

    def test_saving_it_is_in_no_log_of_statements(self):
        """Neither Odoo's debug log of statements nor its profiler has the token."""
        profiler = Profiler(collectors=["sql"], db=None)
        with self.assertLogs("odoo.sql_db", level="DEBUG") as logs, profiler:
            self.site.sudo().token_auth = f"{CANARY}4"
            self.env.flush_all()
        self.assertEqual(self.site.sudo()._get__token(), f"{CANARY}4")
        self.assertIn("matomo_site", str(logs.output))
        self.assertNotIn(CANARY, str(logs.output) + profiler.json())

    def test_saving_the_token(self):
        self.authenticate("admin", "admin")
        ids, secret = self.site.ids, {"token_auth": f"{CANARY}2"}
        spec = {"name": {}, "token_auth": {}}
        values = {"name": "New", "url": "https://a.example.com/", "idsite": 5}
        with Log() as log:
            answers = [
                self.call("matomo.site", "web_save", ids, secret, specification=spec),
                self.call("matomo.site", "write", ids, secret),
                self.call("matomo.site", "create", [{**values, **secret}]),
                self.call("matomo.site", "onchange", ids, secret, ["name"], spec),
                # What the database refuses.
                self.call("matomo.site", "write", ids, {**secret, "idsite": 77}),
                self.call("matomo.site", "write", ids, {**secret, "idsite": 10**12}),
                self.call("matomo.site", "write", ids, {**secret, "nothing": 1}),
                self.call("matomo.site", "create", [{**secret, "name": "New"}]),
                self.call("matomo.site", "create", [{**values, **secret}]),
                self.call(
                    "res.config.settings",
                    "create",
                    [{"matomo_token_auth": f"{CANARY}3", "matomo_url": "nowhere"}],
                ),
            ]
        self.assertIn("result", json.loads(answers[0]))
        self.assertIn("already exists", answers[4])
        for text in (*answers, log.text):
            self.assertNotIn(CANARY, text)
        self.assertIn("POST /web/dataset/call_kw/matomo.site/web_save", log.text)
        self.assertIn("call of a method with a token: not shown", log.text)

    def test_saving_the_token_by_other_protocols(self):
        """Programs save the token by JSON-2, JSON-RPC and XML-RPC, too."""
        admin = self.env.ref("base.user_admin")
        keys = self.env["res.users.apikeys"].with_user(admin)
        key = keys._generate("rpc", "Test", fields.Datetime.now() + timedelta(days=1))
        ids, secret = self.site.ids, {"token_auth": f"{CANARY}2"}
        tries = [secret, {**secret, "idsite": 77}, {**secret, "nothing": 1}]
        login = self.env.cr.dbname, admin.id, key
        answers = []
        with Log() as log:
            for values in tries:
                answers += [
                    self.url_open(
                        "/json/2/matomo.site/write",
                        json={"ids": ids, "vals": values},
                        headers={"Authorization": f"Bearer {key}"},
                    ).text,
                    self.url_open(
                        "/jsonrpc",
                        json={
                            "jsonrpc": "2.0",
                            "params": {
                                "service": "object",
                                "method": "execute_kw",
                                "args": [*login, "matomo.site", "write", [ids, values]],
                            },
                        },
                    ).text,
                ]
                try:
                    answers.append(
                        self.xmlrpc_object.execute_kw(
                            *login, "matomo.site", "write", [ids, values]
                        )
                    )
                except Fault as fault:
                    answers.append(repr(fault))
        self.assertEqual(self.site.sudo()._get__token(), f"{CANARY}2")
        self.assertEqual(answers[0], "true")
        self.assertIs(answers[2], True)
        self.assertIn("already exists", str(answers[3:6]))
        for text in (*map(str, answers), log.text):
            self.assertNotIn(CANARY, text)
        self.assertIn("POST /json/2/matomo.site/write", log.text)

    def test_a_row_that_is_refused_is_not_shown(self):
        """PostgreSQL's error shows the whole row that violates a constraint."""
        self.authenticate("matomo_manager", "matomo_manager")
        model = self.env["matomo.site"]
        with Log() as log:
            answers = [
                self.call("matomo.site", "write", self.site.ids, {name: value})
                for name, field in model._fields.items()
                for value in (False, -1, 10**12, "\x00", "x" * 5000)
                if field.store and name not in ("id", "active")
            ]
            answers.append(self.call("matomo.site", "unlink", self.site.ids))
        self.assertIn("must not be empty", "".join(answers))
        for text in (*answers, log.text):
            self.assertNotIn(CANARY, text)
            self.assertNotIn("Failing row", text)

    def test_the_table_checks_nothing(self):
        self.env.cr.execute(
            "SELECT conname FROM pg_constraint"
            " WHERE conrelid = 'matomo_site'::regclass AND contype = 'c'"
        )
        self.assertFalse(self.env.cr.fetchall())
