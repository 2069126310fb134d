import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines import experiment
from pipelines.compile import targets
from pipelines.local import containers
from pipelines.runs import folder, record
from pipelines.runs.folder import Run

SUANLI = [str(Path(sys.executable).with_name("suanli"))]


def suanli(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SUANLI, *arguments], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    run = folder.create(tmp_path / "runs", "digits")
    for name in ("PYTHONSAFEPATH", "PYTHONUNBUFFERED", "SUANLI_DEBUG"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SUANLI_RUN", str(run.folder))
    monkeypatch.setenv("TMPDIR", str(run.folder / "tmp"))
    monkeypatch.setenv("SUANLI_CACHE", str(run.root / ".cache-docker"))
    return run


def asked(run: Run, *settings: str, cache: bool = True) -> dict[str, Any]:
    return record.initial(experiment.load("digits").with_settings(settings), targets.local(run.root), "digits", cache)


# --- bad input ---


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        (["digits", "--runner", "dokcer"], {}, "unknown runner 'dokcer'; did you mean docker?"),
        (["--resume", "x", "--runner", "docker"], {}, "--resume takes its experiment and settings from the run"),
        (
            ["digits", "--runner", "docker"],
            {"DOCKER_HOST": "tcp://10.0.0.1:2375"},
            "DOCKER_HOST is tcp://10.0.0.1:2375",
        ),
        (["digits", "--runner", "docker"], {"DOCKER_HOST": "unix:///nowhere/s"}, "unix:///nowhere/s: No such file"),
    ],
)
def test_a_runner_that_cannot_work_is_refused_in_one_line_before_anything_is_made(
    arguments: list[str], variables: dict[str, str], says: str, tmp_path: Path
) -> None:
    done = suanli("run", *arguments, SUANLI_RUNS=str(tmp_path / "runs"), **variables)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: ") and says in done.stderr
    assert not list(tmp_path.iterdir())


# --- what a step sees ---


@pytest.mark.parametrize(
    ("step", "cache", "writes", "reads"),
    [
        ("prepare", True, {".store", ".cache-docker"}, set()),
        ("prepare", False, {".store"}, set()),
        ("train", True, {".checkpoints", ".cache-docker"}, {".store"}),
        ("evaluate", True, {"registry/digits", ".cache-docker"}, {".store"}),
        ("export", True, {"registry/digits"}, {".store"}),
    ],
)
def test_a_step_sees_its_run_and_what_it_shares_and_no_more(
    step: str, cache: bool, writes: set[str], reads: set[str], run: Run
) -> None:
    found = containers.access(step, run, asked(run, cache=cache))
    mounts = {mount["Target"]: mount["ReadOnly"] for mount in found["mounts"]}
    assert all(mount["Source"] == mount["Target"] and mount["Type"] == "bind" for mount in found["mounts"])
    assert mounts.pop(str(run.folder)) is False
    assert {path for path, read_only in mounts.items() if not read_only} == {str(run.root / name) for name in writes}
    assert {path for path, read_only in mounts.items() if read_only} == {str(run.root / name) for name in reads}
    assert all(Path(path).is_dir() for path in mounts), "the engine would make them, and they would be root's"
    assert found["network_mode"] == "none"
    assert found["labels"] == {"suanli.run": str(run.folder), "suanli.step": step}


def test_a_registry_inside_the_run_is_mounted_with_it(run: Run) -> None:
    values = asked(run)
    values["target"]["registry"] = str(run.folder / "registry")
    assert [source for source, _, _ in containers.folders("export", run, values)] == [
        str(run.folder),
        str(run.root / ".store"),
    ]


@pytest.mark.parametrize(
    ("named", "inside"),
    [("{0}/pictures", "{0}/pictures"), ("pictures", "/home/suanli/pictures"), ("./pictures/", "/home/suanli/pictures")],
)
def test_the_users_pictures_lie_where_the_setting_says_and_are_read_only(
    named: str, inside: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    values = asked(run)
    values["parameters"]["data"] = {"name": "image_folder", "folder": named.format(tmp_path)}
    found = containers.access("prepare", run, values)
    assert {"Source": str(tmp_path / "pictures"), "Target": inside.format(tmp_path), "ReadOnly": True} in [
        {key: mount[key] for key in ("Source", "Target", "ReadOnly")} for mount in found["mounts"]
    ]
    others = [mount["Target"] for mount in containers.access("train", run, values)["mounts"]]
    assert inside.format(tmp_path) not in others


def test_a_folder_below_the_home_folder_is_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pictures").mkdir()
    assert containers.user_paths({"folder": "~/pictures"}) == {str(tmp_path / "pictures"): "/home/suanli/pictures"}


@pytest.mark.parametrize("data", [{"folder": "nowhere"}, {"directory": "gs://bucket/x"}, {"name": "pictures"}, {}])
def test_what_is_no_place_on_this_machine_is_not_mounted(
    data: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    assert containers.user_paths(data) == {}


@pytest.mark.parametrize(
    ("data", "online"),
    [
        ({"name": "digits", "task": "image_classification"}, False),
        ({"name": "image_folder", "folder": "/pictures"}, False),
        ({"name": "tfds", "dataset": "cifar10"}, True),
        ({"name": "tfds_directory", "directory": "gs://bucket/x"}, True),
    ],
)
def test_only_prepare_has_the_network_and_only_to_download(
    data: dict[str, str], online: bool, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    values = asked(run)
    values["parameters"]["data"] = data
    for step in ("prepare", "train", "evaluate", "export"):
        found = containers.access(step, run, values)
        expected = online and step == "prepare"
        assert ("network_mode" not in found, "https_proxy" in found["environment"]) == (expected, expected)


def test_the_variables_are_those_of_a_process_without_what_is_the_users(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    found = containers.access("train", run, asked(run))["environment"]
    assert found["TF_ENABLE_ONEDNN_OPTS"] == "0" and found["SUANLI_RUN"] == found["TMPDIR"].removesuffix("/tmp")
    assert not {"AWS_SECRET_ACCESS_KEY", "PATH", "PYTHONPATH"} & found.keys()


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, {"user": f"{os.getuid()}:{os.getgid()}"}),
        ({"Rootless": True}, {"user": "0:0"}),
        ({"SecurityOptions": ["name=rootless"]}, {"user": "0:0"}),
        ({"SecurityOptions": ["name=selinux"]}, {"security_opt": ["no-new-privileges", "label=disable"]}),
        ({"NCPU": 100_000}, {"cpuset_cpus": ",".join(map(str, sorted(os.sched_getaffinity(0))))}),
    ],
)
def test_isolation_follows_what_the_engine_says_of_itself(info: dict[str, Any], expected: dict[str, Any]) -> None:
    found = containers.isolation(info)
    assert {key: found[key] for key in expected} == expected
    assert found["read_only"] and found["cap_drop"] == ["ALL"] and "no-new-privileges" in found["security_opt"]
    assert {limit["Name"]: limit["Hard"] > 0 for limit in found["ulimits"]} == {"nofile": True, "nproc": True}


# --- what a step says ---


def test_lines_are_whole_however_they_are_cut() -> None:
    text = "erste Zeile\nzweite: 算力 \N{WHITE HEAVY CHECK MARK}\nohne Ende"
    for size in (1, 2, 3, 7, 1000):
        data = text.encode()
        assert list(containers.lines(data[at : at + size] for at in range(0, len(data), size))) == text.split("\n")
