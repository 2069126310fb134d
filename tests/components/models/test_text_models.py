"""Networks that read texts: padding means nothing, files keep the words, and every format holds them."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core import inference
from components.core.choices import load
from components.export import formats, parity, runtime
from components.layers import saved_model
from components.models import ModelSettings
from components.tasks.contract import Task
from components.text import words

task_for = partial(Task, "text_classification")

NAMES = ("transformer", "lstm", "gru")
WORDS = ["good", "bad", "film", "naïve", "the"]
SMALL: dict[str, Any] = {"length": 12, "width": 8, "vocabulary_size": 5}
INFO = {"classes": ["negative", "positive", "neither"], "sources": ["x"], "longest": 1000}
TEXTS = [
    b"",
    b"good",
    b"\xff\xfe\x00 bad film",
    b"The film: bad, BAD, bad!",
    "naïve".encode(),
    b"the " * 100,
    *(b" ".join(WORDS[(number * place) % 5].encode() for place in range(number % 13)) for number in range(60)),
]


def settings_of(name: str, **changes: Any) -> ModelSettings:
    found: ModelSettings = load("models", name).Settings(**SMALL | changes)
    return found


def network_of(name: str, precision: str = "float32") -> Any:
    """A network whose answers differ from text to text."""
    from components.core import devices

    with devices.configured(backend="tensorflow", precision=precision, seed=1):
        network = load("models", name).build(settings_of(name), WORDS, 3)
    random = np.random.default_rng(2)
    for weight in network.trainable_weights:
        if "embedding" in weight.path or "logits" in weight.path:
            weight.assign(random.normal(0, 1, weight.shape))
    return network


def inputs() -> np.ndarray:
    return words.encode(TEXTS, WORDS, 12)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_network_says_does_not_depend_on_padding(name: str) -> None:
    network = network_of(name)
    build = load("models", name).build
    if name == "transformer":
        # Its vectors of places belong to one length: those beyond the texts are changed instead.
        before = network.predict_on_batch(inputs()[:5])
        places = network.get_layer("positions").table
        places.assign(np.concatenate([places.numpy()[:6], 9 + places.numpy()[6:]]))
        np.testing.assert_allclose(network.predict_on_batch(inputs()[:5]), before, atol=1e-5)
        return
    longer = build(settings_of(name, length=20), WORDS, 3)
    longer.set_weights(network.get_weights())
    short, wide = inputs()[:5], words.encode(TEXTS[:5], WORDS, 20)
    np.testing.assert_allclose(longer.predict_on_batch(wide), network.predict_on_batch(short), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_text_without_words_has_finite_answers_and_gradients(name: str, precision: str) -> None:
    import tensorflow as tf

    network = network_of(name, precision)
    with tf.GradientTape() as tape:
        logits = network(np.zeros((2, 12), np.int32), training=True)
        loss = tf.reduce_sum(tf.square(logits))
    assert logits.dtype == tf.float32 and np.isfinite(logits.numpy()).all()
    for gradient in tape.gradient(loss, network.trainable_weights):
        assert gradient is None or np.isfinite(tf.convert_to_tensor(gradient).numpy()).all()


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_outside_training_a_recurrent_layer_answers_as_in_training(name: str) -> None:
    from components.layers import recurrent

    layer = {"lstm": recurrent.LSTM, "gru": recurrent.GRU}[name]
    random = np.random.default_rng(0)
    x, mask = random.normal(size=(4, 7, 3)).astype(np.float32), random.random((4, 7)) < 0.6
    for backwards in (False, True):
        cell = layer(5, go_backwards=backwards)
        for seen in (mask, None):
            given = [np.array(cell(x, mask=seen, training=training)) for training in (True, False)]
            np.testing.assert_allclose(given[1], given[0], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_keeps_its_words_in_its_file(name: str, tmp_path: Path) -> None:
    network = network_of(name)
    network.save(tmp_path / "model.keras")
    loaded = saved_model.load(tmp_path / "model.keras")
    assert task_for(INFO).training.assets(loaded) == {"vocabulary": WORDS, "length": 12}
    assert task_for(INFO).evaluation.problem(loaded) == ""
    np.testing.assert_array_equal(loaded.predict_on_batch(inputs()), network.predict_on_batch(inputs()))


# How far the quantized formats stray, relative to the outputs, and which can hold which network: docs/text.md.
@pytest.mark.parametrize("name", ["transformer", "lstm", pytest.param("gru", marks=pytest.mark.slow)])
def test_every_format_gives_the_outputs_of_keras_for_texts_of_any_length(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    network = network_of(name)
    expected = inference.traced(network)(inputs())
    assets = task_for(INFO).training.assets(network)
    origin = formats.source(network, Task("text_classification", INFO).serving, assets, inputs())
    assert formats.write(origin, tmp_path, tuple(formats.WRITERS)) == {}
    for format in formats.WRITERS:
        runner = runtime.load(tmp_path, format)
        for size in (1, 3, len(TEXTS), 2):
            largest, typical = parity.differences(expected[:size], runner.run(inputs()[:size]))
            assert typical < 0.5 if format in runtime.QUANTIZED else largest < 1e-4, (format, size, largest, typical)
    served = runtime.load_signature(tmp_path / runtime.PATHS["saved_model"])
    np.testing.assert_allclose(served(np.array(TEXTS, object)), expected, atol=1e-4)
    answer = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"](text=tf.constant(TEXTS))
    np.testing.assert_allclose(answer["probabilities"].numpy().sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("transformer", {"heads": 3}, "heads"),
        ("transformer", {"dropout": 1}, "dropout"),
        ("gru", {"units": 0}, "units"),
    ],
)
def test_impossible_settings_are_refused(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings_of(name, **changes)
