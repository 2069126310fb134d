"""A strict Kubeflow Pipelines server on loopback: API v2beta1 over real HTTP, with memory and with faults on demand."""

import email
import email.policy
import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from kubeflow_checks import NeverAnsweredError, RefusalError
from kubeflow_state import Item, State

ID = r"([0-9A-Za-z-]+)"
# Method, path under the prefix, endpoint of State, what the endpoint takes beside the path's. Unknown names in a query
# are ignored.
ROUTES: tuple[tuple[str, str, str, str], ...] = (
    ("POST", "experiments", "create_experiment", "body"),
    ("GET", "experiments", "list_experiments", "query"),
    ("GET", f"experiments/{ID}", "get_experiment", ""),
    ("POST", "pipelines", "create_pipeline", "body"),
    ("POST", "pipelines/upload", "upload", "file"),
    ("POST", "pipelines/upload_version", "upload_version", "file"),
    ("GET", "pipelines", "list_pipelines", "query"),
    ("GET", f"pipelines/{ID}", "get_pipeline", ""),
    ("GET", f"pipelines/{ID}/versions", "list_versions", "query"),
    ("GET", f"pipelines/{ID}/versions/{ID}", "get_version", ""),
    ("POST", "runs", "create_run", "body"),
    ("GET", "runs", "list_runs", "query"),
    ("GET", f"runs/{ID}", "get_run", ""),
    ("POST", f"runs/{ID}:terminate", "terminate_run", ""),
    ("POST", "recurringruns", "create_recurring_run", "body"),
    ("GET", "recurringruns", "list_recurring_runs", "query"),
    ("GET", f"recurringruns/{ID}", "get_recurring_run", ""),
    ("POST", f"recurringruns/{ID}:enable", "enable_recurring_run", ""),
    ("POST", f"recurringruns/{ID}:disable", "disable_recurring_run", ""),
    ("DELETE", f"recurringruns/{ID}", "delete_recurring_run", ""),
)


@dataclass
class Fault:
    """Something that goes wrong with the next requests that match.

    Attributes:
        on: method and path under the prefix, as ``POST runs``; a regular expression.
        act: ``answer`` with the status and body below; ``drop`` the connection; ``hang`` until the client gives up;
            ``slow``: a byte at a time; ``cut``: half of a body that was announced whole.
        after: the work is done first; else nothing is.
        times: how many requests it meets.
        within: the seconds after which the server does the work of a request that hung or was dropped, after all.
        late: the work of such a request is done right before the next one on the same line.
    """

    on: str
    act: Literal["answer", "drop", "hang", "slow", "cut"] = "answer"
    status: int = 500
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    times: int = 1
    within: float | None = None
    late: bool = False


@dataclass(frozen=True)
class Request:
    """A request as it came.

    Attributes:
        line: method and path under the prefix, as ``POST runs``.
        query: its query.
        headers: its headers, their names in lower case.
        body: its JSON body, or an uploaded file's text.
        at: when it came (``time.monotonic``).
    """

    line: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    at: float


