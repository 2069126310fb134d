"""Models of pictures: sizes, limits, precision, and that what is saved loads without any code of ours."""

import math

import numpy as np
import pytest

from components.core.choices import load, names
from components.models import ModelSettings, cnn, resnet

CLASSIFIERS = [name for name in names("models") if load("models", name).Settings.interface == "image -> classes"]


@pytest.fixture(scope="module")
def keras():
    import keras

    return keras


# Parameters with 1000 classes that are trained, as torchvision states them for its residual networks.
@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_residual_networks_have_the_published_number_of_parameters(keras, depth: int, parameters: int) -> None:
    model = resnet.build(resnet.Settings(depth=depth), (224, 224, 3), 1000)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == parameters


@pytest.mark.parametrize("depth", resnet.SIZES)
def test_a_residual_network_is_as_deep_as_its_name_says(depth: int) -> None:
    block, stages = resnet.SIZES[depth]
    convolutions = {"basic": 2, "bottleneck": 3}[block]
    assert 1 + convolutions * sum(stages) + 1 == depth


def test_the_bottleneck_halves_the_picture_in_its_3x3_convolution(keras) -> None:
    model = resnet.build(resnet.Settings(depth=50), (64, 64, 3), 2)
    strides = [model.get_layer(f"stage2_block1_{number}_conv").strides for number in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize(("side", "stem", "kept"), [(32, "auto", 32), (64, "auto", 16), (32, "large", 8)])
def test_a_small_stem_keeps_the_resolution_of_small_pictures(keras, side: int, stem: str, kept: int) -> None:
    model = resnet.build(resnet.Settings(depth=18, stem=stem), (side, side, 3), 2)
    assert model.get_layer("stage1_block1_1_conv").input.shape[1:3] == (kept, kept)


def test_every_block_starts_as_the_identity_if_asked(keras) -> None:
    scales = {
        zero: resnet.build(resnet.Settings(depth=18, zero_gamma=zero), (8, 8, 1), 2)
        .get_layer("stage1_block1_2_norm")
        .gamma.numpy()
        .max()
        for zero in (True, False)
    }
    assert scales == {True: 0, False: 1}


@pytest.mark.parametrize("filters", [(4,), (4, 4), (4, 4, 4), (4, 4, 4, 4)], ids=len)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("side", [1, 2, 3, 7, 8, 21, 22])
def test_cnn_refuses_exactly_the_pictures_that_its_pools_do_not_allow(
    keras, side: int, padding: str, filters: tuple[int, ...]
) -> None:
    settings = cnn.Settings(filters=filters, padding=padding)
    told = settings.problem((side, side + 5, 1))
    try:
        allowed = 0 not in cnn.build(settings, (side, side + 5, 1), 2).layers[-4].output.shape
    except ValueError:  # Keras's own way to say that nothing is left
        allowed = False
    assert allowed == (told == "")


def test_cnns_refusal_says_what_to_do() -> None:
    told = cnn.Settings().problem((8, 8, 1))
    assert told == (
        "convolution and pool 2 of 3 leave nothing of 8 pixels; "
        "shorten model.filters to 1, or use model.padding=same or larger images"
    )


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
