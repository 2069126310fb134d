"""One run in the process that kfp.local has for itself: compile it, choose its runner, execute it."""

from typing import Any

from kfp import components, local

from components.core.files import write_atomically
from pipelines.compile.compiler import compile_experiment
from pipelines.compile.targets import Target
from pipelines.experiment import PIPELINE, Experiment, NamedExperiment
from pipelines.hardware.variant import Variant
from pipelines.local import subprocesses
from pipelines.runs.folder import COMPILED, Run


def compile_run(run: Run) -> None:
    """Compile what the record names, unless that is done."""
    path = run.folder / COMPILED
    if path.is_file():
        return
    record = run.read()
    experiment = Experiment.from_sections(record["parameters"], record.get("pipeline", PIPELINE))
    named = NamedExperiment(record["experiment"], record["description"], experiment)
    # kfp.local would retry what a cluster would not: it takes every failure for a preemption. Here one resumes.
    once = Variant(retries=0)
    target, images = Target(**record["target"]), record["images"]
    write_atomically(
        path, compile_experiment(named, target, lambda step, _: str(images[step]), record["freshness"], once)
    )


def execute(run: Run) -> None:
    """Run the compiled pipeline to its end.

    Raises:
        RuntimeError: a step failed.
    """
    local.init(runner=_runner(run), pipeline_root=str(run.folder / "artifacts"), raise_on_error=True)
    components.load_component_from_file(str(run.folder / COMPILED))()


def _runner(run: Run) -> Any:
    record = run.read()
    if record.get("runner") != "docker":
        return subprocesses.runner(run)
    from pipelines.local import containers  # needs the extra docker

    return containers.runner(run, record)
