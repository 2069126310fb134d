import json
import time
from typing import Any

import pytest

from components.train import goodput
from components.train.goodput import Ledger


@pytest.fixture
def ledger() -> Ledger:
    return Ledger({}, time.monotonic())


def rounded(ledger: Ledger) -> dict[str, float]:
    return {part: round(seconds, 1) for part, seconds in ledger.state()["seconds"].items() if seconds >= 0.05}


def test_every_second_is_some_part_s(ledger: Ledger) -> None:
    began = time.monotonic()
    with ledger.spending("startup"):
        time.sleep(0.1)
    with ledger.spending("checkpoints"):
        time.sleep(0.2)
    time.sleep(0.1)
    assert rounded(ledger) == {"startup": 0.1, "checkpoints": 0.2, "other": 0.1}
    assert sum(ledger.state()["seconds"].values()) == pytest.approx(time.monotonic() - began, abs=0.05)


def test_what_lies_inside_of_another_part_is_counted_once(ledger: Ledger) -> None:
    with ledger.spending("validation"):
        time.sleep(0.1)
        with ledger.spending("checkpoints"):
            time.sleep(0.2)
        ledger.took("input", 0.05)
    assert ledger.seconds["checkpoints"] == pytest.approx(0.2, abs=0.03)
    assert ledger.seconds["validation"] == pytest.approx(0.05, abs=0.03)


def test_waiting_for_input_comes_out_of_the_steps_and_never_of_more_than_they_took() -> None:
    ledger = Ledger({"steps": 10.0}, time.monotonic())
    ledger.moved("steps", "input", 4.0)
    assert ledger.goodput == pytest.approx(0.6, abs=0.001)
    ledger.moved("steps", "input", 40.0)
    assert ledger.goodput == 0 and ledger.seconds["input"] == 10


def test_goodput_is_the_share_of_kept_steps_over_all_attempts() -> None:
    first = Ledger({"steps": 60.0, "startup": 10.0}, time.monotonic())
    checkpoint = json.loads(json.dumps(first.state()))
    first.took("steps", 25.0)
    first.began -= 25
    mark = first.state()
    # Killed here: what came after the checkpoint is done again.
    again = Ledger.resumed(checkpoint, mark)
    again.began = time.monotonic()
    assert again.seconds["recomputed"] == pytest.approx(25.0, abs=0.01)
    again.took("steps", 25.0)
    again.began -= 25
    values = again.metrics()
    assert values["attempts"] == 2
    assert values["goodput"] == pytest.approx(85 / 120, abs=0.001)
    assert sum(float(values[f"seconds_{part}"]) for part in goodput.PARTS) == pytest.approx(120, abs=0.1)


def test_losses_before_a_resume_stay_lost_at_the_next() -> None:
    values: dict[str, Any] = {"seconds": {"steps": 50.0}, "attempts": 1}
    for lost in (5.0, 7.0):
        mark = {"seconds": {**values["seconds"], "other": lost}, "attempts": values["attempts"]}
        ledger = Ledger.resumed(values, mark)
        ledger.began = time.monotonic()
        values = ledger.state()
    assert values["seconds"]["recomputed"] == 12.0 and values["attempts"] == 3


def test_without_a_mark_nothing_is_made_up() -> None:
    ledger = Ledger.resumed({"seconds": {"steps": 5.0}, "attempts": 1})
    assert ledger.seconds["recomputed"] == 0 and ledger.attempts == 2


def test_an_attempt_begins_with_its_process() -> None:
    ledger = Ledger.since_start()
    # Collecting these tests took longer than this test has.
    assert 0 < ledger.state()["seconds"]["other"] < 3600
    assert ledger.state()["seconds"]["other"] == pytest.approx(goodput._age(), abs=0.1)


def test_marks_are_written_at_once_and_now_and_then(ledger: Ledger) -> None:
    marks: list[dict[str, Any]] = []
    with ledger.marked(marks.append, every=0.05):
        time.sleep(0.3)
    assert 3 <= len(marks) <= 8 and marks[-1]["seconds"]["other"] > marks[0]["seconds"]["other"]
    seen = len(marks)
    time.sleep(0.15)
    assert len(marks) == seen


def test_a_mark_that_cannot_be_written_stops_no_training(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    def full(_: dict[str, Any]) -> None:
        raise OSError("No space left on device")

    with ledger.marked(full, every=0.01):
        time.sleep(0.1)
    assert capsys.readouterr().out == "warning: no more marks of the time spent: No space left on device\n"


def test_the_metrics_are_told_in_one_line() -> None:
    values = Ledger({"steps": 70.0, "startup": 20.0, "recomputed": 9.9}, time.monotonic(), 2).metrics()
    assert goodput.told(values) == "70% of 100 s in kept steps, 2 attempts; startup 20%, recomputed 10%"
    assert goodput.told({"accuracy": 0.9}) == ""
