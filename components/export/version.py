"""Predicts with a published version: its own inputs, one of its formats, and the post-processing that judged it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.core import choices
from components.core.config import checked, section_class
from components.core.devices import cpu_count
from components.core.errors import StepError
from components.core.inference import CHUNK, Predictor, objects
from components.export import runtime
from components.tasks.contract import Task

VERSION, ASSETS = "version.json", "assets.json"


class Predicted(NamedTuple):
    """A content by its name, and what the task says of it."""

    name: str
    content: Any
    said: dict[str, Any]


@dataclass(frozen=True)
class LoadedVersion:
    """A version ready to predict.

    Attributes:
        task: reads inputs and turns outputs into predictions, with the evaluation settings that evaluate had.
        format: which of the version's formats runs.
        predictor: the network.
        assets: what turns contents into its inputs.
    """

    task: Task
    format: str
    predictor: Predictor
    assets: dict[str, Any]

    def with_settings(self, values: Mapping[str, Any]) -> "LoadedVersion":
        """The same with other evaluation settings than those of evaluate.

        Raises:
            StepError: a setting is unknown, or its value impossible.
        """
        settings = self.task.settings
        changed = checked("evaluation", type(settings), {**settings.parameters(), **values})
        return replace(self, task=replace(self.task, settings=changed))

    def of(self, path: str) -> Iterator[Predicted]:
        """A prediction for everything in a file or folder.

        Raises:
            StepError: something in it cannot be read.
        """
        return self.of_contents(self.task.serving.read_inputs(path))

    def of_contents(self, read: Sequence[tuple[str, Any]]) -> Iterator[Predicted]:
        """A prediction for each of some named contents."""
        role = self.task.evaluation
        for start in range(0, len(read), CHUNK):
            names, contents = zip(*read[start : start + CHUNK], strict=True)
            batch = {role.content: _column(contents)}
            answers = role.predictions(role.predict(self.predictor, batch, self.assets))
            yield from map(Predicted, names, contents, answers)


def opened(folder: Path, format: str = "") -> LoadedVersion:
    """Make a version ready.

    Args:
        folder: the version's.
        format: one of its formats; by default the one that starts fastest.

    Raises:
        StepError: the folder holds no whole version, or not this format.
    """
    try:
        described = json.loads((folder / VERSION).read_text())
        task_name, info, evaluation = described["task"], described["info"], dict(described["evaluation"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StepError(
            f"{folder / VERSION} cannot be read ({type(error).__name__}: {error})", advice="export the model again"
        ) from None
    settings = checked("evaluation", section_class("evaluation", evaluation, task_name), evaluation)
    offered = [name for name, place in runtime.PLACES.items() if (folder / place).exists()]
    if not offered:
        raise StepError(f"{folder} holds no model", advice="export it again")
    chosen = runtime.chosen(offered, format)
    if chosen == "keras" and described.get("model") in choices.names("models"):
        # A team's own layers register themselves with Keras when their file is imported.
        choices.load("models", described["model"])
    with runtime.quiet():
        predictor = runtime.load(folder, chosen, cpu_count())
    return LoadedVersion(Task(task_name, info, settings), chosen, predictor, _assets(folder))


def _assets(folder: Path) -> dict[str, Any]:
    path = folder / ASSETS
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise StepError(f"{path} cannot be read ({error})", advice="export the model again") from None
    return found


def _column(contents: Sequence[Any]) -> np.ndarray:
    """Contents as an array [n, ...]: pictures of one size as they are, anything else as objects."""
    if isinstance(contents[0], np.ndarray) and len({content.shape for content in contents}) == 1:
        return np.stack(contents)
    return objects(contents)
