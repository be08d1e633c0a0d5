"""A shopper's visit: what one HTTP request says, and what the order keeps of it.

Nothing here imports Odoo or knows the current request. ``ir.http`` gathers the
request's parts, these functions decide, and ``sale.order`` writes what they return.
Headers and cookies come from strangers: what cannot be parsed counts as nothing.

The metadata is a mapping from the names of an order's fields to the values they
store; ``False`` stands for an empty field.
"""

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

from ..matomo_api import cookies
from ..matomo_api.arrival import (
    ATTRIBUTION_AGE,
    VISIT_LENGTH,
    get_host_name,
    read_arrival,
)
from ..matomo_api.browser import parse_features
from ..matomo_api.texts import clean_shopper_text
from ..matomo_api.tracking import (
    MAX_CLIENT_HINTS_LENGTH,
    MAX_LANGUAGE_LENGTH,
    MAX_USER_AGENT_LENGTH,
    Attribution,
)

# The lifetime that matomo.js gives its visitor cookie (seconds).
VISITOR_COOKIE_AGE = 33_955_200
# A visit that goes on is noted in the session once in so much time (seconds).
_VISIT_STEP = 300
_HOST_NAME = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,9}")
# One name and version of a Sec-CH-UA header.
_BRAND = re.compile(r'"([^"\\]{1,64})";\s?v="([^"\\]{1,32})"')
# A browser has three or four brands, with versions of up to 15 characters.
_MAX_BRANDS_LENGTH = 255
# What a browser tells only if it is asked: the versions, the phone, the system.
_FULL_VERSIONS = "Sec-CH-UA-Full-Version-List"
_MODEL = "Sec-CH-UA-Model"
_PLATFORM_VERSION = "Sec-CH-UA-Platform-Version"
ACCEPT_CH = ", ".join((_FULL_VERSIONS, _MODEL, _PLATFORM_VERSION))
# {masked bytes: (bits kept of an IPv4 address, bits kept of an IPv6 address)}. These
# are the figures of Matomo's own setting "Anonymize Visitors' IP addresses"
# (docs/matomo.md section 8).
_KEPT_BITS = {0: (32, 128), 1: (24, 64), 2: (16, 48), 3: (8, 24)}
# How crawlers call themselves: by a word that ends in "bot" (Cubot makes phones), by an
# address that explains them, or by a name of their own. A messenger whose user agent
# begins with its own name fetches a preview; its browser begins with "Mozilla".
_CRAWLER = re.compile(
    r"(?<!cu)bot\b|crawler|spider\b|slurp|\+https?://|facebookexternalhit|bingpreview"
    r"|google web preview|uripreview|mediapartners-google|googleother"
    r"|google-pagerenderer|^(?:whatsapp|pinterest|curl|wget|python-\w+|okhttp|go-http-client)/",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class HttpRequest:
    """A shopper's HTTP request, as plain values.

    :ivar time: when Odoo handles it, in seconds since 1970 (UTC)
    :ivar remote_addr: the client's IP address, as the server or its proxy says
    :ivar host: the website's host as the browser names it, perhaps with a port
    :ivar scheme: ``http`` or ``https``
    :ivar method: ``GET``, ``POST``, …
    :ivar url: the whole address that the browser asks for
    :ivar arrival: where the shopper came from, as ``follow_arrival`` has returned it
        for an earlier request
    :ivar features: what the browser can show, as ``read_features`` has returned it for
        an earlier request
    :ivar routing_type: the type of the route that answers, e.g. ``http``, ``jsonrpc``
    :ivar has_cookie_bar: whether the website shows Odoo's cookie bar
    :ivar clicked: what the shopper clicked there; None: nothing yet
    :ivar user_id: by which Matomo knows a shopper who is logged in; "": they are not,
        or the site sends none
    """

    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    time: float
    remote_addr: str | None = None
    host: str = ""
    scheme: str = "https"
    method: str = "GET"
    url: str = ""
    arrival: Mapping[str, object] = field(default_factory=dict)
    features: Mapping[str, object] = field(default_factory=dict)
    routing_type: str = "http"
    has_cookie_bar: bool = False
    clicked: bool | None = None
    user_id: str = ""

    @property
    def path(self) -> str:
        """The path of the address, "/" if it cannot be read."""
        try:
            return urlsplit(self.url).path or "/"
        except ValueError:
            return "/"

    @property
    def is_page(self) -> bool:
        """Whether the browser asks for a page to show, rather than a script for data.

        Old browsers do not send ``Sec-Fetch-Dest``.
        """
        destination = self.headers.get("Sec-Fetch-Dest", "document")
        return self.routing_type == "http" and destination == "document"


@dataclass(frozen=True)
class ShopperPolicy:
    """The settings of a Matomo site that concern shoppers' data.

    :ivar idsite: the site's number in Matomo, part of the names of its cookies
    :ivar consent: ``cookie_bar``, ``matomo_cookie``, ``elsewhere``, ``cookieless`` or
        ``never``
    :ivar respect_dnt: whether Do Not Track and Global Privacy Control are a no
    :ivar ip_mask: how many bytes of an IP address are masked, 0 to 3
    :ivar set_cookie: whether the server may set a visitor cookie where consent is
        obtained elsewhere
    :ivar has_own_tag: whether the tag on the pages is the addon's, which keeps its
        cookies for the page's host alone
    """

    idsite: int
    consent: str = "cookie_bar"
    respect_dnt: bool = True
    ip_mask: int = 0
    set_cookie: bool = False
    has_own_tag: bool = False

    @property
    def may_set_cookie(self) -> bool:
        """Whether the server may set a visitor cookie for a shopper who agrees."""
        return self.consent == "cookie_bar" or (
            self.consent == "elsewhere" and self.set_cookie
        )

    @property
    def uses_storage(self) -> bool:
        """Whether the browser's cookies tell who the shopper is."""
        return self.consent != "cookieless"


@dataclass(frozen=True)
class Consent:
    """What a shopper answered and where: yes, no, or nothing yet (None).

    A no deletes what is stored, a missing answer does not: on a second device the
    shopper has just not been asked yet.
    """

    answer: bool | None
    source: str

    @property
    def is_refusal(self) -> bool:
        """Whether the shopper said no, rather than the site's settings."""
        return self.answer is False and self.source != "never"


@dataclass(frozen=True)
class Visit:
    """What one request says about its shopper.

    :ivar time: seconds since 1970 (UTC)
    :ivar metadata: values of the order's fields; empty unless the shopper agreed
    """

    consent: Consent
    time: float
    metadata: Mapping[str, object] = field(default_factory=dict)


# === READING A REQUEST === #


def is_crawler(headers: Mapping[str, str]) -> bool:
    """Return whether a program that reads whole websites makes this request.

    It fills carts only because it follows links. The rule of Odoo takes the browsers of
    Instagram, Pinterest and WhatsApp for robots, too, and phones of Cubot.
    """
    user_agent = headers.get("User-Agent") or ""
    return bool(_CRAWLER.search(user_agent[:MAX_USER_AGENT_LENGTH]))


def is_prefetched(headers: Mapping[str, str]) -> bool:
    """Return whether a browser fetches a page before somebody wants to see it.

    Chromium and Safari prefetch and prerender pages that are linked or typed; old
    browsers name it otherwise. Nobody may ever look at the page.
    """
    purpose = " ".join(
        headers.get(name, "")
        for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
    ).lower()
    return any(word in purpose for word in ("prefetch", "prerender", "preview"))


def read_visit(request: HttpRequest, policy: ShopperPolicy) -> Visit:
    """Return the visit of this request; without consent nothing else is read."""
    consent = read_consent(request, policy)
    metadata = read_metadata(request, policy) if consent.answer else {}
    return Visit(consent, request.time, metadata)


def read_consent(request: HttpRequest, policy: ShopperPolicy) -> Consent:
    """Return what the shopper has agreed to.

    Where the sources disagree, a refusal wins. A site whose consent is obtained
    elsewhere does not ask the cookie bar.

    If Matomo's own cookie is the consent, a visitor ID is the yes: the website's
    consent manager let the tag run. No visitor ID is no answer, and so is one that
    disappears: consent managers delete cookies when a shopper withdraws, and so do
    browsers that clean up and shoppers who change the device. What an order keeps is
    therefore not taken away, and nothing more is stored. A consent manager that can
    say no for certain says it with ``mtm_consent_removed``, as matomo.js does.

    Without cookies there is nothing to agree to, only something to object to: a no in
    the cookie bar or in the browser's settings counts.
    """
    if policy.respect_dnt and _asks_not_to_be_tracked(request.headers):
        return Consent(False, "do_not_track")
    told = cookies.consent(request.cookies)
    if told is False:
        return Consent(False, "matomo_cookie")
    if policy.consent == "elsewhere":
        return Consent(True, "elsewhere")
    clicked = request.clicked if request.has_cookie_bar else None
    if clicked is False:
        return Consent(False, "cookie_bar")
    if policy.consent == "never":
        return Consent(False, "never")
    if policy.consent == "cookieless":
        return Consent(True, "cookieless")
    if policy.consent == "matomo_cookie":
        return (
            Consent(True, "visitor_cookie")
            if _read_visitor_id(request, policy)
            else Consent(None, "no_visitor_cookie")
        )
    if told:
        return Consent(True, "matomo_cookie")
    if clicked:
        return Consent(True, "cookie_bar")
    return Consent(None, "not_answered" if request.has_cookie_bar else "not_asked")


def may_refuse(headers: Mapping[str, str], request_cookies: Mapping[str, str]) -> bool:
    """Return whether a request says no in some way, whatever counts on its website.

    This costs nothing. Only ``read_consent`` knows whether the no counts.
    """
    bar = _read_cookie_bar(request_cookies)
    return (
        _asks_not_to_be_tracked(headers)
        or cookies.consent(request_cookies) is False
        or (bar is not None and not bar.get("optional"))
    )


def _asks_not_to_be_tracked(headers: Mapping[str, str]) -> bool:
    """Return whether the browser sends Do Not Track or Global Privacy Control."""
    return "1" in (headers.get("DNT"), headers.get("Sec-GPC"))


def is_cookie_bar_answered(request_cookies: Mapping[str, str]) -> bool:
    """Return whether Odoo's cookie bar has left an answer that can be read."""
    return _read_cookie_bar(request_cookies) is not None


def _read_cookie_bar(request_cookies: Mapping[str, str]) -> Mapping | None:
    """Return what Odoo's cookie bar has left, None if it cannot be read."""
    try:
        answer = json.loads(request_cookies.get("website_cookies_bar", ""))
    except (ValueError, RecursionError):
        # The shopper has clicked nothing, or a stranger wrote the cookie.
        return None
    return answer if isinstance(answer, dict) else None


def read_metadata(request: HttpRequest, policy: ShopperPolicy) -> dict[str, object]:
    """Return the shopper's metadata; call it only if the shopper has agreed."""
    headers = request.headers
    visitor_id, attribution = "", Attribution()
    if policy.uses_storage:
        visitor_id = _read_visitor_id(request, policy)
        attribution = cookies.parse_attribution(
            request.cookies,
            policy.idsite,
            request.time,
            request.host,
            request.path,
            policy.has_own_tag,
        )
        if attribution == Attribution():
            attribution = _read_kept_arrival(request)
    return {
        "matomo_ip_address": _read_address(request.remote_addr, policy.ip_mask),
        "matomo_user_agent": clean_shopper_text(
            headers.get("User-Agent"), MAX_USER_AGENT_LENGTH
        )
        or False,
        "matomo_accept_language": clean_shopper_text(
            headers.get("Accept-Language"), MAX_LANGUAGE_LENGTH
        )
        or False,
        "matomo_client_hints": _read_client_hints(headers),
        "matomo_browser_flags": _read_kept_features(request, policy),
        "matomo_visitor_id": visitor_id or False,
        "matomo_user_id": request.user_id or False,
        "matomo_attribution_info": attribution != Attribution()
        and {
            "campaign": attribution.campaign,
            "keyword": attribution.keyword,
            "timestamp": attribution.timestamp,
            "referrer": attribution.referrer,
        },
    }


def _read_visitor_id(request: HttpRequest, policy: ShopperPolicy) -> str:
    """Return the visitor ID that matomo.js gave this browser, "" without one."""
    return cookies.parse_visitor_id(
        request.cookies,
        policy.idsite,
        request.host,
        request.path,
        policy.has_own_tag,
    )


def _read_address(text: str | None, ip_mask: int) -> str | bool:
    """Return the client's masked IP address, False if it is not one.

    :param text: IPv4 or IPv6; the latter may have a zone, which can be any text, or
        contain an IPv4 address
    """
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return False
    return mask_ip_address(
        str(getattr(address, "ipv4_mapped", None) or address), ip_mask
    )


def mask_ip_address(address: str, byte_count: int) -> str:
    """Return an IP address with its last bytes set to zero, as Matomo masks addresses.

    :param address: an IPv4 or IPv6 address; an IPv4 address that is mapped into IPv6 is
        masked as IPv4
    :param byte_count: how many bytes of an IPv4 address are masked, 0 to 3. Of an IPv6
        address more are masked, see ``_KEPT_BITS``
    :raise ValueError: if the text is not an IP address
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6 and ip.ipv4_mapped:
        return f"::ffff:{mask_ip_address(str(ip.ipv4_mapped), byte_count)}"
    bits = _KEPT_BITS[byte_count][ip.version == 6]
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False).network_address)


def _read_client_hints(headers: Mapping[str, str]) -> str | bool:
    """Return the browser's hints in the form of matomo.js, False without any.

    Like matomo.js, it names the brands only if the browser does not tell their full
    versions. An application shows itself as "Android WebView"; brands that no browser
    has ("Not?A_Brand") are in every list, and Matomo passes over them.
    """
    full_versions = _read_brands(headers.get(_FULL_VERSIONS))
    brands = full_versions or _read_brands(headers.get("Sec-CH-UA"))
    if not brands:
        return False
    hints = {
        "fullVersionList" if full_versions else "brands": brands,
        "mobile": headers.get("Sec-CH-UA-Mobile") == "?1",
        "platform": _read_hint(headers.get("Sec-CH-UA-Platform")),
    }
    for name, header in (("model", _MODEL), ("platformVersion", _PLATFORM_VERSION)):
        # A browser on a desk tells an empty model.
        if value := _read_hint(headers.get(header)):
            hints[name] = value
    return clean_shopper_text(json.dumps(hints), MAX_CLIENT_HINTS_LENGTH)


def _read_brands(text: str | None) -> list[dict[str, str]]:
    return [
        {"brand": brand, "version": version}
        for brand, version in _BRAND.findall((text or "")[:_MAX_BRANDS_LENGTH])
    ]


def _read_hint(text: str | None) -> str:
    return clean_shopper_text((text or "").strip('"'), 64)


def lacks_hints(request: HttpRequest) -> bool:
    """Return whether this page should ask the browser what it is.

    Browsers that send client hints send few, unless a page has asked for more by the
    header ``Accept-CH``; then they send them with each later request. Ask only a
    shopper who has agreed.
    """
    headers = request.headers
    return request.is_page and "Sec-CH-UA" in headers and _FULL_VERSIONS not in headers


# === WHAT THE ORDER KEEPS === #


def merge_visit(
    stored: Mapping[str, object], receipt: Mapping | None, visit: Visit
) -> dict[str, object]:
    """Return the values that the visit changes on an order.

    :param stored: the order's metadata, all fields of it
    :param receipt: the order's ``matomo_consent_info``
    """
    values = {}
    if _is_new_answer(receipt or {}, visit.consent):
        moment = datetime.fromtimestamp(visit.time, timezone.utc)
        values["matomo_consent_info"] = {
            "answer": visit.consent.answer,
            "source": visit.consent.source,
            "date": f"{moment:%Y-%m-%d %H:%M:%S}",
        }
    if visit.consent.answer is False:
        metadata = dict.fromkeys(stored, False)
    else:
        metadata = _choose_metadata(stored, visit.metadata)
    return values | {
        name: value for name, value in metadata.items() if value != stored[name]
    }


def _is_new_answer(receipt: Mapping, consent: Consent) -> bool:
    """Return whether the receipt must change; silence replaces no answer."""
    is_same = (receipt.get("answer"), receipt.get("source")) == (
        consent.answer,
        consent.source,
    )
    is_silence = consent.answer is None and receipt.get("answer") is not None
    return not (is_same or is_silence)


def _choose_metadata(
    stored: Mapping[str, object], current: Mapping[str, object]
) -> Mapping[str, object]:
    """Return the ``current`` metadata, empty if the ``stored`` one stays.

    The shopper who filled the cart stays its shopper, on whatever device it is
    paid. Only their own later requests bring news: the visitor ID, another
    campaign, the next visit of a browser without cookies. A changed IP address alone
    does not count: browsers alternate between IPv4 and IPv6.
    """
    if not current or not any(stored.values()):
        return current
    # Before the visitor has an ID, only the browser tells one from another.
    proof = "matomo_visitor_id" if stored["matomo_visitor_id"] else "matomo_user_agent"
    is_recognized = current["matomo_visitor_id"] or current["matomo_browser_flags"]
    if stored[proof] != current[proof] or not is_recognized:
        return {}
    # matomo.js's cookie may have expired, and the campaign brought the shopper here; or
    # they have logged out and pay by a link, and Matomo goes on with their visit.
    kept = {
        name: stored[name]
        for name in ("matomo_attribution_info", "matomo_user_id")
        if not current[name]
    }
    if _has_full_versions(stored) and not _has_full_versions(current):
        # The browser has been started again, and no page has asked it again.
        kept["matomo_client_hints"] = stored["matomo_client_hints"]
    current = {**current, **kept}
    is_news = any(
        stored[name] != value
        for name, value in current.items()
        if name != "matomo_ip_address"
    )
    return current if is_news else {}


def _has_full_versions(metadata: Mapping[str, object]) -> bool:
    return '"fullVersionList"' in str(metadata["matomo_client_hints"])


# === WHERE THE SHOPPER COMES FROM === #
#
# matomo.js keeps it in a cookie. Where it does not run, the shopper's session keeps it,
# with consent.


def may_keep_arrival(consent: Consent, policy: ShopperPolicy) -> bool:
    """Return whether the session may keep where a shopper came from.

    Without cookies it does not: an order that joins the tag's visit has its campaign.
    """
    return bool(consent.answer) and policy.uses_storage


def follow_arrival(request: HttpRequest) -> Mapping[str, object]:
    """Return where the shopper of this request came from, for their session.

    As in matomo.js, the first page of a visit decides: a later page of the same visit
    replaces nothing (the shopper returns from the provider of their payment), a later
    visit from elsewhere does, and a later direct one does not.

    :return: ``campaign``, ``keyword``, ``timestamp`` and ``referrer`` of an
        attribution, and ``seen``: when the visit was noticed last (seconds since
        1970); empty if nothing is known; the request's ``arrival`` if nothing is new
    """
    kept = request.arrival
    if is_prefetched(request.headers):
        return kept
    is_ongoing = request.time - kept.get("seen", 0) < VISIT_LENGTH + _VISIT_STEP
    found = Attribution() if is_ongoing else _read_new_arrival(request)
    if found == Attribution():
        return kept
    return {
        "campaign": found.campaign,
        "keyword": found.keyword,
        "timestamp": int(request.time),
        # matomo.js keeps the referrer of before with a new campaign.
        "referrer": found.referrer or kept.get("referrer", ""),
        "seen": int(request.time),
    }


def continue_visit(request: HttpRequest) -> Mapping[str, object]:
    """Return ``follow_arrival`` of a request with which the visit goes on."""
    arrival = follow_arrival(request)
    if request.time - arrival.get("seen", 0) < _VISIT_STEP:
        return arrival
    return {**arrival, "seen": int(request.time)}


def _read_new_arrival(request: HttpRequest) -> Attribution:
    """Return what this request says of where the shopper comes from."""
    referrer = request.headers.get("Referer", "")
    found = Attribution()
    if request.is_page and request.method == "GET":
        found = read_arrival(request.url, referrer, request.host)
    if found == Attribution() and not request.arrival:
        # The shopper agreed on the page before, which was the first one perhaps.
        # Nothing was kept of it: the browser names it with this request.
        if get_host_name(referrer) == get_host_name(f"//{request.host}"):
            found = read_arrival(referrer, "", request.host)
    return found


def _read_kept_arrival(request: HttpRequest) -> Attribution:
    """Return where the shopper came from, as long as matomo.js would remember it."""
    arrival = follow_arrival(request)
    timestamp = arrival.get("timestamp", 0)
    if request.time - timestamp > ATTRIBUTION_AGE:
        return Attribution()
    return Attribution(
        campaign=arrival["campaign"],
        keyword=arrival["keyword"],
        timestamp=timestamp,
        referrer=arrival["referrer"],
    )


def read_shown_page(request: HttpRequest, body: bytes) -> HttpRequest | None:
    """Return the request of a page that a browser has shown without asking again.

    A browser may have prerendered it (Speculation Rules), long before somebody wanted
    to see it. The tag tells when it is shown.

    :param request: by which the tag tells it
    :param body: JSON: ``url`` of the page, and the page before it as ``referrer``
    :return: the request as if the browser had asked for the page now, None if the body
        tells no page of this host
    """
    try:
        told = json.loads(body)
        url, referrer = told["url"], told["referrer"]
        is_own = get_host_name(url) == get_host_name(f"//{request.host}")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    if not is_own or not isinstance(referrer, str):
        return None
    headers = {"Referer": referrer, "Sec-Fetch-Dest": "document"}
    return replace(request, headers=headers, method="GET", url=url)


# === BROWSERS WITHOUT COOKIES === #
#
# The tag tells what the browser can show, and the shopper's session keeps it for the
# visit. It makes no difference on sites whose policy lets cookies tell the visitor.


def read_features(
    request: HttpRequest, policy: ShopperPolicy, body: bytes
) -> dict[str, object]:
    """Return what the session keeps of a browser, from what its tag has sent.

    :return: the features of ``matomo_api.browser.parse_features`` and ``time``: when
        they were told (seconds since 1970); empty if nothing may be kept
    """
    if policy.uses_storage or not read_consent(request, policy).answer:
        return {}
    features = parse_features(body)
    return features and {**features, "time": int(request.time)}


def is_visit_over(features: Mapping[str, object], now: float) -> bool:
    """Return whether the visit has ended in which a browser told its features.

    The tag tells them again every 30 minutes as long as the shopper opens pages.

    :param now: seconds since 1970
    """
    return now - features["time"] >= VISIT_LENGTH + _VISIT_STEP


def _read_kept_features(
    request: HttpRequest, policy: ShopperPolicy
) -> Mapping[str, object] | bool:
    """Return the features of the request's browser, False if they are not known."""
    features = request.features
    if policy.uses_storage or not features or is_visit_over(features, request.time):
        return False
    return features


# === THE VISITOR COOKIE === #


def is_visitor_known(visitor_id: str | bool, consent: Consent) -> bool:
    """Return whether it is clear whose visit this is.

    It is not as long as a shopper may still answer, or has agreed and has no visitor
    ID yet. Where nobody was asked, or no cookie names the visitor, there is nothing to
    wait for.
    """
    return (
        bool(visitor_id)
        or consent.answer is False
        or consent.source in ("not_asked", "cookieless")
    )


def follow_visitor(
    request: HttpRequest,
    consent: Consent,
    unknown_since: float | None,
    *,
    is_known: bool,
    is_news: bool,
    may_set_cookie: bool,
    patience: timedelta,
) -> tuple[float | None, bool]:
    """Decide whether the server must write matomo.js's visitor cookie.

    A known issue in the guide: a cart that is sent before matomo.js has named the
    visitor creates a second visitor. If matomo.js runs, it has written its cookie by
    the time of a later page, and ours would split the visitor. Only if it has not,
    because it is missing or blocked, the server writes the cookie, and only with a
    whole page: no script of that page has run before the cookie is there.

    :param unknown_since: since when the visitor is unknown, in seconds since 1970
        (UTC); None: is not
    :param is_known: as ``is_visitor_known`` says
    :param is_news: whether the shopper has just answered
    :param may_set_cookie: as the policy of the site says
    :param patience: how long matomo.js may take
    :return: the new ``unknown_since``, and whether to write the cookie
    """
    if is_known:
        return None, False
    if is_news or unknown_since is None:
        return request.time, False
    is_overdue = request.time - unknown_since >= patience.total_seconds()
    is_due = may_set_cookie and consent.answer and request.is_page and is_overdue
    return unknown_since, bool(is_due)


def prepare_visitor_cookie(
    request: HttpRequest, idsite: int, visitor_id: str
) -> dict[str, object]:
    """Return the visitor cookie of matomo.js, as arguments of ``set_cookie``.

    :param visitor_id: 16 hex digits
    """
    name, value = cookies.visitor_cookie(idsite, request.host, visitor_id, request.time)
    return {
        "key": name,
        "value": value,
        "max_age": VISITOR_COOKIE_AGE,
        "secure": request.scheme == "https",
        # matomo.js must be able to read it, so it is not "httponly".
        "samesite": "Lax",
    }


def prepare_ended_cookies(
    request: HttpRequest, idsite: int
) -> Iterator[dict[str, object]]:
    """Yield what ends the cookies of matomo.js, as arguments of ``set_cookie``.

    matomo.js may have set them for a parent domain. A browser does not tell which: each
    of them is ended, and the browser ignores those that it does not have.
    """
    names = cookies.find_cookies(request.cookies, idsite)
    domains = get_cookie_domains(request.host) if names else ()
    for name in names:
        for domain in (None, *domains):
            yield {"key": name, "max_age": 0, "expires": 0, "domain": domain}


def get_cookie_domains(host: str) -> tuple[str, ...]:
    """Return the domains for which a page of this host may set cookies.

    :param host: with or without port; a number or a name without dots has none
    """
    name = host.rpartition(":")[0] or host
    labels = name.lower().strip(".").split(".")
    if labels[-1].isdigit() or not _HOST_NAME.fullmatch(".".join(labels)):
        return ()
    return tuple(".".join(labels[start:]) for start in range(len(labels) - 1))
