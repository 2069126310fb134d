"""Archives from outside, checked before they are unpacked: no paths out of the folder, no bombs, no objects."""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

# The largest ratio of unpacked to packed size, and the unpacked size that is always allowed: weights hardly compress,
# while Deflate reaches a ratio of up to 1,032 (zlib.net/zlib_tech.html).
MAX_RATIO, FREE_BYTES = 100, 2**26
MAX_MEMBERS = 100_000
# The exceptions of readers of archives and arrays for damaged files.
DAMAGED = (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def check(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse an archive that is not safe to unpack.

    Args:
        size: of the archive file, in bytes.

    Raises:
        ValueError: a member leads out of the folder, is a link or occurs twice, or the whole is too large; in one line.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"it has {len(members):,} members, at most {MAX_MEMBERS:,} were expected")
    names = set()
    for member in members:
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        if not is_inside(name):
            raise ValueError(f"its member {name!r} would be written outside its folder")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"its member {name!r} is a link or a device")
        if name in names:
            raise ValueError(f"its member {name!r} occurs twice")
        names.add(name)
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(FREE_BYTES, MAX_RATIO * size):
        raise ValueError(f"it would grow from {size:,} to {unpacked:,} bytes")


def is_inside(name: str) -> bool:
    """Whether a relative name, on any system, stays in the folder that it is joined to."""
    if not name or "\0" in name or "\\" in name or ":" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive that is safe to unpack.

    Raises:
        ValueError: it is not safe.
        OSError, zipfile.BadZipFile: it cannot be read.
    """
    # Opened here, since ZipFile does not close its own file if it fails.
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        check(archive, path.stat().st_size)
        yield archive


# --- NumPy's files ---------------------------------------------------------------------------------------------------


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, by name.

    Raises:
        one of DAMAGED: the archive is damaged, or an array does not match its header.
    """
    result = {}
    with open_archive(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as stream:
                result[member.filename.removesuffix(".npy")] = _array(stream, member.file_size)
    return result


def array(path: Path) -> np.ndarray:
    """The array of a .npy file.

    Raises:
        one of DAMAGED: the file is not an array, or does not match its header.
    """
    with path.open("rb") as stream:
        return _array(stream, path.stat().st_size)


def _array(stream: IO[bytes], size: int) -> np.ndarray:
    """Read an array, after a check that the size in its header matches the bytes.

    Objects are refused: unpickling runs the code that they name.
    """
    shape, kind = _header(stream)
    if kind.hasobject:
        raise ValueError("it holds Python objects, numbers were expected")
    start = stream.tell()
    claimed = kind.itemsize
    for side in shape:
        claimed *= side
    if min(shape, default=0) < 0 or start + claimed != size:
        raise ValueError(f"its header claims {kind} {list(shape)}, which its {size:,} bytes are not")
    stream.seek(0)
    read: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    # The checksum of a member is compared at its end.
    stream.read(1)
    return read


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"its format version {version} is unknown")
    try:
        shape, _, kind = read(stream)
    # NumPy parses it as Python source, whose tokenizer and parser raise many exceptions.
    except Exception as error:
        raise ValueError(f"its header cannot be read ({type(error).__name__})") from None
    return shape, kind
