"""The schedules on a Kubeflow server: all of them, or one by its name."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.records import RecurringRun
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.scheduling import cron
from pipelines.cluster.scheduling.declared import Memo, read_memo
from pipelines.cluster.scheduling.trigger import Trigger


@dataclass(frozen=True)
class Schedule:
    """A schedule on the server.

    Attributes:
        now: the recurring run in force.
        before: earlier ones of the same name that it replaces and that still exist.
        memo: what it was made from; None if it was not made by us.
    """

    now: RecurringRun
    before: tuple[RecurringRun, ...] = ()
    memo: Memo | None = None

    @property
    def name(self) -> str:
        return self.now.name

    def trigger(self, server_timezone: str = "UTC") -> Trigger | None:
        """When it runs; None for a cron that five fields cannot express.

        Args:
            server_timezone: the zone that the server reads cron in, for a schedule that was not made by us.
        """
        if self.now.interval_s:
            return Trigger(interval_s=self.now.interval_s)
        parsed = cron.parse_six(self.now.cron or "")
        # What the user wrote is another cron if the time zones differ.
        with suppress(StepError):
            if self.memo and self.memo.declared.cron and self.memo.trigger.six == self.now.cron:
                return self.memo.trigger
        zone = self.memo.server_timezone if self.memo else server_timezone
        return Trigger(parsed, zone, zone) if parsed else None

    def when(self, server_timezone: str = "UTC") -> str:
        """When it runs, in words if possible."""
        if trigger := self.trigger(server_timezone):
            return trigger.words()
        return f"cron {self.now.cron} (six fields)" if self.now.cron else "never"


def every(server: Server) -> list[Schedule]:
    """Every schedule of the namespace, by name; several of one name only if they were not made by us."""
    by_name: dict[str, list[RecurringRun]] = {}
    for item in api.list_recurring_runs(server):
        by_name.setdefault(item.name, []).append(item)
    return [schedule for name in sorted(by_name) for schedule in grouped(server, by_name[name])]


def find(server: Server, which: str) -> Schedule:
    """A schedule by its name, or by its id.

    Raises:
        StepError: there is none, or several that were not made by us have this name.
    """
    matching = grouped(server, api.list_recurring_runs(server, name=which))
    if not matching:
        existing = every(server)
        matching = [schedule for schedule in existing if schedule.now.id == which]
        if not matching:
            names = sorted({schedule.name for schedule in existing})
            advice = nearest(which, names) if names else "suanli schedule EXPERIMENT creates one"
            raise StepError(f"there is no schedule {which!r}", advice=advice, kind="settings")
    if len(matching) > 1:
        ids = ", ".join(schedule.now.id for schedule in matching)
        raise StepError(
            f"there are {len(matching)} schedules called {which!r}",
            advice=f"name one by its id: {ids}",
            kind="settings",
        )
    return matching[0]


def grouped(server: Server, items: Iterable[RecurringRun]) -> list[Schedule]:
    """Recurring runs of one name as schedules: ours make one schedule, each of the others makes its own."""

    def of_version(item: RecurringRun) -> str:
        version = api.find_version(server, item.pipeline_id, item.version_id) if item.version_id else None
        return version.description if version else ""

    remaining = {item.id: item for item in sorted(items, key=lambda item: (str(item.created), item.id))}
    schedules: list[Schedule] = []
    for item in reversed(list(remaining.values())):
        if item.id not in remaining:
            continue
        memo = read_memo(item.description, partial(of_version, item))
        replaces = tuple(memo.replaces) if memo else ()
        earlier = [old for old in remaining if replaces and old.startswith(replaces) and old != item.id]
        before = tuple(remaining.pop(old) for old in earlier)
        schedules.insert(0, Schedule(item, before, memo))
    return schedules
