"""Sentence pairs in text files, good and bad ones."""

from pathlib import Path

import pytest

from components.core.config import checked
from components.core.errors import StepError
from components.data import parallel_text
from components.data.parallel_text import Settings
from components.tasks.contract import Task


def written(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def test_a_file_with_tabs_gives_its_pairs(tmp_path: Path) -> None:
    file = written(tmp_path, "pairs.tsv", b"eins\tone\r\nzwei\ttwo\ndrei\tthree")
    settings = Settings(file=file, languages=("de", "en"))
    source = parallel_text.source(settings)
    assert source.info == {"languages": ["de", "en"]}
    assert [(one["source"], one["target"]) for one in source.splits["train"]()] == [
        (b"eins", b"one"),
        (b"zwei", b"two"),
        (b"drei", b"three"),
    ]
    assert source.counts == parallel_text.facts(settings).counts == {"train": 3}


def test_two_files_are_read_side_by_side_and_may_be_turned_round(tmp_path: Path) -> None:
    de, en = written(tmp_path, "text.de", b"eins\nzwei\n"), written(tmp_path, "text.en", b"one\ntwo\n")
    source = parallel_text.source(Settings(file=de, target_file=en, languages=("de", "en"), reverse=True))
    assert source.info == {"languages": ["en", "de"]}
    assert [one["source"] for one in source.splits["train"]()] == [b"one", b"two"]
    assert [one["target"] for one in source.splits["train"]()] == [b"eins", b"zwei"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"eins", "the line has 0 tabs"),
        (b"eins\tone\tun", "the line has 2 tabs"),
        (b"\tone", "the source is empty"),
        (b"eins\t  ", "the target is empty"),
        (b"", "the line has 0 tabs"),
        (b"\xff\tone", "the source is not UTF-8 from byte 0 on"),
        (b"eins\ton\0e", "the target has a NUL byte at 2"),
        (b"x" * 2**20 + b"\tone", "the source has 1,048,576 bytes, at most 10,000 were expected"),
        (b"x" * 20_000 + b"\tone", "the source has 20,000 bytes, at most 10,000 were expected"),
        (b"eins\t" + b"y" * 3 * 2**20, "the target has 1,048,572 bytes"),
    ],
    ids=["one side", "three sides", "no source", "blank target", "empty", "latin", "nul", "1 MB", "20 kB", "3 MB"],
)
def test_a_bad_line_is_named_with_its_fault_and_the_next_one_is_read(tmp_path: Path, line: bytes, fault: str) -> None:
    file = written(tmp_path, "pairs.tsv", b"eins\tone\n" + line + b"\nzwei\ttwo\n")
    examples = list(parallel_text.source(Settings(file=file)).splits["train"]())
    stored = Task("translation", {}).examples.to_records(examples)
    assert list(stored.faults) == [1]
    assert stored.faults[1].startswith(fault)
    assert examples[1]["name"] == "pairs.tsv line 2"
    assert stored.contents == [b"eins", b"zwei"]
    assert stored.features["target"] == [b"one", b"two"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_not_a_part_of_the_first_sentence(encoding: str, tmp_path: Path) -> None:
    de = written(tmp_path, "text.de", "größer\r\nzwei\r\n".encode(encoding))
    en = written(tmp_path, "text.en", b"larger\ntwo\n")
    pairs = written(tmp_path, "pairs.tsv", "größer\tlarger\nzwei\ttwo\n".encode(encoding))
    for settings in (Settings(file=de, target_file=en), Settings(file=pairs)):
        source = parallel_text.source(settings)
        assert source.counts == parallel_text.facts(settings).counts == {"train": 2}
        examples = [(one["source"].decode(), one["target"]) for one in source.splits["train"]()]
        assert examples == [("größer", b"larger"), ("zwei", b"two")]


def test_a_file_that_is_not_in_the_encoding_of_its_mark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"pairs\.tsv is not utf-16.*, as its first bytes say; save it as UTF-8"):
        parallel_text.source(Settings(file=written(tmp_path, "pairs.tsv", b"\xff\xfe" + b"\0\xd8" * 9)))


def test_of_more_columns_the_first_two_are_read_or_those_that_are_chosen(tmp_path: Path) -> None:
    lines = "".join(f"hello {n}\thallo {n}\tCC-BY 2.0 {n}\n" for n in range(3)) + "only\tzwei\n"
    file = written(tmp_path, "deu.txt", lines.encode())
    source = parallel_text.source(Settings(file=file))
    first, *_, short = source.splits["train"]()
    assert (first["source"], first["target"]) == (b"hello 0", b"hallo 0")
    assert short["fault"] == "the line has 1 tabs, not 2 as in most lines"
    assert source.text == "sentence pairs of deu.txt, columns 1 and 2 of 3"
    chosen = next(parallel_text.source(Settings(file=file, columns=(3, 1))).splits["train"]())
    assert (chosen["source"], chosen["target"]) == (b"CC-BY 2.0 0", b"hello 0")
    missing = next(parallel_text.source(Settings(file=file, columns=(1, 4))).splits["train"]())
    assert missing["fault"] == "the line has 2 tabs, not at least 3"


def test_sides_of_different_numbers_of_lines_are_refused(tmp_path: Path) -> None:
    de, en = written(tmp_path, "text.de", b"eins\nzwei\n"), written(tmp_path, "text.en", b"one\n")
    with pytest.raises(StepError, match=r"text\.de has 2 lines and .*text\.en has 1"):
        parallel_text.source(Settings(file=de, target_file=en))


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.tsv")
    with pytest.raises(StepError, match=r"no such file: .*; set data\.file"):
        parallel_text.source(Settings(file=missing))
    assert parallel_text.facts(Settings(file=missing)) is None
    assert parallel_text.state(Settings(file=missing)) == ""
    empty = written(tmp_path, "empty.tsv", b"")
    with pytest.raises(StepError, match="is empty"):
        parallel_text.source(Settings(file=empty))


def test_another_file_in_the_same_place_is_another_state(tmp_path: Path) -> None:
    settings = Settings(file=written(tmp_path, "pairs.tsv", b"eins\tone\n"))
    before = parallel_text.state(settings)
    written(tmp_path, "pairs.tsv", b"eins\tone\nzwei\ttwo\n")
    assert before != parallel_text.state(settings)


def test_languages_may_come_as_one_text() -> None:
    assert checked("data", Settings, {"file": "x", "languages": "de, en"}).languages == ("de", "en")
    with pytest.raises(StepError, match=r"data\.languages"):
        checked("data", Settings, {"file": "x", "languages": "de"})
