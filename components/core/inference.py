"""A network ready to run, whatever runs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import keras
    import numpy as np

Run: TypeAlias = "Callable[[np.ndarray], np.ndarray]"

# Inputs in one call: more at a time is no faster, and takes memory.
CHUNK = 64


@dataclass(frozen=True)
class Predictor:
    """A network as a function of arrays.

    Attributes:
        run: the network's inputs [n, ...], n at least 1, to its outputs, float32 [n, ...]. Not for two threads at once.
        network: the Keras model itself where that is what runs: decoding with it can keep keys and values.
    """

    run: Run
    network: "keras.Model | None" = None

    def run_all(self, inputs: "np.ndarray") -> "np.ndarray":
        """Run any number of inputs, a chunk at a time."""
        import numpy as np

        return np.concatenate([self.run(inputs[start : start + CHUNK]) for start in range(0, len(inputs), CHUNK)])


def objects(values: "Sequence[Any]") -> "np.ndarray":
    """Values of any length, such as texts, as an array [n] of objects."""
    import numpy as np

    column = np.empty(len(values), object)
    column[:] = values
    return column


def traced(network: "keras.Model") -> Run:
    """A Keras model as a compiled function, one trace for every batch size: calling the model itself costs milliseconds
    a call."""
    import tensorflow as tf

    signature = tf.TensorSpec(network.inputs[0].shape, network.inputs[0].dtype)
    # Keras needs no AutoGraph, which would read and rewrite the source of every layer.
    function = tf.function(lambda inputs: network(inputs, training=False), input_signature=[signature], autograph=False)
    return lambda inputs: function(tf.constant(inputs)).numpy()
