"""Sets a Matomo up over its API (docs/matomo.md sections 16 and 22).

A login and its password make a token that ends within an hour; with it a site is
chosen or made, and a user of its own, whose token is the only one that is kept. What
Matomo answers to a password is dropped: it may repeat it.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass

from .client import Client
from .errors import (
    NOT_AUTHENTICATED,
    MatomoError,
    Misconfigured,
    ReportRefused,
    ServerTrouble,
)
from .reading import read_flag, read_idsites
from .texts import clean_text

# What stands before the @ of an address may have so many characters at most: Matomo
# refuses longer addresses.
MAX_LOCAL_LENGTH = 64
MAX_SLUG_LENGTH = 40
# So many sites are asked for at once: an answer has a limit, see ``transport.py``.
SITES_PER_PAGE = 5_000
# Where a list must end, whatever a server answers.
MAX_PAGES = 100
MAX_IDSITE = 2**31 - 1
LOGIN_HOURS = 1
_TOKEN = re.compile("[0-9a-f]{32,128}")
_EMAIL = re.compile(r"[^@\s<>\"]{1,60}@[A-Za-z0-9.-]{1,190}")
_CURRENCY = re.compile("[A-Z]{3}")
# What Matomo says, in the words of its versions 5, and the kind of our error.
_ANSWERS = [
    ("specify a two-factor", "code_needed"),
    ("incorrect two-factor", "code_wrong"),
    ("must set up two-factor", "code_not_set_up"),
    ("too many failed logins", "locked_out"),
    ("suspicious amount of failed", "locked_out"),
    ("password you entered is not correct", "login_wrong"),
    ("password is too weak", "login_wrong"),
    ("enter your password", "password_needed"),
    ("already exists", "user_exists"),
    ("has been disabled", "administration_off"),
    ("you cannot use this matomo as your ip", "fenced"),
    ("'superuser' access", "no_right"),
    ("'admin' access", "no_right"),
    ("requires an 'admin'", "no_right"),
    ("'view' access", "no_right"),
]

# Opens a client: ``open_client(token="", **secret parameters)``.
OpenClient = Callable[..., Client]


@dataclass(frozen=True)
class OfferedSite:
    """A site to which a login may write.

    :ivar access: ``write`` or ``admin``
    """

    idsite: int
    name: str
    main_url: str
    currency: str
    timezone: str
    is_ecommerce: bool
    access: str


@dataclass(frozen=True)
class Offer:
    """What a token may do in a Matomo.

    :ivar email: of its user, "" if Matomo does not say
    :ivar has_ecommerce: whether Matomo's own plugin for e-commerce is active
    """

    sites: tuple[OfferedSite, ...]
    is_superuser: bool
    email: str = ""
    has_ecommerce: bool = True


@dataclass(frozen=True)
class NewSite:
    """The site that is to be made."""

    name: str
    url: str
    currency: str
    timezone: str


@dataclass(frozen=True)
class NewUser:
    """The user that is to be made, and what its token is called in Matomo."""

    login: str
    email: str
    description: str


# === DECISIONS === #


def may_make_user(offer: Offer, accesses: Iterable[str]) -> bool:
    """Return whether a user can be made that writes to sites with these accesses."""
    return offer.is_superuser or all(access == "admin" for access in accesses)


def get_user(shop: str, key: str, email: str) -> NewUser:
    """Return the user of a shop.

    :param shop: the name of the shop
    :param key: tells shops of one name apart
    :param email: of whoever makes it: theirs with a tag, so that no stranger gets
        Matomo's mails about this user; "" if it is not known
    """
    slug = re.sub("[^a-z0-9]+", "-", shop.lower()).strip("-")
    login = f"odoo-{slug[:MAX_SLUG_LENGTH].strip('-') or 'shop'}-{key}"
    return NewUser(login, _get_email(login, email), "Odoo, Matomo Order Tracking")


def _get_email(login, email):
    """Return an address for a user of ours, another one for each login.

    :param email: of whoever makes the user, "" if it is not known
    """
    name, _at, host = email.partition("@")
    name = name.partition("+")[0]
    digest = hashlib.sha256(login.encode()).hexdigest()[:8]
    for tag in (login, f"odoo-{digest}"):
        local = f"{name}+{tag}"
        if host and len(local) <= MAX_LOCAL_LENGTH:
            return f"{local}@{host}"
    return f"{login}@odoo.invalid"


def choose_site(sites: Iterable[OfferedSite], host: str) -> OfferedSite | None:
    """Return the site that is probably the shop's: of its host, or the only one."""
    sites = list(sites)
    wanted = host.lower().partition(":")[0].removeprefix("www.")
    for site in sites:
        found = site.main_url.lower().partition("//")[2].partition("/")[0]
        if wanted and found.partition(":")[0].removeprefix("www.") == wanted:
            return site
    return sites[0] if len(sites) == 1 else None


