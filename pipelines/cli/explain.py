"""``suanli explain``: each pod of a run as Kubeflow will create it, and its price per hour."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import yaml

from components.core import project
from components.steps import ACCELERATED
from pipelines.cli import output
from pipelines.cli.options import AsJson, grouped
from pipelines.cli.submission_options import ExplainOptions
from pipelines.compile.submission import Submission
from pipelines.hardware import catalog, compute_class
from pipelines.hardware.pods import Pod


@grouped
def explain(options: ExplainOptions, as_json: AsJson = False) -> None:
    """Print each pod of a run: image, node selector, tolerations, limits, price per hour. Nothing is submitted."""
    resolved = options.resolve()
    submissions = [resolved.submission(group) for group in resolved.groups]
    if as_json:
        output.print_json([document(submission) for submission in submissions])
        return
    for number, submission in enumerate(submissions):
        if number:
            print("\nif no node becomes available in time, submitted again with:\n")
        show(submission, whole=not number)


def document(submission: Submission) -> dict[str, Any]:
    """A submission's pods as plain JSON values."""
    prices = submission.prices(catalog.load(project.folder()))
    rounded = {step: price and round(price, 4) for step, price in prices.items()}
    return {
        "pipeline": submission.pipeline,
        "version": submission.digest,
        "rungs": [str(rung) for rung in submission.rungs],
        "pods": [asdict(pod) | {"usd_an_hour": rounded[pod.step]} for pod in submission.pods],
        "compute_class": _compute_class(submission),
    }


def show(submission: Submission, *, whole: bool = True) -> None:
    """Print a submission's pods as text; without ``whole`` only those on the accelerator."""
    prices = submission.prices(catalog.load(project.folder()))
    print(f"{submission.pipeline}, version {submission.digest}, on {', then '.join(map(str, submission.rungs))}")
    for pod in submission.pods:
        if whole or pod.step in ACCELERATED:
            print(f"\n{pod.step}")
            for name, value in _rows(pod, prices[pod.step]):
                print(f"  {name:12} {value}")
    if manifest := _compute_class(submission):
        print("\ncompute class, applied by submit if the cluster supports them:\n")
        print(yaml.safe_dump(manifest, sort_keys=False).rstrip())


def _rows(pod: Pod, price: float | None) -> Iterator[tuple[str, str]]:
    lists = {
        "node labels": [f"{key}={value}" for key, value in pod.node_selector.items()],
        "not on": [part["key"] for part in pod.affinity if part["operator"] == "DoesNotExist"],
        "tolerates": [f"{part['key']}:{part['effect']}" for part in pod.tolerations],
        "limits": [f"{key}: {value}" for key, value in pod.limits.items()],
        "requests": [f"{key}: {value}" for key, value in pod.requests.items()],
        "labels": [f"{key}={value}" for key, value in pod.labels.items()],
    }
    yield "image", pod.image
    if pod.user:
        yield "user", str(pod.user)
    for name, values in lists.items():
        yield from ((name if number == 0 else "", value) for number, value in enumerate(values))
    yield from ((path, f"in memory, {size}") for path, size in pod.volumes.items())
    if pod.retries:
        yield "retries", str(pod.retries)
    if pod.timeout:
        yield "timeout", f"{pod.timeout:,} s"
    yield "price", "unknown" if price is None else f"{price:.3f} USD an hour"


def _compute_class(submission: Submission) -> dict[str, Any]:
    """The manifest of the compute class for several rungs; empty for a single rung."""
    if len(submission.rungs) < 2:
        return {}
    return compute_class.manifest(compute_class.name_of(submission.rungs), submission.rungs)
