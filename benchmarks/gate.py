"""How often the gate promotes a model that is worse by the margin, and how often an equally good one."""

import time
from collections.abc import Collection, Iterator

import numpy as np

from components.evaluate.statistics import PairedCounts, greater

SIMULATIONS, RATE = 10_000, 0.05
# (n, margin, shares of examples on which exactly one of the two models is right). Least: all of it is the loss itself.
CASES = (
    (360, 0.01, (0.01, 0.02, 0.05, 0.1)),
    (360, 0.02, (0.02, 0.05, 0.1)),
    (10_000, 0.01, (0.01, 0.02, 0.05, 0.1)),
    (10_000, 0.0, (0.02, 0.05)),
)


def main() -> None:
    """Print promoted shares of simulated challengers, beside what a percentile bootstrap would promote."""
    began = time.perf_counter()
    allowed = RATE + 3 * np.sqrt(RATE * (1 - RATE) / SIMULATIONS)
    print(f"{SIMULATIONS:,} simulations a line; promised at most {RATE:.0%}, with simulation error {allowed:.2%}")
    print("     n  margin  disagree   worse by the margin (percentile bootstrap)   equally good (power)")
    generator = np.random.default_rng(0)
    for n, margin, disagreements in CASES:
        needed = Needed(n, -margin, RATE)
        for share in disagreements:
            worse, equal = (tables(n, share, difference, generator) for difference in (-margin, 0.0))
            promoted, power = needed.promoted(worse), needed.promoted(equal)
            bootstrap = percentile_promoted(worse, n, -margin, generator)
            verdict = "" if promoted <= allowed else "   ABOVE"
            figures = f"{promoted:21.2%} {bootstrap:22.2%} {power:26.1%}"
            print(f"{n:6} {margin:7.3f} {share:9.3f} {figures}{verdict}", flush=True)
    for text, share in slice_refusals(generator):
        print(f"{text}: {share:.1%}")
    print(f"{time.perf_counter() - began:.0f} s")


def tables(n: int, disagree: float, difference: float, generator: np.random.Generator) -> np.ndarray:
    """Simulated numbers of examples won and lost, integers [simulations, 2]."""
    rates = [(disagree + difference) / 2, (disagree - difference) / 2]
    return generator.multinomial(n, [*rates, 1 - sum(rates)], size=SIMULATIONS)[:, :2]


class Needed:
    """The fewest examples won that the gate's test asks for at each number of discordant pairs.

    At a fixed number of discordant pairs the test is monotone in those won, so a handful of tests for each number
    decides any count of simulations.
    """

    def __init__(self, n: int, null: float, rate: float) -> None:
        self.n, self.null, self.rate = n, null, rate
        self.found: dict[int, int] = {}

    def promoted(self, pairs: np.ndarray) -> float:
        """The share of tables [simulations, 2] whose difference is shown to be above the null."""
        totals = pairs.sum(axis=1)
        kinds, places = np.unique(totals, return_inverse=True)
        return float((pairs[:, 0] >= np.array(self.fewest(kinds.tolist()))[places]).mean())

    def fewest(self, totals: Collection[int]) -> list[int]:
        """For each total, ascending, the fewest won that pass; total + 1 where none does."""
        for total in totals:
            if total not in self.found:
                self.found[total] = self._fewest(total)
        return [self.found[total] for total in totals]

    def _fewest(self, total: int) -> int:
        # A neighbour's answer is at most a step away; walk from it.
        won = min(total + 1, self.found.get(total - 1, (total + round(self.n * self.null)) // 2))
        while won <= total and not self._passes(won, total):
            won += 1
        while won > 0 and self._passes(won - 1, total):
            won -= 1
        return won

    def _passes(self, won: int, total: int) -> bool:
        return greater(PairedCounts(won, total - won, self.n), self.null, self.rate)


def percentile_promoted(pairs: np.ndarray, n: int, null: float, generator: np.random.Generator) -> float:
    """The share whose percentile bootstrap interval (1,000 resamples) lies above the null."""
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    promoted = 0
    for (won, lost), count in zip(kinds, counts, strict=True):
        drawn = generator.multinomial(n, [won / n, lost / n, 1 - (won + lost) / n], size=1000)
        promoted += count * bool(np.quantile(drawn[:, 0] - drawn[:, 1], RATE) > null * n)
    return promoted / len(pairs)


def slice_refusals(generator: np.random.Generator, slices: int = 14, size: int = 1000) -> Iterator[tuple[str, float]]:
    """How often slices refuse: an equally good challenger, and one better overall but worse on one slice."""
    rate = RATE / slices
    for text, worst, others, margin in (
        (f"equally good, refused by {slices} slices of {size:,}, slice margin 0", 0.0, 0.0, 0.0),
        (f"equally good, refused by {slices} slices of {size:,}, slice margin 0.05", 0.0, 0.0, 0.05),
        ("0.01 better elsewhere, 0.10 worse on one slice, refused, slice margin 0.05", -0.1, 0.01, 0.05),
    ):
        worse = Needed(size, margin, rate)
        refused = np.zeros(SIMULATIONS, bool)
        for number in range(slices):
            pairs = tables(size, 0.12, others if number else worst, generator)[:, ::-1]
            totals, places = np.unique(pairs.sum(axis=1), return_inverse=True)
            refused |= pairs[:, 0] >= np.array(worse.fewest(totals.tolist()))[places]
        yield text, float(refused.mean())


if __name__ == "__main__":
    main()
