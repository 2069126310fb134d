"""Whether this machine can run the default experiment, and what to do if it cannot."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata, util
from pathlib import Path

from components.core import choices, project
from components.core.errors import StepError
from components.core.sources import LOCKS, ROOT
from pipelines.compile.check_result import CheckResult
from pipelines.runs.record import cores

# A whole run of the default experiment (make run), with its cache and formats, and some reserve.
DISK_GB = 2.0
MEMORY_GB = 4.0
SHARED_MEMORY_MB = 64
# What the steps import: package -> the distribution's name.
STEPS_NEED = {
    "tensorflow": "tensorflow-cpu",
    "keras": "keras",
    "tensorflow_datasets": "tensorflow-datasets",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "PIL": "pillow",
    "onnx": "onnx",
    "tf2onnx": "tf2onnx",
    "onnxruntime": "onnxruntime",
    "ai_edge_litert": "ai-edge-litert",
}


def check(runs: Path) -> Iterator[CheckResult]:
    """Python, packages, the project, data, disk, memory and processor, one line each.

    Args:
        runs: the folder of runs.
    """
    for checks in (_python, _packages, _locks, _project, _data, _processor, _memory):
        yield from checks()
    yield from _disk(runs)


def _python() -> Iterator[CheckResult]:
    good = sys.version_info >= (3, 11)
    yield CheckResult(
        "ok" if good else "fail", "python", platform.python_version(), "" if good else "use 3.11 or newer"
    )


def _packages() -> Iterator[CheckResult]:
    for package, distribution in {"kfp": "kfp", "kfp.kubernetes": "kfp-kubernetes", **STEPS_NEED}.items():
        try:
            present = util.find_spec(package) is not None
        except ModuleNotFoundError:
            present = False
        if present:
            yield CheckResult("ok", distribution, _version(distribution))
        else:
            yield CheckResult("fail", distribution, "absent", "make setup, or pip install 'suanli[cpu]'")


def _version(distribution: str) -> str:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(distribution)
    return "installed under another name"


def _locks() -> Iterator[CheckResult]:
    path = ROOT / LOCKS["cpu"]
    if not path.is_file():
        yield CheckResult("warn", "lock file", "absent", "run from the checkout to compare versions")
        return
    locked = dict(line.split()[0].split("==") for line in path.read_text().splitlines() if line[:1].isalnum())
    other = []
    for name, version in locked.items():
        with suppress(metadata.PackageNotFoundError):
            if (present := metadata.version(name)) != version:
                other.append(f"{name} {present} (locked: {version})")
    if other:
        yield CheckResult("warn", "lock file", f"{len(other)} differ: {', '.join(other[:3])}", "make setup")
    else:
        yield CheckResult("ok", "lock file", f"{len(locked)} versions as in {LOCKS['cpu']}")


def _project() -> Iterator[CheckResult]:
    """The project, and each of its files that does not load."""
    if root := project.root():
        yield CheckResult("ok", "project", str(root))
    for room in choices.NOUNS:
        for name in project.names(room):
            try:
                choices.load(room, name)
            except StepError as error:
                yield CheckResult("fail", f"{room}/{name}", error.message, error.advice)


def _data() -> Iterator[CheckResult]:
    """Each data source that can be installed: its file has a function ``installed``."""
    for name in choices.names("data"):
        installed = None
        with suppress(StepError):  # _project has said it
            installed = getattr(choices.load("data", name), "installed", None)
        if installed:
            path, advice = installed()
            yield CheckResult("ok", name, path) if path else CheckResult("warn", name, "not installed", advice)


def _processor() -> Iterator[CheckResult]:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    fast = "amx_bf16" in flags
    speed = "bfloat16 in hardware (AMX)" if fast else "no AMX: auto precision is float32"
    yield CheckResult("ok", "processor", f"{cores()} cores, {speed}")


def _memory() -> Iterator[CheckResult]:
    with suppress(ValueError, OSError):
        gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
        good = gigabytes >= MEMORY_GB
        yield CheckResult("ok" if good else "warn", "memory", f"{gigabytes:.0f} GB", "" if good else "expect slow runs")
    with suppress(OSError):
        free = shutil.disk_usage("/dev/shm").total / 1e6
        good = free > SHARED_MEMORY_MB
        advice = "" if good else "input pipelines with worker processes need more: docker run --shm-size 1g"
        yield CheckResult("ok" if good else "warn", "/dev/shm", f"{free:,.0f} MB", advice)


def _disk(runs: Path) -> Iterator[CheckResult]:
    existing = next(path for path in (runs, *runs.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        yield CheckResult("fail", "runs folder", f"{runs} cannot be written", "give another with --runs or SUANLI_RUNS")
        return
    free = shutil.disk_usage(existing).free / 1e9
    good = free >= DISK_GB
    yield CheckResult(
        "ok" if good else "warn", "disk", f"{free:.1f} GB free in {existing}", "" if good else "free some"
    )
