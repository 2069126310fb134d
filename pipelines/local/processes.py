"""The processes of a session, read from /proc; on a system without /proc there are none."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

GRACE_S = 3.0


def members(session: int) -> dict[int, int]:
    """The living processes of a session: pid -> parent's pid."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            # The second field is the command's name in brackets, which may hold anything.
            state, parent, _, number = path.read_text().rpartition(")")[2].split()[:4]
            if int(number) == session and state not in "ZX":
                parents[int(path.parent.name)] = int(parent)
    return parents


def end(child: "subprocess.Popen[bytes]") -> None:
    """End whatever is left of a session, whose leader is our child: by SIGTERM, then by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        for pid in members(child.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            if child.poll() is not None and not members(child.pid):
                return
            time.sleep(0.02)


def end_orphans(session: int) -> None:
    """Kill a session's processes that have lost their parent: the workers of a step that was killed.

    They hold the pipe that their step wrote to, and kfp.local waits until it closes.
    """
    present = members(session)
    for pid, parent in present.items():
        if pid != session and parent not in present:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
