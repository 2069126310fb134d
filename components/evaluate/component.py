"""What KFP sees of evaluate."""

from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output, component


@component(base_image="suanli-python", install_kfp_package=False)
def evaluate(
    examples: Input[Dataset],
    trained: Input[Model],
    evaluation: dict,
    registry: str,
    metrics: Output[Metrics],
    classes: Output[ClassificationMetrics],
    report: Output[HTML],
    reasons: Output[Markdown],
    verdict: Output[Artifact],
) -> bool:
    """Judge the model on the test split, alone and against the champion.

    Args:
        examples: the prepared data.
        trained: the challenger.
        evaluation: the experiment's evaluation section.
        registry: where this model's versions are published: an absolute path or gs://.
        metrics: the test metrics.
        classes: the confusion matrix and a ROC curve.
        report: figures, slices and mistakes.
        reasons: why the model was accepted or refused.
        verdict: metrics, predictions and the decision, for export and for programs.

    Returns:
        Whether the model is accepted.
    """
    from components.core import step

    return step.run(
        "evaluate",
        parameters={"evaluation": evaluation, "registry": registry},
        inputs={"examples": examples, "trained": trained},
        outputs={"metrics": metrics, "classes": classes, "report": report, "reasons": reasons, "verdict": verdict},
    )
