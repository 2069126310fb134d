"""The training pipeline: prepare -> train -> evaluate, which holds the gate -> export, which publishes."""

# kfp reads the signature: it takes plain dict and list, and its objects have no types.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-calls=False
# mypy: disallow-any-generics=False

from kfp import dsl

from pipelines.compile import steps
from pipelines.hardware.placement import on_accelerator, on_cpu, with_bucket
from pipelines.hardware.variant import Variant


def build(variant: Variant):
    """The pipeline for KFP's compiler, with the constants of a variant."""

    @dsl.pipeline(name="training")
    def training(
        data: dict,
        model: dict,
        training: dict,
        evaluation: dict,
        export: dict,
        data_root: str,
        checkpoint_root: str,
        registry: str,
        prepare_image: str,
        train_image: str,
        evaluate_image: str,
        export_image: str,
        freshness: str = "",
        accelerator_type: str = "",
        accelerator_count: str = "0",
        node_selector: dict = {},  # noqa: B006  # kfp reads the default, nothing writes it
        tolerations: list = [],  # noqa: B006
        train_cpu: str = "0",
        train_memory: str = "0",
        step_node_selector: dict = {},  # noqa: B006
        step_cpu: str = "1",
        step_memory: str = "4Gi",
    ):
        """Train a model on prepared data, compare it with the champion, and publish it where it is good enough.

        Args:
            data: what to prepare.
            model: which architecture.
            training: how to train.
            evaluation: how to judge.
            export: what to hand over.
            data_root: where prepared data are kept: an absolute path or gs://.
            checkpoint_root: where checkpoints are kept: an absolute path or gs://.
            registry: where this model's versions are published: an absolute path or gs://.
            prepare_image: the image for prepare.
            train_image: the image for train.
            evaluate_image: the image for evaluate.
            export_image: the image for export.
            freshness: what stands for the state of data that lie outside; a new value prepares them anew.
            accelerator_type: the resource that train asks for, such as nvidia.com/gpu; empty for none.
            accelerator_count: how many of it.
            node_selector: labels of the nodes for train.
            tolerations: taints that train accepts.
            train_cpu: CPUs that train asks for; 0 for whatever its node has.
            train_memory: memory that train asks for; 0 for whatever its node has.
            step_node_selector: labels of the nodes for the other steps.
            step_cpu: CPUs that each of the other steps asks for.
            step_memory: memory that each of the other steps asks for.
        """

        def light(task, image):
            return on_cpu(task, image, step_cpu, step_memory, step_node_selector, variant)

        prepared = light(steps.prepare(data=data, data_root=data_root, freshness=freshness), prepare_image)
        if variant.fresh:
            prepared.set_caching_options(False)
        examples = prepared.outputs["examples"]
        fitted = on_accelerator(
            steps.train(
                examples=examples,
                model=model,
                training=training,
                checkpoint_root=checkpoint_root,
                accelerator_type=accelerator_type,
                accelerator_count=accelerator_count,
            ),
            train_image,
            accelerator_type,
            accelerator_count,
            node_selector,
            tolerations,
            train_cpu,
            train_memory,
            variant,
        )
        with_bucket(fitted, variant)
        trained = fitted.outputs["trained"]
        judged = light(
            steps.evaluate(examples=examples, trained=trained, evaluation=evaluation, registry=registry),
            evaluate_image,
        )
        # Both read the registry, which other runs change: what they decided once says nothing about today.
        with_bucket(judged, variant).set_caching_options(False)
        with dsl.If(judged.outputs["Output"] == True, name="accepted"):  # noqa: E712  # a condition for KFP to compile
            published = light(
                steps.export(
                    examples=examples,
                    trained=trained,
                    verdict=judged.outputs["verdict"],
                    export=export,
                    registry=registry,
                ),
                export_image,
            )
            with_bucket(published, variant).set_caching_options(False)

    return training
