"""Input: an epoch's examples and their order follow from the seed and the epoch alone."""

from dataclasses import replace

import numpy as np
import pytest

from components.tasks.image_classification.training import Training
from components.train import inputs
from components.train.settings import count_steps

IN_MEMORY, STREAMED = 2**30, 0
TASK = Training({})
INPUT_FN = TASK.input_fn({})


def labels(data) -> list[int]:
    return [int(label) for _, y in data for label in y]


@pytest.fixture(scope="module", params=[IN_MEMORY, STREAMED], ids=["in memory", "streamed"])
def split(request, examples):
    return inputs.open_split(examples, "train", INPUT_FN, TASK.augment, request.param)


def test_the_order_is_new_in_every_epoch_and_the_same_again(split) -> None:
    orders = [
        labels(inputs.shuffled(split, 32, 10, seed=seed, epoch=epoch))
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3


def test_an_epoch_has_its_steps_in_whole_batches_without_repeats(split) -> None:
    steps = split.count // 100
    data = inputs.shuffled(split, 100, steps, seed=0, epoch=0)
    assert int(data.cardinality()) == steps
    images = [x.numpy() for x, _ in data]
    assert {image.shape for image in images} == {(100, 8, 8, 1)}
    assert len(np.unique(np.concatenate(images), axis=0)) == steps * 100


def test_each_example_counts_as_its_class_does(split) -> None:
    table = [float(number) / 2 for number in range(10)]
    weighted = replace(split, class_weights=table)
    found = [
        (int(label), float(weight))
        for *_, labels, weights in inputs.shuffled(weighted, 32, 4, seed=0, epoch=0)
        for label, weight in zip(labels, weights, strict=True)
    ]
    assert len(found) == 128 and all(weight == table[label] for label, weight in found)
    assert [label for label, _ in found] == labels(inputs.shuffled(split, 32, 4, seed=0, epoch=0))


def test_validation_reads_every_example_once_and_in_order(split) -> None:
    steps = count_steps(split.count, 100, 0, whole_batches=False)
    assert labels(inputs.in_order(split, 100, steps)) == labels(split.examples.batches("train", 64).map(INPUT_FN))
    assert len(labels(inputs.in_order(split, 100, 2))) == 200


# --- augmentation ----------------------------------------------------------------------------------------------------


def changed(images, kinds: tuple[str, ...], seed: int = 0):
    import tensorflow as tf

    labels = tf.zeros([len(images)], tf.int64)
    return TASK.augment(tf.constant(images), labels, kinds, tf.constant([seed, 1], tf.int64))[0].numpy()


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (200, 9, 12, 3), dtype=np.uint8)


def test_flip_mirrors_about_half_of_the_pictures_and_nothing_else(pictures) -> None:
    flipped = changed(pictures, ("flip",))
    mirrored = [np.array_equal(new, old[:, ::-1]) for new, old in zip(flipped, pictures, strict=True)]
    same = [np.array_equal(new, old) for new, old in zip(flipped, pictures, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 60 < sum(mirrored) < 140


def test_shift_moves_by_whole_pixels_up_to_a_tenth(pictures) -> None:
    moved = changed(pictures, ("shift",))
    offsets = set()
    for new, old in zip(moved, pictures, strict=True):
        fits = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.array_equal(
                new[max(0, -down) : 9 - max(0, down), max(0, -right) : 12 - max(0, right)],
                old[max(0, down) : 9 + min(0, down), max(0, right) : 12 + min(0, right)],
            )
        ]
        assert len(fits) == 1
        offsets.add(fits[0])
    assert {down for down, _ in offsets} == {right for _, right in offsets} == {-1, 0, 1}


def test_crop_keeps_size_type_and_range(pictures) -> None:
    cut = changed(pictures, ("crop",))
    assert (cut.shape, cut.dtype) == (pictures.shape, np.uint8)
    assert not np.array_equal(cut, pictures)
    assert abs(float(cut.mean()) - float(pictures.mean())) < 2


def test_augmentation_repeats_with_its_seed_and_epoch(split) -> None:
    def pixels(epoch: int, seed: int = 0) -> bytes:
        data = inputs.shuffled(split, 32, 3, seed=seed, epoch=epoch, kinds=("flip", "shift", "crop"))
        return b"".join(x.numpy().tobytes() for x, _ in data)

    assert pixels(0) == pixels(0)
    assert len({pixels(0), pixels(1), pixels(0, seed=1)}) == 3


def test_the_rest_of_an_interrupted_epoch_is_what_it_would_have_been(split) -> None:
    def batches(done: int) -> list[tuple[bytes, bytes]]:
        data = inputs.shuffled(split, 32, 5, seed=3, epoch=1, kinds=("flip", "shift"), done=done)
        return [(x.numpy().tobytes(), y.numpy().tobytes()) for x, y in data]

    whole = batches(0)
    assert len(set(whole)) == 5
    assert batches(2) == whole[2:] and batches(4) == whole[4:]


def test_two_batches_of_an_epoch_are_changed_differently(pictures) -> None:
    assert not np.array_equal(changed(pictures, ("shift",), 0), changed(pictures, ("shift",), 1))
