"""Every step's pod is nobody in particular, and has places of its own to write to."""

import pytest
import yaml

from components.steps import STEPS
from pipelines import experiment
from pipelines.compile import compiler, targets
from pipelines.hardware import pods
from pipelines.hardware.placement import USER, WRITABLE


@pytest.fixture(scope="module")
def compiled() -> str:
    target = targets.Target(
        name="prod", image_prefix="x/suanli", data_root="gs://b/d", checkpoint_root="gs://b/c", registry="gs://b/r"
    )
    return compiler.compile_experiment(experiment.load("digits"), target, lambda step, image: "tag")


def test_every_step_runs_as_a_numeric_user_that_is_not_root(compiled: str) -> None:
    assert USER > 0 and {pod.step: pod.user for pod in pods.from_compiled(compiled, {})} == dict.fromkeys(STEPS, USER)
    platform = list(yaml.safe_load_all(compiled))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for executor in platform.values():
        assert executor["securityContext"] == {
            "runAsUser": str(USER),
            "runAsGroup": str(USER),
            "runAsNonRoot": True,
        }


def test_the_image_has_the_same_user(request: pytest.FixtureRequest) -> None:
    recipe = (request.config.rootpath / "images/Dockerfile").read_text()
    assert f"useradd --uid {USER} " in recipe and recipe.count(f"USER {USER}:{USER}") == 3
    assert f"HOME={WRITABLE['suanli-home']} " in recipe


def test_every_step_may_write_where_its_packages_do(compiled: str) -> None:
    platform = list(yaml.safe_load_all(compiled))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for executor in platform.values():
        mounted = {mount["volumeName"]: mount["mountPath"] for mount in executor["emptyDirMounts"]}
        assert mounted.items() >= WRITABLE.items()
