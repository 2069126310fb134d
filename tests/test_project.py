"""docs/project.md as it is written: a project in a folder of its own, from nothing to predictions."""

import doctest
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from page import Command, read

from components.core.sources import ROOT

PAGE = [part for part in read(ROOT / "docs/project.md") if isinstance(part, Command)]
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
LAYER = '''"""A layer of the team's."""

import keras


@keras.saving.register_keras_serializable("flowers")
class Doubled(keras.layers.Layer):
    def call(self, inputs: object) -> object:
        return 2 * inputs
'''
OURS = '''"""Ours: the neighbour's data, our model."""

from dataclasses import replace

from ..models import our_net
from .first import EXPERIMENT as FIRST

EXPERIMENT = replace(FIRST, model=our_net.Settings())
'''


def suanli(folder: Path, *arguments: str) -> str:
    """What a command prints that is run in a folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SUANLI_")}
    # As the installed command does, and unlike python -m, it leaves the current folder alone.
    command = [sys.executable, "-P", "-m", "pipelines", *arguments]
    env |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout


def follow(folder: Path, *, whole: bool) -> Path:
    """Do what the page says; the folder in which its last command leaves the reader."""
    for part in PAGE:
        program, *arguments = shlex.split(part.line)
        if program == "cd":
            folder /= arguments[0]
        elif whole or arguments[0] != "run":
            printed = suanli(folder, *arguments)
            assert doctest.OutputChecker().check_output(part.printed, printed, LIKE), printed
    return folder


def test_its_short_commands_do_what_it_says(tmp_path: Path) -> None:
    project = follow(tmp_path, whole=False)
    assert (project / "models/our_net.py").is_file() and "first" in suanli(project / "data", "experiments")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_project_runs_its_own_model_and_layer_and_predicts_with_them_later(tmp_path: Path) -> None:
    project = follow(tmp_path, whole=True)
    (project / "layers/doubled.py").write_text(LAYER)
    (project / "experiments/ours.py").write_text(OURS)
    path = project / "models/our_net.py"
    text = path.read_text().replace(
        "    import keras\n\n", "    import keras\n\n    from ..layers.doubled import Doubled\n\n"
    )
    path.write_text(text.replace("GlobalAveragePooling2D()(x)", "GlobalAveragePooling2D()(Doubled()(x))"))
    # Steps that run from inside a folder that is called as our package is.
    for name in ("pipelines", "components"):
        (project / name).mkdir()
        (project / name / "__init__.py").write_text("raise RuntimeError('theirs')")
    suanli(project / "pipelines", "run", "ours", "--set", 'export.formats=["litert"]', "--set", "training.epochs=1")
    run = project / "runs/latest"
    keys = {step: json.loads((run / f"steps/{step}.json").read_text())["key"]["code"] for step in ("prepare", "train")}
    ours = {step: {name for name in code if name.startswith("suanli_project/")} for step, code in keys.items()}
    assert ours == {
        "prepare": set(),
        "train": {"suanli_project/models/our_net.py", "suanli_project/layers/doubled.py"},
    }
    pictures = [str(path) for path in sorted((ROOT / "docs/pictures").glob("*.png"))[:1]]
    for format_ in ("keras", "litert"):
        (line,) = suanli(project / "data", "predict", "ours", *pictures, "--format", format_, "--json").splitlines()
        assert json.loads(line)["input"] == pictures[0]
