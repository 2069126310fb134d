"""The job to plan: the training of an experiment, in numbers."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from components.core.choices import load
from components.core.errors import StepError
from components.data import DataSettings, Facts, expected_counts
from components.profile import Profile
from components.tasks import expected_arguments
from components.train.checkpoint_timer import CheckpointInterval
from pipelines.experiment import NamedExperiment
from pipelines.hardware.planner import profiles


@dataclass(frozen=True)
class Job:
    """A training.

    Attributes:
        experiment: its name.
        profile: of the model.
        precision: Keras's dtype policy, or ``auto``.
        backend: Keras's backend, or ``auto``.
        batch_size: global.
        optimizer: ``adam``, ``adamw`` or ``sgd``.
        steps: of an epoch.
        validation_steps: of an epoch; 0 without validation.
        epochs: at most; patience may end training earlier.
        patience: 0 for none.
        examples: in the training split.
        encoded: whether examples are decoded in each epoch.
        checkpoints: the time between them.
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
    checkpoints: CheckpointInterval

    @property
    def input_bytes(self) -> int:
        """Bytes of one example as an input of the model."""
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
        examples: in all of the source's training data, if its file does not know.
        units: outputs of the model, in place of the number of classes, if the source's file does not know.
        cache: the folder of profiles.

    Raises:
        StepError: the number of examples, or what the task builds the model from, is not known; the model does not
            build.
    """
    experiment = named.experiment
    data, training = experiment.data, experiment.training
    facts = _facts(data, examples, units)
    if facts is None or "train" not in facts.counts:
        raise StepError(
            f"the number of examples of {data.name} is not known before they are prepared",
            advice="give it with --examples N",
            kind="settings",
        )
    arguments = expected_arguments(data.task, experiment.model, data, facts)
    sizes = expected_counts(data, facts.counts, set(facts.counts))
    train, held_out = sizes["train"], sizes["validation"]
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
        checkpoints=CheckpointInterval.from_settings(training),
    )


def _facts(data: DataSettings, examples: int | None, units: int | None) -> Facts | None:
    """The facts of the source's file, with the given ones in place of its own; None if there are none."""
    read = getattr(load("data", data.name), "facts", None)
    facts: Facts | None = read(data) if read else None
    if examples is None and units is None:
        return facts
    facts = facts or Facts({}, 0)
    counts = facts.counts if examples is None else {**facts.counts, "train": examples}
    return replace(facts, counts=counts, classes=facts.classes if units is None else units)


def _at_most(steps: int, most: int) -> int:
    return min(steps, most) if most else steps
