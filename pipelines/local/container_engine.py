"""The container engine of a run: which one answers, whether it has the run's images, and how its containers end.

It imports the package docker, of the extra ``docker``: import it only for a run in containers.
"""

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
from pathlib import Path
from typing import TextIO

import docker

from components.core.errors import StepError

# The label of a run's containers, whose value is the run's folder.
LABEL = "suanli.run"
UNIX = "unix://"
PING_S = 3.0
# Killing and removing a container may wait for its disk.
ANSWER_S = 30.0
# podman's service answers within half a second here; a cold disk needs more.
SERVICE_S = 20.0
# What the reaper prints when the engine answers.
READY = "ready"


@dataclass(frozen=True)
class EngineChoice:
    """The engine that a run would use.

    Attributes:
        socket: the path that it answers on; empty if podman's service has to be started first.
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
        reaper: the process that ends the run's containers, and podman's service, when ``lifeline`` closes.
        lifeline: the write end of the reaper's pipe.
    """

    socket: str
    images: dict[str, str]
    reaper: "subprocess.Popen[str]"
    lifeline: TextIO

    @property
    def host(self) -> str:
        """The value of ``DOCKER_HOST``."""
        return f"{UNIX}{self.socket}"

    def watch(self, run: Path) -> None:
        """Let the reaper know whose containers it has to end."""
        print(run, file=self.lifeline, end="", flush=True)

    def close(self) -> None:
        """End the run's containers and whatever was started for them; a second call does nothing."""
        self.lifeline.close()
        self.reaper.wait()
        if self.reaper.stdout:
            self.reaper.stdout.close()


# --- which engine ----------------------------------------------------------------------------------------------------


def choose() -> EngineChoice:
    """The engine that a run would use: DOCKER_HOST's, else the first that answers, else podman.

    Raises:
        StepError: no engine answers, and podman is not installed.
    """
    if host := os.environ.get("DOCKER_HOST", ""):
        return EngineChoice(_socket_of(host))
    silent = []
    for path in sockets():
        if os.path.exists(path):  # noqa: PTH110  # Path.exists raises where a folder above may not be read
            if not (reason := silence(path)):
                return EngineChoice(path)
            silent.append(f"{path}: {reason}")
    if sys.platform == "linux" and (podman := shutil.which("podman")):
        return EngineChoice("", podman)
    tried = f" ({'; '.join(silent)})" if silent else ""
    raise StepError(
        f"no container engine answers here{tried}",
        advice="start docker or install podman, or leave --runner docker out",
        kind="settings",
    )


def _socket_of(host: str) -> str:
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
    dockers = ["/var/run/docker.sock", f"{own}/docker.sock", f"{home}/run/docker.sock", f"{home}/desktop/docker.sock"]
    return [*dockers, f"{own}/podman/podman.sock", "/run/podman/podman.sock"]


def silence(path: str) -> str:
    """Why no engine answers on a socket; empty if one does."""
    try:
        # The package docker leaves a socket open that it cannot connect.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PING_S)
            probe.connect(path)
        connect(path, PING_S).close()
    except (docker.errors.DockerException, OSError) as error:
        first: BaseException = error  # docker, requests and urllib3 each add their own words
        while first.__context__:
            first = first.__context__
        return str(getattr(first, "strerror", None) or first)
    return ""


# --- its interface ---------------------------------------------------------------------------------------------------


def connect(path: str, timeout: float | None = ANSWER_S) -> docker.APIClient:
    """A client of the engine on a socket, docker's or podman's.

    Raises:
        DockerException: no engine answers.
    """
    return docker.APIClient(base_url=f"{UNIX}{path}", timeout=timeout)


def image_ids(path: str, names: Mapping[str, str]) -> dict[str, str]:
    """Step -> the id of the image with that name. podman puts ``localhost/`` before the name of what was built here.

    Raises:
        StepError: the engine lacks one, or does not list them.
    """
    try:
        with connect(path) as client:
            listed = client.images()
    except (docker.errors.DockerException, OSError) as error:
        raise StepError(f"the container engine does not list its images: {error}", kind="resources") from None
    by_name = {tag: str(image["Id"]) for image in listed for tag in image.get("RepoTags") or ()}
    ids = {}
    for step, name in names.items():
        image_id = by_name.get(name) or by_name.get(f"localhost/{name}") or by_name.get(f"docker.io/library/{name}")
        if not image_id:
            raise StepError(
                f"the image {name}, for the present sources, is not in the container engine",
                advice="build it with: make images, or in a project: suanli images build",
                kind="settings",
            )
        ids[step] = image_id
    return ids


def end_containers(path: str, run: str) -> None:
    """Kill and remove every container of a run."""
    with connect(path) as client:
        # What was being created while the first list was made is on the second.
        for _ in range(2):
            for container in client.containers(all=True, filters={"label": f"{LABEL}={run}"}):
                with suppress(docker.errors.APIError):  # it is not running
                    client.kill(container)
                with suppress(docker.errors.APIError):  # it is gone
                    client.remove_container(container, force=True, v=True)


# --- for one run -----------------------------------------------------------------------------------------------------


@contextmanager
def opened(images: Mapping[str, str]) -> Iterator[Engine]:
    """An engine that has the images, for one run; whatever was started for it is gone at the end.

    Args:
        images: step -> the image's name.

    Raises:
        StepError: an engine or an image is missing.
    """
    choice = choose()
    # A socket's path has 107 characters at most, so TMPDIR may be too long for it.
    folder = tempfile.mkdtemp(prefix="suanli-podman-", dir="/tmp") if choice.podman else ""
    path = choice.socket or f"{folder}/podman.sock"
    read_end, write_end = os.pipe()
    command = [sys.executable, "-P", "-m", "pipelines.local.reaper", str(read_end), path, choice.podman]
    try:
        reaper = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            pass_fds=[read_end],
        )
    finally:
        os.close(read_end)
    engine = Engine(path, {}, reaper, os.fdopen(write_end, "w"))
    try:
        answer = reaper.stdout.readline().strip() if reaper.stdout else ""
        if answer != READY:
            raise StepError(f"podman's service does not start: {answer}", advice="try: podman info", kind="settings")
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
