import pytest
from matomo_order_tracking.tools.copies import is_same_database


@pytest.mark.parametrize(
    ("known", "here", "is_same"),
    [
        ("7301-16384", "7301-16384", True),
        # A template of PostgreSQL, a database that was restored, another server.
        ("7301-16384", "7301-16385", False),
        ("7301-16384", "9999-16384", False),
        # The database's user may not read the server's identifier, or not any more.
        ("-16384", "-16384", True),
        ("7301-16384", "-16384", True),
        ("-16384", "7301-16384", True),
        ("-16384", "-16385", False),
        ("7301-16384", "-16385", False),
        (False, "7301-16384", False),
        ("7301-16384", False, False),
    ],
)
def test_is_same_database(known, here, is_same):
    assert is_same_database(known, here) is is_same
