"""``suanli compile``: experiments as pipeline files that run from the Kubeflow UI as they are."""

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from components.core.errors import StepError
from components.core.files import write_atomically
from pipelines import experiment as experiments
from pipelines.compile import targets
from pipelines.compile.compiler import compile_experiment
from pipelines.compile.targets import Target
from pipelines.experiment import NamedExperiment
from pipelines.runs import folder

ENDINGS = {".yaml", ".yml"}


def compile_(
    experiment: Annotated[str, typer.Argument(help="A name, or the path of a .py file.")] = "",
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PATH", help="A .yaml file, - for stdout; a folder with --all.")
    ] = "-",
    every: Annotated[bool, typer.Option("--all", help="Compile every experiment into the folder.")] = False,
    target: Annotated[
        str, typer.Option(metavar="NAME", help="Whose roots and images become the defaults: local, or of targets.toml.")
    ] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; repeat it.")
    ] = None,
) -> None:
    """Compile an experiment, or all of them, into pipeline files."""
    if every == bool(experiment):
        raise StepError("name one experiment, or give --all", advice="see suanli experiments", kind="settings")
    where = _target(target)
    if not every:
        _write(Path(output), experiments.load(experiment).with_settings(set_ or []), where)
        return
    if output == "-" or Path(output).suffix in ENDINGS:
        raise StepError("--all writes several files", advice="give a folder: --output build", kind="settings")
    for name in experiments.names():
        path = Path(output) / f"{name}.yaml"
        _write(path, experiments.load(name).with_settings(set_ or []), where)
        print(path)


def _target(name: str) -> Target | None:
    if name == "local":
        return targets.local(folder.root())
    return targets.load(name, Path.cwd()) if name else None


def _write(path: Path, named: NamedExperiment, target: Target | None) -> None:
    # Kubernetes' settings are a second YAML document, which JSON cannot hold.
    if str(path) != "-" and path.suffix not in ENDINGS:
        raise StepError(f"{path}: a pipeline file ends in .yaml", advice="-o pipeline.yaml", kind="settings")
    # Importing kfp makes a great many objects that stay: looking for garbage among them is a fifth of the command.
    gc.disable()
    try:
        text = compile_experiment(named, target)
    finally:
        gc.enable()
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise StepError(f"cannot write {path}: {error.strerror}", kind="settings") from None
