"""The checkpoints of one training: published whole, the last few kept, and the newest that is sound restored."""

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from components.core import progress, storage
from components.core.errors import StepError
from components.train.saving import FILE, ForeignError, Origin, Progress, UnusableError, pack, unpack

if TYPE_CHECKING:
    import keras

# Names sort as training goes: 2 epochs done, then 120 steps of the third, then 3 epochs done.
NAME = re.compile(rf"(epoch-\d{{5}}(?:-step-\d{{8}})?)/{re.escape(FILE)}$")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training: of one fingerprint over data, model and training settings.

    Attributes:
        place: a folder, on an absolute path or ``gs://``, with one folder a checkpoint.
        origin: what they belong to.
        count: how many are kept.
    """

    place: str
    origin: Origin
    count: int = 2

    @classmethod
    def under(cls, root: str, origin: Origin, count: int = 2) -> "Checkpoints":
        """The checkpoints of a training below the installation's root."""
        return cls(storage.join(root, origin.fingerprint), origin, count)

    def names(self) -> list[str]:
        """The published checkpoints, the oldest first."""
        found = (NAME.match(path) for path in storage.listing(self.place))
        return sorted(match[1] for match in found if match)

    def save(self, model: "keras.Model", done: Progress) -> None:
        """Publish a checkpoint, then remove those that are too many.

        It is written aside and appears whole: a kill at any moment leaves the ones before.

        Raises:
            StepError: it could not be written.
        """
        name = f"epoch-{done.epochs:05d}" + (f"-step-{done.step:08d}" if done.step else "")
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            pack(Path(folder) / FILE, model, done, self.origin)
            storage.upload(Path(folder), storage.join(self.place, name))
        for old in self.names()[: -self.count]:
            storage.remove(storage.join(self.place, old))

    def restore(self, model: "keras.Model") -> Progress:
        """Bring a built and compiled model to where the newest usable checkpoint left it.

        One that is damaged, or whose variables are not the model's, is removed with a line that says why, and the one
        before serves; without any, training starts anew.

        Raises:
            StepError: a checkpoint belongs to another configuration. Nothing of it is loaded, and nothing is touched.
        """
        for name in reversed(self.names()):
            uri = storage.join(self.place, name)
            try:
                with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
                    done, written = unpack(storage.download(uri, Path(folder)) / FILE, model, self.origin)
            except ForeignError as error:
                raise StepError(
                    f"the checkpoint {uri} is of another configuration: {error}",
                    advice=f"remove {self.place}, or give another checkpoint_root",
                ) from None
            except (UnusableError, OSError, StepError) as error:
                if isinstance(error, StepError) and error.kind != "data":
                    raise  # storage that cannot be reached says nothing about the checkpoint
                say(f"warning: checkpoint {name} is unusable and passed over: {error}")
                storage.remove(uri)  # or it would count among the kept ones for good
                continue
            if written.threads != self.origin.threads:
                say(
                    f"warning: {written.threads} threads computed this checkpoint, and {self.origin.threads} go on: "
                    "the last digits may differ from an uninterrupted training (training.threads fixes their number)"
                )
            return done
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
                say("another run is training the same model on the same data: waiting for it to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            # Whoever held it may have finished and removed the file: then this lock guards nothing.
            with suppress(FileNotFoundError):
                if os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
                    return lock
            lock.close()


def say(note: str) -> None:
    """Tell whoever watches the run, and its log."""
    print(note, flush=True)
    progress.report("train", note=note)
