"""What evaluate computes from the outputs of a classifier of many classes: CPU time and memory, without the network."""

import resource
import time

import numpy as np

from benchmarks._rows import row
from components.evaluate import gate, statistics
from components.tasks.contract import Task
from components.tasks.image_classification import Settings

# (examples, classes): twice the classes should cost about twice as much.
SIZES = ((50_000, 500), (50_000, 1000), (10_000, 5000))


def main() -> None:
    """Print CPU seconds and peak memory for challenger and champion on the same examples."""
    before = 0.0
    for examples, classes in SIZES:
        seconds = scored(examples, classes)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        verdict = f"{seconds / before:.1f} times" if before else ""
        row(f"{examples:,} examples, {classes:,} classes", f"{seconds:.1f} CPU s", f"{peak:.2f} GiB peak", verdict)
        before = seconds


def scored(examples: int, classes: int) -> float:
    """CPU seconds of all that evaluate does after inference."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, examples)
    outputs = [generator.normal(size=(examples, classes)).astype(np.float32) for _ in range(2)]
    for logits in outputs:
        logits[np.arange(examples), labels] += 5
    names = [f"class {label}" for label in range(classes)]
    settings = Settings(min_slice=20)
    task = Task("image_classification", {"classes": names, "image_shape": [8, 8, 1], "encoding": "raw"}, settings)
    role, truth = task.evaluation, {"label": labels, "key": np.arange(examples)}
    new, old = ({"logits": logits} for logits in outputs)
    start = time.process_time()
    values = role.score(new, truth)
    intervals = role.confidence_intervals(new, truth, values)
    role.score(old, truth)
    paired = role.example_metric(new, truth), role.example_metric(old, truth)
    champion = gate.Opponent("v1", statistics.compare(*paired, settings.error_rate))
    slices = gate.evaluate_slices(role.slices(truth), role.example_scores(new, truth), paired, settings)
    gate.decide(values, intervals.metrics, slices, settings, metric="accuracy", examples=examples, champion=champion)
    task.report.figures(new, truth, intervals, {})
    task.report.class_figures(new, truth)
    role.predictions(new)
    return time.process_time() - start


if __name__ == "__main__":
    main()
