"""What the doctor says of each point of a site, at its edges."""

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import pytest
from english import ENGLISH
from matomo_order_tracking.matomo_api.errors import (
    Misconfigured,
    ReportRefused,
    Unreachable,
)
from matomo_order_tracking.matomo_api.facts import Facts
from matomo_order_tracking.matomo_api.reading import SiteDescription
from matomo_order_tracking.tools import alerts
from matomo_order_tracking.tools.doctor import (
    LEVELS,
    Finding,
    Shop,
    covers,
    examine,
    find_worse,
)
from matomo_order_tracking.tools.findings import POINTS, describe_finding
from matomo_order_tracking.tools.needed import NEEDED, Stopped

NOW = datetime(2026, 3, 3, 10)
SITE = SiteDescription("Shop", "https://shop.example.com", "EUR", "UTC", True)
FACTS = Facts(
    may_read=True,
    site=SITE,
    version="5.3.1",
    urls=("https://shop.example.com",),
    has_visits_log=True,
    has_queue=False,
    has_spam_prevention=False,
    global_exclusions=("", ""),
    clock_offset=0.4,
)
SHOP = Shop(
    now=NOW,
    currency="EUR",
    timezone="UTC",
    hosts=["shop.example.com"],
    pages=["https://shop.example.com/shop"],
    ip_addresses=["203.0.113.9", "0.0.0.0", "198.51.100.1"],
    user_agents=["Mozilla/5.0 Firefox/140", "Mozilla/5.0 Chrome/140"],
    verified_count=3,
    token_end=date(2027, 3, 3),
    is_raw_data_confirmed=True,
    tagged=["My Website"],
)
DENIED = ReportRefused("report_refused", answer="no", status=401)
CLOSED = Unreachable("connection_refused", host="matomo.example.com", port=443)
NO_WRITE = Misconfigured("no_write_access", idsite=1)
NO_TOKEN = Misconfigured("no_token", site="Shop")


def ends_in(days, **more):
    """Return the facts of a certificate that ends in so many days."""
    end = NOW.replace(tzinfo=timezone.utc) + timedelta(days=days, **more)
    return {"certificate_end": end.timestamp()}


def site(**values):
    return {"site": replace(SITE, **values)}


