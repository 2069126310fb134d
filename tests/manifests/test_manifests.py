"""The manifests as a real kustomize renders them: valid, of least rights, and what the catalog says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from manifest_objects import OVERLAYS, ROOT, objects, of_kind, overlay, rendered

from pipelines.hardware import catalog, manifests, placement_parameters
from pipelines.hardware.ladder import Rung

CATALOG = catalog.load(ROOT.parent)
SCHEMAS = yaml.safe_load((Path(__file__).parent / "schemas.yaml").read_text())
# The oldest Kubernetes that has flex-start for TPUs on GKE, and the newest that the validator knows.
VERSIONS = ("1.33", "1.37")
# Kubeflow's own objects, which our components complete.
KUBEFLOWS = {"kfp-launcher", "kubeflow"}
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "ClusterQueue", "ResourceFlavor", "ComputeClass", "Namespace"}
FILES = sorted(path for path in ROOT.rglob("*.yaml"))

# Everything that anybody is granted: role -> API group, resource, names (empty for all), verbs.
RIGHTS: dict[str, set[tuple[str, str, str, str]]] = {
    "Role suanli-runner": {
        ("argoproj.io", "workflowtaskresults", "", "create patch"),
        ("", "pods", "", "get list"),
        ("", "configmaps", "kfp-launcher", "get"),
        ("", "secrets", "mlpipeline-minio-artifact", "get"),
    },
    "Role suanli-submitter": {
        ("", "namespaces", "", "get"),
        ("", "pods", "", "list"),
        ("", "events", "", "list"),
        ("", "resourcequotas", "", "list"),
        ("", "limitranges", "", "list"),
        ("", "serviceaccounts", "pipeline-runner suanli-runner", "get"),
        ("", "configmaps", "kfp-launcher", "get"),
        ("argoproj.io", "workflows", "", "list"),
        ("kubeflow.org", "scheduledworkflows", "", "list"),
        ("kueue.x-k8s.io", "localqueues", "", "get list"),
    },
    "Role suanli-port-forward": {
        ("", "services", "ml-pipeline ml-pipeline-ui", "get"),
        ("", "pods", "", "get list"),
        ("", "pods/portforward", "", "create"),
    },
    "ClusterRole suanli-cluster-reader": {
        ("", "nodes", "", "list"),
        ("", "configmaps", "cluster-autoscaler-status", "get"),
        ("kueue.x-k8s.io", "clusterqueues", "", "get"),
        ("cloud.google.com", "computeclasses", "", "get list"),
    },
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_renders_to_its_golden_file(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"manifests/{name}.yaml", rendered(ROOT / "overlays" / name))


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_is_valid(name: str) -> None:
    for each in overlay(name):
        check(each)


def check(each: dict[str, Any]) -> None:
    """Raises where the schema of Kubernetes, or for a custom resource ours, does not hold."""
    schema = SCHEMAS["kinds"].get(each["kind"])
    if schema is None:
        for version in VERSIONS:
            assert kubernetes_validate.validate(each, version, strict=True) == version
        return
    assert each["apiVersion"] == schema["apiVersion"]
    spec = {key: value for key, value in schema.items() if key != "apiVersion"}
    whole = {
        "definitions": SCHEMAS["definitions"],
        "properties": {
            "apiVersion": {},
            "kind": {},
            "metadata": {"$ref": "#/definitions/metadata"},
            "spec": {"type": "object", **spec},
        },
        "required": ["metadata", "spec"],
        "additionalProperties": False,
    }
    jsonschema.Draft202012Validator(whole).validate(each)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("ComputeClass", {"priorites": []}),
        (
            "ComputeClass",
            {"priorities": [{"machineType": "g2-standard-8", "spot": True, "flexStart": {"enabled": True}}]},
        ),
        ("ClusterQueue", {"cohort": "v1beta1"}),
        ("ResourceFlavor", {"nodeLabels": {"spot": True}}),
    ],
)
def test_our_own_schemas_find_a_fault(kind: str, change: dict[str, Any]) -> None:
    each = next(iter(of_kind("prod", kind).values()))
    with pytest.raises(jsonschema.ValidationError):
        check({**each, "spec": {**each["spec"], **change}})


def test_the_validator_finds_a_fault() -> None:
    policy = of_kind("dev", "NetworkPolicy")["suanli-runner"]
    with pytest.raises(kubernetes_validate.ValidationError):
        check({**policy, "spec": {**policy["spec"], "egres": []}})


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_is_labelled_and_in_the_namespace_that_it_belongs_to(name: str) -> None:
    for each in overlay(name):
        said = f"{each['kind']} {each['metadata']['name']}"
        labels = each["metadata"].get("labels", {})
        if each["metadata"]["name"] in KUBEFLOWS:
            ours = "app.kubernetes.io/name" in labels
            assert not ours, f"{said} would go with ours when these are deleted by their labels"
        else:
            assert set(labels) == {"app.kubernetes.io/name", "app.kubernetes.io/component"}, said
            assert labels["app.kubernetes.io/name"] == "suanli", said
        assert each["metadata"].get("namespace", "") == ("" if each["kind"] in CLUSTER_WIDE else "kubeflow"), said


def test_the_base_names_no_namespace_and_stands_alone() -> None:
    for each in objects(ROOT / "base"):
        assert "namespace" not in each["metadata"]
        assert not any("namespace" in subject for subject in each.get("subjects", []))
    assert "namespace" not in yaml.safe_load((ROOT / "base/kustomization.yaml").read_text())


@pytest.mark.parametrize("name", OVERLAYS)
def test_nobody_has_more_rights_than_the_table_says(name: str) -> None:
    roles = {**of_kind(name, "Role"), **of_kind(name, "ClusterRole")}
    for role in roles.values():
        granted = [
            (group, resource, " ".join(sorted(rule.get("resourceNames", []))), " ".join(sorted(rule["verbs"])))
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        ]
        assert sorted(granted) == sorted(RIGHTS[f"{role['kind']} {role['metadata']['name']}"])
        assert "*" not in yaml.safe_dump(role)
    for binding in [*of_kind(name, "RoleBinding").values(), *of_kind(name, "ClusterRoleBinding").values()]:
        assert binding["roleRef"]["name"] == binding["metadata"]["name"] in roles


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_pods_have_the_runners_rights_and_people_the_other_ones(name: str) -> None:
    bindings = {**of_kind(name, "RoleBinding"), **of_kind(name, "ClusterRoleBinding")}
    runner = bindings.pop("suanli-runner")
    assert runner["subjects"] == [{"kind": "ServiceAccount", "name": "suanli-runner", "namespace": "kubeflow"}]
    assert bindings and {subject["kind"] for each in bindings.values() for subject in each["subjects"]} == {"Group"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_settings_are_filled_in_and_stay_here(name: str) -> None:
    settings = yaml.safe_load((ROOT / "overlays" / name / "settings.yaml").read_text())["data"]
    text = rendered(ROOT / "overlays" / name)
    assert all(value in text for value in settings.values())
    assert "suanli-settings" not in text
    assert "name: submitters" not in text and "defaultPipelineRoot: pipelineRoot" not in text
    account = of_kind(name, "ServiceAccount")["suanli-runner"]
    assert account["metadata"]["annotations"] == {"iam.gke.io/gcp-service-account": settings["googleServiceAccount"]}
    assert of_kind(name, "ConfigMap")["kfp-launcher"]["data"]["defaultPipelineRoot"].startswith("gs://")


def test_the_generated_files_are_what_the_catalog_says() -> None:
    wanted = manifests.files(CATALOG)
    for path, text in wanted.items():
        assert (ROOT / path).read_text() == text, f"{path} differs: run python -m pipelines.hardware.manifests"
    written = {str(path.relative_to(ROOT)) for path in FILES if path.read_text().startswith(manifests.HEAD)}
    assert written == set(wanted), "files of rows that are usual no more: run python -m pipelines.hardware.manifests"


def test_writing_removes_what_is_generated_no_more(tmp_path: Path) -> None:
    stale = tmp_path / manifests.FLAVORS / "k80.yaml"
    stale.parent.mkdir(parents=True)
    stale.write_text("kind: ResourceFlavor\n")
    assert manifests.write(tmp_path, CATALOG) and not stale.exists()
    assert (tmp_path / manifests.CLUSTER_QUEUE).read_text() == (ROOT / manifests.CLUSTER_QUEUE).read_text()


@pytest.mark.parametrize("capacity", ["spot", "on-demand"])
@pytest.mark.parametrize("name", manifests.USUAL)
def test_a_flavor_selects_and_tolerates_what_the_rows_pods_do(name: str, capacity: Any) -> None:
    rung = Rung(CATALOG[name], capacity)
    flavor = of_kind("prod", "ResourceFlavor")[manifests.flavor_name(rung)]["spec"]
    pod = placement_parameters.for_rungs([rung])
    assert flavor["nodeLabels"] == pod["node_selector"]
    assert flavor.get("tolerations", []) == pod["tolerations"]


def test_the_queue_tries_spot_before_on_demand_and_has_room_for_whole_machines() -> None:
    (group,) = of_kind("prod", "ClusterQueue")["training"]["spec"]["resourceGroups"]
    flavors = {flavor["name"]: flavor["resources"] for flavor in group["flavors"]}
    assert set(flavors) == set(of_kind("prod", "ResourceFlavor"))
    order = list(flavors)
    for name in manifests.USUAL:
        row = CATALOG[name]
        assert order.index(f"{name}-spot") < order.index(name)
        # Kueue wants each flavor to list the group's resources, in their order.
        assert [each["name"] for each in flavors[name]] == group["coveredResources"]
        quota = {each["name"]: each["nominalQuota"] for each in flavors[name]}
        assert quota["cpu"] == manifests.MACHINES * row.vcpus
        assert quota["memory"] == f"{int(manifests.MACHINES * row.memory_gib)}Gi"
        for resource in ("nvidia.com/gpu", "google.com/tpu"):
            assert quota[resource] == (manifests.MACHINES * row.count if row.resource == resource else 0)
    assert of_kind("prod", "LocalQueue")["train"]["spec"]["clusterQueue"] == "training"


@pytest.mark.parametrize("name", manifests.USUAL)
def test_a_class_goes_from_spot_over_flex_start_to_on_demand_on_one_machine(name: str) -> None:
    row = CATALOG[name]
    wanted = manifests.class_of(row)
    rules = of_kind("prod", "ComputeClass")[wanted["metadata"]["name"]]["spec"]["priorities"]
    ways = ["flex-start" if "flexStart" in rule else "spot" if rule["spot"] else "on-demand" for rule in rules]
    assert ways == (["spot", "on-demand"] if row.kind == "cpu" else ["spot", "flex-start", "on-demand"])
    chips = {**row.labels, "topology": row.topology}.values()
    for rule in rules:
        assert rule["machineType"] == row.machine_types[0]
        asked = rule.get("gpu") or rule.get("tpu") or {}
        assert asked.get("count", row.count) == row.count
        assert {asked.get("type"), asked.get("topology")} - {None} <= set(chips)


UPSTREAM = """
apiVersion: v1
kind: ConfigMap
metadata: {name: workflow-controller-configmap}
data:
  artifactRepository: |
    archiveLogs: true
  workflowDefaults: |
    spec:
      templateDefaults:
        retryStrategy: {limit: "2", retryPolicy: OnError}
