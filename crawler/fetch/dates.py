"""HTTP dates as numbers: the three forms of RFC 9110 section 5.6.7, and the free-for-all of cookies (RFC 6265 5.1.1).

The first is lenient where the field is (a day without its zero, UTC for GMT, any case, a weekday that is not that
date's), and refuses what is none of the three forms or an impossible day. No date libraries: this runs on hostile text,
and `email.utils` accepts far too much.
"""

from __future__ import annotations

import calendar
import re
import time

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
EARLIEST = 1601
"""The first full year of the Gregorian calendar's present 400-year cycle: where RFC 6265 begins, too."""

_IMF = re.compile(r"(?P<wday>[a-z]{3}), (?P<day>\d{1,2}) (?P<month>[a-z]{3}) (?P<year>\d{4}) (?P<time>\S+) (?:gmt|utc)")
_RFC850 = re.compile(
    r"(?P<wday>[a-z]{6,9}), (?P<day>\d{1,2})-(?P<month>[a-z]{3})-(?P<year>\d{2}) (?P<time>\S+) (?:gmt|utc)"
)
_ASCTIME = re.compile(r"(?P<wday>[a-z]{3}) (?P<month>[a-z]{3}) {1,2}(?P<day>\d{1,2}) (?P<time>\S+) (?P<year>\d{4})")
_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})")
LONGEST = 64


def parse_date(text: str, now: float) -> float | None:
    """Seconds since the epoch (negative before 1970), or None for what is no HTTP date.

    `now` (seconds since the epoch) places two-digit years: one that seems more than 50 years ahead lies in the past.
    """
    text = text.strip(" \t").lower()
    if len(text) > LONGEST or not text.isascii():
        return None
    match = _IMF.fullmatch(text) or _RFC850.fullmatch(text) or _ASCTIME.fullmatch(text)
    clock = _TIME.fullmatch(match["time"]) if match else None
    if match is None or clock is None:
        return None
    month = _MONTHS.get(match["month"], 0)
    year, day = int(match["year"]), int(match["day"])
    if len(match["year"]) == 2:
        year = _full_year(year, now)
    return _epoch(year, month, day, (int(clock[1]), int(clock[2]), int(clock[3])))


def _full_year(two_digits: int, now: float) -> int:
    this_year = time.gmtime(now).tm_year
    year = this_year - this_year % 100 + two_digits
    return year - 100 if year > this_year + 50 else year


def _epoch(year: int, month: int, day: int, clock: tuple[int, int, int]) -> float | None:
    hour, minute, second = clock
    if not 1 <= month <= 12 or year < EARLIEST or hour > 23 or minute > 59 or second > 60:
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))


_DELIMITERS = re.compile(r"[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_COOKIE_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\D|$)", re.ASCII)
_COOKIE_DAY = re.compile(r"(\d{1,2})(?:\D|$)", re.ASCII)
_COOKIE_YEAR = re.compile(r"(\d{2,4})(?:\D|$)", re.ASCII)


def parse_cookie_date(text: str) -> float | None:
    """Seconds since the epoch (negative before 1970), by the token algorithm of RFC 6265 section 5.1.1, or None."""
    clock: tuple[int, int, int] | None = None
    day = month = year = None
    for token in _DELIMITERS.split(text[:256]):
        if clock is None and (match := _COOKIE_TIME.match(token)):
            clock = (int(match[1]), int(match[2]), int(match[3]))
        elif day is None and (match := _COOKIE_DAY.match(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS[token[:3].lower()]
        elif year is None and (match := _COOKIE_YEAR.match(token)):
            year = int(match[1])
    if clock is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    return _epoch(year, month, day, clock) if clock[2] < 60 else None
