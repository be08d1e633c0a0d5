"""A database of 19.0.0.1.0 is upgraded by Odoo's own command.

The tables of that version come from a small dump of a real database, which sold, sent,
cancelled and forgot. They are put in place of ours in a copy of the database.
"""

import json
import re
from pathlib import Path
from tempfile import NamedTemporaryFile

from odoo.tests import tagged

from ..common import MODULE, CopyCase

DUMP = Path(__file__).with_name("migration") / "19.0.0.1.0.sql"
# The sales orders that the dump is about have the ids 1 to 9 there.
COUNT = 9
RENAMED = {
    "check_first": "look_up_first",
    "is_blanked": "is_anonymized",
    "is_forgotten": "to_anonymize",
    "unsettled_count": "unconfirmed_count",
}
SELL = f"""
product = env["product.product"].create({{"name": "Chair", "list_price": 100}})
partner = env["res.partner"].create({{"name": "Nora"}})
orders = env["sale.order"].create([
    {{"partner_id": partner.id, "order_line": [(0, 0, {{"product_id": product.id}})]}}
    for _number in range({COUNT})
])
env.cr.commit()
print(orders.ids)
"""
# What is compared of orders and refunds, before and after.
KEPT = """
    id, kind, sale_order_id, state, reason, order_ref, order_ref_key, payload,
    tracking_url, failure_type, attempt_count, order_date, refunded_id
"""
SCHEMA = """
    SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'matomo\\_%'
    UNION ALL
    SELECT conrelid::regclass || pg_get_constraintdef(oid) FROM pg_constraint
     WHERE conrelid::regclass::text LIKE 'matomo\\_%'
    UNION ALL
    SELECT table_name || column_name || data_type FROM information_schema.columns
     WHERE table_name LIKE 'matomo\\_%'
    ORDER BY 1;
"""


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestMigration(CopyCase):
    """An update keeps what the first version has stored."""

    def select(self, *columns):
        """Return the orders and refunds in the copy, a text for each."""
        names = ", ".join((KEPT, *columns))
        return self.sql(
            f"SELECT {names} FROM matomo_request WHERE kind <> 'cart' ORDER BY id;"
        ).split("\n")

    def rule(self, kind):
        """Return the condition of the server action of one of our rules."""
        return (
            " WHERE id = (SELECT res_id FROM ir_model_data"
            f" WHERE module = '{MODULE}'"
            f" AND name = 'ir_actions_server_track_{kind}_order');"
        )

    def put_old_tables(self, order_ids):
        """Replace our tables by those of the dump."""
        names = self.sql(
            "SELECT relname FROM pg_class"
            " WHERE relname LIKE 'matomo\\_%' AND relkind = 'r';"
        ).split("\n")
        drop = "".join(f"DROP TABLE {name} CASCADE;" for name in names)
        forget = "".join(
            f"UPDATE {table} SET matomo_site_id = NULL;"
            for table in ("website", "pos_config", "res_company")
        )
        self.sql(drop + forget + DUMP.read_text())
        for old_id, new_id in enumerate(order_ids, 1):
            self.sql(
                # Negative, so that no id is taken for one that was moved before.
                f"UPDATE matomo_request SET sale_order_id = -{new_id}"
                f" WHERE sale_order_id = {old_id};"
                f"UPDATE matomo_request SET refunded_id = 'sale.order,{new_id}'"
                f" WHERE refunded_id = 'sale.order,{old_id}';"
            )
        self.sql(
            "UPDATE matomo_request SET sale_order_id = -sale_order_id,"
            " partner_id = NULL;"
            f"UPDATE ir_module_module SET latest_version = '19.0.0.1.0'"
            f" WHERE name = '{MODULE}';"
        )
        for old, new in RENAMED.items():
            self.sql(
                f"UPDATE ir_model_fields SET name = '{old}'"
                f" WHERE model = 'matomo.request' AND name = '{new}';"
                f"UPDATE ir_model_data SET name = 'field_matomo_request__{old}'"
                f" WHERE name = 'field_matomo_request__{new}';"
            )

    def test_upgrade(self):
        schema = self.sql(SCHEMA)
        order_ids = json.loads(self.odoo("shell", script=SELL))
        self.put_old_tables(order_ids)
        before = self.select(*RENAMED)
        # The same Matomo site, entered a second time in another spelling.
        columns = (
            "company_id, idsite, currency_id, lang_id, order_timeout, cart_timeout, "
            "batch_size, raw_data_days, retention_days, name, timezone, state, "
            "consent_policy, ip_mask, date_start, active"
        )
        self.sql(
            f"INSERT INTO matomo_site (id, url, {columns})"
            f" SELECT 2, 'https://M.example.com:443', {columns} FROM matomo_site;"
            "UPDATE matomo_request SET site_id = 2 WHERE id IN (1, 2);"
            "UPDATE res_company SET matomo_site_id = 2 WHERE id = 1;"
            # One rule as it was shipped, and one that somebody has changed.
            "UPDATE ir_act_server SET code = 'records._matomo_track()'"
            f"{self.rule('sale')}"
            f"UPDATE ir_act_server SET code = 'pass'{self.rule('pos')}"
        )
        with NamedTemporaryFile() as log:
            arguments = ("-u", MODULE, "--stop-after-init", "--no-http")
            self.odoo("server", *arguments, log=log.name)
            text = Path(log.name).read_text()
        self.assertEqual(re.findall(r"\d (?:WARNING|ERROR|CRITICAL) .*", text), [])
        self.assertEqual(len(before), 7)
        self.assertEqual(self.select(*RENAMED.values()), before)
        kinds = self.sql("SELECT DISTINCT kind FROM matomo_request ORDER BY 1;")
        self.assertEqual(kinds, "order\nrefund")
        # The cart that waited waits on; the one that was sent is gone.
        self.assertEqual(
            self.sql("SELECT sale_order_id, state FROM matomo_cart_update;"),
            f"{order_ids[6]}|pending",
        )
        self.assertEqual(self.sql(SCHEMA), schema)
        code = self.sql(f"SELECT code FROM ir_act_server{self.rule('sale')}")
        self.assertEqual(code, 'if "matomo.request" in env: records._matomo_track()')
        code = self.sql(f"SELECT code FROM ir_act_server{self.rule('pos')}")
        self.assertEqual(code, "pass")
        self.assertEqual(
            self.sql("SELECT id, active, address_key FROM matomo_site ORDER BY id;"),
            "1|t|https://m.example.com/matomo.php\n2|f|https://m.example.com/matomo.php",
        )
        for table, column in (
            ("matomo_request", "site_id"),
            ("res_company", "matomo_site_id"),
        ):
            held = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL;"
            self.assertEqual(self.sql(held), "1", table)