# {what is so: (facts, shop, kind, level, cause)}
CASES = {
    # === THE WAY === #
    "it answers": ({}, {}, "reachable", "good", ""),
    "it does not answer": ({"refusal": CLOSED}, {}, "reachable", "bad", ""),
    "it refuses the token": ({"refusal": NO_WRITE}, {}, "reachable", "good", ""),
    "nobody asked it": ({"refusal": NO_TOKEN}, {}, "reachable", "unknown", ""),
    "the oldest that was tested": ({"version": "5.3.0"}, {}, "version", "good", ""),
    "a beta of it": ({"version": "5.3.0-b2"}, {}, "version", "good", ""),
    "an older one": ({"version": "5.2.2"}, {}, "version", "look", "old"),
    "a much older one": ({"version": "4.15.1"}, {}, "version", "look", "old"),
    "a newer one of the same kind": ({"version": "5.9.0"}, {}, "version", "good", ""),
    "the next kind": ({"version": "6.0.0"}, {}, "version", "look", "new"),
    "no version": ({"version": ""}, {}, "version", "unknown", ""),
    "nonsense": ({"version": "abc"}, {}, "version", "unknown", ""),
    "no certificate": ({}, {}, "certificate", None, ""),
    "a long certificate": (ends_in(21), {}, "certificate", "good", ""),
    "soon over": (ends_in(21, seconds=-1), {}, "certificate", "look", ""),
    "a week left": (ends_in(7), {}, "certificate", "look", ""),
    "less than a week": (ends_in(7, seconds=-1), {}, "certificate", "bad", ""),
    "over": (ends_in(-1), {}, "certificate", "bad", ""),
    "no date": ({"clock_offset": None}, {}, "clock", "unknown", ""),
    "almost the same time": ({"clock_offset": -29.9}, {}, "clock", "good", ""),
    "half a minute behind": ({"clock_offset": -30}, {}, "clock", "look", "late"),
    "half a minute ahead": ({"clock_offset": 30.2}, {}, "clock", "look", "ahead"),
    "almost five minutes": ({"clock_offset": 299}, {}, "clock", "look", "ahead"),
    "five minutes": ({"clock_offset": -300}, {}, "clock", "bad", "late"),
    # === THE TOKEN === #
    "it may send": ({}, {}, "token", "good", ""),
    "it may not": ({"refusal": NO_WRITE}, {}, "token", "bad", ""),
    "there is none": ({"refusal": NO_TOKEN}, {}, "token", "bad", ""),
    "who knows": ({"refusal": CLOSED}, {}, "token", "unknown", ""),
    "a user's": ({}, {}, "superuser", "good", ""),
    "a superuser's": ({"is_superuser": True}, {}, "superuser", "bad", ""),
    "it reads": ({}, {}, "reading", "good", ""),
    "it may not read": ({"may_read": False}, {}, "reading", "bad", ""),
    "it cannot read now": (
        {"may_read": None, "read_error": DENIED},
        {},
        "reading",
        "look",
        "",
    ),
    "not said": ({"may_read": None}, {}, "reading", "unknown", ""),
    "no day was entered": ({}, {"token_end": None}, "token_end", "unknown", ""),
    "never": ({}, {"is_token_endless": True}, "token_end", "good", "endless"),
    "two weeks": ({}, {"token_end": date(2026, 3, 17)}, "token_end", "good", ""),
    "less": ({}, {"token_end": date(2026, 3, 16)}, "token_end", "look", ""),
    "tomorrow": ({}, {"token_end": date(2026, 3, 4)}, "token_end", "look", ""),
    "today": ({}, {"token_end": date(2026, 3, 3)}, "token_end", "bad", ""),
    # === THE SITE === #
    "described": ({}, {}, "site", "good", ""),
    "not described": ({"site": None}, {}, "site", "unknown", ""),
    "on": ({}, {}, "ecommerce", "good", ""),
    "off": (site(is_ecommerce=False), {}, "ecommerce", "bad", ""),
    "on or off": ({"site": None}, {}, "ecommerce", "unknown", ""),
    "the company's": ({}, {}, "currency", "good", ""),
    "another one": (site(currency="USD"), {}, "currency", "look", ""),
    "one that Odoo lacks": (
        site(currency="XTS"),
        {"is_currency_active": False},
        "currency",
        "bad",
        "inactive",
    ),
    "confirmed by a person": ({"site": None}, {}, "currency", "unknown", ""),
    "confirmed by nobody": (
        site(currency=""),
        {"is_currency_confirmed": False},
        "currency",
        "bad",
        "unconfirmed",
    ),
    "Odoo's zone": ({}, {}, "timezone", "good", ""),
    "the company has none": ({}, {"timezone": ""}, "timezone", "good", "alone"),
    "another zone": (site(timezone="Asia/Tokyo"), {}, "timezone", "look", ""),
    "no zone": (site(timezone="Mars/Base"), {}, "timezone", "bad", ""),
    "no zone is told": ({"site": None}, {}, "timezone", "unknown", ""),
    "the shop's": ({}, {}, "main_url", "good", ""),
    "with www": (
        site(main_url="https://WWW.Shop.example.com/"),
        {},
        *("main_url", "good"),
        "",
    ),
    "of one of the shops": (
        {},
        {"hosts": ["x.example", "shop.example.com"]},
        *("main_url", "good"),
        "",
    ),
    "another shop's": (
        site(main_url="https://old.example"),
        {},
        "main_url",
        "look",
        "",
    ),
    "no shop": ({}, {"hosts": []}, "main_url", "good", ""),
    "no address": ({"site": None}, {}, "main_url", "unknown", ""),
    "all pages": ({}, {}, "only_known", "good", "off"),
    "only ours": (site(exclude_unknown_urls=True), {}, "only_known", "good", ""),
    "a path within": (
        {
            **site(exclude_unknown_urls=True),
            "urls": ("https://shop.example.com/SHOP/",),
        },
        {},
        *("only_known", "good", ""),
    ),
    "a path beside": (
        {**site(exclude_unknown_urls=True), "urls": ("https://shop.example.com/sho",)},
        {},
        *("only_known", "bad", ""),
    ),
    "not the second shop's": (
        site(exclude_unknown_urls=True),
        {"hosts": ["shop.example.com", "b2b.example.com:8069"]},
        *("only_known", "look", ""),
    ),
    "no addresses": ({"site": None}, {}, "only_known", "unknown", ""),
    # === EXCLUSIONS === #
    "nothing is excluded": ({}, {}, "excluded_ips", "good", ""),
    "nobody who buys": (site(excluded_ips="10.0.0.*"), {}, "excluded_ips", "good", ""),
    # Matomo records an order without an address always.
    "no address is excluded": (
        site(excluded_ips="0.0.0.0"),
        {},
        *("excluded_ips", "good"),
        "",
    ),
    "who buys": (
        site(excluded_ips="1.1.1.1, 203.0.113.0/24"),
        {},
        *("excluded_ips", "look"),
        "",
    ),
    "on all sites": (
        {"global_exclusions": ("198.51.*.*", "")},
        {},
        *("excluded_ips", "look"),
        "",
    ),
    "excluded or not": ({"site": None}, {}, "excluded_ips", "unknown", ""),
    "no browser": (
        site(excluded_user_agents="curl"),
        {},
        *("excluded_browsers", "good"),
        "",
    ),
    "a browser": (
        site(excluded_user_agents="FIREFOX"),
        {},
        *("excluded_browsers", "look"),
        "",
    ),
    "a browser on all sites": (
        {"global_exclusions": ("", "chrome")},
        {},
        *("excluded_browsers", "look"),
        "",
    ),
    "an expression": (
        site(excluded_user_agents="/fire(fox)+/i"),
        {},
        *("excluded_browsers", "unknown"),
        "pattern",
    ),
    "any browser": ({"site": None}, {}, "excluded_browsers", "unknown", ""),
    "told": ({}, {}, "global_exclusions", "good", ""),
    "not told": ({"global_exclusions": None}, {}, "global_exclusions", "unknown", ""),
    "a person has looked": (
        {"global_exclusions": None},
        {"are_exclusions_confirmed": True},
        *("global_exclusions", "good", ""),
    ),
    "no spam prevention": ({}, {}, "spam_prevention", "good", ""),
    "spam prevention": (
        {"has_spam_prevention": True},
        {},
        *("spam_prevention", "look"),
        "",
    ),
    "perhaps": ({"has_spam_prevention": None}, {}, "spam_prevention", "unknown", ""),
    # === RECORDING === #
    "no queue": ({}, {}, "queue", "good", ""),
    "a queue": ({"has_queue": True}, {}, "queue", "look", ""),
    "perhaps a queue": ({"has_queue": None}, {}, "queue", "unknown", ""),
    "a log": ({}, {}, "visits_log", "good", ""),
    "no log": ({"has_visits_log": False}, {}, "visits_log", "look", ""),
    "perhaps a log": ({"has_visits_log": None}, {}, "visits_log", "unknown", ""),
    "IDs are kept": ({}, {}, "order_ids", "good", ""),
    "IDs are replaced": ({}, {"anonymises": True}, "order_ids", "look", ""),
    "too few orders": ({}, {"verified_count": 2}, "order_ids", "unknown", ""),
    "looked up": ({}, {}, "raw_data", "good", ""),
    "for ever": ({}, {"raw_data_days": 0}, "raw_data", "good", "endless"),
    "not looked up": ({}, {"is_raw_data_confirmed": False}, "raw_data", "unknown", ""),
    # === OTHERS === #
    "a tag": ({}, {}, "tracking_tag", "good", ""),
    "a page without": ({}, {"untagged": ["Second"]}, "tracking_tag", "look", ""),
    "no website": ({}, {"tagged": []}, "tracking_tag", None, ""),
    "no code": ({}, {}, "selling_tag", "good", ""),
    "code that sends": (
        {},
        {"selling_tags": ["My Website"]},
        *("selling_tag", "bad"),
        "",
    ),
    "no website, no code": ({}, {"tagged": []}, "selling_tag", None, ""),
    "only ours are there": ({}, {}, "foreign", "good", ""),
    "others are there": ({}, {"foreign_count": 1}, "foreign", "look", ""),
    "no other IDs": ({}, {}, "order_prefix", "good", ""),
    "the same IDs": ({}, {"taken_count": 1}, "order_prefix", "look", ""),
    "a prefix": (
        {},
        {"taken_count": 1, "order_prefix": "S1-"},
        *("order_prefix", "good", "prefix"),
    ),
}


