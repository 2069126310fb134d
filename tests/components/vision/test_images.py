"""Pictures for prediction are what training saw."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_folders import photographed, quarters, saved
from PIL import Image, ImageOps

from components.core.errors import StepError
from components.tasks._images.examples import parse_images
from components.tasks.contract import Task
from components.vision import formats, images


def trained_on(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """The pixels of a source's file that a network is trained on: stored by prepare, decoded by TensorFlow."""
    import tensorflow as tf

    info = {"image_shape": list(shape), "encoding": "encoded", "classes": ["a"]}
    stored = Task("image_classification", info).examples.to_records([{"image": data, "label": 0}])
    assert not stored.faults
    pixels: np.ndarray = parse_images(tf.constant(stored.contents), info)[0].numpy()
    return pixels


def predicted_on(data: bytes, shape: tuple[int, int, int], folder: Path) -> np.ndarray:
    (folder / "picture").write_bytes(data)
    return images.from_file(folder / "picture", shape)


def scene(height: int = 37, width: int = 53, channels: int = 3) -> np.ndarray:
    """A smooth picture with an edge, uint8."""
    rows, columns = np.mgrid[:height, :width]
    planes = [128 + 100 * np.sin(rows / (5 + plane) + columns / 9) for plane in range(channels)]
    picture = np.stack(planes, axis=-1)
    picture[height // 3 : height // 2] = 250
    return picture.astype(np.uint8)


@pytest.mark.parametrize("size", [(20, 20), (64, 64), (37, 53), (50, 11)])
def test_resizing_is_tensorflows(size: tuple[int, int]) -> None:
    import tensorflow as tf

    expected = tf.cast(tf.clip_by_value(tf.round(tf.image.resize(scene(), size)), 0, 255), tf.uint8)
    assert (images.resize(scene(), *size) == expected.numpy()).mean() > 0.998
    assert np.abs(images.resize(scene(), *size).astype(int) - expected.numpy()).max() <= 1


@pytest.mark.parametrize(("suffix", "channels"), [("png", 1), ("png", 3), ("jpg", 1), ("jpg", 3)])
def test_files_decode_as_training_decodes_them(tmp_path: Path, suffix: str, channels: int) -> None:
    path = tmp_path / f"scene.{suffix}"
    Image.fromarray(scene()).save(path)
    seen = trained_on(path.read_bytes(), (37, 53, channels))
    found = images.from_file(path, (37, 53, channels))
    if suffix == "png" and channels == 1:
        assert np.abs(found.astype(int) - seen).max() <= 1, "libpng and Pillow round the grey value of a colour apart"
    else:
        assert (found == seen).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_upright_in_training_and_prediction(kind: str, orientation: int, tmp_path: Path) -> None:
    data, shape = photographed(quarters(), orientation, kind, quality=90), (48, 80, 3)
    seen = trained_on(data, shape)
    assert (seen == predicted_on(data, shape, tmp_path)).all()
    middles = [seen[row, column].astype(int) for row in (12, 36) for column in (20, 60)]
    expected = [quarters()[row, column].astype(int) for row in (12, 36) for column in (20, 60)]
    assert np.abs(np.array(middles) - expected).max() < 12


@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"progressive": True}])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("orientation", [3, 6])
def test_a_turned_jpeg_stays_a_jpeg_of_its_quality(
    options: dict[str, Any], channels: int, orientation: int, tmp_path: Path
) -> None:
    data = photographed(scene(64, 96), orientation, quality=92, **options)
    stored, pixels = images.normalised(data, channels)
    assert stored.startswith(formats.JPEG) and len(stored) < 1.5 * len(data)
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")).astype(int)
    assert np.abs(pixels.squeeze() - upright).mean() < 2
    shape = (64, 96, channels)
    assert (trained_on(data, shape) == predicted_on(data, shape, tmp_path)).all()


def animation(kind: str) -> bytes:
    frames = [Image.fromarray(pixels) for pixels in (quarters(), quarters()[::-1])]
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:], lossless=True)
    return stream.getvalue()


def transparent_palette() -> bytes:
    image = Image.fromarray(quarters()).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    stream = io.BytesIO()
    image.save(stream, "PNG", transparency=bytes([0, 90, 255, 255]))
    return stream.getvalue()


