"""A copy of this checkout, to add files to, and commands run in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from components.core.sources import ROOT

PARTS = (
    "components",
    "images",
    "pipelines",
    "requirements",
    "suanli",
    "tests",
    "docs",
    "README.md",
    "Makefile",
    "pyproject.toml",
)
LEFT_OUT = shutil.ignore_patterns("__pycache__", "pictures")


def copied(folder: Path) -> Path:
    """The parts of this checkout that commands and tests need, copied to a folder that is not there yet."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / part, folder / part)
    return folder


def environment(checkout: Path, **more: str) -> dict[str, str]:
    """What makes Python in any process below take the copy's modules, not those of this checkout."""
    return {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1", **more}


def suanli(checkout: Path, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    """A command of the copy's, run in it."""
    command = [sys.executable, "-m", "pipelines", *arguments]
    given = {"cwd": checkout, "env": environment(checkout), **more}
    return subprocess.run(command, capture_output=True, text=True, check=False, **given)
