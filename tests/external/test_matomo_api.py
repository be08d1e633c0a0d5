"""What is believed of Matomo, asked of a real one.

A site of its own is made for each run. Wrong tokens are few: twenty an hour lock
the sender out (MATOMO.md section 5).
"""

import secrets
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pymysql
import pytest

from matomo_api.client import Client
from matomo_api.errors import Misconfigured
from matomo_api.items import (
    Line,
    choose_categories,
    choose_sku,
    clean_text,
    merge_lines,
)
from matomo_api.reading import DayTotals, day_totals, read_orders, read_site, sku_totals
from matomo_api.tracking import (
    Order,
    Page,
    Visitor,
    fit_order_ref,
    order_parameters,
    order_ref_key,
)

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


@pytest.fixture(scope="module")
def database(matomo):
    settings = matomo["database"]
    with pymysql.connect(
        host=settings["host"],
        port=settings["port"],
        user=settings["user"],
        password=settings["password"],
        database=settings["name"],
        charset="utf8mb4",
        autocommit=True,
    ) as connection:
        yield connection.cursor()


@pytest.fixture(scope="module")
def client(matomo):
    client = Client(matomo["url"], matomo["token"])
    yield client
    client.close()


@pytest.fixture(scope="module")
def idsite(matomo):
    """A site in another time zone that is the tests' own."""
    manager = Client(matomo["url"], matomo["superuser_token"])
    idsite = manager.call_api(
        "SitesManager.addSite",
        siteName=f"matomo_api {NOW}",
        **{"urls[0]": "http://localhost"},
        ecommerce="1",
        timezone="America/New_York",
        currency="EUR",
    )["value"]
    manager.call_api(
        "UsersManager.setUserAccess",
        userLogin=matomo["write_login"],
        access="write",
        idSites=str(idsite),
    )
    yield idsite
    manager.call_api("SitesManager.deleteSite", idSite=str(idsite))
    manager.close()


def send(client, idsite, *orders):
    return client.send_bulk(
        [
            order_parameters(idsite, order, Visitor(secrets.token_hex(8)), PAGE)
            for order in orders
        ],
        30,
    )


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


def test_probe(client, idsite):
    client.probe(idsite)
    assert read_site(client, idsite).timezone == "America/New_York"
    with pytest.raises(Misconfigured):
        client.probe(999_999)
    with pytest.raises(Misconfigured):
        read_site(client, 999_999)


def test_probe_with_a_wrong_token(client, idsite, matomo, database):
    stranger = Client(matomo["url"], secrets.token_hex(16))
    with pytest.raises(Misconfigured):
        stranger.probe(idsite)
    with pytest.raises(Misconfigured, match="does not know the token"):
        read_site(stranger, idsite)
    stranger.close()
    # Or a few runs an hour would lock everybody on this machine out.
    database.execute("TRUNCATE matomo_brute_force_log")


def test_orders_are_found_under_any_id(client, idsite):
    refs = [fit_order_ref(name) for name in NAMES]
    orders = [make_order(ref, days=3 + 11 * n) for n, ref in enumerate(refs)]
    assert send(client, idsite, *orders).tracked == len(orders)
    first, last = (NOW - timedelta(days=800)).date(), NOW.date()
    found = read_orders(client, idsite, refs, first, last)
    assert [order.ref for order in orders if order.ref not in found] == []
    for order in orders:
        assert found[order.ref].ref == order.ref
        local = order.time.replace(tzinfo=timezone.utc).astimezone(NEW_YORK)
        assert found[order.ref].time == local.replace(tzinfo=None)
        assert found[order.ref].revenue == order.revenue
    # Alone, each is found, too, and nothing else.
    for ref in ("A,B", "A+B", "A%2541", "A&B", "tail\\"):
        assert read_orders(client, idsite, [ref], first, last).keys() == {ref}
    assert read_orders(client, idsite, ["none"], first, last) == {}
    # The same again is refused, every single one.
    assert send(client, idsite, *orders).invalid == len(orders)


def test_items_and_reports(client, idsite):
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
    assert send(client, idsite, *orders).tracked == 2
    first, last = (NOW - timedelta(days=day + n) for n in (1, -1))
    first, last = first.date(), last.date()
    for order in read_orders(client, idsite, refs, first, last).values():
        recorded = {item.sku: item for item in order.items}
        assert recorded.keys() == {item.sku for item in items}
        for item in items:
            assert recorded[item.sku].name == item.name
            assert set(recorded[item.sku].categories) == set(item.categories)
            assert recorded[item.sku].price == item.price
            assert recorded[item.sku].quantity == item.quantity
    totals = day_totals(client, idsite, first, last)
    assert len(totals) == 3
    counted = [each for each in totals.values() if each != DayTotals()]
    quantity = sum(item.quantity for item in items)
    amounts = (Decimal(2) * Decimal(x) for x in ("121", "110.5", "10.5", "5", "5"))
    assert counted == [DayTotals(2, *amounts, items=2 * quantity)]
    assert sku_totals(client, idsite, first, last) == {
        item.sku: (2 * item.quantity, 2 * item.revenue) for item in items
    }


def test_the_key_of_an_order_id_is_as_coarse_as_the_database(database):
    """What utf8mb4_general_ci takes for one character, ``order_ref_key`` does too.

    The collation compares character by character, by weights.
    """
    database.execute("SET max_recursive_iterations = 100000")
    database.execute(
        """
        WITH RECURSIVE codes AS (
            SELECT 1 AS code UNION ALL SELECT code + 1 FROM codes WHERE code < 65535
        )
        SELECT code, WEIGHT_STRING(
            CONVERT(CONVERT(UNHEX(LPAD(HEX(code), 4, "0")) USING ucs2) USING utf8mb4)
            COLLATE utf8mb4_general_ci
        ) FROM codes WHERE code NOT BETWEEN 0xD800 AND 0xDFFF
        """
    )
    groups = defaultdict(set)
    for code, weight in database.fetchall():
        groups[weight].add(chr(code))
    assert len(groups) > 60_000
    finer = [
        group
        for group in groups.values()
        # Within a text: spaces at its end do not count.
        if len({order_ref_key(f"S{char}1") for char in group}) > 1
    ]
    assert finer == []


def test_the_key_agrees_with_the_database_on_texts(database):
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
        database.execute(
            "SELECT CONVERT(%s USING utf8mb4) = %s COLLATE utf8mb4_general_ci",
            (one, other),
        )
        if database.fetchone()[0]:
            assert order_ref_key(one) == order_ref_key(other)
