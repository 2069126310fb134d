"""The calls that are made of a Kubeflow Pipelines server: experiments, pipeline versions, runs and recurring runs."""

import hashlib
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from components.core.errors import StepError
from pipelines.cluster.kubeflow import limits, records
from pipelines.cluster.kubeflow.records import RecurringRun, Run, Version
from pipelines.cluster.kubeflow.request import Operation, RequestError, request, request_once, step_error
from pipelines.cluster.kubeflow.server import Server, create_once, equals, find_by_name, pages, require_id
from pipelines.hardware.pods import Loader

EXPERIMENTS = "experiment_service_list_experiments"
PIPELINES = "pipeline_service_list_pipelines"
VERSIONS = "pipelines.pipeline_service_list_pipeline_versions"
SCHEDULES = "recurring_runs.recurring_run_service_{}_recurring_run"


# --- experiments and versions ----------------------------------------------------------------------------------------


def experiment(server: Server, name: str, description: str = "") -> str:
    """The id of the server's experiment of this name, which is created if necessary."""
    limits.check("the name of an experiment", name)

    def find(server: Server) -> str | None:
        return find_by_name(server, "experiments", EXPERIMENTS, name, "experiment_id")

    if existing := find(server):
        return existing
    created = create_once(
        server,
        Operation(f"create the experiment {name!r}", "create", "experiments"),
        "experiments.experiment_service_create_experiment",
        {"experiment": _body(display_name=name, description=description, **server.scope)},
        id_field="experiment_id",
        find=find,
    )
    return created if isinstance(created, str) else str(created.experiment_id)


def upload(server: Server, pipeline: str, text: str, *, digest: str = "", description: str = "") -> Version:
    """A pipeline's version with exactly this content, uploaded unless the server has it.

    Args:
        server: the server.
        pipeline: the pipeline's name; the pipeline is created if necessary.
        text: the compiled file, with both its documents if there are two.
        digest: names the content; by default the first 16 characters of its SHA-256.
        description: shown beside the version.

    Raises:
        StepError: the server refuses it, or would never answer, as it does if the file is not YAML.
    """
    name = f"{pipeline}-{digest or hashlib.sha256(text.encode()).hexdigest()[:16]}"
    limits.check("the name of a pipeline version", name)
    limits.check("the description of a pipeline version", description)
    _check_parses(pipeline, text)
    pipeline_id = _pipeline(server, pipeline)
    if existing := _version_named(server, pipeline_id, name):
        return existing
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(text)
        created = create_once(
            server,
            Operation(f"upload the pipeline version {name!r}", "create", "pipelines"),
            "pipeline_uploads.upload_pipeline_version",
            _body(uploadfile=str(path), name=name, pipelineid=pipeline_id, description=description),
            id_field="pipeline_version_id",
            find=lambda server: _version_named(server, pipeline_id, name),
        )
    return created if isinstance(created, Version) else Version(pipeline_id, created.pipeline_version_id, name, True)


def find_version(server: Server, pipeline_id: str, version_id: str) -> Version | None:
    """A version by its ids, or None if the server does not have it (any more)."""
    version = _version(server, pipeline_id, version_id)
    if not version:
        return None
    return Version(pipeline_id, version_id, str(version.display_name), description=version.description or "")


def pipeline_spec(server: Server, pipeline_id: str, version_id: str) -> dict[str, Any] | None:
    """A version's first document, the pipeline itself, or None if the server does not have the version (any more)."""
    version = _version(server, pipeline_id, version_id)
    spec = version and version.pipeline_spec
    return dict(spec.get("pipeline_spec", spec)) if isinstance(spec, dict) else None


def _check_parses(pipeline: str, text: str) -> None:
    """Refuse what is not YAML: the server (2.17.0) spins on it until it is restarted."""
    try:
        for _ in yaml.parse(text, Loader=Loader):
            pass
    except yaml.YAMLError as error:
        raise StepError(f"the file of the pipeline {pipeline!r} is not YAML: {error}", kind="settings") from None


def _pipeline(server: Server, pipeline: str) -> str:
    """The id of the pipeline of this name, created without a version: an upload would bring one without a digest."""

    def find(server: Server) -> str | None:
        return find_by_name(server, "pipelines", PIPELINES, pipeline, "pipeline_id")

    if existing := find(server):
        return existing
    created = create_once(
        server,
        Operation(f"create the pipeline {pipeline!r}", "create", "pipelines"),
        "pipelines.pipeline_service_create_pipeline",
        {"pipeline": _body(display_name=pipeline, **server.scope)},
        id_field="pipeline_id",
        find=find,
    )
    return created if isinstance(created, str) else str(created.pipeline_id)


