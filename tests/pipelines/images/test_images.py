"""Building and pushing with engines that only write down what they are asked."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.choices import Room
from pipelines.cli.main import main as command_line
from pipelines.compile import compiler
from pipelines.images import names
from pipelines.images.__main__ import main

# Knows the images whose names are lines of the file "there", and lists them as podman does, with localhost/ before the
# names; fails where the first argument is in the variable FAILS. An image is labelled with its base's digest, the
# content of the file "digest". What of a project is in the context goes to the file "context".
ENGINE = """#!/bin/sh
echo "$(basename "$0") $*" >> {folder}/log
case " $FAILS " in *" $1 "*) echo "no $1 today" >&2; exit 3;; esac
if [ "$1" = images ]; then
    for image; do :; done
    case "$image" in *Tag*) sed s,^suanli,localhost/suanli, {folder}/there;; esac
    if grep -qxF "$image" {folder}/there; then
        case "$2" in --quiet) echo 1a2b;; --digests) cat {folder}/digest;; *) echo "2.09 GB";; esac
    fi
fi
if [ "$1" = inspect ]; then cat {folder}/label; fi
if [ "$1" = pull ]; then echo "$3" >> {folder}/there; fi
if [ "$1" = build ]; then
    echo components/_project/*/* > {folder}/context
    cat {folder}/digest > {folder}/label
    while [ $# -gt 0 ]; do if [ "$1" = --tag ]; then echo "$2" >> {folder}/there; fi; shift; done
fi
"""
Log = Callable[[], list[str]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Log]:
    """Puts engines on an otherwise small PATH, and returns what reads their log."""
    monkeypatch.delenv("ENGINE", raising=False)
    (tmp_path / "there").touch()

    def put(*programs: str, fails: str = "", there: tuple[str, ...] = ()) -> Log:
        for program in programs:
            path = tmp_path / "bin" / program
            path.parent.mkdir(exist_ok=True)
            path.write_text(ENGINE.format(folder=tmp_path))
            path.chmod(0o755)
        (tmp_path / "there").write_text("".join(f"{name}\n" for name in there))
        (tmp_path / "digest").write_text("sha256:base1\n")
        (tmp_path / "label").write_text("sha256:base1\n")
        # The system's own engines must not be found; the script needs these.
        tools = tmp_path / "tools"
        tools.mkdir()
        for tool in ("sh", "grep", "sed", "basename", "cat"):
            (tools / tool).symlink_to(f"/bin/{tool}" if Path(f"/bin/{tool}").exists() else f"/usr/bin/{tool}")
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{tools}")
        monkeypatch.setenv("FAILS", fails)
        return lambda: (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []

    return put


def test_the_cpu_image_is_built_under_every_steps_tag_and_labelled(install: Callable[..., Log]) -> None:
    log = install("podman")
    assert main(["build", "--base", "base:1"]) == 0
    built = next(line for line in log() if line.startswith("podman build"))
    assert "--target cpu" in built and "--build-arg BASE=base:1" in built
    assert [name for name in names.local("cpu") if f"--tag {name}" not in built] == []
    assert f"--label suanli.tags={' '.join(names.tags('cpu'))}" in built


def test_an_image_with_its_tags_is_built_only_when_asked(install: Callable[..., Log]) -> None:
    log = install("podman", there=(*names.local("gpu"), "base:1"))
    assert main(["build", "gpu", "--base", "base:1"]) == 0
    assert not [line for line in log() if line.startswith("podman build")]
    assert main(["build", "gpu", "--base", "base:1", "--again"]) == 0
    assert [line for line in log() if line.startswith("podman build")]


def test_in_a_project_the_image_is_built_with_its_files(
    install: Callable[..., Log], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = install("podman")
    assert command_line(["init", str(tmp_path / "team")]) == 0
    monkeypatch.chdir(tmp_path / "team/experiments")
    assert command_line(["new", "model", "our_net"]) == 0
    assert command_line(["images", "build", "--base", "base:1"]) == 0
    assert (tmp_path / "context").read_text() == "components/_project/models/our_net.py\n"
    chosen: dict[Room, str] = {"models": "our_net", "tasks": "image_classification"}
    (line,) = built(log)
    assert f"--tag suanli-python-cpu:{compiler.image_tag('train', chosen)}" in line


def built(log: Log) -> list[str]:
    return [line for line in log() if line.startswith("podman build")]


def test_an_image_whose_base_has_changed_is_built_again_and_that_is_said(
    install: Callable[..., Log], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = install("podman", there=("base:1",))
    assert main(["build", "--base", "base:1"]) == 0
    (first,) = built(log)
    assert "--label org.opencontainers.image.base.name=base:1" in first
    assert "--label org.opencontainers.image.base.digest=sha256:base1" in first
    assert main(["build", "--base", "base:1"]) == 0
    assert len(built(log)) == 1 and "there already" in capsys.readouterr().out
    (tmp_path / "digest").write_text("sha256:base2\n")
    assert main(["build", "--base", "base:1"]) == 0
    assert len(built(log)) == 2 and "on the base base:1, which has changed" in capsys.readouterr().out
    assert sum("pull --quiet base:1" in line for line in log()) == 3, "its tag may have moved"


def test_without_a_network_what_is_there_stays(install: Callable[..., Log], capsys: pytest.CaptureFixture[str]) -> None:
    log = install("podman", fails="pull", there=tuple(names.local("cpu")))
    assert main(["build"]) == 0
    assert "cannot be pulled (no pull today), so what is there is not compared" in capsys.readouterr().out
    assert main(["build", "--again"]) == 2 and built(log) == []


@pytest.mark.parametrize("base", ["localhost/suanli-base:bookworm", "base:1@sha256:0123"])
def test_a_base_that_cannot_move_is_not_pulled_again(base: str, install: Callable[..., Log]) -> None:
    log = install("podman", there=(base,))
    assert main(["build", "--base", base]) == 0
    assert len(built(log)) == 1 and not [line for line in log() if " pull " in line]


def test_a_base_made_here_is_taken_before_the_public_one(install: Callable[..., Log]) -> None:
    log = install("buildah", there=("localhost/suanli-base:bookworm",))
    assert main(["build", "tpu"]) == 0
    assert any("BASE=localhost/suanli-base:bookworm" in line for line in log())


def test_a_client_without_its_daemon_is_passed_over(install: Callable[..., Log], tmp_path: Path) -> None:
    log = install("docker", "buildah", there=tuple(names.local("cpu")))
    (tmp_path / "bin/docker").write_text("#!/bin/sh\nexit 1\n")
    assert main(["build"]) == 0
    assert {line.partition(" ")[0] for line in log()} == {"buildah"}


@pytest.mark.parametrize(
    ("arguments", "fails", "status", "said"),
    [
        (["build", "gpus"], "", 2, "unknown target 'gpus'; did you mean gpu?"),
        (["push", "--registry", ""], "", 2, "no registry is given; give REGISTRY=HOST/PATH"),
        (["push", "--registry", "https://a.b/c"], "", 2, "'https://a.b/c' names no registry"),
        (["push", "--registry", "a.b/c:1"], "", 2, "'a.b/c:1' names no registry"),
        (["push", "--registry", "team/c"], "", 2, "'team/c' names no registry"),
        (["push", "--registry", "a.b/c"], "", 2, "the cpu image of these sources is not built; run make images"),
        (["build"], "info", 2, "no container engine works here: docker, podman or buildah"),
        (["build"], "pull", 2, "cannot be pulled (no pull today); run scripts/base-image"),
        (["build", "--base", "base:1"], "build", 1, "podman build ended with status 3"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str],
    fails: str,
    status: int,
    said: str,
    install: Callable[..., Log],
    capsys: pytest.CaptureFixture[str],
) -> None:
    install("podman", fails=fails, there=("base:1",))
    assert main(arguments) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line


def test_an_unknown_engine_is_named(
    install: Callable[..., Log], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("podman")
    monkeypatch.setenv("ENGINE", "podmann")
    assert main(["build"]) == 2
    assert "unknown engine 'podmann'; did you mean podman?" in capsys.readouterr().err
