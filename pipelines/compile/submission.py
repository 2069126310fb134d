"""What is handed to a Kubeflow server: a compiled file under its digest, a run's parameters, and the pods they make."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from components.data import freshness
from components.steps import ACCELERATED
from pipelines.compile import compiler
from pipelines.compile.targets import Target
from pipelines.experiment import NamedExperiment
from pipelines.hardware import compute_class, placement_parameters, pods
from pipelines.hardware.catalog import Catalog
from pipelines.hardware.ladder import Rung

if TYPE_CHECKING:
    from pipelines.hardware.variant import Variant

# Steps without an accelerator are paid for by their share of such a machine.
CPU_ROW = "cpu-8"


@dataclass(frozen=True)
class Submission:
    """An experiment on its way to a cluster.

    Attributes:
        experiment: the experiment's name.
        pipeline: the pipeline's name on the server.
        text: the compiled file. It holds the experiment as its file has it and no hardware, so that one upload serves
            every run: settings and placement are laid over it.
        parameters: the run's parameters, each one given: settings, images, roots, placement.
        rungs: the hardware that train's pod can get: one rung, or those of one compute class.
    """

    experiment: str
    pipeline: str
    text: str
    parameters: dict[str, Any]
    rungs: tuple[Rung, ...] = field(default=())

    @property
    def digest(self) -> str:
        """The file's digest (12 hexadecimal figures), the name of the pipeline's version."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @cached_property
    def pods(self) -> list[pods.Pod]:
        """The pods, as the backend will make them."""
        return pods.from_compiled(self.text, self.parameters)

    def pinned(self, digests: Mapping[str, str]) -> Self:
        """The same with images named by tag and digest: what a tag names later is not what runs.

        Args:
            digests: image -> digest, of those that are known.
        """
        return replace(self, parameters=pin_images(self.parameters, digests))

    @property
    def queue(self) -> str:
        """Kueue's queue that train waits in; empty for none."""
        return next((pod.labels[pods.QUEUE_LABEL] for pod in self.pods if pods.QUEUE_LABEL in pod.labels), "")

    def prices(self, catalog: Catalog) -> dict[str, float | None]:
        """Step -> USD an hour of its pod: the whole accelerator machine, or its share of a CPU machine."""
        machine = catalog[CPU_ROW]
        each = None if machine.on_demand is None else machine.on_demand / machine.vcpus

        def price(pod: pods.Pod) -> float | None:
            if self.rungs and pod.step in ACCELERATED:
                return self.rungs[0].price
            return None if each is None else each * float(pods.quantity(pod.requests.get("cpu", "1")))

        return {pod.step: price(pod) for pod in self.pods}


def build(
    named: NamedExperiment,
    changed: NamedExperiment,
    target: Target | None,
    rungs: Sequence[Rung],
    variant: "Variant",
    *,
    compute_class_name: str = "",
    autopilot: bool = False,
    tag: compiler.Tags | None = None,
) -> Submission:
    """Compile an experiment and gather a run's parameters.

    Args:
        named: the experiment as its file has it: it is what the compiled file holds.
        changed: the same with the run's settings laid over it.
        target: whose roots and images are used.
        rungs: the hardware; several rungs need a compute class that holds them.
        variant: what KFP takes as constants only.
        compute_class_name: the class that picks the nodes; by default that of the rungs where there are several.
        autopilot: whether the cluster is GKE Autopilot.
        tag: step and image -> image tag.

    Raises:
        StepError: a value that the backend would refuse.
    """
    image = rungs[0].row.image if rungs else compiler.CPU
    if len(rungs) > 1 and not compute_class_name:
        compute_class_name = compute_class.name_of(rungs)
    placed = (
        placement_parameters.for_rungs(rungs, compute_class=compute_class_name, autopilot=autopilot) if rungs else {}
    )
    text = compiler.compile_experiment(named, target, tag, variant=variant)
    values: dict[str, Any] = {
        **compiler.parameters(changed, target, tag, image),
        "freshness": freshness(changed.experiment.data),
        **placed,
        **(step_parameters(target) if target else {}),
    }
    known = compiler.declared(text)
    values = {name: value for name, value in values.items() if name in known}
    return Submission(named.name, compiler.pipeline_name(named), text, values, tuple(rungs))


def pin_images(parameters: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    """A run's parameters with images named by tag and digest (``NAME:TAG@sha256:...``), where it is known."""
    return {
        name: f"{value}@{digests[value]}" if name.endswith("_image") and value in digests else value
        for name, value in parameters.items()
    }


def step_parameters(target: Target) -> dict[str, Any]:
    """Where a target's steps without accelerators go, and what they ask for."""
    return {
        "step_node_selector": dict(target.step_node_selector),
        "step_cpu": target.step_cpu,
        "step_memory": target.step_memory,
    }
