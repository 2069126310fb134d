"""An experiment as one complete, byte-stable pipeline file: its defaults are the experiment and the target."""

import importlib
import json
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from components.core import sources
from components.core.errors import StepError
from components.core.files import digest_of
from components.steps import ACCELERATED
from pipelines.compile.targets import LOCAL_PREFIX, Target
from pipelines.experiment import NamedExperiment, steps_of
from pipelines.hardware.pods import PLACEHOLDER, Loader

if TYPE_CHECKING:
    from pipelines.hardware.variant import Variant

CPU = "cpu"
# What an image is built by, besides its lock file and the sources.
RECIPE = ("images/Dockerfile", "images/install")
# An operand of a condition.
OPERAND = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
# (step, image) -> tag.
Tags = Callable[[str, str], str]


def compile_experiment(
    named: NamedExperiment,
    target: Target | None,
    tag: Tags | None = None,
    freshness: str = "",
    variant: "Variant | None" = None,
) -> str:
    """The pipeline file (YAML) for an experiment.

    Args:
        named: the experiment.
        target: whose roots and images become the defaults. Without one they are empty, and the first step refuses.
        tag: step and image -> image tag; by default by the sources that decide the step's result.
        freshness: what stands for the state of data that lie outside (``components.data.freshness``).
        variant: what KFP takes as constants only.

    Returns:
        The pipeline's document and, after it, the one with Kubernetes' settings.

    Raises:
        StepError: a task uses a parameter that its DAG does not declare.
    """
    from kfp.compiler import Compiler

    from pipelines.hardware.variant import Variant

    values = {**parameters(named, target, tag), "freshness": freshness}
    if variant is None:
        variant = Variant(bucket=target.bucket, bucket_claim=target.bucket_claim) if target else Variant()
    pipeline = importlib.import_module(f"pipelines.{named.experiment.pipeline}").build(variant)
    # One that leaves a step out does without its section and its image.
    values = {name: value for name, value in values.items() if name in pipeline.component_spec.inputs}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Every kfp 2.17 compile warns that a module of its own is deprecated.
        warnings.filterwarnings("ignore", category=FutureWarning)
        path = Path(folder) / "pipeline.yaml"
        Compiler().compile(pipeline, str(path), pipeline_name=pipeline_name(named), pipeline_parameters=values)
        text = stable(path.read_text())
    if lost := undeclared(*yaml.load_all(text, Loader)):
        raise StepError(
            f"pipeline {named.experiment.pipeline}: a task uses parameters that its DAG does not declare, and fails on "
            f"a cluster: {', '.join(lost)}",
            advice="register them with task.register_pipeline_channels",
            kind="settings",
        )
    if compared := text_conditions(next(yaml.load_all(text, Loader))):
        raise StepError(
            f"pipeline {named.experiment.pipeline}: a condition compares a text, which kfp runs as Python code on this "
            f"machine: {', '.join(compared)}",
            advice="let the step return a bool or an int",
            kind="settings",
        )
    return text


def pipeline_name(named: NamedExperiment) -> str:
    """The name under which Kubeflow knows an experiment's pipeline."""
    return f"{named.experiment.pipeline}-{named.name}".replace("_", "-")


def declared(text: str) -> set[str]:
    """The parameters that a compiled file takes."""
    return set(next(yaml.load_all(text, Loader))["root"]["inputDefinitions"]["parameters"])


def parameters(
    named: NamedExperiment, target: Target | None, tag: Tags | None = None, image: str = CPU
) -> dict[str, Any]:
    """The pipeline's parameters for an experiment on a target, placement aside.

    Args:
        tag: step and image -> image tag; by default by the sources that decide the step's result.
        image: which image the accelerator's steps run: ``cpu``, ``gpu`` or ``tpu``; the others run the CPU's anywhere.
    """
    places = {"data_root": "", "checkpoint_root": "", "registry": ""}
    if target:
        places = {
            "data_root": target.data_root,
            "checkpoint_root": target.checkpoint_root,
            "registry": f"{target.registry}/{named.name}",
        }
    prefix = target.image_prefix if target else LOCAL_PREFIX
    sections = named.experiment.sections()
    tag = tag or (lambda step, image: image_tag(step, sources.chosen_in(sections), image))
    kinds = {step: image if step in ACCELERATED else CPU for step in steps_of(named.experiment.pipeline)}
    images = {f"{step}_image": image_name(prefix, kind, tag(step, kind)) for step, kind in kinds.items()}
    return {**sections, **places, **images}


