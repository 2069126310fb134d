"""``suanli tensorboard``: the learning curves of several runs side by side."""

import os
import shutil
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from components.core.errors import StepError
from pipelines.cli.options import Runs
from pipelines.runs import folder


def tensorboard(
    which: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs; all by default.")] = None,
    runs: Runs = None,
    port: Annotated[int, typer.Option(help="The port to serve on.")] = 6006,
) -> None:
    """Show the learning curves of runs in TensorBoard, including those in progress."""
    root = folder.root(runs)
    chosen = [folder.find(root, name) for name in which or []] or folder.every(root)
    if find_spec("tensorboard") is None:
        raise StepError("TensorBoard is not installed", advice="install it: pip install 'suanli[cpu]'", kind="settings")
    logs = {run.id: sorted(run.folder.glob("artifacts/*/train/logs")) for run in chosen}
    links = root / ".tensorboard"
    shutil.rmtree(links, ignore_errors=True)
    for name, folders in logs.items():
        if folders:
            links.mkdir(parents=True, exist_ok=True)
            (links / name).symlink_to(folders[-1])
    if not links.is_dir():
        raise StepError(
            f"none of {len(chosen)} runs in {root} has trained yet", advice="start one with suanli run", kind="settings"
        )
    sys.stdout.flush()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(links), "--port", str(port)]
    os.execv(sys.executable, command)
