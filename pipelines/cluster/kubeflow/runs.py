"""Starting a run once, following it, and stopping it."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from components.core.errors import StepError
from pipelines.cluster.kubeflow import api, steps
from pipelines.cluster.kubeflow.records import Run, Version
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.kubeflow.steps import FINAL, Step

Stuck = Callable[[str], Mapping[str, str]]


class GivenUpError(StepError):
    """A step could not be scheduled for too long, and its run was stopped.

    Args:
        step: the step.
        reason: why it cannot be scheduled.
        failure: why the run could not be stopped; empty if it was.
    """

    def __init__(self, step: str, reason: str, failure: str) -> None:
        stopped = f"the run could not be stopped: {failure}" if failure else "the run was stopped"
        super().__init__(
            f"the step {step} cannot be scheduled: {reason}; {stopped}",
            advice="choose another --accelerator, make the pool larger, or wait longer",
            kind="resources",
        )
        self.step, self.stopped = step, not failure


@dataclass(frozen=True)
class Progress:
    """The state of a run at one moment.

    Attributes:
        run: as the server last described it.
        steps: its steps in order, including those that have not begun.
        stuck: the steps that do not start, each with its reason.
        trouble: why the server did not answer the last request; empty if it did.
    """

    run: Run
    steps: tuple[Step, ...]
    stuck: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    @property
    def ended(self) -> bool:
        return self.run.state in FINAL

    @property
    def failed(self) -> Step | None:
        """The first step that failed, if any."""
        return next((step for step in self.steps if step.state == "FAILED"), None)


def submit(
    server: Server,
    *,
    version: Version,
    experiment_id: str,
    name: str,
    parameters: Mapping[str, Any],
    pipeline_root: str = "",
    service_account: str = "",
    description: str = "",
    key: str = "",
) -> Run:
    """Start a run; a submission repeated with its key returns the first one's run and starts no other.

    Args:
        server: the server.
        version: what to run.
        experiment_id: the server's experiment that the run belongs to.
        name: the run's display name, the same if a submission is repeated.
        parameters: of the pipeline.
        pipeline_root: where the run writes; empty for the server's default.
        service_account: the steps' service account; empty for the server's default.
        description: shown beside the run.
        key: identifies the submission; by default a new one.

    Raises:
        StepError: the server refuses it, or its answer was lost and no run with this key can be found.
    """
    if key and (existing := api.find_run(server, key, name, experiment_id)):
        return existing
    return api.create_run(
        server,
        name=name,
        experiment_id=experiment_id,
        version=version,
        key=key or secrets.token_hex(8),
        parameters=parameters,
        description=description,
        pipeline_root=pipeline_root,
        service_account=service_account,
    )


def read(server: Server, run_id: str) -> Progress:
    """A run and its steps now.

    Raises:
        StepError: no such run, or the server does not answer.
    """
    run = api.get_run(server, run_id)
    return Progress(run, tuple(steps.from_run(run, _step_names(server, run))))


def follow(
    server: Server,
    run_id: str,
    *,
    on_change: Callable[[Progress], None] = lambda progress: None,
    poll: float = 5.0,
    deadline: float | None = None,
    stuck: Stuck | None = None,
    stuck_after: float = 900.0,
    outage_timeout: float = 600.0,
) -> Progress:
    """Wait until a run has ended. If the waiting ends early, for example by an interrupt, the run continues; only a
    run with a step that cannot be scheduled is stopped.

    Args:
        server: the server.
        run_id: the run.
        on_change: called with each new state, including the first and the last.
        poll: seconds between two reads.
        deadline: seconds after which the waiting ends; None for never.
        stuck: returns the steps of a run that do not start, and why.
        stuck_after: seconds after which such a step is given up.
        outage_timeout: seconds for which the server may give no answer.

    Raises:
        StepError: no such run; the server did not answer for too long; the deadline has passed; a step was given up.
    """
    began = answered = time.monotonic()
    run = api.get_run(server, run_id)
    names = _step_names(server, run)
    last, since = Progress(run, tuple(steps.from_run(run, names))), dict[str, float]()
    on_change(last)
    while not last.ended:
        now = time.monotonic()
        if deadline is not None and now - began >= deadline:
            raise StepError(
                f"the run {run_id} is {last.run.state} after {_span(deadline)}; it continues",
                advice="wait for it again, or stop it with suanli cancel",
                kind="resources",
            )
        time.sleep(poll if deadline is None else max(0.0, min(poll, began + deadline - now)))
        progress = _next(server, last, names, stuck)
        now = time.monotonic()
        if not progress.trouble:
            answered = now
        elif now - answered > outage_timeout:
            raise StepError(
                f"no news of the run {run_id} for {_span(outage_timeout)}; it continues: {progress.trouble}",
                advice="wait for it again when the server answers",
                kind="resources",
            )
        since = {step: since.get(step, now) for step in progress.stuck}
        if late := [step for step, time in since.items() if now - time >= stuck_after and not progress.ended]:
            last_chance = now - since[late[0]] >= stuck_after + outage_timeout
            _give_up(server, run_id, late[0], progress.stuck[late[0]], last_chance)
        if progress != last:
            on_change(progress)
        last = progress
    return last


def cancel(server: Server, run_id: str) -> Run:
    """Ask a run to stop. It is CANCELING at first: its pods are still ending.

    Returns:
        The run as it was before.

    Raises:
        StepError: no such run, or it has already ended.
    """
    run = api.get_run(server, run_id)
    if run.state in FINAL:
        raise StepError(f"the run {run_id} has already ended ({run.state})", kind="conflict")
    if run.state != "CANCELING":
        api.terminate_run(server, run_id)
    return run


def _next(server: Server, last: Progress, names: Mapping[str, str], stuck: Stuck | None) -> Progress:
    """The next state; if the server does not answer for the moment, the last one with that trouble."""
    try:
        run = api.get_run(server, last.run.id)
    except StepError as error:
        if error.kind != "resources":
            raise
        return replace(last, trouble=error.message)
    reasons: Mapping[str, str] = {}
    if stuck and run.state not in FINAL:
        try:
            reasons = dict(stuck(run.id))
        except StepError:
            # The cluster may fail while the server answers; the run is what counts.
            reasons = last.stuck
    return Progress(run, tuple(steps.from_run(run, names)), reasons)


def _give_up(server: Server, run_id: str, step: str, reason: str, last_chance: bool) -> None:
    """Stop a run. If the server does not answer it is asked again after the next read, except at the last chance."""
    failure = ""
    try:
        api.terminate_run(server, run_id)
    except StepError as error:
        if error.kind == "resources" and not last_chance:
            return
        failure = error.message
    raise GivenUpError(step, reason, failure)


def _step_names(server: Server, run: Run) -> dict[str, str]:
    """The steps of a run's pipeline; empty if its version is gone."""
    if not (run.pipeline_id and run.version_id):
        return {}
    spec = api.pipeline_spec(server, run.pipeline_id, run.version_id)
    return steps.names(spec) if spec else {}


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
