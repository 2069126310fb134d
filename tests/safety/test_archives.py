"""Archives and arrays from outside: no name that leaves the folder, no bomb, no objects, no believed header."""

import io
import pickle
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.core import archives


def packed(path: Path, *names: str, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            member = zipfile.ZipInfo("placeholder")
            member.filename, member.external_attr = name, mode << 16
            archive.writestr(member, b"x")
    return path


@pytest.mark.parametrize(
    "name", ["../up", "a/../../up", "/etc/cron.d/x", "..", "C:\\x", "a\\..\\..\\up", "c:x", "a/..", "//host/x"]
)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    assert not archives.is_inside(name)
    with pytest.raises(ValueError, match="outside its folder"), archives.open_archive(packed(tmp_path / "a.zip", name)):
        pass


@pytest.mark.parametrize("name", ["a", "a/b.npy", "assets/..hidden", "a..b", "dir/"])
def test_a_plain_name_is_not(tmp_path: Path, name: str) -> None:
    with archives.open_archive(packed(tmp_path / "a.zip", name)) as archive:
        assert archive.namelist() == [name]


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device_is_refused(tmp_path: Path, mode: int) -> None:
    path = packed(tmp_path / "a.zip", "link", mode=mode)
    with pytest.raises(ValueError, match="is a link or a device"), archives.open_archive(path):
        pass


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="occurs twice"), archives.open_archive(packed(tmp_path / "a.zip", "x", "x")):
        pass


def test_a_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(archives.FREE_BYTES + 1))
    with pytest.raises(ValueError, match="it would grow from"), archives.open_archive(path):
        pass


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    given = {
        "key": np.array(["a", "é"]),
        "logits": np.eye(3, dtype=np.float32),
        "none": np.empty((0, 4)),
        "one": np.array(7),
    }
    np.savez(tmp_path / "a.npz", **given)
    found = archives.arrays(tmp_path / "a.npz")
    assert list(found) == list(given)
    for name, values in given.items():
        np.testing.assert_array_equal(found[name], values, strict=True)
    np.save(tmp_path / "a.npy", np.asfortranarray(np.arange(6).reshape(2, 3)))
    np.testing.assert_array_equal(archives.array(tmp_path / "a.npy"), np.arange(6).reshape(2, 3))


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("it was unpickled",))


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([Harmful()], object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        archives.array(tmp_path / "a.npy")
    # A bare pickle has no header of an array.
    (tmp_path / "b.npy").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError):
        archives.array(tmp_path / "b.npy")


@pytest.mark.parametrize("shape", ["(10**12, 10**6)", "(1000000000000000,)", "(-5,)", "(2**70,)", "(3, 99999999)"])
def test_a_header_that_claims_more_than_there_is_costs_no_memory(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    content = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(24)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(archives.DAMAGED):
        archives.array(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(archives.DAMAGED):
        archives.arrays(tmp_path / "a.npz")


def test_a_changed_byte_of_an_array_is_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(1000))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[4000] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(zipfile.BadZipFile):
        archives.arrays(tmp_path / "a.npz")


def test_what_follows_an_array_is_not_ignored() -> None:
    stream = io.BytesIO()
    np.save(stream, np.arange(4))
    with pytest.raises(ValueError, match="header claims"):
        archives._array(io.BytesIO(stream.getvalue()), len(stream.getvalue()) + 1)
