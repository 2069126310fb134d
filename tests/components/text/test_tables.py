"""Tables as spreadsheets, editors and programs write them."""

from pathlib import Path

import pytest
from refusals import one_line

from components.core.errors import StepError
from components.text import tables

ROWS = [("Buy, now; or\tnever", "spam"), ("ÄÖ €", "ham")]


def written(folder: Path, name: str, content: bytes | str) -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def read(path: Path) -> list[tuple[str, ...]]:
    return [row.values for row in tables.rows(path, ("text", "label"))]


QUOTED = 'label,text\nspam,"Buy, now; or\tnever"\nham,ÄÖ €\n'
SEMICOLONS = 'label;text\nspam;"Buy, now; or\tnever"\nham;ÄÖ €\n'
OBJECTS = '{"text": "Buy, now; or\\tnever", "label": "spam"}\n\n{"label": "ham", "text": "ÄÖ €"}\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", QUOTED),
        ("a.CSV", QUOTED.replace("\n", "\r\n")),
        ("a.csv", QUOTED.replace("\n", "\r")),
        ("a.csv", "\ufeff" + QUOTED),
        ("a.csv", QUOTED.encode("utf-16")),
        ("a.csv", ("\ufeff" + QUOTED).encode("utf-16-be")),
        ("a.csv", QUOTED.encode("utf-32")),
        ("a.csv", SEMICOLONS),
        ("a.csv", "sep=;\r\n" + SEMICOLONS),
        ("a.csv", SEMICOLONS.replace(";", "|").replace("now|", "now;")),
        ("a.csv", 'label\ttext\nspam\t"Buy, now; or\tnever"\nham\tÄÖ €\n'.encode("utf-16")),
        ("a.csv", QUOTED + "\n,\n\n"),
        ("a.csv", QUOTED.replace("\n", ",,\n")),
        ("a.jsonl", OBJECTS),
        ("a.ndjson", ("\ufeff" + OBJECTS).replace("\n", "\r\n")),
        ("a.jsonl", OBJECTS.encode("utf-16")),
    ],
    ids=[
        *("plain", "crlf", "cr", "bom", "utf-16", "utf-16-be", "utf-32", "semicolons", "sep", "bars", "unicode text"),
        *("empty rows", "empty columns", "objects", "objects crlf", "objects utf-16"),
    ],
)
def test_the_rows_are_the_same_whoever_wrote_the_file(name: str, content: bytes | str, tmp_path: Path) -> None:
    assert read(written(tmp_path, name, content)) == ROWS


def test_a_quote_in_tsv_is_a_letter(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", 'text\tlabel\n"Best film ever\tpos\nI hated it. Worst ever"\tneg\n')
    assert read(path) == [('"Best film ever', "pos"), ('I hated it. Worst ever"', "neg")]


def test_a_value_that_spans_rows_and_delimiters_is_marked(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", 'text,label\n"two\nlines",pos\n"Best, ever,pos\nI hated it",neg\n"a,b",pos\n')
    assert [row.merged for row in tables.rows(path, ("text", "label"))] == [False, True, False]


@pytest.mark.parametrize(
    ("name", "content", "faults"),
    [
        ("a.csv", "text,label\na,b\na\na,b,c\n", {2: "row 2 has 1 values, the first row names 2", 3: "row 3 has 3"}),
        ("a.tsv", "text\tlabel\na\tb\ttab\n", {1: "row 1 has 3 values"}),
        ("a.jsonl", '["a"]\n{"text": "a", "label": "x"}\n{\n', {1: "row 1 is list, an object", 3: "row 3 is not JSON"}),
        ("a.jsonl", "[" * 100_000 + "\n", {1: "row 1 is not JSON"}),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_read(
    name: str, content: str, faults: dict[int, str], tmp_path: Path
) -> None:
    told = {row.number: row.fault for row in tables.rows(written(tmp_path, name, content), ("text", "label"))}
    assert {number for number, fault in told.items() if fault} == set(faults)
    for number, fault in faults.items():
        assert told[number].startswith(fault)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "has no column 'text'; its first row is empty"),
        ("a.csv", "txt,label\na,b\n", "has no column 'text'; did you mean txt?"),
        ("a.csv", "text,text,label\na,b,c\n", "has more than one column 'text'"),
        ("a.csv", "t\0e\0x\0t\0,\0label\n", "has no column 'text'; its first row is not UTF-8: save it as UTF-8"),
        ("a.csv", "texté,label\n".encode("latin-1"), "has no column 'text'; its first row is not UTF-8"),
        ("a.csv", 'text,label\na,b\n"a,b\n', "a quote that opens in row 2 is never closed; write a quote as two"),
        ("a.csv", 'text,label\n"a" b,c\n', "row 1: ',' expected"),
        ("a.csv", b"\xff\xfet\0e\0x\0t\0", "has no column 'label'"),
        ("a.csv", b"\xff\xfet\0e\0x", "is not utf-16-le, as its first bytes say; save it as UTF-8"),
        ("a.jsonl", '{"txt": "a", "label": "b"}\n', "has no column 'text'; did you mean txt?"),
        ("a.xlsx", "PK", "ends in none of .csv, .tsv, .jsonl, .ndjson; save it as one of them"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(name: str, content: bytes | str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StepError) as failure:
        read(written(tmp_path, name, content))
    assert message in one_line(failure)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_text_file_is_decoded_by_its_mark(encoding: str) -> None:
    assert tables.decoded("Änderung 中".encode(encoding)) == "Änderung 中".encode()


def test_bytes_that_their_mark_does_not_fit_stay_as_they_are() -> None:
    assert tables.decoded(b"\xff\xfe" + b"\xd8" * 10) == b"\xff\xfe" + b"\xd8" * 10
