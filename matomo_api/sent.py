"""Reads back what a request has sent, so that a person can read it.

What comes in was stored: by an older version, shortened or anonymized since, or changed
by a stranger. Nothing that it may hold makes this fail.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from .privacy import ANONYMIZED
from .tracking import NO_ADDRESS

_SPACE = re.compile(r"\s*")
# So many items are shown; an order of thousands would be a page of megabytes.
MAX_ITEMS = 200
AMOUNTS = {
    "subtotal": "ec_st",
    "tax": "ec_tx",
    "shipping": "ec_sh",
    "discount": "ec_dt",
    "revenue": "revenue",
    "refund": "e_v",
}
# {what: the parameters that may tell it}
VISITOR = {
    "visitor": ("cid", "_id"),
    "user": ("uid",),
    "ip_address": ("cip",),
    "browser": ("ua",),
    "languages": ("lang",),
    "campaign": ("_rcn",),
    "keyword": ("_rck",),
    "referrer": ("_ref",),
    "country": ("country",),
    "region": ("region",),
    "city": ("city",),
}


@dataclass(frozen=True)
class SentItem:
    """An item as it was sent; None is what is not legible."""

    sku: str
    name: str
    categories: tuple[str, ...]
    price: Decimal | None
    quantity: Decimal | None

    @property
    def total(self) -> Decimal | None:
        """The price of all of it."""
        if self.price is None or self.quantity is None:
            return None
        return self.price * self.quantity


@dataclass(frozen=True)
class SentRequest:
    """What a request has sent.

    :ivar amounts: ``{name of AMOUNTS: amount}``, those that were sent
    :ivar visitor: ``{name of VISITOR: text}``, those that were sent and not deleted
    :ivar is_cut: whether there were more items than are shown here
    :ivar is_anonymized: whether something of the visitor was deleted since
    """

    ref: str = ""
    time: str = ""
    page: str = ""
    title: str = ""
    items: tuple[SentItem, ...] = ()
    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    visitor: Mapping[str, str] = field(default_factory=dict)
    is_cut: bool = False
    is_anonymized: bool = False


def read_sent(parameters) -> SentRequest:
    """Return what the parameters of a request say.

    :param parameters: as they were stored, of whatever type
    """
    if not isinstance(parameters, Mapping):
        return SentRequest()
    items, is_cut = _read_items(parameters.get("ec_items"))
    amounts = {
        name: amount
        for name, key in AMOUNTS.items()
        if (amount := _number(parameters.get(key))) is not None
    }
    visitor = {
        name: text
        for name, keys in VISITOR.items()
        if (text := next(filter(None, (_text(parameters.get(k)) for k in keys)), ""))
    }
    if visitor.get("ip_address") == NO_ADDRESS:
        del visitor["ip_address"]
    known = {name: text for name, text in visitor.items() if text != ANONYMIZED}
    return SentRequest(
        ref=_text(parameters.get("ec_id")) or _text(parameters.get("e_n")),
        time=_text(parameters.get("cdt")),
        page=_text(parameters.get("url")),
        title=_text(parameters.get("action_name")),
        items=items[:MAX_ITEMS],
        amounts=amounts,
        visitor=known,
        is_cut=is_cut or len(items) > MAX_ITEMS,
        is_anonymized=len(known) < len(visitor),
    )


def _read_items(text) -> tuple[tuple[SentItem, ...], bool]:
    """Return the items of a JSON text, and whether its end is missing."""
    if not isinstance(text, str) or not text.strip():
        return (), False
    try:
        values, is_cut = json.loads(text), False
    except (ValueError, RecursionError):
        values, is_cut = _salvage(text), True
    if not isinstance(values, list):
        return (), True
    return tuple(
        _read_item(value) for value in values if isinstance(value, list)
    ), is_cut


def _salvage(text: str) -> list:
    """Return the values of a JSON list whose end was cut off."""
    values, decoder, position = [], json.JSONDecoder(), text.find("[") + 1
    while 0 < position < len(text) and len(values) <= MAX_ITEMS:
        start = _SPACE.match(text, position).end()
        try:
            value, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        values.append(value)
        position = text.find(",", position) + 1
    return values


def _read_item(value: list) -> SentItem:
    sku, name, categories, price, quantity = (*value, *[None] * 5)[:5]
    if not isinstance(categories, list):
        categories = [categories]
    return SentItem(
        _text(sku),
        _text(name),
        tuple(filter(None, map(_text, categories))),
        _number(price),
        _number(quantity),
    )


def _text(value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""


def _number(value) -> Decimal | None:
    """Return a finite number, None if it is not legible."""
    try:
        number = Decimal(_text(value).strip())
    except InvalidOperation:
        return None
    # Nobody sells for more, and a currency could not be formatted.
    return number if number.is_finite() and abs(number) < 10**15 else None
