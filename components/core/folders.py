"""Folders of files that people give: what is in them, without what systems leave there."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from components.core.errors import StepError

# Left by macOS, Windows, ext4, NAS systems and editors, beside everything whose name begins with a dot (AppleDouble
# files ``._x``, ``.DS_Store``, ``.ipynb_checkpoints``, ``.git``). In lower case.
LEFT_BY_SYSTEMS = frozenset(
    {
        *("__macosx", "icon\r", "network trash folder", "temporary items"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("lost+found", "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "__pycache__"),
    }
)
# Why a path is not a file to be read.
DANGLING, LINKED_FOLDER, SPECIAL = "links to nothing", "links to folders", "pipes, sockets and devices"


def is_left_by_system(name: str) -> bool:
    """Whether a file or folder of this name was left by a system and is none of the user's data."""
    return name.startswith((".", "~$")) or name.lower() in LEFT_BY_SYSTEMS


def entries(folder: Path) -> "list[os.DirEntry[str]]":
    """What a folder holds, by name, without what systems leave.

    Raises:
        StepError: it cannot be read.
    """
    try:
        with os.scandir(folder) as scanned:
            visible = [entry for entry in scanned if not is_left_by_system(entry.name)]
    except OSError as error:
        raise StepError(f"{folder} cannot be read: {os.strerror(error.errno or 0)}") from None
    return sorted(visible, key=lambda entry: entry.name)


def walk(folder: Path, within: Path | None = None) -> Iterator[tuple[Path, str]]:
    """The files in a folder at any depth, by name, without what systems leave; linked folders are not entered.

    Args:
        within: if given, no link may lead out of this folder.

    Returns:
        The path of each, and the reason if it cannot be read as a file, or an empty string.

    Raises:
        StepError: a folder cannot be read, or a link leads out.
    """
    for entry in entries(folder):
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from walk(path, within)
            continue
        problem = _problem(entry)
        if within and not problem and entry.is_symlink():
            check_link(path, within)
        yield path, problem


def _problem(entry: "os.DirEntry[str]") -> str:
    with suppress(OSError):  # a circle of links
        if entry.is_file():
            return ""
        if entry.is_dir():
            return LINKED_FOLDER
    return DANGLING if entry.is_symlink() else SPECIAL


def check_link(path: Path, folder: Path) -> None:
    """Whoever can fill a folder must not make a step read other files of this machine.

    Raises:
        StepError: the path leads out of the folder.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise StepError(f"{path} is a link that leads out of {folder}", advice="replace it by a copy")