def _version_named(server: Server, pipeline_id: str, name: str) -> Version | None:
    operation = Operation(f"look for the pipeline version {name!r}", "list", "pipelines")
    named = equals("display_name", name)
    page = request(server.transport, operation, VERSIONS, pipeline_id=pipeline_id, filter=named)
    versions = page.pipeline_versions or []
    return Version(pipeline_id, str(versions[0].pipeline_version_id), name) if versions else None


def _version(server: Server, pipeline_id: str, version_id: str) -> Any:
    operation = Operation(f"read the pipeline version {version_id}", "get", "pipelines")
    method = "pipelines.pipeline_service_get_pipeline_version"
    ids: dict[str, Any] = {"pipeline_id": pipeline_id, "pipeline_version_id": version_id}
    return request(server.transport, operation, method, missing_ok=True, **ids)


# --- runs ------------------------------------------------------------------------------------------------------------


def create_run(
    server: Server,
    *,
    name: str,
    experiment_id: str,
    version: Version,
    key: str,
    parameters: Mapping[str, Any] | None = None,
    description: str = "",
    pipeline_root: str = "",
    service_account: str = "",
) -> Run:
    """Start a run, once, even if an answer is lost (``runs.submit`` looks for an earlier one first).

    Raises:
        StepError: the server refuses it, or its answer was lost and no run with this key can be found.
    """
    described = records.keyed(description, key)
    limits.check("the name of a run", name)
    limits.check("the description of a run", described)
    body = _body(
        display_name=name,
        description=described,
        experiment_id=experiment_id,
        service_account=service_account,
        **_pipeline_job(version, parameters, pipeline_root),
    )
    created = create_once(
        server,
        Operation(f"start the run {name!r}", "create", "runs"),
        "runs.run_service_create_run",
        {"run": body},
        id_field="run_id",
        find=lambda server: find_run(server, key, name, experiment_id),
        undo=lambda run_id: terminate_run(server, run_id),
    )
    return created if isinstance(created, Run) else records.run(created)


def find_run(server: Server, key: str, name: str, experiment_id: str) -> Run | None:
    """The first run that a submission with this key started, if any."""
    runs = [run for run in list_runs(server, experiment_id=experiment_id, name=name) if run.key == key]
    return min(runs, key=lambda run: (str(run.created), run.id)) if runs else None


def get_run(server: Server, run_id: str) -> Run:
    """A run.

    Raises:
        StepError: no run has this id.
    """
    operation = Operation(f"read the run {run_id}", "get", "runs")
    run = request(server.transport, operation, "runs.run_service_get_run", run_id=run_id)
    return records.run(require_id(server, operation, run, "run_id"))


def list_runs(server: Server, *, experiment_id: str = "", name: str = "", limit: int = 0) -> list[Run]:
    """Runs, newest first.

    Args:
        server: the server.
        experiment_id: of this experiment only.
        name: with this display name only.
        limit: the largest number of runs; 0 for all.
    """
    arguments: dict[str, Any] = {"experiment_id": experiment_id} if experiment_id else dict(server.scope)
    if name:
        arguments["filter"] = equals("display_name", name)
    operation, runs = Operation("list runs", "list", "runs"), []
    for item in pages(server, operation, "runs.run_service_list_runs", "runs", arguments, "created_at desc"):
        runs.append(records.run(item))
        if limit and len(runs) == limit:
            break
    return runs


def terminate_run(server: Server, run_id: str) -> None:
    """Ask a run to stop; it is CANCELING, and some time later it has ended.

    Raises:
        StepError: no run has this id, or it has ended.
    """
    operation = Operation(f"stop the run {run_id}", "terminate", "runs")
    try:
        request(server.transport, operation, "runs.run_service_terminate_run", run_id=run_id)
    except StepError:
        # The server refuses to stop a run twice, and the answer to a first request may have been lost.
        with suppress(StepError):
            if get_run(server, run_id).state in ("CANCELING", "CANCELED"):
                return
        raise


