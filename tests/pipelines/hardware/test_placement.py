"""The pods that come out of a compiled file, for every row, inside every kind of control flow."""

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl
from kfp.compiler import Compiler

from components.core.errors import StepError
from components.steps import STEPS
from pipelines import experiment
from pipelines.compile import compiler
from pipelines.compile.targets import Target
from pipelines.hardware import catalog, ladder, placement_parameters, pods
from pipelines.hardware.placement import on_accelerator, on_cpu
from pipelines.hardware.variant import Variant

CATALOG = catalog.load()
SINGLE = [row.name for row in CATALOG.values() if not row.refused]
TARGET = Target(name="t", image_prefix="r/p", data_root="gs://d", checkpoint_root="gs://c", registry="gs://r")


@cache
def compiled(variant: Variant = Variant()) -> str:  # noqa: B008  # frozen
    named = experiment.load("digits")
    return compiler.compile_experiment(named, TARGET, tag=lambda step, image: f"{step}-0", variant=variant)


def placed(text: str, **kinds: Any) -> dict[str, pods.Pod]:
    rungs = ladder.parse(text, CATALOG)
    arguments = placement_parameters.for_rungs(rungs, **kinds) | {"train_image": f"r/p-{rungs[0].row.image}:train-0"}
    return {pod.step: pod for pod in pods.from_compiled(compiled(), arguments)}


def fields(pod: pods.Pod) -> dict[str, Any]:
    return {
        "image": pod.image,
        "nodeSelector": pod.node_selector,
        "tolerations": pod.tolerations,
        "limits": pod.limits,
        "requests": pod.requests,
    }


def test_the_pod_of_every_row_equals_its_golden_value(golden: Callable[[str, str], None]) -> None:
    rows = {}
    for name in SINGLE:
        rows[name] = {
            "on demand": fields(placed(name)["train"]),
            "spot": fields(placed(f"{name}:spot")["train"]),
        }
    golden("placement.yaml", yaml.safe_dump(rows, default_flow_style=None, sort_keys=False, width=120))


@pytest.mark.parametrize("name", SINGLE)
def test_only_train_holds_the_accelerator_and_no_other_step_can_lie_on_its_nodes(name: str) -> None:
    row, found = CATALOG[name], placed(name)
    expected = {row.resource: str(row.count)} if row.resource else {}
    assert found["train"].limits == expected
    assert found["train"].requests == dict(zip(("cpu", "memory"), row.requests, strict=True))
    for step in ("prepare", "evaluate", "export"):
        assert found[step].limits == {} and found[step].tolerations == []
        absent = {part["key"] for part in found[step].affinity if part["operator"] == "DoesNotExist"}
        assert absent == {"cloud.google.com/gke-accelerator", "cloud.google.com/gke-tpu-accelerator"}
        assert found[step].requests == {"cpu": "1", "memory": "4Gi"}


@pytest.mark.parametrize("name", SINGLE)
def test_the_count_is_never_an_int(name: str) -> None:
    count = placement_parameters.for_rungs(ladder.parse(name, CATALOG))["accelerator_count"]
    assert isinstance(count, str)
    definitions = next(yaml.safe_load_all(compiled()))["root"]["inputDefinitions"]["parameters"]
    for parameter in ("accelerator_count", "train_cpu", "train_memory", "step_cpu", "step_memory"):
        assert definitions[parameter]["parameterType"] == "STRING"


def test_an_int_count_is_refused_because_the_backend_would_drop_it() -> None:
    arguments = placement_parameters.for_rungs(ladder.parse("l4", CATALOG)) | {"accelerator_count": 1}
    with pytest.raises(StepError, match=r"train: accelerator_count must be a text for Kubeflow, not 1"):
        pods.from_compiled(compiled(), arguments)


def test_without_a_choice_train_asks_for_nothing() -> None:
    train = next(pod for pod in pods.from_compiled(compiled(), {}) if pod.step == "train")
    assert (train.limits, train.node_selector, train.tolerations, train.requests) == ({}, {}, [], {})


def test_a_compute_class_replaces_the_labels_and_its_taint_is_tolerated() -> None:
    train = placed("l4x2:spot,l4x2", compute_class="train")["train"]
    assert train.node_selector == {"cloud.google.com/compute-class": "train"}
    assert {toleration["key"] for toleration in train.tolerations} == {
        *("nvidia.com/gpu", "cloud.google.com/gke-spot", "cloud.google.com/compute-class")
    }
    assert train.limits == {"nvidia.com/gpu": "2"}


def test_a_pod_of_several_rows_asks_for_what_fits_the_smallest_machine() -> None:
    train = placed("a100-40gx2,l4x2,h100x2", compute_class="any")["train"]
    assert train.requests == dict(zip(("cpu", "memory"), CATALOG["l4x2"].requests, strict=True))


@pytest.mark.parametrize("name", SINGLE)
def test_on_autopilot_no_forbidden_label_is_used(name: str) -> None:
    train = placed(name, autopilot=True)["train"]
    assert not {"cloud.google.com/gke-nodepool", "node.kubernetes.io/instance-type"} & set(train.node_selector)
    if "nvidia.com/gpu" in train.limits:
        assert "cloud.google.com/gke-accelerator" in train.node_selector


