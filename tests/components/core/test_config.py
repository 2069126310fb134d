from typing import Any

import pytest

from components.core.config import fingerprint, validated
from components.core.errors import StepError
from components.train.settings import TrainingSettings


def test_a_section_survives_the_trip_through_kfp_which_turns_integers_into_floats() -> None:
    sent = {key: float(v) if type(v) is int else v for key, v in TrainingSettings().parameters().items()}
    received = validated("training", sent)
    assert received == TrainingSettings()
    assert received.fingerprint() == TrainingSettings().fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": None}, "training.epochs: should be a valid integer, not None"),
        ({"epochs": -1}, "training.epochs: should be greater than or equal to 1, not -1"),
        ({"epochs": 2.5}, "training.epochs: should be a valid integer, got a number with a fractional part, not 2.5"),
        ({"epochz": 3}, "unknown setting training.epochz; did you mean epochs?"),
        ({"learning_rate": float("nan")}, "training.learning_rate"),
        ({"precision": "fp8"}, "training.precision: should be 'auto', 'float32'"),
        ({"schema_version": 2}, "training.schema_version: should be 1, not 2"),
    ],
)
def test_an_impossible_section_is_told_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError) as caught:
        validated("training", {**TrainingSettings().parameters(), **change})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert caught.value.kind == "settings"


def test_a_missing_key_is_an_error_and_never_a_default() -> None:
    values = TrainingSettings().parameters()
    del values["seed"]
    with pytest.raises(StepError, match="the section 'training' lacks seed"):
        validated("training", values)


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1}) != fingerprint({"a": 2, "b": [2]})


def test_how_often_training_saves_itself_is_no_part_of_its_fingerprint() -> None:
    plain = TrainingSettings().fingerprint()
    assert TrainingSettings(checkpoint_seconds=5.0, checkpoint_kept=9).fingerprint() == plain
    assert TrainingSettings(stall_seconds=5.0).fingerprint() == plain
    assert TrainingSettings(seed=1).fingerprint() != plain
