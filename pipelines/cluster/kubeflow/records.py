"""Versions, runs and recurring runs as plain data, read from the generated client's objects."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

KEY = "submission"


@dataclass(frozen=True)
class Version:
    """A pipeline's version on the server.

    Attributes:
        pipeline_id: the pipeline's id.
        version_id: the version's id.
        name: the version's name, which ends in its content's digest.
        created: whether it has just been uploaded.
        description: as it was uploaded; read by ``api.find_version`` only.
    """

    pipeline_id: str
    version_id: str
    name: str
    created: bool = False
    description: str = ""


@dataclass(frozen=True)
class Run:
    """A run as the server describes it.

    Attributes:
        id: its id.
        name: its display name.
        state: PENDING, RUNNING, SUCCEEDED, SKIPPED, FAILED, CANCELING, CANCELED, PAUSED, or empty.
        error: the server's reason for a failure; often empty.
        stopped: when it was asked to stop, or None.
        created: when it was made.
        finished: when it ended, or None.
        experiment_id: the server's experiment that it belongs to.
        description: without the submission's key.
        key: the submission's key; empty for runs that were not submitted by us.
        parameters: of the pipeline.
        pipeline_root: where it writes; empty for the server's default.
        pipeline_id: its pipeline.
        version_id: its pipeline's version.
        recurring_run_id: the schedule that started it, if any.
        tasks: the workflow's nodes as the server lists them (see ``steps.from_run``).
    """

    id: str
    name: str
    state: str
    error: str = ""
    stopped: datetime | None = None
    created: datetime | None = None
    finished: datetime | None = None
    experiment_id: str = ""
    description: str = ""
    key: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    pipeline_root: str = ""
    pipeline_id: str = ""
    version_id: str = ""
    recurring_run_id: str = ""
    tasks: tuple[Any, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class RecurringRun:
    """A schedule as the server stores it.

    Attributes:
        id: its id.
        name: its display name.
        description: without the submission's key.
        enabled: whether it starts runs.
        cron: six fields, seconds first, as the server has them; None for an interval.
        interval_s: seconds between two runs; None for cron.
        start: when it begins; None for immediately.
        end: when it ends; None for never.
        max_concurrency: how many of its runs may run at the same time.
        no_catchup: whether missed times are skipped.
        parameters: of its runs.
        pipeline_id: its pipeline.
        version_id: its pipeline's version; empty for always the newest.
        pipeline_root: where its runs write; empty for the server's default.
        service_account: its runs' service account; empty for the server's default.
        experiment_id: the server's experiment that its runs belong to.
        created: when it was made.
        updated: when it was last changed.
        error: the server's error, if any.
        key: the submission's key.
    """

    id: str
    name: str
    description: str
    enabled: bool
    cron: str | None
    interval_s: int | None
    start: datetime | None
    end: datetime | None
    max_concurrency: int
    no_catchup: bool
    parameters: dict[str, Any]
    pipeline_id: str
    version_id: str
    pipeline_root: str
    service_account: str
    experiment_id: str
    created: datetime | None
    updated: datetime | None
    error: str
    key: str = ""


def keyed(description: str, key: str) -> str:
    """A description whose last line is the submission's key."""
    return "\n".join(line for line in (description, f"{KEY} {key}") if line)


def unkeyed(text: str | None) -> tuple[str, str]:
    """A description without its key, and the key."""
    match = re.search(rf"(?:^|\n){KEY} (\S+)\Z", text or "")
    return ((text or "")[: match.start()], match[1]) if match else (text or "", "")


def run(item: Any) -> Run:
    """A run from the generated client's object."""
    description, key = unkeyed(item.description)
    reference, config = item.pipeline_version_reference, item.runtime_config
    stopped = _stopped(item)
    return Run(
        id=item.run_id,
        name=item.display_name or "",
        # The server (2.17.0) calls a run FAILED that was stopped, since its pods end with exit code 143.
        state="CANCELED" if stopped and item.state == "FAILED" else item.state or "",
        error=message(item.error),
        stopped=moment(stopped and stopped.update_time),
        created=moment(item.created_at),
        finished=moment(item.finished_at),
        experiment_id=item.experiment_id or "",
        description=description,
        key=key,
        parameters=dict((config and config.parameters) or {}),
        pipeline_root=(config and config.pipeline_root) or "",
        pipeline_id=(reference and reference.pipeline_id) or "",
        version_id=(reference and reference.pipeline_version_id) or item.pipeline_version_id or "",
        recurring_run_id=item.recurring_run_id or "",
        tasks=tuple((item.run_details and item.run_details.task_details) or ()),
    )


def _stopped(item: Any) -> Any:
    """The entry of a run's history that says when it was asked to stop, unless it was started again since; or None."""
    stopped, before = None, ""
    for entry in item.state_history or ():
        if entry.state == "CANCELING":
            stopped = entry
        elif before == "FAILED" and entry.state in ("PENDING", "RUNNING"):
            stopped = None
        before = entry.state
    return stopped


def recurring_run(item: Any) -> RecurringRun:
    """A schedule from the generated client's object."""
    description, key = unkeyed(item.description)
    reference, config = item.pipeline_version_reference, item.runtime_config
    cron = item.trigger and item.trigger.cron_schedule
    every = item.trigger and item.trigger.periodic_schedule
    when = cron or every
    return RecurringRun(
        id=item.recurring_run_id,
        name=item.display_name or "",
        description=description,
        enabled=item.status == "ENABLED" if item.status else item.mode == "ENABLE",
        cron=(cron and cron.cron) or None,
        interval_s=int(every.interval_second) if every and every.interval_second else None,
        start=moment(when and when.start_time),
        end=moment(when and when.end_time),
        max_concurrency=int(item.max_concurrency or 0),
        no_catchup=bool(item.no_catchup),
        parameters=dict((config and config.parameters) or {}),
        pipeline_id=(reference and reference.pipeline_id) or "",
        version_id=(reference and reference.pipeline_version_id) or item.pipeline_version_id or "",
        pipeline_root=(config and config.pipeline_root) or "",
        service_account=item.service_account or "",
        experiment_id=item.experiment_id or "",
        created=moment(item.created_at),
        updated=moment(item.updated_at),
        error=message(item.error),
        key=key,
    )


def moment(value: datetime | None) -> datetime | None:
    """A time in UTC; the server writes 1970 for one that has not come yet."""
    return value.astimezone(UTC) if value and value.year > 1970 else None


def message(status: Any) -> str:
    """The message of an error (``google.rpc.Status``) in one line; empty without an error."""
    return " ".join(((status and status.message) or "").split())
