"""The gate's four rules."""

from typing import Any

import numpy as np
import pytest

from components.evaluate import gate, statistics
from components.tasks import image_classification

N, SLICES = 2000, 10


def decision(
    new: np.ndarray, old: np.ndarray | None, masks: dict[str, np.ndarray] | None = None, **settings: Any
) -> gate.Decision:
    chosen = image_classification.Settings(**settings)
    masks = (
        {f"class {number}": np.arange(len(new)) % SLICES == number for number in range(SLICES)}
        if masks is None
        else masks
    )
    paired = None if old is None else (new, old)
    slices = gate.evaluate_slices(masks, {"accuracy": new}, paired, chosen)
    comparison = paired and statistics.compare(*paired, chosen.error_rate, chosen.resamples, chosen.seed)
    value = {"accuracy": float(new.mean())}
    interval = {"accuracy": statistics.mean_interval(new, 0.05)}
    return gate.decide(value, interval, slices, comparison, chosen, metric="accuracy", champion="v1")


def right(share: float, n: int = N, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.arange(n) < round(share * n)).astype(np.float64)


def texts(found: gate.Decision, kind: str) -> str:
    return "\n".join(reason.text for reason in found.reasons if reason.kind == kind)


def test_the_first_version_needs_its_thresholds_only() -> None:
    found = decision(right(0.9), None, require=("accuracy>=0.85",))
    assert found.accepted
    assert "no champion" in texts(found, "info")


@pytest.mark.parametrize(
    ("bound", "accepted", "said"),
    [
        ("accuracy>=0.85", True, "accuracy is 0.9"),
        ("accuracy>=0.899", True, "reaches beyond the bound"),
        ("accuracy>=0.95", False, "but >= 0.95 is required"),
        ("roc_auc>=0.5", False, "not defined on this test split"),
    ],
)
def test_a_threshold_on_the_whole_holds_or_refuses(bound: str, accepted: bool, said: str) -> None:
    found = decision(right(0.9), None, require=(bound,))
    assert found.accepted is accepted
    assert said in texts(found, "good" if accepted else "bad")


def test_a_slice_shown_to_miss_its_threshold_refuses_and_is_named() -> None:
    new = right(0.95)
    new[::SLICES] = right(0.3, N // SLICES)
    found = decision(new, None, require_slices=("accuracy>=0.5",))
    assert not found.accepted
    assert "Slice 'class 0'" in texts(found, "bad")
    assert "class 1" not in texts(found, "bad")


def test_a_slice_below_its_threshold_by_what_chance_may_do_only_warns() -> None:
    new = np.ones(N)
    new[::SLICES] = right(0.47, N // SLICES)
    found = decision(new, None, require_slices=("accuracy>=0.5",))
    assert found.accepted
    assert "class 0" in texts(found, "warning")


@pytest.mark.parametrize(
    ("new", "margin", "accepted", "said"),
    [
        (0.90, 0.02, True, "not worse beyond the margin"),
        (0.90, 0.0, False, "not shown to be better"),
        (0.95, 0.0, True, "better (margin 0"),
        (0.88, 0.02, False, "cannot be ruled out"),
        (0.80, 0.02, False, "worse beyond the margin"),
    ],
)
def test_the_champion_decides_by_the_margin(new: float, margin: float, accepted: bool, said: str) -> None:
    found = decision(right(new), right(0.9, seed=1), {}, margin=margin)
    assert found.accepted is accepted
    assert said in texts(found, "good" if accepted else "bad")
    assert "champion v1" in texts(found, "good" if accepted else "bad")


def test_a_challenger_better_overall_but_clearly_worse_on_one_large_slice_is_refused() -> None:
    old, new = right(0.85), right(0.92, seed=1)
    new[::SLICES] = right(0.6, N // SLICES)
    assert new.mean() > old.mean()
    found = decision(new, old, margin=0.02)
    assert not found.accepted
    assert texts(found, "bad").startswith("Slice 'class 0': against the champion v1")
    assert texts(found, "bad").count("\n") == 0


def test_the_same_loss_on_a_slice_too_small_only_warns() -> None:
    old, new = right(0.85), right(0.92, seed=1)
    new[:60] = 0
    masks = {"rare": np.arange(N) < 60, "rest": np.arange(N) >= 60}
    found = decision(new, old, masks, margin=0.02, min_slice=100)
    assert found.accepted
    assert "rare, 60 examples" in texts(found, "warning")


def test_the_correction_counts_large_slices_only() -> None:
    masks = {"large": np.arange(N) < 1000, "small": np.arange(N) >= N - 10}
    large, small = gate.evaluate_slices(masks, {"accuracy": right(0.9)}, None, image_classification.Settings())
    assert large.counts and not small.counts
    assert large.intervals["accuracy"] == pytest.approx(statistics.mean_interval(right(0.9)[:1000], 0.05))


def test_the_error_rate_of_a_slice_is_divided_by_their_number() -> None:
    new, old = right(0.9), right(0.85, seed=1)
    masks = {f"class {number}": np.arange(N) % SLICES == number for number in range(SLICES)}
    for one in gate.evaluate_slices(masks, {"accuracy": new}, (new, old), image_classification.Settings()):
        assert one.champion is not None and one.champion.error_rate == pytest.approx(0.05 / SLICES)
        assert one.intervals["accuracy"] == pytest.approx(statistics.mean_interval(new[masks[one.name]], 0.005))


def test_the_worst_slice_is_a_large_one_where_there_is_one() -> None:
    new = np.ones(N)
    new[:5], new[1000:1100] = 0, 0
    masks = {"tiny": np.arange(N) < 5, "a": np.arange(N) < 1000, "b": np.arange(N) >= 1000}
    slices = gate.evaluate_slices(masks, {"accuracy": new}, None, image_classification.Settings())
    assert getattr(gate.worst(slices, "accuracy"), "name", "") == "b"
    assert gate.worst([], "accuracy") is None


def test_what_else_is_known_of_the_champion_is_said() -> None:
    chosen = image_classification.Settings()
    same = statistics.compare(right(0.9), right(0.9), 0.05, 100, 0)
    found = gate.decide({}, {}, [], same, chosen, metric="accuracy", champion="v1", notes=["Same weights."])
    assert found.accepted
    assert texts(found, "info") == "Same weights."
