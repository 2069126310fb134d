"""Whether Argo's workflow controller retries a step whose node is taken away, or that reports a preemption.

Argo takes the termination message of a step's container for the message of its node, and OnTransientError retries it
if the message names a preemption (``components.core.failure``).

Source: argo-workflows v4.0.5, workflow/controller/operator.go and docs/retries.md; kubeflow/pipelines at 2.17.0,
manifests/kustomize/third-party/argo.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipelines.compile.check_result import CheckResult

NAME = "workflow-controller-configmap"
# Policies that retry after a node's shutdown (a pod that failed) and after a pod is gone (an error).
GOOD = ("OnTransientError", "Always")
LOST = {
    "OnError": "a step whose spot node is shut down is not retried, whatever --retries says",
    "OnFailure": "a step whose pod is gone with its node is not retried",
}
ADVICE = "apply manifests/components/retry-on-preemption"


def check_retries(config: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Check the controller's ConfigMap."""
    what = "retries"
    try:
        defaults = yaml.safe_load(config.get("data", {}).get("workflowDefaults", "")) or {}
        policy = defaults.get("spec", {}).get("templateDefaults", {}).get("retryStrategy", {}).get("retryPolicy")
    except (yaml.YAMLError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        yield CheckResult("warn", what, f"workflowDefaults in {NAME} cannot be read: {reason}", ADVICE)
        return
    # Without a policy, Kubeflow's own retry strategy has none either, and Argo uses OnFailure.
    described = f"retryPolicy {policy}" if policy else "no retryPolicy, so OnFailure"
    policy = policy or "OnFailure"
    if policy in GOOD:
        more = ", and so is a step that fails by itself" if policy == "Always" else ""
        yield CheckResult("ok", what, f"{described} in {NAME}: a preempted step is retried{more}")
    else:
        yield CheckResult(
            "warn", what, f"{described} in {NAME}: {LOST.get(policy, 'Argo knows no such policy')}", ADVICE
        )
