"""Odoo finds a test in a module that is named here, and in no other.

Odoo's own environment may lack the libraries of the last two lists. ``make test``
has them all: there, a missing library is an error.
"""

from importlib.util import find_spec

from . import (
    test_install,
    test_matomo_cart_update,
    test_matomo_cart_update_bounds,
    test_matomo_erasure,
    test_matomo_order_mixin_reports,
    test_matomo_order_mixin_verdict,
    test_matomo_order_mixin_visit,
    test_matomo_reconciliation,
    test_matomo_request_crons,
    test_matomo_request_isolation,
    test_matomo_request_lanes,
    test_matomo_request_order_ref,
    test_matomo_request_outcomes,
    test_matomo_request_privacy,
    test_matomo_request_queries,
    test_matomo_request_queue,
    test_matomo_request_raw_data,
    test_matomo_request_refund,
    test_matomo_request_refund_invoices,
    test_matomo_request_refund_original,
    test_matomo_request_retention,
    test_matomo_request_retrack,
    test_matomo_request_schedule,
    test_matomo_request_send,
    test_matomo_site_alerts,
    test_matomo_site_connection,
    test_matomo_site_messages,
    test_matomo_site_user_id,
    test_pos_order,
    test_pos_order_amounts,
    test_pos_order_fields,
    test_pos_order_self_order,
    test_pos_order_sync,
    test_pos_order_visit,
    test_res_config_settings,
    test_sale_goes_on,
    test_sale_order,
    test_sale_order_amounts,
    test_sale_order_checkout,
    test_sale_order_items,
    test_sale_order_life,
    test_sale_order_portal,
    test_sale_order_settlement,
    test_security_failures,
    test_security_forgery,
    test_security_rights,
    test_security_token,
    test_security_token_crawl,
    test_security_token_leaks,
    test_security_without_rights,
    test_website_consent,
    test_website_cookieless,
    test_website_payment,
    test_website_request,
    test_website_tag,
    test_website_visitor,
)

if find_spec("hypothesis"):
    from . import (
        test_matomo_order_mixin_amounts,
        test_website_request_fuzz,
    )

if find_spec("pymysql") and find_spec("playwright"):
    from .external import (
        test_browser_scripts,
        test_browser_shopper,
        test_chaos,
        test_matomo_api,
        test_migration,
        test_neutralize,
        test_pos_screens,
        test_pos_tour,
        test_real_cookieless,
        test_real_erasure,
        test_real_failures,
        test_real_field,
        test_real_matomo,
        test_real_orders,
        test_real_reconciliation,
        test_real_refunds,
        test_real_totals,
        test_real_visits,
        test_sdk,
        test_shell,
        test_token_dump,
        test_without_code,
    )
    from .golden import test_golden
