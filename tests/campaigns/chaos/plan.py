"""Which kills a campaign makes: drawn from a seed, every stage with every signal on every victim before one repeats."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from signal import SIGKILL, SIGTERM, Signals

# Stage -> the step whose process is at work in it. Publishing is the end of export, and has kills of its own.
STAGES = {"prepare": "prepare", "train": "train", "evaluate": "evaluate", "export": "export", "publish": "export"}
# The step's own process, the run's process that starts the steps, and the command that the user sees.
VICTIMS = ("step", "runner", "command")
SIGNALS = (SIGKILL, SIGTERM)
KILLS_A_RUN = 10
# Steps report twice a second at most.
REPORT_S = 0.5


@dataclass(frozen=True)
class Learned:
    """What an undisturbed run tells about the times at which one can be hit.

    Attributes:
        seconds: step -> its duration.
        start_up: seconds before train's first report.
        epochs: epochs that were trained.
        writes: step -> changes of files that were seen in its place.
    """

    seconds: dict[str, float]
    start_up: float
    epochs: float
    writes: dict[str, int]


@dataclass(frozen=True)
class Moment:
    """A time to kill: all of it in this order, from the step's start.

    Attributes:
        epochs: wait until training has come so far.
        writes: then for so many changes of files in the stage's place.
        seconds: then for so long.
    """

    epochs: float = 0.0
    writes: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [f"epoch {self.epochs:.2f}"] if self.epochs else []
        parts += [f"write {self.writes}"] if self.writes else []
        parts += [f"{self.seconds:.2f} s"] if self.seconds or not parts else []
        return " + ".join(parts)


@dataclass(frozen=True, order=True)
class Kill:
    """One kill. They sort in the order in which a run meets them."""

    place: tuple[int, float]
    stage: str = field(compare=False)
    moment: Moment = field(compare=False)
    victim: str = field(compare=False)
    signal: Signals = field(compare=False)

    @property
    def step(self) -> str:
        return STAGES[self.stage]


def drawn(seed: int, kills: int, learned: Learned, stages: Sequence[str] = tuple(STAGES)) -> list[list[Kill]]:
    """The kills of each run of a campaign.

    Args:
        seed: the same seed and the same measured times give the same kills.
        kills: how many in all.
        stages: where.
    """
    chance = random.Random(seed)
    runs: list[list[Kill]] = [[] for _ in range(-(-kills // KILLS_A_RUN))]
    for number, (stage, victim, what) in zip(range(kills), _combinations(chance, stages), strict=False):
        runs[number % len(runs)].append(kill_at(stage, _moment(stage, chance, learned), victim, what))
    return [sorted(run) for run in runs]


def again(kill: Kill, chance: random.Random, learned: Learned) -> Kill:
    """The same kill at another moment: the first one never came. Of writes it waits for half as many: a step that has
    the processors for itself makes several of them between two looks."""
    moment = _moment(kill.stage, chance, learned)
    if kill.moment.writes:
        moment = replace(kill.moment, writes=max(1, kill.moment.writes // 2))
    return kill_at(kill.stage, moment, kill.victim, kill.signal)


def kill_at(stage: str, moment: Moment, victim: str, what: Signals) -> Kill:
    return Kill((list(STAGES).index(stage), moment.epochs), stage, moment, victim, what)


def _combinations(chance: random.Random, stages: Sequence[str]) -> Iterator[tuple[str, str, Signals]]:
    """Endless; the stages take turns, each goes through all its victims and signals in an order of its own."""
    while True:
        orders = {stage: chance.sample(list(product(VICTIMS, SIGNALS)), 6) for stage in stages}
        for turn in range(6):
            for stage in chance.sample(stages, len(stages)):
                yield stage, *orders[stage][turn]


def _moment(stage: str, chance: random.Random, learned: Learned) -> Moment:
    step = STAGES[stage]
    writes = Moment(writes=chance.randint(1, max(1, learned.writes.get(step, 1))))
    anywhere = Moment(seconds=chance.uniform(0, learned.seconds[step]))
    match stage:
        case "publish":
            return writes
        case "prepare":
            return chance.choice([writes, anywhere])
        case "train":
            trained = Moment(epochs=chance.uniform(0, learned.epochs))
            return chance.choice(
                [
                    Moment(seconds=chance.uniform(0, learned.start_up)),
                    *[replace(trained, seconds=chance.uniform(0, REPORT_S))] * 3,
                    *[replace(trained, writes=chance.randint(1, 4))] * 2,
                ]
            )
    return anywhere
