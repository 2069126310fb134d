"""Folders in COCO's format, and every way in which they can be wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_folders import HEIGHT, WIDTH, annotations, settings, stored, write
from picture_folders import STORED, photographed

from components import storage
from components.core.errors import StepError
from components.data import coco_folder
from components.vision import images


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
        (changed(images=[{"id": [1], "file_name": "a.png"}]), r"images\[0\].id is neither a number nor a text"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_annotations_that_are_none_stop_at_once(tmp_path: Path, found: Any, message: str) -> None:
    folder = write(tmp_path / "x", found)
    with pytest.raises(StepError, match=message) as failure:
        coco_folder.source(settings(folder))
    assert "\n" not in str(failure.value)
    assert coco_folder.facts(settings(folder)) is None


@pytest.mark.parametrize("said", [None, 0, "", "0", 60, "60", 60.0, "60.0"])
def test_a_size_that_is_not_stated_or_written_as_text_is_no_fault(tmp_path: Path, said: Any) -> None:
    found = annotations()
    found["images"][0] |= {"width": said, "height": HEIGHT if said else said}
    examples, kept = stored(write(tmp_path / "x", found))
    assert not kept.faults
    np.testing.assert_allclose(examples[0]["boxes"][0], [0.1, 0.1, 0.6, 0.6])


def test_a_size_that_is_no_number_is_told(tmp_path: Path) -> None:
    found = annotations()
    found["images"][0]["width"] = "wide"
    assert stored_faults(write(tmp_path / "x", found)) == {0: "its width 'wide' is not a number"}


def stored_faults(folder: Path) -> dict[int, str]:
    examples = list(coco_folder.source(settings(folder)).splits["train"]())
    return {position: one["fault"] for position, one in enumerate(examples) if "fault" in one}


@pytest.mark.parametrize(
    "change", [str, float, "img_{}".format, lambda number: number if number == 7 else f"x{number}"]
)
def test_ids_may_be_what_json_has(tmp_path: Path, change: Any) -> None:
    found = annotations()
    for image in found["images"]:
        image["id"] = change(image["id"])
    for note in found["annotations"]:
        note["image_id"] = change(note["image_id"])
        note["category_id"] = str(note["category_id"])
        del note["id"]
    for category in found["categories"]:
        category["id"] = str(category["id"])
    examples, kept = stored(write(tmp_path / "x", found))
    assert not kept.faults and [len(one["labels"]) for one in examples] == [2, 1, 0]


POLYGON = [6, 4, 36, 4, 36, 24, 6, 24]


@pytest.mark.parametrize("box", ["missing", None, [], [0, 0, 0, 0]])
@pytest.mark.parametrize(
    "mask",
    [
        [POLYGON],
        POLYGON,
        [POLYGON[:6], POLYGON[2:]],
        [[str(value) for value in POLYGON]],
        {"size": [HEIGHT, WIDTH], "counts": [6 * HEIGHT + 4, *([20, 20] * 29), 20, 24 * HEIGHT - 24]},
        "compressed",
    ],
    ids=str,
)
def test_a_mask_without_a_box_has_its_own(tmp_path: Path, box: Any, mask: Any) -> None:
    from pycocotools import mask as masks

    if mask == "compressed":
        pixels = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
        pixels[4:24, 6:36] = 1
        mask = masks.encode(pixels)
        mask["counts"] = mask["counts"].decode()
    found = annotations()
    found["annotations"][0] |= {"segmentation": mask, "bbox": box}
    if box == "missing":
        del found["annotations"][0]["bbox"]
    examples, kept = stored(write(tmp_path / "x", found))
    assert not kept.faults
    np.testing.assert_allclose(examples[0]["boxes"][0], [0.1, 0.1, 0.6, 0.6])


@pytest.mark.parametrize(
    "mask", [[[1, 2]], [[1, 2, 3, 4, 5]], ["a"], {"counts": [1]}, {"size": [0, 0], "counts": "a"}, 5, [[]]]
)
def test_neither_box_nor_mask_sets_the_picture_aside(tmp_path: Path, mask: Any) -> None:
    found = annotations()
    found["annotations"][0] |= {"segmentation": mask, "bbox": None}
    faults = stored_faults(write(tmp_path / "x", found))
    assert list(faults) == [0] and faults[0].startswith("annotation 1: it has no bbox")


@pytest.mark.parametrize("said", [0, 0.0, False, None, "0", "false", "False", "", "no"])
def test_what_says_no_is_no_crowd(tmp_path: Path, said: Any) -> None:
    found = annotations()
    found["annotations"][3]["iscrowd"] = said
    source = coco_folder.source(settings(write(tmp_path / "x", found)))
    assert source.info["most_boxes"] == 2 and not source.notes
    assert [len(one["labels"]) for one in source.splits["train"]()] == [2, 2, 0]


@pytest.mark.parametrize("said", [1, True, "1", "true", "TRUE"])
def test_crowds_are_counted_and_refused_if_nothing_else_is_left(tmp_path: Path, said: Any) -> None:
    found = annotations()
    found["annotations"][3]["iscrowd"] = said
    folder = write(tmp_path / "x", found)
    assert coco_folder.source(settings(folder)).notes == ("1 of 4 objects of train are marked iscrowd and left out.",)
    for note in found["annotations"]:
        note["iscrowd"] = said
    (folder / coco_folder.FILE).write_text(json.dumps(found))
    with pytest.raises(StepError, match=r"all 4 objects are marked iscrowd, and none is left.*; set iscrowd to 0"):
        coco_folder.source(settings(folder))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("stated", ["as shown", "as stored", "not at all"])
def test_boxes_lie_on_their_objects_whatever_way_the_camera_was_held(
    tmp_path: Path, orientation: int, stated: str
) -> None:
    """A dark object in a bright picture: its box, of a tool that shows the picture upright, or of one that does not."""
    height, width, (left, top, right, bottom) = 48, 80, (8, 4, 40, 16)
    upright = np.full((height, width, 3), 240, np.uint8)
    upright[top:bottom, left:right] = 10
    stored_pixels = STORED[orientation](upright)
    if stated == "as stored" and stored_pixels.shape == upright.shape:
        pytest.skip("the stated size does not tell the two apart: boxes are about the picture as it is shown")
    seen = stored_pixels if stated == "as stored" else upright
    rows, columns = (np.flatnonzero((seen[..., 0] < 100).any(axis=axis)) for axis in (1, 0))
    box = [int(columns[0]), int(rows[0]), len(columns), len(rows)]
    size = {} if stated == "not at all" else {"height": seen.shape[0], "width": seen.shape[1]}
    found = {
        "images": [{"id": 1, "file_name": "a.jpg", **size}],
        "categories": [{"id": 1, "name": "dark"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box}],
    }
    (tmp_path / "a.jpg").write_bytes(photographed(upright, orientation, quality=95))
    (tmp_path / coco_folder.FILE).write_text(json.dumps(found))
    examples, kept = stored(tmp_path)
    assert not kept.faults and kept.features["height"].tolist() == [height]
    np.testing.assert_allclose(examples[0]["boxes"], [[0.1, 4 / 48, 0.5, 16 / 48]], atol=1e-6)
    pixels = images.decode(kept.contents[0], 3)
    assert pixels[top + 2 : bottom - 2, left + 2 : right - 2].max() < 40 and pixels[bottom + 2 :].min() > 200


def test_a_folder_in_cloud_storage_is_read_like_one_here(tmp_path: Path, bucket: str) -> None:
    storage.upload(write(tmp_path / "x", annotations()), f"{bucket}/boxes")
    source = coco_folder.source(coco_folder.Settings(folder=f"{bucket}/boxes", image_shape=(32, 32, 3)))
    assert [one["labels"].tolist() for one in source.splits["train"]()] == [[0, 1], [1], []]


def test_a_folder_without_annotations_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"has neither annotations.json nor train/annotations.json; put"):
        coco_folder.source(settings(tmp_path))
    with pytest.raises(StepError, match="no such folder"):
        coco_folder.source(settings(tmp_path / "nowhere"))
