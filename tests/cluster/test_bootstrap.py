"""What ``suanli bootstrap gke`` has the reader apply, on a real API server."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from clusters import Cluster
from kubectl import APPLY, ROOT, kubectl
from kubeflow_namespace import KUBEFLOWS, LAUNCHER, NAMESPACE, furnished

from pipelines.hardware import bootstrap, catalog, ladder


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """The manifests with the settings that stage 9 writes, by a real shell."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    team = bootstrap.Installation("my-team-ml", "us-central1", submitters="ml@example.com")
    printed = bootstrap.gcloud(team, ladder.parse("l4:spot", catalog.load()))
    exports = re.findall(r"^export (?!NUMBER).*$", printed, re.MULTILINE)
    (written,) = re.findall(r"^cat > manifests/.*?^EOF$", printed, re.MULTILINE | re.DOTALL)
    script = "\n".join([*exports, written])
    subprocess.run(["bash", "-eu"], input=f"{script}\n", cwd=tmp_path, text=True, check=True)
    return tmp_path / "manifests"


def test_stage_9_is_taken_and_names_the_accounts(cluster: Cluster, manifests: Path) -> None:
    rendered = kubectl(None, "kustomize", str(manifests / "overlays/dev"))
    with furnished(cluster) as server:
        count = len(list(yaml.safe_load_all(rendered)))
        for _ in range(2):
            applied = kubectl(server.api.kubeconfig, *APPLY, stdin=rendered)
            assert applied.count("serverside-applied") == count
        launcher = server.api.get(LAUNCHER)["data"]
        assert launcher["defaultPipelineRoot"] == "gs://my-team-ml-suanli/kfp" and launcher.items() > KUBEFLOWS.items()
        account = server.api.get(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/suanli-runner")["metadata"]
        google = account["annotations"]["iam.gke.io/gcp-service-account"]
        assert google == "suanli-dev@my-team-ml.iam.gserviceaccount.com"
        may = (
            "auth",
            "can-i",
            "list",
            "pods",
            f"--namespace={NAMESPACE}",
            "--as=somebody",
            "--as-group=ml@example.com",
        )
        assert kubectl(server.api.kubeconfig, *may).strip() == "yes"
