"""Recurrent layers that can be exported to LiteRT.

Keras's own loop collects the outputs of all steps in a TensorFlow list, which LiteRT supports for one fixed batch size
only. These layers return the last output alone, so outside training their loop carries the state and nothing else.
"""

from typing import Any

import keras


class _LastOutput:
    """Mixin of a Keras recurrent layer that returns its last output."""

    def inner_loop(self: Any, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Keras's loop (with cuDNN if available) in training, else one that carries the state alone.

        Args:
            sequences: float [batch, length, width].
            initial_state: a list of states, each [batch, units].
            mask: bool [batch, length] or None; where it is false the state does not change.

        Returns:
            The last output [batch, units], again as the only one of all outputs, and the last states.
        """
        if training or self.return_sequences:
            return super().inner_loop(sequences, initial_state, mask=mask, training=training)  # type: ignore[misc]
        length = sequences.shape[1]
        mask = mask[0] if isinstance(mask, list | tuple) else mask

        def step(number: Any, *states: Any) -> Any:
            index = length - 1 - number if self.go_backwards else number
            _, changed = self.cell(keras.ops.take(sequences, index, axis=1), list(states), training=False)
            changed = changed if isinstance(changed, list | tuple) else [changed]
            if mask is not None:
                visible = keras.ops.take(mask, index, axis=1)[:, None]
                changed = [keras.ops.where(visible, new, old) for new, old in zip(changed, states, strict=True)]
            return number + 1, *changed

        start = (keras.ops.zeros((), "int32"), *initial_state)
        _, *states = keras.ops.while_loop(lambda number, *_: number < length, step, start)
        return states[0], states[0][:, None], list(states)


@keras.saving.register_keras_serializable("suanli")
class LSTM(_LastOutput, keras.layers.LSTM):
    """A long short-term memory (Hochreiter and Schmidhuber, Neural Computation 9 (1997) 1735-1780)."""


@keras.saving.register_keras_serializable("suanli")
class GRU(_LastOutput, keras.layers.GRU):
    """A gated recurrent unit (Cho et al., 2014, arXiv:1406.1078)."""
