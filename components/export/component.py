"""What KFP sees of export."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Model, Output, component


@component(base_image="suanli-python", install_kfp_package=False)
def export(
    examples: Input[Dataset],
    trained: Input[Model],
    verdict: Input[Artifact],
    export: dict,
    registry: str,
    exported: Output[Model],
    card: Output[Markdown],
    card_page: Output[HTML],
    benchmark: Output[Metrics],
):
    """Write the accepted model in every format asked for, check each, and publish it as the champion.

    Args:
        examples: the prepared data.
        trained: the accepted model.
        verdict: what evaluate found and decided.
        export: the experiment's export section.
        registry: where this model's versions are published: an absolute path or gs://.
        exported: the formats, as published.
        card: the model card.
        card_page: the model card as a page.
        benchmark: size, difference and latency of each format.
    """
    from components.core import step

    step.run(
        "export",
        parameters={"export": export, "registry": registry},
        inputs={"examples": examples, "trained": trained, "verdict": verdict},
        outputs={"exported": exported, "card": card, "card_page": card_page, "benchmark": benchmark},
    )
