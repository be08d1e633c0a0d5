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
    find_concerns,
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
SITES, ADMIN_SITES, DESCRIPTION, VERSION = (
    "SitesManager.getSitesIdWithAtLeastViewAccess",
    "SitesManager.getSitesIdWithAdminAccess",
    "SitesManager.getSiteFromId",
    "API.getMatomoVersion",
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
    VERSION: {"value": "5.3.1"},
}


class FakeClient:
    """Answers each method, and the probe, with a value or an error."""

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
        ({}, Facts(may_read=True, site=SITE, version="5.3.1")),
        (
            {"probe": True},
            Facts(is_superuser=True, may_read=True, site=SITE, version="5.3.1"),
        ),
        ({SITES: [2]}, Facts(may_read=False)),
        ({SITES: DENIED}, Facts(may_read=False)),
        # Any other error concerns that call alone.
        ({SITES: ILL}, Facts(read_error=ILL)),
        ({SITES: CLOSED}, Facts(read_error=CLOSED)),
        ({DESCRIPTION: DENIED}, Facts(read_error=DENIED)),
        ({VERSION: DENIED}, Facts(may_read=True, site=SITE)),
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
    assert read_facts(client, 1, timeout=7) == Facts(refusal=error)
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


@pytest.mark.parametrize(
    ("facts", "is_active", "kinds"),
    [
        (Facts(site=SITE), True, []),
        (Facts(may_read=False), True, []),
        (Facts(may_read=False), False, ["currency_unknown"]),
        (Facts(read_error=CLOSED), False, ["currency_unknown"]),
        (Facts(site=SITE), False, ["currency_inactive"]),
        (Facts(site=replace(SITE, is_ecommerce=False)), True, ["ecommerce_off"]),
        (Facts(site=replace(SITE, timezone="Mars/Base")), True, ["timezone_unknown"]),
        # What is not told is unknown, and not fine.
        (Facts(site=replace(SITE, timezone="")), True, ["timezone_unknown"]),
        (Facts(is_superuser=True), True, ["superuser"]),
        (
            Facts(is_superuser=True, site=replace(SITE, is_ecommerce=False)),
            True,
            ["ecommerce_off", "superuser"],
        ),
    ],
)
def test_concerns(facts, is_active, kinds):
    assert [
        each.kind for each in find_concerns(facts, 1, is_active, is_active)
    ] == kinds


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
