"""Whole runs and single steps in real containers, from the image of the present sources."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import laid_run
import pytest
from kfp import dsl

from components.core import sources
from components.core.errors import StepError
from components.steps import STEPS
from pipelines import experiment
from pipelines.compile import targets
from pipelines.compile.compiler import image_tag
from pipelines.local import container_engine
from pipelines.runs import compare, folder
from pipelines.runs.folder import Run

SUANLI = [sys.executable, "-P", "-m", "pipelines"]
REQUIRED = bool(os.environ.get("SUANLI_REQUIRE_IMAGES"))
NOBODY = 65534
WAIT_S = 60.0


def names() -> dict[str, str]:
    """Step -> the name of its image, as ``suanli run digits`` asks for it."""
    chosen = sources.chosen_in(experiment.load("digits").experiment.sections())
    return {step: f"{targets.LOCAL_PREFIX}-cpu:{image_tag(step, chosen)}" for step in STEPS}


@pytest.fixture(scope="module", autouse=True)
def images() -> dict[str, str]:
    """Step -> its image's id."""
    try:
        with container_engine.opened(names()) as opened:
            return opened.images
    except StepError as error:
        if REQUIRED:
            raise
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """What a test started is gone when it ends: containers, podman's service, its folder, and who looks after them."""
    before = started()
    yield
    until(lambda: started() <= before, "something was left")


def started() -> set[str]:
    """Processes and folders that a run in containers makes, and its containers."""
    found = {str(path) for path in Path("/tmp").glob("suanli-podman-*")}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text().split("\0")
        except OSError:
            continue
        if "pipelines.local.reaper" in words or ("service" in words and "--time=0" in words):
            found.add(f"{path.parent.name} {' '.join(words)}")
    listed = (
        subprocess.run(
            ["podman", "ps", "--all", "--quiet", "--filter", f"label={container_engine.LABEL}"],
            capture_output=True,
            text=True,
        )
        if shutil.which("podman")
        else None
    )
    return found | set(listed.stdout.split() if listed else ())


