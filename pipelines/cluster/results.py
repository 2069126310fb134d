"""What a run left below its pipeline root: metrics and the decision, as the steps' own files tell them.

Kubeflow's interface gives states and times of tasks, not their metrics, and its metadata store is to be removed
(kubeflow/pipelines, proposal 12147). The launcher uploads each output to
``<pipeline root>/<pipeline>/<run id>/<task>/<execution>/<output>`` (backend/src/v2/driver/driver.go, provisionOutputs).
"""

import json
from typing import Any

from components import storage
from components.core import failure
from components.core.errors import StepError
from components.core.failure import Failure
from components.steps import STEPS

VERDICT = "verdict.json"


def read(root: str, pipeline: str, run_id: str) -> dict[str, Any]:
    """A finished run's ``metrics``, ``training``, ``accepted``, ``reasons`` and ``failures`` (step -> what its last
    attempt has told of its failure); empty where nothing can be read.

    Args:
        root: the pipeline root: ``gs://``, or a path where it is mounted.
    """
    measured = {step.metrics: step.name for step in STEPS.values() if step.metrics}
    nothing: dict[str, Any] = {key: {} for key in measured} | {"accepted": None, "reasons": [], "failures": {}}
    if not root.startswith(("gs://", "/")):
        return nothing
    place = storage.join(root, pipeline, run_id)
    try:
        names = storage.listing(place)
    except (StepError, OSError):
        return nothing
    verdict = _json(place, names, "evaluate", VERDICT)
    return {
        **{key: _json(place, names, step, "metrics") for key, step in measured.items()},
        "accepted": verdict.get("accepted"),
        "reasons": verdict.get("reasons", []),
        "failures": {step: told for step in STEPS if (told := _failure(place, names, step))},
    }


def _json(place: str, names: list[str], step: str, output: str) -> dict[str, Any]:
    """The newest execution's file of that name."""
    found = [name for name in names if name.split("/")[0] == step and name.split("/")[-1] == output]
    if not found:
        return {}
    try:
        values = json.loads(storage.read_text(storage.join(place, found[-1])))
    except (StepError, OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _failure(place: str, names: list[str], step: str) -> Failure | None:
    values = _json(place, names, step, failure.FILE)
    return failure.read(json.dumps(values)) if values else None
