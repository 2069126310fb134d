import itertools
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import kubeflow_pipeline
import pytest
from followed_run import Scene, play, states
from kubeflow import FakeKubeflow, Fault
from refusals import refused

from components.core.errors import StepError
from pipelines.cluster.kubeflow import runs
from pipelines.cluster.kubeflow.records import Run
from pipelines.cluster.kubeflow.runs import Progress
from pipelines.cluster.kubeflow.server import Server


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"act": "drop", "after": True}, id="dropped-after-the-work"),
        pytest.param({"act": "drop"}, id="dropped-before-the-work"),
        pytest.param({"act": "cut", "after": True}, id="cut-short"),
        pytest.param({"act": "hang", "after": True}, id="hang-after-the-work"),
        pytest.param({"act": "hang", "within": 0.3}, id="hang-and-then-the-work"),
        pytest.param({"act": "slow", "after": True}, id="too-slow"),
        pytest.param({"status": 500, "after": True}, id="500-after-the-work"),
        pytest.param({"status": 502}, id="502-before-the-work"),
        pytest.param({"status": 502, "after": True}, id="502-after-the-work"),
        pytest.param({"status": 503, "times": 2}, id="503-twice"),
        pytest.param({"status": 504, "after": True}, id="504-after-the-work"),
        pytest.param({"status": 429}, id="429"),
        pytest.param({"status": 200, "body": "<html>", "after": True}, id="garbage-after-the-work"),
        pytest.param({"status": 200, "body": "{}", "after": True}, id="nothing-after-the-work"),
    ],
)
def test_whatever_happens_to_the_answer_one_run_is_started(
    fake: FakeKubeflow, submit: Callable[..., Run], fault: dict[str, Any]
) -> None:
    fake.inject(Fault("POST runs", **fault))
    run = submit()
    assert list(fake.runs) == [run.id]
    assert fake.runs[run.id]["state"] == "PENDING"


def test_a_run_that_a_lost_request_starts_late_is_kept_and_the_second_one_stopped(
    fake: FakeKubeflow, submit: Callable[..., Run]
) -> None:
    fake.inject(Fault("POST runs", act="drop", late=True))
    run = submit()
    assert {key: item["state"] for key, item in fake.runs.items() if item["state"] != "CANCELING"} == {
        run.id: "PENDING"
    }
    assert len(fake.runs) == 2


def test_a_hang_that_started_nothing_is_told_and_not_repeated(fake: FakeKubeflow, submit: Callable[..., Run]) -> None:
    fake.inject(Fault("POST runs", act="hang"))
    text = refused(submit)
    assert "cannot start the run 'digits-1'" in text and "the request was not repeated" in text
    assert fake.runs == {} and len(fake.asked("POST runs")) == 1


def test_a_submission_repeated_with_its_key_finds_its_run(fake: FakeKubeflow, submit: Callable[..., Run]) -> None:
    first = submit(key="abc")
    assert submit(key="abc") == first
    assert submit(key="abd").id != first.id and submit().id != first.id
    assert len(fake.runs) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_run_is_not_asked_for_again(fake: FakeKubeflow, submit: Callable[..., Run], status: int) -> None:
    fake.inject(Fault("POST runs", status=status))
    assert f"({status})" in refused(submit)
    assert fake.runs == {} and len(fake.asked("POST runs")) == 1


# Following


def test_a_run_is_followed_step_by_step_to_its_end(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    def moves(*changes: tuple[str, str]) -> Scene:
        return lambda run_id: [fake.step(run_id, name, state) for name, state in changes]

    end, told = play(
        fake,
        server,
        submit().id,
        moves(("small-x7k2p", "RUNNING"), ("root-driver", "SUCCEEDED"), ("root", "RUNNING")),
        moves(("prepare-driver", "SUCCEEDED"), ("prepare", "RUNNING"), ("executor", "RUNNING")),
        moves(("prepare", "SUCCEEDED"), ("executor", "SUCCEEDED"), ("train-driver", "SUCCEEDED"), ("train", "RUNNING")),
        moves(("train", "SUCCEEDED"), ("evaluate", "SUCCEEDED"), ("condition-1", "SKIPPED")),
        lambda run_id: fake.finish(run_id),
    )
    seen = [states(progress) for progress in told]
    assert seen[0] == dict.fromkeys(kubeflow_pipeline.STEPS, "PENDING")
    assert {"prepare": "RUNNING", "train": "PENDING", "evaluate": "PENDING", "export": "PENDING"} in seen
    assert {"prepare": "SUCCEEDED", "train": "RUNNING", "evaluate": "PENDING", "export": "PENDING"} in seen
    assert states(end) == {"prepare": "SUCCEEDED", "train": "SUCCEEDED", "evaluate": "SUCCEEDED", "export": "SKIPPED"}
    assert end.ended and end.run.state == "SUCCEEDED" and end.failed is None
    assert all(first != second for first, second in itertools.pairwise(told))
    assert end.steps[0].seconds is not None and end.steps[0].seconds > 0 and end.steps[3].seconds is None


def test_a_failed_step_is_named_with_its_reason(fake: FakeKubeflow, server: Server, submit: Callable[..., Run]) -> None:
    def fall(run_id: str) -> None:
        fake.step(run_id, "prepare", "SUCCEEDED")
        fake.step(run_id, "train", "FAILED", error="This step is in Failed state\nwith this message: OOMKilled (137)")
        # The server leaves some nodes as they last were.
        fake.step(run_id, "evaluate-driver", "RUNNING")
        fake.finish(run_id, "FAILED", "one step failed")

    end, _ = play(fake, server, submit().id, fall)
    assert end.run.error == "one step failed"
    assert end.failed is not None and end.failed.name == "train"
    assert end.failed.error == "This step is in Failed state with this message: OOMKilled (137)"
    assert states(end)["evaluate"] == "SKIPPED"


@pytest.mark.parametrize(
    "fault",
    [
        {"act": "drop", "times": 12},
        {"status": 503, "times": 12},
        {"status": 500, "times": 3},
        {"act": "hang", "times": 2},
        {"status": 200, "body": "<html>bad gateway", "times": 3},
        {"status": 429, "headers": {"Retry-After": "30"}, "times": 2},
    ],
    ids=str,
)
def test_a_fault_of_the_server_does_not_end_the_waiting(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run], fault: dict[str, Any]
) -> None:
    end, told = play(
        fake,
        server,
        submit().id,
        lambda run_id: fake.step(run_id, "prepare", "RUNNING"),
        lambda run_id: fake.inject(Fault("GET runs/.*", **fault)),
        lambda run_id: fake.finish(run_id),
    )
    assert end.run.state == "SUCCEEDED" and end.trouble == ""
    assert any(fake.host in progress.trouble for progress in told)


