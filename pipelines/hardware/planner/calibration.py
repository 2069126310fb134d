"""Calibration: the speeds that finished runs measured, divided by the planner's predictions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import StepError
from pipelines.experiment import Experiment, NamedExperiment
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner import duration, jobs

# Pattern of a product name as frameworks report it -> chip of the catalog; the first match counts.
CHIPS: tuple[tuple[str, str], ...] = (
    (r"\bT4\b", "t4"),
    (r"\bV100\b", "v100"),
    (r"\bP100\b", "p100"),
    (r"\bP4\b", "p4"),
    (r"\bL4\b", "l4"),
    (r"A100.*80", "a100-80g"),
    (r"A100", "a100-40g"),
    (r"H200", "h200"),
    (r"H100", "h100"),
    (r"B200", "b200"),
    (r"RTX PRO 6000", "rtx-pro-6000"),
    (r"TPU v6|v6e", "v6e"),
    (r"TPU v5 ?lite|v5e", "v5e"),
    (r"TPU v5", "v5p"),
    (r"TPU v4", "v4"),
)
DEVICE = re.compile(r"^(\d+) x (cpu|gpu|tpu) \((.*)\), (\w+), (\w+), (\d+) threads$")


@dataclass(frozen=True)
class Calibration:
    """A measured speed.

    Attributes:
        kind: of the device: ``cpu``, ``gpu`` or ``tpu``.
        chip: of the catalog; for a CPU its product name.
        precision: Keras's dtype policy.
        measured: examples a second.
        predicted: examples a second.
        source: the run.
    """

    kind: str
    chip: str
    precision: str
    measured: float
    predicted: float
    source: str

    @property
    def factor(self) -> float:
        """The factor for further predictions."""
        return self.measured / self.predicted


def from_run(
    record: Mapping[str, Any], rows: Iterable[Row], source: str = "", cache: Path | None = None
) -> Calibration:
    """The calibration by a finished run.

    Args:
        record: the run's run.json.
        rows: the catalog.
        source: the run's name.

    Raises:
        StepError: the run has not measured a training speed, or its device is not in the catalog.
    """
    measured = record.get("training") or {}
    rate, match = float(measured.get("examples_per_second") or 0), DEVICE.match(str(measured.get("device", "")))
    if not rate or not match:
        raise StepError(
            f"run {source or '?'} has measured no training speed",
            advice="calibrate with a run whose train step has finished",
            kind="settings",
        )
    count, kind, name, _, precision, threads = match.groups()
    row = _row(kind, name, int(count), int(threads), list(rows))
    if row is None:
        raise StepError(f"run {source}: no row of the catalog is {count} x {name}", kind="settings")
    experiment = Experiment.from_sections(record["parameters"])
    job = jobs.from_experiment(NamedExperiment(str(record.get("experiment", "")), "", experiment), cache=cache)
    predicted = duration.predict(job, row, precision).rate
    return Calibration(kind, name if kind == "cpu" else row.chip, precision, rate, predicted, source)


def _row(kind: str, name: str, count: int, threads: int, rows: Sequence[Row]) -> Row | None:
    """The row of a run's device. A CPU is compared with the catalog's CPUs, thread by thread."""
    if kind == "cpu":
        cpu = next((row for row in rows if row.kind == "cpu"), None)
        return scaled(cpu, threads) if cpu else None
    chip = next((chip for pattern, chip in CHIPS if re.search(pattern, name)), "")
    return next((row for row in rows if row.chip == chip and row.count == count and row.hosts == 1), None)


def scaled(row: Row, vcpus: int) -> Row:
    """A CPU row with another number of vCPUs."""
    share = vcpus / row.vcpus
    peak = {name: value * share for name, value in row.peak.items()}
    peak.setdefault("mixed_bfloat16", peak["float32"])
    return row.model_copy(update={"vcpus": vcpus, "peak": peak, "bandwidth": row.bandwidth * share})


def for_row(calibrations: Iterable[Calibration], row: Row) -> Calibration | None:
    """The newest calibration for a row: of the same chip, or of any CPU for a CPU."""
    matching = [each for each in calibrations if each.kind == row.kind and (row.kind == "cpu" or each.chip == row.chip)]
    return matching[-1] if matching else None
