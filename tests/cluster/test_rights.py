"""What the service account and the groups of the overlays may do, by the API server's own reviews."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import kubeflow_namespace
import pytest
from clusters import Cluster
from kubectl import ROOT

PAGE = ROOT / "docs/control-plane.md"
HEAD = "| may | runs (dev, prod) | submitters (dev) | submitters (prod) |\n| --- | --- | --- | --- |\n"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
ROLES = ("bind", "escalate")
# The objects that a rule names, for resources where rules do.
NAMES = {
    "configmaps": ("kfp-launcher", "cluster-autoscaler-status"),
    "secrets": ("mlpipeline-minio-artifact",),
    "serviceaccounts": ("suanli-runner", "pipeline-runner"),
    "services": ("ml-pipeline", "ml-pipeline-ui"),
}
PLACES = ("kubeflow", "kube-system", "")


class Person(NamedTuple):
    user: str
    groups: tuple[str, ...]


RUNNER = Person("system:serviceaccount:kubeflow:suanli-runner", ("system:serviceaccounts", "system:authenticated"))
STRANGER = Person("somebody", ("system:authenticated",))


class Act(NamedTuple):
    """Something that one may do; an empty name means every object, an empty place the whole cluster."""

    verb: str
    group: str
    resource: str
    name: str
    place: str

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f"in {self.place}" if self.place else "everywhere"
        return f"{self.verb} {what}{f' {self.name}' if self.name else ''} {where}"


def members(overlay: str) -> Person:
    return Person("somebody", (f"ml-{overlay}@example.com", "system:authenticated"))


def acts(cluster: Cluster) -> list[Act]:
    """Everything that this API server knows, with every verb."""
    api = cluster.api
    versions = ["/api/v1"] + [
        f"/apis/{group['preferredVersion']['groupVersion']}" for group in api.get("/apis")["groups"]
    ]
    found = []
    for path in versions:
        group = path.removeprefix("/apis/").rpartition("/")[0] if path.startswith("/apis") else ""
        for resource in api.get(path)["resources"]:
            kind = resource["name"]
            for place in PLACES if resource["namespaced"] else ("",):
                verbs = (*VERBS, *ROLES) if kind in {"roles", "clusterroles"} else VERBS
                for name in ("", *(NAMES.get(kind, ()) if place else ())):
                    found += [Act(verb, group, kind, name, place) for verb in verbs]
    # A get of the namespace itself is asked about inside it.
    return [*found, Act("get", "", "namespaces", "", "kubeflow")]


def allowed(cluster: Cluster, person: Person, act: Act) -> bool:
    resource, _, subresource = act.resource.partition("/")
    attributes = {"verb": act.verb, "group": act.group, "resource": resource, "subresource": subresource}
    attributes |= {"name": act.name, "namespace": act.place}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": person.user, "groups": list(person.groups), "resourceAttributes": attributes},
    }
    answer = cluster.api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def rights(cluster: Cluster, person: Person, asked: Collection[Act]) -> set[Act]:
    """What a person may, and no stranger."""
    with ThreadPoolExecutor(8) as pool:
        mine = list(pool.map(lambda act: allowed(cluster, person, act), asked))
    may = {act for act, yes in zip(asked, mine, strict=True) if yes}
    return {act for act in may if not allowed(cluster, STRANGER, act)}


def granted(may: set[Act]) -> set[Act]:
    """These without what follows from others: a name from all names, a namespace from everywhere."""
    named = {act for act in may if act.name and act._replace(name="") in may}
    placed = {act for act in may if act.place and act._replace(place="", name="") in may}
    return may - named - placed


@pytest.fixture(scope="module")
def found(cluster: Cluster) -> Iterator[dict[str, set[Act]]]:
    """Column -> rights, each overlay applied by itself."""
    columns = {}
    for overlay in ("dev", "prod"):
        with kubeflow_namespace.furnished(cluster):
            kubeflow_namespace.apply(cluster, overlay)
            asked = acts(cluster)
            mine = columns[f"runs ({overlay})"] = rights(cluster, RUNNER, asked)
            theirs = columns[f"submitters ({overlay})"] = rights(cluster, members(overlay), asked)
            other = "prod" if overlay == "dev" else "dev"
            columns[f"others ({overlay})"] = rights(cluster, members(other), mine | theirs)
    yield columns


def table(found: dict[str, set[Act]]) -> str:
    columns = [found["runs (dev)"], found["submitters (dev)"], found["submitters (prod)"]]
    lines = sorted(
        set().union(*map(granted, columns)), key=lambda act: (act.place == "", act.place, act.group, act.resource, act)
    )
    marks = [[f"`{act}`", *("yes" if act in column else "" for column in columns)] for act in lines]
    return HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in marks)


def test_the_rights_are_those_of_the_page(found: dict[str, set[Act]]) -> None:
    text = PAGE.read_text() if PAGE.is_file() else ""
    begin = text.find(HEAD)
    documented = text[begin : text.find("\n\n", begin) + 1]
    assert documented == table(found), f"{PAGE.name} should have\n{table(found)}"


def test_runs_have_the_same_rights_everywhere_and_other_groups_have_none(found: dict[str, set[Act]]) -> None:
    assert found["runs (dev)"] == found["runs (prod)"]
    assert found["others (dev)"] == found["others (prod)"] == set()


def test_nobody_may_change_rights_make_pods_or_read_secrets(found: dict[str, set[Act]]) -> None:
    everything = set().union(*found.values())
    assert len(everything) > 10
    assert {act.verb for act in everything} <= {"get", "list", "create", "patch"}
    assert {act.resource for act in everything if act.verb in {"create", "patch"}} == {
        "workflowtaskresults",
        "pods/portforward",
    }
    assert {(act.name, act.place) for act in everything if act.resource == "secrets"} == {
        ("mlpipeline-minio-artifact", "kubeflow")
    }
