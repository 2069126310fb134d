"""``suanli tensorboard``: the learning curves of several runs side by side."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from components.core.errors import StepError
from pipelines.runs import folder


def tensorboard(
    run: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs; all by default.")] = None,
    runs: Annotated[Path | None, typer.Option(help="The folder of runs; also SUANLI_RUNS.")] = None,
    port: Annotated[int, typer.Option(help="The port to serve on.")] = 6006,
) -> None:
    """Show runs in TensorBoard, those in progress included."""
    root = folder.root(runs)
    chosen = [folder.find(root, which) for which in run or []] or folder.every(root)
    if find_spec("tensorboard") is None:
        raise StepError("TensorBoard is not installed", advice="pip install 'suanli[cpu]'", kind="settings")
    logs = {it.id: sorted(it.folder.glob("artifacts/*/train/logs")) for it in chosen}
    links = root / ".tensorboard"
    shutil.rmtree(links, ignore_errors=True)
    for name, found in logs.items():
        if found:
            links.mkdir(parents=True, exist_ok=True)
            (links / name).symlink_to(found[-1])
    if not links.is_dir():
        raise StepError(f"none of {len(chosen)} runs in {root} has trained yet", advice="suanli run", kind="settings")
    sys.stdout.flush()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(links), "--port", str(port)]
    os.execv(sys.executable, command)