def until(happened: Callable[[], bool], otherwise: str, seconds: float = WAIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def suanli(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SUANLI, *arguments], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


# --- steps that look around ---


@dsl.component(base_image="suanli-python", install_kfp_package=False)
def train(server: int, other: str):
    """What a step can reach, written into the run's folder."""
    import json
    import os
    import socket
    from pathlib import Path

    def fault(action) -> str:
        try:
            action()
        except OSError as error:
            return type(error).__name__ + ": " + str(error.strerror)
        return ""

    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    run = Path(os.environ["SUANLI_RUN"])
    found = {
        "interfaces": [name for _, name in socket.if_nameindex()],
        "server": fault(lambda: socket.create_connection(("127.0.0.1", server), 5).close()),
        "name": fault(lambda: socket.getaddrinfo("storage.googleapis.com", 443)),
        "root": fault(lambda: Path("/here").touch()),
        "app": fault(lambda: Path("/app/components/here.py").touch()),
        "tmp": fault(lambda: Path("/tmp/here").touch()),
        "home": fault(lambda: (Path.home() / "here").touch()),
        "store": fault(lambda: (run.parent / ".store" / "here").touch()),
        "other": Path(other).exists(),
        "siblings": sorted(path.name for path in run.parent.iterdir()),
        "capabilities": status["CapEff"].strip(),
        "new privileges": status["NoNewPrivs"].strip(),
        "processors": len(os.sched_getaffinity(0)),
        "user": [os.getuid(), os.getgid()],
    }
    (run / "made").mkdir()
    (run / "made" / "found.json").write_text(json.dumps(found))


@dsl.component(base_image="suanli-python", install_kfp_package=False)
def prepare(seconds: float, status: int):
    """A step that says something, waits, and ends with a status of its choice."""
    import os
    import subprocess
    import time
    from pathlib import Path

    print("at work: 算力", flush=True)
    child = subprocess.Popen(["sleep", "600"])
    (Path(os.environ["SUANLI_RUN"]) / "begun").touch()
    time.sleep(seconds)
    child.kill()
    child.wait()
    print("done", flush=True)
    os._exit(status)


@pytest.fixture
def laid(tmp_path: Path) -> Callable[..., Run]:
    """A function that lays out an interrupted run whose pipeline is one step of ours, to be resumed by the command."""

    def lay(task: dsl.base_component.BaseComponent, *, runner: str = "docker", **arguments: object) -> Run:
        return laid_run.lay(tmp_path / "runs with a blank", task, arguments, runner=runner)

    return lay


def resumed(run: Run, **variables: str) -> "subprocess.CompletedProcess[str]":
    return suanli("run", "--resume", run.id, "--runs", str(run.root), **variables)


def found(run: Run) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run.folder / "made" / "found.json").read_text())
    return values


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server on this machine's loopback address."""
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving.server_port
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_train_has_no_network_no_privilege_and_nothing_but_its_folders(
    laid: Callable[..., Run], server: int, tmp_path: Path
) -> None:
    (tmp_path / "mine").touch()
    outside, inside = (
        laid(train, runner=runner, server=server, other=str(tmp_path / "mine")) for runner in ("subprocess", "docker")
    )
    for run in (outside, inside):
        done = resumed(run)
        assert done.returncode == 0, done.stderr
    free, held = found(outside), found(inside)
    assert (free["server"], free["other"]) == ("", True), "the test could not have failed"
    assert held["interfaces"] == ["lo"]
    assert "refused" in held["server"] and held["name"].startswith("gaierror")
    for place in ("root", "app", "store"):
        assert held[place] == "OSError: Read-only file system", place
    assert (held["tmp"], held["home"], held["other"]) == ("", "", False)
    assert held["siblings"] == [".cache-docker", ".checkpoints", ".store", inside.id]
    assert (int(held["capabilities"], 16), held["new privileges"]) == (0, "1")
    assert (held["processors"], held["user"]) == (free["processors"], free["user"])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else, and offer an engine to him")
