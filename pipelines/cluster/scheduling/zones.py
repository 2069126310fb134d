"""Time zones by name, and the conversion of a cron to the zone that the server reads cron in."""

import difflib
import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from components.core.errors import StepError
from pipelines.cluster.scheduling.cron import Cron, parse

# The server's controller reads cron in its CRON_SCHEDULE_TIMEZONE, and its containers' own zone without it
# (kubeflow/pipelines, backend/src/crd/controller/scheduledworkflow/util/const.go).
SERVER = "CRON_SCHEDULE_TIMEZONE of its deployment ml-pipeline-scheduledworkflow"
# Two zones whose distance stays the same for this long count as that far apart for good.
AHEAD = timedelta(days=2 * 366)
# Places whose abbreviations people know; an abbreviation is no zone, and some mean several.
USUAL = (
    *("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Anchorage"),
    *("America/Halifax", "America/St_Johns", "Pacific/Honolulu", "Europe/London", "Europe/Dublin", "Europe/Lisbon"),
    *("Europe/Berlin", "Europe/Athens", "Europe/Moscow", "Africa/Johannesburg", "Africa/Nairobi", "Africa/Lagos"),
    *("Asia/Jerusalem", "Asia/Karachi", "Asia/Kolkata", "Asia/Shanghai", "Asia/Hong_Kong", "Asia/Manila"),
    *("Asia/Tokyo", "Asia/Seoul", "Asia/Jakarta", "Australia/Perth", "Australia/Adelaide", "Australia/Brisbane"),
    *("Australia/Sydney", "Pacific/Auckland"),
)


def zone(name: str) -> tzinfo:
    """A time zone by its IANA name.

    Raises:
        StepError: there is no such zone; the nearest name is suggested.
    """
    if name in ("UTC", "Etc/UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise StepError(f"unknown time zone {name!r}", advice=_advice(name), kind="settings") from None


def _advice(name: str) -> str:
    """The zone that a user means by an abbreviation, an offset, a city, or a misspelt name."""
    known = available_timezones()
    if places := sorted(zone_name for zone_name in USUAL if name.upper() in _abbreviations(zone_name)):
        return f"{name} is an abbreviation: give {' or '.join(places)}"
    if offset := re.fullmatch(r"(?:UTC|GMT)?([+-])0?(\d{1,2})(?::?00)?", name.upper()):
        # In Etc/GMT-2 clocks are two hours ahead (tz database, etcetera).
        ahead = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{offset[2]}"
        return f"give {ahead}, whose sign is turned round, or a place such as Europe/Berlin"
    plain = {re.sub(r"[\W_]", "", zone).lower(): zone for zone in known}
    plain |= {key: zone for zone in sorted(known) if (key := re.sub(r"[\W_]", "", zone.rpartition("/")[2]).lower())}
    close = difflib.get_close_matches(re.sub(r"[\W_]", "", name).lower(), plain, n=1, cutoff=0.6)
    return f"did you mean {plain[close[0]]}?" if close else "for example UTC, Europe/Berlin or Asia/Shanghai"


def _abbreviations(zone_name: str) -> set[str | None]:
    """What a zone's time is called in winter and in summer."""
    year = datetime.now(UTC).year
    return {datetime(year, month, 1, tzinfo=ZoneInfo(zone_name)).tzname() for month in (1, 7)}


def on_server(cron: Cron, here: str, server: str, now: datetime | None = None) -> Cron:
    """The cron that is due in the server's time zone at the same instants as the given one in another.

    Args:
        cron: in the user's time zone.
        here: the name of that zone.
        server: the name of the zone that the server reads cron in.
        now: when the two years begin in which the zones are compared; by default now.

    Raises:
        StepError: no single cron does that: the distance of the zones changes during the year, or the days of the month
            would have to move.
    """
    if here == server:
        return cron
    minutes = _distance(zone(here), zone(server), now or datetime.now(UTC))
    if minutes is None:
        raise StepError(
            f"{cron.text} in {here} is not a single cron in {server}, the server's time zone: their distance changes "
            f"with daylight saving time",
            advice=f"give --timezone {server}, or set {SERVER} to {here} and give --server-timezone {here}",
            kind="settings",
        )
    moved = _moved(cron, minutes)
    if moved is None:
        raise StepError(
            f"{cron.text} in {here} is not a single cron in {server}, the server's time zone: some of its times are "
            f"on another day there",
            advice=f"give the times of {server} and --timezone {server}",
            kind="settings",
        )
    return moved


def _distance(here: tzinfo, server: tzinfo, now: datetime) -> int | None:
    """The minutes that the server's clock is ahead; None if that changes."""
    start = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = (start + timedelta(hours=hour) for hour in range(int(AHEAD.total_seconds() // 3600)))
    distances = {_offset(hour, server) - _offset(hour, here) for hour in hours}
    return int(distances.pop().total_seconds() // 60) if len(distances) == 1 else None


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def _moved(cron: Cron, minutes: int) -> Cron | None:
    """The cron shifted by some minutes, if that is a single cron."""
    later = [divmod((hour * 60 + minute) + minutes, 24 * 60) for hour in cron.hours for minute in cron.minutes]
    new_hours = sorted({time // 60 for _, time in later})
    new_minutes = sorted({time % 60 for _, time in later})
    if len(later) != len(new_hours) * len(new_minutes):
        return None
    weekdays = cron.weekdays
    if days := {day for day, _ in later} - {0}:
        if cron.days is not None or len(cron.months) < 12:
            return None
        if weekdays is not None:
            if {day for day, _ in later} != days or len(days) > 1:
                return None
            weekdays = tuple(sorted((weekday + min(days)) % 7 for weekday in weekdays))
    fields = (new_minutes, new_hours, cron.days, cron.months, weekdays)
    return parse(" ".join("*" if values is None else ",".join(map(str, values)) for values in fields))
