"""When a schedule starts its runs: at the times of a cron in a time zone, or at an interval."""

import re
from dataclasses import dataclass
from datetime import datetime

from components.core.errors import StepError
from pipelines.cluster.scheduling import cron as crons
from pipelines.cluster.scheduling import cron_words, zones
from pipelines.cluster.scheduling.cron import Cron

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# The pods of a run alone take longer to start.
SHORTEST_S = 60


@dataclass(frozen=True)
class Trigger:
    """Either a cron or an interval.

    Attributes:
        cron: as it was written.
        timezone: the cron's time zone.
        server_timezone: the zone that the server reads cron in.
        interval_s: seconds from one run to the next, the first after the schedule's creation.
    """

    cron: Cron | None = None
    timezone: str = "UTC"
    server_timezone: str = "UTC"
    interval_s: int | None = None

    @property
    def on_server(self) -> Cron | None:
        """The cron in the server's time zone.

        Raises:
            StepError: no single cron means the same there.
        """
        return self.cron and zones.on_server(self.cron, self.timezone, self.server_timezone)

    @property
    def six(self) -> str | None:
        """The six fields for the server; None for an interval."""
        return self.on_server.six if self.on_server else None

    def words(self) -> str:
        """``every day at 03:00 (Asia/Shanghai)``."""
        if self.cron:
            return f"{cron_words.words(self.cron)} ({self.timezone})"
        return cron_words.interval(self.interval_s or 0)

    def next_times(self, count: int = 5, after: datetime | None = None) -> list[datetime]:
        """The next times of a cron in its own time zone; empty for an interval, which counts from its creation."""
        if not self.on_server:
            return []
        due = crons.next_times(self.on_server, zones.zone(self.server_timezone), after, count)
        return [instant.astimezone(zones.zone(self.timezone)) for instant in due]


def trigger(cron: str = "", every: str = "", timezone: str = "", server_timezone: str = "UTC") -> Trigger:
    """A trigger as a user writes it.

    Args:
        cron: five fields.
        every: an interval, such as ``6h``.
        timezone: of the cron; by default the server's.
        server_timezone: the zone that the server reads cron in.

    Raises:
        StepError: both or neither are given, one is invalid, or no cron means the same in the server's time zone.
    """
    if bool(cron) == bool(every):
        message = "both a cron and an interval are given" if cron else "neither a cron nor an interval is given"
        raise StepError(message, advice='give --cron "0 3 * * *" or --every 6h', kind="settings")
    if every and timezone:
        raise StepError("an interval has no time zone", advice="leave --timezone out, or give --cron", kind="settings")
    zones.zone(server_timezone)
    if every:
        return Trigger(interval_s=seconds(every), server_timezone=server_timezone)
    parsed, timezone = crons.parse(cron), timezone or server_timezone
    zones.on_server(parsed, timezone, server_timezone)
    return Trigger(parsed, timezone, server_timezone)


def seconds(text: str) -> int:
    """An interval in seconds: ``90s``, ``30m``, ``6h``, ``7d``, ``2w`` or several of them, ``1h30m``.

    Raises:
        StepError: it is something else, or less than a minute.
    """
    parts = re.findall(r"(\d+)([smhdw])", text.lower(), re.ASCII)
    if not parts or "".join(count + unit for count, unit in parts) != text.lower():
        raise StepError(f"--every {text}: not an interval", advice="for example 30m, 6h or 7d", kind="settings")
    total = sum(int(count) * UNITS[unit] for count, unit in parts)
    # The server stores seconds in 64 bits, and adds them to a date.
    if not SHORTEST_S <= total <= 10 * 366 * UNITS["d"]:
        raise StepError(f"--every {text}: give 1m to 10 years", kind="settings")
    return total
