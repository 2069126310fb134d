"""A small, fixed share of the fuzz campaign; ``python -m tests.campaigns.fuzz`` runs all of it."""

from pathlib import Path

import pytest

from tests.campaigns.fuzz.__main__ import KINDS
from tests.campaigns.fuzz.campaign import Kind, Wrong, run

QUICK = [kind for kind in KINDS if kind.name not in {"commands", "checkpoints", "keras files"}]


@pytest.mark.parametrize("kind", QUICK, ids=lambda kind: kind.name)
def test_broken_inputs_are_refused_in_one_line(kind: Kind, tmp_path: Path) -> None:
    tally = run([kind], 60, 1, tmp_path, print)
    assert tally.faults == [] and tally.cases == 60
    assert tally.outcomes[kind.name]["refused"] > 5


def test_the_same_seed_makes_the_same_cases(tmp_path: Path) -> None:
    sets = [kind for kind in KINDS if kind.name == "--set"]
    one, two = (run(sets, 40, 7, tmp_path / place, print).outcomes for place in ("one", "two"))
    assert one == two


def test_a_fault_a_hang_and_a_wrong_answer_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from tests.campaigns.fuzz import campaign

    monkeypatch.setattr(campaign, "MOST_S", 0.2)
    monkeypatch.setattr(campaign, "CLOCK_S", 0.4)

    def raises(_: object) -> str:
        raise KeyError("x")

    def hangs(_: object) -> str:
        time.sleep(5)
        return "accepted"

    def lies(_: object) -> str:
        raise Wrong("half was taken for whole")

    kinds = [Kind(case.__name__, 1, lambda _, case=case: case) for case in (raises, hangs, lies)]
    tally = run(kinds, 3, 1, tmp_path, print)
    assert len(tally.faults) == 3 and tally.cases == 3
    for fault, said in zip(tally.faults, ("KeyError", "longer than", "half was taken for whole"), strict=True):
        assert said in fault
