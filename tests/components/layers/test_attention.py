"""Attention: what a place sees, and that a cache changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

WIDTH, LENGTH = 16, 7


def _tokens(seed: int, n: int = 3, length: int = LENGTH) -> Any:
    return np.random.default_rng(seed).normal(size=(n, length, WIDTH)).astype("float32")


def _decoder(cross: bool = False) -> Any:
    import keras

    from components.layers.attention import Block

    keras.utils.set_random_seed(0)
    block = Block(heads=4, hidden=32, causal=True, cross=cross)
    block.build((None, LENGTH, WIDTH))
    return block


def test_a_place_of_a_causal_block_does_not_see_what_comes_after_it() -> None:
    block, x = _decoder(), _tokens(0)
    changed = x.copy()
    changed[:, 4:] += 1
    first, second = np.asarray(block(x)), np.asarray(block(changed))
    np.testing.assert_array_equal(first[:, :4], second[:, :4])
    assert np.abs(first[:, 4:] - second[:, 4:]).min(axis=(0, 2)).max() > 1e-4


def test_places_that_are_not_visible_change_nothing() -> None:
    block, x, memory = _decoder(cross=True), _tokens(0), _tokens(1, length=5)
    visible = np.arange(5)[None] < np.array([2, 5, 3])[:, None]
    changed = np.where(visible[..., None], memory, 100.0)
    np.testing.assert_allclose(
        np.asarray(block(x, memory=memory, memory_visible=visible)),
        np.asarray(block(x, memory=changed, memory_visible=visible)),
        atol=1e-6,
    )


@pytest.mark.parametrize("cross", [False, True], ids=["alone", "with a memory"])
@pytest.mark.parametrize("pieces", [(1,) * LENGTH, (4, 1, 2)], ids=["one by one", "a prompt, then tokens"])
def test_steps_with_a_cache_give_what_the_whole_sequence_gives(cross: bool, pieces: tuple[int, ...]) -> None:
    block, x, memory = _decoder(cross), _tokens(0), _tokens(1, length=5)
    visible = np.arange(5)[None] < np.array([2, 5, 3])[:, None]
    said = {"memory": memory, "memory_visible": visible} if cross else {}
    whole = np.asarray(block(x, **said))
    if cross:
        said["memory"] = block.memory_cache(memory)
    cache, found, start = block.empty_cache(3, LENGTH), [], 0
    for size in pieces:
        out, cache = block.step(x[:, start : start + size], cache, start, **said)
        found.append(np.asarray(out))
        start += size
    np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=2e-5)


def test_the_steps_compile_as_one_loop() -> None:
    import tensorflow as tf

    block, x = _decoder(), tf.constant(_tokens(0))

    @tf.function
    def looped() -> Any:
        cache, found = block.empty_cache(3, LENGTH), tf.zeros((3, 0, WIDTH))
        for position in tf.range(LENGTH):
            tf.autograph.experimental.set_loop_options(shape_invariants=[(found, tf.TensorShape([3, None, WIDTH]))])
            out, cache = block.step(x[:, position : position + 1], cache, position)
            found = tf.concat([found, out], 1)
        return found

    np.testing.assert_allclose(looped(), np.asarray(block(x)), atol=2e-5)


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_positions_are_the_same_from_any_start(kind: str) -> None:
    from components.layers.attention import Positions

    layer = Positions(LENGTH, kind)  # type: ignore[arg-type]
    x = _tokens(0)
    whole = np.asarray(layer(x))
    np.testing.assert_allclose(np.asarray(layer(x[:, 3:], start=3)), whole[:, 3:], atol=1e-6)
    assert bool(layer.trainable_weights) == (kind == "learned")


def test_sinusoids_are_those_of_the_paper() -> None:
    from components.layers.attention import sinusoids

    found = np.asarray(sinusoids(50, 8))
    for position, pair in ((0, 0), (7, 1), (49, 3)):
        angle = position / 10_000 ** (2 * pair / 8)
        np.testing.assert_allclose(found[position, 2 * pair : 2 * pair + 2], [np.sin(angle), np.cos(angle)], atol=1e-5)


def test_a_width_that_the_heads_cannot_share_is_refused() -> None:
    from components.layers.attention import Attention

    with pytest.raises(ValueError, match="width of 16 cannot be divided among 3 heads"):
        Attention(3).build((None, LENGTH, WIDTH))


def test_a_saved_model_of_blocks_is_loaded_whole(tmp_path: Path) -> None:
    import keras

    from components.layers.attention import Block, Positions

    inputs, memory = keras.Input((LENGTH, WIDTH)), keras.Input((5, WIDTH))
    x = Positions(LENGTH, "sinusoidal")(inputs)
    x = Block(4, 32, causal=True, cross=True, dropout=0.1)(x, memory=memory)
    model = keras.Model([inputs, memory], x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    given = [_tokens(0), _tokens(1, length=5)]
    np.testing.assert_array_equal(np.asarray(model(given)), np.asarray(loaded(given)))
