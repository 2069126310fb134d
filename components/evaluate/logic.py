"""evaluate: a model on the test split, alone and against the champion."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from components.tasks import EvaluationSettings, contract
from components.tasks.contract import Evaluation, Task

# From so many models on, the test examples are called worn.
MANY_LOOKS = 20


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
        Whether the model is accepted, so that export publishes it.

    Raises:
        StepError: a model cannot be loaded or does not fit the data, or the champion cannot be compared on them.
    """
    data = PreparedData.read(examples.path)
    settings: EvaluationSettings = validated("evaluation", evaluation, data.task)
    task = contract.Task(data.task, data.info, settings)
    data.require("test")
    with devices.configured(backend="tensorflow", precision="float32", seed=settings.seed):
        challenger = _challenger(Path(trained.path), data, task)
        champion = _champion(registry, data, task, challenger)
        anchor, notes = _anchor(registry, data, task, challenger) if champion and not champion.identical else (None, ())
        others = [one for one in (champion, anchor) if one and not one.identical]
        test = inference.over_test_split(data, [challenger, *(one.model for one in others)], task.evaluation)
        latency = inference.latency(challenger, _any_input(data, task.evaluation, challenger))
        baseline = _baseline(data, task.evaluation)
    looks = published_models.looks(registry, data.fingerprint, challenger.digest)
    results = _results(task.evaluation, test, champion, anchor, baseline, (*notes, *_reuse(looks, settings)))

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
        results.scores,
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
    """A published version, ready for the comparison.

    Attributes:
        identical: whether it has the challenger's architecture and weights, so that one pass serves both.
        notes: remarks for the reasons.
    """

    id: str
    model: inference.Loaded
    identical: bool
    notes: tuple[gate.Reason, ...] = ()


def _champion(registry: str, data: PreparedData, task: Task, challenger: inference.Loaded) -> Rival | None:
    """The champion, if any. One that cannot be compared must not be replaced.

    Raises:
        StepError: it is damaged, or cannot be compared on these examples.
    """
    version = published_models.champion(registry)
    if version is None:
        return None
    rival = _rival(version, data, task, challenger)
    if isinstance(rival, str):
        raise StepError(
            f"the champion {version.id} {rival}: the two cannot be compared on the same examples",
            advice="publish under a new model name (another experiment name), so that the champion's users keep theirs",
            kind="conflict",
        )
    if version.version().get("fingerprints", {}).get("data", data.fingerprint) == data.fingerprint:
        return rival
    text = f"The champion {version.id} comes from other data: it may have seen some of these examples."
    return replace(rival, notes=(gate.Reason("info", text),))


def _anchor(
    registry: str, data: PreparedData, task: Task, challenger: inference.Loaded
) -> tuple[Rival | None, tuple[gate.Reason, ...]]:
    """The version that many small losses must not lead away from, if it is not the champion, and a warning if it cannot
    be compared.

    Raises:
        StepError: it is damaged, or the one that the settings name does not exist.
    """
    version = published_models.anchor(registry, task.settings.anchor)
    if version is None:
        return None, ()
    rival = _rival(version, data, task, challenger)
    if isinstance(rival, str):
        text = f"The anchor {version.id} {rival}: the model is compared with the champion only."
        return None, (gate.Reason("warning", text),)
    return rival, ()


def _rival(
    version: published_models.Champion, data: PreparedData, task: Task, challenger: inference.Loaded
) -> Rival | str:
    """A published version, or why it cannot be compared on these examples."""
    model, problem = inference.load_model(version.folder / "model.keras", task.evaluation)
    if not problem and not inference.same_labels(version.version(), data):
        problem = "has other classes than the data, or another order of them"
    if model is None or problem:
        return problem
    return Rival(version.id, model, model.digest == challenger.digest)


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
    """The results, before they are written; ``scores`` is the paired metric of each example."""

    values: dict[str, float]
    intervals: Any
    slices: list[gate.Slice]
    worst: gate.Slice | None
    against: page.ChampionResults | None
    anchor: gate.Opponent | None
    baseline: page.Baseline | None
    decision: gate.Decision
    scores: np.ndarray

    def baseline_metrics(self) -> dict[str, float]:
        """The baseline's metrics, with names of their own."""
        values = self.baseline.values if self.baseline else {}
        return {f"baseline_{name}": round(value, files.DIGITS) for name, value in values.items()}


