"""A run's steps, derived from the nodes of its workflow."""

import graphlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipelines.cluster.kubeflow.records import Run, message, moment

FINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
# A workflow has more nodes than steps: drivers, the pods of a step, groups of control flow, attempts.
HIDDEN = re.compile(r"root|executor|.*-driver|(condition|condition-branches|for-loop|exit-handler)-\d+|iteration.*")
POD = re.compile(r"executor(?:\((\d+)\))?")
ATTEMPT = re.compile(r"\(\d+(:.*)?\)$")


@dataclass(frozen=True)
class Step:
    """A step of a run.

    Attributes:
        name: its name in the pipeline.
        state: PENDING (not begun), RUNNING, SUCCEEDED, FAILED, SKIPPED or CANCELED.
        started: when it began, without its driver; None if it has not.
        ended: when it ended, or None.
        error: why it failed, if the server reports it (2.17 mostly does not: kubeflow/pipelines#14007).
        cached: its result was taken from Kubeflow's cache, and no pod of its own ran.
        attempts: how often its pod was started.
    """

    name: str
    state: str
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    cached: bool = False
    attempts: int = 1

    @property
    def seconds(self) -> float | None:
        """Its duration so far; None if it has not begun."""
        if self.started is None:
            return None
        return max(0.0, ((self.ended or datetime.now(UTC)) - self.started).total_seconds())


def names(spec: Mapping[str, Any]) -> dict[str, str]:
    """The steps of a compiled pipeline in the order of their dependencies, including those inside control flow.

    Args:
        spec: the pipeline's document.

    Returns:
        The task's key, which names its node -> its display name (``set_display_name``).
    """
    return _names(spec, spec["root"])


def _names(spec: Mapping[str, Any], component: Mapping[str, Any]) -> dict[str, str]:
    tasks: Mapping[str, Any] = component.get("dag", {}).get("tasks", {})
    order = graphlib.TopologicalSorter({name: sorted(task.get("dependentTasks", ())) for name, task in tasks.items()})
    steps: dict[str, str] = {}
    for name in order.static_order():
        inner = spec.get("components", {}).get(tasks[name]["componentRef"]["name"], {})
        steps |= _names(spec, inner) if "dag" in inner else {name: tasks[name].get("taskInfo", {}).get("name", name)}
    return steps


def from_run(run: Run, pipeline_steps: Mapping[str, str] | None = None) -> list[Step]:
    """A run's steps.

    Args:
        pipeline_steps: from ``names``; without them, the nodes that look like steps.
    """
    nodes: dict[str, list[Any]] = {}
    for node in run.tasks:
        nodes.setdefault(node.display_name or "", []).append(node)
    wanted = pipeline_steps or {name: name for name in _likely_steps(nodes)}
    grouped = {name: nodes.get(key) or nodes.get(name) or _last_attempt(key, nodes) for key, name in wanted.items()}
    steps = [_final(_step(name, at), run) for name, at in grouped.items()]
    return [_with_pods(step, steps, nodes) for step in steps]


def _likely_steps(nodes: Mapping[str, list[Any]]) -> list[str]:
    """The nodes that are neither machinery nor the workflow itself, whose name ends in five random letters."""
    steps = {
        name for name in nodes if name and not HIDDEN.fullmatch(ATTEMPT.sub("", name)) and not ATTEMPT.search(name)
    }
    workflows = {
        name
        for name in steps
        if re.search(r"-[a-z0-9]{5}$", name) and "root" in nodes and f"{name}-driver" not in nodes
    }
    return sorted(steps - workflows, key=lambda name: str(moment(nodes[name][0].start_time) or ""))


def _last_attempt(name: str, nodes: Mapping[str, list[Any]]) -> list[Any]:
    """The last attempt at a step, if its attempts are all that the server lists: ``train(0)``, ``train(1)``."""
    attempts = sorted(key for key in nodes if ATTEMPT.search(key) and ATTEMPT.sub("", key) == name)
    return nodes[attempts[-1]] if attempts else []


def _step(name: str, nodes: list[Any]) -> Step:
    """One step of one node, or of several if a loop runs it many times."""
    # A node that Argo has omitted, since the run failed before it, has no state and has ended.
    reached = [node for node in nodes if node.state or not moment(node.end_time)]
    if not reached:
        return Step(name, "SKIPPED" if nodes else "PENDING")
    nodes = reached
    states = [node.state or "PENDING" for node in nodes]
    order = ("FAILED", "RUNNING", "PENDING", "CANCELED", "SUCCEEDED", "SKIPPED")
    state = next((one for one in order if one in states), states[0])
    starts = [time for node in nodes if (time := moment(node.start_time))]
    ends = [time for node in nodes if (time := moment(node.end_time))]
    error = next((text for node in nodes if (text := _error(node))), "")
    ended = max(ends) if ends and state in FINAL else None
    return Step(name, state, min(starts) if starts else None, ended, error)


def _with_pods(step: Step, steps: Sequence[Step], nodes: Mapping[str, list[Any]]) -> Step:
    """A step with what the nodes of its pods tell. All are called ``executor``, so those that began while it ran are
    its own; nothing is said of steps that run side by side."""

    def within(began: datetime | None) -> bool:
        return bool(began and step.started and step.started <= began <= (step.ended or began))

    if step.started is None or any(within(other.started) for other in steps if other is not step):
        return step
    own = {
        name: [node.state for node in same if within(moment(node.start_time))]
        for name, same in nodes.items()
        if POD.fullmatch(name)
    }
    ran = {name for name, states in own.items() if set(states) - {None, "SKIPPED"}}
    numbers = [int(match[1]) for name in ran if (match := POD.fullmatch(name)) and match[1]]
    cached = step.state == "SUCCEEDED" and any(own.values()) and not ran
    return replace(step, cached=cached, attempts=1 + max(numbers, default=0))


def _error(node: Any) -> str:
    """A node's own error, or the newest of its history."""
    messages = [message(node.error), *(message(entry.error) for entry in reversed(node.state_history or ()))]
    return next((text for text in messages if text), "")


def _final(step: Step, run: Run) -> Step:
    """A step of a run that may have ended: then the server leaves some nodes in their last state."""
    if run.state == "CANCELED" and step.state == "FAILED" and run.stopped and step.ended and step.ended >= run.stopped:
        return replace(step, state="CANCELED", error="")
    if run.state not in FINAL or step.state in FINAL:
        return step
    if step.started is None:
        return Step(step.name, "SKIPPED", error=step.error)
    return Step(step.name, run.state, step.started, step.ended or run.finished, step.error)
