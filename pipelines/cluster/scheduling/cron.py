"""Cron in the usual five fields, and in the six of Kubeflow's server, seconds first."""

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice

from croniter import CroniterBadDateError, CroniterError, croniter

from components.core.errors import StepError

# The server's scheduled-workflow controller reads cron with github.com/robfig/cron 1.2.0 (cron.Parse), whose last
# field may be missing: it takes the first of five fields for seconds. It supports lists, ranges, steps and English
# names, and day of week 0 to 6, but no range that wraps, no L, W or #, and no TZ= before the fields.
NAMES = ("minute", "hour", "day of month", "month", "day of week")
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
WORDS = (
    (),
    (),
    (),
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
)
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
EXAMPLE = 'give five fields (minute hour day-of-month month day-of-week), such as "0 3 * * *"'
ANY = ("*", "?")


@dataclass(frozen=True)
class Cron:
    """A cron expression, without a time zone.

    Attributes:
        text: the five fields, as written.
        minutes: 0 to 59, sorted, like all the others.
        hours: 0 to 23.
        days: days of the month; None for any. If weekdays are given too, a day must be in either of them.
        months: 1 to 12.
        weekdays: 0 (Sunday) to 6; None for any.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] | None
    months: tuple[int, ...]
    weekdays: tuple[int, ...] | None

    @property
    def five(self) -> str:
        """The five fields, in the same form for all expressions with the same meaning."""
        # A step in a day field would make the server require both day of month and day of week.
        return " ".join(
            (
                _field(self.minutes, LIMITS[0], steps=True),
                _field(self.hours, LIMITS[1], steps=True),
                "*" if self.days is None else _field(self.days, LIMITS[2], star=False),
                _field(self.months, LIMITS[3]),
                "*" if self.weekdays is None else _field(self.weekdays, LIMITS[4], star=False),
            )
        )

    @property
    def six(self) -> str:
        """The six fields for the server."""
        return f"0 {self.five}"


def parse(text: str) -> Cron:
    """Parse five fields.

    Raises:
        StepError: it is not a cron expression, the server would read it differently or not at all, or it never is due.
            (The server turns the 31st of February into a time in the year 1, which is always due.)
    """
    fields = _fields(text)
    minutes, hours, days, months, weekdays = (_values(text, index, field) for index, field in enumerate(fields))
    both = not {fields[2], fields[4]} & set(ANY)
    if both and "*" in fields[2] + fields[4]:
        raise _invalid(
            text,
            f"day of month {fields[2]} with day of week {fields[4]} means both in some crons and either in others",
            "write the days as numbers: then either is enough in all of them",
        )
    cron = Cron(
        text=" ".join(fields),
        minutes=minutes,
        hours=hours,
        days=days if both or len(days) < 31 else None,
        months=months,
        weekdays=weekdays if both or len(weekdays) < 7 else None,
    )
    try:
        croniter(cron.five, datetime(2001, 1, 1)).get_next(datetime)
    except CroniterBadDateError:
        raise _invalid(text, "such a date never comes", "check the day of the month") from None
    return cron


def parse_six(six: str) -> Cron | None:
    """A server's six fields as a cron; None if five fields cannot express it."""
    if six in ALIASES:
        return parse(six)
    fields = six.split()
    if len(fields) != 6 or fields[0] != "0":
        return None
    try:
        return parse(" ".join(fields[1:]))
    except StepError:
        return None


def times(cron: Cron, zone: tzinfo = UTC, after: datetime | None = None) -> Iterator[datetime]:
    """The instants at which a cron is due in a time zone.

    As on the server, a time that the change to daylight saving time skips is skipped, and one that the change back
    repeats is repeated. (If clocks change at midnight or by half an hour, as in Cairo, Havana and on Lord Howe Island,
    robfig/cron 1.2.0 itself errs by some hours or a day after a change.)

    Args:
        zone: the time zone that the server reads cron in.
        after: the instant after which they begin; by default now.
    """
    after = (after or datetime.now(UTC)).astimezone(zone)
    walls = croniter(cron.five, after.replace(tzinfo=None) - timedelta(hours=3), ret_type=datetime)
    pending: list[datetime] = []
    while True:
        wall = walls.get_next()
        both = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        while pending and pending[0] < both[0]:
            yield heapq.heappop(pending).astimezone(zone)
        for instant in sorted(set(both)):
            if instant > after and instant.astimezone(zone).replace(tzinfo=None) == wall:
                heapq.heappush(pending, instant)


def next_times(cron: Cron, zone: tzinfo = UTC, after: datetime | None = None, count: int = 5) -> list[datetime]:
    return list(islice(times(cron, zone, after), count))


def _fields(text: str) -> list[str]:
    words = text.lower().split()
    if len(words) == 1 and words[0] in ALIASES:
        return ALIASES[words[0]].split()
    if words and words[0].startswith("@"):
        advice = f"give --every {words[1]}" if words[0] == "@every" and len(words) == 2 else EXAMPLE
        raise _invalid(text, "is not a time of the calendar", advice)
    if words and re.match(r"(cron_)?tz=", words[0]):
        raise _invalid(text, "Kubeflow's server accepts no time zone here", "give --timezone")
    if len(words) == 6 and words[0] == "0" and not words[5].isdigit():
        raise _invalid(text, "has six fields", f'give five, without the seconds: "{" ".join(words[1:])}"')
    if len(words) != 5:
        raise _invalid(text, f"has {len(words)} field{'s' * (len(words) != 1)}", EXAMPLE)
    return words


def _values(text: str, index: int, field: str) -> tuple[int, ...]:
    """The numbers of a field."""
    low, high = LIMITS[index]
    name, between = NAMES[index], f"give {low} to {high}, lists (1,2), ranges (1-5) or steps (*/5)"
    unknown = [word for word in re.findall(r"[a-z]+", field) if word not in WORDS[index]]
    if unknown or "#" in field:
        if index in (2, 4) and ("#" in field or set(unknown) & {"l", "w", "lw"}):
            between = "Kubeflow's cron has no last days (L), working days (W) and nth weekdays (#)"
        raise _invalid(text, f"{name} {field!r} is unknown", between)
    for step in re.findall(r"/(\d+)", field):
        if int(step) > high:
            raise _invalid(
                text, f"{name} {field!r}: the step is longer than the field", "give an interval, such as --every 90m"
            )
    fields = ["*"] * 5
    fields[index] = field
    try:
        values = croniter.expand(" ".join(fields))[0][index]
    except (CroniterError, ValueError):
        raise _invalid(text, f"{name} {field!r} is unknown", between) from None
    return tuple(range(low, high + 1)) if "*" in values else tuple(sorted(int(value) for value in values))


def _invalid(text: str, message: str, advice: str) -> StepError:
    return StepError(f'cron "{" ".join(text.split())}": {message}', advice=advice, kind="settings")


def _field(values: Sequence[int], limits: tuple[int, int], *, star: bool = True, steps: bool = False) -> str:
    """The cron field of these numbers."""
    low, high = limits
    if star and len(values) == high - low + 1:
        return "*"
    if steps and len(values) > 2 and values[0] == low:
        step = values[1] - low
        if list(values) == list(range(low, high + 1, step)):
            return f"*/{step}"
    return ",".join(
        f"{first}-{last}" if last - first > 1 else f"{first},{last}" if last > first else str(first)
        for first, last in spans(values)
    )


def spans(values: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted numbers as ranges without gaps: the first and last of each."""
    ranges: list[tuple[int, int]] = []
    for value in values:
        if ranges and value == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], value)
        else:
            ranges.append((value, value))
    return ranges
