"""Exact resume: a training that is stopped anywhere, any number of times, ends with the bytes of an undisturbed one."""

import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from components.core.errors import StepError
from components.train import inputs, logic
from components.train.parts import Clock

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


@pytest.fixture(autouse=True)
def outer_handler() -> Iterator[None]:
    """Whoever listened to SIGTERM before a training does so again after it, and hears nothing that was meant for it."""
    heard: list[int] = []

    def hear(number: int, _frame: object) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, hear)
    yield
    assert signal.getsignal(signal.SIGTERM) is hear
    signal.signal(signal.SIGTERM, before)
    assert not heard


@pytest.fixture
def sigterm_at(monkeypatch: pytest.MonkeyPatch) -> Arm:
    """Send this process SIGTERM once, at the n-th (1, 2, ...) of the moments that the parts of an epoch are told of."""
    told: dict[str, Any] = {}

    def arm(moment: str, number: int) -> None:
        told.setdefault(moment, getattr(Clock, moment))
        count = 0

        def tell(self: Clock, *args: Any) -> None:
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGTERM)
            told[moment](self, *args)

        monkeypatch.setattr(Clock, moment, tell)

    return arm


@pytest.fixture(params=["held", "streamed"])
def data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the splits are held in memory."""
    if request.param == "streamed":
        monkeypatch.setattr(logic.inputs, "opened", partial(inputs.opened, held_bytes=0))
    return str(request.param)


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case != "adam")) for case in CASES])
def test_a_training_stopped_at_random_steps_ends_as_an_undisturbed_one(
    case: str, data: str, training, sigterm_at: Arm, capsys
) -> None:
    settings = STEPS | CASES[case]
    whole = training(folder="whole", **settings)
    draw = random.Random(f"{case} {data}")
    for _ in range(3):
        sigterm_at("call_ends", draw.randint(1, 5))
        with pytest.raises(StepError, match="asked to end") as stopped:
            training(**settings)
        assert stopped.value.kind == "preempted"
    again = training(**settings)
    assert len(re.findall(r"resumed (in|after) epoch", capsys.readouterr().out)) == 3
    assert again.history == whole.history
    assert again.digests() == whole.digests()


MOMENTS = ["epoch_begins", "call_ends", "steps_end", "validation_call_ends", "epoch_ends"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigterm_at_any_moment_of_the_second_epoch_loses_no_step(
    moment: str, training, sigterm_at: Arm, capsys, tmp_path
) -> None:
    settings = STEPS | {"epochs": 3, "seed": 5}
    whole = training(folder="whole", **settings)
    assert not list((tmp_path / "whole/checkpoints").rglob("*"))
    calls_of = {"call_ends": 7, "validation_call_ends": 3}
    sigterm_at(moment, calls_of.get(moment, 2))
    with pytest.raises(StepError, match="asked to end"):
        training(**settings)
    capsys.readouterr()
    again = training(**settings)
    steps = {"epoch_begins": 3, "call_ends": 6}.get(moment, 13)
    resumed = "resumed after epoch 2" if moment == "epoch_ends" else f"resumed in epoch 2 after step {steps} of 13"
    assert resumed in capsys.readouterr().out
    assert again.digests() == whole.digests()
