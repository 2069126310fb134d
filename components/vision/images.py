"""Images from files, decoded and resized as in training, with only Pillow and NumPy.

What a file is by its bytes decides how it is read, whatever its name. Images are upright: turned as EXIF says, like
everywhere where people look at them; of several images in one file (animations, pages) the first one is read, and
transparency is ignored. Prepare, training and prediction read the same pixels, since prepare stores what
``normalised`` makes: a JPEG or PNG that TensorFlow decodes to them.
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from components.core import archives, folders
from components.core.errors import StepError
from components.vision import formats
from components.vision.formats import Header

# More than any camera takes today; 600 MB in colour, one at a time in each thread of prepare. Pillow's own limit is a
# warning, and TensorFlow, which decodes in training what prepare has accepted, has none.
MAX_PIXELS = 200_000_000
# Pillow itself refuses twice as many: WebP takes the memory for its pixels when the header is read.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
# Above it, a resized image is read row by row: Pillow's own copy is the only whole one.
LARGE = 2**23
# Files that are decoded side by side.
AHEAD = 64
# Not Image.open, which treats a JPEG with several images as another format, and knows formats that are programs.
READERS: dict[str, Any] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}
# Pillow raises SyntaxError for a broken PNG, and any of the others for other broken files.
DAMAGED = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, EOFError, struct.error),
    *(RuntimeError, ArithmeticError, Image.DecompressionBombError),
)
# EXIF's orientation -> how the stored pixels are turned or mirrored (CIPA DC-008, 4.6.5.1.2, tag 0x0112).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Frames of a JPEG that every decoder reads: baseline, extended sequential and progressive, with Huffman coding.
COMMON_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B"})


def read(path: str | Path, shape: tuple[int, int, int]) -> Iterator[tuple[str, np.ndarray | StepError]]:
    """Name and uint8 array of each image at a path, or what is wrong with it, in bounded memory.

    Args:
        path: an image file, a folder of them (including subfolders, by name), or a .npy file with one image [height,
            width] or [height, width, channels], or a stack [n, height, width, channels] or [n, height, width].
        shape: height, width and channels (1 or 3) of the result. Images are resized as by ``tf.image.resize``
            (bilinear, half-pixel centres) and converted between grey and colour.

    Raises:
        StepError: there are no images.
    """
    path = Path(path)
    if path.is_dir():
        yield from _folder(path, shape)
    elif not path.is_file():
        raise StepError(f"no such file or folder: {path}")
    elif path.suffix.lower() == ".npy":
        for name, pixels in _stack(path, shape):
            yield name, fit(pixels, shape)
    else:
        yield str(path), _result(path, shape)


def _folder(folder: Path, shape: tuple[int, int, int]) -> Iterator[tuple[str, np.ndarray | StepError]]:
    files = (path for path, problem in folders.walk(folder) if not problem and formats.is_image(path))
    none = True
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        while batch := list(islice(files, AHEAD)):
            none = False
            yield from zip(map(str, batch), pool.map(lambda path: _result(path, shape), batch), strict=True)
    if none:
        raise StepError(f"no images in {folder}", advice=f"give {formats.READABLE} files")


def _result(path: Path, shape: tuple[int, int, int]) -> np.ndarray | StepError:
    try:
        return from_file(path, shape)
    except StepError as error:
        return error


def from_file(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """One image file as uint8 [height, width, channels].

    Raises:
        StepError: the file cannot be read, is truncated or is not an image.
    """
    try:
        data = path.read_bytes()
        if not formats.format_of(data) and not path.name.lower().endswith(formats.SUFFIXES):
            raise StepError(f"{path} is not an image", advice=f"give {formats.READABLE} or .npy files, or a folder")
        return _sampled(_shown(data, shape[2])[0], shape)
    except (OSError, ValueError) as error:
        raise StepError(f"{path} cannot be read as an image: {error}") from None


def decode(data: bytes, channels: int) -> np.ndarray:
    """An image file as uint8 [height, width, channels], upright, in its own size.

    Args:
        channels: 1 or 3.

    Raises:
        ValueError: the data are truncated, damaged, too large or not an image; in one line.
    """
    return _pixels(_shown(data, channels)[0], channels)


def normalised(data: bytes, channels: int) -> tuple[bytes, np.ndarray]:
    """An image file as a JPEG or PNG that TensorFlow decodes like ``decode``, and its pixels.

    A file that is one already stays as it is. A turned JPEG is compressed again by its quantization tables; anything
    else becomes a PNG, without loss.

    Raises:
        ValueError: as of ``decode``.
    """
    image, stored = _shown(data, channels)
    pixels = _pixels(image, channels)
    if stored:
        return stored, pixels
    stream = io.BytesIO()
    grey = channels == 1 or image.mode in GREY
    Image.fromarray(pixels[..., 0] if grey else pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue(), pixels


def header(data: bytes) -> Header:
    """The header of an image file, which is not decoded.

    Raises:
        ValueError: the data are not an image, or the header is truncated.
    """
    match formats.format_of(data):
        case "":
            raise ValueError(f"not {formats.READABLE}")
        case "PNG":
            facts = formats.png_header(data)
        case "JPEG":
            facts = formats.jpeg_header(data)
        case _:
            with _opened(data) as image:
                # Pillow turns TIFF itself.
                turned = formats.orientation(image.info.get("exif", b"")) if image.format != "TIFF" else 1
                facts = Header(image.height, image.width, turned)
    if not facts.height * facts.width:
        raise ValueError(f"an image of {facts.width} x {facts.height} pixels")
    return facts


def _opened(data: bytes) -> Any:
    """An image file whose header is read.

    Raises:
        ValueError: it is damaged; in one line.
    """
    try:
        return READERS[formats.format_of(data)](io.BytesIO(data))
    except DAMAGED as error:
        raise ValueError((str(error) or type(error).__name__).splitlines()[0]) from None


def _shown(data: bytes, channels: int) -> tuple[Image.Image, bytes]:
    """An image upright, in a mode of its own, and the file that TensorFlow decodes to its pixels, if there is one.

    Raises:
        ValueError: as of ``decode``.
    """
    facts = header(data)
    if facts.height * facts.width > MAX_PIXELS:
        raise ValueError(f"{facts.width:,} x {facts.height:,} pixels, at most {MAX_PIXELS:,} pixels are decoded")
    try:
        with _opened(data) as image:
            if image.size != (facts.width, facts.height):
                raise ValueError("its header gives two sizes")
            if image.format == "PNG":
                _check_png(data)
            image.draft("L" if channels == 1 else "RGB", image.size)  # the grey channel of the JPEG, as in TensorFlow
            image.load()
            if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
                raise ValueError("its brightness has no stated range (32 bits a pixel); convert it to 8 or 16 bits")
            image.info.pop("transparency", None)
            common = image.format == "JPEG" and facts.frame in COMMON_FRAMES and image.mode in ("L", "RGB")
            if facts.orientation == 1:
                return image, data if common or image.format == "PNG" else b""
            turned = image.transpose(TURNS[facts.orientation])
            if not common:
                return turned, b""
            again = _compressed_again(image, turned, facts.orientation > 4)
    except DAMAGED as error:
        raise ValueError((str(error) or type(error).__name__).splitlines()[0]) from None
    return _shown(again, channels)


def _compressed_again(image: Any, turned: Image.Image, swapped: bool) -> bytes:
    """A turned JPEG as a file, by the quantization tables of the original, transposed if its sides were swapped."""
    tables = [np.array(table).reshape(8, 8) for table in image.quantization.values()]
    lists = [(table.T if swapped else table).ravel().tolist() for table in tables]
    stream = io.BytesIO()
    subsampling = 2 if JpegImagePlugin.get_sampling(image) == 2 else 0
    turned.save(stream, "JPEG", qtables=lists[: 1 if turned.mode == "L" else 4], subsampling=subsampling)
    return stream.getvalue()


def _pixels(image: Image.Image, channels: int) -> np.ndarray:
    """An image, or a part of one, as uint8 [height, width, channels]."""
    if image.mode.startswith("I"):  # 16 bits: the upper 8, as in TensorFlow
        grey = (np.asarray(image, np.uint32) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], channels, axis=2)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[..., None] if pixels.ndim == 2 else pixels


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
    rows = _rows(pixels.shape[0], height)
    return _interpolated(pixels[rows], rows, pixels.shape[0], height, width)


def _sampled(image: Image.Image, shape: tuple[int, int, int]) -> np.ndarray:
    """``fit`` for an image that is not an array yet; of a large one only the rows that count become one."""
    if image.width * image.height <= LARGE or image.height <= 2 * shape[0]:
        return fit(_pixels(image, shape[2]), shape)
    rows = _rows(image.height, shape[0])
    strips = [_pixels(image.crop((0, row, image.width, row + 1)), shape[2]) for row in rows.tolist()]
    return _interpolated(np.concatenate(strips), rows, image.height, *shape[:2])


def _neighbours(old: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two old positions that each new one lies between, int64 [size] each, and how near it is to the second."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(old / size) - 0.5
    below = np.floor(centres).astype(np.int64)
    return np.clip(below, 0, old - 1), np.clip(below + 1, 0, old - 1), centres - below


def _rows(old: int, height: int) -> np.ndarray:
    """The rows of an image of ``old`` rows that count when it gets ``height`` ones, ascending."""
    return np.unique(np.concatenate(_neighbours(old, height)[:2]))


def _interpolated(part: np.ndarray, rows: np.ndarray, old: int, height: int, width: int) -> np.ndarray:
    """The rows that count, uint8 [rows, any, channels], as an image of the new height and width."""
    low, high, share = _neighbours(part.shape[1], width)  # columns first: TensorFlow's order, for equal last bits
    left, right = part[:, low].astype(np.float32), part[:, high].astype(np.float32)
    values = left + (right - left) * share[:, None]
    low, high, share = _neighbours(old, height)
    top, bottom = values[np.searchsorted(rows, low)], values[np.searchsorted(rows, high)]
    result: np.ndarray = np.clip(np.round(top + (bottom - top) * share[:, None, None]), 0, 255).astype(np.uint8)
    return result


def thumbnail(pixels: np.ndarray, max_side: int) -> np.ndarray:
    """An image, uint8 [height, width, channels], reduced to at most ``max_side`` pixels along its longer side."""
    step = max(pixels.shape[:2]) / max_side
    if step <= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] / step)), max(1, round(pixels.shape[0] / step)))
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    reduced = np.asarray(image.resize(size, Image.Resampling.BOX))
    return reduced[..., None] if reduced.ndim == 2 else reduced
