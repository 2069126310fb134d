"""``suanli compile``: experiments as pipeline files that can be run from the Kubeflow UI."""

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from components.core import project
from components.core.errors import StepError
from components.core.files import write_atomically
from pipelines import experiment as experiments
from pipelines.cli.options import Experiment, Sets
from pipelines.compile import targets
from pipelines.compile.compiler import compile_experiment
from pipelines.compile.targets import Target
from pipelines.experiment import NamedExperiment
from pipelines.runs import folder

ENDINGS = {".yaml", ".yml"}


def compile_(
    experiment: Experiment = "",
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PATH", help="A .yaml file, or - for stdout; a folder with --all.")
    ] = "-",
    every: Annotated[
        bool, typer.Option("--all", help="Compile every experiment, in a project its own, into the folder.")
    ] = False,
    target: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Whose roots and images become defaults: local, or an entry of targets.toml."
        ),
    ] = "",
    sets: Sets = None,
) -> None:
    """Compile an experiment, or all of them, into pipeline files."""
    if every == bool(experiment):
        raise StepError("name one experiment, or give --all", advice="see suanli experiments", kind="settings")
    installation = _target(target)
    if not every:
        _write(Path(output), experiments.load(experiment).with_settings(sets or []), installation)
        return
    if output == "-" or Path(output).suffix in ENDINGS:
        raise StepError("--all writes several files", advice="give a folder: --output build", kind="settings")
    names = project.names("experiments") if project.own() else experiments.names()
    if not names:
        print(f"there are no experiments in {project.folder() / 'experiments'}")
    for name in names:
        path = Path(output) / f"{name}.yaml"
        _write(path, experiments.load(name).with_settings(sets or []), installation)
        print(path)


def _target(name: str) -> Target | None:
    if name == "local":
        return targets.local(folder.root())
    return targets.load(name, project.folder()) if name else None


def _write(path: Path, named: NamedExperiment, target: Target | None) -> None:
    # The Kubernetes settings are a second YAML document, which JSON cannot hold.
    if str(path) != "-" and path.suffix not in ENDINGS:
        raise StepError(
            f"{path}: a pipeline file must end in .yaml", advice="for example -o pipeline.yaml", kind="settings"
        )
    # Importing kfp creates very many objects that stay: collecting garbage among them takes a fifth of the time.
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