def find(facts, shop):
    found = examine(replace(FACTS, **facts), replace(SHOP, **shop))
    by_kind = {each.kind: each for each in found}
    assert len(by_kind) == len(found)
    return by_kind


@pytest.mark.parametrize("case", CASES)
def test_finding(case):
    facts, shop, kind, level, cause = CASES[case]
    finding = find(facts, shop).get(kind)
    assert (finding and finding.level) == level
    if finding:
        assert finding.cause == cause


def test_all_is_well():
    assert {each.level for each in find({}, {}).values()} == {"good"}


def test_what_matomo_does_not_tell_is_never_good():
    silent = Facts(refusal=CLOSED)
    levels = {each.kind: each.level for each in examine(silent, Shop(now=NOW))}
    told_by_odoo = {"foreign", "order_prefix"}
    assert {kind for kind in levels if levels[kind] == "good"} == told_by_odoo


@pytest.mark.parametrize(
    ("pattern", "address", "is_covered"),
    [
        ("203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.8", False),
        ("203.0.113.*", "203.0.113.200", True),
        ("203.0.*.*", "203.1.113.200", False),
        ("*.*.*.*", "203.1.113.200", True),
        ("203.0.113.9/24", "203.0.113.200", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "203.0.113.9", False),
        ("nonsense", "203.0.113.9", False),
        ("203.0.113.9", "nonsense", False),
        ("*.*.*.*.*.*.*.*.*", "203.0.113.9", False),
    ],
)
def test_covers(pattern, address, is_covered):
    assert covers(pattern, address) == is_covered


