"""What a Kubeflow Pipelines server is asked for: experiments, versions and runs, and (from ``recurring``) schedules."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.cluster.kubeflow import records
from pipelines.cluster.kubeflow.records import RecurringRun, Run, Version
from pipelines.cluster.kubeflow.recurring import (
    create_recurring_run,
    delete_recurring_run,
    disable_recurring_run,
    enable_recurring_run,
    get_recurring_run,
    list_recurring_runs,
)
from pipelines.cluster.kubeflow.request import Task, ask
from pipelines.cluster.kubeflow.server import (
    Server,
    create_once,
    equals,
    greet,
    named,
    pages,
    require_recent,
    sound,
    version,
)

__all__ = [
    "RecurringRun",
    "Run",
    "Server",
    "Version",
    "create_recurring_run",
    "create_run",
    "delete_recurring_run",
    "disable_recurring_run",
    "enable_recurring_run",
    "experiment",
    "find_run",
    "find_version",
    "get_recurring_run",
    "get_run",
    "greet",
    "list_recurring_runs",
    "list_runs",
    "pipeline_spec",
    "require_recent",
    "terminate_run",
    "upload",
    "version",
]

EXPERIMENTS = "experiment_service_list_experiments"
PIPELINES = "pipeline_service_list_pipelines"
VERSIONS = "pipelines.pipeline_service_list_pipeline_versions"


# Experiments and versions


def experiment(server: Server, name: str, description: str = "") -> str:
    """The id of the server's experiment of this name, made if there is none."""
    if found := _experiment_id(server, name):
        return found
    import kfp_server_api as k

    body = k.V2beta1Experiment(display_name=name, description=description or None, **server.scope)
    made = create_once(
        server,
        Task(f"create the experiment {name!r}", "create", "experiments"),
        "experiments.experiment_service_create_experiment",
        {"experiment": body},
        ident="experiment_id",
        look=lambda brief: _experiment_id(brief, name),
    )
    return made if isinstance(made, str) else str(made.experiment_id)


def upload(server: Server, pipeline: str, text: str, *, digest: str = "", description: str = "") -> Version:
    """A pipeline's version with exactly this content, uploaded unless the server has it.

    Args:
        server: the server.
        pipeline: the pipeline's name; made if the server has no such one.
        text: the compiled file, with both its documents if there are two.
        digest: names the content; by default the first 16 figures of its SHA-256.
        description: shown beside the version.

    Raises:
        StepError: the server does not take it.
    """
    name = f"{pipeline}-{digest or hashlib.sha256(text.encode()).hexdigest()[:16]}"
    pipeline_id = _pipeline_id(server, pipeline) or _create_pipeline(server, pipeline)
    if found := _version_named(server, pipeline_id, name):
        return found
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(text)
        arguments = {"uploadfile": str(path), "name": name, "pipelineid": pipeline_id}
        made = create_once(
            server,
            Task(f"upload the pipeline version {name!r}", "create", "pipelines"),
            "pipeline_uploads.upload_pipeline_version",
            {**arguments, "description": description} if description else arguments,
            ident="pipeline_version_id",
            look=lambda brief: _version_named(brief, pipeline_id, name),
        )
    return made if isinstance(made, Version) else Version(pipeline_id, str(made.pipeline_version_id), name, True)


def find_version(server: Server, pipeline_id: str, version_id: str) -> Version | None:
    """A version by its ids, or None if the server has no such one (any more)."""
    found = _version(server, pipeline_id, version_id)
    return Version(pipeline_id, version_id, str(found.display_name)) if found else None


def pipeline_spec(server: Server, pipeline_id: str, version_id: str) -> dict[str, Any] | None:
    """A version's first document, the pipeline itself, or None if the server has no such version (any more)."""
    found = _version(server, pipeline_id, version_id)
    spec = found and found.pipeline_spec
    return dict(spec.get("pipeline_spec", spec)) if isinstance(spec, dict) else None


