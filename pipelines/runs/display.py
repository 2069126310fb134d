"""A run on the terminal: a live table of steps, or plain lines if the output is not a terminal."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from components.core import choices
from components.core.errors import StepError
from components.core.plain import one_line
from components.train import goodput
from pipelines.runs.progress import StepProgress


class Progress(Protocol):
    """The progress of a run, here or on a cluster."""

    @property
    def steps(self) -> Mapping[str, StepProgress]: ...


MARKS = {
    "waiting": ("·", "dim"),
    "running": ("▶", "cyan"),
    "succeeded": ("✔", "green"),
    "failed": ("✘", "red"),
    "died": ("✘", "red"),
    "interrupted": ("■", "yellow"),
    "skipped": ("–", "dim"),
    "cancelled": ("–", "dim"),
}
PLAIN_EVERY_S = 15.0
# The outcome of evaluate, on a terminal.
VERDICTS = {
    "accepted": "The model is [green]ACCEPTED[/]",
    "refused": "The model is [red]REFUSED[/]: the champion stays",
    "unchanged": "[cyan]NOTHING NEW[/]: the model has the champion's weights, and the champion stays",
}


@contextmanager
def shown(title: str, stream: TextIO) -> Iterator[Callable[[Progress], None]]:
    """A function that shows a run's progress each time it is called; a terminal that has gone away stops nothing."""
    with suppress(OSError):
        print(title, file=stream, flush=True)
    if not stream.isatty():
        yield Plain(stream)
        return
    live = Live(console=Console(file=stream), auto_refresh=False, transient=True)

    def show(progress: Progress) -> None:
        with suppress(OSError):
            live.update(_table(progress), refresh=True)

    with suppress(OSError):
        live.start()
    try:
        yield show
    finally:
        with suppress(OSError):
            live.stop()


def _table(progress: Progress) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for step in progress.steps.values():
        mark, style = MARKS.get(step.state, ("?", ""))
        detail = Text(one_line(step.detail()))
        table.add_row(Text(mark, style), Text(step.name), Text(step.state), seconds(step.seconds()), detail)
    return table


class Plain:
    """A line for each change of a step's state, for each epoch, and every ``PLAIN_EVERY_S`` seconds."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        # Step -> the state, epoch and note last printed, and when.
        self.printed: dict[str, tuple[tuple[Any, ...], float]] = {}

    def __call__(self, progress: Progress) -> None:
        for step in progress.steps.values():
            if self._is_news(step):
                detail = one_line(step.detail())
                line = f"{step.name:9} {step.state:11} {seconds(step.seconds()):>7}  {detail}".rstrip()
                with suppress(OSError):
                    print(line, file=self.stream, flush=True)

    def _is_news(self, step: StepProgress) -> bool:
        now = (step.state, step.reported.get("epoch"), step.reported.get("note"))
        before, when = self.printed.get(step.name, (None, 0.0))
        due = step.state == "running" and step.seconds() - when >= PLAIN_EVERY_S
        if step.state == "waiting" or (now == before and not due):
            return False
        self.printed[step.name] = now, step.seconds()
        return True


def seconds(value: float) -> str:
    """A duration such as ``12.3 s``, ``4 min 05 s`` or ``1 h 20 min``; empty for 0."""
    if value < 100:
        return f"{value:.1f} s" if value else ""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def summary(values: dict[str, Any], location: str, stream: TextIO | None = None) -> None:
    """Print the result of a run: its steps, metrics and decision, and the location of its page."""

    def shown(text: str) -> str:
        return escape(one_line(text))

    console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, step in values["steps"].items():
        mark, style = MARKS.get(step["state"], ("?", ""))
        origin = f"from the cache ({step['from']})" if step.get("cached") else ""
        row = (shown(name), shown(step["state"]), seconds(step.get("seconds", 0)), shown(origin))
        table.add_row(f"[{style}]{mark}[/]", *row)
    console.print()
    console.print(table)
    for name, metric in headline(values["metrics"]).items():
        console.print(f"{shown(name):20} {metric}")
    if spending := goodput.summary(values.get("training", {})):
        console.print(f"\ntraining: {escape(spending)}")
    if decided := outcome(values):
        console.print(f"\n{VERDICTS[decided]}")
        for reason in values["reasons"]:
            console.print(f"  {shown(reason)}")
    took = f" in {seconds(values['seconds'])}" if "seconds" in values else ""  # a run that has not ended has none
    console.print(f"\n{shown(values['status'])}{took}: {shown(location)}")


def metric(metrics: Mapping[str, Any], name: str) -> str:
    """One metric in a table's cell, with its name: each run has those of its own task."""
    value = metrics.get(name)
    return f"{name} {value:.4f}" if isinstance(value, int | float) else ""


def outcome(record: Mapping[str, Any]) -> str:
    """``accepted``, ``refused`` or ``unchanged``; empty if the run has not decided. Older records lack the third."""
    accepted = record.get("accepted")
    decided = "" if accepted is None else "accepted" if accepted else "refused"
    return str(record.get("outcome") or decided)


def paired_metric(record: Mapping[str, Any]) -> str:
    """The metric by which a run's task compares models; empty if that task no longer exists."""
    return str(getattr(evaluation_settings(record), "paired_metric", ""))


def evaluation_settings(record: Mapping[str, Any]) -> Any:
    """The class of settings by which a run's task evaluates; None if that task no longer exists."""
    try:
        return _task_settings(str(record["parameters"]["data"]["task"]))
    except LookupError:
        return None


@cache
def _task_settings(task: str) -> Any:
    try:
        return choices.load("tasks", task).Settings
    except StepError:
        return None


def shares(record: Mapping[str, Any]) -> frozenset[str]:
    """The metrics of a run's task that lie between 0 and 1, and are shown in percent."""
    return frozenset(getattr(evaluation_settings(record), "shares", ()))


def interval(metrics: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """The ends of a metric's 95% interval, if any."""
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return None if low is None or high is None else (low, high)


def headline(metrics: dict[str, Any]) -> dict[str, str]:
    """Each metric of the test split with its 95% interval, if any."""
    lines = {}
    for name, value in metrics.items():
        if isinstance(value, int | float) and not name.endswith(("_low", "_high")):
            low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
            lines[name] = f"{value:.4f}" + (f" ({low:.4f} to {high:.4f})" if low is not None else "")
    return lines
