"""The checkpoints of one training: published whole, the last few kept, and the newest that is sound restored."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from components import storage
from components.core.errors import StepError
from components.train import lease
from components.train.checkpoint_file import FILE, ForeignError, Origin, Progress, UnusableError, pack, unpack
from components.train.telling import say

# Names sort as training goes: 2 epochs done, then 120 steps of the third, then 3 epochs done.
NAME = re.compile(rf"(epoch-\d{{5}}(?:-step-\d{{8}})?)/{re.escape(FILE)}$")
LEASE, SPENT = "lease.json", "spent.json"


@dataclass
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
    _lease: lease.Lease | None = field(default=None, init=False)

    @classmethod
    def under(cls, root: str, origin: Origin, count: int = 2) -> "Checkpoints":
        """The checkpoints of a training below the installation's root."""
        return cls(storage.join(root, origin.fingerprint), origin, count)

    def names(self) -> list[str]:
        """The published checkpoints, the oldest first."""
        found = (NAME.match(path) for path in storage.listing(self.place))
        return sorted(match[1] for match in found if match)

    def save(self, model: keras.Model, done: Progress) -> None:
        """Publish a checkpoint, then remove those that are too many.

        It is written aside and appears whole: a kill at any moment leaves the ones before.

        Raises:
            StepError: it could not be written, or (kind ``conflict``) another run has taken the lease.
        """
        if self._lease:
            self._lease.check()
        name = f"epoch-{done.epochs:05d}" + (f"-step-{done.step:08d}" if done.step else "")
        with self._aside() as folder:
            pack(folder / FILE, model, done, self.origin)
            storage.upload(folder, storage.join(self.place, name), move=True)
        for old in self.names()[: -self.count]:
            storage.remove(storage.join(self.place, old))

    def restore(self, model: keras.Model) -> Progress:
        """Bring a built and compiled model to where the newest usable checkpoint left it.

        One that is damaged, or whose variables are not the model's, is removed with a line that says why, and the one
        before serves; without any, training starts anew.

        Raises:
            StepError: a checkpoint belongs to another configuration. Nothing of it is loaded, and nothing is touched.
        """
        self._clear()
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
                    "the last figures may differ from an uninterrupted training (training.threads fixes their number)"
                )
            return done
        return Progress()

    def note_spent(self, spent: Mapping[str, Any]) -> None:
        """Keep what this attempt has spent so far beside the checkpoints: a kill loses what came after the last one."""
        storage.write_text(storage.join(self.place, SPENT), json.dumps(spent))

    def spent(self) -> dict[str, Any] | None:
        """What the last attempt had spent when it was last noted; None without such a note."""
        try:
            noted = json.loads(storage.read_text(storage.join(self.place, SPENT)))
        except (FileNotFoundError, ValueError):
            return None
        return noted if isinstance(noted, dict) else None

    def remove(self) -> None:
        """Forget the training: the next one starts from scratch. Call it while holding the lease."""
        storage.remove(self.place)
        if not storage.is_remote(self.place):
            self._lock.unlink(missing_ok=True)

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Be the only writer: another training of the same is waited for.

        Raises:
            StepError: kind ``conflict``: in Cloud Storage another one holds it for too long.
        """
        if not storage.is_remote(self.place):
            with lease.local(self._lock):
                yield
            return
        with lease.remote(storage.join(self.place, LEASE)) as self._lease:
            yield

    @property
    def _lock(self) -> Path:
        return Path(f"{self.place}.lease")

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """An empty folder to write a checkpoint in, on the same file system where that spares a copy."""
        place = None if storage.is_remote(self.place) else Path(self.place)
        if place:
            place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".checkpoint-", dir=place) as outer:
            folder = Path(outer) / "whole"  # a temporary folder's own rights are narrower than a checkpoint's
            folder.mkdir()
            yield folder

    def _clear(self) -> None:
        """Remove what killed writers left aside; whoever holds the lease knows them to be dead."""
        if not storage.is_remote(self.place):
            for left in Path(self.place).glob(".*/"):
                shutil.rmtree(left, ignore_errors=True)
