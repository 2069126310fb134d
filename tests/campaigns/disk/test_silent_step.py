"""A step whose disk is so full that it cannot even say so."""

from pathlib import Path

import pytest

from pipelines.runs import failure
from pipelines.runs.folder import Run
from tests.campaigns.disk import small_disk


@pytest.mark.parametrize("room", [0, 8192], ids=["no record", "a record"])
@pytest.mark.parametrize(
    "said", ["", "error: the failure could not be recorded: [Errno 28] No space left on device\n"], ids=["", "half"]
)
def test_a_step_that_tells_nothing_on_a_full_disk_has_its_cause_in_the_disk(
    said: str, room: int, disk: small_disk.Disk
) -> None:
    run = Run(disk.folder / "20261128-120000-digits")
    (run.folder / "log").mkdir(parents=True)
    (run.folder / "log" / "train.log").write_text(said)
    disk.fill(leave=room)
    failure.record_exit(run, "train", 71, out_of_memory=False)
    found = failure.diagnose(run, "train")
    assert (found.step, found.kind) == ("train", "resources")
    assert failure.line(found.record()) == f"train failed: no space left for {disk.folder}; free some, then resume"


def test_the_same_exit_with_space_left_is_told_as_it_is(tmp_path: Path) -> None:
    run = Run(tmp_path / "20261128-120000-digits")
    run.folder.mkdir()
    failure.record_exit(run, "train", 71, out_of_memory=False)
    assert failure.diagnose(run, "train").message == "it ended with exit status 71 and reported no error"
