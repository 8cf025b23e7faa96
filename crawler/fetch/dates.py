"""HTTP dates as numbers: the three forms that RFC 9110 section 5.6.7 obliges a recipient to understand.

Lenient where the field is (a day without its zero, UTC for GMT, any case), strict where a wrong reading would be worse
than none: an impossible day, a weekday that contradicts the date, a year before 1970. No date libraries: this runs on
hostile text, and `email.utils` accepts far too much.
"""

from __future__ import annotations

import calendar
import re
import time

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = [name.lower() for name in calendar.day_abbr]

_IMF = re.compile(r"(?P<wday>[a-z]{3}), (?P<day>\d{1,2}) (?P<month>[a-z]{3}) (?P<year>\d{4}) (?P<time>\S+) (?:gmt|utc)")
_RFC850 = re.compile(
    r"(?P<wday>[a-z]{6,9}), (?P<day>\d{1,2})-(?P<month>[a-z]{3})-(?P<year>\d{2}) (?P<time>\S+) (?:gmt|utc)"
)
_ASCTIME = re.compile(r"(?P<wday>[a-z]{3}) (?P<month>[a-z]{3}) {1,2}(?P<day>\d{1,2}) (?P<time>\S+) (?P<year>\d{4})")
_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})")
LONGEST = 64


def parse_date(text: str, now: float) -> float | None:
    """Seconds since the epoch, or None for what is no HTTP date.

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
    return _epoch(year, month, day, (int(clock[1]), int(clock[2]), int(clock[3])), match["wday"][:3])


def _full_year(two_digits: int, now: float) -> int:
    this_year = time.gmtime(now).tm_year
    year = this_year - this_year % 100 + two_digits
    return year - 100 if year > this_year + 50 else year


def _epoch(year: int, month: int, day: int, clock: tuple[int, int, int], weekday: str) -> float | None:
    hour, minute, second = clock
    if not 1 <= month <= 12 or year < 1970 or hour > 23 or minute > 59 or second > 60:
        return None
    first_weekday, days = calendar.monthrange(year, month)
    if not 1 <= day <= days or _DAYS[(first_weekday + day - 1) % 7] != weekday:
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))
