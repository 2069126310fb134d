"""One submission from the command's side: check, send, follow, conclude."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from components.core.errors import StepError
from components.core.failure import Failure
from pipelines.cluster import preflight, results, submitted
from pipelines.cluster.kube import access, pod_failure, stuck, submit_checks
from pipelines.cluster.kube.access import Access
from pipelines.cluster.kubeflow import api, runs, server
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.runs import GivenUpError, Progress
from pipelines.cluster.kubeflow.server import Server, connect
from pipelines.cluster.kubeflow.steps import Step
from pipelines.cluster.preflight import RungEstimate
from pipelines.compile.check_result import CheckResult
from pipelines.compile.submission import Submission
from pipelines.compile.targets import Target
from pipelines.experiment import NamedExperiment
from pipelines.hardware.catalog import Catalog
from pipelines.hardware.ladder import Rung
from pipelines.hardware.planner import jobs, plan
from pipelines.hardware.planner.plan import Estimate
from pipelines.runs import display, failure, record
from pipelines.runs.folder import Run
from pipelines.runs.progress import StepProgress


@dataclass(frozen=True)
class Way:
    """How a run reaches its cluster, and how long it is waited for.

    Attributes:
        connection: to Kubeflow's server.
        kube_context: the kubeconfig's context to look at nodes and pods through; empty for its current one.
        give_up: seconds after which a step that cannot be scheduled is given up.
        deadline: seconds after which the waiting ends; None for never.
        poll: seconds between two looks.
        cluster: whether nodes and pods are looked at.
    """

    connection: Connection
    kube_context: str = ""
    give_up: float = 900.0
    deadline: float | None = None
    poll: float = 5.0
    cluster: bool = True


@dataclass
class Look:
    """What the preflight found, and what it opened on the way."""

    findings: list[CheckResult] = field(default_factory=list)
    server: Server | None = None
    cluster: Access | None = None

    @property
    def failed(self) -> list[CheckResult]:
        return [finding for finding in self.findings if finding.level == "fail"]


def look(
    submission: Submission,
    named: NamedExperiment,
    target: Target,
    way: Way,
    lines: Sequence[RungEstimate],
    made: str = "",
) -> Look:
    """The whole preflight; what fails is a finding, and nothing is sent.

    Args:
        named: the experiment with the run's settings.
        lines: what the planner says of each rung.
        made: the compute class that will be made before the run starts, and so may be absent now.
    """
    found = Look()
    with _as_finding(found, "settings"):
        found.findings += preflight.offline(submission, target, lines, named.experiment.training)
    with _as_finding(found, "server"):
        found.server = connect(way.connection)
        version = server.require_recent(found.server)
        found.findings.append(CheckResult("ok", "server", f"{found.server.host}, {version or 'version not told'}"))
    if not way.cluster:
        found.findings.append(CheckResult("warn", "cluster", "not looked at, as asked"))
        return found
    with _as_finding(found, "cluster"):
        found.cluster = access.connect(way.kube_context)
        seen = submit_checks.check(
            found.cluster,
            way.connection.namespace,
            submission.pods,
            service_account=target.service_account,
            queue=submission.queue,
            pipeline_root=target.pipeline_root,
            autopilot=target.autopilot,
            accelerator=submission.rungs[0].row.name if submission.rungs else "",
        )
        found.findings += [one for one in seen if not (made and one.what == f"compute class {made}")]
    return found


@contextmanager
def _as_finding(found: Look, what: str) -> Iterator[None]:
    try:
        yield
    except StepError as error:
        found.findings.append(CheckResult("fail", what, error.message, error.advice))


def estimates(named: NamedExperiment, rungs: Sequence[Rung], root: Path, catalog: Catalog) -> list[RungEstimate]:
    """What the planner says of each rung, corrected by what this experiment's finished runs on clusters measured; the
    reason where it cannot tell.

    Args:
        root: the folder of runs.
    """
    found: list[RungEstimate] = []
    known = submitted.calibrations(submitted.finished(root, named.name), catalog)
    try:
        job = jobs.from_experiment(named)
    except StepError as error:
        return [str(error) for _ in rungs]
    for rung in rungs:
        if reason := plan.misfit(job, rung.row):
            found.append(plan.Refusal(rung.row.name, reason))
        else:
            found += plan.plan(job, [rung.row], calibrations=known).lines
    return found


def send(
    submission: Submission,
    named: NamedExperiment,
    source: str,
    target: Target,
    there: Server,
    root: Path,
    lines: Sequence[RungEstimate],
    catalog: Catalog,
    key: str = "",
) -> tuple[Run, dict[str, Any]]:
    """Upload the file unless it is there, start a run, and write its record here.

    Args:
        source: the experiment as the user named it.
        root: the folder of runs.
        key: identifies the submission: repeated with it, no second run starts.
    """
    version = api.upload(there, submission.pipeline, submission.text, digest=submission.digest)
    experiment_id = api.experiment(there, submission.experiment)
    run = runs.submit(
        there,
        version=version,
        experiment_id=experiment_id,
        name=f"{submission.experiment} on {submission.rungs[0]}" if submission.rungs else submission.experiment,
        parameters=submission.parameters,
        pipeline_root=target.pipeline_root,
        service_account=target.service_account,
        key=key,
    )
    price = submission.prices(catalog)
    before = submitted.finished(root, submission.experiment)
    seconds = _train_seconds(submission.rungs, lines)
    expected = submitted.predicted(submission.rungs[0], seconds, before[-1] if before else {}, price)
    values = record.initial(named, target, source, cache=True)
    return submitted.begin(root, values, submission, there, run, expected)


def _train_seconds(rungs: Sequence[Rung], lines: Sequence[RungEstimate]) -> float | None:
    line = lines[0] if lines else None
    if not isinstance(line, Estimate):
        return None
    return line.spot_seconds if rungs[0].spot else line.seconds


def wait(
    folder: Run,
    values: dict[str, Any],
    there: Server,
    cluster: Access | None,
    way: Way,
    submission: Submission | None = None,
    catalog: Catalog | None = None,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Follow a run to its end and conclude its record. An interrupt ends the waiting, never the run.

    Args:
        submission: what was submitted, to be compared with the pods that are made; None after the fact.

    Raises:
        GivenUpError: a step could not be scheduled for too long, and the run was stopped.
        StepError: the server is gone for too long, or the deadline is over.
    """
    run_id = values["cluster"]["run"]
    promised = submission.pods if submission else ()

    def hanging(run: str) -> dict[str, str]:
        return stuck.stuck(cluster, there.namespace, run, promised) if cluster else {}

    last: list[Progress] = []
    with display.shown(f"{folder.id}  {values['cluster']['link'] or run_id}", stream or sys.stdout) as show:

        def changed(progress: Progress) -> None:
            last[:] = [progress]
            show(Seen(progress))

        try:
            runs.follow(
                there,
                run_id,
                on_change=changed,
                poll=way.poll,
                deadline=way.deadline,
                stuck=hanging if cluster else None,
                stuck_after=way.give_up,
            )
        except GivenUpError:
            raise
        except BaseException:
            print(f"the run goes on; to follow it again: suanli wait {folder.id}", file=sys.stderr)
            raise
        finally:
            if last:
                values = _concluded(folder, values, last[0], cluster, submission, catalog)
    return values


