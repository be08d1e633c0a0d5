"""The time zones of Matomo sites.

Matomo knows those of PHP, and offsets that it writes in hours: ``UTC+5.5``, ``UTC-2``
(docs/matomo.md section 15). Nobody else writes offsets like that.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, tzinfo
from functools import partial

import pytz

# What Matomo offers under "UTC" (hours).
_OFFSETS = sorted(
    [*(half / 2 for half in range(-24, 25)), 5.75, 8.75, 12.75, 13, 13.75, 14]
)
_OFFSET = re.compile(r"UTC([+-]\d{1,2}(?:\.\d{1,2})?)")
MAX_OFFSET = 14
_SECOND = timedelta(seconds=1)
_LAST_SECOND = time(23, 59, 59)

NAMES = (*pytz.all_timezones, *(f"UTC{hours:+g}" for hours in _OFFSETS if hours))


def is_known(name: str) -> bool:
    """Return whether a time zone of Matomo has a clock here."""
    try:
        get_timezone(name)
    except ValueError:
        return False
    return True


def get_timezone(name: str) -> tzinfo:
    """Return the time zone of a Matomo site, as pytz makes them.

    :param name: as Matomo writes it
    :raise ValueError: if it is not known here
    """
    if match := _OFFSET.fullmatch(name):
        hours = float(match[1])
        if abs(hours) <= MAX_OFFSET:
            return pytz.FixedOffset(round(hours * 60))
    try:
        return pytz.timezone(name)
    except pytz.UnknownTimeZoneError as error:
        raise ValueError(f"No time zone is called {name}.") from error


def to_utc(zone: tzinfo, moment: datetime) -> datetime:
    """Return a wall-clock time of a time zone as naive UTC.

    What the clock shows twice is the first of both: a day that begins twice begins at
    the first midnight. What it never shows is the moment of the change.

    :param zone: see ``get_timezone``
    """
    try:
        local = zone.localize(moment, is_dst=None)
    except pytz.AmbiguousTimeError:
        local = zone.localize(moment, is_dst=True)
    except pytz.NonExistentTimeError:
        local = zone.localize(moment, is_dst=False)
    return local.astimezone(pytz.utc).replace(tzinfo=None)


def get_day_bounds(zone: tzinfo, day: date) -> tuple[datetime, datetime]:
    """Return start and end (which is not part of it) of a day, naive UTC.

    :param zone: see ``get_timezone``
    """
    days = day, day + timedelta(days=1)
    return tuple(to_utc(zone, datetime.combine(each, time.min)) for each in days)


def get_report_bounds(zone: tzinfo, day: date) -> tuple[datetime, datetime]:
    """Return start and end (which is not part of it) of what Matomo's report counts.

    Matomo counts from 00:00:00 to 23:59:59 as PHP understands it. If the clock shows
    one of them twice or never, an hour is in no report, or in those of two days
    (docs/matomo.md section 15).

    :param zone: see ``get_timezone``
    :return: naive UTC
    """
    first, last = (datetime.combine(day, each) for each in (time.min, _LAST_SECOND))
    return _to_utc_as_php(zone, first), _to_utc_as_php(zone, last) + _SECOND


def _to_utc_as_php(zone, moment):
    """Return a wall-clock time as naive UTC, as PHP's ``strtotime`` understands it.

    PHP tries the offset that UTC has when it shows this time. So what the clock shows
    twice is mostly the first of both west of Greenwich, and the second one east of it.
    """

    def get_offset(utc):
        return pytz.utc.localize(utc).astimezone(zone).utcoffset()

    guess = get_offset(moment)
    offset = get_offset(moment - guess)
    if offset != guess and get_offset(moment - offset) != offset:
        # The clock never shows this time.
        offset = min(guess, offset)
    return moment - offset


def get_converter(name: str) -> Callable[[datetime], datetime]:
    """Return a function that turns a wall-clock time of the zone into naive UTC.

    :raise ValueError: if the time zone is not known here
    """
    return partial(to_utc, get_timezone(name))
