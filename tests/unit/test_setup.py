"""Setting Matomo up: what is asked, and what becomes of hostile answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api import setup
from matomo_order_tracking.matomo_api.errors import (
    MatomoError,
    Misconfigured,
    ReportRefused,
    ServerTrouble,
)
from matomo_order_tracking.matomo_api.setup import NewSite, NewUser, Offer, OfferedSite

TOKEN = "0123456789abcdef" * 2
PASSWORD = "correct horse"
USER = NewUser("odoo-shop-1", "me+odoo-shop-1@example.com", "Odoo")
SITE = {
    "idsite": 1,
    "name": "Shop",
    "main_url": "https://shop.example.com",
    "currency": "EUR",
    "timezone": "UTC",
    "ecommerce": 1,
}


def refuse(message, status=200):
    return ReportRefused("report_refused", answer=message, status=status, text=message)


class Matomo:
    """Answers calls from a table; a list of answers is used up."""

    def __init__(self, answers=None, **more):
        self.answers = {**(answers or {}), **more}
        self.calls = []

    def __call__(self, token="", **secret):
        return Opened(self, token, secret)

    @property
    def methods(self):
        return [method.partition(".")[2] for method, *_rest in self.calls]


class Opened:
    def __init__(self, matomo, token, secret):
        self.matomo, self.token, self.secret = matomo, token, secret

    def close(self):
        pass

    def call_api(self, method, **parameters):
        self.matomo.calls.append((method, self.token, self.secret, parameters))
        answer = self.matomo.answers.get(
            method.partition(".")[2], {"result": "success"}
        )
        if isinstance(answer, list) and answer and isinstance(answer[0], Exception):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def ask(function, *args, **options):
    """Return the kind of the error, or what the function returns."""
    try:
        return function(*args, **options)
    except MatomoError as error:
        assert PASSWORD not in str(error) + error.text + repr(error.figures)
        return error.kind


# === THE LOGIN === #


def test_log_in():
    matomo = Matomo(createAppSpecificTokenAuth={"value": TOKEN})
    assert setup.log_in(matomo, "me", PASSWORD, "123456") == TOKEN
    ((_method, token, secret, parameters),) = matomo.calls
    assert token == ""
    assert secret == {"passwordConfirmation": PASSWORD, "authCode": "123456"}
    assert parameters["expireHours"] == "1"
    assert PASSWORD not in parameters.values()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refuse("The current password you entered is not correct."), "login_wrong"),
        (refuse("This password is too weak, please supply another"), "login_wrong"),
        (refuse("Please specify a two-factor authentication code."), "code_needed"),
        (refuse("Incorrect two-factor authentication code.", 401), "code_wrong"),
        (refuse("You must set up two-factor authentication."), "code_not_set_up"),
        (refuse("Too many failed logins. Please wait", 500), "locked_out"),
        (refuse("since a suspicious amount of failed attempts", 403), "locked_out"),
        (refuse("HTTP 403", 403), "fenced"),
        (refuse("HTTP 401", 401), "fenced"),
        (refuse("You cannot use this Matomo as your IP ::1 is not allowed."), "fenced"),
        (refuse(f"Strange plugin says {PASSWORD}"), "setup_refused"),
        (
            ServerTrouble("status", status=503, text="<h1>Maintenance</h1>"),
            "maintenance",
        ),
        (ServerTrouble("status", status=500, text=PASSWORD), "status"),
        (ServerTrouble("not_matomo", status=200, text=PASSWORD), "not_matomo"),
    ],
)
def test_a_login_that_is_refused(answer, kind):
    assert (
        ask(setup.log_in, Matomo(createAppSpecificTokenAuth=answer), "me", PASSWORD, "")
        == kind
    )


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from([*SITE, "value", "email", "superuser_access", "x"]), inner
    ),
    max_leaves=9,
)


@given(ANYTHING)
def test_a_token_is_32_hex_digits_or_nothing(answer):
    got = ask(
        setup.log_in, Matomo(createAppSpecificTokenAuth=answer), "me", PASSWORD, ""
    )
    assert got == "not_a_report"


# === WHAT THERE IS === #


def read(**answers):
    defaults = {
        "hasSuperUserAccess": {"value": False},
        "getSitesWithAtLeastViewAccess": [SITE],
        "getSitesIdWithAdminAccess": [],
        "getSitesIdWithWriteAccess": [1],
        "getUser": {"email": "me@example.com"},
        "isPluginActivated": {"value": True},
    }
    return ask(setup.read_offer, Matomo({**defaults, **answers})(TOKEN), "me")


def test_offer():
    site = OfferedSite(
        1, "Shop", "https://shop.example.com", "EUR", "UTC", True, "write"
    )
    assert read() == Offer((site,), False, "me@example.com")


@pytest.mark.parametrize(
    ("answers", "access"),
    [
        ({}, "write"),
        ({"getSitesIdWithAdminAccess": ["1"]}, "admin"),
        ({"hasSuperUserAccess": {"value": 1}}, "admin"),
    ],
)
def test_access(answers, access):
    assert [site.access for site in read(**answers).sites] == [access]


def test_sites_that_may_only_be_looked_at():
    """A login that sees many of them did not get to choose its own site."""
    rows = [{**SITE, "idsite": idsite} for idsite in range(2, 9_000)] + [SITE]
    assert [site.idsite for site in read(getSitesWithAtLeastViewAccess=rows).sites] == [
        1
    ]
    assert read(getSitesIdWithWriteAccess=[]) == "only_view"
    assert read(getSitesWithAtLeastViewAccess=[]) == "only_view"
    # A superuser may make a site.
    assert not read(
        getSitesWithAtLeastViewAccess=[], hasSuperUserAccess={"value": 1}
    ).sites


def test_all_pages_of_the_list(monkeypatch):
    """Of more than 5,000 sites those at the end could not be chosen."""
    monkeypatch.setattr(setup, "SITES_PER_PAGE", 2)
    matomo = Matomo(
        hasSuperUserAccess={"value": True},
        getSitesIdWithAdminAccess=[],
        getSitesIdWithWriteAccess=[],
    )
    rows = [{**SITE, "idsite": idsite} for idsite in range(1, 6)]

    class Paged(Opened):
        def call_api(self, method, **parameters):
            if method == "SitesManager.getSitesWithAtLeastViewAccess":
                start, size = (
                    int(parameters[f"filter_{name}"]) for name in ("offset", "limit")
                )
                self.matomo.calls.append((method, "", {}, parameters))
                return rows[start : start + size]
            return super().call_api(method, **parameters)

    offer = setup.read_offer(Paged(matomo, TOKEN, {}))
    assert [site.idsite for site in offer.sites] == [1, 2, 3, 4, 5]
    assert matomo.methods.count("getSitesWithAtLeastViewAccess") == 3


def test_a_server_that_knows_no_pages(monkeypatch):
    monkeypatch.setattr(setup, "SITES_PER_PAGE", 2)
    rows = [{**SITE, "idsite": idsite} for idsite in range(1, 6)]
    matomo = Matomo(
        hasSuperUserAccess={"value": True},
        getSitesWithAtLeastViewAccess=rows,
        getSitesIdWithAdminAccess=[],
        getSitesIdWithWriteAccess=[],
    )
    assert len(setup.read_offer(matomo(TOKEN)).sites) == 5
    assert matomo.methods.count("getSitesWithAtLeastViewAccess") == 2


def test_a_token_that_matomo_does_not_know():
    assert read(hasSuperUserAccess=refuse("HTTP 401", 401)) == "token_unknown"
    # The challenge of a firewall says nothing of the token.
    assert read(hasSuperUserAccess=refuse("HTTP 403", 403)) == "fenced"


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_hostile_offer(flag, rows, numbers, user):
    offer = read(
        hasSuperUserAccess=flag,
        getSitesWithAtLeastViewAccess=rows,
        getSitesIdWithAdminAccess=numbers,
        getUser=user,
        isPluginActivated=flag,
    )
    if isinstance(offer, str):
        assert offer in ("not_a_report", "only_view")
        return
    for site in offer.sites:
        assert 0 < site.idsite < 2**31
        assert site.currency == "" or len(site.currency) == 3
        for text in (site.name, site.main_url, site.timezone):
            assert isinstance(text, str) and len(text) <= 255


# === WHAT IS MADE === #


@given(ANYTHING)
def test_a_site_has_a_number(answer):
    site = NewSite("Shop", "https://shop.example.com", "EUR", "UTC")
    got = ask(setup.make_site, Matomo(addSite=answer)(TOKEN), site)
    assert got == "not_a_report" or 0 < got < 2**31


def test_a_time_zone_that_matomo_does_not_know():
    matomo = Matomo(addSite=[refuse("The timezone X is not valid."), {"value": 7}])
    # The list above is used up call by call.
    matomo.answers["addSite"] = [
        refuse("The timezone X is not valid."),
        refuse("The timezone UTC is not valid."),
    ]
    site = NewSite("Shop", "", "EUR", "X/Y")
    assert ask(setup.make_site, matomo(TOKEN), site) == "report_refused"
    assert [call[3]["timezone"] for call in matomo.calls] == ["X/Y", "UTC"]


@pytest.mark.parametrize("word", ["'superuser'", "'admin'"])
def test_no_right(word):
    refusal = refuse(
        f"You can't access this resource as it requires a {word} access.", 401
    )
    matomo = Matomo(addSite=refusal, updateSite=refusal)
    site = NewSite("Shop", "", "EUR", "UTC")
    assert ask(setup.make_site, matomo(TOKEN), site) == "no_right"
    assert ask(setup.switch_ecommerce_on, matomo(TOKEN), 1) == "no_right"


def test_make_user():
    matomo = Matomo(createAppSpecificTokenAuth={"value": TOKEN})
    assert setup.make_user(matomo, "admin", USER, [3, 4]) == TOKEN
    assert matomo.methods == [
        "addUser",
        "createAppSpecificTokenAuth",
        "setUserAccess",
        "setUserAccess",
    ]
    add, make, *_access = matomo.calls
    assert add[2]["password"] == make[2]["passwordConfirmation"]
    assert len(add[2]["password"]) > 30
    assert "expireHours" not in make[3]
    assert [call[3]["idSites"] for call in matomo.calls[2:]] == ["3", "4"]


EXISTS = refuse("Username: Username 'odoo-shop-1' already exists.")


@pytest.mark.parametrize(
    ("password", "found", "expected"),
    [
        (PASSWORD, {"email": USER.email, "superuser_access": 0}, TOKEN),
        (PASSWORD, {"email": USER.email, "superuser_access": 1}, "user_of_another"),
        (PASSWORD, {"email": "boss@example.com"}, "user_of_another"),
        (PASSWORD, [], "user_of_another"),
        ("", {"email": USER.email}, "user_exists"),
    ],
)
def test_what_an_earlier_try_has_left_is_taken_up(password, found, expected):
    matomo = Matomo(
        addUser=EXISTS, getUser=found, createAppSpecificTokenAuth={"value": TOKEN}
    )
    assert ask(setup.make_user, matomo, "admin", USER, [3], password) == expected
    assert ("updateUser" in matomo.methods) == (expected == TOKEN)


def test_a_password_that_does_not_confirm():
    matomo = Matomo(
        addUser=EXISTS,
        getUser={"email": USER.email},
        updateUser=refuse("The current password you entered is not correct."),
    )
    assert ask(setup.make_user, matomo, "admin", USER, [3], PASSWORD) == "login_wrong"


# === DECISIONS === #


@pytest.mark.parametrize(
    ("is_superuser", "accesses", "expected"),
    [
        (True, ["view"], True),
        (False, ["admin", "admin"], True),
        (False, ["admin", "write"], False),
        (False, ["write"], False),
    ],
)
def test_may_make_user(is_superuser, accesses, expected):
    assert setup.may_make_user(Offer((), is_superuser), accesses) == expected


@pytest.mark.parametrize(
    ("shop", "email", "login", "address"),
    [
        ("Shop", "me@x.org", "odoo-shop-ab", "me+odoo-shop-ab@x.org"),
        ("Möbel & Co.", "me+x@x.org", "odoo-m-bel-co-ab", "me+odoo-m-bel-co-ab@x.org"),
        ("椅子", "", "odoo-shop-ab", "odoo-shop-ab@odoo.invalid"),
        (
            "Groceries and Household Goods",
            "firstname.of.a.longer.lastname@x.org",
            "odoo-groceries-and-household-goods-ab",
            "firstname.of.a.longer.lastname+odoo-0634a66f@x.org",
        ),
        ("Shop", f"{'m' * 60}@x.org", "odoo-shop-ab", "odoo-shop-ab@odoo.invalid"),
    ],
)
def test_get_user(shop, email, login, address):
    user = setup.get_user(shop, "ab", email)
    assert (user.login, user.email) == (login, address)


@given(st.text(), st.text())
def test_a_user_is_one_that_matomo_takes(shop, email):
    user = setup.get_user(shop, "ab12cd", email)
    assert 2 <= len(user.login) <= 100
    assert set(user.login) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    # Matomo refuses what PHP takes for no address: shops with long names could not
    # be connected.
    assert len(user.email.partition("@")[0]) <= 64


def offered(idsite, url, access="write"):
    return OfferedSite(idsite, "x", url, "EUR", "UTC", True, access)


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        ([], None),
        ([offered(1, "https://a.com")], 1),
        ([offered(1, "https://a.com"), offered(2, "http://www.shop.com/x")], 2),
        ([offered(1, "https://a.com"), offered(2, "https://b.com")], None),
    ],
)
def test_choose_site(sites, expected):
    site = setup.choose_site(sites, "Shop.com:443")
    assert (site and site.idsite) == expected


def test_errors_of_this_step_are_for_people():
    assert isinstance(setup._explain(refuse("x 'superuser' access")), Misconfigured)
