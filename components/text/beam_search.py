"""Beam search: several sentences are written side by side, token by token, and the best of them is the answer.

One step is the same code for numpy, where only a network's outputs are known, and for ``keras.ops``, in a graph where
keys and values are kept. Shapes never change: sentences of all lengths fill ``length`` places, with PAD after END. A
width of 1 is greedy decoding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from components.text.subwords import END, PAD, START

# Stands for the logarithm of 0: no sum of logarithms of probabilities reaches it, and float32 can hold sums of it.
NEVER = -1e9


class Beams(NamedTuple):
    """Sentences being written, ``width`` for each of ``n`` sources.

    Attributes:
        tokens: int32 [n, width, length].
        scores: the sums of the logarithms of their tokens' probabilities, [n, width].
        lengths: how many tokens they have, END included, float32 [n, width].
        done: whether they have their END, bool [n, width].
    """

    tokens: Any
    scores: Any
    lengths: Any
    done: Any


def begun(xp: Any, n: Any, width: int, length: int) -> Beams:
    """Empty sentences. Only the first of a source counts, or all would be written alike.

    Args:
        xp: ``numpy`` or ``keras.ops``, as in all that follows.
        n: how many sources; in a graph it may be a tensor.
    """
    first = xp.reshape(xp.arange(width), (1, width)) == 0
    none = xp.zeros((n, width), "float32")
    return Beams(xp.zeros((n, width, length), "int32"), xp.where(first, none, NEVER), none, none > 0)


def advanced(xp: Any, beams: Beams, chances: Any, place: Any, strength: float) -> tuple[Beams, Any]:
    """Sentences one token longer: of all continuations of a source's sentences the ``width`` best.

    Args:
        chances: logarithms of the next token's probabilities, [n, width, vocabulary].
        place: of that token, from 0.
        strength: of the length's ``penalty``.

    Returns:
        The sentences, and which row of the former ones, of [n * width], each came from.
    """
    n, size, (width, length) = xp.shape(chances)[0], chances.shape[2], beams.tokens.shape[1:]
    token = xp.reshape(xp.arange(size), (1, 1, size))
    # What is done goes on as it is; PAD and START are never written.
    done = beams.done[..., None]
    alive = xp.where((token == PAD) | (token == START), NEVER, chances)
    gained = xp.where(done, xp.where(token == PAD, 0.0, NEVER), alive)
    totals = xp.maximum(beams.scores[..., None] + gained, NEVER)
    lengths = xp.where(beams.done, beams.lengths, beams.lengths + 1)
    ranks = totals / penalty(lengths, strength)[..., None]
    chosen = _top(xp, xp.reshape(ranks, (n, width * size)), width)
    first = xp.reshape(xp.arange(n), (n, 1))
    parents = xp.reshape(first * width + chosen // size, (-1,))
    written = chosen % size

    def kept(values: Any, *shape: int) -> Any:
        return xp.reshape(xp.take(xp.reshape(values, (-1, *shape)), parents, axis=0), (n, width, *shape))

    scores = xp.take(xp.reshape(totals, (-1,)), first * (width * size) + chosen, axis=0)
    here = xp.reshape(xp.arange(length), (1, 1, length)) == place
    tokens = xp.where(here, written[..., None], kept(beams.tokens, length))
    return Beams(tokens, scores, kept(lengths), kept(beams.done) | (written == END)), parents


def _top(xp: Any, values: Any, count: int) -> Any:
    """The places of the largest values of each row, best first, int32 [n, count]; of equal ones the first."""
    if xp is np:
        return np.argsort(-values, axis=1, kind="stable")[:, :count].astype(np.int32)
    return xp.top_k(values, count)[1]


def penalty(lengths: Any, strength: float) -> Any:
    """What a score is divided by: ((5 + length) / 6) ** strength (Y. Wu et al., 2016, arXiv:1609.08144, formula 14).
    A strength of 0 favours short sentences, 1 treats long ones about alike."""
    return ((lengths + 5.0) / 6.0) ** strength


def over(xp: Any, beams: Beams, strength: float) -> Any:
    """Whether every source's best sentence is done: what is not could not become better, were all that follows sure."""
    best = beams.scores / penalty(beams.lengths, strength)
    still = beams.scores / penalty(beams.lengths * 0 + beams.tokens.shape[2], strength)
    finished = xp.max(xp.where(beams.done, best, 2 * NEVER), axis=1)
    return xp.all(finished >= xp.max(xp.where(beams.done, 2 * NEVER, still), axis=1))


def best(xp: Any, beams: Beams, strength: float) -> Any:
    """The best sentence of each source, int32 [n, length]; one that has no END fills all places."""
    n, (width, length) = xp.shape(beams.scores)[0], beams.tokens.shape[1:]
    chosen = _top(xp, beams.scores / penalty(beams.lengths, strength), 1)[:, 0]
    return xp.take(xp.reshape(beams.tokens, (-1, length)), xp.arange(n) * width + chosen, axis=0)


def search(
    following: Callable[[np.ndarray, int], np.ndarray], n: int, length: int, width: int = 1, strength: float = 0.0
) -> np.ndarray:
    """Sentences for ``n`` sources by numpy, int32 [n, length], everything computed anew for every token.

    Args:
        following: sentences so far, int32 [n * width, length] with PAD after them, and how many tokens they have, to
            logits of the next token, float [n * width, vocabulary]. The sentences of a source follow each other.
    """
    beams = begun(np, n, width, length)
    for place in range(length):
        logits = following(beams.tokens.reshape(n * width, length), place)
        chances = logits - logits.max(axis=-1, keepdims=True)
        chances = chances - np.log(np.exp(chances).sum(axis=-1, keepdims=True))
        beams, _ = advanced(np, beams, chances.reshape(n, width, -1), place, strength)
        if over(np, beams, strength):
            break
    return np.asarray(best(np, beams, strength), np.int32)


def search_in_graph(
    following: Callable[[Any, Any, Any], tuple[Any, Any]],
    state: Any,
    n: Any,
    length: int,
    width: int = 1,
    strength: float = 0.0,
) -> Any:
    """The same by ``keras.ops``, in a graph or out of it, with what ``following`` keeps of earlier tokens.

    Args:
        following: the last token of every sentence, int32 [n * width], its place and the state, to logits of the next
            token and the new state.
        state: a nest of tensors [n * width, ...], reordered as the sentences are.
    """
    from keras import ops, tree

    def more(place: Any, beams: Beams, last: Any, state: Any) -> Any:
        return (place < length) & ~over(ops, beams, strength)

    def one_more(place: Any, beams: Beams, last: Any, state: Any) -> Any:
        logits, state = following(last, place, state)
        chances = ops.reshape(ops.log_softmax(logits), (n, width, logits.shape[-1]))
        beams, parents = advanced(ops, beams, chances, place, strength)
        if width > 1:
            state = tree.map_structure(lambda part: ops.take(part, parents, axis=0), state)
        here = ops.reshape(ops.arange(length), (1, 1, length)) == place
        last = ops.reshape(ops.sum(ops.where(here, beams.tokens, 0), axis=2), (-1,))
        return place + 1, beams, last, state

    beams = begun(ops, n, width, length)
    last = ops.reshape(beams.tokens[..., 0], (-1,)) + START
    _, beams, _, _ = ops.while_loop(more, one_more, (ops.convert_to_tensor(0, "int32"), beams, last, state))
    return best(ops, beams, strength)
