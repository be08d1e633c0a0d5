from odoo.tools.sql import column_exists, create_column, rename_column

from odoo.addons.matomo_order_tracking.matomo_api.address import address_key

# Fields of matomo.request that have a plainer name now.
RENAMED = {
    "check_first": "look_up_first",
    "is_blanked": "is_anonymized",
    "is_forgotten": "to_anonymize",
    "unsettled_count": "unconfirmed_count",
}
# Where a site is named, besides its days in the Daily Comparison.
HOLDERS = {
    "matomo_request": "site_id",
    "website": "matomo_site_id",
    "pos_config": "matomo_site_id",
    "res_company": "matomo_site_id",
}


def migrate(cr, version):
    _rename(cr)
    _merge_spellings(cr)


def _merge_spellings(cr):
    """Make one site of those that a company has of one Matomo site.

    They differ in the spelling of the address, and are one for the unique index now.
    The oldest one stays, and the others are archived.
    """
    cr.execute(
        "SELECT id, company_id, idsite, url FROM matomo_site WHERE active ORDER BY id"
    )
    first = {}
    for site_id, company_id, idsite, url in cr.fetchall():
        kept_id = first.setdefault((company_id, idsite, address_key(url)), site_id)
        if kept_id == site_id:
            continue
        for table, column in HOLDERS.items():
            cr.execute(
                f"UPDATE {table} SET {column} = %s WHERE {column} = %s",
                [kept_id, site_id],
            )
        # The next comparison counts the days of the last month anew.
        cr.execute("DELETE FROM matomo_reconciliation WHERE site_id = %s", [site_id])
        cr.execute(
            """
            UPDATE matomo_site kept
               SET token_auth = COALESCE(kept.token_auth, other.token_auth)
              FROM matomo_site other
             WHERE kept.id = %s AND other.id = %s
            """,
            [kept_id, site_id],
        )
        cr.execute("UPDATE matomo_site SET active = FALSE WHERE id = %s", [site_id])


def _rename(cr):
    """Give the columns and fields their new names, so that their values stay."""
    for old, new in RENAMED.items():
        if not column_exists(cr, "matomo_request", old):
            continue
        rename_column(cr, "matomo_request", old, new)
        cr.execute(
            "UPDATE ir_model_fields SET name = %s"
            " WHERE model = 'matomo.request' AND name = %s",
            [new, old],
        )
        cr.execute(
            "UPDATE ir_model_data SET name = %s"
            " WHERE module = 'matomo_order_tracking' AND name = %s",
            [f"field_matomo_request__{new}", f"field_matomo_request__{old}"],
        )
    cr.execute(
        "ALTER INDEX IF EXISTS matomo_request_check_index"
        " RENAME TO matomo_request_next_check_index"
    )
    # Why a day differs is a row for each order now.
    cr.execute("ALTER TABLE matomo_reconciliation DROP COLUMN IF EXISTS explanation")
    # Before Odoo makes the unique indexes that distinguish them.
    if not column_exists(cr, "matomo_request", "is_credit_note"):
        create_column(cr, "matomo_request", "is_credit_note", "boolean")
        cr.execute(
            "UPDATE matomo_request SET is_credit_note = refund_move_id IS NOT NULL"
        )
    # Odoo does not drop an index that the code no longer names.
    cr.execute(
        "DROP INDEX IF EXISTS matomo_request_carts_index,"
        " matomo_request_forgotten_index"
    )
