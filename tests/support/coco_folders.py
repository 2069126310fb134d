"""Small folders in COCO's format."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
    examples = [one for one in source.splits["train"]() if "left_out" not in one]
    faults = {position: one["fault"] for position, one in enumerate(examples) if "fault" in one}
    whole = [position for position in range(len(examples)) if position not in faults]
    kept = Task("object_detection", source.info).examples.to_records([examples[position] for position in whole])
    found = faults | {whole[position]: fault for position, fault in kept.faults.items()}
    return examples, replace(kept, faults=found)
