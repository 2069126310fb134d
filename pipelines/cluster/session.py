"""One submission: send it, follow the run, and conclude its record."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from components.core.errors import StepError
from components.core.failure import Failure
from pipelines.cluster import results, submitted
from pipelines.cluster.kube import pod_failure, stuck
from pipelines.cluster.kube.access import Access
from pipelines.cluster.kubeflow import api, runs
from pipelines.cluster.kubeflow.runs import GivenUpError, Progress
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.kubeflow.steps import Step
from pipelines.cluster.preflight import RungEstimate
from pipelines.compile.submission import Submission
from pipelines.compile.targets import Target
from pipelines.experiment import NamedExperiment
from pipelines.hardware.catalog import Catalog
from pipelines.hardware.planner.plan import Estimate
from pipelines.runs import display, failure, record
from pipelines.runs.folder import Run
from pipelines.runs.progress import StepProgress


@dataclass(frozen=True)
class FollowOptions:
    """How long a run is followed.

    Attributes:
        give_up: seconds after which a step that cannot be scheduled is given up.
        deadline: seconds after which the waiting ends; None for never.
        poll: seconds between two reads of the run's state.
    """

    give_up: float = 900.0
    deadline: float | None = None
    poll: float = 5.0


def send(
    submission: Submission,
    experiment: NamedExperiment,
    source: str,
    target: Target,
    server: Server,
    root: Path,
    estimates: Sequence[RungEstimate],
    catalog: Catalog,
    key: str = "",
) -> tuple[Run, dict[str, Any]]:
    """Upload the compiled file unless the server has it, start a run, and write its record here.

    Args:
        source: the experiment as the user named it.
        root: the folder of runs.
        estimates: one for each rung.
        key: identifies the submission: repeated with it, no second run starts.
    """
    version = api.upload(server, submission.pipeline, submission.text, digest=submission.digest)
    run = runs.submit(
        server,
        version=version,
        experiment_id=api.experiment(server, submission.experiment),
        name=f"{submission.experiment} on {submission.rungs[0]}" if submission.rungs else submission.experiment,
        parameters=submission.parameters,
        pipeline_root=target.pipeline_root,
        service_account=target.service_account,
        key=key,
    )
    rung, estimate = submission.rungs[0], estimates[0] if estimates else None
    seconds = None
    if isinstance(estimate, Estimate):
        seconds = estimate.spot_seconds if rung.spot else estimate.seconds
    earlier = submitted.finished(root, submission.experiment)
    prices = submission.prices(catalog)
    predicted = submitted.predicted(rung, seconds, earlier[-1] if earlier else {}, prices)
    values = record.initial(experiment, target, source, cache=True)
    return submitted.begin(root, values, submission, server, run, predicted)


def wait(
    folder: Run,
    values: dict[str, Any],
    server: Server,
    cluster: Access | None,
    options: FollowOptions,
    submission: Submission | None = None,
    catalog: Catalog | None = None,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Follow a run to its end and conclude its record. An interrupt ends the waiting, not the run.

    Args:
        cluster: to read why a step hangs or failed, if it can be reached.
        submission: what was submitted, to be compared with the pods; None after the fact.

    Raises:
        GivenUpError: a step could not be scheduled for too long, and the run was stopped.
        StepError: the server did not answer for too long, or the deadline has passed.
    """
    run_id = values["cluster"]["run"]
    promised = submission.pods if submission else ()

    def unscheduled(run: str) -> dict[str, str]:
        return stuck.stuck(cluster, server.namespace, run, promised) if cluster else {}

    last: list[Progress] = []
    with display.shown(f"{folder.id}  {values['cluster']['link'] or run_id}", stream or sys.stdout) as show:

        def changed(progress: Progress) -> None:
            last[:] = [progress]
            show(DisplayedRun(progress))

        try:
            runs.follow(
                server,
                run_id,
                on_change=changed,
                poll=options.poll,
                deadline=options.deadline,
                stuck=unscheduled if cluster else None,
                stuck_after=options.give_up,
            )
        except BaseException as error:
            values = _conclude(folder, values, last[0], cluster, submission, catalog) if last else values
            if isinstance(error, GivenUpError):
                submitted.give_up(folder, values, error)
            else:
                print(f"the run continues; to follow it again: suanli wait {folder.id}", file=sys.stderr)
            raise
    return _conclude(folder, values, last[0], cluster, submission, catalog)


def _conclude(
    folder: Run,
    values: dict[str, Any],
    progress: Progress,
    cluster: Access | None,
    submission: Submission | None,
    catalog: Catalog | None,
) -> dict[str, Any]:
    run = values["cluster"]
    outputs = results.read(run["pipeline_root"], run["pipeline"], run["run"]) if progress.ended else {}
    prices = run.get("prices", {})
    if submission and catalog:
        prices = submission.prices(catalog)
        values = {**values, "cluster": {**run, "prices": prices}}
    pod_failures: dict[str, Failure] = {}
    if cluster and progress.failed:
        # The cluster may be gone or closed to this user, even though the server answers.
        with suppress(StepError):
            pod_failures = pod_failure.failures(cluster, run["namespace"], run["run"])
    return submitted.conclude(folder, values, progress, outputs, prices, pod_failures)


class DisplayedRun:
    """A run on a cluster in the shape that the terminal's display takes."""

    def __init__(self, progress: Progress) -> None:
        self.steps = {step.name: _displayed_step(step, progress) for step in progress.steps}


def _displayed_step(step: Step, progress: Progress) -> StepProgress:
    began = step.started.timestamp() if step.started else 0.0
    ended = step.ended.timestamp() if step.ended else 0.0
    again = f"attempt {step.attempts}" if step.attempts > 1 else "from the cache" if step.cached else ""
    note = progress.stuck.get(step.name) or (progress.trouble if step.state == "RUNNING" else "") or again
    state = "running" if note and step.state == "PENDING" else submitted.STATES.get(step.state, "skipped")
    return StepProgress(step.name, state, began, ended, {"note": note} if note else {})


def report(values: dict[str, Any], where: str, *, as_json: bool) -> int:
    """Print how a run ended, and return the command's exit status."""
    if as_json:
        print(json.dumps(values, indent=1))
    else:
        display.summary(values, where)
    if values["status"] == "failed" and "cause" in values:
        print(f"error: {failure.line(values['cause'])}", file=sys.stderr)
    return 0 if values["status"] == "succeeded" else 1
