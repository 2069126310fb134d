"""The container engine of this machine: docker, podman or buildah, by the commands that all three have."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from components.core.choices import nearest
from components.core.errors import StepError
from components.core.sources import ROOT
from pipelines.local import processes

ENGINES = ("docker", "podman", "buildah")
INFO_S = 30.0
CGROUPS = Path("/sys/fs/cgroup")


def find() -> str:
    """The first engine that works, or the one that the variable ENGINE names.

    A docker client without its daemon is on many machines, so each is asked for its state.

    Raises:
        StepError: there is none, or ENGINE names something else.
    """
    named = os.environ.get("ENGINE", "")
    if named and named not in ENGINES:
        raise StepError(f"unknown engine {named!r}", advice=nearest(named, ENGINES), kind="settings")
    for engine in [named] if named else ENGINES:
        if shutil.which(engine) and _works(engine):
            return engine
    looked = named or f"{', '.join(ENGINES[:-1])} or {ENGINES[-1]}"
    raise StepError(
        f"no container engine works here: {looked}",
        advice="start docker, or install podman (apt-get install podman)",
        kind="settings",
    )


def _works(engine: str) -> bool:
    try:
        done = subprocess.run([engine, "info"], capture_output=True, timeout=INFO_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def has(engine: str, image: str) -> bool:
    """Whether an image is on this machine."""
    done = subprocess.run([engine, "images", "--quiet", image], capture_output=True, text=True, check=False)
    # buildah ends with an error where docker and podman print nothing.
    return done.returncode == 0 and bool(done.stdout.strip())


def images(engine: str) -> set[str]:
    """The names of all images on this machine, without the ``localhost/`` that podman and buildah put before theirs."""
    field = "Name" if engine == "buildah" else "Repository"
    command = [engine, "images", "--format", f"{{{{.{field}}}}}:{{{{.Tag}}}}"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return {line.removeprefix("localhost/") for line in listed.splitlines()}


def size(engine: str, image: str) -> str:
    """An image's size as the engine prints it, such as ``2.09 GB``: uncompressed, all layers."""
    command = [engine, "images", "--format", "{{.Size}}", image]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]


def digest(engine: str, image: str) -> str:
    """The digest of an image on this machine, ``sha256:...``; its id if the engine tells no digest."""
    command = [engine, "images", "--digests", "--format", "{{.Digest}} {{.ID}}", "--no-trunc", image]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    names = [word if ":" in word else f"sha256:{word}" for word in listed.split() if word != "<none>"]
    return names[0] if names else ""


def label(engine: str, image: str, name: str) -> str:
    """A label of an image on this machine; empty if it has none."""
    config = ".OCIv1.Config" if engine == "buildah" else ".Config"
    command = [engine, "inspect", "--type", "image", "--format", f'{{{{index {config}.Labels "{name}"}}}}', image]
    value = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return "" if value == "<no value>" else value


def pull(engine: str, image: str) -> str:
    """Fetch an image from its registry.

    Returns:
        Why there is none, in the engine's own words; empty where it came.
    """
    done = subprocess.run([engine, "pull", "--quiet", image], capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    return (done.stderr.strip().splitlines() or [f"{engine} ended with status {done.returncode}"])[-1]


def run(engine: str, *arguments: str, folder: Path = ROOT) -> None:
    """Run a command of the engine in a folder, its output shown, and end it if this process is told to end.

    Raises:
        StepError: it failed.
    """
    sys.stdout.flush()
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        child = subprocess.Popen([engine, *arguments], cwd=folder, env=_environment(), start_new_session=True)
        try:
            status = child.wait()
        except BaseException:
            processes.end(child)
            raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if status:
        raise StepError(f"{engine} {arguments[0]} ended with status {status}", advice="its own words are above")


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _environment() -> Mapping[str, str]:
    """BuildKit for docker, which mounts secrets; cached layers for buildah; for podman and buildah no isolation that
    needs cgroups, where root may not make them."""
    chroot = os.geteuid() == 0 and not os.access(CGROUPS, os.W_OK)
    return (
        {"DOCKER_BUILDKIT": "1", "BUILDAH_LAYERS": "true"}
        | ({"BUILDAH_ISOLATION": "chroot"} if chroot else {})
        | os.environ
    )
