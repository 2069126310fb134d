"""The placement of the pods that Kubeflow's backend makes of a compiled file and a run's parameters.

It is read from the compiled documents alone: what is shown and checked is what will be submitted. How the backend
reads them: kubeflow/pipelines, backend/src/v2/driver/{driver,k8s}.go at 2.17.0.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import yaml

from components.core.errors import StepError

PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
# The C parser is ten times as fast where PyYAML has it.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# A value known only at run time: another task's output, an item of a loop.
UNKNOWN = object()


@dataclass(frozen=True)
class Pod:
    """A step's pod.

    Attributes:
        step: the task's name.
        image: its image.
        node_selector: labels that its node must have.
        tolerations: taints that it accepts.
        limits: resource -> limit.
        requests: resource -> request.
        labels: its own labels.
        affinity: required node affinity, as match expressions.
        volumes: mount path -> size limit of a volume in memory; empty for none.
        retries: how often it is retried.
        timeout: seconds after which it is stopped; 0 for never.
        cached: whether a cached result may replace it.
        user: the numeric user that it runs as; 0 for the image's.
    """

    step: str
    image: str
    node_selector: dict[str, str]
    tolerations: list[dict[str, Any]]
    limits: dict[str, str]
    requests: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    affinity: list[dict[str, Any]] = field(default_factory=list)
    volumes: dict[str, str] = field(default_factory=dict)
    retries: int = 0
    timeout: int = 0
    cached: bool = False
    user: int = 0


def from_compiled(text: str, arguments: Mapping[str, Any]) -> list[Pod]:
    """The steps' pods, in the order of their dependencies.

    Args:
        text: the compiled file, both documents.
        arguments: the run's parameters; the others have the file's defaults.

    Raises:
        StepError: the backend would refuse a value, or ignore it silently.
    """
    documents = [document for document in yaml.load_all(text, Loader) if document]
    platform: dict[str, Any] = {}
    for document in documents[1:]:
        platform |= document.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    pipeline = documents[0]
    inputs = pipeline["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {name: body.get("defaultValue", "") for name, body in inputs.items()} | dict(arguments)
    return list(_walk(pipeline, platform, pipeline["root"]["dag"], values))


def _walk(pipeline: Any, platform: Any, dag: Any, values: Mapping[str, Any]) -> Iterator[Pod]:
    for name, task in _in_order(dag["tasks"]):
        component = pipeline["components"][task["componentRef"]["name"]]
        given = {key: _given(value, values) for key, value in task.get("inputs", {}).get("parameters", {}).items()}
        if "dag" in component:
            iterator = task.get("parameterIterator", {}).get("itemInput")
            inner = {**given, iterator: UNKNOWN} if iterator else given
            yield from _walk(pipeline, platform, component["dag"], inner)
            continue
        executor = pipeline["deploymentSpec"]["executors"][component["executorLabel"]]
        if "container" in executor:
            yield _pod(name, task, executor["container"], platform.get(component["executorLabel"], {}), given, values)


def _in_order(tasks: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Every task after those that it depends on."""
    done: dict[str, Any] = {}
    while len(done) < len(tasks):
        ready = [
            name
            for name, task in tasks.items()
            if name not in done and set(task.get("dependentTasks", ())) <= set(done)
        ]
        done |= {name: tasks[name] for name in ready}
        if not ready:
            raise ValueError("the tasks of a DAG depend on each other")
    return list(done.items())


