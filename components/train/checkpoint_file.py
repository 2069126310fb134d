"""One checkpoint is one file: every number that changes in training, and where it stood."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components.core import archives

FILE = "checkpoint.npz"
STATE = "state"


@dataclass
class Progress:
    """How far training has come.

    Attributes:
        epochs: epochs done.
        step: steps done of the epoch after them; with the seed and ``epochs`` it is the position in the data.
        history: metric -> its value after each epoch.
        best_epoch: the epoch (1, 2, ...) with the lowest validation loss; 0 before there is one.
        best_loss: that loss.
        waited: epochs since then.
        best_weights: the model's weights after it, where training is to end with them.
        spent: what all attempts took so far (``spent.Ledger``).
        samples: what the task has to show after each epoch, such as texts; empty where it has nothing.
    """

    epochs: int = 0
    step: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    best_loss: float = float("inf")
    waited: int = 0
    best_weights: "list[np.ndarray] | None" = None
    spent: dict[str, Any] = field(default_factory=dict)
    samples: list[list[str]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"in epoch {self.epochs + 1} after step {self.step}" if self.step else f"after epoch {self.epochs}"


@dataclass(frozen=True)
class Origin:
    """What a checkpoint belongs to.

    Attributes:
        fingerprint: of data, model and training settings; it must be the reader's own.
        seed: of the order of the data and of every random change to them.
        threads: that computed it; equal results are promised for equal threads only.
    """

    fingerprint: str
    seed: int = 0
    threads: int = 0


class ForeignError(Exception):
    """A checkpoint of other data, another model or other settings."""


class UnusableError(Exception):
    """A checkpoint that cannot be read, or that the model's present code does not fit."""


def state_variables(model: keras.Model) -> "list[keras.Variable]":
    """Everything that changes in training: weights, seed generators, optimizer and metric accumulators.

    A ``.keras`` file leaves the seed generators out (keras-team/keras#19796), so Dropout would go on differently.
    """
    every = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return list({id(variable): variable for variable in every}.values())


def pack(path: Path, model: keras.Model, done: Progress, origin: Origin) -> None:
    """Write a checkpoint: a zip of arrays, each with its checksum, and of the rest as JSON.

    Raises:
        OSError: it could not be written.
    """
    variables = state_variables(model)
    state = {
        "origin": asdict(origin),
        "layout": _layout(variables),
        "progress": {name: value for name, value in vars(done).items() if name != "best_weights"},
        "best_weights": len(done.best_weights or ()),
    }
    arrays = {STATE: np.frombuffer(json.dumps(state).encode(), np.uint8)}
    arrays |= {f"variable-{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}
    arrays |= {f"best-{i}": values for i, values in enumerate(done.best_weights or ())}
    np.savez(path, allow_pickle=False, **arrays)


def unpack(path: Path, model: keras.Model, origin: Origin) -> tuple[Progress, Origin]:
    """Bring a built and compiled model to where a checkpoint left it.

    Everything is read and checked before the model is touched.

    Returns:
        How far it had come, and what it was written by.

    Raises:
        ForeignError: it belongs to something else.
        UnusableError: it is damaged, or the model has other variables.
    """
    variables = state_variables(model)
    try:
        # The zip holds a checksum of each array.
        arrays = archives.arrays(path)
        state: dict[str, Any] = json.loads(arrays[STATE].tobytes())
        written, done = Origin(**state["origin"]), Progress(**state["progress"])
        if not _possible(written, done) or state["best_weights"] not in {0, len(model.weights)}:
            raise UnusableError("it tells of a state that no training has")
        _check(written, origin, state["layout"], _layout(variables))
        values = [arrays[f"variable-{i}"].reshape(variable.shape) for i, variable in enumerate(variables)]
        done.best_weights = [arrays[f"best-{i}"] for i in range(state["best_weights"])] or None
    except (ForeignError, UnusableError, MemoryError):
        raise
    # NumPy and zip raise many things at a damaged file: BadZipFile, zlib.error, ValueError, NotImplementedError, ...
    except Exception as error:
        raise UnusableError(f"it cannot be read ({type(error).__name__}: {error})") from error
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return done, written


def _possible(written: Origin, done: Progress) -> bool:
    """Whether what was read has the kinds of values that are written."""
    counts = (written.seed, written.threads, done.epochs, done.step, done.best_epoch, done.waited)
    return (
        type(written.fingerprint) is str
        and all(type(count) is int for count in counts)
        and min(counts[2:]) >= 0
        and type(done.best_loss) is float
        and type(done.spent) is dict
        and type(done.history) is dict
        and all(
            type(values) is list and len(values) == done.epochs and all(type(value) in {int, float} for value in values)
            for values in done.history.values()
        )
        and type(done.samples) is list
        and all(type(texts) is list and all(type(text) is str for text in texts) for texts in done.samples)
    )


def _check(written: Origin, origin: Origin, layout: list[str], own: list[str]) -> None:
    if (written.fingerprint, written.seed) != (origin.fingerprint, origin.seed):
        raise ForeignError(f"it belongs to {written.fingerprint}, and this training is {origin.fingerprint}")
    if layout != own:
        raise UnusableError("the model's code has changed since")


def _layout(variables: "Sequence[keras.Variable]") -> list[str]:
    return [f"{variable.path} {tuple(variable.shape)} {variable.dtype}" for variable in variables]
