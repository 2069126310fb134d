import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import yaml
from kfp import dsl

from components.core.errors import StepError
from pipelines import experiment
from pipelines.compile import compiler
from pipelines.compile.targets import Target
from pipelines.hardware.pods import Loader

TARGET = Target(
    name="golden",
    image_prefix="europe-docker.pkg.dev/team/suanli/python",
    data_root="gs://team-suanli/data",
    checkpoint_root="gs://team-suanli/checkpoints",
    registry="gs://team-suanli/registry",
)


def compiled(name: str) -> str:
    return compiler.compile_experiment(experiment.load(name), TARGET, tag=lambda step, image: f"{step}-0")


def pipeline(name: str) -> dict[str, Any]:
    return documents(name)[0]


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.load_all(compiled(name), Loader))


def difference(base: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that makes the other of the base: null removes a key."""
    patch: dict[str, Any] = dict.fromkeys(base.keys() - other.keys())
    for key, value in other.items():
        assert value is not None, f"a patch cannot say that {key} is null"
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            if inner := difference(base[key], value):
                patch[key] = inner
        elif key not in base or base[key] != value:
            patch[key] = value
    return patch


def merged(base: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    whole = {key: value for key, value in base.items() if key not in patch}
    for key, value in patch.items():
        if value is not None:
            both = isinstance(value, dict) and isinstance(base.get(key), dict)
            whole[key] = merged(base[key], value) if both else value
    return whole


# Experiment -> its pipeline; and pipeline -> the experiment whose compiled file is golden as a whole.
PIPELINES = {name: experiment.load(name).experiment.pipeline for name in ["digits", *experiment.names()]}
WHOLE = {pipeline: name for name, pipeline in reversed(PIPELINES.items())}


@pytest.mark.parametrize("name", WHOLE)
def test_a_compiled_pipeline_equals_its_golden_file(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.yaml", compiled(WHOLE[name]))


@pytest.mark.parametrize("name", sorted(PIPELINES.keys() - WHOLE.values()))
def test_an_experiment_differs_from_the_golden_pipeline_in_its_golden_parameters(
    name: str, golden: Callable[[str, str], None]
) -> None:
    (base, *base_platform), (document, *platform) = documents(WHOLE[PIPELINES[name]]), documents(name)
    patch = difference(base, document)
    golden(f"experiments/{name}.yaml", yaml.safe_dump(patch, default_flow_style=None, width=120))
    # Nothing else differs, so the two files say all of the compiled one.
    assert merged(base, patch) == document and platform == base_platform
    parameters = patch["root"].pop("inputDefinitions")["parameters"]
    assert patch == {"pipelineInfo": {"name": f"{PIPELINES[name]}-{name}".replace("_", "-")}, "root": {}}
    assert {key for values in parameters.values() for key in values} == {"defaultValue"}


def test_compiling_gives_the_same_bytes_in_every_process() -> None:
    script = (
        "import sys; from pipelines import experiment; from pipelines.compile import compiler\n"
        "from pipelines.compile.targets import Target\n"
        f"target = Target(**{TARGET.model_dump()!r})\n"
        "tag = lambda step, image: step + '-0'\n"
        "sys.stdout.write(compiler.compile_experiment(experiment.load('digits'), target, tag=tag))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {compiled("digits")}


def test_a_pipeline_with_an_undeclared_parameter_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a pipeline does that sets an accelerator or a request inside a condition without registering it.
    monkeypatch.setattr(dsl.PipelineTask, "register_pipeline_channels", lambda task, channels: None)
    with pytest.raises(StepError, match=r"pipeline training: .* comp-condition-1/export: ") as caught:
        compiled("digits")
    assert "pipelinechannel--step_cpu" in caught.value.message and caught.value.kind == "settings"


def test_an_undeclared_parameter_is_found() -> None:
    document = pipeline("digits")
    del document["components"]["comp-condition-1"]["inputDefinitions"]["parameters"]["pipelinechannel--registry"]
    assert compiler.undeclared(document) == ["comp-condition-1/export: pipelinechannel--registry"]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_condition_compares_a_bool_or_an_int(name: str) -> None:
    assert compiler.text_conditions(pipeline(name)) == []


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def _decide() -> NamedTuple("Decided", [("word", str), ("count", int), ("good", bool), ("share", float)]):  # type: ignore[valid-type]
    return ("", 0, False, 0.0)


# A team's own pipelines: what they compare -> whether they compile.
COMPARED: dict[str, tuple[Callable[[Any, Any], Any], bool]] = {
    "a bool": (lambda decided, given: decided.outputs["good"] == True, True),  # noqa: E712
    "an int": (lambda decided, given: decided.outputs["count"] > 3, True),
    "a text": (lambda decided, given: decided.outputs["word"] == "accepted", False),
    "a float": (lambda decided, given: decided.outputs["share"] > 0.5, False),
    "a parameter that is a text": (lambda decided, given: given == "yes", False),
    "two outputs": (lambda decided, given: decided.outputs["word"] == decided.outputs["word"], False),
}


@pytest.mark.parametrize("compared", COMPARED)
def test_a_team_s_own_pipeline_whose_condition_compares_a_text_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch, compared: str
) -> None:
    condition, good = COMPARED[compared]

    @dsl.pipeline(name="own")
    def own(given: str = "no") -> None:
        decided = _decide()
        with dsl.If(decided.outputs["good"] == True), dsl.If(condition(decided, given)):  # noqa: E712
            _decide()
        with dsl.Else():
            _decide()

    monkeypatch.setattr("pipelines.training.build", lambda variant: own)
    if good:
        assert "comp-condition" in compiled("digits")
        return
    with pytest.raises(StepError, match="a condition compares a text, which kfp runs as Python code") as caught:
        compiled("digits")
    assert caught.value.advice == "let the step return a bool or an int" and "condition-" in caught.value.message


@pytest.mark.parametrize("name", experiment.names())
def test_the_file_is_complete(name: str) -> None:
    parameters = pipeline(name)["root"]["inputDefinitions"]["parameters"]
    assert [key for key, value in parameters.items() if "defaultValue" not in value or not value["isOptional"]] == []
    sections = experiment.load(name).experiment.sections()
    assert {key: parameters[key]["defaultValue"] for key in sections} == sections
    assert parameters["registry"]["defaultValue"] == f"gs://team-suanli/registry/{name}"


def test_the_accelerator_count_is_a_string() -> None:
    # Kubeflow's backend reads an int parameter as "" there, and the pod starts without its accelerator.
    assert (
        pipeline("digits")["root"]["inputDefinitions"]["parameters"]["accelerator_count"]["parameterType"] == "STRING"
    )


def test_steps_that_read_the_registry_are_never_cached() -> None:
    document = pipeline("digits")
    tasks = {**document["root"]["dag"]["tasks"], **document["components"]["comp-condition-1"]["dag"]["tasks"]}
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert {"prepare", "train"} <= cached and not {"evaluate", "export"} & cached


def test_only_train_asks_for_an_accelerator() -> None:
    executors = pipeline("digits")["deploymentSpec"]["executors"]
    asking = {name for name, body in executors.items() if "accelerator" in body["container"].get("resources", {})}
    assert asking == {"exec-train"}
