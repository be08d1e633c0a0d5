"""Tracking requests: the parameters of an order, a cart update and a refund.

The parameters and their names are those of Matomo's Tracking HTTP API;
docs/matomo.md says how a live Matomo treats them.
"""

import hashlib
import html
import ipaddress
import json
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from decimal import Decimal
from urllib.parse import quote

from .items import (
    MAX_CATEGORY_LENGTH,
    MAX_NAME_LENGTH,
    MAX_SKU_LENGTH,
    Item,
    round_cents,
)
from .texts import clean_text, decode_entities
from .timezones import get_timezone

# The guide writes this instead of the token into a logged address.
ANONYMIZED = "XYZANONYMIZED"
# Matomo cuts a longer order id, escaped as HTML (docs/matomo.md section 6).
MAX_ORDER_REF_LENGTH = 100
REFUND_CATEGORY, REFUND_ACTION = "Ecommerce", "Refund"
# Matomo stores this address as no address, and no site excludes it (docs/matomo.md
# section 14).
NO_ADDRESS = "0.0.0.0"
MAX_USER_AGENT_LENGTH = 1024
MAX_LANGUAGE_LENGTH = 255
MAX_CLIENT_HINTS_LENGTH = 4096
MAX_CAMPAIGN_LENGTH = 255
MAX_REFERRER_LENGTH = 1024
MAX_PAGE_LENGTH = 2048
MAX_CITY_LENGTH = 255
MAX_DIMENSION_LENGTH = 255
MAX_USER_ID_LENGTH = 200

_VISITOR_ID = re.compile(r"[0-9a-f]{16}")
_COUNTRY = re.compile(r"[a-z]{2}")
_REGION = re.compile(r"[A-Z0-9]{1,3}")
# A value that stands in an address as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
# How each byte that does not stands there.
_ESCAPES = {byte: quote(bytes([byte]), safe="") for byte in range(256)}


@dataclass(frozen=True)
class Attribution:
    """Where the shopper came from, as matomo.js keeps it in its cookie ``_pk_ref``.

    :ivar timestamp: of that arrival, in seconds since 1970 (UTC); 0: unknown
    """

    campaign: str = ""
    keyword: str = ""
    timestamp: int = 0
    referrer: str = ""


@dataclass(frozen=True)
class Visitor:
    """The visitor to whom a request belongs; only ``visitor_id`` is required.

    :ivar visitor_id: 16 hex digits
    :ivar user_id: of a customer who is known, on whatever device; see
        ``get_visitor_id_of_user``
    :ivar browser_features: see ``browser.parse_features``; only of a browser without
        cookies
    :ivar country: two letters
    :ivar region: of ISO 3166-2, with or without the country
    :ivar timezone: whose clock the visitor sees, as Matomo names it; "": not known
    :ivar dimensions: values of custom dimensions of scope Visit, by their number
    """

    visitor_id: str
    user_id: str = ""
    ip_address: str = ""
    user_agent: str = ""
    accept_language: str = ""
    client_hints: str = ""
    browser_features: Mapping[str, str] = field(default_factory=dict)
    attribution: Attribution = field(default_factory=Attribution)
    country: str = ""
    region: str = ""
    city: str = ""
    timezone: str = ""
    dimensions: Mapping[int, str] = field(default_factory=dict)

    @property
    def is_recognized_by_browser(self) -> bool:
        """Whether Matomo can find the visit of this visitor without a visitor ID."""
        return bool(self.browser_features and self.ip_address and self.user_agent)


@dataclass(frozen=True)
class Page:
    """The page on which Matomo shows a request, within the site's own addresses.

    :ivar view_id: names the page view with which the request's visit begins, see
        ``page_view_parameters``; "" if the shopper's browser has begun it
    """

    url: str
    title: str
    view_id: str = ""


