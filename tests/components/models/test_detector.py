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
