"""Plans: who can hold a job, who cannot and why, and which one is recommended."""

import json
import math
from dataclasses import replace

import pytest
from planning import PROFILE, job

from components.core.errors import StepError
from components.profile import Profile, Size
from pipelines.hardware import catalog
from pipelines.hardware.planner.calibration import Calibration
from pipelines.hardware.planner.plan import explain, format_duration, misfit, plan

ROWS = catalog.load()


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("l4", {}, ""),
        ("t4", {"precision": "mixed_bfloat16"}, "no units for mixed_bfloat16; it has float32, mixed_float16"),
        ("v5e-4", {"precision": "mixed_float16"}, "no units for mixed_float16"),
        ("l4x8", {"batch_size": 100}, "a batch of 100 cannot be divided among 8 chips; 96 or 104 can"),
        ("l4x8", {"batch_size": 4}, "a batch of 4 cannot be divided among 8 chips; 8 can"),
        ("v5e-16", {}, "this slice has 4 machines"),
        ("v5e-1", {"batch_size": 4096}, "the largest batch that fits is"),
        ("v5e-1", {"backend": "tensorflow"}, "its image trains with jax, not with tensorflow"),
    ],
)
def test_a_row_says_why_it_cannot_hold_a_job(name: str, changes: dict[str, object], reason: str) -> None:
    found = misfit(job(**changes), ROWS[name])
    assert reason in found
    assert bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("l4", "mixed_bfloat16"),
        ("t4", "mixed_float16"),
        ("p100", "float32"),
        ("v6e-4", "mixed_bfloat16"),
        ("cpu-8", "float32"),
    ],
)
def test_auto_is_what_the_device_does_best(name: str, precision: str) -> None:
    (line,) = plan(job(), [ROWS[name]]).lines
    assert line.precision == precision


def test_every_row_is_planned_or_refused() -> None:
    answer = plan(job(), ROWS.values())
    assert {one.row for one in (*answer.lines, *answer.refused)} == set(ROWS)
    assert all(math.isfinite(one.seconds) and one.low < one.examples_per_second < one.high for one in answer.lines)
    json.dumps(answer.record(), allow_nan=False)


def test_without_limits_the_cheapest_is_recommended_and_by_time_the_fastest() -> None:
    cheapest, fastest = plan(job(), ROWS.values()), plan(job(), ROWS.values(), prefer="time")
    assert cheapest.choice == min((one for one in cheapest.lines if one.cost), key=lambda one: one.cost).row
    assert fastest.choice == min(fastest.lines, key=lambda one: one.seconds).row
    assert "cheapest" in cheapest.verdict and "fastest" in fastest.verdict


def test_a_deadline_takes_the_cheapest_that_meets_it() -> None:
    every = plan(job(), ROWS.values()).lines
    limit = sorted(one.hours(False) for one in every)[len(every) // 3]
    answer = plan(job(), ROWS.values(), deadline_hours=limit)
    chosen = next(one for one in answer.lines if one.row == answer.choice)
    assert chosen.hours(False) <= limit
    assert chosen.cost == min(one.cost for one in every if one.hours(False) <= limit and one.cost is not None)


@pytest.mark.parametrize(
    "limits", [{"budget": 0.001}, {"deadline_hours": 0.01}, {"budget": 0.5, "deadline_hours": 0.01}], ids=str
)
def test_limits_that_nothing_meets_name_what_comes_nearest(limits: dict[str, float]) -> None:
    answer = plan(job(), ROWS.values(), **limits)
    assert answer.choice == "" and answer.nearest in {one.row for one in answer.lines}
    assert "nothing trains it" in answer.verdict and f"{answer.nearest} comes nearest" in answer.verdict
    if limits.keys() == {"budget"}:
        assert answer.nearest == plan(job(), ROWS.values()).choice


def test_on_spot_the_expected_losses_count() -> None:
    calm, wild = (plan(job(), ROWS.values(), spot=True, interruptions=rate) for rate in (0.0, 2.0))
    for one in calm.lines:
        other = next(line for line in wild.lines if line.row == one.row)
        assert other.spot_seconds > one.spot_seconds
        assert other.seconds == one.seconds


def test_a_row_without_a_price_is_never_called_cheapest() -> None:
    row = ROWS["l4"].model_copy(update={"on_demand": None, "name": "free"})
    answer = plan(job(), [row, ROWS["l4"]])
    assert answer.choice == "l4"
    assert "price not known" in plan(job(), [row]).verdict


def test_a_calibration_replaces_the_guess_and_narrows_it() -> None:
    measured = Calibration("gpu", "l4", "mixed_bfloat16", measured=50.0, predicted=100.0, source="run-1")
    (before,), (after,) = (plan(job(), [ROWS["l4"]], calibrations=used).lines for used in ((), (measured,)))
    assert after.examples_per_second == pytest.approx(before.examples_per_second / 2)
    assert after.high / after.low < before.high / before.low
    assert after.calibrated == "run-1"
    assert plan(job(), [ROWS["t4"]], calibrations=(measured,)).lines[0].calibrated == ""


@pytest.mark.parametrize(
    ("changes", "name", "bound"),
    [
        ({"encoded": True}, "h100", "input pipeline"),
        ({"batch_size": 8, "steps": 4}, "h100", "step overhead"),
        ({}, "cpu-4", "compute"),
        ({}, "a100-40g", "memory bandwidth"),
    ],
)
def test_the_bound_is_what_takes_most_of_a_step(changes: dict[str, object], name: str, bound: str) -> None:
    (line,) = plan(job(**changes), [ROWS[name]]).lines
    assert line.bound == bound


def test_a_job_that_nothing_can_hold_is_one_line() -> None:
    step = replace(PROFILE.step("float32"), peak=Size(1e15, 0), peak_fused=Size(1e15, 0))
    huge = Profile("huge", (64, 64, 3), "uint8", 64 * 64 * 3, 1, 1, {"float32": step, "mixed": step})
    with pytest.raises(StepError, match=r"no accelerator can hold small: .*no batch fits"):
        plan(job(profile=huge), ROWS.values())


def test_every_number_of_a_line_is_explained() -> None:
    row = ROWS["a100-40gx8"]
    (line,) = plan(job(), [row]).lines
    facts = {fact.name: fact.value for fact in explain(job(), row)}
    assert facts["speed"] == line.examples_per_second
    assert facts["cost"] == line.cost
    assert facts["time"] == line.seconds / 3600
    assert facts["largest batch"] == line.largest_batch
    assert all(fact.formula or fact.source for fact in explain(job(), row))


def test_an_explanation_of_a_row_that_cannot_says_why() -> None:
    with pytest.raises(StepError, match="t4 cannot hold small: no units for mixed_bfloat16"):
        explain(job(precision="mixed_bfloat16"), ROWS["t4"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (45, "45 s"),
        (600, "10 min"),
        (7200, "2 h"),
        (12_000, "3 h 20 min"),
        (367_200, "4 d 6 h"),
        (math.inf, "for ever"),
    ],
)
def test_times_read_as_people_say_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
