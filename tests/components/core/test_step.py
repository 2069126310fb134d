import errno
import json
import os
import shutil
import signal
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import storage_emulator
from places import Place

from components import storage
from components.core import cache, sources, step
from components.core.errors import EXIT_CODES, StepError
from components.steps import STEPS

CALLS: list[dict[str, Any]] = []
CHAMPION: list[str] = []
RELEASE = threading.Event()


def logic(*, data: dict[str, Any], out: Place, source: Place | None = None, **places: str) -> bool:
    CALLS.append(data)
    match data.get("fault"):
        case "known":
            raise StepError("the pictures are upside down", advice="turn them")
        case "bug":
            raise ZeroDivisionError("division by zero")
        case "disk":
            raise OSError(errno.ENOSPC, "No space left on device", "/data/shard")
        case "memory":
            raise MemoryError
        case "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        case "slow":
            RELEASE.wait(10)
    Path(out.path).mkdir(parents=True)
    (Path(out.path) / "file").write_text(f"{len(CALLS)}")
    out.metadata["count"] = len(CALLS)
    if directory := data.get("directory"):
        if storage.exists(directory) and storage.verify(directory):
            storage.set_aside(directory)
        if not storage.is_complete(directory):
            storage.upload(Path(out.path), directory)
        out.metadata["directory"] = directory
    return True


def champion(**_: Any) -> str:
    return CHAMPION[0]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    CALLS.clear()
    RELEASE.clear()
    monkeypatch.setenv("SUANLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SUANLI_DEBUG", raising=False)
    set_row(monkeypatch)
    return tmp_path


