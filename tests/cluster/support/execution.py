"""Runs of the digits experiment whose steps' pods are made one after the other, to be executed by a node's agent."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import steps
from api import eventually
from clusters import Cluster
from launcher import Launcher

from pipelines import experiment
from pipelines.compile import submission
from pipelines.compile.targets import Target
from pipelines.hardware.ladder import Rung
from pipelines.hardware.variant import Variant

Json = dict[str, Any]
# A step that cannot write its termination message still ends in the line that says what went wrong.
FALLBACK = {"terminationMessagePolicy": "FallbackToLogsOnError"}
FINISHED = {"Succeeded", "Failed"}
PATIENCE_S = 180.0


class Run:
    """A run on one kind of node, with everything that it keeps below a folder.

    Attributes:
        pods: step -> its pod.
        launcher: what passes outputs from step to step.
    """

    def __init__(self, cluster: Cluster, namespace: str, folder: Path, rung: Rung, changes: Iterable[str]) -> None:
        self.cluster, self.namespace = cluster, namespace
        named = experiment.load("digits")
        changed = named.with_settings(changes)
        places = {name: str(folder / name) for name in ("data_root", "checkpoint_root", "registry")}
        target = Target(name="t", image_prefix="r/p", **places)
        whole = submission.build(named, changed, target, [rung], Variant(), tag=lambda step, image: f"{step}-0")
        self.pods = {pod.step: pod for pod in whole.pods}
        self.launcher = Launcher(whole.text, whole.parameters, folder / "artifacts")

    def manifest(self, step: str, number: int = 0) -> Json:
        """A step's pod with its command; another number for another attempt."""
        pod = steps.manifest(self.pods[step], self.namespace, "run", number)
        pod["spec"]["containers"][0] |= {**self.launcher.command(step), **FALLBACK}
        return pod

    def step(self, name: str) -> Json:
        """Have a step's pod made, bound and run; its outputs are there for the next one where it succeeded."""
        pod = self.manifest(name)
        self.cluster.api.create(pod)
        found = finished(self.cluster, pod)
        if found["status"]["phase"] == "Succeeded":
            self.launcher.collect(name)
        return found


def path_to(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def finished(cluster: Cluster, pod: Json) -> Json:
    """The pod once its containers have ended."""
    path = path_to(pod["metadata"]["namespace"], pod["metadata"]["name"])
    return eventually(lambda: cluster.api.get(path), lambda found: found["status"]["phase"] in FINISHED, PATIENCE_S)


def terminated(pod: Json) -> Json:
    """How its one container ended."""
    (container,) = pod["status"]["containerStatuses"]
    return dict(container["state"]["terminated"])
