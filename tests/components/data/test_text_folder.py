"""Folders of texts: a folder for each class."""

from functools import partial
from pathlib import Path

import pytest

from components.core.errors import StepError
from components.data import text_folder
from components.tasks.contract import Task

task_for = partial(Task, "text_classification")


def test_a_folder_for_each_class_of_texts(tmp_path: Path) -> None:
    for name, content in {"pos/a.txt": "good", "pos/old/b.TXT": "fine", "neg/c.txt": "bad", "neg/d.md": "no"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    settings = text_folder.Settings(folder=str(tmp_path))
    source, facts = text_folder.source(settings), text_folder.facts(settings)
    found = {example["text"]: example["label"] for example in source.splits["train"]() if "text" in example}
    assert (source.info["classes"], found) == (["neg", "pos"], {b"good": 1, b"fine": 1, b"bad": 0})
    assert facts is not None
    assert (facts.counts, facts.classes, source.counts) == ({"train": 3}, 2, {"train": 4})


def test_a_folder_without_texts_is_named(tmp_path: Path) -> None:
    for name in ("pos", "neg"):
        (tmp_path / name).mkdir()
    with pytest.raises(StepError, match=r"neg has no texts \(\.txt\)"):
        text_folder.source(text_folder.Settings(folder=str(tmp_path)))


def test_of_a_huge_text_in_a_folder_no_more_is_read_than_shows_it(tmp_path: Path) -> None:
    for name in ("pos", "neg"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_bytes(b"x" * 2**20)
    source = text_folder.source(text_folder.Settings(folder=str(tmp_path), longest=1000))
    examples = list(source.splits["train"]())
    assert [len(example["text"]) for example in examples] == [1001, 1001]
    assert list(task_for(source.info).examples.to_records(examples).faults) == [0, 1]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_text_is_read_by_its_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    for name in ("pos", "neg"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_bytes("größer".encode(encoding))
        (tmp_path / name / "b.txt").write_bytes(("x" * 1001).encode(encoding))
    source = text_folder.source(text_folder.Settings(folder=str(tmp_path), longest=1000))
    stored = task_for(source.info).examples.to_records(list(source.splits["train"]()))
    assert stored.contents == ["größer".encode()] * 2 and len(stored.faults) == 2