@dataclass(frozen=True)
class Order:
    """An order: ``revenue = subtotal + tax + shipping - discount``.

    :ivar ref: the order id
    :ivar time: of the sale, naive UTC
    :ivar revenue: as all amounts, in the currency of the Matomo site
    """

    ref: str
    time: datetime
    revenue: Decimal
    subtotal: Decimal
    tax: Decimal
    shipping: Decimal
    discount: Decimal
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Cart:
    """The content of a cart.

    :ivar time: when it changed, naive UTC
    :ivar revenue: in the currency of the Matomo site
    """

    time: datetime
    revenue: Decimal
    items: tuple[Item, ...]


def is_visitor_id(text: str) -> bool:
    """Return whether a text is 16 hex digits, as the ID of a visitor is."""
    return bool(_VISITOR_ID.fullmatch(text))


def get_visitor_id(parameters: Mapping[str, str]) -> str:
    """Return the visitor ID in the parameters of a request, "" without one."""
    return parameters.get("cid") or parameters.get("_id") or ""


def get_visitor_id_of_user(user_id: str) -> str:
    """Return the visitor ID that Matomo gives to whoever has this user ID.

    Matomo does so unless its ``enable_userid_overwrites_visitorid`` is switched off
    (docs/matomo.md section 18).

    :return: 16 hex digits
    """
    # Matomo escapes parameters as PHP does, before it computes.
    escaped = html.escape(user_id).replace("&#x27;", "&#039;")
    return hashlib.sha1(escaped.encode()).hexdigest()[:16]


def order_parameters(
    idsite: int, order: Order, visitor: Visitor, page: Page
) -> dict[str, str]:
    """Return the parameters of an order, without the token.

    :raise ValueError: if the visitor id is not 16 hex digits or there is no ref
    """
    if not order.ref or order.ref == "0":
        # Matomo would record a cart update (docs/matomo.md section 1).
        raise ValueError("An order needs an id that is not empty and not 0.")
    return {
        **_common_parameters(idsite, order.time, visitor, page),
        "idgoal": "0",
        "revenue": _amount(order.revenue),
        "ec_st": _amount(order.subtotal),
        "ec_tx": _amount(order.tax),
        "ec_sh": _amount(order.shipping),
        "ec_dt": _amount(order.discount),
        "ec_items": _items(order.items),
        "ec_id": order.ref,
    }


def page_view_parameters(parameters: Mapping[str, str]) -> dict[str, str] | None:
    """Return the page view with which the visit of an order begins.

    A visit that begins with an order is a returning customer's for Matomo, without any
    action (docs/matomo.md section 20).

    :param parameters: of the order
    :return: None if the visit begins without one
    """
    if "pv_id" not in parameters:
        return None
    return {
        name: value
        for name, value in parameters.items()
        if name not in ("idgoal", "revenue") and not name.startswith("ec_")
    }


def get_view_id(ref: str) -> str:
    """Return the id of an order's page view: six characters, as matomo.js makes it.

    :param ref: the order id
    """
    return f"{zlib.crc32(ref.encode()):08x}"[:6]


def cart_parameters(
    idsite: int, cart: Cart, visitor: Visitor, page: Page
) -> dict[str, str]:
    """Return the parameters of a cart update, without the token.

    A cart update is an order without an id. Matomo keeps one cart for each visit, as
    it was sent last (docs/matomo.md sections 1 and 12).

    :raise ValueError: if the visitor id is not 16 hex digits
    """
    return {
        **_common_parameters(idsite, cart.time, visitor, page),
        "idgoal": "0",
        "revenue": _amount(cart.revenue),
        "ec_items": _items(cart.items),
    }


