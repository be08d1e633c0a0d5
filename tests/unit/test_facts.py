"""What Matomo's answers about itself mean, as tables."""

from dataclasses import replace

import pytest
from matomo_order_tracking.matomo_api.errors import (
    Misconfigured,
    ReportRefused,
    ServerTrouble,
    Unreachable,
)
from matomo_order_tracking.matomo_api.facts import (
    Change,
    Facts,
    find_changes,
    find_trouble,
    read_facts,
)
from matomo_order_tracking.matomo_api.reading import SiteDescription

SITE = SiteDescription("Shop", "https://shop.example.com", "EUR", "UTC+5.5", True)
DENIED = ReportRefused("report_refused", answer="no", status=401)
FORBIDDEN = ReportRefused("report_refused", answer="no", status=403)
ILL = ReportRefused("report_refused", answer="MySQL has gone away", status=200)
CLOSED = Unreachable("timeout", seconds=10)
REFUSED = Misconfigured("token_refused", idsite=1)
SITES, ADMIN_SITES, DESCRIPTION, URLS, VERSION, LOG, PLUGIN, IPS, AGENTS = (
    "SitesManager.getSitesIdWithAtLeastViewAccess",
    "SitesManager.getSitesIdWithAdminAccess",
    "SitesManager.getSiteFromId",
    "SitesManager.getSiteUrlsFromId",
    "API.getMatomoVersion",
    "Live.getLastVisitsDetails",
    "API.isPluginActivated",
    "SitesManager.getExcludedIpsGlobal",
    "SitesManager.getExcludedUserAgentsGlobal",
)
LOG_OFF = ReportRefused(
    "report_refused", answer="no", text="Visits log is deactivated globally."
)
FINE = {
    SITES: [1, 2],
    ADMIN_SITES: [],
    DESCRIPTION: {
        "name": "Shop",
        "main_url": "https://shop.example.com",
        "currency": "EUR",
        "timezone": "UTC+5.5",
        "ecommerce": "1",
    },
    URLS: ["https://shop.example.com", "https://www.example.com"],
    VERSION: {"value": "5.3.1"},
    LOG: [],
    PLUGIN: {"value": False},
    IPS: DENIED,
    AGENTS: DENIED,
}
# What is known of a Matomo that answers all that a token with write access may ask.
KNOWN = Facts(
    may_read=True,
    site=SITE,
    urls=("https://shop.example.com", "https://www.example.com"),
    version="5.3.1",
    has_visits_log=True,
    has_queue=False,
    has_spam_prevention=False,
    certificate_end=2e9,
    clock_offset=0.5,
)
# What the connection tells by itself.
SERVER = Facts(certificate_end=2e9, clock_offset=0.5)


