"""Calibration: a finished run's measured speed against what was predicted for it."""

from pathlib import Path
from typing import Any

import pytest

from components.core.errors import StepError
from pipelines import experiment
from pipelines.hardware import catalog
from pipelines.hardware.planner import calibration, duration, jobs

ROWS = catalog.load()


@pytest.fixture(scope="module")
def cache(cache_home: Path) -> Path:
    return cache_home / "profiles"


def record(device: str, rate: float = 1000.0) -> dict[str, Any]:
    sections = experiment.load("digits").experiment.sections()
    return {"experiment": "digits", "parameters": sections, "training": {"examples_per_second": rate, "device": device}}


@pytest.mark.parametrize(
    ("device", "chip", "row"),
    [
        ("1 x gpu (NVIDIA L4), tensorflow, mixed_bfloat16, 8 threads", "l4", "l4"),
        ("1 x gpu (Tesla V100-SXM2-16GB), tensorflow, mixed_float16, 8 threads", "v100", "v100"),
        ("1 x gpu (NVIDIA A100-SXM4-40GB), tensorflow, mixed_bfloat16, 12 threads", "a100-40g", "a100-40g"),
        ("8 x gpu (NVIDIA A100-SXM4-80GB), tensorflow, mixed_bfloat16, 96 threads", "a100-80g", "a100-80gx8"),
        ("4 x tpu (TPU v5 lite), jax, mixed_bfloat16, 112 threads", "v5e", "v5e-4"),
        ("4 x tpu (TPU v6 lite), jax, mixed_bfloat16, 180 threads", "v6e", "v6e-4"),
    ],
)
def test_a_runs_device_is_found_in_the_catalog(cache: Path, device: str, chip: str, row: str) -> None:
    found = calibration.from_run(record(device), ROWS.values(), "run-1", cache)
    assert (found.chip, found.measured, found.source) == (chip, 1000.0, "run-1")
    job = jobs.from_experiment(experiment.load("digits"), cache=cache)
    assert found.factor == pytest.approx(1000.0 / duration.predict(job, ROWS[row], found.precision).rate)
    assert calibration.for_row([found], ROWS[row]) == found


def test_any_cpu_speaks_for_cpus_by_its_threads(cache: Path) -> None:
    device = "1 x cpu (Intel(R) Xeon(R) Processor), tensorflow, float32, {} threads"
    two, four = (calibration.from_run(record(device.format(n)), ROWS.values(), "", cache) for n in (2, 4))
    assert two.predicted < four.predicted
    assert calibration.for_row([two], ROWS["cpu-32"]) == two
    assert calibration.for_row([two], ROWS["l4"]) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "has measured no training speed"),
        (record("1 x cpu (X), tensorflow, float32, 2 threads", 0.0), "has measured no training speed"),
        (record("1 x gpu (Radeon), tensorflow, float32, 2 threads"), "no row of the catalog is 1 x Radeon"),
        (record("3 x gpu (NVIDIA L4), tensorflow, float32, 2 threads"), "no row of the catalog is 3 x NVIDIA L4"),
    ],
)
def test_a_run_that_measured_nothing_useful_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=message):
        calibration.from_run(values, ROWS.values(), "run-1")
