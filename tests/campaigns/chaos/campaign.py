"""A campaign: a chain of runs that publish into one registry, each undisturbed once and killed again and again once."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals

from tests.campaigns.chaos import outcome, plan, watching
from tests.campaigns.chaos.places import Places, Reader
from tests.campaigns.chaos.plan import Kill, Learned
from tests.campaigns.chaos.watching import Changes, Watched

ROOT = Path(__file__).resolve().parents[3]
# How long a run may take to end after a kill, however busy the machine is: python -m benchmarks checkpoints measures
# what train needs.
AFTER_KILL_S = 120.0
WHOLE_RUN_S = 900.0
MOST_RUNS = 20


class BrokenPromiseError(Exception):
    """A promise that was not kept, in one line."""


@dataclass(frozen=True)
class Struck:
    """A kill that hit, and what became of it.

    Attributes:
        run: the run's number in the chain, from 1.
        kill: what was planned.
        seconds: from the signal to the end of the run's last process.
        code: the command's exit status.
        how: how the run went on.
    """

    run: int
    kill: Kill
    seconds: float
    code: int
    how: str


@dataclass
class Side:
    """One of the two chains: where it keeps things, and by which address its steps reach them.

    Attributes:
        folder: holds one folder of runs for each run.
        places: what the chain's runs share.
        variables: the commands' environment, beyond this process's.
    """

    folder: Path
    places: Places
    variables: dict[str, str] = field(default_factory=dict)

    def runs(self, number: int) -> Path:
        return self.folder / f"runs-{number}"

    def start(self, number: int, arguments: list[str]) -> "subprocess.Popen[str]":
        """Start a new run of the chain."""
        places = json.dumps(self.places.arguments())
        return self._command(number, ["-m", "tests.campaigns.chaos.command", places, "run", *arguments])

    def resume(self, number: int) -> "subprocess.Popen[str]":
        """Resume the run by the plain command."""
        return self._command(number, ["-m", "pipelines", "run", "--resume", "latest"])

    def said(self, number: int) -> str:
        """What the run's commands have printed."""
        return (self.folder / f"said-{number}.txt").read_text(errors="replace")

    def _command(self, number: int, words: list[str]) -> "subprocess.Popen[str]":
        self.runs(number).mkdir(parents=True, exist_ok=True)
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        with (self.folder / f"said-{number}.txt").open("a") as said:
            return subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env={
                    **os.environ,
                    "TF_CPP_MIN_LOG_LEVEL": "2",
                    **self.variables,
                    "SUANLI_RUNS": str(self.runs(number)),
                    "TMPDIR": str(temporary),
                },
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
            )


class Campaign:
    """See the module.

    Args:
        calm: the undisturbed chain.
        rough: the one whose processes are killed.
        reader: sees both chains' places.
        arguments: of ``suanli run``, without the seed.
        seed: draws the kills.
    """

    def __init__(self, calm: Side, rough: Side, reader: Reader, arguments: list[str], seed: int) -> None:
        self.calm, self.rough, self.reader = calm, rough, reader
        self.arguments, self.seed = arguments, seed
        self.versions: dict[str, str] = {}
        self.left: list[str] = []
        self.runs = self.missed = 0

    def kills(self, wanted: int, stages: Sequence[str]) -> Iterator[Struck]:
        """Make so many kills in these stages and compare after each run.

        Raises:
            BrokenPromiseError: a promise was not kept.
        """
        try:
            yield from self._runs(wanted, stages)
        finally:
            for side in (self.calm, self.rough):
                watching.end(side.runs(self.runs))
        if self.left:
            raise BrokenPromiseError(f"{len(set(self.left))} things were left behind, such as {self.left[0]}")

    def _runs(self, wanted: int, stages: Sequence[str]) -> Iterator[Struck]:
        chance = random.Random(self.seed + 1)
        planned: list[list[Kill]] = []
        while not self.runs or self.runs < len(planned):
            self.runs += 1
            expected, learned = self._undisturbed(self.runs)
            planned = planned or plan.drawn(self.seed, wanted, learned, stages)
            missed: list[Kill] = []
            yield from self._disturbed(self.runs, planned[self.runs - 1], missed)
            self._compare(self.runs, expected)
            self.missed += len(missed)
            if missed:
                if self.runs == MOST_RUNS:
                    raise BrokenPromiseError(f"{len(missed)} kills met no moment in {MOST_RUNS} runs")
                if self.runs == len(planned):
                    planned.append([])
                later = [plan.again(kill, chance, learned) for kill in missed]
                planned[self.runs] = sorted([*planned[self.runs], *later])

    def _run(self, number: int) -> list[str]:
        """Each run of the chain trains with a seed of its own, so each publishes a version of its own."""
        return [*self.arguments, "--set", f"training.seed={number}"]

    def _undisturbed(self, number: int) -> tuple[dict[str, object], Learned]:
        process = self.calm.start(number, self._run(number))
        watched = Watched(process, self.calm.runs(number))
        learned = watching.learn(watched, self.reader, self.calm.places)
        if process.returncode:
            raise BrokenPromiseError(f"the undisturbed run {number} failed: {_tail(self.calm.said(number))}")
        return outcome.of(self.calm.runs(number), self.calm.places, self.reader), learned

    def _disturbed(self, number: int, kills: list[Kill], missed: list[Kill]) -> Iterator[Struck]:
        process = self.rough.start(number, self._run(number))
        watched = Watched(process, self.rough.runs(number))
        for kill in kills:
            place = getattr(self.rough.places, watching.PLACE.get(kill.step, "registry"))
            pid = watched.comes(kill.step, kill.moment, kill.victim, Changes(self.reader, place))
            if pid is None or not _killed(pid, kill.signal):
                missed.append(kill)
                continue
            seconds, code = self._after(watched, number)
            how = "by itself" if code == 0 else "run --resume"
            yield Struck(number, kill, seconds, code, how)
            if code:
                process = self.rough.resume(number)
                watched = Watched(process, self.rough.runs(number))
        process.wait(WHOLE_RUN_S)
        if process.returncode:
            raise BrokenPromiseError(f"run {number} failed though nobody killed it: {_tail(self.rough.said(number))}")

    def _after(self, watched: Watched, number: int) -> tuple[float, int]:
        """Wait for the end that a kill brings; how long it took, and the command's exit status."""
        began = time.monotonic()
        try:
            code = watched.process.wait(AFTER_KILL_S)
            watching.gone(self.rough.runs(number), AFTER_KILL_S)
        except (subprocess.TimeoutExpired, TimeoutError) as error:
            raise BrokenPromiseError(f"run {number}: {error}") from None
        if "Traceback" in (said := self.rough.said(number)):
            raise BrokenPromiseError(f"run {number} showed a traceback: {_tail(said)}")
        return time.monotonic() - began, code

    def _compare(self, number: int, expected: dict[str, object]) -> None:
        found = outcome.of(self.rough.runs(number), self.rough.places, self.reader)
        if different := outcome.differences(expected, found):
            path = self.rough.folder / "differences.txt"
            path.write_text("\n".join(different) + "\n")
            raise BrokenPromiseError(f"run {number}: {different[0]} ({len(different)} in all: {path})")
        runs, temporary = self.rough.runs(number), self.rough.folder / "tmp"
        self.left = [*self.left, *outcome.left(runs, self.rough.places, self.reader, temporary)]
        self.versions = outcome.versions(found)


def _killed(pid: int, what: Signals) -> bool:
    """Whether the process was still there to be killed."""
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return False
    return True


def _tail(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return " | ".join(lines[-6:])
