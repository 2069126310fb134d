"""Sampling: what is drawn, and that a cache, another runtime or another neighbour changes nothing."""

from typing import Any

import numpy as np
import pytest

from components.text import sampling
from components.text.sampling import Sampling

LENGTH, VOCABULARY = 24, 257
LOGITS = np.log(np.array([[0.1, 0.4, 0.3, 0.2], [0.97, 0.01, 0.01, 0.01]], np.float32))


@pytest.fixture(scope="module")
def network() -> Any:
    import keras

    from components.models import causal_transformer

    keras.utils.set_random_seed(3)
    settings = causal_transformer.Settings(length=LENGTH, width=32, layers=2, heads=2, ngrams=(2, 3), buckets=64)
    model = causal_transformer.build(settings)
    random = np.random.default_rng(0)
    # What a network starts with predicts next to nothing.
    model.set_weights([weight + random.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model


def _prompts() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    rows = random.integers(0, 256, (4, LENGTH)).astype(np.int32)
    rows[:, 0] = 256
    return rows, np.array([1, 5, 3, LENGTH], np.int32)


def _both(name: str) -> Any:
    from keras import ops

    return {"numpy": np, "tensors": ops}[name]


@pytest.mark.parametrize("kind", ["numpy", "tensors"])
@pytest.mark.parametrize(
    ("how", "uniform", "expected"),
    [
        (Sampling(0), 0.99, [1, 0]),
        (Sampling(1.0), 0.39, [1, 0]),
        (Sampling(1.0), 0.41, [2, 0]),
        (Sampling(1.0), 0.95, [0, 0]),
        (Sampling(1.0, top_k=2), 0.99, [2, 1]),
        (Sampling(1.0, top_k=1), 0.99, [1, 0]),
        (Sampling(1.0, top_p=0.6), 0.99, [2, 0]),
        (Sampling(1.0, top_p=0.01), 0.99, [1, 0]),
        (Sampling(0.05), 0.99, [1, 0]),
        (Sampling(100.0), 0.99, [0, 3]),
    ],
    ids=["greedy", "first", "second", "last", "top 2", "top 1", "top 0.6", "top 0.01", "cold", "hot"],
)
def test_a_token_is_chosen_by_its_number(kind: str, how: Sampling, uniform: float, expected: list[int]) -> None:
    numbers = np.full(2, uniform, np.float32)
    found = np.asarray(sampling.sample(_both(kind), LOGITS, numbers, how))
    # Equal probabilities may stand in any order.
    assert found[0] == expected[0]
    assert found[1] == expected[1] or LOGITS[1, found[1]] == LOGITS[1, expected[1]]


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    uniform = (np.arange(1000, dtype=np.float32) + 0.5) / 1000
    found = sampling.sample(np, np.repeat(LOGITS[:1], 1000, axis=0), uniform, Sampling(1.0))
    np.testing.assert_allclose(np.bincount(found) / 1000, np.exp(LOGITS[0]), atol=1e-3)


def test_the_cache_gives_the_logits_of_the_whole_row(network: Any) -> None:
    rows, _ = _prompts()
    whole = np.asarray(network(rows))
    caches = sampling.empty_caches(network, 4)
    for position in range(LENGTH):
        logits, caches = sampling.step(network, rows[:, position : position + 1], caches, position)
        np.testing.assert_allclose(np.asarray(logits)[:, 0], whole[:, position], atol=2e-4)


@pytest.mark.parametrize(
    ("how", "new"),
    [(Sampling(0), 9), (Sampling(0.9, top_k=40, top_p=0.9), 30)],
    ids=["greedy", "drawn, more than it sees"],
)
def test_cached_recomputed_and_numpy_give_the_same_tokens(network: Any, how: Sampling, new: int) -> None:
    rows, sizes = _prompts()
    uniform = sampling.uniforms(5, 4, new)
    cached = sampling.compiled(network, how)(rows, sizes, uniform)
    assert cached.shape == (4, new)
    np.testing.assert_array_equal(sampling.compiled(network, how, cached=False)(rows, sizes, uniform), cached)
    by_numpy = sampling.generate_without_cache(lambda inputs: np.asarray(network(inputs)), rows, sizes, uniform, how)
    np.testing.assert_array_equal(by_numpy, cached)


def test_neighbours_change_nothing_and_a_seed_repeats(network: Any) -> None:
    rows, sizes = _prompts()
    uniform = sampling.uniforms(7, 4, 6)
    run = sampling.compiled(network, Sampling(1.0))
    together = run(rows, sizes, uniform)
    for row in (1, 3):
        alone = run(rows[row : row + 1], sizes[row : row + 1], uniform[row : row + 1])
        np.testing.assert_array_equal(alone[0], together[row])
    np.testing.assert_array_equal(run(rows, sizes, sampling.uniforms(7, 4, 6)), together)
    assert (run(rows, sizes, sampling.uniforms(8, 4, 6)) != together).any()


def test_the_tokens_are_the_most_probable_ones_one_after_the_other(network: Any) -> None:
    rows, sizes = _prompts()
    found = sampling.compiled(network, Sampling(0))(rows[:1], sizes[:1], sampling.uniforms(0, 1, 4))[0]
    line = [256]
    for token in found.tolist():
        given = np.array([line + [0] * (LENGTH - len(line))], np.int32)
        assert token == int(np.argmax(np.asarray(network(given))[0, len(line) - 1]))
        line.append(token)
