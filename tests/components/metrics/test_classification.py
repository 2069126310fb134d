"""Metrics of classifiers and their intervals."""

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from components.metrics import bootstrap, classification, confidence
from components.metrics.classification import Predictions


def predictions(n: int = 600, classes: int = 4, skill: float = 2.0, seed: int = 0, top_k: int = 2) -> Predictions:
    """Logits that know the label more or less, a tenth of the examples in class 0, few in the last."""
    generator = np.random.default_rng(seed)
    shares = np.arange(classes, 0, -1) / (classes * (classes + 1) / 2)
    labels = generator.choice(classes, n, p=shares)
    logits = generator.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), labels] += skill
    return Predictions(logits, labels, top_k)


def test_the_metrics_are_scikit_learns() -> None:
    one = predictions()
    found, chances = classification.scores(one), classification.probabilities(one.logits)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(one.labels, one.predicted))
    assert found["loss"] == pytest.approx(metrics.log_loss(one.labels, chances))
    assert found["top_k"] == pytest.approx(metrics.top_k_accuracy_score(one.labels, chances, k=2))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(one.labels, one.predicted, average="macro"))
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(one.labels, chances, multi_class="ovr"))
    matrix, names = classification.confusion(one, list("abcd"), 4)
    assert matrix.tolist() == metrics.confusion_matrix(one.labels, one.predicted).tolist()
    assert names == list("abcd")


def test_the_calibration_error_by_hand() -> None:
    # Two examples said with 0.9 (bin 13), one right; one said with 0.6 (bin 9), right.
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    one = Predictions(np.log(chances), np.array([0, 1, 1]), 1)
    assert classification.scores(one)["calibration_error"] == pytest.approx((2 * (0.9 - 0.5) + (1 - 0.6)) / 3)
    found = classification.reliability(one)
    assert found.accuracy.tolist() == [1.0, 0.5]
    assert found.examples.tolist() == [1, 2]


def test_equal_logits_rank_the_earlier_label_first_everywhere() -> None:
    one = Predictions(np.zeros((3, 3), np.float32), np.array([0, 1, 2]), 2)
    assert one.predicted.tolist() == [0, 0, 0]
    assert classification.top_labels(one.logits, 2).tolist() == [[0, 1]] * 3
    assert one.values()["top_k"].tolist() == [1, 1, 0]


def test_huge_logits_neither_overflow_nor_lose_the_loss() -> None:
    one = Predictions(np.array([[1e30, 0], [0, 5000.0]], np.float32), np.array([0, 0]), 1)
    found = classification.scores(one)
    assert found["loss"] == pytest.approx(2500)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.filterwarnings("error")
def test_classes_without_examples_are_left_out_of_averages() -> None:
    one = Predictions(np.eye(4, dtype=np.float32)[[0, 0, 1, 3]] * 5, np.array([0, 0, 1, 1]), 1)
    found = classification.scores(one)
    assert found["macro_recall"] == pytest.approx((1 + 0.5) / 2)
    spread = classification.confidence_intervals(one, found)
    assert sorted(spread.classes) == [0, 1]
    assert [row.label for row in classification.per_class(one, spread)] == [0, 1]


@pytest.mark.filterwarnings("error")
def test_one_class_alone_has_no_roc_curve_and_no_auc() -> None:
    one = Predictions(predictions().logits, np.zeros(600, np.int64), 2)
    found = classification.scores(one)
    assert "roc_auc" not in found
    assert "roc_auc" not in classification.confidence_intervals(one, found).metrics
    assert all(math.isfinite(value) for points in classification.roc_points(one) for value in points)


def test_intervals_are_about_those_of_resampling_and_scoring_again_away_from_the_ends() -> None:
    one = predictions(300)
    found = classification.scores(one)
    fast = classification.confidence_intervals(one, found).metrics
    slow: dict[str, list[float]] = {name: [] for name in fast}
    for row in next(bootstrap.resample_counts(300, 120, 9)):
        drawn = np.repeat(np.arange(300), row.astype(int))
        again = classification.scores(Predictions(one.logits[drawn], one.labels[drawn], one.top_k))
        for name, values in slow.items():
            values.append(again[name])
    assert {"accuracy", "loss", "macro_f1", "macro_precision", "macro_recall", "roc_auc"} <= set(slow)
    for name, values in slow.items():
        if found[name] > 0.95 and name != "loss":
            continue
        ends = np.quantile(values, [0.025, 0.975])
        width = ends[1] - ends[0]
        assert fast[name] == pytest.approx(tuple(ends), abs=0.4 * width), name
        assert fast[name][1] - fast[name][0] == pytest.approx(width, rel=0.4), name


