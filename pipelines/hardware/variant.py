"""The constants of a compiled pipeline: what KFP does not take as a parameter."""

from dataclasses import dataclass

# How often a step is retried after a lost node. On-demand nodes are lost, too: to upgrades and, with accelerators, to
# host maintenance. The controller decides what is retried (docs/failures.md): a lost node, and a step that ended as
# preempted.
RETRIES = 2
SPOT_RETRIES = 3


@dataclass(frozen=True)
class Variant:
    """Constants of a compiled pipeline: other values compile to another file, under a digest of its own.

    Attributes:
        shared_memory: size of /dev/shm in the train pod, such as ``16Gi``; empty for half of the node's memory.
        retries: how often the train pod is retried after a preemption; the other steps at most ``RETRIES`` times.
        timeout: seconds after which the train pod is stopped; 0 for never.
        queue: Kueue's local queue of the train pod, if any.
        bucket: a bucket mounted as a folder below ``storage.MOUNTS`` in the steps that read data, if any.
        bucket_claim: the claim by which it is mounted.
        fresh: whether prepare reads its source each time instead of using a cached result.
    """

    shared_memory: str = ""
    retries: int = RETRIES
    timeout: int = 0
    queue: str = ""
    bucket: str = ""
    bucket_claim: str = ""
    fresh: bool = False
