import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_versions import written as version

from components import registry
from components.core.errors import StepError
from components.registry import history as changes_of
from components.registry import pointer, publishing
from components.registry.history import Entry


def derived(folder: Path, text: str, code: int) -> Path:
    """A version whose id follows from its content, as export writes it."""
    version(folder, text)
    described = json.loads((folder / "version.json").read_text())
    digest = hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()[:16]
    described |= {"fingerprints": {"model.keras": digest, "export code": str(code)}}
    (folder / "version.json").write_text(json.dumps(described))
    return folder


def identity(folder: Path) -> str:
    return registry.version_id(json.loads((folder / "version.json").read_text()))


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A registry with a champion whose text is one."""
    uri = str(tmp_path / "registry" / "model")
    registry.publish(uri, version(tmp_path / "one", "one"), "v1", "")
    return uri


def texts(model: str) -> list[str]:
    return sorted((path / "model.keras").read_text() for path in (Path(model) / "versions").iterdir())


def test_an_empty_registry_has_no_champion(tmp_path: Path) -> None:
    assert registry.champion(str(tmp_path)) is None
    assert registry.state(str(tmp_path)) == ""


def test_a_published_version_is_the_champion(model: str) -> None:
    champion = registry.champion(model)
    assert champion and champion.id == "v1" == registry.state(model)
    assert champion.version()["text"] == "one"


def test_a_challenger_replaces_the_champion_it_was_compared_with(model: str, tmp_path: Path) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    assert registry.state(model) == "v2"
    assert texts(model) == ["one", "two"]


@pytest.mark.parametrize("expected", ["", "v0"])
def test_a_challenger_of_another_champion_is_refused_and_leaves_nothing(
    expected: str, model: str, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match=f"the champion changed from {expected or 'none'} to v1") as caught:
        registry.publish(model, version(tmp_path / "two", "two"), "v2", expected)
    assert caught.value.kind == "conflict"
    assert registry.state(model) == "v1"
    assert texts(model) == ["one"]


def test_a_run_that_goes_on_after_it_published_meets_the_champion_of_before_and_another_run_its_model(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUANLI_RUN", str(tmp_path / "runs" / "one"))
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    champion = registry.champion(model)
    assert champion and champion.id == "v1" == registry.state(model)
    registry.publish(model, version(tmp_path / "again", "two"), "v2", "v1")  # done already: no conflict
    monkeypatch.setenv("SUANLI_RUN", str(tmp_path / "runs" / "other"))
    champion = registry.champion(model)
    assert champion and champion.id == "v2" == registry.state(model)


def test_what_a_killed_writer_left_of_champion_json_is_cleared_by_the_next(model: str, tmp_path: Path) -> None:
    (Path(model) / f".{pointer.CHAMPION}.4711").write_text('{"version"')
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    assert sorted(path.name for path in Path(model).iterdir()) == [".lock", pointer.CHAMPION, "history", "versions"]


def test_publishing_the_champion_again_changes_nothing(model: str, tmp_path: Path) -> None:
    before = (Path(model) / "champion.json").read_text()
    registry.publish(model, version(tmp_path / "again", "one"), "v1", "v1")
    assert (Path(model) / "champion.json").read_text() == before


def test_a_publisher_that_was_killed_before_it_wrote_the_change_s_own_file_writes_it_when_it_goes_on(
    model: str, tmp_path: Path
) -> None:
    (written,) = files = list((Path(model) / "history").iterdir())
    content = written.read_text()
    written.unlink()
    registry.publish(model, version(tmp_path / "again", "one"), "v1", "v1")
    assert list((Path(model) / "history").iterdir()) == files and written.read_text() == content


def test_what_a_crash_left_of_a_version_is_replaced(model: str, tmp_path: Path) -> None:
    half = Path(model) / "versions" / "v2"
    half.mkdir()
    (half / "model.keras").write_text("half")
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    champion = registry.champion(model)
    assert champion and champion.version()["text"] == "two"


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"version": 3}', '{"version": ""}', '{"version": "../v1"}'),
        pytest.param("[" * 9999, id="deep"),
        pytest.param('{"version": "v1", "history": [{"version": "v1", "run": "a\\nb"}]}', id="two lines"),
    ],
)
def test_a_corrupt_champion_file_without_a_history_is_told_and_not_overwritten(
    text: str, model: str, tmp_path: Path
) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    shutil.rmtree(Path(model) / "history")
    path = Path(model) / "champion.json"
    path.write_text(text)
    with pytest.raises(StepError, match=r"champion\.json is corrupt"):
        registry.champion(model)
    with pytest.raises(StepError, match=r"champion\.json is corrupt"):
        registry.publish(model, version(tmp_path / "three", "three"), "v3", "v2")
    assert path.read_text() == text


def test_a_champion_whose_files_are_gone_is_told(model: str) -> None:
    (Path(registry.version_uri(model, "v1")) / "model.keras").unlink()
    with pytest.raises(StepError, match=r"the champion v1 is damaged: model\.keras is missing"):
        registry.champion(model)


CONTENDER = """
import sys, time
from pathlib import Path
from components import registry
from components.core.errors import StepError
uri, folder, name, gate = sys.argv[1:]
print("ready", flush=True)
while not Path(gate).exists():
    time.sleep(0.001)
