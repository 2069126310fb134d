"""Decoding with an encoder-decoder network: sentences to its input, its logits to sentences.

A Keras network decodes token by token with cached keys and values. Of a network in another format only the outputs
are known: everything is recomputed for each token, and the sentences are the same.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from components.metrics import likelihood
from components.text import beam_search
from components.text.subwords import END, PAD, START, SubwordTokenizer

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Sentences that are translated at a time.
CHUNK = 64


def pack(sources: Sequence[bytes], targets: Sequence[bytes] | None, assets: dict[str, Any]) -> np.ndarray:
    """A network's input, int32 [n, source_length + target_length]; of unknown targets only START.

    Args:
        assets: ``pieces``, ``source_length`` and ``target_length``.
    """
    tokens, length = SubwordTokenizer(tuple(assets["pieces"])), assets["target_length"]
    seen = np.full((len(sources), length), PAD, np.int32)
    seen[:, 0] = START
    if targets is not None:
        seen[:, 1:] = tokens.encode(targets, length)[:, :-1]
    return np.concatenate([tokens.encode(sources, assets["source_length"]), seen], axis=1)


def decode_without_cache(
    run: Callable[[np.ndarray], np.ndarray], sources: np.ndarray, length: int, width: int, strength: float
) -> np.ndarray:
    """Target tokens, int32 [n, length], from a network's outputs alone.

    Args:
        run: int32 [n, source_length + length] to logits [n, length, vocabulary].
        sources: tokens, int32 [n, source_length].
        width: of the beam; 1 is greedy.
        strength: of the length penalty.
    """
    repeated = np.repeat(sources, width, axis=0)
    start = np.full((len(repeated), 1), START, np.int32)

    def following(written: np.ndarray, position: int) -> np.ndarray:
        inputs = np.concatenate([repeated, start, written[:, :-1]], axis=1).astype(np.int32)
        # What follows an END is not looked at, so only the others are run.
        going = ~(written == END).any(axis=1)
        logits = run(inputs[going])[:, position]
        every = np.zeros((len(inputs), logits.shape[-1]), np.float32)
        every[going] = logits
        return every

    return beam_search.search(following, len(sources), length, width, strength)


def decode_in_graph(layer: Any, sources: Any, width: int, strength: float) -> Any:
    """The same as a tensor, in a graph or eagerly, by an ``EncoderDecoder`` with cached keys and values."""
    from keras import ops

    n = ops.shape(sources)[0]
    memory = layer.encode(ops.repeat(sources, width, axis=0) if width > 1 else sources)

    def following(last: Any, position: Any, cache: Any) -> Any:
        return layer.step(last, position, memory, cache)

    return beam_search.search_in_graph(following, layer.empty_cache(n * width), n, layer.target_length, width, strength)


def layer_of(network: "keras.Model") -> Any:
    """The network's ``EncoderDecoder``, or None."""
    from components.layers.encoder_decoder import EncoderDecoder

    return next((layer for layer in network.layers if isinstance(layer, EncoderDecoder)), None)


def assets_of(network: "keras.Model") -> dict[str, Any]:
    """Pieces and lengths, as the network itself has them."""
    layer = layer_of(network)
    return {
        "pieces": list(layer.pieces),
        "source_length": layer.source_length,
        "target_length": layer.target_length,
    }


@lru_cache(maxsize=2)
def decoder(network: "keras.Model", width: int, strength: float) -> Callable[[np.ndarray], np.ndarray]:
    """A function from source tokens, int32 [n, source_length], to target tokens, int32 [n, target_length]; compiled
    once for all n where TensorFlow computes."""
    import keras

    layer = layer_of(network)
    if keras.backend.backend() != "tensorflow":
        return lambda sources: keras.ops.convert_to_numpy(decode_in_graph(layer, sources, width, strength))
    import tensorflow as tf

    signature = tf.TensorSpec([None, layer.source_length], tf.int32)
    traced = tf.function(
        lambda sources: decode_in_graph(layer, sources, width, strength), input_signature=[signature], autograph=False
    )
    return lambda sources: traced(tf.constant(sources)).numpy()


def translate(
    predictor: Any, sources: Sequence[bytes], assets: dict[str, Any], width: int = 1, strength: float = 0.0
) -> list[bytes]:
    """Translations of sentences; an empty one stays empty.

    Args:
        predictor: has ``network``, a Keras model or None, and ``run``, from the network's inputs to its outputs.
    """
    tokens = SubwordTokenizer(tuple(assets["pieces"]))
    translations: list[bytes] = []
    for start in range(0, len(sources), CHUNK):
        part = sources[start : start + CHUNK]
        ids = tokens.encode(part, assets["source_length"])
        if predictor.network is not None:
            written = decoder(predictor.network, width, strength)(ids)
        else:
            written = decode_without_cache(predictor.run, ids, assets["target_length"], width, strength)
        translations += [text if one.strip() else b"" for one, text in zip(part, tokens.decode(written), strict=True)]
    return translations


def token_losses(
    predictor: Any, sources: Sequence[bytes], targets: Sequence[bytes], assets: dict[str, Any]
) -> dict[str, np.ndarray]:
    """How well the network predicts each target token from those before it, for targets that fit.

    Returns:
        ``loss``, the sum of a target's negative log-likelihoods in nats, float64 [n], ``right``, how many of its tokens
        have the best logit, and ``tokens``, how many there are, int64 [n].
    """
    tokens = SubwordTokenizer(tuple(assets["pieces"]))
    parts: dict[str, list[np.ndarray]] = {"loss": [], "right": [], "tokens": []}
    for start in range(0, len(sources), CHUNK):
        chunk = slice(start, start + CHUNK)
        ids = tokens.encode(targets[chunk], assets["target_length"])
        logits = predictor.run(pack(sources[chunk], targets[chunk], assets)).astype(np.float32)
        counted = ids != PAD
        parts["loss"].append(np.where(counted, likelihood.nll(logits, ids), 0).sum(axis=1, dtype=np.float64))
        parts["right"].append(((logits.argmax(axis=-1) == ids) & counted).sum(axis=1))
        parts["tokens"].append(counted.sum(axis=1))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def pack_in_graph(sources: "tf.Tensor", targets: "tf.Tensor", assets: dict[str, Any]) -> "tuple[tf.Tensor, tf.Tensor]":
    """Inputs and targets for training, of two tensors of strings [n]: int32 [n, source_length + target_length] and
    int32 [n, target_length]. Of a pair with a side that is too long the targets are PAD alone, which do not count."""
    import tensorflow as tf

    tokens = SubwordTokenizer(tuple(assets["pieces"]))
    source = tokens.encode_in_graph(sources, assets["source_length"])
    target = tokens.encode_in_graph(targets, assets["target_length"])
    inputs = tf.concat([source, tf.fill([tf.shape(source)[0], 1], START), target[:, :-1]], axis=1)
    whole = ended(source) & ended(target)
    return inputs, tf.where(whole[:, None], target, PAD)


def ended(ids: Any) -> Any:
    """Whether token rows [n, length] hold their whole texts, bool [n]; on the host or in a graph."""
    return (ids[:, -1] == PAD) | (ids[:, -1] == END)
