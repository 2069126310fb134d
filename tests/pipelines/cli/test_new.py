"""``suanli new``: what it writes passes the checks and its own test, and what it refuses."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import copied, environment, suanli

from components.core import sources
from components.core.choices import names

TOOLS = Path(sys.executable).parent


def written(checkout: Path, *arguments: str) -> list[str]:
    """The files that a command writes, the test last."""
    done = suanli(checkout, "new", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n\n")[0].splitlines()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("new") / "checkout")


def checked(checkout: Path, *files: str) -> None:
    """The written files pass ruff, and the written tests pass."""
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([TOOLS / "ruff", *command, *files], cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    tests = [file for file in files if file.startswith("tests/")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=checkout, env=environment(checkout), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_what_it_writes_passes_ruff_and_its_own_test_as_it_is(checkout: Path) -> None:
    files = [file for kind in ("data", "model", "task") for file in written(checkout, kind, f"our_{kind}")]
    assert files[:2] == ["components/data/our_data.py", "tests/components/data/test_our_data.py"]
    checked(checkout, *files)
    task = [file for file in files if file.startswith("components/tasks/our_task/")]
    assert {Path(file).name for file in task} == {"__init__.py", "examples.py", "training.py", "evaluation.py"}
    assert sum(len((checkout / file).read_text().splitlines()) for file in task) <= 120
    for room in ("data", "models", "tasks"):
        assert f"our_{room.removesuffix('s')}" in suanli(checkout, room).stdout


def test_what_it_writes_under_the_longest_name_passes_ruff(checkout: Path) -> None:
    longest = "a_name_that_is_as_long_as_it_may_be_"
    choices = (["data"], ["model"], ["task"], ["data", "--like", "text_file"], ["model", "--like", "cnn"])
    for number, (kind, *like) in enumerate(choices):
        files = written(checkout, kind, f"{longest}{number:04}", *like)
        for command in (["check"], ["format", "--check"]):
            done = subprocess.run([TOOLS / "ruff", *command, *files], cwd=checkout, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_what_it_writes_passes_mypy(tmp_path: Path) -> None:
    checkout = copied(tmp_path / "checkout")
    for kind in ("data", "model", "task"):
        written(checkout, kind, f"our_{kind}")
    done = subprocess.run([TOOLS / "mypy"], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def choices(room: str) -> list[str]:
    return names(room)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "like"),
    [
        (kind, name)
        for kind, room in (("data", "data"), ("model", "models"), ("task", "tasks"))
        for name in choices(room)
    ],
)
def test_a_copy_of_any_choice_passes_its_test_as_it_is(kind: str, like: str, checkout: Path) -> None:
    checked(checkout, *written(checkout, kind, f"like_{like}", "--like", like))


def test_a_copy_has_its_own_name_and_says_where_it_comes_from(checkout: Path) -> None:
    file, _ = written(checkout, "data", "more_digits", "--like", "digits")
    text = (checkout / file).read_text()
    assert 'Literal["more_digits"] = "more_digits"' in text
    assert text.startswith('"""More digits: a copy of digits, to be changed."""')


def test_it_says_what_to_do_next(checkout: Path) -> None:
    told = suanli(checkout, "new", "model", "told").stdout
    assert "pytest tests/components/models/test_told.py" in told
    assert "suanli run digits --set model.name=told --set training.epochs=1" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["step", "ours"], "cannot add a 'step'; choose from data, experiment, model, task"),
        (["models", "ours"], "cannot add a 'models'; did you mean model?"),
        (["model", "cnn"], "components/models/cnn.py exists already; choose another name"),
        (["model", "models"], "tests/components/models/test_models.py exists already"),
        (["model", "Ours"], "'Ours' cannot be the name of a module"),
        (["model", "our-net"], "'our-net' cannot be the name of a module"),
        (["model", "../net"], "'../net' cannot be the name of a module"),
        (["model", "_net"], "'_net' cannot be the name of a module"),
        (["model", "class"], "'class' cannot be the name of a module"),
        (["model", "x" * 41], "cannot be the name of a module"),
        (["model", "ours", "--like", "cnnn"], "unknown model 'cnnn'; did you mean cnn?"),
        (["model"], "Missing argument 'NAME'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line_and_writes_nothing(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.cli.main import main

    before = sorted((sources.ROOT / "components").rglob("*.py"))
    assert main(["new", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1
    assert sorted((sources.ROOT / "components").rglob("*.py")) == before


def test_an_installed_package_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from pipelines.cli.main import main

    shutil.copytree(sources.ROOT / "components", tmp_path / "components")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    assert main(["new", "model", "ours"]) == 2
    assert "is not a checkout: an installed package takes no files; make a project" in capsys.readouterr().err