# === THE LOGIN === #


def log_in(open_client: OpenClient, login: str, password: str, code: str) -> str:
    """Return a token of a login, which ends within an hour.

    :param code: of two-factor authentication, or ""
    :raise MatomoError: of the kinds in ``_ANSWERS``, or see ``Client.call_api``
    """
    return _make_token(
        open_client,
        login,
        password,
        code,
        description="Set-up by Odoo, ends by itself",
        expireHours=str(LOGIN_HOURS),
    )


def _make_token(open_client, login, password, code="", **parameters):
    """Return a new token.

    It is asked for without any token: newer versions of Matomo make a token of another
    user in no other way.
    """
    secret = {"passwordConfirmation": password} | ({"authCode": code} if code else {})
    answer = _call(
        open_client(**secret),
        "UsersManager.createAppSpecificTokenAuth",
        is_secret=True,
        userLogin=login,
        **parameters,
    )
    token = answer.get("value") if isinstance(answer, Mapping) else None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ServerTrouble("not_a_report")
    return token


# === WHAT THERE IS === #


def read_offer(client: Client, login: str = "") -> Offer:
    """Return the sites to which a token may write, and what it may do there.

    :param login: of its user, a name or an e-mail address; "" if it is not known
    :raise Misconfigured: ``only_view``: it may write to no site, nor make one
    :raise MatomoError: see ``Client.call_api``
    """
    try:
        is_superuser = read_flag(client, "UsersManager.hasSuperUserAccess")
        rows = _read_rows(client)
        admin = read_idsites(client, "Admin")
        write = read_idsites(client, "Write")
    except ReportRefused as error:
        raise _explain(error, is_of_token=True) from None
    sites = [
        _read_site(idsite, row, admin, write, is_superuser)
        for idsite, row in rows.items()
    ]
    sites = [site for site in sites if site.access != "view"]
    if not sites and not is_superuser:
        raise Misconfigured("only_view")
    return Offer(
        tuple(sites),
        is_superuser,
        _read_email(client, login),
        read_flag(
            client, "API.isPluginActivated", default=True, pluginName="Ecommerce"
        ),
    )


def _read_rows(client) -> dict:
    """Return what Matomo tells of all sites that a token sees: ``{number: row}``."""
    rows = {}
    for page in range(MAX_PAGES):
        answer = client.call_api(
            "SitesManager.getSitesWithAtLeastViewAccess",
            filter_limit=str(SITES_PER_PAGE),
            filter_offset=str(page * SITES_PER_PAGE),
        )
        if not isinstance(answer, list):
            raise ServerTrouble("not_a_report")
        found = {
            number: row
            for row in answer
            if isinstance(row, Mapping) and (number := _read_number(row.get("idsite")))
        }
        is_news = bool(found.keys() - rows.keys())
        rows |= found
        # A server that knows no pages answers with the same sites again.
        if len(answer) < SITES_PER_PAGE or not is_news:
            break
    return rows


def _read_site(idsite, row, admin, write, is_superuser) -> OfferedSite:
    """Return a site of Matomo's list."""
    texts = {
        name: clean_text(value, 255) if isinstance(value := row.get(name), str) else ""
        for name in ("name", "main_url", "currency", "timezone")
    }
    if not _CURRENCY.fullmatch(texts["currency"]):
        texts["currency"] = ""
    if is_superuser or str(idsite) in admin:
        access = "admin"
    else:
        access = "write" if str(idsite) in write else "view"
    return OfferedSite(
        idsite=idsite,
        is_ecommerce=str(row.get("ecommerce")) == "1",
        access=access,
        **texts,
    )


def _read_number(value) -> int:
    """Return the number of a site, 0 if the value is no number of a site."""
    text = str(value) if isinstance(value, (int, str)) else ""
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        return 0
    return int(text) if int(text) <= MAX_IDSITE else 0


def _read_email(client, login) -> str:
    """Return the e-mail address of a login, "" if Matomo does not tell it."""
    email = login
    if login and "@" not in login:
        try:
            answer = client.call_api("UsersManager.getUser", userLogin=login)
        except ReportRefused:
            return ""
        email = answer.get("email") if isinstance(answer, Mapping) else ""
    is_email = isinstance(email, str) and _EMAIL.fullmatch(email)
    return email if is_email else ""


# === WHAT IS MADE === #


