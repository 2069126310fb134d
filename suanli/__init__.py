"""Suanli from Python: what the command line does here, as functions and plain objects.

    import suanli

    digits = suanli.load("digits").with_settings({"training.epochs": 2})
    print(digits.warnings())
    run = digits.run()
    print(run.metrics["accuracy"], run.accepted, run.page)
    for prediction in suanli.predict("digits", ["a.png"]):
        print(prediction["label"])

Runs, models and projects are those of the command line, which can be used beside it. In a notebook an experiment, a run
and a comparison show themselves. Every error is a ``suanli.Error`` whose text is the line that the command prints. What
needs a cluster (``suanli submit``, ``suanli schedule``) is done on the command line.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.core.errors import StepError as Error
from components.core.plain import one_line
from pipelines import experiment as experiments
from pipelines.runs import folder
from suanli.objects import Comparison, Experiment, Run, RunError, assignments

__all__ = [
    "Comparison",
    "Error",
    "Experiment",
    "Run",
    "RunError",
    "compare",
    "experiment_names",
    "load",
    "predict",
    "run",
    "runs",
]


def experiment_names() -> list[str]:
    """The names that ``load`` takes: Suanli's experiments, and those of the project around the current folder."""
    return experiments.names()


def load(experiment: str | Path) -> Experiment:
    """An experiment by its name, or by the path of its Python file.

    Raises:
        Error: there is no such experiment, or its file does not load.
    """
    return Experiment(experiments.load(str(experiment)), str(experiment))


def runs(root: str | Path | None = None) -> list[Run]:
    """The runs of this machine, the oldest first.

    Args:
        root: the folder of runs; that of the project or the current folder if it is not given.
    """
    return [Run(each) for each in folder.every(_root(root))]


def run(id: str = folder.LATEST, root: str | Path | None = None) -> Run:
    """A run by its id, by what its id begins with, or the latest one.

    Raises:
        Error: there is no such run, or there are several.
    """
    return Run(folder.find(_root(root), id))


def compare(*compared: Run) -> Comparison:
    """Two runs or more, each against the first.

    Raises:
        Error: they are fewer than two.
    """
    if len(compared) < 2:
        raise Error("a comparison needs two runs or more", advice="see suanli.runs()", kind="settings")
    return Comparison(compared)


def predict(
    model: str,
    inputs: Sequence[str | Path] = (),
    *,
    texts: Sequence[str] = (),
    format: str = "",
    settings: Mapping[str, Any] | None = None,
    root: str | Path | None = None,
) -> Iterator[dict[str, Any]]:
    """Predictions of a published model, in order, as they are made.

    Args:
        model: a model's name, a registry, a version's folder or a run's id.
        inputs: files of the model's kind, or folders of them.
        texts: inputs given as text, for a model of texts.
        format: one of the model's formats; Keras's if it is not given.
        settings: other values for settings of the model's task, such as ``{"top_k": 1}``.
        root: the folder of runs with the registry.

    Yields:
        The input's name as ``input`` and what the model says of it, as ``suanli predict --json`` prints it; the reason
        as ``error`` if it cannot be read.

    Raises:
        Error: there is no such model, format, setting or file.
    """
    from components.export import version
    from pipelines.cli import predict as command

    if not inputs and not texts:
        raise Error("there is nothing to predict", advice="give files, folders or texts", kind="settings")
    loaded = version.load(command.version_folder(model, _root(root)), format)
    loaded = command.with_task_settings(loaded, assignments(settings or {}))
    for prediction in command.predictions_of(loaded, [str(each) for each in inputs], texts):
        yield {"input": one_line(prediction.name), **prediction.values}


def _root(root: str | Path | None) -> Path:
    return folder.root(Path(root) if root is not None else None)
