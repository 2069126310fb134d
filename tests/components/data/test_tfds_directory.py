"""A folder that TensorFlow Datasets, or our writer, left."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from picture_folders import noise
from PIL import Image
from refusals import one_line

from components.core.errors import StepError
from components.data import tfds_directory
from components.prepare import writer
from components.tasks._images.examples import pixels
from components.tasks.contract import Task

task_for = partial(Task, "image_classification")


# TFDS 4.9.10 reads its own description by a call that protobuf 6 deprecates.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")
SHAPE = (8, 6, 3)


def directory(folder: Path, encoding: str, count: int = 9) -> Path:
    """A TFDS directory of noise, with as many test pictures as training pictures."""
    folder.mkdir()
    info = {"classes": ["a", "b"], "image_shape": list(SHAPE), "encoding": encoding}
    splits = [writer.Split(folder, name, 10**6, 2) for name in ("train", "test")]
    for split in splits:
        for number in range(count):
            pixels = noise(number)
            image: Any = pixels
            if encoding == "encoded":
                Image.fromarray(pixels).save(folder / "one.png")
                image = (folder / "one.png").read_bytes()
            stored = task_for(info).examples.to_records([{"image": image, "label": number % 2}])
            features = [values[0].item() for values in stored.features.values()]
            split.write(
                [
                    writer.RecordEncoder(task_for({}).examples.kinds).record(
                        [*stored.contents, b"%d" % number, *features]
                    )
                ]
            )
        split.finish()
    writer.describe(folder, task_for(info).examples.features(), splits, text="noise", licence="none")
    return folder


@pytest.mark.parametrize("encoding", ["raw", "encoded"])
def test_a_tfds_directory_gives_its_pictures_as_they_are_stored(encoding: str, tmp_path: Path) -> None:
    place = directory(tmp_path / "data", encoding)
    shape = SHAPE if encoding == "raw" else (16, 16, 3)
    settings = tfds_directory.Settings(directory=str(place), image_shape=shape, train="train[:6]")
    source = tfds_directory.source(settings)
    assert source.info == {"classes": ["a", "b"], "image_shape": list(shape), "encoding": encoding}
    images = {
        bytes(content) for content in task_for(source.info).examples.to_records(list(source.splits["train"]())).contents
    }
    assert len(images) == 6 and len([example["label"] for example in source.splits["test"]()]) == 9
    assert {pixels(image, source.info).tobytes() for image in images} < {noise(n).tobytes() for n in range(9)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "trian"}, "has no split 'trian'; did you mean train?"),
        ({"train": "train[:x]"}, "'train[:x]' is not a split of"),
        ({"validation": "held"}, "has no split 'held'"),
        ({"image_shape": (9, 6, 3)}, "has arrays of [8, 6, 3], not [9, 6, 3]"),
        ({"directory": "/nowhere"}, "/nowhere has no dataset_info.json; give the folder of one version"),
    ],
)
def test_what_a_tfds_directory_lacks_is_one_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    values = {"directory": str(directory(tmp_path / "data", "raw")), "image_shape": SHAPE, **changes}
    with pytest.raises(StepError) as failure:
        tfds_directory.source(tfds_directory.Settings(**values))
    assert message in one_line(failure)


def test_a_corrupt_description_is_one_line(tmp_path: Path) -> None:
    place = directory(tmp_path / "data", "raw")
    (place / "dataset_info.json").write_text("{")
    with pytest.raises(StepError, match="cannot be opened"):
        tfds_directory.source(tfds_directory.Settings(directory=str(place), image_shape=SHAPE))
