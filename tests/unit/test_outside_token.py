"""A token that is kept outside of the database is for one site of one database."""

import pytest
from matomo_order_tracking.tools.outside_token import find_token, get_name

NAME = "MATOMO_TOKEN_SHOP_3"


@pytest.mark.parametrize(
    ("database", "site_id", "name"),
    [
        ("shop", 3, NAME),
        ("My-Shop.2", 12, "MATOMO_TOKEN_MY_SHOP_2_12"),
    ],
)
def test_name(database, site_id, name):
    assert get_name(database, site_id) == name


@pytest.mark.parametrize(
    ("environ", "options", "expected"),
    [
        ({}, {}, None),
        ({"MATOMO_TOKEN_3": "t"}, {"matomo_token_3": "t"}, None),
        ({"MATOMO_TOKEN_OTHER_3": "t"}, {}, None),
        ({NAME: ""}, {}, None),
        ({NAME: "t"}, {}, ("t", "")),
        ({NAME: "t", f"{NAME}_URL": "https://a/"}, {}, ("t", "https://a/")),
        # An address goes with the token of its own place.
        (
            {NAME: "t"},
            {NAME.lower(): "u", f"{NAME.lower()}_url": "https://b/"},
            ("t", ""),
        ),
        (
            {},
            {NAME.lower(): "u", f"{NAME.lower()}_url": "https://b/"},
            ("u", "https://b/"),
        ),
    ],
)
def test_find(environ, options, expected):
    found = find_token(NAME, environ, options)
    assert (found and (found.token, found.url)) == expected
    assert "token='" not in repr(found)
