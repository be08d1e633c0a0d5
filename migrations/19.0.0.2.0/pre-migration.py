from odoo.tools.sql import column_exists, create_column, rename_column

# Fields of matomo.request that have a plainer name now.
RENAMED = {
    "check_first": "look_up_first",
    "is_blanked": "is_anonymized",
    "is_forgotten": "to_anonymize",
    "unsettled_count": "unconfirmed_count",
}


def migrate(cr, version):
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
