"""The job to plan: an experiment's training, in numbers."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from components.core.choices import load
from components.core.errors import StepError
from components.data import DataSettings, Facts
from components.profile import Profile
from components.tasks import expected_arguments
from components.train.checkpoint_timer import Interval
from pipelines.experiment import NamedExperiment
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
        encoded: whether examples are decoded in each epoch.
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
    checkpoints: Interval

    @property
    def input_bytes(self) -> int:
        """Bytes of one example as the model takes it."""
        return self.profile.input_bytes

    @property
    def total_bytes(self) -> int:
        """Bytes of all training examples, decoded."""
        return self.examples * self.input_bytes

    def record(self) -> dict[str, Any]:
        """Plain JSON values, the profile by its totals."""
        values = {**asdict(self), "profile": None, "input_bytes": self.input_bytes}
        step = self.profile.step(self.precision)
        values["profile"] = {
            "model": self.profile.model,
            "input_shape": list(self.profile.input_shape),
            "input_dtype": self.profile.input_dtype,
            "parameters": self.profile.parameters,
            "forward_flops": step.forward_flops.each,
            "training_flops": step.flops.each,
        }
        return values


def from_experiment(
    named: NamedExperiment, *, examples: int | None = None, units: int | None = None, cache: Path | None = None
) -> Job:
    """The job of an experiment.

    Args:
        examples: in all of the source's training data, where its file cannot tell.
        units: outputs of the model, where the source's file cannot tell, in place of its number of classes.
        cache: the folder of profiles.

    Raises:
        StepError: how many examples there are, or what the task builds the model from, cannot be known; the model does
            not build.
    """
    experiment = named.experiment
    data, training = experiment.data, experiment.training
    facts = _facts(data, examples, units)
    count = facts.counts.get("train") if facts else None
    if count is None:
        raise StepError(
            f"how many examples {data.name} has is not known before it is prepared",
            advice="give it: --examples N",
            kind="settings",
        )
    arguments = expected_arguments(data.task, experiment.model, data, facts)
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
        profile=profiles.profile(experiment.model.parameters(), arguments, cache),
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
        checkpoints=Interval.of(training),
    )


def _facts(data: DataSettings, examples: int | None, units: int | None) -> Facts | None:
    """What the source's file tells, with what is given laid over it; None where neither says anything."""
    tell = getattr(load("data", data.name), "facts", None)
    found: Facts | None = tell(data) if tell else None
    if examples is None and units is None:
        return found
    known = found or Facts({}, 0)
    counts = known.counts if examples is None else {**known.counts, "train": examples}
    return replace(known, counts=counts, classes=known.classes if units is None else units)


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