@pytest.mark.parametrize(
    ("before", "told", "now", "worse"),
    [
        # A shop that is set up reads its findings on the site.
        ({}, {}, "look", {}),
        ({}, {}, "bad", {"clock": "bad"}),
        ({"clock": "unknown"}, {}, "look", {}),
        ({"clock": "good"}, {}, "look", {"clock": "look"}),
        ({"clock": "look"}, {}, "look", {}),
        ({"clock": "look"}, {"clock": "look"}, "look", {"clock": "look"}),
        ({"clock": "bad"}, {"clock": "bad"}, "look", {"clock": "look"}),
        ({"clock": "look"}, {"clock": "look"}, "bad", {"clock": "bad"}),
        ({"clock": "bad"}, {"clock": "bad"}, "good", {}),
        ({"clock": "good"}, {}, "unknown", {}),
    ],
)
def test_what_is_worse(before, told, now, worse):
    assert find_worse(before, told, [Finding("clock", now)]) == worse


@pytest.mark.parametrize(
    ("kind", "level", "is_told"),
    [
        # The sender tells of these.
        ("reachable", "bad", False),
        ("token", "bad", False),
        # That these have changed is told by itself.
        ("currency", "look", False),
        ("timezone", "look", False),
        ("main_url", "look", False),
        ("currency", "bad", True),
        ("excluded_ips", "look", True),
    ],
)
def test_what_others_tell(kind, level, is_told):
    worse = find_worse({kind: "good"}, {}, [Finding(kind, level)])
    assert worse == ({kind: level} if is_told else {})


# === SENTENCES === #


def all_findings():
    """Yield each finding of the tables, each kind, level and cause at least once."""
    for facts, shop, kind, _level, _cause in CASES.values():
        yield from filter(None, [find(facts, shop).get(kind)])
    long = NOW - timedelta(days=3)
    for values in (
        {"is_copy": True},
        {"stopped": [Stopped(key, key) for key in NEEDED], "paused_date": long},
        {"stopped": [Stopped("ir_cron_job", "Work", is_deleted=True)]},
        {"waiting_date": long, "refused_date": long, "unread_date": long},
        {"trouble_date": long, "failed_count": 1, "unproven_count": 1},
        {"tag_count": 1, "visitor_count": 99, "address_count": 1, "different_days": 2},
    ):
        yield from alerts.add_good(alerts.find_alerts(alerts.SiteFacts(NOW, **values)))


def test_each_finding_has_sentences():
    env = ENGLISH
    for finding in all_findings():
        says, advice = describe_finding(
            env, finding, lambda env, day: f"{day}", lambda env, moment: f"{moment}"
        )
        assert says.endswith((".", "”")), finding
        assert not advice or advice.endswith("."), finding
        # What is wrong says what to do.
        texts = f"{says} {advice}"
        is_told = advice or finding.kind in ("reading",)
        assert finding.level not in ("bad", "look") or is_told, (finding, texts)


def test_each_sentence_is_used():
    said = {(each.kind, each.cause or each.level) for each in all_findings()}
    written = {(kind, key) for kind, point in POINTS.items() for key in point.says}
    assert written - said == set()
    assert {kind for kind, _key in said} == POINTS.keys()
    assert {each.level for each in all_findings()} == set(LEVELS)


@pytest.mark.parametrize(
    ("kind", "level", "figures", "words"),
    [
        ("stopped", "bad", {"names": "Send, Verify"}, "Send, Verify"),
        ("paused", "look", {"since": "2026-03-01 10:00:00", "count": 2}, "2 orders"),
        ("outage", "bad", {"since": "2026-03-01 10:00:00", "count": 1}, "1 order"),
    ],
)
def test_figures_of_an_older_version(kind, level, figures, words):
    """They are shown from an upgrade until the next hourly run."""
    says, advice = describe_finding(
        ENGLISH,
        Finding(kind, level, figures),
        lambda env, day: f"{day}",
        lambda env, moment: f"{moment}",
    )
    assert words in says
    assert advice
