"""What Matomo says of itself and of one site, and what that means."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from .client import Client
from .errors import (
    NOT_AUTHENTICATED,
    MatomoError,
    Misconfigured,
    ReportRefused,
    Unreachable,
)
from .reading import (
    SiteDescription,
    has_visits_log,
    is_plugin_active,
    may_read,
    read_global_exclusions,
    read_idsites,
    read_site,
    read_site_urls,
    read_version,
)

# What every site has, empty or not.
_SWITCHES = (
    *("is_ecommerce", "exclude_unknown_urls"),
    *("excluded_ips", "excluded_user_agents"),
)
# The token or its rights are wrong, and Matomo has answered.
_TOKEN_REFUSALS = (
    *("token_refused", "token_unknown", "no_write_access", "secure_only"),
    "site_hidden",
)


@dataclass(frozen=True)
class Facts:
    """What Matomo has answered; what it did not say is None or "".

    :ivar refusal: why it takes no orders for the site
    :ivar is_superuser: whether the token is a superuser's
    :ivar may_read: whether the token may read the site
    :ivar read_error: why the site cannot be read
    :ivar urls: all addresses of the site
    :ivar has_visits_log: whether single visits of the site are shown
    :ivar has_queue: whether the plugin QueuedTracking is switched on
    :ivar has_spam_prevention: whether the plugin TrackingSpamPrevention is switched on
    :ivar global_exclusions: the IP addresses and the browsers that are excluded on all
        sites; an administrator's token alone is told
    :ivar certificate_end: until when the certificate is good (seconds since 1970)
    :ivar clock_offset: by how many seconds Matomo's clock is ahead of Odoo's
    """

    refusal: MatomoError | None = None
    is_superuser: bool = False
    may_read: bool | None = None
    read_error: MatomoError | None = None
    site: SiteDescription | None = None
    version: str = ""
    urls: tuple[str, ...] | None = None
    has_visits_log: bool | None = None
    has_queue: bool | None = None
    has_spam_prevention: bool | None = None
    global_exclusions: tuple[str, str] | None = None
    certificate_end: float | None = None
    clock_offset: float | None = None

    @property
    def is_token_refused(self) -> bool:
        """Whether Matomo is there and refuses the token."""
        return bool(self.refusal) and self.refusal.kind in _TOKEN_REFUSALS

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


class _Questions:
    """Questions that spoil no other one if they are refused.

    Once no answer has come at all, nothing more is asked: each question would wait.
    """

    def __init__(self):
        self.error: MatomoError | None = None
        self._is_silent = False

    def ask(self, question: Callable, *args, default=None):
        """Return the answer, or ``default``; ``error`` is why it is missing."""
        self.error = None
        if self._is_silent:
            return default
        try:
            return question(*args)
        except MatomoError as error:
            self._is_silent = isinstance(error, Unreachable)
            self.error = error
            return default


def read_facts(client: Client, idsite: int, timeout: float) -> Facts:
    """Ask whether Matomo takes orders for a site, and what it says of the site.

    Nothing is stored there, and nothing raised here: an error is a fact, too. Whether
    orders can be read back says nothing about whether they are taken.

    :param timeout: seconds for the answer of the tracking interface
    """
    try:
        is_superuser = client.probe(idsite, timeout=timeout)
    except MatomoError as error:
        refusal = _explain_refusal(client, idsite, error)
        return Facts(refusal=refusal, **_get_server(client))
    site, urls = None, None
    questions = _Questions()
    is_readable = questions.ask(may_read, client, idsite)
    read_error = questions.error
    if is_readable:
        site = questions.ask(read_site, client, idsite)
        read_error = questions.error
        urls = questions.ask(read_site_urls, client, idsite)
    return Facts(
        is_superuser=is_superuser,
        # A site that is not told is not known to be readable.
        may_read=None if read_error else is_readable,
        read_error=read_error,
        site=site,
        urls=urls,
        **_ask_installation(questions, client, idsite, is_readable),
        **_get_server(client),
    )


def _ask_installation(questions, client, idsite, is_readable):
    """Return what Matomo says beyond the site: a dict of fields of ``Facts``."""
    if not is_readable:
        return {}
    ask = questions.ask
    return {
        "version": ask(read_version, client, default=""),
        "has_visits_log": ask(has_visits_log, client, idsite),
        "has_queue": ask(is_plugin_active, client, "QueuedTracking"),
        "has_spam_prevention": ask(is_plugin_active, client, "TrackingSpamPrevention"),
        "global_exclusions": ask(read_global_exclusions, client),
    }


def _get_server(client):
    """Return what the connection has told: a dict of fields of ``Facts``."""
    return {
        "certificate_end": client.certificate_end,
        "clock_offset": client.clock_offset,
    }


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
