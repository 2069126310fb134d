"""Runtimes of a model's formats: from an array of inputs to an array of outputs."""

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.errors import StepError
from components.core.inference import Predictor, Run, traced

if TYPE_CHECKING:
    import keras

# Format -> path in a version's folder, in the order of preference for prediction: formats that start fast and are exact
# first, quantized ones only on demand or if there is no other.
PATHS = {
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
# A SavedModel's signatures: from contents, such as texts, to all outputs of the task; and from the network's inputs to
# its outputs, as in the other formats. Then the name of those outputs.
SERVING, NETWORK, OUTPUT = "serving_default", "network", "outputs"


def choose_format(available: Sequence[str], requested: str = "") -> str:
    """The requested format, or else the best available one whose runtime is installed.

    Raises:
        StepError: the format is not available, or its runtime is not installed.
    """
    names = ", ".join(available)
    if requested and requested not in available:
        raise StepError(f"this model has no format {requested!r}", advice=f"it has {names}", kind="settings")
    candidates = [requested] if requested else [name for name in PATHS if name in available]
    for name in candidates:
        if importlib.util.find_spec(PACKAGES[name]):
            return name
    needed = " or ".join(dict.fromkeys(PACKAGES[name] for name in candidates))
    raise StepError(
        f"nothing that runs {requested or 'a format of this model'} is installed; {needed} is needed",
        advice="install the extra suanli[cpu]" + ("" if requested else f"; the model has {names}"),
        kind="settings",
    )


def load(folder: Path, format: str, threads: int = 1) -> Predictor:
    """Load a format.

    Args:
        folder: of a version.
        format: one of ``PATHS``.
        threads: of LiteRT and ONNX Runtime; TensorFlow uses those of its process.

    Raises:
        StepError: the files are missing or damaged.
    """
    path = folder / PATHS[format]
    if not path.exists():
        raise StepError(f"{folder} has no {PATHS[format]}", advice="publish the model again")
    try:
        match format:
            case "saved_model":
                return Predictor(load_signature(path, NETWORK))
            case "onnx":
                return Predictor(_onnx(path, threads))
            case "keras":
                network = keras_model(path)
                return Predictor(traced(network), network)
            case _:
                return Predictor(_litert(path, threads))
    except StepError:
        raise
    except Exception as error:  # each runtime raises its own kinds
        raise StepError(f"{path} cannot be loaded: {one_line(error)}", kind="model") from None


# --- Keras -----------------------------------------------------------------------------------------------------------


def keras_model(path: Path) -> "keras.Model":
    """Load a ``.keras`` file in float32, whatever its precision: neither LiteRT nor ONNX Runtime has bfloat16 kernels
    on a CPU. The weights of mixed precision are float32, so nothing is lost.

    Raises:
        StepError: the file is missing, damaged or unsafe.
    """
    # Without effect if Keras is imported already; the export step has configured it before.
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
    """Replace all other precisions in a model's config; returns their number."""
    if isinstance(config, list):
        return sum(map(_to_float32, config))
    if not isinstance(config, dict):
        return 0
    if config.get("class_name") == "DTypePolicy" and "float16" in config["config"]["name"]:
        config["config"]["name"] = "float32"
        return 1
    return sum(map(_to_float32, config.values()))


# --- the exported formats --------------------------------------------------------------------------------------------


def load_signature(folder: Path, signature: str = SERVING) -> Run:
    """A SavedModel's signature as a function from its only argument to the network's outputs."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    (name,) = loaded.signatures[signature].structured_input_signature[1]

    def run(inputs: np.ndarray) -> np.ndarray:
        # The signature alone does not keep the variables alive; ``loaded`` does.
        outputs: np.ndarray = loaded.signatures[signature](**{name: tf.constant(inputs)})[OUTPUT].numpy()
        return outputs

    return run


def _litert(path: Path, threads: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    allocated: tuple[int, ...] = ()

    def run(inputs: np.ndarray) -> np.ndarray:
        nonlocal allocated
        if inputs.shape != allocated:
            interpreter.resize_tensor_input(source["index"], inputs.shape)
            with quiet():
                interpreter.allocate_tensors()
            allocated = inputs.shape
        interpreter.set_tensor(source["index"], inputs)
        interpreter.invoke()
        outputs: np.ndarray = interpreter.get_tensor(target["index"])
        return outputs

    return run


def _onnx(path: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    return lambda inputs: session.run([OUTPUT], {source.name: inputs})[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the start-up messages of LiteRT and TensorFlow, which C++ writes to file descriptor 2."""
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def one_line(error: Exception) -> str:
    """The most informative line of a library's error: the first, unless it only introduces the others."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if lines[0].endswith(":") else 0][:300]


def remove(path: Path) -> None:
    """Remove a format's file or folder, if any."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    return sum(file.stat().st_size for file in files)
