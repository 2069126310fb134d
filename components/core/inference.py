"""Networks as functions of arrays, in any runtime."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

Run = Callable[[np.ndarray], np.ndarray]

# Inputs per call: larger chunks are no faster and take more memory.
CHUNK = 64


@dataclass(frozen=True)
class Predictor:
    """A network as a function of arrays.

    Attributes:
        run: maps the network's inputs [n, ...], n at least 1, to its outputs, float32 [n, ...]. Not thread-safe.
        network: the Keras model, if that is what runs: decoding can then cache keys and values.
    """

    run: Run
    network: "keras.Model | None" = None

    def run_all(self, inputs: np.ndarray) -> np.ndarray:
        """Run any number of inputs, a chunk at a time."""
        return np.concatenate([self.run(inputs[start : start + CHUNK]) for start in range(0, len(inputs), CHUNK)])


def objects(values: Sequence[Any]) -> np.ndarray:
    """Values of any length, such as texts, as an array [n] of objects."""
    column = np.empty(len(values), object)
    column[:] = values
    return column


def traced(network: "keras.Model") -> Run:
    """A Keras model as a compiled function with one trace for all batch sizes: calling the model takes milliseconds."""
    import tensorflow as tf

    signature = tf.TensorSpec(network.inputs[0].shape, network.inputs[0].dtype)
    # AutoGraph would read and rewrite the source of every layer; Keras does not need it.
    function = tf.function(lambda inputs: network(inputs, training=False), input_signature=[signature], autograph=False)
    return lambda inputs: function(tf.constant(inputs)).numpy()
