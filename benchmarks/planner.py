"""The planner against what was published, and against this machine: speed, memory, and its own time.

``python -m benchmarks.planner`` prints all; ``--published``, ``--here`` or ``--fit`` one part.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import _published as published
from benchmarks._published import GOAL, Judged
from pipelines import experiment
from pipelines.hardware import catalog
from pipelines.hardware.planner import jobs, plan, profiles, throughput
from pipelines.hardware.planner.memory import FLOAT, SLOTS, activations, traced
from pipelines.hardware.planner.throughput import Chip

MIB = 2**20
SAME = {"padding": "same"}
# name, model section, input shape, batch, steps of an epoch, held out of the CPU's fit.
HERE: tuple[tuple[str, dict[str, Any], tuple[int, int, int], int, int, bool], ...] = (
    ("cnn, 32 px", {"name": "cnn"}, (32, 32, 3), 64, 100, True),
    ("cnn, 28 px", {"name": "cnn", **SAME}, (28, 28, 1), 64, 100, True),
    ("resnet18, 32 px", {"name": "resnet", "depth": 18}, (32, 32, 3), 64, 3, True),
    ("resnet18, 96 px", {"name": "resnet", "depth": 18}, (96, 96, 3), 32, 4, True),
    ("resnet34, 32 px", {"name": "resnet", "depth": 34}, (32, 32, 3), 32, 3, False),
    ("resnet50, 64 px", {"name": "resnet", "depth": 50}, (64, 64, 3), 32, 4, False),
    ("wide cnn, 32 px", {"name": "cnn", "filters": (64, 128, 256), **SAME, "dense": 512}, (32, 32, 3), 64, 25, False),
    ("deep cnn, 64 px", {"name": "cnn", "filters": (32, 64, 128, 256), **SAME}, (64, 64, 3), 64, 12, False),
)
SPEED_GOAL, MEMORY_GOAL = 0.25, 0.2


def main(asked: Sequence[str] = ()) -> None:
    """Print the parts asked for, or all but the fit."""
    if "--fit" in asked:
        fit()
        return
    if "--here" not in asked:
        against_published()
    if "--published" not in asked:
        against_this_machine()
        own_time()


def fit() -> None:
    """Print the GPU efficiencies that fit the published cases best."""
    chosen = [case for case in published.cases() if case.devices == 1 and not case.held]
    known = published.profiled(case.network for case in chosen)
    gpus = [case for case in chosen if published.chip(case).kind == "gpu"]
    print(json.dumps(published.fitted(gpus, known).record(), indent=1))


def against_published() -> None:
    """Print every case, the held-out ones first, then sets that judge other things."""
    every, aside = published.cases(), published.cases(aside=True)
    known = published.profiled(case.network for case in [*every, *aside])
    one = [case for case in every if case.devices == 1 or case.chip == "tpu-v3"]
    tables = (
        ("held out of the fit", [case for case in one if case.held or case.devices > 4]),
        ("fitted", [case for case in one if not case.held and case.devices <= 4]),
        ("several GPUs (only the link's share was chosen on these)", [case for case in every if case not in one]),
        ("set aside", aside),
    )
    for title, chosen in tables:
        answers = sorted(published.judged(chosen, known), key=lambda one: (one.case.network, one.case.chip))
        print(f"\n{title}: network, chip, precision, chips | published, examples/s | predicted | ratio")
        for answer in answers:
            print(_row(answer))
        middle, most = published.spread(answers)
        off = sum(abs(answer.ratio - 1) > GOAL for answer in answers)
        print(
            f"{off} of {len(answers)} more than {GOAL:.0%} off; "
            f"half within x{middle:.2f}, nine tenths within x{most:.2f}"
        )


def _row(answer: Judged) -> str:
    case = answer.case
    rates = f"{min(answer.rates):,.0f} - {max(answer.rates):,.0f}" if len(answer.rates) > 1 else f"{case.rate:,.0f}"
    far = " <- off" if abs(answer.ratio - 1) > GOAL else ""
    name = f"{case.network}, {case.chip}, {case.precision}, {case.devices}"
    return f"{name:52} | {rates:>17} | {answer.predicted:>8,.0f} | {answer.ratio:.2f} | {case.framework}{far}"


def against_this_machine() -> None:
    """Print speed and memory of real training runs beside the planner's numbers."""
    print(
        "\nthis machine: model | examples/s of CPU time: measured, predicted, ratio | MiB: measured, predicted, ratio"
    )
    for name, section, shape, batch, steps, held in HERE:
        measured, probe = _trained(section, shape, batch, steps), _run("components.profile.probe", "")
        profile = profiles.profile(_whole(section), {"input_shape": list(shape), "units": 10})
        here = Chip("cpu", "float32", probe["conv"]["float32"], probe["bandwidth"])
        speed = throughput.step(profile, "float32", batch, here).rate
        variables = FLOAT * (profile.parameters + SLOTS["adam"] * profile.trainable)
        working = max(FLOAT * profile.trainable, activations(profile, "float32", "cpu", batch))
        memory = variables + working + traced(profile, "float32")
        ratio, share = speed / measured["work_rate"], memory / measured["bytes"]
        told = f"{name:16}{' (held out)' if held else '':11}| {measured['work_rate']:>7,.1f} {speed:>7,.1f} {ratio:.2f}"
        print(f"{told} | {measured['bytes'] / MIB:>6,.0f} {memory / MIB:>6,.0f} {share:.2f}", flush=True)


def _whole(section: dict[str, Any]) -> dict[str, Any]:
    from components.core.config import checked, section_class

    values: dict[str, Any] = checked("model", section_class("model", section), section).parameters()
    return values


def _trained(section: dict[str, Any], shape: tuple[int, ...], batch: int, steps: int) -> dict[str, Any]:
    request = {"model": section, "shape": shape, "units": 10, "batch": batch, "steps": steps}
    return _run("benchmarks._measured", json.dumps({**request, "training": {"precision": "float32"}}))


def _run(module: str, request: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", module], input=request, capture_output=True, text=True, check=True)
    values: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return values


def own_time() -> None:
    """Print how long the whole catalog takes once a model's profile is known."""
    named = experiment.load("imagenet")
    jobs.from_experiment(named)
    began = time.perf_counter()
    answer = plan.plan(jobs.from_experiment(named), catalog.load().values(), deadline_hours=24)
    took = time.perf_counter() - began
    print(f"\nplanning {len(answer.lines) + len(answer.refused)} rows: {took:.2f} s (goal 1 s)")


if __name__ == "__main__":
    main(sys.argv[1:])
