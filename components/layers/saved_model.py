"""Loading of ``.keras`` files as data: in safe mode, and refused if they contain code."""

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import keras
from keras.src.saving.serialization_lib import SafeModeScope

from components.core import archives, choices, project
from components.core.errors import StepError

CONFIG = "config.json"
# Classes whose config holds marshalled Python bytecode: Keras's marker, and its layer.
CODE = {"__lambda__": "a Python function", "Lambda": "a Lambda layer"}
# Classes whose config may name a file, which is read on the machine that loads the model.
FILES = {"StringLookup": "vocabulary", "IntegerLookup": "vocabulary", "TextVectorization": "vocabulary"}


def register() -> list[str]:
    """Import every file of this folder and of the project's layers, which registers their classes with Keras.

    ``components.core.sources`` counts only those that a model's own file imports. Classes may also be in the files of
    the project's models.

    Returns:
        What is wrong with those of the models that do not load: they may be needed or not.
    """
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
    package, problems = project.package(), []
    for file in project.files("layers"):
        with project.errors_in(file):
            importlib.import_module(f"{package}.layers.{file.stem}")
    for name in project.names("models"):
        try:
            choices.load("models", name)
        except StepError as error:
            problems.append(str(error))
    return problems


def load(path: Path) -> keras.Model:
    """Load a ``.keras`` file without its optimizer; the only function that does.

    Keras's safe mode is on even after ``keras.config.enable_unsafe_deserialization()``.

    Raises:
        StepError: kind ``model``: the file is missing or damaged, leaves its folder, is a bomb, or holds code.
    """
    problems = register()
    try:
        with archives.open_archive(path) as archive:
            _check(json.loads(archive.read(CONFIG)))
        with SafeModeScope(True):  # enable_unsafe_deserialization() overrides the argument safe_mode
            model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except StepError as error:
        raise _refused(path, error.message, error.advice) from None
    except Exception as error:  # Keras raises what zipfile, json and h5py raise, and its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _refused(path, reason, "; ".join(problems)) from None
    if not isinstance(model, keras.Model):
        raise _refused(path, f"it holds a {type(model).__name__}, not a model")
    return model


def _refused(path: Path, reason: str, advice: str = "") -> StepError:
    return StepError(f"the model {path.name} in {path.parent} cannot be loaded: {reason}", advice=advice, kind="model")


def _check(config: Any) -> None:
    """Refuse code, and files of this machine, anywhere in a model's config."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        if not isinstance(value, dict):
            continue
        pending += value.values()
        name = value.get("class_name")
        if isinstance(name, str) and name in CODE:
            raise StepError(
                f"it holds {CODE[name]}, whose code would run here", advice="write a keras.layers.Layer class instead"
            )
        inner = value.get("config")
        if (
            isinstance(name, str)
            and name in FILES
            and isinstance(inner, dict)
            and isinstance(inner.get(FILES[name]), str)
        ):
            raise StepError(
                f"its layer {name} names the file {inner[FILES[name]]}", advice="save the vocabulary itself"
            )
