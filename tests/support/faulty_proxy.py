"""An HTTP proxy that does to Cloud Storage's emulator what networks do: broken, slow, cut and refused answers.

It also completes the emulator's resumable uploads, which knows neither the question how much has arrived nor a part
that is sent again (https://cloud.google.com/storage/docs/performing-resumable-uploads#status-check): what each session
has taken is remembered here.
"""

import argparse
import http.client
import json
import random
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

# Cloud Storage keeps whole quarters of a megabyte of an upload that broke.
GRAIN = 256 * 1024
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)$")
BURST = 4
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass(frozen=True)
class Faults:
    """How often each fault befalls a request: probabilities, of which at most one comes true.

    Attributes:
        drop: the connection breaks amid the body of the answer, or of a large upload.
        lost: the request is carried out and its answer lost.
        unavailable: 503 begins, for up to four requests; half of them name a Retry-After.
        too_many: 429.
        slow: the body comes in pieces with pauses, half a second in all.
        truncated: the body is cut, and its length with it, so that the answer looks whole.
        garbled: one byte of a file that is read or resumably uploaded is changed.
    """

    drop: float = 0.0
    lost: float = 0.0
    unavailable: float = 0.0
    too_many: float = 0.0
    slow: float = 0.0
    truncated: float = 0.0
    garbled: float = 0.0


NONE = Faults()
# What the chaos campaign and the tests call a bad day.
BAD_DAY = Faults(drop=0.05, lost=0.03, unavailable=0.03, too_many=0.03, slow=0.02, truncated=0.03, garbled=0.02)