def image_name(prefix: str, kind: str, tag: str) -> str:
    """An image's whole name: the target's prefix, the kind of node it is for, and a step's tag."""
    return f"{prefix}-{kind}:{tag}"


def image_tag(step: str, chosen: sources.Chosen, image: str = CPU) -> str:
    """The tag of a step's image for an experiment's choices: the step's name and a digest of ``image_files``."""
    return f"{step}-{sources.digest(image_files(step, chosen, image))}"


def image_files(step: str, chosen: sources.Chosen | None = None, image: str = CPU) -> dict[str, str]:
    """Path -> digest of every source file that decides a step's result, its image's lock file and what the image is
    built by; an installed package has none of the latter.

    Args:
        chosen: the experiment's choices; without them every file that one could choose counts.
    """
    recipe = {name: digest_of(path) for name in RECIPE if (path := sources.ROOT / name).is_file()}
    return sources.digests(step, chosen, image) | recipe


def stable(text: str) -> str:
    """The same documents, complete, with their keys sorted, and without kfp's comment header, whose order follows
    Python's hashes."""
    documents = [document for document in yaml.load_all(text, Loader) if document]
    for parameter in documents[0]["root"]["inputDefinitions"]["parameters"].values():
        # Given at compile time, a default leaves its parameter required (kfp 2.17); the file is to run as it is.
        if "defaultValue" in parameter:
            parameter["isOptional"] = True
    return yaml.safe_dump_all(documents, sort_keys=True, width=120, allow_unicode=True)


def undeclared(pipeline: Mapping[str, Any], platform: Mapping[str, Any] | None = None) -> list[str]:
    """The parameters that a task uses and its own DAG does not declare, as ``dag/task: parameter``.

    Such a file compiles, and fails on a cluster with "parent DAG does not have input parameter".

    Args:
        pipeline: the first document of a compiled file.
        platform: the second one, whose parameters are the DAG's, too.
    """
    settings = (
        (platform or {}).get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    )
    undeclared_names = []
    dags = {"root": pipeline["root"], **pipeline["components"]}
    for name, component in dags.items():
        declared = set(component.get("inputDefinitions", {}).get("parameters", {}))
        for task, body in component.get("dag", {}).get("tasks", {}).items():
            label = pipeline["components"][body["componentRef"]["name"]].get("executorLabel", "")
            executor = pipeline["deploymentSpec"]["executors"].get(label, {})
            used = _named(body) | _named(settings.get(label, {}))
            # A container's placeholders are the task's own inputs.
            own = set(body.get("inputs", {}).get("parameters", {}))
            lost = set(PLACEHOLDER.findall(json.dumps(executor.get("container", {})))) - own
            undeclared_names += [f"{name}/{task}: {parameter}" for parameter in sorted((used - declared) | lost)]
    return undeclared_names


def text_conditions(pipeline: Mapping[str, Any]) -> list[str]:
    """The conditions with an operand that is neither a bool nor an int, as ``dag/task: condition``.

    kfp.local passes the values in a condition to ``eval`` (kfp 2.17, local/orchestrator/enhanced_dag_orchestrator.py;
    GHSA-rhjm-6347-5x33), so a text could run as code.

    Args:
        pipeline: the first document of a compiled file.
    """
    conditions = []
    for name, component in {"root": pipeline["root"], **pipeline["components"]}.items():
        for task, body in component.get("dag", {}).get("tasks", {}).items():
            condition = body.get("triggerPolicy", {}).get("condition", "")
            inputs = pipeline["components"][body["componentRef"]["name"]].get("inputDefinitions", {})
            kinds = {inputs["parameters"][operand]["parameterType"] for operand in OPERAND.findall(condition)}
            if kinds - {"BOOLEAN", "NUMBER_INTEGER"} or set("'\"") & set(OPERAND.sub("", condition)):
                conditions.append(f"{name}/{task}: {condition}")
    return conditions


def _named(node: Any) -> set[str]:
    return {value["componentInputParameter"] for value in _values(node) if "componentInputParameter" in value}


def _values(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every dictionary inside a document."""
    if isinstance(node, Mapping):
        yield node
        for value in node.values():
            yield from _values(value)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value)
