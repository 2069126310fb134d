"""Who may write a training's checkpoints: one process at a time.

On a local path a lock of the system's, which ends with its process. Cloud Storage has none: there an object names the
holder, who writes it anew every few seconds. Each write is conditional on the generation before, so of two who take it
one fails, and a holder that was given up for dead notices when it comes back.
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from components import storage
from components.core.errors import StepError
from components.train.telling import say

# A pod that replaces a preempted one needs longer than EXPIRY_S to start, so it hardly ever waits.
BEAT_S, EXPIRY_S = 5.0, 30.0
# A holder that lives is waited for so long, and no longer: whoever waits may hold an accelerator.
PATIENCE_S = 600.0
LOOK_S = 1.0
RELEASE_S = 2.0
WAITING = "another run is training the same model on the same data: waiting for it to end"


@contextmanager
def local(path: Path) -> Iterator[None]:
    """Hold a lock file; another holder is waited for.

    The holder may remove the file.
    """
    with _locked(path):
        yield


def _locked(path: Path) -> IO[str]:
    """The open lock file; closing it ends its lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(WAITING)
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Whoever held it may have finished and removed the file: then this lock guards nothing.
        with suppress(FileNotFoundError):
            if os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
                return lock
        lock.close()


class Lease:
    """An object in Cloud Storage that this process holds.

    Attributes:
        uri: the object; its holder may remove it.
        lost: another process has taken it.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.lost = uri, False
        self._generation, self._over = 0, threading.Event()
        self._me = _this_process() | {"id": uuid4().hex}

    def check(self) -> None:
        """Make sure that nobody else writes.

        Raises:
            StepError: kind ``conflict``: another process does.
        """
        if self.lost:
            raise StepError(
                f"another run has taken over this training: {self.uri} is not ours any more",
                advice=f"wait for its result; this one was not heard of for {EXPIRY_S:g} s",
                kind="conflict",
            )

    def take(self) -> None:
        """Wait until it is free, and take it.

        Raises:
            StepError: kind ``conflict``: its holder lives on for too long.
        """
        began = changed = time.monotonic()
        seen = -1
        while True:
            holder, generation = self._read()
            now = time.monotonic()
            if generation != seen:
                changed, seen = now, generation
            # The second clause needs no agreement of two machines' clocks.
            if _free(holder) or now - changed > EXPIRY_S:
                with suppress(_Taken):
                    self._write(generation)
                    return
            elif now - began > PATIENCE_S:
                raise StepError(
                    f"another run is training the same model on the same data, and holds {self.uri}",
                    advice="wait for its result, or give this one another checkpoint_root",
                    kind="conflict",
                )
            else:
                if now - began < LOOK_S:
                    say(WAITING)
                time.sleep(LOOK_S)

    def keep(self) -> None:
        """Write it anew every few seconds until it is over, then give it back. For a thread."""
        while not self._over.wait(BEAT_S):
            try:
                self._write(self._generation)
            except _Taken:
                self.lost = True
                return
            except StepError as error:
                say(f"warning: the lease on the checkpoints could not be renewed: {error}")
        with suppress(StepError, _Taken):
            storage.write_text(self.uri, "{}", generation=self._generation)

    def end(self) -> None:
        """Let the thread end."""
        self._over.set()

    def _read(self) -> tuple[dict[str, Any], int]:
        try:
            text, generation = storage.read_versioned(self.uri)
        except FileNotFoundError:
            return {}, 0
        try:
            holder = json.loads(text)
        except ValueError:
            holder = None
        return holder if isinstance(holder, dict) else {}, generation

    def _write(self, generation: int) -> None:
        """Write the holder over a generation, and learn the new one.

        Raises:
            _Taken: somebody else was first.
        """
        try:
            storage.write_text(self.uri, json.dumps(self._me | {"beat": time.time()}), generation=generation)
        except StepError as error:
            if error.kind != "conflict":
                raise
            raise _Taken from None
        holder, self._generation = self._read()
        if holder.get("id") != self._me["id"]:
            raise _Taken


class _Taken(Exception):  # noqa: N818  # no fault
    """Somebody else has the lease."""


@contextmanager
def remote(uri: str) -> Iterator[Lease]:
    """Hold a lease in Cloud Storage.

    Raises:
        StepError: kind ``conflict``: another process holds it for too long.
    """
    lease = Lease(uri)
    lease.take()
    thread = threading.Thread(target=lease.keep, daemon=True, name="lease")
    thread.start()
    try:
        yield lease
    finally:
        lease.end()
        # A process that is about to be killed has no time for storage that does not answer.
        thread.join(RELEASE_S)


def _free(holder: dict[str, Any]) -> bool:
    """Whether the holder has given it back, is dead for sure, or was not heard of for too long."""
    try:
        return not holder or time.time() - float(holder["beat"]) > EXPIRY_S or _dead(holder)
    except (KeyError, TypeError, ValueError):
        return True  # nothing that was written here


def _this_process() -> dict[str, Any]:
    return {"machine": _machine(), "pid": os.getpid(), "began": _began(os.getpid())}


def _machine() -> str:
    """This boot of this machine and this container's process numbers; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""


def _began(pid: int) -> int:
    """When a process began, in clock ticks (proc(5), field 22 of stat); 0 for one that is not there."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 0 if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0


def _dead(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process here that is gone: a retry in the same place waits for nothing."""
    here = _machine()
    return bool(here) and holder["machine"] == here and _began(int(holder["pid"])) != holder["began"]