def _create_pipeline(server: Server, pipeline: str) -> str:
    """A pipeline without a version: an upload would bring one that bears no digest."""
    import kfp_server_api as k

    made = create_once(
        server,
        Task(f"create the pipeline {pipeline!r}", "create", "pipelines"),
        "pipelines.pipeline_service_create_pipeline",
        {"pipeline": k.V2beta1Pipeline(display_name=pipeline, **server.scope)},
        ident="pipeline_id",
        look=lambda brief: _pipeline_id(brief, pipeline),
    )
    return made if isinstance(made, str) else str(made.pipeline_id)


def _experiment_id(server: Server, name: str) -> str | None:
    found = named(server, "experiments", EXPERIMENTS, name)
    return str(found[0].experiment_id) if found else None


def _pipeline_id(server: Server, pipeline: str) -> str | None:
    found = named(server, "pipelines", PIPELINES, pipeline)
    return str(found[0].pipeline_id) if found else None


def _version_named(server: Server, pipeline_id: str, name: str) -> Version | None:
    task = Task(f"look for the pipeline version {name!r}", "list", "pipelines")
    answer = ask(server.wire, task, VERSIONS, pipeline_id=pipeline_id, filter=equals("display_name", name))
    found = answer.pipeline_versions or []
    return Version(pipeline_id, str(found[0].pipeline_version_id), name) if found else None


def _version(server: Server, pipeline_id: str, version_id: str) -> Any:
    task = Task(f"read the pipeline version {version_id}", "get", "pipelines")
    method = "pipelines.pipeline_service_get_pipeline_version"
    return ask(server.wire, task, method, missing=True, pipeline_id=pipeline_id, pipeline_version_id=version_id)


# Runs


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
    """Start a run, once, whatever happens to the answers (``runs.submit`` looks for an earlier one first).

    Raises:
        StepError: the server refuses it, or its answer was lost and no run with this key is to be seen.
    """
    import kfp_server_api as k

    body = k.V2beta1Run(
        display_name=name,
        description=records.keyed(description, key),
        experiment_id=experiment_id,
        service_account=service_account or None,
        **records.job(version, parameters, pipeline_root),
    )
    made = create_once(
        server,
        Task(f"start the run {name!r}", "create", "runs"),
        "runs.run_service_create_run",
        {"run": body},
        ident="run_id",
        look=lambda brief: find_run(brief, key, name, experiment_id),
        undo=lambda run_id: terminate_run(server, run_id),
    )
    return made if isinstance(made, Run) else records.run(made)


def find_run(server: Server, key: str, name: str, experiment_id: str) -> Run | None:
    """The first run that a submission with this key started, or None."""
    found = [run for run in list_runs(server, experiment_id=experiment_id, name=name) if run.key == key]
    return min(found, key=lambda run: (str(run.created), run.id)) if found else None


def get_run(server: Server, run_id: str) -> Run:
    """A run.

    Raises:
        StepError: there is none with this id.
    """
    task = Task(f"read the run {run_id}", "get", "runs")
    return records.run(sound(server, task, ask(server.wire, task, "runs.run_service_get_run", run_id=run_id), "run_id"))


def list_runs(server: Server, *, experiment_id: str = "", name: str = "", limit: int = 0) -> list[Run]:
    """Runs, newest first.

    Args:
        server: the server.
        experiment_id: of this experiment only.
        name: with this display name only.
        limit: at most so many; 0 for all.
    """
    arguments: dict[str, Any] = {"experiment_id": experiment_id} if experiment_id else dict(server.scope)
    if name:
        arguments["filter"] = equals("display_name", name)
    task, found = Task("list runs", "list", "runs"), []
    for item in pages(server, task, "runs.run_service_list_runs", "runs", arguments, "created_at desc"):
        found.append(records.run(item))
        if limit and len(found) == limit:
            break
    return found


def terminate_run(server: Server, run_id: str) -> None:
    """Ask a run to stop; it is CANCELING, and some time later CANCELED.

    Raises:
        StepError: no such run, or it is over.
    """
    task = Task(f"stop the run {run_id}", "terminate", "runs")
    ask(server.wire, task, "runs.run_service_terminate_run", run_id=run_id)