class FakeClient:
    """Answers each method, and the probe, with a value or an error."""

    certificate_end = 2e9
    clock_offset = 0.5

    def __init__(self, probe=False, **answers):
        self.answers = {"probe": probe, **FINE, **answers}
        self.asked = []

    def probe(self, idsite, timeout):
        return self.call_api("probe")

    def call_api(self, method, **parameters):
        self.asked.append(method)
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answers", "facts"),
    [
        ({}, KNOWN),
        ({"probe": True}, replace(KNOWN, is_superuser=True)),
        ({SITES: [2]}, replace(SERVER, may_read=False)),
        ({SITES: DENIED}, replace(SERVER, may_read=False)),
        # Any other error concerns that call alone.
        ({SITES: ILL}, replace(SERVER, read_error=ILL)),
        ({SITES: CLOSED}, replace(SERVER, read_error=CLOSED)),
        (
            {DESCRIPTION: DENIED},
            replace(KNOWN, site=None, may_read=None, read_error=DENIED),
        ),
        ({URLS: DENIED}, replace(KNOWN, urls=None)),
        ({VERSION: DENIED}, replace(KNOWN, version="")),
        ({LOG: LOG_OFF}, replace(KNOWN, has_visits_log=False)),
        ({LOG: ILL}, replace(KNOWN, has_visits_log=None)),
        (
            {PLUGIN: {"value": True}},
            replace(KNOWN, has_queue=True, has_spam_prevention=True),
        ),
        ({PLUGIN: ILL}, replace(KNOWN, has_queue=None, has_spam_prevention=None)),
        (
            {IPS: {"value": "10.0.0.*"}, AGENTS: {"value": False}},
            replace(KNOWN, global_exclusions=("10.0.0.*", "")),
        ),
    ],
)
def test_what_is_read(answers, facts):
    assert read_facts(FakeClient(**answers), 1, timeout=7) == facts


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({ADMIN_SITES: []}, "no_write_access"),
        ({ADMIN_SITES: [2]}, "no_write_access"),
        ({ADMIN_SITES: [1, 2]}, "secure_only"),
        ({ADMIN_SITES: ILL}, "token_refused"),
        ({SITES: [2]}, "site_hidden"),
        ({SITES: DENIED}, "token_unknown"),
        # A server that lets nobody read.
        ({SITES: FORBIDDEN}, "token_refused"),
        ({SITES: CLOSED}, "token_refused"),
    ],
)
def test_why_a_token_is_refused(answers, kind):
    client = FakeClient(probe=REFUSED, **answers)
    facts = read_facts(client, 1, timeout=7)
    assert (facts.refusal.kind, type(facts.refusal)) == (kind, Misconfigured)
    # More questions with a wrong token would lock the sender out.
    is_wrong = (
        kind in ("token_refused", "token_unknown", "site_hidden")
        and ADMIN_SITES not in answers
    )
    assert client.asked == ["probe", SITES] + ([] if is_wrong else [ADMIN_SITES])


@pytest.mark.parametrize(
    "error", [CLOSED, ServerTrouble("not_matomo"), Misconfigured("address", reason="x")]
)
def test_a_matomo_that_is_not_there_is_asked_once(error):
    client = FakeClient(probe=error)
    assert read_facts(client, 1, timeout=7) == replace(SERVER, refusal=error)
    assert client.asked == ["probe"]


@pytest.mark.parametrize(
    ("facts", "is_confirmed", "kind"),
    [
        (Facts(refusal=REFUSED), True, "token_refused"),
        (Facts(refusal=REFUSED), False, "token_refused"),
        (Facts(may_read=True, site=SITE), True, None),
        # Orders are sent whether they can be read back or not.
        (Facts(may_read=False), True, None),
        (Facts(read_error=CLOSED), True, None),
        (Facts(may_read=False), False, None),
        (Facts(read_error=CLOSED), False, None),
        (Facts(site=replace(SITE, currency="")), False, None),
        # But not in a currency that is another than Matomo's.
        (Facts(site=SITE), False, "currency_inactive"),
    ],
)
def test_trouble(facts, is_confirmed, kind):
    trouble = find_trouble(facts, is_confirmed)
    assert (trouble and trouble.kind) == kind


def test_after_a_silence_nothing_more_is_asked():
    client = FakeClient(**{URLS: CLOSED})
    facts = read_facts(client, 1, timeout=7)
    assert client.asked == ["probe", SITES, DESCRIPTION, URLS]
    assert (facts.site, facts.urls, facts.version) == (SITE, None, "")


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ({}, []),
        ({"name": "Another"}, []),
        ({"currency": "GBP"}, [Change("currency", "EUR", "GBP")]),
        ({"timezone": "UTC-2"}, [Change("timezone", "UTC+5.5", "UTC-2")]),
        ({"is_ecommerce": False}, [Change("is_ecommerce", True, False)]),
        ({"excluded_ips": "10.0.0.1"}, [Change("excluded_ips", "", "10.0.0.1")]),
        # Not told now is no change.
        ({"currency": "", "timezone": ""}, []),
        (
            {"timezone": "UTC", "currency": "USD"},
            [Change("currency", "EUR", "USD"), Change("timezone", "UTC+5.5", "UTC")],
        ),
    ],
)
def test_changes(values, changes):
    before = Facts(site=SITE, version="5.3.1").to_json()
    assert find_changes(before, replace(SITE, **values)) == changes


def test_what_was_not_known_has_not_changed():
    assert find_changes({}, SITE) == []
