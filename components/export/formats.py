"""Conversion of a Keras model to the requested formats, all from the same traced function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.core import progress
from components.export.runtime import NETWORK, OUTPUT, PATHS, SERVING, one_line, remove
from components.tasks.contract import Serving

# Train examples for calibrating the ranges of int8 tensors; TensorFlow's guide recommends 100 to 500
# (tensorflow.org/lite/performance/post_training_quantization).
CALIBRATION = 200


@dataclass(frozen=True)
class Source:
    """The common source of all formats.

    Attributes:
        owner: holds the variables.
        function: maps the network's inputs to a dict of its outputs.
        serving: maps contents to the same and the task's additions, such as probabilities.
        signature: of the network's inputs.
        calibration: the network's inputs for train examples, [n, ...].
    """

    owner: Any
    function: Any
    serving: Any
    signature: Any
    calibration: np.ndarray


def source(model: keras.Model, role: Serving[Any, Any], assets: dict[str, Any], calibration: np.ndarray) -> Source:
    """Trace a model once for all formats."""
    inputs = model.inputs[0]
    signature = tf.TensorSpec(inputs.shape, inputs.dtype, name=inputs.name)
    traced = partial(tf.function, autograph=False)
    function = traced(lambda inputs: {OUTPUT: model(inputs, training=False)}, input_signature=[signature])
    contents, answer = role.signature(model, assets)
    owner = tf.Module()
    owner.variables_of_model = [variable.value for variable in model.variables]
    return Source(owner, function, traced(answer, input_signature=[contents]), signature, calibration)


def write(origin: Source, folder: Path, formats: Sequence[str]) -> dict[str, str]:
    """Write formats into a version's folder.

    Returns:
        Format -> reason, for formats that cannot represent the model, whose files are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failed = {}
    for number, name in enumerate(formats):
        progress.report("export", note=f"writing {name}", done=number, total=len(formats))
        try:
            WRITERS[name](origin, folder / PATHS[name])
        except Exception as error:  # each converter raises its own kinds
            if isinstance(error, OSError) and error.errno:
                raise  # such as a full disk, which has a message of its own
            failed[name] = one_line(error)
            remove(folder / PATHS[name])
    return failed


def _saved_model(origin: Source, path: Path) -> None:
    signatures = {
        SERVING: origin.serving.get_concrete_function(),
        NETWORK: origin.function.get_concrete_function(),
    }
    tf.saved_model.save(origin.owner, str(path), signatures=signatures)


def _litert(origin: Source, path: Path, **settings: Any) -> None:
    concrete = origin.function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], origin.owner)
    for name, value in settings.items():
        setattr(converter, name, value)
    path.write_bytes(converter.convert())


def _litert_dynamic(origin: Source, path: Path) -> None:
    """Weights in int8; activations are quantized dynamically, or remain float."""
    _litert(origin, path, optimizations=[tf.lite.Optimize.DEFAULT])


def _litert_int8(origin: Source, path: Path) -> None:
    """Weights and activations in int8; the types of inputs and outputs do not change."""

    def representative() -> Any:
        return ([origin.calibration[number : number + 1]] for number in range(len(origin.calibration)))

    _litert(origin, path, optimizations=[tf.lite.Optimize.DEFAULT], representative_dataset=representative)


def _onnx(origin: Source, path: Path) -> None:
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(origin.function, [origin.signature])
    # tf2onnx names the batch dimension unk__54 or similar.
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


WRITERS: dict[str, Callable[[Source, Path], None]] = {
    "saved_model": _saved_model,
    "litert": _litert,
    "litert_dynamic": _litert_dynamic,
    "litert_int8": _litert_int8,
    "onnx": _onnx,
}
