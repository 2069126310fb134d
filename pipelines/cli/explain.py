"""``suanli explain``: each pod of a run as Kubeflow will make it, and what it costs an hour."""

from dataclasses import asdict
from typing import Any

import yaml

from components.steps import ACCELERATED
from pipelines.cli import asked, output
from pipelines.cli.asked import (
    Accelerator,
    AsJson,
    ComputeClass,
    Experiment,
    Queue,
    Retries,
    Sets,
    SharedMemory,
    Spot,
    TargetName,
    Timeout,
)
from pipelines.compile.submission import Submission
from pipelines.hardware import compute_class
from pipelines.hardware.pods import Pod


def explain(
    experiment: Experiment,
    accelerator: Accelerator = "cpu-8",
    target: TargetName = "",
    set_: Sets = None,
    spot: Spot = False,
    compute_class: ComputeClass = "",
    queue: Queue = "",
    retries: Retries = None,
    shared_memory: SharedMemory = "",
    timeout: Timeout = 0,
    as_json: AsJson = False,
) -> None:
    """Print each pod of a run: image, node selector, tolerations, limits, price an hour. Nothing is submitted."""
    wanted = asked.gathered(
        experiment,
        set_,
        target,
        accelerator,
        spot=spot,
        compute_class=compute_class,
        queue=queue,
        retries=retries,
        shared_memory=shared_memory,
        timeout=timeout,
    )
    submissions = [wanted.submission(group) for group in wanted.groups]
    if as_json:
        output.as_document([document(each) for each in submissions])
        return
    for number, each in enumerate(submissions):
        if number:
            print("\nif no node comes up in time, submitted anew with:\n")
        show(each, whole=not number)


def document(submission: Submission) -> dict[str, Any]:
    """A submission's pods as plain JSON values."""
    prices = {step: price and round(price, 4) for step, price in submission.prices(asked.catalog()).items()}
    return {
        "pipeline": submission.pipeline,
        "version": submission.digest,
        "rungs": [str(rung) for rung in submission.rungs],
        "pods": [asdict(pod) | {"usd_an_hour": prices[pod.step]} for pod in submission.pods],
        "compute_class": _class(submission),
    }


def show(submission: Submission, *, whole: bool = True) -> None:
    """Print a submission's pods for people; unless the whole is asked for, those on the accelerator alone."""
    prices = submission.prices(asked.catalog())
    print(f"{submission.pipeline}, version {submission.digest}, on {', then '.join(map(str, submission.rungs))}")
    for pod in submission.pods:
        if not whole and pod.step not in ACCELERATED:
            continue
        print(f"\n{pod.step}")
        for name, value in _lines(pod, prices[pod.step]):
            print(f"  {name:12} {value}")
    if needed := _class(submission):
        print("\ncompute class, applied by submit where the cluster has them:\n")
        print(yaml.safe_dump(needed, sort_keys=False).rstrip())


def _lines(pod: Pod, price: float | None) -> list[tuple[str, str]]:
    rows = [("image", pod.image)]
    if pod.user:
        rows.append(("user", str(pod.user)))
    rows += _each("node labels", [f"{key}={value}" for key, value in pod.node_selector.items()])
    rows += _each("not on", [part["key"] for part in pod.affinity if part["operator"] == "DoesNotExist"])
    rows += _each("tolerates", [f"{part['key']}:{part['effect']}" for part in pod.tolerations])
    rows += _each("limits", [f"{key}: {value}" for key, value in pod.limits.items()])
    rows += _each("requests", [f"{key}: {value}" for key, value in pod.requests.items()])
    rows += _each("labels", [f"{key}={value}" for key, value in pod.labels.items()])
    rows += [(path, f"in memory, {size}") for path, size in pod.volumes.items()]
    if pod.retries:
        rows.append(("retries", str(pod.retries)))
    if pod.timeout:
        rows.append(("ends after", f"{pod.timeout:,} s"))
    rows.append(("price", "not known" if price is None else f"{price:.3f} USD an hour"))
    return rows


def _each(name: str, values: list[str]) -> list[tuple[str, str]]:
    return [(name if number == 0 else "", value) for number, value in enumerate(values)]


def _class(submission: Submission) -> dict[str, Any]:
    """The compute class that holds several rungs; empty where one rung is all there is."""
    if len(submission.rungs) < 2:
        return {}
    return compute_class.manifest(compute_class.name_of(submission.rungs), submission.rungs)