"""


def test_the_retry_component_changes_the_policy_in_kubeflows_own_kustomization(tmp_path: Path) -> None:
    (tmp_path / "upstream.yaml").write_text(UPSTREAM)
    up = "../" * len(tmp_path.parts[1:])
    component = f"{up}{(ROOT / 'components/retry-on-preemption').relative_to('/')}"
    kustomization = {"resources": ["upstream.yaml"], "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    (found,) = objects(tmp_path)
    assert yaml.safe_load(found["data"]["artifactRepository"]) == {"archiveLogs": True}
    defaults = yaml.safe_load(found["data"]["workflowDefaults"])["spec"]
    assert defaults["templateDefaults"]["retryStrategy"] == {"limit": "2", "retryPolicy": "OnTransientError"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_buckets_claim_is_bound_to_a_volume_of_the_settings_bucket_that_nobody_writes(
    name: str, tmp_path: Path
) -> None:
    component = f"{'../' * len(tmp_path.parts[1:])}{(ROOT / 'components/gcs-fuse').relative_to('/')}"
    settings = ROOT / "overlays" / name / "settings.yaml"
    (tmp_path / "settings.yaml").write_text(settings.read_text())
    kustomization = {"resources": ["settings.yaml"], "namespace": "team", "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    found = {each["kind"]: each for each in objects(tmp_path)}
    volume, claim = found["PersistentVolume"], found["PersistentVolumeClaim"]
    for each in (volume, claim):
        check(each)
    root = yaml.safe_load(settings.read_text())["data"]["pipelineRoot"]
    assert root.startswith(f"gs://{volume['spec']['csi']['volumeHandle']}/")
    assert volume["spec"]["csi"]["readOnly"] and "ro" in volume["spec"]["mountOptions"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"] and claim["metadata"]["namespace"] == "team"
    assert volume["spec"]["storageClassName"] == claim["spec"]["storageClassName"] == ""
    assert "namespace" not in volume["metadata"]


def test_every_file_is_one_object_named_by_its_kind() -> None:
    assert len(FILES) > 50 and {str(path.relative_to(ROOT)): found for path in FILES if (found := faults(path))} == {}


def faults(path: Path) -> list[str]:
    text = path.read_text()
    documents = list(yaml.safe_load_all(text))
    if len(documents) != 1:
        return [f"{len(documents)} objects"]
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", documents[0]["kind"]).lower()
    generated = str(path.parent.relative_to(ROOT)) in {manifests.FLAVORS, manifests.CLASSES}
    found = [] if generated or path.stem in {kind, "kustomization", "settings"} else [f"its kind is {kind}"]
    if re.search(r"^\s*#\s*(- )?[a-z][A-Za-z]*:(\s|$)", text, re.MULTILINE):
        found.append("YAML that is commented out")
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_image_floats(name: str) -> None:
    images = re.findall(r"^\s*(?:- )?image: *(\S+)$", rendered(ROOT / "overlays" / name), re.MULTILINE)
    assert [image for image in images if ":" not in image or image.endswith(":latest")] == []


def test_every_component_is_used_or_explained() -> None:
    used = {
        Path(component).name
        for name in OVERLAYS
        for component in yaml.safe_load((ROOT / "overlays" / name / "kustomization.yaml").read_text())["components"]
    }
    there = {path.name for path in (ROOT / "components").iterdir()}
    assert there - used == {"retry-on-preemption", "gcs-fuse"}
    readme = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in there)
