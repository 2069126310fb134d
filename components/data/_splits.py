"""Folders of official splits, by the names that people and tools give them."""

from collections.abc import Iterable
from pathlib import Path

from components.core.errors import StepError
from components.data import SPLITS

# In lower case; ``valid`` is Roboflow's, ``val`` COCO's and PyTorch's, ``dev`` that of language data.
SPELLINGS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_of(name: str) -> str:
    """The split that a folder's name means, such as ``validation`` for ``valid`` and ``Val``; empty if none. A year
    may follow, as in COCO's ``train2017``."""
    return SPELLINGS.get(name.lower().rstrip("0123456789").rstrip("_-"), "")


def by_split(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Split -> the one of the names that means it, in the order of SPLITS.

    Raises:
        StepError: two names mean the same split.
    """
    folders: dict[str, str] = {}
    for name in names:
        if split := split_of(name):
            if split in folders:
                raise StepError(
                    f"{root} has {folders[split]} and {name}, which both mean the {split} split",
                    advice="keep one of them there",
                )
            folders[split] = name
    return {split: folders[split] for split in SPLITS if split in folders}
