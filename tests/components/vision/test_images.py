"""Pictures for prediction are what training saw."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.errors import StepError
from components.tasks.contract import Task
from components.vision import images


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
    import tensorflow as tf

    path = tmp_path / f"scene.{suffix}"
    Image.fromarray(scene()).save(path)
    features = {"image": path.read_bytes(), "label": 0, "key": b"k", "brightness": 0.5}
    kinds = {bytes: "bytes_list", int: "int64_list", float: "float_list"}
    example = tf.train.Example()
    for name, value in features.items():
        getattr(example.features.feature[name], kinds[type(value)]).value.append(value)
    info = {"image_shape": [37, 53, channels], "encoding": "encoded", "classes": ["a"]}
    seen = (
        Task("image_classification", info)
        .examples.parse(tf.constant([example.SerializeToString()]))["image"][0]
        .numpy()
    )
    found = images.from_file(path, (37, 53, channels))
    if suffix == "png" and channels == 1:
        assert np.abs(found.astype(int) - seen).max() <= 1, "libpng and Pillow round the grey value of a colour apart"
    else:
        assert (found == seen).all()


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
    found = images.read(tmp_path, (8, 8, 1))
    assert [Path(name).name for name, _ in found] == ["a.jpg", "a.JPEG", "c.png"]
    assert {pixels.shape for _, pixels in found} == {(8, 8, 1)}


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
    found = images.read(tmp_path / "x.npy", (8, 8, 1))
    assert [Path(name).name for name, _ in found] == names
    assert all((pixels == 7).all() and pixels.shape == (8, 8, 1) for _, pixels in found)


def cut(path: Path) -> None:
    Image.fromarray(scene(200, 200)).save(path)
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.png", None, "no such file"),
        ("a.txt", b"hello", "is not an image"),
        ("a.png", b"hello", "not a JPEG or PNG"),
        ("a.png", b"", "not a JPEG or PNG"),
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
    with pytest.raises(StepError) as caught:
        images.read(path, (8, 8, 1))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no JPEG or PNG files"):
        images.read(tmp_path, (8, 8, 1))
