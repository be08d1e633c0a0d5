"""The user ID by which Matomo knows a customer on all of their devices.

Nothing here imports Odoo.
"""

import hashlib
from dataclasses import dataclass

# What the shop's own tag may send as user ID, as far as Odoo can send the same.
KNOWN_KINDS = ("odoo_id", "login", "email_hash")
PSEUDONYM = "pseudonym"


@dataclass(frozen=True)
class Person:
    """A customer, as far as a user ID may be made of them.

    :ivar pseudonym: a number that only this database can make of the customer
    :ivar user_number: the database ID of their login; 0: they have none
    :ivar login: the name with which they log in
    """

    pseudonym: str
    user_number: int = 0
    login: str = ""
    email: str = ""


def choose_kind(tag_kind: str, is_wanted: bool) -> str:
    """Return what to send as user ID, "" for nothing.

    :param tag_kind: what the shop's own tag sends: one of ``KNOWN_KINDS``, ``none`` or
        ``unknown``. Something else would lead an order out of the tag's visit
    :param is_wanted: whether the shop wants customers to have a user ID, and no tag of
        its own prevents it
    """
    if tag_kind in KNOWN_KINDS:
        return tag_kind
    return PSEUDONYM if is_wanted else ""


def get_user_id(kind: str, person: Person) -> str:
    """Return the user ID of a person, "" if they have none of this kind.

    :param kind: see ``choose_kind``
    """
    email = person.email.strip().lower()
    return {
        PSEUDONYM: person.pseudonym,
        "odoo_id": str(person.user_number or ""),
        "login": person.login,
        "email_hash": email and hashlib.sha256(email.encode()).hexdigest(),
    }.get(kind, "")
