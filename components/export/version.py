"""Prediction with a published version: its inputs, one of its formats, and the post-processing of evaluate."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.core import choices, project
from components.core.config import checked, section_class
from components.core.devices import cpu_count
from components.core.errors import StepError
from components.core.inference import CHUNK, Predictor, objects
from components.export import runtime
from components.registry import require_intact
from components.tasks.contract import Task

VERSION, ASSETS = "version.json", "assets.json"
# The value of an input that could not be read.
ERROR = "error"


class Predicted(NamedTuple):
    """A content with its name, and the task's prediction; of an input that cannot be read only the ``error``."""

    name: str
    content: Any
    values: dict[str, Any]


@dataclass(frozen=True)
class LoadedVersion:
    """A version ready to predict.

    Attributes:
        task: reads inputs and converts outputs to predictions, with the settings of evaluate.
        format: the format that runs.
        predictor: the network.
        assets: for encoding contents as its inputs.
    """

    task: Task
    format: str
    predictor: Predictor
    assets: dict[str, Any]

    def with_settings(self, values: Mapping[str, Any]) -> "LoadedVersion":
        """The version with other evaluation settings.

        Raises:
            StepError: a setting is unknown, or its value is invalid.
        """
        settings = self.task.settings
        changed = checked("evaluation", type(settings), {**settings.parameters(), **values})
        return replace(self, task=replace(self.task, settings=changed))

    def read(self, path: str) -> Iterator[tuple[str, Any]]:
        """The inputs in a file or folder: name and content, or the StepError that says why one cannot be read."""
        try:
            yield from self.task.serving.read_inputs(path)
        except StepError as error:
            yield path, error

    def predict(self, inputs: Iterable[tuple[str, Any]]) -> Iterator[Predicted]:
        """Predictions for named contents, read a chunk at a time; one that is a StepError has no content, and the error
        as its only value.

        Raises:
            StepError: kind ``model``: the network's outputs are not finite.
        """
        role, remaining = self.task.evaluation, iter(inputs)
        while chunk := list(islice(remaining, CHUNK)):
            contents = [content for _, content in chunk if not isinstance(content, StepError)]
            predictions: Iterator[dict[str, Any]] = iter(())
            if contents:
                batch = {role.content: _column(contents)}
                predictions = iter(role.predictions(role.predict(self.predictor, batch, self.assets)))
            for name, content in chunk:
                if isinstance(content, StepError):
                    yield Predicted(name, None, {ERROR: str(content)})
                else:
                    yield Predicted(name, content, next(predictions))


def load(folder: Path, format: str = "") -> LoadedVersion:
    """Load a version.

    Args:
        folder: of the version.
        format: one of its formats; by default the one that starts fastest.

    Raises:
        StepError: the version is incomplete or damaged, or lacks the format.
    """
    require_intact(folder)
    try:
        described = json.loads((folder / VERSION).read_text())
        task_name, info, evaluation = described["task"], described["info"], dict(described["evaluation"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StepError(
            f"{folder / VERSION} cannot be read ({type(error).__name__}: {error})", advice="export the model again"
        ) from None
    if task_name not in choices.names("tasks"):
        raise StepError(
            f"{folder} is a model of the task {task_name!r}, which is not here",
            advice=f"work in the project that has it, or name it in {project.VARIABLE}",
            kind="settings",
        )
    settings = checked("evaluation", section_class("evaluation", evaluation, task_name), evaluation)
    available = [name for name, path in runtime.PATHS.items() if (folder / path).exists()]
    if not available:
        raise StepError(f"{folder} has no model", advice="export it again")
    chosen = runtime.choose_format(available, format)
    if chosen == "keras" and described.get("model") in choices.names("models"):
        # Custom layers of a model's file register with Keras when it is imported.
        choices.load("models", described["model"])
    with runtime.quiet():
        predictor = _finite(runtime.load(folder, chosen, cpu_count()))
    return LoadedVersion(Task(task_name, info, settings), chosen, predictor, _assets(folder))


def _finite(predictor: Predictor) -> Predictor:
    """The network with a check of its weights, if they are at hand, and of all its outputs.

    Raises:
        StepError: kind ``model``: some are NaN or infinite.
    """

    def require(what: str, values: Iterable[np.ndarray]) -> None:
        if not all(np.isfinite(value).all() for value in values):
            raise StepError(
                f"{what} are not finite (NaN or infinite)",
                advice="train it again, or take another version",
                kind="model",
            )

    def run(inputs: np.ndarray) -> np.ndarray:
        outputs = predictor.run(inputs)
        require("the model's outputs", [outputs])
        return outputs

    if predictor.network is not None:
        # Decoding calls the network itself.
        require("the model's weights", (np.asarray(weight) for weight in predictor.network.get_weights()))
    return replace(predictor, run=run)


def _assets(folder: Path) -> dict[str, Any]:
    path = folder / ASSETS
    if not path.exists():
        return {}
    try:
        assets: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise StepError(f"{path} cannot be read ({error})", advice="export the model again") from None
    return assets


def _column(contents: Sequence[Any]) -> np.ndarray:
    """Contents as an array [n, ...]: arrays of equal shape are stacked, anything else becomes objects."""
    if isinstance(contents[0], np.ndarray) and len({content.shape for content in contents}) == 1:
        return np.stack(contents)
    return objects(contents)
