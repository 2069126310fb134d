"""The registry as a state machine whose publishers die at any of their writes."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crashes
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from small_versions import written

from components import registry
from components.core.errors import StepError
from components.core.files import digest_of
from components.registry import contents, pointer, publishing
from components.registry.versions import version_uri

# A step is a dozen files or requests, and the machine may be busy.
PATIENT = settings(stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
NO_CHAMPION = "model: no champion.json, though there are versions"
IDS = st.sampled_from([f"v{number}" for number in range(5)])
# A publish of a small version makes about twenty writes on a local path.
WRITES = st.integers(0, 24)


class Registry(RuleBasedStateMachine):
    """One model's registry, published to by runs some of which die.

    ``champion`` and ``published`` are what it should hold; after a crash the champion may be the one before or the
    one after, and ``unfinished`` is what the dead run was about.
    """

    place: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.model = self.place()
        self.champion = ""
        self.published: set[str] = set()
        self.changes = 0
        # The versions to which rollbacks return, and those that were rolled back from.
        self.lineage: list[str] = []
        self.withdrawn: set[str] = set()
        self.unfinished: Callable[[], None] | None = None
        self.seen: dict[str, str] = {}

    def teardown(self) -> None:
        self.scratch.cleanup()

    # --- what runs do ------------------------------------------------------------------------------------------------

    @rule(version=IDS, measured=st.integers(0, 9))
    def publish(self, version: str, measured: int) -> None:
        if version in self.withdrawn:
            with pytest.raises(StepError, match="was rolled back from"):
                registry.publish(self.model, self.folder(version, measured), version, self.champion)
            return
        registry.publish(self.model, self.folder(version, measured), version, self.champion)
        self.now(version)

    @rule(version=IDS, measured=st.integers(0, 9), writes=WRITES)
    def publish_and_die(self, version: str, measured: int, writes: int) -> None:
        folder, before = self.folder(version, measured), self.champion
        if version in self.withdrawn:
            return
        with crashes.after(writes, self.model) as point:
            registry.publish(self.model, folder, version, before)
        self.after_death(point.reached, version, lambda: registry.publish(self.model, folder, version, before))

    @precondition(lambda self: self.unfinished)
    @rule()
    def resume_the_one_that_died(self) -> None:
        assert self.unfinished
        self.unfinished()
        self.unfinished = None

    @precondition(lambda self: self.champion)
    @rule(version=IDS)
    def publish_against_another_champion(self, version: str) -> None:
        if version == self.champion:
            return
        with pytest.raises(StepError) as caught:
            registry.publish(self.model, self.folder(version, 0), version, "v9")
        assert caught.value.kind == "conflict"

    @precondition(lambda self: self.published - {self.champion})
    @rule(data=st.data())
    def publish_other_content_under_a_known_id(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.published - {self.champion})))
        if version in self.withdrawn:
            return
        folder = self.folder(version, 0)
        (folder / "model.keras").write_text("other")
        with pytest.raises(StepError) as caught:
            registry.publish(self.model, folder, version, self.champion)
        assert caught.value.kind == "conflict"

    @precondition(lambda self: self.published - {self.champion})
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.published - {self.champion})))
        assert publishing.rollback(self.model, version) == (self.champion, version)
        self.now(version, back=True)

    @precondition(lambda self: self.published - {self.champion})
    @rule(data=st.data(), writes=st.integers(0, 4))
    def roll_back_and_die(self, data: st.DataObject, writes: int) -> None:
        version = data.draw(st.sampled_from(sorted(self.published - {self.champion})))
        with crashes.after(writes, self.model) as point:
            publishing.rollback(self.model, version)
        self.after_death(point.reached, version, None, back=True)

    # --- what holds always -------------------------------------------------------------------------------------------

    @invariant()
    def the_champion_is_whole(self) -> None:
        present = registry.champion(self.model)
        assert (present.id if present else "") == self.champion
        if present:
            assert present.version()["text"] == present.id
            assert (present.folder / "model.keras").read_text() == present.id
            if present.folder != Path(version_uri(self.model, present.id)):
                shutil.rmtree(present.folder.parent)

    @invariant()
    def exactly_the_published_versions_are_listed_once_and_are_whole(self) -> None:
        found = contents.list_versions(self.model)
        assert sorted(version.id for version in found if version.entry) == sorted(self.published)
        assert len({version.id for version in found}) == len(found)
        assert contents.verify(self.model).faults == ([] if self.published or not found else [NO_CHAMPION])
        assert len(pointer.read(self.model).history) == self.changes

    @invariant()
    def versions_never_change(self) -> None:
        for version in contents.list_versions(self.model):
            if version.entry:
                assert self.seen.setdefault(version.id, self.digest(version.uri)) == self.digest(version.uri)

    # --- the model ---------------------------------------------------------------------------------------------------

    def folder(self, version: str, measured: int) -> Path:
        return written(Path(tempfile.mkdtemp(dir=self.scratch.name)) / version, version, measured)

    def now(self, version: str, back: bool = False) -> None:
        self.changes += version != self.champion
        if version != self.champion:
            self.withdrawn.discard(version)
            if back and version in self.lineage:
                while self.lineage[-1] != version:
                    self.withdrawn.add(self.lineage.pop())
            else:
                self.lineage.append(version)
        self.champion = version
        self.published.add(version)
        self.unfinished = None

    def after_death(self, died: bool, version: str, again: Callable[[], None] | None, back: bool = False) -> None:
        present = pointer.state(self.model)
        assert present == version or (died and present == self.champion)
        if present == version:
            self.now(version, back)
        elif again:

            def resumed() -> None:
                again()
                self.now(version)

            self.unfinished = resumed

    def digest(self, uri: str) -> str:
        return digest_of(Path(uri))


def placed(place: Callable[[], str], **members: Any) -> type[Registry]:
    """The machine whose registries are new ones at such places."""
    return type("Placed", (Registry,), {"place": staticmethod(place), **members})
