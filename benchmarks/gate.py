"""Every promise of docs/gate.md as a line: promoted shares at the margin and power, coverage of intervals, creep."""

import time
from collections.abc import Collection, Iterator

import numpy as np

from benchmarks import _gate_creep, _gate_intervals
from components.evaluate.statistics import PairedCounts, greater
from components.metrics import bounded_mean

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
    print("\nMetrics that are not right or wrong; the loss of the margin sits on the examples that are named")
    print("     n  margin  worse by the margin (percentile bootstrap)   equally good (power)   metric and loss")
    for n, margin, name, promoted, percentile, power in bounded(generator):
        verdict = "" if promoted <= allowed else "   ABOVE"
        print(f"{n:6} {margin:7.3f} {promoted:20.2%} {percentile:22.2%} {power:22.1%}   {name}{verdict}", flush=True)
    print("\nCoverage of 95% intervals of a share of right answers (a percentile bootstrap's), computed exactly")
    print("     n  " + "".join(f"{f'share {rate:g}':>16}" for rate in _gate_intervals.RATES))
    for n, found, beside in _gate_intervals.shares():
        print(
            f"{n:6}  " + "".join(f"{f'{a:.1%} ({b:.1%})':>16}" for a, b in zip(found, beside, strict=True)), flush=True
        )
    print(f"\nCoverage of 95% intervals of other metrics, {_gate_intervals.SIMULATIONS:,} simulations a line")
    for name, n, held, beside in _gate_intervals.others(generator):
        print(f"{name:32} n {n:6}  {held:6.1%}" + ("" if np.isnan(beside) else f" ({beside:.1%})"), flush=True)
    print(
        f"\n{_gate_creep.NIGHTS} nights, each challenger worse than the champion; {_gate_creep.TEST:,} test examples, "
        f"margin 0.01, from an accuracy of {_gate_creep.START}: promotions, last accuracy, lowest accuracy"
    )
    print("examples  a night     champion only                  with the anchor")
    for line in _gate_creep.lines(generator):
        print(line, flush=True)
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


# Name, the metric's range, margin, and share and size of the losses that make up the margin, beside the noise.
LOSSES = (
    ("F1: whole images lost", 1.0, 0.01, 1.0, ((0.0, 1.0),)),
    ("F1: objects lost here and there", 1.0, 0.01, 0.5, ((-0.2, 0.05), (0.0, 0.9), (0.2, 0.05))),
    ("chrF: sentences garbled, noise in all", 1.0, 0.01, 0.8, ((-0.1, 0.2), (-0.03, 0.3), (0.03, 0.3), (0.1, 0.2))),
    ("chrF: a little in every tenth sentence", 1.0, 0.01, 0.1, ((-0.03, 0.5), (0.03, 0.5))),
    ("bits a character: rare texts cost 8 more", 8.0, 0.1, 8.0, ((-0.05, 0.5), (0.05, 0.5))),
    ("bits a character: rare texts cost 2 more", 8.0, 0.1, 2.0, ((-0.05, 0.5), (0.05, 0.5))),
)


def bounded(generator: np.random.Generator) -> Iterator[tuple[int, float, str, float, float, float]]:
    """Examples, margin, name, promoted share at the margin, by a percentile bootstrap, and of equally good ones."""
    for n in (100, 300, 1000, 5000):
        for name, span, margin, loss, noise in LOSSES:
            values = np.array([-loss, *(value for value, _ in noise)])
            share = margin / loss
            rates = np.array([share, *((1 - share) * rate for _, rate in noise)])
            worse = generator.multinomial(n, rates, SIMULATIONS)
            # Equally good: the losses are as often gains.
            equal = generator.multinomial(n, [share / 2, share / 2, *rates[1:]], SIMULATIONS)
            both = np.array([-loss, loss, *values[1:]])
            promoted, power = promoted_mean(worse, values, span, margin), promoted_mean(equal, both, span, margin)
            yield n, margin, name, promoted, percentile_mean(worse[:1000], values, margin, generator), power


def promoted_mean(counts: np.ndarray, values: np.ndarray, span: float, margin: float) -> float:
    """The share of simulations, counts [simulations, k] of differences [k], that are shown not to lose the margin."""
    kinds, places = np.unique(counts, axis=0, return_inverse=True)
    with_worst = np.column_stack([kinds, np.ones(len(kinds))])
    above = np.append(values, -span) + margin
    shown = np.concatenate(
        [bounded_mean.tail(part, above) <= RATE for part in np.array_split(with_worst, 1 + len(kinds) // 500)]
    )
    return float(shown[places.ravel()].mean())


def percentile_mean(counts: np.ndarray, values: np.ndarray, margin: float, generator: np.random.Generator) -> float:
    """The share whose percentile bootstrap interval (400 resamples) lies above minus the margin."""
    n = int(counts[0].sum())
    lows = [np.quantile(generator.multinomial(n, row / n, 400) @ values / n, RATE) for row in counts]
    return float((np.array(lows) > -margin).mean())


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
