"""The clocks of Matomo's sites, also of zones that only Matomo knows."""

from datetime import date, datetime, timedelta

import pytest
import pytz
from matomo_order_tracking.matomo_api.timezones import (
    NAMES,
    get_converter,
    get_day_bounds,
    get_report_bounds,
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


# === DAYS WHEN THE CLOCK CHANGES === #

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)


def get_changes(zone):
    """Yield when the clock of a zone changes from 2024 to 2027, naive UTC."""
    for moment in getattr(zone, "_utc_transition_times", ()):
        if 2024 <= moment.year <= 2027:
            yield moment


@pytest.mark.parametrize("name", NAMES)
def test_each_moment_is_in_exactly_one_day(name):
    zone = get_timezone(name)

    def get_day(moment):
        return pytz.utc.localize(moment).astimezone(zone).date()

    for change in get_changes(zone) or [datetime(2026, 3, 3)]:
        first = get_day(change) - 2 * DAY
        bounds = [get_day_bounds(zone, first + n * DAY) for n in range(5)]
        for n, (start, end) in enumerate(bounds):
            day = first + n * DAY
            assert get_day(start) == get_day(end - SECOND) == day
            assert get_day(start - SECOND) < day < get_day(end)
            assert abs(end - start - DAY) <= 2 * HOUR
            # What the report leaves out or counts twice is no more than the change.
            for own, reported in zip(
                (start, end), get_report_bounds(zone, day), strict=True
            ):
                assert abs(reported - own) <= abs(end - start - DAY)
        assert [end for _start, end in bounds[:-1]] == [
            start for start, _ in bounds[1:]
        ]


@pytest.mark.parametrize(
    ("name", "day", "start", "end", "report_end"),
    [
        # As Matomo 5.3.1 computes them with PHP 8.2 (docs/matomo.md section 15).
        ("Europe/Brussels", "2026-03-29", "28 23:00", "29 22:00", "29 22:00"),
        ("America/Havana", "2024-11-03", "03 04:00", "04 05:00", "04 05:00"),
        ("America/Havana", "2024-03-10", "10 05:00", "11 04:00", "11 04:00"),
        ("Africa/Cairo", "2026-04-24", "23 22:00", "24 21:00", "24 21:00"),
        ("Africa/Cairo", "2026-10-29", "28 21:00", "29 22:00", "29 22:00"),
        ("Asia/Beirut", "2026-10-24", "23 21:00", "24 22:00", "24 22:00"),
        ("America/Santiago", "2026-04-04", "04 03:00", "05 04:00", "05 03:00"),
        ("America/Santiago", "2026-09-06", "06 04:00", "07 03:00", "07 03:00"),
        ("America/Nuuk", "2026-03-28", "28 02:00", "29 01:00", "29 02:00"),
        ("America/Nuuk", "2026-10-24", "24 01:00", "25 02:00", "25 01:00"),
    ],
)
def test_the_day_of_the_change_and_its_report(name, day, start, end, report_end):
    day, zone = date.fromisoformat(day), get_timezone(name)
    moments = [*get_day_bounds(zone, day), get_report_bounds(zone, day)[1]]
    assert [f"{each:%d %H:%M}" for each in moments] == [start, end, report_end]


def test_a_report_that_begins_at_the_second_midnight():
    """So it was in Jordan, east of Greenwich: the first hour is in no report."""
    zone, day = get_timezone("Asia/Amman"), date(2021, 10, 29)
    assert get_day_bounds(zone, day)[0] == datetime(2021, 10, 28, 21)
    assert get_report_bounds(zone, day)[0] == datetime(2021, 10, 28, 22)
