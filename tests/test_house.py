"""The house in numbers: how large rooms, files and lists may become before they have to be divided."""

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("components", "pipelines")
LINES = {
    path.relative_to(ROOT): len(path.read_text().splitlines())
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
}


def test_no_room_holds_more_than_a_fifth_of_the_components() -> None:
    rooms: Counter[str] = Counter()
    for path, lines in LINES.items():
        if path.parts[0] == "components":
            rooms[path.parts[1]] += lines
    assert len(rooms) > 10
    assert {room: lines for room, lines in rooms.items() if lines > 0.2 * rooms.total()} == {}


def test_no_file_is_longer_than_400_lines() -> None:
    tests = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert {str(path): lines for path, lines in (LINES | tests).items() if lines > 400} == {}


def test_pipelines_and_components_have_at_most_45_000_lines() -> None:
    """36,400 when the rooms were made (the limit was 37,000); the rest is for the features that came after."""
    assert 20_000 < sum(LINES.values()) <= 45_000


def inner_imports(path: Path) -> list[str]:
    """The imports inside functions, as ``file:line module``."""
    tree = ast.parse((ROOT / path).read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    imports = {
        node for function in functions for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return [f"{path}:{node.lineno} {ast.unparse(node)}" for node in imports]


def test_at_most_150_imports_are_inside_functions() -> None:
    """Heavy libraries load when they are needed; everything else is imported at the top of its file."""
    found = sorted(one for path in LINES for one in inner_imports(path))
    assert len(found) <= 150, "\n".join(found)


def test_the_golden_files_have_fewer_than_5_000_lines() -> None:
    golden = [path for path in (ROOT / "tests/golden").rglob("*") if path.is_file()]
    assert 0 < sum(len(path.read_text().splitlines()) for path in golden) < 5_000


def test_the_makefile_has_at_most_16_targets_and_help_lists_each() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", text, re.MULTILINE)
    assert 0 < len(targets) <= 16
    assert targets == re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)
    assert targets == re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)


def test_the_readme_has_fewer_than_200_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
