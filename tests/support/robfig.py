"""A second reader of the server's cron, after the rules of github.com/robfig/cron 1.2.0 (parser.go, spec.go)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NAMES: dict[int, tuple[str, ...]] = {4: MONTHS, 5: ("sun", "mon", "tue", "wed", "thu", "fri", "sat")}
DESCRIPTORS = {
    **dict.fromkeys(("@yearly", "@annually"), "0 0 0 1 1 *"),
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    **dict.fromkeys(("@daily", "@midnight"), "0 0 0 * * *"),
    "@hourly": "0 0 * * * *",
}


@dataclass(frozen=True)
class Schedule:
    """Sets of seconds, minutes, hours, days of the month, months, days of the week; which fields began with a star."""

    sets: tuple[frozenset[int], ...]
    stars: tuple[bool, ...]

    def day(self, when: datetime) -> bool:
        month_day, week_day = when.day in self.sets[3], when.isoweekday() % 7 in self.sets[5]
        # A star in one of the two, and */2 is one, wants both.
        return (month_day and week_day) if self.stars[3] or self.stars[5] else (month_day or week_day)


def parse(text: str) -> Schedule:
    """Five fields are allowed: then the day of the week is missing, not the second. No ``@every``."""
    if text.startswith("@") and text not in DESCRIPTORS:
        raise ValueError(f"Unrecognized descriptor: {text}")
    fields = DESCRIPTORS.get(text, text).split()
    if len(fields) not in (5, 6):
        raise ValueError(f"Expected 5 to 6 fields, found {len(fields)}: {text}")
    read = [_field(field, index) for index, field in enumerate([*fields, "*"][:6])]
    return Schedule(tuple(values for values, _ in read), tuple(star for _, star in read))


def _field(field: str, index: int) -> tuple[frozenset[int], bool]:
    low, high = BOUNDS[index]
    values: set[int] = set()
    star = False
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, hyphen, last = span.partition("-")
        if first in ("*", "?"):
            start, end, star = low, high, True
        else:
            start = _number(first, index)
            end = _number(last, index) if hyphen else high if slash else start
        if not low <= start <= end <= high or (slash and int(step) < 1):
            raise ValueError(f"out of bounds: {part}")
        values |= set(range(start, end + 1, int(step) if slash else 1))
    return frozenset(values), star


def _number(text: str, index: int) -> int:
    names = NAMES.get(index, ())
    return names.index(text.lower()) if text.lower() in names and text else int(text)


def times(text: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The instants at which the zone's clock shows one of the schedule's seconds: a walk through its hours."""
    schedule = parse(text)
    hour = after.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while True:
        here = hour.astimezone(zone)
        if here.month not in schedule.sets[4] or not schedule.day(here):
            # Not past the next midnight, whatever the clock does in between.
            hour += timedelta(hours=max(1, 22 - here.hour))
            continue
        if here.hour in schedule.sets[2]:
            for minute in sorted(schedule.sets[1]):
                for second in sorted(schedule.sets[0]):
                    instant = hour + timedelta(minutes=minute, seconds=second)
                    if instant > after:
                        yield instant.astimezone(zone)
        hour += timedelta(hours=1)