def test_a_server_that_is_gone_for_too_long_ends_the_waiting_and_not_the_run(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run, scene = submit(), lambda run_id: fake.inject(Fault("GET runs/.*", status=500, times=999))
    text = refused(lambda: play(fake, server, run.id, scene, outage_timeout=0.3))
    assert f"no news of the run {run.id} for 0.3 s; it continues" in text
    assert fake.runs[run.id]["state"] == "PENDING"


def test_a_run_that_is_deleted_meanwhile_ends_the_waiting(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    assert f"Run {run.id} not found" in refused(lambda: play(fake, server, run.id, fake.runs.pop))


def test_a_deadline_ends_the_waiting_and_not_the_run(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    begun = time.monotonic()
    text = refused(lambda: runs.follow(server, run.id, poll=60, deadline=0.3))
    assert 0.3 <= time.monotonic() - begun < 1.5
    assert "is PENDING after 0.3 s; it continues" in text and fake.runs[run.id]["state"] == "PENDING"


def test_an_interrupt_ends_the_waiting_and_not_the_run(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            runs.follow(server, run.id, poll=0.05)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert fake.runs[run.id]["state"] == "PENDING" and not fake.asked("POST runs/.*")


def test_a_step_that_cannot_be_scheduled_is_given_up_after_a_while(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run, told, reason = submit(), list[Progress](), "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"
    begun = time.monotonic()
    text = refused(
        lambda: runs.follow(
            server, run.id, on_change=told.append, poll=0.02, stuck=lambda run_id: {"train": reason}, stuck_after=0.3
        )
    )
    assert f"the step train cannot be scheduled: {reason}; the run was stopped" in text
    assert time.monotonic() - begun >= 0.3
    assert told[-1].stuck == {"train": reason}
    assert fake.runs[run.id]["state"] == "CANCELING"


def test_a_step_that_is_scheduled_in_time_is_not_given_up(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    answers = iter([{"train": "no node"}] * 3 + [{}] + [{"train": "no node"}] * 3)
    run = submit()

    def stuck(run_id: str) -> dict[str, str]:
        answer = next(answers, None)
        if answer is None:
            fake.finish(run_id)
        time.sleep(0.1)
        return answer or {}

    assert runs.follow(server, run.id, poll=0.01, stuck=stuck, stuck_after=0.45).ended


def test_pods_that_cannot_be_looked_at_do_not_end_the_waiting(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()

    def stuck(run_id: str) -> dict[str, str]:
        fake.finish(run_id)
        raise StepError("no right to list pods")

    assert runs.follow(server, run.id, poll=0.01, stuck=stuck).run.state == "SUCCEEDED"


# Stopping


def test_a_run_is_stopped_once_and_not_after_its_end(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    assert runs.cancel(server, run.id).state == "PENDING"
    assert fake.runs[run.id]["state"] == "CANCELING"
    assert runs.cancel(server, run.id).state == "CANCELING"
    assert len(fake.asked("POST runs/.*:terminate")) == 1
    fake.finish(run.id, "CANCELED")
    assert f"the run {run.id} has already ended (CANCELED)" in refused(lambda: runs.cancel(server, run.id))
    assert "Run nothing not found" in refused(lambda: runs.cancel(server, "nothing"))


def test_a_run_is_given_up_once_the_server_answers_again(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    fake.inject(Fault("POST runs/.*:terminate", status=500, times=3))
    options: dict[str, Any] = {"poll": 0.01, "stuck": lambda run_id: {"train": "no node"}, "stuck_after": 0.05}
    assert "no node; the run was stopped" in refused(lambda: runs.follow(server, run.id, **options))
    assert fake.runs[run.id]["state"] == "CANCELING" and len(fake.asked("POST runs/.*:terminate")) == 4


def test_a_run_that_cannot_be_stopped_is_given_up_in_the_end(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    fake.inject(Fault("POST runs/.*:terminate", status=500, times=999))
    options: dict[str, Any] = {"poll": 0.01, "stuck": lambda run_id: {"train": "no node"}, "stuck_after": 0.05}
    text = refused(lambda: runs.follow(server, run.id, outage_timeout=0.2, **options))
    assert "no node; the run could not be stopped: " in text and len(fake.asked("POST runs/.*:terminate")) > 1


def test_a_stop_whose_answer_is_lost_is_asked_for_again(
    fake: FakeKubeflow, server: Server, submit: Callable[..., Run]
) -> None:
    run = submit()
    fake.inject(Fault("POST runs/.*:terminate", act="drop", after=True))
    runs.cancel(server, run.id)
    assert fake.runs[run.id]["state"] == "CANCELING"
