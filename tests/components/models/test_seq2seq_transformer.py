"""A translator in every format: loaded by its own runtime, and decoding the sentences that Keras decodes."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from components.core import inference
from components.export import formats, parity, runtime
from components.models import seq2seq_transformer as model
from components.tasks import translation as task
from components.tasks.contract import Task

task_for = partial(Task, "translation")

INFO = {"languages": ["a", "b"]}
SOURCES = [b"12", "fünf".encode(), b"", b"a sentence that is too long", b"on two"]


@pytest.fixture(scope="module")
def network():
    import keras

    from components.core import devices

    with devices.configured(backend="tensorflow", precision="float32", seed=4):
        settings = model.Settings(source_length=8, target_length=6, width=32, heads=2, layers=1, hidden=32)
        network = model.build(settings, ["on", "tw"])
        # Larger weights: the choice between two tokens is then never within rounding.
        for weight in network.trainable_weights:
            weight.assign(keras.ops.multiply(weight, 3.0))
        return network


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("formats")
    assets = task_for(INFO).training.assets(network)
    calibration = task_for(INFO).evaluation.encode(SOURCES, assets)
    origin = formats.source(network, task_for(INFO).serving, assets, calibration)
    assert formats.write(origin, place, ["saved_model", "litert", "litert_dynamic", "onnx"]) == {}
    return place


@pytest.mark.parametrize("name", ["saved_model", "litert", "onnx"])
@pytest.mark.parametrize("beam", [1, 2])
def test_a_format_decodes_what_keras_decodes(network, folder: Path, name: str, beam: int) -> None:
    assets, settings = task_for(INFO).training.assets(network), task.Settings(beam=beam)
    batch = {"source": np.array(SOURCES, object)}
    cached = task_for(INFO, settings).evaluation.predict(
        inference.Predictor(inference.traced(network), network), batch, assets
    )
    found = task_for(INFO, settings).evaluation.predict(runtime.load(folder, name), batch, assets)
    assert found["hypothesis"].tolist() == cached["hypothesis"].tolist()
    assert found["whole"].tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("name", ["saved_model", "litert", "litert_dynamic", "onnx"])
def test_a_format_gives_the_outputs_of_keras_at_every_batch_size(network, folder: Path, name: str) -> None:
    inputs = np.repeat(
        task_for(INFO).evaluation.encode(SOURCES, task_for(INFO).training.assets(network)),
        3,
        axis=0,
    )
    expected, predictor = network.predict_on_batch(inputs), runtime.load(folder, name)
    for size in (1, 15, 4):
        largest, typical = parity.differences(expected[:size], predictor.run(inputs[:size]))
        assert typical < 0.1 if name in runtime.QUANTIZED else largest < 1e-4, (name, size)


def test_the_saved_model_takes_sentences(network, folder: Path) -> None:
    import tensorflow as tf

    assets = task_for(INFO).training.assets(network)
    loaded = tf.saved_model.load(str(folder / runtime.PATHS["saved_model"]))
    answer = loaded.signatures[runtime.SERVING](source=tf.constant(SOURCES))
    predictor = inference.Predictor(inference.traced(network), network)
    found = task_for(INFO, task.Settings()).evaluation.predict(predictor, {"source": np.array(SOURCES, object)}, assets)
    assert answer["translation"].numpy().tolist() == found["hypothesis"].tolist()
