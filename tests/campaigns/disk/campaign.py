"""Runs that meet a full disk, each held against a run that met none."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.core.errors import StepError
from components.registry import contents
from pipelines.runs.folder import every
from tests.campaigns.disk.small_disk import Disk, mounted

# As a module: a checkout elsewhere is reached by PYTHONPATH.
SUANLI = (sys.executable, "-m", "pipelines")
SETTINGS = (
    *("model.filters=[8]", "model.dense=8", "training.epochs=2", "training.patience=0"),
    *("evaluation.resamples=200", "evaluation.require=[]"),
    *('export.formats=["litert"]', "export.timing_seconds=0.05"),
)
RUN = ("run", "digits", *(part for setting in SETTINGS for part in ("--set", setting)))
AMPLE_KIB = 2**18
POLL_S = 0.002
PATIENCE_S = 300
# The smallest disks end a run before its first step; then shares of what an undisturbed run needs at most.
FIRST_KIB = (4, 16, 48)
SHARES = 8

Sign = Callable[[Path], bool]


def _there(*patterns: str) -> Sign:
    """Whether a path of one of the patterns has appeared below the folder of runs."""
    return lambda runs: any(any(runs.glob(pattern)) for pattern in patterns)


def _reached(step: str, *states: str) -> Sign:
    """Whether a step's record says that it has reached one of the states."""

    def reached(runs: Path) -> bool:
        for path in runs.glob(f"*/steps/{step}.json"):
            try:
                return json.loads(path.read_text())["state"] in states
            except (OSError, ValueError):
                return False
        return False

    return reached


# What the disk is filled upon: the write that comes next, or is under way, is the one that fails.
MOMENTS: dict[str, Sign] = {
    "the command begins": lambda _: True,
    "the run's log": _there("*/log"),
    "prepare begins": _reached("prepare", "running"),
    "prepared data are written": _there(".store/*", ".store/.*"),
    "prepare's result is kept": _there(".cache/.prepare-*", ".cache/prepare-*/entry.json"),
    "prepare has ended": _reached("prepare", "succeeded"),
    "train begins": _reached("train", "running"),
    "a checkpoint is written": _there(".checkpoints/*/*", ".checkpoints/*/.*"),
    "train has ended": _reached("train", "succeeded"),
    "evaluate begins": _reached("evaluate", "running"),
    "evaluate has ended": _reached("evaluate", "succeeded"),
    "export begins": _reached("export", "running"),
    "export's files are written": _there("*/artifacts/*/export/exported/*"),
    "a version is published": _there("registry/digits"),
    "the champion is named": _there("registry/digits/versions/*"),
    "export has ended": _reached("export", "succeeded"),
}


@dataclass
class Outcome:
    """What became of a run on a full disk.

    Attributes:
        case: where it was full.
        code: the command's exit status.
        step: the step that failed; ``command`` where the run had none.
        line: the error as a user reads it.
        faults: what was not as promised, one line each.
        again: the command that succeeded when there was space.
    """

    case: str
    code: int
    step: str = ""
    line: str = ""
    faults: list[str] = field(default_factory=list)
    again: str = ""


@dataclass(frozen=True)
class Undisturbed:
    """A run that had space, and the most that it needed.

    Attributes:
        result: what every other run has to end with.
        peak_kib: the most that was in use at once.
    """

    result: dict[str, Any]
    peak_kib: int


