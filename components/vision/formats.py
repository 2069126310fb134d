"""Formats of image files, told by their first bytes, and what the headers of JPEG and PNG say: size and orientation."""

import struct
from dataclasses import dataclass
from pathlib import Path

# Names of image files; the bytes decide how a file is read.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".avif", ".jp2", ".j2k"),
)
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
# Format, by Pillow's name -> the bytes with which a file begins.
STARTS: dict[str, tuple[bytes, ...]] = {
    "JPEG": (JPEG,),
    "PNG": (PNG,),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "PPM": tuple(b"P%d%c" % (number, space) for number in range(1, 7) for space in b" \t\r\n"),
    "JPEG2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
}
# In the containers RIFF and ISO base media the format comes after a length.
CONTAINED: dict[str, tuple[int, tuple[bytes, ...]]] = {"WEBP": (8, (b"WEBP",)), "AVIF": (4, (b"ftypavif", b"ftypavis"))}
READABLE = "JPEG, PNG, WebP, BMP, TIFF, GIF, PNM, AVIF or JPEG 2000"
HEAD_BYTES = 16
# JPEG markers: start of a frame, which has the size (DHT, JPG and DAC are between); markers without a length; start of
# the scan, which ends the header; the segment of EXIF.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
SCAN, APP1 = 0xDA, 0xE1
EXIF, ORIENTATION = b"Exif\0\0", 0x0112


@dataclass(frozen=True)
class Header:
    """What a file's header says.

    Attributes:
        height: of the stored pixels, as width.
        orientation: EXIF's number, 1 to 8, of the turn or mirroring in which the image is to be shown.
        frame: of a JPEG, the marker of its frame, which tells the process of compression.
    """

    height: int
    width: int
    orientation: int = 1
    frame: int = 0

    @property
    def shown(self) -> tuple[int, int]:
        """Height and width as the image is shown."""
        return (self.width, self.height) if self.orientation > 4 else (self.height, self.width)


def format_of(data: bytes) -> str:
    """The format, by Pillow's name, of a file that begins with these bytes (HEAD_BYTES are enough); empty if it is not
    an image that can be read."""
    for name, starts in STARTS.items():
        if data.startswith(starts):
            return name
    return next((name for name, (at, starts) in CONTAINED.items() if data.startswith(starts, at)), "")


def is_image(path: Path) -> bool:
    """Whether a file is to be read as an image: by its name or, if that says nothing, by its first bytes.

    Raises:
        OSError: it cannot be read.
    """
    if path.name.lower().endswith(SUFFIXES):
        return True
    with path.open("rb") as stream:
        return bool(format_of(stream.read(HEAD_BYTES)))


def orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, in the bytes of EXIF data (a TIFF directory); 1 if it is not stated or not readable."""
    exif = exif.removeprefix(EXIF)
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order is None:
            return 1
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for number in range(count):
            tag, kind = struct.unpack_from(f"{order}HH", exif, start + 2 + 12 * number)
            if tag == ORIENTATION:
                (value,) = struct.unpack_from(f"{order}{'I' if kind == 4 else 'H'}", exif, start + 10 + 12 * number)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def png_header(data: bytes) -> Header:
    """The header of a PNG, whose first chunk has 13 bytes (ISO/IEC 15948, 11.2.1).

    Raises:
        ValueError: it is truncated.
    """
    if len(data) < 26 or data[12:16] != b"IHDR":
        raise ValueError("a PNG without a header")
    width, height = struct.unpack(">II", data[16:24])
    offset, turned = 8, 1
    while offset + 8 <= len(data):
        size, kind = int.from_bytes(data[offset : offset + 4]), data[offset + 4 : offset + 8]
        if kind == b"eXIf":
            turned = orientation(data[offset + 8 : offset + 8 + size])
            break
        offset += 12 + size
    return Header(height, width, turned)


def jpeg_header(data: bytes) -> Header:
    """The header of a JPEG, whose markers are those of ITU-T T.81, table B.1.

    Raises:
        ValueError: it is truncated.
    """
    offset, turned = 2, 0
    # Bytes between segments are skipped, as decoders do.
    while (offset := data.find(0xFF, offset)) >= 0 and offset + 4 <= len(data):
        marker = data[offset + 1]
        if marker == 0xFF:  # fill bytes
            offset += 1
        elif marker in FRAMES:
            if offset + 9 > len(data):
                break
            height, width = struct.unpack(">HH", data[offset + 5 : offset + 9])
            return Header(height, width, turned or 1, marker)
        elif marker in ALONE:
            offset += 2
        elif marker == SCAN:
            break
        else:
            size = int.from_bytes(data[offset + 2 : offset + 4])
            if marker == APP1 and not turned and data.startswith(EXIF, offset + 4):
                turned = orientation(data[offset + 4 : offset + 2 + size])
            offset += 2 + size
    raise ValueError("a JPEG without a header")