@pytest.mark.parametrize(
    ("variant", "field", "value"),
    [
        (Variant(shared_memory="16Gi"), "volumes", {"/dev/shm": "16Gi"}),
        (Variant(), "volumes", {"/dev/shm": "half of the node's memory"}),
        (Variant(retries=3), "retries", 3),
        (Variant(), "retries", 2),
        (Variant(timeout=3600), "timeout", 3600),
        (Variant(queue="research"), "labels", {"kueue.x-k8s.io/queue-name": "research"}),
    ],
    ids=str,
)
def test_a_constant_of_kfp_makes_a_variant(variant: Variant, field: str, value: Any) -> None:
    train = next(pod for pod in pods.from_compiled(compiled(variant), {}) if pod.step == "train")
    assert getattr(train, field) == value
    assert (compiled(variant) == compiled()) == (variant == Variant())


def policies(variant: Variant) -> dict[str, dict[str, Any]]:
    """Step -> its retry policy."""
    document = next(yaml.safe_load_all(compiled(variant)))
    dags = [document["root"]["dag"], *(each["dag"] for each in document["components"].values() if "dag" in each)]
    tasks = {name: task for dag in dags for name, task in dag["tasks"].items() if not name.startswith("condition")}
    return {name: task.get("retryPolicy", {}) for name, task in tasks.items()}


def test_every_step_is_retried_with_a_back_off_even_after_days() -> None:
    found = policies(Variant(retries=3))
    assert set(found) == set(STEPS)
    assert {name: policy["maxRetryCount"] for name, policy in found.items()} == dict.fromkeys(found, 2) | {"train": 3}
    for policy in found.values():
        assert policy["backoffMaxDuration"] == "604800s" and policy["backoffDuration"] == "10s"


def test_without_retries_no_step_has_a_policy() -> None:
    assert not any(policies(Variant(retries=0)).values())


def test_steps_that_read_data_see_a_bucket_that_a_claim_mounts_and_prepare_does_not() -> None:
    text = compiled(Variant(bucket="team-data", bucket_claim="suanli-data"))
    executors = list(yaml.safe_load_all(text))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounted = {name: body for name, body in executors.items() if "pvcMount" in body}
    assert set(mounted) == {"exec-train", "exec-evaluate", "exec-export"}
    for body in mounted.values():
        (mount,) = body["pvcMount"]
        assert mount["mountPath"] == "/mnt/gcs/team-data" and "suanli-data" in str(mount)
        assert body["podMetadata"]["annotations"] == {"gke-gcsfuse/volumes": "true"}
    assert "gcsfuse" not in compiled() and "pvcMount" not in compiled()


def test_a_fresh_variant_looks_at_the_source_again() -> None:
    cached = {pod.step: pod.cached for pod in pods.from_compiled(compiled(Variant(fresh=True)), {})}
    assert not cached["prepare"] and cached["train"]


# --- control flow ----------------------------------------------------------------------------------------------------


@dsl.component(base_image="i", install_kfp_package=False)
def work(number: int) -> bool:
    return bool(number)


@dsl.component(base_image="i", install_kfp_package=False)
def last(status: dsl.PipelineTaskFinalStatus) -> None:
    print(status)


def inside(flow: str) -> Any:
    """A pipeline with both kinds of task inside the control flow."""

    @dsl.pipeline(name="flow")
    def pipeline(
        image: str,
        accelerator_type: str,
        accelerator_count: str,
        node_selector: dict,  # type: ignore[type-arg]
        tolerations: list,  # type: ignore[type-arg]
        train_cpu: str,
        train_memory: str,
    ) -> None:
        def both(number: Any) -> None:
            on_accelerator(
                *(work(number=number), image, accelerator_type, accelerator_count, node_selector, tolerations),
                *(train_cpu, train_memory, Variant()),
            )
            on_cpu(work(number=number), image, train_cpu, train_memory, node_selector, Variant())

        if flow == "If":
            with dsl.If(work(number=1).output == True):  # noqa: E712
                both(1)
        elif flow == "ParallelFor":
            with dsl.ParallelFor([1, 2]) as item:
                both(item)
        elif flow == "ExitHandler":
            with dsl.ExitHandler(last()):
                both(1)
        else:
            with (
                dsl.ExitHandler(last()),
                dsl.ParallelFor([1, 2]) as item,
                dsl.If(work(number=item).output == True),  # noqa: E712
            ):
                both(item)

    return pipeline


@pytest.mark.parametrize("flow", ["If", "ParallelFor", "ExitHandler", "all three"])
def test_placement_is_complete_inside(flow: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        Compiler().compile(inside(flow), str(tmp_path / "flow.yaml"))
    text = (tmp_path / "flow.yaml").read_text()
    documents = list(yaml.safe_load_all(text))
    assert compiler.undeclared(*documents) == []
    arguments = placement_parameters.for_rungs(ladder.parse("v5e-8:spot", CATALOG)) | {"image": "i:1"}
    found = {pod.step: pod for pod in pods.from_compiled(text, arguments)}
    heavy = [pod for pod in found.values() if pod.limits]
    assert [pod.limits for pod in heavy] == [{"google.com/tpu": "8"}]
    assert heavy[0].node_selector["cloud.google.com/gke-tpu-topology"] == "2x4"
    assert heavy[0].requests == dict(zip(("cpu", "memory"), CATALOG["v5e-8"].requests, strict=True))


def test_a_platform_parameter_that_the_dag_lacks_is_found(tmp_path: Path) -> None:
    Compiler().compile(inside("If"), str(tmp_path / "flow.yaml"))
    pipeline, platform = yaml.safe_load_all((tmp_path / "flow.yaml").read_text())
    declared = pipeline["components"]["comp-condition-1"]["inputDefinitions"]["parameters"]
    del declared["pipelinechannel--tolerations"]
    assert compiler.undeclared(pipeline, platform) == ["comp-condition-1/work-2: pipelinechannel--tolerations"]
