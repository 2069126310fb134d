"""What is read of a cluster before a run: each read with the right that it takes, all of them at once."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from components.core.errors import StepError
from pipelines.cluster.kube import capacity
from pipelines.cluster.kube.access import Access, Right, granted, list_items, read
from pipelines.cluster.kube.errors import ForbiddenError
from pipelines.compile.check_result import CheckResult

AUTOSCALER = "cluster-autoscaler-status"
# Kubeflow's launcher reads the namespace's default pipeline root there.
LAUNCHER = "kfp-launcher"


@dataclass(frozen=True)
class Read:
    """Something to read.

    Attributes:
        right: what it takes.
        purpose: what is not checked without it.
        load: reads it; by default nothing, if only the right matters.
        quiet: a missing right is not reported.
    """

    right: Right
    purpose: str
    load: Callable[[], Any] = lambda: None
    quiet: bool = False


@dataclass
class ReadResults:
    """The results of some reads.

    Attributes:
        values: what was read, by the read's name; None for an object that does not exist.
        missing: a warning for each missing right.
        errors: the cluster gave no answer, or an error.
    """

    values: dict[str, Any] = field(default_factory=dict)
    missing: list[CheckResult] = field(default_factory=list)
    errors: list[StepError] = field(default_factory=list)

    def raise_error(self) -> None:
        """Raise the first error, if any."""
        for error in self.errors:
            raise error


def common_reads(cluster: Access, namespace: str, service_account: str, pipeline_root: str) -> dict[str, Read]:
    """What every run needs: names, nodes, quotas, and the rights to follow it.

    Args:
        cluster: to read.
        namespace: of the runs.
        service_account: of their pods; empty for the server's default, which is not read.
        pipeline_root: where artifacts go; empty for the namespace's default, which is read.
    """
    root = f"/api/v1/namespaces/{namespace}"
    reads = {
        "namespace": Read(
            Right("get", "namespaces", namespace, name=namespace), "whether it exists", lambda: read(cluster, root)
        ),
        "nodes": Read(Right("list", "nodes"), "whether a node fits", lambda: list_items(cluster, "/api/v1/nodes")),
        "loads": Read(
            Right("list", "pods"),
            "what is in use on the nodes",
            lambda: capacity.loads(list_items(cluster, "/api/v1/pods")),
            quiet=True,  # the pods of other namespaces are not everybody's business
        ),
        "quotas": Read(
            Right("list", "resourcequotas", namespace),
            "the quota",
            lambda: list_items(cluster, f"{root}/resourcequotas"),
        ),
        "ranges": Read(
            Right("list", "limitranges", namespace),
            "the limit ranges",
            lambda: list_items(cluster, f"{root}/limitranges"),
        ),
        "own pods": Read(Right("list", "pods", namespace), "why a step hangs, while the run is followed"),
        "groups": Read(
            Right("get", "configmaps", "kube-system", name=AUTOSCALER),
            "which pools are scaled to zero",
            lambda: read(cluster, f"/api/v1/namespaces/kube-system/configmaps/{AUTOSCALER}"),
            quiet=True,
        ),
    }
    if service_account:
        reads["account"] = Read(
            Right("get", "serviceaccounts", namespace, name=service_account),
            "the service account",
            lambda: read(cluster, f"{root}/serviceaccounts/{service_account}"),
        )
    if not pipeline_root:
        reads["launcher"] = Read(
            Right("get", "configmaps", namespace, name=LAUNCHER),
            "the default pipeline root",
            lambda: read(cluster, f"{root}/configmaps/{LAUNCHER}"),
        )
    return reads


def read_all(cluster: Access, reads: Mapping[str, Read]) -> ReadResults:
    """Read everything that this user may."""
    results = ReadResults()
    try:
        rights = granted(cluster, [each.right for each in reads.values()])
    except ForbiddenError:
        results.missing.append(
            CheckResult("warn", "rights", "the cluster does not say what this user may read", "all is tried")
        )
        rights = {each.right: True for each in reads.values()}
    except StepError as error:
        results.errors.append(error)
        return results

    def load(each: Read) -> Any:
        try:
            return each.load() if rights[each.right] else ForbiddenError("")
        except StepError as error:
            return error

    with ThreadPoolExecutor(len(reads)) as pool:
        values = dict(zip(reads, pool.map(load, reads.values()), strict=True))
    for name, value in values.items():
        match value:
            case ForbiddenError():
                results.missing += [] if reads[name].quiet else [missing_right(reads[name])]
            case StepError():
                results.errors.append(value)
            case _:
                results.values[name] = value
    return results


def missing_right(each: Read) -> CheckResult:
    """The warning about a right that this user lacks."""
    return CheckResult("warn", f"right to {each.right}", "missing", f"not checked: {each.purpose}")


def run_check(each: Read, check: Callable[[], Iterable[CheckResult]]) -> list[CheckResult]:
    """The results of a check that reads for itself, or the missing right, if the server's review did not show it."""
    try:
        return list(check())
    except ForbiddenError:
        return [missing_right(each)]
