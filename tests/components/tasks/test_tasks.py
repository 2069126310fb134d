"""The evaluation section is checked before anything runs."""

import json
from typing import Any

import pytest

from components.core.config import checked, validated
from components.core.errors import StepError
from components.tasks import Threshold, image_classification


def settings(**values: Any) -> image_classification.Settings:
    found: image_classification.Settings = checked("evaluation", image_classification.Settings, values)
    return found


@pytest.mark.parametrize("text", ["accuracy>=0.9", " accuracy >= .9", "accuracy>=9e-1"])
def test_a_threshold_is_written_as_it_is_said(text: str) -> None:
    assert settings(require=[text]).require == (Threshold(metric="accuracy", relation=">=", bound=0.9),)


def test_thresholds_may_come_as_one_text() -> None:
    assert [str(bound) for bound in settings(require="accuracy>=0.9,loss<=0.5").require] == [
        "accuracy >= 0.9",
        "loss <= 0.5",
    ]


def test_settings_survive_the_trip_through_a_pipeline_parameter() -> None:
    first = settings(require=["accuracy>=0.9"], require_slices=["top_k>=0.5"], margin=0.02)
    assert validated("evaluation", json.loads(json.dumps(first.parameters())), "image_classification") == first


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"require": ["acuracy>=0.9"]}, "unknown metric 'acuracy'; did you mean accuracy?"),
        ({"require_slices": ["roc_auc>=0.9"]}, "unknown metric of a slice 'roc_auc'"),
        ({"require": ["accuracy"]}, "a threshold reads like accuracy>=0.9"),
        ({"require": ["accuracy>=1.2.3"]}, "a threshold reads like accuracy>=0.9"),
        ({"require": ["accuracy<=0.9"]}, "accuracy is better when higher, write accuracy>=0.9"),
        ({"require": ["loss>=0.9"]}, "loss is better when lower, write loss<=0.9"),
        ({"require": ["accuracy>=90"]}, "accuracy lies between 0 and 1"),
        ({"margin": -0.01}, "evaluation.margin"),
        ({"margin": 1}, "evaluation.margin"),
        ({"slice_margin": 2}, "evaluation.slice_margin"),
        ({"error_rate": 0}, "evaluation.error_rate"),
        ({"resamples": 10}, "evaluation.resamples"),
        ({"top_k": 0}, "evaluation.top_k"),
        ({"abstain_below": 1.5}, "evaluation.abstain_below"),
        ({"margim": 0.1}, "did you mean margin?"),
    ],
)
def test_an_impossible_setting_is_refused_in_one_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(StepError) as caught:
        settings(**values)
    assert said in str(caught.value)
    assert caught.value.kind == "settings"
    assert "\n" not in str(caught.value)


def test_a_value_that_is_no_number_meets_no_bound() -> None:
    bound = Threshold(metric="loss", relation="<=", bound=1e9)
    assert not bound.holds(float("nan"))
    assert bound.holds(1)
