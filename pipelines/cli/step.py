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
    step: Annotated[str, typer.Argument(metavar="STEP", help=f"{', '.join(STEPS)}.")],
    run: Annotated[
        str, typer.Option("--run", metavar="ID", help="The run whose inputs and settings are used.")
    ] = "latest",
    runs: Runs = None,
) -> None:
    """Run one step of a run again in this process, on the same inputs. The run is left unchanged.

    For a debugger: python -m pdb -m pipelines step train, or breakpoint() in the code.
    """
    original = folder.find(folder.root(runs), run)
    records = original.steps()
    if step not in records:
        advice = nearest(step, records) if records else "it started no step"
        raise StepError(f"run {original.id} did not start step {step!r}", advice=advice, kind="settings")
    record = records[step]
    scratch = original.folder / AGAIN / step
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    # Outside a run: no cache, no progress, and exceptions are not caught.
    os.environ.pop("SUANLI_RUN", None)
    os.environ["SUANLI_DEBUG"] = "1"
    result = run_step(
        step,
        parameters=_redirected(record["parameters"], scratch),
        inputs={
            name: _artifact(given["type"], original.folder / given["path"], given["metadata"])
            for name, given in record["inputs"].items()
        },
        outputs={name: _artifact(kind, scratch / name, {}) for name, kind in record["output_types"].items()},
    )
    shown = "" if result is None else f" -> {json.dumps(result)}"
    print(f"{step} succeeded{shown}: {scratch}")


def _redirected(parameters: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """The parameters with all output folders below the scratch folder; the registry is copied there."""
    redirected = parameters | {root_name: str(scratch / root_name) for root_name in PLACES if root_name in parameters}
    if "registry" in parameters and Path(parameters["registry"]).is_dir():
        shutil.copytree(parameters["registry"], redirected["registry"])
    return redirected


def _artifact(kind: str, path: Path, metadata: dict[str, Any]) -> Any:
    """An artifact as KFP passes it to a step: of a class with methods such as ``log_confusion_matrix``."""
    from kfp import dsl  # 1.5 s, which neither --help nor a bad option needs

    return getattr(dsl, kind)(name=path.name, uri=str(path), metadata=metadata)
