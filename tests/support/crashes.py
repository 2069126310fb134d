"""A process that dies at its n-th write: that write is not made, nor any later one, not even of its cleaning up.

The interpreter reports what it is about to do to its audit hooks (PEP 578), whatever code asks for it: files that are
opened to be written, renamed, removed or linked, and requests that are sent. So no crash point is left out because
nobody thought of it.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"})
WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
SENT = (b"POST", b"PUT", b"PATCH", b"DELETE")


class Crash(BaseException):
    """The process is dead from here on."""


class Point:
    """Counts the writes below a place, and lets none pass from the n-th on.

    Args:
        place: a local folder, or ``http://`` for what is sent to servers.
        allowed: how many writes are made.
        die: what happens then; it does not return.
    """

    def __init__(self, place: str, allowed: int, die: Callable[[], Any]) -> None:
        self.place, self.allowed, self.die = place, allowed, die
        self.lock = threading.Lock()
        self.made = 0

    @property
    def reached(self) -> bool:
        """Whether it died."""
        return self.made > self.allowed

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count an event that is a write, and die if it is one too many."""
        if self._is_write(event, arguments):
            with self.lock:
                self.made += 1
                over = self.reached
            if over:
                self.die()

    def _is_write(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "http.client.send":
            data = arguments[1]
            return self.place == "http://" and isinstance(data, bytes) and data.startswith(SENT)
        if event == "open":
            return bool(arguments[2] & WRITES) and self._below(arguments[0])
        return event in CHANGES and self._below(arguments[0])

    def _below(self, path: object) -> bool:
        # rmtree removes by names relative to a folder that it holds open.
        return isinstance(path, str | Path) and (str(path).startswith(self.place) or not Path(path).is_absolute())


_armed: Point | None = None
_hooked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _armed is not None:
        _armed.look(event, arguments)


def _raise() -> None:
    raise Crash


@contextmanager
def after(allowed: int, place: str, die: Callable[[], Any] = _raise) -> Iterator[Point]:
    """Let so many writes below a place be made and die at the next; what dies in this process is caught here."""
    global _armed, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    point = Point("http://" if place.startswith("gs://") else place, allowed, die)
    _armed = point
    try:
        yield point
    except Crash:
        pass
    finally:
        _armed = None
