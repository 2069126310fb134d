"""Groups and times: what must not be split over, and what must not be known before."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from components.core.errors import StepError
from components.data import DataSettings, Source, text_file
from components.metrics import grouping
from components.prepare.filling import DIVIDED, Filled, fill, moment
from components.tasks.contract import Task

SPLIT = (0.5, 0.25, 0.25)
PATTERN = "(patient[0-9]+)"


def source(**splits: list[tuple[str, int]]) -> Source:
    """A source of texts, each given by its file's name and a number."""

    def stream(values: list[tuple[str, int]]) -> Iterator[dict[str, Any]]:
        for name, number in values:
            yield {"text": f"text {number}", "label": number % 2, "source": 0, "name": name}

    info = {"classes": ["a", "b"], "sources": ["s"], "longest": 1000}
    return Source(info, {name: lambda values=values: stream(values) for name, values in splits.items()})


def filled(data: Source, folder: Path, **settings: Any) -> tuple[Filled, dict[str, list[str]]]:
    """What was written, and split -> keys."""
    chosen = DataSettings(name="text_folder", task="text_classification", split=SPLIT, **settings)
    found = fill(data, chosen, Task("text_classification", data.info).examples, folder)
    keys: dict[str, list[str]] = {}
    for split in found.splits:
        split.finish()
    for file in sorted(folder.glob("*.tfrecord-*")):
        hits = re.findall(rb"key\x12[\x14$]\n[\x12\x22]\n[\x10 ]([0-9a-f]+)", file.read_bytes())
        keys.setdefault(file.name.split("-")[1].partition(".")[0], []).extend(key.decode() for key in hits)
    return found, keys


def patients(count: int, frames: int) -> list[tuple[str, int]]:
    return [
        (f"scans/patient{patient}/{frame}.txt", 100 * patient + frame)
        for frame in range(frames)
        for patient in range(count)
    ]


def test_a_group_is_in_one_split_and_its_key_tells_evaluate(tmp_path: Path) -> None:
    found, keys = filled(source(train=patients(40, 20)), tmp_path, group=PATTERN)
    groups = {split: {key[16:] for key in names} for split, names in keys.items()}
    assert sum(map(len, keys.values())) == 800 and set(keys) == {"train", "validation", "test"}
    assert len(set().union(*groups.values())) == 40 == sum(map(len, groups.values())) == sum(found.groups.values())
    numbers = grouping.of_keys(np.array([key.encode() for key in keys["test"]]))
    assert numbers is not None and np.bincount(numbers).tolist() == [20] * found.groups["test"]


def test_without_groups_the_same_patients_are_everywhere_and_keys_are_as_before(tmp_path: Path) -> None:
    found, keys = filled(source(train=patients(40, 20)), tmp_path)
    assert {len(key) for names in keys.values() for key in names} == {16}
    assert not found.groups and grouping.of_keys(np.array(keys["test"])) is None


def test_a_group_of_an_official_split_is_left_out_of_the_others_and_counted(tmp_path: Path) -> None:
    data = source(train=patients(10, 4), test=[("more/patient3/9.txt", 9000), ("more/patient77/1.txt", 9001)])
    found, keys = filled(data, tmp_path, group=PATTERN)
    assert found.left_out[DIVIDED] == 4
    test = {key[16:] for key in keys["test"]}
    assert not test & {key[16:] for split in ("train", "validation") for key in keys[split]}


def test_equal_contents_of_two_groups_are_in_one_split(tmp_path: Path) -> None:
    copies = [(f"patient{number}/a.txt", number // 2) for number in range(80)]
    found, keys = filled(source(train=copies), tmp_path, group=PATTERN)
    contents = {split: {key[:16] for key in names} for split, names in keys.items()}
    assert sum(map(len, contents.values())) == 40
    assert found.duplicates["train"] > 0


@pytest.mark.parametrize("spec", [r"day(\d+)", r"(\d{4}-\d\d-\d\d)"])
def test_the_newest_examples_are_the_test_split(spec: str, tmp_path: Path) -> None:
    names = [
        (f"day{day}/2026-{1 + day // 25:02}-{1 + day % 25:02}/{part}.txt", 10 * day + part)
        for day in range(100)
        for part in range(3)
    ]
    generator = np.random.default_rng(0)
    shuffled = [names[index] for index in generator.permutation(300)]
    found, keys = filled(source(train=shuffled), tmp_path, time=spec)
    assert {split: len(values) for split, values in keys.items()} == {"train": 150, "validation": 75, "test": 75}
    assert found.duplicates["train"] == 0


@pytest.mark.parametrize("column", ["patient", "source"])
def test_a_column_of_a_table_is_a_group(column: str, tmp_path: Path) -> None:
    lines = [f"text {number},{number % 2},p{number % 12}" for number in range(240)]
    # A column may be called as a field of an example is.
    (tmp_path / "a.csv").write_text("\n".join([f"text,label,{column}", *lines]))
    settings = text_file.Settings(file=str(tmp_path / "a.csv"), group=column, split=SPLIT)
    data = text_file.source(settings)
    found = fill(data, settings, Task("text_classification", data.info).examples, tmp_path)
    assert sum(found.groups.values()) == 12
    with pytest.raises(StepError, match=f"no column '{column}s'"):
        text_file.source(settings.model_copy(update={"group": f"{column}s"}))


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("group", "(visit)", "the pattern (visit) is not found in 'a/patient0.txt'"),
        ("group", "patient", "has no 'patient'"),
        ("time", "(patient)", "'patient' is neither a number nor a date"),
    ],
)
def test_an_example_without_a_group_or_time_is_told(setting: str, value: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        filled(source(train=[("a/patient0.txt", 0)]), tmp_path, **{setting: value})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"group": "(a"}, "is not a regular expression"),
        ({"group": "(a)(b)"}, "has 2 groups in parentheses, one was expected"),
        ({"group": "a", "time": "b"}, "assigned by one of them"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        DataSettings(name="digits", task="image_classification", **settings)


def test_moments_are_ordered_whatever_their_zone() -> None:
    assert moment("2026-12-01T01:00+02:00") < moment("2026-12-01") < moment("2026-12-01T00:30")
    assert moment("17.5") == 17.5
    with pytest.raises(StepError):
        moment("nan")
