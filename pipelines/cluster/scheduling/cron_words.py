"""A cron in words: ``0 3 * * 1`` is every Monday at 03:00."""

from collections.abc import Sequence

from pipelines.cluster.scheduling.cron import Cron, spans

WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
# More times of day than these are described as minutes and hours.
FEW = 4


def words(cron: Cron) -> str:
    """A complete description of the cron."""
    days = _days(cron)
    if len(cron.hours) * len(cron.minutes) <= FEW:
        at = _and([f"{hour:02}:{minute:02}" for hour in cron.hours for minute in cron.minutes])
        return f"{days or 'every day'} at {at}"
    frequency = _frequency(cron)
    return f"{frequency}, {days}" if days else frequency


def interval(seconds: int) -> str:
    """``every 6 hours`` for 21600."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % length == 0:
            count = seconds // length
            return f"every {unit}" if count == 1 else f"every {count} {unit}s"
    raise AssertionError("every number of seconds is a number of seconds")


def _frequency(cron: Cron) -> str:
    """The words for many times a day."""
    step = _step(cron.minutes, 60)
    if len(cron.minutes) == 1:
        minute = cron.minutes[0]
        # Only if the hours divide the day is a step of hours the same on every day.
        if step := _step(cron.hours, 24):
            return f"every {_count(step, 'hour')} at minute {minute}" + (" from 00:00" if step > 1 else "")
        return f"at minute {minute} of the hours {_spans(cron.hours)}"
    minutes = f"every {_count(step, 'minute')}" if step else f"at the minutes {_spans(cron.minutes)}"
    if len(cron.hours) == 24:
        return minutes if step else f"{minutes} of every hour"
    hours = f"{'hours' if len(cron.hours) > 1 else 'hour'} {_spans(cron.hours)}"
    return f"{minutes} {'in' if step else 'of'} the {hours}"


def _count(step: int, unit: str) -> str:
    return unit if step == 1 else f"{step} {unit}s"


def _step(values: Sequence[int], whole: int) -> int:
    """The step from each value to the next, past the end of the field too; 0 if it varies."""
    step = whole // len(values)
    return step if list(values) == list(range(0, whole, step)) and whole % step == 0 else 0


def _days(cron: Cron) -> str:
    """The words for the days; empty for every day."""
    months = "" if len(cron.months) == 12 else _named(cron.months, MONTHS, 1)
    weekdays = "" if cron.weekdays is None else f"every {_named(cron.weekdays, WEEKDAYS, 0)}"
    # If both are given, either is enough, so a field that lists every day excludes none.
    if len(cron.days or ()) == 31 or len(cron.weekdays or ()) == 7:
        return f"every day in {months}" if months else ""
    if cron.days is None:
        if not months:
            return weekdays
        return f"{weekdays or 'every day'} in {months}"
    numbers = f"on day{'s' if len(cron.days) > 1 else ''} {_spans(cron.days)}"
    if weekdays:
        return f"{numbers} and {weekdays} of {months or 'every month'}"
    return f"{numbers} of {months or 'every month'}"


def _named(values: Sequence[int], names: Sequence[str], first: int) -> str:
    parts: list[str] = []
    for low, high in spans(values):
        if high - low > 1:
            parts.append(f"{names[low - first]} to {names[high - first]}")
        else:
            parts += [names[value - first] for value in range(low, high + 1)]
    return _and(parts)


def _spans(values: Sequence[int]) -> str:
    parts: list[str] = []
    for low, high in spans(values):
        parts += [f"{low} to {high}"] if high - low > 1 else [str(value) for value in range(low, high + 1)]
    return _and(parts)


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