def test_no_metric_of_a_model_without_a_mistake_is_certain() -> None:
    labels = np.repeat(np.arange(5), 10)
    one = Predictions(np.eye(5, dtype=np.float32)[labels] * 20, labels, 1)
    found = classification.confidence_intervals(one, classification.scores(one))
    for name, (low, high) in found.metrics.items():
        assert low < high, name
    assert 0.85 < found.metrics["macro_f1"][0] < 0.95
    assert all(low < 0.9 for values in found.classes.values() for low, _ in values.values()), "ten examples each"


def test_recall_of_a_class_and_accuracy_of_its_slice_have_one_interval() -> None:
    one = predictions()
    found = classification.confidence_intervals(one, classification.scores(one)).classes
    for label, values in found.items():
        assert values["recall"] == confidence.mean(one.correct[one.labels == label].astype(np.float64))


def test_the_same_seed_draws_the_same_resamples_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(bootstrap.resample_counts(50, 20, 3)))
    assert (whole.sum(axis=1) == 50).all()
    monkeypatch.setattr(bootstrap, "MAX_CELLS", 150)
    assert (np.concatenate(list(bootstrap.resample_counts(50, 20, 3))) == whole).all()


def test_the_roc_curve_is_that_of_all_classes_together() -> None:
    one = predictions()
    false, true, thresholds = classification.roc_points(one)
    own = np.eye(one.classes, dtype=bool)[one.labels]
    chances = classification.probabilities(one.logits)
    assert thresholds[0] == 1 and thresholds[-1] == 0
    assert (false[-1], true[-1]) == (1, 1)
    at = 70  # the threshold 0.3
    assert thresholds[at] == pytest.approx(0.3)
    assert true[at] == pytest.approx((chances[own] >= 0.3).mean())
    assert false[at] == pytest.approx((chances[~own] >= 0.3).mean())


@pytest.mark.parametrize(("most", "names"), [(4, ["a", "b", "c", "d"]), (3, ["b", "c", "2 others"])])
def test_many_classes_fold_into_the_most_confused_and_the_rest(most: int, names: list[str]) -> None:
    matrix = np.array([[9, 0, 0, 1], [0, 5, 4, 0], [0, 3, 6, 0], [0, 0, 0, 8]])
    labels, predicted = (np.repeat(part.ravel(), matrix.ravel()) for part in np.indices((4, 4)))
    one = Predictions(np.eye(4, dtype=np.float32)[predicted], labels, 1)
    folded, shown = classification.confusion(one, ["a", "b", "c", "d"], most)
    assert shown == names
    assert folded.tolist() == (matrix.tolist() if most == 4 else [[5, 4, 0], [3, 6, 0], [0, 0, 18]])
    assert classification.mistaken_for(one) == {0: (3, 1), 1: (2, 4), 2: (1, 3)}


def test_of_equally_frequent_mistakes_the_lower_label_is_named() -> None:
    one = Predictions(np.eye(4, dtype=np.float32)[[3, 1, 2, 2]], np.array([0, 0, 0, 1]), 1)
    assert classification.mistaken_for(one) == {0: (1, 1), 1: (2, 1)}


@pytest.mark.parametrize("blocks", [1, 7, 10_000])
def test_blocks_of_rows_change_nothing(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one = predictions(50)
    before, points = one.values(), classification.roc_points(one)
    tops = classification.top_labels(one.logits, 3)
    monkeypatch.setattr(classification, "MAX_CELLS", blocks)
    again = Predictions(one.logits, one.labels, one.top_k)
    for name, values in again.values().items():
        assert (values == before[name]).all(), name
    assert classification.roc_points(again) == points
    assert (classification.top_labels(one.logits, 3) == tops).all()
    assert (np.argsort(-one.logits, axis=1, kind="stable")[:, :3] == tops).all()


def test_a_figure_of_many_classes_and_odd_names_can_be_drawn() -> None:
    from components.tasks._classifier import figures

    one = predictions(300, 30)
    names = [f"<b>class & {number}</b> with a long name" for number in range(30)]
    parts: list[Any] = figures.parts(one, names, classification.confidence_intervals(one, classification.scores(one)))
    html = "".join(parts)
    assert "11 others" in html
    assert "<b>class" not in html
