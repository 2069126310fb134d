"""Run folders: ``runs/<id>/`` holds everything about a run, ``runs/latest`` points to the newest."""

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from components.core import project, secrets
from components.core.choices import nearest
from components.core.errors import StepError
from components.core.files import open_lock, write_atomically

RECORD, COMPILED = "run.json", "pipeline.yaml"
# The types of the values that readers rely on.
KINDS = {
    "status": str,
    "id": str,
    "experiment": str,
    "description": str,
    "parameters": dict,
    "steps": dict,
    "metrics": dict,
}
LATEST = "latest"
# Advice when there are no runs.
START = "start one with: suanli run EXPERIMENT (suanli experiments lists them)"
# Shared by all runs of the same folder, and pruned together with them.
STORE, CHECKPOINTS, REGISTRY = ".store", ".checkpoints", "registry"
# Runner -> its cache. The keys are alike, but a container has the locked packages, and this machine its own.
CACHES = {"subprocess": ".cache", "docker": ".cache-docker"}
# What TensorFlow's readers of checkpoints match files with (tsl/platform/file_system_helper.cc).
PATTERN = re.compile(r"[*?\[\\]")
ID = re.compile(r"^[0-9]{8}-[0-9]{6}-[a-z][a-z0-9_]*(-[0-9]+)?$")


def root(chosen: Path | None = None) -> Path:
    """The folder of runs: the one chosen, else ``SUANLI_RUNS``, else ``runs`` in the project or the current folder."""
    return Path(chosen or os.environ.get("SUANLI_RUNS") or project.folder() / "runs").absolute()


@dataclass(frozen=True)
class Run:
    """A run's folder."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def root(self) -> Path:
        return self.folder.parent

    def read(self) -> dict[str, Any]:
        """The record, ``run.json``; a run that is running by its record but has no process is interrupted."""
        try:
            values: dict[str, Any] = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            if "status" not in values or not all(type(values[name]) is KINDS[name] for name in KINDS.keys() & values):
                raise ValueError(f"its {RECORD} is not one that was written here")
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise StepError(f"run {self.id} cannot be read: {error}") from None
        # A run on a cluster has no process here.
        if values["status"] == "running" and "cluster" not in values and not self.alive():
            values["status"] = "interrupted"
        return values

    def write(self, values: dict[str, Any]) -> None:
        """Write the record, with secrets masked: a server's answer, for example, may hold one."""
        write_atomically(self.folder / RECORD, json.dumps(secrets.redact(values), indent=1))

    def steps(self) -> dict[str, dict[str, Any]]:
        """Step -> its record, in the order in which they started; a damaged record is left out."""
        records = [record for path in self.step_files() if (record := read_step(path))]
        return {record["step"]: record for record in sorted(records, key=lambda record: float(record["started"]))}

    def step_files(self) -> list[Path]:
        """The files of its steps' records, whether or not they can be read."""
        return sorted((self.folder / "steps").glob("[!.]*.json"))

    def output(self, step: str, name: str) -> Path | None:
        """The path of an output of a finished step; None if it does not exist."""
        artifact = self.steps().get(step, {}).get("outputs", {}).get(name)
        path = self.folder / artifact["path"] if artifact else None
        return path if path and path.exists() else None

    def alive(self) -> bool:
        """Whether a process is still working on it."""
        try:
            with (self.folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    @contextmanager
    def locked(self) -> Iterator[tuple[int, int]]:
        """Lock the run, and keep ``prune`` away from what all runs share, until the last process with these file
        descriptors ends.

        Raises:
            StepError: another process has locked it.
        """
        with open_lock(self.folder / "lock") as own, open_lock(self.root / ".lock") as shared:
            try:
                fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(shared, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                busy = f"run {self.id} is in progress" if self.alive() else "suanli runs prune is at work"
                raise StepError(busy, advice="wait for it to end", kind="conflict") from None
            yield own.fileno(), shared.fileno()


def read_step(path: Path) -> dict[str, Any] | None:
    """A step's record; None if it is damaged."""
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        record = json.loads(path.read_text())
        if type(record["step"]) is str and float(record["started"]) >= 0:
            return dict(record)
    return None


@contextmanager
def no_run_in(runs: Path) -> Iterator[None]:
    """Block new runs while the shared folders are pruned.

    Raises:
        StepError: a run is in progress.
    """
    with open_lock(runs / ".lock") as shared:
        try:
            fcntl.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StepError("a run is in progress", advice="prune when it has ended", kind="conflict") from None
        yield


def create(runs: Path, name: str) -> Run:
    """A new, empty run folder, which no other process gets.

    Raises:
        StepError: the folder of runs cannot be written, or TensorFlow would take its path for a pattern.
    """
    if PATTERN.search(str(runs)):
        raise StepError(
            f"the runs folder {runs} has one of * ? [ \\ in its path, which TensorFlow takes for a pattern of files",
            advice="give another with --runs or SUANLI_RUNS",
            kind="settings",
        )
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = runs / (stem if number == 1 else f"{stem}-{number}")
            with suppress(FileExistsError):
                folder.mkdir()
                return Run(folder)
    except OSError as error:
        raise StepError(
            f"cannot write the runs folder {runs}: {error.strerror}",
            advice="give another with --runs or SUANLI_RUNS",
            kind="settings",
        ) from None
    raise StepError(f"too many runs at once in {runs}", kind="conflict")


def point_latest(run: Run) -> None:
    """Point ``runs/latest`` to the run."""
    link = run.root / f".{LATEST}.{uuid4().hex[:16]}"
    link.symlink_to(run.id)
    link.replace(run.root / LATEST)


def every(runs: Path) -> list[Run]:
    """All runs, the oldest first."""
    all_runs = [Run(path) for path in runs.glob("*") if ID.match(path.name) and (path / RECORD).is_file()]
    return sorted(all_runs, key=lambda run: (run.id[:15], len(run.id), run.id))


def read_or_damaged(run: Run) -> dict[str, Any]:
    """A run's record; if it is damaged, the run's ``id``, the ``status`` damaged and what is wrong as ``error``."""
    try:
        return {"id": run.id, **run.read()}
    except StepError as error:
        return {"id": run.id, "status": "damaged", "error": error.message}


def find(runs: Path, which: str) -> Run:
    """A run by its id, an unambiguous beginning of it, or ``latest``.

    Raises:
        StepError: there is no such run, or more than one.
    """
    all_runs = every(runs)
    if not all_runs:
        raise StepError(f"there are no runs in {runs}", advice=START, kind="settings")
    if which == LATEST:
        target = Run((runs / LATEST).resolve())
        return target if target in all_runs else all_runs[-1]
    exact = [run for run in all_runs if run.id == which]
    matching = exact or [run for run in all_runs if run.id.startswith(which)]
    if len(matching) == 1:
        return matching[0]
    problem = f"{len(matching)} runs begin with {which!r}" if matching else f"unknown run {which!r}"
    ids = [run.id for run in matching or all_runs[-5:]]
    raise StepError(problem, advice=nearest(which, [*ids, LATEST]), kind="settings")
