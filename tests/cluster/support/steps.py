"""Pods as Kubeflow's backend makes them of the compiled file and the submitted parameters, under Argo's names.

Form: kubeflow/pipelines, backend/src/v2/{driver,compiler/argocompiler} at 2.17.0, as seen on a real API server; the
container's command and image are of no concern to a scheduler.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from pipelines import experiment
from pipelines.cluster.kube.stuck import NODE_NAME, RUN
from pipelines.compile import submission
from pipelines.compile.targets import Target
from pipelines.hardware import catalog, placement_parameters, pods
from pipelines.hardware.ladder import Rung
from pipelines.hardware.pods import Pod
from pipelines.hardware.variant import Variant

CATALOG = catalog.load()
TARGET = Target(name="t", image_prefix="r/p", data_root="gs://d", checkpoint_root="gs://c", registry="gs://r")


@cache
def submitted(variant: Variant = Variant()) -> submission.Submission:  # noqa: B008  # frozen
    """A submission without hardware: the file is the same for every row."""
    named = experiment.load("digits")
    return submission.build(named, named, TARGET, (), variant, tag=lambda step, image: f"{step}-0")


def of(rungs: Sequence[Rung], *, compute_class: str = "", variant: Variant = Variant()) -> dict[str, Pod]:  # noqa: B008
    """Step -> pod of a run on this hardware."""
    whole = submitted(variant)
    placed = placement_parameters.for_rungs(rungs, compute_class=compute_class)
    return {pod.step: pod for pod in pods.from_compiled(whole.text, {**whole.parameters, **placed})}


def train(*rungs: Rung, **chosen: Any) -> Pod:
    return of(rungs, **chosen)["train"]


def manifest(pod: Pod, namespace: str, run: str, number: int = 0) -> dict[str, Any]:
    """The pod as it reaches the API server.

    Args:
        pod: a step's pod.
        namespace: where it runs.
        run: Kubeflow's id of the run.
        number: tells pods of the same run and step apart.
    """
    flow = f"training-{run}"
    terms = [{"matchExpressions": list(pod.affinity)}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{flow}-{pod.step}-{number}",
            "namespace": namespace,
            "labels": {RUN: run, "pipelines.kubeflow.org/v2_component": "true", **pod.labels},
            "annotations": {NODE_NAME: f"{flow}.root.{pod.step}.executor"},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "nodeSelector": dict(pod.node_selector),
            "tolerations": list(pod.tolerations),
            **({"affinity": affinity} if pod.affinity else {}),
            "containers": [
                {
                    "name": "main",
                    "image": pod.image,
                    "resources": {"limits": dict(pod.limits), "requests": dict(pod.requests)},
                    "volumeMounts": [
                        {"name": f"memory-{index}", "mountPath": path} for index, path in enumerate(pod.volumes)
                    ],
                }
            ],
            "volumes": [
                {"name": f"memory-{index}", "emptyDir": {"medium": "Memory"}} for index, _ in enumerate(pod.volumes)
            ],
        },
    }


def bound(found: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Pod -> node, of the pods that the scheduler has bound."""
    return {each["metadata"]["name"]: each["spec"]["nodeName"] for each in found if each["spec"].get("nodeName")}


def refused(found: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Pod -> the scheduler's reason, of the pods that it could not bind."""
    return {
        each["metadata"]["name"]: condition.get("message", "")
        for each in found
        if not each["spec"].get("nodeName")
        for condition in each.get("status", {}).get("conditions", ())
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    }