# --- recurring runs: the server's schedules --------------------------------------------------------------------------


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
    """Create a schedule, once, even if an answer is lost.

    Args:
        server: the server.
        name: its display name; the server allows several of one name.
        experiment_id: the server's experiment that its runs belong to.
        version: what it runs.
        cron: six fields, seconds first, sent as they are; either this or an interval.
        interval_s: seconds between two runs.
        parameters: of its runs.
        description: shown beside it.
        start: when it begins, with a time zone.
        end: when it ends, with a time zone.
        max_concurrency: 1 to 10.
        no_catchup: skip missed times.
        enabled: start runs from the beginning.
        pipeline_root: where its runs write.
        service_account: its runs' service account.

    Raises:
        StepError: the arguments do not fit together, or the server refuses them.
    """
    if (cron is None) == (interval_s is None):
        raise StepError("a schedule needs either a cron expression or an interval", kind="settings")
    key = secrets.token_hex(8)
    described = records.keyed(description, key)
    limits.check("the name of a schedule", name)
    limits.check("the description of a schedule", described)
    times = _body(start_time=start, end_time=end)
    body = _body(
        display_name=name,
        description=described,
        experiment_id=experiment_id,
        mode="ENABLE" if enabled else "DISABLE",
        max_concurrency=str(max_concurrency),
        no_catchup=no_catchup,
        service_account=service_account,
        trigger={"cron_schedule": {"cron": cron, **times}}
        if cron is not None
        else {"periodic_schedule": {"interval_second": str(interval_s), **times}},
        **server.scope,
        **_pipeline_job(version, parameters, pipeline_root),
    )

    def find(server: Server) -> RecurringRun | None:
        existing = list_recurring_runs(server, experiment_id=experiment_id, name=name)
        return next((item for item in existing if item.key == key), None)

    created = create_once(
        server,
        Operation(f"create the schedule {name!r}", "create", "jobs"),
        SCHEDULES.format("create"),
        {"recurring_run": body},
        id_field="recurring_run_id",
        find=find,
        undo=lambda recurring_run_id: delete_recurring_run(server, recurring_run_id),
    )
    return created if isinstance(created, RecurringRun) else records.recurring_run(created)


def get_recurring_run(server: Server, recurring_run_id: str) -> RecurringRun:
    """A schedule.

    Raises:
        StepError: no schedule has this id.
    """
    operation = Operation(f"read the schedule {recurring_run_id}", "get", "jobs")
    schedule = request(server.transport, operation, SCHEDULES.format("get"), recurring_run_id=recurring_run_id)
    return records.recurring_run(require_id(server, operation, schedule, "recurring_run_id"))


def list_recurring_runs(server: Server, *, experiment_id: str = "", name: str = "") -> list[RecurringRun]:
    """Schedules, oldest first: of an experiment, with a display name, or all."""
    arguments: dict[str, Any] = {"experiment_id": experiment_id} if experiment_id else dict(server.scope)
    if name:
        arguments["filter"] = equals("display_name", name)
    operation, method = Operation("list schedules", "list", "jobs"), f"{SCHEDULES.format('list')}s"
    schedules = pages(server, operation, method, "recurring_runs", arguments, "created_at asc")
    return [records.recurring_run(item) for item in schedules]


def enable_recurring_run(server: Server, recurring_run_id: str) -> None:
    """Let a schedule start runs."""
    operation = Operation(f"resume the schedule {recurring_run_id}", "enable", "jobs")
    request(server.transport, operation, SCHEDULES.format("enable"), recurring_run_id=recurring_run_id)


def disable_recurring_run(server: Server, recurring_run_id: str) -> None:
    """Keep a schedule from starting runs."""
    operation = Operation(f"pause the schedule {recurring_run_id}", "disable", "jobs")
    request(server.transport, operation, SCHEDULES.format("disable"), recurring_run_id=recurring_run_id)


def delete_recurring_run(server: Server, recurring_run_id: str) -> None:
    """Delete a schedule. Its finished runs stay; a running one ends with it, since its workflow's owner is gone.

    Raises:
        StepError: no schedule has this id.
    """
    operation = Operation(f"delete the schedule {recurring_run_id}", "delete", "jobs")
    transport, method = server.transport, SCHEDULES.format("delete")
    try:
        request_once(transport, method, transport.timeout, recurring_run_id=recurring_run_id)
    except RequestError as error:
        if not (error.failure.transient or error.failure.ambiguous):
            raise step_error(transport, operation, error.failure) from error
        # The first request may have done it.
        request(transport, operation, method, missing_ok=True, recurring_run_id=recurring_run_id)


def _pipeline_job(version: Version, parameters: Mapping[str, Any] | None, pipeline_root: str) -> dict[str, Any]:
    """The fields that runs and recurring runs have in common."""
    return {
        "pipeline_version_reference": {"pipeline_id": version.pipeline_id, "pipeline_version_id": version.version_id},
        "runtime_config": _body(parameters=dict(parameters or {}), pipeline_root=pipeline_root),
    }


def _body(**fields: Any) -> dict[str, Any]:
    """A request's fields without those that are None or an empty text."""
    return {name: value for name, value in fields.items() if value is not None and value != ""}