def make_site(client: Client, site: NewSite) -> int:
    """Make a site with e-commerce, and return its number.

    Matomo knows some time zones of Odoo by no name: then the site has UTC.

    :raise Misconfigured: ``no_right``: only a superuser may do this
    """
    parameters = {
        "siteName": site.name,
        "ecommerce": "1",
        "currency": site.currency,
        "timezone": site.timezone,
        **({"urls[0]": site.url} if site.url else {}),
    }
    method = "SitesManager.addSite"
    try:
        answer = client.call_api(method, **parameters)
    except ReportRefused as error:
        if "timezone" not in error.text:
            raise _explain(error) from None
        answer = _call(client, method, **{**parameters, "timezone": "UTC"})
    value = answer.get("value") if isinstance(answer, Mapping) else None
    if not (idsite := _read_number(value)):
        raise ServerTrouble("not_a_report")
    return idsite


def switch_ecommerce_on(client: Client, idsite: int) -> None:
    """Switch e-commerce on for a site; this needs admin access to it."""
    try:
        client.call_api("SitesManager.updateSite", idSite=str(idsite), ecommerce="1")
    except ReportRefused as error:
        raise _explain(error) from None


def make_user(
    open_client: OpenClient,
    token: str,
    user: NewUser,
    idsites: Iterable[int],
    password: str = "",
) -> str:
    """Make a user that writes to sites, and return its token, which does not end.

    A user that an earlier try has left is taken up: only a superuser may do this, and
    Matomo asks for the superuser's password.

    :param token: of an administrator of the sites
    :param password: of the superuser to whom the token belongs, or ""
    :raise Misconfigured: ``user_exists``: there is such a user, and no password;
        ``user_of_another``: it is not ours
    """
    idsites = list(idsites)
    # Matomo may want letters of both cases, a number and a special character.
    new_password = f"{secrets.token_urlsafe(30)}aZ3!"
    try:
        _call(
            open_client(token, password=new_password),
            "UsersManager.addUser",
            is_secret=True,
            userLogin=user.login,
            email=user.email,
            initialIdSite=str(idsites[0]),
        )
    except MatomoError as error:
        if error.kind != "user_exists":
            raise
        _take_up(open_client, token, user, new_password, password)
    made = _make_token(
        open_client, user.login, new_password, description=user.description
    )
    # Last: it has Matomo forget which tokens may record.
    for idsite in idsites:
        _call(
            open_client(token),
            "UsersManager.setUserAccess",
            userLogin=user.login,
            access="write",
            idSites=str(idsite),
        )
    return made


def _take_up(open_client, token, user, new_password, password):
    """Give a user of ours that exists a new password."""
    if not password:
        raise Misconfigured("user_exists", login=user.login)
    found = _call(open_client(token), "UsersManager.getUser", userLogin=user.login)
    email = found.get("email") if isinstance(found, Mapping) else ""
    is_super = isinstance(found, Mapping) and found.get("superuser_access")
    if email != user.email or is_super in (True, 1, "1"):
        raise Misconfigured("user_of_another", login=user.login)
    _call(
        open_client(token, password=new_password, passwordConfirmation=password),
        "UsersManager.updateUser",
        is_secret=True,
        userLogin=user.login,
    )


# === ANSWERS === #


def _call(client, method, is_secret=False, **parameters):
    """Call a method with a client that is closed afterwards.

    :param is_secret: whether Matomo's words may repeat a password
    """
    with closing(client):
        try:
            return client.call_api(method, **parameters)
        except MatomoError as error:
            failure = _explain(error, is_secret=is_secret)
    # Raised here, nothing leads from it to what the server has said.
    raise failure


def _explain(error: MatomoError, is_secret=False, is_of_token=False) -> MatomoError:
    """Return the error of a call, told apart by what to do about it.

    :param is_of_token: whether what is refused is the token itself
    """
    words = error.text.lower()
    if "maintenance" in words and error.status == 503:
        return ServerTrouble("maintenance", status=error.status)
    for part, kind in _ANSWERS:
        if part in words and (error.status in (200, 400, 401, 403, 500)):
            return Misconfigured(kind, login="", status=error.status)
    if isinstance(error, ReportRefused) and error.is_page:
        # Matomo itself answers with a page to a token alone that it does not know.
        if is_secret or error.status != NOT_AUTHENTICATED:
            return Misconfigured("fenced", status=error.status)
    if is_of_token and isinstance(error, ReportRefused) and error.is_denied:
        return Misconfigured("token_unknown")
    if not is_secret:
        return error
    if isinstance(error, ReportRefused):
        return Misconfigured("setup_refused", status=error.status)
    error.text = ""
    error.figures.pop("answer", None)
    return error
