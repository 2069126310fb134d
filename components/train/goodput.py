"""Goodput: the share of a run's time that went into training steps which the model keeps, over all attempts.

The term: "Introducing ML Productivity Goodput", Google Cloud, 2024. What an attempt does after its last checkpoint is
done again by the next attempt: the first time counts as lost, the second as kept. Usage::

    goodput = GoodputTracker.resume(checkpoint["spent"], snapshot)      # both empty for a first attempt
    with goodput.measure("checkpoints"):
        ...
    goodput.add("steps", seconds)
    checkpoint["spent"] = goodput.snapshot()                            # plain numbers
    with goodput.saved_periodically(write):                             # from a thread
        ...
    metrics.metadata.update(goodput.metrics())

The snapshot, a small file beside the checkpoints, tells the next attempt how long this one ran after its last
checkpoint. Time after the last snapshot is unknown and not counted.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

# Kept steps, then what is lost: start-up (imports, data, model, compilation), waiting for input, checkpoints (as far as
# training waits for them), steps that are repeated, validation, and everything else.
CATEGORIES = ("steps", "startup", "input", "checkpoints", "recomputed", "validation", "other")
SNAPSHOT_S = 30.0


class GoodputTracker:
    """A run's seconds by category.

    Args:
        seconds: of earlier attempts, by category.
        started: when this attempt started, by the monotonic clock.
        attempts: including this one.

    Attributes:
        accounted: seconds of this attempt that have a category.
    """

    def __init__(self, seconds: Mapping[str, float], started: float, attempts: int = 1) -> None:
        self.seconds = {category: float(seconds.get(category, 0.0)) for category in CATEGORIES}
        self.previous, self.started, self.attempts = sum(self.seconds.values()), started, attempts
        self.accounted = 0.0

    @classmethod
    def resume(cls, checkpointed: Mapping[str, Any], snapshot: Mapping[str, Any] | None = None) -> Self:
        """The tracker of an attempt that starts with its process.

        Args:
            checkpointed: the snapshot in the checkpoint that is resumed; empty for a first attempt.
            snapshot: the last one that was saved; what it has more than the checkpoint is lost.
        """
        seconds = dict(checkpointed.get("seconds", {}))
        if snapshot:
            lost = sum(dict(snapshot.get("seconds", {})).values()) - sum(seconds.values())
            seconds["recomputed"] = seconds.get("recomputed", 0.0) + max(0.0, lost)
        attempts = max(int(checkpointed.get("attempts", 0)), int((snapshot or {}).get("attempts", 0)))
        return cls(seconds, time.monotonic() - _process_age(), attempts + 1)

    def add(self, category: str, seconds: float) -> None:
        """Add seconds that have passed.

        Raises:
            KeyError: there is no such category.
        """
        self.seconds[category] += seconds
        self.accounted += seconds

    @contextmanager
    def measure(self, category: str) -> Iterator[None]:
        """Add the block's time, except for what the block itself adds to another category."""
        started, accounted = time.monotonic(), self.accounted
        try:
            yield
        finally:
            self.add(category, max(0.0, time.monotonic() - started - (self.accounted - accounted)))

    def move(self, source: str, target: str, seconds: float) -> None:
        """Move seconds to another category, at most as many as there are."""
        moved = min(seconds, self.seconds[source])
        self.seconds[source] -= moved
        self.seconds[target] += moved

    def _current(self) -> dict[str, float]:
        """Seconds by category; ``other`` includes what this attempt has not accounted for."""
        total = self.previous + time.monotonic() - self.started
        return self.seconds | {"other": self.seconds["other"] + max(0.0, total - sum(self.seconds.values()))}

    def snapshot(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        seconds = {category: round(value, 3) for category, value in self._current().items()}
        return {"seconds": seconds, "attempts": self.attempts}

    @property
    def goodput(self) -> float:
        """The share of all seconds that went into kept steps, 0 to 1."""
        current = self._current()
        return current["steps"] / total if (total := sum(current.values())) else 0.0

    def metrics(self) -> dict[str, float | int]:
        """``goodput``, ``attempts`` and ``seconds_<category>``."""
        seconds = {f"seconds_{category}": round(value, 2) for category, value in self._current().items()}
        return {"goodput": round(self.goodput, 4), "attempts": self.attempts, **seconds}

    @contextmanager
    def saved_periodically(self, write: Callable[[dict[str, Any]], None], every: float = SNAPSHOT_S) -> Iterator[None]:
        """Write a snapshot at once and every few seconds during the block, from a thread.

        Args:
            write: writes it; if it raises, no more are written and training goes on.
        """
        over = threading.Event()

        def save() -> None:
            try:
                write(self.snapshot())
                while not over.wait(every):
                    write(self.snapshot())
            except Exception as error:
                print(f"warning: goodput is no longer saved: {error}", flush=True)

        thread = threading.Thread(target=save, daemon=True, name="goodput")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(every)


def summary(metrics: Mapping[str, Any]) -> str:
    """Goodput and the largest losses in one line; empty if metrics have no goodput."""
    if "goodput" not in metrics:
        return ""
    seconds = {category: float(metrics.get(f"seconds_{category}", 0.0)) for category in CATEGORIES}
    total = sum(seconds.values()) or 1.0
    losses = sorted(((value, category) for category, value in seconds.items() if category != "steps"), reverse=True)
    shown = ", ".join(f"{category} {value / total:.0%}" for value, category in losses if value / total >= 0.005)
    attempts = int(metrics.get("attempts", 1))
    suffix = f", {attempts} attempts" if attempts > 1 else ""
    return f"{float(metrics['goodput']):.0%} of {total:.0f} s in kept steps{suffix}" + (f"; {shown}" if shown else "")


def _process_age() -> float:
    """Seconds since this process started (proc(5), field 22 of stat); 0 if the system does not say."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
