"""Folders in COCO's format, and every way in which they can be wrong."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.core.errors import StepError
from components.core.examples import Records
from components.data import coco_folder
from components.tasks.contract import Task

HEIGHT, WIDTH = 40, 60


def picture(seed: int = 0) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def annotations() -> dict[str, Any]:
    """Three pictures: of two objects, of one, and of none. Ids are those of a file that was cut from a larger one."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "height": HEIGHT, "width": WIDTH},
            {"id": 9, "file_name": "b.png"},
            {"id": 12, "file_name": "deep/c.png"},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [6, 4, 30, 20]},
            {"id": 2, "image_id": 9, "category_id": 18, "bbox": [0, 0, 60, 40]},
            {"id": 3, "image_id": 7, "category_id": 18, "bbox": [12, 8, 3.0, 2.0], "iscrowd": 0},
            {"id": 4, "image_id": 9, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    }


def write(folder: Path, found: Any) -> Path:
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "deep/c.png")):
        (folder / name).write_bytes(picture(number))
    (folder / coco_folder.FILE).write_text(found if isinstance(found, str) else json.dumps(found))
    return folder


def settings(folder: Path) -> coco_folder.Settings:
    return coco_folder.Settings(folder=str(folder), image_shape=(32, 32, 3))


def stored(folder: Path) -> tuple[list[dict[str, Any]], Records]:
    source = coco_folder.source(settings(folder))
    examples = list(source.splits["train"]())
    return examples, Task("object_detection", source.info).examples.to_records(examples)


def test_boxes_become_fractions_and_categories_labels(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", annotations())
    examples, kept = stored(folder)
    assert not kept.faults
    assert [one["labels"].tolist() for one in examples] == [[0, 1], [1], []]
    np.testing.assert_allclose(examples[0]["boxes"], [[0.1, 0.1, 0.6, 0.6], [0.2, 0.2, 0.25, 0.25]])
    assert examples[2]["boxes"].shape == (0, 4)
    source, facts = coco_folder.source(settings(folder)), coco_folder.facts(settings(folder))
    assert source.info["classes"] == ["car", "dog"] and source.info["most_boxes"] == 2
    assert facts is not None and (facts.counts, facts.classes) == ({"train": 3}, 2) == (source.counts, 2)


def test_folders_of_splits_are_the_official_splits(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(tmp_path / name, annotations())
    source = coco_folder.source(settings(tmp_path))
    assert source.counts == {"train": 3, "test": 3}
    other = annotations()
    other["categories"].reverse()
    (tmp_path / "test" / coco_folder.FILE).write_text(json.dumps(other))
    assert next(coco_folder.source(settings(tmp_path)).splits["test"]())["labels"].tolist() == [0, 1]
    other["categories"][0]["name"] = "cat"
    (tmp_path / "test" / coco_folder.FILE).write_text(json.dumps(other))
    with pytest.raises(StepError, match="test and train have different categories"):
        coco_folder.source(settings(tmp_path))


@pytest.mark.parametrize(
    ("where", "value", "fault"),
    [
        (("annotations", 0, "bbox"), [50, 4, 30, 20], r"object 1: its box from \(50, 4\) to \(80, 24\) lies outside"),
        (("annotations", 0, "bbox"), [-9, 4, 30, 20], "lies outside the picture of 60 x 40 pixels"),
        (("annotations", 0, "bbox"), [30, 4, -20, 20], "is inverted"),
        (("annotations", 0, "bbox"), [30, 4, 0, 20], "has no area"),
        (("annotations", 0, "bbox"), [30, 4, 20], "annotation 1: bbox must be 4 numbers"),
        (("annotations", 0, "bbox"), [30, 4, 20, None], "annotation 1: bbox must be 4 numbers"),
        (("annotations", 0, "bbox"), [float("nan"), 4, 20, 3], "not a number"),
        (("annotations", 0, "category_id"), 99, "annotation 1: there is no category with the id 99"),
        (("images", 0, "file_name"), "gone.png", "the file cannot be read: No such file"),
        (("images", 0, "file_name"), "../../secret.png", "outside the annotations' folder"),
        (("images", 0, "height"), 41, "the image is 60 x 40 pixels, the annotations say 60 x 41"),
        (("images", 0, "file_name"), coco_folder.FILE, "cannot be read as an image"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_object_sets_its_picture_aside(tmp_path: Path, where: Any, value: Any, fault: str) -> None:
    found = annotations()
    found[where[0]][where[1]][where[2]] = value
    examples, kept = stored(write(tmp_path / "x", found))
    assert list(kept.faults) == [0] and len(kept.contents) == 2
    with pytest.raises(ValueError, match=fault):
        raise ValueError(kept.faults[0])
    assert "\n" not in kept.faults[0] and examples[0]["name"].startswith(str(tmp_path))


def test_an_annotation_of_no_picture_is_set_aside_by_its_own_name(tmp_path: Path) -> None:
    found = annotations()
    found["annotations"][1]["image_id"] = 1000
    examples, kept = stored(write(tmp_path / "x", found))
    assert kept.faults == {3: "there is no image with the id 1000"}
    assert examples[3]["name"] == f"annotation 2 of {tmp_path / 'x' / coco_folder.FILE}"


def changed(**lists: Any) -> dict[str, Any]:
    return {name: values for name, values in {**annotations(), **lists}.items() if values is not None}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ('{"images": [', "is not JSON"),
        ("[1, 2]", "is not in COCO's format"),
        ("[" * 100_000, "is not JSON"),
        (changed(annotations=None), "it has no list 'annotations'"),
        (changed(images=[{"id": 1}]), r"images\[0\] lacks file_name"),
        (changed(images=[5]), r"images\[0\] lacks id, file_name"),
        (changed(categories=[]), "has no categories"),
        (changed(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "two of the categories have the same"),
        (changed(categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]), "two categories have the same name"),
        (changed(images=[{"id": 1, "file_name": "a.png"}] * 2), "two of the images have the same id"),
        (changed(images=[{"id": [1], "file_name": "a.png"}]), r"images\[0\].id is not a whole number"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_annotations_that_are_none_stop_at_once(tmp_path: Path, found: Any, message: str) -> None:
    folder = write(tmp_path / "x", found)
    with pytest.raises(StepError, match=message) as failure:
        coco_folder.source(settings(folder))
    assert "\n" not in str(failure.value)
    assert coco_folder.facts(settings(folder)) is None


def test_a_folder_without_annotations_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"has neither annotations.json nor train/annotations.json; put"):
        coco_folder.source(settings(tmp_path))
    with pytest.raises(StepError, match="no such folder"):
        coco_folder.source(settings(tmp_path / "nowhere"))
