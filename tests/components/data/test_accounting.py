"""Nothing is left out in silence: of every source, what is prepared, quarantined and left out add up to what it has."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from coco_folders import annotations, picture
from coco_folders import write as coco
from picture_folders import noise, pictures, saved

from components.core import choices
from components.data import DataSettings
from components.prepare.filling import Filled, fill
from components.tasks.contract import Task


@dataclass(frozen=True)
class Given:
    """A source's settings, and how many examples it was given: in all, bad ones, and ones that it leaves out.

    Attributes:
        total: None for the count that the source itself states.
    """

    settings: dict[str, Any]
    total: int | None = None
    bad: int = 0
    left_out: int = 0


def image_folder(root: Path) -> Given:
    pictures(root, {"train/a": 4, "train/b": 3, "valid/a": 2, "test/b": 2})
    for name in ("train/a/notes.txt", "train/b/x.heic", "labels.csv", "test/README"):
        (root / name).write_text("no picture")
    (root / "train/a/cut.jpg").write_bytes(saved(noise(50, 64, 64), "JPEG")[:700])
    (root / "train/a/gone.png").symlink_to("/nowhere")
    (root / "train/a/._0.png").write_bytes(b"left by a system")
    # Of train, valid and test: a picture in two of them is left out of the first.
    return Given({"folder": str(root), "image_shape": [8, 6, 3]}, total=11 + 6, bad=1, left_out=5 + 6)


def text_folder(root: Path) -> Given:
    for number, name in enumerate(("a/1.txt", "a/2.txt", "b/1.txt", "b/2.TXT", "b/notes.md", "a/empty.txt")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("" if "empty" in name else f"text {number}")
    return Given({"folder": str(root)}, total=6, bad=1, left_out=1)


def text_file(root: Path) -> Given:
    rows = [*(f"text {number},{'ab'[number % 2]}" for number in range(9)), "nul \0,a"]
    (root / "rows.csv").write_text("\n".join(["text,label", *rows, ""]))
    return Given({"file": str(root / "rows.csv")}, total=10, bad=1)


def parallel_text(root: Path) -> Given:
    (root / "pairs.tsv").write_text("one\teins\ntwo\tzwei\nthree\nfour\tvier\n")
    return Given({"file": str(root / "pairs.tsv")}, total=4, bad=1)


def coco_folder(root: Path) -> Given:
    found = annotations()
    found["annotations"].append({"id": 9, "image_id": 404, "category_id": 3, "bbox": [0, 0, 1, 1]})
    found["images"].append({"id": 40, "file_name": "gone.png"})
    (coco(root / "x", found) / "more.png").write_bytes(picture(9))
    return Given({"folder": str(root / "x"), "image_shape": [32, 32, 3]}, total=6, bad=2, left_out=1)


def packaged(**settings: Any) -> Callable[[Path], Given]:
    return lambda _: Given({"limit": 12, **settings})


SOURCES: dict[str, Callable[[Path], Given]] = {
    "image_folder": image_folder,
    "text_folder": text_folder,
    "text_file": text_file,
    "parallel_text": parallel_text,
    "coco_folder": coco_folder,
    "digits": packaged(),
    "fashion_mnist": packaged(),
    "movie_reviews": packaged(),
    "number_words": packaged(),
    "composed_scenes": packaged(train_scenes=20, test_scenes=15),
}
# Their streams are of TensorFlow Datasets: components.data.tfds.from_builder.
OTHERS = {"tfds", "tfds_directory"}


def test_every_source_is_among_them() -> None:
    assert {*SOURCES, *OTHERS} == set(choices.names("data"))


@pytest.mark.parametrize("name", SOURCES)
def test_prepared_quarantined_and_left_out_add_up(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    given = SOURCES[name](tmp_path / "in")
    module = choices.load("data", name)
    settings: DataSettings = module.Settings(**json.loads(json.dumps(given.settings)), quarantine=5)
    source = module.source(settings)
    (tmp_path / "out").mkdir()
    filled: Filled = fill(source, settings, Task(settings.task, source.info).examples, tmp_path / "out")
    prepared = sum(sum(split.counts) for split in filled.splits)
    total = given.total or sum(source.counts.values())
    left_out = given.left_out or total - prepared - given.bad
    assert (prepared, len(filled.quarantined)) == (total - given.bad - left_out, given.bad)
    assert filled.reasons().total() == left_out
    assert filled.account().startswith(f"{total:,} examples: {prepared:,} prepared, {given.bad} quarantined, ")
    if settings.limit:
        assert prepared <= settings.limit * len(source.splits) and filled.left_out["beyond data.limit"] > 0
