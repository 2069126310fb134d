"""Images from files, decoded and resized as in training, with only Pillow and NumPy."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin

from components.core import archives
from components.core.errors import StepError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
# More than any camera takes today; 600 MB in colour, one at a time in each thread of prepare. Pillow's own limit is a
# warning, and TensorFlow, which decodes in training what prepare has accepted, has none.
MAX_PIXELS = 200_000_000
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
# JPEG markers: start of a frame, which has the size (DHT, JPG and DAC are between); markers without a length; start of
# the scan, which ends the header.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
SCAN = 0xDA


def read(path: str | Path, shape: tuple[int, int, int]) -> list[tuple[str, np.ndarray]]:
    """Name and uint8 array of each image at a path.

    Args:
        path: a JPEG or PNG file, a folder of them (including subfolders, sorted by name), or a .npy file with one image
            [height, width] or [height, width, channels], or a stack [n, height, width, channels] or [n, height, width].
        shape: height, width and channels (1 or 3) of the result. Images are resized as by ``tf.image.resize``
            (bilinear, half-pixel centres) and converted between grey and colour.

    Raises:
        StepError: there are no images, or one of them cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not files:
            raise StepError(f"no JPEG or PNG files in {path}")
        return [(str(file), from_file(file, shape)) for file in files]
    if not path.is_file():
        raise StepError(f"no such file or folder: {path}")
    if path.suffix.lower() == ".npy":
        return [(name, fit(pixels, shape)) for name, pixels in _stack(path, shape)]
    if path.suffix.lower() not in SUFFIXES:
        raise StepError(f"{path} is not an image", advice="give JPEG, PNG or .npy files, or a folder of images")
    return [(str(path), from_file(path, shape))]


def from_file(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """One JPEG or PNG file as uint8 [height, width, channels].

    Raises:
        StepError: the file cannot be read, is truncated or is not an image.
    """
    try:
        return fit(decode(path.read_bytes(), shape[2]), shape)
    except (OSError, ValueError) as error:
        raise StepError(f"{path} cannot be read as an image: {error}") from None


def decode(data: bytes, channels: int) -> np.ndarray:
    """A JPEG or PNG file as uint8 [height, width, channels], in its own size.

    Args:
        channels: 1 or 3.

    Raises:
        ValueError: the data are truncated, damaged, too large or not an image; in one line.
    """
    height, width = size(data)
    if height * width > MAX_PIXELS:
        raise ValueError(f"{width:,} x {height:,} pixels, at most {MAX_PIXELS:,} pixels are decoded")
    mode = "L" if channels == 1 else "RGB"
    # Not Image.open, which treats a JPEG with several images as another format, and warns of large images.
    read = PngImagePlugin.PngImageFile if data.startswith(PNG) else JpegImagePlugin.JpegImageFile
    try:
        with read(io.BytesIO(data)) as image:
            if image.size != (width, height):
                raise ValueError("its header gives two sizes")
            if image.format == "PNG":
                _check_png(data)
            if image.mode.startswith("I"):  # 16 bits: the upper 8, as in TensorFlow
                grey = (np.asarray(image, np.uint32) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], channels, axis=2)
            image.draft(mode, image.size)  # the grey channel of the JPEG itself, as in TensorFlow
            pixels = np.asarray(image.convert(mode))
    # Pillow raises SyntaxError for a broken PNG, and any of the others for other broken headers.
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, EOFError, struct.error) as error:
        raise ValueError((str(error) or type(error).__name__).splitlines()[0]) from None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def size(data: bytes) -> tuple[int, int]:
    """Height and width from the header of a JPEG or PNG file, without decoding it.

    The JPEG markers are those of ITU-T T.81, table B.1; PNG's first chunk has 13 bytes (ISO/IEC 15948, 11.2.1).

    Raises:
        ValueError: the data are neither JPEG nor PNG, or the header is truncated.
    """
    if data.startswith(PNG):
        if len(data) < 26 or data[12:16] != b"IHDR":
            raise ValueError("a PNG without a header")
        width, height = struct.unpack(">II", data[16:24])
    elif data.startswith(JPEG):
        height, width = _jpeg_size(data)
    else:
        raise ValueError("not a JPEG or PNG")
    if not height * width:
        raise ValueError(f"an image of {width} x {height} pixels")
    return height, width


