"""Lease: one process at a time may write a training's checkpoints.

On a local path it is a lock of the operating system, which ends with its process. Cloud Storage has no locks; there an
object names the holder, who renews it every few seconds. Each write requires the generation that was read before, so if
two processes take the lease, one of them fails.

No clock is compared with another machine's. Who waits takes over once the object has not changed for EXPIRY_S by its
own clock. The holder stops writing once it has not renewed the lease for STEP_DOWN_S by its own clock, and before it
writes it looks whether it is still the holder. A process may be stopped between that look and the write, so the lease
also has a token, which grows with each holder: it is in the names of the checkpoints, and a holder removes none with
a higher one. (Same scheme: client-go's leader election; M. Burrows, The Chubby lock service, OSDI 2006, 2.4.)
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
from components.core.files import open_lock

RENEW_S, STEP_DOWN_S, EXPIRY_S = 5.0, 20.0, 30.0
# How long a holder that had to stop writing tries to renew the lease: as long as a transfer may fail.
REGAIN_S = 300.0
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
        file = open_lock(path)
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
def remote(uri: str, observed: "Lease | None" = None) -> "Iterator[Lease]":
    """Hold a lease in Cloud Storage; wait while another process holds it.

    Args:
        observed: the lease, if it was looked at before.

    Raises:
        StepError: kind ``conflict``: another process holds it for too long.
    """
    lease = observed or Lease(uri)
    lease.acquire()
    thread = threading.Thread(target=lease.renew, daemon=True, name="lease")
    thread.start()
    try:
        yield lease
    finally:
        lease.over.set()
        # A process that is about to be killed has no time for storage that does not answer.
        thread.join(RELEASE_S)


def is_released(uri: str) -> bool:
    """Whether no process holds the lease with this URI: there is none, or its holder gave it back or is dead."""
    return _is_free(Lease(uri)._read()[0])


class Lease:
    """An object in Cloud Storage that this process holds.

    Attributes:
        uri: the object.
        token: higher than that of each holder before.
        lost: another process has taken it.
        over: set it to release the lease.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.token, self.lost, self.over = uri, 0, False, threading.Event()
        self._generation, self._renewed, self._beat = 0, 0.0, 0
        # The generation that was seen last, and when it was new.
        self._seen = (-1, 0.0)
        pid = os.getpid()
        self._holder = {"machine": _machine(), "pid": pid, "began": _start_ticks(pid), "id": uuid4().hex}

    def check(self) -> None:
        """Make sure, before something is written or removed, that no other process writes.

        Raises:
            StepError: kind ``preempted``: another process does, so this one may be started again; ``resources``: the
                lease could not be renewed for too long.
        """
        started = _clock()
        while not self.lost:
            if _clock() - self._renewed > STEP_DOWN_S:
                if _clock() - started > REGAIN_S:
                    silent = _clock() - self._renewed
                    raise StepError(
                        f"{self.uri} could not be renewed for {silent:.0f} s: nothing more is written",
                        advice="see the warnings in the log; started again, training resumes from its checkpoint",
                        kind="resources",
                    )
                time.sleep(POLL_S)
                continue
            # A clock may stand still while a virtual machine is paused.
            self.lost = self._read()[0].get("id") != self._holder["id"]
            if not self.lost and _clock() - self._renewed <= STEP_DOWN_S:
                return
        self.require()

    def require(self) -> None:
        """The same from what is known already, without a request.

        Raises:
            StepError: kind ``preempted``.
        """
        if self.lost:
            raise StepError(
                f"preempted: another run has taken over this training, {self.uri} is no longer held by this one",
                advice=f"run it again; this one did not renew its lease for {EXPIRY_S:g} s",
                kind="preempted",
            )

    def acquire(self) -> None:
        """Wait until the lease is free, then take it.

        Raises:
            StepError: kind ``conflict``: a living holder has it for too long.
        """
        started = _clock()
        while True:
            holder, generation = self.observe()
            now = _clock()
            if _is_free(holder) or now - self._seen[1] > EXPIRY_S:
                self.token = _token(holder) + 1
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

    def observe(self) -> tuple[dict[str, Any], int]:
        """The holder and the object's generation. From the first look on a holder's silence is timed."""
        holder, generation = self._read()
        if generation != self._seen[0]:
            self._seen = (generation, _clock())
        return holder, generation

    def renew(self) -> None:
        """Renew the lease until it is over, then release it. Runs in a thread."""
        while not self.over.wait(max(0.0, self._renewed + RENEW_S - _clock())):
            try:
                self._write(self._generation)
            except _TakenError:
                self.lost = True
                return
            except StepError as error:
                progress.log("train", f"warning: the lease on the checkpoints could not be renewed: {error}")
                self.over.wait(POLL_S)
        with suppress(StepError):
            # The token stays: it must grow as long as a process of this training may be alive.
            storage.write_text(self.uri, json.dumps({"token": self.token}), generation=self._generation)

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
        written = False
        while not written:
            began = _clock()
            # The count tells this write from an earlier one.
            self._beat += 1
            text = json.dumps(self._holder | {"token": self.token, "beat": self._beat})
            try:
                storage.write_text(self.uri, text, generation=generation)
                written = True
            except StepError as error:
                if error.kind != "conflict":
                    raise
            # An earlier write may have arrived although its answer was lost.
            holder, generation = self._read()
            if holder.get("id") != self._holder["id"]:
                raise _TakenError
        self._generation, self._renewed = generation, began


class _TakenError(Exception):
    """Another process holds the lease."""


def _clock() -> float:
    """Seconds that no one can set, which include those of a suspended machine if the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _token(holder: dict[str, Any]) -> int:
    token = holder.get("token")
    return token if type(token) is int else 0


def _is_free(holder: dict[str, Any]) -> bool:
    """Whether the holder has released the lease, or is known to be dead."""
    try:
        return not holder.get("id") or _is_dead(holder)
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
