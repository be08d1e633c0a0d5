"""What Matomo says of itself and of one site, and what that means."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from .client import Client
from .errors import Concern, MatomoError, Misconfigured, ReportRefused
from .reading import (
    SiteDescription,
    may_read,
    read_idsites,
    read_site,
    read_version,
)
from .timezones import is_known

# With this status Matomo answers a token that it does not know (docs/matomo.md
# section 10).
NOT_AUTHENTICATED = 401
# What every site has, empty or not.
_SWITCHES = (
    *("is_ecommerce", "exclude_unknown_urls"),
    *("excluded_ips", "excluded_user_agents"),
)


@dataclass(frozen=True)
class Facts:
    """What Matomo has answered; what it did not say is None or "".

    :ivar refusal: why it takes no orders for the site
    :ivar is_superuser: whether the token is a superuser's
    :ivar may_read: whether the token may read the site
    :ivar read_error: why the site cannot be read
    """

    refusal: MatomoError | None = None
    is_superuser: bool = False
    may_read: bool | None = None
    read_error: MatomoError | None = None
    site: SiteDescription | None = None
    version: str = ""

    def to_json(self) -> dict:
        """Return what a later reading is compared with."""
        return {**asdict(self.site), "version": self.version}


class Change(NamedTuple):
    """Something that Matomo said otherwise before.

    :ivar name: an attribute of ``SiteDescription``
    """

    name: str
    before: object
    now: object


# === ASKING === #


def read_facts(client: Client, idsite: int, timeout: float) -> Facts:
    """Ask whether Matomo takes orders for a site, and what it says of the site.

    Nothing is stored there, and nothing raised here: an error is a fact, too. Whether
    orders can be read back says nothing about whether they are taken.

    :param timeout: seconds for the answer of the tracking interface
    """
    try:
        is_superuser = client.probe(idsite, timeout=timeout)
    except MatomoError as error:
        return Facts(refusal=_explain_refusal(client, idsite, error))
    try:
        if not may_read(client, idsite):
            return Facts(is_superuser=is_superuser, may_read=False)
        site = read_site(client, idsite)
    except MatomoError as error:
        return Facts(is_superuser=is_superuser, read_error=error)
    return Facts(
        is_superuser=is_superuser,
        may_read=True,
        site=site,
        version=_read_version(client),
    )


def _read_version(client):
    try:
        return read_version(client)
    except MatomoError:
        return ""


def _explain_refusal(client, idsite, error):
    """Return the error of a probe, or a more exact one.

    The tracking interface never says why it refuses a token. The reporting API tells
    which sites a token may see, and whether as their administrator: then it is a
    superuser's that allows secure requests only (docs/matomo.md section 16).
    """
    if error.kind != "token_refused":
        return error
    try:
        if str(idsite) not in read_idsites(client):
            kind = "site_hidden"
        elif str(idsite) in read_idsites(client, "Admin"):
            kind = "secure_only"
        else:
            kind = "no_write_access"
    except ReportRefused as reason:
        if reason.status != NOT_AUTHENTICATED:
            return error
        kind = "token_unknown"
    except MatomoError:
        return error
    return Misconfigured(kind, idsite=idsite, text=error.text)


# === WHAT IT MEANS === #


def find_trouble(facts: Facts, is_currency_confirmed: bool) -> MatomoError | None:
    """Return why no order can be sent; None if orders can be sent.

    Orders are sent whether Matomo tells its settings or not; but not in a currency that
    is another than the one it tells.

    :param is_currency_confirmed: whether Matomo or a person has said which currency
        the site has, and Odoo has it
    """
    if facts.refusal or is_currency_confirmed:
        return facts.refusal
    if facts.site and facts.site.currency:
        return Misconfigured("currency_inactive", currency=facts.site.currency)
    return None


def find_concerns(
    facts: Facts, idsite: int, is_currency_active: bool, is_currency_confirmed: bool
) -> list[Concern]:
    """Return what a person should change, although orders can be sent.

    :param is_currency_active: whether Odoo has the currency that Matomo names
    :param is_currency_confirmed: see ``find_trouble``
    """
    concerns = []
    has_currency = bool(facts.site and facts.site.currency)
    if not has_currency and not is_currency_confirmed:
        concerns.append(Concern("currency_unknown", idsite=idsite))
    if facts.site:
        if has_currency and not is_currency_active:
            concerns.append(Concern("currency_inactive", currency=facts.site.currency))
        if not facts.site.is_ecommerce:
            concerns.append(Concern("ecommerce_off"))
        if not is_known(facts.site.timezone):
            concerns.append(Concern("timezone_unknown", timezone=facts.site.timezone))
    if facts.is_superuser:
        concerns.append(Concern("superuser"))
    return concerns


def find_changes(before: Mapping, site: SiteDescription) -> list[Change]:
    """Return what a site said otherwise before, in the order of importance.

    :param before: ``{attribute of SiteDescription: its value}``; what is not in it
        was not known
    """
    now = asdict(site)
    told = [name for name in ("currency", "timezone", "main_url") if now[name]]
    # What Matomo does not tell has not changed.
    return [
        Change(name, before[name], now[name])
        for name in (*told, *_SWITCHES)
        if name in before and before[name] != now[name]
    ]
