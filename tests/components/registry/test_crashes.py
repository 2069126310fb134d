"""Crashes of publishers on a local path: at any of their writes, in any order of publishing and rolling back."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import crashes
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from small_versions import written

from components import registry
from components.registry import contents
from tests.components.registry.machine import PATIENT, placed


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """New registries, gone afterwards."""
    with ExitStack() as stack:
        yield lambda: str(Path(stack.enter_context(tempfile.TemporaryDirectory(dir=tmp_path))) / "model")


@pytest.mark.parametrize("examples", [10, pytest.param(150, marks=pytest.mark.slow)])
def test_a_registry_survives_any_crash_of_any_publisher(examples: int, places: Callable[[], str]) -> None:
    run_state_machine_as_test(placed(places), settings=settings(PATIENT, max_examples=examples))


def test_a_process_that_dies_at_any_write_leaves_the_old_or_the_new_champion_and_the_next_publish_succeeds(
    tmp_path: Path,
) -> None:
    written(tmp_path / "one", "one")
    written(tmp_path / "two", "two")
    champions: list[str] = []
    for allowed in range(100):
        model = str(tmp_path / str(allowed) / "model")
        registry.publish(model, tmp_path / "one", "v1", "")
        if not (child := os.fork()):
            with crashes.after(allowed, model, lambda: os._exit(9)):
                registry.publish(model, tmp_path / "two", "v2", "v1")
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        champion = registry.champion(model)
        assert champion
        champions.append(champion.id)
        registry.publish(model, tmp_path / "two", "v2", "v1")
        assert contents.verify(model) == contents.Verification(model, 2, [], [])
        assert [version.id for version in contents.list_versions(model)] == ["v1", "v2"]
        if not died:
            break
    # The last writes are those of the copy of the change, after champion.json.
    assert champions == sorted(champions) and champions[-1] == "v2"
    assert champions.count("v1") > 10, "a publish that makes so few writes was not counted right"
