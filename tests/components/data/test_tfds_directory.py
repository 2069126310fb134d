"""A folder that TensorFlow Datasets, or our writer, left."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_folders import noise
from PIL import Image
from refusals import one_line
from tfds_data import BOX, picture, write

from components.core.errors import StepError
from components.data import check, tfds_directory
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


def labels(directory: str, **settings: Any) -> tuple[list[str], list[int]]:
    """The classes, and the labels of the training examples as prepare stores them."""
    source = tfds_directory.source(
        tfds_directory.Settings(directory=directory, image_shape=(16, 16, 3), test="", **settings)
    )
    stored = Task(settings.get("task", "image_classification"), source.info).examples.to_records(
        list(source.splits["train"]())
    )
    assert not stored.faults
    found = stored.features["label" if "label" in stored.features else "labels"]
    return source.info["classes"], [
        int(one) if np.ndim(one) == 0 and not isinstance(one, bytes) else np.frombuffer(one, "<i8")[0] for one in found
    ]


def label_features() -> dict[str, tuple[Any, Any, list[str]]]:
    """Kind of label -> its feature, its value in example ``number``, and the classes."""
    from tensorflow_datasets import features

    return {
        "class": (features.ClassLabel(names=["a", "b"]), lambda number: number % 2, ["a", "b"]),
        "class without names": (features.ClassLabel(num_classes=2), lambda number: number % 2, ["0", "1"]),
        "int64": (features.Scalar(np.int64), lambda number: 7 + 3 * (number % 2), ["7", "10"]),
        "uint8": (features.Scalar(np.uint8), lambda number: number % 2, ["0", "1"]),
        "negative": (features.Scalar(np.int32), lambda number: -1 + 2 * (number % 2), ["-1", "1"]),
        "bool": (features.Scalar(np.bool_), lambda number: bool(number % 2), ["False", "True"]),
        "text": (features.Text(), lambda number: ["Katze", "Ähre "][number % 2], ["Katze", "Ähre"]),
    }


KINDS = ("class", "class without names", "int64", "uint8", "negative", "bool", "text")


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_may_be_of_any_kind_that_names_classes(kind: str, tmp_path: Path) -> None:
    from tensorflow_datasets import features

    feature, value, classes = label_features()[kind]
    described = {"image": features.Image(shape=(None, None, 3)), "label": feature}
    place = write(tmp_path, described, lambda number: {"image": picture(number), "label": value(number)})
    found, numbers = labels(place)
    assert found == classes and sorted(numbers) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("kind", ["class", "int64", "text"])
def test_the_labels_of_objects_may_be_of_any_kind_too(kind: str, tmp_path: Path) -> None:
    from tensorflow_datasets import features

    feature, value, classes = label_features()[kind]
    objects = features.Sequence({"bbox": features.BBoxFeature(), "label": feature})
    described = {"image": features.Image(shape=(None, None, 3)), "objects": objects}
    box = features.BBox(*BOX)
    place = write(
        tmp_path,
        described,
        lambda number: {"image": picture(number), "objects": [{"bbox": box, "label": value(number)}]},
    )
    found, numbers = labels(place, task="object_detection")
    assert found == classes and sorted(numbers) == [0, 0, 0, 1, 1, 1]


def test_a_text_without_a_label_is_a_bad_example(tmp_path: Path) -> None:
    from tensorflow_datasets import features

    place = write(
        tmp_path,
        {"text": features.Text(), "label": features.Text()},
        lambda number: {"text": f"text {number}", "label": ["", "a", "b"][number % 3]},
    )
    settings = tfds_directory.Settings(directory=place, task="text_classification", test="")
    source = tfds_directory.source(settings)
    stored = Task("text_classification", source.info).examples.to_records(list(source.splits["train"]()))
    assert source.info["classes"] == ["a", "b"] and set(stored.faults.values()) == {"there is no label"}
    assert len(stored.faults) == 2 and len(stored.contents) == 4


def test_features_of_other_names_are_found_by_the_supervised_keys_and_the_settings(tmp_path: Path) -> None:
    from tensorflow_datasets import features

    described = {
        "photo": features.Image(shape=(None, None, 3)),
        "species": features.ClassLabel(names=["crow", "gull"]),
        "sex": features.ClassLabel(names=["f", "m", "unknown"]),
    }
    place = write(
        tmp_path,
        described,
        lambda number: {"photo": picture(number), "species": number % 2, "sex": number % 3},
        supervised=("photo", "species"),
    )
    assert labels(place)[0] == ["crow", "gull"]
    assert labels(place, label="sex")[0] == ["f", "m", "unknown"]
    with pytest.raises(StepError, match=r"data\.label can be sex or species, not photo"):
        labels(place, label="photo")


@pytest.mark.parametrize("plain", [False, True], ids=["translation", "two texts"])
@pytest.mark.parametrize(("chosen", "expected"), [((), (b"text 0", b"Text 0")), (("de", "en"), (b"Text 0", b"text 0"))])
def test_a_directory_gives_sentence_pairs(
    plain: bool, chosen: tuple[str, ...], expected: tuple[bytes, bytes], tmp_path: Path
) -> None:
    from tensorflow_datasets import features

    texts = {"en": features.Text(), "de": features.Text()}
    described = texts if plain else {"translation": features.Translation(languages=["en", "de"])}

    def example(number: int) -> dict[str, Any]:
        pair = {"en": f"text {number}", "de": f"Text {number}"}
        return pair if plain else {"translation": pair}

    place = write(tmp_path, described, example, supervised=("en", "de") if plain else None)
    settings = tfds_directory.Settings(directory=place, task="translation", test="", languages=chosen)
    source = tfds_directory.source(settings)
    pairs = [(one["source"], one["target"]) for one in source.splits["train"]()]
    if not chosen and not plain:  # TFDS sorts the languages of a translation
        chosen, expected = ("de", "en"), expected[::-1]
    assert tuple(source.info["languages"]) == (chosen or ("en", "de"))
    assert expected in pairs and len(pairs) == 6


def test_a_directory_of_array_records_is_read(tmp_path: Path) -> None:
    from tensorflow_datasets import features

    described = {"image": features.Image(shape=(None, None, 3)), "label": features.Scalar(np.int64)}
    place = write(
        tmp_path,
        described,
        lambda number: {"image": picture(number), "label": number % 3},
        splits=("train", "test"),
        file_format="array_record",
    )
    settings = tfds_directory.Settings(directory=place, image_shape=(16, 16, 3), train="train[:4]")
    source = tfds_directory.source(settings)
    examples = list(source.splits["train"]())
    assert source.counts == {"train": 4, "test": 6} and source.info["classes"] == ["0", "1", "2"]
    stored = task_for(source.info).examples.to_records(examples)
    assert not stored.faults
    written = {picture(number).tobytes() for number in range(6)}
    assert {pixels(image, source.info).tobytes() for image in stored.contents} <= written


@pytest.mark.parametrize("legacy", [False, True])
def test_a_description_that_names_code_of_its_own_is_refused_before_it_runs(legacy: bool, tmp_path: Path) -> None:
    place = directory(tmp_path / "data", "raw")
    (tmp_path / "planted.py").write_text("raise SystemExit('it ran')")
    name = "planted.Feature"
    values = {"type": name, "content": "{}"} if legacy else {"pythonClassName": name, "featuresDict": {"features": {}}}
    described = json.loads((place / "features.json").read_text())
    described["featuresDict"]["features"]["label"] = values
    (place / "features.json").write_text(json.dumps(described))
    with pytest.raises(StepError) as failure:
        tfds_directory.source(tfds_directory.Settings(directory=str(place), image_shape=SHAPE))
    assert "features.json names planted.Feature, code that it would run" in one_line(failure)


def test_a_folder_that_is_no_directory_is_told_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"has no dataset_info\.json; give the folder of one version"):
        check(tfds_directory.Settings(directory=str(tmp_path)))
