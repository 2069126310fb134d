"""Prior boxes and the loss that assigns locations to objects."""

from pathlib import Path

import keras
import numpy as np
import pytest

from components.layers.detection_loss import DetectionLoss, giou, iou
from components.layers.prior_boxes import PriorBoxes
from components.vision.boxes import NONE, UNITS

CLASSES = 3
LEVELS = [[8, [[32, 32]]], [16, [[64, 64]]]]


def layer() -> PriorBoxes:
    return PriorBoxes(64, 32, LEVELS, name="boxes")


def test_locations_go_row_by_row_and_map_by_map() -> None:
    found = layer().priors()
    assert found.shape == (8 * 4 + 4 * 2, 4)
    assert found[[0, 1, 4, 32, 39]].tolist() == [
        [4, 4, 32, 32],
        [12, 4, 32, 32],
        [4, 12, 32, 32],
        [8, 8, 64, 64],
        [24, 56, 64, 64],
    ]
    assert layer().strides().tolist() == [8] * 32 + [16] * 8


def test_offsets_move_and_stretch_a_prior_box() -> None:
    offsets = np.zeros((1, 40, 4), np.float32)
    offsets[0, 0] = [0.25, 0.5, np.log(0.5), np.log(2)]
    offsets[0, 1, 2:] = 100  # bounded: no box is infinite
    found = np.asarray(layer()(offsets))[0]
    # About (4 + 8, 4 + 16), 16 x 64 pixels, in UNITS of 32 x 64 pixels.
    assert found[0] / UNITS * [32, 64, 32, 64] == pytest.approx([4, -12, 20, 52])
    assert np.isfinite(found).all()


def test_a_saved_network_finds_the_same_boxes(tmp_path: Path) -> None:
    from components.layers import saved_model

    inputs = keras.Input((40, 4))
    keras.Model(inputs, layer()(inputs)).save(tmp_path / "model.keras")
    offsets = np.random.default_rng(0).normal(size=(2, 40, 4)).astype(np.float32)
    again = saved_model.load(tmp_path / "model.keras")
    assert np.array_equal(np.asarray(again(offsets)), np.asarray(layer()(offsets)))


def test_overlaps_of_a_box_inside_another_and_of_two_apart() -> None:
    one = np.array([[0, 0, 4, 4], [0, 0, 1, 1]], np.float32)
    other = np.array([[1, 1, 3, 3], [2, 0, 3, 1]], np.float32)
    assert np.asarray(iou(one, other)) == pytest.approx([1 / 4, 0])
    assert np.asarray(giou(one, other)) == pytest.approx([1 / 4, -1 / 3])


def objects(*rows: list[float]) -> np.ndarray:
    """One picture's objects, edges in pixels of 32 x 64, padded."""
    made = np.zeros((1, 4, 5), np.float32)
    made[..., 4] = NONE
    for number, row in enumerate(rows):
        made[0, number] = np.array(row) / [32, 64, 32, 64, 1]
    return made


def outputs(wanted: np.ndarray, logit: float) -> np.ndarray:
    """Every location gives the box of the first object that it lies in, and that object's class the logit."""
    made = np.zeros((1, 40, 4 + CLASSES), np.float32)
    made[..., 4:] = -8
    middles = layer().priors()[:, :2] / [32, 64]
    for edges in wanted[0][::-1]:
        inside = np.all((middles >= edges[:2]) & (middles <= edges[2:4]), axis=1) & (edges[4] != NONE)
        made[0, inside, :4] = edges[:4] * UNITS
        made[0, inside, 4 + int(edges[4])] = logit
    return made


def test_the_loss_falls_as_boxes_and_classes_come_right() -> None:
    loss = DetectionLoss(layer().locations())
    wanted = objects([2, 4, 20, 40, 0], [10, 44, 30, 60, 2])
    right, unsure = outputs(wanted, 6), outputs(wanted, -1)
    displaced, mistaken = right.copy(), right.copy()
    displaced[..., :4] += 1
    mistaken[..., 4:] = mistaken[..., [5, 4, 6]]
    values = [float(loss(wanted, one)) for one in (right, unsure, displaced, mistaken)]
    assert values[0] < 0.05 < min(values[1:])


@pytest.mark.parametrize("edges", [[15, 15, 17, 17], [0, 0, 32, 64], [0, 0, 1, 1]], ids=["tiny", "all", "a corner"])
def test_every_object_is_given_to_a_location(edges: list[float]) -> None:
    loss = DetectionLoss(layer().locations())
    wanted = objects([*edges, 1])
    offsets = np.zeros((1, 40, 4), np.float32)
    given = np.concatenate([np.asarray(layer()(offsets)), np.full((1, 40, CLASSES), -4, np.float32)], -1)
    boxes, labels = wanted[..., :4] * UNITS, wanted[..., 4]
    known = (labels > NONE).astype(np.float32)
    scores, share, assigned = loss._assign(boxes, labels, known, given[..., :4], given[..., 4:])
    assert np.asarray(assigned)[0, 0].sum() >= 1 and not np.asarray(assigned)[0, 1:].any()
    assert np.asarray(share).sum() > 0 and not np.asarray(scores)[..., [0, 2]].any()


def test_a_batch_without_objects_has_a_loss_and_gradients() -> None:
    import tensorflow as tf

    loss, given = DetectionLoss(layer().locations()), tf.Variable(outputs(objects(), 0))
    with tf.GradientTape() as tape:
        value = loss(objects(), given)
    gradient = tape.gradient(value, given).numpy()
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert not gradient[..., :4].any() and (gradient[..., 4:] > 0).all()


def test_the_loss_of_a_batch_is_that_of_its_objects_together() -> None:
    loss = DetectionLoss(layer().locations())
    wanted = objects([2, 4, 20, 40, 0])
    given = outputs(wanted, 1)
    alone, twice = loss(wanted, given), loss(np.repeat(wanted, 2, 0), np.repeat(given, 2, 0))
    assert float(alone) == pytest.approx(float(twice), rel=1e-5)


def test_it_is_written_and_read_by_keras() -> None:
    loss = DetectionLoss(layer().locations())
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    wanted = objects([2, 4, 20, 40, 0])
    assert float(again(wanted, outputs(wanted, 1))) == float(loss(wanted, outputs(wanted, 1)))
