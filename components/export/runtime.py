"""A published model in any of its formats, loaded and run: inputs as an array in, outputs as an array out."""

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import StepError
from components.core.inference import Predictor, Run, traced

if TYPE_CHECKING:
    import keras
    import numpy as np

# Format -> its place in a version's folder. The order is that of preference for prediction: quick to start and exact
# ones first, the quantized ones only on demand or where nothing else is there.
PLACES = {
    "litert": "model.tflite",
    "onnx": "model.onnx",
    "saved_model": "saved_model",
    "keras": "model.keras",
    "litert_dynamic": "model_dynamic.tflite",
    "litert_int8": "model_int8.tflite",
}
PACKAGES = {
    "litert": "ai_edge_litert",
    "litert_dynamic": "ai_edge_litert",
    "litert_int8": "ai_edge_litert",
    "onnx": "onnxruntime",
    "saved_model": "tensorflow",
    "keras": "tensorflow",
}
QUANTIZED = frozenset({"litert_dynamic", "litert_int8"})
# A SavedModel's signatures: contents, such as texts, to all that the task serves; and the network's inputs to its
# outputs, as in every other format. Then the name of those outputs.
SERVING, NETWORK, OUTPUT = "serving_default", "network", "outputs"


def chosen(offered: Sequence[str], wanted: str = "") -> str:
    """The format to run: the wanted one, else the best one whose runtime is installed.

    Args:
        offered: the formats that there are.

    Raises:
        StepError: it is not offered, or its runtime is not installed.
    """
    there = ", ".join(offered)
    if wanted and wanted not in offered:
        raise StepError(f"this model has no format {wanted!r}", advice=f"it has {there}", kind="settings")
    candidates = [wanted] if wanted else [name for name in PLACES if name in offered]
    for name in candidates:
        if importlib.util.find_spec(PACKAGES[name]):
            return name
    needed = " or ".join(dict.fromkeys(PACKAGES[name] for name in candidates))
    raise StepError(
        f"nothing that runs {wanted or 'a format of this model'} is installed; {needed} is needed",
        advice="install the extra suanli[cpu]" + ("" if wanted else f"; the model has {there}"),
        kind="settings",
    )


def load(folder: Path, format: str, threads: int = 1) -> Predictor:
    """Make a format ready to run.

    Args:
        folder: a version's.
        format: one of ``PLACES``.
        threads: for LiteRT and ONNX Runtime; TensorFlow takes what its process was given.

    Returns:
        The network.

    Raises:
        StepError: the files are missing or damaged.
    """
    place = folder / PLACES[format]
    if not place.exists():
        raise StepError(f"{folder} has no {PLACES[format]}", advice="publish the model again")
    try:
        match format:
            case "saved_model":
                predictor = Predictor(_saved_model(place))
            case "onnx":
                predictor = Predictor(_onnx(place, threads))
            case "keras":
                network = keras_model(place)
                predictor = Predictor(traced(network), network)
            case _:
                predictor = Predictor(_litert(place, threads))
    except StepError:
        raise
    except Exception as error:  # each runtime raises its own kinds
        raise StepError(f"{place} cannot be loaded: {told(error)}", kind="model") from None
    return predictor


# --- Keras -----------------------------------------------------------------------------------------------------------


def keras_model(path: Path) -> "keras.Model":
    """Load a ``.keras`` file to compute in float32 whatever precision it was trained in, since neither LiteRT nor ONNX
    Runtime has bfloat16 kernels on a CPU. Mixed precision keeps its weights in float32, so none is lost.

    Raises:
        StepError: the file is missing, damaged or unsafe.
    """
    # Not heeded where Keras runs already; the export step has seen to it before.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    from components.layers import saved_model

    model = saved_model.load(path)
    config = json.loads(model.to_json())
    if not _to_float32(config):
        return model
    rebuilt: keras.Model = keras.models.model_from_json(json.dumps(config))
    rebuilt.set_weights([weight.astype("float32") for weight in model.get_weights()])
    return rebuilt


def _to_float32(config: Any) -> int:
    """Replace every other precision in a model's configuration; how often there was one."""
    if isinstance(config, list):
        return sum(map(_to_float32, config))
    if not isinstance(config, dict):
        return 0
    if config.get("class_name") == "DTypePolicy" and "float16" in config["config"]["name"]:
        config["config"]["name"] = "float32"
        return 1
    return sum(map(_to_float32, config.values()))


# --- the exported formats --------------------------------------------------------------------------------------------


def served(folder: Path, signature: str = SERVING) -> Run:
    """A SavedModel's signature as a function from its one argument to the network's outputs."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    (name,) = loaded.signatures[signature].structured_input_signature[1]

    def run(inputs: "np.ndarray") -> "np.ndarray":
        # ``loaded`` owns the variables: the signature alone would lose them.
        outputs: np.ndarray = loaded.signatures[signature](**{name: tf.constant(inputs)})[OUTPUT].numpy()
        return outputs

    return run


def _saved_model(folder: Path) -> Run:
    return served(folder, NETWORK)


def _litert(path: Path, threads: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    present: tuple[int, ...] = ()

    def run(inputs: "np.ndarray") -> "np.ndarray":
        nonlocal present
        if inputs.shape != present:
            interpreter.resize_tensor_input(taken["index"], inputs.shape)
            with quiet():
                interpreter.allocate_tensors()
            present = inputs.shape
        interpreter.set_tensor(taken["index"], inputs)
        interpreter.invoke()
        outputs: np.ndarray = interpreter.get_tensor(given["index"])
        return outputs

    return run


def _onnx(path: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    return lambda inputs: session.run([OUTPUT], {taken.name: inputs})[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep LiteRT's and TensorFlow's greetings, which C++ writes to file descriptor 2, out of a command's output."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def told(error: Exception) -> str:
    """The one line of a library's error that says most: the first, unless it only announces others."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if lines[0].endswith(":") else 0][:300]


def remove(path: Path) -> None:
    """Remove a format's file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Bytes of a file, or of a folder's files."""
    files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    return sum(file.stat().st_size for file in files)
