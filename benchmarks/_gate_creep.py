"""Many nights of slightly worse challengers: with the champion as the only reference, and with the anchor."""

from collections.abc import Iterator

import numpy as np

from components.evaluate.statistics import PairedCounts, greater
from components.registry.history import Entry, best

NIGHTS, REGISTRIES, POPULATION, TEST, ERROR = 200, 4, 50_000, 10_000, 0.05
DISAGREE, START = 0.02, 0.95


def lines(generator: np.random.Generator, margin: float = 0.01) -> Iterator[str]:
    """A line for each loss a night: promotions, and what is left of the accuracy after all nights."""
    for fresh in (False, True):
        for loss in (0.005, 0.002, 0.0):
            parts = []
            for anchored in (False, True):
                ends = [nights(loss, margin, anchored, fresh, generator) for _ in range(REGISTRIES)]
                promoted, accuracy, least = (np.array(column) for column in zip(*ends, strict=True))
                parts.append(f"{promoted.mean():5.1f} {accuracy.mean():9.4f} {least.min():9.4f}")
            yield f"{'fresh' if fresh else 'the same':>9} {loss:8.3f}   {'      '.join(parts)}"


def pairs(new: np.ndarray, old: np.ndarray) -> PairedCounts:
    """How often exactly one of two models is right, of whether each is, bool [n]."""
    return PairedCounts(int((new & ~old).sum()), int((old & ~new).sum()), len(new))


def nights(
    loss: float, margin: float, anchored: bool, fresh: bool, generator: np.random.Generator
) -> tuple[int, float, float]:
    """Promotions, the last champion's accuracy in the population, and the lowest of all champions'."""
    size = POPULATION if fresh else TEST
    champion = generator.random(size) < START
    models, history, accuracies = {"v0": champion}, [Entry(version="v0")], [START]
    for night in range(1, NIGHTS + 1):
        accuracy = accuracies[-1]
        lost = (DISAGREE + loss) / 2 / max(accuracy, 1e-9)
        won = (DISAGREE - loss) / 2 / max(1 - accuracy, 1e-9)
        challenger = np.where(champion, generator.random(size) >= lost, generator.random(size) < won)
        seen = generator.integers(0, size, TEST) if fresh else np.arange(size)
        against = pairs(challenger[seen], champion[seen])
        accepted = greater(against, -margin, ERROR)
        anchor = best(history)
        if accepted and anchored and anchor != history[-1].version:
            accepted = greater(pairs(challenger[seen], models[anchor][seen]), -margin, ERROR)
        if not accepted:
            continue
        name, champion = f"v{night}", challenger
        history.append(Entry(version=name, replaced=history[-1].version, difference=against.difference))
        # Only the anchor and the champion are looked at again.
        models = {version: models[version] for version in {best(history)} & models.keys()} | {name: champion}
        accuracies.append(accuracy - loss)
    return len(history) - 1, accuracies[-1], min(accuracies)
