"""A way to a server on loopback that something can happen on: after so many connections, its owner is told."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"


@dataclass
class Gate:
    """Passes bytes on, both ways.

    Attributes:
        port: where it listens.
        target: the port that it leads to.
        after: how many connections are let through before ``act``.
        act: called once, by the connection that follows these, before it is let through.
    """

    target: int
    after: int
    act: Callable[["Gate"], None]
    server: socket.socket = field(default_factory=lambda: socket.create_server((LOOPBACK, 0), backlog=64))
    open: list[socket.socket] = field(default_factory=list)
    seen: int = 0

    @property
    def port(self) -> int:
        port: int = self.server.getsockname()[1]
        return port

    def close(self) -> None:
        """Drop every connection, and take no other."""
        for each in (self.server, *self.open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def serve(self) -> None:
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            self.seen += 1
            if self.seen == self.after + 1:
                self.act(self)
            try:
                far = socket.create_connection((LOOPBACK, self.target))
            except OSError:
                near.close()
                continue
            self.open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_passed, args=(one, other), daemon=True).start()


def _passed(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@contextmanager
def gate(target: int, after: int, act: Callable[[Gate], None]) -> Iterator[Gate]:
    """A gate that is open until the block ends."""
    found = Gate(target, after, act)
    thread = threading.Thread(target=found.serve)
    thread.start()
    try:
        yield found
    finally:
        found.close()
        thread.join()
