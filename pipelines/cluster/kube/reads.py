"""What is read of a cluster before a run: each piece with the right that it takes, all of them at once."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from components.core.errors import StepError
from pipelines.cluster.kube import capacity
from pipelines.cluster.kube.access import Access, ForbiddenError, Right, granted, listed, read
from pipelines.compile.check_result import CheckResult

AUTOSCALER = "cluster-autoscaler-status"
# Kubeflow's launcher reads the namespace's default pipeline root there.
LAUNCHER = "kfp-launcher"


@dataclass(frozen=True)
class Look:
    """Something to read, the right that it takes, and what cannot be said without it.

    Attributes:
        quiet: nothing is said where the right is missing.
    """

    right: Right
    unsaid: str
    read: Callable[[], Any] = lambda: None
    quiet: bool = False


@dataclass
class Seen:
    """What came of some looks.

    Attributes:
        values: what was read, by the look's name; None for an object that is not there.
        missing: a finding for each right that is missing.
        faults: what failed otherwise; the cluster gave no answer, or one that is an error.
    """

    values: dict[str, Any] = field(default_factory=dict)
    missing: list[CheckResult] = field(default_factory=list)
    faults: list[StepError] = field(default_factory=list)

    def sound(self) -> None:
        """Raises the first fault, if there is one."""
        for fault in self.faults:
            raise fault


def common(way: Access, namespace: str, service_account: str, pipeline_root: str) -> dict[str, Look]:
    """What every run needs: names, nodes, quotas, and the rights to follow it.

    Args:
        way: into the cluster.
        namespace: the runs' namespace.
        service_account: what their pods run as; empty for the server's choice, which is not looked at.
        pipeline_root: where artifacts go; empty for the namespace's default, which is looked up.
    """
    root = f"/api/v1/namespaces/{namespace}"
    looks = {
        "namespace": Look(
            Right("get", "namespaces", namespace, name=namespace), "whether it exists", lambda: read(way, root)
        ),
        "nodes": Look(Right("list", "nodes"), "whether a node fits", lambda: listed(way, "/api/v1/nodes")),
        "loads": Look(
            Right("list", "pods"), "what is in use on the nodes", lambda: capacity.load_of(listed(way, "/api/v1/pods"))
        ),
        "quotas": Look(
            Right("list", "resourcequotas", namespace), "the quota", lambda: listed(way, f"{root}/resourcequotas")
        ),
        "ranges": Look(
            Right("list", "limitranges", namespace), "the limit ranges", lambda: listed(way, f"{root}/limitranges")
        ),
        "own pods": Look(Right("list", "pods", namespace), "why a step hangs, while the run is followed"),
        "groups": Look(
            Right("get", "configmaps", "kube-system", name=AUTOSCALER),
            "which pools are scaled to zero",
            lambda: read(way, f"/api/v1/namespaces/kube-system/configmaps/{AUTOSCALER}"),
            quiet=True,
        ),
    }
    if service_account:
        looks["account"] = Look(
            Right("get", "serviceaccounts", namespace, name=service_account),
            "the service account",
            lambda: read(way, f"{root}/serviceaccounts/{service_account}"),
        )
    if not pipeline_root:
        looks["launcher"] = Look(
            Right("get", "configmaps", namespace, name=LAUNCHER),
            "the default pipeline root",
            lambda: read(way, f"{root}/configmaps/{LAUNCHER}"),
        )
    return looks


def seen(way: Access, looks: Mapping[str, Look]) -> Seen:
    """Read all that this user may."""
    found = Seen()
    try:
        rights = granted(way, [look.right for look in looks.values()])
    except ForbiddenError:
        found.missing.append(
            CheckResult("warn", "rights", "the cluster does not say what this user may read", "all is tried")
        )
        rights = {look.right: True for look in looks.values()}
    except StepError as error:
        found.faults.append(error)
        return found

    def answer(look: Look) -> Any:
        try:
            return look.read() if rights[look.right] else ForbiddenError("")
        except StepError as error:
            return error

    with ThreadPoolExecutor(len(looks)) as pool:
        answers = dict(zip(looks, pool.map(answer, looks.values()), strict=True))
    for name, value in answers.items():
        match value:
            case ForbiddenError():
                found.missing += [] if looks[name].quiet else [missing(looks[name])]
            case StepError():
                found.faults.append(value)
            case _:
                found.values[name] = value
    return found


def missing(look: Look) -> CheckResult:
    """The finding for a right that this user lacks."""
    return CheckResult("warn", f"right to {look.right}", "missing", f"not checked: {look.unsaid}")


def tried(look: Look, check: Callable[[], Iterable[CheckResult]]) -> list[CheckResult]:
    """A check that reads for itself; a missing right where the server's review had not told of it."""
    try:
        return list(check())
    except ForbiddenError:
        return [missing(look)]
