"""``suanli run``: a whole pipeline on this machine."""

from typing import Annotated

import typer

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines import experiment as experiments
from pipelines.cli.options import Experiment, Runs, Sets
from pipelines.cli.output import show_tracebacks
from pipelines.local import session
from pipelines.runs import folder


def run(
    experiment: Experiment = "",
    sets: Sets = None,
    runs: Runs = None,
    runner: Annotated[
        str, typer.Option(metavar="NAME", help="subprocess (the default), or docker: each step in its image.")
    ] = "",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Do not reuse results of other runs.")] = False,
    resume: Annotated[str, typer.Option(metavar="ID", help="Continue a failed or interrupted run.")] = "",
    other_code: Annotated[
        bool, typer.Option("--other-code", help="With --resume: go on from checkpoints of code that has changed since.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show full tracebacks.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record; progress goes to stderr.")] = False,
) -> None:
    """Run an experiment's whole pipeline on this machine: prepare, train, evaluate, export."""
    if debug:
        show_tracebacks()
    root = folder.root(runs)
    if runner and runner not in folder.CACHES:
        raise StepError(f"unknown runner {runner!r}", advice=nearest(runner, folder.CACHES), kind="settings")
    if resume and (experiment or sets or no_cache or runner):
        raise StepError(
            "--resume takes its experiment and settings from the run", advice="give the id alone", kind="settings"
        )
    if other_code and not resume:
        raise StepError("--other-code is for a run that is resumed", advice="add --resume ID", kind="settings")
    if not (resume or experiment):
        raise StepError(
            "no experiment is given", advice=f"choose from {', '.join(experiments.names())}", kind="settings"
        )
    if resume:
        raise typer.Exit(session.resume(folder.find(root, resume), other_code=other_code, debug=debug, as_json=as_json))
    code, _ = session.start(
        experiment,
        sets or [],
        root,
        runner=runner or "subprocess",
        cache=not no_cache,
        debug=debug,
        as_json=as_json,
    )
    raise typer.Exit(code)
