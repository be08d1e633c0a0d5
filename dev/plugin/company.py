"""A pytest plugin: a company with a chart of accounts, made once for all tests.

Each class of tests would make one, which takes longer than most of its tests.
"""

from unittest.mock import patch

import pytest

from odoo import SUPERUSER_ID, api
from odoo.modules import module
from odoo.modules.registry import Registry
from odoo.tests.common import get_db_name


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    from odoo.addons.account.tests.common import AccountTestInvoicingCommon

    cases = [item.cls for item in session.items if getattr(item, "cls", None)]
    if not any(issubclass(case, AccountTestInvoicingCommon) for case in cases):
        return

    class Maker(AccountTestInvoicingCommon):
        """Makes what its base would make for each class of tests."""

    # Only in a test has a company a warehouse from the start.
    in_a_test = patch.object(module, "current_test", Maker)
    with in_a_test, Registry(get_db_name()).cursor() as cursor:
        Maker.env = api.Environment(cursor, SUPERUSER_ID, Maker.default_env_context())
        # Where the tests look for it: see MatomoCommon.
        if not Maker.env["res.company"].search([("name", "=", "company_1_data")]):
            Maker.setup_independent_company()