def undisturbed(folder: Path) -> Undisturbed:
    """Run once with space enough."""
    with mounted(folder, AMPLE_KIB) as disk:
        peak = 0

        def note(_: Path) -> bool:
            nonlocal peak
            peak = max(peak, disk.used())
            return False

        done = _followed(RUN, disk, note)
        assert done.returncode == 0, done.stderr
        return Undisturbed(_result(folder), -(-peak // 1024))


@dataclass(frozen=True)
class Case:
    """A disk that is too small, or that is filled.

    Attributes:
        name: what the case is called.
        kib: the disk's size; 0 where it is a share of the most that an undisturbed run needs.
        share: that share.
        sign: upon what it is filled.
    """

    name: str
    kib: int = 0
    share: float = 0.0
    sign: Sign | None = None

    def size(self, peak_kib: int) -> int:
        """The disk's size in KiB."""
        return self.kib or round(self.share * peak_kib)


CASES = [
    *(Case(f"full when {name}", AMPLE_KIB, sign=sign) for name, sign in MOMENTS.items()),
    *(Case(f"{kib} KiB", kib) for kib in FIRST_KIB),
    *(Case(f"{part}/{SHARES} of what it needs", share=part / SHARES) for part in range(1, SHARES)),
]


def meet(case: Case, folder: Path, first: Undisturbed) -> Outcome:
    """Run on a disk that is full at some point, free space, and run again."""
    with mounted(folder, case.size(first.peak_kib)) as disk:
        done = _followed(RUN, disk, case.sign)
        outcome = Outcome(case.name, done.returncode, *_told(done.stderr))
        if not done.returncode:
            outcome.faults.append("the run ended before the disk was full")
            return outcome
        outcome.faults += _unclear(done)
        disk.empty()
        disk.resize(AMPLE_KIB)
        outcome.faults += _damaged(folder, "after the failure")
        command = _continued(done.stderr)
        outcome.again = " ".join(command[:2])
        again = _suanli(folder, *command)
        if again.returncode:
            outcome.faults.append(f"{outcome.again} failed, though there was space: {again.stderr.strip()[-300:]}")
            return outcome
        outcome.faults += _damaged(folder, "after the success")
        outcome.faults += [f"left behind: {path.relative_to(folder)}" for path in _leftovers(folder)]
        if (result := _result(folder)) != first.result:
            outcome.faults.append(f"another result: {result} instead of {first.result}")
        return outcome


def _followed(command: tuple[str, ...], disk: Disk, sign: Sign | None) -> "subprocess.CompletedProcess[str]":
    """Run a command, and fill the disk upon the sign."""
    process = subprocess.Popen(
        [*SUANLI, *command], env=_environment(disk.folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + PATIENCE_S
    while sign and process.poll() is None and time.monotonic() < deadline:
        if sign(disk.folder):
            disk.fill()
            sign = None
        time.sleep(POLL_S)
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate(timeout=30)
        err += "\nit hung"
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _environment(runs: Path) -> dict[str, str]:
    return {**os.environ, "SUANLI_RUNS": str(runs)}


def _suanli(runs: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SUANLI, *arguments], env=_environment(runs), capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


def _told(stderr: str) -> tuple[str, str]:
    """The step that failed and the error's line."""
    lines = [line.removeprefix("error: ") for line in stderr.splitlines() if line.startswith("error: ")]
    line = lines[0] if lines else ""
    step = re.match(r"(\w+) failed: ", line)
    return (step[1] if step else "command"), line


def _unclear(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """What a user could not make sense of."""
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    faults = []
    if done.returncode != 1 and done.returncode != 2:
        faults.append(f"exit status {done.returncode}")
    if len(told) != 1:
        faults.append(f"{len(told)} error lines: {done.stderr.strip()[-400:]}")
    elif not re.search(r"[Nn]o space left", told[0]):
        faults.append(f"the error does not say that the disk is full: {told[0]}")
    if "Traceback" in done.stderr + done.stdout:
        faults.append("a traceback")
    return faults


def _continued(stderr: str) -> tuple[str, ...]:
    """The command that the failed run named, else the same again."""
    named = re.search(r"suanli (run --resume \S+)", stderr)
    return tuple(named[1].split()) if named else RUN


def _damaged(folder: Path, when: str) -> list[str]:
    """What ``registry verify`` and ``runs list`` would say is wrong."""
    faults = [
        fault for model in contents.list_models(str(folder / "registry")) for fault in contents.verify(model).faults
    ]
    for run in every(folder):
        try:
            run.read()
        except StepError as error:
            faults.append(str(error))
    return [f"{when}: {fault}" for fault in faults]


def _leftovers(folder: Path) -> list[Path]:
    """What was being written aside and has no writer any more."""
    return [path for path in folder.rglob(".*") if re.search(r"\.\d+$", path.name)]


def _result(folder: Path) -> dict[str, Any]:
    """What a run ends with: the champion, its metrics without latencies, and how many versions there are."""
    records = [json.loads(path.read_text()) for path in folder.glob("2*/run.json")]
    (record,) = (record for record in records if record["status"] == "succeeded")
    champion = json.loads((folder / "registry" / "digits" / "champion.json").read_text())
    return {
        "champion": champion["version"],
        "changes": len(champion.get("history", [0])),
        "versions": sorted(path.name for path in (folder / "registry" / "digits" / "versions").iterdir()),
        "metrics": {name: value for name, value in record["metrics"].items() if "latency" not in name},
        "page": (folder / record["id"] / "index.html").is_file(),
    }
