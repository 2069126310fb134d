"""The options of submit, explain and schedule: an experiment, and the hardware it runs on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from components.core import project
from components.core.errors import StepError
from pipelines import experiment as experiments
from pipelines.cli.options import Experiment, Sets, Spot, TargetName
from pipelines.compile import submission, targets
from pipelines.compile.submission import Submission
from pipelines.compile.targets import Target
from pipelines.experiment import NamedExperiment
from pipelines.hardware import catalog, compute_class, fit, ladder
from pipelines.hardware.ladder import Rung
from pipelines.hardware.pods import QUANTITY
from pipelines.hardware.variant import RETRIES, SPOT_RETRIES, Variant

Accelerator = Annotated[
    str,
    typer.Option(metavar="NAME[,NAME]...", help="A row of suanli accelerators, or a ladder: l4:spot,l4."),
]
ComputeClass = Annotated[str, typer.Option("--compute-class", metavar="NAME", help="A GKE compute class for train.")]
Queue = Annotated[str, typer.Option(metavar="NAME", help="Kueue's local queue for train.")]
Retries = Annotated[
    int | None, typer.Option(min=0, max=100, help="Retries of train after a preemption; default 3 on spot, else 2.")
]
SharedMemory = Annotated[str, typer.Option(metavar="SIZE", help="Size of /dev/shm in train, such as 16Gi.")]
Timeout = Annotated[int, typer.Option(min=0, metavar="SECONDS", help="Stop train after this time; 0 for never.")]


@dataclass(frozen=True)
class Resolved:
    """Options that have been read and checked against each other.

    Attributes:
        original: the experiment as its file has it.
        experiment: the same with the settings of the command.
        target: the installation, if one was named.
        groups: the ladder, split into what one pod can use (``ladder.one_pod``).
        variant: constants of the compiled pipeline.
        compute_class: the compute class that was named, if any.
    """

    original: NamedExperiment
    experiment: NamedExperiment
    target: Target | None
    groups: Sequence[tuple[Rung, ...]]
    variant: Variant
    compute_class: str = ""

    def submission(self, group: tuple[Rung, ...]) -> Submission:
        """What is sent to the server for one group of rungs."""
        return submission.build(
            self.original,
            self.experiment,
            self.target,
            group,
            self.variant,
            compute_class_name=self.compute_class,
            autopilot=bool(self.target and self.target.autopilot),
        )

    def needed_class(self, group: tuple[Rung, ...]) -> str:
        """The compute class to create for several rungs; empty if one was named or none is needed."""
        return compute_class.name_of(group) if len(group) > 1 and not self.compute_class else ""


@dataclass(frozen=True)
class SubmissionOptions:
    """An experiment and its hardware, as the user gives them."""

    experiment: Experiment
    accelerator: Accelerator
    target: TargetName
    sets: Sets = None
    spot: Spot = False
    compute_class: ComputeClass = ""
    queue: Queue = ""
    retries: Retries = None
    shared_memory: SharedMemory = ""
    timeout: Timeout = 0

    def resolve(self, *, fresh: bool = False) -> Resolved:
        """Read and check the options.

        Args:
            fresh: whether prepare reads its source each time instead of using a cached result.

        Raises:
            StepError: the first invalid option.
        """
        original = experiments.load(self.experiment)
        experiment = original.with_settings(self.sets or [])
        target = targets.load(self.target, project.folder()) if self.target else None
        rungs = ladder.parse(self.accelerator, catalog.load(project.folder()), spot=self.spot)
        for rung in rungs:
            fit.check(experiment.experiment.training, rung.row)
        _check_name("--compute-class", self.compute_class)
        _check_name("--queue", self.queue)
        if self.shared_memory and not re.match(QUANTITY, self.shared_memory):
            message = f"--shared-memory {self.shared_memory}: not a Kubernetes quantity"
            raise StepError(message, advice="for example 16Gi", kind="settings")
        default_retries = SPOT_RETRIES if any(rung.spot for rung in rungs) else RETRIES
        variant = Variant(
            shared_memory=self.shared_memory,
            retries=default_retries if self.retries is None else self.retries,
            timeout=self.timeout,
            queue=self.queue or (target.queue if target else ""),
            fresh=fresh,
            bucket=target.bucket if target else "",
            bucket_claim=target.bucket_claim if target else "",
        )
        return Resolved(original, experiment, target, ladder.one_pod(rungs), variant, self.compute_class)


@dataclass(frozen=True)
class ExplainOptions(SubmissionOptions):
    """The same, with a default for everything but the experiment."""

    accelerator: Accelerator = "cpu-8"
    target: TargetName = ""


def _check_name(option: str, name: str) -> None:
    """Kubernetes would refuse an invalid name only when the pod is created."""
    if name and not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
        advice = "use a-z, 0-9 and -, at most 63 characters"
        raise StepError(f"{option} {name}: not a Kubernetes name", advice=advice, kind="settings")
