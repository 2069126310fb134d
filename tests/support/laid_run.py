"""A run that was interrupted before its one step, to be resumed by the real command."""

from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from pipelines import experiment
from pipelines.compile import targets
from pipelines.runs import folder, record
from pipelines.runs.folder import Run


def lay(root: Path, task: dsl.base_component.BaseComponent, arguments: dict[str, Any], **values: Any) -> Run:
    """Lay out a run whose pipeline is one task.

    Args:
        root: the folder of runs.
        values: laid over the run's record.
    """
    run = folder.create(root, "digits")
    asked = record.initial(experiment.load("digits"), targets.local(root), "digits", True)
    run.write({"id": run.id, **asked, "status": "interrupted", **values})

    @dsl.pipeline(name="one")
    def one():
        task(**arguments)

    compiler.Compiler().compile(one, str(run.folder / "pipeline.yaml"))
    return run
