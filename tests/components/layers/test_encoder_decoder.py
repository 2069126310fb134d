"""The encoder-decoder: a token at a time, with what came before kept, it computes what it does all at once."""

import numpy as np
import pytest

from components.text.subwords import END, FIRST_PIECE, START

SOURCE, TARGET = 5, 6


@pytest.fixture(scope="module")
def network():
    import keras

    from components.models import seq2seq_transformer as model

    keras.utils.set_random_seed(1)
    settings = model.Settings(source_length=SOURCE, target_length=TARGET, width=16, heads=2, hidden=32)
    return model.build(settings, ["ab", "the"])


@pytest.fixture(scope="module")
def tokens() -> np.ndarray:
    found = np.random.default_rng(0).integers(3, FIRST_PIECE + 2, (4, SOURCE + TARGET)).astype(np.int32)
    found[:, SOURCE] = START
    found[1, 2:SOURCE] = [END, 0, 0]
    return found


def test_each_place_of_a_target_has_logits_of_all_tokens(network, tokens) -> None:
    assert network.input.dtype == "int32"
    assert network(tokens).shape == (4, TARGET, FIRST_PIECE + 2)


def test_a_place_sees_the_source_and_what_is_before_it_alone(network, tokens) -> None:
    before, changed = network(tokens).numpy(), tokens.copy()
    changed[:, SOURCE + 3] = 7
    after = network(changed).numpy()
    np.testing.assert_array_equal(after[:, :3], before[:, :3])
    assert (abs(after[:, 3:] - before[:, 3:]).max(axis=(1, 2)) > 1e-3).all()
    changed = tokens.copy()
    changed[0, 1] = 7
    assert (abs(network(changed).numpy() - before)[0].max(axis=-1) > 1e-4).all()


def test_what_stands_after_the_end_of_a_source_does_not_matter_but_its_length_does(network, tokens) -> None:
    layer = network.layers[-1]
    memory, real = layer.encode(tokens[:, :SOURCE])
    assert real.numpy()[1].tolist() == [True, True, True, False, False]
    assert memory[0][0].shape == (4, 2, SOURCE, 8)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_token_at_a_time_gives_the_logits_of_all_at_once(tokens, precision: str) -> None:
    import keras

    from components.models import seq2seq_transformer as model

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        settings = model.Settings(source_length=SOURCE, target_length=TARGET, width=16, heads=2, hidden=32)
        network = model.build(settings, ["ab", "the"])
    finally:
        keras.config.set_dtype_policy(before)
    layer, at_once = network.layers[-1], network(tokens).numpy()
    assert at_once.dtype == np.float32
    memory, cache = layer.encode(tokens[:, :SOURCE]), layer.empty_cache(4)
    for place in range(TARGET):
        logits, cache = layer.step(tokens[:, SOURCE + place], place, memory, cache)
        np.testing.assert_allclose(logits, at_once[:, place], atol=1e-5 if precision == "float32" else 0.05)


def test_the_file_of_a_model_holds_its_pieces_and_loads_again(network, tokens, tmp_path) -> None:
    from components.layers import saved_model

    network.save(tmp_path / "model.keras")
    again = saved_model.load(tmp_path / "model.keras")
    assert again.layers[-1].pieces == ("ab", "the")
    np.testing.assert_array_equal(again(tokens), network(tokens))
