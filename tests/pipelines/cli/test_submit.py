"""The commands about a cluster, over HTTP against a Kubeflow server and a Kubernetes API on loopback."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import team_target
from kubeflow import FakeKubeflow, Fault
from kubernetes_api import FakeKubernetes, node, thing
from kubernetes_cluster import failed_pod, pending_pod

from components import storage
from components.core import failure
from components.core.failure import Failure
from pipelines.cli.main import main
from pipelines.hardware import catalog

L4 = catalog.load()["l4"]
STEPS = ("prepare", "train", "evaluate", "export")
# The first submission profiles its model before it sends anything: seconds, or many of them on a busy machine.
PATIENCE_S = 120.0


@pytest.fixture
def kubeflow() -> Iterator[FakeKubeflow]:
    with FakeKubeflow() as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as server:
        server.add(
            thing("Namespace", "kubeflow", ""),
            thing("ServiceAccount", "pipeline-runner"),
            node("gke-l4-0", L4.labels, ("nvidia.com/gpu=present:NoSchedule",), gpu="1"),
            node("gke-cpu-0"),
        )
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path)))
        yield server


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kubeflow: FakeKubeflow, cache_home: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SUANLI_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SUANLI_CACHE_HOME", str(cache_home))
    monkeypatch.delenv("SUANLI_DEBUG", raising=False)
    monkeypatch.delenv("SUANLI_HOST", raising=False)
    (folder / "targets.toml").write_text(team_target.text(kubeflow.host) + 'pipeline_root = "gs://team/kfp"\n')
    return folder


def submit(*arguments: str, accelerator: str = "l4") -> list[str]:
    return ["submit", "digits", "--target", "gke", "--accelerator", accelerator, "--poll", "0.05", *arguments]


def ended(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> tuple[str, str]:
    assert main(list(arguments)) == code, capsys.readouterr()
    return capsys.readouterr()


def advanced(kubeflow: FakeKubeflow, act: Callable[[str], None]) -> threading.Thread:
    """Wait for a run that is at work, and act on it."""

    def when_there() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            ready = [one for one, run in list(kubeflow.runs.items()) if run["state"] in {"PENDING", "RUNNING"}]
            if ready:
                act(ready[-1])
                return
            time.sleep(0.02)

    thread = threading.Thread(target=when_there)
    thread.start()
    return thread


def finish(kubeflow: FakeKubeflow) -> Callable[[str], None]:
    def act(run: str) -> None:
        for name in STEPS:
            kubeflow.step(run, name, "RUNNING")
            time.sleep(0.06)
            kubeflow.step(run, name, "SUCCEEDED")
        kubeflow.finish(run)

    return act


@pytest.fixture(autouse=True)
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """gs://team/ as a folder: what Cloud Storage would answer is not what is tested here."""
    root = tmp_path / "bucket"
    listing, read = storage.listing, storage.read_text
    monkeypatch.setattr(storage, "listing", lambda uri: listing(uri.replace("gs://team", str(root))))
    monkeypatch.setattr(storage, "read_text", lambda uri: read(uri.replace("gs://team", str(root))))
    monkeypatch.setattr(storage, "probe", lambda uri: None)
    return root


@pytest.mark.usefixtures("cluster")
def test_a_run_is_submitted_followed_and_concluded(
    kubeflow: FakeKubeflow, bucket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(run: str) -> None:
        metrics = bucket / "kfp" / "training-digits" / run / "evaluate" / "1f" / "metrics"
        metrics.parent.mkdir(parents=True)
        metrics.write_text(json.dumps({"accuracy": 0.97}))
        finish(kubeflow)(run)

    thread = advanced(kubeflow, act)
    out, err = ended(capsys, 0, *submit("--wait"))
    thread.join()
    assert "accuracy             0.9700" in out and "succeeded" in out and err == ""
    (run,) = kubeflow.runs.values()
    assert run["service_account"] == "pipeline-runner"
    given = run["runtime_config"]["parameters"]
    assert given["accelerator_type"] == "nvidia.com/gpu" and given["accelerator_count"] == "1"
    assert given["node_selector"] == L4.labels
    shown, _ = ended(capsys, 0, "runs", "show")
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.startswith(("train ", "prepare "))}
    # Step, predicted time, actual time, predicted and actual cost: train's were all known beforehand.
    assert len(lines["train"]) >= 6 and lines["train"][-2] != lines["train"][-1]


