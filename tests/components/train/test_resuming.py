"""Exact resume: a training that is stopped anywhere, any number of times, ends with the bytes of an undisturbed one."""

import random
import re
from collections.abc import Callable

import pytest

from components.core.errors import StepError

KINDS = ("flip", "shift", "crop")
CASES = {
    "adam": {"epochs": 3, "augmentation": KINDS},
    "sgd on a cosine": {"epochs": 3, "optimizer": "sgd", "schedule": "cosine", "warmup_steps": 20},
    "adamw with decay": {"epochs": 3, "optimizer": "adamw", "weight_decay": 1e-3, "patience": 0},
    "early stopping": {"epochs": 12, "learning_rate": 0.03, "patience": 2, "seed": 1},
}
# Four calls of three steps and one of one.
STEPS = {"batch_size": 32, "steps_per_epoch": 13}
Arm = Callable[[str, int], None]


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case != "adam")) for case in CASES])
def test_a_training_stopped_at_random_steps_ends_as_an_undisturbed_one(
    case: str, residence: str, training, sigterm_at: Arm, capsys
) -> None:
    settings = STEPS | CASES[case]
    whole = training(folder="whole", **settings)
    draw = random.Random(f"{case} {residence}")
    for _ in range(3):
        sigterm_at("on_train_batch_end", draw.randint(1, 5))
        with pytest.raises(StepError, match="asked to end") as stopped:
            training(**settings)
        assert stopped.value.kind == "preempted"
    again = training(**settings)
    assert len(re.findall(r"resumed (in|after) epoch", capsys.readouterr().out)) == 3
    assert again.history == whole.history
    assert again.digests() == whole.digests()


SLOW = ("on_epoch_begin", "on_train_epoch_end", "on_validation_batch_end")
MOMENTS = ["on_train_batch_end", "on_epoch_end", *(pytest.param(moment, marks=pytest.mark.slow) for moment in SLOW)]


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigterm_at_any_moment_of_the_second_epoch_loses_no_step(
    moment: str, training, sigterm_at: Arm, capsys, tmp_path
) -> None:
    settings = STEPS | {"epochs": 3, "seed": 5}
    whole = training(folder="whole", **settings)
    assert not list((tmp_path / "whole/checkpoints").rglob("*"))
    calls_of = {"on_train_batch_end": 7, "on_validation_batch_end": 3}
    sigterm_at(moment, calls_of.get(moment, 2))
    with pytest.raises(StepError, match="asked to end"):
        training(**settings)
    capsys.readouterr()
    again = training(**settings)
    steps = {"on_epoch_begin": 3, "on_train_batch_end": 6}.get(moment, 13)
    resumed = "resumed after epoch 2" if moment == "on_epoch_end" else f"resumed in epoch 2 after step {steps} of 13"
    assert resumed in capsys.readouterr().out
    assert again.digests() == whole.digests()
