"""Training: a window of tokens, and the token that follows each."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from components.tasks import contract
from components.tasks.contract import Arrays
from components.tasks.text_generation import Info, Settings
from components.text import sampling, vocabulary

# Targets are so many times as many tokens as the network sees: ``window`` draws from them.
ROW = 16
# A window begins at a text's beginning as often as at so many other places of it, as a part of a window.
BEGINNING = 4
SAMPLES, SAMPLE_TOKENS = 3, 200


class Training(contract.Training[Info]):
    def assets(self, network: keras.Model) -> dict[str, Any]:
        return vocabulary.assets_of(network)

    def input_fn(self, assets: dict[str, Any]) -> Callable[[Any], tuple[tf.Tensor, tf.Tensor]]:
        """The beginning of each text: inputs int32 [n, length], BOS first; targets are the tokens of the first ROW
        times as many, int32 or int16 [n, ROW x length], -1 after the text's end.

        The loss reads as many targets as there are outputs. ``augment`` takes a window from the others.
        """
        tokenizer, length = vocabulary.from_assets(assets), assets["length"]
        dtype = tf.int16 if tokenizer.bos < 2**15 else tf.int32

        def inputs_and_targets(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            rows, sizes = tokenizer.encode_in_graph(batch["text"], ROW * length)
            present = tf.range(ROW * length)[None] < sizes[:, None]
            first = tf.where(present, rows, tokenizer.bos)[:, : length - 1]
            inputs = tf.pad(first, [[0, 0], [1, 0]], constant_values=tokenizer.bos)
            return inputs, tf.cast(tf.where(present, rows, -1), dtype)

        return inputs_and_targets

    def compile_arguments(self, network: keras.Model) -> dict[str, Any]:
        return {"loss": next_token_loss}

    def augment(
        self, inputs: tf.Tensor, targets: tf.Tensor, kinds: tuple[str, ...], seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """``window``: a random window of each text instead of its beginning: inputs int32 [n, length] and their
        targets, [n, length]. A window's first input is the token before it, or BOS."""
        if "window" not in kinds:
            return inputs, targets
        length = inputs.shape[1]
        beginning = length // BEGINNING
        sizes = tf.math.count_nonzero(targets >= 0, 1, dtype=tf.int32)
        places = tf.maximum(sizes - length, 0) + beginning
        uniform = tf.random.stateless_uniform([tf.shape(inputs)[0]], seed)
        start = tf.maximum(tf.cast(uniform * tf.cast(places + 1, tf.float32), tf.int32) - beginning, 0)
        line = tf.concat([inputs[:, :1], tf.cast(targets, tf.int32)], axis=1)
        window = tf.gather(line, start[:, None] + tf.range(length + 1)[None], batch_dims=1)
        # What follows a text's end is never scored; it only has to be a token.
        return tf.where(window[:, :-1] < 0, inputs[:, :1], window[:, :-1]), tf.cast(window[:, 1:], targets.dtype)

    def epoch_samples(self, network: keras.Model, assets: dict[str, Any], batch: Arrays, seed: int) -> list[str]:
        """A few texts from their beginning on, drawn as ``Settings`` draws by default."""
        tokenizer, length = vocabulary.from_assets(assets), assets["length"]
        rows, sizes = np.full((SAMPLES, length), tokenizer.bos, np.int32), np.ones(SAMPLES, np.int32)
        default = Settings()
        run = sampling.compiled(network, sampling.Sampling(default.temperature, default.top_k, default.top_p))
        lines = run(rows, sizes, sampling.uniforms(seed, SAMPLES, SAMPLE_TOKENS))
        return [tokenizer.decode(tokens).decode(errors="replace") for tokens in lines]


def next_token_loss(targets: Any, logits: Any) -> Any:
    """Mean cross-entropy, in nats a token, a scalar.

    Args:
        targets: [n, length or more], -1 where there is no token; those beyond ``length`` are not read.
        logits: [n, length, tokens].
    """
    targets = ops.cast(targets[:, : logits.shape[1]], "int32")
    present = ops.cast(targets >= 0, logits.dtype)
    each = ops.sparse_categorical_crossentropy(ops.maximum(targets, 0), logits, from_logits=True)
    return ops.sum(each * present) / ops.maximum(ops.sum(present), 1)
