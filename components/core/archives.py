"""Archives from outside, looked at before anything is unpacked: no name that leaves the folder, no bomb, no objects."""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# What a whole archive may become, times its own size and at least so much: weights hardly shrink, and what they are
# written as is not packed at all. Deflate packs nothing 1,032 times as small or more (zlib.net/zlib_tech.html).
MOST_TIMES, FREE_BYTES = 100, 2**26
MOST_MEMBERS = 100_000
# What a reader of archives and arrays raises at a damaged one.
DAMAGED = (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def checked(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse an archive that may not be unpacked.

    Args:
        size: the archive's own, in bytes.

    Raises:
        ValueError: a name leads elsewhere, is a link or comes twice, or the whole would be too large; in one line.
    """
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"it has {len(members):,} members, at most {MOST_MEMBERS:,} were expected")
    names = set()
    for member in members:
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        if not inside(name):
            raise ValueError(f"its member {name!r} would be written outside its folder")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"its member {name!r} is a link or a device")
        if name in names:
            raise ValueError(f"its member {name!r} comes twice")
        names.add(name)
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(FREE_BYTES, MOST_TIMES * size):
        raise ValueError(f"it would grow from {size:,} to {unpacked:,} bytes")


def inside(name: str) -> bool:
    """Whether a relative name, on any system, stays below the folder that it is joined to."""
    if not name or "\0" in name or "\\" in name or ":" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive that may be unpacked.

    Raises:
        ValueError: it may not.
        OSError, zipfile.BadZipFile: it cannot be read.
    """
    # Opened here: a reader that fails leaves open what it opened itself.
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        checked(archive, path.stat().st_size)
        yield archive


# --- NumPy's files ---------------------------------------------------------------------------------------------------


def arrays(path: Path) -> "dict[str, np.ndarray]":
    """Every array of a .npz file, by name.

    Raises:
        one of DAMAGED: it is no whole archive of arrays, or an array is not what its header says.
    """
    found = {}
    with opened(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as stream:
                found[member.filename.removesuffix(".npy")] = _array(stream, member.file_size)
    return found


def array(path: Path) -> "np.ndarray":
    """The array of a .npy file.

    Raises:
        one of DAMAGED: it is none, or not what its header says.
    """
    with path.open("rb") as stream:
        return _array(stream, path.stat().st_size)


def _array(stream: "IO[bytes]", size: int) -> "np.ndarray":
    """Read an array whose header says how large it is, which is not believed before the bytes are known to be there.

    Objects would be unpickled, which runs whatever code they name.
    """
    import numpy as np

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
    # The end of a member is where its checksum is compared.
    stream.read(1)
    return read


def _header(stream: "IO[bytes]") -> "tuple[tuple[int, ...], np.dtype[Any]]":
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"its format version {version} is unknown")
    try:
        shape, _, kind = read(stream)
    # NumPy parses it as Python's text, by whose tokenizer and parser it fails in many ways.
    except Exception as error:
        raise ValueError(f"its header cannot be read ({type(error).__name__})") from None
    return shape, kind
