"""The doctor of a Matomo site: what Matomo and Odoo say, and what that means.

Each point of a site is one ``Finding``. What Matomo says of itself comes in as
``Facts``, what Odoo knows as ``Shop``; ``alerts.py`` finds what goes wrong with orders.
Nothing here knows Odoo; ``findings.py`` has the sentences.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from urllib.parse import urlsplit

from ..matomo_api.facts import Facts
from ..matomo_api.timezones import is_known
from ..matomo_api.tracking import NO_ADDRESS

# The worst first.
LEVELS = ("bad", "look", "unknown", "good")
WRONG_LEVELS = ("bad", "look")

# The oldest and the newest Matomo with which the addon was tested (see the README).
OLDEST_VERSION = (5, 3)
NEWEST_VERSION = (5, 8)
# Days that are left, from which on a certificate is looked at, and from which on it is
# bad. Many are renewed automatically thirty days before they end.
CERTIFICATE_DAYS, CERTIFICATE_BAD_DAYS = 21, 7
# Days before a token expires in which somebody makes a new one.
TOKEN_DAYS = 14
# Seconds between the clocks of Matomo and Odoo. Matomo replaces a time in the future.
CLOCK_SECONDS, CLOCK_BAD_SECONDS = 30, 300
# Without a token, and from a copy, nobody has asked Matomo.
_UNASKED = ("copy", "no_token", "token_of_other_address", "token_renamed")
# That these have changed in Matomo is told by itself (``matomo_api/facts.py``).
_FOLLOWED = ("currency", "timezone", "main_url")
# That Matomo takes no orders is told by the sender, at once or when it lasts.
_TOLD_BY_SENDER = ("reachable", "token")
# So many orders that were found by their IDs show that Matomo keeps the IDs.
ENOUGH_ORDERS = 3


@dataclass(frozen=True)
class Finding:
    """What is said of one point of a site.

    :ivar kind: the point, a key of ``findings.POINTS``
    :ivar level: one of ``LEVELS``
    :ivar figures: what its sentences name; can be written as JSON
    :ivar cause: which of the sentences of a point with several ones, "" for that of
        the level
    """

    kind: str
    level: str
    figures: Mapping = field(default_factory=dict)
    cause: str = ""


@dataclass(frozen=True)
class Shop:
    """What Odoo knows of a site; moments are naive UTC.

    :ivar currency: of the company
    :ivar timezone: of the company
    :ivar is_currency_active: whether Odoo has the currency that Matomo names
    :ivar is_currency_confirmed: whether Matomo or a person has named the currency
    :ivar hosts: at which the websites that use the site are opened
    :ivar pages: addresses of the pages on which orders are booked
    :ivar ip_addresses: of shoppers, of the last orders
    :ivar user_agents: of shoppers, of the last orders
    :ivar anonymises: whether Matomo was seen to replace order IDs
    :ivar verified_count: how many of the last orders were found by their IDs
    :ivar token_end: the day on which the token expires, as a person has entered it
    :ivar is_token_endless: whether a person says that the token does not expire
    :ivar raw_data_days: how long Matomo keeps its raw data
    :ivar is_raw_data_confirmed: whether a person has looked that up
    :ivar are_exclusions_confirmed: whether a person says that nothing which Matomo
        excludes on all sites concerns orders
    :ivar untagged: names of websites on whose pages Odoo sees no tag of the site
    :ivar tagged: names of websites with a tag
    :ivar selling_tags: names of websites whose own code sends orders
    :ivar foreign_count: orders of the last days in Matomo that Odoo has not sent
    :ivar taken_count: orders whose ID another sale had
    :ivar order_prefix: what stands before the IDs of orders
    """

    now: datetime
    idsite: int = 1
    currency: str = ""
    timezone: str = ""
    is_currency_active: bool = True
    is_currency_confirmed: bool = True
    hosts: Sequence[str] = ()
    pages: Sequence[str] = ()
    ip_addresses: Sequence[str] = ()
    user_agents: Sequence[str] = ()
    anonymises: bool = False
    verified_count: int = 0
    token_end: date | None = None
    is_token_endless: bool = False
    raw_data_days: int = 180
    is_raw_data_confirmed: bool = False
    are_exclusions_confirmed: bool = False
    untagged: Sequence[str] = ()
    tagged: Sequence[str] = ()
    selling_tags: Sequence[str] = ()
    foreign_count: int = 0
    taken_count: int = 0
    order_prefix: str = ""


# === WHAT IS SAID === #


def examine(facts: Facts, shop: Shop) -> list[Finding]:
    """Return what is said of each point that concerns Matomo and its settings.

    :param facts: what Matomo has answered just now
    """
    points = [*_examine_way(facts, shop), *_examine_token(facts, shop)]
    points += _examine_settings(facts, shop)
    points += _examine_exclusions(facts, shop)
    points += _examine_recording(facts, shop)
    points += _examine_website(shop)
    return points


def find_worse(
    before: Mapping[str, str], told: Mapping[str, str], findings: Iterable[Finding]
) -> dict[str, str]:
    """Return of which findings people are told: ``{kind: level}``.

    Whatever is bad is told. What deserves a look is told if it was good before, or if
    it was told already: a shop that is set up reads its findings on the site.

    :param before: ``{kind: level}`` of the findings before
    :param told: what this function returned then
    """
    return {
        each.kind: each.level
        for each in findings
        if each.kind not in _TOLD_BY_SENDER
        and (
            each.level == "bad"
            or (each.level == "look" and each.kind not in _FOLLOWED)
            and (each.kind in told or before.get(each.kind) == "good")
        )
    }


def _examine_way(facts, shop):
    """The way to Matomo: is it there, how old is it, its certificate and its clock."""
    refusal = facts.refusal
    if refusal and refusal.kind in _UNASKED:
        yield Finding("reachable", "unknown")
    elif refusal and not facts.is_token_refused:
        yield Finding("reachable", "bad", _error_figures(refusal))
    else:
        yield Finding("reachable", "good")
        yield _judge_version(facts.version)
    if facts.certificate_end is not None:
        end = datetime.fromtimestamp(facts.certificate_end, timezone.utc)
        days = (end.replace(tzinfo=None) - shop.now).days
        level = _judge_left(days, CERTIFICATE_DAYS, CERTIFICATE_BAD_DAYS)
        figures = {"days": max(days, 0), "day": end.date().isoformat()}
        yield Finding("certificate", level, figures)
    if facts.clock_offset is None:
        yield Finding("clock", "unknown")
    else:
        offset = abs(facts.clock_offset)
        level = (
            "bad"
            if offset >= CLOCK_BAD_SECONDS
            else "look"
            if offset >= CLOCK_SECONDS
            else "good"
        )
        cause = "" if level == "good" else "ahead" if facts.clock_offset > 0 else "late"
        yield Finding("clock", level, {"seconds": round(offset)}, cause)


def _examine_token(facts, shop):
    """The token: may it record and read, whose is it, and until when is it good."""
    refusal = facts.refusal
    if refusal and not facts.is_token_refused and refusal.kind not in _UNASKED:
        yield Finding("token", "unknown")
    elif refusal:
        yield Finding("token", "bad", _error_figures(refusal))
    else:
        yield Finding("token", "good", {"idsite": shop.idsite})
        yield Finding("superuser", "bad" if facts.is_superuser else "good")
        if facts.may_read:
            yield Finding("reading", "good")
        elif facts.may_read is False:
            yield Finding("reading", "bad", {"idsite": shop.idsite})
        else:
            error = facts.read_error
            figures = _error_figures(error) if error else {}
            yield Finding("reading", "look" if error else "unknown", figures)
    yield _judge_token_end(shop)


def _examine_settings(facts, shop):
    """What Matomo says of the site."""
    site = facts.site
    if facts.refusal:
        return
    yield _judge_currency(site, shop)
    if not site:
        unknown = "site", "ecommerce", "timezone", "main_url", "only_known"
        yield from (Finding(kind, "unknown") for kind in unknown)
        return
    yield Finding("site", "good", {"name": site.name, "idsite": shop.idsite})
    yield Finding("ecommerce", "good" if site.is_ecommerce else "bad")
    figures = {"timezone": site.timezone, "company": shop.timezone}
    if not is_known(site.timezone):
        yield Finding("timezone", "bad", figures)
    else:
        cause = "" if shop.timezone else "alone"
        is_fine = site.timezone == shop.timezone or cause
        yield Finding("timezone", "good" if is_fine else "look", figures, cause)
    figures = {"url": site.main_url, "hosts": ", ".join(shop.hosts)}
    is_shop = not shop.hosts or any(
        _is_at(host, [site.main_url]) for host in shop.hosts
    )
    yield Finding("main_url", "good" if is_shop else "look", figures)
    yield _judge_known_urls(facts, shop)


def _examine_exclusions(facts, shop):
    """What Matomo leaves out: does it hit orders?"""
    if facts.refusal:
        return
    site, everywhere = facts.site, facts.global_exclusions
    if site:
        ranges, agents = site.excluded_ips, site.excluded_user_agents
        if everywhere:
            ranges, agents = f"{ranges},{everywhere[0]}", f"{agents},{everywhere[1]}"
        yield _judge_addresses(_split(ranges), shop)
        yield _judge_browsers(_split(agents), shop)
    else:
        yield Finding("excluded_ips", "unknown")
        yield Finding("excluded_browsers", "unknown")
    is_clear = everywhere is not None or shop.are_exclusions_confirmed
    yield Finding("global_exclusions", "good" if is_clear else "unknown")
    yield _judge_switch("spam_prevention", facts.has_spam_prevention)


def _examine_recording(facts, shop):
    """How Matomo records and keeps orders."""
    if not facts.refusal:
        yield _judge_switch("queue", facts.has_queue)
        is_off = None if facts.has_visits_log is None else not facts.has_visits_log
        yield _judge_switch("visits_log", is_off)
    if shop.anonymises:
        yield Finding("order_ids", "look")
    else:
        is_proven = shop.verified_count >= ENOUGH_ORDERS
        yield Finding("order_ids", "good" if is_proven else "unknown")
    yield Finding(
        "raw_data",
        "good" if shop.is_raw_data_confirmed else "unknown",
        {"days": shop.raw_data_days},
        "endless" if shop.is_raw_data_confirmed and not shop.raw_data_days else "",
    )


def _examine_website(shop):
    """Who else sends to the site: tags, other shops."""
    if shop.selling_tags:
        names = ", ".join(shop.selling_tags)
        yield Finding("selling_tag", "bad", {"names": names})
    elif shop.tagged or shop.untagged:
        yield Finding("selling_tag", "good")
    if shop.untagged:
        yield Finding("tracking_tag", "look", {"names": ", ".join(shop.untagged)})
    elif shop.tagged:
        yield Finding("tracking_tag", "good")
    count = shop.foreign_count
    yield Finding("foreign", "look" if count else "good", {"count": count})
    prefix = shop.order_prefix
    figures = {"count": shop.taken_count, "prefix": prefix}
    level = "look" if shop.taken_count and not prefix else "good"
    cause = "prefix" if prefix else ""
    yield Finding("order_prefix", level, figures, cause)


# === SINGLE POINTS === #


def _error_figures(error):
    """Return an error as figures: ``sentences.describe_kind`` makes its sentence."""
    return {**error.figures, "error": error.kind}


def _judge_switch(kind, is_on):
    """Return the finding of something that deserves a look if it is on."""
    return Finding(kind, "unknown" if is_on is None else "look" if is_on else "good")


def _judge_left(days, look, bad):
    return "bad" if days < bad else "look" if days < look else "good"


def _judge_version(version):
    numbers = [int(part) for part in version.split("-")[0].split(".") if part.isdigit()]
    figures = {"version": version}
    if len(numbers) < 2:
        return Finding("version", "unknown", figures)
    if tuple(numbers[:2]) < OLDEST_VERSION:
        return Finding("version", "look", figures, "old")
    if numbers[0] > NEWEST_VERSION[0]:
        return Finding("version", "look", figures, "new")
    return Finding("version", "good", figures)


def _judge_token_end(shop):
    if shop.is_token_endless:
        return Finding("token_end", "good", cause="endless")
    if not shop.token_end:
        return Finding("token_end", "unknown")
    days = (shop.token_end - shop.now.date()).days
    figures = {"day": shop.token_end.isoformat(), "days": max(days, 0)}
    return Finding("token_end", _judge_left(days, TOKEN_DAYS, 1), figures)


def _judge_currency(site, shop):
    name = site.currency if site else ""
    figures = {"currency": name, "company": shop.currency, "idsite": shop.idsite}
    if not name:
        if shop.is_currency_confirmed:
            return Finding("currency", "unknown", figures)
        return Finding("currency", "bad", figures, "unconfirmed")
    if not shop.is_currency_active:
        return Finding("currency", "bad", figures, "inactive")
    is_same = name == shop.currency
    return Finding("currency", "good" if is_same else "look", figures)


def _judge_known_urls(facts, shop):
    if not facts.site.exclude_unknown_urls:
        return Finding("only_known", "good", cause="off")
    known = facts.urls or [facts.site.main_url]
    outside = [url for url in shop.pages if not _is_within(url, known)]
    if outside:
        return Finding("only_known", "bad", {"urls": ", ".join(outside)})
    if strange := [host for host in shop.hosts if not _is_at(host, known)]:
        return Finding("only_known", "look", {"hosts": ", ".join(strange)})
    return Finding("only_known", "good")


def _judge_addresses(ranges, shop):
    """Return whether Matomo leaves addresses of shoppers out.

    Matomo records an order without address always (docs/matomo.md section 14), so that
    an order is left out at its first attempt alone.
    """
    known = [ip for ip in shop.ip_addresses if ip and ip != NO_ADDRESS]
    hit = sum(any(covers(each, ip) for each in ranges) for ip in known)
    figures = {"count": hit, "total": len(known)}
    return Finding("excluded_ips", "look" if hit else "good", figures)


def _judge_browsers(agents, shop):
    """Return whether Matomo leaves browsers of shoppers out.

    An entry that is a regular expression of Matomo's is not judged: it is a stranger's
    program.
    """
    texts = [each.lower() for each in agents if not each.startswith("/")]
    known = [agent.lower() for agent in shop.user_agents if agent]
    hit = sum(any(text in agent for text in texts) for agent in known)
    figures = {"count": hit, "total": len(known)}
    if not hit and len(texts) < len(agents):
        return Finding("excluded_browsers", "unknown", figures, "pattern")
    return Finding("excluded_browsers", "look" if hit else "good", figures)


# === ADDRESSES === #


def _split(text):
    return [each.strip() for each in text.split(",") if each.strip()]


def covers(pattern: str, address: str) -> bool:
    """Return whether Matomo's entry of excluded IP addresses excludes an address.

    :param pattern: an address, a network as 192.0.2.0/24, or 192.0.2.* with one or
        more stars at its end. What is none of them excludes nothing
    :param address: an IP address
    """
    stars = pattern.count("*")
    if stars:
        pattern = pattern.replace("*", "0") + f"/{32 - 8 * stars}"
    try:
        network = ipaddress.ip_network(pattern, strict=False)
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


def _get_host(url):
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""
    return host.lower().removeprefix("www.")


def _is_at(host, urls):
    """Return whether one of the addresses has this host, as Matomo compares them."""
    return _get_host(host) in {_get_host(url) for url in urls}


def _is_within(url, urls):
    """Return whether an address is within one of these, as Matomo compares them."""

    def get_path(address):
        return urlsplit(address).path.lower().rstrip("/") + "/"

    try:
        return any(
            _get_host(url) == _get_host(each)
            and get_path(url).startswith(get_path(each))
            for each in urls
        )
    except ValueError:
        return False
