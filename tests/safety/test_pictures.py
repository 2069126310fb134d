"""Pictures that claim more than they are cost a look at their header, and nothing else."""

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.errors import StepError
from components.data import image_folder
from components.tasks.contract import Task
from components.vision import formats, images


def png(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes, with right checksums, that claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose frame claims a size."""
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(stream, "JPEG")
    data = stream.getvalue()
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


BOMBS = {"png": png(100_000, 100_000), "jpg": jpeg(65_500, 65_500), "wide.png": png(2**31 - 1, 1)}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_that_claims_too_much_is_refused_by_its_header(name: str, channels: int) -> None:
    assert len(BOMBS[name]) < 1000
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"at most 200,000,000 pixels are decoded$"):
            images.decode(BOMBS[name], channels)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def claiming(kind: str) -> bytes:
    """A small file of another format whose header claims the largest size."""
    stream = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(stream, kind, **({"save_all": True, "append_images": frames[1:]} if kind == "WEBP" else {}))
    data = stream.getvalue()
    match kind:
        case "GIF":
            return data[:6] + struct.pack("<HH", 65_535, 65_535) + data[10:]
        case "BMP":
            return data[:18] + struct.pack("<ii", 100_000, 100_000) + data[26:]
        case "WEBP":
            return data[:24] + 2 * (16_382).to_bytes(3, "little") + data[30:]
        case _:
            return data.replace(b"16 16", b"100000 100000")


@pytest.mark.parametrize("kind", ["GIF", "BMP", "PPM", "WEBP"])
def test_so_is_one_of_another_format(kind: str) -> None:
    with pytest.raises(ValueError, match=r"at most 200,000,000 pixels are decoded|exceeds limit of 200000000 pixels"):
        images.decode(claiming(kind), 3)


def test_a_large_honest_picture_is_decoded_without_a_warning() -> None:
    stream = io.BytesIO()
    # Above the size at which Pillow warns.
    Image.new("L", (10_000, 9_000)).save(stream, "PNG", compress_level=1)
    assert images.decode(stream.getvalue(), 1).shape == (9_000, 10_000, 1)


def test_predict_refuses_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(BOMBS["png"])
    ((_, error),) = images.read(tmp_path, (8, 8, 1))
    assert isinstance(error, StepError) and "bomb.png cannot be read as an image: 100,000 x 100,000" in str(error)


def test_prepare_sets_it_aside_among_good_ones() -> None:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    examples = [{"image": data, "label": 0} for data in (stream.getvalue(), BOMBS["png"], BOMBS["jpg"])]
    info = {"classes": ["a"], "image_shape": [8, 8, 1], "encoding": "encoded"}
    stored = Task("image_classification", info).examples.to_records(examples)
    assert len(stored.contents) == 1 and list(stored.faults) == [1, 2]
    assert all("pixels are decoded" in fault for fault in stored.faults.values())


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB", "1", "CMYK"])
def test_the_header_gives_the_size_that_is_decoded(kind: str, mode: str) -> None:
    if (kind, mode) == ("PNG", "CMYK"):
        pytest.skip("PNG has no such pictures")
    stream = io.BytesIO()
    Image.new(mode, (31, 17)).save(stream, kind, progressive=True)
    assert images.header(stream.getvalue()).shown == (17, 31)
    assert images.decode(stream.getvalue(), 3).shape == (17, 31, 3)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8" + b"\xff" * 5000, b"\xff\xd8" + bytes(10**6), formats.PNG]
)
def test_a_header_that_is_cut_short_is_told_at_once(data: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError):
        images.header(data)
    assert time.monotonic() - began < 1


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with a picture each, and a picture that lies elsewhere."""
    for name in ("data/cat", "data/dog", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        Image.fromarray(np.full((8, 8), len(name), np.uint8)).save(tmp_path / name / "one.png")
    return tmp_path / "data"


def listed(folder: Path) -> list[str]:
    settings = image_folder.Settings(folder=str(folder), image_shape=(8, 8, 1))
    examples = image_folder.source(settings).splits["train"]()
    return sorted(example["name"] for example in examples if "left_out" not in example)


@pytest.mark.parametrize("link", ["cat/two.png", "bird"])
def test_a_link_that_leads_out_of_the_folder_is_refused(folder: Path, link: str) -> None:
    elsewhere = folder.parent / "elsewhere"
    (folder / link).symlink_to(elsewhere / "one.png" if link.endswith("png") else elsewhere)
    with pytest.raises(StepError, match=f"{link} is a link that leads out of"):
        listed(folder)


def test_links_within_the_folder_and_a_link_to_it_are_followed(folder: Path) -> None:
    (folder / "cat/two.png").symlink_to(folder / "dog/one.png")
    (folder.parent / "link").symlink_to(folder)
    assert len(listed(folder.parent / "link")) == 3


def test_pipes_are_not_waited_for(folder: Path) -> None:
    import os

    os.mkfifo(folder / "cat/pipe.png")
    assert len(listed(folder)) == 2
    assert len(list(images.read(folder, (8, 8, 1)))) == 2
