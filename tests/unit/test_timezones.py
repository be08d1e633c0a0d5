"""The clocks of Matomo's sites, also of zones that only Matomo knows."""

from datetime import datetime

import pytest
from matomo_order_tracking.matomo_api.timezones import (
    NAMES,
    get_converter,
    get_timezone,
    is_known,
)

# All that Matomo 5 offers under "UTC" (SitesManager.getTimezonesList).
OFFSETS = """
    -12 -11.5 -11 -10.5 -10 -9.5 -9 -8.5 -8 -7.5 -7 -6.5 -6 -5.5 -5 -4.5 -4 -3.5 -3 -2.5
    -2 -1.5 -1 -0.5 +0.5 +1 +1.5 +2 +2.5 +3 +3.5 +4 +4.5 +5 +5.5 +5.75 +6 +6.5 +7 +7.5
    +8 +8.5 +8.75 +9 +9.5 +10 +10.5 +11 +11.5 +12 +12.75 +13 +13.75 +14
""".split()


@pytest.mark.parametrize(
    ("name", "moment", "utc"),
    [
        ("UTC", "2026-03-03 12:00", "2026-03-03 12:00"),
        ("UTC+5.5", "2026-03-03 01:30", "2026-03-02 20:00"),
        ("UTC-2", "2026-03-03 23:00", "2026-03-04 01:00"),
        ("UTC+12.75", "2026-03-03 00:00", "2026-03-02 11:15"),
        ("UTC-0.5", "2026-03-03 00:00", "2026-03-03 00:30"),
        ("Europe/Brussels", "2026-07-01 00:00", "2026-06-30 22:00"),
        # Midnight comes twice, at the end of summer time in Cuba.
        ("America/Havana", "2025-11-02 00:00", "2025-11-02 04:00"),
        ("America/Havana", "2025-11-03 00:00", "2025-11-03 05:00"),
        # And never, at the beginning of it.
        ("America/Havana", "2025-03-09 00:00", "2025-03-09 05:00"),
    ],
)
def test_a_clock_in_utc(name, moment, utc):
    assert get_converter(name)(datetime.fromisoformat(moment)) == (
        datetime.fromisoformat(utc)
    )


def test_every_offset_of_matomo_can_be_chosen():
    names = [f"UTC{offset}" for offset in OFFSETS]
    assert [name for name in NAMES if name[:3] == "UTC" and name != "UTC"] == names
    assert all(map(is_known, NAMES))


@pytest.mark.parametrize(
    "name",
    ["", "Nowhere/Land", "UTC+", "UTC5", "UTC+15", "UTC+5,5", "UTC+5.5 ", "UTC+99.99"],
)
def test_an_unknown_zone(name):
    assert not is_known(name)
    with pytest.raises(ValueError):
        get_timezone(name)
