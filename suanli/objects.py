"""What ``import suanli`` hands out: an experiment, a run, a comparison."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import data
from components.core.errors import StepError
from pipelines.experiment import NamedExperiment
from pipelines.runs import compare, failure, folder, page

# A page in a notebook's cell, in pixels.
HEIGHT = 600


class RunError(StepError):
    """A run failed. The text is the line that the command prints.

    Attributes:
        run: the run, whose record and logs tell more.
    """

    def __init__(self, run: "Run") -> None:
        super().__init__(run.error)
        self.run = run


@dataclass(frozen=True)
class Experiment:
    """An experiment; settings are changed in copies of it.

    Attributes:
        named: the experiment as the pipelines package has it.
        source: the name or path that it was loaded by.
        changes: the settings that were changed since, as ``suanli run --set`` takes them.
    """

    named: NamedExperiment
    source: str
    changes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name, and the name of the model that it publishes."""
        return self.named.name

    @property
    def description(self) -> str:
        """The docstring of its file."""
        return self.named.text

    @property
    def settings(self) -> dict[str, Any]:
        """All settings: ``section.setting`` -> value."""
        return compare.flat(self.named.experiment.sections())

    def with_settings(self, settings: Mapping[str, Any]) -> "Experiment":
        """The same experiment with other settings, such as ``{"training.epochs": 2, "model.filters": [16, 32]}``.

        Raises:
            StepError: there is no such setting, or it does not take the value.
        """
        changes = assignments(settings)
        return Experiment(self.named.with_settings(changes), self.source, (*self.changes, *changes))

    def warnings(self) -> list[str]:
        """What is to be known before a run: a test split too small to decide, for example.

        Raises:
            StepError: the data are not where the settings say.
        """
        data.check(self.named.experiment.data)
        problem = self.named.experiment.gate_problem()
        return [problem] if problem else []

    def compile(self) -> str:
        """The Kubeflow pipeline file (YAML), whose places and images are given when it is submitted."""
        from pipelines.compile import compiler  # kfp

        return compiler.compile_experiment(self.named, None)

    def run(
        self, root: str | Path | None = None, *, runner: str = "subprocess", cache: bool = True, debug: bool = False
    ) -> "Run":
        """Run the whole pipeline on this machine, print its progress, and return when it has ended: with the status
        ``interrupted`` after Ctrl-C.

        Args:
            root: the folder of runs; that of the project or the current folder if it is not given.
            runner: ``subprocess``, or ``docker``: each step in its image.
            cache: whether results of other runs are reused.
            debug: whether tracebacks are shown whole.

        Raises:
            StepError: a setting is wrong, or the data are not where the settings say; nothing was started.
            RunError: a step failed.
        """
        from pipelines.local import session

        runs = folder.root(Path(root) if root is not None else None)
        _, run = session.start(
            self.source, list(self.changes), runs, runner=runner, cache=cache, debug=debug, as_json=False
        )
        ended = Run(run)
        if ended.status == "failed":
            raise RunError(ended)
        return ended

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{html.escape(name)}<td>{_cell(value)}" for name, value in self.settings.items())
        return f"<b>{html.escape(self.name)}</b><p>{html.escape(self.description)}</p><table>{rows}</table>"


@dataclass(frozen=True)
class Run:
    """A run on this machine, or one that was submitted from it; what it holds is read anew each time.

    Attributes:
        run: its folder as the pipelines package has it.
    """

    run: folder.Run

    @property
    def id(self) -> str:
        """Its id, the name of its folder."""
        return self.run.id

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self.run.folder

    @property
    def record(self) -> dict[str, Any]:
        """Everything that ``suanli runs show --json`` tells."""
        return self.run.read()

    @property
    def status(self) -> str:
        """``running``, ``succeeded``, ``failed`` or ``interrupted``."""
        return str(self.record["status"])

    @property
    def accepted(self) -> bool | None:
        """Whether the model passed the gate; None before it was evaluated."""
        return self.record.get("accepted")

    @property
    def reasons(self) -> list[str]:
        """Why."""
        return list(self.record.get("reasons", []))

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics on the test split, with the bounds of their 95% intervals as ``NAME_low`` and ``NAME_high``."""
        return dict(self.record.get("metrics", {}))

    @property
    def error(self) -> str:
        """Why it failed, in one line; empty if it has not."""
        cause = self.record.get("cause")
        return failure.line(cause) if cause else ""

    @property
    def page(self) -> Path:
        """Its page, which exists when it has ended."""
        return self.run.folder / page.FILE

    def _repr_html_(self) -> str:
        shown = self.page.read_text() if self.page.is_file() else f"<p>{html.escape(self.id)}: {self.status}</p>"
        return _frame(shown)


@dataclass(frozen=True)
class Comparison:
    """Runs, each compared with the first.

    Attributes:
        runs: the runs.
    """

    runs: Sequence[Run]

    @property
    def differences(self) -> dict[str, Any]:
        """Settings, versions and metrics that differ, as ``suanli runs compare --json`` tells them."""
        return compare.side_by_side([run.record for run in self.runs])

    def _repr_html_(self) -> str:
        from pipelines.runs import compare_page  # NumPy

        return _frame(compare_page.text([run.run for run in self.runs]))


def assignments(settings: Mapping[str, Any]) -> list[str]:
    """Settings as ``--set`` takes them."""
    return [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()]


def _cell(value: Any) -> str:
    return html.escape(value if isinstance(value, str) else json.dumps(value, default=str))


def _frame(text: str) -> str:
    """A page in a cell, whose styles stay its own."""
    return f'<iframe srcdoc="{html.escape(text)}" width="100%" height="{HEIGHT}" frameborder="0"></iframe>'
