"""``run.json``: the parameters of a run, what it ran with, and its result."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from components.core import project
from components.core.secrets import mask
from components.core.sources import ROOT, chosen_in
from components.data import freshness
from components.steps import STEPS
from pipelines.compile import compiler, targets
from pipelines.experiment import NamedExperiment, steps_of
from pipelines.runs.folder import Run

PACKAGES = (
    *("suanli", "kfp", "kfp-kubernetes", "tensorflow", "tensorflow-cpu", "keras", "jax", "torch", "numpy"),
    *("tensorflow-datasets", "scikit-learn", "onnx", "onnxruntime", "ai-edge-litert"),
)


def initial(named: NamedExperiment, target: targets.Target, source: str, cache: bool) -> dict[str, Any]:
    """The record of a run that has not started.

    Args:
        source: the experiment as the user named it.
        cache: whether results of other runs are reused.
    """
    sections = named.experiment.sections()
    return {
        "experiment": named.name,
        "description": mask(named.text),
        "source": str(Path(source).absolute()) if source.endswith(".py") else source,
        "status": "running",
        "parameters": sections,
        "pipeline": named.experiment.pipeline,
        "target": target.model_dump(),
        "cache": cache,
        "freshness": freshness(named.experiment.data),
        "images": image_tags(named.experiment.pipeline, sections),
        "versions": versions(),
        "commit": _commit(ROOT),
        **({"project": {"folder": str(own), "commit": _commit(own)}} if (own := project.own()) else {}),
        "threads": sections["training"]["threads"] or cores(),
        "started": time.time(),
        "attempts": 1,
        "steps": {},
        "metrics": {},
    }


def image_tags(pipeline: str, sections: Mapping[str, Any]) -> dict[str, str]:
    """Step of a pipeline -> the image tag of the present sources, for what an experiment's sections choose."""
    return {step: compiler.image_tag(step, chosen_in(sections)) for step in steps_of(pipeline)}


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Package -> installed version, with Python's and the platform's; nothing is imported."""
    installed = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            installed[package] = metadata.version(package)
    return installed


def _commit(folder: Path) -> str:
    """The commit of a checkout or project, followed by ``-dirty`` if files differ; empty outside a repository."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return ""


def concluded(run: Run, values: dict[str, Any], status: str) -> dict[str, Any]:
    """The record of a run that has ended, with the results of its steps."""
    records = run.steps()
    steps = {step: _step(record, _image(step, values), status) for step, record in records.items()}
    for step in values["images"]:
        steps.setdefault(step, {"state": "skipped" if status == "succeeded" else "waiting", "image": ""})
    finished = time.time()
    resumed = values.get("resumed", values["started"])
    return {
        **values,
        "status": status,
        "finished": finished,
        "seconds": round(values.get("seconds", 0) + finished - resumed, 1),
        "steps": steps,
        **{step.metrics: json_or_empty(run.output(step.name, "metrics")) for step in STEPS.values() if step.metrics},
        **_decision(run),
    }


def _image(step: str, values: dict[str, Any]) -> dict[str, str]:
    """The tag of a step's sources, and the id of the image that it ran in, if any."""
    ids = values.get("image_ids", {})
    return {"image": values["images"].get(step, ""), **({"image_id": ids[step]} if step in ids else {})}


def _step(record: dict[str, Any], image: dict[str, str], status: str) -> dict[str, Any]:
    names = ("state", "seconds", "cached", "from", "changed", "cause", "peak_mb")
    values = {name: record[name] for name in names if name in record}
    if record["state"] == "running":
        # The run is over, so the step has ended without a report: it was asked to end, or has died.
        values["state"] = "interrupted" if status == "interrupted" else "died"
    return {**values, **image}


def _decision(run: Run) -> dict[str, Any]:
    """Whether the model was accepted, and why, as evaluate wrote it."""
    verdict = run.output("evaluate", "verdict")
    values = json_or_empty(verdict / "verdict.json" if verdict and verdict.is_dir() else verdict)
    reasons = run.output("evaluate", "reasons")
    return {
        "accepted": values.get("accepted"),
        "outcome": values.get("outcome"),
        "reasons": values.get("reasons") or (reasons.read_text().strip().splitlines() if reasons else []),
    }


def json_or_empty(path: Path | None) -> dict[str, Any]:
    """The object in a JSON file; empty without a path, or if the file is not there or damaged."""
    if not path:
        return {}
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
