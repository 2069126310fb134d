"""Checkpoints: one file an epoch, published whole, checked when read, with all that decides how training goes on."""

import fcntl
import io
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from components.core import progress

if TYPE_CHECKING:
    import keras
    import numpy as np

KEPT = 2
STATE = "state"
LEASE = "lease"


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
        folder: an absolute path.
        fingerprint: what they belong to.
    """

    folder: Path
    fingerprint: str

    @classmethod
    def under(cls, root: str, fingerprint: str) -> "Checkpoints":
        """The checkpoints of a training below the installation's root."""
        return cls(Path(root) / fingerprint, fingerprint)

    def files(self) -> list[Path]:
        """The published checkpoints, the oldest first."""
        return sorted(self.folder.glob("epoch-*.npz"))

    def save(self, model: "keras.Model", done: Progress) -> None:
        """Publish a checkpoint and remove all but the last two."""
        path = self.folder / f"epoch-{done.epochs:05d}.npz"
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        with aside.open("wb") as stream:
            stream.write(_packed(model, done, self.fingerprint))
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
        for old in self.files()[:-KEPT]:
            old.unlink()

    def restore(self, model: "keras.Model") -> Progress:
        """Bring a built and compiled model to where the newest readable checkpoint left it.

        A file that cannot be used is passed over with a line that says why; without any, training starts anew.
        """
        for path in reversed(self.files()):
            try:
                done = _unpacked(path.read_bytes(), model, self.fingerprint)
            # NumPy raises many things at a damaged file; whatever it is, the file before may be whole.
            except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
                note = f"warning: checkpoint {path.name} is unusable and passed over: {error}"
                print(note, flush=True)
                progress.report("train", note=note)
                continue
            return done
        return Progress()

    def remove(self) -> None:
        """Forget the training: the next one starts from scratch. Call it while holding the lease."""
        for path in [*self.folder.glob("*epoch-*.npz*"), self.folder / LEASE]:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Be the only writer: a lock that the system releases with the process. Another training is waited for."""
        with self._held_lock():
            yield

    def _held_lock(self) -> IO[str]:
        """The open lease file, locked; its lock ends when it is closed."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / LEASE).open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                note = "another run is training the same model on the same data: waiting for it to end"
                print(note, flush=True)
                progress.report("train", note=note)
                fcntl.flock(lock, fcntl.LOCK_EX)
            # Whoever held it may have finished and removed the file: then this lock guards nothing.
            with suppress(FileNotFoundError):
                if os.fstat(lock.fileno()).st_ino == (self.folder / LEASE).stat().st_ino:
                    return lock
            lock.close()


def _packed(model: "keras.Model", done: Progress, fingerprint: str) -> bytes:
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
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _unpacked(content: bytes, model: "keras.Model", fingerprint: str) -> Progress:
    """Read everything, check everything, and only then touch the model."""
    import numpy as np

    variables = state_variables(model)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:  # the zip holds a checksum of each array
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