def _given(value: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """A task's input: a parameter of its DAG, a constant, or UNKNOWN."""
    if "componentInputParameter" in value:
        return values.get(value["componentInputParameter"], UNKNOWN)
    if "runtimeValue" in value:
        return value["runtimeValue"].get("constant", "")
    return UNKNOWN


def _resolved(step: str, value: Any, given: Mapping[str, Any]) -> str:
    """A text with its placeholders replaced by the task's inputs.

    Raises:
        StepError: an input is not a text: the backend reads anything else as an empty text.
    """

    def replaced(match: re.Match[str]) -> str:
        inner = given.get(match[1], UNKNOWN)
        if not isinstance(inner, str):
            name = match[1].removeprefix("pipelinechannel--")
            raise StepError(
                f"{step}: {name} must be a text for Kubeflow, not {'unknown' if inner is UNKNOWN else repr(inner)}",
                advice="the pod would start without it",
                kind="settings",
            )
        return inner

    return PLACEHOLDER.sub(replaced, str(value))


def _quantity(step: str, value: Any, given: Mapping[str, Any]) -> str:
    text = _resolved(step, value, given)
    if not QUANTITY.match(text):
        raise StepError(f"{step}: {text!r} is no quantity", advice="write it like 4, 500m or 16Gi", kind="settings")
    return text


def _json(step: str, setting: Any, kind: type, values: Mapping[str, Any]) -> Any:
    """A placement value that is a constant or a parameter of the task's DAG."""
    value = _given(setting, values) if isinstance(setting, Mapping) else setting
    if not isinstance(value, kind):
        raise StepError(f"{step}: {setting} is not a {kind.__name__}, but {value!r}", kind="settings")
    return value


def _pod(name: str, task: Any, container: Any, platform: Any, given: Mapping[str, Any], values: Any) -> Pod:
    resources = container.get("resources", {})
    requests, limits = (
        {
            resource.lower(): _quantity(name, resources[field], given)
            for resource in ("Cpu", "Memory")
            if (field := f"resource{resource}{kind}") in resources
        }
        for kind in ("Request", "Limit")
    )
    accelerator = resources.get("accelerator", {})
    kind = _resolved(name, accelerator.get("resourceType", accelerator.get("type", "")), given)
    count = _resolved(name, accelerator.get("resourceCount", accelerator.get("count", "")), given)
    if kind and count not in {"", "0"}:
        limits[kind] = _quantity(name, count, {})
    return Pod(
        step=name,
        image=_resolved(name, container["image"], given),
        node_selector=_selector(name, platform.get("nodeSelector", {}), values),
        tolerations=_tolerations(name, platform.get("tolerations", []), values),
        limits=limits,
        requests={key: value for key, value in requests.items() if value != "0"},
        labels=platform.get("podMetadata", {}).get("labels", {}),
        affinity=[
            expression for term in platform.get("nodeAffinity", []) for expression in term.get("matchExpressions", [])
        ],
        volumes={
            mount["mountPath"]: mount.get("sizeLimit", "half of the node's memory")
            for mount in platform.get("emptyDirMounts", [])
            if mount.get("medium") == "Memory"
        },
        user=int(platform.get("securityContext", {}).get("runAsUser", 0)),
        retries=task.get("retryPolicy", {}).get("maxRetryCount", 0),
        timeout=int(platform.get("activeDeadlineSeconds", 0)),
        cached=task.get("cachingOptions", {}).get("enableCache", False),
    )


def _selector(step: str, setting: Any, values: Any) -> dict[str, str]:
    labels = dict(setting.get("labels", {}))
    if "nodeSelectorJson" in setting:
        labels = _json(step, setting["nodeSelectorJson"], dict, values)
    for key, value in labels.items():
        if not isinstance(value, str):
            raise StepError(f"{step}: the label {key} must be a text, not {value!r}", kind="settings")
    return labels


def _tolerations(step: str, settings: Any, values: Any) -> list[dict[str, Any]]:
    tolerations: list[dict[str, Any]] = []
    for setting in settings:
        if "tolerationJson" in setting:
            tolerations += _json(step, setting["tolerationJson"], list, values)
        else:
            tolerations.append({key: value for key, value in setting.items() if value != ""})
    return tolerations


def quantity(text: Any) -> Decimal:
    """A Kubernetes quantity (``500m``, ``16Gi``, ``1e3``) as a number.

    Raises:
        ValueError: it is not a quantity.
    """
    from kubernetes.utils.quantity import parse_quantity  # kubernetes takes about a second to import

    number: Decimal = parse_quantity(text)
    return number
