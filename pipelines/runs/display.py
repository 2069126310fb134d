"""A run on the terminal: a live table of steps, or plain lines where nobody watches."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TextIO

from components.core import choices
from components.core.errors import StepError
from components.core.plain import one_line
from components.train import goodput
from pipelines.runs.progress import StepProgress


class Watched(Protocol):
    """A run in progress, here or on a cluster."""

    @property
    def steps(self) -> Mapping[str, StepProgress]: ...


MARKS = {
    "waiting": ("·", "dim"),
    "running": ("▶", "cyan"),
    "succeeded": ("✔", "green"),
    "failed": ("✘", "red"),
    "died": ("✘", "red"),
    "skipped": ("–", "dim"),
}
PLAIN_EVERY_S = 15.0


@contextmanager
def shown(title: str, stream: TextIO) -> Iterator[Callable[[Watched], None]]:
    """A function that shows a run's progress as often as it is called; a terminal that has gone away stops nothing."""
    with suppress(OSError):
        print(title, file=stream, flush=True)
    if not stream.isatty():
        yield Plain(stream)
        return
    from rich.console import Console
    from rich.live import Live

    live = Live(console=Console(file=stream), auto_refresh=False, transient=True)

    def show(watch: Watched) -> None:
        with suppress(OSError):
            live.update(_table(watch), refresh=True)

    with suppress(OSError):
        live.start()
    try:
        yield show
    finally:
        with suppress(OSError):
            live.stop()


def _table(watch: Watched) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for step in watch.steps.values():
        mark, style = MARKS.get(step.state, ("?", ""))
        told = Text(one_line(step.detail()))
        table.add_row(Text(mark, style), Text(step.name), Text(step.state), seconds(step.seconds()), told)
    return table


class Plain:
    """A line for each change of a step's state, for each epoch, and now and then between."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.said: dict[str, tuple[Any, ...]] = {}
        self.when: dict[str, float] = {}

    def __call__(self, watch: Watched) -> None:
        for step in watch.steps.values():
            if self._is_news(step):
                told = one_line(step.detail())
                line = f"{step.name:9} {step.state:9} {seconds(step.seconds()):>7}  {told}".rstrip()
                with suppress(OSError):
                    print(line, file=self.stream, flush=True)

    def _is_news(self, step: StepProgress) -> bool:
        now = (step.state, step.said.get("epoch"), step.said.get("note"))
        before, when = self.said.get(step.name), self.when.get(step.name, 0.0)
        due = step.state == "running" and step.seconds() - when >= PLAIN_EVERY_S
        if step.state == "waiting" or (now == before and not due):
            return False
        self.said[step.name], self.when[step.name] = now, step.seconds()
        return True


def seconds(value: float) -> str:
    """A duration as people say it."""
    if value < 100:
        return f"{value:.1f} s" if value else ""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def summary(values: dict[str, Any], where: str, stream: TextIO | None = None) -> None:
    """What became of a run: its steps, metrics and decision, and where to read more."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

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
    if spending := goodput.told(values.get("training", {})):
        console.print(f"\ntraining: {escape(spending)}")
    if values.get("accepted") is not None:
        verdict = "[green]ACCEPTED[/]" if values["accepted"] else "[red]REFUSED[/]: the champion stays"
        console.print(f"\nThe model is {verdict}")
        for reason in values["reasons"]:
            console.print(f"  {shown(reason)}")
    console.print(f"\n{shown(values['status'])} in {seconds(values['seconds'])}: {shown(where)}")


def metric(metrics: Mapping[str, Any], name: str) -> str:
    """One metric in a table's cell, with its name: each run has those of its own task."""
    value = metrics.get(name)
    return f"{name} {value:.4f}" if isinstance(value, int | float) else ""


def paired_metric(record: Mapping[str, Any]) -> str:
    """The metric by which a run's task compares models; empty where that task is no longer here."""
    try:
        return str(choices.load("tasks", record["parameters"]["data"]["task"]).Settings.paired_metric)
    except (StepError, LookupError):
        return ""


def headline(metrics: dict[str, Any]) -> dict[str, str]:
    """Each metric of the test split with its 95% interval, where it has one."""
    found = {}
    for name, value in metrics.items():
        if isinstance(value, int | float) and not name.endswith(("_low", "_high")):
            low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
            found[name] = f"{value:.4f}" + (f" ({low:.4f} to {high:.4f})" if low is not None else "")
    return found
