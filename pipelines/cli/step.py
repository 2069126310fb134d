"""``suanli step``: one step of a run again, in this process, so that a debugger works."""

import json
import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from components.core.choices import nearest
from components.core.errors import StepError
from components.core.step import run as run_step
from components.steps import PLACES, STEPS
from pipelines.cli.options import Runs
from pipelines.runs import folder

AGAIN = "again"


def step(
    step: Annotated[str, typer.Argument(help=f"{', '.join(STEPS)}.")],
    run: Annotated[str, typer.Option("--run", metavar="ID", help="Whose inputs and settings to take.")] = "latest",
    runs: Runs = None,
) -> None:
    """Run one step of a run again in this process, on the same inputs. The run is left unchanged.

    For a debugger: python -m pdb -m pipelines step train, or breakpoint() in the code.
    """
    found = folder.find(folder.root(runs), run)
    records = found.steps()
    if step not in records:
        started = nearest(step, records) if records else "it started none"
        raise StepError(f"run {found.id} has started no step {step!r}", advice=started, kind="settings")
    record = records[step]
    scratch = found.folder / AGAIN / step
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    # Outside a run: no cache, no progress, and exceptions pass.
    os.environ.pop("SUANLI_RUN", None)
    os.environ["SUANLI_DEBUG"] = "1"
    result = run_step(
        step,
        parameters=_elsewhere(record["parameters"], scratch),
        inputs={
            name: _artifact(given["type"], found.folder / given["path"], given["metadata"])
            for name, given in record["inputs"].items()
        },
        outputs={name: _artifact(kind, scratch / name, {}) for name, kind in record["output_types"].items()},
    )
    shown = "" if result is None else f" -> {json.dumps(result)}"
    print(f"{step} succeeded{shown}: {scratch}")


def _elsewhere(parameters: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """The parameters with every place to write to below the scratch folder; the registry is a copy."""
    moved = dict(parameters)
    moved |= {place: str(scratch / place) for place in PLACES if place in moved}
    if "registry" in moved and Path(parameters["registry"]).is_dir():
        shutil.copytree(parameters["registry"], moved["registry"])
    return moved


def _artifact(kind: str, path: Path, metadata: dict[str, Any]) -> Any:
    """What KFP would hand to the step: the artifact's class brings methods such as ``log_confusion_matrix``."""
    from kfp import dsl

    return getattr(dsl, kind)(name=path.name, uri=str(path), metadata=metadata)
