"""What is believed of Matomo, asked of a real one.

A site of its own is made for each run. Wrong tokens are few: twenty an hour lock
the sender out (docs/matomo.md section 5).
"""

import secrets
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from odoo.tests import BaseCase, tagged

from ...matomo_api.client import Client
from ...matomo_api.errors import Misconfigured, ReportRefused
from ...matomo_api.items import (
    Line,
    choose_categories,
    choose_sku,
    merge_lines,
)
from ...matomo_api.reading import (
    Totals,
    day_totals,
    may_read,
    read_orders,
    read_site,
)
from ...matomo_api.texts import clean_text
from ...matomo_api.tracking import (
    Order,
    Page,
    Visitor,
    fit_order_ref,
    order_parameters,
    order_ref_key,
)
from ..common.real_matomo import RealMatomo

NOW = datetime.now(timezone.utc).replace(microsecond=0, tzinfo=None)
NEW_YORK = ZoneInfo("America/New_York")
PAGE = Page("http://localhost/shop/confirmation", "Order")
NAMES = [
    *("A,B", "A;B", "A\\B", "A\\,B", "tail,", "tail;", "tail\\", "A/B", "A B"),
    *("A&B", "A<B>", 'A"B', "A'B", "A&copyB", "A&amp;C", "&lt;"),
    *("A%B", "A%41", "A%2541", "100%", "%", "A+B", "+", "A#B", "A==B", "A!=B"),
    *("Ünï-é", "日本", "😀-1", "$x", "^A$", "(A)", "A|B", 'O\'R;A,"x"%+'),
    # A second order under these is refused, if only the key did not tell.
    *("x" * 150, "&" * 150),
]


