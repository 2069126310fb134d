"""The folder here of a run on a cluster: what was submitted, what was predicted, and how it ended."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.core.errors import StepError
from components.core.failure import Failure
from pipelines.cluster.kube import pod_failure
from pipelines.cluster.kubeflow.records import Run as ClusterRun
from pipelines.cluster.kubeflow.runs import GivenUpError, Progress
from pipelines.cluster.kubeflow.server import Server
from pipelines.compile.submission import Submission
from pipelines.hardware.catalog import Catalog
from pipelines.hardware.ladder import Rung
from pipelines.hardware.planner import calibration
from pipelines.hardware.planner.calibration import Calibration
from pipelines.runs import folder
from pipelines.runs.failure import RunFailure
from pipelines.runs.folder import Run

# Kubeflow's states of a run and of a step -> ours.
STATUS = {"SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELED": "cancelled", "SKIPPED": "cancelled"}
STATES = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "cancelled",
}


def begin(
    runs: Path,
    values: dict[str, Any],
    submission: Submission,
    server: Server,
    run: ClusterRun,
    predicted: Mapping[str, Any],
) -> tuple[Run, dict[str, Any]]:
    """Write the record of a run that the server has just accepted.

    Args:
        values: from ``record.initial``.
        predicted: step -> ``seconds`` and ``usd``, for the steps that could be predicted.
    """
    created = folder.create(runs, submission.experiment)
    images = {pod.step: pod.image for pod in submission.pods}
    values = {
        **values,
        "id": created.id,
        "images": images,
        "predicted": dict(predicted),
        "cluster": {
            "host": server.host,
            "namespace": server.namespace,
            "run": run.id,
            "link": server.run_link(run.id),
            "pipeline": submission.pipeline,
            "version": submission.digest,
            "accelerator": [str(rung) for rung in submission.rungs],
            "pipeline_root": run.pipeline_root,
            "queue": submission.queue,
        },
    }
    created.write(values)
    folder.point_latest(created)
    return created, values


def conclude(
    run: Run,
    values: dict[str, Any],
    progress: Progress,
    outputs: Mapping[str, Any],
    prices: Mapping[str, float | None],
    pod_failures: Mapping[str, Failure] | None = None,
) -> dict[str, Any]:
    """Write the state of a run by the server and by the steps' own files, whether or not it has ended.

    Args:
        outputs: from ``results.read``.
        prices: step -> USD an hour of its pod.
        pod_failures: step -> why its pod failed, if the pods could be read.
    """
    steps: dict[str, Any] = {}
    for step in progress.steps:
        seconds = None if step.cached else step.seconds
        price = prices.get(step.name)
        steps[step.name] = {
            "state": STATES.get(step.state, "skipped"),
            "image": values["images"].get(step.name, ""),
            **({"cached": True, "from": "an earlier run"} if step.cached else {}),
            **({"attempts": step.attempts} if step.attempts > 1 else {}),
            **({} if seconds is None else {"seconds": round(seconds, 1)}),
            **({} if seconds is None or price is None else {"usd": round(seconds / 3600 * price, 4)}),
        }
    values = {
        **values,
        "status": STATUS.get(progress.run.state, "running"),
        "steps": steps,
        "seconds": round(_seconds(progress.run), 1),
        **{
            name: outputs[name] for name in ("metrics", "training", "accepted", "outcome", "reasons") if name in outputs
        },
    }
    if progress.ended:
        values["finished"] = progress.run.finished.timestamp() if progress.run.finished else time.time()
    if failed := progress.failed:
        # The step's pod or its own file knows best, the server least.
        known = pod_failures or outputs.get("failures", {})
        message = failed.error or progress.run.error
        reason = known.get(failed.name) or pod_failure.from_message(failed.name, message)
        values["cause"] = RunFailure(failed.name, reason.kind, reason.message, reason.advice).record()
    run.write(values)
    return values


def give_up(run: Run, values: Mapping[str, Any], error: GivenUpError) -> None:
    """Write down that a run was stopped because a step could not be scheduled."""
    if error.stopped:
        cause = RunFailure(error.step, error.kind, error.message, error.advice).record()
        run.write({**values, "status": "cancelled", "cause": cause})


def _seconds(run: ClusterRun) -> float:
    if not run.created:
        return 0.0
    ended = run.finished.timestamp() if run.finished else time.time()
    return max(0.0, ended - run.created.timestamp())


def predicted(
    rung: Rung, train_seconds: float | None, last: Mapping[str, Any], price: Mapping[str, float | None]
) -> dict[str, Any]:
    """Step -> predicted ``seconds`` and ``usd``: train by the planner, the others by the last run on a cluster.

    Args:
        train_seconds: the planner's estimate on this rung, if any.
        last: that last run's record; empty without one.
    """
    seconds = {name: step["seconds"] for name, step in last.get("steps", {}).items() if step.get("seconds")}
    seconds.pop("train", None)
    if train_seconds is not None:
        seconds["train"] = train_seconds
    return {
        name: {
            "seconds": round(value, 1),
            **({} if price.get(name) is None else {"usd": round(value / 3600 * (price[name] or 0), 4)}),
            "from": f"the planner, {rung}" if name == "train" else f"run {last['id']}",
        }
        for name, value in seconds.items()
    }


def finished(runs: Path, experiment: str) -> list[dict[str, Any]]:
    """The records of an experiment's finished runs on clusters, oldest first."""
    records = map(folder.read_or_damaged, folder.every(runs))
    return [
        record
        for record in records
        if record.get("cluster") and record["experiment"] == experiment and record["status"] == "succeeded"
    ]


def calibrations(records: Iterable[dict[str, Any]], catalog: Catalog) -> list[Calibration]:
    """The calibrations of the finished runs that have one, newest first."""
    measured: list[Calibration] = []
    for values in records:
        with suppress(StepError):
            measured.append(calibration.from_run(values, catalog.values(), values["id"]))
    return measured[::-1]


def find(runs: Path, which: str) -> tuple[Run, dict[str, Any]] | None:
    """The folder and the record of a run on a cluster, by its id or the start of it, ``latest``, or Kubeflow's id."""
    for run in reversed(folder.every(runs)):
        values = folder.read_or_damaged(run)
        cluster = values.get("cluster")
        if cluster and (which in {"latest", cluster["run"]} or run.id.startswith(which)):
            return run, values
    return None
