"""Decoding with a key-value cache against computing the whole row again for every token."""

import statistics
import time
from typing import Any

from components.core import decoding
from components.models import causal_transformer

GOAL = 5.0
ROUNDS = 3
LENGTH = 256
# A cached token is cheap: a whole row of them is needed to measure it, a few of the others suffice.
CACHED, RECOMPUTED = 255, 16
NETWORK = causal_transformer.Settings(length=LENGTH)


def main() -> None:
    """Print tokens a second both ways at a length of 256, one text and eight, medians of interleaved rounds."""
    network = causal_transformer.build(NETWORK)
    for texts in (1, 8):
        ways = {"cached": ready(network, texts, True, CACHED), "recomputed": ready(network, texts, False, RECOMPUTED)}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                rates[name].append(way())
        fast, slow = (statistics.median(rates[name]) for name in ("cached", "recomputed"))
        ratio = statistics.median(a / b for a, b in zip(rates["cached"], rates["recomputed"], strict=True))
        verdict = "within" if ratio >= GOAL else "MISSED"
        print(
            f"decoding, {texts} at once   cached {fast:9,.0f} tokens/s   recomputed {slow:9,.0f} tokens/s   "
            f"ratio {ratio:.1f}   {verdict}: at least {GOAL:g}",
            flush=True,
        )


def ready(network: Any, texts: int, cached: bool, new: int) -> Any:
    """A function that decodes up to the full length and answers with tokens a second; it is compiled already.

    The row is filled in one go: without a cache every token costs the same, wherever it stands.
    """
    import numpy as np

    graph = loop(network, cached, new)
    rows, sizes = np.zeros((texts, LENGTH), np.int32), np.full(texts, LENGTH + 1 - new, np.int32)
    uniform = decoding.noise(0, texts, new)
    graph(rows, sizes, uniform)

    def rate() -> float:
        began = time.perf_counter()
        graph(rows, sizes, uniform)
        return texts * new / (time.perf_counter() - began)

    return rate


def loop(network: Any, cached: bool, new: int) -> Any:
    """The compiled loop over ``new`` tokens, the last of which fill the row."""
    import numpy as np
    import tensorflow as tf

    how = decoding.Choice(temperature=0.8, top_p=0.95)
    run = tf.function(lambda rows, sizes, uniform: decoding.extended(network, rows, sizes, uniform, how, cached)[0])
    return lambda *given: np.asarray(run(*map(tf.constant, given)))


if __name__ == "__main__":
    main()
