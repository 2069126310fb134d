"""A folder of images with boxes in COCO's format: annotations.json next to the images, or as tools lay it out."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from components.core import project
from components.core.config import Positive
from components.core.errors import StepError
from components.data import DataSettings, Facts, Source, folder_state, local_path
from components.data._coco import Annotations
from components.data._coco_layouts import FILES, ImageFiles, places

FILE = FILES[0]


class Settings(DataSettings):
    """Images, and a file with the boxes of their objects. Images without objects are examples, too.

    Attributes:
        folder: contains ``annotations.json`` and its images, or the folders train and optionally validation (or valid,
            val) and test, each with its own ``annotations.json``, which are then the official splits. Exports of
            Roboflow, CVAT, Label Studio, FiftyOne and COCO's own layout are read as they are. A local path, or ``gs://``,
            which is copied to this machine while it is read, and read again according to ``version`` and ``max_age``.
        image_shape: height, width and channels of the model's input; images of other sizes are resized.
    """

    name: Literal["coco_folder"] = "coco_folder"
    task: str = "object_detection"
    folder: Annotated[str, Field(min_length=1)]
    image_shape: tuple[Positive, Positive, Literal[1, 3]]

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape

    def locations(self) -> dict[str, str]:
        return {"folder": self.folder}


def state(settings: Settings) -> str:
    """A digest of the names, sizes and times of all files."""
    return folder_state(settings.folder)


def facts(settings: Settings) -> Facts | None:
    """Counts from the annotations; None if they cannot be read."""
    try:
        splits = _splits(project.path(settings.folder))
    except StepError:
        return None
    return Facts({split: len(one.images) for split, one in splits.items()}, len(splits["train"].names), encoded=True)


def source(settings: Settings) -> Source:
    """The image files, with their boxes from the annotations.

    Raises:
        StepError: the annotations are missing or cannot be read, all objects of a split are crowds, or the splits have
            different categories.
    """
    root = local_path(settings.folder)
    splits = _splits(root)
    train = splits["train"]
    for split, one in splits.items():
        if one.names != train.names:
            raise StepError(f"{split} and train have different categories", advice="give all splits the same list")
        if one.crowds and not one.objects:
            raise StepError(
                f"{one.location.file}: all {one.crowds:,} objects are marked iscrowd, and none is left: groups are "
                "neither trained nor counted",
                advice="set iscrowd to 0 where an annotation is one object",
            )
    files = ImageFiles(root)
    listed = {path for one in splits.values() for path in one.listed(files)}
    unlisted = {"train": files.unlisted(listed)}
    return Source(
        info={
            "classes": list(train.names.values()),
            "image_shape": list(settings.image_shape),
            "encoding": "encoded",
            # At least 1: an array needs a size.
            "most_boxes": max(1, *(one.most_boxes() for one in splits.values())),
        },
        splits={split: partial(one.stream, files, unlisted.get(split, {})) for split, one in splits.items()},
        counts={split: one.count() + sum(unlisted.get(split, {}).values()) for split, one in splits.items()},
        version=settings.version,
        licence=train.licence,
        text=f"pictures with boxes of the folder {Path(settings.folder).name}",
        notes=tuple(note for split, one in splits.items() for note in one.notes(split)),
    )


def _splits(root: Path) -> dict[str, Annotations]:
    """The annotations of each split.

    Raises:
        StepError: they are missing or cannot be read.
    """
    return {split: Annotations.read(location) for split, location in places(root).items()}
