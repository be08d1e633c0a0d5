def migrate(cr, version):
    """Move waiting carts into their own table, and delete the others.

    What a cart holds is read when it is sent, so that nothing is lost but the log of
    carts that were sent.
    """
    cr.execute(
        """
        INSERT INTO matomo_cart_update (
                    create_uid, create_date, write_uid, write_date, company_id, site_id,
                    sale_order_id, partner_id, changed_date, state, attempt_count,
                    next_attempt_date)
             SELECT create_uid, create_date, write_uid, write_date, company_id, site_id,
                    sale_order_id, partner_id, order_date, state, attempt_count,
                    next_attempt_date
               FROM matomo_request
              WHERE kind = 'cart' AND state = 'pending'
                AND site_id IS NOT NULL AND sale_order_id IS NOT NULL
           ORDER BY id
        """
    )
    cr.execute("DELETE FROM matomo_request WHERE kind = 'cart'")
    # Orders were sent in these currencies. Matomo is asked tonight whether they are its
    # own.
    cr.execute("UPDATE matomo_site SET is_currency_confirmed = TRUE")
    # Custom dimensions may hold the salesperson: the autovacuum takes them out, too.
    # Meanwhile the mark keeps these requests from being sent with their shopper.
    cr.execute(
        """
        UPDATE matomo_request
           SET is_anonymized = FALSE, to_anonymize = TRUE
         WHERE is_anonymized AND payload::text LIKE '%"dimension%'
        """
    )
    # Odoo keeps an index that a field no longer asks for. Others have their place.
    cr.execute(
        "DROP INDEX IF EXISTS matomo_request__state_index,"
        " matomo_request__company_id_index"
    )
    # Why these days differ was a text, and is one row for each order now: they are
    # compared again, as far as Matomo still has their raw data.
    cr.execute(
        """
        UPDATE matomo_reconciliation
           SET is_explained = state != 'different', is_outdated = state != 'equal',
               net_revenue = odoo_revenue
        """
    )
    _guard_rules(cr)


def _guard_rules(cr):
    """Let the rules do nothing while the addon's code is missing.

    They are not updated with the addon. A rule that somebody has changed stays.
    """
    cr.execute(
        """
        UPDATE ir_act_server
           SET code = 'if "matomo.request" in env: records._matomo_track()'
          FROM ir_model_data
         WHERE ir_model_data.model = 'ir.actions.server'
           AND ir_model_data.module = 'matomo_order_tracking'
           AND ir_model_data.res_id = ir_act_server.id
           AND ir_act_server.code = 'records._matomo_track()'
        """
    )
