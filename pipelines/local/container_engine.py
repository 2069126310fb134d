"""A container engine on this machine: which one answers, whether it has a run's images, what ends its containers."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from components.core.errors import StepError

# Every container of a run carries its folder under this name.
LABEL = "suanli.run"
UNIX = "unix://"
PING_S = 3.0
# Killing and removing a container may wait for its disk.
ANSWER_S = 30.0
# podman's service answers within half a second here; a cold disk needs more.
SERVICE_S = 20.0
# What the keeper says when the engine answers.
READY = "ready"


@dataclass(frozen=True)
class Choice:
    """The engine that a run would use.

    Attributes:
        socket: the path that it answers on; empty where podman's service has to be started first.
        podman: the program that starts it.
    """

    socket: str
    podman: str = ""


@dataclass(frozen=True)
class Engine:
    """An engine at work for one run.

    Attributes:
        socket: the path that it answers on.
        images: step -> the image's id.
        keeper: the process that ends the run's containers, and podman's service, when ``lifeline`` closes.
        lifeline: the write end of the keeper's pipe.
    """

    socket: str
    images: dict[str, str]
    keeper: "subprocess.Popen[str]"
    lifeline: TextIO

    def watch(self, run: Path) -> None:
        """Let the keeper know whose containers it has to end."""
        print(run, file=self.lifeline, end="", flush=True)

    def close(self) -> None:
        """End the run's containers and whatever was started for them; a second call does nothing."""
        self.lifeline.close()
        self.keeper.wait()
        if self.keeper.stdout:
            self.keeper.stdout.close()


# --- which engine ----------------------------------------------------------------------------------------------------


def choose() -> Choice:
    """The engine that a run would use: DOCKER_HOST's, else the first that answers, else podman.

    Raises:
        StepError: there is none.
    """
    if host := os.environ.get("DOCKER_HOST", ""):
        return Choice(_given(host))
    silent = []
    for path in sockets():
        if os.path.exists(path):  # noqa: PTH110  # Path.exists raises where a folder above may not be read
            if not (reason := silence(path)):
                return Choice(path)
            silent.append(f"{path}: {reason}")
    if sys.platform == "linux" and (podman := shutil.which("podman")):
        return Choice("", podman)
    found = f" ({'; '.join(silent)})" if silent else ""
    raise StepError(
        f"no container engine answers here{found}",
        advice="start docker or install podman, or leave --runner docker out",
        kind="settings",
    )


def _given(host: str) -> str:
    if not host.startswith(UNIX):
        raise StepError(
            f"DOCKER_HOST is {host}: the run's folders are mounted, so the engine must be on this machine",
            advice=f"give {UNIX}SOCKET, or unset it to let an engine be found",
            kind="settings",
        )
    path = host.removeprefix(UNIX)
    if reason := silence(path):
        raise StepError(
            f"no container engine answers at DOCKER_HOST={host}: {reason}",
            advice="start it, or unset DOCKER_HOST to let an engine be found",
            kind="settings",
        )
    return path


def sockets() -> list[str]:
    """Where engines listen: docker's own socket, then those of this user's engines, then podman's."""
    own = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    home = Path.home() / ".docker"
    docker = ["/var/run/docker.sock", f"{own}/docker.sock", f"{home}/run/docker.sock", f"{home}/desktop/docker.sock"]
    return [*docker, f"{own}/podman/podman.sock", "/run/podman/podman.sock"]


def silence(path: str) -> str:
    """Why no engine answers on a socket; empty where one does."""
    try:
        ask(path, "/_ping", patience=PING_S)
    except (OSError, http.client.HTTPException, StepError) as error:
        return str(getattr(error, "strerror", None) or error or type(error).__name__)
    return ""


# --- its interface ---------------------------------------------------------------------------------------------------


class _Connection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: str, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path: str, target: str, method: str = "GET", patience: float = ANSWER_S) -> Any:
    """What the engine on a socket answers; the parts of Docker's interface used here are podman's, too.

    Raises:
        StepError: it refuses.
        OSError, http.client.HTTPException: nobody answers.
    """
    connection = _Connection(path, patience)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    finally:
        connection.close()
    try:
        values = json.loads(text)
    except ValueError:
        values = text
    if response.status >= 400:
        said = values.get("message", text) if isinstance(values, dict) else text
        raise StepError(f"the container engine refuses {method} {target}: {said}", kind="resources")
    return values


def image_ids(path: str, names: Mapping[str, str]) -> dict[str, str]:
    """Step -> the id of the image with that name. podman puts ``localhost/`` before the name of what was built here.

    Raises:
        StepError: the engine lacks one.
    """
    listed = ask(path, "/images/json")
    known = {tag: str(image["Id"]) for image in listed for tag in image.get("RepoTags") or ()}
    ids = {}
    for step, name in names.items():
        found = known.get(name) or known.get(f"localhost/{name}") or known.get(f"docker.io/library/{name}")
        if not found:
            raise StepError(
                f"the image {name}, for the present sources, is not in the container engine",
                advice="build it with: make images",
                kind="settings",
            )
        ids[step] = found
    return ids


def end_containers(path: str, run: str) -> None:
    """Kill and remove every container of a run."""
    wanted = quote(json.dumps({"label": [f"{LABEL}={run}"]}))
    # What was being created while the first list was made is on the second.
    for _ in range(2):
        for container in ask(path, f"/containers/json?all=1&filters={wanted}"):
            for method, target in (("POST", "/kill"), ("DELETE", "?force=1&v=1")):
                with suppress(StepError):  # it is gone, or was not running
                    ask(path, f"/containers/{container['Id']}{target}", method)


# --- for one run -----------------------------------------------------------------------------------------------------


@contextmanager
def opened(images: Mapping[str, str]) -> Iterator[Engine]:
    """An engine that has the images, for one run; at the end nothing of what was started is left.

    Args:
        images: step -> the image's name.

    Raises:
        StepError: the Python package docker, an engine or an image is missing.
    """
    if not find_spec("docker"):
        raise StepError(
            "the runner docker needs the Python package docker",
            advice="install the extra suanli[docker]",
            kind="settings",
        )
    choice = choose()
    # A socket's path has 107 characters at most, so TMPDIR may be too long for it.
    place = tempfile.mkdtemp(prefix="suanli-podman-", dir="/tmp") if choice.podman else ""
    path = choice.socket or f"{place}/podman.sock"
    theirs, ours = os.pipe()
    command = [sys.executable, "-P", "-m", "pipelines.local.reaper", str(theirs), path, choice.podman]
    try:
        keeper = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            pass_fds=[theirs],
        )
    finally:
        os.close(theirs)
    engine = Engine(path, {}, keeper, os.fdopen(ours, "w"))
    try:
        said = keeper.stdout.readline().strip() if keeper.stdout else ""
        if said != READY:
            raise StepError(f"podman's service does not start: {said}", advice="try: podman info", kind="settings")
        engine.images.update(image_ids(path, images))
        yield engine
    finally:
        engine.close()


def wait_for(path: str, service: "subprocess.Popen[bytes]") -> bool:
    """Wait until a service answers on its socket; whether it does."""
    deadline = time.monotonic() + SERVICE_S
    while service.poll() is None and time.monotonic() < deadline:
        if os.path.exists(path) and not silence(path):  # noqa: PTH110
            return True
        time.sleep(0.02)
    return False
