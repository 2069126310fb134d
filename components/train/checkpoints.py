"""Checkpoints: one file an epoch, published whole, checked when read, with all that decides how training goes on."""

import fcntl
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from components.core import progress, storage

if TYPE_CHECKING:
    import keras
    import numpy as np

KEPT = 2
STATE = "state"
FILE = "checkpoint.npz"
NAME = re.compile(rf"(epoch-\d{{5}})/{re.escape(FILE)}$")


@dataclass
class Progress:
    """How far training has come.

    Attributes:
        epochs: epochs done; with the seed it is the position in the data.
        history: metric -> its value after each epoch.
        best_epoch: the epoch (1, 2, ...) with the lowest validation loss; 0 before there is one.
        best_loss: that loss.
        waited: epochs since then.
        best_weights: the model's weights after it, where training is to end with them.
    """

    epochs: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    best_loss: float = float("inf")
    waited: int = 0
    best_weights: "list[np.ndarray] | None" = None


def state_variables(model: "keras.Model") -> "list[keras.Variable]":
    """Everything that changes in training: weights, seed generators, optimizer and metric accumulators.

    A ``.keras`` file leaves the seed generators out (keras-team/keras#19796), so Dropout would go on differently.
    """
    every = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return list({id(variable): variable for variable in every}.values())


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training: of one fingerprint over data, model and training settings.

    Attributes:
        place: a folder, on an absolute path or ``gs://``, with one folder an epoch.
        fingerprint: what they belong to.
    """

    place: str
    fingerprint: str

    @classmethod
    def under(cls, root: str, fingerprint: str) -> "Checkpoints":
        """The checkpoints of a training below the installation's root."""
        return cls(storage.join(root, fingerprint), fingerprint)

    def names(self) -> list[str]:
        """The published checkpoints, the oldest first."""
        found = (NAME.match(path) for path in storage.listing(self.place))
        return sorted(match[1] for match in found if match)

    def save(self, model: "keras.Model", done: Progress) -> None:
        """Publish a checkpoint and remove all but the last two.

        It is one file, so it appears whole in Cloud Storage too.
        """
        name = f"epoch-{done.epochs:05d}"
        with tempfile.TemporaryDirectory() as folder:
            _pack(Path(folder) / FILE, model, done, self.fingerprint)
            storage.upload(Path(folder), storage.join(self.place, name))
        for old in self.names()[:-KEPT]:
            storage.remove(storage.join(self.place, old))

    def restore(self, model: "keras.Model") -> Progress:
        """Bring a built and compiled model to where the newest usable checkpoint left it.

        One that cannot be used is removed with a line that says why; without any, training starts anew.
        """
        for name in reversed(self.names()):
            uri = storage.join(self.place, name)
            try:
                with tempfile.TemporaryDirectory() as folder:
                    return _unpacked(storage.download(uri, Path(folder)) / FILE, model, self.fingerprint)
            # NumPy and zip raise many things at a damaged file; whatever it is, the one before may be whole.
            except (
                *(OSError, ValueError, LookupError, TypeError, EOFError),
                *(zipfile.BadZipFile, zlib.error, storage.Damaged),
            ) as error:
                _say(f"warning: checkpoint {name} is unusable and passed over: {error}")
                storage.remove(uri)  # or it would count among the last two for good
        return Progress()

    def remove(self) -> None:
        """Forget the training: the next one starts from scratch. Call it while holding the lease."""
        storage.remove(self.place)
        if not storage.is_remote(self.place):
            self._lease_file().unlink(missing_ok=True)

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Be the only writer: another training of the same is waited for.

        A lock of the system's on a local path, which ends with its process. Cloud Storage has none: there, two
        trainings of the same at the same time may write over each other's checkpoints, each of them whole.
        """
        with nullcontext() if storage.is_remote(self.place) else self._locked():
            yield

    def _lease_file(self) -> Path:
        return Path(f"{self.place}.lease")

    def _locked(self) -> IO[str]:
        """The open lease file; closing it ends its lock."""
        path = self._lease_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            lock = path.open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _say("another run is training the same model on the same data: waiting for it to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            # Whoever held it may have finished and removed the file: then this lock guards nothing.
            with suppress(FileNotFoundError):
                if os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
                    return lock
            lock.close()


def _say(note: str) -> None:
    print(note, flush=True)
    progress.report("train", note=note)


def _pack(path: Path, model: "keras.Model", done: Progress, fingerprint: str) -> None:
    import keras
    import numpy as np

    variables = state_variables(model)
    state = {
        "fingerprint": fingerprint,
        "layout": _layout(variables),
        "epochs": done.epochs,
        "history": done.history,
        "best_epoch": done.best_epoch,
        "best_loss": done.best_loss,
        "waited": done.waited,
        "best_weights": len(done.best_weights or ()),
    }
    arrays = {STATE: np.frombuffer(json.dumps(state).encode(), np.uint8)}
    arrays |= {f"variable-{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}
    arrays |= {f"best-{i}": values for i, values in enumerate(done.best_weights or ())}
    np.savez(path, allow_pickle=False, **arrays)


def _unpacked(path: Path, model: "keras.Model", fingerprint: str) -> Progress:
    """Read everything, check everything, and only then touch the model."""
    import numpy as np

    variables = state_variables(model)
    # The zip holds a checksum of each array. NumPy leaves a file that it opened itself open if it is no zip.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        state: dict[str, Any] = json.loads(arrays[STATE].tobytes())
        if state["fingerprint"] != fingerprint:
            raise ValueError("it belongs to other data or settings")
        if state["layout"] != _layout(variables):
            raise ValueError("the model's code has changed since")
        values = [arrays[f"variable-{i}"] for i in range(len(variables))]
        best = [arrays[f"best-{i}"] for i in range(state["best_weights"])]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return Progress(
        epochs=state["epochs"],
        history=state["history"],
        best_epoch=state["best_epoch"],
        best_loss=state["best_loss"],
        waited=state["waited"],
        best_weights=best or None,
    )


def _layout(variables: "Sequence[keras.Variable]") -> list[str]:
    return [f"{variable.path} {tuple(variable.shape)} {variable.dtype}" for variable in variables]
