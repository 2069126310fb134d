"""Where a run's seconds went: its goodput, and what was lost to everything else, over all of its attempts.

Goodput is the share of time that went into steps whose result the model keeps (the term and the idea: "Introducing ML
Productivity Goodput", Google Cloud, 2024). Whatever an attempt did after its last checkpoint is done again by the next
one: the first time counts as lost, the second as kept. Usage in the loop::

    ledger = spent.Ledger.since_start()          # or: Ledger.resumed(checkpoint["spent"], mark)
    with ledger.spending("checkpoints"):
        ...
    ledger.took("steps", seconds)                # and ``ledger.took("input", seconds)`` for a part of them
    checkpoint["spent"] = ledger.state()         # plain numbers
    with ledger.marked(write):                   # from a thread, now and then: how far this attempt has come
        ...
    metrics.metadata.update(ledger.metrics())

The mark is what lets the next attempt know how long this one went on after its last checkpoint. It is a small file
beside the checkpoints; without it, or between two of them, what was lost is not known and not counted.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Kept steps, and what is lost: start-up (imports, the data, the model, compilation), waiting for input, checkpoints
# (as far as training waits for them), steps that were done again, validation, and what none of these names.
PARTS = ("steps", "startup", "input", "checkpoints", "recomputed", "validation", "other")
MARK_S = 30.0


class Ledger:
    """A run's seconds by what they went into.

    Args:
        seconds: of earlier attempts, by part.
        began: when this attempt began, by the monotonic clock.
        attempts: including this one.
    """

    def __init__(self, seconds: Mapping[str, float], began: float, attempts: int = 1) -> None:
        self.seconds = {part: float(seconds.get(part, 0.0)) for part in PARTS}
        self.before, self.began, self.attempts = sum(self.seconds.values()), began, attempts
        self.inner = 0.0

    @classmethod
    def since_start(cls) -> "Ledger":
        """A first attempt's, which began with its process."""
        return cls({}, time.monotonic() - _age())

    @classmethod
    def resumed(cls, state: Mapping[str, Any], mark: Mapping[str, Any] | None = None) -> "Ledger":
        """Another attempt's.

        Args:
            state: of the checkpoint that is continued.
            mark: the last one that was written; what it has more than the checkpoint is lost.
        """
        seconds = dict(state.get("seconds", {}))
        if mark:
            ours, theirs = sum(seconds.values()), sum(dict(mark.get("seconds", {})).values())
            seconds["recomputed"] = seconds.get("recomputed", 0.0) + max(0.0, theirs - ours)
        attempts = max(int(state.get("attempts", 0)), int((mark or {}).get("attempts", 0)))
        return cls(seconds, time.monotonic() - _age(), attempts + 1)

    def took(self, part: str, seconds: float) -> None:
        """Count seconds that have passed as a part's.

        Raises:
            KeyError: there is no such part.
        """
        self.seconds[part] += seconds
        self.inner += seconds

    @contextmanager
    def spending(self, part: str) -> Iterator[None]:
        """Count the block's time as a part's, but for what the block itself counts as another's."""
        began, inner = time.monotonic(), self.inner
        try:
            yield
        finally:
            self.took(part, max(0.0, time.monotonic() - began - (self.inner - inner)))

    def moved(self, source: str, target: str, seconds: float) -> None:
        """Count seconds as another part's than they were, as far as that has so many: input's out of the steps'."""
        some = min(seconds, self.seconds[source])
        self.seconds[source] -= some
        self.seconds[target] += some

    def _now(self) -> dict[str, float]:
        """The parts, with what this attempt spent unnamed as ``other``."""
        passed = self.before + time.monotonic() - self.began
        return self.seconds | {"other": self.seconds["other"] + max(0.0, passed - sum(self.seconds.values()))}

    def state(self) -> dict[str, Any]:
        """Everything, as plain numbers, for a checkpoint or a mark."""
        return {"seconds": {part: round(value, 3) for part, value in self._now().items()}, "attempts": self.attempts}

    @property
    def goodput(self) -> float:
        """The share of all seconds that went into kept steps, 0 to 1."""
        now = self._now()
        return now["steps"] / total if (total := sum(now.values())) else 0.0

    def metrics(self) -> dict[str, float | int]:
        """``goodput``, ``attempts`` and ``seconds_<part>``, as metrics show them."""
        parts = {f"seconds_{part}": round(value, 2) for part, value in self._now().items()}
        return {"goodput": round(self.goodput, 4), "attempts": self.attempts, **parts}

    @contextmanager
    def marked(self, write: Callable[[dict[str, Any]], None], every: float = MARK_S) -> Iterator[None]:
        """Write a mark at once and every so many seconds of the block, from a thread of its own.

        Args:
            write: what writes it; what it raises ends the marking, never the training.
        """
        over = threading.Event()

        def mark() -> None:
            try:
                write(self.state())
                while not over.wait(every):
                    write(self.state())
            except Exception as error:
                print(f"warning: no more marks of the time spent: {error}", flush=True)

        thread = threading.Thread(target=mark, daemon=True, name="spent")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(every)


def told(metrics: Mapping[str, Any]) -> str:
    """Goodput and the parts that matter, as one line; empty where metrics hold none."""
    if "goodput" not in metrics:
        return ""
    parts = {part: float(metrics.get(f"seconds_{part}", 0.0)) for part in PARTS}
    whole = sum(parts.values()) or 1.0
    lost = sorted(((seconds, part) for part, seconds in parts.items() if part != "steps"), reverse=True)
    shown = ", ".join(f"{part} {seconds / whole:.0%}" for seconds, part in lost if seconds / whole >= 0.005)
    attempts = int(metrics.get("attempts", 1))
    again = f", {attempts} attempts" if attempts > 1 else ""
    return f"{float(metrics['goodput']):.0%} of {whole:.0f} s in kept steps{again}" + (f"; {shown}" if shown else "")


def _age() -> float:
    """Seconds since this process began (proc(5), field 22 of stat); 0 where the system does not tell."""
    try:
        began = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
