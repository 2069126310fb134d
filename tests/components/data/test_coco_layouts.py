"""Folders in COCO's format as tools lay them out, and file names as they spell them."""

import json
from pathlib import Path

import pytest
from coco_folders import annotations, picture, settings, stored, write

from components.data import coco_folder


def left_out(folder: Path) -> dict[str, int]:
    return {
        one["left_out"]: one["count"]
        for one in coco_folder.source(settings(folder)).splits["train"]()
        if "count" in one
    }


def laid_out(root: Path, files: dict[str, str], images: dict[str, list[str]], prefix: str = "") -> Path:
    """Split -> its annotations' path, and the paths of its images, whose file names begin after ``prefix``."""
    for split, file in files.items():
        content = annotations()
        for number, name in enumerate(images[split]):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(picture(number))
            content["images"][number]["file_name"] = name.removeprefix(prefix.format(split=split))
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(json.dumps(content))
    return root


def numbered(start: str) -> list[str]:
    return [f"{start}/{number}.png" for number in range(3)]


SPLITS = ("train", "valid", "test")
LAYOUTS: dict[str, tuple[dict[str, str], dict[str, list[str]], str]] = {
    "Roboflow": (
        {split: f"{split}/_annotations.coco.json" for split in SPLITS},
        {split: numbered(split) for split in SPLITS},
        "{split}/",
    ),
    "CVAT": ({"train": "annotations/instances_default.json"}, {"train": numbered("images")}, "images/"),
    "CVAT with subsets": (
        {"Train": "annotations/instances_Train.json", "Validation": "annotations/instances_Validation.json"},
        {split: numbered(f"images/{split}") for split in ("Train", "Validation")},
        "images/{split}/",
    ),
    "COCO": (
        {split: f"annotations/instances_{split}2017.json" for split in ("train", "val")},
        {split: numbered(f"{split}2017") for split in ("train", "val")},
        "{split}2017/",
    ),
    "Label Studio": ({"train": "result.json"}, {"train": numbered("images")}, ""),
    "FiftyOne": ({"train": "labels.json"}, {"train": numbered("data")}, "data/"),
    "a folder for each split": (
        {split: f"{split}/annotations.json" for split in SPLITS},
        {split: numbered(f"{split}/images") for split in SPLITS},
        "{split}/images/",
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_exports_of_tools_are_read_as_they_are(tmp_path: Path, name: str) -> None:
    source = coco_folder.source(settings(laid_out(tmp_path, *LAYOUTS[name])))
    ours = {"train": "train", "Train": "train", "test": "test"}
    assert sorted(source.splits) == sorted({ours.get(split, "validation") for split in LAYOUTS[name][0]})
    for stream in source.splits.values():
        examples = list(stream())
        assert len(examples) == 3 and not any("fault" in one for one in examples)


def test_images_that_no_annotations_list_are_counted(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", annotations())
    (folder / "more").mkdir()
    for name in ("more/d.png", "e.webp", "._a.png"):
        (folder / name).write_bytes(picture(9))
    assert left_out(folder) == {"images that no annotations list": 2}
    assert coco_folder.source(settings(folder)).counts == {"train": 5}


@pytest.mark.parametrize(
    "spelled",
    ["deep\\c.png", ".\\deep\\c.png", "./deep/c.png", "deep%2Fc.png", "/data/local-files/?d=deep/c.png", "deep//c.png"],
)
def test_names_that_other_systems_wrote_are_found(tmp_path: Path, spelled: str) -> None:
    found = annotations()
    found["images"][2]["file_name"] = spelled
    _, kept = stored(write(tmp_path / "x", found))
    assert not kept.faults


@pytest.mark.parametrize(
    ("on_disk", "said"), [("caf\u00e9 1.png", "cafe\u0301%201.png"), ("cafe\u0301.png", "caf\u00e9.png")]
)
def test_composed_and_decomposed_letters_are_the_same(tmp_path: Path, on_disk: str, said: str) -> None:
    found = annotations()
    found["images"][0]["file_name"] = said
    folder = write(tmp_path / "x", found)
    (folder / "a.png").rename(folder / on_disk)
    assert not stored(folder)[1].faults


@pytest.mark.parametrize("said", ["C:\\Users\\me\\deep\\c.png", "/home/me/C.PNG", "../upload/c.png"])
def test_a_name_that_is_not_there_is_told_with_a_similar_one(tmp_path: Path, said: str) -> None:
    found = annotations()
    found["images"][2]["file_name"] = said
    source = coco_folder.source(settings(write(tmp_path / "x", found)))
    *_, fault = (one["fault"] for one in source.splits["train"]() if "fault" in one)
    assert fault.endswith("did you mean deep/c.png?") or fault == "the file is outside the annotations' folder"
