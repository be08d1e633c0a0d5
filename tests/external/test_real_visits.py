"""What orders do to Matomo's reports of visits and carts, on a real Matomo."""

from contextlib import closing
from datetime import timedelta, timezone
from decimal import Decimal

from odoo import Command
from odoo.tests import tagged

from ...matomo_api.timezones import get_timezone
from ...matomo_api.tracking import (
    Cart,
    Page,
    Visitor,
    cart_parameters,
    page_view_parameters,
)
from ..common import VISITOR, MatomoPosCommon
from ..common.real_matomo import RealMatomo, yesterday

ZONE = "Europe/Brussels"
# Half past eleven in the evening there, or half past midnight in summer.
MOMENT = (yesterday() - timedelta(days=1)).replace(hour=22, minute=30)
LOCAL = MOMENT.replace(tzinfo=timezone.utc).astimezone(get_timezone(ZONE))


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealVisits(MatomoPosCommon):
    """Orders, and the visits and carts that Matomo reports of them."""

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    # === AN ORDER THAT BEGINS ITS VISIT === #

    def sell_and_report(self, **values):
        """Sell twice at a till, and return what Matomo's reports say of the visits.

        :param values: of the site
        """
        real = RealMatomo(currency=self.company.currency_id.name, timezone=ZONE)
        real.receive_from(self.site, timezone=ZONE, **values)
        sales = self.sync(
            *(self.make_sale(date_order=str(MOMENT)) for _number in range(2))
        )
        self.run_sender()
        self.run_verifier()
        for sale in sales:
            self.assertState(sale, "verified")
        day = str(LOCAL.date())

        def call(method, **parameters):
            return real.call(
                method,
                idSite=str(real.idsite),
                period="day",
                date=day,
                format_metrics="0",
                **parameters,
            )

        frequency = call("VisitFrequency.get")
        return {
            "new": frequency["nb_visits_new"],
            "returning": frequency["nb_visits_returning"],
            "actions": call("VisitsSummary.get")["nb_actions"],
            "pages": {
                row["label"]: row["nb_hits"]
                for row in call("Actions.getPageUrls", flat="1")
            },
            "entries": {
                row["label"].strip(): int(row["entry_nb_visits"])
                for row in call("Actions.getEntryPageTitles")
            },
            "hours": {
                row["label"]: row["nb_visits"]
                for row in call("VisitTime.getVisitInformationPerLocalTime")
                if row["nb_visits"]
            },
            "orders": real.report(day, day)["nb_conversions"],
        }

    def test_visits_of_orders(self):
        """With a page view each order is a new visit that shows its page."""
        hour = f"{LOCAL.hour:02}"
        self.assertEqual(
            self.sell_and_report(),
            {
                "new": 2,
                "returning": 0,
                "actions": 2,
                "pages": {"/pos/bakery": 2},
                "entries": {"Bakery": 2},
                "hours": {hour: 2},
                "orders": 2,
            },
        )
        self.assertEqual(
            self.sell_and_report(send_page_views=False),
            {
                "new": 0,
                "returning": 2,
                "actions": 0,
                "pages": {},
                "entries": {},
                "hours": {hour: 2},
                "orders": 2,
            },
        )

    # === AN ORDER THAT IS PAID LATER === #

    def buy_and_report(self, **values):
        """Fill a cart, check out, and pay two days later.

        :param values: of the site
        :return: orders and abandoned carts of the day of the checkout and of the day of
            the payment, and from where Matomo says that the visitor of the order came
        """
        real = RealMatomo(currency=self.company.currency_id.name)
        real.receive_from(self.site, **values)
        checkout = yesterday() - timedelta(days=3)
        payment = checkout + timedelta(days=2)
        self.browse(checkout - timedelta(minutes=9))
        order = self.make_order(website_id=self.make_website().id)
        order.sudo().matomo_visitor_id = VISITOR
        transaction = self.env["payment.transaction"].sudo()
        transaction = transaction.create(
            {
                "provider_id": self.env["payment.provider"].sudo().search([])[:1].id,
                "payment_method_id": self.env["payment.method"]
                .sudo()
                .search([])[:1]
                .id,
                "amount": order.amount_total,
                "currency_id": order.currency_id.id,
                "partner_id": order.partner_id.id,
                "sale_order_ids": [Command.link(order.id)],
                "state": "pending",
            }
        )
        self.env.cr.execute(
            "UPDATE payment_transaction SET create_date = %s WHERE id = %s",
            (checkout, transaction.id),
        )
        self.env.invalidate_all()
        self.confirm(order)
        order.date_order = payment
        self.run_sender()
        self.run_verifier()
        self.assertState(order, "verified")
        days = {"period": "day", "date": f"{checkout.date()},{payment.date()}"}
        site = {"idSite": str(real.idsite), "format_metrics": "0"}
        reports = [
            list(real.call("Goals.get", idGoal=goal, **site, **days).values())
            for goal in ("ecommerceOrder", "ecommerceAbandonedCart")
        ]
        (visit,) = real.call(
            "Live.getLastVisitsDetails",
            **site,
            period="range",
            date=days["date"],
            segment=f"orderId=={order.matomo_order_ref}",
        )
        return [
            *(
                # A day without any is an empty list.
                tuple(day["nb_conversions"] if day else 0 for day in (first, last))
                for first, _between, last in reports
            ),
            visit["referrerType"],
        ]

    def browse(self, moment):
        """Have Matomo record a page view and a cart, as of the shopper's browser."""
        visitor = Visitor(VISITOR)
        page = Page("https://shop.example.com/shop", "Shop", view_id="abcdef")
        cart = Cart(moment, Decimal("115.00"), ())
        payload = cart_parameters(self.site.idsite, cart, visitor, page)
        view = page_view_parameters(payload)
        with closing(self.site._get__client()) as client:
            client.send_bulk([{**view, "urlref": "https://www.google.com/"}], timeout=9)
            client.send_bulk([payload], timeout=9)

    def make_website(self):
        website = self.env["website"].sudo().search([], limit=1).copy()
        website.write({"company_id": self.company.id, "matomo_site_id": self.site.id})
        return website

    def test_order_that_is_paid_later(self):
        """Only at the time of its checkout an order takes its cart back."""
        self.assertEqual(self.buy_and_report(), [(0, 1), (1, 0), "direct"])
        self.assertEqual(
            self.buy_and_report(order_time="checkout"), [(1, 0), (0, 0), "search"]
        )