DEEP = (quarters()[..., 0].astype(np.uint16) << 8) + 77
# What people's folders hold -> the largest difference to the picture in colour: of compression, and of few colours.
FILES: dict[str, tuple[bytes, int]] = {
    "grey JPEG": (saved(quarters(), "JPEG", "L", quality=95), 255),
    "CMYK JPEG": (saved(quarters(), "JPEG", "CMYK", quality=95), 12),
    "progressive JPEG": (saved(quarters(), "JPEG", progressive=True, quality=95), 120),
    "PNG with transparency": (saved(np.dstack([quarters(), quarters()[..., 0]]), "PNG"), 0),
    "grey PNG with transparency": (saved(quarters(), "PNG", "LA"), 255),
    "palette PNG": (saved(quarters(), "PNG", "P"), 60),
    "palette PNG with transparency": (transparent_palette(), 60),
    "PNG of 1 bit": (saved(quarters(), "PNG", "1"), 255),
    "PNG of 16 bits": (saved(DEEP, "PNG"), 255),
    "TIFF of 16 bits": (saved(DEEP, "TIFF"), 255),
    "TIFF of 16 bits, big-endian": (saved(DEEP.astype(">u2"), "TIFF"), 255),
    "TIFF": (saved(quarters(), "TIFF", compression="tiff_lzw"), 0),
    "CMYK TIFF": (saved(quarters(), "TIFF", "CMYK"), 1),
    "TIFF of several pages": (animation("TIFF"), 0),
    "WebP": (saved(quarters(), "WEBP", lossless=True), 0),
    "WebP with transparency": (saved(np.dstack([quarters(), 255 - quarters()[..., 0] // 4]), "WEBP", lossless=True), 0),
    "animated WebP": (animation("WEBP"), 0),
    "GIF": (saved(quarters(), "GIF"), 60),
    "animated GIF": (animation("GIF"), 60),
    "animated PNG": (animation("PNG"), 0),
    "BMP": (saved(quarters(), "BMP"), 0),
    "PPM": (saved(quarters(), "PPM"), 0),
    "PGM of 16 bits": (saved(DEEP, "PPM"), 255),
    "AVIF": (saved(quarters(), "AVIF", quality=95), 120),
    "JPEG 2000": (saved(quarters(), "JPEG2000"), 0),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("error")
def test_prepare_and_training_take_the_same_files_and_prediction_sees_the_same_pixels(
    name: str, channels: int, tmp_path: Path
) -> None:
    data, tolerance = FILES[name]
    shape = (48, 80, channels)
    seen, given = trained_on(data, shape).astype(int), predicted_on(data, shape, tmp_path)
    # libpng and Pillow round the grey value of a colour apart.
    assert np.abs(seen - given).max() <= (1 if channels == 1 and data.startswith(formats.PNG) else 0)
    if channels == 3:
        assert np.abs(seen - quarters()).max() <= tolerance


def test_pixels_whose_brightness_is_not_stated_are_told() -> None:
    for values in (np.zeros((8, 8), np.float32), np.zeros((8, 8), np.int32)):
        with pytest.raises(ValueError, match="its brightness has no stated range"):
            images.normalised(saved(values, "TIFF"), 1)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "I;16"])
@pytest.mark.parametrize("shape", [(7, 5, 3), (20, 300, 1), (96, 96, 3)])
def test_a_large_image_is_resized_by_the_rows_that_count(
    mode: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = saved(DEEP, "PNG") if mode == "I;16" else saved(scene(211, 307), "PNG", mode)
    whole = images.fit(images.decode(data, shape[2]), shape)
    monkeypatch.setattr(images, "LARGE", 1)
    assert (predicted_on(data, shape, tmp_path) == whole).all()


def test_16_bit_and_transparent_pictures_are_read(tmp_path: Path) -> None:
    grey = (scene(8, 8, 1)[..., 0].astype(np.uint16) << 8) + 77
    Image.fromarray(grey).save(tmp_path / "deep.png")
    assert (images.from_file(tmp_path / "deep.png", (8, 8, 1)) == scene(8, 8, 1)).all()
    Image.fromarray(np.dstack([scene(8, 8), np.zeros((8, 8), np.uint8)])).save(tmp_path / "clear.png")
    assert (images.from_file(tmp_path / "clear.png", (8, 8, 3)) == scene(8, 8)).all()


def test_a_folder_gives_its_pictures_in_order_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.png", "b/a.JPEG", "a.jpg"):
        Image.fromarray(scene(9, 9)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    found = dict(images.read(tmp_path, (8, 8, 1)))
    assert [Path(name).name for name in found] == ["a.jpg", "a.JPEG", "c.png"]
    assert {pixels.shape for pixels in found.values() if isinstance(pixels, np.ndarray)} == {(8, 8, 1)}


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((8, 8), ["x.npy"]),
        ((8, 8, 1), ["x.npy"]),
        ((12, 9, 3), ["x.npy"]),
        ((2, 8, 8), ["x.npy[0]", "x.npy[1]"]),
        ((3, 8, 8, 1), ["x.npy[0]", "x.npy[1]", "x.npy[2]"]),
        ((1, 20, 30, 3), ["x.npy[0]"]),
    ],
)
def test_arrays_hold_one_picture_or_a_stack(tmp_path: Path, shape: tuple[int, ...], names: list[str]) -> None:
    np.save(tmp_path / "x.npy", np.full(shape, 7, np.uint8))
    found = list(images.read(tmp_path / "x.npy", (8, 8, 1)))
    assert [Path(name).name for name, _ in found] == names
    assert all(np.array_equal(pixels, np.full((8, 8, 1), 7)) for _, pixels in found)


def cut(path: Path) -> None:
    Image.fromarray(scene(200, 200)).save(path)
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.png", None, "no such file"),
        ("a.txt", b"hello", "is not an image"),
        ("a.png", b"hello", "not JPEG, PNG"),
        ("a.png", b"", "not JPEG, PNG"),
        ("cut.png", cut, "cannot be read"),
        ("cut.jpg", cut, "cannot be read"),
        ("a.npy", b"hello", "cannot be read as a NumPy array"),
        ("a.npy", np.zeros((8, 8)), "must hold uint8 pixels"),
        ("a.npy", np.zeros((0, 8, 8, 1), np.uint8), "must hold uint8 pixels"),
        ("a.npy", np.zeros((2, 8, 8, 5), np.uint8), "a stack, not [2, 8, 8, 5]"),
        ("a.npy", np.array([{"a": 1}]), "cannot be read as a NumPy array"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path, name: str, content: object, said: str) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    elif callable(content):
        content(path)
    try:
        ((_, error),) = images.read(path, (8, 8, 1))
    except StepError as raised:
        error = raised
    assert isinstance(error, StepError) and said in str(error)
    assert "\n" not in str(error)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no images in"):
        list(images.read(tmp_path, (8, 8, 1)))


def test_a_folder_is_read_as_it_is_consumed(tmp_path: Path) -> None:
    """Memory does not grow with the number of pictures: a later one is not read before it is asked for."""
    for number in range(3 * images.AHEAD):
        (tmp_path / f"{number:03}.png").write_bytes(saved(scene(9, 9), "PNG"))
    reading = images.read(tmp_path, (8, 8, 1))
    assert isinstance(next(reading)[1], np.ndarray)
    for path in sorted(tmp_path.iterdir())[images.AHEAD :]:
        path.write_bytes(b"another content")
    found = [content for _, content in reading]
    assert [isinstance(content, StepError) for content in found] == [False] * (images.AHEAD - 1) + [True] * (
        2 * images.AHEAD
    )


def test_a_bad_file_in_a_folder_leaves_the_others(tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        Image.fromarray(scene(9, 9)).save(tmp_path / name)
    cut(tmp_path / "b.jpg")
    (tmp_path / "._a.png").write_bytes(b"left by macOS")
    found = list(images.read(tmp_path, (8, 8, 1)))
    assert [(Path(name).name, type(content)) for name, content in found] == [
        ("a.png", np.ndarray),
        ("b.jpg", StepError),
        ("c.png", np.ndarray),
    ]
