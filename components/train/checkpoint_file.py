"""A checkpoint file: all values that change in training, and the position in the data."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components.core import archives

FILE = "checkpoint.npz"
HEADER = "state"


@dataclass
class TrainingState:
    """How far training has come. The names of the attributes are keys of the file's JSON.

    Attributes:
        epochs: finished epochs.
        step: finished steps of the next epoch; with ``epochs`` and the seed it is the position in the data.
        history: metric -> its value after each epoch.
        best_epoch: the epoch (1, 2, ...) with the lowest validation loss; 0 before the first.
        best_loss: that loss.
        waited: epochs since the best one.
        best_weights: the model's weights after the best epoch, if training is to end with them.
        spent: seconds of all attempts (``GoodputTracker.snapshot``).
        samples: what the task shows after each epoch, such as generated texts, if anything.
        other_code: where other code has computed up to, and which; one line for each change of code.
    """

    epochs: int = 0
    step: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    best_loss: float = float("inf")
    waited: int = 0
    best_weights: list[np.ndarray] | None = None
    spent: dict[str, Any] = field(default_factory=dict)
    samples: list[list[str]] = field(default_factory=list)
    other_code: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"in epoch {self.epochs + 1} after step {self.step}" if self.step else f"after epoch {self.epochs}"


@dataclass(frozen=True)
class Provenance:
    """The training that a checkpoint belongs to. The names of the attributes are keys of the file's JSON.

    Attributes:
        fingerprint: of data, model and training settings, then ``-``, then of code, library versions, backend and
            precision.
        seed: of the order of the data and of every random change to them.
        threads: that computed it; equal results are promised for equal numbers of threads only.
    """

    fingerprint: str
    seed: int = 0
    threads: int = 0


class MismatchError(Exception):
    """The checkpoint is sound and belongs to other data, another model or other settings."""


class UnusableError(Exception):
    """The checkpoint is damaged."""


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """All variables that change in training: weights, seed generators, optimizer and metrics.

    A ``.keras`` file leaves out the seed generators (keras-team/keras#19796), so Dropout would continue differently.
    """
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return list({id(variable): variable for variable in variables}.values())


def save(path: Path, model: keras.Model, state: TrainingState, provenance: Provenance) -> None:
    """Write a zip of arrays, each with its checksum; everything else is JSON in the array ``HEADER``.

    Raises:
        OSError: it cannot be written.
    """
    variables = state_variables(model)
    header = {
        "origin": asdict(provenance),
        "layout": _layout(variables),
        "progress": {name: value for name, value in vars(state).items() if name != "best_weights"},
        "best_weights": len(state.best_weights or ()),
    }
    arrays = {HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)}
    arrays |= {f"variable-{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}
    arrays |= {f"best-{i}": values for i, values in enumerate(state.best_weights or ())}
    np.savez(path, allow_pickle=False, **arrays)


def load(path: Path, model: keras.Model, provenance: Provenance) -> tuple[TrainingState, Provenance]:
    """Restore a built and compiled model. Everything is read and checked before the model is changed.

    Args:
        provenance: of the training that resumes.

    Returns:
        The state of the training, and the provenance of the checkpoint.

    Raises:
        MismatchError: it belongs to another training, or the model has other variables.
        UnusableError: it is damaged.
        OSError: the machine cannot read it now.
    """
    variables = state_variables(model)
    try:
        # The zip holds a checksum of each array.
        arrays = archives.arrays(path)
        header: dict[str, Any] = json.loads(arrays[HEADER].tobytes())
        written, state = Provenance(**header["origin"]), TrainingState(**header["progress"])
        if not _is_valid(written, state) or header["best_weights"] not in {0, len(model.weights)}:
            raise UnusableError("its state is impossible")
        if (written.fingerprint, written.seed) != (provenance.fingerprint, provenance.seed):
            raise MismatchError(f"it belongs to {written.fingerprint}, and this training is {provenance.fingerprint}")
        if header["layout"] != _layout(variables):
            raise MismatchError("its variables are not those of the model, whose code has changed since")
        values = [arrays[f"variable-{i}"].reshape(variable.shape) for i, variable in enumerate(variables)]
        state.best_weights = [arrays[f"best-{i}"] for i in range(header["best_weights"])] or None
    except (MismatchError, UnusableError, MemoryError):
        raise
    # NumPy and zip raise many exceptions for a damaged file: BadZipFile, zlib.error, ValueError, NotImplementedError...
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the machine's: the checkpoint may be sound
        raise UnusableError(f"it cannot be read ({type(error).__name__}: {error})") from error
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return state, written


def _is_valid(provenance: Provenance, state: TrainingState) -> bool:
    """Whether all values have the types and ranges that ``save`` writes."""
    counts = (provenance.seed, provenance.threads, state.epochs, state.step, state.best_epoch, state.waited)
    return (
        type(provenance.fingerprint) is str
        and all(type(count) is int for count in counts)
        and min(counts[2:]) >= 0
        and type(state.best_loss) is float
        and type(state.spent) is dict
        and type(state.history) is dict
        and all(
            type(values) is list
            and len(values) == state.epochs
            and all(type(value) in {int, float} for value in values)
            for values in state.history.values()
        )
        and type(state.samples) is list
        and all(
            type(texts) is list and all(type(text) is str for text in texts)
            for texts in (*state.samples, state.other_code)
        )
    )


def _layout(variables: list[keras.Variable]) -> list[str]:
    return [f"{variable.path} {tuple(variable.shape)} {variable.dtype}" for variable in variables]
