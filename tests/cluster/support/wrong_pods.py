"""Pods as a mistake would make them."""

from dataclasses import replace

from pipelines.hardware.catalog.shapes import TOPOLOGY_LABEL
from pipelines.hardware.pods import Pod


def without_toleration(pod: Pod) -> Pod:
    return replace(pod, tolerations=[])


def twice_the_chips(pod: Pod) -> Pod:
    return replace(pod, limits={resource: str(2 * int(count)) for resource, count in pod.limits.items()})


def other_topology(pod: Pod) -> Pod:
    return replace(pod, node_selector={**pod.node_selector, TOPOLOGY_LABEL: "12x12x12"})
