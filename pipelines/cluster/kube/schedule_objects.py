"""The Kubernetes objects of schedules that Kubeflow's server does not list: what a creation that failed has left.

The server makes the object before its own row, and takes the object's uid for the schedule's id (kubeflow/pipelines
2.17.0, backend/src/apiserver/resource/resource_manager.go, CreateJob). An object without a row starts runs, too.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pipelines.cluster.kube.access import Access, list_items


def objects(cluster: Access, namespace: str) -> list[dict[str, Any]]:
    """The objects of all schedules of a namespace.

    Raises:
        ForbiddenError: this user may not list them.
        StepError: the cluster does not answer.
    """
    return list_items(cluster, f"/apis/kubeflow.org/v1beta1/namespaces/{namespace}/scheduledworkflows")


def orphans(objects: Iterable[Mapping[str, Any]], known: Collection[str]) -> list[str]:
    """The names of the objects that belong to none of the server's schedules.

    Args:
        known: the ids of all schedules that the server lists in the namespace.
    """
    return sorted(each["metadata"]["name"] for each in objects if each["metadata"]["uid"] not in known)


def removal(names: Iterable[str], namespace: str) -> str:
    """The command that removes objects."""
    return f"kubectl delete scheduledworkflow {' '.join(names)} --namespace {namespace}"
