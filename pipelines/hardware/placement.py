"""Where a task's pod goes: every value is a pipeline parameter, so one compiled file serves every node pool."""

from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask

from components.storage import MOUNTS
from pipelines.hardware.catalog.shapes import GPU_LABEL, TPU_LABEL
from pipelines.hardware.pods import QUEUE_LABEL
from pipelines.hardware.variant import RETRIES, Variant

# Nodes that carry accelerators, which no step without one may occupy, tainted or not.
ACCELERATOR_LABELS = (GPU_LABEL, TPU_LABEL)
WEEK_S = "604800s"
# images/Dockerfile's user; an image of a team's own runs as it, too.
USER = 65532
# Volume -> where a step may write: what the launcher makes there it has volumes for itself (/gcs, /s3, /.cache, ...).
WRITABLE = {"suanli-tmp": "/tmp", "suanli-home": "/home/suanli"}


def on_cpu(task: PipelineTask, image: Any, cpu: Any, memory: Any, node_selector: Any, variant: Variant) -> PipelineTask:
    """A step that needs no accelerator, and never lies on a node that has one.

    Args:
        cpu: how many CPUs the pod asks for, a str parameter such as ``2`` or ``500m``.
        memory: how much memory, a str parameter such as ``4Gi``.
        node_selector: labels of the nodes.
    """
    _sized(task.set_container_image(image), cpu, memory)
    kubernetes.add_node_selector_json(task, node_selector)
    absent = [{"key": label, "operator": "DoesNotExist"} for label in ACCELERATOR_LABELS]
    kubernetes.add_node_affinity(task, match_expressions=absent)
    return _confined(_retried(task, min(RETRIES, variant.retries)))


def on_accelerator(
    task: PipelineTask,
    image: Any,
    accelerator_type: Any,
    accelerator_count: Any,
    node_selector: Any,
    tolerations: Any,
    cpu: Any,
    memory: Any,
    variant: Variant,
) -> PipelineTask:
    """A step on the accelerator that the submission names; an empty type and a count of "0" mean none.

    Args:
        accelerator_count: a str parameter, as are cpu and memory: Kubeflow's backend reads an int one as "" and the
            pod starts without its accelerator.
        cpu: how many CPUs the pod asks for; ``0`` for whatever is there.
        memory: how much memory; ``0`` for whatever is there.
    """
    task.set_container_image(image).set_accelerator_type(accelerator_type).set_accelerator_limit(accelerator_count)
    # set_accelerator_* do not register their parameters, which fails inside If, ParallelFor and ExitHandler.
    task.register_pipeline_channels([accelerator_type, accelerator_count])
    _sized(task, cpu, memory)
    kubernetes.add_node_selector_json(task, node_selector)
    kubernetes.add_toleration_json(task, tolerations)
    # Containers get 64 MB of /dev/shm; input pipelines with worker processes die of it.
    kubernetes.empty_dir_mount(
        task, "shared-memory", "/dev/shm", medium="Memory", size_limit=variant.shared_memory or None
    )
    return _constants(_confined(task), variant)


def with_bucket(task: PipelineTask, variant: Variant) -> PipelineTask:
    """A step that finds the bucket's files in a folder, where the variant names a claim of it.

    GKE adds the sidecar that mounts it to pods with this annotation
    (https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-storage-fuse-csi-driver-pv).
    """
    if variant.bucket_claim:
        kubernetes.mount_pvc(task, variant.bucket_claim, f"{MOUNTS}/{variant.bucket}")
        kubernetes.add_pod_annotation(task, "gke-gcsfuse/volumes", "true")
    return task


def _sized(task: PipelineTask, cpu: Any, memory: Any) -> PipelineTask:
    """Requests, no limits: a step may use what its node has to spare."""
    task.set_cpu_request(cpu).set_memory_request(memory)
    task.register_pipeline_channels([value for value in (cpu, memory) if not isinstance(value, str)])
    return task


def _confined(task: PipelineTask) -> PipelineTask:
    """No root, and writable places of its own, so that the rest of the file system may be read-only.

    kfp-kubernetes 2.17 has no field for a read-only one: a policy of the cluster's sets it (docs/safety.md). Privileges
    and capabilities are dropped by Kubeflow's backend (argocompiler/security_context.go at 2.17.0).
    """
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    for name, place in WRITABLE.items():
        kubernetes.empty_dir_mount(task, name, place)
    return task


def _retried(task: PipelineTask, times: int) -> PipelineTask:
    if times:
        # Argo counts the longest back-off from the first attempt and ends a retry by it: the default hour would
        # forbid to retry what has worked for longer. A minute lets a node go, and another one come.
        task.set_retry(num_retries=times, backoff_duration="60s", backoff_factor=2.0, backoff_max_duration=WEEK_S)
    return task


def _constants(task: PipelineTask, variant: Variant) -> PipelineTask:
    _retried(task, variant.retries)
    if variant.timeout:
        kubernetes.set_timeout(task, variant.timeout)
    if variant.queue:
        kubernetes.add_pod_label(task, QUEUE_LABEL, variant.queue)
    return task
