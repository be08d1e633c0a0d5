"""Real copies of the database: neutralised by Odoo, or made by PostgreSQL."""

import json
from contextlib import closing

from odoo.service.db import _drop_conn
from odoo.sql_db import close_db, db_connect
from odoo.tests import tagged

from ...tools.outside_token import get_name
from ..common import CopyCase

CANARY = "canary0123456789abcdef0123456789"

# What happens in the shop, before somebody copies its database.
SELL = f"""
site = env["matomo.site"].create({{
    "name": "Shop", "url": "https://192.0.2.1/", "idsite": 1, "token_auth": "{CANARY}",
}})
env.company.matomo_site_id = site
product = env["product.product"].create({{"name": "Chair", "list_price": 100}})
order = env["sale.order"].create({{
    "partner_id": env["res.partner"].create({{"name": "Nora"}}).id,
    "order_line": [(0, 0, {{"product_id": product.id}})],
}})
order.action_confirm()
env.cr.commit()
assert order.matomo_state == "pending", order.matomo_reason
print(site.id)
"""
# What somebody does with the copy: everything that could reach the network.
TRY = """
import json, os, socket
reached = []
connect = socket.socket.connect

def note(sock, address):
    if sock.family == socket.AF_UNIX:
        return connect(sock, address)
    reached.append(str(address))
    raise OSError("no network")

socket.socket.connect = note
site = env["matomo.site"].with_context(active_test=False).search([])
states = env["matomo.request"].search([]).mapped("state")
crons = env["ir.cron"].search([("model_id.model", "=like", "matomo.%")])
facts = {
    "token": site._get__token(),
    "is_active": site.active,
    "states": states,
    "crons": crons.mapped("name"),
}
site.active = True
env.company.matomo_site_id = site
order = env["sale.order"].search([], limit=1).copy()
order.action_confirm()
env.cr.commit()
facts["new"] = order.matomo_state
for cron in env["ir.cron"].with_context(active_test=False).search(
    [("model_id.model", "=like", "matomo.%")]
):
    cron.method_direct_trigger()
facts["still"] = order.matomo_state
# The scheduled actions have written on the site.
env.cr.commit()
facts["answer"] = site.action_test_connection()["params"]["message"]
facts["tag"] = site._has_tag()
facts["reached"] = reached
env.cr.rollback()
print(json.dumps(facts))
"""


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestNeutralize(CopyCase):
    def test_neutralised_copy_is_silent(self):
        site_id = self.odoo("shell", script=SELL)
        # The token stands in its column and nowhere else in the whole dump.
        before, _, after = self.dump().partition(CANARY)
        table = before.rpartition("\nCOPY ")[2]
        self.assertTrue(table.startswith("public.matomo_site "), table[:100])
        self.assertNotIn(CANARY, after)

        self.odoo("neutralize")
        self.assertNotIn(CANARY, self.dump())
        name = get_name(self.copy, site_id)
        facts = json.loads(
            self.odoo(
                "shell",
                script=TRY,
                **{name: CANARY, f"{name}_URL": "https://192.0.2.1/"},
            )
        )
        self.assertFalse(facts["is_active"])
        self.assertEqual(facts["states"], ["cancelled"])
        self.assertFalse(facts["crons"])
        # Even if somebody switches all on again and the environment has a token.
        self.assertEqual(facts["token"], CANARY)
        self.assertEqual((facts["new"], facts["still"]), ("pending", "pending"))
        self.assertIn("is a copy", facts["answer"])
        self.assertFalse(facts["tag"])
        self.assertEqual(facts["reached"], [])


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestCopyByPostgres(CopyCase):
    """A copy that knows nothing of Odoo has the identifier of its original."""

    def test_a_copy_is_silent_and_a_renamed_database_is_not(self):
        self.odoo("shell", script=SELL)
        aside = f"{self.copy}_aside"
        self.addCleanup(self.postgres, f"DROP DATABASE IF EXISTS {aside}")
        self.postgres(f"ALTER DATABASE {self.copy} RENAME TO {aside}")
        self.postgres(f"ALTER DATABASE {aside} RENAME TO {self.copy}")
        facts = self.try_everything()
        self.assertTrue(facts["reached"])
        self.assertNotIn("is a copy", facts["answer"])

        self.postgres(f"ALTER DATABASE {self.copy} RENAME TO {aside}")
        self.postgres(f"CREATE DATABASE {self.copy} TEMPLATE {aside}")
        facts = self.try_everything()
        self.assertEqual((facts["new"], facts["still"]), ("pending", "pending"))
        self.assertIn("is a copy", facts["answer"])
        self.assertFalse(facts["tag"])
        self.assertEqual(facts["reached"], [])

    def try_everything(self):
        return json.loads(self.odoo("shell", script=TRY))

    def postgres(self, statement):
        """Run a statement on the server, while nobody uses the copy."""
        close_db(self.copy)
        with closing(db_connect("postgres").cursor()) as cr:
            cr._cnx.autocommit = True
            _drop_conn(cr, self.copy)
            cr.execute(statement)
