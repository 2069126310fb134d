"""This machine as a row: measured once, then planned like any other."""

from pathlib import Path

import pytest
from planning import job

from pipelines.hardware.planner import local_machine
from pipelines.hardware.planner.plan import plan


def test_this_machine_is_measured_once_and_planned_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = local_machine.row(tmp_path)
    assert row.kind == "cpu" and row.on_demand is None
    # Between a slow core of ten years ago and more than any core has.
    assert 2e9 < row.peak["float32"] / row.vcpus < 1e12
    assert 5e8 < row.bandwidth / row.vcpus < 1e12
    monkeypatch.setattr(local_machine, "TIMEOUT_S", 0)  # no time to measure again
    assert local_machine.row(tmp_path) == row
    (line,) = plan(job(), [row]).lines
    assert line.examples_per_second > 0 and line.cost is None
