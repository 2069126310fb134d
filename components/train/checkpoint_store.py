"""The checkpoints of one training: each is published as a whole, the last few stay, the newest usable one is restored.

A checkpoint is a folder ``epoch-00002-step-00000120-lease-00001`` with one file, and with ``damaged.json`` once it was
found to be damaged; its last number is the token of the lease under which it was written. ``lease.json`` names the
process that writes, ``goodput/spent.json`` is its goodput so far, and ``finished/time.json`` says when a training ended
whose last checkpoint stays.
"""

import errno
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import keras

from components import storage
from components.core import progress
from components.core.errors import StepError
from components.train import checkpoint_file, lease
from components.train.checkpoint_file import FILE, MismatchError, Provenance, TrainingState, UnusableError
from components.train.lineage import Checkpoint, checkpoints

LEASE, GOODPUT, DAMAGED, FINISHED = "lease.json", "goodput", "damaged.json", "finished/time.json"
# Days for which the last checkpoint of a training that has ended stays on a cluster.
KEPT_DAYS = 7


@dataclass
class CheckpointStore:
    """The checkpoints of one training, that is of one fingerprint of all that decides its result.

    Attributes:
        uri: their folder, an absolute path or ``gs://``.
        provenance: the training they belong to.
        count: how many are kept.
        origin: the folder beside theirs with the checkpoints of other code that the training goes on from, if any.
        token: of the lease; 0 without one.
    """

    uri: str
    provenance: Provenance
    count: int = 2
    origin: str = ""
    token: int = field(default=0, init=False)
    _lease: lease.Lease | None = field(default=None, init=False)
    _observed: lease.Lease | None = field(default=None, init=False)

    @classmethod
    def under(cls, root: str, provenance: Provenance, count: int = 2, origin: str = "") -> Self:
        """A training's checkpoints below ``checkpoint_root``."""
        return cls(storage.join(root, provenance.fingerprint), provenance, count, origin)

    def names(self) -> list[str]:
        """The published checkpoints that are not known to be damaged, oldest first."""
        return [checkpoint.name for checkpoint in checkpoints(self.uri)]

    def check(self, *, ask: bool = True) -> None:
        """Make sure that no other process has taken over this training.

        Args:
            ask: whether Cloud Storage is asked; if not, only what is known already counts.

        Raises:
            StepError: kind ``preempted``: another process has.
        """
        if self._lease:
            self._lease.check() if ask else self._lease.require()

    def save(self, model: keras.Model, state: TrainingState) -> None:
        """Publish a checkpoint, then remove the oldest ones beyond ``count``.

        It is staged and appears as a whole: if the process is killed at any moment, the ones before stay.

        Raises:
            StepError: it cannot be written, or (kind ``preempted``) another run has taken the lease.
        """
        self.check()  # before anything is published
        name = f"epoch-{state.epochs:05d}" + (f"-step-{state.step:08d}" if state.step else "")
        name += f"-lease-{self.token:05d}" if self.token else ""
        with self._staged_folder() as folder:
            checkpoint_file.save(folder / FILE, model, state, self.provenance)
            storage.upload(folder, storage.join(self.uri, name), move=True)
        self.check()  # sending a large one takes longer than a lease lasts
        self._remove_older(self.count)

    def _remove_older(self, count: int) -> None:
        """Remove what is older than the last ``count`` usable checkpoints, if there are so many."""
        present = checkpoints(self.uri, damaged=True)
        newest = [checkpoint for checkpoint in present if not checkpoint.damaged][-count:]
        if len(newest) == count:
            self._remove(old for old in present if old < newest[0])

    def _remove(self, old: Iterable[Checkpoint]) -> None:
        """Remove checkpoints, but none of a later holder of the lease."""
        for checkpoint in old:
            if checkpoint.token <= self.token:
                storage.remove(storage.join(self.uri, checkpoint.name))

    def restore(self, model: keras.Model) -> TrainingState:
        """Restore a built and compiled model from the newest usable checkpoint.

        A damaged checkpoint is set aside with a warning, and the one before is tried; without any, training starts from
        the beginning.

        Raises:
            StepError: a checkpoint belongs to another configuration or model; nothing was loaded or removed.
        """
        self._remove_staged()
        if state := self._newest(model, self.uri, self.provenance):
            return state
        if self.origin:
            uri = storage.join(self._root, self.origin)
            if state := self._newest(model, uri, replace(self.provenance, fingerprint=self.origin)):
                state.other_code.append(f"{state} from {self.origin}")
                return state
        if others := self._other_code():
            progress.log(
                "train",
                f"training starts anew: the checkpoints of the same settings in {', '.join(others)} come from other "
                "code, library versions or precision and are not used",
            )
        return TrainingState()

    def _newest(self, model: keras.Model, folder: str, provenance: Provenance) -> TrainingState | None:
        """Restore a model from the newest usable checkpoint in a folder; None if there is none.

        Raises:
            StepError: a checkpoint belongs to another configuration or model.
        """
        for checkpoint in reversed(checkpoints(folder)):
            uri = storage.join(folder, checkpoint.name)
            try:
                with tempfile.TemporaryDirectory(prefix="checkpoint-") as temporary:
                    path = storage.download(uri, Path(temporary)) / FILE
                    state, written = checkpoint_file.load(path, model, provenance)
            except MismatchError as error:
                raise StepError(
                    f"the checkpoint {uri} belongs to another configuration: {error}",
                    advice=f"remove {folder}, or use another checkpoint_root",
                ) from None
            except (UnusableError, storage.Damaged, OSError) as error:
                if isinstance(error, OSError) and error.errno != errno.EIO:
                    raise  # such as a full disk: the checkpoint may be sound
                progress.log("train", f"warning: checkpoint {checkpoint.name} is unusable and skipped: {error}")
                if folder == self.uri:
                    self.check()
                    # It stays, for whoever wants to know why, but counts no longer as one of those to keep.
                    storage.write_text(storage.join(uri, DAMAGED), json.dumps({"reason": str(error)}))
                continue
            if written.threads != self.provenance.threads:
                progress.log(
                    "train",
                    f"warning: {written.threads} threads computed this checkpoint, and {self.provenance.threads} "
                    "continue: the last decimals may differ from an uninterrupted training (training.threads sets the "
                    "number)",
                )
            return state
        return None

    def _other_code(self) -> list[str]:
        """The folders beside this one with checkpoints of the same data, model and settings that have not ended."""
        root, own = self._root, self.uri.rpartition("/")[2]
        settings = own.partition("-")[0]
        files = [name.split("/") for name in storage.listing(root) if re.split("[-/]", name)[0] == settings]
        ended = {parts[0] for parts in files if "/".join(parts[1:]) == FINISHED}
        return sorted({parts[0] for parts in files if parts[-1] == FILE} - {own} - ended)

    @property
    def _root(self) -> str:
        return self.uri.rpartition("/")[0]

    def save_goodput(self, snapshot: Mapping[str, Any]) -> None:
        """Save this attempt's goodput beside the checkpoints, so that the next attempt knows what a kill has lost."""
        self.check(ask=False)
        storage.write_text(storage.join(self.uri, GOODPUT, "spent.json"), json.dumps(snapshot))

    def load_goodput(self) -> dict[str, Any] | None:
        """The last goodput that the attempt before has saved, if any."""
        try:
            snapshot = json.loads(storage.read_text(storage.join(self.uri, GOODPUT, "spent.json")))
        except (FileNotFoundError, ValueError):
            return None
        return snapshot if isinstance(snapshot, dict) else None

    @property
    def outlives(self) -> bool:
        """Whether the last checkpoint outlives the training: on a cluster the step is repeated if what comes after its
        own end fails, such as the upload of its outputs."""
        return bool(os.environ.get("KFP_POD_NAME"))

    def finish(self) -> None:
        """Remove everything but the lease, or leave the last checkpoint for some days. The caller holds the lease.

        Raises:
            StepError: kind ``preempted``: another run has taken the lease; nothing was removed.
        """
        if not self.outlives:
            self.remove()
            return
        self.check()
        self._remove_older(1)
        storage.write_text(storage.join(self.uri, FINISHED), json.dumps({"time": time.time()}))
        names = storage.listing(self._root)
        for folder in {name.partition("/")[0] for name in names if name.partition("/")[2] == FINISHED}:
            if self._is_over(storage.join(self._root, folder)):
                parts = {name.split("/")[1] for name in names if name.startswith(f"{folder}/")}
                for part in parts - {LEASE}:
                    storage.remove(storage.join(self._root, folder, part))

    def _is_over(self, folder: str) -> bool:
        """Whether a training ended so long ago that nothing will continue it, and no process holds its lease."""
        try:
            ended = float(json.loads(storage.read_text(storage.join(folder, FINISHED)))["time"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False
        return time.time() - ended > KEPT_DAYS * 86400 and lease.is_released(storage.join(folder, LEASE))

    def remove(self) -> None:
        """Remove everything but the lease: the next training starts from the beginning. The caller holds the lease.

        Raises:
            StepError: kind ``preempted``: another run has taken the lease; nothing was removed.
        """
        self.check()
        if storage.is_remote(self.uri):
            self._remove(checkpoints(self.uri, damaged=True))
            storage.remove(storage.join(self.uri, GOODPUT))
        else:
            storage.remove(self.uri)
            self._lock.unlink(missing_ok=True)

    def observe(self) -> None:
        """Look at the lease before it is needed: a dead holder's silence, for which one waits, begins to count."""
        if storage.is_remote(self.uri):
            self._observed = lease.Lease(storage.join(self.uri, LEASE))
            self._observed.observe()

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold the right to write; wait while another run of the same training holds it.

        Raises:
            StepError: kind ``conflict``: in Cloud Storage another run holds it for too long.
        """
        if storage.is_remote(self.uri):
            with lease.remote(storage.join(self.uri, LEASE), self._observed) as held:
                self._lease, self._observed = held, None
                self.token = held.token = max(held.token, self._next_token())
                yield
        else:
            with lease.local(self._lock):
                self.token = self._next_token()
                yield

    def _next_token(self) -> int:
        return 1 + max((checkpoint.token for checkpoint in checkpoints(self.uri, damaged=True)), default=0)

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
