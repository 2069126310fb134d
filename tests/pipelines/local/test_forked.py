"""Steps in forks of a server that has imported TensorFlow: one server for the whole file."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kfp import dsl

from pipelines.local import forked
from pipelines.local.subprocesses import with_interpreter


@dsl.component(base_image="suanli-python", install_kfp_package=False)
def speaks(how: str):
    """Says what it finds, then ends as it is told."""
    import os
    import random
    import sys
    from pathlib import Path

    print("forked" if "tensorflow" in sys.modules else "fresh", "模型", os.getpid(), random.random(), flush=True)
    print(Path("/proc/self/comm").read_text(), file=sys.stderr, flush=True)
    if how == "exit":
        raise SystemExit(78)
    if how == "raise":
        raise ValueError("the reason")
    if how == "kill":
        os.kill(os.getpid(), 9)
    if how == "compute":
        import tensorflow as tf

        print("sum", int(tf.reduce_sum(tf.ones([100, 100]))))


def command(how: str, folder: Path) -> list[str]:
    container = speaks.component_spec.implementation.container
    given = f'{{"inputs": {{"parameterValues": {{"how": "{how}"}}}}, "outputs": {{"outputFile": "{folder}/out.json"}}}}'
    return [*container.command, "--executor_input", given, "--function_to_execute", "speaks"]


@pytest.fixture(autouse=True, scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temporary folder as a run's, whose path is too long for that of a socket."""
    folder = tmp_path_factory.mktemp("deep") / "模型 (1)'s" / ("a" * 120) / "tmp"
    folder.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.mark.parametrize(
    ("how", "status"), [("return", 0), ("compute", 0), ("exit", 78), ("raise", 1), ("kill", -9)], ids=str
)
def test_a_fork_prints_and_ends_as_its_command_would(
    how: str, status: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = command(how, tmp_path)
    assert forked.is_plain(given)
    assert forked.run(given) == status
    said = capfd.readouterr().out
    assert "forked 模型" in said and "\nspeaks\n" in said
    assert ("sum 10000" in said) == (how == "compute")
    assert ("ValueError: the reason" in said) == (how == "raise")


def test_a_fork_and_its_command_say_the_same(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = command("return", tmp_path)
    assert forked.run(given) == 0
    ours = capfd.readouterr().out
    theirs = subprocess.run(
        with_interpreter(given, sys.executable), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    ).stdout
    assert ours.count("[KFP Executor ") == theirs.count("[KFP Executor ") > 2
    assert "fresh 模型" in theirs and "sh\n" not in theirs


def test_two_forks_draw_other_random_numbers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert forked.run(command("return", tmp_path)) == forked.run(command("return", tmp_path)) == 0
    pids, numbers = zip(
        *(line.split()[-2:] for line in capfd.readouterr().out.splitlines() if line.startswith("forked")), strict=True
    )
    assert len(set(pids)) == len(set(numbers)) == 2


def test_a_component_that_installs_packages_first_is_not_forked() -> None:
    with_packages = dsl.component(
        speaks.python_func, base_image="suanli-python", packages_to_install=["six"], install_kfp_package=False
    )
    container = with_packages.component_spec.implementation.container
    assert not forked.is_plain([*container.command, "--function_to_execute", "speaks"])


@pytest.mark.parametrize(
    ("backend", "preset", "possible"),
    [("auto", "", True), ("tensorflow", "jax", True), ("auto", "jax", False), ("jax", "", False), ("none", "", False)],
)
def test_another_backend_of_keras_is_not_forked(
    backend: str, preset: str, possible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", preset)
    assert forked.is_possible(backend) is possible
