"""What KFP sees of train."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output, component


@component(base_image="suanli-python", install_kfp_package=False)
def train(
    examples: Input[Dataset],
    model: dict,
    training: dict,
    checkpoint_root: str,
    accelerator_type: str,
    accelerator_count: str,
    trained: Output[Model],
    metrics: Output[Metrics],
    curves: Output[HTML],
    logs: Output[Artifact],
):
    """Train a Keras model, with checkpoints, on the accelerator that was promised.

    Args:
        examples: the prepared data.
        model: the experiment's model section.
        training: the experiment's training section.
        checkpoint_root: where checkpoints are kept: an absolute path or gs://.
        accelerator_type: the promised resource, such as nvidia.com/gpu; empty for none.
        accelerator_count: how many of it.
        trained: the trained model with its history.
        metrics: the last epoch's losses and metrics, and the speed.
        curves: the learning curves.
        logs: TensorBoard's event files.
    """
    from components.core import step

    step.run(
        "train",
        parameters={
            "model": model,
            "training": training,
            "checkpoint_root": checkpoint_root,
            "accelerator_type": accelerator_type,
            "accelerator_count": accelerator_count,
        },
        inputs={"examples": examples},
        outputs={"trained": trained, "metrics": metrics, "curves": curves, "logs": logs},
    )
