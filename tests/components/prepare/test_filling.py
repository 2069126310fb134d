"""Which split an example goes to, what is left out, and what stops the step."""

import hashlib
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.core.errors import StepError
from components.data import SPLITS, DataSettings, Source, fractions
from components.prepare.filling import CUT, Filled, fill, keys_of, mix, thresholds
from components.tasks.contract import Task

SHAPE = [2, 2, 1]
SPLIT = (0.5, 0.25, 0.25)


def picture(number: int) -> np.ndarray:
    return np.frombuffer(hashlib.blake2b(str(number).encode(), digest_size=4).digest(), np.uint8).reshape(SHAPE)


def source(**splits: list[Any]) -> Source:
    """A source of small pictures, each given by a number, or of whole examples."""

    def stream(values: list[Any]) -> Iterator[dict[str, Any]]:
        for value in values:
            yield value if isinstance(value, dict) else {"image": picture(value), "label": value % 3}

    info = {"classes": ["a", "b", "c"], "image_shape": SHAPE, "encoding": "raw"}
    return Source(info, {name: lambda values=values: stream(values) for name, values in splits.items()})


def filled(data: Source, folder: Path, shards: int = 1, **changes: Any) -> Filled:
    found = fill(
        data,
        DataSettings(name="digits", task="image_classification", split=SPLIT).model_copy(update=changes),
        Task("image_classification", data.info).examples,
        folder,
    )
    for split in found.splits:
        split.at_least = shards
        split.finish()
    return found


def written(folder: Path) -> dict[str, list[str]]:
    """Split -> keys of its examples, in their order."""
    keys: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*.tfrecord-*")):
        found = re.findall(rb"\n\x03key\x12\x14\n\x12\n\x10([0-9a-f]{16})", file.read_bytes())
        keys.setdefault(file.name.split("-")[1].partition(".")[0], []).extend(key.decode() for key in found)
    return keys


def placed(data: Source, **changes: Any) -> dict[str, str]:
    """Key -> its split."""
    with TemporaryDirectory() as folder:
        filled(data, Path(folder), **changes)
        found = written(Path(folder))
    assert sum(map(len, found.values())) == sum(len({*keys}) for keys in found.values())
    places = {key: split for split, keys in found.items() for key in keys}
    assert len(places) == sum(map(len, found.values())), "a picture is in two splits"
    return places


@settings(max_examples=25, deadline=None)
@given(
    st.sets(st.integers(0, 10**6), min_size=1, max_size=60),
    st.sets(st.integers(0, 10**6), max_size=60),
    st.randoms(use_true_random=False),
    st.integers(1, 9),
)
def test_a_picture_keeps_its_split_whatever_the_order_the_shards_and_the_other_pictures(
    numbers: set[int], others: set[int], random: Any, shards: int
) -> None:
    before = placed(source(train=sorted(numbers)))
    more = sorted(numbers | others)
    random.shuffle(more)
    after = placed(source(train=more), shards=shards)
    assert len(before) == len(numbers)
    assert {key: after[key] for key in before} == before


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=80),
    st.lists(st.integers(0, 30), max_size=20),
    st.integers(1, 6),
)
def test_a_duplicate_never_lies_in_two_splits(numbers: list[int], official: list[int], shards: int) -> None:
    data = source(train=numbers, **({"test": official} if official else {}))
    with TemporaryDirectory() as folder:
        filled(data, Path(folder), shards)
        found = {split: set(keys) for split, keys in written(Path(folder)).items()}
    assert sum(map(len, found.values())) == len(set().union(*found.values()))
    assert len(set().union(*found.values())) == len({*numbers, *official})


def test_the_fractions_are_met() -> None:
    splits = list(placed(source(train=list(range(20_000)))).values())
    shares = {name: splits.count(name) / len(splits) for name in set(splits)}
    assert shares == pytest.approx({"train": 0.5, "validation": 0.25, "test": 0.25}, abs=0.015)  # 4 standard errors


@pytest.mark.parametrize(
    ("split", "official", "expected"),
    [
        ((0.8, 0.1, 0.1), {"train"}, (0.8, 0.1, 0.1)),
        ((0.9, 0.1, 0.0), {"train", "test"}, (0.9, 0.1, 0.0)),
        ((0.6, 0.2, 0.2), {"train", "test"}, (0.75, 0.25, 0.0)),
        ((0.6, 0.2, 0.2), {"train", "validation"}, (0.75, 0.0, 0.25)),
        ((0.6, 0.2, 0.2), {"train", "validation", "test"}, (1.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), {"train"}, (1.0, 0.0, 0.0)),
    ],
)
def test_only_the_fractions_of_splits_that_are_not_official_count(
    split: tuple[float, float, float], official: set[str], expected: tuple[float, ...]
) -> None:
    assert tuple(fractions(split, official).values()) == pytest.approx(expected)


