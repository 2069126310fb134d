import subprocess
import sys
from pathlib import Path

import pytest

from components.core.staging import staged_folder

WRITER = """
import sys
from pathlib import Path
from components.core.staging import staged_folder
with staged_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "target"


def writer(target: Path) -> "tuple[subprocess.Popen[str], Path]":
    """A process that holds a folder aside until its stdin ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_a_folder_that_is_renamed_stays_and_one_that_is_not_goes(target: Path) -> None:
    with staged_folder(target) as folder:
        (folder / "file").write_text("whole")
        folder.rename(target)
    with staged_folder(target) as other:
        (other / "file").write_text("another")
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert (target / "file").read_text() == "whole"


def test_what_a_killed_writer_left_is_cleared_by_the_next_one_and_a_living_ones_is_not(target: Path) -> None:
    dead, left = writer(target)
    dead.kill()
    dead.communicate()
    assert (left / "half").is_file()
    living, held = writer(target)
    assert not left.exists()
    with staged_folder(target) as ours:
        assert (held / "half").is_file() and ours != held
    living.communicate("")
    assert living.returncode == 0 and not list(target.parent.iterdir())


def test_another_targets_folders_are_let_alone(target: Path) -> None:
    dead, left = writer(target)
    dead.kill()
    dead.communicate()
    with staged_folder(target.with_name("targets")):
        assert left.is_dir()
