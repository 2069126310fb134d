"""Near duplicates among pictures: the same one in another size, compression or brightness, or frames of one scene.

A picture is reduced to SIDE x SIDE mean grey levels. Two are near duplicates if these differ by little, whatever their
brightness. They are looked for by random hyperplanes (M. Charikar, Similarity estimation techniques from rounding
algorithms, STOC 2002): a bit of the code tells on which side of a plane the levels lie, so that similar pictures have
similar codes. A difference hash is quicker, but of pictures with a plain background its bits are noise.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.tasks._images.examples import pixels
from components.vision import images

NOUN = "pictures"
SIDE, BITS, TABLES = 8, 64, 6
# Rows and columns that are read (up to twice as many): eight in each part tell its mean well enough.
MOST_READ = SIDE * 8
# The mean difference in grey levels, of 255, up to which pictures are nearly equal. JPEG at quality 50 changes 0.9 in
# pictures of 64 pixels and 0.2 in those of 224; of Fashion-MNIST's test pictures, which look much alike, one in 200 has
# a nearer one among the 60,000 of train, and of the digits none.
MOST_LEVELS = 3.0
# In a picture of little contrast (the standard deviation of its levels), so small a difference may be all there is: at
# most this share of the contrast counts, but not less than rounding makes.
SHARE, ROUNDING = 0.1, 0.5
# Plain pictures have nothing that could be compared.
LEAST_CONTRAST = 1.0
# Bits, of 64, that differ in the codes of pictures worth a comparison. A bit differs with a probability of angle / pi,
# and MOST_LEVELS at the least contrast where it counts in full (30) is an angle of about 0.1: 2 bits, and 6 deviations.
MOST_BITS = 10
# Half of each plane's signs are positive: brightness changes no bit. Whole numbers, so that sums are exact.
PLANES = (
    np.random.default_rng(2002)
    .permuted(np.tile(np.array([1, -1], np.float32), (BITS, SIDE * SIDE // 2)), axis=1)
    .T.copy()
)


def sketch(arrays: np.ndarray) -> np.ndarray:
    """The levels of pictures, uint8 [n, height, width, channels]: uint8 [n, SIDE * SIDE]."""
    few = arrays[:, :: max(1, arrays.shape[1] // MOST_READ), :: max(1, arrays.shape[2] // MOST_READ)]
    count, height, width, channels = few.shape
    rows = few.reshape(count, height, width * channels).astype(np.float32)
    levels = _weights(height, 1).T @ rows @ _weights(width, channels)
    result: np.ndarray = np.rint(levels).astype(np.uint8).reshape(count, SIDE * SIDE)
    return result


@cache
def _weights(size: int, channels: int) -> np.ndarray:
    """What an axis is multiplied with to be the means of SIDE parts, float32 [size * channels, SIDE]; none is empty."""
    weights = np.zeros((size, channels, SIDE), np.float32)
    for number in range(SIDE):
        start = number * size // SIDE
        end = max(start + 1, (number + 1) * size // SIDE)
        weights[start:end, :, number] = 1 / ((end - start) * channels)
    return weights.reshape(-1, SIDE)


def is_comparable(sketches: np.ndarray) -> np.ndarray:
    """Which are not plain, bool [n]."""
    result: np.ndarray = sketches.std(axis=1) >= LEAST_CONTRAST
    return result


def codes(sketches: np.ndarray) -> np.ndarray:
    """Codes of 64 bits, uint64 [n, TABLES]: in each column another of the bits comes first."""
    bits = sketches.astype(np.float32) @ PLANES > 0
    code = np.packbits(bits, axis=1).view(">u8").astype(np.uint64)
    turns = np.arange(TABLES, dtype=np.uint64) * np.uint64(BITS // TABLES)
    result: np.ndarray = (code << turns) | (code >> (np.uint64(BITS) - turns) % np.uint64(BITS))
    return result


def is_plausible(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether the pictures of two rows of codes each, [n, TABLES], are worth a comparison: bool [n]."""
    result: np.ndarray = np.bitwise_count(one[:, 0] ^ other[:, 0]) <= MOST_BITS
    return result


def is_near(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether the pictures of two sketches each, [n, SIDE * SIDE], are near duplicates: bool [n]."""
    change = one.astype(np.float32) - other
    change -= change.mean(axis=1, keepdims=True)
    contrast = np.minimum(one.std(axis=1), other.std(axis=1))
    result: np.ndarray = np.abs(change).mean(axis=1) <= np.clip(SHARE * contrast, ROUNDING, MOST_LEVELS)
    return result


def shown(pairs: Sequence[tuple[str, bytes, bytes]], info: Any, side: int = 128) -> Markup:
    """Pairs of stored pictures for the report, side by side, the first of the split that is named."""
    captioned = []
    for split, *both in pairs:
        left, right = (images.thumbnail(pixels(content, info), side) for content in both)
        height = max(len(left), len(right))
        white = [
            np.pad(one, ((0, height - len(one)), (0, 0), (0, 0)), constant_values=255)
            for one in (left, np.full((1, max(1, side // 32), left.shape[2]), 255, np.uint8), right)
        ]
        captioned.append((np.concatenate(white, axis=1), f"{split}, train"))
    return reports.gallery(captioned)
