"""``suanli images``: the images that the steps run in, with the project's files."""

from typing import Annotated

import typer

from pipelines.images import build as building
from pipelines.images import names
from pipelines.images import push as pushing

app = typer.Typer(help="Build, push and list the images that the steps run in.", no_args_is_help=True)

Kinds = Annotated[list[str] | None, typer.Argument(metavar="KIND...", help=f"{', '.join(names.KINDS)} (default: cpu).")]


@app.command()
def build(
    kinds: Kinds = None,
    base: Annotated[str, typer.Option("--base", metavar="IMAGE", help="The image to stand on.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Build those that are there, too.")] = False,
) -> None:
    """Build those that are not there yet, for the present sources and the project's files."""
    building.build(kinds or [], base, again=again)


@app.command()
def push(
    kinds: Kinds = None,
    registry: Annotated[str, typer.Option("--registry", metavar="HOST/PATH", help="Where to.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Replace those that stand on another base there.")] = False,
) -> None:
    """Push those that the registry lacks, and print the target's setting for them."""
    pushing.push(kinds or [], registry, again=again)


@app.command("list")
def list_(kinds: Kinds = None) -> None:
    """Print their names: one for each step and what an experiment can choose for it."""
    print("\n".join(name for kind in names.image_kinds(kinds or []) for name in names.local(kind)))