try:
    registry.publish(uri, Path(folder), name, "v1")
except StepError as error:
    sys.exit(3 if error.kind == "conflict" else 4)
"""


def test_of_many_challengers_at_once_exactly_one_wins(model: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    processes = {}
    for name in ("v2", "v3", "v4", "v5"):
        arguments = [model, str(version(tmp_path / name, name)), name, str(gate)]
        command = [sys.executable, "-c", CONTENDER, *arguments]
        processes[name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for process in processes.values():
        assert process.stdout and process.stdout.readline() == "ready\n"
    gate.touch()
    codes = {name: process.wait(60) for name, process in processes.items()}
    for process in processes.values():
        assert process.stdout
        process.stdout.close()
    assert sorted(codes.values()) == [0, 3, 3, 3]
    (won,) = (name for name, code in codes.items() if code == 0)
    champion = registry.champion(model)
    assert champion and champion.version()["text"] == won
    assert texts(model) == ["one", won]


def test_what_an_equal_run_published_already_is_no_conflict(model: str, tmp_path: Path) -> None:
    registry.publish(model, version(tmp_path / "again", "one"), "v1", "v0")
    assert registry.state(model) == "v1"
    assert texts(model) == ["one"]


def test_a_resumed_run_is_judged_against_the_champion_that_it_met_and_never_against_itself(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUANLI_RUN", "/runs/ours")
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    champion = registry.champion(model)
    assert champion and champion.id == registry.state(model) == "v1"
    registry.publish(model, version(tmp_path / "again", "two"), "v2", "v1")
    # Its code was changed before it was resumed: it makes another version of the same decision.
    registry.publish(model, version(tmp_path / "three", "three"), "v3", "v1")
    assert pointer.read(model).version == "v3" and registry.state(model) == "v1"
    monkeypatch.setenv("SUANLI_RUN", "/runs/theirs")
    assert registry.state(model) == "v3"
    with pytest.raises(StepError, match="the champion changed from v1 to v3"):
        registry.publish(model, version(tmp_path / "four", "four"), "v4", "v1")


def test_the_first_run_of_a_registry_met_no_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANLI_RUN", "/runs/ours")
    uri = str(tmp_path / "model")
    registry.publish(uri, version(tmp_path / "one", "one"), "v1", "")
    assert registry.state(uri) == "" and registry.champion(uri) is None


def test_an_equal_version_with_other_timings_is_taken_as_it_is(model: str, tmp_path: Path) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    registry.publish(model, version(tmp_path / "again", "one", measured=7), "v1", "v2")
    assert registry.state(model) == "v1"
    assert "0 microseconds" in (Path(registry.version_uri(model, "v1")) / "card.md").read_text()


@pytest.mark.parametrize("spoilt", ["model.keras", "version.json"])
def test_a_version_that_is_there_with_other_content_is_refused(spoilt: str, model: str, tmp_path: Path) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    other = version(tmp_path / "other", "one")
    (other / spoilt).write_text('{"text": "other"}')
    with pytest.raises(StepError, match=r"the version v1 already exists in .* with other content") as caught:
        registry.publish(model, other, "v1", "v2")
    assert caught.value.kind == "conflict"
    assert registry.state(model) == "v2"
    assert texts(model) == ["one", "two"]


def test_a_damaged_version_is_written_anew_by_the_one_who_publishes_it(model: str, tmp_path: Path) -> None:
    (Path(registry.version_uri(model, "v1")) / "card.md").write_text("# rotten")
    registry.publish(model, version(tmp_path / "again", "one"), "v1", "")
    assert registry.champion(model)


def test_who_publishes_after_a_rollback_needs_the_champion_of_now(model: str, tmp_path: Path) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    assert publishing.rollback(model) == ("v2", "v1")
    with pytest.raises(StepError, match="the champion changed from v2 to v1"):
        registry.publish(model, version(tmp_path / "three", "three"), "v3", "v2")
    registry.publish(model, version(tmp_path / "three-again", "three"), "v3", "v1")
    assert [(entry.version, entry.replaced, entry.by) for entry in pointer.read(model).history] == [
        ("v1", "", "publish"),
        ("v2", "v1", "publish"),
        ("v1", "v2", "rollback"),
        ("v3", "v1", "publish"),
    ]


def test_a_version_that_was_rolled_back_from_is_not_published_again_until_it_is_put_back(
    model: str, tmp_path: Path
) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    publishing.rollback(model)
    with pytest.raises(
        StepError, match=r"v2 was rolled back from on 20.* and is not published again; .* --to v2"
    ) as caught:
        registry.publish(model, version(tmp_path / "again", "two"), "v2", "v1")
    assert caught.value.kind == "model" and registry.state(model) == "v1"
    publishing.rollback(model, "v2")
    registry.publish(model, version(tmp_path / "three", "three"), "v3", "v2")
    registry.publish(model, version(tmp_path / "once-more", "two"), "v2", "v3")
    assert registry.state(model) == "v2"


def test_weights_that_were_rolled_back_from_are_not_published_under_another_id(model: str, tmp_path: Path) -> None:
    registry.publish(model, derived(tmp_path / "two", "two", code=1), identity(tmp_path / "two"), "v1")
    publishing.rollback(model)
    again = derived(tmp_path / "again", "two", code=2)
    assert identity(again) != identity(tmp_path / "two")
    with pytest.raises(StepError, match=r"which has the weights of .* was rolled back from"):
        registry.publish(model, again, identity(again), "v1")
    other = derived(tmp_path / "other", "three", code=2)
    registry.publish(model, other, identity(other), "v1")
    assert registry.state(model) == identity(other)


def test_a_rollback_of_the_third_version_puts_the_second_back(model: str, tmp_path: Path) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    registry.publish(model, version(tmp_path / "three", "three"), "v3", "v2")
    assert publishing.rollback(model) == ("v3", "v2") and registry.state(model) == "v2"


def test_a_rollback_without_a_version_before_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no version was the champion before v1"):
        publishing.rollback(model)
    with pytest.raises(StepError, match="nothing has been published"):
        publishing.rollback(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("to", "seen", "kind", "message"),
    [
        ("v9", None, "settings", "v9 was never the champion"),
        ("v2", None, "settings", "v2 is the champion already"),
        ("v1", "v1", "conflict", "the champion changed from v1 to v2 meanwhile"),
    ],
)
def test_a_rollback_that_means_something_else_is_refused(
    to: str, seen: str | None, kind: str, message: str, model: str, tmp_path: Path
) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    with pytest.raises(StepError, match=message) as caught:
        publishing.rollback(model, to, seen)
    assert caught.value.kind == kind
    assert registry.state(model) == "v2"


def test_a_rollback_to_a_damaged_version_is_refused(model: str, tmp_path: Path) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    (Path(registry.version_uri(model, "v1")) / "model.keras").write_text("own")
    with pytest.raises(StepError, match=r"the version v1 is damaged: model\.keras"):
        publishing.rollback(model)
    assert registry.state(model) == "v2"


def test_a_champion_named_by_hand_is_served_and_remembered(model: str, tmp_path: Path) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1")
    path = Path(model) / "champion.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "v1"}))
    assert registry.state(model) == "v1"
    assert pointer.read(model).history[-1] == Entry(version="v1", replaced="v2", by="hand")


def entries(*changes: tuple[str, str, float | None]) -> list[Entry]:
    """A history of versions with what each replaced and by how much it was better; a rollback replaces nothing."""
    return [
        Entry(version=version, replaced=replaced, difference=difference, by="publish" if replaced else "rollback")
        for version, replaced, difference in changes
    ]


FIRST = Entry(version="v1")


@pytest.mark.parametrize(
    ("changes", "best", "gains"),
    [
        ([], "v1", {"v1": 0}),
        ([("v2", "v1", -0.005), ("v3", "v2", -0.005)], "v1", {"v1": 0, "v2": -0.005, "v3": -0.01}),
        ([("v2", "v1", 0.02), ("v3", "v2", -0.005)], "v2", {"v1": 0, "v2": 0.02, "v3": 0.015}),
        ([("v2", "v1", 0.0)], "v2", {"v1": 0, "v2": 0}),
        ([("v2", "v1", 0.02), ("v1", "", None)], "v1", {"v1": 0, "v2": 0.02}),
        ([("v2", "v1", -0.01), ("v1", "", None), ("v3", "v1", -0.004)], "v1", {"v1": 0, "v2": -0.01, "v3": -0.004}),
        ([("v2", "v1", None), ("v3", "v2", -0.001)], "v2", {"v1": 0, "v2": 0, "v3": -0.001}),
    ],
    ids=["one", "creep", "up and down", "equal", "rolled back", "and published again", "not compared, as in old files"],
)
def test_the_best_version_follows_from_the_differences_that_decided(
    changes: list[tuple[str, str, float | None]], best: str, gains: dict[str, float]
) -> None:
    history = [FIRST, *entries(*changes)]
    assert changes_of.best(history) == best
    assert changes_of.gains(history) == pytest.approx(gains)


def test_the_anchor_is_the_best_version_unless_it_is_the_champion(model: str, tmp_path: Path) -> None:
    assert registry.anchor(model) is None
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1", -0.004)
    found = registry.anchor(model)
    assert found and (found.id, found.version()["text"]) == ("v1", "one")
    assert registry.state(model) == "v2 v1", "a result that depends on both"
    assert registry.anchor(model, "none") is None
    pinned = registry.anchor(model, "v1")
    assert pinned and pinned.id == "v1"
    with pytest.raises(StepError, match="v7 was never the champion"):
        registry.anchor(model, "v7")
    registry.publish(model, version(tmp_path / "three", "three"), "v3", "v2", 0.01)
    assert registry.anchor(model) is None
    assert pointer.read(model).history[-1].difference == 0.01


def test_a_damaged_anchor_is_told_with_a_way_out(model: str, tmp_path: Path) -> None:
    registry.publish(model, version(tmp_path / "two", "two"), "v2", "v1", -0.004)
    (Path(model) / "versions" / "v1" / "model.keras").unlink()
    with pytest.raises(StepError, match="the anchor v1 is damaged") as caught:
        registry.anchor(model)
    assert "evaluation.anchor" in caught.value.advice


def test_each_model_that_the_same_data_have_judged_is_counted_once(model: str) -> None:
    assert [registry.looks(model, "d1", name) for name in ("a", "b", "a")] == [1, 2, 2]
    assert registry.looks(model, "d2", "a") == 1
    assert registry.champion(model), "and that is no version"
