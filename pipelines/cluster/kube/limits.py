"""Whether a namespace's ResourceQuotas and LimitRanges admit a pod.

Rules: Kubernetes, "Resource Quotas" and "Limit Ranges".
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pipelines.cluster.kube.capacity import Amounts, Pod, format_amount
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.pods import quantity

Objects = Sequence[Mapping[str, Any]]
COUNTED = ("pods", "count/pods")
COMPUTE = ("cpu", "memory")
SET_REQUESTS = "give the target step_cpu and step_memory, or have a LimitRange with defaults"


def check_quotas(steps: str, pod: Pod, objects: Objects, ranges: Objects) -> Iterator[CheckResult]:
    """Quotas that do not admit the pod: it asks for more than the quota or the rest of it, or lacks a request."""
    requests, limits = _requests_and_limits(pod, ranges)
    for quota in objects:
        name, status = quota["metadata"]["name"], quota.get("status", {})
        hard = status.get("hard") or quota.get("spec", {}).get("hard") or {}
        # A quota with scopes counts some pods only; whether it counts this one is not known here.
        scoped = bool(quota.get("spec", {}).get("scopes") or quota.get("spec", {}).get("scopeSelector"))
        for key, text in hard.items():
            needed = _needed(key, requests, limits)
            what = f"{steps}: quota {name}"
            resource = _resource(key)
            if needed is None:
                if not scoped:
                    kind = "limit" if key.startswith("limits.") else "request"
                    yield CheckResult(
                        "fail", what, f"it requires a {resource} {kind}, and the pod has none", SET_REQUESTS
                    )
                continue
            most, used = quantity(text), quantity(status.get("used", {}).get(key, "0"))
            if needed == 0 or needed <= most - used:
                continue
            left = f"{format_amount(resource, most - used)} left of {format_amount(resource, most)}"
            shortage = f"{key}: {format_amount(resource, needed)} wanted, {left}"
            if needed > most and not scoped:
                yield CheckResult("fail", what, shortage, "ask for less, or have the quota raised")
            else:
                yield CheckResult("warn", what, shortage, "it waits until other pods end, or have the quota raised")


def quota_usage(objects: Objects) -> Iterator[CheckResult]:
    """What is left of each of a namespace's quotas."""
    for quota in objects:
        name, status = quota["metadata"]["name"], quota.get("status", {})
        hard: Mapping[str, str] = status.get("hard") or quota.get("spec", {}).get("hard") or {}
        rest = {key: quantity(text) - quantity(status.get("used", {}).get(key, "0")) for key, text in hard.items()}
        full = [key for key, amount in rest.items() if amount <= 0 < quantity(hard[key])]
        usage = ", ".join(
            f"{key}: {format_amount(_resource(key), rest[key])} left of {text}" for key, text in hard.items()
        )
        if full:
            advice = f"pods that ask for {', '.join(full)} are not admitted until others end, or the quota is raised"
            yield CheckResult("warn", f"quota {name}", usage, advice)
        else:
            yield CheckResult("ok", f"quota {name}", usage)


def _resource(key: str) -> str:
    """The resource that an entry of a quota limits."""
    return key.removeprefix("requests.").removeprefix("limits.")


def _needed(key: str, requests: Amounts, limits: Amounts) -> Decimal | None:
    """What a pod takes of one entry of a quota; None if the pod must ask for it and does not."""
    if key in COUNTED:
        return Decimal(1)
    amounts = limits if key.startswith("limits.") else requests
    resource = _resource(key)
    return amounts.get(resource) if resource in COMPUTE else amounts.get(resource, Decimal(0))


def _requests_and_limits(pod: Pod, ranges: Objects) -> tuple[Amounts, Amounts]:
    """Requests and limits, with the defaults that the namespace's LimitRanges fill in.

    Source: kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_LimitRangeItem).
    """
    limits = {name: quantity(value) for name, value in pod.limits.items()}
    requests = {**limits, **{name: quantity(value) for name, value in pod.requests.items()}}
    for item in _items(ranges, "Container"):
        defaults = {**item.get("max", {}), **item.get("default", {})}
        for name, value in {**item.get("min", {}), **defaults, **item.get("defaultRequest", {})}.items():
            requests.setdefault(name, quantity(value))
        for name, value in defaults.items():
            limits.setdefault(name, quantity(value))
    return requests, limits


def _items(ranges: Objects, kind: str) -> Iterator[Mapping[str, Any]]:
    for each in ranges:
        yield from (item for item in each.get("spec", {}).get("limits", ()) if item.get("type") == kind)


def check_ranges(steps: str, pod: Pod, objects: Objects) -> Iterator[CheckResult]:
    """LimitRanges that do not admit the pod."""
    requests, limits = _requests_and_limits(pod, objects)
    largest = {name: max(requests.get(name, Decimal(0)), limits.get(name, Decimal(0))) for name in {*requests, *limits}}
    for each in objects:
        what = f"{steps}: limit range {each['metadata']['name']}"
        for item in (*_items([each], "Container"), *_items([each], "Pod")):
            for name, text in item.get("max", {}).items():
                if largest.get(name, Decimal(0)) > quantity(text):
                    most = format_amount(name, quantity(text))
                    excess = f"{format_amount(name, largest[name])} wanted, at most {most} allowed"
                    yield CheckResult("fail", what, excess, "ask for less, or have the range raised")
            for name, text in item.get("min", {}).items():
                if name in requests and requests[name] < quantity(text):
                    least = format_amount(name, quantity(text))
                    lack = f"{format_amount(name, requests[name])} wanted, at least {least} required"
                    yield CheckResult("fail", what, lack, "ask for more")
