"""``suanli plan``: which accelerator, for how long, at what cost, before anything is paid for."""

import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from components import data
from components.core import project
from pipelines import experiment as experiments
from pipelines.cli.options import AsJson, Experiment, Runs, Sets, Spot, hours
from pipelines.cli.output import print_json, print_table, usd
from pipelines.cluster import submitted
from pipelines.experiment import NamedExperiment
from pipelines.hardware import catalog
from pipelines.hardware.catalog import Catalog
from pipelines.hardware.planner import calibration, jobs, local_machine
from pipelines.hardware.planner import plan as planning
from pipelines.hardware.planner.calibration import Calibration
from pipelines.hardware.planner.jobs import Job
from pipelines.hardware.planner.plan import Estimate, Plan
from pipelines.runs import folder

SHOWN = 12


def plan(
    experiment: Experiment,
    sets: Sets = None,
    deadline: Annotated[str, typer.Option(metavar="TIME", help="Finish within this time: 90m, 24h, 2d.")] = "",
    budget: Annotated[float | None, typer.Option(min=0, metavar="USD", help="Maximum cost.")] = None,
    prefer: Annotated[Literal["cost", "time"], typer.Option(help="What to minimise.")] = "cost",
    spot: Spot = False,
    examples: Annotated[
        int | None, typer.Option(min=1, help="Number of training examples, if the source does not know it.")
    ] = None,
    units: Annotated[
        int | None, typer.Option(min=1, help="Number of model outputs, if the source does not know it.")
    ] = None,
    interruptions: Annotated[float, typer.Option(min=0, help="Preemptions per hour on spot.")] = 0.05,
    calibrate: Annotated[
        list[str] | None, typer.Option(metavar="RUN", help="Correct the estimate by a finished run; repeatable.")
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="Include this machine; its speed is measured once.")] = False,
    explain: Annotated[str, typer.Option(metavar="NAME", help="Explain every number of one accelerator.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Show every row, and why others do not fit.")] = False,
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Estimate time, cost and memory of training on every accelerator, and recommend one."""
    deadline_hours = hours(deadline) if deadline else None
    rows = catalog.load(project.folder())
    if here or explain == local_machine.NAME:
        rows = {**rows, local_machine.NAME: local_machine.row()}
    row = catalog.find(rows, explain) if explain else None
    named = experiments.load(experiment).with_settings(sets or [])
    if examples is None or units is None:
        data.check(named.experiment.data)
    calibrations = _calibrations(runs, named, calibrate or [], rows)
    job = jobs.from_experiment(named, examples=examples, units=units)
    if row:
        facts = planning.explain(job, row, calibrations=calibrations, interruptions=interruptions)
        _explain(facts, as_json)
        return
    result = planning.plan(
        job,
        [row for row in rows.values() if not row.refused],
        deadline_hours=deadline_hours,
        budget=budget,
        prefer=prefer,
        spot=spot,
        calibrations=calibrations,
        interruptions=interruptions,
    )
    if problem := named.experiment.gate_problem():
        print(f"warning: {problem}", file=sys.stderr)
    if as_json:
        print_json(finite(result.record()))
    else:
        _show(job, result, every=every)


def _calibrations(runs: Path | None, named: NamedExperiment, which: list[str], rows: Catalog) -> list[Calibration]:
    """What the named runs measured, and this experiment's finished runs on clusters.

    Raises:
        StepError: a named run has no measurements.
    """
    root = folder.root(runs)
    chosen = [folder.find(root, run) for run in which]
    measured = [calibration.from_run(run.read(), rows.values(), run.id) for run in chosen]
    return [*measured, *submitted.calibrations(submitted.finished(root, named.name), rows)]


def _explain(facts: Any, as_json: bool) -> None:
    if as_json:
        print_json(finite([fact.record() for fact in facts]))
        return
    for fact in facts:
        value = fact.value if isinstance(fact.value, str) else number(fact.value)
        print(f"{fact.name}: {value} {fact.unit}".rstrip())
        for line in (fact.formula, fact.source):
            if line:
                print(f"    {line}")


def _show(job: Job, result: Plan, *, every: bool) -> None:
    """Print a plan as a table, followed by the recommendation."""
    print("\n".join(heading(job)), end="\n\n")
    estimates = result.lines if every else result.lines[:SHOWN]
    chosen = next((estimate for estimate in result.lines if estimate.row == result.choice), None)
    if chosen and chosen not in estimates:
        estimates = (*estimates[:-1], chosen)
    head = ("", "accelerator", "examples/s", "hours", "USD", "spot USD", "GiB/chip", "bound by")
    print_table([head, *(_cells(estimate, result) for estimate in estimates)])
    if hidden := len(result.lines) - len(estimates):
        print(f"   {hidden} more: --all")
    if every and result.refused:
        print()
        print_table([("", refusal.row, refusal.reason) for refusal in result.refused])
    elif result.refused:
        print(f"   {len(result.refused)} cannot hold it: --all says why")
    print(f"\n{result.verdict}")
    for run in dict.fromkeys(estimate.calibrated for estimate in result.lines if estimate.calibrated):
        print(f"corrected by the measurements of run {run}")


def heading(job: Job) -> list[str]:
    """The job in two lines."""
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
    """The same with null for numbers that JSON does not have, such as the duration of a spot run that never ends."""
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


def _cells(estimate: Estimate, result: Plan) -> tuple[str, ...]:
    hours = estimate.hours(result.spot)
    return (
        "*" if estimate.row == result.choice else "",
        estimate.row,
        f"{estimate.examples_per_second:,.0f}",
        f"{hours:,.1f}" if hours >= 1 else f"{hours:.2f}",
        usd(estimate.cost),
        usd(estimate.spot_cost),
        f"{estimate.memory / 2**30:.1f} of {estimate.memory_limit / 2**30:.0f}",
        estimate.bound,
    )


def number(value: float) -> str:
    """A number with four significant figures, grouped by thousands."""
    if value and (abs(value) >= 1e7 or abs(value) < 1e-3):
        return f"{value:.4g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"