def make_order(ref, days=3, items=()):
    return Order(
        ref=ref,
        time=NOW - timedelta(days=days),
        revenue=Decimal("121"),
        subtotal=Decimal("110.50"),
        tax=Decimal("10.50"),
        shipping=Decimal("5"),
        discount=Decimal("5"),
        items=tuple(items),
    )


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestMatomoApi(BaseCase):
    """The facts that the addon relies on, tested on a real Matomo."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.real = RealMatomo(currency="EUR", timezone="America/New_York")
        cls.addClassCleanup(
            cls.real.call, "SitesManager.deleteSite", idSite=str(cls.real.idsite)
        )
        cls.idsite = cls.real.idsite
        cls.client = Client(cls.real.url, cls.real.token)
        cls.addClassCleanup(cls.client.close)

    def send(self, *orders):
        return self.client.send_bulk(
            [
                order_parameters(
                    self.idsite, order, Visitor(secrets.token_hex(8)), PAGE
                )
                for order in orders
            ],
            30,
        )

    def test_probe(self):
        self.client.probe(self.idsite)
        site = read_site(self.client, self.idsite)
        self.assertEqual(site.timezone, "America/New_York")
        with self.assertRaises(Misconfigured):
            self.client.probe(999_999)
        with self.assertRaises(ReportRefused):
            read_site(self.client, 999_999)
        self.assertTrue(may_read(self.client, self.idsite))
        self.assertFalse(may_read(self.client, 999_999))

    def test_probe_with_a_wrong_token(self):
        stranger = Client(self.real.url, secrets.token_hex(16))
        with self.assertRaises(Misconfigured):
            stranger.probe(self.idsite)
        with self.assertRaises(ReportRefused) as caught:
            read_site(stranger, self.idsite)
        self.assertTrue(caught.exception.is_denied)
        self.assertFalse(may_read(stranger, self.idsite))
        stranger.close()
        # Or a few runs an hour would lock everybody on this machine out.
        self.real.unlock()

    def test_orders_are_found_under_any_id(self):
        refs = [fit_order_ref(name) for name in NAMES]
        orders = [make_order(ref, days=3 + 11 * n) for n, ref in enumerate(refs)]
        self.assertEqual(self.send(*orders).tracked, len(orders))
        first, last = (NOW - timedelta(days=800)).date(), NOW.date()

        def read(*refs):
            return read_orders(self.client, self.idsite, refs, first, last).orders

        found = read(*refs)
        self.assertEqual([order.ref for order in orders if order.ref not in found], [])
        for order in orders:
            self.assertEqual(found[order.ref].ref, order.ref)
            local = order.time.replace(tzinfo=timezone.utc).astimezone(NEW_YORK)
            self.assertEqual(found[order.ref].time, local.replace(tzinfo=None))
            self.assertEqual(found[order.ref].revenue, order.revenue)
        # Alone, each is found, too, and nothing else.
        for ref in ("A,B", "A+B", "A%2541", "A&B", "tail\\"):
            self.assertEqual(read(ref).keys(), {ref})
        self.assertEqual(read("none"), {})
        # The same again is refused, every single one.
        self.assertEqual(self.send(*orders).invalid, len(orders))

    def test_items_and_reports(self):
        skus = [
            "A<B",
            "A&lt;C",
            "sku",
            "SKU",
            "é",
            "e",
            "1",
            "01",
            "1e0",
            "+1",
            "a,b",
            "A+B",
        ]
        names = [
            "R&D <i>",
            "x" * 4000,
            "a\x00b",
            "😀",
            "日本",
            "back\\u0041",
            '{"a":1}',
            "%41",
        ]
        lines = [
            Line(
                choose_sku([sku], "fallback"),
                clean_text(names[n % len(names)], 1000),
                choose_categories(names[n % 3 : n % 3 + 6]),
                Decimal("10.00"),
                Decimal(n + 1),
                1,
                Decimal(n + 1),
            )
            for n, sku in enumerate(skus)
        ]
        items = [merged.item for merged in merge_lines(lines)]
        day = 700
        # Twice: Matomo mixes some texts up only once it knows them.
        refs = ["ITEMS-1", "ITEMS-2"]
        orders = [make_order(ref, days=day, items=items) for ref in refs]
        self.assertEqual(self.send(*orders).tracked, 2)
        first, last = (NOW - timedelta(days=day + n) for n in (1, -1))
        first, last = first.date(), last.date()
        found = read_orders(self.client, self.idsite, refs, first, last)
        self.assertTrue(found.is_complete)
        for order in found.orders.values():
            recorded = {item.sku: item for item in order.items}
            self.assertEqual(recorded.keys(), {item.sku for item in items})
            for item in items:
                there = recorded[item.sku]
                self.assertEqual(there.name, item.name)
                self.assertEqual(set(there.categories), set(item.categories))
                self.assertEqual(there.price, item.price)
                self.assertEqual(there.quantity, item.quantity)
        totals = day_totals(self.client, self.idsite, first, last)
        self.assertEqual(len(totals), 3)
        counted = [each for each in totals.values() if each != Totals()]
        quantity = sum(item.quantity for item in items)
        taxed = [Decimal(amount) for amount in ("242.00", "21.00", "10.00", "10.00")]
        self.assertEqual(counted, [Totals(2, *taxed, items=2 * quantity)])
        report = self.real.report(first, last)
        amounts = {"subtotal": 221, "tax": 21, "shipping": 10, "discount": 10}
        for name, amount in amounts.items():
            self.assertEqual(float(report[f"revenue_{name}"]), amount)
        self.assertEqual(int(report["items"]), 2 * quantity)
        self.assertEqual(
            self.real.sold(first, last),
            {item.sku: (2 * item.quantity, 2 * item.revenue) for item in items},
        )

    def test_the_key_of_an_order_id_is_as_coarse_as_the_database(self):
        """What utf8mb4_general_ci takes for one character, ``order_ref_key`` does too.

        The collation compares character by character, by weights.
        """
        rows = self.real.query(
            """
            SET STATEMENT max_recursive_iterations = 100000 FOR
            WITH RECURSIVE codes AS (
                SELECT 1 AS code UNION ALL SELECT code + 1 FROM codes WHERE code < 65535
            )
            SELECT code, WEIGHT_STRING(
                CONVERT(
                    CONVERT(UNHEX(LPAD(HEX(code), 4, "0")) USING ucs2) USING utf8mb4
                ) COLLATE utf8mb4_general_ci
            ) AS weight FROM codes WHERE code NOT BETWEEN 0xD800 AND 0xDFFF
            """
        )
        groups = defaultdict(set)
        for row in rows:
            groups[row["weight"]].add(chr(row["code"]))
        self.assertGreater(len(groups), 60_000)
        finer = [
            group
            for group in groups.values()
            # Within a text: spaces at its end do not count.
            if len({order_ref_key(f"S{char}1") for char in group}) > 1
        ]
        self.assertEqual(finer, [])

    def test_the_key_agrees_with_the_database_on_texts(self):
        texts = [
            "SO-1",
            "so-1",
            "SO-1 ",
            "Straße",
            "STRASE",
            "É",
            "e\u0301",
            "😀",
            "🎉",
            "ᾳ",
        ]
        pairs = [(one, other) for one in texts for other in texts]
        for one, other in pairs:
            (answer,) = self.real.query(
                "SELECT CONVERT(%s USING utf8mb4) = %s COLLATE utf8mb4_general_ci"
                " AS is_equal",
                one,
                other,
            )
            if answer["is_equal"]:
                self.assertEqual(order_ref_key(one), order_ref_key(other))