def refund_parameters(
    idsite: int,
    order_ref: str,
    amount: Decimal,
    time: datetime,
    visitor: Visitor,
    page: Page,
) -> dict[str, str]:
    """Return the parameters of a refund event, without the token.

    With ``ca`` Matomo does not count it as a page view; without ``idgoal`` it leaves
    orders and revenue alone (docs/matomo.md section 12). Matomo does not deduplicate
    events (section 14).

    :param order_ref: the order id of the original order
    :param amount: what is given back, positive, in the currency of the Matomo site
    :param time: of the refund, naive UTC
    :raise ValueError: if the visitor id is not 16 hex digits
    """
    return {
        # By now the visit of a browser without cookies has ended.
        **_common_parameters(idsite, time, replace(visitor, browser_features={}), page),
        "e_c": REFUND_CATEGORY,
        "e_a": REFUND_ACTION,
        "e_n": order_ref,
        "e_v": _amount(amount),
        "ca": "1",
    }


def _common_parameters(
    idsite: int, time: datetime, visitor: Visitor, page: Page
) -> dict[str, str]:
    if not _VISITOR_ID.fullmatch(visitor.visitor_id):
        raise ValueError("A visitor id has 16 hexadecimal digits.")
    attribution = visitor.attribution
    user_id = clean_text(visitor.user_id, MAX_USER_ID_LENGTH)
    # Matomo would drop the whole bulk for one character that is not valid UTF-8
    # (docs/matomo.md section 3).
    optional = {
        "uid": user_id,
        "ua": clean_text(visitor.user_agent, MAX_USER_AGENT_LENGTH),
        "lang": clean_text(visitor.accept_language, MAX_LANGUAGE_LENGTH),
        "uadata": clean_text(visitor.client_hints, MAX_CLIENT_HINTS_LENGTH),
        "_rcn": clean_text(attribution.campaign, MAX_CAMPAIGN_LENGTH),
        "_rck": clean_text(attribution.keyword, MAX_CAMPAIGN_LENGTH),
        "_refts": str(attribution.timestamp) if attribution.timestamp else "",
        "_ref": clean_text(attribution.referrer, MAX_REFERRER_LENGTH),
        "pv_id": page.view_id,
        **_local_time(visitor.timezone, time),
        **(visitor.browser_features if visitor.is_recognized_by_browser else {}),
        **_place(visitor),
        **{
            f"dimension{number}": clean_text(value, MAX_DIMENSION_LENGTH)
            for number, value in visitor.dimensions.items()
        },
    }
    return {
        "idsite": str(idsite),
        "rec": "1",
        "apiv": "1",
        # The orders of shoppers whose browser looks like a bot count, too
        # (docs/matomo.md section 9).
        "bots": "1",
        # Without it Matomo uses the sender's address, which the site may exclude
        # (docs/matomo.md section 14).
        "cip": _ip_address(visitor.ip_address),
        **_visitor_parameter(visitor, user_id),
        "cdt": time.strftime("%Y-%m-%d %H:%M:%S"),
        "url": clean_text(page.url, MAX_PAGE_LENGTH),
        "action_name": clean_text(page.title, MAX_NAME_LENGTH),
        **{name: value for name, value in optional.items() if value},
    }


def _visitor_parameter(visitor: Visitor, user_id: str) -> dict[str, str]:
    """Return the parameter with the visitor ID.

    ``cid`` chooses the visitor. ``_id`` is a proposal: Matomo takes it if it finds no
    visit of this browser (docs/matomo.md section 15).
    """
    if user_id:
        # What Matomo would make of it itself: the request is looked for by it.
        return {"cid": get_visitor_id_of_user(user_id)}
    return {"_id" if visitor.is_recognized_by_browser else "cid": visitor.visitor_id}


def _local_time(timezone_name: str, moment: datetime) -> dict[str, str]:
    """Return what the visitor's clock shows; without it Matomo takes UTC.

    :param moment: naive UTC
    """
    try:
        zone = get_timezone(timezone_name)
    except ValueError:
        return {}
    local = moment.replace(tzinfo=timezone.utc).astimezone(zone)
    return {"h": str(local.hour), "m": str(local.minute), "s": str(local.second)}


