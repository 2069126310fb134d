"""The models of two runs compared example by example, from what evaluate has stored of each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.core import archives
from components.evaluate import statistics
from components.evaluate.statistics import Comparison
from components.evaluate.verdict import PREDICTIONS, SCORES, TRUTH, VERDICT
from components.metrics import grouping


@dataclass(frozen=True)
class Stored:
    """What evaluate has stored of one run.

    Attributes:
        facts: the content of verdict.json.
        arrays: of predictions.npz, in the order of the examples' keys.
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


def compare(first: Path, second: Path, bounds: tuple[float, float]) -> Comparison | str:
    """The second run's paired metric minus the first's, on the same test examples, with bounds that enclose the
    difference with 95% confidence; or, in a sentence, why they cannot be compared.

    Args:
        first: the folder of the first run's verdict.
        second: that of the second.
        bounds: between which the paired metric of every example lies.
    """
    read = [_read(folder) for folder in (first, second)]
    for stored in read:
        if isinstance(stored, str):
            return stored
    before, after = (stored for stored in read if isinstance(stored, Stored))
    metrics = [stored.facts.get("paired_metric") for stored in (before, after)]
    if metrics[0] != metrics[1]:
        return f"They are judged by different metrics, {metrics[0]} and {metrics[1]}."
    keys = [stored.arrays["key"] for stored in (before, after)]
    if len(keys[0]) != len(keys[1]) or not (keys[0] == keys[1]).all():
        common = len(np.intersect1d(keys[0], keys[1]))
        return (
            f"Their test examples are not the same: {len(keys[0]):,} and {len(keys[1]):,}, {common:,} of them in both. "
            "Each value holds for its own examples, and a difference may come from these alone."
        )
    for name in sorted(name for name in {*before.arrays, *after.arrays} if name.startswith(TRUTH)):
        if not np.array_equal(before.arrays.get(name, ()), after.arrays.get(name, ())):
            return f"Their test examples are the same but have another {name.removeprefix(TRUTH)}."
    scores = [stored.arrays[SCORES] for stored in (after, before)]
    return statistics.compare(scores[0], scores[1], 0.025, bounds, grouping.of_keys(keys[0]))


def _read(folder: Path) -> Stored | str:
    try:
        facts = json.loads((folder / VERDICT).read_text())
        arrays = archives.arrays(folder / PREDICTIONS)
    except (OSError, *archives.DAMAGED) as error:
        return f"The predictions of one of them cannot be read ({error})."
    if SCORES not in arrays:
        return "One of them was evaluated by older code, which stored no scores of single examples: run it again."
    order = np.argsort(arrays["key"], kind="stable")
    return Stored(facts, {name: values[order] for name, values in arrays.items()})
