"""What ``suanli bootstrap gke`` prints, in a real shell where gcloud, kubectl and the rest write down what is asked."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from manifest_objects import ROOT, objects

from pipelines.cli.main import main
from pipelines.compile import targets
from pipelines.hardware import bootstrap, catalog, ladder
from pipelines.hardware.bootstrap import Installation

PROGRAMS = ("gcloud", "kubectl", "make", "python", "suanli")
TEAM = Installation("my-team-ml", "us-central1")
# The options that were looked up in the help of the Cloud SDK 528; those that every command has come last.
CHECKED = {
    "artifacts repositories add-iam-policy-binding": "location member role",
    "artifacts repositories create": "location repository-format",
    "auth application-default login": "",
    "auth configure-docker": "",
    "auth login": "",
    "builds submit": "config region service-account",
    "compute accelerator-types list": "filter",
    "compute project-info describe": "",
    "compute regions describe": "",
    "config get-value": "",
    "container clusters create": "location workload-pool enable-dataplane-v2 release-channel machine-type disk-size "
    "num-nodes enable-autoscaling min-nodes max-nodes service-account workload-metadata",
    "container clusters get-credentials": "location",
    "container node-pools create": "cluster location machine-type accelerator spot num-nodes enable-autoscaling "
    "total-min-nodes total-max-nodes location-policy node-taints service-account workload-metadata disk-size",
    "iam service-accounts add-iam-policy-binding": "member role",
    "iam service-accounts create": "display-name",
    "projects add-iam-policy-binding": "condition member role",
    "projects describe": "",
    "services enable": "",
    "storage buckets add-iam-policy-binding": "member role",
    "storage buckets create": "location uniform-bucket-level-access public-access-prevention",
    "storage buckets update": "lifecycle-file",
}
EVERYWHERE = {"flatten", "format"}


def rungs(text: str = "l4:spot,l4") -> list[ladder.Rung]:
    return ladder.parse(text, catalog.load())


@pytest.fixture(scope="module")
def pasted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """The folder in which the script was run, and the words of each command."""
    folder = tmp_path_factory.mktemp("pasted")
    shutil.copytree(ROOT, folder / "manifests")
    # What is read from a pipe or a substitution is answered on stdout, so the words go into a file.
    stubs = "".join(f'{name}() {{ printf "%s\\0" {name} "$@" >> said; printf "\\n" >> said; }}\n' for name in PROGRAMS)
    script = f"set -eu\n{stubs}grep() {{ cat > /dev/null; }}\n{bootstrap.gcloud(TEAM, rungs())}\n"
    subprocess.run(["bash"], input=script, cwd=folder, text=True, check=True, capture_output=True)
    lines = (folder / "said").read_text().split("\0\n")
    return folder, [line.split("\0") for line in lines if line]


Pasted = tuple[Path, list[list[str]]]


def test_every_option_of_gcloud_was_looked_up(pasted: Pasted) -> None:
    used = {}
    for _, *words in (call for call in pasted[1] if call[0] == "gcloud"):
        name = next((name for name in CHECKED if words[: len(name.split())] == name.split()), "")
        assert name, f"gcloud {words}: look its options up in gcloud's help"
        options = {word[2:].partition("=")[0] for word in words if word.startswith("--")}
        assert options <= {*CHECKED[name].split(), *EVERYWHERE}, name
        used[name] = options
    assert used.keys() == CHECKED.keys()


def test_every_name_is_filled_in(pasted: Pasted) -> None:
    words = [word for call in pasted[1] for word in call]
    assert len(pasted[1]) > 35 and [word for word in words if re.search(r"[$@]\w+@|\$|=$", word)] == []
    assert "--member=serviceAccount:my-team-ml.svc.id.goog[kubeflow/suanli-runner]" in words
    assert "--service-account=suanli-nodes@my-team-ml.iam.gserviceaccount.com" in words
    assert sum(call[1:4] == ["container", "node-pools", "create"] for call in pasted[1]) == 2


def test_the_files_that_it_writes_are_what_we_and_google_read(pasted: Pasted) -> None:
    folder, _ = pasted
    target = targets.load("gke", folder)
    assert target.image_prefix == "us-central1-docker.pkg.dev/my-team-ml/suanli/suanli-python"
    assert target.service_account == "suanli-runner" and target.pipeline_root == "gs://my-team-ml-suanli/kfp"
    (rule,) = json.loads((folder / "lifecycle.json").read_text())["rule"]
    (kfp,) = rule["condition"]["matchesPrefix"]
    # No root that has to stay begins with what is removed by age.
    roots = (target.data_root, target.checkpoint_root, target.registry)
    assert not any(root.removeprefix("gs://my-team-ml-suanli/").startswith(kfp) for root in roots)
    assert f"{target.pipeline_root}/" == f"gs://my-team-ml-suanli/{kfp}"


def test_its_overlay_is_rendered_with_the_names(pasted: Pasted) -> None:
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects(pasted[0] / "manifests/overlays/dev")}
    account = found["ServiceAccount", "suanli-runner"]["metadata"]["annotations"]
    assert account == {"iam.gke.io/gcp-service-account": "suanli-dev@my-team-ml.iam.gserviceaccount.com"}
    assert found["ConfigMap", "kfp-launcher"]["data"]["defaultPipelineRoot"] == "gs://my-team-ml-suanli/kfp"


@cache
def upstream(folder: Path) -> str:
    """Kubeflow's kustomization, as far as ours changes it: an object from a folder that sets its namespace."""
    (folder / "upstream").mkdir()
    data = {"workflowDefaults": "spec: {templateDefaults: {retryStrategy: {retryPolicy: OnError}}}"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "workflow-controller-configmap"}}
    (folder / "upstream/config.yaml").write_text(yaml.safe_dump({**config, "data": data}))
    inner = {"resources": ["config.yaml"], "namespace": "kubeflow"}
    (folder / "upstream/kustomization.yaml").write_text(yaml.safe_dump(inner))
    return "../../upstream"


