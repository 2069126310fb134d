"""Files of labelled texts: separated values and lines of JSON."""

from functools import partial
from pathlib import Path

import pytest
from refusals import one_line

from components.core.errors import StepError
from components.data import check, text_file
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
        ("a.csv", "txt,label\na,b\n", "has no column 'text'; did you mean txt?"),
        ("a.csv", 'text,label\n"a,b\n', "cannot be read as separated values"),
        ("a.csv", "text,label\na,x\nb,x\n", "has only the label 'x' in 'label', at least 2 classes were expected"),
        ("a.csv", "text,label\n", "has no labels in 'label'"),
        ("a.csv", "text,label\na\n", "has no labels in 'label', at least 2 classes were expected; row 1 has 1 values"),
        ("a.csv", "text,label\n" + "".join(f"a,{number}\n" for number in range(1001)), "more than 1000 different"),
        ("a.jsonl", "[" * 100_000 + "\n", "row 1 is not JSON"),
        ("a.json", "{}", "ends in none of .csv, .tsv, .jsonl, .ndjson"),
    ],
)
def test_a_file_that_holds_no_labelled_texts_is_told_in_one_line(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(StepError) as failure:
        text_file.source(rows(tmp_path / name, content))
    assert message in one_line(failure)


GOOD_CSV, GOOD_OBJECTS = "text,label\na,x\nb,y\n", '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.csv", GOOD_CSV + "not labelled yet,\n", "row 3 has no label"),
        ("a.csv", GOOD_CSV + "not labelled yet,  \n", "row 3 has no label"),
        ("a.tsv", GOOD_CSV.replace(",", "\t") + "c\t\n", "row 3 has no label"),
        ("a.csv", GOOD_CSV + "c\n", "row 3 has 1 values, the first row names 2 columns"),
        ("a.csv", GOOD_CSV.encode() + "c,féminin\n".encode("latin-1"), "row 3 has a label that is not UTF-8: save it"),
        ("a.csv", GOOD_CSV.encode() + "c,“x”\n".encode("cp1252"), "row 3 has a label that is not UTF-8: save it"),
        ("a.csv", GOOD_CSV.encode() + "café,x\n".encode("latin-1"), "the text is not UTF-8 (byte 3): save it as UTF-8"),
        ("a.csv", GOOD_CSV + ",x\n", "the text is empty"),
        ("a.jsonl", GOOD_OBJECTS + '{"text": "c"}\n', "row 3 has no label"),
        ("a.jsonl", GOOD_OBJECTS + '{"text": "c", "label": null}\n', "row 3 has no label"),
        ("a.jsonl", GOOD_OBJECTS + '{"label": "x"}\n', "row 3 has no text"),
        ("a.jsonl", GOOD_OBJECTS + '{"text": 5, "label": "x"}\n', "row 3 has int in 'text', not a text"),
        (
            "a.jsonl",
            GOOD_OBJECTS + '{"text": "c", "label": 0.5}\n',
            "row 3 has float in 'label', not a text or a whole",
        ),
        ("a.jsonl", GOOD_OBJECTS + "oops\n", "row 3 is not JSON"),
    ],
)
def test_a_bad_row_is_a_bad_example_and_the_others_are_read(
    name: str, content: bytes | str, fault: str, tmp_path: Path
) -> None:
    source = text_file.source(rows(tmp_path / name, content))
    assert source.info["classes"] == ["x", "y"] and source.counts == {"train": 3}
    stored = task_for(source.info).examples.to_records(list(source.splits["train"]()))
    assert stored.contents == [b"a", b"b"] and list(stored.faults) == [2]
    assert stored.faults[2].startswith(fault)


def test_whole_numbers_with_gaps_are_the_labels_that_they_were(tmp_path: Path) -> None:
    settings = rows(tmp_path / "a.jsonl", '{"text": "a", "label": 1.0}\n{"text": "b", "label": 0}\n')
    assert text_file.source(settings).info["classes"] == ["0", "1"]


def test_labels_that_look_like_missing_values_are_noted(tmp_path: Path) -> None:
    content = GOOD_CSV + "c,nan\nd,NaN\ne,NULL\nf,N/A\ng,None\n"
    (note,) = text_file.source(rows(tmp_path / "a.csv", content)).notes
    assert "N/A (1), NULL (1), NaN (1), None (1), nan (1)" in note
    assert text_file.source(rows(tmp_path / "b.csv", GOOD_CSV + "c,nanny\n")).notes == ()


def test_rows_that_a_lone_quote_may_have_merged_are_noted(tmp_path: Path) -> None:
    content = GOOD_CSV + '"Best film ever,x\nI hated it. Worst ever",y\n'
    (note,) = text_file.source(rows(tmp_path / "a.csv", content)).notes
    assert note.startswith("1 rows have a value that spans lines") and note.endswith("merges rows: 3.")


def test_a_missing_column_is_told_by_the_head_alone(tmp_path: Path) -> None:
    good = rows(tmp_path / "a.csv", GOOD_CSV)
    check(good)
    with pytest.raises(StepError, match="has no column 'stars'"):
        check(good.model_copy(update={"label": "stars"}))
    with pytest.raises(StepError, match=r"data\.file: no such file or folder: .*none\.csv; set data\.file"):
        check(good.model_copy(update={"file": str(tmp_path / "none.csv")}))
    with pytest.raises(StepError, match=r"s3://bucket/a\.csv is neither a local path nor gs://BUCKET/NAME"):
        check(good.model_copy(update={"file": "s3://bucket/a.csv"}))
    # They may have been prepared before.
    check(good.model_copy(update={"file": str(tmp_path / "none.csv"), "version": "3"}))


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
