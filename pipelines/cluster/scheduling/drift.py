"""The differences between the declared schedules and those on the server."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.cluster.kube.access import Access
from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.records import RecurringRun
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.scheduling import cron_words, live, schedules
from pipelines.cluster.scheduling.live import Schedule
from pipelines.cluster.scheduling.schedules import Wanted

Kind = Literal["missing", "unknown", "earlier", "state", "content"]
STATES = {True: "enabled", False: "paused"}
SWITCH = {True: "on", False: "off"}


@dataclass(frozen=True)
class Difference:
    """One property that is not as declared.

    Attributes:
        schedule: the schedule's name.
        kind: decides the repair: create, delete, complete an update, pause or resume, update.
        what: the property, such as ``cron`` or ``image of train``.
        live: its value on the server.
        declared: its declared value.
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


def differences(server: Server, wanted: Iterable[Wanted], existing: Iterable[Schedule]) -> list[Difference]:
    """Compare the declared schedules with those on a server.

    Args:
        server: the server.
        wanted: the declared schedules, compiled.
        existing: those on the server; of those that are not declared only ours are reported.
    """
    named: dict[str, list[Schedule]] = {}
    for schedule in existing:
        named.setdefault(schedule.name, []).append(schedule)
    differences: list[Difference] = []
    for one in wanted:
        if same := named.pop(one.name, None):
            *others, schedule = same
            differences += [
                Difference(one.name, "content", "another one of this name", other.now.id, "absent") for other in others
            ]
            differences += _differences(server, one, schedule)
        else:
            differences.append(Difference(one.name, "missing", "schedule", "missing", one.trigger.words()))
    differences += [
        Difference(schedule.name, "unknown", "schedule", schedule.when(), "absent")
        for same in named.values()
        for schedule in same
        if schedule.memo
    ]
    return differences


def repair(
    server: Server, differences: Sequence[Difference], wanted: Wanted | None, cluster: Access | None = None
) -> str:
    """Make a schedule as declared.

    Args:
        server: the server.
        differences: every difference of one schedule, at least one.
        wanted: the declared schedule; None for an unknown one, which is deleted.
        cluster: as for ``schedules.create``.

    Returns:
        What was done, in one word.

    Raises:
        StepError: the server refuses it, or a running run would end with the unknown schedule.
    """
    name, kinds = differences[0].schedule, {difference.kind for difference in differences}
    if not wanted:
        schedules.delete(server, name)
        return "deleted"
    if "missing" in kinds:
        schedules.create(server, wanted, cluster)
        return "created"
    if "content" in kinds:
        schedules.update(server, wanted, cluster)
        return "updated"
    if kinds == {"earlier"}:
        schedules.settle(server, live.find(server, name))
        return "settled"
    (schedules.resume if wanted.enabled else schedules.pause)(server, name)
    return "resumed" if wanted.enabled else "paused"


def _differences(server: Server, wanted: Wanted, schedule: Schedule) -> Iterator[Difference]:
    item, declared = schedule.now, wanted.memo.declared

    def differs(what: str, live: Any, should: Any, kind: Kind = "content") -> Iterator[Difference]:
        if live != should:
            yield Difference(wanted.name, kind, what, str(live) or "none", str(should) or "none")

    if not schedules.waits(server, schedule):
        yield Difference(wanted.name, "earlier", "an earlier one", "still there", "gone")
    yield from differs("state", STATES[item.enabled], STATES[wanted.enabled], "state")
    yield from differs("cron", item.cron or "none", wanted.trigger.six or "none")
    yield from differs("interval", _interval(item.interval_s), _interval(wanted.trigger.interval_s))
    yield from differs("pipeline version", _version(server, item), wanted.version)
    yield from _parameters(wanted.name, item.parameters, wanted.parameters)
    yield from differs("overlap", item.max_concurrency, declared.overlap)
    yield from differs("catch-up", SWITCH[not item.no_catchup], SWITCH[declared.catch_up])
    if wanted.service_account or (schedule.memo and schedule.memo.own_account):
        # Otherwise the server has filled in its own.
        yield from differs("service account", item.service_account, wanted.service_account)
    yield from differs("pipeline root", item.pipeline_root, wanted.pipeline_root)


def _interval(seconds: int | None) -> str:
    return cron_words.interval(seconds) if seconds else "none"


def _version(server: Server, item: RecurringRun) -> str:
    if not item.version_id:
        return "always the newest"
    version = api.find_version(server, item.pipeline_id, item.version_id)
    return version.name.partition(schedules.OWN)[0] if version else "gone from the server"


def _parameters(name: str, live: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Difference]:
    for key in sorted({*live, *wanted}):
        step = key.removesuffix("_image")
        what = f"image of {step}" if step != key else f"parameter {key}"
        if key not in live:
            yield Difference(name, "content", what, "missing", _short(wanted[key]))
        elif key not in wanted:
            yield Difference(name, "content", what, _short(live[key]), "absent")
        elif _tag(step != key, live[key]) != _tag(step != key, wanted[key]):
            yield from _values(name, what, live[key], wanted[key])


def _tag(is_image: bool, value: Any) -> Any:
    """An image without its digest: the tag says what it is made of."""
    return value.partition("@")[0] if is_image and isinstance(value, str) else value


def _values(name: str, what: str, live: Any, wanted: Any) -> Iterator[Difference]:
    """One difference, or one for each entry that differs in two tables."""
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
