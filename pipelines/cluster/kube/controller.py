"""Whether Argo's workflow controller retries a step whose node is taken away, or that says it was preempted.

Argo takes the last words of a step's container for the message of its node, and OnTransientError retries what these
name as a preemption (``components.core.failure``).

Source: argo-workflows v4.0.5, workflow/controller/operator.go and docs/retries.md; kubeflow/pipelines at 2.17.0,
manifests/kustomize/third-party/argo.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipelines.compile.check_result import CheckResult

NAME = "workflow-controller-configmap"
# Policies that take a node's shutdown (a pod that failed) and a pod that is gone (an error) for worth another try.
GOOD = ("OnTransientError", "Always")
LOST = {
    "OnError": "a step whose spot node is shut down is not retried, whatever --retries says",
    "OnFailure": "a step whose pod is gone with its node is not retried",
}
MEND = "apply manifests/components/retry-on-preemption"


def retries(config: Mapping[str, Any]) -> Iterator[CheckResult]:
    """What the controller's ConfigMap says about retries.

    Args:
        config: the ConfigMap.
    """
    what = "retries"
    try:
        defaults = yaml.safe_load(config.get("data", {}).get("workflowDefaults", "")) or {}
        policy = defaults.get("spec", {}).get("templateDefaults", {}).get("retryStrategy", {}).get("retryPolicy")
    except (yaml.YAMLError, AttributeError) as error:
        said = " ".join(str(error).split())[:200]
        yield CheckResult("warn", what, f"workflowDefaults in {NAME} cannot be read: {said}", MEND)
        return
    # Without a policy, Kubeflow's own retry strategy has none either, and Argo takes OnFailure.
    named = f"retryPolicy {policy}" if policy else "no retryPolicy, so OnFailure"
    policy = policy or "OnFailure"
    if policy in GOOD:
        more = ", and so is one with a fault of its own" if policy == "Always" else ""
        yield CheckResult("ok", what, f"{named} in {NAME}: a preempted step is tried again{more}")
    else:
        yield CheckResult("warn", what, f"{named} in {NAME}: {LOST.get(policy, 'Argo knows no such policy')}", MEND)
