"""Classifiers of images: precision, and that what is saved loads without any code of ours."""

import numpy as np
import pytest

from components.core.choices import load, names
from components.models import ModelSettings


@pytest.fixture(scope="module")
def keras():
    import keras

    return keras


def settings_of(name: str) -> ModelSettings:
    small = {"cnn": {"filters": (4, 8), "dropout": 0.5}, "resnet": {"depth": 18}}
    made: ModelSettings = load("models", name).Settings(**small.get(name, {}))
    return made


# A team's own are among them, and some may want larger pictures.
CLASSIFIERS = [
    name
    for name in names("models")
    if load("models", name).Settings.interface == "image -> classes" and not settings_of(name).problem((16, 16, 3))
]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_takes_bytes_and_gives_float32_logits_whatever_the_precision(keras, name: str) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = load("models", name).build(settings_of(name), (16, 16, 3), 5)
    finally:
        keras.config.set_dtype_policy(before)
    assert (model.input.name, model.input.dtype) == ("image", "uint8")
    logits = model(np.zeros((2, 16, 16, 3), "uint8"))
    assert logits.shape == (2, 5)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_loads_without_custom_objects(keras, name: str, tmp_path) -> None:
    model = load("models", name).build(settings_of(name), (16, 16, 1), 3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), dtype=np.uint8)
    np.testing.assert_array_equal(model(pixels), again(pixels))
