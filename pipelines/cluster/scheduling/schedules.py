"""Creating, updating, pausing, resuming and deleting schedules on a Kubeflow server, one of each name."""

import hashlib
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from components.core.errors import StepError
from pipelines.cluster.kube import schedule_objects
from pipelines.cluster.kube.access import Access
from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.records import RecurringRun, Run, Version
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.scheduling.declared import ID, MARK, Memo, is_whole
from pipelines.cluster.scheduling.live import Schedule, find, grouped
from pipelines.cluster.scheduling.trigger import Trigger

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
# How many of an experiment's newest runs are searched for a running one.
RECENT_RUNS = 200
# Stands in the name of a version that serves one schedule only, before the digest of its description.
OWN = "."
# How long a run that was stopped may take to end, and how often it is looked at, in seconds.
STOP_S, POLL_S = 180.0, 2.0


@dataclass(frozen=True)
class Wanted:
    """A schedule that is ready to be created.

    Attributes:
        name: its name, unique in the namespace.
        experiment: the server's experiment that its runs belong to.
        trigger: when it runs.
        pipeline: the pipeline's name on the server.
        text: the compiled file.
        digest: the file's digest.
        parameters: of each run.
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


def create(server: Server, wanted: Wanted, cluster: Access | None = None) -> Schedule:
    """Create a schedule.

    Args:
        cluster: to look there for what the server leaves behind if it fails.

    Raises:
        StepError: one of this name exists, or the server refuses it.
    """
    if existing := grouped(server, api.list_recurring_runs(server, name=wanted.name)):
        raise StepError(
            f"the schedule {wanted.name!r} already exists ({existing[-1].now.id})",
            advice=f"run suanli schedules update {wanted.name}, or give another --name",
            kind="conflict",
        )
    creator = _creator(server, wanted, enabled=wanted.enabled)
    return Schedule(_created(server, cluster, creator, wanted.memo), memo=wanted.memo)


def update(server: Server, wanted: Wanted, cluster: Access | None = None) -> Schedule:
    """Replace the schedule of this name, since the server cannot change one.

    There is always one, and never are two enabled: the new one is created paused, the old one paused, the new one
    enabled, and the old one deleted once no run of it is running. After an interruption, the next update, pause, resume
    or delete completes the update.

    Raises:
        StepError: there is none, or the server refuses a step.
    """
    old = find(server, wanted.name)
    return _replace(server, old, _creator(server, wanted, enabled=False), wanted.memo, cluster)


def pause(server: Server, which: str) -> Schedule:
    """Keep a schedule from starting runs; a running run continues."""
    schedule = find(server, which)
    for item in (*schedule.before, schedule.now):
        if item.enabled:
            api.disable_recurring_run(server, item.id)
    return _delete_earlier(server, replace(schedule, now=replace(schedule.now, enabled=False)))


def resume(server: Server, which: str) -> Schedule:
    """Let a paused schedule start runs again, from its next time on.

    The server would make up for the last time that was missed in between, no_catchup or not (cron_schedule.go and
    kubeflow/pipelines#3055, #8344), so a schedule of ours is created anew.
    """
    schedule = find(server, which)
    if schedule.now.enabled:
        return settle(server, schedule)
    memo = schedule.memo
    if not memo or not schedule.now.no_catchup or not schedule.now.version_id:
        return _take_over(server, schedule, True)
    declared = memo.declared.model_copy(update={"paused": False})
    memo = memo.model_copy(update={"declared": declared})
    return _replace(server, schedule, lambda memo: _copy(server, schedule.now, memo), memo)


def delete(server: Server, which: str, *, force: bool = False) -> Schedule:
    """Delete a schedule.

    Args:
        which: its name or id.
        force: even if a run of it is running, which is stopped first: it would end with its schedule, which owns its
            workflow (``SetOwnerReferences`` in backend/src/apiserver/resource/resource_manager.go), and the server
            would call it RUNNING for ever.

    Raises:
        StepError: there is none, or a run of it is running; with ``force``, it does not end.
    """
    schedule = find(server, which)
    items = (*schedule.before, schedule.now)
    if not force and (running := _running(server, items)):
        raise StepError(
            f"{schedule.name}'s run {running[0]} is running and would end with its schedule",
            advice=f"suanli schedules pause {schedule.name} and delete it later, or give --force",
            kind="conflict",
        )
    for item in items:
        if item.enabled:
            api.disable_recurring_run(server, item.id)
    if force:
        _stop(server, schedule.name, items)
    for item in items:
        api.delete_recurring_run(server, item.id)
    return schedule


def settle(server: Server, schedule: Schedule) -> Schedule:
    """Complete an interrupted update."""
    if not schedule.before or not schedule.memo:
        return schedule
    enabled = schedule.now.enabled or (schedule.memo.then == "enabled" and not _was_enabled(server, schedule))
    return _take_over(server, schedule, enabled)


def waits(server: Server, schedule: Schedule) -> bool:
    """Whether the earlier ones exist only because a run of each is still running."""
    return all(not item.enabled and _running(server, [item]) for item in schedule.before)


def _creator(server: Server, wanted: Wanted, *, enabled: bool) -> Callable[[Memo], RecurringRun]:
    """A function that creates the schedule with a memo; its version is uploaded first unless the server has it."""
    account = {"own_account": bool(wanted.service_account)}
    whole, digest, described = wanted.memo.model_copy(update=account).fits, wanted.digest, ""
    if not whole:
        described = wanted.memo.version_line()
        digest += f"{OWN}{hashlib.sha256(described.encode()).hexdigest()[:8]}"
    version = api.upload(server, wanted.pipeline, wanted.text, digest=digest, description=described)
    experiment_id = api.experiment(server, wanted.experiment)
    declared = wanted.memo.declared
    words = f"{declared.experiment} on {declared.accelerator}, {wanted.trigger.words()}"
    return lambda memo: api.create_recurring_run(
        server,
        name=wanted.name,
        experiment_id=experiment_id,
        version=version,
        cron=wanted.trigger.six,
        interval_s=wanted.trigger.interval_s,
        parameters=wanted.parameters,
        description=memo.model_copy(update=account).describe(words, whole=whole),
        max_concurrency=declared.overlap,
        no_catchup=not declared.catch_up,
        enabled=enabled,
        pipeline_root=wanted.pipeline_root,
        service_account=wanted.service_account,
    )


def _copy(server: Server, old: RecurringRun, memo: Memo) -> RecurringRun:
    words = old.description.partition("\n")[0]
    return api.create_recurring_run(
        server,
        name=old.name,
        experiment_id=old.experiment_id,
        version=Version(old.pipeline_id, old.version_id, ""),
        cron=old.cron,
        interval_s=old.interval_s,
        parameters=old.parameters,
        description=memo.describe("" if words.startswith(MARK) else words, whole=is_whole(old.description)),
        start=old.start,
        end=old.end,
        max_concurrency=old.max_concurrency,
        no_catchup=old.no_catchup,
        enabled=False,
        pipeline_root=old.pipeline_root,
        service_account=old.service_account,
    )


def _created(
    server: Server, cluster: Access | None, creator: Callable[[Memo], RecurringRun], memo: Memo
) -> RecurringRun:
    """What a creator makes of a memo; if the server fails, what it has left in the cluster is named."""
    try:
        return creator(memo)
    except StepError as error:
        if error.kind != "resources":
            raise
        remains, advice = "a schedule may have been left that no command shows", "suanli doctor --target NAME names it"
        with suppress(StepError):
            if cluster:
                objects = schedule_objects.objects(cluster, server.namespace)
                left = schedule_objects.orphans(objects, {item.id for item in api.list_recurring_runs(server)})
                remains = f"it has left the object {', '.join(left)}, which starts runs" if left else ""
                advice = schedule_objects.removal(left, server.namespace) if left else error.advice
        message = "; ".join(filter(None, (error.message, remains)))
        raise StepError(message, advice=advice, kind="resources") from error


def _replace(
    server: Server,
    old: Schedule,
    create: Callable[[Memo], RecurringRun],
    memo: Memo,
    cluster: Access | None = None,
) -> Schedule:
    """Create a recurring run, paused, and let it replace those of a schedule."""
    items = (*old.before, old.now)
    then = "paused" if memo.declared.paused else "enabled"
    memo = memo.model_copy(update={"replaces": tuple(item.id[:ID] for item in items), "then": then})
    return _take_over(server, Schedule(_created(server, cluster, create, memo), items, memo), then == "enabled")


def _take_over(server: Server, schedule: Schedule, enabled: bool) -> Schedule:
    for item in schedule.before:
        if item.enabled:
            api.disable_recurring_run(server, item.id)
    if enabled and not schedule.now.enabled:
        api.enable_recurring_run(server, schedule.now.id)
    return _delete_earlier(server, replace(schedule, now=replace(schedule.now, enabled=enabled)))


def _delete_earlier(server: Server, schedule: Schedule) -> Schedule:
    """Delete the earlier ones, except those with a running run, which would end with them."""
    remaining = []
    for item in schedule.before:
        if _running(server, [item]):
            remaining.append(replace(item, enabled=False))
        else:
            api.delete_recurring_run(server, item.id)
    return replace(schedule, before=tuple(remaining))


def _running(server: Server, items: Iterable[RecurringRun]) -> list[str]:
    """The ids of the runs of these that have not ended."""
    return [run.id for item in items for run in _runs(server, item) if run.state not in ENDED]


def _stop(server: Server, name: str, items: Iterable[RecurringRun]) -> None:
    """Stop the running runs of these, and wait until they have ended."""
    deadline = time.monotonic() + STOP_S
    while running := _running(server, items):
        if time.monotonic() > deadline:
            raise StepError(
                f"{name}'s run {running[0]} was stopped and has not ended within {STOP_S:g} s; the schedule is paused",
                advice="delete it again later",
                kind="resources",
            )
        for run_id in running:
            if api.get_run(server, run_id).state not in ("CANCELING", *ENDED):
                api.terminate_run(server, run_id)
        time.sleep(POLL_S)


def _runs(server: Server, item: RecurringRun) -> list[Run]:
    runs = api.list_runs(server, experiment_id=item.experiment_id, limit=RECENT_RUNS)
    return [run for run in runs if run.recurring_run_id == item.id]


def _was_enabled(server: Server, schedule: Schedule) -> bool:
    """Whether a paused schedule had been enabled: then an earlier one exists only because a run of it was running when
    the new one replaced it, and the user has paused the new one since."""
    created = schedule.now.created
    return any(
        run.finished is None or (created is not None and run.finished >= created)
        for item in schedule.before
        for run in _runs(server, item)
    )
