"""Lease: one process at a time may write a training's checkpoints.

On a local path it is a lock of the operating system, which ends with its process. Cloud Storage has no locks; there an
object names the holder, who renews it every few seconds. Each write requires the generation that was read before, so if
two processes take the lease, one of them fails, and a holder that was presumed dead notices when it comes back.
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
from components.core import progress
from components.core.errors import StepError

# A pod that replaces a preempted one takes longer than EXPIRY_S to start, so it hardly ever waits.
RENEW_S, EXPIRY_S = 5.0, 30.0
# How long to wait for a living holder: the waiting process may hold an accelerator.
WAIT_S = 600.0
POLL_S = 1.0
RELEASE_S = 2.0
WAITING = "another run is training the same model on the same data: waiting for it to end"


@contextmanager
def local(path: Path) -> Iterator[None]:
    """Hold a lock file; wait while another process holds it. The holder may remove the file."""
    with _lock(path):
        yield


def _lock(path: Path) -> IO[str]:
    """The open and locked file; closing it releases the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.log("train", WAITING)
            fcntl.flock(file, fcntl.LOCK_EX)
        # The holder before may have removed the file: then this lock protects nothing.
        with suppress(FileNotFoundError):
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        file.close()


@contextmanager
def remote(uri: str) -> "Iterator[Lease]":
    """Hold a lease in Cloud Storage; wait while another process holds it.

    Raises:
        StepError: kind ``conflict``: another process holds it for too long.
    """
    lease = Lease(uri)
    lease.acquire()
    thread = threading.Thread(target=lease.renew, daemon=True, name="lease")
    thread.start()
    try:
        yield lease
    finally:
        lease.over.set()
        # A process that is about to be killed has no time for storage that does not answer.
        thread.join(RELEASE_S)


class Lease:
    """An object in Cloud Storage that this process holds.

    Attributes:
        uri: the object; its holder may remove it.
        lost: another process has taken it.
        over: set it to release the lease.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.lost, self.over = uri, False, threading.Event()
        self._generation = 0
        pid = os.getpid()
        self._holder = {"machine": _machine(), "pid": pid, "began": _start_ticks(pid), "id": uuid4().hex}

    def check(self) -> None:
        """Make sure that no other process writes.

        Raises:
            StepError: kind ``conflict``: another process does.
        """
        if self.lost:
            raise StepError(
                f"another run has taken over this training: {self.uri} is no longer held by this one",
                advice=f"wait for the other run's result; this one did not renew its lease for {EXPIRY_S:g} s",
                kind="conflict",
            )

    def acquire(self) -> None:
        """Wait until the lease is free, then take it.

        Raises:
            StepError: kind ``conflict``: a living holder has it for too long.
        """
        started = changed = time.monotonic()
        last = -1
        while True:
            holder, generation = self._read()
            now = time.monotonic()
            if generation != last:
                changed, last = now, generation
            # The second condition needs no agreement between two machines' clocks.
            if _is_free(holder) or now - changed > EXPIRY_S:
                with suppress(_TakenError):
                    self._write(generation)
                    return
            elif now - started > WAIT_S:
                raise StepError(
                    f"another run is training the same model on the same data, and holds {self.uri}",
                    advice="wait for its result, or use another checkpoint_root",
                    kind="conflict",
                )
            else:
                if now - started < POLL_S:
                    progress.log("train", WAITING)
                time.sleep(POLL_S)

    def renew(self) -> None:
        """Renew the lease until it is over, then release it. Runs in a thread."""
        while not self.over.wait(RENEW_S):
            try:
                self._write(self._generation)
            except _TakenError:
                self.lost = True
                return
            except StepError as error:
                progress.log("train", f"warning: the lease on the checkpoints could not be renewed: {error}")
        with suppress(StepError, _TakenError):
            storage.write_text(self.uri, "{}", generation=self._generation)

    def _read(self) -> tuple[dict[str, Any], int]:
        """The holder and the object's generation; empty and 0 if there is no object."""
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
        """Replace a generation by this process, and read the new generation.

        Raises:
            _TakenError: another process has replaced it.
        """
        try:
            storage.write_text(self.uri, json.dumps(self._holder | {"beat": time.time()}), generation=generation)
        except StepError as error:
            if error.kind != "conflict":
                raise
            raise _TakenError from None
        holder, self._generation = self._read()
        if holder.get("id") != self._holder["id"]:
            raise _TakenError


class _TakenError(Exception):
    """Another process holds the lease."""


def _is_free(holder: dict[str, Any]) -> bool:
    """Whether the holder has released the lease, is known to be dead, or has not renewed it for too long."""
    try:
        return not holder or time.time() - float(holder["beat"]) > EXPIRY_S or _is_dead(holder)
    except (KeyError, TypeError, ValueError):
        return True  # this module did not write it


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended: a retry here does not wait for it."""
    here = _machine()
    return bool(here) and holder["machine"] == here and _start_ticks(int(holder["pid"])) != holder["began"]


def _machine() -> str:
    """Identifies this boot of this machine and this container's process IDs; empty if the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""


def _start_ticks(pid: int) -> int:
    """When a process started, in clock ticks (proc(5), field 22 of stat); 0 if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 0 if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
