"""Files of labelled texts: separated values and lines of JSON."""

from functools import partial
from pathlib import Path

import pytest
from refusals import one_line

from components.core.errors import StepError
from components.data import text_file
from components.tasks.contract import Task

task_for = partial(Task, "text_classification")


def rows(path: Path, content: bytes | str, **settings: str) -> text_file.Settings:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return text_file.Settings.model_validate({"file": str(path), **settings})


LAST = '{"text": "ÄÖ", "label": "spam"}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'label,text,more\nspam,"Buy, now",1\nham,"See\nyou",2\nspam,ÄÖ,3\n'),
        ("a.tsv", '\ufefflabel\ttext\nspam\t"Buy, now"\nham\t"See\nyou"\nspam\tÄÖ\n'),
        ("a.jsonl", '{"text": "Buy, now", "label": "spam"}\n\n{"label": "ham", "text": "See\\nyou"}\n' + LAST),
    ],
)
def test_every_row_is_a_text_with_its_label(name: str, content: str, tmp_path: Path) -> None:
    settings = rows(tmp_path / name, content)
    source, facts = text_file.source(settings), text_file.facts(settings)
    assert source.info["classes"] == ["ham", "spam"]
    assert [(example["text"].decode(), example["label"]) for example in source.splits["train"]()] == [
        ("Buy, now", 1),
        ("See\nyou", 0),
        ("ÄÖ", 1),
    ]
    assert facts is not None
    assert (facts.counts, facts.classes) == (source.counts, 2) == ({"train": 3}, 2)


def test_columns_may_have_other_names_and_labels_be_whole_numbers(tmp_path: Path) -> None:
    settings = rows(tmp_path / "a.jsonl", '{"t": "a", "l": 1}\n{"t": "b", "l": 0}\n', text="t", label="l")
    assert text_file.source(settings).info["classes"] == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "has no column 'text'"),
        ("a.csv", "txt,label\na,b\n", "has no column 'text'; did you mean txt?"),
        ("a.csv", "text,text,label\na,b,c\n", "has more than one column 'text'"),
        ("a.csv", "text,label\na,b\na\n", "row 2 of"),
        ("a.csv", 'text,label\n"a,b\n', "cannot be read as separated values"),
        ("a.csv", "text,label\na,x\nb,x\n", "has only the label 'x' in 'label', at least 2 classes were expected"),
        ("a.csv", "text,label\n", "has no labels in 'label'"),
        ("a.csv", "text,label\n" + "".join(f"a,{number}\n" for number in range(1001)), "more than 1000 different"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b"}\n', "has no 'label'; choose from text"),
        ("a.jsonl", '{"text": 5, "label": "x"}\n', "'text' is int, not a text"),
        ("a.jsonl", '{"text": "a", "label": 0.5}\n', "'label' is float, not a text or a whole number"),
        ("a.jsonl", '["a"]\n', "line 1 of"),
        ("a.jsonl", "[" * 100_000 + "\n", "is not JSON"),
        ("a.json", "{}", "ends in none of .csv, .tsv, .jsonl, .ndjson"),
    ],
)
def test_a_file_that_holds_no_labelled_texts_is_told_in_one_line(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(StepError) as failure:
        text_file.source(rows(tmp_path / name, content))
    assert message in one_line(failure)


def test_a_missing_file_is_named_and_known_to_nobody(tmp_path: Path) -> None:
    settings = text_file.Settings(file=str(tmp_path / "none.csv"))
    assert text_file.facts(settings) is None and text_file.state(settings) == ""
    with pytest.raises(StepError, match="no such file"):
        text_file.source(settings)


def test_the_state_of_a_file_follows_it(tmp_path: Path) -> None:
    settings = rows(tmp_path / "a.csv", "text,label\na,x\nb,y\n")
    before = text_file.state(settings)
    assert text_file.state(settings) == before
    rows(tmp_path / "a.csv", "text,label\na,x\nb,y\nc,y\n")
    assert text_file.state(settings) != before


def test_bad_bytes_in_files_come_through_to_where_they_are_judged(tmp_path: Path) -> None:
    for settings in (
        rows(tmp_path / "a.csv", b"text,label\ncaf\xe9,x\na\0b,y\n"),
        rows(tmp_path / "a.jsonl", b'{"text": "caf\xe9", "label": "x"}\n{"text": "a\\u0000\\ud800", "label": "y"}\n'),
    ):
        source = text_file.source(settings)
        assert list(task_for(source.info).examples.to_records(list(source.splits["train"]())).faults) == [0, 1]