class FakeKubeflow(State):
    """The server; a context manager.

    Args:
        multi_user: whether namespaces count.
        token: the only bearer token that is let in; none lets everybody in.
        tag: the version that it says it is; empty for one that does not say.
        ui: answers health as the user interface's own server does, the one behind ``svc/ml-pipeline-ui``.
        certificate: a file with a key and its certificate, for HTTPS.
    """

    def __init__(
        self,
        *,
        multi_user: bool = False,
        token: str = "",
        tag: str = "2.17.0",
        ui: bool = False,
        certificate: Path | None = None,
    ) -> None:
        super().__init__(multi_user)
        self.token, self.tag, self.ui = token, tag, ui
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._late: list[Request] = []
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"fake": self}))
        self._http.daemon_threads = True
        self._scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=lambda: self._http.serve_forever(0.02), daemon=True)

    @property
    def host(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def inject(self, *faults: Fault) -> None:
        """Let the next requests that match go wrong, in this order."""
        self._faults += faults

    def asked(self, line: str) -> list[Request]:
        """The requests so far whose line matches a regular expression."""
        return [request for request in self.requests if re.fullmatch(line, request.line)]

    def fault(self, line: str) -> Fault | None:
        """The fault that meets this request, used up by it."""
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and re.fullmatch(fault.on, line):
                    fault.times -= 1
                    return fault
        return None

    def wait(self, seconds: float) -> None:
        """Do nothing for a while, or until the server closes."""
        self._closing.wait(seconds)

    def delay(self, request: Request) -> None:
        """Let a request's work wait for the next one on the same line."""
        self._late.append(request)

    def work(self, request: Request) -> tuple[int, Item]:
        """The status and the answer to a request."""
        while late := next((one for one in self._late if one.line == request.line), None):
            self._late.remove(late)
            self.work(late)
        try:
            with self._lock:
                return 200, self._answer(request)
        except RefusalError as refusal:
            return refusal.status, refusal.body()

    def _answer(self, request: Request) -> Item:
        self._let_in(request)
        method, _, path = request.line.partition(" ")
        if request.line in ("GET healthz", "GET v1beta1/healthz"):
            return self._health(old=request.line.endswith("v1beta1/healthz"))
        for verb, pattern, endpoint, takes in ROUTES:
            if verb == method and (found := re.fullmatch(pattern, path)):
                values = {"body": [request.body], "query": [request.query], "file": [request.query, request.body]}
                call: Callable[..., Item] = getattr(self, endpoint)
                answer = call(*found.groups(), *values.get(takes, []))
                return {key: value for key, value in answer.items() if value not in ("", None)}
        raise RefusalError(404, "Not Found")

    def _let_in(self, request: Request) -> None:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            raise RefusalError(401, "Failed to authenticate: Request header error: there is no user identity header.")

    def _health(self, old: bool) -> Item:
        multi = {"multi_user": self.multi_user}
        if self.ui:
            names = {"apiServerMultiUser": self.multi_user, "apiServerReady": True, "frontendTagName": self.tag}
            return {**multi, **names, **({"apiServerTagName": self.tag} if old else {})}
        told = {"tag_name": self.tag, "commit_sha": "0" * 40} if self.tag else {}
        return {**multi, **told, **({} if old else {"pipeline_store": "database"})}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go out in two writes; Nagle's algorithm would make each answer 40 ms late.
    disable_nagle_algorithm = True
    fake: FakeKubeflow

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        try:
            request = self._read()
            fault = self.fake.fault(request.line)
            self.fake.requests.append(request)
            if fault is None:
                status, answer = self.fake.work(request)
                return self._write(status, json.dumps(answer).encode())
            self._go_wrong(fault, request)
        except NeverAnsweredError:
            self.fake.wait(600)
            self.close_connection = True
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _read(self) -> Request:
        url = urlsplit(self.path)
        # Before it may come a path of Kubernetes' own proxy.
        path = unquote(url.path).partition("/apis/")[2].removeprefix("v2beta1/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        raw = self.rfile.read(int(headers.get("content-length", 0)))
        query = dict(parse_qsl(url.query))
        return Request(f"{self.command} {path}", query, headers, _body(headers, raw), time.monotonic())

    def _go_wrong(self, fault: Fault, request: Request) -> None:
        answer = self.fake.work(request)[1] if fault.after else {}
        if fault.act == "answer":
            text = json.dumps(answer) if fault.body is None else fault.body
            self._write(fault.status, text.encode(), fault.headers)
            return
        if fault.act in ("slow", "cut"):
            self._trickle(json.dumps(answer).encode(), fault.act)
        elif fault.late:
            self.fake.delay(request)
        elif fault.within is not None:
            threading.Timer(fault.within, self.fake.work, [request]).start()
        if fault.act == "hang":
            self.fake.wait(600)
        self.close_connection = True

    def _trickle(self, body: bytes, act: str) -> None:
        self._head(200, len(body))
        for index in range(len(body) // 2 if act == "cut" else len(body)):
            self.wfile.write(body[index : index + 1])
            if act == "slow":
                self.fake.wait(0.05)

    def _write(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, len(body), headers)
        self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            **(headers or {}),
            "Content-Length": str(length),
        }.items():
            self.send_header(name, value)
        self.end_headers()


def _body(headers: dict[str, str], raw: bytes) -> Any:
    """A JSON body, or the text of the file in a multipart form."""
    kind = headers.get("content-type", "")
    if not raw:
        return {}
    if not kind.startswith("multipart/form-data"):
        try:
            return json.loads(raw)
        except ValueError:
            return raw.decode()
    form = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw, policy=email.policy.HTTP)
    parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}  # type: ignore[attr-defined]
    if set(parts) != {"uploadfile"}:
        return ""
    return parts["uploadfile"].get_payload(decode=True).decode()
