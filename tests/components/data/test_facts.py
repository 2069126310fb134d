"""What a source's file tells before its data are opened, against what the opened source has."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data import digits, fashion_mnist, image_folder, tfds


def test_digits_tell_what_they_have() -> None:
    settings = digits.Settings()
    facts, source = digits.facts(settings), digits.source(settings)
    assert (facts.counts, facts.classes, facts.encoded) == (source.counts, 10, False)


def test_fashion_mnist_tells_what_it_has() -> None:
    facts = fashion_mnist.facts(fashion_mnist.Settings())
    assert (facts.counts, facts.classes) == ({"train": 60_000, "test": 10_000}, 10)


@pytest.mark.parametrize("splits", [("",), ("train", "test")], ids=["no official split", "an official test split"])
def test_a_folders_pictures_are_counted_by_their_names(tmp_path: Path, splits: tuple[str, ...]) -> None:
    for split in splits:
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(3):
                Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / split / label / f"{number}.PNG")
    settings = image_folder.Settings(folder=str(tmp_path), image_shape=(8, 8, 3))
    facts, source = image_folder.facts(settings), image_folder.source(settings)
    assert facts is not None
    assert facts.counts == {name: sum(1 for _ in stream()) for name, stream in source.splits.items()}
    assert (facts.classes, facts.encoded) == (len(source.info["classes"]), source.info["encoding"] == "encoded")


def test_a_folder_that_is_not_there_tells_nothing() -> None:
    assert image_folder.facts(image_folder.Settings(folder="/nowhere", image_shape=(8, 8, 3))) is None


@pytest.mark.parametrize(
    ("dataset", "test", "counts", "encoded"),
    [
        ("cifar10", "test", {"train": 50_000, "test": 10_000}, False),
        ("cifar10:3.0.2", "", {"train": 50_000}, False),
        ("imagenet2012", "validation", {"train": 1_281_167, "test": 50_000}, True),
        ("coco/2017", "validation", {"train": 118_287, "test": 5_000}, True),
    ],
)
def test_well_known_data_sets_are_known_before_they_are_there(
    dataset: str, test: str, counts: dict[str, int], encoded: bool
) -> None:
    facts = tfds.facts(tfds.Settings(dataset=dataset, test=test, image_shape=(32, 32, 3)))
    assert facts is not None
    assert (facts.counts, facts.encoded) == (counts, encoded)


@pytest.mark.parametrize("changes", [{"dataset": "beans"}, {"dataset": "cifar10", "train": "train[:10%]"}], ids=str)
def test_other_data_sets_and_parts_of_splits_are_not(changes: dict[str, str]) -> None:
    assert tfds.facts(tfds.Settings(**{"image_shape": (32, 32, 3), **changes})) is None  # type: ignore[arg-type]
