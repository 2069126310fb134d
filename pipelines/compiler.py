"""An experiment as one complete, byte-stable pipeline file: its defaults are the experiment and the target."""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from components.core import sources
from pipelines.experiment import Named
from pipelines.targets import LOCAL_PREFIX, Target

STEPS = ("prepare", "train", "evaluate", "export")
# Only train asks for an accelerator; the other steps run the CPU image wherever they are.
CPU = "cpu"


def compile_experiment(
    named: Named, target: Target | None, tag: Callable[[str], str] | None = None, freshness: str = ""
) -> str:
    """The pipeline file (YAML) for an experiment.

    Args:
        named: the experiment.
        target: whose roots and images become the defaults. Without one they are empty, and the first step refuses.
        tag: step -> image tag; by default the digest of the sources that the step imports.
        freshness: what stands for the state of data that lie outside (``components.data.freshness``).

    Returns:
        The pipeline's document and, after it, the one with Kubernetes' settings.
    """
    from kfp.compiler import Compiler

    from pipelines.training import training

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Every kfp 2.17 compile warns that a module of its own is deprecated.
        warnings.filterwarnings("ignore", category=FutureWarning)
        path = Path(folder) / "pipeline.yaml"
        Compiler().compile(
            training,
            str(path),
            pipeline_name=f"training-{named.name}".replace("_", "-"),
            pipeline_parameters={**parameters(named, target, tag or image_tag), "freshness": freshness},
        )
        return stable(path.read_text())


def parameters(named: Named, target: Target | None, tag: Callable[[str], str]) -> dict[str, Any]:
    """The pipeline's parameters for an experiment on a target."""
    places = {"data_root": "", "checkpoint_root": "", "registry": ""}
    if target:
        places = {
            "data_root": target.data_root,
            "checkpoint_root": target.checkpoint_root,
            "registry": f"{target.registry}/{named.name}",
        }
    prefix = target.image_prefix if target else LOCAL_PREFIX
    images = {f"{step}_image": f"{prefix}-{CPU}:{tag(step)}" for step in STEPS}
    return {**named.experiment.sections(), **places, **images}


def image_tag(step: str) -> str:
    """The tag of a step's image: its name and a digest of every source file that it may import."""
    return f"{step}-{sources.digest(sources.digests(step))}"


def stable(text: str) -> str:
    """The same documents, complete, with their keys sorted, and without kfp's comment header, whose order follows
    Python's hashes."""
    documents = [document for document in yaml.safe_load_all(text) if document]
    for parameter in documents[0]["root"]["inputDefinitions"]["parameters"].values():
        # Given at compile time, a default leaves its parameter required (kfp 2.17); the file is to run as it is.
        if "defaultValue" in parameter:
            parameter["isOptional"] = True
    return yaml.safe_dump_all(documents, sort_keys=True, width=120, allow_unicode=True)


def undeclared(pipeline: Mapping[str, Any]) -> list[str]:
    """The parameters that a task uses and its own DAG does not declare, as ``dag/task: parameter``.

    Such a file compiles, and fails on a cluster with "parent DAG does not have input parameter".

    Args:
        pipeline: the first document of a compiled file.
    """
    found = []
    dags = {"root": pipeline["root"], **pipeline["components"]}
    for name, component in dags.items():
        declared = set(component.get("inputDefinitions", {}).get("parameters", {}))
        for task, body in component.get("dag", {}).get("tasks", {}).items():
            used = {value["componentInputParameter"] for value in _values(body) if "componentInputParameter" in value}
            found += [f"{name}/{task}: {parameter}" for parameter in sorted(used - declared)]
    return found


def _values(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every dictionary inside a document."""
    if isinstance(node, Mapping):
        yield node
        for value in node.values():
            yield from _values(value)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value)
