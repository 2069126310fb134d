"""The cpu image, built where it is not there, and an engine that runs it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.errors import StepError
from pipelines.images import build, engine, names

REQUIRED = "SUANLI_REQUIRE_IMAGES"
# What podman needs as root of a container that may not raise limits.
CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:20000", "nproc=1000:1000"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def leave(reason: str) -> None:
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def program() -> str:
    """An engine that can run containers."""
    try:
        found = engine.find()
    except StepError as error:
        leave(str(error))
    if found == "buildah":
        leave("buildah runs no containers: install podman")
    return found


@pytest.fixture(scope="session")
def image(program: str) -> str:
    """The cpu image's first name. It is built only where make test-images asks: that takes minutes."""
    name = names.local("cpu")[0]
    if not engine.has(program, name):
        if not os.environ.get(REQUIRED):
            pytest.skip("the cpu image of these sources is not built: make images")
        build.build(["cpu"])
    return name


@pytest.fixture(scope="session")
def run(program: str, image: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command in the image as Kubernetes' restricted pods do: read-only, no network, an arbitrary user."""
    environment = dict(os.environ)
    probe = [program, "run", "--rm", "--network", "none", image, "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        path = tmp_path_factory.mktemp("engine") / "containers.conf"
        path.write_text(CONTAINERS)
        environment["CONTAINERS_CONF"] = str(path)

    def start(
        *command: str, user: str = "12345:0", mounts: tuple[Path, ...] = ()
    ) -> "subprocess.CompletedProcess[str]":
        options = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:rw,mode=1777", "--user", user]
        volumes = [part for folder in mounts for part in ("--volume", f"{folder}:{folder}")]
        return subprocess.run(
            [program, "run", *options, *volumes, image, *command],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    return start
