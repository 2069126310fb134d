import json
import time
from typing import Any

import pytest

from components.train import goodput
from components.train.goodput import GoodputTracker


@pytest.fixture
def tracker() -> GoodputTracker:
    return GoodputTracker({}, time.monotonic())


def rounded(tracker: GoodputTracker) -> dict[str, float]:
    return {part: round(seconds, 1) for part, seconds in tracker.snapshot()["seconds"].items() if seconds >= 0.05}


def test_every_second_has_a_category(tracker: GoodputTracker) -> None:
    began = time.monotonic()
    with tracker.measure("startup"):
        time.sleep(0.1)
    with tracker.measure("checkpoints"):
        time.sleep(0.2)
    time.sleep(0.1)
    assert rounded(tracker) == {"startup": 0.1, "checkpoints": 0.2, "other": 0.1}
    assert sum(tracker.snapshot()["seconds"].values()) == pytest.approx(time.monotonic() - began, abs=0.05)


def test_time_inside_of_another_category_is_counted_once(tracker: GoodputTracker) -> None:
    with tracker.measure("validation"):
        time.sleep(0.1)
        with tracker.measure("checkpoints"):
            time.sleep(0.2)
        tracker.add("input", 0.05)
    assert tracker.seconds["checkpoints"] == pytest.approx(0.2, abs=0.03)
    assert tracker.seconds["validation"] == pytest.approx(0.05, abs=0.03)


def test_waiting_for_input_comes_out_of_the_steps_and_never_of_more_than_they_took() -> None:
    tracker = GoodputTracker({"steps": 10.0}, time.monotonic())
    tracker.move("steps", "input", 4.0)
    assert tracker.goodput == pytest.approx(0.6, abs=0.001)
    tracker.move("steps", "input", 40.0)
    assert tracker.goodput == 0 and tracker.seconds["input"] == 10


def test_goodput_is_the_share_of_kept_steps_over_all_attempts() -> None:
    first = GoodputTracker({"steps": 60.0, "startup": 10.0}, time.monotonic())
    checkpoint = json.loads(json.dumps(first.snapshot()))
    first.add("steps", 25.0)
    first.started -= 25
    snapshot = first.snapshot()
    # Killed here: what came after the checkpoint is done again.
    again = GoodputTracker.resume(checkpoint, snapshot)
    again.started = time.monotonic()
    assert again.seconds["recomputed"] == pytest.approx(25.0, abs=0.01)
    again.add("steps", 25.0)
    again.started -= 25
    values = again.metrics()
    assert values["attempts"] == 2
    assert values["goodput"] == pytest.approx(85 / 120, abs=0.001)
    assert sum(float(values[f"seconds_{part}"]) for part in goodput.CATEGORIES) == pytest.approx(120, abs=0.1)


def test_losses_before_a_resume_stay_lost_at_the_next() -> None:
    values: dict[str, Any] = {"seconds": {"steps": 50.0}, "attempts": 1}
    for lost in (5.0, 7.0):
        snapshot = {"seconds": {**values["seconds"], "other": lost}, "attempts": values["attempts"]}
        tracker = GoodputTracker.resume(values, snapshot)
        tracker.started = time.monotonic()
        values = tracker.snapshot()
    assert values["seconds"]["recomputed"] == 12.0 and values["attempts"] == 3


def test_nothing_is_made_up_without_a_snapshot() -> None:
    tracker = GoodputTracker.resume({"seconds": {"steps": 5.0}, "attempts": 1})
    assert tracker.seconds["recomputed"] == 0 and tracker.attempts == 2


def test_an_attempt_begins_with_its_process() -> None:
    tracker = GoodputTracker.resume({})
    # Collecting these tests took longer than this test has.
    assert 0 < tracker.snapshot()["seconds"]["other"] < 3600
    assert tracker.snapshot()["seconds"]["other"] == pytest.approx(goodput._process_age(), abs=0.1)


def test_snapshots_are_written_at_once_and_now_and_then(tracker: GoodputTracker) -> None:
    snapshots: list[dict[str, Any]] = []
    with tracker.saved_periodically(snapshots.append, every=0.05):
        time.sleep(0.3)
    assert 3 <= len(snapshots) <= 8 and snapshots[-1]["seconds"]["other"] > snapshots[0]["seconds"]["other"]
    seen = len(snapshots)
    time.sleep(0.15)
    assert len(snapshots) == seen


def test_training_continues_if_a_snapshot_cannot_be_written(
    tracker: GoodputTracker, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: dict[str, Any]) -> None:
        raise OSError("No space left on device")

    with tracker.saved_periodically(full, every=0.01):
        time.sleep(0.1)
    assert capsys.readouterr().out == "warning: goodput is no longer saved: No space left on device\n"


def test_the_summary_of_the_metrics_is_one_line() -> None:
    values = GoodputTracker({"steps": 70.0, "startup": 20.0, "recomputed": 9.9}, time.monotonic(), 2).metrics()
    assert goodput.summary(values) == "70% of 100 s in kept steps, 2 attempts; startup 20%, recomputed 10%"
    assert goodput.summary({"accuracy": 0.9}) == ""
