import ipaddress
import json
import re
import time
from typing import NamedTuple

from odoo import fields, models
from odoo.http import request

from ..matomo_api import cookies
from ..matomo_api.items import clean_text
from ..matomo_api.tracking import (
    MAX_CLIENT_HINTS_LENGTH,
    MAX_LANGUAGE_LENGTH,
    MAX_USER_AGENT_LENGTH,
    Attribution,
)
from ..outbox import schedule

# matomo.js keeps its cookie this long (seconds).
VISITOR_COOKIE_AGE = 33_955_200
# Key of the session: since when it is open whose visit this is.
UNKNOWN_SINCE = "matomo_unknown_since"
# One name and version of a Sec-CH-UA header.
_BRAND = re.compile(r'"([^"\\]{1,64})";\s?v="([^"\\]{1,32})"')


class Consent(NamedTuple):
    """What a shopper answered, and where: yes, no, or nothing yet (None).

    A no takes away what is stored, a missing answer does not: on their second
    device the shopper has just not been asked yet.
    """

    answer: bool | None
    source: str


class MatomoSite(models.Model):
    """What is read from a shopper's own request, and with whose consent.

    These methods run inside such a request only.
    """

    _inherit = "matomo.site"

    consent_policy = fields.Selection(
        [
            ("cookie_bar", "Follow the website's cookie bar"),
            ("elsewhere", "Consent is obtained elsewhere"),
            ("never", "Never"),
        ],
        string="Store Shoppers' Data",
        required=True,
        default="cookie_bar",
        help="When a shopper's IP address, browser, visitor ID and campaign may be "
        "kept with the order. Otherwise the order is sent anonymously.",
    )
    respect_dnt = fields.Boolean(
        string="Honour Do Not Track",
        default=True,
        help="A browser that sends Do Not Track or Global Privacy Control does not "
        "agree, whatever was clicked.",
    )
    # On by default, as the guide has it: it concerns websites' carts only, so that
    # a site of tills or salespeople sends none.
    track_carts = fields.Boolean(
        default=True, help="Send changes of web shop carts to Matomo."
    )

    # === CONSENT === #

    def _get_consent(self, website):
        """What the shopper who makes this request has agreed to."""
        self.ensure_one()
        if self.consent_policy == "never":
            return Consent(False, "never")
        headers = request.httprequest.headers
        if self.respect_dnt and "1" in (headers.get("DNT"), headers.get("Sec-GPC")):
            return Consent(False, "do_not_track")
        told = cookies.consent(request.cookies)
        if told is False:
            return Consent(False, "matomo_cookie")
        if self.consent_policy == "elsewhere":
            return Consent(True, "elsewhere")
        clicked = self._read_cookie_bar() if website.cookies_bar else None
        if clicked is False:
            return Consent(False, "cookie_bar")
        if told:
            return Consent(True, "matomo_cookie")
        if clicked:
            return Consent(True, "cookie_bar")
        return Consent(None, "not_answered" if website.cookies_bar else "not_asked")

    def _read_cookie_bar(self):
        """What was clicked in the website's cookie bar; None: nothing readable."""
        try:
            answer = json.loads(request.cookies.get("website_cookies_bar", ""))
        except (ValueError, RecursionError):
            # Nothing was clicked, or a stranger put something else there.
            return None
        if not isinstance(answer, dict):
            return None
        return bool(self.env["ir.http"]._is_allowed_cookie("optional"))

    def _has_tag(self):
        """Whether the tag may run; a copy's page views would be sent, too."""
        return bool(self) and self._may_send() and self.consent_policy != "never"

    # === METADATA === #

    def _read_shopper(self):
        """The shopper's metadata in this request, as values of an order's fields."""
        self.ensure_one()
        http = request.httprequest
        headers = http.headers
        attribution = cookies.parse_attribution(request.cookies, self.idsite)
        return {
            "matomo_ip_address": _read_address(http.remote_addr),
            "matomo_user_agent": clean_text(
                headers.get("User-Agent"), MAX_USER_AGENT_LENGTH
            )
            or False,
            "matomo_accept_language": clean_text(
                headers.get("Accept-Language"), MAX_LANGUAGE_LENGTH
            )
            or False,
            "matomo_client_hints": _read_client_hints(headers),
            "matomo_visitor_id": cookies.parse_visitor_id(request.cookies, self.idsite)
            or False,
            "matomo_attribution_info": attribution != Attribution()
            and {
                "campaign": attribution.campaign,
                "keyword": attribution.keyword,
                "timestamp": attribution.timestamp,
                "referrer": attribution.referrer,
            },
        }

    def _follow_unknown(self, order, consent, is_known, is_news):
        """Set matomo.js's cookie for a shopper who agreed and whose browser has none.

        The guide's known issue: a cart sent before matomo.js has named the visitor
        makes a second one. If matomo.js runs, it has written its cookie by the time
        of a later page, and ours would split the visitor; only if it has not, the
        server writes the cookie for it, with a whole page: no script of that page
        has run before it is there.

        :param is_known: whether it is settled whose visit this is
        :param is_news: whether the shopper has just answered
        """
        session, now = request.session, time.time()
        if is_known:
            session.pop(UNKNOWN_SINCE, None)
        elif is_news or UNKNOWN_SINCE not in session:
            session[UNKNOWN_SINCE] = now
        elif (
            consent.answer
            and _is_page()
            and now - session[UNKNOWN_SINCE]
            >= schedule.VISITOR_PATIENCE.total_seconds()
        ):
            visitor_id = order._prepare_matomo_visitor(self).visitor_id
            name, value = cookies.visitor_cookie(
                self.idsite, request.httprequest.host, visitor_id, now
            )
            # Whether it is allowed has been decided; matomo.js has to read it.
            request.future_response.set_cookie(
                name,
                value,
                max_age=VISITOR_COOKIE_AGE,
                secure=request.httprequest.scheme == "https",
                samesite="Lax",
            )


def _is_page():
    """Whether this request asks for a page, and no script does."""
    asks_for = request.httprequest.headers.get("Sec-Fetch-Dest", "document")
    return request.dispatcher.routing_type == "http" and asks_for == "document"


def _read_address(text):
    """The client's IP address, False if a proxy said nonsense.

    :param text: IPv4 or IPv6; of the latter perhaps with a zone, which may be any
        text, or with an IPv4 address within
    """
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return False
    return str(getattr(address, "ipv4_mapped", None) or address)


def _read_client_hints(headers):
    """The browser's hints in the form matomo.js sends them, False if there are none."""
    brands = _BRAND.findall(headers.get("Sec-CH-UA", "")[:MAX_LANGUAGE_LENGTH])
    if not brands:
        return False
    hints = {
        "brands": [{"brand": brand, "version": version} for brand, version in brands],
        "mobile": headers.get("Sec-CH-UA-Mobile") == "?1",
        "platform": clean_text(headers.get("Sec-CH-UA-Platform", "").strip('"'), 64),
    }
    return clean_text(json.dumps(hints), MAX_CLIENT_HINTS_LENGTH)
