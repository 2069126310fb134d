"""The page of all runs, of a few and of a thousand."""

import json
import re
from pathlib import Path
from typing import Any

import accessibility
import pytest

from components.core.errors import StepError
from pipelines.runs import overview
from pipelines.runs.folder import Run

PARAMETERS = {"data": {"task": "image_classification", "name": "digits"}, "training": {"epochs": 10, "seed": 0}}


def record(number: int, **changes: Any) -> dict[str, Any]:
    metrics = {"accuracy": 0.9 + number / 1e5, "accuracy_low": 0.88, "accuracy_high": 0.95, "loss": 0.3}
    parameters = {**PARAMETERS, "training": {"epochs": 10, "seed": number % 3 and 0}}
    ended = {"status": "succeeded", "accepted": True, "seconds": 12.0, "started": 1.7e9 + number}
    common = {"experiment": "digits", "description": "", "steps": {}, "parameters": parameters, "metrics": metrics}
    return {"id": f"20260101-{number:06}-digits", **common, **ended, **changes}


def lay(root: Path, records: list[dict[str, Any]]) -> None:
    for values in records:
        run = Run(root / values["id"])
        (run.folder / "steps").mkdir(parents=True)
        (run.folder / "run.json").write_text(json.dumps(values))
        data = {"examples": {"metadata": {"fingerprint": "d1"}}}
        step = {"step": "evaluate", "started": 1, "inputs": data}
        (run.folder / "steps/evaluate.json").write_text(json.dumps(step))


@pytest.mark.parametrize("count", [2, 1000])
def test_it_has_a_row_for_each_run_and_no_serious_fault(tmp_path: Path, count: int) -> None:
    lay(tmp_path, [record(number) for number in range(count)])
    text = overview.write(tmp_path).read_text()
    assert accessibility.faults(text) == []
    assert text.count('<input type="checkbox"') == count and len(text) < 1_000 * count + 60_000
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    assert len(data["runs"]) == count and {run["test"] for run in data["runs"].values()} == {"d1"}
    assert data["runs"]["20260101-000001-digits"]["metrics"]["accuracy"] == ["90.00\xa0%", "88.00\xa0% to 95.00\xa0%"]


def test_what_is_unusual_differs_from_most_runs_of_the_experiment(tmp_path: Path) -> None:
    changed = {**PARAMETERS, "training": {"epochs": 30, "seed": 0}}
    lay(
        tmp_path,
        [record(0), record(1), record(2, parameters=changed), record(3, experiment="other", parameters=changed)],
    )
    rows = re.findall(r"<tr>.*?</tr>", overview.write(tmp_path).read_text(), re.DOTALL)[1:]
    assert ["training.epochs=30" in row for row in rows] == [False, True, False, False]


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    lay(tmp_path, [record(0, experiment=hostile), record(1, status=hostile, metrics={hostile: 0.5})])
    text = overview.write(tmp_path).read_text()
    assert "<script>alert" not in text and accessibility.faults(text) == []


def test_a_damaged_and_an_unfinished_run_have_their_rows_too(tmp_path: Path) -> None:
    lay(tmp_path, [record(0), record(1, metrics={}, status="failed", accepted=None), record(2)])
    (tmp_path / "20260101-000002-digits/run.json").write_text("{")
    text = overview.write(tmp_path).read_text()
    assert "damaged" in text and "failed" in text and accessibility.faults(text) == []


def test_metrics_of_other_tasks_do_not_share_an_axis(tmp_path: Path) -> None:
    other = {"data": {"task": "text_generation"}}
    lay(tmp_path, [record(0), record(1, parameters=other, metrics={"log_likelihood": -2.5})])
    text = overview.write(tmp_path).read_text()
    assert 'class="chart">interval</th>' in text and "-2.5000" in text and accessibility.faults(text) == []


def test_without_runs_it_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="there are no runs"):
        overview.write(tmp_path)
