"""Schedules on a Kubeflow server: created, listed, paused, resumed, updated and deleted by name, one of each name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from components.core.errors import StepError
from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.records import RecurringRun, Run, Version
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.scheduling.declared import Memo
from pipelines.cluster.scheduling.live import Schedule, find, grouped
from pipelines.cluster.scheduling.trigger import Trigger

OVER = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
# Of an experiment's newest runs so many are looked at for one under way.
RECENT_RUNS = 200


@dataclass(frozen=True)
class Wanted:
    """A schedule, ready to be created.

    Attributes:
        name: its name, unique in the namespace.
        experiment: the server's experiment that its runs belong to.
        trigger: when it runs.
        pipeline: the pipeline's name on the server.
        text: the compiled file.
        digest: the file's digest.
        parameters: what each run is given.
        memo: what it is made from.
        service_account: of its runs; empty for the server's choice.
        pipeline_root: where its runs write; empty for the server's choice.
    """

    name: str
    experiment: str
    trigger: Trigger
    pipeline: str
    text: str = field(repr=False)
    digest: str
    parameters: dict[str, Any] = field(repr=False)
    memo: Memo
    service_account: str = ""
    pipeline_root: str = ""

    @property
    def enabled(self) -> bool:
        return not self.memo.declared.paused

    @property
    def version(self) -> str:
        """The name of the pipeline's version."""
        return f"{self.pipeline}-{self.digest}"


def create(server: Server, wanted: Wanted) -> Schedule:
    """Create a schedule.

    Raises:
        StepError: one of this name is there, or the server refuses it.
    """
    if there := grouped(api.list_recurring_runs(server, name=wanted.name)):
        raise StepError(
            f"there is a schedule {wanted.name!r} already ({there[-1].now.id})",
            advice=f"suanli schedules update {wanted.name}, or another --name",
            kind="conflict",
        )
    version, experiment = _placed(server, wanted)
    return Schedule(_made(server, wanted, version, experiment, wanted.memo, wanted.enabled), memo=wanted.memo)


def update(server: Server, wanted: Wanted) -> Schedule:
    """Put a new schedule in the place of the one of this name, which the server cannot change.

    At no time is there none, and at no time are two enabled: the new one is created paused, the old one paused, the
    new one enabled, and the old one deleted once no run of it is under way. What an interruption leaves, the next
    update, pause, resume or delete brings to its end.

    Raises:
        StepError: there is none, or the server refuses a step.
    """
    old = find(server, wanted.name)
    version, experiment = _placed(server, wanted)
    return _replaced(server, old, lambda kept: _made(server, wanted, version, experiment, kept, False), wanted.memo)


def pause(server: Server, which: str) -> Schedule:
    """Keep a schedule from starting runs; the run under way goes on."""
    schedule = find(server, which)
    for item in (*schedule.before, schedule.now):
        if item.enabled:
            api.disable_recurring_run(server, item.id)
    return _tidied(server, replace(schedule, now=replace(schedule.now, enabled=False)))


def resume(server: Server, which: str) -> Schedule:
    """Let a paused schedule start runs again, from its next time on.

    The server would make up for the last time that was missed in between, no_catchup or not (cron_schedule.go and
    kubeflow/pipelines#3055, #8344): so one of ours begins anew.
    """
    schedule = find(server, which)
    if schedule.now.enabled:
        return settle(server, schedule)
    kept = schedule.memo
    if not kept or not schedule.now.no_catchup or not schedule.now.version_id:
        return _taken_over(server, schedule, True)
    return _replaced(server, schedule, lambda line: _copied(server, schedule.now, line), _with(kept, paused=False))


def delete(server: Server, which: str, *, force: bool = False) -> Schedule:
    """Delete a schedule.

    Args:
        which: its name or id.
        force: also where a run of it is under way: the run ends with its schedule, because its workflow belongs to it
            (``SetOwnerReferences`` in backend/src/apiserver/resource/resource_manager.go).

    Raises:
        StepError: there is none, or a run of it is under way.
    """
    schedule = find(server, which)
    items = (*schedule.before, schedule.now)
    if not force and (running := _under_way(server, items)):
        raise StepError(
            f"{schedule.name}'s run {running[0]} is under way and would end with its schedule",
            advice=f"suanli schedules pause {schedule.name} and delete it later, or give --force",
            kind="conflict",
        )
    for item in items:
        if item.enabled:
            api.disable_recurring_run(server, item.id)
    for item in items:
        api.delete_recurring_run(server, item.id)
    return schedule


