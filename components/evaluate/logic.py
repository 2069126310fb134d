"""evaluate: a model on the test split, alone and against the champion."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components import registry as published_models
from components.core import devices, progress
from components.core.artifacts import Artifact
from components.core.config import validated
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.files import write_atomically
from components.evaluate import gate, inference, statistics
from components.evaluate import report as page
from components.evaluate import verdict as files
from components.metrics.classification import fold_confusion
from components.tasks import EvaluationSettings, contract
from components.tasks.contract import Evaluation, Task

# Kubeflow stores the confusion matrix in its database and draws it, so it has only the most confused classes.
MAX_CLASSES = 50


def evaluate(
    examples: Artifact,
    trained: Artifact,
    evaluation: Mapping[str, Any],
    registry: str,
    metrics: Artifact,
    classes: Artifact,
    report: Artifact,
    reasons: Artifact,
    verdict: Artifact,
) -> bool:
    """Evaluate the model and decide whether it is accepted.

    Args:
        examples: the prepared data.
        trained: a folder with ``model.keras``.
        evaluation: the evaluation section.
        registry: of this model's versions.
        metrics: for the metrics, their 95% intervals and the latency, flat.
        classes: for the confusion matrix and a ROC curve (KFP's ClassificationMetrics).
        report: for an HTML page.
        reasons: for a Markdown file.
        verdict: for a folder, see ``components.evaluate.verdict``.

    Returns:
        Whether the model is accepted.

    Raises:
        StepError: a model cannot be loaded or does not fit the data, or the champion cannot be compared on them.
    """
    data = PreparedData.read(examples.path)
    settings: EvaluationSettings = validated("evaluation", evaluation, data.task)
    task = contract.Task(data.task, data.info, settings)
    data.require("test")
    with devices.configured(backend="tensorflow", precision="float32", seed=settings.seed):
        challenger = _challenger(Path(trained.path), data, task)
        rival = _rival(registry, data, task, challenger)
        models = [challenger, rival.model] if rival and not rival.identical else [challenger]
        test = inference.over_test_split(data, models, task.evaluation)
        latency = inference.latency(challenger, _any_input(data, task.evaluation, challenger))
        baseline = _baseline(data, task.evaluation)
    results = _results(task.evaluation, test, rival, baseline)

    metrics.metadata.update(
        files.flat(results.values, results.intervals.metrics) | latency | results.baseline_metrics()
    )
    _show_classes(classes, task, test)
    write_atomically(_parent(reasons), files.markdown(results.decision))
    write_atomically(_parent(report), _page(results, task, test, data, latency))
    files.write(
        Path(verdict.path),
        results.decision,
        results.slices,
        test.predicted[0],
        test.truth,
        task.evaluation.predictions(test.predicted[0]),
        _facts(results, settings, data),
    )
    _log(results, settings.paired_metric, data)
    return results.decision.accepted


# --- the models ------------------------------------------------------------------------------------------------------


def _challenger(folder: Path, data: PreparedData, task: Task) -> inference.Loaded:
    model, problem = inference.load_model(folder / "model.keras", task.evaluation)
    if model is None:
        raise StepError(f"the trained model {problem}", advice="train it on these data", kind="model")
    return model


@dataclass(frozen=True)
class Rival:
    """The champion, ready for the comparison.

    Attributes:
        identical: whether it has the challenger's architecture and weights, so that one pass serves both.
        notes: remarks for the reasons.
    """

    id: str
    model: inference.Loaded
    identical: bool
    notes: tuple[str, ...]


def _rival(registry: str, data: PreparedData, task: Task, challenger: inference.Loaded) -> Rival | None:
    """The champion, if any. One that cannot be compared must not be replaced.

    Raises:
        StepError: it is damaged, or cannot be compared on these examples.
    """
    champion = published_models.champion(registry)
    if champion is None:
        return None
    published = json.loads((champion.folder / "version.json").read_text())
    model, problem = inference.load_model(champion.folder / "model.keras", task.evaluation)
    if not problem and not inference.same_labels(published, data):
        problem = "has other classes than the data, or another order of them"
    if model is None or problem:
        raise StepError(
            f"the champion {champion.id} {problem}: the two cannot be compared on the same examples",
            advice="publish under a new model name (another experiment name), so that the champion's users keep theirs",
            kind="conflict",
        )
    identical = model.digest == challenger.digest
    notes = [f"The model has the same weights as the champion {champion.id}."] if identical else []
    if published.get("fingerprints", {}).get("data", data.fingerprint) != data.fingerprint:
        notes.append(f"The champion {champion.id} comes from other data: it may have seen some of these examples.")
    return Rival(champion.id, model, identical, tuple(notes))


def _any_input(data: PreparedData, role: Evaluation[Any, Any], model: inference.Loaded) -> np.ndarray:
    """The network's input for one example, with a batch axis."""
    tensors = next(iter(data.batches("test", 1)))
    return role.encode(tensors[role.content].numpy(), model.assets)


def _baseline(data: PreparedData, role: Evaluation[Any, Any]) -> page.Baseline | None:
    """The metrics of a simple method on the same test split, if the settings ask for it."""
    settings = role.settings
    if not settings.baseline:
        return None
    progress.report("evaluate", note=f"baseline {settings.baseline}")
    title, values = role.baseline(data)
    return page.Baseline(title, values, settings.metrics)


# --- results ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """The results, before they are written."""

    values: dict[str, float]
    intervals: Any
    slices: list[gate.Slice]
    worst: gate.Slice | None
    against: page.ChampionResults | None
    baseline: page.Baseline | None
    decision: gate.Decision

    def baseline_metrics(self) -> dict[str, float]:
        """The baseline's metrics, with names of their own."""
        values = self.baseline.values if self.baseline else {}
        return {f"baseline_{name}": round(value, files.DIGITS) for name, value in values.items()}


def _results(
    role: Evaluation[Any, Any],
    test: inference.TestSplit,
    rival: Rival | None,
    baseline: page.Baseline | None,
) -> Results:
    predicted, truth, settings = test.predicted[0], test.truth, role.settings
    values = role.score(predicted, truth)
    intervals = role.confidence_intervals(predicted, truth, values)
    paired, against = None, None
    if rival:
        others = test.predicted[-1]
        paired = role.example_metric(predicted, truth), role.example_metric(others, truth)
        comparison = statistics.compare(*paired, settings.error_rate, settings.resamples, settings.seed)
        theirs = values if rival.identical else role.score(others, truth)
        against = page.ChampionResults(rival.id, theirs, comparison)
    slices = gate.evaluate_slices(role.slices(truth), role.example_scores(predicted, truth), paired, settings)
    decision = gate.decide(
        values,
        intervals.metrics,
        slices,
        against.comparison if against else None,
        settings,
        metric=settings.paired_metric,
        champion=rival.id if rival else "",
        notes=rival.notes if rival else (),
    )
    cautions = tuple(gate.Reason("warning", text) for text in role.cautions(truth))
    decision = gate.Decision((*cautions, *decision.reasons))
    return Results(values, intervals, slices, gate.worst(slices, settings.paired_metric), against, baseline, decision)


# --- outputs ---------------------------------------------------------------------------------------------------------


def _show_classes(classes: Any, task: Task, test: inference.TestSplit) -> None:
    """Fill KFP's ClassificationMetrics, which Kubeflow draws, if the task has classes to confuse."""
    if figures := task.report.class_figures(test.predicted[0], test.truth):
        names, matrix, curve = figures
        matrix, names = fold_confusion(matrix, names, MAX_CLASSES)
        classes.log_confusion_matrix(names, matrix.tolist())
        classes.log_roc_curve(*curve)
    # The local cache copies files, not metadata.
    write_atomically(_parent(classes), json.dumps(classes.metadata, allow_nan=False))


def _page(
    results: Results,
    task: Task,
    test: inference.TestSplit,
    data: PreparedData,
    latency: dict[str, float],
) -> str:
    return page.page(
        results.decision,
        results.values,
        results.intervals.metrics,
        results.slices,
        results.worst,
        results.against,
        results.baseline,
        task.report.figures(test.predicted[0], test.truth, results.intervals, test.shown),
        metric=task.settings.paired_metric,
        details={
            "test examples": data.splits["test"],
            "data": f"{data.source}, {data.fingerprint}",
            "champion": results.against.version if results.against else "none yet",
        },
        latency=latency,
    )


def _facts(results: Results, settings: EvaluationSettings, data: PreparedData) -> dict[str, Any]:
    return {
        "champion": results.against.version if results.against else None,
        "comparison": None if results.against is None else _comparison(results.against.comparison),
        "paired_metric": settings.paired_metric,
        "baseline": results.baseline_metrics(),
        "metrics": files.flat(results.values, results.intervals.metrics),
        "worst_slice": results.worst.name if results.worst else None,
        "settings": settings.parameters(),
        "data": data.fingerprint,
        "task": data.task,
        "examples": data.splits["test"],
    }


def _comparison(compared: statistics.Comparison) -> dict[str, float]:
    values = {"difference": compared.difference, "low": compared.low, "high": compared.high}
    counts = {"examples": compared.n, "better": compared.won, "worse": compared.lost}
    return {name: round(value, files.DIGITS) for name, value in values.items() if math.isfinite(value)} | counts


def _log(results: Results, name: str, data: PreparedData) -> None:
    low, high = results.intervals.metrics[name]
    print(
        f"{name} {results.values[name]:.4f} ({low:.4f} to {high:.4f}) on {data.splits['test']:,} test examples: "
        f"{'accepted' if results.decision.accepted else 'refused'}",
        flush=True,
    )
    for reason in results.decision.reasons:
        print(f"  {reason.text}", flush=True)


def _parent(artifact: Artifact) -> Path:
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
