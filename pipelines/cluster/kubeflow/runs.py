"""Start a run once, follow it, stop it."""

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
    """A step could not be scheduled for too long, and its run was stopped."""


@dataclass(frozen=True)
class Progress:
    """What is known of a run at one moment.

    Attributes:
        run: the run as the server last told it.
        steps: its steps, in order, those that have not begun included.
        stuck: the steps whose pods the scheduler cannot place, each with its reason.
        trouble: why the server could not be asked just now; empty if it could.
    """

    run: Run
    steps: tuple[Step, ...]
    stuck: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    @property
    def over(self) -> bool:
        return self.run.state in FINAL

    @property
    def failed(self) -> Step | None:
        """The first step that failed, or None."""
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
    """Start a run; a submission repeated with its key finds the first one's run and starts no other.

    Args:
        server: the server.
        version: what to run.
        experiment_id: the server's experiment that the run belongs to.
        name: the run's display name; a repeated submission gives the same.
        parameters: what the pipeline is given.
        pipeline_root: where the run writes; empty for the server's default.
        service_account: the steps' service account; empty for the server's default.
        description: shown beside the run.
        key: identifies the submission; by default a new one.

    Raises:
        StepError: the server refuses it, or its answer was lost and no run with this key is to be seen.
    """
    if key and (found := api.find_run(server, key, name, experiment_id)):
        return found
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


def look(server: Server, run_id: str) -> Progress:
    """A run and its steps now.

    Raises:
        StepError: no such run, or the server does not answer.
    """
    run = api.get_run(server, run_id)
    return _progress(run, _names(server, run))


def follow(
    server: Server,
    run_id: str,
    *,
    on_change: Callable[[Progress], None] = lambda progress: None,
    poll: float = 5.0,
    deadline: float | None = None,
    stuck: Stuck | None = None,
    stuck_after: float = 900.0,
    patience: float = 600.0,
) -> Progress:
    """Wait until a run is over. Whatever ends the waiting early, an interrupt included, leaves the run alone, but for
    a step that cannot be scheduled: its run is stopped.

    Args:
        server: the server.
        run_id: the run.
        on_change: called with each new state of things, the first and the last included.
        poll: seconds between two looks.
        deadline: seconds after which the waiting ends; None for never.
        stuck: says of a run which of its steps the scheduler cannot place, and why.
        stuck_after: seconds after which such a step is given up.
        patience: seconds for which a server that does not answer is asked again.

    Raises:
        StepError: no such run; the server is gone for too long; the deadline is over; a step was given up.
    """
    begun = seen = time.monotonic()
    run = api.get_run(server, run_id)
    known = _names(server, run)
    last, since = _progress(run, known), dict[str, float]()
    on_change(last)
    while not last.over:
        now = time.monotonic()
        if deadline is not None and now - begun >= deadline:
            raise StepError(
                f"the run {run_id} is {last.run.state} after {_span(deadline)}; it goes on",
                advice="wait for it again, or stop it with suanli cancel",
                kind="resources",
            )
        time.sleep(poll if deadline is None else max(0.0, min(poll, begun + deadline - now)))
        progress = _next(server, last, known, stuck)
        now = time.monotonic()
        if not progress.trouble:
            seen = now
        elif now - seen > patience:
            raise StepError(
                f"lost sight of the run {run_id} for {_span(patience)}; it goes on: {progress.trouble}",
                advice="wait for it again when the server is back",
                kind="resources",
            )
        since = {step: since.get(step, now) for step in progress.stuck}
        if not progress.over:
            _give_up(server, run_id, progress, [step for step, time in since.items() if now - time >= stuck_after])
        if progress != last:
            on_change(progress)
        last = progress
    return last


def cancel(server: Server, run_id: str) -> Run:
    """Ask a run to stop. It is CANCELING at first: its pods are still ending.

    Returns:
        The run as it was before.

    Raises:
        StepError: no such run, or it is over already.
    """
    run = api.get_run(server, run_id)
    if run.state in FINAL:
        raise StepError(f"the run {run_id} is over already ({run.state})", kind="conflict")
    if run.state != "CANCELING":
        api.terminate_run(server, run_id)
    return run


def _next(server: Server, last: Progress, known: Mapping[str, str], stuck: Stuck | None) -> Progress:
    """One more look; a passing fault of the server is told as trouble beside what was known."""
    try:
        run = api.get_run(server, last.run.id)
    except StepError as fault:
        if fault.kind != "resources":
            raise
        return replace(last, trouble=fault.message)
    reasons: Mapping[str, str] = {}
    if stuck and run.state not in FINAL:
        try:
            reasons = dict(stuck(run.id))
        except StepError:
            # Pods are looked at through another door; the run is what counts.
            reasons = last.stuck
    return _progress(run, known, reasons)


def _progress(run: Run, known: Mapping[str, str], stuck: Mapping[str, str] | None = None) -> Progress:
    return Progress(run, tuple(steps.of(run, known)), stuck or {})


def _give_up(server: Server, run_id: str, progress: Progress, late: list[str]) -> None:
    if not late:
        return
    step = late[0]
    stopped = "; the run was stopped"
    try:
        api.terminate_run(server, run_id)
    except StepError as fault:
        stopped = f"; the run could not be stopped: {fault.message}"
    raise GivenUpError(
        f"the step {step} cannot be scheduled: {progress.stuck[step]}{stopped}",
        advice="choose another --accelerator, make the pool larger, or wait longer",
        kind="resources",
    )


def _names(server: Server, run: Run) -> dict[str, str]:
    """The steps of a run's pipeline; none if its version is gone."""
    if not (run.pipeline_id and run.version_id):
        return {}
    spec = api.pipeline_spec(server, run.pipeline_id, run.version_id)
    return steps.names(spec) if spec else {}


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
