from collections import Counter

import pytest

from tests.campaigns.chaos import plan
from tests.campaigns.chaos.plan import Kill, Learned

LEARNED = Learned(
    seconds={"prepare": 2.0, "train": 20.0, "evaluate": 6.0, "export": 5.0},
    start_up=5.0,
    epochs=16.0,
    writes={"prepare": 12, "train": 40, "export": 6},
)


@pytest.fixture
def kills() -> list[Kill]:
    return [kill for run in plan.drawn(7, 30, LEARNED) for kill in run]


def test_thirty_kills_hit_every_stage_with_each_signal_on_each_victim(kills: list[Kill]) -> None:
    every = {(stage, victim, what) for stage in plan.STAGES for victim in plan.VICTIMS for what in plan.SIGNALS}
    assert Counter((kill.stage, kill.victim, kill.signal) for kill in kills) == Counter(every)


def test_a_seed_gives_the_same_kills_and_another_gives_others(kills: list[Kill]) -> None:
    def told(seed: int) -> list[str]:
        return [f"{kill}" for run in plan.drawn(seed, 30, LEARNED) for kill in run]

    assert told(7) == told(7) == [f"{kill}" for kill in kills] != told(8)


def test_a_run_meets_its_kills_in_the_order_of_its_steps() -> None:
    for run in plan.drawn(7, 30, LEARNED):
        assert len(run) <= plan.KILLS_A_RUN
        places = [(list(plan.STAGES).index(kill.stage), kill.moment.epochs) for kill in run]
        assert places == sorted(places)


def test_every_moment_lies_within_what_an_undisturbed_run_had(kills: list[Kill]) -> None:
    for kill in [*kills, *[kill for seed in range(50) for run in plan.drawn(seed, 30, LEARNED) for kill in run]]:
        moment = kill.moment
        assert 0 <= moment.epochs <= LEARNED.epochs and 0 <= moment.seconds <= LEARNED.seconds[kill.step]
        assert 0 <= moment.writes <= LEARNED.writes.get(kill.step, 0)
        assert kill.stage != "publish" or moment.writes
