"""Profiles of models, each counted once in a process of its own and cached under a digest of all that it depends on."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from components.core import choices, project
from components.core.config import fingerprint
from components.core.errors import StepError
from components.core.files import write_atomically
from components.core.sources import ROOT, closure, labels
from components.profile import VERSION, Profile

MODULES = ("counting", "kernels", "memory", "operations", "trace")
PACKAGES = ("keras", "tensorflow", "tensorflow-cpu")
TIMEOUT_S = 600


def cache_folder() -> Path:
    """The cache of profiles, below ``$SUANLI_CACHE_HOME`` or the user's cache."""
    own = os.environ.get("SUANLI_CACHE_HOME")
    home = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "suanli"
    return home / "profiles"


def profile(section: Mapping[str, Any], arguments: Mapping[str, Any], cache: Path | None = None) -> Profile:
    """The profile of a model section, from the cache or counted now, which takes seconds.

    Args:
        section: the model section's parameters.
        arguments: the other arguments of the model's ``build``, JSON values.
        cache: the folder of profiles.

    Raises:
        StepError: the model does not build.
    """
    request = {"model": dict(section), "arguments": dict(arguments)}
    path = (cache or cache_folder()) / f"{key(request)}.json"
    try:
        return Profile.from_record(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent or incomplete: count again
    values = _count(request)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(values))
    return Profile.from_record(values)


def key(request: Mapping[str, Any]) -> str:
    """A digest over the request, the sources that count, the model's own sources, and the versions of the packages."""
    name = str(request["model"]["name"])
    files = closure(choices.module_name("models", name), *(f"components.profile.{module}" for module in MODULES))
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in labels(files).items()}
    return fingerprint({"request": request, "version": VERSION, "files": digests, "packages": _versions()})


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def environment() -> dict[str, str]:
    """The environment of a process that imports ``components`` from this checkout, and the project's files."""
    return {
        **os.environ,
        **project.environment(),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }


def _count(request: Mapping[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "components.profile"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StepError(f"the model's profile took more than {TIMEOUT_S} s", kind="settings") from None
    lines = done.stdout.strip().splitlines()
    try:
        values: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        problem = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise StepError(
            f"the model could not be profiled: {problem}", advice="see suanli doctor", kind="settings"
        ) from None
    if "error" in values:
        raise StepError(values["error"], advice=values["advice"], kind="settings")
    return values
