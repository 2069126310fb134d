"""What files are by their first bytes, and what their headers say."""

import struct
from pathlib import Path

import numpy as np
import pytest
from picture_folders import photographed, quarters, saved

from components.vision import formats, images

NAMES = {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP", "AVIF", "JPEG2000"])
def test_the_bytes_decide_whatever_the_name(kind: str, tmp_path: Path) -> None:
    data = saved(quarters(), kind)
    assert formats.format_of(data) == formats.format_of(data[: formats.HEAD_BYTES]) == kind
    for name in ("picture", "picture.dat", "picture.jpg"):
        (tmp_path / name).write_bytes(data)
        assert formats.is_image(tmp_path / name)
        assert images.from_file(tmp_path / name, (48, 80, 3)).shape == (48, 80, 3)


@pytest.mark.parametrize(
    "data", [b"", b"text", b"%PDF-1.7", b"PK\3\4", b"RIFF\0\0\0\0WAVE", b"P5", b"\0\0\0\x18ftypmp42"]
)
def test_other_bytes_are_not_images(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    assert not formats.format_of(data) and not formats.is_image(tmp_path / "file")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_header_tells_the_size_that_is_shown(kind: str, orientation: int) -> None:
    data = photographed(quarters(48, 80), orientation, kind)
    assert images.header(data).shown == (48, 80)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("value", "expected"), [(6, 6), (1, 1), (0, 1), (9, 1), (65535, 1)])
def test_orientation_is_read_in_both_byte_orders(order: str, value: int, expected: int) -> None:
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    entries = struct.pack(f"{order}HHIHH", 0x010F, 3, 1, 7, 0) + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, value, 0)
    exif = head + struct.pack(f"{order}H", 2) + entries
    assert formats.orientation(exif) == formats.orientation(formats.EXIF + exif) == expected
    assert {formats.orientation(exif[:size]) for size in range(len(exif) - 3)} == {1}, "what is cut says nothing"


def test_a_long_jpeg_comment_before_exif_hides_nothing() -> None:
    data = photographed(quarters(), 6)
    comment = b"\xff\xfe" + (60_000).to_bytes(2) + b"\xff\xc0" * 29_999
    assert images.header(data[:2] + comment + data[2:]).orientation == 6
    assert np.array_equal(images.decode(data[:2] + comment + data[2:], 3), images.decode(data, 3))
