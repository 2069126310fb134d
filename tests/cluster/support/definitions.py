"""The custom resources that a cluster with Kueue, Argo Workflows and GKE has."""

from pathlib import Path

import binaries
import yaml
from api import OURS, Api, Object, eventually, names
from clusters import leave

MINIMAL = Path(__file__).parents[1] / "crds"


def install(api: Api) -> None:
    """Make the definitions that are not there, and wait until they are served; they come with our programs."""
    if reason := binaries.reason():
        leave(reason)
    paths = [*(binaries.folder() / "crds" / name for name in binaries.DEFINITIONS), *sorted(MINIMAL.glob("*.yaml"))]
    wanted = [yaml.safe_load(path.read_text()) for path in paths]
    for each in wanted:
        each["metadata"]["labels"] = {**each["metadata"].get("labels", {}), **OURS}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    there = names(api.items(path))
    api.create(*(each for each in wanted if each["metadata"]["name"] not in there))
    # A definition that is established answers with 404 or 429 still, for a moment.
    lists = [path for each in wanted for path in _lists(each)]
    eventually(lambda: {api.status("GET", path) for path in lists}, lambda found: found == {(200, "")})


def _lists(definition: Object) -> list[str]:
    spec = definition["spec"]
    versions = [version["name"] for version in spec["versions"] if version["served"]]
    return [f"/apis/{spec['group']}/{version}/{spec['names']['plural']}" for version in versions]
