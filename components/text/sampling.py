"""Continuing sequences of tokens: greedy, or drawn with a temperature among the best tokens; with a key-value cache."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from logits.

    Attributes:
        temperature: the logits are divided by it; 0 always takes the best token.
        top_k: only so many of the best tokens are drawn from; 0 for all (Fan et al., 2018, arXiv:1805.04833).
        top_p: only the best tokens that together have this probability (Holtzman et al., 2019, arXiv:1904.09751).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


def sample(xp: ModuleType, logits: Any, uniform: Any, how: Sampling) -> Any:
    """A token for each row; the same numbers choose the same tokens whatever computes.

    Args:
        xp: numpy, or keras.ops for tensors.
        logits: [n, tokens].
        uniform: [n], a number between 0 and 1 for each row.

    Returns:
        int32 [n].
    """
    if how.temperature == 0:
        return _int32(xp, xp.argmax(logits, axis=-1))
    order = xp.argsort(-logits, axis=-1)
    ranked = xp.take_along_axis(logits, order, axis=-1)
    weights = xp.exp((ranked - ranked[:, :1]) / how.temperature)
    share = weights / xp.sum(weights, axis=-1, keepdims=True)
    # A token stays while those before it have not reached the wanted probability: the best one always does.
    kept = xp.cumsum(share, axis=-1) - share < how.top_p
    if how.top_k:
        kept = xp.logical_and(kept, xp.arange(logits.shape[-1])[None] < how.top_k)
    reached = xp.cumsum(xp.where(kept, share, xp.zeros_like(share)), axis=-1)
    # Rounding may leave the last step below the number: then it is the last token that was kept.
    place = xp.sum(_int32(xp, reached <= uniform[:, None] * reached[:, -1:]), axis=-1)
    place = xp.minimum(place, xp.sum(_int32(xp, kept), axis=-1) - 1)
    return _int32(xp, xp.take_along_axis(order, place[:, None], axis=-1)[:, 0])


def _int32(xp: Any, numbers: Any) -> Any:
    return numbers.astype(np.int32) if xp is np else xp.cast(numbers, "int32")


def uniforms(seed: int, n: int, new: int) -> np.ndarray:
    """The numbers that tokens are drawn by, float32 [n, new]: another row has others."""
    return np.random.default_rng(seed).random((n, new), np.float32)


# --- a network, token after token ------------------------------------------------------------------------------------


def start(network: "keras.Model", n: Any) -> list[Any]:
    """The caches of a network's layers before the first token, for ``n`` sequences.

    A network is a chain of layers from int32 [n, length] to logits [n, length, tokens]. Those that look at other places
    than their own have ``empty(n, length)``, their cache, and ``step(x, cache, position)`` -> (x, cache).
    """
    length = network.input_shape[1]
    return [layer.empty(n, length) if hasattr(layer, "step") else () for layer in network.layers[1:]]


def step(network: "keras.Model", tokens: Any, caches: list[Any], position: Any) -> tuple[Any, list[Any]]:
    """The logits after the next tokens, int32 [n, new] of which the first is at a position; and the new caches."""
    x, after = tokens, []
    for layer, cache in zip(network.layers[1:], caches, strict=True):
        if hasattr(layer, "step"):
            x, cache = layer.step(x, cache, position)
        else:
            x = layer(x)
        after.append(cache)
    return x, after


def _parts(length: int, new: int) -> list[slice]:
    """The columns of new tokens that are made at a time: as many as half of a row holds."""
    once = max(1, length // 2)
    return [slice(begin, min(begin + once, new)) for begin in range(0, new, once)]


def generate(
    network: "keras.Model", rows: Any, sizes: Any, uniform: Any, how: Sampling, *, cached: bool = True
) -> tuple[Any, Any, Any]:
    """Continue every row by as many tokens as ``uniform`` has columns, in whichever graph this is called.

    All rows go through one loop over positions, and where a row still has a token of its own, that one is taken. The
    first tokens of a row that has no room for the new ones are left out.

    Args:
        network: a chain of layers, see ``start``.
        rows: int32 [n, length] or more, each with its tokens first; what follows them does not matter.
        sizes: int32 [n], how many tokens a row has, 1 at least.
        uniform: float32 [n, new], ``new`` being at most ``length``, see ``uniforms``.
        cached: whether keys and values of what was seen are kept, or the whole row is computed for every token.

    Returns:
        The rows with the new tokens, int32 [n, length + 1]; their sizes; and the new tokens, int32 [n, new].
    """
    from keras import ops

    length, new = network.input_shape[1], uniform.shape[1]
    rows, sizes = _cropped(ops, rows, sizes, length + 1 - new, length)
    line, sizes = extended(network, rows, sizes, uniform, how, cached)
    return line, sizes, _taken(ops, line, (sizes - new)[:, None] + ops.arange(new)[None])


def _taken(xp: Any, line: Any, places: Any) -> Any:
    return xp.take_along_axis(line, xp.minimum(places, line.shape[1] - 1), axis=1)


def _cropped(xp: Any, rows: Any, sizes: Any, most: int, length: int) -> tuple[Any, Any]:
    """The last ``most`` tokens of each row, in rows of ``length``."""
    first = xp.maximum(sizes - most, 0)
    return _taken(xp, rows, first[:, None] + xp.arange(length)[None]), xp.minimum(sizes, most)


def extended(
    network: "keras.Model", rows: Any, sizes: Any, uniform: Any, how: Sampling, cached: bool
) -> tuple[Any, Any]:
    """Rows with the new tokens after theirs, int32 [n, length + 1], and their sizes."""
    from keras import ops

    new = uniform.shape[1]
    line = ops.pad(rows, ((0, 0), (0, 1)))
    first, last = ops.min(sizes) - 1, ops.max(sizes) + new - 1
    n = ops.shape(rows)[0]
    # What is computed of places after a row's own tokens is overwritten when the loop comes there.
    caches = step(network, rows, start(network, n), 0)[1] if cached else []

    def going(position: Any, *_: Any) -> Any:
        return position < last

    def one(position: Any, line: Any, caches: Any) -> Any:
        if cached:
            logits, caches = step(network, ops.take(line, position, axis=1)[:, None], caches, position)
            logits = logits[:, 0]
        else:
            logits = ops.take(network(line[:, :-1], training=False), position, axis=1)
        number = ops.clip(position + 1 - sizes, 0, new - 1)
        drawn = sample(ops, logits, ops.take_along_axis(uniform, number[:, None], axis=1)[:, 0], how)
        own = ops.take(line, position + 1, axis=1)
        drawn = ops.where(position + 1 < sizes, own, drawn)
        return position + 1, ops.slice_update(line, (0, position + 1), drawn[:, None]), caches

    _, line, _ = ops.while_loop(going, one, (first, line, caches), maximum_iterations=rows.shape[1])
    return line, sizes + new


# Network -> how -> its compiled loop: after each epoch of a training the same one serves.
_COMPILED: "WeakKeyDictionary[keras.Model, dict[tuple[Sampling, bool], Callable[..., Any]]]" = WeakKeyDictionary()


def compiled(network: "keras.Model", how: Sampling, *, cached: bool = True) -> Callable[..., np.ndarray]:
    """``generate``, compiled, for any number of new tokens: rows, sizes and numbers as arrays in, tokens out, int32
    [n, new]. Half of what the network sees is generated at a time, after the other half."""
    from keras import ops

    known = _COMPILED.setdefault(network, {})
    if (how, cached) not in known:
        known[how, cached] = _compiled(ref(network), how, cached)
    run, length = known[how, cached], network.input_shape[1]

    def tokens(rows: np.ndarray, sizes: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        # One column more, as they come back: then one graph serves every part.
        line, filled = np.pad(rows, ((0, 0), (0, 1))).astype(np.int32), sizes.astype(np.int32)
        found = []
        for part in _parts(length, uniform.shape[1]):
            line, filled, more = run(*map(ops.convert_to_tensor, (line, filled, uniform[:, part])))
            found.append(ops.convert_to_numpy(more))
        return np.concatenate(found, axis=1)

    return tokens


def _compiled(network: "ref[keras.Model]", how: Sampling, cached: bool) -> Callable[..., Any]:
    """The backend's graph of ``generate``; weights that change later are the graph's, too."""
    import keras

    def called(rows: Any, sizes: Any, uniform: Any) -> Any:
        return generate(network(), rows, sizes, uniform, how, cached=cached)

    if keras.backend.backend() != "tensorflow":
        return called  # JAX compiles the loop itself; its jit would keep the weights of the first call
    import tensorflow as tf

    # Keras needs no AutoGraph, which would read and rewrite the source of every layer.
    function: Callable[..., Any] = tf.function(called, autograph=False)
    return function


# --- a network in any format -----------------------------------------------------------------------------------------


def generate_without_cache(
    run: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, sizes: np.ndarray, uniform: np.ndarray, how: Sampling
) -> np.ndarray:
    """The same as ``compiled`` by numpy alone, for a network that can only be run as a whole.

    Args:
        run: int32 [n, length] -> logits [n, length, tokens].
    """
    length, each, found = rows.shape[1], np.arange(len(rows)), []
    for part in _parts(length, uniform.shape[1]):
        numbers = uniform[:, part]
        rows, sizes = _cropped(np, rows, sizes, length + 1 - numbers.shape[1], length)
        line = np.pad(rows, ((0, 0), (0, 1)))
        for column in range(numbers.shape[1]):
            logits = np.asarray(run(line[:, :-1]), np.float32)[each, sizes - 1]
            line[each, sizes] = sample(np, logits, numbers[:, column], how)
            sizes = sizes + 1
        found.append(_taken(np, line, (sizes - numbers.shape[1])[:, None] + np.arange(numbers.shape[1])[None]))
        rows = line
    return np.concatenate(found, axis=1)
