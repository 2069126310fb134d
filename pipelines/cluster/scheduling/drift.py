"""What differs between the schedules that are declared and those on the server, a line for each difference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.records import RecurringRun
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.scheduling import cron_words, live, schedules
from pipelines.cluster.scheduling.live import Schedule
from pipelines.cluster.scheduling.schedules import Wanted

Kind = Literal["missing", "unknown", "earlier", "state", "content"]


@dataclass(frozen=True)
class Difference:
    """One thing that is not as declared.

    Attributes:
        schedule: the schedule's name.
        kind: how it is mended: created, deleted, its update brought to an end, paused or resumed, updated.
        what: the thing, such as ``cron`` or ``image of train``.
        live: how it is on the server.
        declared: how it should be.
    """

    schedule: str
    kind: Kind
    what: str
    live: str
    declared: str

    def __str__(self) -> str:
        match self.kind:
            case "missing":
                return f"{self.schedule}: missing, should run {self.declared}"
            case "unknown":
                return f"{self.schedule}: not declared, runs {self.live}"
        return f"{self.schedule}: {self.what} is {self.live}, should be {self.declared}"


def differences(server: Server, wanted: Iterable[Wanted], there: Iterable[Schedule]) -> list[Difference]:
    """Compare what is wanted of a server with what it has.

    Args:
        server: the server.
        wanted: the declared schedules, compiled.
        there: those that it has; of those that are not declared only ours are told.
    """
    named: dict[str, list[Schedule]] = {}
    for schedule in there:
        named.setdefault(schedule.name, []).append(schedule)
    found: list[Difference] = []
    for one in wanted:
        if same := named.pop(one.name, None):
            *others, schedule = same
            found += [
                Difference(one.name, "content", "another one of this name", other.now.id, "absent") for other in others
            ]
            found += _differences(server, one, schedule)
        else:
            found.append(Difference(one.name, "missing", "schedule", "missing", one.trigger.words()))
    found += [
        Difference(schedule.name, "unknown", "schedule", schedule.when(), "absent")
        for same in named.values()
        for schedule in same
        if schedule.memo
    ]
    return found


def repair(server: Server, found: Sequence[Difference], wanted: Wanted | None) -> str:
    """Make a schedule what it is declared to be.

    Args:
        server: the server.
        found: every difference of one schedule, at least one.
        wanted: what it should be; None for an unknown one, which is deleted.

    Returns:
        What was done, in one word.

    Raises:
        StepError: the server refuses it, or a run is under way that would end with the unknown one.
    """
    name, kinds = found[0].schedule, {difference.kind for difference in found}
    if not wanted:
        schedules.delete(server, name)
        return "deleted"
    if "missing" in kinds:
        schedules.create(server, wanted)
        return "created"
    if "content" in kinds:
        schedules.update(server, wanted)
        return "updated"
    if kinds == {"earlier"}:
        schedules.settle(server, live.find(server, name))
        return "settled"
    (schedules.resume if wanted.enabled else schedules.pause)(server, name)
    return "resumed" if wanted.enabled else "paused"


def state(enabled: bool) -> str:
    return "enabled" if enabled else "paused"


def _differences(server: Server, wanted: Wanted, schedule: Schedule) -> Iterator[Difference]:
    item, declared = schedule.now, wanted.memo.declared

    def differs(what: str, live: Any, should: Any, kind: Kind = "content") -> Iterator[Difference]:
        if live != should:
            yield Difference(wanted.name, kind, what, str(live) or "none", str(should) or "none")

    if not schedules.waits(server, schedule):
        yield Difference(wanted.name, "earlier", "an earlier one", "still there", "gone")
    yield from differs("state", state(item.enabled), state(wanted.enabled), "state")
    yield from differs("cron", item.cron or "none", wanted.trigger.six or "none")
    yield from differs("interval", _interval(item.interval_s), _interval(wanted.trigger.interval_s))
    yield from differs("pipeline version", _version(server, item), wanted.version)
    yield from _parameters(wanted.name, item.parameters, wanted.parameters)
    yield from differs("overlap", item.max_concurrency, declared.overlap)
    yield from differs("catch-up", _switch(not item.no_catchup), _switch(declared.catch_up))
    yield from differs("service account", item.service_account, wanted.service_account)
    yield from differs("pipeline root", item.pipeline_root, wanted.pipeline_root)


def _switch(on: bool) -> str:
    return "on" if on else "off"


def _interval(seconds: int | None) -> str:
    return cron_words.interval(seconds) if seconds else "none"


def _version(server: Server, item: RecurringRun) -> str:
    if not item.version_id:
        return "always the newest"
    found = api.find_version(server, item.pipeline_id, item.version_id)
    return found.name if found else "gone from the server"


def _parameters(name: str, live: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Difference]:
    for key in sorted({*live, *wanted}):
        step = key.removesuffix("_image")
        what = f"image of {step}" if step != key else f"parameter {key}"
        if key not in live:
            yield Difference(name, "content", what, "missing", _short(wanted[key]))
        elif key not in wanted:
            yield Difference(name, "content", what, _short(live[key]), "absent")
        elif live[key] != wanted[key]:
            yield from _values(name, what, live[key], wanted[key])


def _values(name: str, what: str, live: Any, wanted: Any) -> Iterator[Difference]:
    """Of two tables only the entries that differ."""
    if not (isinstance(live, dict) and isinstance(wanted, dict)):
        yield Difference(name, "content", what, _short(live), _short(wanted))
        return
    for key in sorted({*live, *wanted}):
        if live.get(key) != wanted.get(key) or (key in live) != (key in wanted):
            yield Difference(
                name,
                "content",
                f"{what}.{key}",
                _short(live[key]) if key in live else "missing",
                _short(wanted[key]) if key in wanted else "absent",
            )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) and value else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
