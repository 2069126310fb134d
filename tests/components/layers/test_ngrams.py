"""The embedding of n-grams: what it sees, step by step and as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.layers.ngrams import NGramEmbedding

BEGIN = 9


def _layer(**changes: Any) -> NGramEmbedding:
    layer = NGramEmbedding(10, 6, **{"orders": (2, 4), "buckets": 50, "size": 3} | changes)
    layer.build((None, 5))
    random = np.random.default_rng(0)
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def test_a_place_sees_as_many_tokens_as_the_longest_ngram_has() -> None:
    layer, line = _layer(), np.array([[1, 2, 3, 4, 5, 6, 7]], np.int32)
    whole = np.asarray(layer(line))
    for changed in range(7):
        other = line.copy()
        other[0, changed] = 8
        different = np.abs(np.asarray(layer(other)) - whole).max(axis=2)[0] > 1e-6
        assert different.tolist() == [changed <= place < changed + 4 for place in range(7)]


def test_before_the_first_place_is_the_sign_of_a_beginning() -> None:
    layer = _layer()
    padded = np.asarray(layer(np.array([[BEGIN, BEGIN, BEGIN, 1, 2]], np.int32)))
    np.testing.assert_allclose(np.asarray(layer(np.array([[1, 2]], np.int32))), padded[:, 3:], atol=1e-6)


@pytest.mark.parametrize("orders", [(), (2,), (2, 4)])
def test_steps_give_what_the_whole_gives(orders: tuple[int, ...]) -> None:
    layer, line = _layer(orders=orders), np.random.default_rng(1).integers(0, 9, (3, 6)).astype(np.int32)
    # A cache may hold anything behind the place where it is.
    _, cache = layer.step(np.full((3, 6), 7, np.int32), layer.empty_cache(3, 6), 0)
    found = []
    for start, size in ((0, 2), (2, 1), (3, 3)):
        part, cache = layer.step(line[:, start : start + size], cache, start)
        found.append(np.asarray(part))
    np.testing.assert_allclose(np.concatenate(found, axis=1), np.asarray(layer(line)), atol=1e-6)


def test_ngrams_of_equal_hash_alone_share_a_vector() -> None:
    layer = _layer(orders=(2,), buckets=2**12)
    pairs = np.array([[first, second] for first in range(9) for second in range(9)], np.int32)
    vectors = np.asarray(layer(pairs))[:, 1]
    assert len(np.unique(vectors.round(5), axis=0)) == 81


def test_it_is_saved_whole_and_refuses_more_buckets_than_int32_holds(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((5,), dtype="int32")
    model = keras.Model(inputs, _layer()(inputs))
    model.save(tmp_path / "model.keras")
    line = np.array([[1, 2, 3, 4, 5]], np.int32)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(model(line)), np.asarray(loaded(line)))
    with pytest.raises(ValueError, match="more than 131072"):
        NGramEmbedding(10, 6, (2,), 2**17 + 1)
