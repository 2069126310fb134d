"""Build an image: its context, base, names and labels, and this machine's own settings for fetching packages."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from components.core import project, sources
from components.core.errors import StepError
from pipelines.compile import compiler
from pipelines.images import engine, names

DOCKERFILE = "images/Dockerfile"
# What it copies from.
PARTS = ("components", "images", "requirements")
# What scripts/base-image makes.
LOCAL_BASE = "localhost/suanli-base:bookworm"
# OCI's names (image-spec, annotations.md).
BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
# Named in the label of versions, where the lock file has them.
TOLD = ("kfp", "keras", "tensorflow", "tensorflow-cpu", "jax", "numpy")


def build(kinds: Sequence[str], base: str = "", *, again: bool = False) -> None:
    """Build the images that are not there under their names yet, or stand on another base, and print each with its
    size.

    A name tells the sources, not the base, whose tag moves with Debian's and Python's security updates: the base's
    digest is a label of the image, and compared.

    Args:
        kinds: ``cpu``, ``gpu``, ``tpu``; by default ``cpu``.
        base: the image that they stand on; by default what ``scripts/base-image`` made here, or else the Dockerfile's.
        again: whether those that are there are built, too.

    Raises:
        StepError: no such kind, no engine, no base, or the engine failed.
    """
    kinds = names.image_kinds(kinds)
    program = engine.find()
    tagged, there = {kind: names.local(kind) for kind in kinds}, engine.images(program)
    made = {kind for kind in kinds if there.issuperset(tagged[kind])}
    try:
        base = base_image(program, base)
        digest = engine.digest(program, base)
    except StepError as error:
        if again or made != set(kinds):
            raise
        print(f"warning: {error.message}, so what is there is not compared with it")
        digest = ""
    for kind in kinds:
        start = time.monotonic()
        moved = kind in made and digest and engine.label(program, tagged[kind][0], BASE_DIGEST) != digest
        if again or moved or kind not in made:
            with context() as folder:
                engine.run(program, *command(kind, base, digest), folder=folder)
            why = f" on the base {base}, which has changed" if moved else ""
            state = f"built in {time.monotonic() - start:.0f} s{why}"
        else:
            state = "there already"
        print(f"{kind}: {state}, {engine.size(program, tagged[kind][0])}, {len(tagged[kind])} tags")


def base_image(program: str, given: str) -> str:
    """The base image, fetched, or brought up to date if its tag may have moved.

    Raises:
        StepError: it cannot be fetched.
    """
    base = given or (LOCAL_BASE if engine.has(program, LOCAL_BASE) else public_base())
    here = engine.has(program, base)
    if here and ("@" in base or base.startswith("localhost/")):
        return base
    reason = engine.pull(program, base)
    if here and reason:
        print(f"warning: the base image {base} is the one that is here, perhaps not the newest ({reason})")
    elif reason:
        raise StepError(
            f"the base image {base} cannot be pulled ({reason})",
            advice="run scripts/base-image, which makes one from Debian packages, or give BASE=IMAGE",
            kind="settings",
        )
    return base


def public_base() -> str:
    """The base image that the Dockerfile names."""
    base = re.search(r"^ARG BASE=(\S+)$", (sources.ROOT / DOCKERFILE).read_text(), re.MULTILINE)
    assert base, f"{DOCKERFILE} has no ARG BASE"
    return base[1]


@contextmanager
def context() -> Iterator[Path]:
    """The folder that an image is built from: the checkout; in a project a copy of its parts, with the project's files
    where the image looks for them.

    Raises:
        StepError: this is an installed package, which has no Dockerfile.
    """
    if not (sources.ROOT / DOCKERFILE).is_file():
        raise StepError(f"{sources.ROOT} has no {DOCKERFILE}", advice="build in a clone of Suanli", kind="settings")
    if not project.own():
        yield sources.ROOT
        return
    with tempfile.TemporaryDirectory(prefix="suanli-image-") as name:
        folder = Path(name)
        for part in PARTS:
            shutil.copytree(sources.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(sources.ROOT / ".dockerignore", folder)
        within = folder / project.IN_IMAGE.relative_to(sources.ROOT)
        # It is there without files, too: it tells the steps that they are in an image.
        within.mkdir()
        for path, file in sources.project_files().items():
            (within / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, within / path)
        yield folder


def command(kind: str, base: str, digest: str) -> list[str]:
    """The engine's command line, in the folder of ``context``."""
    described = labels(kind) | {BASE_NAME: base, BASE_DIGEST: digest}
    return [
        *("build", "--target", kind, "--file", DOCKERFILE),
        *("--build-arg", f"BASE={base}"),
        *(part for name, value in described.items() for part in ("--label", f"{name}={value}")),
        *(part for name, path in secrets() for part in ("--secret", f"id={name},src={path}")),
        *(part for name in names.local(kind) for part in ("--tag", name)),
        ".",
    ]


def labels(kind: str) -> dict[str, str]:
    """An image's labels: its tags, one digest over all that they stand on, and versions."""
    files = {
        name: digest for step in names.steps(kind) for name, digest in compiler.image_files(step, image=kind).items()
    }
    lock = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (sources.ROOT / sources.LOCKS[kind]).read_text(), re.MULTILINE))
    return {
        "suanli.tags": " ".join(names.tags(kind)),
        "suanli.sources": sources.digest(files),
        "org.opencontainers.image.version": version("suanli"),
        "suanli.versions": " ".join(f"{name}=={lock[name]}" for name in TOLD if name in lock),
    }


def secrets(environment: Mapping[str, str] = os.environ) -> Iterator[tuple[str, Path]]:
    """The settings of pip and uv and the certificates that this machine has: what an image's build may read.

    Where they lie: pip.pypa.io, topics/configuration; docs.astral.sh/uv, concepts/configuration-files.
    """
    home = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places: dict[str, list[str | Path | None]] = {
        "pip": [
            environment.get("PIP_CONFIG_FILE"),
            home / "pip/pip.conf",
            Path.home() / ".pip/pip.conf",
            "/etc/pip.conf",
        ],
        "uv": [environment.get("UV_CONFIG_FILE"), home / "uv/uv.toml", "/etc/uv/uv.toml"],
        "certificates": [environment.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt"],
    }
    for name, paths in places.items():
        present = [Path(path) for path in paths if path and Path(path).is_file()]
        if present:
            yield name, present[0].absolute()