def test_duplicates_of_official_splits_are_counted_and_removed_from_the_others(tmp_path: Path) -> None:
    data = source(train=[1, 2, 3, 4, 5, 6, 6], validation=[3, 7, 8], test=[1, 2, 8, 9])
    found = filled(data, tmp_path)
    keys = written(tmp_path)
    assert found.duplicates == {"test": 0, "validation": 1, "train": 3}
    assert {split: len(values) for split, values in keys.items()} == {"test": 4, "validation": 2, "train": 4}
    assert not {*keys["train"]} & {*keys["test"], *keys["validation"]}
    assert len({*keys["train"]}) == 3  # the repeated 6 stays: it straddles nothing


def test_a_limit_caps_each_split_of_the_source(tmp_path: Path) -> None:
    filled(source(train=list(range(100)), test=list(range(200, 300))), tmp_path, limit=30, split=(0.5, 0.5, 0.0))
    counts = {split: len(keys) for split, keys in written(tmp_path).items()}
    assert counts["test"] == 30 and counts["train"] + counts["validation"] == 30


@pytest.mark.parametrize("limit", [0, 5, 1000])
def test_examples_that_are_prepared_quarantined_and_left_out_add_up(tmp_path: Path, limit: int) -> None:
    good: list[Any] = list(range(20))
    bad = [{"name": "row 7", "fault": "row 7 has no label"}, {"image": picture(1), "label": 9}]
    others = [{"left_out": ".txt files", "count": 3}, {"left_out": "rows without a text"}]
    data = source(train=[others[0], *good, *bad, others[1]], test=[*range(2), 100])
    data = replace(data, counts={"train": 26, "test": 3})
    found = filled(data, tmp_path, limit=limit, quarantine=2)
    prepared = sum(sum(split.counts) for split in found.splits)
    assert prepared + len(found.quarantined) + found.reasons().total() == 26 + 3
    assert found.account().startswith(f"29 examples: {prepared} prepared, {len(found.quarantined)} quarantined, ")
    assert found.left_out[".txt files"] == 3 and found.duplicates == {"train": 2, "test": 0}
    assert found.left_out["beyond data.limit"] == (18 if limit == 5 else 0)
    assert len(found.quarantined) == (0 if limit == 5 else 2)


def test_a_bad_example_of_any_name_can_be_shown(tmp_path: Path) -> None:
    bad = {"name": "caf\udce9.png", "fault": "did you mean \udce9.png?"}
    found = filled(source(train=[*range(9), bad]), tmp_path, quarantine=1)
    assert found.quarantined == [("caf\\udce9.png", "did you mean \\udce9.png?")]


def test_examples_that_a_source_counted_and_did_not_give_are_told(tmp_path: Path) -> None:
    found = filled(replace(source(train=list(range(9))), counts={"train": 12}), tmp_path)
    assert found.account().endswith("3 left out (3 of train that the source did not give)")


BAD = {
    "shape": ({"image": np.zeros((3, 2, 1), np.uint8), "label": 0}, "the picture is uint8 [3, 2, 1], not uint8"),
    "dtype": ({"image": np.zeros(SHAPE, np.float32), "label": 0}, "the picture is float32 [2, 2, 1], not uint8"),
    "label": ({"image": picture(1), "label": 3}, "label 3 is outside 0..2"),
    "no label": ({"image": picture(1), "label": -1}, "label -1 is outside 0..2"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_first_bad_example_is_named(name: str, tmp_path: Path) -> None:
    example, fault = BAD[name]
    with pytest.raises(StepError, match=re.escape(f"train example 2: {fault}")) as failure:
        filled(source(train=[1, 2, example, 3]), tmp_path)
    assert "\n" not in str(failure.value)


def test_as_many_bad_examples_as_allowed_are_set_aside_and_listed(tmp_path: Path) -> None:
    data = source(train=[1, BAD["shape"][0], 2, BAD["label"][0] | {"name": "the odd one"}, 3])
    found = filled(data, tmp_path, quarantine=2)
    assert [name for name, _ in found.quarantined] == ["train example 1", "the odd one"]
    assert sum(map(len, written(tmp_path).values())) == 3
    with pytest.raises(StepError, match="2 bad examples, 1 are allowed; first train example 1: "):
        filled(data, tmp_path, quarantine=1)


def test_the_fingerprint_tells_content_labels_and_splits_apart(tmp_path: Path) -> None:
    def fingerprint(data: Source, **changes: Any) -> str:
        with TemporaryDirectory() as folder:
            return filled(data, Path(folder), **changes).fingerprint

    same = fingerprint(source(train=[1, 2, 3]))
    assert fingerprint(source(train=[1, 2, 3]), shards=3) == same
    relabelled = {"image": picture(3), "label": 1}
    others = [
        fingerprint(source(train=[1, 2, 4])),
        fingerprint(source(train=[1, 2, relabelled])),
        fingerprint(source(train=[1, 2, 3]), split=(1.0, 0.0, 0.0)),
        fingerprint(source(train=[1, 2], test=[3])),
    ]
    assert len({same, *others}) == 5


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
