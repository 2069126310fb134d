"""The manifest of a folder: names, sizes and checksums of its files, written last."""

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
ADVICE = "remove the folder and create it again"


class Damaged(StepError):  # noqa: N818  # it names the state of a folder
    """A folder is not as it was written: it has no valid manifest, or files that differ from it."""

    def __init__(self, message: str, *, advice: str = ADVICE) -> None:
        super().__init__(message, advice=advice, kind="data")


@dataclass(frozen=True)
class File:
    """A file in a folder.

    Attributes:
        size: in bytes.
        crc32c: the checksum in the form of Cloud Storage, four bytes, big-endian, in base64; empty if unknown.
    """

    size: int
    crc32c: str = ""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a local file."""
        size, total = 0, 0
        with path.open("rb") as stream:
            while data := stream.read(READ_BYTES):
                size += len(data)
                total = google_crc32c.extend(total, data)
        return cls(size, encode_checksum(total))

    def difference(self, actual: "File | None") -> str:
        """How the actual file differs from this one; empty if it does not. Checksums count if both are known."""
        if actual is None:
            return "is missing"
        if actual.size != self.size:
            return f"has {actual.size} bytes instead of {self.size}"
        if self.crc32c and actual.crc32c and actual.crc32c != self.crc32c:
            return f"has the checksum {actual.crc32c} instead of {self.crc32c}"
        return ""


def encode_checksum(crc32c: int) -> str:
    """A checksum in the form of Cloud Storage."""
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


def file_names(folder: Path) -> list[str]:
    """The names of a local folder's files, relative to it, sorted, without the manifest."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name != MANIFEST)


@dataclass(frozen=True)
class Manifest:
    """The files of a complete folder.

    Attributes:
        files: name, relative to the folder -> file.
    """

    files: Mapping[str, File]

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """The manifest of a local folder, whose files are read in full.

        Raises:
            StepError: the folder is empty, or holds a link, which could lead to any file of this machine.
        """
        if links := sorted(path for path in folder.rglob("*") if path.is_symlink()):
            raise StepError(f"cannot store {links[0]}: it is a link", advice="replace it by a copy", kind="data")
        files = {name: File.read(folder / name) for name in file_names(folder)}
        if not files:
            raise StepError(f"cannot store {folder}: the folder is empty", kind="data")
        return cls(files)

    @classmethod
    def parse(cls, text: str, uri: str) -> Self:
        """The manifest of a file's text.

        Args:
            uri: the folder, for messages.

        Raises:
            Damaged: the text is not from ``text``.
        """
        try:
            values = json.loads(text, object_pairs_hook=_without_duplicates)
            files = {name: File(**entry) for name, entry in values["files"].items()}
            if (
                values["format"] == FORMAT
                and values["digest"] == _digest(values["files"])
                and all(_valid(*item) for item in files.items())
            ):
                return cls(files)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
        raise Damaged(f"{uri}/{MANIFEST} is not valid")

    def text(self) -> str:
        """The content of the manifest's file."""
        return json.dumps({"format": FORMAT, "digest": self.digest, "files": self._entries()}, indent=1) + "\n"

    @property
    def digest(self) -> str:
        """16 hexadecimal digits for all names, sizes and checksums."""
        return _digest(self._entries())

    def _entries(self) -> dict[str, dict[str, Any]]:
        return {name: {"size": file.size, "crc32c": file.crc32c} for name, file in sorted(self.files.items())}

    def subset(self, names: Iterable[str], uri: str) -> "Manifest":
        """The manifest of some of the files.

        Raises:
            FileNotFoundError: a file is not in the manifest.
        """
        for name in names:
            if name not in self.files:
                raise FileNotFoundError(f"{uri}/{name}")
        return Manifest({name: self.files[name] for name in names})

    def differences(self, actual: Mapping[str, File], *, unexpected: bool = False) -> dict[str, str]:
        """The actual files that differ: name -> difference.

        Args:
            unexpected: whether to include files that are not in the manifest.
        """
        result = {name: file.difference(actual.get(name)) for name, file in self.files.items()}
        result |= dict.fromkeys(set(actual) - set(self.files), "is not in the manifest") if unexpected else {}
        return {name: difference for name, difference in sorted(result.items()) if difference}


def refuse(uri: str, differences: Mapping[str, str]) -> None:
    """Refuse a folder whose files differ from its manifest.

    Raises:
        Damaged: there are differences; the message has the first.
    """
    if differences:
        name, difference = next(iter(differences.items()))
        more = f", and {len(differences) - 1} more" if len(differences) > 1 else ""
        raise Damaged(f"{uri} is damaged: {name} {difference}{more}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name occurs twice")
    return values


def _valid(name: str, file: File) -> bool:
    """Whether an entry is valid. Its name becomes a path, which must not lead out of the folder."""
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
    """16 hexadecimal digits that protect the manifest itself; the checksums protect the files."""
    text = json.dumps(files, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