def settle(server: Server, schedule: Schedule) -> Schedule:
    """Bring an update that was interrupted to its end."""
    if not schedule.before or not schedule.memo:
        return schedule
    enabled = schedule.now.enabled or (schedule.memo.then == "enabled" and not _had_taken_over(server, schedule))
    return _taken_over(server, schedule, enabled)


def waits(server: Server, schedule: Schedule) -> bool:
    """Whether the earlier ones are there only because a run of each is still under way."""
    return all(not item.enabled and _under_way(server, [item]) for item in schedule.before)


def _placed(server: Server, wanted: Wanted) -> tuple[Version, str]:
    """The version, uploaded unless it is there, and the id of the server's experiment."""
    version = api.upload(server, wanted.pipeline, wanted.text, digest=wanted.digest)
    return version, api.experiment(server, wanted.experiment)


def _made(server: Server, wanted: Wanted, version: Version, experiment: str, kept: Memo, enabled: bool) -> RecurringRun:
    declared = wanted.memo.declared
    return api.create_recurring_run(
        server,
        name=wanted.name,
        experiment_id=experiment,
        version=version,
        cron=wanted.trigger.six,
        interval_s=wanted.trigger.interval_s,
        parameters=wanted.parameters,
        description=f"{declared.experiment} on {declared.accelerator}, {wanted.trigger.words()}\n{kept.line()}",
        max_concurrency=declared.overlap,
        no_catchup=not declared.catch_up,
        enabled=enabled,
        pipeline_root=wanted.pipeline_root,
        service_account=wanted.service_account,
    )


def _copied(server: Server, old: RecurringRun, kept: Memo) -> RecurringRun:
    return api.create_recurring_run(
        server,
        name=old.name,
        experiment_id=old.experiment_id,
        version=Version(old.pipeline_id, old.version_id, ""),
        cron=old.cron,
        interval_s=old.interval_s,
        parameters=old.parameters,
        description=f"{old.description.partition(chr(10))[0]}\n{kept.line()}",
        start=old.start,
        end=old.end,
        max_concurrency=old.max_concurrency,
        no_catchup=old.no_catchup,
        enabled=False,
        pipeline_root=old.pipeline_root,
        service_account=old.service_account,
    )


def _replaced(server: Server, old: Schedule, make: Callable[[Memo], RecurringRun], kept: Memo) -> Schedule:
    """A new recurring run, created paused, in the place of a schedule's."""
    items = (*old.before, old.now)
    then = "paused" if kept.declared.paused else "enabled"
    kept = kept.model_copy(update={"replaces": tuple(item.id for item in items), "then": then})
    return _taken_over(server, Schedule(make(kept), items, kept), then == "enabled")


def _taken_over(server: Server, schedule: Schedule, enabled: bool) -> Schedule:
    for item in schedule.before:
        if item.enabled:
            api.disable_recurring_run(server, item.id)
    if enabled and not schedule.now.enabled:
        api.enable_recurring_run(server, schedule.now.id)
    return _tidied(server, replace(schedule, now=replace(schedule.now, enabled=enabled)))


def _tidied(server: Server, schedule: Schedule) -> Schedule:
    """Delete the earlier ones, except where a run is under way that would end with it."""
    kept = []
    for item in schedule.before:
        if _under_way(server, [item]):
            kept.append(replace(item, enabled=False))
        else:
            api.delete_recurring_run(server, item.id)
    return replace(schedule, before=tuple(kept))


def _under_way(server: Server, items: Iterable[RecurringRun]) -> list[str]:
    """The ids of the runs of these that are not over."""
    return [run.id for item in items for run in _runs(server, item) if run.state not in OVER]


def _runs(server: Server, item: RecurringRun) -> list[Run]:
    runs = api.list_runs(server, experiment_id=item.experiment_id, limit=RECENT_RUNS)
    return [run for run in runs if run.recurring_run_id == item.id]


def _had_taken_over(server: Server, schedule: Schedule) -> bool:
    """Whether a paused schedule had been enabled before: an earlier one stays only because its run was still under
    way when the new one took its place, and has then been paused by somebody."""
    created = schedule.now.created
    return any(
        run.finished is None or (created is not None and run.finished >= created)
        for item in schedule.before
        for run in _runs(server, item)
    )


def _with(kept: Memo, *, paused: bool) -> Memo:
    return kept.model_copy(update={"declared": kept.declared.model_copy(update={"paused": paused})})
