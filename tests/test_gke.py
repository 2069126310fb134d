"""docs/gke.md: its stages are what ``suanli bootstrap gke`` prints, and every command of ours on it is run, stage by
stage, against a cluster, a Kubeflow server, a registry of images and Cloud Storage on loopback."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import image_registry
import pytest
from kubeflow import FakeKubeflow
from kubernetes_api import FakeKubernetes, node, thing
from page import BLOCK
from storage_emulator import Emulator

from pipelines.cli.main import main
from pipelines.hardware import bootstrap, catalog, ladder

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/gke.md").read_text()
STAGE = re.compile(r"^# (\d+)\. .*?\n(.*?)(?=^# \d+\. |\Z)", re.MULTILINE | re.DOTALL)
# Their commands of ours are shown with what they print, or with the command that prints the rest.
SHOWN_OTHERWISE = {"7", "12"}
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
POLICY = "spec: {templateDefaults: {retryStrategy: {limit: '2', retryPolicy: OnTransientError}}}"
GOOGLE_ACCOUNT = {"iam.gke.io/gcp-service-account": "suanli-dev@my-team-ml.iam.gserviceaccount.com"}


def printed() -> str:
    team = bootstrap.Installation("my-team-ml", "us-central1")
    return bootstrap.gcloud(team, ladder.parse("l4:spot", catalog.load()))


def ours(text: str) -> list[str]:
    """The command lines of a block that are Suanli's own."""
    words = text.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in words if re.match(r"(\$ )?(suanli|make|python -m pipelines)", line)]


def test_the_stages_are_what_the_command_prints() -> None:
    stages = STAGE.findall(printed())
    assert [number for number, _ in stages] == [str(number) for number in range(1, 13)]
    for number, text in stages:
        assert f"\n## {number}. " in PAGE
        if number not in SHOWN_OTHERWISE:
            assert f"```bash\n{text.strip()}\n```\n" in PAGE, f"stage {number} differs from suanli bootstrap gke"


class World:
    """What there is already; each stage of the page adds to it."""

    def __init__(self, folder: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.emulator, self.monkeypatch = folder, emulator, monkeypatch
        self.kubernetes, self.kubeflow = FakeKubernetes(), FakeKubeflow()

    def enter(self, title: str, images: str) -> None:
        match title.partition(".")[0]:
            case "4":
                self.emulator.create_bucket("my-team-ml-suanli")
            case "6":
                self.kubernetes.add(node("gke-suanli-default-pool-1"), node("gke-suanli-default-pool-2"))
                self.monkeypatch.setenv("KUBECONFIG", str(self.kubernetes.kubeconfig(self.folder)))
            case "8":
                self.kubernetes.add(thing("Namespace", "kubeflow", ""), thing("ServiceAccount", "pipeline-runner"))
                controller = thing("ConfigMap", "workflow-controller-configmap", data={"workflowDefaults": POLICY})
                self.kubernetes.add(controller)
            case "9":
                account = thing("ServiceAccount", "suanli-runner", metadata={"annotations": GOOGLE_ACCOUNT})
                root = {"defaultPipelineRoot": "gs://my-team-ml-suanli/kfp"}
                self.kubernetes.add(account, thing("ConfigMap", "kfp-launcher", data=root))
            case "10":
                self.target("us-central1-docker.pkg.dev", images)
            case "11":
                self.target("http://localhost:8080", self.kubeflow.host)

    def target(self, there: str, here: str) -> None:
        path = self.folder / "targets.toml"
        assert there in path.read_text()
        path.write_text(path.read_text().replace(there, here))


@pytest.fixture
def world(
    tmp_path: Path, emulator: Emulator, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[World, str]]:
    made = World(tmp_path, emulator, monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": str(tmp_path),
        "KUBECONFIG": str(tmp_path / "none"),
        "STORAGE_EMULATOR_HOST": emulator.url,
        "SUANLI_CACHE_HOME": str(cache_home),
        "SUANLI_RUNS": str(tmp_path / "runs"),
        "SUANLI_TIMEOUT": "5",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("SUANLI_HOST", "SUANLI_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    digest = f"sha256:{'0' * 64}"
    with made.kubernetes, made.kubeflow, image_registry.running(digest) as images:
        yield made, images


def test_every_command_of_ours_does_what_the_page_says(
    world: tuple[World, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, images = world
    names = STAGE.findall(printed())[0][1]
    subprocess.run(["bash", "-eu"], input=names, cwd=tmp_path, text=True, check=True)
    exports = "\n".join(re.findall(r"^export .*$", names, re.MULTILINE))
    run = []
    for section in PAGE.split("\n## "):
        made.enter(section, images)
        for block in BLOCK.finditer(section):
            if block["kind"] == "console":
                line, _, expected = block["text"].removeprefix("$ ").partition("\n")
                main(shlex.split(line)[1:])
                found = capsys.readouterr()
                assert doctest.OutputChecker().check_output(expected, found.out, LIKE), (line, found)
                assert found.err == "", (line, found)
                run.append(line)
            elif block["kind"] == "bash":
                for line in ours(block["text"]):
                    in_shell(line, exports, tmp_path)
                    run.append(line)
    blocks = "\n".join(block["text"] for block in BLOCK.finditer(PAGE) if block["kind"] in {"bash", "console"})
    assert run == ours(blocks) and len(run) >= 12
    assert len(made.kubeflow.runs) == 1


def in_shell(line: str, exports: str, folder: Path) -> None:
    """Run a command as the page's shell would, up to where another program takes over; make says what it would run."""
    command = re.sub(r" \| bash$| > cloudbuild.json$", "", line)
    command = re.sub(r"^make ", f"make -n -C {shlex.quote(str(ROOT))} ", command)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = f"cd {shlex.quote(str(folder))}\n{exports}\n{command}\n"
    done = subprocess.run(
        ["bash", "-eu"], input=script, text=True, capture_output=True, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0 and done.stdout, (line, done.stderr)
