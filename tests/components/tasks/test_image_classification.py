"""How image classification judges outputs and turns them into predictions."""

import re
from functools import partial

import numpy as np
import pytest
from markupsafe import Markup

from components.tasks import image_classification as task
from components.tasks._classifier.evaluation import MISTAKES
from components.tasks.contract import Task

task_for = partial(Task, "image_classification")

INFO = {"classes": ["cat", "dog", "owl"], "image_shape": [2, 2, 1]}
OUTPUTS = {"logits": np.array([[3, 1, 0], [0, 2, 1.9], [0, 0, 4], [5, 0, 0]], np.float32)}
BATCH = {
    "label": np.array([0, 2, 2, 1]),
    "key": np.array([b"a", b"b", b"c", b"d"]),
    "brightness": np.array([0.1, 0.2, 0.3, 0.4], np.float32),
}


def test_predictions_are_the_best_labels_with_their_probabilities() -> None:
    found = task_for(INFO, task.Settings(top_k=2)).evaluation.predictions(OUTPUTS)
    assert [one["label"] for one in found] == ["cat", "dog", "owl", "cat"]
    assert [top["label"] for top in found[1]["top"]] == ["dog", "owl"]
    assert found[0]["probability"] == pytest.approx(np.exp(3) / np.exp([3, 1, 0]).sum())
    assert found[0]["top"][0]["probability"] == found[0]["probability"]


def test_more_labels_than_classes_are_not_asked_for() -> None:
    assert len(task_for(INFO, task.Settings(top_k=5)).evaluation.predictions(OUTPUTS)[0]["top"]) == 3
    assert task_for(INFO, task.Settings(top_k=5)).evaluation.score(OUTPUTS, BATCH)["top_k"] == 1


def test_below_the_abstain_threshold_there_is_no_label_but_still_the_best_ones() -> None:
    settings = task.Settings(abstain_below=0.6, top_k=2)
    found = task_for(INFO, settings).evaluation.predictions(OUTPUTS)
    assert [one["label"] for one in found] == ["cat", None, "owl", "cat"]
    assert found[1]["top"][0]["label"] == "dog"
    scores = task_for(INFO, settings).evaluation.score(OUTPUTS, BATCH)
    assert scores["answered"] == 0.75
    assert scores["answered_accuracy"] == pytest.approx(2 / 3)
    assert scores["accuracy"] == 0.5


def test_no_outputs_give_no_predictions() -> None:
    assert task_for(INFO, task.Settings()).evaluation.predictions({"logits": OUTPUTS["logits"][:0]}) == []


def test_every_metric_that_a_threshold_may_name_is_scored() -> None:
    assert set(task.Settings.metrics) <= set(task_for(INFO, task.Settings()).evaluation.score(OUTPUTS, BATCH))
    assert set(task.Settings.slice_metrics) == set(
        task_for({}, task.Settings()).evaluation.example_scores(OUTPUTS, BATCH)
    )
    assert task.Settings.paired_metric in task.Settings.slice_metrics


def test_the_paired_metric_is_right_or_wrong() -> None:
    assert task_for({}, task.Settings()).evaluation.example_metric(OUTPUTS, BATCH).tolist() == [
        1,
        0,
        1,
        0,
    ]


def test_the_surest_mistake_is_the_most_probable_wrong_label() -> None:
    found = task_for({}, task.Settings()).evaluation.worst_examples(OUTPUTS, BATCH)[MISTAKES]
    assert found[0] == found[2] == 0
    assert found.argmax() == 3


def test_slices_are_classes_and_quarters_of_recorded_attributes() -> None:
    found = task_for(INFO, task.Settings()).evaluation.slices(BATCH)
    assert found["class owl"].tolist() == [False, True, True, False]
    assert found["brightness lowest quarter"].tolist() == [True, False, False, False]
    assert found["brightness highest quarter"].tolist() == [False, False, False, True]
    assert len(found) == 3 + 4


def test_attributes_without_variety_and_classes_without_examples_are_no_slices() -> None:
    batch = BATCH | {"brightness": np.full(4, 0.5), "label": np.array([0, 0, 2, 2])}
    assert set(task_for(INFO, task.Settings()).evaluation.slices(batch)) == {
        "class cat",
        "class owl",
    }


def test_the_report_shows_mistakes_with_what_they_were_taken_for() -> None:
    settings = task.Settings(resamples=100)
    found = task_for(INFO, settings).evaluation.score(OUTPUTS, BATCH)
    intervals = task_for({}, settings).evaluation.confidence_intervals(OUTPUTS, BATCH, found)
    titles = list(task_for({}, task.Settings()).evaluation.worst_examples(OUTPUTS, BATCH))
    shown = {titles[0]: [(3, np.zeros((2, 2, 1), np.uint8))], titles[2]: [(0, np.zeros((2, 2, 1), np.uint8))]}
    html = "".join(task_for(INFO, settings).report.figures(OUTPUTS, BATCH, intervals, shown))
    assert titles[0] in html and titles[2] in html and titles[1] not in html
    assert "dog, taken for cat" in Markup(html).striptags()
    # The cell of the confusion matrix leads to it.
    (target,) = re.findall(r'<a href="#([^"]+)">', html)
    assert html.count(f'id="{target}"') == 1 and html.index(target) < html.index(f'id="{target}"')
    assert "Most confident mistakes" not in "".join(
        task_for(INFO, settings).report.figures(OUTPUTS, BATCH, intervals, {})
    )
