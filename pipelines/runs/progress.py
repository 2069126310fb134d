"""What a run's steps report while they run."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class StepProgress:
    """One step: its state, its times, and the last value of everything that it reported."""

    name: str
    state: str = "waiting"
    started: float = 0.0
    finished: float = 0.0
    reported: dict[str, Any] = field(default_factory=dict)

    def seconds(self) -> float:
        """How long it has been running, or ran."""
        return (self.finished or time.time()) - self.started if self.started else 0.0

    def update(self, line: dict[str, Any]) -> None:
        state = line.get("state", "")
        if state == "starting":
            self.started, self.finished, self.reported = float(line["time"]), 0.0, {}
        if state in {"succeeded", "failed", "interrupted"}:
            self.finished = float(line["time"])
        self.state = {"starting": "running"}.get(state, state) or self.state
        self.reported |= {key: value for key, value in line.items() if key not in {"time", "step", "state"}}

    def detail(self) -> str:
        """How far it is, in one line."""
        values, running = self.reported, self.state == "running"
        if values.get("cached"):
            return "from the cache"
        parts = []
        if "epoch" in values:
            parts.append(f"epoch {_count(values, 'epoch', 'epochs')}")
        if "batch" in values:
            parts.append(f"step {_count(values, 'batch', 'batches')}")
        if running and "done" in values and values.get("total"):
            parts.append(_count(values, "done", "total"))
        if "loss" in values:
            parts.append(f"loss {values['loss']:.4f}")
        if values.get("rate"):
            parts.append(f"{values['rate']:,.0f} examples/s")
        if running and values.get("note"):
            parts.append(str(values["note"]))
        return "  ".join(parts)


def _count(values: dict[str, Any], done: str, total: str) -> str:
    return f"{values[done]:,}" + (f"/{values[total]:,}" if values.get(total) else "")


class RunProgress:
    """A run's progress, read from its ``progress.jsonl`` as it grows.

    Args:
        steps: its pipeline's, in order.
    """

    def __init__(self, folder: Path, steps: Iterable[str]) -> None:
        self.path = folder / "progress.jsonl"
        # A resumed run's earlier lines are history.
        self.offset = self.path.stat().st_size if self.path.exists() else 0
        self.steps = {name: StepProgress(name) for name in steps}

    def read(self) -> None:
        """Take in the new lines."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                text = stream.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            try:
                values = json.loads(line)
            except ValueError:  # a full disk cuts lines short
                continue
            self.steps.setdefault(values["step"], StepProgress(values["step"])).update(values)

    def started_last(self) -> str:
        """The step that started last; empty before the first."""
        started = [step for step in self.steps.values() if step.started]
        return max(started, key=lambda step: step.started).name if started else ""