def test_the_files_belong_to_the_caller_where_the_engine_is_roots(laid: Callable[..., Run], server: int) -> None:
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    run = laid(train, server=server, other="/")
    shutil.move(run.root, place / "runs")
    run = Run(place / "runs" / run.id)
    values = {**run.read(), "target": targets.local(run.root).model_dump()}
    run.write(values)
    path = str(place / "podman.sock")
    service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{path}"])
    try:
        assert container_engine.wait_for(path, service)
        for part in (place, *place.rglob("*")):
            os.chown(part, NOBODY, NOBODY)
        # He may read what he finds: this checkout or its Python may lie in a folder of root's.
        reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        somebody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reads]
        done = subprocess.run(
            [*somebody, *SUANLI, "run", "--resume", run.id, "--runs", str(run.root)],
            env={**os.environ, "DOCKER_HOST": f"unix://{path}", "HOME": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert found(run)["user"] == [NOBODY, NOBODY]
        owners = {part.lstat().st_uid for part in run.root.rglob("*")}
        assert owners == {NOBODY}
        assert service.poll() is None, "an engine that was there already is not ours to stop"
    finally:
        service.terminate()
        service.wait()
        shutil.rmtree(place)


@pytest.mark.parametrize(("status", "says"), [(3, "exit status 3"), (0, "")])
def test_a_steps_exit_status_is_the_runs(status: int, says: str, laid: Callable[..., Run]) -> None:
    run = laid(prepare, seconds=0.0, status=status)
    done = resumed(run)
    assert done.returncode == int(bool(status)), done.stderr
    log = (run.folder / "log" / "prepare.log").read_text().splitlines()
    assert "at work: 算力" in log and "done" in log
    if status:
        assert done.stderr.startswith(f"error: prepare failed: it ended with {says} and reported no error")
        assert run.read()["status"] == "failed"


@pytest.fixture
def at_work(laid: Callable[..., Run]) -> Iterator[tuple[Run, "subprocess.Popen[str]"]]:
    """A run whose container is busy for a minute, and its command."""
    run = laid(prepare, seconds=60.0, status=0)
    command = subprocess.Popen(
        [*SUANLI, "run", "--resume", run.id, "--runs", str(run.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until((run.folder / "begun").exists, "the step has not started")
        yield run, command
    finally:
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
        command.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_container_and_leaves_a_resumable_run(
    number: int, code: int, at_work: tuple[Run, "subprocess.Popen[str]"]
) -> None:
    run, command = at_work
    os.killpg(command.pid, number)
    _, said = command.communicate(timeout=20)
    assert command.returncode == code, said
    assert run.read()["status"] == "interrupted" and f"suanli run --resume {run.id}" in said
    assert not sleeping(run)


def test_a_killed_command_takes_its_container_with_it(at_work: tuple[Run, "subprocess.Popen[str]"]) -> None:
    run, command = at_work
    assert sleeping(run)
    command.kill()
    command.wait()
    until(lambda: not sleeping(run), "the container outlived the command", 20)


def test_a_killed_container_fails_the_run_and_is_named(at_work: tuple[Run, "subprocess.Popen[str]"]) -> None:
    run, command = at_work
    os.kill(min(sleeping(run)), signal.SIGKILL)  # the first process of the container
    _, said = command.communicate(timeout=20)
    assert command.returncode == 1
    assert said.startswith("error: prepare failed: killed from outside, or by the system for lack of memory")


def sleeping(run: Run) -> list[int]:
    """The processes of a run's container, seen from outside."""
    living = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            words = path.read_text().split("\0")
            if f"SUANLI_RUN={run.folder}" in words and "HOME=/home/suanli" in words:
                living.append(int(path.parent.name))
        except OSError:
            continue
    return living


def test_an_image_that_is_not_there_is_named_before_anything_is_made() -> None:
    wanted = {"train": "nothing-python-cpu:train-0"}
    says = r"the image nothing-python-cpu:train-0, .* build it with: make images"
    with pytest.raises(StepError, match=says), container_engine.opened(wanted):
        pass


# --- the pipeline ---


@pytest.mark.slow
def test_both_runners_give_equal_metrics_and_equal_artifacts(tmp_path: Path, images: dict[str, str]) -> None:
    runs = tmp_path / "runs"
    for runner in folder.CACHES:
        done = suanli("run", "digits", "--runner", runner, "--no-cache", "--runs", str(runs))
        assert done.returncode == 0, done.stderr
        # Both are the first version, and have no champion.
        shutil.rmtree(runs / folder.REGISTRY)
    local, contained = folder.every(runs)
    values = contained.read()
    assert (values["runner"], values["image_ids"]) == ("docker", images)
    assert {step: made["image_id"] for step, made in values["steps"].items()} == images
    wanted = names()["train"].rpartition(":")[2]
    assert {local.read()["runner"], local.read()["steps"]["train"]["image"]} == {"subprocess", wanted}
    rows = compare.reproduction(local, contained)
    assert len(rows) > 20
    assert [row["what"] for row in rows if not row["equal"]] == []


@pytest.mark.slow
def test_a_fault_found_inside_a_step_fails_the_run_with_its_cause(tmp_path: Path) -> None:
    """The environment of the tests has jax; the cpu image has not."""
    runs = tmp_path / "runs"
    done = suanli("run", "digits", "--runner", "docker", "--set", "training.backend=jax", "--runs", str(runs))
    run = folder.find(runs, "latest")
    assert done.returncode == 1
    assert done.stderr.startswith("error: train failed: training.backend: jax is not installed here")
    assert run.read()["status"] == "failed" and run.read()["cause"]["step"] == "train"
    assert run.steps()["prepare"]["state"] == "succeeded"
    # What stands in the key is what the image was made of.
    version = run.steps()["prepare"]["key"]["versions"]["tensorflow"]
    assert f"tensorflow=={version}" in (sources.ROOT / "requirements/cpu.txt").read_text()
