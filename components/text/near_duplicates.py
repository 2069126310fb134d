"""Near duplicates among texts: one with a few words changed, added or left out.

Texts are compared by the stretches of SPAN bytes that they share (A. Broder, On the resemblance and containment of
documents, 1997): for each of HASHES hash functions, the smallest value among a text's stretches is kept, and the share
of equal ones estimates the share of common stretches. Only stretches that begin with certain bytes count (U. Manber,
Finding similar files in a large file system, 1994), about one in EVERY. No word needs to be known, in any script.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.text import texts

NOUN = "texts"
# Bytes of a stretch: about five words, in parts of WORD bytes.
SPAN, WORD, EVERY = 32, 8, 8
HASHES = 8
# Bytes of a text that are compared, and texts whose hashes are computed at once.
MOST_BYTES, TOGETHER = 2**16, 64
# Equal hashes, of HASHES, from which on texts are nearly equal: of two that share half of their stretches, two in three
# pairs have as many; of two that share a tenth, one in 200.
LEAST_EQUAL = 4
ODD = np.random.default_rng(1997).integers(0, 2**63, HASHES + SPAN // WORD, np.uint64) * np.uint64(2) + np.uint64(1)
HEAD = np.uint32(0x9E3779B1)
NONE = np.iinfo(np.uint64).max
EXCERPT = 300
# ASCII: lower case, and white space as one kind of space.
FOLDED = bytes(32 if chr(byte).isspace() else byte for byte in bytes(range(256)).lower())


def canonical(text: bytes) -> bytes:
    """What texts that differ in white space, case or Unicode's composition (NFC) have in common, UTF-8."""
    if not text.isascii():
        folded = unicodedata.normalize("NFC", text.decode()).casefold()
        return " ".join(unicodedata.normalize("NFC", folded).split()).encode()
    result = text.translate(FOLDED).strip(b" ")
    while b"  " in result:
        result = result.replace(b"  ", b" ")
    return result


def sketch(canonicals: Sequence[bytes]) -> np.ndarray:
    """The smallest hashes of canonical texts, uint64 [n, HASHES]; NONE for a text without a stretch that counts."""
    result = np.full((len(canonicals), HASHES), NONE, np.uint64)
    for first in range(0, len(canonicals), TOGETHER):
        starts = [text[:MOST_BYTES] for text in canonicals[first : first + TOGETHER]]
        joined, ends = b"".join(starts), np.cumsum([len(text) for text in starts])
        if len(joined) < SPAN:
            continue
        # The number that each WORD bytes spell, whatever their alignment.
        words = np.ndarray(len(joined) - WORD + 1, "<u8", joined, strides=(1,))
        heads = np.ndarray(len(words), "<u4", joined, strides=(1,))
        chosen = np.flatnonzero(heads * HEAD < 2**32 // EVERY)
        owners = np.searchsorted(ends, chosen, side="right")
        whole = chosen + SPAN <= ends[owners]
        chosen, owners = chosen[whole], owners[whole]
        if not chosen.size:
            continue
        hashes = np.zeros(chosen.size, np.uint64)
        for number in range(SPAN // WORD):
            hashes = (hashes ^ words[chosen + number * WORD]) * ODD[HASHES + number]
            hashes ^= hashes >> np.uint64(29)
        bounds = np.flatnonzero(np.diff(owners, prepend=-1))
        for number in range(HASHES):
            result[first + owners[bounds], number] = np.minimum.reduceat(hashes * ODD[number], bounds)
    return result


def is_comparable(sketches: np.ndarray) -> np.ndarray:
    """Which have stretches, bool [n]."""
    result: np.ndarray = sketches[:, 0] != NONE
    return result


def codes(sketches: np.ndarray) -> np.ndarray:
    """The hashes, uint64 [n, HASHES]: near duplicates have equal ones in several columns."""
    return sketches


def is_plausible(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether the texts of two rows of hashes each, [n, HASHES], are near duplicates: bool [n]."""
    result: np.ndarray = (one == other).sum(axis=1) >= LEAST_EQUAL
    return result


is_near = is_plausible


def shown(pairs: Sequence[tuple[str, bytes, bytes]], info: Any) -> Markup:
    """Pairs of texts for the report, each with the caption of the first."""
    rows = [[caption, *(texts.excerpt(text, EXCERPT) for text in both)] for caption, *both in pairs]
    return reports.table(["", "held out", "train"], rows, numeric=False)
