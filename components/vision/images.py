"""Pictures from files, decoded and resized as training sees them, with nothing but Pillow and NumPy."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components.core import archives
from components.core.errors import StepError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
# More than any camera of today's takes; in colour 600 MB, of which a thread of prepare holds one at a time. Pillow's
# own limit is a warning, and TensorFlow, which decodes in training what prepare has let pass, has none.
MOST_PIXELS = 200_000_000
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
# JPEG's markers: start of a frame, which holds the size (DHT, JPG and DAC lie between); those without a length; start
# of the scan, after which there is no header any more.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
SCAN = 0xDA


def read(path: str | Path, shape: tuple[int, int, int]) -> list[tuple[str, np.ndarray]]:
    """Name and uint8 array of every picture behind a path.

    Args:
        path: a JPEG or PNG file, a folder of them (with its subfolders, in the order of their names), or a .npy file
            with one picture [height, width] or [height, width, channels], or a stack [n, height, width, channels] or
            [n, height, width].
        shape: height, width and channels (1 or 3) of the result. Other sizes are resized as ``tf.image.resize`` does
            (bilinear, half-pixel centres), grey becomes colour and colour grey.

    Raises:
        StepError: there is no such file, no picture in it, or one that cannot be read.
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
        return [(name, fitted(pixels, shape)) for name, pixels in _stack(path, shape)]
    if path.suffix.lower() not in SUFFIXES:
        raise StepError(f"{path} is no picture", advice="give JPEG, PNG or .npy files, or a folder of pictures")
    return [(str(path), from_file(path, shape))]


def from_file(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """One JPEG or PNG file as uint8 [height, width, channels].

    Raises:
        StepError: it cannot be read, is cut short or is no picture.
    """
    try:
        return fitted(decoded(path.read_bytes(), shape[2]), shape)
    except (OSError, ValueError) as error:
        raise StepError(f"{path} cannot be read as a picture: {error}") from None


def decoded(data: bytes, channels: int) -> np.ndarray:
    """The bytes of a JPEG or PNG file as uint8 [height, width, channels], at its own size.

    Args:
        channels: 1 or 3.

    Raises:
        ValueError: it is cut short, damaged, too large or no picture; in one line.
    """
    from PIL import JpegImagePlugin, PngImagePlugin

    height, width = size(data)
    if height * width > MOST_PIXELS:
        raise ValueError(f"{width:,} x {height:,} pixels, at most {MOST_PIXELS:,} pixels are decoded")
    mode = "L" if channels == 1 else "RGB"
    # Not Image.open, which takes the first of several pictures in a JPEG for another format and warns of large ones.
    read = PngImagePlugin.PngImageFile if data.startswith(PNG) else JpegImagePlugin.JpegImageFile
    try:
        with read(io.BytesIO(data)) as image:
            if image.size != (width, height):
                raise ValueError("its header gives two sizes")
            if image.format == "PNG":
                _check_png(data)
            if image.mode.startswith("I"):  # 16 bits: the upper 8, as TensorFlow takes them
                grey = (np.asarray(image, np.uint32) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], channels, axis=2)
            image.draft(mode, image.size)  # the grey that a JPEG itself stores, as TensorFlow takes it
            pixels = np.asarray(image.convert(mode))
    # Pillow raises SyntaxError for a broken PNG, and what a parser in Python raises for other broken headers.
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, EOFError, struct.error) as error:
        raise ValueError((str(error) or type(error).__name__).splitlines()[0]) from None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def size(data: bytes) -> tuple[int, int]:
    """The height and width that a JPEG or PNG file claims in its header; nothing is decoded.

    The JPEG markers are those of ITU-T T.81, table B.1; PNG's first chunk is of 13 bytes (ISO/IEC 15948, 11.2.1).

    Raises:
        ValueError: it is neither, or its header is cut short.
    """
    if data.startswith(PNG):
        if len(data) < 26 or data[12:16] != b"IHDR":
            raise ValueError("a PNG without its header")
        width, height = struct.unpack(">II", data[16:24])
    elif data.startswith(JPEG):
        height, width = _jpeg_size(data)
    else:
        raise ValueError("not a JPEG or PNG")
    if not height * width:
        raise ValueError(f"a picture of {width} x {height} pixels")
    return height, width


def _jpeg_size(data: bytes) -> tuple[int, int]:
    place = 2
    # Bytes between segments are passed over, as decoders do.
    while (place := data.find(0xFF, place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        if marker == 0xFF:  # fill bytes
            place += 1
        elif marker in FRAMES:
            if place + 9 > len(data):
                break
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return height, width
        elif marker in ALONE:
            place += 2
        elif marker == SCAN:
            break
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4])
    raise ValueError("a JPEG without its header")


def _check_png(data: bytes) -> None:
    """Check what Pillow passes over and TensorFlow refuses: the sum of every chunk, and the last chunk's presence."""
    place = 8
    while place < len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4])
        if zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ValueError("a PNG with a wrong checksum")
        if data[place + 4 : place + 8] == b"IEND":
            return
        place = end
    raise ValueError("a PNG without its end")


def _stack(path: Path, shape: tuple[int, int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """The pictures of a .npy file, named by their number where it holds several."""
    try:
        array = archives.array(path)
    except archives.DAMAGED as error:
        raise StepError(f"{path} cannot be read as a NumPy array: {str(error).splitlines()[0]}") from None
    if array.dtype != np.uint8 or not array.size:
        raise StepError(
            f"{path} must hold uint8 pixels of 0 to 255, not {array.dtype} {list(array.shape)}",
            advice="save images.astype('uint8')",
        )
    one = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3) and array.shape[1:] != shape[:2])
    if one:
        yield str(path), array
        return
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] not in (1, 3)):
        shapes = "[height, width], [height, width, channels] or a stack"
        raise StepError(f"{path} must hold {shapes}, not {list(array.shape)}")
    for number, pixels in enumerate(array):
        yield f"{path}[{number}]", pixels


def fitted(pixels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """A picture, uint8 [height, width] or [height, width, channels], in the wanted shape."""
    from PIL import Image

    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] == 1 and shape[2] == 3:
        pixels = np.repeat(pixels, 3, axis=2)
    elif pixels.shape[2] == 3 and shape[2] == 1:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    return resized(pixels, shape[0], shape[1])


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture, uint8 [any, any, channels], at another size: bilinear with half-pixel centres, rounded."""
    if pixels.shape[:2] == (height, width):
        return pixels
    values = pixels.astype(np.float32)
    for axis, size in ((1, width), (0, height)):  # TensorFlow's order, for the last bit
        old = pixels.shape[axis]
        places = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(old / size) - 0.5
        below = np.floor(places).astype(np.int64)
        share = (places - below).reshape([-1 if dimension == axis else 1 for dimension in range(3)])
        low = np.take(values, np.clip(below, 0, old - 1), axis=axis)
        high = np.take(values, np.clip(below + 1, 0, old - 1), axis=axis)
        values = low + (high - low) * share
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def small(picture: np.ndarray, most: int) -> np.ndarray:
    """A picture, uint8 [height, width, channels], made small enough to have many of them in a page.

    Args:
        most: pixels that its longer side may have.
    """
    from PIL import Image

    step = max(picture.shape[:2]) / most
    if step <= 1:
        return picture
    size = (max(1, round(picture.shape[1] / step)), max(1, round(picture.shape[0] / step)))
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    resized = np.asarray(image.resize(size, Image.Resampling.BOX))
    return resized[..., None] if resized.ndim == 2 else resized
