import json
from pathlib import Path
from typing import Any

import pytest
from small_versions import written

from components import registry
from components.core.errors import StepError
from pipelines.cli.main import main
from pipelines.runs.folder import Run
from pipelines.runs.prune import prune

OLD, MIDDLE, NEW = "20261201-000001-digits", "20261201-000002-digits", "20261201-000003-digits"
SHARED = (".store", ".cache", ".checkpoints")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs, each with prepared data, a cached result and a checkpoint of its own."""
    root = tmp_path / "runs"
    for number, run_id in enumerate((OLD, MIDDLE, NEW), 1):
        run = Run(root / run_id)
        index = run.folder / "artifacts" / "examples" / "examples.json"
        index.parent.mkdir(parents=True)
        index.write_text(json.dumps({"directory": str(root / ".store" / run_id)}))
        (run.folder / "steps").mkdir()
        outputs = {"examples": {"path": "artifacts/examples", "digest": "0"}}
        record = {"step": "prepare", "state": "succeeded", "started": number, "entry": run_id, "outputs": outputs}
        (run.folder / "steps" / "prepare.json").write_text(json.dumps(record))
        run.write({"id": run_id, "status": "succeeded", "started": 0.0, "metrics": {}, "steps": {}})
        for name in SHARED:
            (root / name / run_id / "epoch-00001").mkdir(parents=True)
            (root / name / run_id / "file").write_text("x")
    return root


def left(runs: Path) -> dict[str, list[str]]:
    names = {name: sorted(path.name for path in (runs / name).iterdir()) for name in SHARED}
    return names | {"runs": sorted(path.name for path in runs.glob("2*"))}


EVERYTHING = {name: [OLD, MIDDLE, NEW] for name in (*SHARED, "runs")}


def test_old_runs_go_with_what_only_they_used(runs: Path) -> None:
    foreseen = prune(runs, 1, dry=True)
    assert left(runs) == EVERYTHING
    assert prune(runs, 1) == foreseen
    assert foreseen.runs == [OLD, MIDDLE] and foreseen.stays == []
    assert left(runs) == {".store": [NEW], ".cache": [NEW], ".checkpoints": [], "runs": [NEW]}


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_the_run_that_made_the_served_champion_stays_and_can_be_seen(
    keep: int, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id, version, before in ((OLD, "v1", ""), (MIDDLE, "v2", "v1")):
        monkeypatch.setenv("SUANLI_RUN", str(runs / run_id))
        registry.publish(str(runs / "registry" / "digits"), written(tmp_path / version, version), version, before)
    monkeypatch.delenv("SUANLI_RUN")
    assert main(["registry", "rollback", str(runs / "registry" / "digits")]) == 0
    pruned = prune(runs, keep)
    assert OLD not in pruned.runs and left(runs)["runs"] == sorted({OLD, *[MIDDLE, NEW][2 - keep :]})
    assert pruned.stays == [f"{OLD} stays: it made the champion v1 of digits"]
    assert left(runs)[".store"] == left(runs)[".cache"] == left(runs)["runs"]


@pytest.mark.parametrize("damaged", [OLD, MIDDLE, NEW])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("run.json", ""),
        ("run.json", "[]"),
        ("run.json", '{"status": "failed"}'),
        ("steps/prepare.json", ""),
        ("steps/prepare.json", '{"step": "prepare", "sta'),
        ("steps/prepare.json", '{"step": "prepare", "started": 1, "outputs": {"examples": {}}}'),
        ("artifacts/examples/examples.json", ""),
    ],
)
def test_what_a_damaged_run_uses_is_unknown_so_everything_shared_stays(
    file: str, text: str, damaged: str, runs: Path
) -> None:
    (runs / damaged / file).write_text(text)
    pruned = prune(runs, 1)
    intact = [run_id for run_id in (OLD, MIDDLE, NEW) if run_id != damaged]
    assert pruned.runs == intact[:-1] and pruned.shared == []
    assert left(runs) == EVERYTHING | {"runs": sorted({damaged, intact[-1]})}
    assert pruned.stays[0].startswith(f"{damaged} stays: ") and pruned.stays[-1].endswith("repair or remove it")


def test_a_registry_that_cannot_be_read_keeps_every_run(runs: Path, tmp_path: Path) -> None:
    model = runs / "registry" / "digits"
    for version, before in (("v1", ""), ("v2", "v1")):
        registry.publish(str(model), written(tmp_path / version, version), version, before)
    (model / "champion.json").write_text("")
    for path in (model / "history").iterdir():
        path.unlink()
    pruned = prune(runs, 1)
    # Checkpoints belong to unfinished runs, of which there are none.
    assert pruned.runs == [] and left(runs) == EVERYTHING | {".checkpoints": []}
    assert pruned.stays[0].startswith(f"{OLD} stays: ") and "champion.json is corrupt" in pruned.stays[0]


def test_one_damaged_record_is_listed_as_such_beside_the_others(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file, run_id in (("", MIDDLE), ('{"status": "failed"}', NEW)):
        (runs / run_id / "run.json").write_text(file)
    assert main(["runs", "list", "--runs", str(runs)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["id", "status", "model", "metric", "time"],
        [OLD, "succeeded"],
        [MIDDLE, "damaged"],
        [NEW, "damaged"],
    ]
    assert main(["runs", "list", "--runs", str(runs), "--json"]) == 0
    listed: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert listed[1]["status"] == "damaged" and listed[1]["error"].startswith(f"run {MIDDLE} cannot be read: ")
    assert main(["runs", "prune", "--keep", "1", "--runs", str(runs)]) == 0
    assert f"{MIDDLE} stays: run {MIDDLE} cannot be read: " in capsys.readouterr().out
    assert main(["runs", "show", MIDDLE, "--runs", str(runs)]) == 2


def test_a_folder_that_does_not_exist_has_no_runs(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="there are no runs in"):
        prune(tmp_path / "runs", 1)
    assert not (tmp_path / "runs").exists()


def test_what_a_killed_prune_has_renamed_goes_with_the_next(runs: Path) -> None:
    (runs / OLD).rename(runs / f".removed-{OLD}")
    pruned = prune(runs, 2)
    assert pruned.runs == [] and {f".cache/{OLD}", f".store/{OLD}"} <= set(pruned.shared)
    assert not list(runs.glob(".removed-*"))
