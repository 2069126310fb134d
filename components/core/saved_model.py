"""A ``.keras`` file is data: loaded in safe mode, after what would be code in it has been looked for and refused."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import archives
from components.core.errors import StepError

if TYPE_CHECKING:
    import keras

CONFIG = "config.json"
# Classes whose configuration holds marshalled Python bytecode, as Keras writes it and as Keras names the layer.
CODE = {"__lambda__": "a Python function", "Lambda": "a Lambda layer"}
# Those that read a file of the machine that loads them, by a path in their configuration.
FILES = {"StringLookup": "vocabulary", "IntegerLookup": "vocabulary", "TextVectorization": "vocabulary"}


def load(path: Path) -> "keras.Model":
    """Load a ``.keras`` file without its optimizer; the only place that does.

    Keras's own safe mode is on, whatever ``keras.config.enable_unsafe_deserialization()`` has said in this process.

    Raises:
        StepError: kind ``model``: the file is missing or damaged, leaves its folder, is a bomb, or holds code.
    """
    import keras
    from keras.src.saving.serialization_lib import SafeModeScope  # the argument safe_mode gives way to that function

    import components.layers  # noqa: F401  # registers our own

    try:
        with archives.opened(path) as archive:
            _check(json.loads(archive.read(CONFIG)))
        with SafeModeScope(True):
            model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except StepError as error:
        raise _refused(path, error.message, error.advice) from None
    except Exception as error:  # Keras raises what zipfile, json and h5py raise, and its own
        raise _refused(path, (str(error).strip().splitlines() or [type(error).__name__])[0]) from None
    if not isinstance(model, keras.Model):
        raise _refused(path, f"it holds a {type(model).__name__}, not a model")
    return model


def _refused(path: Path, reason: str, advice: str = "") -> StepError:
    return StepError(f"the model {path.name} in {path.parent} cannot be loaded: {reason}", advice=advice, kind="model")


def _check(config: Any) -> None:
    """Refuse code, and files of this machine, anywhere in a model's configuration."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        if not isinstance(value, dict):
            continue
        waiting += value.values()
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
