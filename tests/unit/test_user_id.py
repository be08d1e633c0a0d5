"""The user ID by which Matomo knows a customer on all of their devices."""

import hashlib

import pytest
from matomo_order_tracking.matomo_api.tracking import get_visitor_id_of_user
from matomo_order_tracking.tools.user_id import Person, choose_kind, get_user_id

NORA = Person("0a1b2c", 7, "nora", " Nora@Example.com ")
GUEST = Person("3d4e5f")


@pytest.mark.parametrize(
    ("tag_kind", "is_wanted", "kind"),
    [
        ("unknown", False, ""),
        ("none", False, ""),
        ("unknown", True, "pseudonym"),
        ("none", True, "pseudonym"),
        # The order must stand in the visit of the tag, whatever else is wanted.
        ("login", False, "login"),
        ("login", True, "login"),
        ("odoo_id", True, "odoo_id"),
        ("email_hash", False, "email_hash"),
    ],
)
def test_kind(tag_kind, is_wanted, kind):
    assert choose_kind(tag_kind, is_wanted) == kind


@pytest.mark.parametrize(
    ("kind", "user_id", "of_guest"),
    [
        ("", "", ""),
        ("pseudonym", "0a1b2c", "3d4e5f"),
        ("odoo_id", "7", ""),
        ("login", "nora", ""),
        ("email_hash", hashlib.sha256(b"nora@example.com").hexdigest(), ""),
    ],
)
def test_user_id(kind, user_id, of_guest):
    assert get_user_id(kind, NORA) == user_id
    assert get_user_id(kind, GUEST) == of_guest


def test_visitor_of_a_user():
    """The figures are those of PHP: substr(sha1(htmlspecialchars($uid)), 0, 16)."""
    assert get_visitor_id_of_user("42") == "92cfceb39d57d914"
    escaped = "o&#039;neil&amp;co@example.com"
    expected = hashlib.sha1(escaped.encode()).hexdigest()[:16]
    assert get_visitor_id_of_user("o'neil&co@example.com") == expected
