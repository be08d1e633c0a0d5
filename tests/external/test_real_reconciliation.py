from contextlib import closing
from datetime import timedelta

from odoo import fields
from odoo.tests import tagged

from ..common import ComparisonCommon
from ..common.real_matomo import RealMatomo, yesterday


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealReconciliation(ComparisonCommon):
    """The Daily Comparison against a real Matomo."""

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    def test_days_in_odoo_and_in_matomo(self):
        real = RealMatomo(timezone="America/New_York")
        real.receive_from(
            self.site,
            timezone="America/New_York",
            date_start=fields.Date.today() - timedelta(days=9),
        )
        # Noon, and four in the morning, which is the day before in New York.
        noon = yesterday() - timedelta(days=1)
        night = noon.replace(hour=4)
        first, second = self.sell(noon, night)
        lost = self.sell(noon)
        self.run_sender()
        foreign = {
            **self.get_request(first).payload,
            "ec_id": "TAG-1",
            "revenue": "12.5",
        }
        with closing(self.site._get__client()) as client:
            client.send_bulk([foreign], timeout=10)
        real.query(
            "DELETE FROM matomo_log_conversion WHERE idsite = %s AND idorder = %s",
            real.idsite,
            lost.name,
        )
        days = self.compare()
        day = str(noon.date())
        self.assertDay(
            days[day],
            (2, 230.0),
            (2, 127.5),
            "different",
            ("missing", lost.name, -1, -115.0),
            ("foreign", "TAG-1", 1, 12.5),
        )
        before = str((noon - timedelta(days=1)).date())
        self.assertDay(days[before], (1, 115.0), (1, 115.0), "equal")
        self.assertTrue(second)
