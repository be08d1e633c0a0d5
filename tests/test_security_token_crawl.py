"""No answer of Odoo, to a call or with a page, contains the token."""

import re

from odoo import Command
from odoo.service.model import call_kw
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import CANARY, MODULE, MatomoPosCommon, ShopperCommon, holds

# What is put where people may read it, to know that they have read it.
BAIT = "bait+9876/543210=fedcba"

SALES = "sales_team.group_sale_manager"
VIEWERS = {
    "admin": f"base.group_system,{MODULE}.group_matomo_manager,{SALES},"
    "point_of_sale.group_pos_manager",
    "manager": f"{MODULE}.group_matomo_manager,{SALES},base.group_allow_export,"
    "point_of_sale.group_pos_manager",
    "user": f"{MODULE}.group_matomo_user,{SALES},base.group_allow_export",
    "cashier": "base.group_user,point_of_sale.group_pos_user",
    "portal": "base.group_portal",
    "public": "base.group_public",
}
# Of which records each may read the bait.
READABLE = {
    "admin": "company day order request sale settings site till website",
    "manager": "company day order request sale site till website",
    "user": "company day order request site website",
    "cashier": "company sale till website",
    "portal": "company order website",
    "public": "company website",
}
# Ways that show a whole record to whoever may read it.
READING = {"read", "search_read", "web_read", "web_search_read"}
# What each finds the bait on; the others are refused or sent to the login page.
SHOP = {"/", "/shop", "/shop/cart", "product"}
STAFF = SHOP | {"/my", "/my/orders", "/odoo", "back office", "settings", "site"}
STAFF |= {"session", "till"}
PAGES = {
    "admin": STAFF | {"order", "export"},
    "manager": STAFF | {"order", "export"},
    "user": STAFF | {"order"},
    "cashier": STAFF,
    "portal": SHOP | {"/my", "/my/orders", "order"},
    "public": SHOP,
}
ACTIONS = (
    "matomo_request_action",
    "matomo_request_action_failed",
    "matomo_reconciliation_action",
    "matomo_reconciliation_cause_action",
    "matomo_site_action",
)
BUNDLES = {
    "web.assets_frontend.min.css",
    "web.assets_frontend_lazy.min.js",
    "web.assets_web.min.css",
    "web.assets_web.min.js",
    "point_of_sale.assets_prod.min.css",
    "point_of_sale.assets_prod.min.js",
}


