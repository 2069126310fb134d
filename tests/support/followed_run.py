"""A run that is followed while things happen to it."""

from collections.abc import Callable
from typing import Any

from kubeflow import FakeKubeflow

from pipelines.cluster.kubeflow import runs
from pipelines.cluster.kubeflow.runs import Progress
from pipelines.cluster.kubeflow.server import Server

Scene = Callable[[str], object]


def play(fake: FakeKubeflow, server: Server, run_id: str, *scenes: Scene, **options: Any) -> tuple[Progress, list[Any]]:
    """Follow a run while the scenes happen, one between two reads; the end, and what was told on the way."""
    told: list[Progress] = []
    coming = iter(scenes)

    def between(run_id: str) -> dict[str, str]:
        next(coming, lambda run_id: None)(run_id)
        return {}

    end = runs.follow(server, run_id, on_change=told.append, poll=0.01, stuck=between, **options)
    return end, told


def states(progress: Progress) -> dict[str, str]:
    return {step.name: step.state for step in progress.steps}
