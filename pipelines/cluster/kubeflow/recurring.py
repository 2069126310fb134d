"""Recurring runs: the schedules that a Kubeflow Pipelines server keeps."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from components.core.errors import StepError
from pipelines.cluster.kubeflow import records
from pipelines.cluster.kubeflow.failure import RequestError
from pipelines.cluster.kubeflow.records import RecurringRun, Version
from pipelines.cluster.kubeflow.request import Task, ask, error, once
from pipelines.cluster.kubeflow.server import Server, create_once, equals, pages, sound

SCHEDULES = "recurring_runs.recurring_run_service_{}_recurring_run"


def create_recurring_run(
    server: Server,
    *,
    name: str,
    experiment_id: str,
    version: Version,
    cron: str | None = None,
    interval_s: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    description: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    max_concurrency: int = 1,
    no_catchup: bool = True,
    enabled: bool = True,
    pipeline_root: str = "",
    service_account: str = "",
) -> RecurringRun:
    """Make a schedule, once, whatever happens to the answers.

    Args:
        server: the server.
        name: its display name; the server allows several of one name.
        experiment_id: the server's experiment that its runs belong to.
        version: what it runs.
        cron: six fields, seconds first; given as it is. Either this or an interval.
        interval_s: seconds between two runs.
        parameters: what its runs are given.
        description: shown beside it.
        start: when it begins; with its zone.
        end: when it ends; with its zone.
        max_concurrency: 1 to 10.
        no_catchup: whether missed times are left out.
        enabled: whether it starts runs at once.
        pipeline_root: where its runs write.
        service_account: its runs' service account.

    Raises:
        StepError: the arguments do not fit together, or the server refuses them.
    """
    import kfp_server_api as k

    if (cron is None) == (interval_s is None):
        raise StepError("a schedule needs either a cron expression or an interval", kind="settings")
    key = secrets.token_hex(8)
    body = k.V2beta1RecurringRun(
        display_name=name,
        description=records.keyed(description, key),
        experiment_id=experiment_id,
        mode=k.RecurringRunMode.ENABLE if enabled else k.RecurringRunMode.DISABLE,
        max_concurrency=str(max_concurrency),
        no_catchup=no_catchup,
        service_account=service_account or None,
        trigger=_trigger(cron, interval_s, start, end),
        **server.scope,
        **records.job(version, parameters, pipeline_root),
    )

    def look(brief: Server) -> RecurringRun | None:
        made = list_recurring_runs(brief, experiment_id=experiment_id, name=name)
        return next((item for item in made if item.key == key), None)

    made = create_once(
        server,
        Task(f"create the schedule {name!r}", "create", "jobs"),
        SCHEDULES.format("create"),
        {"recurring_run": body},
        ident="recurring_run_id",
        look=look,
        undo=lambda recurring_run_id: delete_recurring_run(server, recurring_run_id),
    )
    return made if isinstance(made, RecurringRun) else records.recurring_run(made)


def get_recurring_run(server: Server, recurring_run_id: str) -> RecurringRun:
    """A schedule.

    Raises:
        StepError: there is none with this id.
    """
    task = Task(f"read the schedule {recurring_run_id}", "get", "jobs")
    found = ask(server.wire, task, SCHEDULES.format("get"), recurring_run_id=recurring_run_id)
    return records.recurring_run(sound(server, task, found, "recurring_run_id"))


def list_recurring_runs(
    server: Server, *, experiment_id: str | None = None, name: str | None = None
) -> list[RecurringRun]:
    """Every schedule, oldest first: of an experiment, with a display name, or all."""
    arguments: dict[str, Any] = {"experiment_id": experiment_id} if experiment_id else dict(server.scope)
    if name:
        arguments["filter"] = equals("display_name", name)
    task, method = Task("list schedules", "list", "jobs"), f"{SCHEDULES.format('list')}s"
    found = pages(server, task, method, "recurring_runs", arguments, "created_at asc")
    return [records.recurring_run(item) for item in found]


def enable_recurring_run(server: Server, recurring_run_id: str) -> None:
    """Let a schedule start runs."""
    _switch(server, "resume", "enable", recurring_run_id)


def disable_recurring_run(server: Server, recurring_run_id: str) -> None:
    """Keep a schedule from starting runs."""
    _switch(server, "pause", "disable", recurring_run_id)


def delete_recurring_run(server: Server, recurring_run_id: str) -> None:
    """Delete a schedule. Its finished runs stay; one that is under way ends with it, as its workflow's owner is gone.

    Raises:
        StepError: there is none with this id.
    """
    task, method = Task(f"delete the schedule {recurring_run_id}", "delete", "jobs"), SCHEDULES.format("delete")
    try:
        once(server.wire, method, server.wire.timeout, recurring_run_id=recurring_run_id)
    except RequestError as failed:
        if not (failed.failure.passing or failed.failure.unknown):
            raise error(server.wire, task, failed.failure) from failed
        # The first request may have done it.
        ask(server.wire, task, method, missing=True, recurring_run_id=recurring_run_id)


def _switch(server: Server, what: str, verb: str, recurring_run_id: str) -> None:
    task = Task(f"{what} the schedule {recurring_run_id}", verb, "jobs")
    ask(server.wire, task, SCHEDULES.format(verb), recurring_run_id=recurring_run_id)


def _trigger(cron: str | None, interval_s: int | None, start: datetime | None, end: datetime | None) -> Any:
    import kfp_server_api as k

    times = {"start_time": start, "end_time": end}
    if cron is not None:
        return k.V2beta1Trigger(cron_schedule=k.V2beta1CronSchedule(cron=cron, **times))
    return k.V2beta1Trigger(periodic_schedule=k.V2beta1PeriodicSchedule(interval_second=str(interval_s), **times))