@tagged("post_install", "-at_install")
class TestTokenCrawl(MatomoPosCommon, ShopperCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The name belongs to the browser's session from here on.
        cls.till_session, cls.session = cls.session, None
        cls.users = {
            name: cls.make_user(f"crawl_{name}", groups)
            for name, groups in VIEWERS.items()
        }
        for user in cls.users.values():
            user.sudo().password = f"{user.login}-password"
            # Made by the first page, where it costs a second attempt.
            cls.env["res.users.settings"].sudo()._find_or_create_for_user(user)
        cls.site.sudo().write({"token_auth": CANARY, "name": BAIT})

    def setUp(self):
        super().setUp()
        self.matomo.token = CANARY
        self.order = self.make_order(
            partner_id=self.users["portal"].partner_id.id, client_order_ref=BAIT
        )
        self.order.sudo().website_id = self.website
        self.confirm(self.order)
        self.sale = self.sync(
            self.make_sale(session=self.till_session), user=self.users["cashier"]
        )
        self.run_sender()
        self.run_verifier()
        for order in (self.order, self.sale):
            self.assertState(order, "verified")
        request = self.get_request(self.order)
        request.notes = BAIT
        self.sale.sudo().general_customer_note = BAIT
        comparison = self.env["matomo.reconciliation"].sudo()
        self.day = comparison.create(
            {
                "site_id": self.site.id,
                "day": "2026-03-03",
                "state": "different",
                "cause_ids": [Command.create({"kind": "foreign", "name": BAIT})],
            }
        )
        self.website.sudo().write({"name": f"Shop {BAIT}", "matomo_tag": True})
        self.company.sudo().name = f"Company {BAIT}"
        self.config.sudo().name = f"Till {BAIT}"
        self.chair.sudo().name = f"Chair {BAIT}"
        settings = self.env["res.config.settings"].with_user(self.users["admin"])
        self.records = {
            "site": self.site,
            "request": request,
            "day": self.day,
            "website": self.website,
            "till": self.config,
            "company": self.company,
            "order": self.order,
            "sale": self.sale,
            "settings": settings.create({"website_id": self.website.id}),
        }
        self.env.flush_all()

    def assertSilent(self, text, *where):
        self.assertFalse(holds(text, CANARY), where)

    # === RPC === #

    def ask(self, user, record, method, *args, **kwargs):
        """Return whether a call succeeds, and its answer or the text of the error."""
        model = self.env[record._name].with_user(user)
        kwargs["context"] = {"allowed_company_ids": self.company.ids, "lang": "en_US"}
        self.env.invalidate_all()
        try:
            with self.cr.savepoint() as savepoint:
                answer = call_kw(model, method, [*args], kwargs)
                savepoint.rollback()
                return str(answer), True
        except Exception as error:  # noqa: BLE001
            return repr(error), False

    def readable(self, user, record, names):
        """Return which of these fields of ``record`` a user can read.

        They are read one by one: Odoo refuses a whole call because of one field.
        """
        answer, is_answer = self.ask(user, record, "read", record.ids, names)
        self.assertSilent(answer, user.login, record, names)
        if is_answer or len(names) == 1:
            return names if is_answer else []
        half = len(names) // 2
        return [
            *self.readable(user, record, names[:half]),
            *self.readable(user, record, names[half:]),
        ]

    def calls(self, record, names):
        """Yield calls that read ``names`` of a record: method, arguments, options."""
        ids, own = record.ids, [("id", "in", record.ids)]
        plain = {name: {} for name in names}
        nested = {
            name: {"fields": {"display_name": {}, "token_auth": {}}}
            for name in names
            if record._fields[name].comodel_name == "matomo.site"
        }
        yield "read", [ids, names]
        yield "search_read", [own, names]
        yield "web_read", [ids, plain]
        yield "web_read", [ids, nested]
        yield "web_search_read", [own, plain]
        yield (
            "web_read_group",
            [own, ["create_uid"]],
            {"auto_unfold": True, "unfold_read_specification": plain},
        )
        yield "export_data", [ids, names]
        yield "name_search", ["", own]
        yield "default_get", [[*record._fields]]
        yield "onchange", [ids, {}, [], plain]
        yield "onchange", [[], {}, [], plain]
        yield "fields_get", []
        yield "get_views", [[(False, kind) for kind in ("form", "list", "search")]]
        for name in record._fields:
            if "matomo" in f"{record._name}.{name}":
                yield "read", [ids, [name]]
                yield "web_read", [ids, {name: {}}]
                yield "formatted_read_group", [own, [name], ["__count"]]

    @mute_logger(
        "odoo.domains", "odoo.tools.translate", "odoo.addons.base.models.ir_model"
    )
    def test_rpc(self):
        for name, user in self.users.items():
            found = {label: set() for label in self.records}
            for label, record in self.records.items():
                own = record.with_user(user)
                names = [*own.fields_get(attributes=())]
                if own.has_access("read"):
                    names = self.readable(user, record, names)
                for method, args, *options in self.calls(record, names):
                    answer, _is_answer = self.ask(
                        user, record, method, *args, **dict(*options)
                    )
                    self.assertSilent(answer, name, label, method)
                    if holds(answer, BAIT):
                        found[label].add(method)
            for label, methods in found.items():
                # Else the bait would not have been found, nor would the token.
                is_readable = label in READABLE[name].split()
                self.assertEqual(methods >= READING, is_readable, (name, label))
                self.assertEqual(bool(methods), is_readable, (name, label, methods))

    @mute_logger("odoo.addons.base.models.ir_model")
    def test_till(self):
        for name in ("admin", "manager", "cashier"):
            user = self.users[name]
            ids = self.till_session.ids
            for method, *args in (("load_data", ids, []), ("load_data_params", ids)):
                answer, is_answer = self.ask(user, self.till_session, method, *args)
                self.assertTrue(is_answer, answer)
                self.assertSilent(answer, name, method)
                self.assertEqual(holds(answer, BAIT), method == "load_data")

    # === PAGES === #

    def pages(self):
        """Return ``{name in PAGES: address}``."""
        session = "/web/session/get_session_info"
        return {
            **{path: path for path in ("/", "/shop", "/shop/cart")},
            "product": self.chair.website_url,
            **{path: path for path in ("/my", "/my/orders", "/odoo")},
            "order": f"/my/orders/{self.order.id}",
            "back office": f"/odoo/sales/{self.order.id}",
            "settings": "/odoo/settings",
            "site": f"/odoo/matomo-sites/{self.site.id}",
            "menus": "/web/webclient/load_menus",
            "words": "/web/webclient/translations",
            "till": f"/pos/ui/{self.config.id}",
            "export": "/matomo_order_tracking/partner/"
            f"{self.users['portal'].partner_id.id}",
            "session": session,
        }

    def get(self, name, path, **options):
        """Return the page at an address, if Odoo does not redirect."""
        answer = self.url_open(path, timeout=120, **options)
        self.assertSilent(answer.text, name, path)
        return answer if answer.url.partition("?")[0].endswith(path) else None

    def call_json(self, name, path, **params):
        return self.get(name, path, json={"jsonrpc": "2.0", "params": params})

    # A distribution's Odoo may lack a library for video calls, and says so.
    @mute_logger(
        "odoo.http",
        "odoo.addons.base.models.assetsbundle",
        "odoo.addons.base.models.ir_model",
    )
    def test_pages(self):
        bundles = {}
        for name, user in self.users.items():
            if name == "public":
                self.authenticate(None, None)
            else:
                self.authenticate(user.login, f"{user.login}-password")
            found = set()
            for label, path in self.pages().items():
                ask = self.call_json if label == "session" else self.get
                answer = ask(name, path)
                if answer and holds(answer.text, BAIT):
                    found.add(label)
                for bundle in re.findall(
                    r"/web/assets/[^\"'\s\\]+", answer.text if answer else ""
                ):
                    if bundle not in bundles:
                        bundles[bundle] = self.get(name, bundle).text
            self.assertEqual(found, PAGES[name], name)
            for action in ACTIONS:
                self.call_json(name, "/web/action/load", action_id=f"{MODULE}.{action}")
        read = {path.rpartition("/")[2] for path, text in bundles.items() if text}
        self.assertLessEqual(BUNDLES, read)
