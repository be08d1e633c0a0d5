"""The access rights of every kind of user to every model of this addon."""

from odoo import Command
from odoo.exceptions import AccessDenied, AccessError, UserError
from odoo.fields import Domain
from odoo.service.model import call_kw
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import MODULE, TOKEN, MatomoPosCommon

USER, MANAGER = f"{MODULE}.group_matomo_user", f"{MODULE}.group_matomo_manager"
GROUPS = {
    "internal": "base.group_user",
    "salesperson": "base.group_user,sales_team.group_sale_manager",
    "cashier": "base.group_user,point_of_sale.group_pos_manager",
    "stock": "base.group_user,stock.group_stock_manager",
    "portal": "base.group_portal",
    "public": "base.group_public",
    "user": f"{USER},sales_team.group_sale_manager,point_of_sale.group_pos_manager",
    "manager": f"{MANAGER},sales_team.group_sale_manager,base.group_allow_export",
    "system": "base.group_system",
    "admin": f"base.group_system,{MANAGER},sales_team.group_sale_manager",
}
# What each may do with all models of ours; who is not named may do nothing.
# c: create, r: read, w: write, d: delete.
RIGHTS = {
    "matomo.site": {"user": "r", "manager": "crwd", "system": "crwd", "admin": "crwd"},
    "matomo.request": {"user": "r", "manager": "r", "admin": "r"},
    "matomo.retrack": {},
    "matomo.sweep": {},
    "matomo.cart.update": {"user": "r", "manager": "r", "admin": "r"},
    "matomo.check": {"user": "r", "manager": "r", "system": "r", "admin": "r"},
    "matomo.erasure": {"manager": "crw", "admin": "crw"},
    "matomo.job": {"manager": "r", "admin": "r"},
    "matomo.backfill": {"manager": "crw", "admin": "crw"},
    "matomo.backfill.line": {"manager": "crw", "admin": "crw"},
    "matomo.connect": {"system": "crw", "admin": "crw"},
    "matomo.connect.site": {"system": "crwd", "admin": "crwd"},
    "matomo.overview": {"user": "r", "manager": "r", "admin": "r"},
    "matomo.preview": {"user": "cr", "manager": "cr", "admin": "cr"},
    "matomo.reconciliation": {"user": "r", "manager": "r", "admin": "r"},
    "matomo.reconciliation.cause": {"user": "r", "manager": "r", "admin": "r"},
}
OPERATIONS = {"c": "create", "r": "read", "w": "write", "d": "unlink"}
EMPLOYEES = {*GROUPS} - {"portal", "public"}
LOG_READERS = {"user", "manager", "admin"}
# Who may read what orders show. All else of ours on orders is the log readers'.
VERDICT = {
    "matomo_state",
    "matomo_is_concerned",
    "matomo_reason",
    "matomo_notes",
    "matomo_tracked",
    "matomo_tracked_date",
    "matomo_order_ref",
}
SITE_READERS = LOG_READERS | {"system"}
HOLDERS = ("res.company", "website", "pos.config")
HOSTILE = (
    (),
    (None,),
    (-1,),
    ("' OR 1=1 --",),
    ([[["id", "!=", 0]]],),
    ({"state": "verified", "url": "https://evil.example.com/"},),
    ([{"name": "x", "url": "https://evil.example.com/", "idsite": 9}],),
    ("<script>", {"token_auth": "x"}, [1, 2]),
)


