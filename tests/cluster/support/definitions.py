"""The custom resources that a cluster with Kueue, Argo Workflows and GKE has."""

from pathlib import Path

import binaries
import yaml
from api import Api, Object, eventually

OURS = Path(__file__).parents[1] / "crds"


def install(api: Api) -> None:
    """Make the definitions that are not there, and wait until they are served."""
    paths = [*(binaries.folder() / "crds" / name for name in binaries.DEFINITIONS), *sorted(OURS.glob("*.yaml"))]
    wanted: list[Object] = [yaml.safe_load(path.read_text()) for path in paths]
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    there = {each["metadata"]["name"] for each in api.items(path)}
    api.create(*(each for each in wanted if each["metadata"]["name"] not in there))
    ours = {each["metadata"]["name"] for each in wanted}
    eventually(lambda: {each["metadata"]["name"] for each in api.items(path) if _established(each)}, ours.issubset)


def _established(definition: Object) -> bool:
    conditions = {each["type"]: each["status"] for each in definition.get("status", {}).get("conditions") or ()}
    return conditions.get("Established") == "True"