def _place(visitor: Visitor) -> dict[str, str]:
    """Return the location of the visitor in the form that Matomo's maps know.

    For Matomo "BE" is another country than "be", and it cuts "BE-VLG" to an unknown
    region "BE-" (docs/matomo.md section 15).
    """
    country = visitor.country.lower()
    if not _COUNTRY.fullmatch(country):
        return {}
    region = visitor.region.upper().rpartition("-")[2]
    return {
        "country": country,
        "region": region if _REGION.fullmatch(region) else "",
        "city": clean_text(visitor.city, MAX_CITY_LENGTH),
    }


def _ip_address(text: str) -> str:
    if not text:
        return NO_ADDRESS
    # Matomo would silently store no address (docs/matomo.md section 2).
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return NO_ADDRESS


def _amount(amount: Decimal) -> str:
    # Adding zero turns -0 into 0.
    return f"{round_cents(amount) + 0:.2f}"


def _items(items: Iterable[Item]) -> str:
    # Numbers rather than texts, as Matomo's own SDK sends them. A float keeps two
    # decimals unchanged.
    return json.dumps(
        [
            [
                clean_text(item.sku, MAX_SKU_LENGTH),
                clean_text(item.name, MAX_NAME_LENGTH),
                [clean_text(name, MAX_CATEGORY_LENGTH) for name in item.categories],
                float(round_cents(item.price)),
                item.quantity,
            ]
            for item in items
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def tracking_url(base_url: str, parameters: Mapping[str, str]) -> str:
    """Return the audit URL: a GET address equal to a request, its token masked."""
    query = "&".join(
        f"{name}={value if _PLAIN.fullmatch(value) else _escape(value)}"
        for name, value in {**parameters, "token_auth": ANONYMIZED}.items()
    )
    return f"{tracker_url(base_url)}?{query}"


def _escape(text: str) -> str:
    """Return what ``quote(text, safe="")`` does, one byte after the other."""
    return text.encode().decode("latin-1").translate(_ESCAPES)


def tracker_url(base_url: str) -> str:
    """Return the address of the tracking interface.

    :param base_url: the address of Matomo, with or without ``matomo.php``
    """
    base_url = base_url.removesuffix("/index.php")
    if base_url.endswith(".php"):
        return base_url
    return base_url.rstrip("/") + "/matomo.php"


def api_url(base_url: str) -> str:
    """Return the address of the reporting API.

    :param base_url: the address of Matomo, with or without ``matomo.php``
    """
    return tracker_url(base_url).rpartition("/")[0] + "/index.php"


def fit_order_ref(name: str, suffix: str = "") -> str:
    """Return an order id that Matomo does not cut: the name, cut for the suffix.

    Matomo decodes HTML entities of an order id, escapes it as HTML and cuts the result
    at 100 characters (docs/matomo.md section 6).
    """
    ref = clean_text(decode_entities(name), MAX_ORDER_REF_LENGTH)
    while ref and len(html.escape(ref + suffix)) > MAX_ORDER_REF_LENGTH:
        ref = ref[:-1].rstrip()
    return ref + suffix


def order_ref_key(ref: str) -> str:
    """Return a key that is equal for all order ids that Matomo takes for the same.

    Matomo's unique key has the collation utf8mb4_general_ci: it ignores case and
    accents, and all characters beyond U+FFFF are the same to it (docs/matomo.md
    section 6). This key is at least as coarse: two ids with different keys never
    collide in Matomo.
    """
    text = decode_entities(ref)
    text = "".join("\ufffd" if ord(char) > 0xFFFF else char for char in text)
    # The collation treats this accent as an iota if it stands alone, and ignores it
    # within a letter.
    text = text.replace("\u0345", "ι")
    while (folded := _fold(text)) != text:
        text = folded
    return text.rstrip()


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    # The collation treats ß as one s; Python's upper case makes two of it.
    return bare.replace("ß", "s").upper()