def test_kubeflow_is_installed_with_retries_after_a_preemption(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "manifests")
    path = tmp_path / "manifests/kubeflow/kustomization.yaml"
    ours = yaml.safe_load(path.read_text())
    (remote,) = ours["resources"]
    printed = bootstrap.gcloud(TEAM, rungs())
    assert remote.rpartition("?ref=")[2] in printed and "kubectl apply -k manifests/kubeflow\n" in printed
    path.write_text(yaml.safe_dump({**ours, "resources": [upstream(tmp_path)]}))
    (config,) = objects(path.parent)
    assert config["metadata"]["namespace"] == "kubeflow" and "OnTransientError" in config["data"]["workflowDefaults"]


def test_terraform_makes_what_the_stages_make() -> None:
    text = bootstrap.hcl(TEAM, rungs())
    assert text.count("{") == text.count("}") and "@" not in text.replace("iam.gserviceaccount", "")
    printed = bootstrap.gcloud(TEAM, rungs())
    for word in sorted(set(re.findall(r"roles/[\w.]+|e2-standard-\d|g2-standard-\d", text))):
        assert word in printed
    assert set(re.findall(r"roles/[\w.]+", printed)) == set(re.findall(r"roles/[\w.]+", text))
    # What a pool refers to is made before it.
    assert text.count("= google_container_cluster.cluster.name") == 3
    assert text.count('google_service_account.account["suanli-nodes"].email') == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--project", "PROJECT"), "--project 'PROJECT': not a valid project; give the project's id"),
        (("--project", "$PROJECT"), "not a valid project"),
        (("--project", "team"), "6 to 30"),
        (("--region", "us-central1-a"), "--region 'us-central1-a': not a valid region; give one such as us-central1"),
        (("--region", "REGION"), "not a valid region"),
        (("--zone", "us-east1-b"), "--zone 'us-east1-b': not a valid zone; give a zone of us-central1"),
        (("--cluster", "My cluster"), "not a valid cluster"),
        (("--bucket", "BUCKET"), "--bucket 'BUCKET': not a valid bucket"),
        (("--bucket", "gs://team"), "without gs://"),
        (("--bucket", "my-google-data"), "not a valid bucket"),
        (("--repository", "a;b"), "not a valid repository"),
        (("--submitters", "everybody"), "not a valid submitters; give the group's address"),
        (("--accelerator", "l5"), "unknown accelerator 'l5'"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = {"--project": "my-team-ml", "--region": "us-central1", arguments[0]: arguments[1]}
    assert main(["bootstrap", "gke", *(word for pair in given.items() for word in pair)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1


def test_another_place_than_gke_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bootstrap", "eks", "--project", "my-team-ml", "--region", "us-central1"]) == 2
    assert "cannot set up 'eks'; choose from gke" in capsys.readouterr().err
