"""Detectors: what their one output holds, whatever makes it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.layers import saved_model
from components.models import detector, retinanet
from components.vision.boxes import UNITS

SMALL = detector.Settings(filters=(4, 8, 8, 8), pyramid=8, head=1)


@pytest.mark.parametrize(
    ("settings", "shape", "told"),
    [
        (SMALL, (64, 32, 1), ""),
        (SMALL, (8, 8, 1), "4 stages leave nothing of 8 pixels; shorten model.filters"),
        (SMALL, (64, 40, 3), "40 pixels are not a multiple of 16; change the side, or shorten model.filters"),
        (retinanet.Settings(), (512, 640, 3), ""),
        (
            retinanet.Settings(),
            (512, 600, 3),
            "600 pixels are not a multiple of 128, which the coarsest feature map needs",
        ),
        (retinanet.Settings(), (512, 512, 1), "images of 3 channels were expected, not 1"),
    ],
    ids=str,
)
def test_a_picture_of_another_size_is_refused_in_a_line(settings: Any, shape: tuple[int, ...], told: str) -> None:
    assert settings.problem(shape) == told


def test_every_location_of_a_fresh_network_has_its_prior_box_and_doubts_every_class() -> None:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = detector.build(SMALL, (64, 32, 1), 3)
    finally:
        keras.config.set_dtype_policy(before)
    found = network.predict(np.zeros((2, 64, 32, 1), np.uint8), verbose=0)
    assert found.dtype == np.float32 and found.shape == (2, 8 * 4 + 4 * 2, 4 + 3)
    assert 1 / (1 + np.exp(-found[..., 4:])) == pytest.approx(np.full((2, 40, 3), detector.PRIOR_PROBABILITY), rel=0.5)
    prior = network.get_layer("boxes").priors() / np.array([32, 64, 32, 64])
    middles = (found[0, :, :2] + found[0, :, 2:4]) / 2 / UNITS
    assert np.abs(middles - prior[:, :2]).max() < 0.5


def test_a_saved_detector_finds_the_same(tmp_path: Path) -> None:
    network = detector.build(SMALL, (32, 32, 3), 2)
    network.save(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    again = saved_model.load(tmp_path / "model.keras")
    assert np.array_equal(again.predict(pixels, verbose=0), network.predict(pixels, verbose=0))


def test_retinanet_without_keras_hub_is_refused_in_a_line() -> None:
    script = """
import sys
sys.modules["keras_hub"] = None
from components.core.errors import StepError
from components.models import retinanet
try:
    retinanet.build(retinanet.Settings(), (128, 128, 3), 2)
except StepError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "the model retinanet needs keras-hub, which is not installed; "
        "install the extra hub (pip install 'suanli[hub]'), or use model.name=detector\n"
    )


def test_a_preset_that_is_not_there_is_told() -> None:
    from components.core.errors import StepError

    pytest.importorskip("keras_hub")
    with pytest.raises(StepError, match="no such folder: /nowhere; set model"):
        retinanet.build(retinanet.Settings(preset="/nowhere"), (128, 128, 3), 2)


# keras-hub's class compiles itself when it is loaded, with an optimizer that no file has.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@pytest.mark.slow
def test_retinanet_has_keras_hubs_anchors_and_loads_again(tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub")
    network = retinanet.build(retinanet.Settings(depth=18, head=1), (128, 256, 3), 5)
    anchors = hub.layers.AnchorGenerator("center_xywh", 3, 7, 3, [0.5, 1.0, 2.0], 4)(np.zeros((128, 256, 3)))
    expected = np.concatenate([np.asarray(level) for level in anchors.values()])
    assert np.array_equal(network.get_layer("boxes").priors(), expected)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 128, 256, 3), np.uint8)
    found = network.predict(pixels, verbose=0)
    assert found.shape == (1, len(expected), 4 + 5)
    network.save(tmp_path / "model.keras")
    assert np.array_equal(saved_model.load(tmp_path / "model.keras").predict(pixels, verbose=0), found)


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@pytest.mark.filterwarnings("ignore:A total of 1 objects could not be loaded:UserWarning")
@pytest.mark.slow
def test_a_local_preset_brings_its_weights_and_may_have_other_classes(tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub")
    made = retinanet._new(hub, retinanet.Settings(depth=18, head=1), 5)
    made.save_to_preset(str(tmp_path / "preset"))
    settings = retinanet.Settings(preset=str(tmp_path / "preset"))
    for units, alike in ((5, True), (3, False)):
        network = retinanet.build(settings, (128, 128, 3), units)
        assert network.output_shape[-1] == 4 + units
        inner = next(layer for layer in network.layers if isinstance(layer, hub.models.RetinaNetObjectDetector))
        kernel = inner.box_head.prediction_layer.kernel
        assert np.array_equal(np.asarray(kernel), np.asarray(made.box_head.prediction_layer.kernel)) == alike
        for one, other in zip(inner.backbone.weights, made.backbone.weights, strict=True):
            assert np.array_equal(np.asarray(one), np.asarray(other))
