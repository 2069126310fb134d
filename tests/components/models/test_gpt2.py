"""GPT-2 from a preset of keras-hub: the same logits, the same tokens, and nothing of keras-hub in what is saved."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core.errors import StepError
from components.layers import byte_pairs
from components.models import gpt2
from components.tasks import text_generation as task
from components.tasks.contract import Task

task_for = partial(Task, "text_generation")

pytest.importorskip("keras_hub")
LENGTH = 12


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 with random weights, as keras-hub saves one."""
    import keras
    import keras_hub

    from components.text.byte_pairs import END, letters

    keras.utils.set_random_seed(2)
    folder = tmp_path_factory.mktemp("presets") / "tiny"
    tokens = [*letters(), "Ġt", "he", "Ġthe", END]
    numbers = {token: number for number, token in enumerate(tokens)}
    backbone = keras_hub.models.GPT2Backbone(len(tokens), 2, 2, 16, 32, max_sequence_length=20)
    random = np.random.default_rng(0)
    backbone.set_weights([weight + random.normal(0, 0.2, weight.shape) for weight in backbone.get_weights()])
    backbone.save_to_preset(str(folder))
    keras_hub.models.GPT2Tokenizer(numbers, ["Ġ t", "h e", "Ġt he"]).save_to_preset(str(folder))
    return folder


@pytest.fixture(scope="module")
def network(preset: Path) -> Any:
    return gpt2.build(gpt2.Settings(preset=str(preset), length=LENGTH))


def test_the_logits_are_those_of_keras_hub(preset: Path, network: Any) -> None:
    import keras_hub

    backbone = keras_hub.models.GPT2Backbone.from_preset(str(preset))
    rows = np.random.default_rng(1).integers(0, backbone.vocabulary_size, (3, LENGTH)).astype(np.int32)
    hidden = backbone({"token_ids": rows, "padding_mask": np.ones_like(rows)}, training=False)
    expected = np.asarray(backbone.token_embedding(hidden, reverse=True))
    np.testing.assert_allclose(np.asarray(network(rows)), expected, atol=2e-4)


def test_the_task_takes_its_tokens_and_continues_texts(network: Any, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    from components.core.inference import Predictor, traced

    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.get_layer("vocabulary"), byte_pairs.BytePairVocabulary)
    assets = task_for({}).training.assets(loaded)
    assert assets == task_for({}).training.assets(network) and assets["length"] == LENGTH
    texts = ["the other then", "größer", " the" * 40, ""]
    contents = [text.encode() for text in texts]
    inputs, targets = task_for({}).training.input_fn(assets)({"text": tf.constant(contents)})
    np.testing.assert_array_equal(inputs, task_for({}).evaluation.encode(contents, assets))
    assert inputs[2, 1:4].numpy().tolist() == [258, 258, 258]
    assert int(tf.reduce_sum(tf.cast(targets[2] >= 0, tf.int32))) == 40
    column = np.empty(4, object)
    column[:] = contents
    settings = task.Settings(new_tokens=5, temperature=0)
    cached = task_for({}, settings).evaluation.predict(Predictor(traced(loaded), loaded), {"text": column}, assets)
    whole = task_for({}, settings).evaluation.predict(Predictor(traced(loaded)), {"text": column}, assets)
    assert cached["continuation"].tolist() == whole["continuation"].tolist()
    # No graph makes these tokens: a SavedModel of strings cannot be, and says so.
    signature, answer = task_for({}).serving.signature(loaded, assets)
    with pytest.raises(StepError, match="tokenizer runs outside TensorFlow's graph"):
        tf.function(answer, input_signature=[signature], autograph=False).get_concrete_function()


@pytest.mark.slow
def test_it_learns(preset: Path) -> None:
    import tensorflow as tf

    network = gpt2.build(gpt2.Settings(preset=str(preset), length=LENGTH))
    inputs, targets = task_for({}).training.input_fn(task_for({}).training.assets(network))(
        {"text": tf.constant([b"the other then"] * 4)}
    )
    network.compile("adam", **task_for({}).training.compile_arguments(network))
    losses = [float(network.train_on_batch(inputs, targets)) for _ in range(6)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"preset": "/nowhere"}, "no such folder: /nowhere"),
        ({"length": 21}, "21 tokens are more than the 20"),
    ],
    ids=["no folder", "too long"],
)
def test_what_cannot_be_built_is_told_in_one_line(preset: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(StepError, match=told) as failure:
        gpt2.build(gpt2.Settings(**{"preset": str(preset), **changes}))
    assert failure.value.kind == "settings" and "\n" not in str(failure.value)


def test_an_empty_folder_is_no_preset(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="cannot be opened"):
        gpt2.build(gpt2.Settings(preset=str(tmp_path)))


def test_without_keras_hub_one_line_says_what_to_install(preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(StepError, match="needs keras-hub, which is not installed; install the extra hub"):
        gpt2.build(gpt2.Settings(preset=str(preset)))
