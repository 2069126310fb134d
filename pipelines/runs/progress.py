"""What a run's steps say about themselves while they run."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class StepProgress:
    """One step: its state, when it started, and the last value of everything it reported."""

    name: str
    state: str = "waiting"
    began: float = 0.0
    ended: float = 0.0
    said: dict[str, Any] = field(default_factory=dict)

    def seconds(self) -> float:
        """How long it has been at work, or was."""
        return (self.ended or time.time()) - self.began if self.began else 0.0

    def hear(self, line: dict[str, Any]) -> None:
        state = line.get("state", "")
        if state == "starting":
            self.began, self.ended, self.said = float(line["time"]), 0.0, {}
        if state in {"succeeded", "failed"}:
            self.ended = float(line["time"])
        self.state = {"starting": "running"}.get(state, state) or self.state
        self.said |= {key: value for key, value in line.items() if key not in {"time", "step", "state"}}

    def detail(self) -> str:
        """Where it stands, in one line."""
        said = self.said
        if said.get("cached"):
            return "from the cache"
        parts = []
        if "epoch" in said:
            parts.append(_of("epoch", said, "epoch", "epochs"))
        if "batch" in said:
            parts.append(_of("step", said, "batch", "batches"))
        at_work = self.state == "running"
        if at_work and "done" in said and said.get("total"):
            parts.append(_of("", said, "done", "total"))
        if "loss" in said:
            parts.append(f"loss {said['loss']:.4f}")
        if said.get("rate"):
            parts.append(f"{said['rate']:,.0f} examples/s")
        if at_work and said.get("note"):
            parts.append(str(said["note"]))
        return "  ".join(parts)


def _of(noun: str, said: dict[str, Any], now: str, all_: str) -> str:
    end = f"/{said[all_]:,}" if said.get(all_) else ""
    return f"{noun} {said[now]:,}{end}".strip()


class Watch:
    """A run's progress, read from its ``progress.jsonl`` as it grows.

    Args:
        steps: its pipeline's, in order.
    """

    def __init__(self, folder: Path, steps: Iterable[str]) -> None:
        self.path = folder / "progress.jsonl"
        # A resumed run's earlier lines are history.
        self.offset = self.path.stat().st_size if self.path.exists() else 0
        self.steps = {name: StepProgress(name) for name in steps}

    def read(self) -> list[StepProgress]:
        """Take in what is new; the steps that spoke, in that order."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                text = stream.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        spoke = []
        for line in whole.splitlines():
            try:
                values = json.loads(line)
            except ValueError:  # a full disk cuts lines short
                continue
            step = self.steps.setdefault(values["step"], StepProgress(values["step"]))
            step.hear(values)
            spoke.append(step)
        return spoke

    def started_last(self) -> str:
        """The step that started last; empty before the first."""
        begun = [step for step in self.steps.values() if step.began]
        return max(begun, key=lambda step: step.began).name if begun else ""
