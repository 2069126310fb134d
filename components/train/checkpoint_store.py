"""The checkpoints of one training: each is published as a whole, the last few stay, the newest usable one is restored.

A checkpoint is a folder ``epoch-00002-step-00000120`` with one file; ``lease.json`` names the process that writes, and
``spent.json`` is its goodput so far.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import keras

from components import storage
from components.core import progress
from components.core.errors import StepError
from components.train import checkpoint_file, lease
from components.train.checkpoint_file import FILE, MismatchError, Provenance, TrainingState, UnusableError

# The order of the names is the order of training: 2 epochs done, then 120 steps of the third, then 3 epochs done.
NAME = re.compile(rf"(epoch-\d{{5}}(?:-step-\d{{8}})?)/{re.escape(FILE)}$")
LEASE, GOODPUT = "lease.json", "spent.json"


@dataclass
class CheckpointStore:
    """The checkpoints of one training, that is of one fingerprint of all that decides its result.

    Attributes:
        uri: their folder, an absolute path or ``gs://``.
        provenance: the training they belong to.
        count: how many are kept.
    """

    uri: str
    provenance: Provenance
    count: int = 2
    _lease: lease.Lease | None = field(default=None, init=False)

    @classmethod
    def under(cls, root: str, provenance: Provenance, count: int = 2) -> Self:
        """A training's checkpoints below ``checkpoint_root``."""
        return cls(storage.join(root, provenance.fingerprint), provenance, count)

    def names(self) -> list[str]:
        """The published checkpoints, oldest first."""
        matches = (NAME.match(path) for path in storage.listing(self.uri))
        return sorted(match[1] for match in matches if match)

    def save(self, model: keras.Model, state: TrainingState) -> None:
        """Publish a checkpoint, then remove the oldest ones beyond ``count``.

        It is staged and appears as a whole: if the process is killed at any moment, the ones before stay.

        Raises:
            StepError: it cannot be written, or (kind ``conflict``) another run has taken the lease.
        """
        if self._lease:
            self._lease.check()
        name = f"epoch-{state.epochs:05d}" + (f"-step-{state.step:08d}" if state.step else "")
        with self._staged_folder() as folder:
            checkpoint_file.save(folder / FILE, model, state, self.provenance)
            storage.upload(folder, storage.join(self.uri, name), move=True)
        for old in self.names()[: -self.count]:
            storage.remove(storage.join(self.uri, old))

    def restore(self, model: keras.Model) -> TrainingState:
        """Restore a built and compiled model from the newest usable checkpoint.

        A checkpoint that is damaged or has other variables is removed with a warning, and the one before is tried;
        without any, training starts from the beginning.

        Raises:
            StepError: a checkpoint belongs to another configuration; nothing was loaded or removed.
        """
        self._remove_staged()
        for name in reversed(self.names()):
            uri = storage.join(self.uri, name)
            try:
                with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
                    path = storage.download(uri, Path(folder)) / FILE
                    state, written = checkpoint_file.load(path, model, self.provenance)
            except MismatchError as error:
                raise StepError(
                    f"the checkpoint {uri} belongs to another configuration: {error}",
                    advice=f"remove {self.uri}, or use another checkpoint_root",
                ) from None
            except (UnusableError, OSError, StepError) as error:
                if isinstance(error, StepError) and error.kind != "data":
                    raise  # storage cannot be reached; the checkpoint may be sound
                progress.log("train", f"warning: checkpoint {name} is unusable and skipped: {error}")
                storage.remove(uri)  # otherwise it would count as one of those to keep
                continue
            if written.threads != self.provenance.threads:
                progress.log(
                    "train",
                    f"warning: {written.threads} threads computed this checkpoint, and {self.provenance.threads} "
                    "continue: the last decimals may differ from an uninterrupted training (training.threads sets the "
                    "number)",
                )
            return state
        if others := self._other_code():
            progress.log(
                "train",
                f"training starts anew: the checkpoints of the same settings in {', '.join(others)} come from other "
                "code, library versions or precision and are not used",
            )
        return TrainingState()

    def _other_code(self) -> list[str]:
        """The folders beside this one with checkpoints of the same data, model and settings."""
        root, _, own = self.uri.rpartition("/")
        settings = own.partition("-")[0]
        files = (name.split("/") for name in storage.listing(root))
        return sorted(
            {parts[0] for parts in files if parts[0].partition("-")[0] == settings and parts[-1] == FILE} - {own}
        )

    def save_goodput(self, snapshot: Mapping[str, Any]) -> None:
        """Save this attempt's goodput beside the checkpoints, so that the next attempt knows what a kill has lost."""
        storage.write_text(storage.join(self.uri, GOODPUT), json.dumps(snapshot))

    def load_goodput(self) -> dict[str, Any] | None:
        """The last goodput that the attempt before has saved, if any."""
        try:
            snapshot = json.loads(storage.read_text(storage.join(self.uri, GOODPUT)))
        except (FileNotFoundError, ValueError):
            return None
        return snapshot if isinstance(snapshot, dict) else None

    def remove(self) -> None:
        """Remove everything: the next training starts from the beginning. The caller holds the lease."""
        storage.remove(self.uri)
        if not storage.is_remote(self.uri):
            self._lock.unlink(missing_ok=True)

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold the right to write; wait while another run of the same training holds it.

        Raises:
            StepError: kind ``conflict``: in Cloud Storage another run holds it for too long.
        """
        if not storage.is_remote(self.uri):
            with lease.local(self._lock):
                yield
            return
        with lease.remote(storage.join(self.uri, LEASE)) as self._lease:
            yield

    @property
    def _lock(self) -> Path:
        return Path(f"{self.uri}.lease")

    @contextmanager
    def _staged_folder(self) -> Iterator[Path]:
        """An empty folder to write a checkpoint in, on the same file system if that saves a copy."""
        parent = None if storage.is_remote(self.uri) else Path(self.uri)
        if parent:
            parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".checkpoint-", dir=parent) as outer:
            folder = Path(outer) / "whole"  # a temporary folder's permissions are narrower than a checkpoint's
            folder.mkdir()
            yield folder

    def _remove_staged(self) -> None:
        """Remove what killed processes have left staged; the holder of the lease knows that none is alive."""
        if not storage.is_remote(self.uri):
            for folder in Path(self.uri).glob(".*/"):
                shutil.rmtree(folder, ignore_errors=True)
