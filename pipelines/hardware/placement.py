"""Where a task's pod goes: every value is a pipeline parameter, so one compiled file serves every node pool."""

from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask


def on_cpu(task: PipelineTask, image: Any) -> PipelineTask:
    """A step that needs no accelerator."""
    return task.set_container_image(image)


def on_accelerator(
    task: PipelineTask, image: Any, accelerator_type: Any, accelerator_count: Any, node_selector: Any, tolerations: Any
) -> PipelineTask:
    """A step on the accelerator that the submission names; an empty type and a count of "0" mean none.

    Args:
        accelerator_count: a str parameter: Kubeflow's backend reads an int one as "" and the pod starts without
            its accelerator.
    """
    task.set_container_image(image).set_accelerator_type(accelerator_type).set_accelerator_limit(accelerator_count)
    # set_accelerator_* do not register their parameters, which fails inside If, ParallelFor and ExitHandler.
    task.register_pipeline_channels([accelerator_type, accelerator_count])
    kubernetes.add_node_selector_json(task, node_selector)
    kubernetes.add_toleration_json(task, tolerations)
    # Containers get 64 MB of /dev/shm; input pipelines with worker processes die of it.
    kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", medium="Memory")
    return task
