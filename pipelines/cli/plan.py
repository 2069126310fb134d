"""``suanli plan``: which accelerator, for how long, at what cost, before anything is paid for."""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from components.core.errors import StepError
from pipelines import experiment as experiments
from pipelines.cli import asked, output
from pipelines.cli.asked import AsJson, Experiment, Sets, Spot
from pipelines.cluster import submitted
from pipelines.experiment import NamedExperiment
from pipelines.hardware.catalog import Catalog, find
from pipelines.hardware.planner import calibration, jobs
from pipelines.hardware.planner import local_machine as this_machine
from pipelines.hardware.planner import plan as planning
from pipelines.hardware.planner.calibration import Calibration
from pipelines.hardware.planner.jobs import Job
from pipelines.hardware.planner.plan import Estimate, Plan
from pipelines.runs import folder

DURATION = re.compile(r"^(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?$")
SHOWN = 12


def plan(
    experiment: Experiment,
    set_: Sets = None,
    deadline: Annotated[str, typer.Option(metavar="TIME", help="Finish within it: 90m, 24h, 2d.")] = "",
    budget: Annotated[float | None, typer.Option(min=0, metavar="USD", help="Cost at most.")] = None,
    prefer: Annotated[Literal["cost", "time"], typer.Option(help="What to minimise.")] = "cost",
    spot: Spot = False,
    examples: Annotated[int | None, typer.Option(min=1, help="Training examples, where the data do not say.")] = None,
    units: Annotated[int | None, typer.Option(min=1, help="The model's outputs, where the data do not say.")] = None,
    interruptions: Annotated[float, typer.Option(min=0, help="Preemptions an hour on spot.")] = 0.05,
    calibrate: Annotated[
        list[str] | None, typer.Option(metavar="RUN", help="Correct the estimate by a finished run; repeat it.")
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="This machine as a row, too; its speed is probed once.")] = False,
    explain: Annotated[str, typer.Option(metavar="NAME", help="Every number for one accelerator.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Show every row, and why the others cannot.")] = False,
    runs: Annotated[Path | None, typer.Option("--runs", help="The folder of runs; also SUANLI_RUNS.")] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate time, cost and memory of training on every accelerator, and recommend one."""
    hours = duration(deadline) if deadline else None
    catalog = asked.catalog()
    if here or explain == "here":
        catalog = {**catalog, this_machine.NAME: this_machine.row()}
    row = find(catalog, explain) if explain else None
    named = experiments.load(experiment).with_settings(set_ or [])
    corrections = _corrections(runs, named, calibrate or [], catalog)
    job = jobs.from_experiment(named, examples=examples, units=units)
    if row:
        facts = planning.explain(job, row, calibrations=corrections, interruptions=interruptions)
        _explained(job, facts, as_json)
        return
    found = planning.plan(
        job,
        [row for row in catalog.values() if not row.refused],
        deadline_hours=hours,
        budget=budget,
        prefer=prefer,
        spot=spot,
        calibrations=corrections,
        interruptions=interruptions,
    )
    if as_json:
        output.as_document(finite(found.record()))
        return
    show(job, found, every=every)


def duration(text: str) -> float:
    """Hours of a time such as ``90m``, ``24h`` or ``1d12h``.

    Raises:
        StepError: it is none.
    """
    match = DURATION.match(text.strip())
    hours = (
        sum(float(part or 0) * size for part, size in zip(match.groups(), (24, 1, 1 / 60), strict=True)) if match else 0
    )
    if not hours:
        raise StepError(f"{text!r} is no time", advice="write 90m, 24h or 2d", kind="settings")
    return hours


def _corrections(runs: Path | None, named: NamedExperiment, given: list[str], catalog: Catalog) -> list[Calibration]:
    """What the named runs measured, and what this experiment's finished runs on clusters did.

    Raises:
        StepError: a named run has measured nothing.
    """
    root = folder.root(runs)
    chosen = [folder.find(root, which) for which in given]
    found = [calibration.from_run(run.read(), catalog.values(), run.id) for run in chosen]
    return [*found, *submitted.calibrations(submitted.finished(root, named.name), catalog)]


def _explained(job: Job, facts: Any, as_json: bool) -> None:
    if as_json:
        output.as_document(finite([fact.record() for fact in facts]))
        return
    for fact in facts:
        value = fact.value if isinstance(fact.value, str) else number(fact.value)
        print(f"{fact.name}: {value} {fact.unit}".rstrip())
        for line in (fact.formula, fact.source):
            if line:
                print(f"    {line}")


def show(job: Job, found: Plan, *, every: bool) -> None:
    """Print a plan as a table, the recommendation under it."""
    print("\n".join(heading(job)), end="\n\n")
    lines = found.lines if every else found.lines[:SHOWN]
    chosen = next((line for line in found.lines if line.row == found.choice), None)
    if chosen and chosen not in lines:
        lines = (*lines[:-1], chosen)
    head = ("", "accelerator", "examples/s", "hours", "USD", "spot USD", "GiB/chip", "bound by")
    output.columns([head, *(_cells(line, found) for line in lines)])
    if hidden := len(found.lines) - len(lines):
        print(f"   {hidden} more: --all")
    if every and found.refused:
        print()
        output.columns([("", refusal.row, refusal.reason) for refusal in found.refused])
    elif found.refused:
        print(f"   {len(found.refused)} cannot hold it: --all says why")
    print(f"\n{found.verdict}")
    for run in dict.fromkeys(line.calibrated for line in found.lines if line.calibrated):
        print(f"corrected by what run {run} measured")


def heading(job: Job) -> list[str]:
    """The job in words."""
    step = job.profile.step(job.precision)
    shape = f"{' x '.join(map(str, job.profile.input_shape))} {job.profile.input_dtype}"
    epochs = f"{job.epochs} epochs" if not job.patience else f"{job.epochs} epochs at most"
    seen = job.steps * job.batch_size
    size = f"{job.profile.parameters:,} parameters, {shape}, {flop(step.flops.each)} a training example"
    return [
        f"{job.experiment}: {job.profile.model}, {size}",
        f"{epochs} of {job.steps:,} steps of {job.batch_size} ({seen:,} of {job.examples:,} examples), {job.optimizer}",
    ]


def finite(value: Any) -> Any:
    """The same with null for numbers that JSON has not: a spot run that never ends."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flop(value: float) -> str:
    """Floating-point operations with a prefix."""
    for size, name in ((1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP")):
        if value >= size:
            return f"{value / size:.1f} {name}"
    return f"{value:,.0f} FLOP"


def _cells(line: Estimate, found: Plan) -> tuple[str, ...]:
    hours = line.hours(found.spot)
    return (
        "*" if line.row == found.choice else "",
        line.row,
        f"{line.examples_per_second:,.0f}",
        f"{hours:,.1f}" if hours >= 1 else f"{hours:.2f}",
        _usd(line.cost),
        _usd(line.spot_cost),
        f"{line.memory / 2**30:.1f} of {line.memory_limit / 2**30:.0f}",
        line.bound,
    )


def _usd(value: float | None) -> str:
    return "?" if value is None else f"{value:,.2f}"


def number(value: float) -> str:
    """A number with four figures that count, in groups of three."""
    if value and (abs(value) >= 1e7 or abs(value) < 1e-3):
        return f"{value:.4g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"
