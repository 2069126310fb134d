"""A run's steps, out of the nodes of its workflow."""

from collections.abc import Callable
from typing import Any

import pytest
from followed_run import play, states
from kubeflow import FakeKubeflow

from pipelines.cluster.kubeflow import runs, steps
from pipelines.cluster.kubeflow.records import Run
from pipelines.cluster.kubeflow.server import Server


@pytest.mark.parametrize(
    ("nodes", "state"),
    [
        pytest.param([("train", "SUCCEEDED"), ("train", "RUNNING")], "RUNNING", id="a-loop-half-way"),
        pytest.param([("train", "SUCCEEDED"), ("train", "FAILED")], "FAILED", id="a-loop-with-a-failure"),
        pytest.param([("train", "SUCCEEDED"), ("train", "SUCCEEDED")], "SUCCEEDED", id="a-loop-at-its-end"),
        pytest.param([("train(0)", "FAILED"), ("train(1)", "RUNNING")], "RUNNING", id="the-second-attempt"),
        pytest.param([("train", "RUNNING"), ("train(0)", "FAILED")], "RUNNING", id="the-step-over-its-attempts"),
        pytest.param([("train-driver", "SUCCEEDED")], "PENDING", id="only-its-driver"),
    ],
)
def test_a_step_of_many_nodes_has_one_state(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run], nodes: list[tuple[str, str]], state: str
) -> None:
    run = submit()
    for number, (name, node) in enumerate(nodes):
        fake.step(run.id, f"{name}#{number}()", node)
        fake.runs[run.id]["run_details"]["task_details"][-1]["display_name"] = name
    assert states(runs.read(server, run.id))["train"] == state


def test_steps_come_in_the_order_of_their_dependencies_with_the_names_that_people_gave() -> None:
    def task(component: str, *after: str, name: str = "") -> dict[str, Any]:
        return {
            "componentRef": {"name": f"comp-{component}"},
            "dependentTasks": list(after),
            "taskInfo": {"name": name or component},
        }

    inner = {"dag": {"tasks": {"publish": task("publish", "convert"), "convert": task("convert")}}}
    tasks = {"a": task("a", "z"), "group": task("group", "a"), "z": task("z", name="Get the data")}
    spec = {"root": {"dag": {"tasks": tasks}}, "components": {"comp-group": inner}}
    assert list(steps.names(spec).items()) == [
        ("z", "Get the data"),
        ("a", "a"),
        ("convert", "convert"),
        ("publish", "publish"),
    ]


def test_a_run_whose_version_is_deleted_still_shows_the_steps_that_have_begun(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    fake.versions.clear()
    for name in ("small-x7k2p", "root", "root-driver", "prepare", "prepare-driver", "executor", "for-loop-2"):
        fake.step(run.id, name, "SUCCEEDED")
    assert states(runs.read(server, run.id)) == {"prepare": "SUCCEEDED"}
    fake.step(run.id, "train", "RUNNING")
    assert states(runs.read(server, run.id)) == {"prepare": "SUCCEEDED", "train": "RUNNING"}


def test_steps_that_are_not_reached_are_skipped(fake: FakeKubeflow, server: Server, submit: Callable[..., Run]) -> None:
    def fall(run_id: str) -> None:
        fake.step(run_id, "train", "FAILED")
        fake.omit(run_id, "evaluate", "condition-1", "export")
        fake.finish(run_id, "FAILED")

    ended, _ = play(fake, server, submit().id, fall)
    assert states(ended) == {"prepare": "SKIPPED", "train": "FAILED", "evaluate": "SKIPPED", "export": "SKIPPED"}
    assert {step.name for step in ended.steps if step.seconds is not None} == {"train"}


def test_a_run_that_was_stopped_is_cancelled_though_the_server_calls_it_failed(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    def stop(run_id: str) -> None:
        fake.step(run_id, "prepare", "SUCCEEDED")
        fake.step(run_id, "train", "RUNNING")
        runs.cancel(server, run_id)

    def end(run_id: str) -> None:
        fake.step(run_id, "train", "FAILED", error="main: Error (exit code 143)")
        fake.omit(run_id, "evaluate", "condition-1")
        fake.finish(run_id, "CANCELED")

    ended, _ = play(fake, server, submit().id, stop, end)
    assert ended.run.state == "CANCELED" and ended.failed is None
    assert states(ended) == {
        "prepare": "SUCCEEDED",
        "train": "CANCELED",
        "evaluate": "SKIPPED",
        "export": "SKIPPED",
    }


def test_a_step_that_had_failed_before_its_run_was_stopped_stays_failed(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    def fail_and_stop(run_id: str) -> None:
        fake.step(run_id, "train", "FAILED", error="no memory")
        runs.cancel(server, run_id)

    ended, _ = play(fake, server, submit().id, fail_and_stop, lambda run_id: fake.finish(run_id, "CANCELED"))
    assert ended.run.state == "CANCELED" and ended.failed is not None and ended.failed.error == "no memory"


def test_a_run_that_was_stopped_and_started_again_fails_by_itself(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    runs.cancel(server, run.id)
    fake.finish(run.id, "CANCELED")
    fake.move(run.id, "RUNNING")  # somebody has retried it in the user interface
    fake.finish(run.id, "FAILED")
    assert runs.read(server, run.id).run.state == "FAILED"


def test_a_step_whose_result_came_from_the_cache_ran_no_pod(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    for name, executor in (("prepare", "SKIPPED"), ("train", "SUCCEEDED")):
        fake.step(run.id, name, "RUNNING")
        fake.attempt(run.id, 0, executor)
        fake.step(run.id, name, "SUCCEEDED")
    found = {step.name: step.cached for step in runs.read(server, run.id).steps}
    assert found == {"prepare": True, "train": False, "evaluate": False, "export": False}


def test_the_attempts_at_a_step_are_counted(fake: FakeKubeflow, server: Server, submit: Callable[..., Run]) -> None:
    def attempts() -> list[int]:
        return [step.attempts for step in runs.read(server, run.id).steps]

    run = submit()
    fake.step(run.id, "prepare", "RUNNING")
    fake.attempt(run.id, 0, "SUCCEEDED")
    fake.step(run.id, "prepare", "SUCCEEDED")
    fake.step(run.id, "train", "RUNNING")
    for number in (0, 1, 2):
        fake.attempt(run.id, number, "RUNNING")
        assert attempts() == [1, 1 + number, 1, 1]
        fake.attempt(run.id, number, "FAILED")
    # A step that runs beside it makes it uncertain whose the pods are.
    fake.step(run.id, "evaluate", "RUNNING")
    assert attempts() == [1, 1, 1, 1]
