"""What the commands about a cluster have in common: the same options, read the same way."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from components.core.errors import StepError
from pipelines import experiment as experiments
from pipelines.compile import submission, targets
from pipelines.compile.submission import Submission
from pipelines.compile.targets import Target
from pipelines.experiment import NamedExperiment
from pipelines.hardware import compute_class, fit, ladder
from pipelines.hardware.catalog import Catalog, load
from pipelines.hardware.ladder import Rung
from pipelines.hardware.pods import QUANTITY
from pipelines.hardware.variant import RETRIES, SPOT_RETRIES, Variant

Experiment = Annotated[str, typer.Argument(help="A name, or the path of a .py file; see suanli experiments.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; repeat it.")
]
TargetName = Annotated[str, typer.Option("--target", metavar="NAME", help="An installation in targets.toml.")]
Accelerator = Annotated[
    str,
    typer.Option(metavar="NAME[,NAME]...", help="A row of suanli accelerators, or a ladder: v5e-4:spot,l4x2:spot,l4x2"),
]
Spot = Annotated[bool, typer.Option("--spot", help="Spot capacity: cheaper, and taken away now and then.")]
ComputeClass = Annotated[str, typer.Option("--compute-class", metavar="NAME", help="A class that picks the nodes.")]
Queue = Annotated[str, typer.Option(metavar="NAME", help="Kueue's local queue for train.")]
Retries = Annotated[
    int | None, typer.Option(min=0, max=100, help="Starts of train's pod after a preemption; 3 on spot, else 2.")
]
SharedMemory = Annotated[str, typer.Option(metavar="SIZE", help="/dev/shm of train, such as 16Gi.")]
Timeout = Annotated[int, typer.Option(min=0, metavar="SECONDS", help="End train's pod after so long; 0 never.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True)
class Asked:
    """An experiment and the hardware for it, checked against each other.

    Attributes:
        named: the experiment as its file has it.
        changed: the same with the command's settings.
        target: the installation, if one was named.
        groups: the ladder, cut into what one pod can use (``ladder.one_pod``).
        variant: what KFP takes as constants.
        compute_class: the class that picks the nodes, if one was named.
    """

    named: NamedExperiment
    changed: NamedExperiment
    target: Target | None
    groups: Sequence[tuple[Rung, ...]]
    variant: Variant
    compute_class: str = ""

    def submission(self, group: "tuple[Rung, ...]") -> Submission:
        """What is handed to the server for one group of rungs."""

        return submission.build(
            self.named,
            self.changed,
            self.target,
            group,
            self.variant,
            compute_class_name=self.compute_class,
            autopilot=bool(self.target and self.target.autopilot),
        )

    def class_to_make(self, group: "tuple[Rung, ...]") -> str:
        """The compute class that has to be there for several rungs; empty where one was named or none is needed."""

        return compute_class.name_of(group) if len(group) > 1 and not self.compute_class else ""


def catalog() -> Catalog:
    """The catalog with the current folder's ``accelerators.toml``."""
    return load(Path.cwd())


def gathered(
    experiment: str,
    sets: list[str] | None,
    target: str,
    accelerator: str,
    *,
    spot: bool = False,
    compute_class: str = "",
    queue: str = "",
    retries: int | None = None,
    shared_memory: str = "",
    timeout: int = 0,
    fresh: bool = False,
) -> Asked:
    """Read and check a command's options.

    Raises:
        StepError: the first thing wrong with them.
    """
    named = experiments.load(experiment)
    changed = named.with_settings(sets or [])
    where = targets.load(target, Path.cwd()) if target else None
    rungs = ladder.parse(accelerator, catalog(), spot=spot)
    for rung in rungs:
        fit.check(changed.experiment.training, rung.row)
    _checked_names(compute_class=compute_class, queue=queue)
    variant = _variant(
        shared_memory=shared_memory,
        retries=(SPOT_RETRIES if any(rung.spot for rung in rungs) else RETRIES) if retries is None else retries,
        timeout=timeout,
        queue=queue or (where.queue if where else ""),
        fresh=fresh,
        where=where,
    )
    return Asked(named, changed, where, ladder.one_pod(rungs), variant, compute_class)


def _variant(
    *, shared_memory: str, retries: int, timeout: int, queue: str, fresh: bool, where: Target | None
) -> Variant:
    if shared_memory and not re.match(QUANTITY, shared_memory):
        raise StepError(f"--shared-memory {shared_memory}: no quantity", advice="for example 16Gi", kind="settings")
    return Variant(
        shared_memory=shared_memory,
        retries=retries,
        timeout=timeout,
        queue=queue,
        fresh=fresh,
        bucket=where.bucket if where else "",
        bucket_claim=where.bucket_claim if where else "",
    )


def _checked_names(**given: str) -> None:
    """Kubernetes would refuse a bad name only when the pod is made."""
    for option, name in given.items():
        if name and not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
            raise StepError(
                f"--{option.replace('_', '-')} {name}: not a Kubernetes name",
                advice="use a-z, 0-9 and -, 63 at most",
                kind="settings",
            )
