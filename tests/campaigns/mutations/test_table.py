"""The table of mutations keeps up with the sources."""

from collections import Counter
from pathlib import Path

from tests.campaigns.mutations.__main__ import ROOT, tried
from tests.campaigns.mutations.table import MUTATIONS, Mutation


def test_every_line_is_found_exactly_once() -> None:
    counts = {str(one): (ROOT / one.file).read_text().count(one.old) for one in MUTATIONS}
    assert {line: count for line, count in counts.items() if count != 1} == {}
    assert len(MUTATIONS) >= 40 and max(Counter(map(str, MUTATIONS)).values()) == 1


def test_every_mutation_changes_one_line_and_names_tests_that_are_there() -> None:
    for one in MUTATIONS:
        assert one.old != one.new and "\n" not in one.old + one.new, one
        files = [word for word in one.tests.split() if word.startswith("tests/")]
        assert files and all((ROOT / file.partition("::")[0]).is_file() for file in files), one


def test_a_mutation_is_noticed_or_survives_and_the_line_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "double.py").write_text("def double(x):\n    return x + x\n")
    (tmp_path / "test_double.py").write_text(
        "from double import double\n"
        "def test_one():\n    assert double(2) == 4\n"
        "def test_none():\n    assert double(0) == 0\n"
    )
    mutations = {
        "noticed": Mutation("double.py", "x + x", "x + 1", "test_double.py"),
        "SURVIVED": Mutation("double.py", "x + x", "x * x", "test_double.py"),
        "gone": Mutation("double.py", "x - x", "x", "test_double.py"),
        "red": Mutation("double.py", "x + x", "x", "test_double.py -k nothing_has_this_name"),
    }
    assert {name: tried(tmp_path, one) for name, one in mutations.items()} == {name: name for name in mutations}
    assert (tmp_path / "double.py").read_text() == "def double(x):\n    return x + x\n"