def _concluded(
    folder: Run,
    values: dict[str, Any],
    progress: Progress,
    seen: Access | None,
    submission: Submission | None,
    catalog: Catalog | None,
) -> dict[str, Any]:
    cluster = values["cluster"]
    found = results.read(cluster["pipeline_root"], cluster["pipeline"], cluster["run"]) if progress.over else {}
    price = values["cluster"].get("prices", {})
    if submission and catalog:
        price = submission.prices(catalog)
        values = {**values, "cluster": {**cluster, "prices": price}}
    told: dict[str, Failure] = {}
    if seen and progress.failed:
        # Pods are another door than the server: what is behind it may be gone, or not for this user.
        with suppress(StepError):
            told = pod_failure.failures(seen, cluster["namespace"], cluster["run"])
    return submitted.conclude(folder, values, progress, found, price, told)


class Seen:
    """A run on a cluster in the shape that the terminal's display takes."""

    def __init__(self, progress: Progress) -> None:
        self.steps = {step.name: _step(step, progress) for step in progress.steps}


def _step(step: Step, progress: Progress) -> StepProgress:
    began = step.started.timestamp() if step.started else 0.0
    ended = step.ended.timestamp() if step.ended else 0.0
    note = progress.stuck.get(step.name) or (progress.trouble if step.state == "RUNNING" else "")
    said = {"note": note} if note else {}
    state = "running" if note and step.state == "PENDING" else submitted.STATES.get(step.state, "skipped")
    return StepProgress(step.name, state, began, ended, said)


def tell(values: dict[str, Any], where: str, *, as_json: bool) -> int:
    """Say what became of a run, and return the command's exit status."""
    if as_json:
        print(json.dumps(values, indent=1))
    else:
        display.summary(values, where)
    if values["status"] == "failed" and "cause" in values:
        print(f"error: {failure.line(values['cause'])}", file=sys.stderr)
    return 0 if values["status"] == "succeeded" else 1
