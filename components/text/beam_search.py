"""Beam search: the best sequences under a model, extended one token at a time.

One step is the same code for numpy, where only a network's outputs are known, and for ``keras.ops``, in a graph that
caches keys and values. Shapes are fixed: every sequence has ``length`` tokens, PAD after END. A width of 1 is greedy
decoding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from components.text.subwords import END, PAD, START

# Stands for log(0): below any sum of log probabilities, and sums of it still fit float32.
LOG_ZERO = -1e9


class Beams(NamedTuple):
    """Sequences in progress, ``width`` for each of ``n`` sources.

    Attributes:
        tokens: int32 [n, width, length].
        scores: sums of the tokens' log probabilities, [n, width].
        lengths: number of tokens including END, float32 [n, width].
        done: whether the sequence has its END, bool [n, width].
    """

    tokens: Any
    scores: Any
    lengths: Any
    done: Any


def initial(xp: Any, n: Any, width: int, length: int) -> Beams:
    """Empty sequences. Only the first of each source has a score above LOG_ZERO, or all beams would become equal.

    Args:
        xp: ``numpy`` or ``keras.ops``, as in all functions below.
        n: number of sources; in a graph it may be a tensor.
    """
    first = xp.reshape(xp.arange(width), (1, width)) == 0
    zeros = xp.zeros((n, width), "float32")
    return Beams(xp.zeros((n, width, length), "int32"), xp.where(first, zeros, LOG_ZERO), zeros, zeros > 0)


def advance(xp: Any, beams: Beams, log_probs: Any, position: Any, strength: float) -> tuple[Beams, Any]:
    """Extend by one token: the ``width`` best continuations of each source's sequences.

    Args:
        log_probs: of the next token, [n, width, vocabulary].
        position: of that token, from 0.
        strength: of the length ``penalty``.

    Returns:
        The longer sequences, and the row of [n * width] that each of them extends.
    """
    n, size, (width, length) = xp.shape(log_probs)[0], log_probs.shape[2], beams.tokens.shape[1:]
    token = xp.reshape(xp.arange(size), (1, 1, size))
    # Finished sequences continue unchanged; PAD and START are never generated.
    done = beams.done[..., None]
    alive = xp.where((token == PAD) | (token == START), LOG_ZERO, log_probs)
    gained = xp.where(done, xp.where(token == PAD, 0.0, LOG_ZERO), alive)
    totals = xp.maximum(beams.scores[..., None] + gained, LOG_ZERO)
    lengths = xp.where(beams.done, beams.lengths, beams.lengths + 1)
    ranks = totals / penalty(lengths, strength)[..., None]
    chosen = _top(xp, xp.reshape(ranks, (n, width * size)), width)
    first = xp.reshape(xp.arange(n), (n, 1))
    parents = xp.reshape(first * width + chosen // size, (-1,))
    written = chosen % size

    def of_parents(values: Any, *shape: int) -> Any:
        return xp.reshape(xp.take(xp.reshape(values, (-1, *shape)), parents, axis=0), (n, width, *shape))

    scores = xp.take(xp.reshape(totals, (-1,)), first * (width * size) + chosen, axis=0)
    at_position = xp.reshape(xp.arange(length), (1, 1, length)) == position
    tokens = xp.where(at_position, written[..., None], of_parents(beams.tokens, length))
    return Beams(tokens, scores, of_parents(lengths), of_parents(beams.done) | (written == END)), parents


def _top(xp: Any, values: Any, count: int) -> Any:
    """Indices of the largest values of each row, int32 [n, count], best first; ties go to the lower index."""
    if xp is np:
        return np.argsort(-values, axis=1, kind="stable")[:, :count].astype(np.int32)
    return xp.top_k(values, count)[1]


def penalty(lengths: Any, strength: float) -> Any:
    """Divisor of a score: ((5 + length) / 6) ** strength (Y. Wu et al., 2016, arXiv:1609.08144, formula 14).
    A strength of 0 favours short sequences, 1 treats long ones about equally."""
    return ((lengths + 5.0) / 6.0) ** strength


def finished(xp: Any, beams: Beams, strength: float) -> Any:
    """Whether each source's best sequence is done: no other could pass it, even if its next tokens were certain."""
    current = beams.scores / penalty(beams.lengths, strength)
    reachable = beams.scores / penalty(beams.lengths * 0 + beams.tokens.shape[2], strength)
    done = xp.max(xp.where(beams.done, current, 2 * LOG_ZERO), axis=1)
    return xp.all(done >= xp.max(xp.where(beams.done, 2 * LOG_ZERO, reachable), axis=1))


def best(xp: Any, beams: Beams, strength: float) -> Any:
    """The best sequence of each source, int32 [n, length]; without an END it has ``length`` tokens."""
    n, (width, length) = xp.shape(beams.scores)[0], beams.tokens.shape[1:]
    chosen = _top(xp, beams.scores / penalty(beams.lengths, strength), 1)[:, 0]
    return xp.take(xp.reshape(beams.tokens, (-1, length)), xp.arange(n) * width + chosen, axis=0)


def search(
    next_logits: Callable[[np.ndarray, int], np.ndarray], n: int, length: int, width: int = 1, strength: float = 0.0
) -> np.ndarray:
    """Sequences for ``n`` sources in numpy, int32 [n, length]; everything is recomputed for each token.

    Args:
        next_logits: maps the sequences so far, int32 [n * width, length], padded, and their number of tokens to the
            logits of the next token, float [n * width, vocabulary]. The beams of a source are adjacent rows.
    """
    beams = initial(np, n, width, length)
    for position in range(length):
        logits = next_logits(beams.tokens.reshape(n * width, length), position)
        log_probs = logits - logits.max(axis=-1, keepdims=True)
        log_probs = log_probs - np.log(np.exp(log_probs).sum(axis=-1, keepdims=True))
        beams, _ = advance(np, beams, log_probs.reshape(n, width, -1), position, strength)
        if finished(np, beams, strength):
            break
    return np.asarray(best(np, beams, strength), np.int32)


def search_in_graph(
    next_logits: Callable[[Any, Any, Any], tuple[Any, Any]],
    state: Any,
    n: Any,
    length: int,
    width: int = 1,
    strength: float = 0.0,
) -> Any:
    """``search`` in ``keras.ops``, in a graph or eagerly, with a state that caches earlier tokens.

    Args:
        next_logits: maps the last token of each sequence, int32 [n * width], its position and the state to the logits
            of the next token and the new state.
        state: a nest of tensors [n * width, ...], reordered with the beams.
    """
    from keras import ops, tree

    def going(position: Any, beams: Beams, last: Any, state: Any) -> Any:
        return (position < length) & ~finished(ops, beams, strength)

    def one_more(position: Any, beams: Beams, last: Any, state: Any) -> Any:
        logits, state = next_logits(last, position, state)
        log_probs = ops.reshape(ops.log_softmax(logits), (n, width, logits.shape[-1]))
        beams, parents = advance(ops, beams, log_probs, position, strength)
        if width > 1:
            state = tree.map_structure(lambda part: ops.take(part, parents, axis=0), state)
        at_position = ops.reshape(ops.arange(length), (1, 1, length)) == position
        last = ops.reshape(ops.sum(ops.where(at_position, beams.tokens, 0), axis=2), (-1,))
        return position + 1, beams, last, state

    beams = initial(ops, n, width, length)
    last = ops.reshape(beams.tokens[..., 0], (-1,)) + START
    _, beams, _, _ = ops.while_loop(going, one_more, (ops.convert_to_tensor(0, "int32"), beams, last, state))
    return best(ops, beams, strength)
