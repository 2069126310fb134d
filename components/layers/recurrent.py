"""Recurrent layers whose last state can be exported.

Keras's own loop gathers the output of every step in a TensorFlow list, which LiteRT takes for batches of one fixed size
only. What is wanted of these layers is the last output alone, so outside training they keep no more than the state.
"""

from typing import Any

import keras


class _LastOutput:
    """To be mixed into a Keras recurrent layer that gives its last output."""

    def inner_loop(self: Any, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Keras's loop (with cuDNN where that is there) in training, else one that keeps the state alone.

        Args:
            sequences: float [batch, length, width].
            initial_state: a list of states, each [batch, units].
            mask: bool [batch, length] or None; where it is false the state stays as it was.

        Returns:
            The last output [batch, units], the same as all outputs there are, and the last states.
        """
        if training or self.return_sequences:
            return super().inner_loop(sequences, initial_state, mask=mask, training=training)  # type: ignore[misc]
        length = sequences.shape[1]
        mask = mask[0] if isinstance(mask, list | tuple) else mask

        def step(number: Any, *states: Any) -> Any:
            place = length - 1 - number if self.go_backwards else number
            _, changed = self.cell(keras.ops.take(sequences, place, axis=1), list(states), training=False)
            changed = changed if isinstance(changed, list | tuple) else [changed]
            if mask is not None:
                seen = keras.ops.take(mask, place, axis=1)[:, None]
                changed = [keras.ops.where(seen, new, old) for new, old in zip(changed, states, strict=True)]
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