def set_row(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let prepare run the logic of this file."""
    monkeypatch.setitem(STEPS, "prepare", replace(STEPS["prepare"], logic=f"{__name__}:logic", **changes))


def run(root: Path, name: str = "one", *, source: str = "", **data: Any) -> Place:
    """One step of one run; its output."""
    folder = root / name
    folder.mkdir(exist_ok=True)
    os.environ["SUANLI_RUN"] = str(folder)
    inputs = {}
    if source:
        (folder / "source").write_text(source)
        inputs["source"] = Place(str(folder / "source"))
    out = Place(str(folder / f"out-{time.monotonic_ns()}"))
    parameters = {"data": {"name": "digits", **data}, "data_root": "/data"}
    try:
        step.run("prepare", parameters=parameters, inputs=inputs, outputs={"out": out})
    finally:
        del os.environ["SUANLI_RUN"]
    return out


def record(root: Path, name: str = "one") -> dict[str, Any]:
    values: dict[str, Any] = json.loads((root / name / "steps" / "prepare.json").read_text())
    return values


def test_a_second_run_takes_the_result_of_the_first(machine: Path) -> None:
    run(machine, "one", limit=3)
    again = run(machine, "two", limit=3)
    assert len(CALLS) == 1
    assert again.metadata == {"count": 1} and (Path(again.path) / "file").read_text() == "1"
    assert record(machine, "two")["cached"] and record(machine, "two")["from"] == "one"
    digests = [record(machine, name)["outputs"]["out"]["digest"] for name in ("one", "two")]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"limit": 3}, {"limit": 4}, ["parameters data.limit: 3 -> 4"]),
        ({"split": [0.9, 0.1]}, {"split": [0.8, 0.2]}, ["parameters data.split: [0.9, 0.1] -> [0.8, 0.2]"]),
        ({}, {"limit": 1}, ["parameters data.limit: absent -> 1"]),
        ({"source": "a"}, {"source": "b"}, None),
    ],
    ids=["a setting", "a list", "a new setting", "an input's content"],
)
def test_a_change_computes_anew_and_is_named(
    before: dict[str, Any], after: dict[str, Any], said: list[str] | None, machine: Path
) -> None:
    run(machine, "one", **before)
    run(machine, "two", **after)
    assert len(CALLS) == 2
    changed = record(machine, "two")["changed"]
    assert changed == said if said else [line.partition(":")[0] for line in changed] == ["inputs source"]


def test_what_lies_outside_joins_the_key(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_row(monkeypatch, state=f"{__name__}:champion")
    for name, present, calls in (("one", "v1", 1), ("two", "v1", 1), ("three", "v2", 2)):
        CHAMPION[:] = [present]
        run(machine, name)
        assert len(CALLS) == calls
    assert record(machine, "three")["changed"] == ["state: v1 -> v2"]


def test_another_version_of_a_library_computes_anew_and_is_named(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(machine, "one")
    present = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "9.9" if name == "keras" else present(name))
    run(machine, "two")
    assert len(CALLS) == 2
    assert record(machine, "two")["changed"] == [f"versions keras: {present('keras')} -> 9.9"]


def test_the_most_similar_result_is_compared(machine: Path) -> None:
    run(machine, "one", limit=3, quarantine=0)
    run(machine, "two", limit=9, quarantine=9)
    run(machine, "three", limit=3, quarantine=1)
    assert record(machine, "three")["changed"] == ["parameters data.quarantine: 0 -> 1"]


def test_a_result_of_another_experiment_is_not_compared(machine: Path) -> None:
    run(machine, "20261201-090000-digits", limit=3, quarantine=0)
    run(machine, "20261201-091000-letters", limit=9, quarantine=0)
    run(machine, "20261201-092000-letters-2", limit=3, quarantine=1)
    changed = record(machine, "20261201-092000-letters-2")["changed"]
    assert changed == ["parameters data.limit: 9 -> 3", "parameters data.quarantine: 0 -> 1"]
    run(machine, "20261201-093000-signs", limit=3, quarantine=2)
    assert record(machine, "20261201-093000-signs")["changed"] == []


@pytest.mark.parametrize("other", [{"limit": 3.0}, {"split": [1, 0.0]}], ids=str)
def test_integers_that_kfp_turned_into_floats_are_the_same_setting(other: dict[str, Any], machine: Path) -> None:
    same = {name: 3 if value == 3 else [1.0, 0] for name, value in other.items()}
    run(machine, "one", **same)
    run(machine, "two", **other)
    assert len(CALLS) == 1


def test_an_edited_source_file_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("components", "requirements"):
        shutil.copytree(sources.ROOT / part, machine / part, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "ROOT", machine)
    run(machine, "one")
    with (machine / "components" / "data" / "digits.py").open("a") as stream:
        stream.write("\n# an edit\n")
    with (machine / "components" / "data" / "tfds.py").open("a") as stream:
        stream.write("\n# an edit of a source that this experiment does not use\n")
    run(machine, "two")
    assert record(machine, "two")["changed"] == ["code components/data/digits.py"]


@pytest.mark.parametrize("where", ["here", "gs"])
def test_a_result_that_points_to_a_removed_folder_is_computed_anew(
    where: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with storage_emulator.running() if where == "gs" else nullcontext() as emulator:
        store = str(machine / "store")
        if emulator:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
            store = f"{emulator.create_bucket('kept-results')}/store"
        run(machine, "one", directory=store)
        run(machine, "two", directory=store)
        assert len(CALLS) == 1
        storage.remove(store)
        run(machine, "three", directory=store)
        assert len(CALLS) == 2


def test_a_result_expires_with_the_data_s_own_age(machine: Path) -> None:
    run(machine, "one", max_age="2h")
    entry = next((machine / "cache").glob("prepare-*/entry.json"))
    kept = json.loads(entry.read_text())
    # The last clock was ahead and has been set back: nobody knows how old that result is.
    for hours, calls in ((1.9, 1), (2.1, 2), (-1, 3)):
        entry.write_text(json.dumps(kept | {"time": time.time() - hours * 3600}))
        run(machine, f"after-{calls}", max_age="2h")
        assert len(CALLS) == calls
    assert record(machine, "after-2")["changed"] == ["kept longer than data.max_age allows"]


@pytest.mark.parametrize("where", ["here", "gs"])
def test_a_damaged_folder_that_a_result_points_to_is_found_and_computed_anew(
    where: str, machine: Path, request: pytest.FixtureRequest
) -> None:
    store = str(machine / "store") if where == "here" else storage.join(request.getfixturevalue("bucket"), "store")
    run(machine, "one", directory=store)
    storage.write_text(storage.join(store, "file"), "2")
    run(machine, "two", directory=store)
    assert len(CALLS) == 2
    (said,) = record(machine, "two")["changed"]
    assert said.startswith(f"{store} was damaged: file has the checksum ")


def test_a_kept_result_that_is_damaged_is_computed_anew(machine: Path) -> None:
    run(machine, "one")
    next((machine / "cache").glob("prepare-*/outputs/out/file")).write_text("x")
    again = run(machine, "two")
    assert len(CALLS) == 2 and (Path(again.path) / "file").read_text() == "2"
    assert record(machine, "two")["changed"] == ["the kept out was damaged"]
    run(machine, "three")
    assert len(CALLS) == 2


def test_an_entry_of_older_code_which_has_no_digests_is_taken(machine: Path) -> None:
    run(machine, "one")
    entry = next((machine / "cache").glob("prepare-*/entry.json"))
    entry.write_text(
        json.dumps({name: value for name, value in json.loads(entry.read_text()).items() if name != "digests"})
    )
    run(machine, "two")
    assert len(CALLS) == 1


def test_a_lock_file_that_is_edited_but_not_installed_changes_nothing(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("components", "requirements"):
        shutil.copytree(sources.ROOT / part, machine / part, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "ROOT", machine)
    run(machine, "one")
    lock = machine / "requirements" / "cpu.txt"
    lock.write_text(f"{lock.read_text()}\nanother-package==1.0 \\\n    --hash=sha256:00\n")
    run(machine, "two")
    assert len(CALLS) == 1


@pytest.mark.parametrize("damage", ["", "{", "absent", "[]", "{}"], ids=["empty", "half", "absent", "a list", "bare"])
def test_a_damaged_cache_entry_is_not_taken(damage: str, machine: Path) -> None:
    run(machine, "one")
    entry = next((machine / "cache").glob("prepare-*/entry.json"))
    entry.unlink() if damage == "absent" else entry.write_text(damage)
    run(machine, "two")
    run(machine, "three")
    assert len(CALLS) == 2


def test_a_result_that_is_not_shared_serves_its_run_alone(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_row(monkeypatch, shared=False)
    run(machine, "one")
    run(machine, "two")
    run(machine, "one")
    assert len(CALLS) == 2
    assert record(machine, "one")["from"] == "one"


def test_a_result_is_not_kept_if_its_state_has_changed_meanwhile(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter(["one", "two", "two", "two", "two"])
    set_row(monkeypatch, state=f"{__name__}:champion")
    monkeypatch.setitem(globals(), "champion", lambda **_: next(states))
    for name in ("one", "two", "three"):
        run(machine, name)
    assert len(CALLS) == 2 and record(machine, "three")["from"] == "two"


def test_a_step_that_only_looks_into_the_cache_computes_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(step.CACHED_ONLY, "1")
    with pytest.raises(SystemExit, match=str(step.NOT_CACHED)):
        run(machine, "one")
    assert not CALLS and step.NOT_CACHED not in EXIT_CODES.values()
    monkeypatch.delenv(step.CACHED_ONLY)
    run(machine, "one")
    monkeypatch.setenv(step.CACHED_ONLY, "1")
    run(machine, "two")
    assert len(CALLS) == 1 and record(machine, "two")["from"] == "one"


def test_without_a_cache_every_run_computes(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANLI_CACHE", "")
    run(machine, "one")
    run(machine, "two")
    assert len(CALLS) == 2


@pytest.mark.parametrize(
    ("fault", "kind", "code", "line"),
    [
        ("known", "data", 65, "error: the pictures are upside down; turn them"),
        ("disk", "resources", 71, "error: cannot write at /data/shard: No space left on device; free space or choose"),
        ("memory", "memory", 77, "error: out of memory; use a smaller batch size"),
        ("signal", "preempted", 75, "error: preempted: asked to end (SIGTERM); run it again"),
    ],
)
def test_a_fault_that_has_a_name_is_one_line_and_an_exit_code(
    fault: str, kind: str, code: int, line: str, machine: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(machine, fault=fault)
    assert ended.value.code == code
    assert capfd.readouterr().err.startswith(line)
    state = "interrupted" if kind == "preempted" else "failed"
    assert (record(machine)["state"], record(machine)["cause"]["kind"]) == (state, kind)
    assert not list((machine / "cache").glob("prepare-*/"))


def test_a_bug_ends_the_step_with_its_traceback_which_is_recorded(
    machine: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(machine, fault="bug")
    said = capfd.readouterr().err
    assert ended.value.code == 70 and "raise ZeroDivisionError" in said
    assert said.splitlines()[-1] == "error: ZeroDivisionError: division by zero"
    cause = record(machine)["cause"]
    assert (cause["kind"], cause["message"]) == ("bug", "ZeroDivisionError: division by zero")
    assert "case" not in cause["message"] and "raise ZeroDivisionError" in cause["traceback"]


def test_with_debugging_a_known_fault_passes_too(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANLI_DEBUG", "1")
    with pytest.raises(StepError):
        run(machine, fault="known")


def test_the_record_holds_the_call(machine: Path) -> None:
    run(machine, source="a", limit=3)
    noted = record(machine)
    assert noted["logic"] == f"{__name__}:logic" and noted["parameters"]["data"]["limit"] == 3
    assert noted["inputs"]["source"] == {"type": "Place", "path": "source", "metadata": {}}
    assert noted["output_types"] == {"out": "Place"} and noted["peak_mb"] > 0


def test_a_file_compiled_without_a_target_is_refused(machine: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = Place(str(machine / "out"))
    with pytest.raises(SystemExit):
        step.run("prepare", parameters={"data": {}, "data_root": ""}, outputs={"out": out})
    assert "data_root is '', not gs:// or an absolute path; compile with --target" in capfd.readouterr().err
    assert not CALLS


def test_outside_a_run_a_step_is_a_plain_call(machine: Path) -> None:
    out = Place(str(machine / "out"))
    assert step.run("prepare", parameters={"data": {}, "data_root": "/d"}, outputs={"out": out})
    assert not (machine / "cache").exists() and (machine / "out" / "file").is_file()


def test_an_artifact_of_metadata_alone_gets_a_file(machine: Path) -> None:
    metrics = Place(str(machine / "metrics"), metadata={"accuracy": 0.9})
    step._write_if_missing(metrics)
    assert json.loads((machine / "metrics").read_text()) == {"accuracy": 0.9}


def test_two_runs_at_once_compute_a_step_once(machine: Path) -> None:
    for name in ("one", "two"):
        (machine / name).mkdir()

    def compute(name: str) -> None:
        kept = step.Record(machine / name, "prepare")
        out = Place(str(machine / name / "out"))
        key = cache.key_of("prepare", {"data": {"name": "digits"}}, {}, "")
        cache.taken(
            machine / "cache", key, name, kept.values, {"out": out}, lambda: logic(data={"fault": "slow"}, out=out)
        )
        kept.finish(key, {"out": out})

    threads = [threading.Thread(target=compute, args=(name,)) for name in ("one", "two")]
    threads[0].start()
    while not CALLS:
        time.sleep(0.01)
    threads[1].start()
    time.sleep(0.1)
    RELEASE.set()
    for thread in threads:
        thread.join(10)
    assert len(CALLS) == 1
    assert sorted(record(machine, name)["cached"] for name in ("one", "two")) == [False, True]
