"""Generation of tokens: greedy, or by temperature, top-k and top-p sampling; with a key-value cache or without."""

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
    """How a token is sampled from logits.

    Attributes:
        temperature: divides the logits; 0 always takes the best token.
        top_k: samples among this many best tokens only; 0 for all (Fan et al., 2018, arXiv:1805.04833).
        top_p: samples among the best tokens that reach this probability (Holtzman et al., 2019, arXiv:1904.09751).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


def sample(xp: ModuleType, logits: Any, uniform: Any, sampling: Sampling) -> Any:
    """A token for each row; equal uniforms give equal tokens on every backend.

    Args:
        xp: numpy, or keras.ops for tensors.
        logits: [n, tokens].
        uniform: [n], between 0 and 1.

    Returns:
        int32 [n].
    """
    if sampling.temperature == 0:
        return _int32(xp, xp.argmax(logits, axis=-1))
    order = xp.argsort(-logits, axis=-1)
    ranked = xp.take_along_axis(logits, order, axis=-1)
    weights = xp.exp((ranked - ranked[:, :1]) / sampling.temperature)
    share = weights / xp.sum(weights, axis=-1, keepdims=True)
    # A token is eligible while those before it have not reached top_p: the best one always is.
    eligible = xp.cumsum(share, axis=-1) - share < sampling.top_p
    if sampling.top_k:
        eligible = xp.logical_and(eligible, xp.arange(logits.shape[-1])[None] < sampling.top_k)
    cumulated = xp.cumsum(xp.where(eligible, share, xp.zeros_like(share)), axis=-1)
    # Rounding may leave the last sum below the uniform: then it is the last eligible token.
    rank = xp.sum(_int32(xp, cumulated <= uniform[:, None] * cumulated[:, -1:]), axis=-1)
    rank = xp.minimum(rank, xp.sum(_int32(xp, eligible), axis=-1) - 1)
    return _int32(xp, xp.take_along_axis(order, rank[:, None], axis=-1)[:, 0])


def _int32(xp: Any, numbers: Any) -> Any:
    return numbers.astype(np.int32) if xp is np else xp.cast(numbers, "int32")


def uniforms(seed: int, n: int, new: int) -> np.ndarray:
    """Random numbers to sample by, float32 [n, new], different in each row."""
    return np.random.default_rng(seed).random((n, new), np.float32)


# --- a network, token by token ------------------------------------------------------------------------------------


def empty_caches(network: "keras.Model", n: Any) -> list[Any]:
    """The caches of a network's layers before the first token, for ``n`` sequences.

    A network is a chain of layers from int32 [n, length] to logits [n, length, tokens]. Layers that read other
    positions than their own have ``empty_cache(n, length)`` and ``step(x, cache, position)`` -> (x, cache).
    """
    length = network.input_shape[1]
    return [layer.empty_cache(n, length) if hasattr(layer, "step") else () for layer in network.layers[1:]]


def step(network: "keras.Model", tokens: Any, caches: list[Any], position: Any) -> tuple[Any, list[Any]]:
    """The logits of the next tokens, int32 [n, new], the first of them at ``position``, and the new caches."""
    x, after = tokens, []
    for layer, cache in zip(network.layers[1:], caches, strict=True):
        if hasattr(layer, "step"):
            x, cache = layer.step(x, cache, position)
        else:
            x = layer(x)
        after.append(cache)
    return x, after


def _chunks(length: int, new: int) -> list[slice]:
    """The columns of new tokens, at most half a row at a time."""
    size = max(1, length // 2)
    return [slice(start, min(start + size, new)) for start in range(0, new, size)]


def generate(
    network: "keras.Model", rows: Any, sizes: Any, uniform: Any, sampling: Sampling, *, cached: bool = True
) -> tuple[Any, Any, Any]:
    """Continue each row by as many tokens as ``uniform`` has columns, in the graph of the caller.

    One loop over positions serves all rows: where a row has a token of its own, that one is taken. A row without room
    for the new tokens loses its first ones.

    Args:
        network: a chain of layers, see ``empty_caches``.
        rows: int32 [n, length] or more, tokens first; the values after them do not matter.
        sizes: int32 [n], number of tokens in each row, at least 1.
        uniform: float32 [n, new], with ``new`` at most ``length``, see ``uniforms``.
        cached: whether to cache keys and values, or to compute the whole row for every token.

    Returns:
        The rows with the new tokens, int32 [n, length + 1]; their sizes; and the new tokens, int32 [n, new].
    """
    from keras import ops

    length, new = network.input_shape[1], uniform.shape[1]
    rows, sizes = _crop(ops, rows, sizes, length + 1 - new, length)
    line, sizes = extend(network, rows, sizes, uniform, sampling, cached)
    return line, sizes, _take(ops, line, (sizes - new)[:, None] + ops.arange(new)[None])


def _take(xp: Any, line: Any, columns: Any) -> Any:
    return xp.take_along_axis(line, xp.minimum(columns, line.shape[1] - 1), axis=1)


def _crop(xp: Any, rows: Any, sizes: Any, limit: int, length: int) -> tuple[Any, Any]:
    """The last ``limit`` tokens of each row, in rows of ``length``."""
    first = xp.maximum(sizes - limit, 0)
    return _take(xp, rows, first[:, None] + xp.arange(length)[None]), xp.minimum(sizes, limit)


def extend(
    network: "keras.Model", rows: Any, sizes: Any, uniform: Any, sampling: Sampling, cached: bool
) -> tuple[Any, Any]:
    """Rows with the new tokens appended, int32 [n, length + 1], and their sizes."""
    from keras import ops

    new = uniform.shape[1]
    line = ops.pad(rows, ((0, 0), (0, 1)))
    first, last = ops.min(sizes) - 1, ops.max(sizes) + new - 1
    n = ops.shape(rows)[0]
    # Cache entries after a row's own tokens are overwritten when the loop gets there.
    caches = step(network, rows, empty_caches(network, n), 0)[1] if cached else []

    def going(position: Any, *_: Any) -> Any:
        return position < last

    def one(position: Any, line: Any, caches: Any) -> Any:
        if cached:
            logits, caches = step(network, ops.take(line, position, axis=1)[:, None], caches, position)
            logits = logits[:, 0]
        else:
            logits = ops.take(network(line[:, :-1], training=False), position, axis=1)
        number = ops.clip(position + 1 - sizes, 0, new - 1)
        token = sample(ops, logits, ops.take_along_axis(uniform, number[:, None], axis=1)[:, 0], sampling)
        own = ops.take(line, position + 1, axis=1)
        token = ops.where(position + 1 < sizes, own, token)
        return position + 1, ops.slice_update(line, (0, position + 1), token[:, None]), caches

    _, line, _ = ops.while_loop(going, one, (first, line, caches), maximum_iterations=rows.shape[1])
    return line, sizes + new


# Network -> (sampling, cached) -> compiled loop: one serves all epochs of a training.
_COMPILED: "WeakKeyDictionary[keras.Model, dict[tuple[Sampling, bool], Callable[..., Any]]]" = WeakKeyDictionary()


def compiled(network: "keras.Model", sampling: Sampling, *, cached: bool = True) -> Callable[..., np.ndarray]:
    """``generate``, compiled, for any number of new tokens: from arrays of rows, sizes and uniforms to tokens, int32
    [n, new]. Each pass generates at most half of the network's length after the other half."""
    from keras import ops

    loops = _COMPILED.setdefault(network, {})
    if (sampling, cached) not in loops:
        loops[sampling, cached] = _compile(ref(network), sampling, cached)
    run, length = loops[sampling, cached], network.input_shape[1]

    def tokens(rows: np.ndarray, sizes: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        # One column more, as generate returns them: one graph serves every chunk.
        line, sizes, chunks = np.pad(rows, ((0, 0), (0, 1))).astype(np.int32), sizes.astype(np.int32), []
        for columns in _chunks(length, uniform.shape[1]):
            line, sizes, new = run(*map(ops.convert_to_tensor, (line, sizes, uniform[:, columns])))
            chunks.append(ops.convert_to_numpy(new))
        return np.concatenate(chunks, axis=1)

    return tokens


def _compile(network: "ref[keras.Model]", sampling: Sampling, cached: bool) -> Callable[..., Any]:
    """The backend's graph of ``generate``, which reads the network's current weights at each call."""
    import keras

    def generate_eagerly(rows: Any, sizes: Any, uniform: Any) -> Any:
        return generate(network(), rows, sizes, uniform, sampling, cached=cached)

    if keras.backend.backend() != "tensorflow":
        return generate_eagerly  # JAX compiles the loop itself; its jit would keep the weights of the first call
    import tensorflow as tf

    # AutoGraph would read and rewrite the source of every layer; Keras does not need it.
    function: Callable[..., Any] = tf.function(generate_eagerly, autograph=False)
    return function


# --- a network in any format -----------------------------------------------------------------------------------------


def generate_without_cache(
    run: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    sizes: np.ndarray,
    uniform: np.ndarray,
    sampling: Sampling,
) -> np.ndarray:
    """What ``compiled`` does, in numpy alone, for a network that can only be run as a whole.

    Args:
        run: int32 [n, length] -> logits [n, length, tokens].
    """
    length, each, chunks = rows.shape[1], np.arange(len(rows)), []
    for columns in _chunks(length, uniform.shape[1]):
        numbers = uniform[:, columns]
        new = numbers.shape[1]
        rows, sizes = _crop(np, rows, sizes, length + 1 - new, length)
        line = np.pad(rows, ((0, 0), (0, 1)))
        for column in range(new):
            logits = np.asarray(run(line[:, :-1]), np.float32)[each, sizes - 1]
            line[each, sizes] = sample(np, logits, numbers[:, column], sampling)
            sizes = sizes + 1
        chunks.append(_take(np, line, (sizes - new)[:, None] + np.arange(new)[None]))
        rows = line
    return np.concatenate(chunks, axis=1)
