from odoo.tests import tagged

from ..common import AmountsCommon, TillCase


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestTillScreens(AmountsCommon, TillCase):
    """Orders that a cashier enters on the till's real screens, in Chromium."""

    def test_refund_in_part_exchange_and_tip(self):
        self.site.sudo().track_refunds = True
        session = self.open_till(self.shop)
        self.run_tour(self.shop, "matomo_till_returns")
        self.run_sender()
        furniture, lamps, refund, exchange, tipped = self.till_sales(session)
        self.assertExact(
            furniture,
            revenue="127.08",
            items={"CHAIR": ("100.00", 1), "LAMP": ("10.50", 1)},
        )
        self.assertExact(lamps, revenue="36.23", items={"LAMP": ("10.50", 3)})
        self.assertState(refund, "excluded", f"Refund of {lamps.name}")
        self.assertAlmostEqual(refund.amount_total, -24.15)
        self.assertAlmostEqual(exchange.amount_total, -102.92)
        self.assertExact(
            exchange, revenue="12.08", ec_tx="1.58", items={"LAMP": ("10.50", 1)}
        )
        self.assertExact(
            tipped,
            revenue="120.00",
            ec_tx="15.00",
            items={"CHAIR": ("100.00", 1), "TIPS": ("5.00", 1)},
        )
        self.assertEqual(len(self.matomo.orders), 4)
        # The keyed-in return names no sale that it takes back.
        [event] = self.matomo.events
        self.assertEqual((event["e_n"], event["e_v"]), (lamps.pos_reference, "24.15"))

    def make_programs(self):
        """Offer a gift card, an eWallet and a loyalty card at the till, no others."""
        programs = self.env["loyalty.program"].sudo()
        programs.search([]).pos_ok = False
        values = {"type": "service", "taxes": self.env["account.tax"]}
        for kind, name, price in (
            ("gift_card", "Present", 50.0),
            ("ewallet", "Purse", 40.0),
        ):
            program = programs.browse(programs.create_from_template(kind)["res_id"])
            product = self.make_product(name, name.upper(), price, **values)
            program.company_id = self.company
            program.rule_ids.product_ids = product
            if kind == "gift_card":
                program.pos_report_print_id = self.env.ref("loyalty.report_gift_card")
        self.make_program(
            "loyalty",
            {
                "reward_type": "discount",
                "discount_mode": "percent",
                "discount": 10,
                "required_points": 1,
                "description": "A tenth off",
            },
            rule={"reward_point_mode": "order", "reward_point_amount": 1},
            applies_on="both",
        )

    def test_gift_card_ewallet_and_loyalty(self):
        self.make_programs()
        session = self.open_till(self.shop)
        self.run_tour(self.shop, "matomo_till_programs")
        self.run_sender()
        sales = self.till_sales(session)
        card, by_card, top_up, by_wallet, loyal, lamps, exchange = sales
        # Odoo counts a card when it is sold; used, it takes off what is bought.
        self.assertExact(card, revenue="80.00", items={"PRESENT": ("80.00", 1)})
        self.assertExact(
            by_card,
            revenue="35.00",
            ec_tx="15.00",
            ec_dt="80.00",
            items={"CHAIR": ("100.00", 1)},
        )
        self.assertExact(top_up, revenue="40.00", items={"PURSE": ("40.00", 1)})
        self.assertExact(
            by_wallet,
            revenue="0.00",
            ec_tx="1.58",
            ec_dt="12.08",
            items={"LAMP": ("10.50", 1)},
        )
        self.assertExact(
            loyal,
            revenue="207.00",
            ec_tx="27.00",
            ec_dt="20.00",
            items={"CHAIR": ("100.00", 2)},
        )
        self.assertExact(lamps, revenue="24.15", items={"LAMP": ("10.50", 2)})
        self.assertEqual(exchange.amount_total, 0)
        self.assertExact(
            exchange, revenue="24.15", ec_tx="0.00", items={"PRESENT": ("24.15", 1)}
        )
        self.assertEqual(len(self.matomo.orders), 7)
