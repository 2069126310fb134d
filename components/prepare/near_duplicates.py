"""Near duplicates across splits: held-out examples that are nearly equal to a training example.

Examples are sorted by each column of their codes, and a held-out one is compared with its few neighbours there (G.
Manku, A. Jain, A. Das Sarma, Detecting near-duplicates for web crawling, WWW 2007): the cost is that of sorting, also
where all examples look the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from components.core.examples import Likeness
from components.data import DataSettings

# Neighbours on each side that a held-out example is compared with, in each column.
NEIGHBOURS = 4
# Held-out examples that are compared at once.
BLOCK = 4096
# Examples of a split that are compared at most, 40 MB of sketches; of more, those whose keys end in zeros.
MOST = 2**19
# Pairs of a split that the report shows.
SHOWN = 6
# With fewer near duplicates than this share of a split, its metrics are hardly affected: by less than a usual margin.
WORTH_A_WARNING = 0.01


@dataclass
class Sketches:
    """The sketches of a split's examples.

    Attributes:
        count: examples of the split.
        level: only examples whose keys end in so many zero bits are held.
        rows: the sketches that are held; places: the positions of their examples in the split.
    """

    count: int = 0
    level: int = 0
    _parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    _held: int = 0

    def add(self, sketches: np.ndarray, keys: np.ndarray, likeness: Likeness) -> None:
        """Add the split's next examples, with their keys, uint64 [n]."""
        places = np.arange(self.count, self.count + len(keys))
        self.count += len(keys)
        self._hold(sketches, keys, places, likeness.is_comparable(sketches))
        while self._held > MOST:
            self.level, parts, self._parts, self._held = self.level + 1, self._parts, [], 0
            for part in parts:
                self._hold(*part, np.ones(len(part[1]), bool))

    def _hold(self, sketches: np.ndarray, keys: np.ndarray, places: np.ndarray, wanted: np.ndarray) -> None:
        wanted &= keys & np.uint64(2**self.level - 1) == 0
        self._parts.append((sketches[wanted], keys[wanted], places[wanted]))
        self._held += int(wanted.sum())

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The held sketches [n, ...], and the positions of their examples in the split, int64 [n]."""
        sketches, _, places = zip(*self._parts, strict=True)
        return np.concatenate(sketches), np.concatenate(places)


@dataclass(frozen=True)
class Found:
    """The near duplicates of a split.

    Attributes:
        count: examples of the split that are nearly equal to a training example.
        compared: of so many.
        share: of the training examples were compared.
        pairs: positions of a few of them, and of their training examples.
    """

    count: int
    compared: int
    share: float
    pairs: list[tuple[int, int]]

    def line(self, split: str, noun: str) -> str:
        """The count, in a sentence without its end."""
        compared = "" if self.share == 1 else f" (of which {self.share:.2g} were compared)"
        those = f"{self.count:,} of {self.compared:,} {split} {noun}"
        return f"{those} {'is' if self.count == 1 else 'are'} nearly equal to one of train's{compared}"


def warnings(results: Mapping[str, Found], settings: DataSettings, likeness: Likeness | None) -> list[str]:
    """What the metrics are worth less for, and what to do about it, in sentences."""
    lines = [
        one.line(split, likeness.NOUN)
        for split, one in sorted(results.items())
        if likeness and one.count > WORTH_A_WARNING * one.compared
    ]
    advice = "set data.group, so that what belongs together stays in one split, or data.time"
    if settings.group or settings.time:
        advice = f"data.{'group' if settings.group else 'time'} does not keep all apart that belong together"
    return [f"{line}: {advice}." for line in lines]


def find(splits: Mapping[str, Sketches], likeness: Likeness) -> dict[str, Found]:
    """Held-out split -> its near duplicates."""
    if "train" not in splits:
        return {}
    train = splits["train"]
    theirs, train_places = train.rows()
    codes = likeness.codes(theirs)
    orders = np.argsort(codes, axis=0)
    results = {}
    for name, split in splits.items():
        if name == "train":
            continue
        ours, places = split.rows()
        nearest = np.full(len(ours), -1)
        for start in range(0, len(ours) if len(theirs) else 0, BLOCK):
            part = slice(start, start + BLOCK)
            nearest[part] = _nearest(ours[part], theirs, codes, orders, likeness)
        near = np.flatnonzero(nearest >= 0)
        examples = near[:: max(1, -(-len(near) // SHOWN))]
        pairs = zip(places[examples].tolist(), train_places[nearest[examples]].tolist(), strict=True)
        results[name] = Found(len(near), -(-split.count >> split.level), 0.5**train.level, list(pairs))
    return results


def _nearest(
    ours: np.ndarray, theirs: np.ndarray, codes: np.ndarray, orders: np.ndarray, likeness: Likeness
) -> np.ndarray:
    """For each of our sketches, one of theirs that is a near duplicate, or -1: int64 [n]."""
    nearest = np.full(len(ours), -1)
    own = likeness.codes(ours)
    for column, order in enumerate(orders.T):
        ranks = np.searchsorted(codes[:, column], own[:, column], sorter=order)
        neighbours = ranks[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS)
        candidates = order[np.clip(neighbours, 0, len(order) - 1)].ravel()
        mine = np.repeat(np.arange(len(ours)), 2 * NEIGHBOURS)
        good = np.flatnonzero((nearest[mine] < 0) & likeness.is_plausible(own[mine], codes[candidates]))
        good = good[likeness.is_near(ours[mine[good]], theirs[candidates[good]])]
        nearest[mine[good]] = candidates[good]
    return nearest