@dataclass
class Answer:
    """An answer of the emulator."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Session:
    """A resumable upload: how much has arrived, and the answer that ended it."""

    arrived: int = 0
    ended: Answer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Proxy(ThreadingHTTPServer):
    """The proxy.

    Attributes:
        faults: what is done to requests from now on.
        latency: seconds that each request waits first.
        counts: fault -> how often it was done.
        requests: how many requests came.
        forbidden: a pattern of method and path whose requests are answered with 403; empty for none.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, seed: int, faults: Faults, latency: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults = faults
        self.latency = latency
        self.counts: Counter[str] = Counter()
        self.requests = 0
        self.forbidden = ""
        self.sessions: dict[str, Session] = {}
        self.random = random.Random(seed)
        self._lock = threading.Lock()
        self._burst = 0

    def draw(self) -> tuple[str, random.Random]:
        """What befalls the next request ("" for nothing), and a generator for its details."""
        with self._lock:
            self.requests += 1
            details = random.Random(self.random.getrandbits(64))
            chance, fault = self.random.random(), ""
            for name in self.faults.__dataclass_fields__:
                if 0 <= chance < getattr(self.faults, name):
                    fault = name
                chance -= getattr(self.faults, name)
            if fault == "unavailable":
                self._burst = self.random.randint(1, BURST)
            if self._burst:
                self._burst -= 1
                fault = "unavailable"
            if fault:
                self.counts[fault] += 1
            return fault, details

    def session(self, name: str) -> Session:
        """The resumable upload of that name."""
        with self._lock:
            return self.sessions.setdefault(name, Session())

    def handle_error(self, *_: object) -> None:
        """A client that went away is none."""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"
    timeout = 60

    def _handle(self) -> None:
        fault, details = self.server.draw()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.server.latency)
        upload = parse_qs(urlsplit(self.path).query).get("upload_id", [""])[0]
        answer: Answer | None = None
        if self.server.forbidden and re.search(self.server.forbidden, f"{self.command} {self.path}"):
            answer = _refusal(403, [])
        elif fault == "unavailable":
            answer = _refusal(503, [("Retry-After", "1")] if details.random() < 0.5 else [])
        elif fault == "too_many":
            answer = _refusal(429, [])
        elif upload and self.command == "PUT":
            answer = self._part(self.server.session(upload), body, fault, details)
        elif fault != "drop" or not body:  # else it broke before all of the request arrived
            answer = self._forward(body, {})
        if answer is None or fault == "lost":
            self._break(details)
        else:
            self._give(answer, fault, details)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815  # the library's names

    def _forward(self, body: bytes, changed: dict[str, str]) -> Answer:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP} | changed
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            there, here = f"http://{self.server.upstream}", self.server.url
            kept = [(name, value.replace(there, here)) for name, value in answer.getheaders()]
            return Answer(answer.status, [pair for pair in kept if pair[0].lower() not in HOP], answer.read())
        finally:
            connection.close()

    def _part(self, session: Session, body: bytes, fault: str, details: random.Random) -> Answer | None:
        """Part of a resumable upload, or the question how far it is; None where the connection breaks amid it."""
        match = CONTENT_RANGE.match(self.headers.get("Content-Range", ""))
        if not match:
            return self._forward(body, {})
        start, total = int(match[1] or 0), int(match[3])
        with session.lock:
            if session.ended or not body:
                return session.ended or self._progress(session)
            if start > session.arrived:
                return _refusal(503, [])
            body = body[session.arrived - start :]
            if fault == "drop":
                body = body[: details.randrange(len(body) + 1) // GRAIN * GRAIN]
            if fault == "garbled":
                body = _garbled(body, details)
            if body:
                end = session.arrived + len(body)
                answer = self._forward(body, {"Content-Range": f"bytes {session.arrived}-{end - 1}/{total}"})
                if answer.status >= 400:
                    return answer
                session.arrived = end
                session.ended = answer if end == total else None
            return None if fault == "drop" else session.ended or self._progress(session)

    def _progress(self, session: Session) -> Answer:
        return Answer(308, [("Range", f"bytes=0-{session.arrived - 1}")] if session.arrived else [], b"")

    def _break(self, details: random.Random) -> None:
        """End the connection, in half of all cases by a reset."""
        if details.random() < 0.5:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        # The file objects around a socket keep it open.
        self.connection.shutdown(socket.SHUT_RDWR)

    def _give(self, answer: Answer, fault: str, details: random.Random) -> None:
        body = answer.body
        if fault == "truncated" and body:
            body = body[: details.randrange(1, len(body) + 1)]
        if fault == "garbled" and "alt=media" in self.path:
            body = _garbled(body, details)
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "drop":
            self.wfile.write(body[: details.randrange(len(body) + 1)])
            self.wfile.flush()
            self._break(details)
        else:
            self._write(body, slowly=fault == "slow")

    def _write(self, body: bytes, *, slowly: bool) -> None:
        size = max(1, -(-len(body) // 5) if slowly else len(body))
        for at in range(0, len(body), size):
            self.wfile.write(body[at : at + size])
            if slowly:
                time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        pass


def _refusal(status: int, headers: list[tuple[str, str]]) -> Answer:
    body = json.dumps({"error": {"code": status, "message": "not now"}}).encode()
    return Answer(status, [*headers, ("Content-Type", "application/json")], body)


def _garbled(body: bytes, details: random.Random) -> bytes:
    if not body:
        return body
    place = details.randrange(len(body))
    return body[:place] + bytes([body[place] ^ 1 << details.randrange(8)]) + body[place + 1 :]


@contextmanager
def running(upstream: str, seed: int, faults: Faults = NONE, latency: float = 0.0) -> Iterator[Proxy]:
    """A proxy in front of an emulator's address, on a free port of the loopback interface, until the block ends."""
    with Proxy(upstream, seed, faults, latency) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


def main() -> None:
    """Run one until stdin ends; its address is the first line of stdout, what it did the last one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream", help="the emulator's address")
    parser.add_argument("--seed", type=int, required=True)
    for name in Faults.__dataclass_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(BAD_DAY, name))
    given = vars(parser.parse_args())
    faults = Faults(**{name: given[name] for name in Faults.__dataclass_fields__})
    with running(given["upstream"], given["seed"], faults) as proxy:
        print(proxy.url, flush=True)
        sys.stdin.read()
        print(json.dumps({"requests": proxy.requests, **proxy.counts}), flush=True)


if __name__ == "__main__":
    main()
