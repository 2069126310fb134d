"""The whole compiled pipeline on real images, once, and what can be done with such a run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# A checkout may lie in any folder: blanks, brackets, quotes, other alphabets, what a shell would take for its own, and
# long paths.
FOLDER = Path("my projects", """模型 (1)'s "x" $HOME `id` & y;""", "a" * 120)
SETTINGS = (
    *("training.epochs=5", "training.patience=0", "evaluation.resamples=200"),
    *('export.formats=["litert"]', "export.timing_seconds=0.05"),
)
# No model is that good: the gate says no, and export is spared.
REFUSE = 'evaluation.require=["accuracy>=1"]'


def suanli(runs: Path, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(command(runs, *arguments), capture_output=True, text=True, env=environment(runs), check=False)
    assert done.returncode == code, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def command(runs: Path, *arguments: str) -> list[str]:
    sets = [part for setting in SETTINGS for part in ("--set", setting)] if arguments[:2] == ("run", "digits") else []
    return [str(runs.parent / ".venv" / "bin" / "python"), "-m", "pipelines", *arguments, *sets]


def environment(runs: Path) -> dict[str, str]:
    return {**os.environ, "SUANLI_RUNS": str(runs), "PYTHONSAFEPATH": "1"}


def document(runs: Path, *arguments: str, code: int = 0) -> Any:
    return json.loads(suanli(runs, *arguments, "--json", code=code).stdout)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs of a checkout in ``FOLDER``, with an interpreter of its own that has our packages."""
    checkout = tmp_path_factory.mktemp("suanli") / FOLDER
    for part in ("components", "pipelines", "requirements"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    (packages,) = (checkout / ".venv" / "lib").glob("python3.*/site-packages")
    (packages / "checkout.pth").write_text(f"{checkout}\n{sysconfig.get_path('purelib')}\n")
    assert len(str(checkout)) > 180
    return checkout / "runs"


@pytest.fixture(scope="session")
def first(runs: Path) -> dict[str, Any]:
    """The record of a run on an empty machine."""
    record: dict[str, Any] = document(runs, "run", "digits")
    return record


@pytest.fixture(scope="session")
def second(runs: Path, first: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    """A run that differs in evaluation alone, told in plain lines."""
    return suanli(runs, "run", "digits", "--set", REFUSE)


def test_a_run_ends_with_an_accepted_model(first: dict[str, Any]) -> None:
    assert (first["status"], first["accepted"]) == ("succeeded", True)
    assert {name: step["state"] for name, step in first["steps"].items()} == dict.fromkeys(
        ("prepare", "train", "evaluate", "export"), "succeeded"
    )
    assert first["metrics"]["accuracy"] > 0.9
    assert first["reasons"] and first["versions"]["kfp"] and first["threads"] >= 1
    assert all(re.fullmatch(rf"{name}-[0-9a-f]{{12}}", step["image"]) for name, step in first["steps"].items())


def test_its_folder_tells_everything(runs: Path, first: dict[str, Any]) -> None:
    folder = runs / first["id"]
    assert json.loads((folder / "run.json").read_text()) == first
    assert (runs / "latest").is_symlink()
    documents = list(yaml.safe_load_all((folder / "pipeline.yaml").read_text()))
    defaults = documents[0]["root"]["inputDefinitions"]["parameters"]
    assert defaults["training"]["defaultValue"] == first["parameters"]["training"]
    assert {path.stem for path in (folder / "log").glob("*.log")} == {
        "runner",
        "prepare",
        "train",
        "evaluate",
        "export",
    }
    assert not (folder / "tmp").exists()


def test_its_page_links_every_report_and_can_be_moved(runs: Path, first: dict[str, Any], tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(runs / first["id"], moved)
    page = (moved / "index.html").read_text()
    links = re.findall(r'href="([^"#]+)"', page)
    assert {"data", "learning-curves", "evaluation", "model-card"} <= {Path(link).stem for link in links}
    assert [link for link in links if "://" in link or link.startswith("/") or not (moved / link).is_file()] == []
    assert "accuracy" in page and first["id"] in page


def test_its_model_is_in_the_registry(runs: Path, first: dict[str, Any]) -> None:
    registry = runs / "registry" / "digits"
    version = json.loads((registry / "champion.json").read_text())["version"]
    assert (registry / "versions" / version / "version.json").is_file()


def test_a_refused_model_is_a_successful_run_that_says_why(second: "subprocess.CompletedProcess[str]") -> None:
    assert "REFUSED" in second.stdout and "accuracy" in second.stdout
    assert "\x1b" not in second.stdout and "▶" not in second.stdout
    assert re.search(r"–\s+export\s+skipped", second.stdout)


def test_why_names_the_steps_that_were_kept(runs: Path, second: "subprocess.CompletedProcess[str]") -> None:
    rows = {row["step"]: row for row in document(runs, "runs", "why", "latest")}
    assert {name: row["cached"] for name, row in rows.items()} == {"prepare": True, "train": True, "evaluate": False}
    assert rows["evaluate"]["changed"]
    assert "nothing in its key has changed" in suanli(runs, "runs", "why").stdout


def test_compare_shows_what_differs(runs: Path, first: dict[str, Any], second: Any) -> None:
    found = document(runs, "runs", "compare", first["id"], "latest")
    assert list(found["parameters"]) == ["evaluation.require"]
    assert found["accepted"] == [True, False]
    assert len(set(found["metrics"]["accuracy"])) == 1
    printed = suanli(runs, "runs", "compare", first["id"], "latest").stdout
    assert "evaluation.require" in printed and "accuracy" in printed


def test_list_and_show(runs: Path, first: dict[str, Any], second: Any) -> None:
    listed = document(runs, "runs", "list")
    assert [record["accepted"] for record in listed][:2] == [True, False]
    [line] = [line for line in suanli(runs, "runs", "list").stdout.splitlines() if line.startswith(first["id"])]
    assert f"accepted  accuracy {first['metrics']['accuracy']:.4f}" in line
    assert "ACCEPTED" in suanli(runs, "runs", "show", first["id"]).stdout
    assert document(runs, "runs", "show", first["id"]) == first


def test_a_finished_run_is_not_resumed(runs: Path, first: dict[str, Any]) -> None:
    assert "there is nothing to resume" in suanli(runs, "run", "--resume", first["id"], code=2).stderr


def test_a_step_runs_again_in_the_same_process_and_changes_nothing(runs: Path, first: dict[str, Any]) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if "again" not in path.parts}
    done = suanli(runs, "step", "prepare", "--run", first["id"])
    scratch = runs / first["id"] / "again" / "prepare"
    assert f"prepare succeeded: {scratch}" in done.stdout and (scratch / "examples").is_dir()
    after = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if "again" not in path.parts}
    assert {path for path in before if before[path] != after.get(path)} <= {runs / first["id"]}
    assert "did not start step 'tran'; did you mean train?" in suanli(runs, "step", "tran", code=2).stderr


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(runs: Path, first: dict[str, Any]) -> None:
    both = [
        subprocess.Popen(
            command(runs, "run", "digits", "--set", REFUSE, "--json"),
            env=environment(runs),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    records = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert records[0]["id"] != records[1]["id"]
    assert all(record["metrics"]["accuracy"] == first["metrics"]["accuracy"] for record in records)


@pytest.fixture
def killed_in_train(runs: Path, first: dict[str, Any]) -> dict[str, Any]:
    """The record of a run without the cache whose train step was killed after its second epoch, or a later one."""
    run = subprocess.Popen(
        command(runs, "run", "digits", "--no-cache", "--set", REFUSE, "--set", "training.checkpoint_share=1"),
        env=environment(runs),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(runs.glob("2*/checkpoints/*/epoch-0000[2-4]*/checkpoint.npz")):
        assert run.poll() is None and time.monotonic() < deadline, "training has not come so far"
        time.sleep(0.005)
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (path / "comm").read_text() == "train\n" and str(runs).encode() in (path / "environ").read_bytes():
                os.kill(int(path.name), signal.SIGKILL)
    assert run.wait(30) == 1
    record: dict[str, Any] = document(runs, "runs", "show", "latest")
    return record


@pytest.mark.slow
def test_a_run_killed_in_train_goes_on_and_ends_like_an_uninterrupted_one(
    runs: Path, killed_in_train: dict[str, Any], first: dict[str, Any]
) -> None:
    failed = killed_in_train
    assert failed["status"] == "interrupted" and failed["cause"]["step"] == "train"
    assert failed["cause"]["message"] == "killed from outside (SIGKILL)"
    assert {name: step["state"] for name, step in failed["steps"].items()} == {
        "prepare": "succeeded",
        "train": "died",
        "evaluate": "waiting",
        "export": "waiting",
    }
    resumed = document(runs, "run", "--resume", failed["id"])
    assert (resumed["status"], resumed["attempts"], resumed["id"]) == ("succeeded", 2, failed["id"])
    assert resumed["steps"]["prepare"]["cached"] and not resumed["steps"]["train"]["cached"]
    same = ("accuracy", "loss", "macro_f1")
    assert {name: resumed["metrics"][name] for name in same} == {name: first["metrics"][name] for name in same}
    trained = [
        json.loads((runs / record["id"] / "steps" / "train.json").read_text())["outputs"]["trained"]["digest"]
        for record in (first, resumed)
    ]
    assert trained[0] == trained[1]


@pytest.mark.slow
def test_a_run_that_is_asked_to_end_in_train_has_not_failed(runs: Path, first: dict[str, Any]) -> None:
    arguments = ("--no-cache", "--set", REFUSE, "--set", "training.checkpoint_share=1")
    run = subprocess.Popen(
        command(runs, "run", "digits", *arguments),
        env=environment(runs),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    before = set(runs.glob("2*"))
    deadline = time.monotonic() + 120
    while not [path for path in runs.glob("2*/checkpoints/*/epoch-*") if path.parents[2] not in before]:
        assert run.poll() is None and time.monotonic() < deadline, "training has not come so far"
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    said, errors = run.communicate(timeout=30)
    assert run.returncode == 130 and "failed" not in said + errors
    assert re.search(r"^train +interrupted ", said, re.MULTILINE)
    record = document(runs, "runs", "show", "latest")
    assert (record["status"], record["steps"]["train"]["state"]) == ("interrupted", "interrupted")


@pytest.mark.slow
def test_reproduce_gives_the_same_and_leaves_the_champion(runs: Path, second: Any) -> None:
    reproduced = document(runs, "runs", "list")[1]["id"]
    champion = (runs / "registry" / "digits" / "champion.json").read_bytes()
    found = document(runs, "runs", "reproduce", reproduced)
    assert found["equal"], [row for row in found["compared"] if not row["equal"]]
    assert {"prepare examples", "train trained", "evaluate verdict", "accuracy"} <= {
        row["what"] for row in found["compared"]
    }
    assert (runs / "registry" / "digits" / "champion.json").read_bytes() == champion


def test_prune_keeps_what_a_kept_run_uses(runs: Path, first: dict[str, Any], second: Any) -> None:
    copied = runs.with_name("copied")
    shutil.copytree(runs, copied, symlinks=True)
    # Prepared data of other settings, used by one old run alone.
    (copied / ".store" / "unused").mkdir()
    (copied / ".store" / "unused" / "file").write_bytes(bytes(10_000_000))
    ids = [record["id"] for record in document(copied, "runs", "list")]
    # The first run made the champion.
    foreseen = document(copied, "runs", "prune", "--keep", "1", "--dry-run")
    assert foreseen["runs"] == ids[1:-1] and (copied / ids[-2]).is_dir()
    removed = document(copied, "runs", "prune", "--keep", "1")
    assert removed["runs"] == ids[1:-1] and removed["megabytes"] >= 10
    assert removed["stays"][0].startswith(f"{ids[0]} stays: it made the champion ")
    assert ".store/unused" in removed["shared"]
    assert sorted(path.name for path in copied.glob("2*")) == [ids[0], ids[-1]]
    assert (copied / "registry" / "digits" / "champion.json").is_file()
    assert (copied / "latest").resolve().name == ids[-1]
