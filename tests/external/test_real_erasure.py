from contextlib import closing

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from ...matomo_api.tracking import get_visitor_id_of_user
from ..common import LOGGER
from ..common.privacy import SECRETS
from ..common.real_orders import RealOrdersCommon

# What Matomo makes of a customer with a user ID.
VISITOR = get_visitor_id_of_user(SECRETS["matomo_user_id"])


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealErasure(RealOrdersCommon):
    """A person is deleted in a real Matomo, by the token of one of its superusers."""

    def find_visits(self):
        return self.real.query(
            "SELECT idvisit FROM matomo_log_visit WHERE idsite = %s"
            " AND HEX(idvisitor) = %s",
            self.real.idsite,
            VISITOR.upper(),
        )

    @mute_logger(LOGGER)
    def test_person_leaves_and_the_sale_stays(self):
        mine = self.confirm_many("MINE+1")
        stranger = self.customer.copy({"name": "Other"})
        other = self.confirm_many("OTHER-1", partner_id=stranger.id)
        mine.sudo().write(SECRETS)
        self.run_sender()
        self.run_verifier()
        self.assertStates(mine + other, "verified")
        before = self.real.orders()
        # The shopper has looked around before that, too.
        with closing(self.site._get__client()) as client:
            view = {
                **self.get_request(mine).payload,
                "action_name": "A page",
                "ca": "0",
            }
            for name in ("idgoal", "revenue", "ec_id", "ec_items"):
                view.pop(name)
            view["cdt"] = str(fields.Datetime.subtract(mine.date_order, hours=5))
            client.send_bulk([view], timeout=20)
        self.assertEqual(len(self.find_visits()), 2)
        manager = self.make_manager()
        action = self.customer.with_user(manager).action_matomo_anonymize()
        wizard = self.env["matomo.erasure"].with_user(manager)
        wizard = wizard.browse(action["res_id"])
        self.assertIn("MINE+1", wizard.leaving)
        self.env.flush_all()
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            answer = (
                wizard.with_env(wizard.env(cr=cr))
                .with_context(matomo_admin_token_auth=self.real.info["superuser_token"])
                .action_delete_in_matomo()
            )
        self.env.invalidate_all()
        self.assertIn("2 visits were deleted", answer["params"]["message"])
        self.assertFalse(self.find_visits())
        self.assertEqual(sorted(self.real.orders()), ["OTHER-1"])
        self.run_verifier()
        self.run_sender()
        self.assertAllThereOnce(mine + other)
        now = self.real.orders()["MINE+1"]
        self.assertNotEqual(now["visitor"], VISITOR.upper())
        for name in ("revenue", "revenue_tax", "items", "server_time"):
            self.assertEqual(now[name], before["MINE+1"][name], name)
        self.assertFalse(self.find_visits())
        day = mine.date_order.date()
        report = self.real.report(day, day)
        self.assertEqual(report["nb_conversions"], 2)

    def test_token_that_may_not(self):
        mine = self.confirm_many("MINE-2")
        self.run_sender()
        self.run_verifier()
        manager = self.make_manager()
        action = self.customer.with_user(manager).action_matomo_anonymize()
        wizard = self.env["matomo.erasure"].with_user(manager)
        wizard = wizard.browse(action["res_id"])
        self.env.flush_all()
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            env = wizard.env(cr=cr)
            for token in (self.real.token, "0" * 32):
                asked = wizard.with_env(env).with_context(matomo_admin_token_auth=token)
                with self.assertRaisesRegex(UserError, "Nothing was deleted in Odoo"):
                    asked.action_delete_in_matomo()
        self.real.unlock()
        self.assertEqual(sorted(self.real.orders()), ["MINE-2"])
        self.assertTrue(self.get_request(mine).partner_id)