def _results(
    role: Evaluation[Any, Any],
    test: inference.TestSplit,
    champion: Rival | None,
    anchor: Rival | None,
    baseline: page.Baseline | None,
    notes: tuple[gate.Reason, ...],
) -> Results:
    predicted, truth, settings = test.predicted[0], test.truth, role.settings
    values = role.score(predicted, truth)
    intervals = role.confidence_intervals(predicted, truth, values)
    ours, groups = _paired_metric(role, predicted, truth), role.groups(truth)
    theirs, against = None, None
    opponents: list[gate.Opponent | None] = []
    for rival, number in ((champion, 1), (anchor, -1)):
        if rival is None:
            opponents.append(None)
            continue
        other = predicted if rival.identical else test.predicted[number]
        scores = _paired_metric(role, other, truth)
        compared = statistics.compare(ours, scores, settings.error_rate, settings.paired_range, groups)
        opponents.append(gate.Opponent(rival.id, compared, rival.identical))
        if rival is champion:
            theirs = scores
            against = page.ChampionResults(rival.id, values if rival.identical else role.score(other, truth), compared)
    paired = None if theirs is None else (ours, theirs)
    slices = gate.evaluate_slices(role.slices(truth), role.example_scores(predicted, truth), paired, settings, groups)
    decision = gate.decide(
        values,
        intervals.metrics,
        slices,
        settings,
        metric=settings.paired_metric,
        examples=len(ours) if groups is None else len(np.unique(groups)),
        champion=opponents[0],
        anchor=opponents[1],
        notes=(*_learnt_nothing(role, truth, ours), *(champion.notes if champion else ()), *notes),
    )
    warnings = (*role.info.get("warnings", ()), *role.cautions(truth))
    cautions = tuple(gate.Reason("warning", text) for text in warnings)
    decision = replace(decision, reasons=(*cautions, *decision.reasons))
    worst = gate.worst(slices, settings.paired_metric)
    return Results(values, intervals, slices, worst, against, opponents[1], baseline, decision, ours)


def _paired_metric(
    role: Evaluation[Any, Any], predicted: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]
) -> np.ndarray:
    """The paired metric of each example, float64 [n].

    Raises:
        StepError: a value lies outside the range on which the gate's tests rest.
    """
    scores, (low, high) = role.example_metric(dict(predicted), dict(truth)), role.settings.paired_range
    if scores.min() < low - 1e-9 or scores.max() > high + 1e-9:
        raise StepError(
            f"{role.settings.paired_metric} of single examples goes from {scores.min():.4g} to {scores.max():.4g}, "
            f"outside its range of {low:g} to {high:g}",
            advice="set paired_range in the task's Settings, and bound the metric by it in example_metric",
            kind="settings",
        )
    return np.asarray(np.clip(scores, low, high))


def _learnt_nothing(
    role: Evaluation[Any, Any], truth: Mapping[str, np.ndarray], ours: np.ndarray
) -> tuple[gate.Reason, ...]:
    """A warning if the model is not shown to be better than one that looks at nothing."""
    settings, trivial = role.settings, role.trivial(dict(truth))
    if trivial is None:
        return ()
    title, theirs = trivial
    compared = statistics.compare(ours, theirs, settings.error_rate, settings.paired_range, role.groups(dict(truth)))
    if compared.above(0):
        return ()
    metric = settings.paired_metric
    text = (
        f"The model is not shown to be better than {title}: {metric} {ours.mean():.4f} against {theirs.mean():.4f}. "
        f"To refuse such a model, set a bound: evaluation.require={metric}>=..."
    )
    return (gate.Reason("warning", text),)


def _reuse(looks: int, settings: EvaluationSettings) -> tuple[gate.Reason, ...]:
    """How many models these test examples have judged, if several."""
    if looks < 2:
        return ()
    text = (
        f"These test examples have judged {looks} different models. Each decision is wrong with a probability of at "
        f"most {settings.error_rate:g}, and the best of many looks better than it is"
    )
    many = looks >= MANY_LOOKS
    return (gate.Reason("warning" if many else "info", f"{text}{': take fresh test examples' if many else ''}."),)


# --- outputs ---------------------------------------------------------------------------------------------------------


def _show_classes(classes: Any, task: Task, test: inference.TestSplit) -> None:
    """Fill KFP's ClassificationMetrics, which Kubeflow draws, if the task has classes to confuse."""
    if figures := task.report.class_figures(test.predicted[0], test.truth):
        names, matrix, curve = figures
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
    trivial = task.evaluation.trivial(test.truth)
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
        shares=task.settings.shares,
        require=task.settings.require,
        margin=task.settings.margin,
        trivial=trivial and (trivial[0], float(trivial[1].mean())),
    )


def _facts(results: Results, settings: EvaluationSettings, data: PreparedData) -> dict[str, Any]:
    return {
        "champion": results.against.version if results.against else None,
        "comparison": None if results.against is None else _comparison(results.against.comparison),
        "anchor": results.anchor and {"version": results.anchor.version, **_comparison(results.anchor.comparison)},
        "outcome": results.decision.outcome,
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
        f"{results.decision.outcome}",
        flush=True,
    )
    for reason in results.decision.reasons:
        print(f"  {reason.text}", flush=True)


def _parent(artifact: Artifact) -> Path:
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
