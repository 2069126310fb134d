"""``suanli open``: a run's page, or the page of all runs, in the browser."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from components.core import plain
from components.core.errors import StepError
from pipelines.cli.options import Runs
from pipelines.runs import folder, overview, page


def open_(
    which: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or latest.")] = "",
    every: Annotated[
        bool, typer.Option("--all", help="The page of all runs: a table to sort, filter and tick.")
    ] = False,
    runs: Runs = None,
) -> None:
    """Open a run's page in the browser, or the page of all runs; print its path if there is no browser."""
    root = folder.root(runs)
    if which and every:
        raise StepError("--all is the page of all runs", advice="give a run or --all", kind="settings")
    _show(overview.write(root) if every else _page(root, which or folder.LATEST))


def _page(root: Path, which: str) -> Path:
    run = folder.find(root, which)
    path = run.folder / page.FILE
    if path.is_file():
        return path
    record = run.read()
    where = f"it is on {record['cluster']['host']}" if "cluster" in record else f"its status is {record['status']}"
    raise StepError(f"run {run.id} has no page here: {where}", advice=f"suanli runs show {run.id}", kind="settings")


def _show(path: Path) -> None:
    print(plain.one_line(str(path)))
    # A browser in the terminal would take it over; without a terminal nobody is there to look.
    screen = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.stdout.isatty() and screen:
        webbrowser.open(path.as_uri())
