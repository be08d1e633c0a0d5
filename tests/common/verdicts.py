from odoo.tools import mute_logger

from .amounts import AmountsCommon
from .loggers import LOGGER


class VerdictsCommon(AmountsCommon):
    """Orders in every state."""

    def counted(self, step):
        """Return how many queries ``step`` needs."""
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        step()
        self.env.flush_all()
        return self.env.cr.sql_log_count - before

    def make_one_of_each(self):
        """Return ``{state: order}``, also for an order without a request."""
        website = (
            self.env["website"]
            .sudo()
            .create({"name": "Bare shop", "company_id": self.company.id})
        )
        verified = self.confirm(self.make_order())
        self.run_sender()
        self.run_verifier()
        sent = self.confirm(self.make_order())
        self.run_sender()
        failed = self.confirm(self.make_order())
        self.matomo.refuses = lambda parameters: True
        with mute_logger(LOGGER):
            self.run_sender()
        self.matomo.refuses = lambda parameters: False
        return {
            "verified": verified,
            "sent": sent,
            "failed": failed,
            "excluded": self.confirm(self.make_order(website_id=website.id)),
            "pending": self.confirm(self.make_order()),
            False: self.make_order(),
        }

    def make_failed(self):
        order = self.confirm(self.make_order())
        self.matomo.refuses = lambda parameters: True
        with mute_logger(LOGGER):
            self.run_sender()
        self.matomo.refuses = lambda parameters: False
        self.assertState(order, "failed", "Matomo refused this order")
        return order
