"""The registry in Cloud Storage: a real emulator, publishers in processes of their own, crashes between requests."""

import subprocess
import sys
import uuid
from pathlib import Path

import crashes
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from small_versions import written

from components import registry, storage
from components.registry import contents, publishing
from components.registry.versions import version_uri
from tests.components.registry.machine import PATIENT, Registry, placed


@pytest.fixture
def model(bucket: str, tmp_path: Path) -> str:
    """A registry with a champion, v1."""
    uri = storage.join(bucket, uuid.uuid4().hex, "model")
    registry.publish(uri, written(tmp_path / "one", "one"), "v1", "")
    return uri


CONTENDER = """
import sys
from pathlib import Path
from components import registry
from components.core.errors import StepError
uri, folder, version = sys.argv[1:]
registry.state(uri)  # the client and its connection are made
print("ready", flush=True)
sys.stdin.readline()
try:
    registry.publish(uri, Path(folder), version, "v1")
except StepError as error:
    print(error, file=sys.stderr)
    sys.exit(3 if error.kind == "conflict" else 4)
"""


def at_once(model: str, folders: dict[str, tuple[str, Path]]) -> dict[str, int]:
    """Publish each (version, folder) from a process of its own, all at the same moment; name -> exit status."""
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-c", CONTENDER, model, str(folder), version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, (version, folder) in folders.items()
    }
    for process in processes.values():
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes.values():
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    codes = {}
    for name, process in processes.items():
        process.communicate(timeout=120)
        codes[name] = process.returncode
    return codes


def test_of_two_publishers_at_once_exactly_one_wins_and_the_other_is_told(model: str, tmp_path: Path) -> None:
    for attempt in range(3):
        before = registry.state(model)
        names = [f"a{attempt}", f"b{attempt}"]
        publishing.rollback(model, "v1") if before != "v1" else None
        codes = at_once(model, {name: (name, written(tmp_path / name, name)) for name in names})
        assert sorted(codes.values()) == [0, 3]
        (won,) = (name for name, code in codes.items() if code == 0)
        champion = registry.champion(model)
        assert champion and champion.version()["text"] == won
        assert contents.verify(model).faults == []


def test_two_equal_runs_that_publish_at_once_both_succeed_and_make_one_version(model: str, tmp_path: Path) -> None:
    folders = {name: ("v2", written(tmp_path / name, "two", measured)) for measured, name in enumerate("ab")}
    assert set(at_once(model, folders).values()) == {0}
    assert [version.id for version in contents.list_versions(model)] == ["v1", "v2"]
    assert contents.verify(model).faults == []


def test_a_version_whose_file_was_lost_is_told_and_repaired(model: str, tmp_path: Path) -> None:
    from components.storage import client

    registry.publish(model, written(tmp_path / "two", "two"), "v2", "v1")
    bucket, name = client.bucket_and_name(storage.join(version_uri(model, "v1"), "card.md"))
    bucket.blob(name).delete()
    assert contents.verify(model).faults == ["model v1: card.md is missing"]
    assert [version.state for version in contents.list_versions(model)] == ["damaged", "champion"]
    registry.publish(model, written(tmp_path / "again", "one", measured=4), "v1", "v2")
    assert contents.verify(model).faults == []


@pytest.mark.parametrize("examples", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_a_registry_in_cloud_storage_survives_any_crash_of_any_publisher(
    examples: int, bucket: str, tmp_path: Path
) -> None:
    def digest(_: Registry, uri: str) -> str:
        return storage.manifest(uri).text()

    kind = placed(lambda: storage.join(bucket, uuid.uuid4().hex, "model"), digest=digest)
    run_state_machine_as_test(kind, settings=settings(PATIENT, max_examples=examples))


def test_a_publisher_that_dies_at_any_request_leaves_the_old_or_the_new_champion_and_the_next_succeeds(
    bucket: str, tmp_path: Path
) -> None:
    one, two, again = (written(tmp_path / name, name[:3]) for name in ("one", "two", "two-again"))
    (again / "card.md").write_text("# two, measured at another time\n")
    champions: list[str] = []
    for allowed in range(100):
        model = storage.join(bucket, uuid.uuid4().hex, "model")
        registry.publish(model, one, "v1", "")
        with crashes.after(allowed, model) as point:
            registry.publish(model, two, "v2", "v1")
        champion = registry.champion(model)
        assert champion
        champions.append(champion.id)
        registry.publish(model, again, "v2", "v1")
        assert contents.verify(model) == contents.Verification(model, 2, [], [])
        if not point.reached:
            break
    # The last requests are those of the copy of the change, after champion.json.
    assert champions == sorted(champions) and champions[-1] == "v2"
    assert champions.count("v1") >= 6, "a publish that sends so little was not counted right"
