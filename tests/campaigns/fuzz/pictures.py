"""Pictures and arrays: whatever is decoded of a file that carries checksums is what was written."""

import io
import random
from pathlib import Path

import numpy as np
from PIL import Image

from components.core import archives
from components.tasks.contract import Task
from components.vision import formats
from components.vision import images as image_files
from tests.campaigns.fuzz import mutation
from tests.campaigns.fuzz.campaign import Case, Wrong, refused


def _originals() -> list[bytes]:
    rows, columns = np.mgrid[:29, :23]
    scene = np.stack([rows * 8, columns * 11, (rows + columns) * 4], -1).astype(np.uint8)
    found = []
    for mode in ("L", "RGB", "P", "1", "RGBA", "I;16", "CMYK"):
        picture = Image.fromarray(scene).convert("L" if mode == "I;16" else mode)
        for kind, options in (("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True, "quality": 30})):
            if (kind == "JPEG") == (mode in {"P", "RGBA", "I;16", "1"}) or (kind, mode) == ("PNG", "CMYK"):
                continue
            stream = io.BytesIO()
            picture.save(stream, kind, **options)
            found.append(stream.getvalue())
    return found


def images(folder: Path) -> Case:
    """JPEG and PNG files, by every way that leads to them."""
    originals = _originals()
    known = {(data, channels): image_files.decode(data, channels) for data in originals for channels in (1, 3)}
    info = {"classes": ["a"], "image_shape": [8, 8, 3], "encoding": "encoded"}
    path = folder / "picture.png"

    def case(draw: random.Random) -> str:
        data, channels = draw.choice(originals), draw.choice([1, 3])
        cut = draw.random() < 0.3
        broken = data[: draw.randrange(len(data))] if cut else mutation.bytes_of(data, draw)
        word, pixels = refused(lambda: image_files.decode(broken, channels), ValueError)
        if pixels is not None:
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != channels:
                raise Wrong(f"decoded to {pixels.dtype} {pixels.shape}")
            whole = known[data, channels]
            # A JPEG has no checksum: a changed byte is another picture, a missing one is not.
            if (cut or broken.startswith(formats.PNG)) and not np.array_equal(pixels, whole):
                raise Wrong("a part of a picture was taken for the whole of it")
        stored = Task("image_classification", info).examples.to_records([{"image": broken, "label": 0}])
        if len(stored.contents) + len(stored.faults) != 1:
            raise Wrong("an example is neither stored nor set aside")
        path.write_bytes(broken)
        refused(lambda: list(image_files.read(path, (8, 8, channels))))
        return word

    return case


def arrays(folder: Path) -> Case:
    """.npy and .npz files."""
    given = {"key": np.array(["a", "b"]), "logits": np.arange(12, dtype=np.float32).reshape(3, 4), "n": np.array(7)}
    np.savez(folder / "whole.npz", **given)
    np.save(folder / "whole.npy", np.arange(48, dtype=np.uint8).reshape(2, 4, 6))
    packed, plain = ((folder / f"whole.{suffix}").read_bytes() for suffix in ("npz", "npy"))
    names = {suffix: folder / f"broken.{suffix}" for suffix in ("npz", "npy")}

    def case(draw: random.Random) -> str:
        if draw.random() < 0.4:
            names["npy"].write_bytes(mutation.bytes_of(plain, draw))
            refused(lambda: archives.array(names["npy"]), *archives.DAMAGED)
            return refused(lambda: image_files.read(names["npy"], (4, 6, 1)))[0]
        names["npz"].write_bytes(mutation.bytes_of(packed, draw))
        word, found = refused(lambda: archives.arrays(names["npz"]), *archives.DAMAGED)
        for name, values in (found or {}).items():
            if name in given and not np.array_equal(given[name], values):
                raise Wrong(f"the array {name} has other values")
        return word

    return case
