"""Properties of the function that assigns splits: content alone decides, and chance keeps to the fractions."""

import math
import struct
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.prepare.filling import CUT, SPLITS, keys_of, mix, thresholds

COUNT = 4000
# Six standard errors: by chance alone missed once in 5e8 looks.
ERRORS = 6
FRACTIONS = st.tuples(*[st.integers(0, 20)] * 3).filter(any).map(lambda parts: [part / sum(parts) for part in parts])
SALTS = st.text(max_size=12)


def assigned(keys: np.ndarray, shares: list[float], salt: str) -> np.ndarray:
    """The number of each key's split, as prepare assigns it."""
    bounds = thresholds(dict(zip(SPLITS, shares, strict=True)))
    found: np.ndarray = CUT[np.searchsorted(bounds, mix(keys, salt), side="right")]
    return found


def assert_met(which: np.ndarray, shares: list[float]) -> None:
    """Each split's part of all examples is its fraction, to within ERRORS standard errors of a binomial."""
    for number, share in enumerate(shares):
        error = math.sqrt(share * (1 - share) / len(which))
        assert abs(float((which == number).mean()) - share) <= ERRORS * error, SPLITS[number]


@settings(max_examples=60, deadline=None)
@given(FRACTIONS, SALTS, st.integers(0, 2**32))
@example([1.0, 0.0, 0.0], "", 0)
@example([0.0, 0.0, 1.0], "", 0)
def test_the_fractions_are_met_within_chance(shares: list[float], salt: str, first: int) -> None:
    keys = keys_of([struct.pack("<Q", first + number) for number in range(COUNT)])
    assert_met(assigned(keys, shares, salt), shares)


@settings(max_examples=40, deadline=None)
@given(FRACTIONS, FRACTIONS, st.lists(SALTS, min_size=2, max_size=2, unique=True))
def test_what_one_source_cut_another_cuts_anew(first: list[float], second: list[float], salts: list[str]) -> None:
    keys = keys_of([struct.pack("<Q", number) for number in range(COUNT)])
    for number in range(3):
        part = keys[assigned(keys, first, salts[0]) == number]
        if len(part) >= 100:
            assert_met(assigned(part, second, salts[1]), second)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=9), min_size=1, max_size=50), FRACTIONS, SALTS, st.randoms(use_true_random=False))
def test_content_alone_decides_whatever_stands_beside_it(
    contents: list[bytes], shares: list[float], salt: str, random: Any
) -> None:
    once = dict(zip(contents, assigned(keys_of(contents), shares, salt).tolist(), strict=True))
    random.shuffle(contents)
    half = contents[: max(1, len(contents) // 2)]
    assert [once[content] for content in half] == assigned(keys_of(half), shares, salt).tolist()
