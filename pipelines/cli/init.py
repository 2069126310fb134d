"""``suanli init``: a project of the team's own."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from components.core import project
from components.core.errors import StepError
from pipelines.cli import new
from pipelines.runs.folder import PATTERN

FOLDERS = ("experiments", *project.ROOMS)
# File -> its template. The marker comes last: what is interrupted before can be done again.
FILES = {
    "README.md": "README.md",
    ".gitignore": "gitignore",
    "ci.yaml": "ci.yaml",
    "ruff.toml": "ruff.toml",
    "schedules.toml": "schedules.toml",
    "targets.toml": "targets.toml",
    "tests/test_experiments.py": "test_experiments.py",
    **{f"{folder}/.gitkeep": "" for folder in FOLDERS},
    project.MARKER: project.MARKER,
}


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder, or one that is there: . for this.")],
) -> None:
    """Make a folder a project of your own: experiments, data sources, models and tasks beside Suanli's.

    Every command finds the project from any folder below it, and keeps runs and models there. Nothing that is in the
    folder already is overwritten.
    """
    root = folder.expanduser().absolute().resolve()
    if (root / project.MARKER).exists():
        raise StepError(f"{root} is a project already", advice="suanli new adds to it", kind="settings")
    if PATTERN.search(str(root)):
        raise StepError(
            f"{root} has one of * ? [ \\ in its path, which TensorFlow takes for a pattern of files",
            advice="choose another folder",
            kind="settings",
        )
    outer = project.nearest(root.parent)
    present = [name for name in FILES if (root / name).exists()]
    for name, template in FILES.items():
        if name not in present:
            new.write(root / name, new.rendered(f"project/{template}.j2", {"title": root.name}) if template else "")
    print(f"the project is in {root}")
    if present:
        print(f"left as they were: {', '.join(present)}")
    if outer:
        print(f"it lies in the project {outer}: below {root.name} its own files count, and those of the outer do not")
    print(f"\nNext:\n  cd {shlex.quote(str(folder))}\n  suanli new experiment NAME\n  suanli run NAME")
