import http.server
import json
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import StepError
from pipelines.local import container_engine, session

NAMES = {"train": "suanli-cpu:train-1"}


class FakeEngine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """What docker and podman answer, with one image and one container that runs and one that does not."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.requests: list[str] = []
        self.tags = ["localhost/suanli-cpu:train-1"]
        self.refused: dict[str, str] = {"POST /containers/stopped/kill": "is not running"}
        super().__init__(str(path), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    server: FakeEngine

    def answer(self) -> None:
        path, _, query = self.path.removeprefix("/v1.41").partition("?")
        request = f"{self.command} {path}"
        self.server.requests.append(f"{request}?{query}" if query else request)
        bodies: dict[str, Any] = {
            "GET /version": {"ApiVersion": "1.41"},
            "GET /images/json": [
                {"Id": "1", "RepoTags": self.server.tags},
                {"Id": "2", "RepoTags": None},
            ],
            "GET /containers/json": [{"Id": "busy"}, {"Id": "stopped"}],
        }
        refused = self.server.refused.get(request)
        text = json.dumps({"message": refused} if refused else bodies.get(request, ""))
        self.send_response(409 if refused else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        return

    def address_string(self) -> str:
        return "unix"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which engines are looked for instead of where they are; no program is found."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    sockets = [str(tmp_path / name) for name in ("docker.sock", "podman.sock")]
    monkeypatch.setattr(container_engine, "sockets", lambda: sockets)
    return tmp_path


@pytest.fixture
def deaf(elsewhere: Path) -> Path:
    """A socket on which nobody listens any more."""
    path = elsewhere / "docker.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    return path


@pytest.fixture
def fake(elsewhere: Path) -> Iterator[FakeEngine]:
    """An engine that answers where podman's would."""
    with FakeEngine(elsewhere / "podman.sock") as engine:
        thread = threading.Thread(target=engine.serve_forever)
        thread.start()
        yield engine
        engine.shutdown()
        thread.join()


def test_without_the_python_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(session, "find_spec", lambda _: None)
    with pytest.raises(StepError, match=r"the Python package docker; install the extra suanli\[docker\]"):
        session.start("digits", [], tmp_path / "runs", runner="docker", cache=True, debug=False, as_json=False)
    assert not list(tmp_path.iterdir())


# --- which engine ---


def test_no_engine_at_all(elsewhere: Path) -> None:
    with pytest.raises(StepError, match="no container engine answers here; start docker or install podman"):
        container_engine.choose()


def test_a_dead_socket_is_named_and_podman_takes_its_place(deaf: Path) -> None:
    with pytest.raises(StepError, match=rf"\({deaf}: Connection refused\)"):
        container_engine.choose()
    podman = deaf.with_name("podman")
    podman.write_text("#!/bin/sh\n")
    podman.chmod(0o755)
    assert container_engine.choose() == container_engine.EngineChoice("", str(podman))


def test_docker_host_alone_counts_where_it_is_given(deaf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{deaf}")
    with pytest.raises(StepError, match=rf"DOCKER_HOST=unix://{deaf}: Connection refused; start it, or unset"):
        container_engine.choose()


def test_a_socket_that_answers_is_taken_before_podman_is_started(deaf: Path, fake: FakeEngine) -> None:
    podman = deaf.with_name("podman")
    podman.touch(0o755)
    assert container_engine.choose() == container_engine.EngineChoice(str(fake.server_address))


def test_an_engine_that_accepts_and_says_nothing_is_given_up(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_engine, "PING_S", 0.1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(elsewhere / "docker.sock"))
        listening.listen()
        assert container_engine.silence(str(elsewhere / "docker.sock")) == "timed out"


def test_an_engine_that_refuses_is_quoted(fake: FakeEngine) -> None:
    fake.refused["GET /version"] = "not today"
    assert "409 Client Error" in container_engine.silence(str(fake.server_address))


# --- its images and containers ---


def test_images_are_found_by_name_wherever_podman_built_them(fake: FakeEngine) -> None:
    assert container_engine.image_ids(str(fake.server_address), NAMES) == {"train": "1"}
    fake.tags = []
    with pytest.raises(StepError, match=r"the image suanli-cpu:train-1, .*build it with: make images"):
        container_engine.image_ids(str(fake.server_address), NAMES)


def test_an_engine_that_does_not_list_its_images_is_an_error_of_the_machine(fake: FakeEngine) -> None:
    fake.refused["GET /images/json"] = "disk full"
    with pytest.raises(StepError, match=r"the container engine does not list its images: .*disk full") as caught:
        container_engine.image_ids(str(fake.server_address), NAMES)
    assert caught.value.kind == "resources"


def test_every_container_of_a_run_is_killed_and_removed(fake: FakeEngine) -> None:
    container_engine.end_containers(str(fake.server_address), "/runs/one")
    listing = next(request for request in fake.requests if "/containers/json" in request)
    assert "all=1" in listing and "suanli.run%3D%2Fruns%2Fone" in listing
    for name in ("busy", "stopped"):
        assert fake.requests.count(f"POST /containers/{name}/kill") == 2
        removals = [request for request in fake.requests if request.startswith(f"DELETE /containers/{name}?")]
        assert len(removals) == 2 and all("force=True" in each and "v=True" in each for each in removals)


@pytest.mark.parametrize("cut", [False, True])
def test_the_reaper_ends_the_containers_when_the_command_is_gone(cut: bool, fake: FakeEngine, elsewhere: Path) -> None:
    if not cut:
        with container_engine.opened(NAMES) as engine:
            engine.watch(Path("/runs/one"))
            assert engine.images == {"train": "1"} and engine.host == f"unix://{elsewhere}/podman.sock"
    else:
        code = """
import os
from pathlib import Path
from pipelines.local import container_engine
container_engine.sockets = lambda: [os.environ["SOCKET"]]
with container_engine.opened({}) as engine:
    engine.watch(Path("/runs/one"))
    print(engine.reaper.pid, flush=True)
    os.kill(os.getpid(), 9)
"""
        environment = {"SOCKET": str(fake.server_address), "HOME": str(elsewhere)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert done.returncode == -9, done.stderr
        for _ in range(500):
            if "DELETE /containers/stopped" in " ".join(fake.requests):
                break
            threading.Event().wait(0.02)
    assert "POST /containers/busy/kill" in fake.requests
    assert any(request.startswith("DELETE /containers/stopped?") for request in fake.requests)
