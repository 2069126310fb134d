"""The page of what was tried names tests that are there."""

import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts/cases"


def listed(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, SCRIPT, "--list", *words], capture_output=True, text=True, check=False)


def test_every_row_names_a_test_that_is_there() -> None:
    done = listed()
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 10
    assert all((ROOT / line.partition("::")[0]).is_file() for line in done.stdout.splitlines())


def test_every_row_has_four_cells() -> None:
    rows = runpy.run_path(str(SCRIPT))["rows"]([])
    assert len(rows) > 10 and [row for row in rows if row.replace("\\|", "").count("|") != 5] == []


def test_the_page_ends_with_its_rows_in_order() -> None:
    """A merge of two lists leaves neither its marks nor a row twice."""
    page = (ROOT / "docs/tried.md").read_text().splitlines()
    rows = page[page.index("| --- | --- | --- | --- |") + 1 :]
    assert rows == sorted(set(rows), key=str.casefold) and all(row.startswith("| ") for row in rows)


def test_a_word_chooses_rows() -> None:
    assert listed("pytorch#90166").stdout == "tests/components/core/test_devices.py\n"
    assert listed("no row has these words").returncode == 2
