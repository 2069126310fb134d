import io
from typing import Any

import pytest

from components.core import choices
from pipelines.runs import display

RECORD: dict[str, Any] = {"steps": {}, "metrics": {}, "status": "succeeded", "seconds": 100.0}


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (
            {"goodput": 0.7, "attempts": 2, "seconds_steps": 70.0, "seconds_startup": 20.0, "seconds_recomputed": 10.0},
            "training: 70% of 100 s in kept steps, 2 attempts; startup 20%, recomputed 10%\n",
        ),
        ({"examples_per_second": 900.0}, ""),
    ],
)
def test_a_run_s_summary_tells_where_its_training_time_went(training: dict[str, Any], said: str) -> None:
    stream = io.StringIO()
    display.summary({**RECORD, "training": training}, "runs/one", stream)
    text = stream.getvalue()
    assert said in text and ("kept steps" in text) == bool(said)


@pytest.mark.parametrize("task", choices.names("tasks"))
def test_a_table_shows_each_run_by_the_metric_of_its_own_task(task: str) -> None:
    name = display.paired_metric({"parameters": {"data": {"task": task}}})
    assert name in choices.load("tasks", task).Settings.metrics
    assert display.metric({name: 0.91234, "other": 1.0}, name) == f"{name} 0.9123"
    assert display.metric({}, name) == ""


@pytest.mark.parametrize("data", [{"task": "gone"}, {}])
def test_a_run_of_a_task_that_is_no_longer_here_is_shown_without_a_metric(data: dict[str, str]) -> None:
    assert display.paired_metric({"parameters": {"data": data}}) == ""
    assert display.metric({"accuracy": 0.9}, "") == ""


@pytest.mark.parametrize(
    ("decided", "outcome", "said"),
    [
        ({"accepted": True}, "accepted", "The model is ACCEPTED"),
        ({"accepted": False}, "refused", "The model is REFUSED: the champion stays"),
        ({"accepted": False, "outcome": None}, "refused", "REFUSED"),
        ({"accepted": False, "outcome": "unchanged"}, "unchanged", "NOTHING NEW: the model has the champion's weights"),
        ({"accepted": None, "outcome": None}, "", ""),
        ({}, "", ""),
    ],
    ids=["accepted", "refused", "refused, of older code", "nothing new", "not decided", "no evaluation"],
)
def test_the_three_outcomes_are_told(decided: dict[str, Any], outcome: str, said: str) -> None:
    assert display.outcome(decided) == outcome
    stream = io.StringIO()
    display.summary({**RECORD, "reasons": [], **decided}, "runs/one", stream)
    assert said in stream.getvalue()
    assert ("The model" in stream.getvalue()) == (outcome in ("accepted", "refused"))
