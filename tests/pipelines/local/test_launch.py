import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import laid_run
import pytest
from kfp import dsl

from components.core import memory
from pipelines.runs.folder import Run

SUANLI = [str(Path(sys.executable).with_name("suanli"))]
WAIT_S = 30.0


@dsl.component(base_image="suanli-python", install_kfp_package=False)
def sleeper(where: str, seconds: float):
    """A step with a process of its own."""
    import os
    import subprocess
    import time
    from pathlib import Path

    grandchild = subprocess.Popen(["sleep", str(seconds)])
    aside = Path(where) / "aside"
    aside.write_text(f"{os.getpid()} {os.getppid()} {grandchild.pid}")
    aside.rename(Path(where) / "pids")
    time.sleep(seconds)
    grandchild.wait()


@dsl.component(base_image="suanli-python", install_kfp_package=False)
def shadowed() -> str:
    """Where a step finds our package."""
    import os

    import components

    print("TMPDIR", os.environ["TMPDIR"])
    return str(components.__file__)


@pytest.fixture
def waiting(tmp_path: Path) -> Callable[..., Run]:
    """A function that lays out an interrupted run whose pipeline is one of ours, to be resumed by the real command."""

    def lay(task: dsl.base_component.BaseComponent, **arguments: object) -> Run:
        return laid_run.lay(tmp_path / "runs with a blank", task, arguments)

    return lay


@pytest.fixture
def started() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """A function that starts the command in a session of its own; what is left of it goes when the test ends."""
    begun: list[subprocess.Popen[str]] = []

    def start(run: Run, *arguments: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*SUANLI, "run", "--resume", run.id, *arguments],
            env={**os.environ, "SUANLI_RUNS": str(run.root)},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def pids(tmp_path: Path) -> list[int]:
    """The step's processes, once it is at work."""
    until(lambda: (tmp_path / "pids").exists(), "the step has not started")
    return [int(pid) for pid in (tmp_path / "pids").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(happened: Callable[[], bool], otherwise: str, seconds: float = WAIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


@pytest.mark.parametrize("to", ["command", "group"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_whole_process_tree_and_leaves_a_resumable_run(
    number: int,
    code: int,
    to: str,
    waiting: Callable[..., Run],
    started: Callable[..., "subprocess.Popen[str]"],
    tmp_path: Path,
) -> None:
    run = waiting(sleeper, where=str(tmp_path), seconds=60.0)
    command = started(run)
    tree = pids(tmp_path)
    if to == "group":
        os.killpg(command.pid, number)
    else:
        command.send_signal(number)
        # Somebody impatient presses the keys again.
        time.sleep(0.01)
        command.send_signal(number)
    _, said = command.communicate(timeout=10)
    assert command.returncode == code
    assert not [pid for pid in tree if alive(pid)]
    assert run.read()["status"] == "interrupted"
    assert f"suanli run --resume {run.id}" in said
    assert not (run.folder / "tmp").exists() and (run.folder / "index.html").is_file()


def test_a_killed_command_takes_its_tree_with_it(
    waiting: Callable[..., Run], started: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    run = waiting(sleeper, where=str(tmp_path), seconds=60.0)
    command = started(run)
    tree = pids(tmp_path)
    assert json.loads((run.folder / "run.json").read_text())["status"] == "running" and run.alive()
    command.kill()
    until(lambda: not any(map(alive, tree)), "the step outlived the command", 10)
    until(lambda: not run.alive(), "somebody still holds the run", 10)
    assert run.read()["status"] == "interrupted"


@pytest.mark.parametrize(
    ("number", "says"), [(signal.SIGKILL, "killed from outside (SIGKILL)"), (signal.SIGTERM, "ended by SIGTERM")]
)
def test_a_step_that_is_killed_interrupts_the_run_and_is_named(
    number: int,
    says: str,
    waiting: Callable[..., Run],
    started: Callable[..., "subprocess.Popen[str]"],
    tmp_path: Path,
) -> None:
    run = waiting(sleeper, where=str(tmp_path), seconds=60.0)
    command = started(run)
    os.kill(pids(tmp_path)[0], number)
    _, said = command.communicate(timeout=10)
    assert command.returncode == 1
    assert said.startswith(f"error: sleeper failed: {says}; resume the run")
    assert said.endswith(f"to continue: suanli run --resume {run.id}\n")
    values = run.read()
    assert (values["status"], values["cause"]["kind"]) == ("interrupted", "preempted")


@dsl.component(base_image="suanli-python", install_kfp_package=False)
def glutton():
    """A step that takes memory until it is stopped."""
    taken = []
    while True:
        taken.append(b"x" * 2**24)


@pytest.fixture
def narrow() -> Iterator[Path]:
    """A control group with room for the command and little more."""
    first = memory.CGROUP / "memory"
    group = (first if first.is_dir() else memory.CGROUP) / f"suanli-test-{os.getpid()}"
    try:
        group.mkdir()
        name = "memory.limit_in_bytes" if first.is_dir() else "memory.max"
        (group / name).write_text(str(700 * 2**20))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no control group can be made: {error}")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text(), "processes are left in the group")
    group.rmdir()


def test_a_step_that_the_kernel_kills_for_want_of_memory_is_told_of_as_such(
    waiting: Callable[..., Run], narrow: Path
) -> None:
    run = waiting(glutton)
    inside = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
    done = subprocess.run(
        [sys.executable, "-c", inside, str(narrow / "cgroup.procs"), *SUANLI, "run", "--resume", run.id],
        env={**os.environ, "SUANLI_RUNS": str(run.root)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: glutton failed: killed by the system for lack of memory; use a smaller")
    values = run.read()
    assert (values["status"], values["cause"]["kind"]) == ("failed", "memory")


def test_a_run_in_progress_is_not_resumed_and_keeps_prune_away(
    waiting: Callable[..., Run], started: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    run = waiting(sleeper, where=str(tmp_path), seconds=60.0)
    command = started(run)
    pids(tmp_path)
    second = started(run)
    _, said = second.communicate(timeout=10)
    assert (second.returncode, said.count("\n")) == (2, 1)
    assert "is running" in said
    pruning = subprocess.run(
        [*SUANLI, "runs", "prune", "--keep", "0", "--runs", str(run.root)], capture_output=True, text=True, check=False
    )
    assert (pruning.returncode, pruning.stderr) == (2, "error: a run is in progress; prune when it has ended\n")
    command.terminate()
    command.communicate(timeout=10)


def test_a_folder_named_components_in_the_current_folder_shadows_nothing(
    waiting: Callable[..., Run], started: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "__init__.py").write_text("raise RuntimeError('the wrong components')")
    run = waiting(shadowed)
    command = started(run, cwd=tmp_path)
    command.communicate(timeout=60)
    log = (run.folder / "log" / "shadowed.log").read_text()
    assert command.returncode == 0, log
    assert f"TMPDIR {run.folder / 'tmp'}" in log and "\x1b" not in log
    assert not (run.folder / "tmp").exists()
