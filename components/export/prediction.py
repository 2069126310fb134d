"""Predicts with a published version: its own inputs, one of its formats, and the post-processing that judged it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from components.core import rooms
from components.core.config import checked, section_class
from components.core.devices import cpu_count
from components.core.errors import StepError
from components.export import runtime

if TYPE_CHECKING:
    from components.export.runtime import Run

VERSION = "version.json"


@dataclass(frozen=True)
class Predictor:
    """A version ready to predict.

    Attributes:
        task: the module that reads inputs and turns outputs into predictions.
        settings: the task's evaluation settings, as evaluate had them.
        info: what the task knows of the data, such as the classes.
        format: which of the version's formats runs.
        run: inputs to outputs.
    """

    task: ModuleType
    settings: Any
    info: dict[str, Any]
    format: str
    run: "Run"

    def of(self, path: str) -> Iterator[dict[str, Any]]:
        """A prediction for everything in a file or folder: ``input`` (its name) and what the task predicts.

        Raises:
            StepError: something in it cannot be read.
        """
        import numpy as np

        read = self.task.read_inputs(path, self.info)
        for start in range(0, len(read), runtime.CHUNK):
            names, arrays = zip(*read[start : start + runtime.CHUNK], strict=True)
            outputs = self.run(np.stack(arrays))
            for name, found in zip(names, self.task.predictions(outputs, self.settings, self.info), strict=True):
                yield {"input": name, **found}


def opened(folder: Path, format: str = "", top: int = 0) -> Predictor:
    """Make a version ready.

    Args:
        folder: the version's.
        format: one of its formats; by default the one that starts fastest.
        top: how many of the best labels to give; 0 for as many as evaluate counted.

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
    task = rooms.load("tasks", task_name)
    if top:
        evaluation["top_k"] = top
    settings = checked("evaluation", section_class("evaluation", evaluation, task_name), evaluation)
    offered = [name for name, place in runtime.PLACES.items() if (folder / place).exists()]
    if not offered:
        raise StepError(f"{folder} holds no model", advice="export it again")
    chosen = runtime.chosen(offered, format)
    if chosen == "keras" and described.get("model") in rooms.names("models"):
        # A team's own layers register themselves with Keras when their file is imported.
        rooms.load("models", described["model"])
    with runtime.quiet():
        run = runtime.load(folder, chosen, cpu_count())
    return Predictor(task, settings, info, chosen, run)
