"""A command at work: where its run stands, when a moment has come, and which of its processes is which."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any

from tests.campaigns.chaos.places import REMOTE, Places, Reader
from tests.campaigns.chaos.plan import STAGES, Learned, Moment

POLL_S = 0.02
# Between two writes of a small file there is less.
POLL_WRITES_S = 0.0005
SILENT_S = 600.0
PLACE = {"prepare": "data_root", "train": "checkpoint_root", "export": "registry"}
STEPS = tuple(dict.fromkeys(STAGES.values()))


class Watched:
    """A run that a command works on, read from its ``progress.jsonl`` as it grows.

    Args:
        process: the command.
        runs: its folder of runs, which holds this run alone.
    """

    def __init__(self, process: "subprocess.Popen[str]", runs: Path) -> None:
        self.process, self.runs = process, runs
        self.step, self.state, self.epochs = "", "", 0.0
        self.began = time.monotonic()
        self.lines: list[dict[str, Any]] = []
        # A resumed run's earlier lines are history.
        self._offset = path.stat().st_size if (path := self._progress()) else 0

    def _progress(self) -> Path | None:
        return next(self.runs.glob("2*/progress.jsonl"), None)

    def read(self) -> None:
        """Take in what the run has said since."""
        if not (path := self._progress()):
            return
        with path.open("rb") as stream:
            stream.seek(self._offset)
            text = stream.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in map(json.loads, whole.splitlines()):
            self._hear(line)

    def _hear(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        self.state = line.get("state", self.state)
        if line.get("state") == "starting":
            self.step, self.epochs, self.began = line["step"], 0.0, time.monotonic()
        self.epochs = _epochs(line) or self.epochs

    def beyond(self, step: str) -> bool:
        """Whether nothing can be met in this step any more."""
        if self.process.poll() is not None:
            return True
        here = STEPS.index(self.step) if self.step in STEPS else -1
        return here > STEPS.index(step) or (self.step == step and self.state in {"succeeded", "failed", "interrupted"})

    def comes(self, step: str, moment: Moment, victim: str, changes: Callable[[], int]) -> int | None:
        """Wait for a moment in a step; the victim's process, or None where the moment never came.

        Args:
            changes: how many changes of files there have been since its first call.
        """
        latest = time.monotonic() + SILENT_S

        def until(happened: Callable[[], bool], poll: float = POLL_S) -> bool:
            while not happened():
                self.read()
                if self.beyond(step):
                    return False
                if time.monotonic() > latest:
                    raise TimeoutError(f"{step} has not come to {moment} in {SILENT_S:.0f} s")
                time.sleep(poll)
            return True

        # Found before the moment: to look for it takes longer than there is between two writes.
        found: list[int] = []

        def there() -> bool:
            pid = self.pid(victim)
            found[:] = [] if pid is None else [pid]
            return bool(found)

        if not until(lambda: self.step == step) or not until(there):
            return None
        if not until(lambda: self.epochs >= moment.epochs):
            return None
        if moment.writes and not until(lambda: changes() >= moment.writes, POLL_WRITES_S):
            return None
        over = (time.monotonic() if moment.writes or moment.epochs else self.began) + moment.seconds
        return found[0] if until(lambda: time.monotonic() >= over) else None

    def pid(self, victim: str) -> int | None:
        """The process of a victim, while there is one."""
        if victim == "command":
            return self.process.pid if self.process.poll() is None else None
        # A step is a fork that bears its name, or a process of its own.
        wanted = {"step": {b"kfp.dsl.executor_main", *map(str.encode, STEPS)}, "runner": {b"pipelines.local"}}[victim]
        found = [pid for pid, words in members(self.runs).items() if wanted & {*words} and words[0] != b"sh"]
        return found[0] if found else None


class Changes:
    """Counts the changes of files that are seen in a place."""

    def __init__(self, reader: Reader, place: str) -> None:
        self.reader, self.place, self.count = reader, place, 0
        self._before: dict[str, tuple[int, ...]] | None = None
        self._looked = 0.0

    def __call__(self) -> int:
        if self.place.startswith(REMOTE) and time.monotonic() < self._looked + POLL_S:
            return self.count  # a look is a request
        self._looked = time.monotonic()
        now = {name: seen for name, seen in self.reader.state(self.place).items() if not name.endswith(".lock")}
        self.count += self._before is not None and now != self._before
        self._before = now
        return self.count


def members(runs: Path) -> dict[int, list[bytes]]:
    """The living processes that work below a folder of runs -> their names, then the words of their command lines."""
    mark = f"SUANLI_RUNS={runs}".encode()
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (path / "environ").read_bytes().split(b"\0"):
                name = (path / "comm").read_bytes().rstrip()
                found[int(path.name)] = [name, *(path / "cmdline").read_bytes().split(b"\0")]
    return found


def gone(runs: Path, seconds: float) -> None:
    """Wait until nobody works below a folder of runs.

    Raises:
        TimeoutError: somebody still does.
    """
    end = time.monotonic() + seconds
    while left := members(runs):
        if time.monotonic() > end:
            told = {pid: b" ".join(words)[:80] for pid, words in left.items()}
            raise TimeoutError(f"still at work {seconds:.0f} s after a kill: {told}")
        time.sleep(POLL_S)


def end(runs: Path) -> None:
    """Kill whoever still works below a folder of runs."""
    for pid in members(runs):
        with suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)


def learn(watched: Watched, reader: Reader, places: Places) -> Learned:
    """Follow an undisturbed command to its end and note what there is to hit."""
    writes = dict.fromkeys(PLACE, 0)
    counts: dict[str, Changes] = {}
    while watched.process.poll() is None:
        watched.read()
        if (step := watched.step) in PLACE:
            counts.setdefault(step, Changes(reader, getattr(places, PLACE[step])))
            writes[step] = counts[step]()
        time.sleep(POLL_WRITES_S if watched.step == "export" else POLL_S)
    watched.read()
    times: dict[str, dict[str, float]] = {step: {} for step in STEPS}
    for line in watched.lines:
        times[line["step"]].setdefault(line.get("state", "first report"), line["time"])
    seconds = {step: seen["succeeded"] - seen["starting"] for step, seen in times.items() if "succeeded" in seen}
    start_up = times["train"]["first report"] - times["train"]["starting"]
    return Learned(seconds, start_up, max(map(_epochs, watched.lines)), writes)


def _epochs(line: dict[str, Any]) -> float:
    """How far training has come by a line of progress; 0 where it says nothing of that."""
    return float(line["epoch"] - 1 + line["batch"] / line["batches"]) if "batch" in line else 0.0
