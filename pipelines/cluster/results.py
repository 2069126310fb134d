"""What a run left below its pipeline root: metrics and the gate's decision, out of the steps' own files.

Kubeflow's interface has states and times of tasks, not their metrics, and its metadata store is to be removed
(kubeflow/pipelines, proposal 12147). The launcher uploads each output to
``<pipeline root>/<pipeline>/<run id>/<task>/<execution>/<output>`` (backend/src/v2/driver/driver.go, provisionOutputs).
"""

import json
from typing import Any

from components import storage
from components.core import failure
from components.core.errors import StepError
from components.steps import STEPS

VERDICT = "verdict.json"


def read(root: str, pipeline: str, run_id: str) -> dict[str, Any]:
    """A finished run's ``metrics``, ``training``, ``accepted``, ``outcome``, ``reasons`` and ``failures`` (step -> why
    its last attempt failed); empty if nothing can be read.

    Args:
        root: the pipeline root: ``gs://``, or a path where it is mounted.
    """
    metrics = {step.metrics: step.name for step in STEPS.values() if step.metrics}
    empty: dict[str, Any] = {key: {} for key in metrics} | {
        "accepted": None,
        "outcome": None,
        "reasons": [],
        "failures": {},
    }
    if not root.startswith(("gs://", "/")):
        return empty
    folder = storage.join(root, pipeline, run_id)
    try:
        names = storage.listing(folder)
    except (StepError, OSError):
        return empty
    verdict = _json(folder, names, "evaluate", VERDICT)
    failures = {step: failure.read(json.dumps(_json(folder, names, step, failure.FILE))) for step in STEPS}
    return {
        **{key: _json(folder, names, step, "metrics") for key, step in metrics.items()},
        "accepted": verdict.get("accepted"),
        "outcome": verdict.get("outcome"),
        "reasons": verdict.get("reasons", []),
        "failures": {step: each for step, each in failures.items() if each},
    }


def _json(folder: str, names: list[str], step: str, output: str) -> dict[str, Any]:
    """The output of the newest execution of a step; empty without one."""
    outputs = [name for name in names if name.split("/")[0] == step and name.split("/")[-1] == output]
    if not outputs:
        return {}
    try:
        values = json.loads(storage.read_text(storage.join(folder, outputs[-1])))
    except (StepError, OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
