"""What TAB offers, by the program that the shell calls and by a real bash."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from answers import answer

from pipelines.cli import completion
from pipelines.cli.main import PANELS, main

CALL = [sys.executable, "-P", "-m", "pipelines.cli.completion"]
RUNS = ("20261201-120000-digits", "20261201-120000-digits-2", "20261130-080000-fashion_mnist")


@pytest.fixture(autouse=True)
def work(here: Path) -> Path:
    for name in (*RUNS, "registry", ".store"):
        (here / "runs" / name).mkdir(parents=True)
    (here / "targets.toml").write_text("[gke]\n[onprem]\n")
    known()
    return here


def known() -> None:
    """Write the file of words without the patience of a shell, which a busy machine may exceed."""
    if not (path := completion.cache_file()).exists():
        command = [sys.executable, "-P", "-m", "pipelines.cli.completion_words", str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def offered(*words: str) -> list[str]:
    done = subprocess.run([*CALL, *words], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (("",), {"run", "runs", "settings"}),
        (("run", "dig"), {"digits"}),
        (("run", "digits", "--s"), {"--set"}),
        (("run", "digits", "--set", "training.ep"), {"training.epochs="}),
        (("submit", "digits", "--accelerator", "l4x"), {"l4x2", "l4x4", "l4x8"}),
        (("submit", "digits", "--target", ""), {"gke", "onprem"}),
        (("runs", "show", ""), {"latest", *RUNS}),
        (("runs", "show", "20261130"), {"20261130-080000-fashion_mnist"}),
        (("wait", "20261201-120000-digits-"), {"20261201-120000-digits-2"}),
        (("settings", "data.image_f"), {"data.image_folder"}),
        (("settings", "training"), {"training", "training.epochs"}),
        (("models", "cn"), {"cnn"}),
        (("nodepool", "v6e-4"), {"v6e-4"}),
        (("registry", "ro"), {"rollback"}),
        (("completion", ""), {"bash", "zsh", "fish"}),
        # A value before it is no argument.
        (("run", "--set", "training.epochs=3", "digi"), {"digits"}),
        (("--debug", "run", "digi"), {"digits"}),
    ],
)
def test_a_word_is_completed_by_what_can_stand_there(words: tuple[str, ...], some: set[str]) -> None:
    found = set(offered(*words))
    assert some <= found and all(word.startswith(words[-1]) for word in found)


@pytest.mark.parametrize(
    "words", [("run", "digits", "--set", "x.y=3"), ("predict", ""), ("nonsense", "x"), ("run", "-z")]
)
def test_where_nothing_is_known_nothing_is_offered(words: tuple[str, ...]) -> None:
    assert offered(*words) == []


def test_every_command_is_known_and_the_next_answer_comes_from_the_cache(cache_home: Path) -> None:
    assert set(offered("")) == {name for panel in PANELS.values() for name in panel}
    kept = completion.cache_file()
    assert kept.parent == cache_home / "completion"
    kept.write_text(kept.read_text().replace('"fashion_mnist"', '"from_the_cache"'))
    assert "from_the_cache" in offered("run", "")
    kept.unlink()
    known()
    assert "fashion_mnist" in offered("run", "")


def test_a_teams_own_accelerators_are_offered_once_they_are_there(work: Path) -> None:
    before = completion.cache_file()
    (work / "accelerators.toml").write_text('[vision]\nlike = "l4x2"\n')
    assert completion.cache_file() != before
    known()
    assert offered("nodepool", "vis") == ["vision"]


def test_a_project_is_found_from_a_folder_below_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    team = work / "team"
    (team / "runs/20261201-130000-first").mkdir(parents=True)
    (team / "experiments").mkdir()
    (team / "experiments/first.py").write_text('"""Ours."""\n')
    (team / "suanli.toml").write_text("")
    monkeypatch.chdir(team / "experiments")
    monkeypatch.delenv("SUANLI_RUNS")
    known()
    assert offered("run", "fir") == ["first"]
    assert offered("runs", "show", "2026") == ["20261201-130000-first"]


def test_it_imports_nothing_but_the_standard_library() -> None:
    script = "import sys, pipelines.cli.completion; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"typer", "rich", "pydantic", "components", "kfp", "numpy"}


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("suanli run dig", ["digits"]),
        ("suanli run digits --set training.epochs", ["training.epochs="]),
        ("suanli run --set training.epochs=3 fashion", ["fashion_mnist"]),
        ("suanli registry ", ["list", "show", "rollback", "verify"]),
    ],
)
def test_a_real_bash_gets_the_words(line: str, reply: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    bash = shutil.which("bash")
    assert bash
    script = f"compopt() {{ :; }}\n{answer(capsys, 'completion', 'bash')}\n"
    script += f'COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; _suanli; printf "%s\\n" "${{COMPREPLY[@]}}"\n'
    done = subprocess.run([bash, "-eu"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout.split() == reply


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_the_lines(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = answer(capsys, "completion", shell)
    assert "pipelines.cli.completion" in text and "{{" not in text
    if program := shutil.which(shell):
        subprocess.run([program, "--no-execute"], input=text, text=True, check=True)


def test_an_unknown_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bsh"]) == 2
    assert "unknown shell 'bsh'; did you mean bash?" in capsys.readouterr().err
