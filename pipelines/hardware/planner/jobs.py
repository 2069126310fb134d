"""The job to plan: an experiment's training, in numbers."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.core.errors import StepError
from components.core.rooms import load
from components.data import DataSettings, Facts
from components.profile import Profile
from components.train.intervals import Interval
from pipelines.experiment import Named
from pipelines.hardware.planner import profiles

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Job:
    """A training.

    Attributes:
        experiment: its name.
        profile: the model's.
        precision: Keras's dtype policy, or ``auto``.
        backend: Keras's backend, or ``auto``.
        batch_size: global.
        optimizer: ``adam``, ``adamw`` or ``sgd``.
        steps: an epoch.
        validation_steps: an epoch; 0 without validation.
        epochs: at most; patience may end it earlier.
        patience: 0 for none.
        examples: in the training split.
        encoded: whether pictures are decoded in each epoch.
        input_bytes: of one example as the model takes it.
        checkpoints: how far apart.
    """

    experiment: str
    profile: Profile
    precision: str
    backend: str
    batch_size: int
    optimizer: str
    steps: int
    validation_steps: int
    epochs: int
    patience: int
    examples: int
    encoded: bool
    input_bytes: int
    checkpoints: Interval

    @property
    def total_bytes(self) -> int:
        """Bytes of all training examples, decoded."""
        return self.examples * self.input_bytes

    def record(self) -> dict[str, Any]:
        """Plain JSON values, the profile by its totals."""
        values = {**asdict(self), "profile": None}
        step = self.profile.step(self.precision)
        values["profile"] = {
            "model": self.profile.model,
            "input_shape": list(self.profile.input_shape),
            "parameters": self.profile.parameters,
            "forward_flops": step.forward_flops.each,
            "training_flops": step.flops.each,
        }
        return values


def of(named: Named, *, examples: int | None = None, units: int | None = None, cache: Path | None = None) -> Job:
    """The job of an experiment.

    Args:
        examples: in all of the source's training data, where its file cannot tell.
        units: outputs of the model, where the source's file cannot tell.
        cache: the folder of profiles.

    Raises:
        StepError: how many examples or classes there are, or their shape, cannot be known; the model does not build.
    """
    experiment = named.experiment
    data, training = experiment.data, experiment.training
    facts = _facts(data)
    shape = data.input_shape()
    if not shape:
        raise StepError(f"data: the settings of {data.name} do not tell the shape of an input", kind="settings")
    count = examples if examples is not None else (facts.counts["train"] if facts else None)
    outputs = units if units is not None else (facts.classes if facts else None)
    for what, known, flag in (("examples", count, "--examples"), ("classes", outputs, "--units")):
        if known is None:
            raise StepError(
                f"how many {what} {data.name} has is not known before it is prepared",
                advice=f"give it: {flag} N",
                kind="settings",
            )
    assert count is not None and outputs is not None
    train, held_out = _split(data, count, facts)
    batch = training.batch_size
    if train < batch:
        raise StepError(
            f"training.batch_size: {batch} is more than the {train} training examples",
            advice=f"use at most {train}",
            kind="settings",
        )
    return Job(
        experiment=named.name,
        profile=profiles.profile(experiment.model.parameters(), shape, outputs, cache),
        precision=training.precision,
        backend=training.backend,
        batch_size=batch,
        optimizer=training.optimizer,
        steps=_at_most(train // batch, training.steps_per_epoch),
        validation_steps=_at_most(-(-held_out // batch), training.validation_steps),
        epochs=training.epochs,
        patience=training.patience,
        examples=train,
        encoded=bool(facts and facts.encoded),
        input_bytes=math.prod(shape),
        checkpoints=Interval.of(training),
    )


def _facts(data: DataSettings) -> Facts | None:
    tell = getattr(load("data", data.name), "facts", None)
    found: Facts | None = tell(data) if tell else None
    return found


def _split(data: DataSettings, count: int, facts: Facts | None) -> tuple[int, int]:
    """Training and validation examples, as prepare cuts them: ``data.split`` without the splits that are official."""
    count = min(count, data.limit) if data.limit else count
    official = facts.counts if facts else {}
    shares = {name: share for name, share in zip(SPLITS, data.split, strict=True) if name not in official}
    shares["train"] = data.split[0]
    train, validation = (round(count * shares.get(name, 0.0) / sum(shares.values())) for name in SPLITS[:2])
    if "validation" in official:
        validation = min(official["validation"], data.limit or official["validation"])
    return train, validation


def _at_most(steps: int, most: int) -> int:
    return min(steps, most) if most else steps
