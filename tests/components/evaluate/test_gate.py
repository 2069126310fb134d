"""The gate's rules."""

from typing import Any

import numpy as np
import pytest

from components.evaluate import gate, statistics
from components.metrics import confidence
from components.registry.history import Entry, best
from components.tasks import image_classification

N, SLICES = 2000, 10


def decision(
    new: np.ndarray,
    old: np.ndarray | None,
    masks: dict[str, np.ndarray] | None = None,
    opponents: dict[str, gate.Opponent] = {},  # noqa: B006  # nothing writes it
    **settings: Any,
) -> gate.Decision:
    chosen = image_classification.Settings(**settings)
    masks = (
        {f"class {number}": np.arange(len(new)) % SLICES == number for number in range(SLICES)}
        if masks is None
        else masks
    )
    paired = None if old is None else (new, old)
    slices = gate.evaluate_slices(masks, {"accuracy": new}, paired, chosen)
    champion = None if old is None else gate.Opponent("v1", statistics.compare(new, old, chosen.error_rate))
    value = {"accuracy": float(new.mean())}
    interval = {"accuracy": confidence.mean(new)}
    return gate.decide(
        value, interval, slices, chosen, metric="accuracy", examples=len(new), champion=champion, **opponents
    )


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
        (0.88, 0.02, False, "too few examples to show that accuracy fell by less than 0.02"),
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
    assert large.intervals["accuracy"] == pytest.approx(confidence.mean(right(0.9)[:1000]))


def test_slices_are_judged_at_the_error_rate_divided_by_their_number() -> None:
    """One slice alone shows a loss at 5% that ten slices together do not."""
    old = np.ones(N)
    new = old.copy()
    new[: 14 * SLICES : SLICES] = 0  # 14 of the 200 of class 0
    alone = {"class 0": np.arange(N) % SLICES == 0}
    assert "Slice 'class 0'" in texts(decision(new, old, alone, margin=0.05, slice_margin=0.04), "bad")
    assert decision(new, old, margin=0.05, slice_margin=0.04).accepted
    bound = ("accuracy>=0.97",)
    assert "Slice 'class 0'" in texts(decision(new, None, alone, require_slices=bound), "bad")
    assert decision(new, None, require_slices=bound).accepted


def test_the_error_rate_of_a_slice_is_divided_by_their_number() -> None:
    new, old = right(0.9), right(0.85, seed=1)
    masks = {f"class {number}": np.arange(N) % SLICES == number for number in range(SLICES)}
    settings = image_classification.Settings(require_slices=("accuracy>=0.5",))  # type: ignore[arg-type]
    for one in gate.evaluate_slices(masks, {"accuracy": new}, (new, old), settings):
        assert one.champion is not None and one.champion.error_rate == pytest.approx(0.05 / SLICES)
        assert one.corrected["accuracy"] == pytest.approx(confidence.mean(new[masks[one.name]], 0.005))
        assert one.intervals["accuracy"] == pytest.approx(confidence.mean(new[masks[one.name]]))


def test_the_worst_slice_is_a_large_one_where_there_is_one() -> None:
    new = np.ones(N)
    new[:5], new[1000:1100] = 0, 0
    masks = {"tiny": np.arange(N) < 5, "a": np.arange(N) < 1000, "b": np.arange(N) >= 1000}
    slices = gate.evaluate_slices(masks, {"accuracy": new}, None, image_classification.Settings())
    assert getattr(gate.worst(slices, "accuracy"), "name", "") == "b"
    assert gate.worst([], "accuracy") is None


def test_what_else_is_known_is_said() -> None:
    found = decision(right(0.9), right(0.9), {}, {"notes": (gate.Reason("info", "Other data."),)})
    assert found.accepted
    assert texts(found, "info") == "Other data."


def test_many_small_losses_are_stopped_by_the_anchor() -> None:
    """Each version is worse by a quarter of a percent, which a margin of 1% allows again and again."""
    n, history, stopped = 20_000, [Entry(version="v0")], 0
    models = {"v0": np.arange(n) < 0.95 * n}
    for night in range(1, 9):
        new = np.arange(n) < (models[history[-1].version].mean() - 0.0025) * n
        top = best(history)
        pairs = [(name, statistics.compare(new * 1.0, models[name] * 1.0, 0.05)) for name in (history[-1].version, top)]
        anchor = gate.Opponent(*pairs[1]) if top != history[-1].version else None
        found = gate.decide(
            {},
            {},
            [],
            image_classification.Settings(margin=0.01),
            metric="accuracy",
            examples=n,
            champion=gate.Opponent(*pairs[0]),
            anchor=anchor,
        )
        assert pairs[0][1].above(-0.01), "the champion alone would not stop it"
        if found.accepted:
            entry = Entry(version=f"v{night}", replaced=history[-1].version, difference=pairs[0][1].difference)
            history.append(entry)
            models[entry.version] = new
        else:
            stopped += 1
            assert "Against the anchor v0" in texts(found, "bad")
    assert stopped >= 4 and models[history[-1].version].mean() > 0.94


def test_the_champions_weights_are_neither_accepted_nor_refused() -> None:
    same = gate.Opponent("v1", statistics.compare(right(0.9, 59), right(0.9, 59), 0.05), identical=True)
    arguments: dict[str, Any] = {"metric": "accuracy", "examples": 59, "champion": same}
    found = gate.decide({"accuracy": 0.9}, {}, [], image_classification.Settings(), **arguments)
    assert (found.outcome, found.accepted) == ("unchanged", False)
    assert "nothing is new" in texts(found, "info")
    bound = image_classification.Settings(require=("accuracy>=0.95",))  # type: ignore[arg-type]
    assert gate.decide({"accuracy": 0.9}, {}, [], bound, **arguments).outcome == "refused"
    again = image_classification.Settings(equal_weights="publish")
    assert gate.decide({"accuracy": 0.9}, {}, [], again, **arguments).outcome == "accepted"


def test_what_would_help_is_said_where_nothing_can_be_decided() -> None:
    found = decision(right(0.9, 59), right(0.9, 59), {}, margin=0.01)
    assert not found.accepted
    assert "with about 301 test examples instead of 59" in texts(found, "bad")
    assert "evaluation.margin=0.05" in texts(found, "bad")


def test_the_first_version_is_warned_of_a_test_split_that_will_decide_nothing() -> None:
    assert "with 59 test examples only margins from 0.05 can be shown" in texts(
        decision(right(0.9, 59), None), "warning"
    )
    assert "margins" not in texts(decision(right(0.9), None), "warning")


@pytest.mark.parametrize(("error_rate", "span"), [(0.05, (0.0, 1.0)), (0.01, (0.0, 1.0)), (0.05, (-8.0, 0.0))])
def test_the_smallest_margin_is_the_smallest_that_equal_models_can_be_shown_to_keep(
    error_rate: float, span: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_classification.Settings, "paired_range", span)
    settings = image_classification.Settings(error_rate=error_rate, margin=0.02)
    n = settings.smallest_test_split()
    assert not settings.too_few(n) and settings.too_few(n - 1)
    assert settings.smallest_margin(n) == pytest.approx(0.02, rel=0.06)
    same = np.full(round(1.1 * n), span[1])
    assert statistics.compare(same, same, error_rate, span).above(-0.02)
    fewer = np.full(round(0.95 * n), span[1])
    assert not statistics.compare(fewer, fewer, error_rate, span).above(-0.02)