@pytest.mark.usefixtures("cluster")
def test_a_version_is_uploaded_once_whatever_the_hardware_and_the_settings(
    kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(capsys, 0, *submit())
    ended(capsys, 0, *submit("--set", "training.epochs=3"))
    assert len(kubeflow.runs) == 2 and len(kubeflow.versions) == 1
    epochs = [run["runtime_config"]["parameters"]["training"]["epochs"] for run in kubeflow.runs.values()]
    assert epochs == [10, 3]
    ended(capsys, 0, *submit("--retries", "1"))
    assert len(kubeflow.versions) == 2  # a constant of KFP makes another file


@pytest.mark.usefixtures("cluster")
def test_an_answer_that_is_lost_starts_no_second_run(
    kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeflow.inject(Fault("POST runs", act="drop", after=True))
    ended(capsys, 0, *submit())
    assert len(kubeflow.runs) == 1
    ended(capsys, 0, *submit("--key", "nightly-7"))
    ended(capsys, 0, *submit("--key", "nightly-7"))
    assert len(kubeflow.runs) == 2


@pytest.mark.usefixtures("cluster")
def test_a_dry_run_prints_the_pods_and_sends_nothing(
    kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out, _ = ended(capsys, 0, *submit("--dry-run"))
    assert "cloud.google.com/gke-accelerator=nvidia-l4" in out and "nvidia.com/gpu: 1" in out
    assert "ok    train: nodes" in out and "ok    l4 memory" in out
    document = json.loads(ended(capsys, 0, *submit("--dry-run", "--json"))[0])
    assert {pod["step"] for pod in document["pods"]} == set(STEPS) and document["preflight"]
    assert not kubeflow.runs and not kubeflow.versions and not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("cluster")
def test_a_failed_step_is_named_with_exit_1(kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str]) -> None:
    def act(run: str) -> None:
        kubeflow.step(run, "prepare", "SUCCEEDED")
        kubeflow.step(run, "train", "FAILED", error="exit code 1")
        kubeflow.finish(run, "FAILED")

    thread = advanced(kubeflow, act)
    _, err = ended(capsys, 1, *submit("--wait"))
    thread.join()
    assert err == "error: train failed: exit code 1\n"


@pytest.mark.parametrize("source", ["pod", "bucket", "server"])
def test_a_step_s_own_words_reach_the_record_here_by_whatever_way_is_open(
    source: str,
    kubeflow: FakeKubeflow,
    cluster: FakeKubernetes,
    bucket: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = Failure("train", "data", "the pictures of class spotted_dog are upside down", "turn them")

    def act(run: str) -> None:
        error = "exit code 1"
        if source == "pod":
            cluster.add(failed_pod(run, exitCode=1, reason="Error", message=failure.termination_message(told)))
        elif source == "bucket":
            path = bucket / "kfp" / "training-digits" / run / "train" / "1f" / failure.FILE
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(asdict(told)))
        else:
            error = f"main: Error (exit code 1): {failure.termination_message(told)}"
        kubeflow.step(run, "prepare", "SUCCEEDED")
        kubeflow.step(run, "train", "FAILED", error=error)
        kubeflow.finish(run, "FAILED")

    thread = advanced(kubeflow, act)
    _, err = ended(capsys, 1, *submit("--wait"))
    thread.join()
    assert err == "error: train failed: the pictures of class spotted_dog are upside down; turn them\n"
    cause = json.loads(ended(capsys, 0, "runs", "show", "--json")[0])["cause"]
    assert {name: cause[name] for name in ("step", "kind", "message", "advice")} == {
        "step": "train",
        "kind": "data",
        "message": told.message,
        "advice": told.advice,
    }


def test_a_container_that_the_kernel_killed_is_out_of_memory(
    kubeflow: FakeKubeflow, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(run: str) -> None:
        cluster.add(failed_pod(run, exitCode=137, reason="OOMKilled"))
        kubeflow.step(run, "train", "FAILED")
        kubeflow.finish(run, "FAILED")

    thread = advanced(kubeflow, act)
    _, err = ended(capsys, 1, *submit("--wait"))
    thread.join()
    assert (
        err.startswith("error: train failed: killed because it ran out of memory (OOMKilled)") and "batch_size" in err
    )


def test_a_step_that_cannot_be_scheduled_is_given_up_with_the_schedulers_reason(
    kubeflow: FakeKubeflow, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(run: str) -> None:
        kubeflow.step(run, "train", "PENDING")
        cluster.add(pending_pod(run, "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."))

    thread = advanced(kubeflow, act)
    _, err = ended(capsys, 2, *submit("--wait", "--give-up", "0.005m"))
    thread.join()
    assert err.startswith("error: the step train cannot be scheduled: ") and "nvidia.com/gpu" in err
    ((run_id, run),) = kubeflow.runs.items()
    assert run["state"] == "CANCELING"
    assert "cancelled" in ended(capsys, 0, "runs", "list")[0]
    kubeflow.finish(run_id, "CANCELED")  # which the server calls failed
    out, err = ended(capsys, 1, "wait", "latest", "--poll", "0.05")
    assert "cancelled" in out and "failed" not in out + err


def test_the_next_rung_is_tried_where_there_are_no_compute_classes(
    kubeflow: FakeKubeflow, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    del cluster.groups["cloud.google.com"]
    spot = {**L4.labels, "cloud.google.com/gke-spot": "true"}
    cluster.add(node("gke-l4-1", spot, ("nvidia.com/gpu=present:NoSchedule",), gpu="1"))

    def act(run: str) -> None:
        kubeflow.step(run, "train", "PENDING")
        cluster.add(pending_pod(run, "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."))
        for _ in range(400):
            if len(kubeflow.runs) == 2:
                finish(kubeflow)([*kubeflow.runs][1])
                return
            time.sleep(0.02)

    thread = advanced(kubeflow, act)
    _, err = ended(capsys, 0, *submit("--wait", "--give-up", "0.005m", accelerator="l4:spot,l4"))
    thread.join()
    assert "the step train cannot be scheduled" in err and "next: l4" in err
    first, second = (run["runtime_config"]["parameters"]["node_selector"] for run in kubeflow.runs.values())
    assert first == spot and second == L4.labels


def test_a_ladder_becomes_a_compute_class_where_the_cluster_has_them(
    kubeflow: FakeKubeflow, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(capsys, 0, *submit(accelerator="l4:spot,l4"))
    (run,) = kubeflow.runs.values()
    assert run["runtime_config"]["parameters"]["node_selector"] == {
        "cloud.google.com/compute-class": "suanli-l4-spot-l4"
    }
    made = cluster.objects["cloud.google.com", "computeclasses", "", "suanli-l4-spot-l4"]
    assert [rule["spot"] for rule in made["spec"]["priorities"]] == [True, False]


@pytest.mark.usefixtures("cluster")
def test_wait_and_cancel_find_a_submitted_run(kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ended(capsys, 0, *submit())
    assert "to follow it: suanli wait" in out
    (run,) = kubeflow.runs
    ended(capsys, 0, "cancel", "latest")
    assert kubeflow.runs[run]["state"] in {"CANCELING", "CANCELED"}
    kubeflow.step(run, "prepare", "FAILED", error="main: Error (exit code 143)")
    kubeflow.finish(run, "CANCELED")
    out, err = ended(capsys, 1, "wait", run, "--poll", "0.05")
    assert "cancelled" in out and "failed" not in out + err


@pytest.mark.parametrize("status", [401, 403, 429, 500])
@pytest.mark.usefixtures("cluster")
def test_a_server_that_refuses_is_one_line_and_nothing_is_left(
    status: int, kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kubeflow.inject(Fault("POST runs", status=status, times=99))
    _, err = ended(capsys, 2, *submit())
    assert err.count("\n") == 1 and str(status) in err
    assert not kubeflow.runs and not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--accelerator", "l5"], "unknown accelerator 'l5'; did you mean l4?"),
        (
            ["--accelerator", "t4", "--set", "training.precision=mixed_bfloat16"],
            "training.precision: t4 has no bfloat16",
        ),
        (
            ["--accelerator", "v6e-8", "--set", "training.batch_size=60"],
            "training.batch_size: 60 cannot be divided among",
        ),
        (
            ["--accelerator", "v5e-8", "--set", "training.backend=tensorflow"],
            "training.backend: the tpu image for v5e-8",
        ),
        (["--accelerator", "l4", "--target", "gkee"], "unknown target 'gkee'; did you mean gke?"),
        (["--accelerator", "l4", "--compute-class", "No_Name"], "--compute-class No_Name: not a Kubernetes name"),
        (["--accelerator", "l4", "--shared-memory", "much"], "--shared-memory much: not a Kubernetes quantity"),
        (["--accelerator", "l4", "--give-up", "soon"], "'soon' is not a duration; write 90m, 24h or 2d"),
        (["--accelerator", "l4", "--host", "http://me:pw@x"], "--host: must not hold a user name or password"),
        ([], "Missing option '--accelerator'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_before_anything_is_sent(
    arguments: list[str], said: str, kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    target = [] if "--target" in arguments else ["--target", "gke"]
    out, err = ended(capsys, 2, "submit", "digits", *target, *arguments)
    assert err.startswith(f"error: {said}") and err.count("\n") == 1 and out == ""
    assert not kubeflow.requests


@pytest.mark.usefixtures("cluster")
def test_a_checkpoint_root_that_goes_with_the_pod_is_warned_about_on_spot(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = here / "targets.toml"
    path.write_text(path.read_text().replace("gs://team/checkpoints", "/tmp/checkpoints"))
    out, _ = ended(capsys, 0, *submit("--dry-run", accelerator="l4:on-demand"))
    assert "checkpoint_root" not in out
    # There is no spot node in this cluster, which is a failure of its own.
    main(submit("--dry-run", accelerator="l4:spot"))
    out = capsys.readouterr().out
    assert "warn  l4:spot checkpoints: checkpoint_root /tmp/checkpoints is not a bucket" in out
    assert "h instead of" in out


def test_without_rights_each_missing_one_is_a_line(cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.deny("*")
    out, err = ended(capsys, 0, *submit("--dry-run"))
    lines = [line for line in out.splitlines() if line.startswith("warn") and "right" in line]
    assert len(lines) >= 3 and err == ""


def test_a_server_that_is_too_old_for_parameters_is_refused(
    here: Path, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeKubeflow(tag="2.3.0") as old:
        _, err = ended(capsys, 2, *submit("--host", old.host))
        assert "2.3.0" in err and not old.runs


def test_the_files_are_what_was_explained(kubeflow: FakeKubeflow, cluster: FakeKubernetes) -> None:
    main(submit())
    (version,) = kubeflow.versions.values()
    assert set(version["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}, "both documents are uploaded"


@pytest.mark.usefixtures("cluster")
def test_what_cannot_be_estimated_is_said_and_stops_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "part.py").write_text(
        '"""A part of a data set, which nobody has counted."""\n'
        "from components.data import tfds\n"
        "from components.models import cnn\n"
        "from components.tasks import image_classification\n"
        "from pipelines.experiment import Experiment\n"
        "EXPERIMENT = Experiment(data=tfds.Settings(dataset='cifar10', train='train[:10%]', image_shape=(32, 32, 3)),\n"
        "    model=cnn.Settings(), evaluation=image_classification.Settings())\n"
    )
    out, _ = ended(capsys, 0, "submit", "part.py", "--target", "gke", "--accelerator", "l4", "--dry-run")
    # Its options are those of suanli plan.
    assert "l4 estimate: none: the number of examples of tfds is not known before they are prepared\n" in out