class RightsCommon(MatomoPosCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.users = {
            name: cls.make_user(f"rights_{name}", groups)
            for name, groups in GROUPS.items()
        }
        # A colleague of the buyer, who may read their company's orders.
        cls.users["portal"].sudo().partner_id.parent_id = cls.customer
        cls.order = cls.make_order()
        cls.order.action_confirm()
        cls.env.cr.flush()
        cls.order.sudo().write(
            {
                "matomo_ip_address": "203.0.113.9",
                "matomo_user_agent": "Rarebrowser",
                "matomo_visitor_id": "0123456789abcdef",
            }
        )
        synced = cls.env["pos.order"].sync_from_ui([cls.make_sale(cls)])
        cls.sale = cls.env["pos.order"].browse(synced["pos.order"][0]["id"])
        cls.env.cr.flush()

    def our_models(self):
        """Return the models of this addon that have a table."""
        return [
            name
            for name, model in self.env.registry.items()
            if model._original_module == MODULE and not model._abstract
        ]

    def our_fields(self, model):
        return [name for name in self.env[model]._fields if name.startswith("matomo_")]

    def may(self, action):
        """Return whether an operation is allowed. Roll back what it does."""
        try:
            with self.cr.savepoint() as savepoint:
                action()
                savepoint.rollback()
        except (AccessError, AccessDenied):
            return False
        finally:
            self.env.invalidate_all(flush=False)
        return True


@tagged("post_install", "-at_install")
class TestRights(RightsCommon):
    def test_models(self):
        self.assertEqual(sorted(self.our_models()), sorted(RIGHTS))
        for model, rights in RIGHTS.items():
            for name, user in self.users.items():
                found = "".join(
                    letter
                    for letter, operation in OPERATIONS.items()
                    if self.env[model].with_user(user).has_access(operation)
                )
                self.assertEqual(found, rights.get(name, ""), (model, name))

    def test_every_model_of_several_companies_has_a_rule(self):
        for model in self.our_models():
            if "company_id" in self.env[model]._fields:
                rules = (
                    self.env["ir.rule"].sudo().search([("model_id.model", "=", model)])
                )
                self.assertIn("company_ids", str(rules.mapped("domain_force")), model)

    def test_what_orders_show(self):
        for order in (self.order, self.sale):
            for name, user in self.users.items():
                for field in self.our_fields(order._name):
                    readers = EMPLOYEES if field in VERDICT else LOG_READERS
                    shown = order.with_user(user)._has_field_access(
                        order._fields[field], "read"
                    )
                    self.assertEqual(shown, name in readers, (order, field, name))

    def test_which_site_is_set(self):
        for model in HOLDERS:
            field = self.env[model]._fields["matomo_site_id"]
            for name, user in self.users.items():
                shown = self.env[model].with_user(user)._has_field_access(field, "read")
                self.assertEqual(shown, name in SITE_READERS, (model, name))

    def test_portal_colleague_reads_the_order_and_nothing_of_ours(self):
        order = self.order.with_user(self.users["portal"])
        self.assertEqual(order.read(["name"])[0]["name"], self.order.name)
        self.assertFalse([name for name in order.fields_get() if "matomo" in name])
        for name in self.our_fields("sale.order"):
            for road, action in {
                "read": lambda name=name: order.read([name]),
                "web_read": lambda name=name: order.web_read({name: {}}),
                "search_read": lambda name=name: order.search_read([], [name]),
                "search": lambda name=name: order.search([(name, "!=", False)]),
                "order": lambda name=name: order.search([], order=name),
                "group": lambda name=name: order.formatted_read_group([], [name]),
            }.items():
                with self.subTest(name=name, road=road):
                    with self.assertRaises(Exception) as caught, self.cr.savepoint():
                        action()
                    self.assertIsInstance(caught.exception, (AccessError, ValueError))
        for path in ("matomo_request_ids.payload", "matomo_request_ids.state"):
            with self.assertRaises(AccessError):
                order.search([(path, "!=", False)])

    def test_employees_search_no_metadata(self):
        orders = self.env["sale.order"].with_user(self.users["salesperson"])
        self.assertIn(self.order, orders.search([("matomo_state", "=", "pending")]))
        for domain in (
            [("matomo_ip_address", "=like", "203%")],
            [("matomo_user_agent", "!=", False)],
            [("matomo_request_ids.tracking_url", "!=", False)],
            [("company_id.matomo_site_id.url", "=like", "https%")],
        ):
            with self.assertRaises(AccessError):
                orders.search(domain)


@tagged("post_install", "-at_install")
class TestForgery(RightsCommon):
    """Only the addon's own code writes the log: administrators cannot, either."""

    def test_log(self):
        row = self.get_request(self.order)
        change = [Command.update(row.id, {"state": "verified"})]
        values = {
            "company_id": self.company.id,
            "sale_order_id": self.make_order().id,
            "state": "verified",
        }
        for name, user in self.users.items():
            requests = self.env["matomo.request"].with_user(user)
            own, order = requests.browse(row.id), self.order.with_user(user)
            for number, action in enumerate(
                (
                    lambda r=requests: r.create(values),
                    lambda r=requests: r.name_create("x"),
                    lambda r=own: r.write({"state": "verified"}),
                    lambda r=own: r.write({"payload": {}, "partner_id": False}),
                    lambda r=own: r.web_save({"state": "verified"}, {}),
                    lambda r=own: r.copy({"kind": "refund"}),
                    lambda r=own: r.unlink(),
                    lambda o=order: o.write({"matomo_request_ids": change}),
                    lambda o=order: o.write({"matomo_request_ids": [Command.clear()]}),
                    lambda o=order: o.write(
                        {"matomo_request_ids": [Command.create(values)]}
                    ),
                )
            ):
                self.assertFalse(self.may(action), (name, number))
            if name in LOG_READERS:
                result = requests.load(["state", "kind"], [["verified", "order"]])
                self.assertFalse(result["ids"], name)
        self.assertEqual(row.state, "pending")

    def test_health_of_a_site(self):
        """Read-only is no matter of screens: a program writes none of it, either."""
        readonly = [
            field
            for field in self.site._fields.values()
            if field.readonly and field.store and field._module == MODULE
        ]
        self.assertGreater(len(readonly), 20)
        values = {
            "name": "New",
            "url": self.site.url,
            "idsite": 77,
            "currency_id": self.site.currency_id.id,
        }
        for name in ("manager", "system", "admin"):
            site = self.site.with_user(self.users[name])
            sites = site.browse()
            for field in readonly:
                forged = {field.name: site.sudo()[field.name] or False}
                for number, action in enumerate(
                    (
                        lambda s=site, v=forged: s.write(v),
                        lambda s=site, v=forged: s.web_save(v, {}),
                        lambda s=site, v=forged: s.copy({**v, "idsite": 78}),
                        lambda s=sites, v=forged: s.create({**values, **v}),
                        lambda s=sites, f=field: s.with_context(
                            **{f"default_{f.name}": False}
                        ).create(dict(values)),
                    )
                ):
                    self.assertFalse(self.may(action), (name, field, number))
            with self.cr.savepoint() as savepoint:
                new = sites.create(dict(values))
                self.assertTrue(new.is_currency_confirmed)
                self.assertFalse(new.is_copy)
                new.idsite = 79
                self.assertFalse(new.is_currency_confirmed)
                new.currency_id = self.env.ref("base.AUD")
                self.assertTrue(new.is_currency_confirmed)
                savepoint.rollback()

    def test_metadata_and_flag(self):
        for name in {*EMPLOYEES} & {"salesperson", "user", "manager", "admin"}:
            user = self.users[name]
            order = self.order.with_user(user)
            orders = order.browse()
            for field in self.our_fields("sale.order"):
                forged = {field: "0123456789abcdef"}
                values = {"partner_id": self.customer.id, **forged}
                for action in (
                    lambda o=order, v=forged: o.write(v),
                    lambda o=order, v=forged: o.web_save(v, {}),
                    lambda o=orders, v=values: o.create(v),
                    lambda o=order, v=forged: o.copy(v),
                    lambda o=orders, f=field: o.with_context(
                        **{f"default_{f}": "x"}
                    ).create({"partner_id": self.customer.id}),
                ):
                    self.assertFalse(self.may(action), (name, field))
        self.env["ir.default"].set("sale.order", "matomo_ip_address", "6.6.6.6", True)
        forged = self.env["sale.order"].create({"partner_id": self.customer.id})
        self.assertFalse(forged.matomo_ip_address)

    def test_metadata_of_till_sales(self):
        for name in ("cashier", "user", "admin"):
            sale = self.sale.with_user(self.users[name])
            if self.may(lambda s=sale: s.write({"matomo_ip_address": "6.6.6.6"})):
                # What a till sends of ours is dropped, and its sale goes on.
                sale.write({"matomo_ip_address": "6.6.6.6", "matomo_tracked": True})
            self.env.invalidate_all()
            self.assertFalse(self.sale.sudo().matomo_ip_address)
            self.assertFalse(self.sale.matomo_tracked)


@tagged("post_install", "-at_install")
class TestCompanies(RightsCommon):
    """Users see the sites and requests of their own companies only."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.env["res.company"].sudo().create({"name": "Other"})
        # Not in this company, whatever the web client claims in its context.
        cls.strangers = [
            cls.env["res.users"]
            .sudo()
            .create(
                {
                    "name": login,
                    "login": login,
                    "company_id": cls.other.id,
                    "company_ids": [Command.set(cls.other.ids)],
                    "group_ids": [Command.set([cls.env.ref(g).id for g in groups])],
                }
            )
            for login, groups in {
                "stranger_manager": [MANAGER, "base.group_allow_export"],
                "stranger_admin": [MANAGER, "base.group_system"],
            }.items()
        ]

    def test_records_of_others_are_not_found(self):
        for user in self.strangers:
            for record in (self.site, self.get_request(self.order)):
                model = self.env[record._name].with_user(user)
                own = Domain("id", "in", record.ids)
                self.assertFalse(model.search(own))
                self.assertFalse(model.search_count(own))
                self.assertFalse(model.name_search("", own))
                self.assertFalse(model.search_read(own, ["display_name"]))
                self.assertEqual(model.web_search_read(own, {})["length"], 0)
                groups = model.formatted_read_group(own, [], ["__count"])
                self.assertEqual(groups[0]["__count"], 0)
                mine = model.browse(record.id)
                for action in (
                    lambda r=mine: r.read(["display_name"]),
                    lambda r=mine: r.web_read({"display_name": {}}),
                    lambda r=mine: r.export_data(["display_name"]),
                    lambda r=mine: r.write({"active": False}),
                    lambda r=mine: r.unlink(),
                    lambda r=mine: r.with_context(
                        allowed_company_ids=self.company.ids
                    ).read(),
                ):
                    self.assertFalse(self.may(action), record)
            site = self.site.with_user(user)
            for action in (
                site.action_test_connection,
                site.action_confirm_database,
                site.action_sweep,
                self.order.with_user(user).action_matomo_retrack,
            ):
                self.assertFalse(self.may(action))
        self.assertFalse(self.matomo.requests)

    def test_nobody_tracks_on_a_site_of_another_company(self):
        website = self.env["website"].sudo().create({"name": "X"})
        website.company_id = self.other
        for holder in (self.other, website):
            with self.assertRaisesRegex(UserError, "another company"):
                holder.sudo().matomo_site_id = self.site
        with self.assertRaisesRegex(UserError, "another company"):
            self.site.sudo().company_id = self.other


@tagged("post_install", "-at_install")
class TestPublicMethods(RightsCommon):
    """Users with few rights call every public method."""

    def our_methods(self):
        """Return ``(model, method)`` of each public method of this addon."""
        for model, registered in self.env.registry.items():
            names = {
                name
                for cls in registered.mro()
                if cls.__module__.startswith(f"odoo.addons.{MODULE}.")
                for name, value in vars(cls).items()
                if callable(value) and not name.startswith("_")
            }
            for name in sorted(names):
                yield model, name

    def snapshot(self):
        self.env.flush_all()
        answers = []
        for table in ("matomo_site", "matomo_request", "matomo_retrack", "sale_order"):
            self.env.cr.execute(f"SELECT to_jsonb(t) FROM {table} t ORDER BY id")
            answers.append(self.env.cr.fetchall())
        return answers

    @mute_logger(
        "odoo.sql_db",
        "odoo.models",
        "odoo.models.unlink",
        "odoo.addons.base.models.ir_model",
        "odoo.addons.base.models.ir_rule",
        "odoo.addons.base.models.res_partner",
        "odoo.orm.models",
    )
    def test_hostile_arguments_do_no_harm(self):
        methods = list(self.our_methods())
        for known in (
            ("matomo.site", "action_test_connection"),
            ("sale.order", "action_matomo_retrack"),
            ("res.partner", "action_matomo_export"),
        ):
            self.assertIn(known, methods)
        before = self.snapshot()
        answered = 0
        for name in ("internal", "portal", "public", "stock"):
            env = self.env(user=self.users[name])
            for model, method in methods:
                targets = {
                    "matomo.site": self.site,
                    "matomo.request": self.get_request(self.order),
                    "sale.order": self.order,
                    "pos.order": self.sale,
                    "res.company": self.company,
                }
                ids = targets[model].ids if model in targets else [1]
                for arguments in HOSTILE:
                    if "matomo" not in model and method in ("create", "write"):
                        # Odoo's own, with a line of ours: it changes what it may.
                        arguments = ({"matomo_site_id": self.site.id},)
                    for args in ([ids, *arguments], [[], *arguments], [*arguments]):
                        try:
                            with self.cr.savepoint():
                                call_kw(env[model], method, args, {})
                                answered += 1
                        except Exception as error:  # noqa: BLE001
                            self.assertNotIn(TOKEN, str(error))
                        self.env.invalidate_all()
        self.assertTrue(answered)
        self.assertEqual(self.snapshot(), before)
        self.assertFalse(self.matomo.requests)

    @mute_logger("odoo.sql_db", "odoo.addons.base.models.ir_rule")
    def test_hostile_selections_are_not_retracked(self):
        """A user can retrack only the orders that they may read."""
        sister = self.env["res.company"].sudo().create({"name": "Sister"})
        foreign = self.env["sale.order"].sudo().with_company(sister)
        foreign = foreign.create({"partner_id": self.customer.id})
        foreign.action_confirm()
        self.end_transaction()
        order = self.order
        before, messages = self.snapshot(), foreign.message_ids
        for name in ("user", "manager"):
            env = self.env(user=self.users[name])
            for ids in (
                [None],
                [-1],
                [0],
                [10**9],
                [10**30],
                ["1 OR 1=1"],
                [order.id, foreign.id],
                [*range(order.id, order.id + 300)],
                [[order.id]],
                [{"id": order.id}],
                "all",
                {"a": 1},
            ):
                for model in ("sale.order", "pos.order"):
                    try:
                        with self.cr.savepoint():
                            call_kw(env[model], "action_matomo_retrack", [ids], {})
                            self.end_transaction()
                    except Exception as error:  # noqa: BLE001
                        self.assertNotIn(TOKEN, str(error))
                    self.env.invalidate_all()
                    self.assertEqual(self.snapshot(), before, (name, model, ids))
                    self.assertEqual(foreign.message_ids, messages)
        self.assertFalse(self.matomo.requests)
