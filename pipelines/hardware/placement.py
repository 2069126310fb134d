"""The placement of a task's pod: every value is a pipeline parameter, so one compiled file serves every node pool."""

from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask

from components.steps import STEPS
from components.storage import MOUNTS
from pipelines.hardware.catalog.shapes import GPU_LABEL, TPU_LABEL
from pipelines.hardware.pods import QUEUE_LABEL
from pipelines.hardware.variant import RETRIES, Variant

# Labels of nodes with accelerators, which no step without one may occupy, tainted or not.
ACCELERATOR_LABELS = (GPU_LABEL, TPU_LABEL)
WEEK_S = "604800s"
# The user of images/Dockerfile, and of a team's own images.
USER = 65532
# Pods with it may reach any host (manifests/components/egress-private).
DOWNLOADS_LABEL = "suanli/downloads"
# Volume -> its path. Kubeflow's launcher has its own volumes for /gcs, /s3, /.cache and so on.
WRITABLE = {"suanli-tmp": "/tmp", "suanli-home": "/home/suanli"}


def on_cpu(task: PipelineTask, image: Any, cpu: Any, memory: Any, node_selector: Any, variant: Variant) -> PipelineTask:
    """A step that needs no accelerator, and never runs on a node that has one.

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
        cpu: how many CPUs the pod asks for; ``0`` for no request.
        memory: how much memory; ``0`` for no request.
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
    if variant.timeout:
        kubernetes.set_timeout(task, variant.timeout)
    if variant.queue:
        kubernetes.add_pod_label(task, QUEUE_LABEL, variant.queue)
    return _confined(_retried(task, variant.retries))


def with_bucket(task: PipelineTask, variant: Variant) -> PipelineTask:
    """A step with the bucket mounted as a folder, if the variant has a claim of it.

    GKE adds the sidecar that mounts it to pods with this annotation
    (https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-storage-fuse-csi-driver-pv).
    """
    if variant.bucket_claim:
        kubernetes.mount_pvc(task, variant.bucket_claim, f"{MOUNTS}/{variant.bucket}")
        kubernetes.add_pod_annotation(task, "gke-gcsfuse/volumes", "true")
    return task


def _sized(task: PipelineTask, cpu: Any, memory: Any) -> PipelineTask:
    """Requests without limits: a step may use the spare capacity of its node."""
    task.set_cpu_request(cpu).set_memory_request(memory)
    task.register_pipeline_channels([value for value in (cpu, memory) if not isinstance(value, str)])
    return task


def _confined(task: PipelineTask) -> PipelineTask:
    """No root, writable volumes, so that the rest of the file system may be read-only, and the network that it needs.

    kfp-kubernetes 2.17 has no field for a read-only file system: a policy of the cluster sets it (docs/safety.md).
    Kubeflow's backend drops privileges and capabilities (argocompiler/security_context.go at 2.17.0).
    """
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    row = STEPS.get(task.component_spec.name)
    if row and row.downloads:
        kubernetes.add_pod_label(task, DOWNLOADS_LABEL, "true")
    for name, path in WRITABLE.items():
        kubernetes.empty_dir_mount(task, name, path)
    return task


def _retried(task: PipelineTask, times: int) -> PipelineTask:
    if times:
        # Argo counts the maximum back-off from the first attempt and retries no more after it: the default of an hour
        # would end the retries of longer steps. It waits the back-off before it looks whether to retry at all, so every
        # failure is told that much later; a pod that is retried early waits for its node.
        task.set_retry(num_retries=times, backoff_duration="10s", backoff_factor=2.0, backoff_max_duration=WEEK_S)
    return task
