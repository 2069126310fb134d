"""Schedules as they are on a Kubeflow server: all of them, or one by its name."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.records import RecurringRun
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.scheduling import cron
from pipelines.cluster.scheduling.declared import Memo, memo
from pipelines.cluster.scheduling.trigger import Trigger


@dataclass(frozen=True)
class Schedule:
    """A schedule as it is on the server.

    Attributes:
        now: the recurring run that counts.
        before: earlier ones of the name whose place it takes and which are still there.
        memo: what it was made from; None for one that is not of our making.
    """

    now: RecurringRun
    before: tuple[RecurringRun, ...] = ()
    memo: Memo | None = None

    @property
    def name(self) -> str:
        return self.now.name

    def trigger(self, server_timezone: str = "UTC") -> Trigger | None:
        """When it runs; None for a cron that five fields cannot say.

        Args:
            server_timezone: the zone that the server reads the cron of a schedule in that is not of our making.
        """
        if self.now.interval_s:
            return Trigger(interval_s=self.now.interval_s)
        read = cron.read_back(self.now.cron or "")
        # The cron that people wrote is another one where their clock is not the server's.
        with suppress(StepError):
            if self.memo and self.memo.declared.cron and self.memo.trigger.six == self.now.cron:
                return self.memo.trigger
        zone = self.memo.server_timezone if self.memo else server_timezone
        return Trigger(read, zone, zone) if read else None

    def when(self, server_timezone: str = "UTC") -> str:
        """When it runs, in words where they are sure."""
        if found := self.trigger(server_timezone):
            return found.words()
        return f"cron {self.now.cron} (six fields)" if self.now.cron else "never"


def every(server: Server) -> list[Schedule]:
    """Every schedule of the namespace, by name; several of one name only where somebody else made them."""
    by_name: dict[str, list[RecurringRun]] = {}
    for item in api.list_recurring_runs(server):
        by_name.setdefault(item.name, []).append(item)
    return [schedule for name in sorted(by_name) for schedule in grouped(by_name[name])]


def find(server: Server, which: str) -> Schedule:
    """A schedule by its name, or by its id.

    Raises:
        StepError: there is none, or several that are not of our making have this name.
    """
    found = grouped(api.list_recurring_runs(server, name=which))
    if not found:
        there = every(server)
        found = [schedule for schedule in there if schedule.now.id == which]
        if not found:
            names = sorted({schedule.name for schedule in there})
            advice = nearest(which, names) if names else "suanli schedule EXPERIMENT makes one"
            raise StepError(f"there is no schedule {which!r}", advice=advice, kind="settings")
    if len(found) > 1:
        ids = ", ".join(schedule.now.id for schedule in found)
        raise StepError(
            f"there are {len(found)} schedules called {which!r}", advice=f"name one by its id: {ids}", kind="settings"
        )
    return found[0]


def grouped(items: Iterable[RecurringRun]) -> list[Schedule]:
    """Recurring runs of one name: ours make one schedule, each of the others one of its own."""
    alone = {item.id: item for item in sorted(items, key=lambda item: (str(item.created), item.id))}
    found: list[Schedule] = []
    for item in reversed(list(alone.values())):
        if item.id not in alone:
            continue
        kept = memo(item.description)
        before = tuple(alone.pop(old) for old in (kept.replaces if kept else ()) if old in alone and old != item.id)
        found.insert(0, Schedule(item, before, kept))
    return found
