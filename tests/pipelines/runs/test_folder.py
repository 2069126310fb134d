from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.core.errors import StepError
from pipelines.runs import folder
from pipelines.runs.folder import Run


def made(runs: Path, id: str, status: str = "succeeded") -> Run:
    run = Run(runs / id)
    run.folder.mkdir(parents=True)
    run.write({"status": status})
    return run


def test_runs_that_start_in_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: folder.create(tmp_path / "runs", "digits"), range(16)))
    assert len({run.folder for run in runs}) == 16
    assert all(folder.ID.match(run.id) for run in runs)


def test_runs_are_listed_in_the_order_of_their_start(tmp_path: Path) -> None:
    ids = ["20261124-014733-digits", "20261124-014733-digits-2", "20261124-014733-digits-10", "20261125-000000-a"]
    for id in reversed(ids):
        made(tmp_path, id)
    for other in ("registry", ".cache", "20261124-014733-digits-3", "notes-of-mine"):
        (tmp_path / other).mkdir()
    folder.point_latest(Run(tmp_path / ids[0]))
    assert [run.id for run in folder.every(tmp_path)] == ids


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ("latest", "20261124-014733-digits"),
        ("20261124-014733-digits", "20261124-014733-digits"),
        ("20261124-02", "20261124-021500-digits"),
        ("20261124", "2 runs begin with '20261124'"),
        ("20261124-014733-digit5", "unknown run '20261124-014733-digit5'; did you mean 20261124-014733-digits?"),
    ],
)
def test_a_run_is_found_by_its_id_a_beginning_or_latest(which: str, found: str, tmp_path: Path) -> None:
    first = made(tmp_path, "20261124-014733-digits")
    made(tmp_path, "20261124-021500-digits")
    folder.point_latest(first)
    try:
        assert folder.find(tmp_path, which).id == found
    except StepError as error:
        assert str(error).startswith(found)


def test_latest_is_the_newest_where_its_run_is_gone(tmp_path: Path) -> None:
    made(tmp_path, "20261124-014733-digits")
    (tmp_path / "latest").symlink_to("20261124-999999-gone")
    assert folder.find(tmp_path, "latest").id == "20261124-014733-digits"


def test_a_run_without_a_process_is_interrupted(tmp_path: Path) -> None:
    run = made(tmp_path, "20261124-014733-digits", "running")
    assert run.read()["status"] == "interrupted"
    with run.locked():
        assert run.read()["status"] == "running"
    assert run.read()["status"] == "interrupted"


def test_a_run_is_held_once(tmp_path: Path) -> None:
    run = made(tmp_path, "20261124-014733-digits")
    with run.locked(), pytest.raises(StepError, match="is in progress"), run.locked():
        pass


def test_a_record_that_is_damaged_is_one_line(tmp_path: Path) -> None:
    run = made(tmp_path, "20261124-014733-digits")
    (run.folder / "run.json").write_text("{")
    with pytest.raises(StepError, match="run 20261124-014733-digits cannot be read"):
        run.read()
