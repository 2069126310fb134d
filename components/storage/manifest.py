"""What a whole folder holds: names, sizes and checksums, in a file that is written last."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import google_crc32c

from components.core.errors import StepError

MANIFEST = "manifest.json"
FORMAT = 1
READ_BYTES = 1 << 20
# base64 of four bytes.
CHECKSUM_LENGTH = 8
AGAIN = "remove the folder and make it again"


class Damaged(StepError):  # noqa: N818  # what it says of the folder
    """A folder that is not what was written: no manifest, or files that differ from it."""

    def __init__(self, message: str, *, advice: str = AGAIN) -> None:
        super().__init__(message, advice=advice, kind="data")


@dataclass(frozen=True)
class File:
    """A file in a folder.

    Attributes:
        size: in bytes.
        crc32c: the checksum as Cloud Storage tells it: four bytes, the highest first, in base64; empty where it has
            not been read.
    """

    size: int
    crc32c: str = ""

    @classmethod
    def of(cls, path: Path) -> Self:
        """A local file, read to its end."""
        size, total = 0, 0
        with path.open("rb") as stream:
            while data := stream.read(READ_BYTES):
                size += len(data)
                total = google_crc32c.extend(total, data)
        return cls(size, encoded(total))

    def fault(self, found: "File | None") -> str:
        """What is wrong with what was found in this one's place; empty for nothing. A checksum counts if both have it.

        A folder in Cloud Storage tells sizes and checksums without being read.
        """
        if found is None:
            return "is missing"
        if found.size != self.size:
            return f"has {found.size} bytes, where {self.size} were written"
        if self.crc32c and found.crc32c and found.crc32c != self.crc32c:
            return f"has the checksum {found.crc32c}, where {self.crc32c} was written"
        return ""


def encoded(crc32c: int) -> str:
    """A checksum as Cloud Storage writes it."""
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


def below(folder: Path) -> list[str]:
    """The names of a local folder's files, relative to it, sorted, without its manifest."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name != MANIFEST)


@dataclass(frozen=True)
class Manifest:
    """The files of a whole folder.

    Attributes:
        files: name, relative to the folder -> file.
    """

    files: Mapping[str, File]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """That of a local folder, every byte of which is read.

        Raises:
            StepError: there is nothing in it.
        """
        files = {name: File.of(folder / name) for name in below(folder)}
        if not files:
            raise StepError(f"{folder} has no files", advice="nothing can be stored of it", kind="data")
        return cls(files)

    @classmethod
    def parsed(cls, text: str, uri: str) -> Self:
        """That which a manifest's text tells.

        Args:
            uri: the folder, for messages.

        Raises:
            Damaged: the text is not one that ``text`` gave.
        """
        try:
            values = json.loads(text, object_pairs_hook=_once)
            files = {name: File(**entry) for name, entry in values["files"].items()}
            if (
                values["format"] == FORMAT
                and values["digest"] == _digest(values["files"])
                and all(_possible(*item) for item in files.items())
            ):
                return cls(files)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
        raise Damaged(f"{uri}/{MANIFEST} is not one that was written here")

    def text(self) -> str:
        """The manifest's file."""
        files = {name: {"size": file.size, "crc32c": file.crc32c} for name, file in sorted(self.files.items())}
        return json.dumps({"format": FORMAT, "digest": _digest(files), "files": files}, indent=1) + "\n"

    def only(self, names: Iterable[str], uri: str) -> "Manifest":
        """That of some of the files.

        Raises:
            FileNotFoundError: it has none of that name.
        """
        for name in names:
            if name not in self.files:
                raise FileNotFoundError(f"{uri}/{name}")
        return Manifest({name: self.files[name] for name in names})

    def faults(self, found: Mapping[str, File], *, others: bool = False) -> dict[str, str]:
        """What differs: name -> what is wrong with it.

        Args:
            others: whether a file that the manifest does not name is a fault, too.
        """
        wrong = {name: file.fault(found.get(name)) for name, file in self.files.items()}
        wrong |= dict.fromkeys(set(found) - set(self.files), "is not in the manifest") if others else {}
        return {name: fault for name, fault in sorted(wrong.items()) if fault}


def refuse(uri: str, faults: Mapping[str, str]) -> None:
    """Refuse a folder with faults.

    Raises:
        Damaged: it names the first of them.
    """
    if faults:
        name, fault = next(iter(faults.items()))
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise Damaged(f"{uri} is damaged: {name} {fault}{more}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name is given twice")
    return values


def _possible(name: str, file: File) -> bool:
    """Whether there can be such a file. A name becomes a path, and must not lead out of the folder."""
    parts = name.split("/")
    return (
        not {"", ".", ".."} & set(parts)
        and "\0" not in name
        and name != MANIFEST
        and type(file.size) is int
        and file.size >= 0
        and type(file.crc32c) is str
        and len(file.crc32c) == CHECKSUM_LENGTH
    )


def _digest(files: Mapping[str, Any]) -> str:
    """It finds a changed manifest, where the files' own checksums find changed files; 16 hexadecimal digits."""
    text = json.dumps(files, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
