"""Scenes whose boxes are known because they were composed."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

from components.data import Source, _scenes, composed_scenes, fashion_mnist
from components.tasks.contract import Task
from components.vision import boxes

NEEDS = pytest.mark.skipif(not fashion_mnist.FOLDER.is_dir(), reason="needs Debian's dataset-fashion-mnist")


def item(height: int, width: int, label: int = 3) -> dict[str, Any]:
    """A picture of 28 x 28 that is zero but for a bright block."""
    pixels = np.zeros((28, 28, 1), np.uint8)
    pixels[4 : 4 + height, 6 : 6 + width] = 255
    return {"image": pixels, "label": label}


@pytest.mark.parametrize(("height", "width"), [(20, 9), (7, 18), (1, 20)], ids=["tall", "wide", "a line"])
def test_a_box_is_just_around_the_pixels_of_its_item(height: int, width: int) -> None:
    for seed in range(5):
        image, corners, labels = _scenes.compose([item(height, width)], 128, np.random.default_rng(seed))
        # The background has no pixel so bright.
        rows, columns = np.nonzero(image[..., 0] == 255)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert (corners[0] * 128).tolist() == seen and labels.tolist() == [3]


def test_items_lie_inside_and_hide_little_of_each_other() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        _, corners, labels = _scenes.compose([item(20, 15)] * 6, 128, random)
        assert 1 <= len(corners) == len(labels) <= 6
        assert corners.min() >= 0 and corners.max() <= 1
        areas = boxes.areas(corners)
        low = np.maximum(corners[:, None, :2], corners[None, :, :2])
        high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=-1) / np.minimum(areas[:, None], areas)
        assert np.all(shared[~np.eye(len(areas), dtype=bool)] <= _scenes.MAX_COVERED + 1e-5)


def test_the_scenes_of_a_split_are_made_of_its_own_items() -> None:
    settings = composed_scenes.Settings(train_scenes=4, test_scenes=4)
    only = Source(info={}, splits={"test": lambda: iter([item(20, 15, label=7)] * 50)})
    scenes = list(_scenes.scenes(only, "test", 4, settings.side, settings.most_items, settings.seed))
    assert {label for scene in scenes for label in scene["labels"].tolist()} == {7}


@NEEDS
def test_the_same_settings_compose_the_same_scenes_and_more_of_them_begin_alike() -> None:
    first = composed_scenes.source(composed_scenes.Settings(train_scenes=20, test_scenes=9))
    more = composed_scenes.source(composed_scenes.Settings(train_scenes=30, test_scenes=5))
    others = composed_scenes.source(composed_scenes.Settings(seed=1))

    def few(source: Source, split: str) -> list[Any]:
        return [(one["image"].tobytes(), one["boxes"].tolist()) for one in islice(source.splits[split](), 5)]

    for split in ("train", "test"):
        assert few(first, split) == few(first, split) == few(more, split) != few(others, split)
    assert few(first, "train") != few(first, "test")


@NEEDS
def test_scenes_have_all_numbers_of_items_and_are_good_examples() -> None:
    settings = composed_scenes.Settings(side=96, most_items=4, test_scenes=60, train_scenes=1)
    source, facts = composed_scenes.source(settings), composed_scenes.facts(settings)
    examples = list(source.splits["test"]())
    stored = Task("object_detection", source.info).examples.to_records(examples)
    assert not stored.faults and len(stored.contents) == facts.counts["test"] == 60
    assert set(stored.features["count"]) == {1, 2, 3, 4}
    assert examples[0]["image"].shape == settings.input_shape() == (96, 96, 1)
    assert facts.classes == len(source.info["classes"]) == 10