def _jpeg_size(data: bytes) -> tuple[int, int]:
    offset = 2
    # Bytes between segments are skipped, as decoders do.
    while (offset := data.find(0xFF, offset)) >= 0 and offset + 4 <= len(data):
        marker = data[offset + 1]
        if marker == 0xFF:  # fill bytes
            offset += 1
        elif marker in FRAMES:
            if offset + 9 > len(data):
                break
            height, width = struct.unpack(">HH", data[offset + 5 : offset + 9])
            return height, width
        elif marker in ALONE:
            offset += 2
        elif marker == SCAN:
            break
        else:
            offset += 2 + int.from_bytes(data[offset + 2 : offset + 4])
    raise ValueError("a JPEG without a header")


def _check_png(data: bytes) -> None:
    """Check what Pillow ignores and TensorFlow does not: the checksum of each chunk, and the last chunk."""
    offset = 8
    while offset < len(data):
        end = offset + 12 + int.from_bytes(data[offset : offset + 4])
        if zlib.crc32(data[offset + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ValueError("a PNG with a wrong checksum")
        if data[offset + 4 : offset + 8] == b"IEND":
            return
        offset = end
    raise ValueError("a PNG without its last chunk")


def _stack(path: Path, shape: tuple[int, int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """The images of a .npy file, with their index in the name if there are several."""
    try:
        array = archives.array(path)
    except archives.DAMAGED as error:
        raise StepError(f"{path} cannot be read as a NumPy array: {str(error).splitlines()[0]}") from None
    if array.dtype != np.uint8 or not array.size:
        raise StepError(
            f"{path} must hold uint8 pixels of 0 to 255, not {array.dtype} {list(array.shape)}",
            advice="save images.astype('uint8')",
        )
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3) and array.shape[1:] != shape[:2]):
        yield str(path), array
        return
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] not in (1, 3)):
        shapes = "[height, width], [height, width, channels] or a stack"
        raise StepError(f"{path} must hold {shapes}, not {list(array.shape)}")
    for number, pixels in enumerate(array):
        yield f"{path}[{number}]", pixels


def fit(pixels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """An image, uint8 [height, width] or [height, width, channels], in the given shape."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] == 1 and shape[2] == 3:
        pixels = np.repeat(pixels, 3, axis=2)
    elif pixels.shape[2] == 3 and shape[2] == 1:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    return resize(pixels, shape[0], shape[1])


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image, uint8 [any, any, channels], resized: bilinear with half-pixel centres, rounded."""
    if pixels.shape[:2] == (height, width):
        return pixels
    values = pixels.astype(np.float32)
    for axis, size in ((1, width), (0, height)):  # TensorFlow's order, for equal last bits
        old = pixels.shape[axis]
        centres = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(old / size) - 0.5
        below = np.floor(centres).astype(np.int64)
        share = (centres - below).reshape([-1 if dimension == axis else 1 for dimension in range(3)])
        low = np.take(values, np.clip(below, 0, old - 1), axis=axis)
        high = np.take(values, np.clip(below + 1, 0, old - 1), axis=axis)
        values = low + (high - low) * share
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def thumbnail(pixels: np.ndarray, max_side: int) -> np.ndarray:
    """An image, uint8 [height, width, channels], reduced to at most ``max_side`` pixels along its longer side."""
    step = max(pixels.shape[:2]) / max_side
    if step <= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] / step)), max(1, round(pixels.shape[0] / step)))
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    reduced = np.asarray(image.resize(size, Image.Resampling.BOX))
    return reduced[..., None] if reduced.ndim == 2 else reduced
